package resp

import (
	"github.com/tidwall/redcon"

	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/resp/forwardpb"
)

// A command's flags in forward.proto.
const (
	flagRESP3       = 1
	flagStale       = 2
	flagLarge       = 4
	flagTransaction = 8
)

// outcomeLarge stands among the outcomes of forward.proto for a read whose reply is too large for an answer.
const outcomeLarge = 4

func encodeLane(l *lane) *forwardpb.Lane {
	size := 0
	for _, k := range l.calls {
		size += sizeOf(k.Args)
	}
	w := &forwardpb.Lane{
		Namespace: l.ns.Name, Partition: uint32(l.partition), Partitions: uint32(l.ns.Partitions),
		Commands: make([]byte, 0, size), Flags: make([]byte, 0, len(l.calls)),
	}
	reads := !l.writes()
	for _, k := range l.calls {
		w.Commands = appendCommand(w.Commands, k.Args)
		flags := flagsOf(k)
		if reads && k.mayBeLarge() {
			flags |= flagLarge
		}
		if k.Spec == command.Exec {
			flags |= flagTransaction
			w.Transactions = append(w.Transactions, encodeTransaction(&k.Request))
		}
		w.Flags = append(w.Flags, flags)
	}
	return w
}

func (l *lane) writes() bool {
	for _, k := range l.calls {
		if k.isWrite() {
			return true
		}
	}
	return false
}

func flagsOf(k *call) (flags byte) {
	if k.Reply.RESP3 {
		flags |= flagRESP3
	}
	if k.ReadStale {
		flags |= flagStale
	}
	return flags
}

func encodeTransaction(req *command.Request) *forwardpb.Transaction {
	size := 0
	for i := range req.Queue {
		size += sizeOf(req.Queue[i].Args)
	}
	t := &forwardpb.Transaction{Queued: uint32(len(req.Queue)), Commands: make([]byte, 0, size)}
	for i := range req.Queue {
		t.Commands = appendCommand(t.Commands, req.Queue[i].Args)
	}
	for i := range req.Watched {
		t.Watched = append(t.Watched, &forwardpb.Watch{Key: req.Watched[i].Key, Token: req.Watched[i].Token})
	}
	return t
}

// sizeOf is about as many bytes as a command has in RESP.
func sizeOf(args [][]byte) int {
	n := 16
	for _, a := range args {
		n += len(a) + 16
	}
	return n
}

func appendCommand(dst []byte, args [][]byte) []byte {
	dst = redcon.AppendArray(dst, len(args))
	for _, a := range args {
		dst = redcon.AppendBulk(dst, a)
	}
	return dst
}

// decoder reads commands of other nodes. What it returns points into what it reads.
type decoder struct {
	parser parser
	buf    []byte
	limits *command.Limits
}

func (s *Server) newDecoder(buf []byte) *decoder {
	return &decoder{parser: newParser(s.opt.MaxBulk, maxFrame), buf: buf, limits: &s.opt.Limits}
}

// next reads a command. A problem is this node's own objection to it: the other one may have other limits. ok is false when it can't be read or
// isn't one for a partition.
func (d *decoder) next() (spec *command.Spec, args [][]byte, problem string, ok bool) {
	whole, err := d.parser.next(d.buf, false)
	if err != nil || !whole || d.parser.typed || d.parser.count() == 0 {
		return nil, nil, "", false
	}
	args = make([][]byte, d.parser.count())
	for i := range args {
		args[i] = d.parser.arg(d.buf, i)
	}
	spec, _, problem = command.Resolve(args, d.limits)
	switch {
	case problem != "":
		spec, _ = command.LookupStale(args[0])
		return spec, args, problem, spec != nil
	case spec.Name == command.WatchRead.Name:
		return command.WatchRead, args, "", true
	}
	return spec, args, "", spec.Run != nil || spec == command.Exec
}

// decode makes requests of a lane's commands: none if one can't be read or isn't known here. They point into the lane. Those that this node
// objects to are answered.
func (s *Server) decode(l *forwardpb.Lane) (reqs []*command.Request) {
	if len(l.Flags) > maxCalls {
		return nil
	}
	d := s.newDecoder(l.Commands)
	all := make([]command.Request, len(l.Flags))
	transactions := l.Transactions
	for i, flags := range l.Flags {
		spec, args, problem, ok := d.next()
		if !ok || (spec == command.Exec) != (flags&flagTransaction != 0) {
			return nil
		}
		req := &all[i]
		*req = command.Request{Spec: spec, Args: args, ReadStale: flags&flagStale != 0}
		req.Reply.RESP3 = flags&flagRESP3 != 0
		if spec == command.Exec && problem == "" {
			if len(transactions) == 0 {
				return nil
			}
			if problem, ok = s.decodeTransaction(req, transactions[0]); !ok {
				return nil
			}
			transactions = transactions[1:]
		}
		if problem != "" {
			req.Reply.Error(problem)
			req.Outcome = command.Answered
		}
		reqs = append(reqs, req)
	}
	return reqs
}

// decodeTransaction fills in what an EXEC runs.
func (s *Server) decodeTransaction(req *command.Request, t *forwardpb.Transaction) (problem string, ok bool) {
	if t.Queued > maxQueued {
		return "", false
	}
	d := s.newDecoder(t.Commands)
	for range t.Queued {
		spec, args, problem, ok := d.next()
		if !ok || spec == command.Exec || spec.Scope == command.ScopeConnection {
			return "", false
		}
		if problem != "" {
			return execAbortFor + problem, true
		}
		req.Queue = append(req.Queue, command.Queued{Spec: spec, Args: args})
	}
	for _, w := range t.Watched {
		req.Watched = append(req.Watched, command.Watch{Key: w.Key, Token: w.Token})
	}
	return "", true
}
