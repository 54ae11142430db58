package resp

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/resp/forwardpb"
)

// largeReply is how many bytes of a reply may wait in memory for their turn. A read that makes more is given up, and run again when its turn
// has come: then its parts go to the client as they are made.
const largeReply = 256 << 10

var (
	errLarge  = errors.New("resp: the reply is large")
	errCutOff = errors.New("resp: a reply could not be finished")
	errStuck  = errors.New("resp: the reply's parts aren't taken")
)

// mayBeLarge says whether a call's reply can be passed on in parts.
func (k *call) mayBeLarge() bool { return k.Spec.Flags&command.ManyRows != 0 && !k.needed }

// readBounded has an executor read. When bounded is set, a reply that grows large is dropped and large set.
func readBounded(exec Executor, req *command.Request, bounded bool, large *bool) bool {
	if !bounded {
		ok := exec.Read(req)
		if ok {
			req.Outcome = command.Answered
		}
		return ok
	}
	var kept []byte
	req.Reply.Spill = func(part []byte) error {
		if len(kept)+len(part) > largeReply {
			*large = true
			return errLarge
		}
		kept = append(kept, part...)
		return nil
	}
	ok := exec.Read(req)
	req.Reply = command.Reply{Buf: req.Reply.Buf, RESP3: req.Reply.RESP3}
	switch {
	case *large:
		req.Reply.Buf = req.Reply.Buf[:0]
	case kept != nil:
		req.Reply.Buf = append(kept, req.Reply.Buf...)
	}
	if ok {
		req.Outcome = command.Answered
	}
	return ok
}

// spill passes a part of the reply that is next on to the client, behind those that are ready.
func (c *conn) spill(part []byte) error {
	c.spilled = true
	c.flush()
	c.write(part)
	return c.broken
}

func forget([]byte) error { return nil }

// direct has an executor read what is next, straight into the output: r.Reply.Buf is c.out and the reply. If it may be large, it goes on to the
// client in parts, and what is left is there.
func (c *conn) direct(exec Executor, r *command.Request, wanted bool) bool {
	r.Reply = command.Reply{Buf: c.out, RESP3: c.resp3}
	if r.Spec.Flags&command.ManyRows == 0 {
		return exec.Read(r)
	}
	r.Reply.Buf = c.out[len(c.out):]
	if r.Reply.Spill = forget; wanted {
		if c.spillFunc == nil {
			c.spillFunc = c.spill
		}
		r.Reply.Spill = c.spillFunc
	}
	c.spilled, r.Outcome = false, command.Pending
	if !exec.Read(r) {
		return false
	}
	if c.spilled && r.Outcome == command.Unknown && c.broken == nil {
		c.drop(errCutOff)
	}
	r.Reply.Buf = append(c.out, r.Reply.Buf...)
	return true
}

// stream answers a call whose reply is large, and whose turn has come.
func (c *conn) stream(k *call) {
	c.flush()
	deadline := c.srv.now().Add(c.srv.opt.RetryFor)
	for backoff := firstBackoff; c.broken == nil; backoff = min(2*backoff, 250*time.Millisecond) {
		if c.streamOnce(k) {
			return
		}
		if !c.srv.now().Before(deadline) || !c.srv.pause(backoff) {
			r := command.Reply{Buf: c.out}
			r.Error(noLeader)
			c.out = r.Buf
			return
		}
	}
}

// streamOnce asks whoever leads; false: nothing was answered.
func (c *conn) streamOnce(k *call) bool {
	exec := c.srv.backend.Executor(k.ns, k.partition)
	leader, known := c.srv.backend.Leader(k.ns, k.partition)
	away := known && leader.ID != c.srv.opt.NodeID
	switch {
	case exec != nil && (exec.Leading() || !away || k.ReadStale):
		r := &c.immed
		r.Spec, r.Args, r.ReadStale = k.Spec, k.Args, k.ReadStale
		if !c.direct(exec, r, true) {
			return false
		}
		c.out = r.Reply.Buf
		return true
	case away && c.kind != ClusterPort && k.ns.Forward:
		answered, err := c.srv.forwarder.read(leader, k, c.spill)
		if err != nil && c.broken == nil {
			c.drop(err)
		}
		return answered
	}
	return false
}

