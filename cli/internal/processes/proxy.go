package processes

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Proxy stands before a server and passes on what clients and it say, as fast as a test lets it: a network that is slow.
// Its methods may be called from any goroutine.
type Proxy struct {
	listener net.Listener
	target   atomic.Value // string
	rate     atomic.Int64 // bytes a second towards the server; 0 is no bound
	ctx      context.Context
	cancel   context.CancelFunc
	running  sync.WaitGroup
	mu       struct {
		sync.Mutex
		conns map[net.Conn]bool
		next  time.Time // when the next byte may go
	}
}

// proxyChunk is how much is passed on at a time.
const proxyChunk = 16 << 10

// NewProxy listens on a free port of 127.0.0.1; To says where to. Close ends it.
func NewProxy() (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("processes: proxy: %w", err)
	}
	p := &Proxy{listener: l}
	p.mu.conns = map[net.Conn]bool{}
	p.target.Store("")
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.running.Go(p.accept)
	return p, nil
}

// Addr is where clients connect.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// To says which server new connections are for.
func (p *Proxy) To(addr string) { p.target.Store(addr) }

// Limit sets how many bytes a second go to the server, over all connections; 0 is no bound. What comes back isn't held up.
func (p *Proxy) Limit(bytes int64) { p.rate.Store(bytes) }

// Close drops all connections and returns when nothing runs any more.
func (p *Proxy) Close() error {
	p.cancel()
	err := p.listener.Close()
	p.mu.Lock()
	for c := range p.mu.conns {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.running.Wait()
	return err
}

func (p *Proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.serve(c) })
	}
}

// serve is one connection's life: it ends when either side does.
func (p *Proxy) serve(client net.Conn) {
	defer p.drop(client)
	var d net.Dialer
	server, err := d.DialContext(p.ctx, "tcp", p.target.Load().(string))
	if err != nil || !p.keep(client) || !p.keep(server) {
		if server != nil {
			_ = server.Close()
		}
		return
	}
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
	})
	_ = p.forward(server, client)
	p.drop(server)
	back.Wait()
}

// forward copies at the rate that is set.
func (p *Proxy) forward(server, client net.Conn) error {
	b := make([]byte, proxyChunk)
	for {
		n, err := client.Read(b)
		if n > 0 {
			if err := p.wait(n); err != nil {
				return err
			}
			if _, err := server.Write(b[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}

// wait returns when so many bytes may go.
func (p *Proxy) wait(bytes int) error {
	rate := p.rate.Load()
	if rate == 0 {
		return p.ctx.Err()
	}
	p.mu.Lock()
	at := p.mu.next
	if now := time.Now(); at.Before(now) {
		at = now
	}
	p.mu.next = at.Add(time.Duration(bytes) * time.Second / time.Duration(rate))
	p.mu.Unlock()
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-p.ctx.Done():
		return p.ctx.Err()
	}
}

// keep notes a connection, so that Close ends it; false if that was called.
func (p *Proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.conns[c] = true
	return p.ctx.Err() == nil
}

func (p *Proxy) drop(c net.Conn) {
	p.mu.Lock()
	delete(p.mu.conns, c)
	p.mu.Unlock()
	_ = c.Close()
}
