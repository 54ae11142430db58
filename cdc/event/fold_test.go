package event

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// life is what the test believes of one key: the other reading of what mutations mean, in the most obvious form.
type life struct {
	meta     Meta
	last     Version // of the last mutation of its content: for collections, what lines show instead of meta.Version
	elements map[string]Folded
	list     []Folded
}

// lives makes valid mutations, as commands do, over few keys.
type lives struct {
	r     *rand.Rand
	keys  map[string]*life
	clock int64
}

func (w *lives) mutate() (m Mutation) {
	w.clock += 1 + int64(w.r.IntN(5))
	m.Key = draw(w.r, []byte("a"), []byte("b:\n"), []byte("\xff"))
	m.Version = Version{w.clock, 1}
	k := w.keys[string(m.Key)]
	if k != nil {
		m.Prev = k.meta.Version
		m.Before = Before{Exists: true, Type: k.meta.Type, ExpireAt: k.meta.ExpireAt, Generation: k.meta.Generation}
	}
	switch n := w.r.IntN(20); {
	case n == 0:
		m.Op, m.Type, m.Value, m.Floor, m.ExpiryVersion = OpSet, TypeString, []byte("v"), m.Version, m.Version
		w.keys[string(m.Key)] = &life{last: m.Version, meta: Meta{Type: TypeString, Version: m.Version, Floor: m.Version, ExpiryVersion: m.Version, Value: []byte("v")}}
	case n == 1:
		m.Op, m.Floor, m.ExpiryVersion = draw(w.r, OpDel, OpExpire), m.Version, m.Version
		delete(w.keys, string(m.Key))
	case n == 2 && k != nil:
		m.Op, m.Type, m.Floor, m.ExpireAt, m.ExpiryVersion = OpExpireAt, k.meta.Type, k.meta.Floor, w.clock+int64(w.r.IntN(40)), m.Version
		m.Generation, m.Count = k.meta.Generation, k.meta.Count
		k.meta.ExpireAt, k.meta.ExpiryVersion = m.ExpireAt, m.Version
	default:
		w.change(&m, k)
	}
	return m
}

// change makes an op on elements: of the key as it is, or of a new one where it is absent, expired or of another type.
func (w *lives) change(m *Mutation, k *life) {
	m.Op = OpHSet + Op(w.r.IntN(14))
	m.Type = m.Op.ElementType()
	m.KeyVersion = Version{m.Version.Time + draw[int64](w.r, 0, 0, 2), 1} // what comes from elsewhere may be older than what is there
	if k != nil {
		m.Floor = k.meta.Floor
	}
	expired := k != nil && k.meta.Expired(w.clock)
	if k == nil || expired || k.meta.Type != m.Type || w.r.IntN(10) == 0 && !m.Op.Removes() {
		if m.Op.Removes() || m.Op == OpLSet || m.Op == OpLInsert {
			m.Op = map[Type]Op{TypeHash: OpHSet, TypeList: OpLPush, TypeSet: OpSAdd, TypeZSet: OpZAdd, TypeBitmap: OpBits}[m.Type]
		}
		if m.Whole = k != nil && !expired; m.Whole {
			m.Floor = m.Version
		}
		m.ExpiryVersion = m.Version
		m.Generation = uint64(m.Version.Time)
		k = &life{elements: map[string]Folded{}}
	} else {
		m.Generation, m.ExpireAt, m.ExpiryVersion = k.meta.Generation, k.meta.ExpireAt, k.meta.ExpiryVersion
	}
	w.keys[string(m.Key)] = k
	if m.Type == TypeList {
		w.changeList(m, k)
		m.Count = uint64(len(k.list))
	} else {
		w.changeMap(m, k)
		m.Count = uint64(len(k.elements))
	}
	if m.Type == TypeBitmap {
		m.Count = draw[uint64](w.r, 1, 512, 100000)
	}
	m.Value = draw(w.r, nil, []byte("kept by its type"))
	k.last = m.Version
	k.meta = Meta{Type: m.Type, Version: m.KeyVersion, Floor: m.Floor, ExpireAt: m.ExpireAt, ExpiryVersion: m.ExpiryVersion, Generation: m.Generation, Count: m.Count, Value: m.Value}
	if m.Count == 0 {
		delete(w.keys, string(m.Key))
	}
}

func (w *lives) changeMap(m *Mutation, k *life) {
	subs := []string{"", "f", "ü", "\xfe", "g"}
	if m.Op == OpBits {
		subs = []string{segment(0), segment(7), segment(1 << 20)}
	}
	if m.Op.Removes() {
		subs = slices.Sorted(maps.Keys(k.elements))
	}
	w.r.Shuffle(len(subs), func(i, j int) { subs[i], subs[j] = subs[j], subs[i] })
	for _, sub := range subs[:1+w.r.IntN(len(subs))] {
		old, ok := k.elements[sub]
		e := Element{Sub: []byte(sub), Prev: old.Version, Exists: ok, Was: old.Score}
		switch m.Op {
		case OpHSet, OpBits:
			e.Value = draw(w.r, nil, []byte("1"), []byte("\xfd\x00"))
		case OpZAdd:
			e.Score = draw(w.r, 0, -1.25, 1e300)
		}
		m.Elements = append(m.Elements, e)
		delete(k.elements, sub)
		if !m.Op.Removes() && (m.Op != OpBits || len(e.Value) > 0) {
			k.elements[sub] = Folded{Sub: e.Sub, Value: e.Value, Score: e.Score, Version: m.Version}
		}
	}
}

