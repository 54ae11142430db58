package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/engine"
)

// readFullRows is readRows, tombstones included.
func readFullRows(t testing.TB, s *Store, afterKey string, limit int) (rows []event.Mutation) {
	t.Helper()
	snap := s.Snapshot()
	defer snap.Close()
	r, err := snap.FullRows([]byte(afterKey))
	must(t, err)
	defer r.Close()
	r.limit = limit
	for {
		part, err := r.Next()
		if errors.Is(err, io.EOF) {
			return rows
		}
		must(t, err)
		var ev event.Event
		must(t, event.Decode(event.Append(nil, &event.Event{Time: 7, Term: 1, Mutations: part}), &ev))
		rows = append(rows, ev.Mutations...)
	}
}

// register is one thing that a full sync has to bring: what a key is, or is no more, or the version of an element.
type register struct{ key, sub, what string }

func head(m *event.Meta, count uint64) string {
	return fmt.Sprint(m.Type, m.Version, m.Floor, m.ExpireAt, m.ExpiryVersion, m.Generation, count, string(m.Value))
}

// registers are all that the model has above a watermark, of keys above afterKey.
func (w *world) registers(afterKey string, watermark int64) map[register]bool {
	all := map[register]bool{}
	for key, m := range w.keys {
		all[register{key, "", head(&m, m.Count)}] = true
		for sub, e := range w.items[key] {
			if m.Type > event.TypeString {
				version := e.version
				if m.Type == event.TypeList {
					version = event.Version{}
				}
				all[register{key, sub, fmt.Sprint("is ", e.value, e.score, version)}] = true
			}
		}
	}
	for key, m := range w.tombstones {
		if !m.Forgotten(watermark) {
			all[register{key, "", head(&m, 0)}] = true
		}
	}
	for key, subs := range w.dead {
		m, live := w.keys[key]
		floor := w.tombstones[key].Floor
		if live {
			floor = m.Floor
		}
		for sub, v := range subs {
			if v.Time > watermark && v.Time > floor.Time && (!live || graveOps[m.Type] != 0) {
				all[register{key, sub, fmt.Sprint("was ", v)}] = true
			}
		}
	}
	for r := range all {
		if r.key <= afterKey && afterKey != "" {
			delete(all, r)
		}
	}
	return all
}

// registersOf are those that rows bring.
func registersOf(t testing.TB, rows []event.Mutation) map[register]bool {
	t.Helper()
	all := map[register]bool{}
	last := ""
	for i := range rows {
		m := &rows[i]
		key := string(m.Key)
		begins := m.Op == event.OpSet || m.Op == event.OpDel || m.Whole
		if key < last || i > 0 && begins && key == last {
			t.Fatalf("row %d, %s of %q, after one of %q", i, m.Op, key, last)
		}
		last = key
		meta := event.Meta{
			Type: m.Type, Version: m.Version, Floor: m.Floor, ExpireAt: m.ExpireAt, ExpiryVersion: m.ExpiryVersion, Generation: m.Generation, Value: m.Value,
		}
		switch {
		case m.Op == event.OpDel:
			meta.Type = event.TypeNone
			all[register{key, "", head(&meta, 0)}] = true
		case m.Op == event.OpSet, m.Op.Removes():
		case i+1 == len(rows) || string(rows[i+1].Key) != key || rows[i+1].Op != m.Op:
			all[register{key, "", head(&meta, m.Count)}] = true
		}
		if m.Op == event.OpSet {
			all[register{key, "", head(&meta, 0)}] = true
		}
		for j := range m.Elements {
			e := &m.Elements[j]
			if j > 0 && bytes.Compare(m.Elements[j-1].Sub, e.Sub) >= 0 {
				t.Fatalf("row %d: %q after %q", i, e.Sub, m.Elements[j-1].Sub)
			}
			what := fmt.Sprint("is ", string(e.Value), e.Score, e.Prev)
			if m.Op.Removes() {
				what = fmt.Sprint("was ", e.Prev)
			}
			if m.Type != event.TypeBitmap || len(e.Value) > 0 {
				all[register{key, string(e.Sub), what}] = true
			}
		}
	}
	return all
}

// TestFullRows: rows and tombstones of random stores are all that the model has, above watermarks, from the beginning and from anywhere, however they are
// cut; expired keys are there.
func TestFullRows(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 5))
		w := newWorld()
		w.replicates = true
		s := openStore(t, memEngine(t), nil)
		a := s.NewApply()
		watermark := int64(0)
		for step := range 60 {
			for range 1 + r.IntN(4) {
				gather(t, a, w.step(r))
			}
			if step%20 == 19 {
				w.begin()
				watermark = max(watermark, w.clock-r.Int64N(4000))
				w.ev.Own = append(w.ev.Own, Watermark(watermark))
				gather(t, a, w.end())
			}
			must(t, a.Commit())
			limit := []int{1, 100, 1000, rowsBytes}[r.IntN(4)]
			after := ""
			if r.IntN(2) == 0 {
				after = universe[r.IntN(len(universe))]
			}
			got, want := registersOf(t, readFullRows(t, s, after, limit)), w.registers(after, watermark)
			if !maps.Equal(got, want) {
				t.Fatalf("seed %d step %d after %q, watermark %d:\n%s", seed, step, after, watermark, differences(got, want))
			}
		}
	}
}

func differences(got, want map[register]bool) string {
	var b bytes.Buffer
	for r := range got {
		if !want[r] {
			fmt.Fprintf(&b, "too much: %+q\n", r)
		}
	}
	for r := range want {
		if !got[r] {
			fmt.Fprintf(&b, "missing: %+q\n", r)
		}
	}
	return b.String()
}

// TestFullRowsOfManyTombstones: below a watermark they take no time that nobody is told of, and no memory.
func TestFullRowsOfManyTombstones(t *testing.T) {
	s := openStore(t, memEngine(t), nil)
	w := newWorld()
	a := s.NewApply()
	w.begin()
	w.ev.Own = append(w.ev.Own, Watermark(1000))
	gather(t, a, w.end())
	must(t, a.Commit())
	b := fillTombstones(3*visitedAtOnce, 10)
	must(t, s.engine.Write(b))
	snap := s.Snapshot()
	defer snap.Close()
	r, err := snap.FullRows(nil)
	must(t, err)
	defer r.Close()
	calls := 0
	for {
		rows, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		if calls++; len(rows) != 0 {
			t.Fatalf("%d rows", len(rows))
		}
	}
	if calls < 3 {
		t.Fatalf("%d calls for %d tombstones", calls, 3*visitedAtOnce)
	}
}

// fillTombstones are n tombstones of one key's elements.
func fillTombstones(n int, at int64) *engine.Batch {
	var b engine.Batch
	for i := range n {
		b.Put(appendElementTombstoneKey(nil, []byte("h"), fmt.Append(nil, i)), appendElement(nil, &element{version: version(at)}))
	}
	return &b
}
