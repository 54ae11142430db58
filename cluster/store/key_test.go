package store

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/zankv/zankv/cdc/event"
)

// trickyKeys are keys whose escaped forms could be mixed up: with the escape bytes at every place, prefixes of each other.
func trickyKeys() [][]byte {
	keys := [][]byte{{}}
	alphabet := []byte{0x00, 0x01, 'a', 0xFE, 0xFF}
	for _, a := range alphabet {
		keys = append(keys, []byte{a})
		for _, b := range alphabet {
			keys = append(keys, []byte{a, b})
			for _, c := range alphabet {
				keys = append(keys, []byte{a, b, c})
			}
		}
	}
	slices.SortFunc(keys, bytes.Compare)
	return keys
}

// rowsOfKey are the engine keys that a user key can have in the families that are in the order of keys.
func rowsOfKey(family byte, key []byte) [][]byte {
	subkeys := [][]byte{{}, {0x00}, {0x01}, {0xFF}, {0xFF, 0xFF}}
	var rows [][]byte
	switch family {
	case famMeta:
		rows = append(rows, appendMetaKey(nil, key))
	case famElement, famScore:
		for _, gen := range []uint64{0, 1, 0xFF, 1 << 40, math.MaxUint64} {
			for _, sub := range subkeys {
				if family == famElement {
					rows = append(rows, appendElementKey(nil, key, gen, sub))
					continue
				}
				for _, score := range []float64{math.Inf(-1), -1, 0, 1, math.Inf(1)} {
					rows = append(rows, appendScoreKey(nil, key, gen, score, sub))
				}
			}
		}
	case famTombstone:
		rows = append(rows, appendTombstoneKey(nil, key))
		for _, sub := range subkeys {
			rows = append(rows, appendElementTombstoneKey(nil, key, sub))
		}
	case famCleanup:
		for _, gen := range []uint64{0, 1, math.MaxUint64} {
			rows = append(rows, appendCleanGenerationKey(nil, key, gen))
		}
	}
	return rows
}

var keyFamilies = []byte{famMeta, famElement, famScore, famTombstone, famCleanup}

func prefixOf(family byte) []byte {
	if family == famCleanup {
		return []byte{famCleanup, cleanGeneration}
	}
	return []byte{family}
}

// TestRowsSortAsKeys: in each family, all rows of a smaller key come before all rows of a greater one.
func TestRowsSortAsKeys(t *testing.T) {
	keys := trickyKeys()
	for _, family := range keyFamilies {
		for i := 1; i < len(keys); i++ {
			last := slices.MaxFunc(rowsOfKey(family, keys[i-1]), bytes.Compare)
			first := slices.MinFunc(rowsOfKey(family, keys[i]), bytes.Compare)
			if bytes.Compare(last, first) >= 0 {
				t.Fatalf("family %x: a row of %q, % x, isn't before % x of %q", family, keys[i-1], last, first, keys[i])
			}
		}
	}
}

// TestRangesAreContiguous: the range of rows made of a key range holds all rows of the keys in it and no others; so do prefixes,
// and so tables.
func TestRangesAreContiguous(t *testing.T) {
	keys := trickyKeys()
	r := rand.New(rand.NewPCG(1, 1))
	for _, family := range keyFamilies {
		for range 60 {
			start, end := keys[r.IntN(len(keys))], keys[r.IntN(len(keys))]
			if bytes.Compare(start, end) > 0 && len(end) > 0 {
				start, end = end, start
			}
			lower, upper := keyRange(prefixOf(family), start, end)
			for _, key := range keys {
				want := within(key, start, end)
				for _, row := range rowsOfKey(family, key) {
					if got := within(row, lower, upper); got != want {
						t.Fatalf("family %x, range [%q, %q): row % x of %q: inside %v, want %v", family, start, end, row, key, got, want)
					}
				}
			}
		}
	}
	for _, prefix := range keys[1:] {
		for _, key := range keys {
			row := appendElementKey(nil, key, 7, nil)
			lower := appendEscapedPrefix([]byte{famElement}, prefix)
			got := bytes.HasPrefix(row, lower)
			// A prefix's last 00 is escaped, a key's is too: nothing else starts so.
			if want := bytes.HasPrefix(key, prefix); got != want {
				t.Fatalf("prefix %q, key %q: %v, want %v", prefix, key, got, want)
			}
		}
	}
}

