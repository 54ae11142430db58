package enginetest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/zankv/zankv/cluster/engine"
)

// model is what an engine should hold.
type model map[string]string

func (m model) clone() model {
	c := make(model, len(m))
	for k, v := range m {
		c[k] = v
	}
	return c
}

func (m model) between(lower, upper string) []string {
	var keys []string
	for k := range m {
		if k >= lower && (upper == "" || k < upper) {
			keys = append(keys, k)
		}
	}
	sort.Strings(keys)
	return keys
}

func (m model) text(lower, upper string) string {
	keys := m.between(lower, upper)
	for i, k := range keys {
		keys[i] = k + "=" + m[k]
	}
	return fmt.Sprint(keys)
}

// key draws from few keys of up to three letters, so that they collide and are each other's prefixes.
func key(r *rand.Rand) string {
	return strings.Repeat("abcd"[r.IntN(4):][:1], 1+r.IntN(2)) + string("xyz"[r.IntN(3)])
}

// change adds a random batch to b and to m.
func (m model) change(r *rand.Rand, b *engine.Batch, padding int) {
	for range r.IntN(8) {
		k := key(r)
		switch r.IntN(10) {
		case 0:
			end := key(r)
			b.DeleteRange([]byte(k), []byte(end))
			for _, gone := range m.between(k, end) {
				delete(m, gone)
			}
		case 1, 2:
			b.Delete([]byte(k))
			delete(m, k)
		default:
			value := fmt.Sprint(r.IntN(1000), strings.Repeat("-", padding))
			b.Put([]byte(k), []byte(value))
			m[k] = value
		}
	}
}

// testModel compares with a map: gets, iterators, walks, over flushes and reopening.
func testModel(t *testing.T, target Target) {
	r := Seed(t)
	dir := t.TempDir() + "/db"
	e := target.Open(t, dir)
	defer func() { must(t, e.Close()) }()
	m := model{}
	var b engine.Batch
	for step := range 1500 {
		b.Reset()
		m.change(r, &b, target.SmallMemtables/64)
		must(t, e.Write(&b))
		if step%50 == 17 {
			must(t, e.Flush())
		}
		if step%300 == 299 {
			must(t, e.Flush())
			must(t, e.Close())
			e = target.Open(t, dir)
		}
		k := key(r)
		if value, ok := m[k]; ok {
			wantValue(t, e, k, value)
		} else {
			wantAbsent(t, e, k)
		}
		if step%10 == 0 {
			lower, upper := key(r), key(r)
			if r.IntN(4) == 0 {
				upper = ""
			}
			wantContent(t, e, lower, upper, m.text(lower, upper))
			walk(t, e, m, lower, upper, r)
		}
	}
}

// walk moves an iterator at random beside a sorted list.
func walk(t *testing.T, e engine.Engine, m model, lower, upper string, r *rand.Rand) {
	t.Helper()
	it, err := e.NewIterator([]byte(lower), []byte(upper))
	must(t, err)
	defer it.Close()
	keys := m.between(lower, upper)
	at := -1
	for range 30 {
		target := key(r)
		index, found := slices.BinarySearch(keys, target)
		var name string
		switch move := r.IntN(8); {
		case move == 0:
			name, at = "First", 0
			it.First()
		case move == 1:
			name, at = "Last", len(keys)-1
			it.Last()
		case move == 2:
			name, at = "SeekGE "+target, index
			it.SeekGE([]byte(target))
		case move == 3:
			name, at = "SeekLT "+target, index-1
			it.SeekLT([]byte(target))
		case at < 0 || at >= len(keys):
			continue
		case move == 4:
			name, at = "Next", at+1
			it.Next()
		case move > 5:
			n := r.Int64N(7) - 3
			name = fmt.Sprint("Skip ", n)
			before := at
			at = min(max(at+int(n), -1), len(keys))
			if passed := it.Skip(n, nil); passed != int64(max(at-before, before-at)) {
				t.Fatalf("%s in %q from %d: over %d", name, keys, before, passed)
			}
		default:
			name, at = "Prev", at-1
			it.Prev()
		}
		in := at >= 0 && at < len(keys)
		if it.Valid() != in || in && (string(it.Key()) != keys[at] || string(it.Value()) != m[keys[at]]) {
			t.Fatalf("%s (found: %t) in %q: valid %t, want position %d", name, found, keys, it.Valid(), at)
		}
	}
}

