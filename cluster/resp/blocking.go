package resp

import (
	"errors"
	"math"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/zankv/zankv/cluster/command"
)

const (
	// blockGrace is for how long a blocking command is just awaited: most find what they want, and are never blocked.
	blockGrace = 2 * time.Millisecond
	// tellAgain is how often a wait that was told to end is told so again: it may have begun only afterwards, on another leader.
	tellAgain = time.Second

	unblockReason = "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"
)

// blocks says whether a call may wait for its keys.
func (k *call) blocks() bool { return k.Spec.Flags&command.Blocking != 0 }

// timeoutAt is where a blocking command has its timeout: before the number of keys, else at the end.
func timeoutAt(spec *command.Spec, args [][]byte) int {
	if spec.NumKeys > 0 {
		return spec.NumKeys - 1
	}
	return len(args) - 1
}

// blockTime is how long a blocking command waits; 0: for ever, or its timeout isn't one, which the command says at once.
func blockTime(spec *command.Spec, args [][]byte) time.Duration {
	seconds, err := strconv.ParseFloat(string(args[timeoutAt(spec, args)]), 64)
	if err != nil || !(seconds > 0) || seconds > math.MaxInt64/1e9/2 {
		return 0
	}
	return max(time.Duration(seconds*1e9), time.Millisecond)
}

// wait is a blocking command in work. It belongs to its connection's goroutine; others may only put something into told.
type wait struct {
	c       *conn
	k       *call
	began   time.Time
	attempt time.Time // when the last one began
	total   time.Duration
	told    chan command.UnblockHow
	how     command.UnblockHow // what it was told; 0: nothing
	client  *watcher           // nil until it is blocked
}

// block runs a blocking command by itself: what came before it is answered first, what comes behind it waits.
func (c *conn) block(t *target, spec *command.Spec, args [][]byte) {
	c.finish()
	c.flush()
	c.account()
	if c.broken != nil || c.srv.stopping.Load() {
		c.closing = true
		return
	}
	// A call of its own: one that is used again could be taken for this one by who is late in ending this wait.
	k := new(call)
	k.Reply.RESP3 = c.resp3
	k.Spec, k.Args, k.prefixed = spec, args, t.prefixed
	k.ns, k.partition = t.ns, t.partition
	c.enqueue(k)
	c.send(k)
	w := &wait{c: c, k: k, began: c.srv.now(), total: blockTime(spec, args), told: make(chan command.UnblockHow, 1)}
	c.wait = w
	c.runLanes()
	c.wait = nil
	c.lanes[0].exec, c.lanes[0].flight = nil, nil
	w.end()
	c.finish()
}

// again prepares another attempt: it has what is left of the time. Not nothing, which would be for ever; and if all of it has passed, it is
// still the new leader that has to say so.
func (w *wait) again() {
	now := w.c.srv.now()
	if !w.attempt.IsZero() && w.total > 0 {
		left := max(w.total-now.Sub(w.began), time.Millisecond)
		w.k.args = append(w.k.args[:0], w.k.Args...)
		w.k.args[timeoutAt(w.k.Spec, w.k.args)] = strconv.AppendFloat(nil, left.Seconds(), 'f', 3, 64)
		w.k.Args = w.k.args
	}
	w.attempt = now
}

// lasted says that the last attempt found a leader and waited there.
func (w *wait) lasted(now time.Time) bool { return now.Sub(w.attempt) > w.c.srv.opt.RetryFor }

// gone says that nobody waits for the answer any more.
func (w *wait) gone() bool { return w.how == command.UnblockGone }

// await waits until the command is answered, and has it end when it is told so: by CLIENT UNBLOCK, the client's end, or the server's.
func (w *wait) await(l *lane) {
	grace := time.NewTimer(blockGrace)
	defer grace.Stop()
	repeat := time.NewTimer(tellAgain)
	defer repeat.Stop()
	stop := w.c.srv.stop
	if w.how != 0 {
		l.unblock(w.how)
	}
	for {
		var gone <-chan struct{}
		if w.client != nil && !w.gone() {
			gone = w.client.gone
		}
		select {
		case <-w.c.wake:
			return
		case <-grace.C:
			w.begin()
		case how := <-w.told:
			w.tell(l, how)
		case <-gone:
			w.tell(l, command.UnblockGone)
		case <-stop:
			stop = nil
			w.tell(l, command.UnblockGone)
		case <-repeat.C:
			if w.how != 0 {
				l.unblock(w.how)
			}
			repeat.Reset(tellAgain)
		}
	}
}

