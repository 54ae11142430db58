package resp

import (
	"bytes"
	"strconv"

	"github.com/zankv/zankv/cluster/command"
)

// scatter splits a command on many keys over their partitions.
func (c *conn) scatter(ns *Namespace, spec *command.Spec, args [][]byte, stale, prefixed bool) {
	first, _, step := spec.Keys(args)
	switch {
	case spec.Gather == command.GatherNone || spec.Gather == command.GatherOwn:
		c.fail(crossSlot)
		return
	case (len(args)-first)%step != 0:
		c.fail(wrongArity(spec.Name))
		return
	}
	c.apart(spec.Flags&command.Write != 0)
	whole := c.newWhole(spec, args)
	c.split(whole, ns, args, stale, prefixed)
	c.emitEarly(whole)
}

// split makes a call's parts, one for each partition of its keys, and starts them.
func (c *conn) split(whole *call, ns *Namespace, args [][]byte, stale, prefixed bool) {
	first, last, step := whole.Spec.Keys(args)
	index := c.partIndex(ns.Partitions)
	for i := first; i <= last; i += step {
		p := ns.partition(args[i])
		if index[p] < 0 {
			index[p] = int32(len(whole.parts))
			part := c.newPart(whole, ns, p, stale, prefixed)
			part.args = append(part.args, args[0])
		}
		part := whole.parts[index[p]]
		part.args = append(part.args, args[i:i+step]...)
		whole.order = append(whole.order, index[p])
	}
	for _, part := range whole.parts {
		index[part.partition] = -1
		part.Args = part.args
		c.start1(part)
	}
}

// whole runs a command on a whole namespace.
func (c *conn) whole(spec *command.Spec, args [][]byte) {
	if c.nsName == "" && onTable[spec] {
		c.tableByPrefix(spec, args)
		return
	}
	if c.nsName == "" {
		c.fail(unboundCommand)
		return
	}
	if c.ns == nil {
		c.fail(noNamespace)
		return
	}
	if spec.Gather == command.GatherOwn {
		own[spec](c, spec, args)
		return
	}
	c.apart(spec.Flags&command.Write != 0)
	all := c.newWhole(spec, args)
	for p := range c.ns.Partitions {
		if c.covers(p) {
			part := c.newPart(all, c.ns, p, false, false)
			part.Args = args
			c.start1(part)
		}
	}
	if len(all.parts) == 0 {
		gather(all)
	}
	if spec.Gather != command.GatherConcat { // what may be large is left to finish, which takes it from the budget
		c.emitEarly(all)
	}
}

// covers says whether commands on the whole namespace reach a partition: on a cluster port only those led here.
func (c *conn) covers(partition int) bool {
	if c.kind != ClusterPort {
		return true
	}
	exec := c.srv.backend.Executor(c.ns, partition)
	return exec != nil && exec.Leading()
}

func (c *conn) newWhole(spec *command.Spec, args [][]byte) *call {
	k := c.newCall()
	k.Spec, k.Args, k.Outcome = spec, args, command.Answered
	c.enqueue(k)
	return k
}

func (c *conn) newPart(whole *call, ns *Namespace, partition int, stale, prefixed bool) *call {
	k := c.newCall()
	k.Spec, k.ReadStale, k.prefixed = whole.Spec, stale, prefixed
	k.ns, k.partition, k.needed = ns, partition, true
	whole.parts = append(whole.parts, k)
	return k
}

// partIndex is scratch memory: the part of each partition, -1 for none. Who uses it leaves it so.
func (c *conn) partIndex(partitions int) []int32 {
	for len(c.index) < partitions {
		c.index = append(c.index, -1)
	}
	return c.index
}

// emitEarly lets a command that was answered on the spot pass, so that what follows needn't queue behind it.
func (c *conn) emitEarly(k *call) {
	if len(c.queue) == 1 && c.open == 0 {
		c.emit(k)
		c.queue = c.queue[:0]
	}
}

// failure is the part of a command that failed; nil if none did.
func failure(k *call) *call {
	for _, part := range k.parts {
		if part.Reply.IsError() || len(part.Reply.Buf) == 0 {
			return part
		}
	}
	return nil
}

// gather makes one reply of those of the parts. An error from any is the command's.
func gather(k *call) {
	r := &k.Reply
	r.Buf = r.Buf[:0]
	if failed := failure(k); failed != nil {
		r.Buf = append(r.Buf, failed.Reply.Buf...)
		return
	}
	switch k.Spec.Gather {
	case command.GatherConcat:
		r.Array(partElements(k))
	case command.GatherSum:
		var sum int64
		for _, part := range k.parts {
			n, _ := strconv.ParseInt(string(bytes.TrimSpace(part.Reply.Buf[1:])), 10, 64)
			sum += n
		}
		r.Int(sum)
	case command.GatherArray:
		gatherArray(k)
	default:
		r.OK()
	}
}

// gatherArray takes the elements out of the parts' arrays in the order of the keys.
func gatherArray(k *call) {
	r := &k.Reply
	r.Array(len(k.order))
	for _, part := range k.parts {
		part.rest = part.Reply.Buf[valueHead(part.Reply.Buf):]
	}
	for _, i := range k.order {
		part := k.parts[i]
		n := valueLen(part.rest)
		r.Buf = append(r.Buf, part.rest[:n]...)
		part.rest = part.rest[n:]
	}
}

// partElements is how many elements the parts' arrays have together.
func partElements(k *call) (n int) {
	for _, part := range k.parts {
		head := valueHead(part.Reply.Buf)
		m, _ := strconv.Atoi(string(part.Reply.Buf[1 : head-2]))
		n += m
	}
	return n
}

// emitConcat emits the parts' arrays as one. They are long, and so aren't copied: gather has made the head.
func (c *conn) emitConcat(k *call) {
	c.out = append(c.out, k.Reply.Buf...)
	if k.Reply.IsError() {
		return
	}
	for _, part := range k.parts {
		c.outLarge(part.Reply.Buf[valueHead(part.Reply.Buf):])
	}
}

// outLarge emits bytes, without a copy if they are many.
func (c *conn) outLarge(b []byte) {
	if len(b) > flushAt {
		c.flush()
		c.write(b)
		return
	}
	c.out = append(c.out, b...)
	if len(c.out) >= flushAt {
		c.flush()
	}
}

// valueHead is the length of a reply's first line, its end included.
func valueHead(b []byte) int { return bytes.IndexByte(b, '\n') + 1 }

// valueLen is the length of the first value of b, which a command made and so is well formed.
func valueLen(b []byte) int {
	head := valueHead(b)
	if head < 3 {
		return len(b)
	}
	n, _ := strconv.Atoi(string(b[1 : head-2]))
	switch b[0] {
	case '$', '=', '!':
		if n >= 0 {
			return min(head+n+2, len(b))
		}
	case '%', '|':
		n *= 2
		fallthrough
	case '*', '~', '>':
		for range n {
			head += valueLen(b[head:])
		}
	}
	return head
}