func TestEscapeRoundTrip(t *testing.T) {
	for _, key := range trickyKeys() {
		esc := append(appendEscaped(nil, key), "rest"...)
		got, rest, ok := cutEscaped(nil, esc)
		if !ok || !bytes.Equal(got, key) || string(rest) != "rest" {
			t.Fatalf("%q: got %q, rest %q, %v", key, got, rest, ok)
		}
		for cut := range len(esc) - len("rest") {
			if _, _, ok := cutEscaped(nil, esc[:cut]); ok {
				t.Fatalf("%q cut at %d: accepted", key, cut)
			}
		}
	}
	if _, _, ok := cutEscaped(nil, []byte{0, 2, 0, 1}); ok {
		t.Fatal("an escape that doesn't exist: accepted")
	}
}

func TestScoresSortAsNumbers(t *testing.T) {
	scores := []float64{
		math.Inf(-1), -math.MaxFloat64, -1e10, -2, -1.5, -1, -math.SmallestNonzeroFloat64, 0,
		math.SmallestNonzeroFloat64, 0.1, 1, 1.5, 2, 1e10, math.MaxFloat64, math.Inf(1),
	}
	for i, score := range scores {
		b := appendScore(nil, score)
		if got := readScore(b); got != score {
			t.Fatalf("%g comes back as %g", score, got)
		}
		if i > 0 && bytes.Compare(appendScore(nil, scores[i-1]), b) >= 0 {
			t.Fatalf("%g isn't before %g", scores[i-1], score)
		}
	}
	if !bytes.Equal(appendScore(nil, math.Copysign(0, -1)), appendScore(nil, 0)) {
		t.Fatal("-0 isn't 0")
	}
	r := rand.New(rand.NewPCG(2, 2))
	for range 10000 {
		x, y := math.Float64frombits(r.Uint64()), math.Float64frombits(r.Uint64())
		if x < y && bytes.Compare(appendScore(nil, x), appendScore(nil, y)) >= 0 {
			t.Fatalf("%g isn't before %g", x, y)
		}
	}
}

func TestNumbersSort(t *testing.T) {
	numbers := []int64{math.MinInt64, -1 << 40, -256, -255, -1, 0, 1, 255, 256, 1 << 40, math.MaxInt64}
	for i, n := range numbers {
		if got := readInt64(appendInt64(nil, n)); got != n {
			t.Fatalf("%d comes back as %d", n, got)
		}
		if i == 0 {
			continue
		}
		for _, enc := range []func([]byte, int64) []byte{appendInt64, appendIndexInt} {
			if bytes.Compare(enc(nil, numbers[i-1]), enc(nil, n)) >= 0 {
				t.Fatalf("%d isn't before %d", numbers[i-1], n)
			}
		}
		if bytes.Compare(appendExpiryKey(nil, numbers[i-1], []byte("z")), appendExpiryKey(nil, n, []byte("a"))) >= 0 {
			t.Fatalf("expiry %d isn't before %d", numbers[i-1], n)
		}
	}
}

