package resp

import (
	"github.com/zankv/zankv/cluster/command"
)

// heldLimit ends a round that keeps so many bytes of replies behind earlier commands.
const heldLimit = 4 << 20

// command runs one command, or puts it into its lanes.
func (c *conn) command(args [][]byte) {
	c.counts.commands++
	skip := c.reply == replySkipOne
	if skip {
		c.reply = replySkip
	}
	c.failed = false
	spec, stale, problem := command.Resolve(args, &c.srv.opt.Limits)
	if problem == "" && c.strict && spec.Flags&command.NoAuth == 0 {
		problem = noAuth
	}
	if problem == "" {
		problem = c.hooks(spec, args)
	}
	switch {
	case problem != "":
		c.refuseCommand(args, problem)
		c.rejected(args)
	case c.tx.open && !unqueued[spec]:
		c.count(spec)
		c.queueCommand(spec, args)
		c.mark = c.srv.sinceStart()
	default:
		c.count(spec)
		c.dispatch(spec, args, stale)
		c.timed(spec, args)
	}
	if skip && c.reply == replySkip {
		c.reply = replyOn
	}
}

func (c *conn) dispatch(spec *command.Spec, args [][]byte, stale bool) {
	switch spec.Scope {
	case command.ScopeConnection:
		handlers[spec](c, args)
	case command.ScopeKeys:
		c.keyed(spec, args, stale || c.readonly && spec.Flags&command.Write == 0)
	default:
		c.whole(spec, args)
	}
}

// count counts a call. Runs of one command, the usual case, cost an addition.
func (c *conn) count(spec *command.Spec) {
	if spec != c.spec {
		if c.spec != nil {
			c.srv.stats.called(c.spec, c.specCalls)
		}
		c.spec, c.specCalls = spec, 0
	}
	c.specCalls++
}

// begin gives the reply that belongs next: out itself as long as nothing waits before it. end follows.
func (c *conn) begin() *command.Reply {
	if len(c.queue) == 0 {
		c.immed.Reply = command.Reply{Buf: c.out, RESP3: c.resp3}
		return &c.immed.Reply
	}
	k := c.newCall()
	k.Outcome = command.Answered
	c.queue = append(c.queue, k)
	return &k.Reply
}

// wanted says whether the client wants a reply to the command in work.
func (c *conn) wanted() bool { return c.reply == replyOn || c.reply == replySkipOne }

func (c *conn) end(r *command.Reply) {
	from := 0
	if r == &c.immed.Reply {
		from = len(c.out) // what is ready is in the same buffer
	}
	if len(r.Buf) > from && r.Buf[from] == '-' {
		c.failed = true
		c.srv.stats.errors.add(r.Buf[from:])
	}
	switch {
	case r != &c.immed.Reply:
		c.queue[len(c.queue)-1].skip = !c.wanted()
		c.hold(len(r.Buf))
	case c.wanted():
		c.out = r.Buf
		if len(c.out) >= flushAt {
			c.flush()
		}
	}
}

// hold counts a reply that waits for those before it.
func (c *conn) hold(n int) {
	c.held += n
	c.full = c.full || c.held >= heldLimit
}

func (c *conn) fail(text string) {
	r := c.begin()
	r.Error(text)
	c.end(r)
}

// single runs a request for one partition: a read at once where it can, anything else in the partition's lane.
func (c *conn) single(ns *Namespace, partition int, spec *command.Spec, args [][]byte, stale, prefixed bool) {
	write := spec.Flags&command.Write != 0
	if write || spec.Flags&command.ManyRows != 0 {
		c.apart(write)
	}
	tried := len(c.queue) == 0
	if tried && !write {
		r := &c.immed
		r.Spec, r.Args, r.ReadStale = spec, args, stale
		if exec := c.srv.backend.Executor(ns, partition); exec != nil && c.direct(exec, r, c.wanted()) {
			c.end(&r.Reply)
			return
		}
	}
	k := c.newCall()
	k.Spec, k.Args, k.ReadStale, k.prefixed = spec, args, stale, prefixed
	k.ns, k.partition = ns, partition
	c.enqueue(k)
	if tried {
		c.send(k)
		return
	}
	c.start1(k)
}

// start1 answers a call at once if it is a read that nothing of this connection precedes in its partition, else sends it.
func (c *conn) start1(k *call) {
	if !k.isWrite() && c.findLane(k.ns, k.partition) == nil {
		exec := c.srv.backend.Executor(k.ns, k.partition)
		if exec != nil && readBounded(exec, &k.Request, k.mayBeLarge(), &k.isLarge) {
			k.Outcome = command.Answered
			c.hold(len(k.Reply.Buf))
			c.large = c.large || k.isLarge
			return
		}
	}
	c.send(k)
}