func segment(n uint32) string { return string(binary.BigEndian.AppendUint32(nil, n)) }

func (w *lives) changeList(m *Mutation, k *life) {
	n := 1 + w.r.IntN(3)
	if m.Op.Removes() || m.Op == OpLSet {
		n = min(n, len(k.list))
	}
	if m.Op == OpLInsert {
		n = 1
	}
	at := w.r.IntN(len(k.list) + 1)
	for i := range n {
		item := Folded{Sub: fmt.Appendf(nil, "%d.%d", w.clock, i), Value: draw(w.r, nil, []byte("x"), []byte("\xff")), Version: m.Version}
		e := Element{Sub: item.Sub, Value: item.Value}
		switch m.Op {
		case OpLPush:
			k.list = slices.Insert(k.list, 0, item)
		case OpRPush:
			k.list = append(k.list, item)
		case OpLInsert:
			e.Index = int64(at)
			k.list = slices.Insert(k.list, at, item)
		case OpLSet:
			at = min(at, len(k.list)-n)
			e.Index = int64(at + i)
			k.list[at+i] = item
		case OpLPop:
			e = Element{Sub: k.list[0].Sub}
			k.list = k.list[1:]
		case OpRPop:
			e = Element{Sub: k.list[len(k.list)-1].Sub}
			k.list = k.list[:len(k.list)-1]
		case OpLRem:
			at = min(at, len(k.list)-n+i)
			e = Element{Sub: k.list[at].Sub, Index: int64(at + i)}
			k.list = slices.Delete(k.list, at, at+1)
		}
		m.Elements = append(m.Elements, e)
	}
}

// A fold of the logged form is the state to the last version; a fold of the lines has the same content.
func TestFoldOfCollections(t *testing.T) {
	const seed = 11
	w := &lives{r: rand.New(rand.NewPCG(seed, seed)), keys: map[string]*life{}, clock: 1_000_000}
	var logged, lines Fold
	var decoded Event
	var p Parser
	var l Line
	for step := range 30_000 {
		m := w.mutate()
		ev := &Event{Time: m.Version.Time, Mutations: []Mutation{m}}
		if err := Decode(Append(nil, ev), &decoded); err != nil {
			t.Fatal(err)
		}
		logged.Event(&decoded)
		line := AppendJSON(nil, &Stamp{Cluster: "a"}, ev, 0, Names{"", "a"})
		if err := p.Parse(line, &l); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		lines.Apply(&l.Mutation)
		if err := w.differ(&logged, true); err != nil {
			t.Fatalf("seed %d, step %d: of the logged form, after %s: %v", seed, step, line, err)
		}
		if err := w.differ(&lines, false); err != nil {
			t.Fatalf("seed %d, step %d: of lines, after %s: %v", seed, step, line, err)
		}
	}
	if logged.Err() != nil || lines.Err() != nil {
		t.Fatal(logged.Err(), lines.Err())
	}
}

func (w *lives) differ(f *Fold, exact bool) error {
	if f.Len() != len(w.keys) {
		return fmt.Errorf("keys %q, want %d", f.Keys(), len(w.keys))
	}
	for key, k := range w.keys {
		got, ok := f.Get([]byte(key))
		want := k.meta
		if !exact {
			want.Version = k.last
			got, want = shown(got), shown(want)
		}
		if !ok || !reflect.DeepEqual(got, want) {
			return fmt.Errorf("%q: %+v, want %+v", key, got, want)
		}
		items := slices.Clone(k.list)
		for _, sub := range slices.Sorted(maps.Keys(k.elements)) {
			items = append(items, k.elements[sub])
		}
		i := 0
		for e := range f.Elements([]byte(key)) {
			if i >= len(items) || string(e.Value) != string(items[i].Value) || e.Score != items[i].Score || e.Version.Time != items[i].Version.Time ||
				(exact || want.Type != TypeList) && string(e.Sub) != string(items[i].Sub) {
				return fmt.Errorf("%q: element %d is %+v of %+v", key, i, e, items)
			}
			i++
		}
		if i != len(items) {
			return fmt.Errorf("%q: %d elements, want %d", key, i, len(items))
		}
	}
	return nil
}

// shown is what lines show of a meta row.
func shown(m Meta) Meta {
	if m.Type != TypeString {
		m.Value = nil
	}
	return Meta{Type: m.Type, Version: Version{Time: m.Version.Time}, ExpireAt: m.ExpireAt, Count: m.Count, Value: m.Value}
}

