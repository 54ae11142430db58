package wal

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"go.etcd.io/etcd/raft/v3"
	"go.etcd.io/etcd/raft/v3/raftpb"
)

func testOptions(dir string) Options {
	return Options{Dir: dir, SegmentBytes: 64 << 10, NoPrezero: true, Logger: slog.New(slog.DiscardHandler)}
}

func mustOpen(t testing.TB, o Options) *Log {
	t.Helper()
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func mustClose(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func mustAppend(t testing.TB, l *Log, u ...Update) {
	t.Helper()
	if err := l.Append(u); err != nil {
		t.Fatal(err)
	}
}

// ents makes entries [lo, hi) of one term, each with data that names it.
func ents(term, lo, hi uint64, size int) []raftpb.Entry {
	var out []raftpb.Entry
	for i := lo; i < hi; i++ {
		d := fmt.Appendf(nil, "%d-%d/", term, i)
		out = append(out, raftpb.Entry{Term: term, Index: i, Data: append(d, bytes.Repeat([]byte{'x'}, size)...)})
	}
	return out
}

func hard(term, vote, commit uint64) raftpb.HardState {
	return raftpb.HardState{Term: term, Vote: vote, Commit: commit}
}

func wantEntries(t testing.TB, got, want []raftpb.Entry) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d entries, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i].Index != want[i].Index || got[i].Term != want[i].Term || got[i].Type != want[i].Type || !bytes.Equal(got[i].Data, want[i].Data) {
			t.Fatalf("entry %v, want %v", got[i], want[i])
		}
	}
}

func readAll(t testing.TB, g *Group, from uint64) []raftpb.Entry {
	t.Helper()
	r := g.NewReader(from)
	defer r.Close()
	var out []raftpb.Entry
	for {
		batch, err := r.Next(g.LastIndex())
		if err != nil {
			t.Fatal(err)
		}
		if len(batch) == 0 {
			return out
		}
		for _, e := range batch {
			e.Data = bytes.Clone(e.Data)
			out = append(out, e)
		}
	}
}

func TestAppendReadReopen(t *testing.T) {
	o := testOptions(t.TempDir())
	o.CacheBytes = 1 // everything from disk
	l := mustOpen(t, o)
	want := map[uint64][]raftpb.Entry{}
	for i := uint64(1); i < 2000; i += 10 {
		var us []Update
		for g := uint64(1); g <= 3; g++ {
			es := ents(1, i, i+10, int(g*50))
			want[g] = append(want[g], es...)
			us = append(us, Update{Group: g, Entries: es, HardState: hard(1, g, i), MustSync: true})
		}
		mustAppend(t, l, us...)
	}
	verify := func() {
		t.Helper()
		for g, es := range want {
			wantEntries(t, readAll(t, l.Group(g), 1), es)
			got, err := l.Group(g).Entries(777, 1500, noLimit)
			if err != nil {
				t.Fatal(err)
			}
			wantEntries(t, got, es[776:1499])
			if hs := l.Group(g).HardState(); hs != hard(1, g, 1991) {
				t.Fatalf("hard state %v", hs)
			}
		}
	}
	verify()
	mustClose(t, l)
	o.CacheBytes = 0
	l = mustOpen(t, o)
	defer mustClose(t, l)
	verify()
}

func TestStorageErrors(t *testing.T) {
	l := mustOpen(t, testOptions(t.TempDir()))
	defer mustClose(t, l)
	mustAppend(t, l, Update{Group: 1, Snapshot: &Base{Index: 10, Term: 3}, Entries: ents(4, 11, 21, 10)})
	g := l.Group(1)
	if err := g.Truncate(12); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		lo, hi uint64
		want   error
	}{{12, 14, raft.ErrCompacted}, {13, 22, raft.ErrUnavailable}, {13, 21, nil}} {
		if _, err := g.Entries(c.lo, c.hi, noLimit); !errors.Is(err, c.want) {
			t.Errorf("Entries(%d, %d): %v, want %v", c.lo, c.hi, err, c.want)
		}
	}
	for i, want := range map[uint64]error{11: raft.ErrCompacted, 12: nil, 20: nil, 21: raft.ErrUnavailable} {
		if term, err := g.Term(i); !errors.Is(err, want) || err == nil && term != 4 {
			t.Errorf("Term(%d) = %d, %v, want %v", i, term, err, want)
		}
	}
	for _, first := range []uint64{12, 22} {
		if err := l.Append([]Update{{Group: 1, Entries: ents(5, first, first+1, 0)}}); !errors.Is(err, ErrGap) {
			t.Errorf("append of %d: %v, want ErrGap", first, err)
		}
	}
	if got, err := g.Entries(13, 21, 0); err != nil || len(got) != 1 {
		t.Errorf("Entries with maxBytes 0: %d entries, %v; want 1", len(got), err)
	}
}
