package partition

import (
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/store"
)

// flightView is the state that writes are evaluated against: what is applied, and over it what the open batch has changed. What
// other batches have in flight is never seen: their keys are not evaluated.
type flightView struct {
	r   *Replica
	buf []byte
	// dirty is set when something was read that the open batch has changed.
	dirty bool
}

// Meta implements command.View.
func (v *flightView) Meta(key []byte) (event.Meta, bool, error) {
	if at, ok := v.r.inflight[string(key)]; ok && at.batch == v.r.open {
		v.dirty = true
		m, ok := after(&at.batch.ev.Mutations[at.mutation])
		return m, ok, nil
	}
	m, buf, ok, err := v.r.store.Meta(v.buf[:0], key)
	if err == nil && !ok && v.r.replicates {
		m, buf, ok, err = v.r.store.Tombstone(buf[:0], key)
	}
	v.buf = buf
	return m, ok, err
}

// Keys implements command.View. A request that walks over keys is evaluated when its lane has nothing in flight, so that what
// is applied is all it has to see.
func (v *flightView) Keys(from []byte, visit func([]byte, *event.Meta) bool) error {
	snap := v.r.store.Snapshot()
	defer snap.Close()
	return snap.Keys(from, visit)
}

// KeysReverse implements command.View: as Keys.
func (v *flightView) KeysReverse(before []byte, visit func([]byte, *event.Meta) bool) error {
	snap := v.r.store.Snapshot()
	defer snap.Close()
	return snap.KeysReverse(before, visit)
}

// Len implements command.View: as Keys, of what is applied.
func (v *flightView) Len() int64 {
	return v.r.store.State().Keys
}

// Expiring is how many keys have an expiry: FLUSHDB, a barrier, counts by it.
func (v *flightView) Expiring() int64 { return v.r.store.State().Expiring }

// Element implements command.View.
func (v *flightView) Element(key []byte, m *event.Meta, sub []byte) (e command.Element, ok bool, err error) {
	e, v.buf, ok, err = v.r.store.Element(v.buf[:0], key, m, sub)
	if err == nil && !ok && v.r.replicates {
		e.Version, v.buf, err = v.r.store.ElementTombstone(v.buf[:0], key, sub)
	}
	return e, ok, err
}

// Elements implements command.View.
func (v *flightView) Elements(key []byte, m *event.Meta, in command.Range, visit func([]byte, *command.Element) bool) error {
	snap := v.r.store.Snapshot()
	defer snap.Close()
	return snap.Elements(key, m, in, visit)
}

// Scores implements command.View.
func (v *flightView) Scores(key []byte, m *event.Meta, in command.ScoreRange, visit func(float64, []byte) bool) error {
	snap := v.r.store.Snapshot()
	defer snap.Close()
	return snap.Scores(key, m, in, visit)
}

// CountScores implements command.View.
func (v *flightView) CountScores(key []byte, m *event.Meta, in command.ScoreRange) (int64, error) {
	snap := v.r.store.Snapshot()
	defer snap.Close()
	return snap.CountScores(key, m, in)
}

// after is the meta row that a mutation leaves; false if it leaves none.
func after(m *event.Mutation) (event.Meta, bool) {
	if m.Op == event.OpDel || m.Op.OnElements() && m.Count == 0 {
		return removed(m)
	}
	meta := event.Meta{
		Type: m.Type, Version: m.Version, Floor: m.Floor, ExpireAt: m.ExpireAt, ExpiryVersion: m.ExpiryVersion,
		Generation: m.Generation, Count: m.Count, Value: m.Value,
	}
	switch {
	case m.Op == event.OpExpire:
		return event.Meta{}, false
	case m.Op == event.OpExpireAt, m.Op == event.OpPersist:
		meta.Version, meta.Value = m.Before.Version, m.Before.Value
	case m.Op.OnElements():
		meta.Version = m.KeyVersion
	}
	return meta, true
}

// removed is what is left of a key that a mutation removed: where versions are kept, it is absent, but when it was removed is known.
func removed(m *event.Mutation) (event.Meta, bool) {
	if !m.Tombstone {
		return event.Meta{}, false
	}
	left := event.Meta{Type: event.TypeNone, Version: m.Version, Floor: m.Floor, ExpiryVersion: m.ExpiryVersion}
	if m.Op.OnElements() {
		left.Version = m.KeyVersion
	}
	return left, true
}

// batchTx collects the mutations of one evaluation in the open batch.
type batchTx struct {
	r       *Replica
	command string
	group   uint32
}

