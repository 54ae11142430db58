package partition

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/conflict"
)

// The conflict log's rows are those of kind OwnConflict: package conflict has their ids, those of records and of keys that have diverged. Beside them
// there is one with the id 00, which counts them, so that a leader needs to read none to go on counting. It comes with each event that changes others:
//
//	offset  size
//	0       1     format, 01
//	1             records, their bytes, diverged keys, their bytes: uvarints; a row's bytes are those of id and value
const (
	countsFormat = 0x01

	rowCounts   = 0x00
	rowRecord   = 0x01
	rowDiverged = 0x02
)

// counts are how many rows the conflict log has.
type counts struct {
	records, recordBytes   uint64
	diverged, divergedSize uint64
}

func (c *counts) bytes() uint64 { return c.recordBytes + c.divergedSize }

func (c *counts) append(dst []byte) []byte {
	dst = append(dst, countsFormat)
	for _, n := range []uint64{c.records, c.recordBytes, c.diverged, c.divergedSize} {
		dst = binary.AppendUvarint(dst, n)
	}
	return dst
}

func readCounts(row []byte) (c counts, err error) {
	if len(row) == 0 || row[0] != countsFormat {
		return c, fmt.Errorf("counts of the conflict log: format % x; this program knows %d: a newer one wrote it", row[:min(len(row), 1)], countsFormat)
	}
	row = row[1:]
	for _, to := range []*uint64{&c.records, &c.recordBytes, &c.diverged, &c.divergedSize} {
		n, w := binary.Uvarint(row)
		if w <= 0 {
			return c, fmt.Errorf("counts of the conflict log are cut short: % x", row)
		}
		*to, row = n, row[w:]
	}
	return c, nil
}

// note counts a row that was put in the place of one of the size before, or removed; size 0 is none.
func (c *counts) note(id []byte, before, after int) {
	n, bytes := &c.records, &c.recordBytes
	if id[0] == rowDiverged {
		n, bytes = &c.diverged, &c.divergedSize
	}
	for _, step := range []struct {
		size int
		by   uint64
	}{{before, ^uint64(0)}, {after, 1}} {
		if step.size > 0 {
			*n += step.by
			*bytes += step.by * uint64(step.size)
		}
	}
}

// conflictLog is what the leader knows of the conflict log.
type conflictLog struct {
	counts counts // with what is in flight
	// flying are the rows whose newest change isn't applied, by id.
	flying map[string]flyingRow
	// keys are those that have diverged, by their hash, and perhaps some that haven't any more; sources the clusters that any of their rows names.
	keys    map[uint64]struct{}
	sources map[string]struct{}
	// batches is how many batches changed the log; lost is the first batch of its generation that never took effect, so that counts went back to what they were before it.
	batches uint64
	trimmed time.Time // when it was last seen to have no record that is too old
	lost    struct{ generation, number uint64 }
}

var hashSeed = maphash.MakeSeed()

func hashKey(key []byte) uint64 { return maphash.Bytes(hashSeed, key) }

type flyingRow struct {
	batch *batch
	own   int // of the change in the batch's event
}

// rowsOfLog is what a batch does to the conflict log.
type rowsOfLog struct {
	undo     []rowUndo
	number   uint64 // among those of the replica that change the log
	counted  int    // where its counts are among its changes, once more than that is changed
	hasCount bool
}

// rowUndo is what a change took the place of.
type rowUndo struct {
	own       int
	mutations int // how many the batch had when it came
	id        string
	before    flyingRow
	counts    counts
	healed    []byte // the key whose row of having diverged it removes
}

// upTo is how many changes of own rows a batch keeps when it keeps n mutations.
func (w *rowsOfLog) upTo(b *batch, n int) int {
	own := len(b.ev.Own)
	for i := len(w.undo) - 1; i >= 0 && w.undo[i].mutations > n; i-- {
		own = w.undo[i].own
	}
	return own
}

// row is a row as the open batch will leave it: nil if there is none. What is returned is not to be kept.
func (r *Replica) conflictRow(id []byte) (value []byte, err error) {
	if at, flying := r.conflicts.flying[string(id)]; flying {
		return at.batch.ev.Own[at.own].Value, nil
	}
	value, ok, err := r.store.OwnValue(r.replaying.row[:0], event.OwnConflict, id)
	r.replaying.row = value
	if err != nil || !ok {
		return nil, err
	}
	return value, nil
}

