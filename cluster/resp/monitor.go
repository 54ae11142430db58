package resp

import (
	"fmt"
	"strconv"
	"sync"

	"github.com/zankv/zankv/cluster/command"
)

// monitorBuffer is how many bytes may wait for a monitor. One that is further behind is disconnected: it mustn't hold up others.
const monitorBuffer = 1 << 20

// monitor is what a connection in MONITOR is shown. A goroutine of its own writes it.
type monitor struct {
	c       *conn
	writing sync.Mutex // one of the two writes to the connection
	wake    chan struct{}
	stop    chan struct{}
	done    chan struct{}
	mu      struct {
		sync.Mutex
		buf     []byte
		spare   []byte
		dropped bool
	}
}

// monitors are a server's.
type monitors struct {
	mu  sync.Mutex
	all map[*monitor]struct{}
}

// startMonitor is MONITOR. Inside MULTI, and a second time, it does nothing but answer.
func (c *conn) startMonitor([][]byte) {
	c.ok()
	if c.monitor != nil {
		return
	}
	c.finish() // what it is shown comes behind all replies to commands before
	c.flush()
	m := &monitor{c: c, wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	c.monitor = m
	c.watching.Store(true)
	all := &c.srv.monitors
	all.mu.Lock()
	if all.all == nil {
		all.all = make(map[*monitor]struct{})
	}
	all.all[m] = struct{}{}
	c.srv.setHook(hookMonitor, true)
	all.mu.Unlock()
	go m.run()
}

// endMonitor ends it, if there is one, and waits for its goroutine.
func (c *conn) endMonitor() {
	m := c.monitor
	if m == nil {
		return
	}
	all := &c.srv.monitors
	all.mu.Lock()
	delete(all.all, m)
	c.srv.setHook(hookMonitor, len(all.all) > 0)
	all.mu.Unlock()
	close(m.stop)
	<-m.done
	c.monitor = nil
	c.watching.Store(false)
}

// run writes what there is until the monitor ends. A write that hangs ends with the connection: show closes it when too much waits.
func (m *monitor) run() {
	defer close(m.done)
	for {
		select {
		case <-m.wake:
		case <-m.stop:
			return
		}
		m.mu.Lock()
		b := m.mu.buf
		m.mu.buf, m.mu.spare = m.mu.spare[:0], nil
		m.mu.Unlock()
		m.writing.Lock()
		n, _ := m.c.nc.Write(b)
		m.writing.Unlock()
		m.c.srv.stats.netOut.Add(uint64(n))
		m.mu.Lock()
		m.mu.spare = b
		m.mu.Unlock()
	}
}

// show passes a line on to the monitor.
func (m *monitor) show(line []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.mu.dropped:
		return
	case len(m.mu.buf)+len(line) > monitorBuffer:
		m.mu.dropped = true
		m.c.srv.stats.dropped.Add(1)
		m.c.nc.Close()
		return
	}
	m.mu.buf = append(m.mu.buf, line...)
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// feedMonitors shows a command to all monitors that may see it. As in Redis, commands of administration aren't shown.
func (c *conn) feedMonitors(spec *command.Spec, args [][]byte) {
	if spec.Flags&(command.SkipMonitor|command.Admin) != 0 {
		return
	}
	owner := c.owner()
	var line []byte
	all := &c.srv.monitors
	all.mu.Lock()
	defer all.mu.Unlock()
	for m := range all.all {
		if !m.maySee(owner) {
			continue
		}
		if line == nil {
			line = c.monitorLine(spec, args)
		}
		m.show(line)
	}
}

// maySee is conn.maySee, asked by another goroutine.
func (m *monitor) maySee(o owner) bool {
	if !o.private {
		return true
	}
	m.c.mu.Lock()
	defer m.c.mu.Unlock()
	return m.c.mu.ns == o.namespace && m.c.mu.authed
}

func (c *conn) monitorLine(spec *command.Spec, args [][]byte) []byte {
	now := c.srv.now()
	line := fmt.Appendf(nil, "+%d.%06d [0 %s]", now.Unix(), now.Nanosecond()/1000, c.nc.RemoteAddr())
	for _, a := range redacted(spec, args) {
		line = append(line, ' ')
		line = appendQuoted(line, a)
	}
	return append(line, '\r', '\n')
}

// appendQuoted appends an argument as Redis prints it.
func appendQuoted(dst, arg []byte) []byte {
	dst = append(dst, '"')
	for _, b := range arg {
		switch {
		case b == '"' || b == '\\':
			dst = append(dst, '\\', b)
		case b >= ' ' && b <= '~':
			dst = append(dst, b)
		case b >= '\a' && b <= '\r' && b != '\v' && b != '\f':
			dst = append(dst, '\\', "abtn..r"[b-'\a'])
		default:
			dst = append(dst, '\\', 'x')
			if b < 16 {
				dst = append(dst, '0')
			}
			dst = strconv.AppendUint(dst, uint64(b), 16)
		}
	}
	return append(dst, '"')
}
