package command

import (
	"bytes"

	"github.com/zankv/zankv/cdc/event"
)

const (
	// randomLeaf is how many keys under one prefix are chosen from with equal chances.
	randomLeaf = 64
	// randomTries is how often a leaf without a live key is answered by another descent.
	randomTries = 4
	// randomWalk bounds the search, from the beginning, when no descent found a live key.
	randomWalk = 20000
)

// runRandomKey picks a live key, or null. It walks down the tree of prefixes, taking one of the next bytes between the
// lowest and the highest that occur, until at most randomLeaf keys are left. So every key can come out, but the chances
// aren't equal: keys under sparse prefixes come more often. Each level costs up to nine seeks.
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
	for {
		leaf, whole, err := c.leaf(prefix)
		if err != nil || whole {
			return leaf.pick(random), err
		}
		low, exact := leaf.low(len(prefix))
		high, err := c.highest(prefix, low)
		if err != nil {
			return nil, err
		}
		width := uint64(high-low) + 1
		if exact != nil && next(random)%(width+1) == 0 {
			return exact, nil
		}
		// The byte drawn may not occur: then the next one that does.
		drawn := low + byte(next(random)%width)
		key, err := c.seek(append(prefix, drawn))
		if err != nil {
			return nil, err
		}
		prefix = append(prefix, key[len(prefix)])
	}
}

// keyLeaf are the first keys under a prefix.
type keyLeaf struct {
	all  [][]byte
	live [][]byte
}

func (l *keyLeaf) pick(random *uint64) []byte {
	if len(l.live) == 0 {
		return nil
	}
	return l.live[next(random)%uint64(len(l.live))]
}

// low gives the lowest byte that follows a prefix of n bytes, and the key that equals the prefix, if it lives.
func (l *keyLeaf) low(n int) (b byte, exact []byte) {
	if len(l.all[0]) > n {
		return l.all[0][n], nil
	}
	if len(l.live) > 0 && len(l.live[0]) == n {
		exact = l.live[0]
	}
	return l.all[1][n], exact
}

// leaf collects up to randomLeaf keys under prefix; whole says that there are no more.
func (c *Context) leaf(prefix []byte) (l keyLeaf, whole bool, err error) {
	whole = true
	err = c.View.Keys(prefix, func(key []byte, m *event.Meta) bool {
		if !bytes.HasPrefix(key, prefix) {
			return false
		}
		if len(l.all) == randomLeaf {
			whole = false
			return false
		}
		key = append([]byte{}, key...)
		l.all = append(l.all, key)
		if m.Type != event.TypeNone && !m.Expired(c.Now) {
			l.live = append(l.live, key)
		}
		return true
	})
	return l, whole, err
}

// highest finds the highest byte, from low on, that follows prefix in a key.
func (c *Context) highest(prefix []byte, low byte) (byte, error) {
	lo, hi := int(low), 255 // lo occurs, nothing above hi does
	for lo < hi {
		mid := lo + 1
		if mid != int(low)+1 { // first see whether there is but one
			mid = (lo + hi + 1) / 2
		}
		key, err := c.seek(append(prefix, byte(mid)))
		if err != nil {
			return 0, err
		}
		if bytes.HasPrefix(key, prefix) && len(key) > len(prefix) {
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
