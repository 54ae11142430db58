package store

import (
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/engine"
)

// Overlay holds the element rows of mutations that aren't applied yet, so that elements can be read as they will be. Rows are kept
// by their keys in the engine, in which the generation stands: what a key's former life held is there, but nobody who reads under the present
// generation sees it. It is for one goroutine. The zero value is empty.
type Overlay struct {
	rows rowList
	made projector
}

// Add takes up a stamped mutation. Those of a key must come in their order. It copies what it keeps.
func (o *Overlay) Add(m *event.Mutation) {
	if !m.Op.OnElements() {
		return // what it did to a collection, another generation says
	}
	o.made.batch.Reset()
	o.made.touched = o.made.touched[:0]
	if problem := o.made.elements(m); problem != "" {
		panic("store: " + m.Op.String() + " was evaluated into what can't be applied: " + problem)
	}
	put := func(key, value []byte) { o.rows.set(key, value, false) }
	del := func(key []byte) { o.rows.set(key, nil, true) }
	if err := o.made.batch.Each(put, del, nil); err != nil {
		panic("store: a batch just made can't be read: " + err.Error())
	}
}

// Reset empties it.
func (o *Overlay) Reset() {
	o.rows = rowList{}
	if o.made.batch.Len() > keepBatch {
		o.made = projector{}
	}
}

// Live reads what is applied at the moment of each call, under the rows of o if that isn't nil. A call reads one consistent state,
// several calls do so only on the goroutine that applies. Close does nothing.
func (s *Store) Live(o *Overlay) *Snapshot {
	return &Snapshot{reader: overlaid{Reader: cached{s}, over: o}, live: s}
}

// overlaid is an engine's state under an overlay.
type overlaid struct {
	engine.Reader
	over *Overlay
}

func (r overlaid) Close() {}

func (r overlaid) Get(dst, key []byte) (value []byte, ok bool, err error) {
	if r.over != nil {
		if row := r.over.rows.get(key); row != nil {
			return append(dst, row.value...), !row.removed, nil
		}
	}
	return r.Reader.Get(dst, key)
}

func (r overlaid) NewIterator(lower, upper []byte) (engine.Iterator, error) {
	base, err := r.Reader.NewIterator(lower, upper)
	if err != nil || r.over == nil || !r.over.rows.any(lower, upper) {
		return base, err
	}
	return newMerged(base, &r.over.rows, lower, upper), nil
}
