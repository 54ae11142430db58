package enginetest

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/zankv/zankv/cluster/engine"
)

func testValues(t *testing.T, target Target) {
	e, _ := open(t, target)
	long := strings.Repeat("v", 1<<20)
	write(t, e, "+a=1", "+empty=", "+long="+long, "+=of the empty key", "+\x00\xff=bytes")
	wantValue(t, e, "a", "1")
	wantValue(t, e, "empty", "")
	wantValue(t, e, "long", long)
	wantValue(t, e, "", "of the empty key")
	wantValue(t, e, "\x00\xff", "bytes")
	wantAbsent(t, e, "b")
	wantAbsent(t, e, "aa")
	if value, ok, err := e.Get([]byte("before "), []byte("a")); err != nil || !ok || string(value) != "before 1" {
		t.Fatalf("get appends: got %q, %t, %v", value, ok, err)
	}
	must(t, e.Flush())
	wantValue(t, e, "long", long)
	wantValue(t, e, "empty", "")
	wantAbsent(t, e, "aa")
	must(t, e.Write(&engine.Batch{}))
}

func testBatchOrder(t *testing.T, target Target) {
	e, _ := open(t, target)
	write(t, e, "+a=1", "+a=2", "-a", "+b=1", "-b", "+b=2", "!a..c", "+c=1", "+a=3")
	wantContent(t, e, "", "", "[a=3 c=1]")

	var b engine.Batch
	key, value := []byte("k"), []byte("v")
	b.Put(key, value)
	key[0], value[0] = 'x', 'x' // a batch copies
	must(t, e.Write(&b))
	b.Reset()
	b.Put([]byte("l"), []byte("w")) // and what was written doesn't change with it
	must(t, e.Write(&b))
	wantContent(t, e, "k", "", "[k=v l=w]")
}

func testRangeDelete(t *testing.T, target Target) {
	e, _ := open(t, target)
	write(t, e, "+a=1", "+b=1", "+c=1", "+d=1", "+e=1")
	must(t, e.Flush())
	write(t, e, "!b..d", "!e..e", "!d..a")
	wantContent(t, e, "", "", "[a=1 d=1 e=1]")
	wantAbsent(t, e, "b")
	wantAbsent(t, e, "c")
	write(t, e, "+c=2")
	wantContent(t, e, "b", "e", "[c=2 d=1]")
	must(t, e.Flush())
	wantContent(t, e, "b", "e", "[c=2 d=1]")
	write(t, e, "!..z")
	wantContent(t, e, "", "", "[]")
}

func testIteratorBounds(t *testing.T, target Target) {
	e, _ := open(t, target)
	wantContent(t, e, "", "", "[]")
	write(t, e, "+a=1", "+b=2", "+c=3", "+d=4")
	must(t, e.Flush())
	write(t, e, "+bb=5", "+dd=6")
	wantContent(t, e, "", "", "[a=1 b=2 bb=5 c=3 d=4 dd=6]")
	wantContent(t, e, "b", "", "[b=2 bb=5 c=3 d=4 dd=6]")
	wantContent(t, e, "", "c", "[a=1 b=2 bb=5]")
	wantContent(t, e, "b", "c", "[b=2 bb=5]")
	wantContent(t, e, "ba", "cc", "[bb=5 c=3]")
	wantContent(t, e, "c", "c", "[]")
	wantContent(t, e, "d", "b", "[]")
	wantContent(t, e, "e", "", "[]")
	wantContent(t, e, "", "a", "[]")
}

