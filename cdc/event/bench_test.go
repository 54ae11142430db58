package event

import (
	"fmt"
	"testing"
)

// benchmarks are events of one mutation, as a running cluster has them: 16 bytes of key, items and fields' values of 32 and fields and
// members of 8.
func benchmarks() map[string]*Event {
	const at = 1795255200123456789
	key, v := []byte("key:000012345678"), Version{at, 1}
	collection := func(op Op, command string, n int) *Event {
		m := Mutation{Op: op, Type: op.ElementType(), Key: key, Version: v, KeyVersion: v, Prev: Version{at - 1e9, 1}, Count: 100, Command: command,
			Generation: at - 3600_000_000_000, Before: Before{Exists: true, Type: op.ElementType(), Generation: at - 3600_000_000_000}}
		for i := range n {
			e := Element{Sub: fmt.Appendf(nil, "field%03d", i), Value: make([]byte, 32), Prev: Version{at - 60e9, 1}, Exists: true}
			for j := range e.Value {
				e.Value[j] = 'v'
			}
			if op == OpLPush {
				e.Sub, e.Prev, e.Exists = e.Sub[:4], Version{}, false
			}
			m.Elements = append(m.Elements, e)
		}
		return &Event{Time: at, Wall: at / 1000000, Term: 2, Mutations: []Mutation{m}}
	}
	set := collection(OpHSet, "set", 1)
	m := &set.Mutations[0]
	m.Op, m.Type, m.Value, m.Elements = OpSet, TypeString, m.Elements[0].Value, nil
	m.KeyVersion, m.Generation, m.Count, m.Floor, m.ExpiryVersion, m.Before = Version{}, 0, 0, v, v, Before{Exists: true, Type: TypeString}
	return map[string]*Event{"SET": set, "HSET 1": collection(OpHSet, "hset", 1), "HSET 10": collection(OpHSet, "hset", 10), "LPUSH": collection(OpLPush, "lpush", 1)}
}

func BenchmarkOps(b *testing.B) {
	st := Stamp{Cluster: "local", Namespace: "default", Position: Position{2, 100041}, Prev: Position{2, 100040}}
	names := Names{"", "local"}
	for name, ev := range benchmarks() {
		data := Append(nil, ev)
		line := AppendJSON(nil, &st, ev, 0, names)
		var got Event
		var scratch Scratch
		var chain Chain
		var p Parser
		var l Line
		for what, do := range map[string]func() error{
			"append": func() error { data = Append(data[:0], ev); return nil },
			"decode": func() error { return Decode(data, &got) },
			"chain":  func() error { chain = NextChain(chain, &st, ev, names, &scratch); return nil },
			"json":   func() error { line = AppendJSON(line[:0], &st, ev, 0, names); return nil },
			"parse":  func() error { return p.Parse(line, &l) },
		} {
			b.Run(name+"/"+what, func(b *testing.B) {
				b.ReportAllocs()
				for range b.N {
					if err := do(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// What an event costs in the log, beside what the user sent: the layout is a promise to who pays for disks.
func TestBytesInTheLog(t *testing.T) {
	for name, want := range map[string]int{"SET": 47, "HSET 1": 75, "HSET 10": 238, "LPUSH": 69} {
		ev := benchmarks()[name]
		m := &ev.Mutations[0]
		sent := len(m.Key)
		if m.Op == OpSet {
			sent += len(m.Value)
		}
		for i := range m.Elements {
			if sent += len(m.Elements[i].Value); m.Op == OpHSet {
				sent += len(m.Elements[i].Sub)
			}
		}
		if got := len(Append(nil, ev)) - sent; got != want {
			t.Errorf("%s: %d bytes beside the user's %d, want %d", name, got, sent, want)
		}
	}
}
