package command

import (
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/store"
)

// What a View shows of collections is the store's.
type (
	Element    = store.Element
	Range      = store.Range
	ScoreKey   = store.ScoreKey
	ScoreRange = store.ScoreRange
)

// NewGeneration stands, in an emitted mutation's Generation, for a generation that the key never had. Stamp fills it in.
const NewGeneration = 1<<64 - 1

// lookType is look for commands on one type of collection: ok is false, and WRONGTYPE replied, when the key holds another type.
// Such commands treat an absent key as an empty collection.
func (c *Context) lookType(key []byte, t event.Type) (r *row, ok bool, err error) {
	r, err = c.look(key)
	if err != nil {
		return nil, false, err
	}
	if r.live && r.Type != t {
		c.Reply.Error(ErrWrongType)
		return nil, false, nil
	}
	return r, true, nil
}

// element reads one element of the key that r shows; ok is false when it or the key is absent. What it returns is borrowed until the
// next call on the view. An absent element's Version is still its Prev.
func (c *Context) element(key []byte, r *row, sub []byte) (e Element, ok bool, err error) {
	if !r.live {
		// Nothing is in this life of the key, but a tombstone may be there. It is of no account to a write of the whole key.
		if !c.Replicates || c.over(r) {
			return Element{}, false, nil
		}
		absent := event.Meta{Type: r.Type}
		e, _, err = c.View.Element(key, &absent, sub)
		return e, false, err
	}
	return c.View.Element(key, &r.Meta, sub)
}

// change begins an op on elements of key, as r shows it: append to Elements, keep Count right, then emitChange. A key that is
// absent is made by it. Nothing else may be begun or emitted meanwhile. The slices in Elements must stay unchanged until emitChange: hold
// what is borrowed from the view.
func (c *Context) change(op event.Op, key []byte, r *row) *event.Mutation {
	m := c.mutation(op, key, r, r.Version)
	m.Type, m.KeyVersion = op.ElementType(), Assigned
	m.Elements = c.elements[:0]
	if r.live {
		m.Generation, m.Count, m.Value = r.Generation, r.Count, r.Value
		m.ExpireAt, m.ExpiryVersion = r.ExpireAt, r.ExpiryVersion
		return m
	}
	m.Generation, m.ExpiryVersion = NewGeneration, c.clearedExpiry(r)
	if c.over(r) {
		m.Whole, m.Floor = true, Assigned
	}
	return m
}

// replace begins a write of key as a whole, as STORE and RENAME do: what Elements and Count say is all that the key holds
// after it. It must not stay empty (emitDel is for that). It doesn't look at what is there beyond r; Elements have no Prev.
func (c *Context) replace(op event.Op, key []byte, r *row) *event.Mutation {
	m := c.mutation(op, key, r, r.Version)
	m.Type, m.KeyVersion, m.Whole = op.ElementType(), Assigned, true
	m.Elements = c.elements[:0]
	m.Generation = NewGeneration
	m.Floor, m.ExpiryVersion = Assigned, Assigned
	return m
}

// emitChange emits what change or replace began. Without elements it is no change, and nothing is emitted.
func (c *Context) emitChange(m *event.Mutation) {
	c.elements = m.Elements[:0]
	if len(m.Elements) == 0 {
		return
	}
	if m.Op.Removes() {
		m.Tombstone = c.Replicates && m.Count == 0
		m.ElementTombstones = c.Replicates && (m.Op == event.OpHDel || c.MemberTombstones && m.Op.ElementType() != event.TypeList)
	}
	c.Tx.Emit(m)
	clear(m.Elements)
}

// heldChunk is how much memory hold takes at a time.
const heldChunk = 8 << 10

// hold copies bytes that are borrowed from the view into memory that stays as it is. It never returns nil.
func (c *Context) hold(p []byte) []byte {
	if len(p) == 0 {
		return []byte{}
	}
	if len(p) > cap(c.held)-len(c.held) {
		c.held = make([]byte, 0, max(heldChunk, len(p)))
	}
	n := len(c.held)
	c.held = append(c.held, p...)
	return c.held[n:len(c.held):len(c.held)]
}

// Block is what a blocking command asks for that found nothing.
type Block struct {
	// Wanted: nothing was there. Reply holds what to answer when the time has passed; until then the command is to be run again whenever one of
	// its keys was written, in the order in which the waiters came.
	Wanted bool
	// Milliseconds is for how long, 0 for ever.
	Milliseconds int64
}
