package resp

import (
	"bytes"

	"github.com/zankv/zankv/cluster/command"
)

// numbered says whether a command is a scan of elements on a connection whose cursors are numbers. Who sends keys with their namespace is
// a user of ZanKV's, and has texts.
func numbered(spec *command.Spec, prefixed bool) bool { return !prefixed && spec.NumericScan() }

// elements runs a scan of a key's elements for a client that knows cursors as numbers.
func (c *conn) elements(t *target, spec *command.Spec, args [][]byte, stale bool) {
	at, problem := c.elementsFrom(spec, args)
	if problem != "" {
		c.fail(problem)
		return
	}
	c.finish()
	k := c.newCall()
	k.Spec, k.Args, k.ReadStale = spec, withCursor(args, at.from), stale
	k.ns, k.partition = t.ns, t.partition
	c.answerElements(at, c.askCall(k))
}

// elementsFrom finds where a scan of elements goes on.
func (c *conn) elementsFrom(spec *command.Spec, args [][]byte) (at *cursor, problem string) {
	id, problem := command.ParseCursor(args[2])
	if problem != "" {
		return nil, problem
	}
	return c.resumed(id, &cursor{of: c.srv.cursors.of(spec, args[1])})
}

// withCursor is a scan of elements with a text for a number.
func withCursor(args [][]byte, text []byte) [][]byte {
	return append([][]byte{args[0], args[1], text}, args[3:]...)
}

// answerElements passes a page on, with a number for the place where the next one begins.
func (c *conn) answerElements(at *cursor, reply []byte) {
	next, found, ok := splitScan(reply)
	switch {
	case !ok:
		c.raw(reply)
	case len(next) == 0:
		c.answerScan(0, found)
	default:
		at.from = bytes.Clone(next)
		c.answerScan(c.srv.cursors.add(at), found)
	}
}
