package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/zankv/zankv/cdc/event"
)

// readRows reads all rows above afterKey, through the logged form as a reader outside gets them, in steps and mutations of about limit bytes.
func readRows(t testing.TB, s *Store, afterKey string, limit int) (rows []event.Mutation) {
	t.Helper()
	snap := s.Snapshot()
	defer snap.Close()
	r, err := snap.Rows([]byte(afterKey))
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

// foldsTo checks that rows give exactly the model's live keys above afterKey.
func foldsTo(t testing.TB, w *world, rows []event.Mutation, afterKey string) {
	t.Helper()
	var fold event.Fold
	versions := map[string]map[string]event.Version{}
	last := ""
	for i := range rows {
		m := &rows[i]
		if string(m.Key) < last || m.Op != event.OpSet && m.Whole == (string(m.Key) == last) {
			t.Fatalf("row %d is of %q, whole: %v, after %q", i, m.Key, m.Whole, last)
		}
		last = string(m.Key)
		fold.Apply(m)
		for j := range m.Elements {
			e := &m.Elements[j]
			if versions[last] == nil {
				versions[last] = map[string]event.Version{}
			}
			if e.Exists && m.Type == event.TypeZSet && e.Was != e.Score {
				t.Fatalf("%q: %q was %v, is %v", m.Key, e.Sub, e.Was, e.Score)
			}
			if e.Exists == (m.Type == event.TypeList) && len(w.items[last]) > 0 {
				t.Fatalf("%q: %q exists: %v", m.Key, e.Sub, e.Exists)
			}
			versions[last][string(e.Sub)] = e.Prev
		}
	}
	must(t, fold.Err())
	n := 0
	for key, want := range w.keys {
		if want.Expired(w.ev.Wall) || key <= afterKey && afterKey != "" {
			continue
		}
		n++
		got, ok := fold.Get([]byte(key))
		if !ok || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%q is %+v (%v) in the rows, want %+v", key, got, ok, want)
		}
		equalElements(t, &fold, key, &want, w.items[key], versions[key])
	}
	if n != fold.Len() {
		t.Fatalf("%d keys in the rows, want %d", fold.Len(), n)
	}
}

func equalElements(t testing.TB, fold *event.Fold, key string, m *event.Meta, want map[string]item, versions map[string]event.Version) {
	t.Helper()
	n := 0
	for e := range fold.Elements([]byte(key)) {
		n++
		version := versions[string(e.Sub)]
		if m.Type == event.TypeList { // the key's is the items'
			version = want[string(e.Sub)].version
		}
		if got := (item{version: version, value: string(e.Value), score: e.Score}); got != want[string(e.Sub)] {
			t.Fatalf("%s %q: %q is %v in the rows, want %v", m.Type, key, e.Sub, got, want[string(e.Sub)])
		}
	}
	if m.Type > event.TypeString && n != len(want) {
		t.Fatalf("%s %q: %d elements in the rows, want %d", m.Type, key, n, len(want))
	}
}

// TestRowsFoldToTheState reads random stores as rows, cut finely and coarsely, from the beginning and from anywhere.
func TestRowsFoldToTheState(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 3))
		w := newWorld()
		w.replicates = seed%2 == 1
		s := openStore(t, memEngine(t), nil)
		a := s.NewApply()
		for range 60 {
			for range 1 + r.IntN(4) {
				gather(t, a, w.step(r))
			}
			must(t, a.Commit())
			limit := []int{1, 100, 1000, rowsBytes}[r.IntN(4)]
			foldsTo(t, w, readRows(t, s, "", limit), "")
			if keys := sortedKeys(w.keys); len(keys) > 0 {
				after := keys[r.IntN(len(keys))]
				foldsTo(t, w, readRows(t, s, after, limit), after)
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// TestRowsOfLargeCollections: a collection is cut where its content says, whatever lies before it, and no step is larger than
// two cuts and an element.
func TestRowsOfLargeCollections(t *testing.T) {
	w, s := newWorld(), openStore(t, memEngine(t), nil)
	a := s.NewApply()
	for i, op := range []event.Op{event.OpHSet, event.OpSAdd, event.OpZAdd, event.OpRPush, event.OpBits} {
		w.begin()
		m, all := w.change(op, fmt.Sprint("large", i), true)
		for j := range 3000 {
			e := event.Element{Sub: fmt.Appendf(nil, "%0100d", j), Value: bytes.Repeat([]byte{1}, 200)}
			switch op {
			case event.OpZAdd:
				e.Value, e.Score = nil, float64(-j)
			case event.OpSAdd:
				e.Value = nil
			case event.OpBits:
				e.Sub = binary.BigEndian.AppendUint32(nil, uint32(j))
			}
			w.element(&m, all, e)
		}
		w.finish(m, all, len(all))
		gather(t, a, w.end())
		must(t, a.Commit())
	}
	all := readRows(t, s, "", rowsBytes)
	foldsTo(t, w, all, "")
	if len(all) < 10 {
		t.Fatalf("%d rows: nothing was cut", len(all))
	}
	rest := readRows(t, s, "large2", rowsBytes)
	from := slices.IndexFunc(all, func(m event.Mutation) bool { return string(m.Key) > "large2" })
	if fmt.Sprint(rest) != fmt.Sprint(all[from:]) {
		t.Error("cut otherwise when the reading began with another key")
	}
	for i := range all {
		if n := len(event.Append(nil, &event.Event{Mutations: all[i : i+1]})); n > rowsBytes+1000 {
			t.Errorf("%q: a mutation of %d bytes", all[i].Key, n)
		}
	}
}

// TestRowsRefuseWhatDoesNotAgree: a count that isn't the number of elements is damage, not content.
func TestRowsRefuseWhatDoesNotAgree(t *testing.T) {
	e, w := memEngine(t), newWorld()
	s := openStore(t, e, nil)
	a := s.NewApply()
	w.begin()
	m, all := w.change(event.OpHSet, "h", true)
	w.element(&m, all, event.Element{Sub: []byte("f"), Value: []byte("v")})
	w.finish(m, all, 2)
	gather(t, a, w.end())
	must(t, a.Commit())
	snap := s.Snapshot()
	defer snap.Close()
	r, err := snap.Rows(nil)
	must(t, err)
	defer r.Close()
	if rows, err := r.Next(); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("%v, %v; want ErrCorrupt", rows, err)
	}
}
