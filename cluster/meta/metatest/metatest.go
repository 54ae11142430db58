// Package metatest is the conformance suite of meta.Store: every implementation runs it.
package metatest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/zankv/zankv/cluster/meta"
)

// limit is how long anything may take that happens by itself.
const limit = 20 * time.Second

// Run checks an implementation. cluster makes an empty cluster and returns how to connect to it; connecting twice gives two stores that see the
// same content (an implementation within one process may return the same one). The caller closes them when the test ends.
func Run(t *testing.T, cluster func(t *testing.T) (connect func(t *testing.T) meta.Store)) {
	tests := []struct {
		name string
		run  func(*testing.T, func(*testing.T) meta.Store)
	}{
		{"node ids are never given twice", testNodeIDs},
		{"unknown node ids are refused", testUnknownNode},
		{"presence and addresses", testPresence},
		{"the later registration wins", testTakeover},
		{"a namespace is created once", testCreateOnce},
		{"the conflict policy changes", testConflictPolicy},
		{"one of many creations succeeds", testCreateRace},
		{"a namespace appears whole", testCreateWhole},
		{"bad namespaces are refused", testCreateBad},
		{"leaders move forward only", testLeader},
		{"leaders of nothing are refused", testLeaderOfNothing},
		{"the last announcement of many wins", testLeaderRace},
		{"watchers get the last view", testWatch},
		{"views never change", testImmutable},
		{"a closed store", testClosed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, cluster(t)) })
	}
}

// Node is a node that can be registered.
func Node(id meta.NodeID) meta.Node {
	return meta.Node{
		ID: id, BroadcastAddr: "127.0.0.1", Hostname: "host", RedisPort: 12381, HTTPPort: 12380, GRPCPort: 12382,
		RaftAddr:       fmt.Sprintf("127.0.0.1:%d", 12379+10*id),
		NamespacePorts: map[string]int{"default": 16379}, ClusterPorts: map[string]int{"default": 17379},
		Version: "1", Tags: map[string]string{"dc_info": "dc1"},
	}
}

// Namespace is one that can be created, with a placement on nodes 1 to replicas.
func Namespace(name string, partitions, replicas int) (meta.Namespace, []meta.Placement) {
	ns := meta.DefaultNamespace()
	ns.Name, ns.Partitions, ns.Replicas, ns.MagicCode = name, partitions, replicas, 77
	placements := make([]meta.Placement, partitions)
	for i := range placements {
		p := meta.Placement{Partition: meta.PartitionID{Namespace: name, Number: i}, RaftIDs: map[meta.NodeID]uint64{}, MaxRaftID: uint64(replicas)}
		for r := 1; r <= replicas; r++ {
			p.Nodes = append(p.Nodes, meta.NodeID(r))
			p.RaftIDs[meta.NodeID(r)] = uint64(r)
		}
		placements[i] = p
	}
	return ns, placements
}