func testSnapshot(t *testing.T, target Target) {
	r := Seed(t)
	e, _ := open(t, target)
	m := model{}
	var b engine.Batch
	type view struct {
		snapshot engine.Snapshot
		want     model
	}
	var views []view
	for step := range 400 {
		b.Reset()
		m.change(r, &b, 0)
		must(t, e.Write(&b))
		if step%20 == 0 {
			views = append(views, view{e.NewSnapshot(), m.clone()})
		}
		if step%70 == 69 {
			must(t, e.Flush())
		}
		for _, v := range views {
			if r.IntN(10) > 0 {
				continue
			}
			wantContent(t, v.snapshot, "", "", v.want.text("", ""))
			k := key(r)
			if value, ok := v.want[k]; ok {
				wantValue(t, v.snapshot, k, value)
			} else {
				wantAbsent(t, v.snapshot, k)
			}
		}
	}
	for _, v := range views {
		v.snapshot.Close()
		v.snapshot.Close() // once more does nothing
	}
}

func testIteratorIsolation(t *testing.T, target Target) {
	e, _ := open(t, target)
	write(t, e, "+a=1", "+b=1", "+c=1")
	it, err := e.NewIterator(nil, nil)
	must(t, err)
	defer it.Close()
	write(t, e, "+a=2", "-b", "+bb=2", "!c..z")
	must(t, e.Flush())
	var got []string
	for ok := it.First(); ok; ok = it.Next() {
		got = append(got, string(it.Key())+"="+string(it.Value()))
	}
	if want := "[a=1 b=1 c=1]"; fmt.Sprint(got) != want || it.Err() != nil {
		t.Fatalf("got %s (%v), want %s", got, it.Err(), want)
	}
}

// testReaders has one writer raise ten counters together while readers compare them: a torn batch shows as a difference,
// a lost order as a counter that falls.
func testReaders(t *testing.T, target Target) {
	e, _ := open(t, target)
	batch := func(n int) *engine.Batch {
		var b engine.Batch
		for i := range 10 {
			b.Put(fmt.Appendf(nil, "counter%d", i), fmt.Appendf(nil, "%08d", n))
		}
		return &b
	}
	must(t, e.Write(batch(0)))
	var done atomic.Bool
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			last := ""
			for !done.Load() {
				now, err := equalCounters(e)
				if err == nil && now < last {
					err = fmt.Errorf("counters fell from %s to %s", last, now)
				}
				if last = now; err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for n := range 2000 {
		if err := e.Write(batch(n)); err != nil {
			t.Error(err)
			break
		}
		if n%500 == 250 {
			if err := e.Flush(); err != nil {
				t.Error(err)
			}
		}
	}
	done.Store(true)
	readers.Wait()
}

func equalCounters(e engine.Engine) (string, error) {
	it, err := e.NewIterator([]byte("counter"), []byte("counter~"))
	if err != nil {
		return "", err
	}
	defer it.Close()
	var first []byte
	count := 0
	for ok := it.First(); ok; ok = it.Next() {
		if count++; count == 1 {
			first = bytes.Clone(it.Value())
		} else if !bytes.Equal(first, it.Value()) {
			return "", fmt.Errorf("%s is %s, the first is %s: a batch was seen in part", it.Key(), it.Value(), first)
		}
	}
	if count != 10 || it.Err() != nil {
		return "", fmt.Errorf("saw %d counters, want 10 (%v)", count, it.Err())
	}
	snapshot := e.NewSnapshot()
	defer snapshot.Close()
	value, ok, err := snapshot.Get(nil, []byte("counter9"))
	if err != nil || !ok || bytes.Compare(value, first) < 0 {
		return "", fmt.Errorf("a later snapshot has %q (%t, %v), the iterator had %q", value, ok, err, first)
	}
	return string(first), nil
}
