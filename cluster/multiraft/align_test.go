package multiraft

import (
	"testing"

	"go.etcd.io/etcd/raft/v3/raftpb"

	"github.com/zankv/zankv/wal"
)

// history is a log whose entry at index i has term terms[i-2], after the base that all logs begin with.
func history(t *testing.T, h *host, terms ...uint64) {
	t.Helper()
	update := wal.Update{Group: testGroup, MustSync: true, Snapshot: &base, HardState: raftpb.HardState{Term: terms[len(terms)-1], Commit: base.Index}}
	for i, term := range terms {
		update.Entries = append(update.Entries, raftpb.Entry{Index: base.Index + 1 + uint64(i), Term: term, Data: []byte("x")})
	}
	must(t, h.log.Append([]wal.Update{update}))
}

// aligned opens a replica whose state stands at a position, over a log, and tells where the log begins and ends then.
func aligned(t *testing.T, index, term uint64, truncated uint64, terms ...uint64) (first, last uint64, err error) {
	t.Helper()
	c := &cluster{t: t}
	h := &host{t: t, c: c, id: 1, dir: t.TempDir()}
	c.hosts = []*host{h, {t: t, c: c, id: 2}, {t: t, c: c, id: 3}}
	h.open()
	history(t, h, terms...)
	if truncated > 0 {
		must(t, h.log.Group(testGroup).Truncate(truncated))
	}
	h.machine = &machine{t: t, host: h, dir: h.dir}
	h.machine.mu.applied = raftpb.SnapshotMetadata{Index: index, Term: term}
	h.machine.mu.entries = make(map[uint64]string)
	err = h.add()
	g := h.log.Group(testGroup)
	first, last = g.FirstIndex(), g.LastIndex()
	must(t, h.stop())
	return first, last, err
}

// A crash between the installation of a snapshot and the reset of the log leaves a state that is ahead of its log: it wins. A state
// that ends before its log begins can't be brought up to date, and the log's entries may be promised to others: it is an error.
func TestLogIsAlignedWithTheState(t *testing.T) {
	for name, test := range map[string]struct {
		index, term, truncated uint64
		terms                  []uint64
		first, last            uint64
		fails                  bool
	}{
		"the state is within its log":             {index: 3, term: 2, terms: []uint64{2, 2, 2, 3}, first: 2, last: 5},
		"the state stands where the log begins":   {index: 3, term: 2, truncated: 3, terms: []uint64{2, 2, 2}, first: 4, last: 4},
		"the state stands where the log ends":     {index: 4, term: 2, terms: []uint64{2, 2, 2}, first: 2, last: 4},
		"the state is ahead":                      {index: 9, term: 4, terms: []uint64{2, 2, 2}, first: 10, last: 9},
		"the log has other entries at the state":  {index: 4, term: 5, terms: []uint64{2, 2, 3, 3, 3, 3}, first: 5, last: 4},
		"the state ends before the log begins":    {index: 2, term: 2, truncated: 4, terms: []uint64{2, 2, 2, 2}, fails: true},
		"the state is at the base, the log isn't": {index: 1, term: 1, truncated: 3, terms: []uint64{2, 2, 2, 2}, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			first, last, err := aligned(t, test.index, test.term, test.truncated, test.terms...)
			if test.fails {
				if err == nil {
					t.Fatalf("the log is now %d to %d, want an error", first, last)
				}
				t.Log(err)
				return
			}
			must(t, err)
			if first != test.first || last != test.last {
				t.Errorf("the log is %d to %d, want %d to %d", first, last, test.first, test.last)
			}
		})
	}
}
