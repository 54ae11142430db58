package resp

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const tickEvery = 200 * time.Millisecond

// Server is the front end of one node. New makes it, Serve feeds it connections, Run owns its background work.
type Server struct {
	opt       Options
	backend   Backend
	forwarder *forwarder
	stats     stats
	budget    budget
	cursors   cursors
	scanJobs  atomic.Int64 // scans of tables in work
	runID     string
	settings  settings
	slowFrom  atomic.Int64 // ns: what takes longer is looked at by slow
	slowlog   slowlog
	latency   latency
	monitors  monitors
	paused    pause
	hooked    atomic.Uint32 // see hooks
	rates     rates
	started   time.Time

	tick     atomic.Int64 // of tickEvery, counted by Run
	stopping atomic.Bool
	stop     chan struct{}
	lastID   atomic.Uint64
	group    sync.WaitGroup // of connections and forwarding

	mu struct {
		sync.Mutex
		conns     map[uint64]*conn
		listeners map[net.Listener]struct{}
		ports     map[PortKind]int
	}
}

// New makes a server that serves nothing yet. The error names what is missing in the options.
func New(opt Options) (*Server, error) {
	if opt.Backend == nil {
		return nil, errors.New("resp: options: no backend")
	}
	opt = opt.withDefaults()
	s := &Server{opt: opt, backend: opt.Backend, stop: make(chan struct{}), runID: randomHex(20)}
	s.started = s.now()
	s.budget.limit = opt.MemoryBudget
	s.stats.init()
	s.settings.init(&opt)
	s.applySettings()
	s.paused.changed = make(chan struct{})
	s.cursors.init(opt.MaxCursors)
	s.mu.conns = make(map[uint64]*conn)
	s.mu.listeners = make(map[net.Listener]struct{})
	s.mu.ports = make(map[PortKind]int)
	s.tick.Store(1)
	s.forwarder = newForwarder(s)
	return s, nil
}

func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails: crypto/rand ends the process first
	return hex.EncodeToString(b)
}

func (s *Server) now() time.Time { return time.Now() }

// Serve accepts connections until the listener fails or the server closes, which closes the listener; then it returns nil. namespace is the
// one that a NamespacePort or ClusterPort is bound to. It may be called at once for several listeners.
func (s *Server) Serve(ln net.Listener, kind PortKind, namespace string) error {
	if (kind == SharedPort) != (namespace == "") {
		return fmt.Errorf("resp: serve %s: %s port with namespace %q: only the shared port has none", ln.Addr(), kind, namespace)
	}
	if !s.listen(ln, kind) {
		return ln.Close()
	}
	defer s.unlisten(ln)
	for {
		nc, err := ln.Accept()
		switch {
		case s.stopping.Load():
			if err == nil {
				nc.Close()
			}
			return nil
		case err == nil:
			s.accept(nc, kind, namespace)
		case isTemporary(err):
			// Out of file descriptors, most often: wait for connections to go.
			s.opt.Logger.Warn("accepting a connection failed", "address", ln.Addr().String(), "error", err)
			s.pause(100 * time.Millisecond)
		default:
			return fmt.Errorf("resp: accept on %s: %w", ln.Addr(), err)
		}
	}
}

func isTemporary(err error) bool {
	var ne interface{ Temporary() bool }
	return errors.As(err, &ne) && ne.Temporary()
}

func (s *Server) listen(ln net.Listener, kind PortKind) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping.Load() {
		return false
	}
	s.mu.listeners[ln] = struct{}{}
	if addr, ok := ln.Addr().(*net.TCPAddr); ok {
		s.mu.ports[kind] = addr.Port
	}
	return true
}

func (s *Server) unlisten(ln net.Listener) {
	s.mu.Lock()
	delete(s.mu.listeners, ln)
	s.mu.Unlock()
	ln.Close()
}

// accept starts a connection's goroutine, or turns it away.
func (s *Server) accept(nc net.Conn, kind PortKind, namespace string) {
	c := newConn(s, nc, kind, namespace)
	s.mu.Lock()
	full := int64(len(s.mu.conns)) >= s.settings.maxClients.Load()
	if s.stopping.Load() || full {
		s.mu.Unlock()
		s.turnAway(nc, full)
		return
	}
	c.id = s.lastID.Add(1)
	s.mu.conns[c.id] = c
	s.group.Add(1)
	s.mu.Unlock()
	s.stats.accepted.Add(1)
	go func() {
		defer s.group.Done()
		c.serve()
	}()
}

func (s *Server) turnAway(nc net.Conn, full bool) {
	if full {
		s.stats.rejected.Add(1)
		nc.SetWriteDeadline(s.now().Add(100 * time.Millisecond))
		nc.Write([]byte("-ERR max number of clients reached\r\n"))
	}
	nc.Close()
}

func (s *Server) forget(c *conn) {
	s.mu.Lock()
	delete(s.mu.conns, c.id)
	s.mu.Unlock()
}

// Run closes connections that are idle or don't take their replies, and forwarded requests that get no answer. It
// returns when ctx ends, after Close.
func (s *Server) Run(ctx context.Context) error {
	t := time.NewTicker(tickEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return s.Close()
		case <-s.stop:
			return nil
		case <-t.C:
			s.sweep(s.tick.Add(1))
			s.rates.sample(s)
			s.forwarder.expire(s.now())
		}
	}
}

// sweep looks at every connection.
func (s *Server) sweep(tick int64) {
	idle := s.settings.idleTimeout.Load() / int64(tickEvery)
	stuck := max(int64(s.opt.OutputTimeout/tickEvery), 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.mu.conns {
		since := c.writing.Load()
		switch {
		case since > 0 && tick-since > stuck:
			s.stats.stuck.Add(1)
			c.nc.SetDeadline(time.Unix(1, 0))
		case since == 0 && idle > 0 && !c.watching.Load() && tick-c.active.Load() > idle:
			s.stats.idle.Add(1)
			c.nc.SetReadDeadline(time.Unix(1, 0))
		}
	}
}

// pause waits; false when the server closes meanwhile.
func (s *Server) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.stop:
		return false
	}
}

// Close stops accepting, lets every connection answer the commands it has read, and returns when all are closed. The executors must go on
// answering until then.
func (s *Server) Close() error {
	s.mu.Lock()
	if !s.stopping.Swap(true) {
		close(s.stop)
	}
	for ln := range s.mu.listeners {
		ln.Close()
	}
	for _, c := range s.mu.conns {
		c.nc.SetReadDeadline(time.Unix(1, 0))
		c.nc.SetWriteDeadline(s.now().Add(time.Second))
	}
	s.mu.Unlock()
	s.await()
	s.forwarder.close()
	return nil
}

// await waits for the connections. Run may have ended, so what they forwarded is given up on here.
func (s *Server) await() {
	done := make(chan struct{})
	go func() {
		s.group.Wait()
		close(done)
	}()
	t := time.NewTicker(tickEvery)
	defer t.Stop()
	for {
		select {
		case <-done:
			return
		case <-t.C:
			s.forwarder.expire(s.now())
		}
	}
}

// budget is a number of bytes that many may take from.
type budget struct {
	limit int64
	used  atomic.Int64
}

// take takes n bytes, or gives them back if n is negative; false and nothing taken when they aren't there.
func (b *budget) take(n int64) bool {
	if b.used.Add(n) > b.limit && n > 0 {
		b.used.Add(-n)
		return false
	}
	return true
}

// pressed says that buffers should be kept small.
func (s *Server) pressed() bool { return s.budget.used.Load() > s.budget.limit/2 }
