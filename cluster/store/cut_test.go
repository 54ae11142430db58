package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// partitionOf is where a key lies.
func (c Cut) partitionOf(key []byte) uint32 {
	if c.Hash == hashMurmur3 {
		return PartitionByMurmur3(key, c.Partitions)
	}
	return PartitionBySlot(key, c.Partitions)
}

// cutPairs are all pairs of counts up to a bound, and some large ones.
func cutPairs(visit func(p, q uint32)) {
	const most = 40
	for p := uint32(1); p <= most; p++ {
		for q := uint32(1); q <= most; q++ {
			visit(p, q)
		}
	}
	for _, p := range []uint32{1, 3, 1000, 1024, 8191, Slots - 1, Slots} {
		for _, q := range []uint32{2, 999, 1000, 1500, Slots} {
			visit(p, q)
			visit(q, p)
		}
	}
}

// TestSharingBySlots: of partitions by slots exactly those are named that have a slot in common.
func TestSharingBySlots(t *testing.T) {
	cutPairs(func(p, q uint32) {
		want := make([][]uint32, p)
		for slot := range uint16(Slots) {
			n, m := PartitionOfSlot(slot, p), PartitionOfSlot(slot, q)
			if all := want[n]; len(all) == 0 || all[len(all)-1] != m {
				want[n] = append(all, m)
			}
		}
		for n := range p {
			if got := slices.Collect((Cut{hashCRC16, p}).Sharing(n, Cut{hashCRC16, q}).All()); !slices.Equal(got, want[n]) {
				t.Fatalf("%d of %d with %d: %v, want %v", n, p, q, got, want[n])
			}
		}
	})
}

// TestSharingByMurmur3: of partitions by murmur3 exactly those are named that a hash is in both of.
func TestSharingByMurmur3(t *testing.T) {
	cutPairs(func(p, q uint32) {
		if p > 40 || q > 40 {
			return // hashes are too many to look at all of them
		}
		want := map[[2]uint32]bool{}
		for h := range p / gcd(p, q) * q { // what is the least common multiple further is in the same two
			want[[2]uint32{h % p, h % q}] = true
		}
		for n := range p {
			for m := range (Cut{hashMurmur3, p}).Sharing(n, Cut{hashMurmur3, q}).All() {
				if !want[[2]uint32{n, m}] {
					t.Fatalf("%d of %d with %d of %d: no key is in both, or it is named twice", n, p, m, q)
				}
				delete(want, [2]uint32{n, m})
			}
		}
		for pair := range want {
			t.Fatalf("%d of %d and %d of %d aren't named", pair[0], p, pair[1], q)
		}
	})
}

// TestSharingOfKeys: wherever a key lies, both partitions of it name each other.
func TestSharingOfKeys(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 7))
	hashes := []string{hashCRC16, hashMurmur3}
	cutPairs(func(p, q uint32) {
		for i := range 4 * 25 {
			a, b := Cut{hashes[i%2], p}, Cut{hashes[i/2%2], q}
			key := fmt.Appendf(nil, "t:{%d}%d", r.Uint32(), r.IntN(3))
			n, m := a.partitionOf(key), b.partitionOf(key)
			if !a.Shares(n, b, m) || !b.Shares(m, a, n) {
				t.Fatalf("key %s is in %d of %v, and in %d of %v", key, n, a, m, b)
			}
		}
	})
}

// TestSharingAll: what is cut in different ways, or in one that isn't known, may share any key.
func TestSharingAll(t *testing.T) {
	for _, c := range []struct {
		one    Cut
		number uint32
		other  Cut
	}{
		{Cut{hashCRC16, 4}, 1, Cut{hashMurmur3, 4}}, {Cut{hashMurmur3, 4}, 1, Cut{hashCRC16, 6}}, {Cut{"other", 4}, 1, Cut{"other", 4}}, {Cut{}, 3, Cut{hashCRC16, 4}},
		{Cut{hashCRC16, 4}, 4, Cut{hashCRC16, 4}}, {Cut{hashCRC16, Slots + 1}, 4, Cut{hashCRC16, 4}}, {Cut{hashCRC16, 4}, 0, Cut{hashCRC16, 0}},
	} {
		if got := c.one.Sharing(c.number, c.other); got != (Numbers{0, 1, c.other.Partitions}) {
			t.Errorf("%d of %v with %v: %v", c.number, c.one, c.other, got)
		}
		if !c.one.Shares(c.number, c.other, 3) || !c.other.Shares(3, c.one, c.number) {
			t.Errorf("%d of %v and 3 of %v share nothing", c.number, c.one, c.other)
		}
	}
}

// TestNumbers: an index is that of a number that is among them, and of no other.
func TestNumbers(t *testing.T) {
	for _, n := range []Numbers{{0, 1, 5}, {3, 1, 2}, {2, 4, 3}, {}, {7, 7, 1}} {
		all := slices.Collect(n.All())
		for number := range uint32(20) {
			i, ok := n.Index(number)
			if want := slices.Index(all, number); ok != (want >= 0) || ok && int(i) != want {
				t.Errorf("%v: %d is %d, %v", n, number, i, ok)
			}
		}
	}
}
