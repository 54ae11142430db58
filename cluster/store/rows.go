package store

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/engine"
)

// RowReader reads a snapshot's content as mutations that make it anew: what a reader outside begins with who has no log from the
// beginning. Folded (event.Fold) one after the other they give every key that was live, with its meta row and its elements.
//
// Keys come in their byte order. One whose expiry is at or before State.Wall, the partition's own clock, is left out, whether its removal is in the log
// yet or not: so two replicas at one position give the same rows. An OpExpire, or any other op, of such a key may follow in the log.
//
// A string is one OpSet. A collection is one or more mutations of the op that writes its elements (OpHSet, OpSAdd, OpZAdd with members in their byte
// order; OpRPush in the list's; OpBits), each of at most about 256 KiB or one element: the first has Whole set, the others go on. How a
// collection is cut depends on it alone. Of a mutation's fields:
//
//	Version, KeyVersion      Meta.Version (KeyVersion only of collections)
//	Prev                     absent; Version in mutations that go on
//	Floor, ExpiryVersion     as stored, and so are ExpireAt, Generation and Value (Meta.Value)
//	Count                    elements up to and with this mutation, so that after the last one it is Meta.Count; of a bitmap always its length
//	Group, Command, Origin, Before, tombstones   empty
//
// and of an element's, besides what the op says at event.Element:
//
//	Prev, Exists, Was        of fields, members and segments: the version that the element has, true, and its score. So Prev is what the next change
//	                         of this element will name as its prev. The version in the mutation is the key's, which is the latest of them.
//	Prev, Exists             of a list's items: absent. The list is the register; its next change will name Version.
//
// A bitmap without any bit set has one element, its last segment, empty. A mutation is meant for who makes the content anew, not for Apply: it
// says of elements that they exist that aren't there where it is applied.
//
// It is for one goroutine. Memory is what one Next gives.
type RowReader struct {
	state    State
	reader   engine.Reader
	meta     engine.Iterator
	elements engine.Iterator // opened with the first collection
	started  bool
	limit    int // rowsBytes

	// The collection that is being read: its meta row and key are where the iterator stands.
	inside bool
	begun  bool // a mutation of it was made
	given  bool // the key that meta stands on was made to its end
	m      event.Meta
	count  uint64
	prefix []byte // of its elements' rows

	graves *graves // of FullRows

	rows  []event.Mutation
	parts []event.Element
	arena []byte
	size  int
	// visited is how many rows Next has looked at, roughly.
	visited int
}

const (
	// rowsBytes is what ends a Next, and a mutation of a collection.
	rowsBytes = 256 << 10
	// rowBytes and partBytes are counted for what a mutation and an element take besides keys and values, in memory more than in the log.
	rowBytes, partBytes = 64, 48
	// visitedAtOnce is how many keys and tombstones a Next looks at: if all of them are left out, it comes back without any.
	visitedAtOnce = 1 << 16
	// arenaKept bounds what is kept from one Next for the next after a large value.
	arenaKept = 1 << 20
)

// Rows reads the keys above afterKey (all, if it is empty). The snapshot stays the caller's to close, after the reader.
func (n *Snapshot) Rows(afterKey []byte) (*RowReader, error) {
	state, err := n.State()
	if err != nil {
		return nil, err
	}
	lower := []byte{famMeta}
	if len(afterKey) > 0 {
		lower = append(appendMetaKey(nil, afterKey), 0)
	}
	it, err := n.reader.NewIterator(lower, []byte{famMeta + 1})
	if err != nil {
		return nil, iterateError(lower, err)
	}
	return &RowReader{state: state, reader: n.reader, meta: it, limit: rowsBytes}, nil
}

