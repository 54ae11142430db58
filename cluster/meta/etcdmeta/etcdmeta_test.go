package etcdmeta

import (
	"context"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/zankv/zankv/cluster/meta"
	"github.com/zankv/zankv/cluster/meta/etcdserver"
	"github.com/zankv/zankv/cluster/meta/metatest"
)

const cluster = "test"

func startEtcd(t *testing.T, o etcdserver.Options) *etcdserver.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s, err := etcdserver.Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func open(t *testing.T, endpoint, cluster string) *Store {
	t.Helper()
	s, err := Open(Options{
		Endpoints: []string{endpoint}, ClusterID: cluster,
		LeaseTTL: 3 * time.Second, RequestTimeout: 2 * time.Second, CheckInterval: 200 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestConformance(t *testing.T) {
	etcd := startEtcd(t, etcdserver.Options{DataDir: t.TempDir()})
	var n int
	metatest.Run(t, func(*testing.T) func(*testing.T) meta.Store {
		n++
		name := "cluster" + strconv.Itoa(n)
		return func(t *testing.T) meta.Store { return open(t, etcd.Endpoint(), name) }
	})
}

// etcdOn is an etcd whose port and directory outlive it.
type etcdOn struct {
	t *testing.T
	o etcdserver.Options
	s *etcdserver.Server
}

func newEtcdOn(t *testing.T) *etcdOn {
	e := &etcdOn{t: t, o: etcdserver.Options{DataDir: t.TempDir()}}
	e.start()
	_, port, err := net.SplitHostPort(e.s.Endpoint())
	if err != nil {
		t.Fatal(err)
	}
	e.o.ClientPort, _ = strconv.Atoi(port)
	return e
}

func (e *etcdOn) start() { e.s = startEtcd(e.t, e.o) }

func create(t *testing.T, s meta.Store, name string, partitions int) {
	t.Helper()
	ns, placements := metatest.Namespace(name, partitions, 1)
	if _, err := s.CreateNamespace(t.Context(), ns, placements); err != nil {
		t.Fatal(err)
	}
}

func has(name string) func(*meta.View) bool {
	return func(v *meta.View) bool { return v.Namespaces[name] != nil }
}

// While etcd is away the view stays; when it comes back what was missed is seen, and the node is there again even if its
// lease has ended meanwhile.
func TestEtcdRestart(t *testing.T) {
	e := newEtcdOn(t)
	s := open(t, e.s.Endpoint(), cluster)
	create(t, s, "before", 1)
	id, err := s.AllocateNodeID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ses, err := s.RegisterNode(t.Context(), metatest.Node(id))
	if err != nil {
		t.Fatal(err)
	}
	live := func(v *meta.View) bool { return v.Nodes[id] != nil && v.Nodes[id].Live }
	metatest.Until(t, s, "node and namespace", func(v *meta.View) bool { return has("before")(v) && live(v) })
	e.s.Close()

	if _, err := s.AllocateNodeID(t.Context()); err == nil {
		t.Fatal("an id from an etcd that is down")
	}
	if v := s.View(); !has("before")(v) || !live(v) {
		t.Fatalf("without etcd the view lost what it had: %+v", v)
	}

	e.start()
	other := open(t, e.s.Endpoint(), cluster)
	create(t, other, "after", 1)
	metatest.Until(t, s, "what was made after the restart", has("after"))

	// The lease ends although the node lives: as if etcd had been away for longer.
	if _, err := s.client.Revoke(t.Context(), ses.(*session).lease); err != nil {
		t.Fatal(err)
	}
	metatest.Until(t, other, "the node gone", func(v *meta.View) bool { return v.Nodes[id] != nil && !v.Nodes[id].Live })
	metatest.Until(t, other, "the node again", live)
	select {
	case <-ses.Lost():
		t.Fatal("lost, though nobody took over")
	default:
	}
}

// A store that is opened while etcd is down finds it later.
func TestOpenBeforeEtcd(t *testing.T) {
	e := newEtcdOn(t)
	create(t, open(t, e.s.Endpoint(), cluster), "default", 1)
	endpoint := e.s.Endpoint()
	e.s.Close()
	s := open(t, endpoint, cluster)
	if v := s.View(); v.Revision != 0 || len(v.Namespaces) != 0 {
		t.Fatalf("view %+v of an etcd that is down", v)
	}
	e.start()
	metatest.Until(t, s, "the namespace", has("default"))
}

// proxy passes connections on to an etcd until they are cut; then it takes none until it is mended.
type proxy struct {
	listener net.Listener
	to       string
	mu       struct {
		sync.Mutex
		cut   bool
		conns map[net.Conn]bool
	}
}

func newProxy(t *testing.T, to string) *proxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, to: to}
	p.mu.conns = map[net.Conn]bool{}
	t.Cleanup(func() { _ = l.Close(); p.set(true) })
	go p.accept()
	return p
}

func (p *proxy) accept() {
	for {
		from, err := p.listener.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", p.to)
		if err != nil || !p.add(from, to) {
			_ = from.Close()
			continue
		}
		go p.pipe(from, to)
		go p.pipe(to, from)
	}
}

func (p *proxy) add(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		if p.mu.cut {
			_ = c.Close()
			continue
		}
		p.mu.conns[c] = true
	}
	return !p.mu.cut
}

func (p *proxy) pipe(from, to net.Conn) {
	defer func() { _ = from.Close(); _ = to.Close() }()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			return
		}
	}
}

