package meta

import (
	"errors"
	"testing"
)

func testNamespace(name string) *Namespace {
	ns := DefaultNamespace()
	ns.Name, ns.Partitions, ns.Replicas = name, 2, 1
	return &ns
}

// A namespace is shown with all placements or not at all, in whatever order they come and go.
func TestBuilderHoldsBack(t *testing.T) {
	b := NewBuilder()
	ids := []PartitionID{{"a", 0}, {"a", 1}}
	shown := func(want bool, wantErr bool) {
		t.Helper()
		v, errs := b.View(1)
		if (v.Namespaces["a"] != nil) != want || (len(errs) > 0) != wantErr {
			t.Fatalf("shown: %v, errors %v; want %v, %v", v.Namespaces["a"] != nil, errs, want, wantErr)
		}
		if wantErr && !errors.Is(errs[0], ErrCorrupt) {
			t.Fatalf("got %v, want %v", errs[0], ErrCorrupt)
		}
	}
	b.SetPlacement(ids[0], &Placement{Partition: ids[0]})
	b.SetLeader(ids[1], &Leader{Partition: ids[1], Node: 3, Term: 9})
	shown(false, false)
	b.SetNamespace("a", testNamespace("a"))
	shown(false, true)
	b.SetPlacement(ids[1], &Placement{Partition: ids[1]})
	shown(true, false)
	if v, _ := b.View(1); v.Partition(ids[1]).Leader.Node != 3 || v.Partition(ids[0]).Leader.Partition != ids[0] {
		t.Fatalf("leaders %+v", v.Namespaces["a"].Partitions)
	}
	b.SetPlacement(ids[0], nil)
	shown(false, true)
	b.SetNamespace("a", nil)
	shown(false, false)
	b.SetPlacement(ids[1], nil)
	b.SetLeader(ids[1], nil)
	shown(false, false)
	if len(b.namespaces) != 0 {
		t.Fatalf("%d namespaces of which nothing is left are kept", len(b.namespaces))
	}
}

func TestPartitionOutside(t *testing.T) {
	b := NewBuilder()
	b.SetNamespace("a", testNamespace("a"))
	for i := range 2 {
		id := PartitionID{"a", i}
		b.SetPlacement(id, &Placement{Partition: id})
	}
	v, _ := b.View(1)
	for _, id := range []PartitionID{{"a", -1}, {"a", 2}, {"b", 0}} {
		if v.Partition(id) != nil || v.LeaderNode(id) != nil {
			t.Errorf("%v was found", id)
		}
	}
}

func TestParsePartitionID(t *testing.T) {
	for _, id := range []PartitionID{{"default", 0}, {"a_B9", 1022}} {
		if got, err := ParsePartitionID(id.String()); err != nil || got != id {
			t.Errorf("%s: got %v, %v", id, got, err)
		}
	}
	for _, s := range []string{"", "a", "a-", "-1", "a-x", "a--1", "a-01", "a-1023", "a-1-2", "é-1"} {
		if got, err := ParsePartitionID(s); err == nil {
			t.Errorf("%q: got %v", s, got)
		}
	}
}

// Views go forward only, and a watcher finds the last one whatever it missed.
func TestPublisher(t *testing.T) {
	p := NewPublisher()
	ch := p.Watch(t.Context())
	select {
	case v := <-ch:
		t.Fatalf("got %+v before the first view", v)
	default:
	}
	for _, revision := range []int64{1, 5, 4, 5} {
		p.Publish(&View{Revision: revision})
	}
	if v := <-ch; v.Revision != 5 || p.View() != v {
		t.Fatalf("got revision %d, want 5", v.Revision)
	}
	if v := <-p.Watch(t.Context()); v.Revision != 5 {
		t.Fatalf("a new watcher gets revision %d, want 5", v.Revision)
	}
	p.Close()
	p.Publish(&View{Revision: 6})
	if _, ok := <-ch; ok || p.View().Revision != 5 {
		t.Fatal("published after Close")
	}
}