// read asks another node for a read and passes its reply's parts on. answered is false, and the error nil, when nothing came; an error means that
// the reply can't be finished.
func (f *forwarder) read(to Node, k *call, pass func([]byte) error) (answered bool, err error) {
	p, err := f.peer(to)
	if err != nil {
		return false, nil
	}
	ctx, cancel := context.WithCancel(f.ctx)
	defer cancel()
	overdue := time.AfterFunc(f.srv.opt.ForwardTimeout, cancel)
	defer overdue.Stop()
	stream, err := forwardpb.NewForwardClient(p.conn).Read(ctx, &forwardpb.ReadRequest{
		Namespace: k.ns.Name, Partition: uint32(k.partition), Partitions: uint32(k.ns.Partitions),
		Command: appendCommand(nil, k.Args), Flags: uint32(flagsOf(k)),
	})
	if err != nil {
		return false, nil
	}
	f.srv.stats.forwarded.Add(1)
	for {
		part, err := stream.Recv()
		switch {
		case err != nil && answered:
			return true, errCutOff
		case err != nil || part.Refusal != forwardpb.Refusal_REFUSAL_NONE:
			return false, nil
		}
		answered = true
		overdue.Stop()
		if err := pass(part.Reply); err != nil || part.Last {
			return true, err
		}
		overdue.Reset(f.srv.opt.ForwardTimeout)
	}
}

// Read runs a read for another node and sends its reply in parts. It holds on to the state only as long as they are taken.
func (f *forwardService) Read(req *forwardpb.ReadRequest, stream grpc.ServerStreamingServer[forwardpb.Part]) error {
	refuse := func(why forwardpb.Refusal) error { return stream.Send(&forwardpb.Part{Refusal: why}) }
	exec, refusal := f.srv.find(req.Namespace, req.Partition, req.Partitions)
	if exec == nil {
		return refuse(refusal)
	}
	spec, args, problem, ok := f.srv.newDecoder(req.Command).next()
	if !ok || spec.Flags&command.Write != 0 || spec.Run == nil {
		return refuse(forwardpb.Refusal_REFUSAL_MALFORMED)
	}
	r := command.Request{Spec: spec, Args: args, ReadStale: req.Flags&flagStale != 0}
	r.Reply.RESP3 = req.Flags&flagRESP3 != 0
	if problem != "" {
		r.Reply.Error(problem)
		return stream.Send(&forwardpb.Part{Reply: r.Reply.Buf, Last: true})
	}
	f.srv.stats.served.Add(1)
	parts := newPartSender(stream, f.srv.opt.OutputTimeout)
	defer parts.end()
	r.Reply.Spill = parts.send
	switch {
	case !exec.Read(&r):
		return refuse(forwardpb.Refusal_REFUSAL_NOT_HERE)
	case parts.err != nil || parts.began && r.Outcome == command.Unknown:
		return status.Error(codes.Aborted, errCutOff.Error())
	}
	return stream.Send(&forwardpb.Part{Reply: r.Reply.Buf, Last: true})
}

// partSender sends parts, each within a time: gRPC's own Send waits as long as the other side doesn't read.
type partSender struct {
	patience time.Duration
	ctx      context.Context
	parts    chan []byte
	sent     chan error
	part     []byte // in work: after an error it may still be, so that the caller's own mustn't be
	err      error
	began    bool
	stop     context.CancelFunc
}

func newPartSender(stream grpc.ServerStreamingServer[forwardpb.Part], patience time.Duration) *partSender {
	s := &partSender{patience: patience, parts: make(chan []byte), sent: make(chan error, 1)}
	s.ctx, s.stop = context.WithCancel(stream.Context())
	go func() {
		for {
			select {
			case part := <-s.parts:
				s.sent <- sendPart(stream, part)
			case <-s.ctx.Done():
				return
			}
		}
	}()
	return s
}

// messageBytes is the most that a message has of a part: gRPC takes buffers of 1 MiB for what is over 32 KiB with its frame.
const messageBytes = 31 << 10

func sendPart(stream grpc.ServerStreamingServer[forwardpb.Part], part []byte) error {
	for len(part) > 0 {
		n := min(len(part), messageBytes)
		if err := stream.Send(&forwardpb.Part{Reply: part[:n]}); err != nil {
			return err
		}
		part = part[n:]
	}
	return nil
}

// send is a Reply's Spill. It isn't called again after an error.
func (s *partSender) send(part []byte) error {
	late := time.NewTimer(s.patience)
	defer late.Stop()
	s.began = true
	s.part = append(s.part[:0], part...)
	select {
	case s.parts <- s.part:
	case <-s.ctx.Done():
		s.err = s.ctx.Err()
		return s.err
	}
	select {
	case s.err = <-s.sent:
	case <-late.C:
		s.err = errStuck
	case <-s.ctx.Done():
		s.err = s.ctx.Err()
	}
	return s.err
}

// end lets the goroutine go. One that is sending ends when its stream does, which is when the handler returns.
func (s *partSender) end() { s.stop() }