func (w *wait) tell(l *lane, how command.UnblockHow) {
	if !w.gone() {
		w.how = how
	}
	l.unblock(w.how)
}

// unblock asks whoever has the lane's last attempt to end its wait.
func (l *lane) unblock(how command.UnblockHow) {
	switch {
	case l.local:
		l.exec.Unblock(&l.calls[0].Request, how)
	case l.flight != nil:
		l.flight.unblock(how)
	}
}

// begin makes the connection a blocked one.
func (w *wait) begin() {
	if w.client != nil {
		return
	}
	c := w.c
	c.blocked.Store(c.srv.tick.Load())
	c.srv.stats.blocked.Add(1)
	c.mu.Lock()
	c.mu.told = w.told
	c.mu.Unlock()
	w.client = c.watchClient()
}

// end makes it an ordinary one again.
func (w *wait) end() {
	c := w.c
	if w.client != nil {
		c.blocked.Store(0)
		c.srv.stats.blocked.Add(-1)
		c.mu.Lock()
		c.mu.told = nil
		c.mu.Unlock()
		c.takeOver(w.client)
	}
	if w.gone() {
		c.closing = true
		if c.broken == nil {
			c.broken = net.ErrClosed
		}
	}
}

// watcher reads what a blocked client sends, to learn when it goes. What it sends stays for later, up to the limit of a query buffer; a client
// that sends more is not looked at any further.
type watcher struct {
	c     *conn
	buf   []byte
	taken int64         // of the node's budget
	gone  chan struct{} // closed when the client went
	done  chan struct{} // closed when nothing is read any more
}

func (c *conn) watchClient() *watcher {
	w := &watcher{c: c, gone: make(chan struct{}), done: make(chan struct{})}
	go w.read()
	return w
}

func (w *watcher) read() {
	defer close(w.done)
	for w.room() {
		n, err := w.c.nc.Read(w.buf[len(w.buf):cap(w.buf)])
		w.buf = w.buf[:len(w.buf)+n]
		if err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				close(w.gone)
			}
			return
		}
	}
}

func (w *watcher) room() bool {
	if len(w.buf) < cap(w.buf) {
		return true
	}
	size := max(2*cap(w.buf), 512)
	if size > w.c.srv.opt.MaxQuery || !w.c.srv.budget.take(int64(size-cap(w.buf))) {
		return false
	}
	w.taken += int64(size - cap(w.buf))
	grown := make([]byte, len(w.buf), size)
	copy(grown, w.buf)
	w.buf = grown
	return true
}

// takeOver stops a watcher and puts what it has read behind the query buffer's content.
func (c *conn) takeOver(w *watcher) {
	c.nc.SetReadDeadline(time.Unix(1, 0))
	<-w.done
	// Close sets a deadline too. It says that it stops before that, and serve looks whether it does before it reads.
	c.nc.SetReadDeadline(time.Time{})
	c.srv.budget.take(-w.taken)
	c.counts.in += uint64(len(w.buf))
	if need := len(c.buf) + len(w.buf); need > cap(c.buf) {
		if !c.charge(need) {
			c.drop(errBuffersAreFull)
			return
		}
		c.buf = append(make([]byte, 0, need), c.buf...)
	}
	c.buf = append(c.buf, w.buf...)
}

// clientUnblock ends another connection's wait.
func (c *conn) clientUnblock(args [][]byte) {
	how := command.UnblockTimeout
	switch {
	case len(args) > 4:
		c.fail("ERR unknown subcommand or wrong number of arguments for '" + string(args[1]) + "'. Try CLIENT HELP.")
		return
	case len(args) == 4 && strings.EqualFold(string(args[3]), "error"):
		how = command.UnblockError
	case len(args) == 4 && !strings.EqualFold(string(args[3]), "timeout"):
		c.fail(unblockReason)
		return
	}
	id, ok := parseInt(args[2])
	if !ok {
		c.fail(command.ErrNotInteger)
		return
	}
	n := int64(0)
	if other := c.srv.connection(uint64(id)); other != nil && other.unblock(how) {
		n = 1
	}
	c.integer(n)
}

// unblock ends the connection's wait, if it has one and wasn't told so before. Any goroutine may call it.
func (c *conn) unblock(how command.UnblockHow) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.told == nil {
		return false
	}
	c.mu.told <- how // there is room for one
	c.mu.told = nil
	return true
}

// connection finds an open connection by its id, or returns nil.
func (s *Server) connection(id uint64) *conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.conns[id]
}
