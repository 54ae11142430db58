package partition

import (
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/store"
)

// flightElements are the element rows of the open batch, of those keys whose elements were read since they were changed. A key whose
// elements nobody reads costs nothing, and one that is read and written in turn costs, with each read, what came since the last.
type flightElements struct {
	batch *batch
	rows  store.Overlay
	// upTo is, by key, the last mutation whose rows are in rows. Its strings are memory of the batch.
	upTo  map[string]int
	chain []int
	// applied reads of, the replica's store, live reads it under rows.
	applied, live *store.Snapshot
	of            *store.Store
}

// forget drops the rows: mutations were taken back, or the batch is none to be read any more.
func (e *flightElements) forget() {
	if e.batch != nil {
		e.batch = nil
		e.rows.Reset()
		clear(e.upTo)
	}
}

// add brings the rows of key up to its last mutation.
func (e *flightElements) add(key []byte, last flightKey) {
	if e.batch != last.batch {
		e.forget()
		e.batch = last.batch
	}
	b := last.batch
	upTo, ok := e.upTo[string(key)]
	if !ok {
		upTo = -1
	}
	e.chain = e.chain[:0]
	for at := last; at.batch == b && at.mutation > upTo; at = b.undo[at.mutation] {
		e.chain = append(e.chain, at.mutation)
	}
	if len(e.chain) == 0 {
		return
	}
	for i := len(e.chain) - 1; i >= 0; i-- {
		e.rows.Add(&b.ev.Mutations[e.chain[i]])
	}
	if e.upTo == nil {
		e.upTo = make(map[string]int)
	}
	e.upTo[asString(b.ev.Mutations[last.mutation].Key)] = last.mutation
}

// elements is where the elements of a key are read: what is applied, and what the open batch has changed of them.
func (v *flightView) elements(key []byte) *store.Snapshot {
	e := &v.over
	if e.of != v.r.store {
		e.of, e.applied, e.live = v.r.store, v.r.store.Live(nil), v.r.store.Live(&e.rows)
	}
	at, ok := v.r.inflight[string(key)]
	if !ok || at.batch != v.r.open {
		return e.applied
	}
	v.dirty = true
	e.add(key, at)
	return e.live
}

// Element implements command.View.
func (v *flightView) Element(key []byte, m *event.Meta, sub []byte) (e command.Element, ok bool, err error) {
	from := v.elements(key)
	e, v.buf, ok, err = from.Element(v.buf[:0], key, m, sub)
	if err == nil && !ok && v.r.replicates {
		e.Version, v.buf, err = from.ElementTombstone(v.buf[:0], key, sub)
	}
	return e, ok, err
}

// Elements implements command.View.
func (v *flightView) Elements(key []byte, m *event.Meta, in command.Range, visit func([]byte, *command.Element) bool) error {
	return v.elements(key).Elements(key, m, in, visit)
}
