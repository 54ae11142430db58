package command

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// placeOf makes a place of a sequence number and words of a fraction.
func placeOf(words ...int64) (p []byte) {
	for i, w := range words {
		if i > 0 {
			w ^= math.MinInt64 // only the number has its sign bit turned round
		}
		p = appendPlace(p, w)
	}
	return p
}

// checkBetween: the place made is between its neighbours, whole words, and leaves room below it.
func checkBetween(t *testing.T, left, right []byte, behind bool) []byte {
	t.Helper()
	p := placeBetween(nil, left, right, behind)
	switch {
	case bytes.Compare(left, p) >= 0 || bytes.Compare(p, right) >= 0:
		t.Fatalf("between % x and % x: % x", left, right, p)
	case len(p)%wordBytes != 0 || len(p) > max(len(left), len(right))+2*wordBytes:
		t.Fatalf("between % x and % x: %d bytes", left, right, len(p))
	case len(p) > wordBytes && wordAt(p, len(p)-wordBytes) == 0:
		t.Fatalf("between % x and % x: % x, below which there is no room", left, right, p)
	}
	return p
}

// TestPlacesSort: bytes sort as the sequence numbers do, and give them back.
func TestPlacesSort(t *testing.T) {
	numbers := []int64{math.MinInt64, -1 << 40, -256, -2, -1, 0, 1, 2, 255, 256, 1 << 40, math.MaxInt64}
	for i, n := range numbers {
		if got := sequence(placeOf(n)); got != n {
			t.Errorf("number %d comes back as %d", n, got)
		}
		if i > 0 && bytes.Compare(placeOf(numbers[i-1]), placeOf(n)) >= 0 {
			t.Errorf("%d doesn't sort below %d", numbers[i-1], n)
		}
	}
}

// TestPlaceBetweenGrows: random insertions anywhere, at one spot, and where they hurt most.
func TestPlaceBetweenGrows(t *testing.T) {
	draw := rand.New(rand.NewPCG(7, 1))
	for _, pick := range []func(n int) int{
		func(n int) int { return draw.IntN(n - 1) },
		func(n int) int { return n / 2 },
		func(int) int { return 0 },
		func(n int) int { return n - 2 },
	} {
		places := [][]byte{placeOf(-1), placeOf(0), placeOf(1)}
		for range 3000 {
			at := pick(len(places))
			p := checkBetween(t, places[at], places[at+1], draw.IntN(2) == 0)
			places = slices.Insert(places, at+1, p)
		}
	}
}

// TestPlacesStayShort: thousands of insertions before one item, or behind one, need one more word.
func TestPlacesStayShort(t *testing.T) {
	for _, behind := range []bool{false, true} {
		left, right := placeOf(0), placeOf(1)
		for range 100_000 {
			p := checkBetween(t, left, right, behind)
			if len(p) > 2*wordBytes {
				t.Fatalf("behind %v: % x", behind, p)
			}
			if behind {
				right = p
			} else {
				left = p
			}
		}
	}
}

// FuzzPlaceBetween draws two places and looks between them, again and again, from the bits given.
func FuzzPlaceBetween(f *testing.F) {
	f.Add(int64(0), int64(1), uint64(0), uint64(0), uint64(0xAAAA))
	f.Add(int64(-1), int64(5), uint64(1), uint64(1), uint64(0xFFFF))
	f.Add(int64(7), int64(7), uint64(math.MaxUint64), uint64(1), uint64(3))
	f.Fuzz(func(t *testing.T, a, b int64, fa, fb, steps uint64) {
		left, right := placeOf(a), placeOf(b)
		for _, p := range []struct {
			place *[]byte
			word  uint64
		}{{&left, fa}, {&right, fb}} {
			if p.word != 0 {
				*p.place = append(*p.place, placeOf(0, int64(p.word))[wordBytes:]...)
			}
		}
		if c := bytes.Compare(left, right); c == 0 {
			return
		} else if c > 0 {
			left, right = right, left
		}
		for ; steps != 0; steps >>= 2 {
			p := checkBetween(t, left, right, steps&1 != 0)
			if steps&2 != 0 {
				left = p
			} else {
				right = p
			}
		}
	})
}