// TestIndexIsOrdered: a table's index rows are together, and within one index sort by value, then key.
func TestIndexIsOrdered(t *testing.T) {
	var rows [][]byte
	for _, table := range []string{"a", "a\x00", "ab", "b"} {
		for _, name := range []string{"age", "name"} {
			for _, n := range []int64{-5, 0, 7} {
				for _, key := range []string{"a:1", "a:2"} {
					rows = append(rows, appendIndexKey(nil, []byte(table), []byte(name), appendIndexInt(nil, n), []byte(key)))
				}
			}
			for _, s := range []string{"", "\x00", "x", "xy"} {
				for _, key := range []string{"", "\x00", "a"} {
					rows = append(rows, appendIndexKey(nil, []byte(table), []byte(name), appendIndexBytes(nil, []byte(s)), []byte(key)))
				}
			}
		}
	}
	for i := 1; i < len(rows); i++ {
		if bytes.Compare(rows[i-1], rows[i]) >= 0 {
			t.Fatalf("row % x isn't before % x", rows[i-1], rows[i])
		}
	}
}

func TestPrefixEnd(t *testing.T) {
	for in, want := range map[string]string{"a": "b", "a\xff": "b", "a\x00\xff\xff": "a\x01", "ab": "ac"} {
		if got := prefixEnd([]byte("x"), []byte(in)); string(got) != "x"+want {
			t.Errorf("%q: got %q, want x%q", in, got, want)
		}
	}
}

func TestOwnRowsSort(t *testing.T) {
	rows := [][]byte{
		{famOwn, ownState}, {famOwn, ownIdentity},
		appendClusterKey(nil, 1), appendClusterKey(nil, 256),
		appendMarkKey(nil, 0), appendMarkKey(nil, 255), appendMarkKey(nil, 256),
		appendOwnKey(nil, event.OwnConsumer, []byte("a")), appendOwnKey(nil, event.OwnConsumer, []byte("b")),
		appendOwnKey(nil, event.OwnSender, nil), appendCleanRangeKey(nil, 1, 2), appendCleanRangeKey(nil, 1, 3), appendCleanRangeKey(nil, 2, 0),
	}
	if !slices.IsSortedFunc(rows, bytes.Compare) {
		t.Fatalf("own rows aren't in order: %x", rows)
	}
}

func TestSlot(t *testing.T) {
	// Values of CLUSTER KEYSLOT of Redis 7, and the check value of CRC-16/XMODEM.
	if got := crc16([]byte("123456789")); got != 0x31C3 {
		t.Fatalf("crc16: got %#x, want 0x31c3", got)
	}
	for key, want := range map[string]uint16{
		"foo": 12182, "bar": 5061, "": 0, "{user1000}.following": Slot([]byte("user1000")), "{user1000}.followers": Slot([]byte("user1000")),
		"foo{bar}{zap}": 5061, "foo{}{bar}": Slot([]byte("foo{}{bar}")), "foo{{bar}}zap": Slot([]byte("{bar")), "{bar": Slot([]byte("{bar")),
	} {
		if got := Slot([]byte(key)); got != want {
			t.Errorf("%q: slot %d, want %d", key, got, want)
		}
	}
	if Slot([]byte("foo{}{bar}")) == Slot([]byte("bar")) {
		t.Error("an empty tag must not be passed over")
	}
}

func TestPartitions(t *testing.T) {
	for _, p := range []uint32{1, 3, 4, 1000, Slots} {
		last := uint32(0)
		for slot := range uint16(Slots) {
			got := PartitionOfSlot(slot, p)
			if got < last || got > last+1 || got >= p {
				t.Fatalf("%d partitions: slot %d in %d after %d", p, slot, got, last)
			}
			last = got
		}
		if last != p-1 {
			t.Fatalf("%d partitions: the last slot is in %d", p, last)
		}
	}
	if got := PartitionBySlot([]byte("foo"), 4); got != 2 {
		t.Errorf("foo of 4: partition %d, want 2", got)
	}
	// murmur3_32("hello", seed 0) = 0x248bfa47.
	if got := PartitionByMurmur3([]byte("hello"), 1<<31); got != 0x248bfa47 {
		t.Errorf("murmur3: got %#x", got)
	}
	if PartitionByMurmur3([]byte(strings.Repeat("k", 100)), 7) >= 7 {
		t.Error("partition out of range")
	}
}