// putRow puts a row of the conflict log, or its removal, into the open batch. before is the size of the row that is there.
func (r *Replica) putRow(b *batch, id, value []byte, before int, healed []byte) {
	log := &r.conflicts
	if len(b.rows.undo) == 0 && !b.rows.hasCount {
		log.batches++
		b.rows.number = log.batches
	}
	after := 0
	if len(value) > 0 {
		after = len(id) + len(value)
	}
	u := rowUndo{mutations: len(b.ev.Mutations), id: string(id), before: log.flying[string(id)], counts: log.counts, healed: healed}
	u.own = r.putOwn(b, event.OwnChange{Kind: event.OwnConflict, ID: id, Value: value})
	b.rows.undo = append(b.rows.undo, u)
	log.counts.note(id, before, after)
	log.flying[u.id] = flyingRow{batch: b, own: u.own}
}

// cutRows takes back what changes from the n-th on did.
func (r *Replica) cutRows(b *batch, n int) {
	w := &b.rows
	for len(w.undo) > 0 && w.undo[len(w.undo)-1].own >= n {
		u := &w.undo[len(w.undo)-1]
		r.conflicts.counts = u.counts
		r.restoreRow(u)
		*u = rowUndo{}
		w.undo = w.undo[:len(w.undo)-1]
	}
	w.hasCount = w.hasCount && w.counted < n
}

func (r *Replica) restoreRow(u *rowUndo) {
	if u.before.batch != nil {
		r.conflicts.flying[u.id] = u.before
	} else {
		delete(r.conflicts.flying, u.id)
	}
}

// finishRows brings the counts in a batch up to date, which may be taken from now on.
func (r *Replica) finishRows(b *batch) {
	w := &b.rows
	if len(w.undo) == 0 {
		return
	}
	value := r.conflicts.counts.append(nil)
	if !w.hasCount {
		w.hasCount, w.counted = true, r.putOwn(b, event.OwnChange{Kind: event.OwnConflict, ID: []byte{rowCounts}, Value: value})
		return
	}
	own := &b.ev.Own[w.counted]
	b.bytes += len(value) - len(own.Value)
	own.Value = value
}

// settleRows takes note of what became of a batch's changes.
func (r *Replica) settleRows(b *batch, outcome command.Outcome) {
	w := &b.rows
	for i := range w.undo {
		if u := &w.undo[i]; r.conflicts.flying[u.id].batch == b {
			delete(r.conflicts.flying, u.id)
		}
	}
	if outcome == command.Answered {
		r.forgetHealed(w)
		return
	}
	lost := &r.conflicts.lost
	if len(w.undo) == 0 || b.proposal.Generation == lost.generation && w.number > lost.number && lost.number > 0 {
		return // a batch before it is lost as well, or was
	}
	lost.generation, lost.number = b.proposal.Generation, w.number
	r.conflicts.counts = w.undo[0].counts
}

// readConflictLog begins with what is applied.
func (r *Replica) readConflictLog() error {
	c, err := countsOf(r.store)
	if err != nil {
		return fmt.Errorf("partition %s: %w", r.name, err)
	}
	r.conflicts = conflictLog{
		batches: r.conflicts.batches, counts: c, flying: make(map[string]flyingRow), keys: make(map[uint64]struct{}), sources: make(map[string]struct{}),
	}
	if c.diverged == 0 {
		return nil
	}
	var broken error
	err = r.store.OwnAfter(event.OwnConflict, []byte{rowDiverged}, func(id, value []byte) bool {
		_, d, rerr := conflict.Row(id, value)
		if rerr != nil {
			broken = fmt.Errorf("partition %s: conflict log: %w", r.name, rerr)
			return false
		}
		r.noteDiverged(d.Key, d.Source)
		return true
	})
	if err == nil {
		err = broken
	}
	return err
}

func countsOf(s *store.Store) (counts, error) {
	row, ok, err := s.OwnValue(nil, event.OwnConflict, []byte{rowCounts})
	if err != nil || !ok {
		return counts{}, err
	}
	return readCounts(row)
}
