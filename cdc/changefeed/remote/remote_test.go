package remote

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/changefeed/remote/remotepb"
	"github.com/zankv/zankv/cluster/meta"
	"github.com/zankv/zankv/cluster/meta/memmeta"
	"github.com/zankv/zankv/cluster/meta/metatest"
)

// patience is what servers of tests have: long enough for a busy machine.
const patience = 2 * time.Second

// limit is how long anything may take that happens by itself.
const limit = 20 * time.Second

// node is a server on a socket of its own, over a store that others share.
type node struct {
	t       testing.TB
	address string
	server  *Server
	grpc    *grpc.Server
	served  chan struct{}
}

func newNode(t testing.TB, r changefeed.Registry, cluster string, named ...string) *node {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, address: l.Addr().String(), grpc: grpc.NewServer(), served: make(chan struct{})}
	n.server = NewServer(ServerOptions{Registry: r, Cluster: cluster, Nodes: func() []string { return named }, Patience: patience})
	n.server.Register(n.grpc)
	go func() {
		defer close(n.served)
		_ = n.grpc.Serve(l)
	}()
	t.Cleanup(n.stop)
	return n
}

// stop ends the node as a process does that is told to.
func (n *node) stop() {
	n.server.Close()
	n.kill()
}

// kill breaks all its connections off.
func (n *node) kill() {
	n.grpc.Stop()
	<-n.served
}

func newStore(t testing.TB) *memmeta.Store {
	s := memmeta.New()
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func open(t testing.TB, process string, nodes ...string) *Registry {
	t.Helper()
	r, err := Open(Options{Nodes: nodes, Process: process})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// The suite, over real connections: two nodes of one cluster, and processes that have them in different orders.
func TestConformance(t *testing.T) {
	metatest.RunChangefeeds(t, func(t *testing.T) func(*testing.T, string) metatest.FeedProcess {
		store := newStore(t)
		a, b := newNode(t, store.Changefeeds(), "dc-a"), newNode(t, store.Changefeeds(), "dc-a")
		nodes := []string{a.address, b.address}
		return func(t *testing.T, name string) metatest.FeedProcess {
			nodes[0], nodes[1] = nodes[1], nodes[0]
			line := newProxy(t, nodes[0])
			r := open(t, name, line.address, nodes[1])
			return metatest.FeedProcess{Registry: r, Name: name, Die: func() { line.cut(); r.close() }}
		}
	})
}

// proxy is a line to a node that can be cut, or grow silent.
type proxy struct {
	address string
	target  string
	mu      struct {
		sync.Mutex
		silent bool
		conns  []net.Conn
	}
	change *sync.Cond
	group  sync.WaitGroup
}

func newProxy(t testing.TB, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{address: l.Addr().String(), target: target}
	p.change = sync.NewCond(&p.mu)
	p.group.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.serve(c)
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		p.cut()
		p.silence(false)
		p.group.Wait()
	})
	return p
}

func (p *proxy) serve(near net.Conn) {
	far, err := net.Dial("tcp", p.target)
	if err != nil {
		_ = near.Close()
		return
	}
	p.mu.Lock()
	p.mu.conns = append(p.mu.conns, near, far)
	p.mu.Unlock()
	for from, to := range map[net.Conn]net.Conn{near: far, far: near} {
		p.group.Go(func() {
			_, _ = io.Copy(held{to, p}, from)
			_ = to.Close()
		})
	}
}

// held writes when the line isn't silent.
type held struct {
	io.Writer
	p *proxy
}

func (h held) Write(b []byte) (int, error) {
	h.p.mu.Lock()
	for h.p.mu.silent {
		h.p.change.Wait()
	}
	h.p.mu.Unlock()
	return h.Writer.Write(b)
}

// silence holds back what is sent, both ways, and the ends of connections with it.
func (p *proxy) silence(yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.silent = yes
	p.change.Broadcast()
}

// cut ends the connections that there are.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.mu.conns {
		_ = c.Close()
	}
	p.mu.conns = nil
}

func feedOf(t testing.TB, r changefeed.Registry, partition uint32, process string) changefeed.Claim {
	t.Helper()
	if err := r.Create(t.Context(), metatest.Changefeed("f")); err != nil && !errors.Is(err, changefeed.ErrExists) {
		t.Fatal(err)
	}
	return claimOf(t, r, partition, process)
}

// claimOf claims, as often as another process still has it.
func claimOf(t testing.TB, r changefeed.Registry, partition uint32, process string) changefeed.Claim {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		c, err := r.Claim(ctx, "f", partition, process)
		if err == nil {
			return c
		}
		if !errors.Is(err, changefeed.ErrTaken) {
			t.Fatal(err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("never free")
		}
	}
}

func lost(t testing.TB, c changefeed.Claim, within time.Duration) {
	t.Helper()
	select {
	case <-c.Lost():
	case <-time.After(within):
		t.Fatalf("the claim isn't lost after %s", within)
	}
}

