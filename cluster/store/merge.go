package store

import (
	"bytes"
	"math"

	"github.com/zankv/zankv/cluster/engine"
)

// merged is an iterator over rows of an engine with those of an overlay over them. In the direction in which it goes, base and over are each at
// the first row that isn't behind the position; the nearer of the two is the position, and of two with the same key the overlay's.
type merged struct {
	base         engine.Iterator
	rows         *rowList
	lower, upper []byte // upper isn't empty
	over         *overRow
	back         bool
	valid        bool
	onOver       bool // the position is the overlay's row
}

func newMerged(base engine.Iterator, rows *rowList, lower, upper []byte) *merged {
	return &merged{base: base, rows: rows, lower: bytes.Clone(lower), upper: bytes.Clone(upper)}
}

func (it *merged) First() bool { return it.SeekGE(it.lower) }
func (it *merged) Last() bool  { return it.SeekLT(it.upper) }

func (it *merged) SeekGE(key []byte) bool {
	if bytes.Compare(key, it.lower) < 0 {
		key = it.lower
	}
	it.back = false
	it.base.SeekGE(key)
	found, _ := it.rows.find(key, nil)
	it.setOver(found)
	return it.settle()
}

func (it *merged) SeekLT(key []byte) bool {
	if bytes.Compare(key, it.upper) > 0 {
		key = it.upper
	}
	it.back = true
	it.base.SeekLT(key)
	_, before := it.rows.find(key, nil)
	it.setOver(before)
	return it.settle()
}

// setOver stands at a row of the overlay, unless that is out of bounds.
func (it *merged) setOver(row *overRow) {
	if row != nil && (bytes.Compare(row.key, it.lower) < 0 || bytes.Compare(row.key, it.upper) >= 0) {
		row = nil
	}
	it.over = row
}

func (it *merged) stepOver() {
	if it.back {
		it.setOver(it.over.prev)
	} else {
		it.setOver(it.over.next[0])
	}
}

func (it *merged) stepBase() {
	if it.back {
		it.base.Prev()
	} else {
		it.base.Next()
	}
}

// settle finds the position from where base and over stand: it passes over rows that the overlay removes or replaces.
func (it *merged) settle() bool {
	for {
		order := 0 // of base before over, in the direction
		switch {
		case it.over == nil:
			it.valid, it.onOver = it.base.Valid(), false
			return it.valid
		case !it.base.Valid():
			order = 1
		default:
			if order = bytes.Compare(it.base.Key(), it.over.key); it.back {
				order = -order
			}
		}
		if order < 0 {
			it.valid, it.onOver = true, false
			return true
		}
		if order == 0 {
			it.stepBase()
		}
		if !it.over.removed {
			it.valid, it.onOver = true, true
			return true
		}
		it.stepOver()
	}
}

// turn makes it go the other way: base and over go to the position, if they aren't there, and past it.
func (it *merged) turn() {
	key := bytes.Clone(it.Key())
	if it.back = !it.back; it.back {
		it.base.SeekLT(key)
		_, before := it.rows.find(key, nil)
		it.setOver(before)
		return
	}
	it.base.SeekGE(key)
	if it.base.Valid() && bytes.Equal(it.base.Key(), key) {
		it.base.Next()
	}
	found, _ := it.rows.find(key, nil)
	if found != nil && bytes.Equal(found.key, key) {
		found = found.next[0]
	}
	it.setOver(found)
}

func (it *merged) step(back bool) bool {
	switch {
	case !it.valid:
		return false
	case it.back != back:
		it.turn()
	case it.onOver:
		it.stepOver()
	default:
		it.stepBase()
	}
	return it.settle()
}

func (it *merged) Next() bool { return it.step(false) }
func (it *merged) Prev() bool { return it.step(true) }

// Skip passes over the rows of base between two of the overlay at once.
func (it *merged) Skip(n int64, to []byte) (passed int64) {
	back := n < 0
	if back {
		n = -max(n, -math.MaxInt64)
	}
	for passed < n && it.valid && !it.reached(to, back) {
		if it.onOver || it.back != back {
			it.step(back)
			passed++
			continue
		}
		limit := to
		if it.over != nil && (len(to) == 0 || bytes.Compare(it.over.key, to) < 0 != back) {
			limit = it.over.key
		}
		ahead := n - passed
		if back {
			ahead = -ahead
		}
		passed += it.base.Skip(ahead, limit)
		it.settle()
	}
	return passed
}

// reached says whether the position is at or beyond to.
func (it *merged) reached(to []byte, back bool) bool {
	if len(to) == 0 {
		return false
	}
	order := bytes.Compare(it.Key(), to)
	return order == 0 || order < 0 == back
}

func (it *merged) Valid() bool { return it.valid }

func (it *merged) Key() []byte {
	if it.onOver {
		return it.over.key
	}
	return it.base.Key()
}

func (it *merged) Value() []byte {
	if it.onOver {
		return it.over.value
	}
	return it.base.Value()
}

func (it *merged) Err() error { return it.base.Err() }

func (it *merged) Close() { it.base.Close() }
