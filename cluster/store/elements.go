package store

import (
	"fmt"
	"math"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/engine"
)

// Element is what a read shows of one element of a collection.
type Element struct {
	// Version is the element's own; of one that is absent, its tombstone's, where that is known.
	Version event.Version
	// Value is a field's value, a list's item, a bitmap segment's bytes without trailing zeros. It is borrowed.
	Value []byte
	// Score is a sorted set member's.
	Score float64
}

// Range is a range of elements by subkey: From ≤ sub < To. nil is open.
type Range struct {
	From, To []byte
	Reverse  bool // from the end
	// Skip passes over so many elements first: faster than visiting them.
	Skip int64
}

// ScoreKey is a place in the order of a sorted set: by score, then by member.
type ScoreKey struct {
	Score  float64
	Member []byte
}

// ScoreRange is a range of a sorted set's members in the order of (score, member): From ≤ (score, member) < To. nil is open.
type ScoreRange struct {
	From, To *ScoreKey
	Reverse  bool
	Skip     int64
}

// Element reads one element of the collection of which m is the meta row: as command's View. It uses buf's memory from its start and
// returns it, grown if it had to; the value points into it. Any goroutine.
//
// The meta row may have been read a moment before. If the key was removed or replaced since, the element found belongs to the life that
// m speaks of, or is absent as its rows were cleaned up: who must tell this from a field that was never there reads the meta row again.
func (s *Store) Element(buf, key []byte, m *event.Meta, sub []byte) (e Element, buf2 []byte, ok bool, err error) {
	return readElement(cached{s}, buf, key, m, sub)
}

// Element is Store.Element on the snapshot.
func (n *Snapshot) Element(buf, key []byte, m *event.Meta, sub []byte) (e Element, buf2 []byte, ok bool, err error) {
	return readElement(n.reader, buf, key, m, sub)
}

func readElement(r engine.Reader, buf, key []byte, m *event.Meta, sub []byte) (e Element, buf2 []byte, ok bool, err error) {
	if m.Generation == 0 {
		return e, buf, false, nil
	}
	buf = appendElementKey(buf[:0], key, m.Generation, sub)
	n := len(buf)
	buf, ok, err = r.Get(buf, buf[:n])
	if err != nil || !ok {
		return e, buf, false, readError(key, err)
	}
	if err := viewElement(&e, m.Type, buf[n:]); err != nil {
		return e, buf, false, fmt.Errorf("element of %q: %w", clip(key), err)
	}
	return e, buf, true, nil
}

func readError(key []byte, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("store: read element of %q: %w", clip(key), err)
}

// viewElement decodes an element row of a collection of type t.
func viewElement(out *Element, t event.Type, row []byte) error {
	var e element
	if err := decodeElement(&e, row); err != nil {
		return err
	}
	*out = Element{Version: e.version}
	if t != event.TypeZSet {
		out.Value = e.payload
		return nil
	}
	if len(e.payload) != 8 {
		return corruptf("member's row: score of %d bytes, want 8", len(e.payload))
	}
	out.Score = readScore(e.payload)
	return nil
}

// Elements visits a range of a collection's elements: as command's View.
func (n *Snapshot) Elements(key []byte, m *event.Meta, in Range, visit func(sub []byte, e *Element) bool) error {
	if m.Generation == 0 {
		return nil
	}
	prefix := appendElementsKey(nil, famElement, key, m.Generation)
	lower := append(prefix[:len(prefix):len(prefix)], in.From...)
	upper := prefixEnd(nil, prefix)
	if in.To != nil {
		upper = append(prefix[:len(prefix):len(prefix)], in.To...)
	}
	var e Element
	return walk(n.reader, lower, upper, in.Reverse, in.Skip, func(row, value []byte) (bool, error) {
		if err := viewElement(&e, m.Type, value); err != nil {
			return false, fmt.Errorf("element of %q: %w", clip(key), err)
		}
		return visit(row[len(prefix):], &e), nil
	})
}