// Emit implements command.Tx.
func (t *batchTx) Emit(m *event.Mutation) {
	r, b := t.r, t.r.open
	b.ev.Mutations = append(b.ev.Mutations, *m)
	n := len(b.ev.Mutations) - 1
	e := &b.ev.Mutations[n]
	e.Key, e.Value, e.Before.Value = r.arena.copy(m.Key), r.arena.copy(m.Value), r.arena.copy(m.Before.Value)
	e.Elements = r.arena.copyElements(m.Elements)
	e.Group, e.Command = t.group, t.command
	command.Stamp(e, event.Version{Time: b.ev.Time + int64(n), Cluster: r.self})
	b.undo = append(b.undo, r.inflight[asString(e.Key)])
	r.inflight[asString(e.Key)] = flightKey{batch: b, mutation: n}
	b.bytes += mutationSize(e)
}

// What a mutation, and an element in it, take in the log beyond their keys and values, as a bound rather than a mean: of versions, numbers
// and lengths.
const (
	mutationOverhead = 64
	elementOverhead  = 32
)

// mutationSize is about what a mutation takes in the log.
func mutationSize(m *event.Mutation) int {
	n := mutationOverhead + len(m.Key) + len(m.Value) + len(m.Before.Value)
	for i := range m.Elements {
		n += elementOverhead + len(m.Elements[i].Sub) + len(m.Elements[i].Value)
	}
	return n
}

// rollback takes back what was emitted since the batch had n mutations.
func (r *Replica) rollback(b *batch, n int) {
	for i := len(b.ev.Mutations) - 1; i >= n; i-- {
		m := &b.ev.Mutations[i]
		b.bytes -= mutationSize(m)
		if b.undo[i].batch == nil {
			delete(r.inflight, asString(m.Key))
		} else {
			r.inflight[asString(m.Key)] = b.undo[i]
		}
	}
	clear(b.ev.Mutations[n:])
	b.ev.Mutations, b.undo = b.ev.Mutations[:n], b.undo[:n]
}

// stateView reads applied state for one read command: one row as it is now, or several through a snapshot.
type stateView struct {
	store *store.Store
	snap  *store.Snapshot
	buf   []byte
}

// Meta implements command.View.
func (v *stateView) Meta(key []byte) (m event.Meta, ok bool, err error) {
	if v.snap != nil {
		m, v.buf, ok, err = v.snap.Meta(v.buf[:0], key)
	} else {
		m, v.buf, ok, err = v.store.Meta(v.buf[:0], key)
	}
	return m, ok, err
}

// Keys implements command.View.
func (v *stateView) Keys(from []byte, visit func([]byte, *event.Meta) bool) error {
	return v.snap.Keys(from, visit)
}

// KeysReverse implements command.View.
func (v *stateView) KeysReverse(before []byte, visit func([]byte, *event.Meta) bool) error {
	return v.snap.KeysReverse(before, visit)
}

// Len implements command.View.
func (v *stateView) Len() int64 { return v.store.State().Keys }

// Element implements command.View.
func (v *stateView) Element(key []byte, m *event.Meta, sub []byte) (e command.Element, ok bool, err error) {
	if v.snap != nil {
		e, v.buf, ok, err = v.snap.Element(v.buf[:0], key, m, sub)
	} else {
		e, v.buf, ok, err = v.store.Element(v.buf[:0], key, m, sub)
	}
	return e, ok, err
}

// Elements implements command.View.
func (v *stateView) Elements(key []byte, m *event.Meta, in command.Range, visit func([]byte, *command.Element) bool) error {
	return v.snap.Elements(key, m, in, visit)
}

// Scores implements command.View.
func (v *stateView) Scores(key []byte, m *event.Meta, in command.ScoreRange, visit func(float64, []byte) bool) error {
	return v.snap.Scores(key, m, in, visit)
}

// CountScores implements command.View.
func (v *stateView) CountScores(key []byte, m *event.Meta, in command.ScoreRange) (int64, error) {
	return v.snap.CountScores(key, m, in)
}

// severalRows says whether a command reads more than one row, so that it needs one consistent state for all.
func severalRows(s *command.Spec, args int) bool {
	if s.Scope != command.ScopeKeys || s.Flags&(command.ManyRows|command.MovableKeys) != 0 {
		return true
	}
	last := s.LastKey
	if last < 0 {
		last += args
	}
	return last > s.FirstKey
}
