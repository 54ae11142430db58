package resp

import (
	"errors"
	"math"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/zankv/zankv/cluster/command"
)

const (
	firstBuffer  = 4 << 10  // a connection's query buffer to begin with
	keptBuffer   = 64 << 10 // what a connection keeps of a buffer between rounds
	flushAt      = 64 << 10 // replies are written as soon as there are so many bytes
	writeChunk   = 256 << 10
	roundLimit   = 1024      // commands of a round
	bigReply     = 256 << 10 // see limitDeferred
	keepArgs     = 4096
	replyOn      = 0
	replyOff     = 1
	replySkip    = 2 // the command in work
	replySkipOne = 3 // the one after it
)

// busy is later than any tick.
const busy = math.MaxInt64

// conn is one client. Everything but what is atomic or under mu belongs to the goroutine of serve.
type conn struct {
	srv  *Server
	nc   net.Conn
	id   uint64
	kind PortKind
	born time.Time

	buf    []byte // query buffer: the bytes read and not yet done with are buf[:len(buf)]
	parser parser
	argv   [][]byte // arguments of the round's commands
	out    []byte   // replies that are ready and not written
	immed  command.Request

	nsName   string     // namespace that the connection is bound to; empty: none
	ns       *Namespace // the same, looked up for this round; nil when there is none any more
	authed   bool       // the bound namespace's password was given
	strict   bool       // it has yet to be given
	prefix   string     // name of the last namespace that a key named (shared port)
	resp3    bool
	readonly bool       // READONLY
	wrote    *Namespace // of the last write
	reply    uint8
	closing  bool
	broken   error // why writing failed

	positions []int // scratch memory of keysOf

	tx        transaction
	spillFunc func([]byte) error // spill, made once
	spilled   bool               // a part of the reply that is next has been written
	wait      *wait              // of a blocking command in work
	round                        // what is in work
	trace
	monitor       *monitor // MONITOR: what it is shown
	spec          *command.Spec
	specCalls     uint64
	deferredReads int // reads that may wait behind writes in a round: see limitDeferred
	counts        connCounts

	mem      atomic.Int64 // what was taken from the node's budget
	active   atomic.Int64 // tick at which waiting for the client began, busy while a round is in work
	writing  atomic.Int64 // tick at which the write in progress began, 0: none
	last     atomic.Pointer[command.Spec]
	commands atomic.Uint64
	blocked  atomic.Int64 // tick at which it began to wait in a blocking command, 0: it doesn't
	queued   atomic.Int64 // commands behind MULTI, -1 without one
	watching atomic.Bool  // MONITOR
	killed   atomic.Bool  // CLIENT KILL
	mu       struct {
		sync.Mutex
		name, libName, libVersion, user string
		ns                              string // the namespace it is bound to
		noEvict, noTouch, resp3, authed bool
		told                            chan<- command.UnblockHow // ends the wait of a blocked connection
	}
}

type connCounts struct{ commands, in, out uint64 }

func newConn(s *Server, nc net.Conn, kind PortKind, namespace string) *conn {
	c := &conn{
		srv: s, nc: nc, kind: kind, nsName: namespace, born: s.now(),
		buf:    make([]byte, 0, firstBuffer),
		parser: newParser(s.opt.MaxBulk, s.opt.MaxQuery),
	}
	c.deferredReads = firstDeferred
	c.wake = make(chan struct{}, 1)
	c.lane1done = c.laneDone
	c.active.Store(s.tick.Load())
	c.queued.Store(-1)
	c.mu.ns = namespace
	return c
}

// serve reads, runs and answers until the client goes, breaks the protocol, or the server closes.
func (c *conn) serve() {
	defer c.release()
	for {
		err := c.parse()
		c.finish()
		if err != nil {
			c.protocolError(err)
		}
		c.flush()
		c.account()
		if err != nil || c.closing || c.broken != nil || c.srv.stopping.Load() {
			return
		}
		if !c.more && !c.fill() {
			return
		}
	}
}

// parse runs the commands of the buffer, as far as they don't need to wait.
func (c *conn) parse() error {
	c.more = false
	c.mark = c.srv.sinceStart()
	c.argv = c.argv[:0]
	c.lookUp()
	for n := 0; !c.closing; n++ {
		if n == roundLimit || c.full {
			c.more = true
			return nil
		}
		whole, err := c.parser.next(c.buf, c.strict)
		if err != nil || !whole {
			return err
		}
		if c.parser.count() > 0 {
			c.command(c.args())
		}
	}
	return nil
}

// lookUp finds the bound namespace anew.
func (c *conn) lookUp() {
	c.ns, c.strict = nil, false
	if c.nsName != "" {
		c.ns, _ = c.srv.backend.Namespace(c.nsName)
		c.strict = c.ns != nil && c.ns.Password != "" && !c.authed
	}
}

// args makes the parsed command's arguments a slice of the round's.
func (c *conn) args() [][]byte {
	n, from := c.parser.count(), len(c.argv)
	for i := range n {
		c.argv = append(c.argv, c.parser.arg(c.buf, i))
	}
	return c.argv[from : from+n : from+n]
}