// Until waits for a view that ok accepts.
func Until(t *testing.T, s meta.Watcher, what string, ok func(*meta.View) bool) *meta.View {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var last *meta.View
	for v := range s.Watch(ctx) {
		if last != nil && v.Revision <= last.Revision {
			t.Fatalf("revision %d after %d", v.Revision, last.Revision)
		}
		if last = v; ok(v) {
			return v
		}
	}
	t.Fatalf("no view with %s; last is %+v", what, last)
	return nil
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func wantIs(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
}

func register(t *testing.T, s meta.Store) (meta.NodeID, meta.Session) {
	t.Helper()
	id := must[meta.NodeID](t)(s.AllocateNodeID(t.Context()))
	return id, must[meta.Session](t)(s.RegisterNode(t.Context(), Node(id)))
}

func testNodeIDs(t *testing.T, connect func(*testing.T) meta.Store) {
	stores := []meta.Store{connect(t), connect(t)}
	var mu sync.Mutex
	seen := map[meta.NodeID]bool{}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 5 {
				id, err := stores[i%2].AllocateNodeID(t.Context())
				mu.Lock()
				if err != nil || id == 0 || seen[id] {
					t.Errorf("id %d, given before: %v, error: %v", id, seen[id], err)
				}
				seen[id] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

func testUnknownNode(t *testing.T, connect func(*testing.T) meta.Store) {
	s := connect(t)
	_, err := s.RegisterNode(t.Context(), Node(1))
	wantIs(t, err, meta.ErrNotFound)
	id := must[meta.NodeID](t)(s.AllocateNodeID(t.Context()))
	_, err = s.RegisterNode(t.Context(), Node(id+1))
	wantIs(t, err, meta.ErrNotFound)
	if _, err := s.RegisterNode(t.Context(), meta.Node{ID: id}); err == nil {
		t.Fatal("a node without addresses was registered")
	}
}

func testPresence(t *testing.T, connect func(*testing.T) meta.Store) {
	a, b := connect(t), connect(t)
	id, ses := register(t, a)
	v := Until(t, b, "the node live", func(v *meta.View) bool { return v.Nodes[id] != nil && v.Nodes[id].Live })
	if got, want := v.Nodes[id].Node, Node(id); !reflect.DeepEqual(got, want) {
		t.Fatalf("node %+v, want %+v", got, want)
	}
	if len(v.LiveNodes()) != 1 || v.RaftAddr(id) != Node(id).RaftAddr {
		t.Fatalf("live %v, raft address %q", v.LiveNodes(), v.RaftAddr(id))
	}
	if err := ses.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := ses.Close(t.Context()); err != nil {
		t.Fatalf("closed twice: %v", err)
	}
	v = Until(t, b, "the node gone", func(v *meta.View) bool { return v.Nodes[id] != nil && !v.Nodes[id].Live })
	if v.RaftAddr(id) != Node(id).RaftAddr || len(v.LiveNodes()) != 0 {
		t.Fatalf("after its end: raft address %q, live %v", v.RaftAddr(id), v.LiveNodes())
	}
	select {
	case <-ses.Lost():
		t.Fatal("lost by being closed")
	default:
	}
}

func testTakeover(t *testing.T, connect func(*testing.T) meta.Store) {
	a, b := connect(t), connect(t)
	id, first := register(t, a)
	moved := Node(id)
	moved.RaftAddr = "127.0.0.9:1"
	second := must[meta.Session](t)(b.RegisterNode(t.Context(), moved))
	select {
	case <-first.Lost():
	case <-time.After(limit):
		t.Fatal("the earlier registration was not told")
	}
	if err := first.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	id2, _ := register(t, a) // something later, so that what first.Close did has been seen
	v := Until(t, a, "a later node", func(v *meta.View) bool { return v.Nodes[id2] != nil })
	if n := v.Nodes[id]; !n.Live || n.RaftAddr != moved.RaftAddr {
		t.Fatalf("node is %+v, want it live at %s", n, moved.RaftAddr)
	}
	select {
	case <-second.Lost():
		t.Fatal("the later registration was lost")
	default:
	}
}

func testCreateOnce(t *testing.T, connect func(*testing.T) meta.Store) {
	s := connect(t)
	ns, placements := Namespace("default", 4, 3)
	ns.Password, ns.Forward, ns.ReadMode, ns.PartitionHash = "p", false, meta.ReadQuorum, meta.HashMurmur3
	created := must[meta.Namespace](t)(s.CreateNamespace(t.Context(), ns, placements))
	if created.MinGID == 0 || created.MinGID%meta.GroupStride != 0 {
		t.Fatalf("MinGID %d, want a multiple of %d", created.MinGID, meta.GroupStride)
	}
	_, err := s.CreateNamespace(t.Context(), ns, placements)
	wantIs(t, err, meta.ErrExists)
	other, placements := Namespace("other", 1, 1)
	second := must[meta.Namespace](t)(s.CreateNamespace(t.Context(), other, placements))
	if second.MinGID == created.MinGID {
		t.Fatalf("two namespaces with MinGID %d", second.MinGID)
	}
	v := Until(t, connect(t), "both", func(v *meta.View) bool { return len(v.Namespaces) == 2 })
	if got := v.Namespaces["default"].Namespace; !reflect.DeepEqual(got, created) {
		t.Fatalf("namespace %+v, want %+v", got, created)
	}
	id, ok := v.Group(created.GroupID(3))
	if !ok || id != (meta.PartitionID{Namespace: "default", Number: 3}) {
		t.Fatalf("group %d is %v, %v", created.GroupID(3), id, ok)
	}
	if _, ok := v.Group(created.GroupID(4)); ok {
		t.Fatal("a group beyond the last partition was found")
	}
}

// The policy is changed for all who look, and nothing else is.
func testConflictPolicy(t *testing.T, connect func(*testing.T) meta.Store) {
	s := connect(t)
	ns, placements := Namespace("default", 2, 3)
	ns.Password, ns.RetainBytes = "p", 7
	created := must[meta.Namespace](t)(s.CreateNamespace(t.Context(), ns, placements))
	changed := must[meta.Namespace](t)(s.SetConflictPolicy(t.Context(), "default", meta.ConflictElement))
	created.ConflictPolicy = meta.ConflictElement
	if !reflect.DeepEqual(changed, created) {
		t.Errorf("changed to %+v, want %+v", changed, created)
	}
	must[meta.Namespace](t)(s.SetConflictPolicy(t.Context(), "default", meta.ConflictElement))
	v := Until(t, connect(t), "the policy", func(v *meta.View) bool {
		return v.Namespaces["default"] != nil && v.Namespaces["default"].ConflictPolicy == meta.ConflictElement
	})
	if got := v.Namespaces["default"]; !reflect.DeepEqual(got.Namespace, created) || len(got.Partitions) != 2 || len(got.Partitions[1].Placement.Nodes) != 3 {
		t.Errorf("shown is %+v", got)
	}
	if _, err := s.SetConflictPolicy(t.Context(), "default", "mine"); err == nil {
		t.Error("an unknown policy was set")
	}
	_, err := s.SetConflictPolicy(t.Context(), "none", meta.ConflictDefault)
	wantIs(t, err, meta.ErrNotFound)
}

func testCreateRace(t *testing.T, connect func(*testing.T) meta.Store) {
	stores := []meta.Store{connect(t), connect(t)}
	var mu sync.Mutex
	var won []meta.Namespace
	for round := 0; len(won) == 0; round++ { // all may lose to each other: then once more, as a caller would
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				ns, placements := Namespace("raced", 5, 1)
				ns.MagicCode = int64(1 + i)
				ns, err := stores[i%2].CreateNamespace(t.Context(), ns, placements)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won = append(won, ns)
				} else if !errors.Is(err, meta.ErrExists) && !errors.Is(err, meta.ErrStale) {
					t.Errorf("got %v, want exists or stale", err)
				}
			})
		}
		wg.Wait()
	}
	if len(won) != 1 {
		t.Fatalf("%d creations succeeded", len(won))
	}
	v := Until(t, stores[1], "it", func(v *meta.View) bool { return v.Namespaces["raced"] != nil })
	if got := v.Namespaces["raced"].Namespace; !reflect.DeepEqual(got, won[0]) {
		t.Fatalf("shown is %+v, created was %+v", got, won[0])
	}
}

