package command

import (
	"bytes"

	"github.com/zankv/zankv/cdc/event"
)

const (
	// randomLeaf is how many keys under one prefix are chosen from with equal chances.
	randomLeaf = 64
	// randomBranches is how many next bytes are told apart. Where there are more, one is drawn from their range, which is
	// dense then.
	randomBranches = 32
	// randomLevels is how deep it goes: at most that many prefixes and common parts of them.
	randomLevels = 24
	// randomTries is how often a leaf without a live key is answered by another descent.
	randomTries = 4
	// randomWalk bounds the search, from the beginning, when no descent found a live key.
	randomWalk = 20000
)

// runRandomKey picks a live key, or null. It walks down the tree of prefixes, choosing among the next bytes that occur
// with equal chances, until at most randomLeaf keys are left. So every live key can come out, but not with equal chances:
// keys under sparse prefixes come more often. A level costs as many seeks as there are next bytes, at most
// randomBranches and nine.
func runRandomKey(c *Context) error {
	random := c.Random
	for range randomTries {
		key, err := c.randomDescent(&random)
		if err != nil {
			return err
		}
		if key != nil {
			c.Reply.Bulk(key)
			return nil
		}
	}
	return c.firstLive()
}

// firstLive replies the first live key among the first randomWalk ones.
func (c *Context) firstLive() error {
	left, found := randomWalk, false
	err := c.View.Keys(nil, func(key []byte, m *event.Meta) bool {
		left--
		if found = m.Type != event.TypeNone && !m.Expired(c.Now); found {
			c.Reply.Bulk(key)
		}
		return !found && left > 0
	})
	if err == nil && !found {
		c.Reply.Null()
	}
	return err
}

// randomDescent gives a live key, or nil when the leaf it came to has none.
func (c *Context) randomDescent(random *uint64) ([]byte, error) {
	prefix := make([]byte, 0, 64)
	for level := 0; ; level++ {
		leaf, whole, err := c.leaf(prefix, random)
		if err != nil || whole || level == randomLevels {
			return leaf.chosen, err
		}
		if jump, err := c.common(prefix, leaf.shared); err != nil {
			return nil, err
		} else if jump {
			prefix = leaf.shared
			continue
		}
		if leaf.exact && next(random)%(randomLeaf+1) == 0 {
			return prefix, nil
		}
		b, err := c.branch(prefix, random)
		if err != nil {
			return nil, err
		}
		prefix = append(prefix, b)
	}
}

// common says whether all keys under prefix begin with shared, as the first ones do, and that is longer.
func (c *Context) common(prefix, shared []byte) (bool, error) {
	if len(shared) == len(prefix) {
		return false, nil
	}
	after := append([]byte{}, shared...) // the first key behind those that begin with shared
	for len(after) > len(prefix) && after[len(after)-1] == 0xff {
		after = after[:len(after)-1]
	}
	if len(after) == len(prefix) {
		return true, nil
	}
	after[len(after)-1]++
	key, err := c.seek(after)
	return !under(key, prefix), err
}

func commonLength(a, b []byte) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// branch chooses one of the bytes that follow prefix in keys.
func (c *Context) branch(prefix []byte, random *uint64) (byte, error) {
	var found [randomBranches]byte
	n := 0
	for b := 0; b <= 255; b++ {
		key, err := c.seek(append(prefix, byte(b)))
		if err != nil {
			return 0, err
		}
		if !under(key, prefix) {
			return found[next(random)%uint64(n)], nil
		}
		if n == len(found) {
			return c.drawBranch(prefix, found[0], random)
		}
		b = int(key[len(prefix)])
		found[n] = byte(b)
		n++
	}
	return found[next(random)%uint64(n)], nil
}

// drawBranch draws from the range of the bytes that follow prefix, whose lowest is low; the next that occurs is taken.
func (c *Context) drawBranch(prefix []byte, low byte, random *uint64) (byte, error) {
	high, err := c.highest(prefix, low)
	if err != nil {
		return 0, err
	}
	drawn := low + byte(next(random)%(uint64(high-low)+1))
	key, err := c.seek(append(prefix, drawn))
	if err != nil {
		return 0, err
	}
	return key[len(prefix)], nil
}

// under says whether key goes on after prefix.
func under(key, prefix []byte) bool {
	return len(key) > len(prefix) && bytes.HasPrefix(key, prefix)
}

// keyLeaf are the first keys under a prefix.
type keyLeaf struct {
	n, live int
	shared  []byte // what they begin with
	exact   bool   // the prefix itself is a live key
	chosen  []byte // one of the live ones, each with equal chances; nil for none
}

// add takes one more key into account.
func (l *keyLeaf) add(key []byte, live bool, random *uint64) {
	if l.n++; l.n == 1 {
		l.shared = append(l.shared, key...)
	} else {
		l.shared = l.shared[:commonLength(l.shared, key)]
	}
	if !live {
		return
	}
	if l.live++; next(random)%uint64(l.live) == 0 {
		l.chosen = append(l.chosen[:0], key...)
		if l.chosen == nil {
			l.chosen = []byte{}
		}
	}
}

// leaf reads up to randomLeaf keys under prefix; whole says that there are no more.
func (c *Context) leaf(prefix []byte, random *uint64) (l keyLeaf, whole bool, err error) {
	whole = true
	err = c.View.Keys(prefix, func(key []byte, m *event.Meta) bool {
		if !bytes.HasPrefix(key, prefix) {
			return false
		}
		if l.n == randomLeaf {
			whole = false
			return false
		}
		live := m.Type != event.TypeNone && !m.Expired(c.Now)
		l.exact = l.exact || live && len(key) == len(prefix)
		l.add(key, live, random)
		return true
	})
	return l, whole, err
}

// highest finds the highest byte, from low on, that follows prefix in a key.
func (c *Context) highest(prefix []byte, low byte) (byte, error) {
	lo, hi := int(low), 255 // lo occurs, nothing above hi does
	for lo < hi {
		mid := (lo + hi + 1) / 2
		key, err := c.seek(append(prefix, byte(mid)))
		if err != nil {
			return 0, err
		}
		if under(key, prefix) {
			lo = int(key[len(prefix)])
		} else {
			hi = mid - 1
		}
	}
	return byte(lo), nil
}

// seek gives a copy of the first key from a key on, nil for none.
func (c *Context) seek(from []byte) (key []byte, err error) {
	err = c.View.Keys(from, func(k []byte, _ *event.Meta) bool {
		key = append([]byte{}, k...)
		return false
	})
	return key, err
}

// next draws a number (splitmix64).
func next(state *uint64) uint64 {
	*state += 0x9E3779B97F4A7C15
	z := *state
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}
