package wal

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"go.etcd.io/etcd/raft/v3/raftpb"
)

// TestReaderAcrossOverwrites: what wasn't committed is replaced again and again, as changing leaders do, while a reader
// follows what is. It must see the entries that were committed, not those that lie next in the file.
func TestReaderAcrossOverwrites(t *testing.T) {
	for seed := range uint64(40) {
		o := &overwriting{t: t, seed: seed, r: rand.New(rand.NewPCG(seed, 1)), dir: t.TempDir(), term: 2}
		o.open()
		for range 60 {
			o.append()
			o.commit += o.r.IntN(len(o.want) - o.commit + 1)
			if o.r.IntN(8) == 0 {
				o.reopen()
			}
			o.read()
		}
		o.reader.Close()
		if err := o.log.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

type overwriting struct {
	t      *testing.T
	seed   uint64
	r      *rand.Rand
	dir    string
	log    *Log
	reader *Reader
	term   uint64
	want   []raftpb.Entry // entry i at i-1
	commit int
	seen   int
}

func (o *overwriting) open() {
	l, err := Open(Options{Dir: o.dir, SegmentBytes: 64 << 10, CacheBytes: 1})
	if err != nil {
		o.t.Fatalf("seed %d: %v", o.seed, err)
	}
	o.log, o.reader, o.seen = l, l.Group(1).NewReader(1), 0
}

func (o *overwriting) reopen() {
	o.reader.Close()
	if err := o.log.Close(); err != nil {
		o.t.Fatalf("seed %d: %v", o.seed, err)
	}
	o.open()
}

// append adds some entries, now and then in place of what isn't committed, and some of another group between.
func (o *overwriting) append() {
	if o.r.IntN(3) == 0 {
		o.term++
		o.want = o.want[:o.commit+o.r.IntN(len(o.want)-o.commit+1)]
	}
	var entries []raftpb.Entry
	for range 1 + o.r.IntN(5) {
		index := uint64(len(o.want) + 1)
		e := raftpb.Entry{Index: index, Term: o.term, Data: fmt.Appendf(nil, "%d-%d%*d", o.term, index, o.r.IntN(3000), 0)}
		entries, o.want = append(entries, e), append(o.want, e)
	}
	other := raftpb.Entry{Index: o.log.Group(2).LastIndex() + 1, Term: 1, Data: []byte("other")}
	err := o.log.Append([]Update{{Group: 1, Entries: entries, MustSync: true}, {Group: 2, Entries: []raftpb.Entry{other}}})
	if err != nil {
		o.t.Fatalf("seed %d: %v", o.seed, err)
	}
}

func (o *overwriting) read() {
	for o.seen < o.commit {
		entries, err := o.reader.Next(uint64(o.commit))
		if err != nil || len(entries) == 0 {
			o.t.Fatalf("seed %d: after %d of %d: %d entries, %v", o.seed, o.seen, o.commit, len(entries), err)
		}
		for _, e := range entries {
			w := o.want[o.seen]
			if e.Index != w.Index || e.Term != w.Term || string(e.Data) != string(w.Data) {
				o.t.Fatalf("seed %d: read entry %d-%d, committed is %d-%d", o.seed, e.Term, e.Index, w.Term, w.Index)
			}
			o.seen++
		}
	}
}