func (p *proxy) set(cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.cut = cut
	for c := range p.mu.conns {
		_ = c.Close()
		delete(p.mu.conns, c)
	}
}

// What happened while the store was cut off, and was compacted away since, is found by listing again.
func TestCompaction(t *testing.T) {
	e := newEtcdOn(t)
	p := newProxy(t, e.s.Endpoint())
	s, other := open(t, p.listener.Addr().String(), cluster), open(t, e.s.Endpoint(), cluster)
	create(t, other, "first", 2)
	metatest.Until(t, s, "the first", has("first"))
	p.set(true)
	create(t, other, "second", 2)
	if _, err := other.client.Delete(t.Context(), other.keys.namespace("first"), clientv3.WithPrefix()); err != nil {
		t.Fatal(err)
	}
	v := metatest.Until(t, other, "the first gone", func(v *meta.View) bool { return has("second")(v) && !has("first")(v) })
	if _, err := other.client.Compact(t.Context(), v.Revision); err != nil {
		t.Fatal(err)
	}
	p.set(false)
	metatest.Until(t, s, "the second and not the first", func(v *meta.View) bool { return has("second")(v) && !has("first")(v) })
}

// An etcd that comes back empty doesn't empty the view, whether its revision is below or above the one known.
func TestEtcdWiped(t *testing.T) {
	for name, above := range map[string]bool{"revision below": false, "revision above": true} {
		t.Run(name, func(t *testing.T) {
			e := newEtcdOn(t)
			s := open(t, e.s.Endpoint(), cluster)
			create(t, s, "default", 2)
			old := metatest.Until(t, s, "the namespace", has("default"))
			e.s.Close()
			e.o.DataDir = t.TempDir()
			e.start()
			other := open(t, e.s.Endpoint(), cluster)
			for above && other.View().Revision <= old.Revision+5 {
				id, err := other.AllocateNodeID(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				metatest.Until(t, other, "an id", func(v *meta.View) bool { return v.Revision > int64(id) })
			}
			f := s.clusterFollower()
			f.revision = old.Revision
			if above { // then only the UID tells
				f.uid = "before"
			}
			if err := f.list(); err == nil {
				t.Fatal("the other content was listed")
			}
			if err := f.checkSame(); err == nil {
				t.Fatal("the other content wasn't noticed")
			}
			create(t, other, "second", 1)
			metatest.Until(t, other, "the second", has("second"))
			if v := s.View(); !has("default")(v) || has("second")(v) {
				t.Fatalf("the view became %+v", v)
			}
		})
	}
}

// What another creation, that broke off, left behind is neither shown nor in the way; and one that was overtaken doesn't
// come to be.
func TestCreationBrokenOff(t *testing.T) {
	e := newEtcdOn(t)
	s := open(t, e.s.Endpoint(), cluster)
	ns, placements := metatest.Namespace("default", 3, 1)
	claim, err := s.claim(t.Context(), ns)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.putPlacements(t.Context(), ns.Name, claim, placements); err != nil {
		t.Fatal(err)
	}
	create(t, s, "default", 1)
	v := metatest.Until(t, s, "the namespace", has("default"))
	if n := len(v.Namespaces["default"].Partitions); n != 1 {
		t.Fatalf("%d partitions", n)
	}
	if err := s.putPlacements(t.Context(), ns.Name, claim, placements[:1]); err == nil {
		t.Fatal("a creation that was overtaken wrote on")
	}
	if r, err := s.get(t.Context(), s.keys.namespace("default"), clientv3.WithPrefix(), clientv3.WithCountOnly()); err != nil || r.Count != 2 {
		t.Fatalf("%v keys, %v: want NamespaceMeta and one ReplicaInfo", r, err)
	}
}

// Values that can't be read change nothing: neither what is shown, nor the rest.
func TestUnreadable(t *testing.T) {
	e := newEtcdOn(t)
	s := open(t, e.s.Endpoint(), cluster)
	create(t, s, "default", 1)
	metatest.Until(t, s, "the namespace", has("default"))
	id := meta.PartitionID{Namespace: "default"}
	for _, key := range []string{s.keys.meta("default"), s.keys.replicas(id), s.keys.leader(id), s.keys.addr(1), s.keys.prefix + "NodeAddresses/x", s.keys.prefix + "Unknown/x", s.keys.namespace("default") + "9999/ReplicaInfo"} {
		if _, err := s.client.Put(t.Context(), key, `{"PartitionNum":"many`); err != nil {
			t.Fatal(err)
		}
	}
	create(t, s, "second", 1)
	v := metatest.Until(t, s, "the second", has("second"))
	if ns := v.Namespaces["default"]; ns == nil || ns.Namespace.Partitions != 1 || len(ns.Partitions[0].Placement.Nodes) != 1 {
		t.Fatalf("the namespace became %+v", ns)
	}
	fresh := open(t, e.s.Endpoint(), cluster)
	v = metatest.Until(t, fresh, "the second, newly listed", has("second"))
	if has("default")(v) {
		t.Fatal("a namespace whose metadata is unreadable is shown")
	}
}

func TestOptions(t *testing.T) {
	for name, o := range map[string]Options{
		"no endpoints": {ClusterID: "c"},
		"no cluster":   {Endpoints: []string{"127.0.0.1:1"}},
		"bad cluster":  {Endpoints: []string{"127.0.0.1:1"}, ClusterID: "a/b"},
	} {
		if _, err := Open(o); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}