func (c *conn) protocolError(err error) {
	c.srv.stats.protocolErrors.Add(1)
	c.reply = replyOn
	r := command.Reply{Buf: c.out}
	text := "ERR Protocol error: " + err.Error()
	if errors.Is(err, errBuffersAreFull) {
		text = "ERR " + err.Error()
	}
	r.Error(text)
	c.out = r.Buf
}

// fill makes room and reads once. No argument of an earlier round is in use any more.
func (c *conn) fill() bool {
	if from := c.parser.keep(); from > 0 {
		n := copy(c.buf, c.buf[from:])
		c.buf = c.buf[:n]
		c.parser.moved(from)
	}
	c.shrink()
	if err := c.room(); err != nil {
		c.protocolError(err)
		c.flush()
		return false
	}
	c.active.Store(c.srv.tick.Load())
	// Others that are ready go first: by then this client may have sent its next command, and the read needn't park. Without other
	// work it costs next to nothing.
	runtime.Gosched()
	n, err := c.nc.Read(c.buf[len(c.buf):cap(c.buf)])
	c.active.Store(busy)
	if n <= 0 || c.srv.stopping.Load() {
		_ = err // end of stream, timeout, reset: all mean that the client is done, or that it is done with
		return false
	}
	c.buf = c.buf[:len(c.buf)+n]
	c.counts.in += uint64(n)
	return true
}

// room grows the query buffer when it is full: to what the argument in work needs, but never to more than twice what has
// come so far, so that a length that was merely declared costs nothing.
func (c *conn) room() error {
	if len(c.buf) < cap(c.buf) {
		if !c.charge(cap(c.buf)) { // the list of arguments may have grown
			return errBuffersAreFull
		}
		return nil
	}
	size := 2 * cap(c.buf)
	if c.parser.left > 0 {
		size = min(size, max(c.parser.need(), cap(c.buf)+firstBuffer))
	}
	if size > c.parser.maxQuery+keptBuffer {
		return errQueryTooBig
	}
	if !c.charge(size) {
		return errBuffersAreFull
	}
	grown := make([]byte, len(c.buf), size)
	copy(grown, c.buf)
	c.buf = grown
	return nil
}

// shrink gives big buffers back once they are empty.
func (c *conn) shrink() {
	if cap(c.out) > 2*flushAt {
		c.out = nil
	}
	if cap(c.argv) > keepArgs {
		c.argv = nil
	}
	if cap(c.parser.args) > keepArgs && c.parser.left == 0 {
		c.parser.args = nil
	}
	switch {
	case len(c.buf) > keptBuffer/2:
		c.calm = 0
	case len(c.buf) == 0:
		c.calm++
	}
	if cap(c.buf) > keptBuffer && len(c.buf) == 0 && (c.calm >= 64 || c.srv.pressed()) {
		c.buf = make([]byte, 0, firstBuffer)
	}
}

// charge accounts a query buffer of size bytes, and the list of arguments of the command in work, to the node's budget.
func (c *conn) charge(size int) bool {
	const argSize = int(unsafe.Sizeof(span{}) + unsafe.Sizeof([]byte(nil)))
	want := int64(size - firstBuffer)
	if n := cap(c.parser.args); n > keepArgs {
		want += int64(n * argSize)
	}
	had := c.mem.Load()
	if want == had {
		return true
	}
	if !c.srv.budget.take(want - had) {
		return false
	}
	c.mem.Store(want)
	return true
}

// flush writes the replies that are ready. A chunk at a time, so that the server sees whether the client takes any.
func (c *conn) flush() {
	c.write(c.out)
	c.out = c.out[:0]
}

func (c *conn) write(b []byte) {
	if len(b) > writeChunk { // it may be held for long, if the client is slow
		if !c.srv.budget.take(int64(len(b))) {
			c.drop(errBuffersAreFull)
			return
		}
		defer c.srv.budget.take(-int64(len(b)))
	}
	if c.monitor != nil {
		c.monitor.writing.Lock()
		defer c.monitor.writing.Unlock()
	}
	for len(b) > 0 && c.broken == nil {
		chunk := b[:min(len(b), writeChunk)]
		c.writing.Store(c.srv.tick.Load())
		n, err := c.nc.Write(chunk)
		c.counts.out += uint64(n)
		if err != nil {
			c.broken = err
		}
		b = b[len(chunk):]
	}
	c.writing.Store(0)
}

// drop gives up on a client whose replies there is no room for: it learns nothing of their commands.
func (c *conn) drop(err error) {
	c.srv.stats.dropped.Add(1)
	c.broken = err
}

// account passes the round's figures on.
func (c *conn) account() {
	if c.spec != nil {
		c.last.Store(c.spec)
		c.srv.stats.called(c.spec, c.specCalls)
		c.specCalls = 0
	}
	c.tally.flush()
	c.srv.stats.add(&c.counts)
	c.commands.Add(c.counts.commands)
	c.counts = connCounts{}
}

// release closes the connection and gives back what it held.
func (c *conn) release() {
	c.account()
	c.nc.Close()
	c.endMonitor()
	c.endTransaction()
	c.srv.budget.take(-c.mem.Load() - c.borrowed)
	c.srv.forget(c)
}
