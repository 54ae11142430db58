package partition

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/conflict"
)

// Bounds of one step.
const (
	purgeRows    = 4096    // that are removed by one event
	listedRows   = 8192    // that one page of a list looks at
	listedBytes  = 1 << 20 // that one page of a list has
	trimInterval = time.Minute
)

// conflictsPlace is what keeps removals from the conflict log apart: one is under way at a time.
const conflictsPlace = "c"

// ConflictRow is a row of the conflict log: conflict.Row reads it.
type ConflictRow struct{ ID, Value []byte }

// Conflicts reads a page of the conflict log as applied here, in the order of the rows' ids: those after a row that pass lets through (nil: all), at most
// limit (0: as many as a page has). next is where the next page begins; nil: there is none. A row that this program can't read is an error. Any replica, any
// goroutine; pass is called under a lock and must not wait.
func (r *Replica) Conflicts(after []byte, limit int, pass func(*conflict.Record, *conflict.Diverged) bool) (rows []ConflictRow, next []byte, err error) {
	r.state.RLock()
	defer r.state.RUnlock()
	if r.store == nil {
		return nil, nil, ErrClosed
	}
	if len(after) == 0 {
		after = []byte{rowCounts}
	}
	looked, size := 0, 0
	var broken error
	err = r.store.OwnAfter(event.OwnConflict, after, func(id, value []byte) bool {
		rec, d, rerr := conflict.Row(id, value)
		if rerr != nil {
			broken = fmt.Errorf("row % x: %w", id, rerr)
			return false
		}
		if pass == nil || pass(rec, d) {
			row := ConflictRow{bytes.Clone(id), bytes.Clone(value)}
			rows, size = append(rows, row), size+len(id)+len(value)
		}
		if looked++; looked >= listedRows || size >= listedBytes || limit > 0 && len(rows) >= limit {
			next = bytes.Clone(id)
		}
		return next == nil
	})
	if err == nil {
		err = broken
	}
	if err != nil {
		return nil, nil, fmt.Errorf("partition %s: conflict log: %w", r.name, err)
	}
	return rows, next, nil
}

// PurgeConflicts removes rows of the conflict log by their ids, and says how many were there. Errors are Replay's; more ids than 4096 are ErrMalformed.
func (r *Replica) PurgeConflicts(ctx context.Context, ids [][]byte) (removed int, err error) {
	if len(ids) > purgeRows {
		return 0, fmt.Errorf("partition %s: conflict log: %w: %d rows are to be removed at once, want at most %d", r.name, ErrMalformed, len(ids), purgeRows)
	}
	for _, id := range ids {
		if len(id) == 0 || id[0] != rowRecord && id[0] != rowDiverged {
			return 0, fmt.Errorf("partition %s: conflict log: %w: row % x", r.name, ErrMalformed, clipKey(id))
		}
	}
	ids = cloneAll(ids)
	e := &errand{spec: writeErrand, place: conflictsPlace}
	e.run = func(l *lane, req *command.Request) {
		b := r.openBatch()
		before := len(b.ev.Own)
		removed = 0
		for _, id := range ids {
			gone, err := r.removeRow(b, id)
			if err != nil {
				r.cutOwn(b, before)
				r.fails(l, req, err)
				return
			}
			removed += gone
		}
		if removed == 0 {
			r.answerRead(l, req)
			return
		}
		r.holdConflicts(b)
		r.hangOn(l, req, b)
	}
	if err := r.runErrand(ctx, e); err != nil {
		return 0, fmt.Errorf("partition %s: conflict log: %w", r.name, err)
	}
	return removed, nil
}

func cloneAll(ids [][]byte) [][]byte {
	own := make([][]byte, len(ids))
	for i, id := range ids {
		own[i] = bytes.Clone(id)
	}
	return own
}

// removeRow removes one row with the open batch, and says how many that were.
func (r *Replica) removeRow(b *batch, id []byte) (int, error) {
	row, err := r.conflictRow(id)
	if err != nil || row == nil {
		return 0, err
	}
	var healed []byte
	if id[0] == rowDiverged {
		if _, d, err := conflict.Row(id, row); err == nil { // one that can't be read can still be removed
			healed = bytes.Clone(d.Key)
		}
	}
	r.putRow(b, id, nil, len(id)+len(row), healed)
	return 1, nil
}

// holdConflicts keeps other removals waiting until this one is settled.
func (r *Replica) holdConflicts(b *batch) {
	b.moves = append(b.moves, move{place: conflictsPlace, own: len(b.ev.Own) - 1})
	r.moving[conflictsPlace] = b
}

// trimConflicts removes the oldest records, as long as the log has more bytes than it may have, or has them longer. What diverged stays until it is healed
// or purged.
func (r *Replica) trimConflicts(now time.Time) error {
	over := int64(r.conflicts.counts.bytes()) - r.opts.Replication.ConflictBytes
	if !r.servingNow() || r.conflicts.counts.records == 0 || over <= 0 && now.Sub(r.conflicts.trimmed) < trimInterval {
		return nil
	}
	if r.barrier || r.waitsForAll || r.flights >= flightBatches || r.moving[conflictsPlace] != nil {
		return nil
	}
	oldest := now.Add(-r.opts.Replication.ConflictAge).UnixNano()
	var ids [][]byte
	err := r.store.OwnAfter(event.OwnConflict, []byte{rowRecord}, func(id, value []byte) bool {
		if id[0] != rowRecord || len(id) < 9 || over <= 0 && int64(binary.BigEndian.Uint64(id[1:])) >= oldest {
			return false
		}
		over -= int64(len(id) + len(value))
		ids = append(ids, bytes.Clone(id))
		return len(ids) < purgeRows
	})
	if err != nil {
		return fmt.Errorf("partition %s: conflict log: %w", r.name, err)
	}
	if len(ids) < purgeRows {
		r.conflicts.trimmed = now
	}
	return r.trim(ids)
}

func (r *Replica) trim(ids [][]byte) error {
	if len(ids) == 0 {
		return nil
	}
	r.takeBackOffer()
	defer r.offerBatch()
	b := r.openBatch()
	for _, id := range ids {
		if _, err := r.removeRow(b, id); err != nil {
			return err
		}
	}
	r.holdConflicts(b)
	return nil
}