func TestFoldSaysWhatContradicts(t *testing.T) {
	push := Mutation{Op: OpRPush, Type: TypeList, Key: []byte("l"), Generation: 1, Count: 2, Elements: []Element{{Sub: []byte("1")}, {Sub: []byte("2")}}}
	for says, ms := range map[string][]Mutation{
		"3 items off a list of 2": {push, {Op: OpLPop, Type: TypeList, Key: []byte("l"), Generation: 1, Popped: 3}},
		"32 is removed, but 31":   {push, {Op: OpLPop, Type: TypeList, Key: []byte("l"), Generation: 1, Count: 1, Elements: []Element{{Sub: []byte("2")}}}},
		"31 is removed, but 32":   {push, {Op: OpLRem, Type: TypeList, Key: []byte("l"), Generation: 1, Count: 1, Elements: []Element{{Sub: []byte("1"), Index: 1}}}},
		"index 2 in a list of 2":  {push, {Op: OpLSet, Type: TypeList, Key: []byte("l"), Generation: 1, Count: 2, Elements: []Element{{Index: 2}}}},
		"index 7 in a list of 2":  {push, {Op: OpLRem, Type: TypeList, Key: []byte("l"), Generation: 1, Count: 2, Elements: []Element{{Index: 7}}}},
		"counts 5 elements":       {{Op: OpSAdd, Type: TypeSet, Key: []byte("s"), Generation: 1, Count: 5, Elements: []Element{{Sub: []byte("m")}}}},
		`element "m" isn't there`: {{Op: OpSRem, Type: TypeSet, Key: []byte("s"), Generation: 1, Elements: []Element{{Sub: []byte("m"), Exists: true}}}},
	} {
		var f Fold
		f.Event(&Event{Mutations: ms})
		if err := f.Err(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want one that says %q", err, says)
		}
	}
}

// What comes from another cluster may remove what isn't there, and raise the floor of a key whose content stays.
func TestFoldOfWhatAnotherClusterDid(t *testing.T) {
	var f Fold
	add := Mutation{Op: OpHSet, Type: TypeHash, Key: []byte("h"), Generation: 1, Count: 1, KeyVersion: Version{5, 1}, Elements: []Element{{Sub: []byte("f")}}}
	f.Apply(&add)
	f.Apply(&Mutation{Op: OpHDel, Type: TypeHash, Key: []byte("h"), Generation: 1, Count: 1, Version: Version{6, 2}, KeyVersion: Version{6, 2},
		Elements: []Element{{Sub: []byte("g"), Prev: Version{3, 2}}}})
	f.Apply(&Mutation{Op: OpPersist, Type: TypeHash, Key: []byte("h"), Generation: 1, Count: 1, Version: Version{4, 2}, Floor: Version{4, 2}, ExpiryVersion: Version{4, 2}})
	f.Apply(&Mutation{Op: OpExpireAt, Type: TypeHash, Key: []byte("h"), ExpireAt: 9, Version: Version{7, 2}, ExpiryVersion: Version{7, 2}}) // as a line has it
	m, ok := f.Get([]byte("h"))
	want := Meta{Type: TypeHash, Version: Version{6, 2}, Floor: Version{4, 2}, ExpireAt: 9, ExpiryVersion: Version{7, 2}, Generation: 1, Count: 1}
	if !ok || !reflect.DeepEqual(m, want) || f.Err() != nil {
		t.Fatalf("%+v, %v; want %+v", m, f.Err(), want)
	}
}

// Elements never outlive their key's type, even where nothing else says that it is another key.
func TestFoldOfAnotherType(t *testing.T) {
	var f Fold
	f.Apply(&Mutation{Op: OpSAdd, Type: TypeSet, Key: []byte("k"), Elements: []Element{{Sub: []byte("m")}}})
	f.Apply(&Mutation{Op: OpHSet, Type: TypeHash, Key: []byte("k"), Elements: []Element{{Sub: []byte("f")}}})
	if m, _ := f.Get([]byte("k")); m.Type != TypeHash || m.Count != 1 {
		t.Fatalf("%+v", m)
	}
}

// A list that is a queue takes no more memory than what is in it needs.
func TestFoldedQueueStaysSmall(t *testing.T) {
	for name, ops := range map[string][2]Op{"rpush, lpop": {OpRPush, OpLPop}, "lpush, rpop": {OpLPush, OpRPop}} {
		var f Fold
		put := Mutation{Op: ops[0], Type: TypeList, Key: []byte("q"), Elements: []Element{{Value: []byte("x")}}}
		f.Apply(&put)
		for range 10_000 {
			f.Apply(&put)
			f.Apply(&Mutation{Op: ops[1], Type: TypeList, Key: []byte("q"), Popped: 1})
		}
		if c := cap(f.keys["q"].list.all); c > 100 {
			t.Errorf("%s: room for %d items", name, c)
		}
		if got := slices.Collect(f.Elements([]byte("q"))); len(got) != 1 || !bytes.Equal(got[0].Value, []byte("x")) || f.Err() != nil {
			t.Errorf("%s: %v, %v", name, got, f.Err())
		}
	}
}
