package resp

import (
	"sync"
	"time"

	"github.com/zankv/zankv/cluster/command"
)

// What every command has to look at, in one word that is zero nearly always.
const (
	hookMonitor = 1 << iota // somebody monitors
	hookPause               // CLIENT PAUSE
)

// setHook sets or clears one of them. The caller holds the lock of what it stands for.
func (s *Server) setHook(hook uint32, on bool) {
	if on {
		s.hooked.Or(hook)
	} else {
		s.hooked.And(^hook)
	}
}

// hooks does what has to be done before a command is run; a problem is what to answer in place of running it.
func (c *conn) hooks(spec *command.Spec, args [][]byte) (problem string) {
	hooked := c.srv.hooked.Load()
	if hooked == 0 {
		return ""
	}
	if hooked&hookPause != 0 && c.pausable(spec) {
		c.awaitPause(c.mayWrite(spec))
		if c.closing {
			return "ERR the connection was closed while it was paused"
		}
	}
	if hooked&hookMonitor != 0 {
		c.feedMonitors(spec, args)
	}
	return ""
}

// pause is CLIENT PAUSE.
type pause struct {
	mu      sync.Mutex
	until   time.Time
	all     bool          // reads, too
	changed chan struct{} // closed and replaced whenever something may end a connection's wait
}

// set begins a pause, or makes the one that there is longer, or one of all commands: as in Redis, it is never shortened by another.
func (p *pause) set(s *Server, until time.Time, all bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := s.now()
	if p.until.Before(now) {
		p.all = false
	}
	if until.After(p.until) {
		p.until = until
	}
	p.all = p.all || all
	s.setHook(hookPause, p.until.After(now))
	p.wakeLocked()
}

func (p *pause) end(s *Server) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.until, p.all = time.Time{}, false
	s.setHook(hookPause, false)
	p.wakeLocked()
}

// wake has connections look again whether they wait.
func (p *pause) wake() {
	p.mu.Lock()
	p.wakeLocked()
	p.mu.Unlock()
}

func (p *pause) wakeLocked() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// left says how long a command has to wait from now on, and what may end that before.
func (p *pause) left(s *Server, write bool) (time.Duration, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := p.until.Sub(s.now())
	if left <= 0 {
		p.until, p.all = time.Time{}, false
		s.setHook(hookPause, false)
		return 0, nil
	}
	if !write && !p.all {
		return 0, nil
	}
	return left, p.changed
}

// pausable leaves out CLIENT and its kin, so that a pause can be ended.
func (c *conn) pausable(spec *command.Spec) bool {
	return len(spec.Name) < 7 || spec.Name[:7] != "client|"
}

// mayWrite says whether a pause of writes is one of this command.
func (c *conn) mayWrite(spec *command.Spec) bool {
	if spec == command.Exec {
		for i := range c.tx.items {
			if c.tx.items[i].Spec.Flags&command.Write != 0 {
				return true
			}
		}
	}
	return spec.Flags&command.Write != 0 && !(c.tx.open && !unqueued[spec])
}

// awaitPause waits until a pause is over, the connection is killed, or the server closes.
func (c *conn) awaitPause(write bool) {
	for {
		left, changed := c.srv.paused.left(c.srv, write)
		if left <= 0 {
			return
		}
		c.finish()
		c.flush()
		c.account()
		timer := time.NewTimer(left)
		select {
		case <-timer.C:
		case <-changed:
		case <-c.srv.stop:
			c.closing = true
		}
		timer.Stop()
		c.mark = c.srv.sinceStart()
		if c.closing = c.closing || c.killed.Load() || c.broken != nil; c.closing {
			return
		}
	}
}

func (c *conn) clientPause(args [][]byte) {
	all := true
	switch {
	case len(args) > 4:
		c.fail(wrongSubcommand(args))
		return
	case len(args) == 4 && isWord(args[3], "write"):
		all = false
	case len(args) == 4 && !isWord(args[3], "all"):
		c.fail("ERR CLIENT PAUSE mode must be WRITE or ALL")
		return
	}
	ms, ok := parseInt(args[2])
	switch {
	case !ok || ms > maxPause:
		c.fail("ERR timeout is not an integer or out of range")
	case ms < 0:
		c.fail("ERR timeout is negative")
	default:
		c.srv.paused.set(c.srv, c.srv.now().Add(time.Duration(ms)*time.Millisecond), all)
		c.ok()
	}
}

// maxPause is what a time in ns can be, in ms.
const maxPause = int64(1<<63-1) / 2 / int64(time.Millisecond)

func (c *conn) clientUnpause([][]byte) {
	c.srv.paused.end(c.srv)
	c.ok()
}
