package resp

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/zankv/zankv/cluster/command"
)

// What an entry keeps of a command: Redis's bounds.
const (
	slowArgs     = 32
	slowArgBytes = 128
	slowShown    = 10 // entries that SLOWLOG GET returns unless told otherwise
)

// slowlog keeps the latest commands that took long, the latest last.
type slowlog struct {
	mu      sync.Mutex
	lastID  int64
	entries []slowEntry
}

type slowEntry struct {
	id, at, micros int64 // at: seconds since 1970
	args           []string
	addr, name     string
	owner          owner
}

func (l *slowlog) add(c *conn, spec *command.Spec, ns int64, args [][]byte, keep int) {
	e := slowEntry{at: c.srv.now().Unix(), micros: ns / 1000, args: shortened(redacted(spec, args)), addr: c.nc.RemoteAddr().String(), owner: c.owner()}
	c.mu.Lock()
	e.name = c.mu.name
	c.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	e.id = l.lastID
	l.lastID++
	l.entries = append(l.entries, e)
	l.trimLocked(keep)
}

func (l *slowlog) trimLocked(keep int) {
	if extra := len(l.entries) - keep; extra > 0 {
		l.entries = append(l.entries[:0:0], l.entries[extra:]...)
	}
}

func (l *slowlog) trim(keep int) {
	l.mu.Lock()
	l.trimLocked(keep)
	l.mu.Unlock()
}

func (l *slowlog) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.entries)
}

func (l *slowlog) reset() {
	l.mu.Lock()
	l.entries = nil
	l.mu.Unlock()
}

// latest gives up to n entries that a connection may see, the latest first.
func (l *slowlog) latest(n int, c *conn) (list []slowEntry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := len(l.entries) - 1; i >= 0 && len(list) < n; i-- {
		if c.maySee(l.entries[i].owner) {
			list = append(list, l.entries[i])
		}
	}
	return list
}

// shortened keeps of a command line what Redis keeps.
func shortened(args [][]byte) []string {
	n := min(len(args), slowArgs)
	kept := make([]string, n)
	for i := range kept {
		switch a := args[i]; {
		case i == slowArgs-1 && len(args) > slowArgs:
			kept[i] = fmt.Sprintf("... (%d more arguments)", len(args)-slowArgs+1)
		case len(a) > slowArgBytes:
			kept[i] = fmt.Sprintf("%s... (%d more bytes)", a[:slowArgBytes], len(a)-slowArgBytes)
		default:
			kept[i] = string(a)
		}
	}
	return kept
}

var hidden = []byte("(redacted)")

// redacted hides the secrets in a command line.
func redacted(spec *command.Spec, args [][]byte) [][]byte {
	if spec.Name != "auth" && spec.Name != "hello" {
		return args
	}
	args = slices.Clone(args)
	secret := spec.Name == "auth"
	for i := 1; i < len(args); i++ {
		switch {
		case secret:
			args[i] = hidden
		case isWord(args[i], "auth"):
			secret = true // HELLO's names behind it go, too
		}
	}
	return args
}

func (c *conn) slowlogGet(args [][]byte) {
	n := int64(slowShown)
	if len(args) > 3 {
		c.fail(wrongSubcommand(args))
		return
	}
	if len(args) > 2 {
		var ok bool
		if n, ok = parseInt(args[2]); !ok || n < -1 {
			c.fail("ERR count should be greater than or equal to -1")
			return
		}
	}
	if n < 0 {
		n = int64(c.srv.slowlog.len())
	}
	list := c.srv.slowlog.latest(int(min(n, 1<<30)), c)
	r := c.begin()
	r.Array(len(list))
	for _, e := range list {
		r.Array(6)
		r.Int(e.id)
		r.Int(e.at)
		r.Int(e.micros)
		r.Array(len(e.args))
		for _, a := range e.args {
			r.BulkString(a)
		}
		r.BulkString(e.addr)
		r.BulkString(e.name)
	}
	c.end(r)
}

func (c *conn) slowlogLen([][]byte) { c.integer(int64(c.srv.slowlog.len())) }

func (c *conn) slowlogReset([][]byte) {
	c.srv.slowlog.reset()
	c.ok()
}

// owner is whose a command was: a namespace that has a password keeps what is done in it to itself.
type owner struct {
	namespace string
	private   bool
}

// owner is that of the connection's commands.
func (c *conn) owner() owner {
	return owner{c.nsName, c.ns != nil && c.ns.Password != ""}
}

// maySee says whether commands of that owner may be shown to this connection.
func (c *conn) maySee(o owner) bool { return !o.private || o.namespace == c.nsName && !c.strict }

// isWord compares an argument with a word, whatever their case.
func isWord(arg []byte, word string) bool { return strings.EqualFold(string(arg), word) }
