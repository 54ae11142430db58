package event

import (
	"bytes"
	"testing"
)

// The chain changes with whatever a line shows, and with nothing else.
func TestChainCoversWhatLinesShow(t *testing.T) {
	build := func(change func(st *Stamp, ev *Event, m *Mutation)) (Chain, []byte) {
		st := Stamp{Cluster: "dc-a", Namespace: "default", Partition: 3, Position: Position{2, 9}, Prev: Position{2, 8}, PrevChain: Chain{1}}
		ev := &Event{Time: 100, Wall: 1, Term: 2, Mutations: []Mutation{{Op: OpSet, Type: TypeString, Key: []byte("k"), Value: []byte("v"), ExpireAt: 7,
			Version: Version{100, 1}, Prev: Version{50, 2}, Floor: Version{100, 1}, Group: 1, Command: "set",
			Origin: &Origin{Cluster: 2, Partition: 1, Position: Position{1, 1}}}, {Op: OpDel, Key: []byte("l")}}}
		change(&st, ev, &ev.Mutations[0])
		var scratch Scratch
		names := Names{"", "dc-a", "dc-b"}
		var lines []byte
		for i := range ev.Mutations {
			lines = AppendJSON(lines, &st, ev, i, names)
		}
		return NextChain(st.PrevChain, &st, ev, names, &scratch), lines
	}
	chain, lines := build(func(*Stamp, *Event, *Mutation) {})
	for name, change := range map[string]func(st *Stamp, ev *Event, m *Mutation){
		"cluster":      func(st *Stamp, ev *Event, m *Mutation) { st.Cluster = "dc-c" },
		"namespace":    func(st *Stamp, ev *Event, m *Mutation) { st.Namespace = "other" },
		"partition":    func(st *Stamp, ev *Event, m *Mutation) { st.Partition = 4 },
		"term":         func(st *Stamp, ev *Event, m *Mutation) { st.Position.Term = 3 },
		"index":        func(st *Stamp, ev *Event, m *Mutation) { st.Position.Index = 10 },
		"prev term":    func(st *Stamp, ev *Event, m *Mutation) { st.Prev.Term = 1 },
		"prev index":   func(st *Stamp, ev *Event, m *Mutation) { st.Prev.Index = 7 },
		"time":         func(st *Stamp, ev *Event, m *Mutation) { ev.Time++ },
		"one mutation": func(st *Stamp, ev *Event, m *Mutation) { ev.Mutations = ev.Mutations[:1] },
		"order": func(st *Stamp, ev *Event, m *Mutation) {
			ev.Mutations[0], ev.Mutations[1] = ev.Mutations[1], ev.Mutations[0]
		},
		"op":               func(st *Stamp, ev *Event, m *Mutation) { m.Op = OpValue },
		"type":             func(st *Stamp, ev *Event, m *Mutation) { m.Type = TypeHash },
		"key":              func(st *Stamp, ev *Event, m *Mutation) { m.Key = []byte("kv") },
		"value":            func(st *Stamp, ev *Event, m *Mutation) { m.Value = nil },
		"expiry":           func(st *Stamp, ev *Event, m *Mutation) { m.ExpireAt = 8 },
		"no expiry":        func(st *Stamp, ev *Event, m *Mutation) { m.ExpireAt = 0 },
		"version's time":   func(st *Stamp, ev *Event, m *Mutation) { m.Version.Time++ },
		"version":          func(st *Stamp, ev *Event, m *Mutation) { m.Version.Cluster = 2 },
		"no version":       func(st *Stamp, ev *Event, m *Mutation) { m.Version = Version{} },
		"prev":             func(st *Stamp, ev *Event, m *Mutation) { m.Prev.Time = 51 },
		"no prev":          func(st *Stamp, ev *Event, m *Mutation) { m.Prev = Version{} },
		"group":            func(st *Stamp, ev *Event, m *Mutation) { m.Group = 2 },
		"command":          func(st *Stamp, ev *Event, m *Mutation) { m.Command = "incr" },
		"no origin":        func(st *Stamp, ev *Event, m *Mutation) { m.Origin = nil },
		"origin's cluster": func(st *Stamp, ev *Event, m *Mutation) { m.Origin.Cluster = 1 },
		"origin's place":   func(st *Stamp, ev *Event, m *Mutation) { m.Origin.Partition = 2 },
		"origin's term":    func(st *Stamp, ev *Event, m *Mutation) { m.Origin.Position.Term = 2 },
		"origin's index":   func(st *Stamp, ev *Event, m *Mutation) { m.Origin.Position.Index = 2 },
	} {
		if c, l := build(change); c == chain || bytes.Equal(l, lines) {
			t.Errorf("%s: the chain changed %v, the lines %v, want both", name, c != chain, !bytes.Equal(l, lines))
		}
	}
	for name, change := range map[string]func(st *Stamp, ev *Event, m *Mutation){
		"term and wall": func(st *Stamp, ev *Event, m *Mutation) { ev.Term, ev.Wall = 7, 7 },
		"own rows":      func(st *Stamp, ev *Event, m *Mutation) { ev.Own = []OwnChange{{Kind: OwnRole}} },
		"before":        func(st *Stamp, ev *Event, m *Mutation) { m.Before = Before{Exists: true, Value: []byte("x")} },
		"floor": func(st *Stamp, ev *Event, m *Mutation) {
			m.Floor, m.ExpiryVersion, m.Tombstone = Version{}, Version{9, 9}, true
		},
		"generation":   func(st *Stamp, ev *Event, m *Mutation) { m.Generation, m.Count = 3, 3 },
		"hidden value": func(st *Stamp, ev *Event, m *Mutation) { ev.Mutations[1].Value = []byte("not shown of a del") },
	} {
		if c, l := build(change); c != chain || !bytes.Equal(l, lines) {
			t.Errorf("%s: the chain changed %v, the lines %v, want neither", name, c != chain, !bytes.Equal(l, lines))
		}
	}
	if c, _ := build(func(st *Stamp, _ *Event, _ *Mutation) { st.PrevChain = Chain{2} }); c == chain {
		t.Error("the chain doesn't depend on the one before")
	}
}

// The chain is a format: these values never change.
func TestChainGolden(t *testing.T) {
	st := Stamp{Cluster: "dc-a", Namespace: "default", Partition: 3, Position: Position{2, 9}, Prev: Position{2, 8}}
	ev := &Event{Time: 100, Mutations: []Mutation{{Op: OpSet, Type: TypeString, Key: []byte("k"), Value: []byte("v"), Version: Version{100, 1}, Command: "set"}}}
	var scratch Scratch
	got := NextChain(Chain{}, &st, ev, Names{"", "dc-a"}, &scratch)
	if want := "c239074788f92c6644ef3db05751ad45fb6b80cabeb083059ff5cae3d06b1a13"; got.String() != want {
		t.Fatalf("got %s, want %s", got, want)
	}
}
