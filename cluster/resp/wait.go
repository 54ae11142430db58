package resp

import "github.com/zankv/zankv/cluster/command"

// waitReplicas is WAIT. A write is answered when a quorum has it on disk, so when it is WAIT's turn at least a quorum, less the leader, have
// all that this connection was told is written: that number is answered at once. More replicas will have it soon, but who asks for more than a
// quorum would wait for the slowest one, and for one that is down for ever: the timeout isn't used.
func (c *conn) waitReplicas(args [][]byte) {
	if problem := command.ParseWait(args); problem != "" {
		c.fail(problem)
		return
	}
	c.finish()
	c.integer(c.copies())
}

// waitDisk is WAITAOF: of the quorum that has a write on disk, one counts as the local node. In a namespace that acknowledges before it syncs (optimizedfsync)
// none is known to have.
func (c *conn) waitDisk(args [][]byte) {
	if problem := command.ParseWait(args); problem != "" {
		c.fail(problem)
		return
	}
	c.finish()
	local, others := int64(1), c.copies()
	if ns := c.written(); ns != nil && ns.Unsynced {
		local, others = 0, 0
	}
	r := c.begin()
	r.Array(2)
	r.Int(local)
	r.Int(others)
	c.end(r)
}

// written is the namespace of the last write, else the bound one; nil for neither.
func (c *conn) written() *Namespace {
	if c.wrote != nil {
		if ns, ok := c.srv.backend.Namespace(c.wrote.Name); ok {
			return ns
		}
	}
	return c.ns
}

// copies is how many replicas besides the leader have this connection's writes: half of them, rounded down, in the partition that has the fewest.
func (c *conn) copies() int64 {
	ns := c.written()
	if ns == nil {
		return 0
	}
	least := -1
	for p := range ns.Partitions {
		if n := len(c.srv.backend.Replicas(ns, p)) / 2; least < 0 || n < least {
			least = n
		}
	}
	return int64(max(least, 0))
}
