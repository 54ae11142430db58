package resp

import (
	"net"
	"time"

	"github.com/zankv/zankv/cluster/command"
)

// nullBackend answers everything with the same, and so shows what the front end itself costs.
type nullBackend struct {
	ns   *Namespace
	exec *nullExecutor
}

func (b nullBackend) Namespace(string) (*Namespace, bool) { return b.ns, true }
func (b nullBackend) Executor(*Namespace, int) Executor   { return b.exec }
func (b nullBackend) Leader(*Namespace, int) (Node, bool) { return Node{ID: 1}, true }
func (b nullBackend) Replicas(*Namespace, int) []Node     { return nil }
func (b nullBackend) Info(*Namespace, string) []InfoField { return nil }

type nullExecutor struct{}

func (*nullExecutor) Unblock(*command.Request, command.UnblockHow) {}

func (*nullExecutor) Leading() bool { return true }

func (*nullExecutor) Read(r *command.Request) bool {
	if r.Spec.Gather == command.GatherArray {
		r.Reply.Array(len(r.Args) - 1)
		for range r.Args[1:] {
			r.Reply.Null()
		}
	} else {
		r.Reply.Int(1)
	}
	return true
}

func (e *nullExecutor) Submit(reqs []*command.Request, done func()) {
	for _, r := range reqs {
		e.Read(r)
		r.Outcome = command.Answered
	}
	done()
}

// discard is a connection whose client is never heard of.
type discard struct{}

func (discard) Read([]byte) (int, error)         { return 0, net.ErrClosed }
func (discard) Write(b []byte) (int, error)      { return len(b), nil }
func (discard) Close() error                     { return nil }
func (discard) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (discard) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (discard) SetDeadline(time.Time) error      { return nil }
func (discard) SetReadDeadline(time.Time) error  { return nil }
func (discard) SetWriteDeadline(time.Time) error { return nil }
