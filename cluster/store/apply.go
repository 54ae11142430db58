package store

import (
	"fmt"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/engine"
)

// Apply gathers the rows of consecutive log entries and writes them as one. It is used again and again by the one
// goroutine that applies; a store has one at a time. After an error it is of no more use, and neither is the replica: the
// state it would have had to reach is not known here.
type Apply struct {
	s *Store
	projector
	// state is what will be current after Commit; its Clusters are shared with the current one until a name is added.
	state State
	open  bool // state was taken over since the last Commit
	count int
	err   error

	rows    []span // meta rows in the batch, for the cache, which may be switched on before the commit
	jobs    []span // clean-up rows in the batch
	dropped bool   // a range delete: nothing cached before it holds
	stamp   event.Stamp
	scratch event.Scratch
}

// projector makes rows, in a batch.
type projector struct {
	batch    engine.Batch
	key, row []byte
	sub      []byte // what the keys of one mutation's element rows start with
	touched  []span // element rows and keys' tombstones in the batch that the cache may hold, or is to hold
}

// span is where a row lies in the batch: its key, and the value after it; size is 0 for a row removed.
type span struct{ key, keyEnd, row, rowEnd int }

// keepBatch bounds the memory that an Apply keeps between two commits.
const keepBatch = 8 << 20

// NewApply makes one. It is empty.
func (s *Store) NewApply() *Apply {
	a := &Apply{s: s}
	a.stamp.Cluster, a.stamp.Namespace, a.stamp.Partition = s.id.Cluster, s.id.Namespace, s.id.Partition
	return a
}

// Len is the size in bytes of the rows gathered, Count the number of entries.
func (a *Apply) Len() int   { return a.batch.Len() }
func (a *Apply) Count() int { return a.count }

// begin takes over the current state, with the first thing that is gathered.
func (a *Apply) begin() {
	if a.open {
		return
	}
	a.open = true
	a.state = *a.s.state.Load()
	if a.state.Applied.IsZero() {
		a.key = append(a.key[:0], famOwn, ownIdentity)
		a.row = appendIdentity(a.row[:0], a.s.id)
		a.batch.Put(a.key, a.row)
		a.putMark(0)
	}
}

// advance checks that an entry is the next one. An empty store may begin anywhere.
func (a *Apply) advance(pos event.Position) error {
	a.begin()
	at := a.state.Applied
	if a.err == nil && !at.IsZero() && (pos.Index != at.Index+1 || pos.Term < at.Term) {
		a.err = eventf("apply %s to %s: it stands at %s, so that index %d is next, of term %d or later", pos, a.s.id, at, at.Index+1, at.Term)
	}
	if a.err != nil {
		return a.err
	}
	a.state.Applied = pos
	a.count++
	return nil
}

// Skip passes an entry that changes no rows: an empty one, a rejected one, a configuration change. An error (of this or an
// earlier call) is returned by Commit.
func (a *Apply) Skip(pos event.Position) { _ = a.advance(pos) }

// SetConfState records raft's configuration as of the entry last gathered. b is copied.
func (a *Apply) SetConfState(b []byte) {
	a.begin()
	a.state.ConfState = append([]byte(nil), b...)
}

// Mark writes a chain mark at the entry last gathered.
func (a *Apply) Mark() {
	a.begin()
	a.putMark(a.state.Applied.Index)
}

func (a *Apply) putMark(index uint64) {
	a.key = appendMarkKey(a.key[:0], index)
	a.row = appendMark(a.row[:0], a.state.LastEvent, a.state.Chain)
	a.batch.Put(a.key, a.row)
}

// Commit writes what was gathered and the state row in one engine write, and then makes it the store's state. Nothing gathered:
// nothing is done. After an error nothing of it counts as applied, though it may be in the engine.
//
// Reads by other goroutines never go backward, whether the cache or the engine answers them:
//
//   - before the write, readers are turned from the cache to the engine: a reader that finds the new row in the engine (a
//     snapshot's reads always go there) can't be followed by one that finds the old row in the cache. Who has chosen the cache
//     before that began before the write, and may answer with what was true then;
//   - after it, the new rows go in, readers are turned back, and then the state is published: who has seen the state reads rows
//     at least as new.
func (a *Apply) Commit() error {
	if a.err != nil {
		return a.err
	}
	if !a.open {
		return nil
	}
	a.key = append(a.key[:0], famOwn, ownState)
	a.row = appendState(a.row[:0], &a.state)
	a.batch.Put(a.key, a.row)
	a.s.moment.Add(1)
	a.s.epoch.Store(0)
	if err := a.s.engine.Write(&a.batch); err != nil {
		a.err = fmt.Errorf("store: write %d entries up to %s to %s: %w", a.count, a.state.Applied, a.s.id, err)
		return a.err
	}
	a.refresh()
	for _, j := range a.jobs {
		a.s.queue.add(a.batch.Rep()[j.key:j.keyEnd], a.batch.Rep()[j.row:j.rowEnd])
	}
	published := a.state
	a.s.state.Store(&published)
	a.s.moment.Add(1)
	a.reset()
	return nil
}

func (a *Apply) reset() {
	if a.batch.Len() > keepBatch {
		a.batch, a.row = engine.Batch{}, nil
	}
	a.batch.Reset()
	a.rows, a.touched, a.jobs = a.rows[:0], a.touched[:0], a.jobs[:0]
	a.open, a.dropped, a.count = false, false, 0
}

// refresh brings the cache up to date with the batch. A key that was changed twice ends with its last row, as in the engine.
func (a *Apply) refresh() {
	s := a.s
	if s.caching == 0 {
		return
	}
	if a.dropped {
		s.caching = s.cache.newEpoch()
	} else {
		rep := a.batch.Rep()
		for _, r := range a.rows {
			a.key = appendCacheKey(a.key[:0], s.caching, rep[r.key:r.keyEnd])
			s.cache.put(a.key, rep[r.row:r.rowEnd])
		}
		for _, r := range a.touched {
			a.key = appendCacheKey(a.key[:0], s.caching, rep[r.key:r.keyEnd])
			if r.row == r.rowEnd {
				s.cache.rows.Del(a.key)
			} else {
				s.cache.put(a.key, rep[r.row:r.rowEnd])
			}
		}
	}
	s.epoch.Store(s.caching)
}
