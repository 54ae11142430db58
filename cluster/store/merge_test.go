package store

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/zankv/zankv/cluster/engine"
)

// TestMergedEqualsApplied: rows under an overlay read as if the overlay had been written, whichever way an iterator goes.
func TestMergedEqualsApplied(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 3))
		key := func() []byte { return fmt.Appendf(nil, "%c%c", "abc"[r.IntN(3)], "uvwxyz"[r.IntN(6)]) }
		plain, under := memEngine(t), memEngine(t)
		var over Overlay
		for i := range 40 {
			k, v := key(), fmt.Append(nil, i)
			var b engine.Batch
			if r.IntN(3) == 0 {
				b.Delete(k)
			} else {
				b.Put(k, v)
			}
			must(t, plain.Write(&b))
			if i < 20 {
				must(t, under.Write(&b))
				continue
			}
			must(t, b.Each(func(k, v []byte) { over.rows.set(k, v, false) }, func(k []byte) { over.rows.set(k, nil, true) }, nil))
		}
		reader := overlaid{Reader: under, over: &over}
		for range 20 {
			k := key()
			got, ok, err := reader.Get([]byte("dst"), k)
			must(t, err)
			want, there, err := plain.Get([]byte("dst"), k)
			must(t, err)
			if ok != there || !bytes.Equal(got, want) {
				t.Fatalf("seed %d, %q: got %q, %v; want %q, %v", seed, k, got, ok, want, there)
			}
			walkBeside(t, r, reader, plain, key)
		}
	}
}

// walkBeside moves two iterators with the same bounds at random, and wants them to be at the same place.
func walkBeside(t *testing.T, r *rand.Rand, got, want engine.Reader, key func() []byte) {
	t.Helper()
	lower, upper := key(), key()
	a, err := got.NewIterator(lower, upper)
	must(t, err)
	defer a.Close()
	b, err := want.NewIterator(lower, upper)
	must(t, err)
	defer b.Close()
	text := fmt.Sprintf("[%s, %s):", lower, upper)
	for range 12 {
		k := key()
		n := r.Int64N(9) - 4
		move := r.IntN(8)
		both := func(f func(engine.Iterator) int64) {
			if x, y := f(a), f(b); x != y || a.Valid() != b.Valid() || a.Valid() && (!bytes.Equal(a.Key(), b.Key()) || !bytes.Equal(a.Value(), b.Value())) {
				t.Fatalf("%s: %d, %v instead of %d, %v", text, x, a.Valid(), y, b.Valid())
			}
		}
		text += fmt.Sprintf(" %d %s %d", move, k, n)
		both(func(it engine.Iterator) int64 {
			switch move {
			case 0:
				it.First()
			case 1:
				it.Last()
			case 2:
				it.SeekGE(k)
			case 3:
				it.SeekLT(k)
			case 4:
				it.Next()
			case 5:
				it.Prev()
			case 6:
				return it.Skip(n, nil)
			case 7:
				return it.Skip(n, k)
			}
			return 0
		})
	}
}