// testIteratorTurns walks in both directions and seeks out of bounds.
func testIteratorTurns(t *testing.T, target Target) {
	e, _ := open(t, target)
	write(t, e, "+a=1", "+b=2", "+d=4", "+e=5", "+f=6")
	lower, upper := []byte("b"), []byte("f")
	it, err := e.NewIterator(lower, upper)
	must(t, err)
	defer it.Close()
	copy(lower, "a") // bounds are copied
	copy(upper, "z")
	if it.Valid() {
		t.Fatal("an iterator starts unpositioned")
	}
	steps := []struct {
		name string
		move func() bool
		want string
	}{
		{"SeekGE c", func() bool { return it.SeekGE([]byte("c")) }, "d"},
		{"Prev", it.Prev, "b"},
		{"Next", it.Next, "d"},
		{"Next", it.Next, "e"},
		{"Next past upper", it.Next, ""},
		{"SeekLT c", func() bool { return it.SeekLT([]byte("c")) }, "b"},
		{"Prev past lower", it.Prev, ""},
		{"SeekLT b", func() bool { return it.SeekLT([]byte("b")) }, ""},
		{"SeekLT d", func() bool { return it.SeekLT([]byte("d")) }, "b"},
		{"SeekGE d", func() bool { return it.SeekGE([]byte("d")) }, "d"},
		{"SeekGE below lower", func() bool { return it.SeekGE([]byte("a")) }, "b"},
		{"SeekGE empty", func() bool { return it.SeekGE(nil) }, "b"},
		{"SeekLT above upper", func() bool { return it.SeekLT([]byte("z")) }, "e"},
		{"SeekGE at upper", func() bool { return it.SeekGE([]byte("f")) }, ""},
		{"First", it.First, "b"},
		{"Last", it.Last, "e"},
		{"Prev", it.Prev, "d"},
	}
	for _, step := range steps {
		ok := step.move()
		got := ""
		if it.Valid() {
			got = string(bytes.Clone(it.Key()))
		}
		if got != step.want || ok != (step.want != "") || it.Err() != nil {
			t.Fatalf("%s: at %q (%t, %v), want %q", step.name, got, ok, it.Err(), step.want)
		}
	}
}

// testIteratorSkip passes over keys in both directions, by number and up to a key.
func testIteratorSkip(t *testing.T, target Target) {
	e, _ := open(t, target)
	write(t, e, "+a=1", "+b=2", "+c=3", "+d=4", "+e=5", "+f=6", "+g=7", "+h=8")
	must(t, e.Flush())
	write(t, e, "-d", "!f..g", "+g=8") // what is there between bounds: b c e g
	it, err := e.NewIterator([]byte("b"), []byte("h"))
	must(t, err)
	defer it.Close()
	if n := it.Skip(3, nil); n != 0 || it.Valid() {
		t.Fatalf("unpositioned, it passed over %d keys", n)
	}
	for _, step := range []struct {
		from   func() bool
		n      int64
		to     string
		passed int64
		at     string
	}{
		{it.First, 0, "", 0, "b"},
		{it.First, 1, "", 1, "c"},
		{it.First, 3, "", 3, "g"},
		{it.First, 4, "", 4, ""},
		{it.First, math.MaxInt64, "", 4, ""},
		{it.First, 9, "e", 2, "e"},
		{it.First, 1, "e", 1, "c"},
		{it.First, 9, "d", 2, "e"},
		{it.First, 9, "b", 0, "b"},
		{it.First, 9, "a", 0, "b"},
		{it.First, 9, "z", 4, ""},
		{it.Last, -1, "", 1, "e"},
		{it.Last, -3, "", 3, "b"},
		{it.Last, -4, "", 4, ""},
		{it.Last, math.MinInt64, "", 4, ""},
		{it.Last, -9, "c", 2, "c"},
		{it.Last, -9, "d", 2, "c"},
		{it.Last, -9, "g", 0, "g"},
		{it.Last, -9, "a", 4, ""},
		{func() bool { return it.SeekGE([]byte("c")) }, 1, "", 1, "e"},
		{func() bool { return it.SeekGE([]byte("c")) }, -1, "", 1, "b"},
	} {
		step.from()
		passed := it.Skip(step.n, []byte(step.to))
		at := ""
		if it.Valid() {
			at = string(it.Key())
		}
		if passed != step.passed || at != step.at || it.Err() != nil {
			t.Fatalf("skip %d to %q: over %d, at %q (%v); want %d, %q", step.n, step.to, passed, at, it.Err(), step.passed, step.at)
		}
	}
}
