package mem

import (
	"bytes"
	"math"

	"github.com/zankv/zankv/cluster/engine"
)

// iterator walks over one tree. Each move searches from the root: that is O(log n), and needs no stack to keep right when
// the direction changes.
type iterator struct {
	root         *node
	lower, upper []byte
	at           *node
	release      func()
}

func newIterator(root *node, lower, upper []byte, release func()) engine.Iterator {
	return &iterator{root: root, lower: bytes.Clone(lower), upper: bytes.Clone(upper), release: release}
}

// land stands on n if it lies within the bounds.
func (it *iterator) land(n *node) bool {
	if n != nil && (bytes.Compare(n.key, it.lower) < 0 || len(it.upper) > 0 && bytes.Compare(n.key, it.upper) >= 0) {
		n = nil
	}
	it.at = n
	return n != nil
}

func (it *iterator) First() bool { return it.land(it.root.ceiling(it.lower, false)) }

func (it *iterator) Last() bool {
	if len(it.upper) == 0 {
		return it.land(it.root.last())
	}
	return it.land(it.root.below(it.upper))
}

func (it *iterator) SeekGE(key []byte) bool {
	if bytes.Compare(key, it.lower) < 0 {
		key = it.lower
	}
	return it.land(it.root.ceiling(key, false))
}

func (it *iterator) SeekLT(key []byte) bool {
	if len(it.upper) > 0 && bytes.Compare(key, it.upper) > 0 {
		key = it.upper
	}
	return it.land(it.root.below(key))
}

func (it *iterator) Next() bool { return it.at != nil && it.land(it.root.ceiling(it.at.key, true)) }
func (it *iterator) Prev() bool { return it.at != nil && it.land(it.root.below(it.at.key)) }

// Skip implements engine.Iterator.
func (it *iterator) Skip(n int64, to []byte) (passed int64) {
	move, beyond := it.Next, func(order int) bool { return order >= 0 }
	if n < 0 {
		move, beyond = it.Prev, func(order int) bool { return order <= 0 }
		n = -max(n, -math.MaxInt64)
	}
	for ; passed < n && it.Valid(); passed++ {
		if len(to) > 0 && beyond(bytes.Compare(it.Key(), to)) {
			break
		}
		move()
	}
	return passed
}

func (it *iterator) Valid() bool   { return it.at != nil }
func (it *iterator) Key() []byte   { return it.at.key }
func (it *iterator) Value() []byte { return it.at.value }
func (it *iterator) Err() error    { return nil }

func (it *iterator) Close() {
	if it.release != nil {
		it.release()
	}
	it.root, it.at, it.release = nil, nil, nil
}
