package mem

import (
	"bytes"
	"hash/maphash"
)

// node is a node of a persistent treap: a search tree by key, and a heap by priority, which is a hash of the key, so that
// it is balanced whatever the order of insertion. A node that can be reached from a published root never changes: put,
// remove, split and join copy the nodes on their path. The empty tree is nil.
type node struct {
	key, value  []byte
	priority    uint64
	left, right *node
	count       int   // nodes in this subtree
	size        int64 // bytes of keys and values in this subtree
}

var seed = maphash.MakeSeed()

func newNode(key, value []byte) *node {
	n := &node{key: bytes.Clone(key), value: bytes.Clone(value), priority: maphash.Bytes(seed, key)}
	return n.sum()
}

// with is a copy of n with other children.
func (n *node) with(left, right *node) *node {
	c := *n
	c.left, c.right = left, right
	return c.sum()
}

// sum brings count and size up to date on a node that isn't published yet.
func (n *node) sum() *node {
	n.count = n.left.len() + 1 + n.right.len()
	n.size = n.left.bytes() + int64(len(n.key)+len(n.value)) + n.right.bytes()
	return n
}

func (n *node) len() int {
	if n == nil {
		return 0
	}
	return n.count
}

func (n *node) bytes() int64 {
	if n == nil {
		return 0
	}
	return n.size
}

// put is the tree with key set to value. Both are copied.
func (n *node) put(key, value []byte) *node {
	low, high := n.split(key)
	_, high = high.cutFirst(key)
	return join(join(low, newNode(key, value)), high)
}

// cutFirst takes the first node off if its key is key.
func (n *node) cutFirst(key []byte) (first, rest *node) {
	if n == nil {
		return nil, nil
	}
	if n.left == nil {
		if bytes.Equal(n.key, key) {
			return n, n.right
		}
		return nil, n
	}
	first, left := n.left.cutFirst(key)
	if first == nil {
		return nil, n
	}
	return first, n.with(left, n.right)
}

// remove is the tree without key.
func (n *node) remove(key []byte) *node {
	low, high := n.split(key)
	first, rest := high.cutFirst(key)
	if first == nil {
		return n
	}
	return join(low, rest)
}

// removeRange is the tree without start ≤ key < end.
func (n *node) removeRange(start, end []byte) *node {
	low, rest := n.split(start)
	_, high := rest.split(end)
	return join(low, high)
}

// split parts the tree into the keys below key and the others.
func (n *node) split(key []byte) (low, high *node) {
	if n == nil {
		return nil, nil
	}
	if bytes.Compare(n.key, key) < 0 {
		low, high = n.right.split(key)
		return n.with(n.left, low), high
	}
	low, high = n.left.split(key)
	return low, n.with(high, n.right)
}

// join puts two trees together, all keys of low being below all of high.
func join(low, high *node) *node {
	switch {
	case low == nil:
		return high
	case high == nil:
		return low
	case low.priority > high.priority:
		return low.with(low.left, join(low.right, high))
	default:
		return high.with(join(low, high.left), high.right)
	}
}

// get finds the node of key, or nil.
func (n *node) get(key []byte) *node {
	for n != nil {
		switch order := bytes.Compare(key, n.key); {
		case order < 0:
			n = n.left
		case order > 0:
			n = n.right
		default:
			return n
		}
	}
	return nil
}

// ceiling is the first node with a key ≥ key, or > key if strict; or nil.
func (n *node) ceiling(key []byte, strict bool) (found *node) {
	for n != nil {
		order := bytes.Compare(n.key, key)
		if order > 0 || order == 0 && !strict {
			found, n = n, n.left
		} else {
			n = n.right
		}
	}
	return found
}

// below is the last node with a key < key, or nil.
func (n *node) below(key []byte) (found *node) {
	for n != nil {
		if bytes.Compare(n.key, key) < 0 {
			found, n = n, n.right
		} else {
			n = n.left
		}
	}
	return found
}

func (n *node) last() *node {
	for n != nil && n.right != nil {
		n = n.right
	}
	return n
}

// each calls f for every node in order.
func (n *node) each(f func(*node)) {
	if n != nil {
		n.left.each(f)
		f(n)
		n.right.each(f)
	}
}