// FullRows is Rows for who goes on from the state as its source itself does: nothing that may decide a later change is left out. Keys that have
// expired are there, as long as their rows are. Of what was deleted come the tombstones above the watermark, in the order of keys with the others:
//
//   - A deleted key is one OpDel: Version, Floor, ExpireAt and ExpiryVersion are its tombstone's.
//   - Deleted elements follow the rows of their key, as ops that remove elements of its type; of a deleted key, as OpHDel. Version, KeyVersion,
//     Floor, ExpireAt, ExpiryVersion, Generation and Count are the key's, as in its other rows, and an element's Prev is the version of
//     its tombstone. Those at or below the floor are left out, and those of a type that keeps none.
func (n *Snapshot) FullRows(afterKey []byte) (*RowReader, error) {
	r, err := n.Rows(afterKey)
	if err != nil {
		return nil, err
	}
	if r.graves, err = n.openGraves(afterKey); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// State is that of the snapshot.
func (r *RowReader) State() State { return r.state }

// Close releases the iterators.
func (r *RowReader) Close() {
	r.meta.Close()
	if r.elements != nil {
		r.elements.Close()
	}
	if r.graves != nil {
		r.graves.it.Close()
	}
}

// Next gives the next mutations: about 256 KiB of them, at most twice that, or one that is larger. They belong to the reader and are valid until the next
// call. None, without an error, means that only what is left out was found so far. io.EOF: all were given.
func (r *RowReader) Next() ([]event.Mutation, error) {
	clear(r.rows)
	clear(r.parts)
	r.rows, r.parts, r.arena, r.size = r.rows[:0], r.parts[:0], r.arena[:0], 0
	if cap(r.arena) > arenaKept {
		r.arena = nil
	}
	for r.visited = 0; r.size < r.limit && r.visited < visitedAtOnce; r.visited++ {
		more, err := r.nextKey()
		if err != nil {
			return nil, err
		}
		if !more {
			return r.last()
		}
		if !r.inside {
			continue
		}
		if err := r.collection(); err != nil {
			return nil, fmt.Errorf("key %q: %w", clip(r.key()), err)
		}
	}
	return r.rows, nil
}

func (r *RowReader) last() ([]event.Mutation, error) {
	if err := r.meta.Err(); err != nil {
		return nil, iterateError([]byte{famMeta}, err)
	}
	if r.graves != nil && r.graves.it.Err() != nil {
		return nil, iterateError([]byte{famTombstone}, r.graves.it.Err())
	}
	if len(r.rows) == 0 {
		return nil, io.EOF
	}
	return r.rows, nil
}

func (r *RowReader) key() []byte { return r.meta.Key()[1:] }

// nextKey goes to the next key, unless the one at hand isn't read to its end; false: there is none. A string, and what is of tombstones, it takes at once.
func (r *RowReader) nextKey() (more bool, err error) {
	if r.inside {
		return true, nil
	}
	if r.graves != nil && r.given {
		if took, err := r.elementGraves(); took || err != nil {
			return true, err
		}
	}
	more = r.advance()
	if r.graves != nil && r.graves.before(r.meta) {
		return true, r.dead()
	}
	if !more {
		return false, nil
	}
	r.given = true
	if err := decodeMeta(&r.m, r.meta.Value()); err != nil {
		return false, fmt.Errorf("key %q: %w", clip(r.key()), err)
	}
	switch {
	case r.graves == nil && r.m.Expired(r.state.Wall):
	case r.m.Type == event.TypeString:
		r.add(event.Mutation{Op: event.OpSet})
	default:
		r.inside, r.begun, r.count = true, false, 0
		r.prefix = appendElementsKey(r.prefix[:0], famElement, r.key(), r.m.Generation)
	}
	return true, nil
}

// advance brings the iterator to a key that wasn't made yet.
func (r *RowReader) advance() (more bool) {
	switch {
	case !r.started:
		r.started = true
		return r.meta.First()
	case r.given && r.meta.Valid():
		r.given = false
		return r.meta.Next()
	}
	return r.meta.Valid()
}

// add takes a mutation of the key at hand into the rows; what it says of elements is filled in.
func (r *RowReader) add(m event.Mutation) { r.addHead(m, r.key(), &r.m) }

func (r *RowReader) addHead(m event.Mutation, key []byte, of *event.Meta) {
	m.Type, m.Key, m.Value = of.Type, r.hold(key), r.hold(of.Value)
	m.Version, m.Floor, m.ExpireAt, m.ExpiryVersion = of.Version, of.Floor, of.ExpireAt, of.ExpiryVersion
	r.rows = append(r.rows, m)
	r.size += rowBytes + len(m.Key) + len(m.Value)
}

// hold copies p to where it stays until the next Next. What was held stays in its block when a new one is begun.
func (r *RowReader) hold(p []byte) []byte {
	if len(p) == 0 {
		return nil
	}
	if len(p) > cap(r.arena)-len(r.arena) {
		r.arena = make([]byte, 0, max(rowsBytes, len(p)))
	}
	at := len(r.arena)
	r.arena = append(r.arena, p...)
	return r.arena[at:len(r.arena):len(r.arena)]
}

// rowOps are the ops that write a type's elements.
var rowOps = [...]event.Op{
	event.TypeHash: event.OpHSet, event.TypeSet: event.OpSAdd, event.TypeZSet: event.OpZAdd, event.TypeList: event.OpRPush, event.TypeBitmap: event.OpBits,
}

// collection makes one mutation of the collection at hand: its first elements, or those that follow.
func (r *RowReader) collection() error {
	if r.m.Type == event.TypeNone || r.m.Generation == 0 {
		return corruptf("meta row: type %s, generation %d", r.m.Type, r.m.Generation)
	}
	if err := r.seek(); err != nil {
		return err
	}
	first := len(r.parts)
	if err := r.take(); err != nil {
		return err
	}
	r.inside = r.elements.Valid() && hasPrefix(r.elements.Key(), r.prefix)
	if err := r.elements.Err(); err != nil {
		return iterateError(r.prefix, err)
	}
	r.count += uint64(len(r.parts) - first)
	m := event.Mutation{Op: rowOps[r.m.Type], Whole: !r.begun, KeyVersion: r.m.Version, Generation: r.m.Generation, Count: r.count}
	if r.begun {
		m.Prev = r.m.Version
	}
	switch {
	case r.m.Type == event.TypeBitmap:
		m.Count = r.m.Count
		r.emptyBitmap(first)
	case !r.inside && r.count != r.m.Count:
		return corruptf("meta row: it counts %d elements, there are %d", r.m.Count, r.count)
	}
	m.Elements = r.parts[first:len(r.parts):len(r.parts)]
	r.begun = true
	r.add(m)
	return nil
}

// seek brings the elements' iterator to the collection at hand. Keys come in the order of their element rows, so it often is there.
func (r *RowReader) seek() error {
	if r.elements == nil {
		it, err := r.reader.NewIterator([]byte{famElement}, []byte{famElement + 1})
		if err != nil {
			return iterateError(r.prefix, err)
		}
		r.elements = it
	}
	if !r.elements.Valid() || !hasPrefix(r.elements.Key(), r.prefix) {
		r.elements.SeekGE(r.prefix)
	}
	return nil
}

// take takes elements until there are enough for one mutation.
func (r *RowReader) take() error {
	var e element
	it := r.elements
	for size := 0; size < r.limit && it.Valid() && hasPrefix(it.Key(), r.prefix); it.Next() {
		if err := decodeElement(&e, it.Value()); err != nil {
			return fmt.Errorf("element % x: %w", clip(it.Key()[len(r.prefix):]), err)
		}
		if e.kind != r.m.Type {
			return corruptf("element % x is of type %s, the key of type %s", clip(it.Key()[len(r.prefix):]), e.kind, r.m.Type)
		}
		part := event.Element{Sub: r.hold(it.Key()[len(r.prefix):])}
		if r.m.Type != event.TypeList {
			part.Prev, part.Exists = e.version, true
		}
		if r.m.Type != event.TypeZSet {
			part.Value = r.hold(e.payload)
		} else if len(e.payload) != 8 {
			return corruptf("member's row: score of %d bytes, want 8", len(e.payload))
		} else {
			part.Score = readScore(e.payload)
			part.Was = part.Score
		}
		r.parts = append(r.parts, part)
		size += partBytes + len(part.Sub) + len(part.Value)
		r.size += partBytes + len(part.Sub) + len(part.Value)
	}
	return nil
}

// emptyBitmap gives a bitmap of which no segment is there the element that a mutation needs.
func (r *RowReader) emptyBitmap(first int) {
	if len(r.parts) == first {
		last := max(r.m.Count, 1) - 1
		r.parts = append(r.parts, event.Element{Sub: r.hold(binary.BigEndian.AppendUint32(nil, uint32(last/event.SegmentBytes)))})
	}
}
