package resp

import (
	"bytes"
	"fmt"
	mathrand "math/rand/v2"
	"strconv"

	"github.com/zankv/zankv/cluster/command"
)

// scan walks partition after partition: each call asks one of them for a page.
func (c *conn) scan(spec *command.Spec, args [][]byte) {
	at, problem := c.scanFrom(args)
	if problem != "" {
		c.fail(problem)
		return
	}
	for !c.covers(at.partition) {
		at.partition, at.from = at.partition+1, nil
		if at.partition == c.ns.Partitions {
			c.answerScan(0, []byte("*0\r\n"))
			return
		}
	}
	line := append([][]byte{args[0], at.from}, args[2:]...)
	c.answerPage(at, c.ns, c.ask(at.partition, spec, line))
}

// scanFrom finds where a SCAN goes on: a copy of its cursor, or a new one.
func (c *conn) scanFrom(args [][]byte) (at *cursor, problem string) {
	id, problem := command.ParseCursor(args[1])
	if problem == "" {
		_, problem = command.ParseScan(args[2:])
	}
	if problem != "" {
		return nil, problem
	}
	return c.resumed(id, &cursor{})
}

// resumed finds the cursor of a number: a copy of it, or begin itself for 0.
func (c *conn) resumed(id uint64, begin *cursor) (at *cursor, problem string) {
	begin.owner, begin.namespace, begin.cluster = c.id, c.nsName, c.kind == ClusterPort
	if id == 0 {
		return begin, ""
	}
	known := c.srv.cursors.get(id)
	if known == nil || known.namespace != c.nsName || known.cluster != begin.cluster || known.of != begin.of || c.ns == nil || known.partition >= c.ns.Partitions {
		return nil, fmt.Sprintf("ERR unknown cursor %d: it was dropped, or another node gave it; begin again with 0", id)
	}
	at = new(cursor)
	*at = *known
	at.id, at.owner = 0, c.id
	return at, ""
}

// answerPage passes a page on, and remembers where the next one begins.
func (c *conn) answerPage(at *cursor, ns *Namespace, reply []byte) {
	next, keys, ok := splitScan(reply)
	if !ok {
		c.raw(reply)
		return
	}
	at.from = bytes.Clone(next)
	if next == nil {
		at.partition++
	}
	if at.partition == ns.Partitions {
		c.answerScan(0, keys)
		return
	}
	c.answerScan(c.srv.cursors.add(at), keys)
}

func (c *conn) answerScan(next uint64, keys []byte) {
	r := c.begin()
	r.Array(2)
	r.BulkString(strconv.FormatUint(next, 10))
	r.Buf = append(r.Buf, keys...)
	c.end(r)
}

// splitScan takes a partition's answer apart: the key to go on from, nil at the end, and the array of keys. False for an error.
func splitScan(b []byte) (next, keys []byte, ok bool) {
	if !bytes.HasPrefix(b, []byte("*2\r\n")) {
		return nil, nil, false
	}
	b = b[4:]
	n := valueLen(b)
	if b[0] == '$' && b[1] != '-' {
		next = b[valueHead(b) : n-2 : n-2]
	}
	return next, b[n:], true
}

// ask runs one command on one partition, after everything that the connection sent before, and waits for the reply, which is valid
// until the next command.
func (c *conn) ask(partition int, spec *command.Spec, args [][]byte) []byte {
	c.finish()
	k := c.newCall()
	k.Spec, k.Args, k.ReadStale = spec, args, c.readonly
	k.ns, k.partition = c.ns, partition
	return c.askCall(k)
}

// askCall is ask for a call that is the only one of its round.
func (c *conn) askCall(k *call) []byte {
	k.needed = true
	c.start1(k)
	if c.open > 0 {
		c.runLanes()
	}
	reply := k.Reply.Buf
	c.endRound(len(reply))
	return reply
}

// randomKey asks the partitions in a random order until one has a key. So keys of partitions with few keys come more often.
func (c *conn) randomKey(spec *command.Spec, args [][]byte) {
	var reply []byte
	for _, p := range mathrand.Perm(c.ns.Partitions) {
		if !c.covers(p) {
			continue
		}
		reply = c.ask(p, spec, args)
		if !isNull(reply) {
			break
		}
	}
	r := c.begin()
	if len(reply) == 0 {
		r.Null()
	}
	r.Buf = append(r.Buf, reply...)
	c.end(r)
}

func isNull(b []byte) bool { return len(b) == 0 || b[0] == '_' || bytes.HasPrefix(b, []byte("$-1")) }
