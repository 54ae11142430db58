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
	over  flightElements
	ends  ends
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

// after is the meta row that a mutation leaves; false if it leaves none.
func after(m *event.Mutation) (event.Meta, bool) {
	if m.Op == event.OpDel || m.Op == event.OpExpire || m.Op.OnElements() && m.Count == 0 {
		return removed(m)
	}
	meta := event.Meta{
		Type: m.Type, Version: m.Version, Floor: m.Floor, ExpireAt: m.ExpireAt, ExpiryVersion: m.ExpiryVersion,
		Generation: m.Generation, Count: m.Count, Value: m.Value,
	}
	switch {
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
	return event.Meta{Type: event.TypeNone, Version: store.LeftVersion(m), Floor: m.Floor, ExpireAt: m.ExpireAt, ExpiryVersion: m.ExpiryVersion}, true
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
	e, n := r.take(b, m)
	e.Group, e.Command = t.group, t.command
	command.Stamp(e, event.Version{Time: b.ev.Time + int64(n), Cluster: r.self})
	r.view.ends.noteEmitted(e)
	if len(r.conflicts.keys) > 0 && wholeKey(e) {
		r.heal(b, e.Key)
	}
}

// take copies a mutation into the open batch: its key is in flight there from now on.
func (r *Replica) take(b *batch, m *event.Mutation) (e *event.Mutation, n int) {
	b.ev.Mutations = append(b.ev.Mutations, *m)
	n = len(b.ev.Mutations) - 1
	e = &b.ev.Mutations[n]
	e.Key, e.Value, e.Before.Value = r.arena.copy(m.Key), r.arena.copy(m.Value), r.arena.copy(m.Before.Value)
	e.Elements = r.arena.copyElements(m.Elements)
	b.undo = append(b.undo, r.inflight[asString(e.Key)])
	r.inflight[asString(e.Key)] = flightKey{batch: b, mutation: n}
	b.bytes += mutationSize(e)
	return e, n
}

// What a mutation, and an element in it, take in the log beyond their keys and values, as a bound rather than a mean: of versions, numbers
// and lengths.
const (
	mutationOverhead = 64
	elementOverhead  = 36
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
	r.cutOwn(b, b.rows.upTo(b, n))
	r.view.over.forget()
	r.view.ends.forget()
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
