package processes

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
)

// Link is the network between programs and the servers that they reach through it: a proxy (HTTP's CONNECT) that can be cut towards some of the servers,
// and healed. Programs use it whose environment has Env, towards addresses that aren't plainly this machine's: see Options.Linked. Its methods may be
// called from any goroutine.
type Link struct {
	listener net.Listener
	ctx      context.Context
	cancel   context.CancelFunc
	running  sync.WaitGroup
	mu       struct {
		sync.Mutex
		conns map[*passage]bool
		cut   map[string]bool // by port
	}
}

// passage is one connection: the two halves, and the port that it goes to.
type passage struct {
	client, server net.Conn
	port           string
}

func (p *passage) close() {
	_ = p.client.Close()
	if p.server != nil {
		_ = p.server.Close()
	}
}

// NewLink listens on a free port of 127.0.0.1. Close ends it.
func NewLink() (*Link, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("processes: link: %w", err)
	}
	k := &Link{listener: l}
	k.mu.conns, k.mu.cut = map[*passage]bool{}, map[string]bool{}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	k.running.Go(k.accept)
	return k, nil
}

// Env is what the environment of a program has to have beside the rest.
func (k *Link) Env() []string {
	proxy := "http://" + k.listener.Addr().String()
	return []string{"HTTPS_PROXY=" + proxy, "https_proxy=" + proxy, "NO_PROXY=", "no_proxy="}
}

// Cut drops all connections to servers at some addresses, whose ports alone count, and refuses new ones until Heal.
func (k *Link) Cut(addrs ...string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, a := range addrs {
		if _, port, err := net.SplitHostPort(a); err == nil {
			k.mu.cut[port] = true
		}
	}
	for p := range k.mu.conns {
		if k.mu.cut[p.port] {
			p.close()
		}
	}
}

// Heal lets all connections through again.
func (k *Link) Heal() {
	k.mu.Lock()
	defer k.mu.Unlock()
	clear(k.mu.cut)
}

// Passing is how many connections there are to servers at some addresses.
func (k *Link) Passing(addrs ...string) (n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for p := range k.mu.conns {
		if slices.ContainsFunc(addrs, func(a string) bool { _, port, err := net.SplitHostPort(a); return err == nil && port == p.port }) {
			n++
		}
	}
	return n
}

// Close drops all connections and returns when nothing runs any more.
func (k *Link) Close() error {
	k.cancel()
	err := k.listener.Close()
	k.mu.Lock()
	for p := range k.mu.conns {
		p.close()
	}
	k.mu.Unlock()
	k.running.Wait()
	return err
}

func (k *Link) accept() {
	for {
		c, err := k.listener.Accept()
		if err != nil {
			return
		}
		k.running.Go(func() { k.serve(c) })
	}
}

// serve is one connection's life: it ends when either side does.
func (k *Link) serve(client net.Conn) {
	p := &passage{client: client}
	defer k.drop(p)
	if !k.keep(p) {
		return
	}
	from := bufio.NewReader(client)
	req, err := http.ReadRequest(from)
	if err != nil || req.Method != http.MethodConnect || !k.open(p, req.Host) {
		_, _ = io.WriteString(client, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
		return
	}
	if _, err := io.WriteString(client, "HTTP/1.1 200 Connected\r\n\r\n"); err != nil {
		return
	}
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(client, p.server)
		p.close()
	})
	_, _ = io.Copy(p.server, from)
	p.close()
	back.Wait()
}

// open connects to the server, unless the way there is cut.
func (k *Link) open(p *passage, addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	var d net.Dialer
	server, err := d.DialContext(k.ctx, "tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	p.server, p.port = server, port
	return !k.mu.cut[port] && k.ctx.Err() == nil
}

// keep notes a connection, so that Close ends it; false if that was called.
func (k *Link) keep(p *passage) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.mu.conns[p] = true
	return k.ctx.Err() == nil
}

func (k *Link) drop(p *passage) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.mu.conns, p)
	p.close()
}