// A node that dies takes the claims along, and the process goes on at another one, also one that was named by the first alone. What it had shown doesn't go back.
func TestDeadNode(t *testing.T) {
	store := newStore(t)
	b := newNode(t, store.Changefeeds(), "dc-a")
	a := newNode(t, store.Changefeeds(), "dc-a", b.address)
	r := open(t, "s", a.address)
	c := feedOf(t, r, 0, "s")
	if err := c.Save(t.Context(), metatest.Progress(4)); err != nil {
		t.Fatal(err)
	}
	a.kill()
	lost(t, c, limit)
	again := claimOf(t, r, 0, "s")
	if again.Epoch() <= c.Epoch() || again.Progress().Position.Index != 4 {
		t.Fatalf("epoch %d after %d, progress %+v", again.Epoch(), c.Epoch(), again.Progress())
	}
	if err := c.Save(t.Context(), metatest.Progress(5)); !errors.Is(err, changefeed.ErrFenced) {
		t.Fatalf("saved under a lost claim: %v", err)
	}
	if err := c.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := again.Save(t.Context(), metatest.Progress(6)); err != nil {
		t.Fatalf("the old claim's release ended the new one: %v", err)
	}
}

// A node that is told to end gives claims up only when the processes know it.
func TestNodeEnds(t *testing.T) {
	store := newStore(t)
	a := newNode(t, store.Changefeeds(), "dc-a")
	c := feedOf(t, open(t, "s", a.address), 0, "s")
	began := time.Now()
	a.server.Close()
	select {
	case <-c.Lost():
	default:
		t.Fatal("the node has ended, and the process doesn't know it")
	}
	if took := time.Since(began); took > farewellWithin {
		t.Errorf("it took %s, although the process was there", took)
	}
	other := newNode(t, store.Changefeeds(), "dc-a")
	if _, err := open(t, "o", other.address).Claim(t.Context(), "f", 0, "o"); err != nil {
		t.Fatalf("a closed server kept a claim: %v", err)
	}
}

// A process that hears nothing takes its claims for lost before the node gives them to another one.
func TestSilentLine(t *testing.T) {
	store := newStore(t)
	n := newNode(t, store.Changefeeds(), "dc-a")
	line := newProxy(t, n.address)
	cut, other := open(t, "cut", line.address), open(t, "other", n.address)
	c := feedOf(t, cut, 0, "cut")
	line.silence(true)
	next := claimOf(t, other, 0, "other")
	select {
	case <-c.Lost():
	default:
		t.Fatal("another process has the partition, and its owner doesn't know it")
	}
	if err := c.Save(t.Context(), metatest.Progress(1)); !errors.Is(err, changefeed.ErrFenced) {
		t.Fatalf("saved under a lost claim: %v", err)
	}
	line.silence(false)
	if _, err := cut.Claim(t.Context(), "f", 1, "cut"); err != nil {
		t.Fatalf("when the line is back: %v", err)
	}
	if err := next.Save(t.Context(), metatest.Progress(2)); err != nil {
		t.Fatal(err)
	}
}

// A process that stands still, with its connection there and nothing read, loses its claims, however much the node has to tell it.
func TestPausedProcess(t *testing.T) {
	store := newStore(t)
	n := newNode(t, store.Changefeeds(), "dc-a")
	stream := rawSession(t, n.address)
	other := open(t, "other", n.address)
	if err := other.Create(t.Context(), metatest.Changefeed("f")); err != nil {
		t.Fatal(err)
	}
	claim := &remotepb.Claim{Changefeed: "f", Partition: 0, Process: "paused"}
	if err := stream.Send(&remotepb.ClientMessage{What: &remotepb.ClientMessage_Request{Request: &remotepb.Request{Id: 1, What: &remotepb.Request_Claim{Claim: claim}}}}); err != nil {
		t.Fatal(err)
	}
	metatest.UntilFeeds(t, other, "the owner", func(v *changefeed.View) bool {
		return v.Feeds["f"] != nil && v.Feeds["f"].Owners[0].Process == "paused"
	})
	large := metatest.Progress(1) // more than a connection takes without its end being read
	large.Trouble.Reason = string(make([]byte, 8<<10))
	for i := range uint32(200) {
		if err := store.Changefeeds().SetProgress(t.Context(), "f", i+1, large); err != nil {
			t.Fatal(err)
		}
	}
	if c := claimOf(t, other, 0, "other"); c.Epoch() != 2 {
		t.Fatalf("epoch %d, want 2", c.Epoch())
	}
}

// rawSession is one that says hello and then what the test says.
func rawSession(t testing.TB, address string) remotepb.Registry_SessionClient {
	t.Helper()
	stream, err := rawClient(t, address).Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&remotepb.ClientMessage{What: &remotepb.ClientMessage_Hello{Hello: &remotepb.Hello{Version: Version, Process: "raw"}}}); err != nil {
		t.Fatal(err)
	}
	return stream
}

