package resp

import (
	"bytes"

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
	spec, stale, problem := command.Resolve(args, &command.DefaultLimits)
	switch {
	case problem != "":
		c.fail(problem)
	case c.strict && spec.Flags&command.NoAuth == 0:
		c.fail(noAuth)
	default:
		c.count(spec)
		c.dispatch(spec, args, stale)
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

func (c *conn) end(r *command.Reply) {
	switch {
	case r != &c.immed.Reply:
		c.queue[len(c.queue)-1].skip = c.reply != replyOn
		c.hold(len(r.Buf))
	case c.reply == replyOn:
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

// keyed runs a command on keys.
func (c *conn) keyed(spec *command.Spec, args [][]byte, stale bool) {
	first, last, step := spec.Keys(args)
	if step == 0 {
		c.fail(command.ErrSyntax)
		return
	}
	ns, prefixed, problem := c.keysNamespace(args, first, last, step)
	if problem != "" {
		c.fail(problem)
		return
	}
	partition := ns.partition(args[first])
	if last > first {
		switch c.spread(ns, partition, args, first, last, step) {
		case spreadCross:
			c.fail(crossSlot)
			return
		case spreadMany:
			c.scatter(ns, spec, args, stale, prefixed)
			return
		}
	}
	c.single(ns, partition, spec, args, stale, prefixed)
}

// keysNamespace is the namespace of a command's keys. On the shared port it takes the namespace off the keys.
func (c *conn) keysNamespace(args [][]byte, first, last, step int) (ns *Namespace, prefixed bool, problem string) {
	if c.nsName != "" {
		if c.ns == nil {
			return nil, false, handling(noNamespace, args[0], args[first])
		}
		return c.ns, false, ""
	}
	for i := first; i <= last; i += step {
		name, key, problem := splitKey(args[0], args[i])
		if problem != "" {
			return nil, true, problem
		}
		if i == first {
			if ns, problem = c.named(name, args[0], args[i]); problem != "" {
				return nil, true, problem
			}
		} else if string(name) != ns.Name {
			return nil, true, handling(badArguments, args[0], args[i])
		}
		args[i] = key
	}
	return ns, true, ""
}

// named looks up the namespace that a key names.
func (c *conn) named(name, cmd, key []byte) (*Namespace, string) {
	if string(name) != c.prefix {
		c.prefix = string(name)
	}
	ns, ok := c.srv.backend.Namespace(c.prefix)
	switch {
	case !ok:
		return nil, handling(noNamespace, cmd, key)
	case ns.Password != "":
		return nil, noAuth
	}
	return ns, ""
}

// splitKey takes namespace:table:key apart.
func splitKey(cmd, wire []byte) (namespace, key []byte, problem string) {
	colon := bytes.IndexByte(wire, ':')
	if colon <= 0 {
		return nil, nil, handling(badKey, cmd, nil)
	}
	key = wire[colon+1:]
	if table := bytes.IndexByte(key, ':'); table <= 0 || table > maxTable {
		return nil, nil, handling(badTable, cmd, wire)
	}
	return wire[:colon], key, ""
}

// How the keys of a command lie.
const (
	spreadOne = iota
	spreadMany
	spreadCross
)

// spread looks at the keys of a command. On a cluster port they must share a slot, as in Redis Cluster; elsewhere a partition, unless
// the command can be scattered.
func (c *conn) spread(ns *Namespace, partition int, args [][]byte, first, last, step int) int {
	slot := -1
	if c.kind == ClusterPort {
		slot = keySlot(args[first])
	}
	many := spreadOne
	for i := first + step; i <= last; i += step {
		if slot >= 0 && keySlot(args[i]) != slot {
			return spreadCross
		}
		if ns.partition(args[i]) != partition {
			many = spreadMany
		}
	}
	return many
}

// single runs a request for one partition: a read at once where it can, anything else in the partition's lane.
func (c *conn) single(ns *Namespace, partition int, spec *command.Spec, args [][]byte, stale, prefixed bool) {
	if len(c.queue) == 0 && spec.Flags&command.Write == 0 {
		r := &c.immed
		r.Spec, r.Args, r.ReadStale = spec, args, stale
		r.Reply = command.Reply{Buf: c.out, RESP3: c.resp3}
		if exec := c.srv.backend.Executor(ns, partition); exec != nil && exec.Read(r) {
			c.end(&r.Reply)
			return
		}
	}
	tried := len(c.queue) == 0
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
	if k.Spec.Flags&command.Write == 0 && c.findLane(k.ns, k.partition) == nil {
		if exec := c.srv.backend.Executor(k.ns, k.partition); exec != nil && exec.Read(&k.Request) {
			k.Outcome = command.Answered
			c.hold(len(k.Reply.Buf))
			return
		}
	}
	c.send(k)
}