func testCreateWhole(t *testing.T, connect func(*testing.T) meta.Store) {
	s, watcher := connect(t), connect(t)
	const partitions = meta.MaxPartitions
	views := watcher.Watch(t.Context())
	ns, placements := Namespace("big", partitions, 2)
	must[meta.Namespace](t)(s.CreateNamespace(t.Context(), ns, placements))
	for v := range views {
		big := v.Namespaces["big"]
		if big == nil {
			continue
		}
		if len(big.Partitions) != partitions {
			t.Fatalf("%d partitions", len(big.Partitions))
		}
		for i, p := range big.Partitions {
			if p.Placement.Partition.Number != i || len(p.Placement.Nodes) != 2 || p.Placement.Revision == 0 || p.Leader.Partition.Number != i {
				t.Fatalf("partition %d is %+v", i, p)
			}
		}
		if len(v.PlacedOn(2)) != partitions || len(v.PlacedOn(3)) != 0 {
			t.Fatalf("%d placed on node 2, %d on node 3", len(v.PlacedOn(2)), len(v.PlacedOn(3)))
		}
		return
	}
}

func testCreateBad(t *testing.T, connect func(*testing.T) meta.Store) {
	s := connect(t)
	for name, spoil := range map[string]func(*meta.Namespace, []meta.Placement) []meta.Placement{
		"name":              func(ns *meta.Namespace, p []meta.Placement) []meta.Placement { ns.Name = "a-b"; return p },
		"no partitions":     func(ns *meta.Namespace, p []meta.Placement) []meta.Placement { ns.Partitions = 0; return nil },
		"replicas":          func(ns *meta.Namespace, p []meta.Placement) []meta.Placement { ns.Replicas = 6; return p },
		"hash":              func(ns *meta.Namespace, p []meta.Placement) []meta.Placement { ns.PartitionHash = "md5"; return p },
		"read mode":         func(ns *meta.Namespace, p []meta.Placement) []meta.Placement { ns.ReadMode = "dirty"; return p },
		"conflict policy":   func(ns *meta.Namespace, p []meta.Placement) []meta.Placement { ns.ConflictPolicy = "mine"; return p },
		"magic":             func(ns *meta.Namespace, p []meta.Placement) []meta.Placement { ns.MagicCode = 0; return p },
		"missing placement": func(_ *meta.Namespace, p []meta.Placement) []meta.Placement { return p[1:] },
		"order":             func(_ *meta.Namespace, p []meta.Placement) []meta.Placement { p[0], p[1] = p[1], p[0]; return p },
		"node twice": func(_ *meta.Namespace, p []meta.Placement) []meta.Placement {
			p[0].Nodes[1] = p[0].Nodes[0]
			return p
		},
		"raft id twice": func(_ *meta.Namespace, p []meta.Placement) []meta.Placement { p[0].RaftIDs[2] = 1; return p },
		"no raft id":    func(_ *meta.Namespace, p []meta.Placement) []meta.Placement { delete(p[0].RaftIDs, 2); return p },
	} {
		ns, placements := Namespace("bad", 2, 3)
		if _, err := s.CreateNamespace(t.Context(), ns, spoil(&ns, placements)); err == nil {
			t.Errorf("%s: created", name)
		}
	}
}

