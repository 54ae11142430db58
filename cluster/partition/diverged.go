package partition

import (
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/conflict"
)

// noteDiverged remembers that a key has diverged. It is forgotten only when that is over and applied: whoever finds a key here looks at its rows.
func (r *Replica) noteDiverged(key []byte, source string) {
	r.conflicts.keys[hashKey(key)] = struct{}{}
	if _, known := r.conflicts.sources[source]; !known {
		r.conflicts.sources[source] = struct{}{}
	}
}

// wholeKey says whether a mutation made here writes its key as a whole, whatever was there: that brings a key together that had diverged.
func wholeKey(m *event.Mutation) bool {
	return m.Op == event.OpSet || m.Op == event.OpDel || m.Whole
}

// heal removes the records of a key's having diverged, in the event that brings it together.
func (r *Replica) heal(b *batch, key []byte) {
	err := r.eachDiverged(key, func(id, row []byte) error {
		r.putRow(b, id, nil, len(id)+len(row), key)
		return nil
	})
	if err != nil {
		r.opts.Fatal(err)
	}
}

// eachDiverged visits the open records of a key, whose row is not to be kept.
func (r *Replica) eachDiverged(key []byte, visit func(id, row []byte) error) error {
	if len(r.conflicts.keys) == 0 {
		return nil
	}
	if _, maybe := r.conflicts.keys[hashKey(key)]; !maybe {
		return nil
	}
	for source := range r.conflicts.sources {
		d := conflict.Diverged{ID: conflict.DivergedID(key, source)}
		id := d.RowID()
		row, err := r.conflictRow(id)
		if err == nil && row != nil {
			err = visit(id, row)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// forgetHealed forgets keys of which no record is open any more.
func (r *Replica) forgetHealed(w *rowsOfLog) {
	for i := range w.undo {
		key := w.undo[i].healed
		if key == nil {
			continue
		}
		open := false
		err := r.eachDiverged(key, func(_, _ []byte) error {
			open = true
			return nil
		})
		if err != nil {
			r.opts.Fatal(err)
			return
		}
		if !open {
			delete(r.conflicts.keys, hashKey(key))
		}
	}
}

// divergedUpTo is the latest version that the open records of a key know of; zero if none is open.
func (r *Replica) divergedUpTo(env *conflict.Env, key []byte) (latest event.Version, err error) {
	err = r.eachDiverged(key, func(id, row []byte) error {
		_, d, err := conflict.Row(id, row)
		if err != nil {
			return err
		}
		v := event.Version{Time: d.Latest.Time, Cluster: r.names.Number([]byte(d.Latest.Cluster))}
		if env.Names = r.names; env.Compare(v, latest) > 0 {
			latest = v
		}
		return nil
	})
	return latest, err
}

// diverge takes a record up into that of its key's having diverged.
func (r *Replica) diverge(b *batch, rec *conflict.Record) error {
	d := conflict.Diverged{ID: conflict.DivergedID(rec.Key, rec.Source.Cluster)}
	id := d.RowID()
	row, err := r.conflictRow(id)
	if err != nil {
		return err
	}
	d, before := conflict.Diverged{}, 0
	if row != nil {
		_, there, err := conflict.Row(id, row)
		if err != nil {
			return err
		}
		d, before = *there, len(id)+len(row)
	}
	d.Add(rec)
	r.putRow(b, id, d.Append(nil), before, nil)
	r.noteDiverged(rec.Key, rec.Source.Cluster)
	return nil
}
