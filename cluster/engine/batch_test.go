package engine_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/zankv/zankv/cluster/engine"
)

// TestBatchLayout shows the bytes, which are RocksDB's: a change of this dump is a bug.
func TestBatchLayout(t *testing.T) {
	var b engine.Batch
	if rep := b.Rep(); len(rep) != 0 || b.Count() != 0 || b.Len() != 0 {
		t.Fatalf("the zero batch: %x, count %d, length %d", rep, b.Count(), b.Len())
	}
	b.Put([]byte("key"), []byte("value"))
	b.Delete([]byte("k"))
	b.DeleteRange([]byte("a"), []byte("c"))
	b.DeleteRange([]byte("c"), []byte("a")) // nothing
	b.DeleteRange([]byte("c"), []byte("c")) // nothing
	b.Put(nil, bytes.Repeat([]byte{'v'}, 130))
	want := "0000000000000000" + "04000000" + // sequence, count
		"01" + "03" + hex.EncodeToString([]byte("key")) + "05" + hex.EncodeToString([]byte("value")) +
		"00" + "01" + hex.EncodeToString([]byte("k")) +
		"0f" + "01" + hex.EncodeToString([]byte("a")) + "01" + hex.EncodeToString([]byte("c")) +
		"01" + "00" + "8201" + hex.EncodeToString(bytes.Repeat([]byte{'v'}, 130))
	if got := hex.EncodeToString(b.Rep()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if b.Count() != 4 || b.Len() != len(want)/2 {
		t.Errorf("count %d and length %d, want 4 and %d", b.Count(), b.Len(), len(want)/2)
	}
}

func TestBatchEach(t *testing.T) {
	var b engine.Batch
	each := func() (seen []string) {
		err := b.Each(
			func(key, value []byte) { seen = append(seen, fmt.Sprintf("+%s=%s", key, value)) },
			func(key []byte) { seen = append(seen, fmt.Sprintf("-%s", key)) },
			func(start, end []byte) { seen = append(seen, fmt.Sprintf("!%s..%s", start, end)) })
		if err != nil {
			t.Fatal(err)
		}
		return seen
	}
	b.Put([]byte("a"), []byte("1"))
	b.DeleteRange(nil, []byte("z"))
	b.Delete([]byte("b"))
	b.Put([]byte("c"), nil)
	if got, want := fmt.Sprint(each()), "[+a=1 !..z -b +c=]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	b.Reset()
	if got := each(); len(got) != 0 || b.Count() != 0 || len(b.Rep()) != 0 {
		t.Errorf("after Reset: %s, count %d", got, b.Count())
	}
	b.Delete([]byte("d"))
	if got, want := fmt.Sprint(each()), "[-d]"; got != want {
		t.Errorf("used again: got %s, want %s", got, want)
	}
}