func testLeader(t *testing.T, connect func(*testing.T) meta.Store) {
	s := connect(t)
	ns, placements := Namespace("default", 2, 3)
	must[meta.Namespace](t)(s.CreateNamespace(t.Context(), ns, placements))
	id := meta.PartitionID{Namespace: "default", Number: 1}
	set := func(node meta.NodeID, term uint64, want error) {
		t.Helper()
		if err := s.SetLeader(t.Context(), meta.Leader{Partition: id, Node: node, Term: term}); !errors.Is(err, want) {
			t.Fatalf("node %d, term %d: got %v, want %v", node, term, err, want)
		}
	}
	set(2, 5, nil)
	set(2, 5, nil)
	set(3, 5, meta.ErrStale)
	set(3, 4, meta.ErrStale)
	set(3, 6, nil)
	v := Until(t, connect(t), "the leader of term 6", func(v *meta.View) bool {
		p := v.Partition(id)
		return p != nil && p.Leader.Term == 6
	})
	if l := v.Partition(id).Leader; l != (meta.Leader{Partition: id, Node: 3, Term: 6}) {
		t.Fatalf("leader %+v", l)
	}
	if l := v.Namespaces["default"].Partitions[0].Leader; l.Node != 0 || v.LeaderNode(l.Partition) != nil {
		t.Fatalf("partition 0 has leader %+v", l)
	}
}

func testLeaderOfNothing(t *testing.T, connect func(*testing.T) meta.Store) {
	s := connect(t)
	ns, placements := Namespace("default", 2, 1)
	must[meta.Namespace](t)(s.CreateNamespace(t.Context(), ns, placements))
	for _, id := range []meta.PartitionID{{Namespace: "none", Number: 0}, {Namespace: "default", Number: 2}} {
		wantIs(t, s.SetLeader(t.Context(), meta.Leader{Partition: id, Node: 1, Term: 1}), meta.ErrNotFound)
	}
}