// Scores visits a range of a sorted set's members by score: as command's View.
func (n *Snapshot) Scores(key []byte, m *event.Meta, in ScoreRange, visit func(score float64, member []byte) bool) error {
	if m.Generation == 0 {
		return nil
	}
	prefix, lower, upper := scoreBounds(key, m, &in)
	return walk(n.reader, lower, upper, in.Reverse, in.Skip, func(row, _ []byte) (bool, error) {
		if len(row) < len(prefix)+8 {
			return false, corruptf("score row of %q: key % x", clip(key), row)
		}
		return visit(readScore(row[len(prefix):]), row[len(prefix)+8:]), nil
	})
}

func scoreBounds(key []byte, m *event.Meta, in *ScoreRange) (prefix, lower, upper []byte) {
	prefix = appendElementsKey(nil, famScore, key, m.Generation)
	lower, upper = prefix, prefixEnd(nil, prefix)
	if in.From != nil {
		lower = appendScoreKey(nil, key, m.Generation, in.From.Score, in.From.Member)
	}
	if in.To != nil {
		upper = appendScoreKey(nil, key, m.Generation, in.To.Score, in.To.Member)
	}
	return prefix, lower, upper
}

// CountScores counts a range of a sorted set's members: as command's View. It takes time in proportion to the members counted.
func (n *Snapshot) CountScores(key []byte, m *event.Meta, in ScoreRange) (count int64, err error) {
	if m.Generation == 0 {
		return 0, nil
	}
	_, lower, upper := scoreBounds(key, m, &in)
	it, err := n.reader.NewIterator(lower, upper)
	if err != nil {
		return 0, iterateError(lower, err)
	}
	defer it.Close()
	if it.First() {
		count = it.Skip(math.MaxInt64, nil)
	}
	return max(count-max(in.Skip, 0), 0), iterateError(lower, it.Err())
}

// walk visits the rows in [lower, upper), from either end, but for the first skip.
func walk(r engine.Reader, lower, upper []byte, reverse bool, skip int64, visit func(key, value []byte) (bool, error)) error {
	it, err := r.NewIterator(lower, upper)
	if err != nil {
		return iterateError(lower, err)
	}
	defer it.Close()
	first, next, ahead := it.First, it.Next, skip
	if reverse {
		first, next, ahead = it.Last, it.Prev, -skip
	}
	ok := first()
	if ok && skip > 0 {
		it.Skip(ahead, nil)
		ok = it.Valid()
	}
	for ; ok; ok = next() {
		more, err := visit(it.Key(), it.Value())
		if err != nil || !more {
			return err
		}
	}
	return iterateError(lower, it.Err())
}

func iterateError(lower []byte, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("store: iterate from % x: %w", lower[:min(len(lower), 32)], err)
}

// ElementTombstone reads the version of a deleted element: zero if nothing is known of it, or if it is at or below the watermark. Any goroutine.
func (s *Store) ElementTombstone(buf, key, sub []byte) (v event.Version, buf2 []byte, err error) {
	v, buf, err = readElementTombstone(s.engine, buf, key, sub)
	if v.Time <= s.Watermark() {
		v = event.Version{}
	}
	return v, buf, err
}

// ElementTombstone is Store.ElementTombstone on the snapshot.
func (n *Snapshot) ElementTombstone(buf, key, sub []byte) (v event.Version, buf2 []byte, err error) {
	v, buf, err = readElementTombstone(n.reader, buf, key, sub)
	if err != nil || v.IsZero() {
		return v, buf, err
	}
	watermark, err := n.Watermark()
	if v.Time <= watermark {
		v = event.Version{}
	}
	return v, buf, err
}

func readElementTombstone(r engine.Reader, buf, key, sub []byte) (v event.Version, buf2 []byte, err error) {
	buf = appendElementTombstoneKey(buf[:0], key, sub)
	n := len(buf)
	buf, ok, err := r.Get(buf, buf[:n])
	if err != nil || !ok {
		return v, buf, readError(key, err)
	}
	var e element
	if err := decodeElement(&e, buf[n:]); err != nil {
		return v, buf, fmt.Errorf("element tombstone of %q: %w", clip(key), err)
	}
	return e.version, buf, nil
}