// What a process gave up waiting for isn't held for nobody.
func TestAbandonedClaim(t *testing.T) {
	store := newStore(t)
	slow := &slowRegistry{Registry: store.Changefeeds(), asked: make(chan struct{}), goOn: make(chan struct{}), claimed: make(chan struct{})}
	n := newNode(t, slow, "dc-a")
	r := open(t, "s", n.address)
	if err := r.Create(t.Context(), metatest.Changefeed("f")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-slow.asked
		cancel()
	}()
	if _, err := r.Claim(ctx, "f", 0, "s"); !errors.Is(err, meta.ErrUnavailable) {
		t.Fatalf("got %v, want %v", err, meta.ErrUnavailable)
	}
	close(slow.goOn)
	<-slow.claimed
	c := claimOf(t, store.Changefeeds(), 0, "other")
	if c.Epoch() != 2 {
		t.Fatalf("epoch %d: the first claim didn't come about, which proves nothing", c.Epoch())
	}
	if len(r.current2(t).slots) != 0 {
		t.Fatal("a slot is lost")
	}
}

func (r *Registry) current2(t testing.TB) *session {
	s, err := r.current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// slowRegistry claims when it is told to.
type slowRegistry struct {
	changefeed.Registry
	asked, goOn, claimed chan struct{}
}

func (s *slowRegistry) Claim(ctx context.Context, id string, partition uint32, process string) (changefeed.Claim, error) {
	close(s.asked)
	<-s.goOn
	defer close(s.claimed)
	return s.Registry.Claim(context.WithoutCancel(ctx), id, partition, process)
}

// What a process claimed that died meanwhile isn't held, either.
func TestClaimOfDeadProcess(t *testing.T) {
	store := newStore(t)
	slow := &slowRegistry{Registry: store.Changefeeds(), asked: make(chan struct{}), goOn: make(chan struct{}), claimed: make(chan struct{})}
	n := newNode(t, slow, "dc-a")
	r := open(t, "s", n.address)
	if err := r.Create(t.Context(), metatest.Changefeed("f")); err != nil {
		t.Fatal(err)
	}
	over := make(chan error)
	go func() {
		_, err := r.Claim(t.Context(), "f", 0, "s")
		over <- err
	}()
	<-slow.asked
	r.close()
	if err := <-over; err == nil {
		t.Fatal("claimed by a process that is closed")
	}
	n.grpc.Stop() // the session is over
	close(slow.goOn)
	<-slow.claimed
	if c := claimOf(t, store.Changefeeds(), 0, "other"); c.Epoch() != 2 {
		t.Fatalf("epoch %d: the first claim didn't come about, which proves nothing", c.Epoch())
	}
}

// Nodes of another cluster, and what isn't a node, are left out.
func TestOtherCluster(t *testing.T) {
	mine, theirs := newNode(t, newStore(t).Changefeeds(), "dc-a"), newNode(t, newStore(t).Changefeeds(), "dc-b")
	r, err := Open(Options{Nodes: []string{theirs.address, "127.0.0.1:1", mine.address}, Cluster: "dc-a", Process: "s"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if cluster, err := r.Ready(t.Context()); cluster != "dc-a" || err != nil {
		t.Fatalf("%q, %v", cluster, err)
	}
	if s := r.current2(t); s.node != mine.address {
		t.Fatalf("the session is with %s", s.node)
	}
}

// Who waits for a session knows why there is none.
func TestNoNode(t *testing.T) {
	theirs := newNode(t, newStore(t).Changefeeds(), "dc-b")
	r, err := Open(Options{Nodes: []string{theirs.address}, Cluster: "dc-a", Process: "s"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := r.Ready(ctx); !errors.Is(err, meta.ErrUnavailable) || !errors.Is(err, errStranger) {
		t.Fatalf("got %v", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Ready(t.Context()); !errors.Is(err, meta.ErrClosed) {
		t.Fatalf("got %v", err)
	}
}

// frozen is a registry whose view stands still.
type frozen struct {
	changefeed.Registry
	view *changefeed.View
}

func (f frozen) Watch(ctx context.Context) <-chan *changefeed.View {
	ch := make(chan *changefeed.View, 1)
	ch <- f.view
	context.AfterFunc(ctx, func() { close(ch) })
	return ch
}

// A node that lags behind the one before shows nothing older.
func TestLaggingNode(t *testing.T) {
	store := newStore(t)
	old := store.Changefeeds().View()
	a := newNode(t, store.Changefeeds(), "dc-a")
	late := newNode(t, frozen{store.Changefeeds(), old}, "dc-a")
	r := open(t, "s", a.address, late.address)
	c := feedOf(t, r, 0, "s")
	metatest.UntilFeeds(t, r, "the changefeed", func(v *changefeed.View) bool { return v.Feeds["f"] != nil })
	a.kill()
	lost(t, c, limit)
	if _, err := r.Claim(t.Context(), "f", 1, "s"); err != nil { // at the other one, whose view has come before that
		t.Fatal(err)
	}
	if v := r.View(); v.Feeds["f"] == nil {
		t.Fatalf("revision %d is shown after a later one", v.Revision)
	}
}