func testLeaderRace(t *testing.T, connect func(*testing.T) meta.Store) {
	stores := []meta.Store{connect(t), connect(t)}
	ns, placements := Namespace("default", 1, 1)
	must[meta.Namespace](t)(stores[0].CreateNamespace(t.Context(), ns, placements))
	id := meta.PartitionID{Namespace: "default"}
	const terms = 20
	var wg sync.WaitGroup
	for term := uint64(1); term <= terms; term++ {
		wg.Go(func() {
			err := stores[term%2].SetLeader(t.Context(), meta.Leader{Partition: id, Node: meta.NodeID(term), Term: term})
			if err != nil && !errors.Is(err, meta.ErrStale) {
				t.Errorf("term %d: %v", term, err)
			}
		})
	}
	wg.Wait()
	Until(t, stores[0], "the highest term", func(v *meta.View) bool {
		p := v.Partition(id)
		return p != nil && p.Leader.Term == terms && p.Leader.Node == terms
	})
}

func testWatch(t *testing.T, connect func(*testing.T) meta.Store) {
	s, watcher := connect(t), connect(t)
	ctx, cancel := context.WithCancel(t.Context())
	slow := watcher.Watch(ctx) // not read until everything has happened
	ns, placements := Namespace("default", 1, 1)
	must[meta.Namespace](t)(s.CreateNamespace(t.Context(), ns, placements))
	id := meta.PartitionID{Namespace: "default"}
	const last = 50
	for term := uint64(1); term <= last; term++ {
		if err := s.SetLeader(t.Context(), meta.Leader{Partition: id, Node: 1, Term: term}); err != nil {
			t.Fatal(err)
		}
	}
	v := Until(t, watcher, "the last term", func(v *meta.View) bool {
		p := v.Partition(id)
		return p != nil && p.Leader.Term == last
	})
	got := <-slow
	if got != v { // taken while the last one was being handed out
		got = <-slow
	}
	if got != v {
		t.Fatalf("a slow watcher gets revision %d, want the last, %d", got.Revision, v.Revision)
	}
	if watcher.View() != v {
		t.Fatal("View isn't the last one")
	}
	cancel()
	for range slow { // ends when the channel is closed
	}
}

func testImmutable(t *testing.T, connect func(*testing.T) meta.Store) {
	s := connect(t)
	ns, placements := Namespace("default", 1, 1)
	must[meta.Namespace](t)(s.CreateNamespace(t.Context(), ns, placements))
	before := Until(t, s, "the namespace", func(v *meta.View) bool { return v.Namespaces["default"] != nil })
	id := meta.PartitionID{Namespace: "default"}
	if err := s.SetLeader(t.Context(), meta.Leader{Partition: id, Node: 1, Term: 1}); err != nil {
		t.Fatal(err)
	}
	node, _ := register(t, s)
	Until(t, s, "leader and node", func(v *meta.View) bool { return v.Partition(id).Leader.Term == 1 && v.Nodes[node] != nil })
	if before.Partition(id).Leader.Term != 0 || len(before.Nodes) != 0 {
		t.Fatalf("a view from before shows %+v and %d nodes", before.Partition(id).Leader, len(before.Nodes))
	}
}

func testClosed(t *testing.T, connect func(*testing.T) meta.Store) {
	s := connect(t)
	register(t, s)
	Until(t, s, "a node", func(v *meta.View) bool { return len(v.Nodes) == 1 })
	views := s.Watch(t.Context())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range views { // ends when the channel is closed
	}
	if len(s.View().Nodes) != 1 {
		t.Fatal("the last view is gone")
	}
	if _, ok := <-s.Watch(t.Context()); ok {
		t.Fatal("a closed store delivered a view")
	}
	_, err := s.AllocateNodeID(t.Context())
	wantIs(t, err, meta.ErrClosed)
}
