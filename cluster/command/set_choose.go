package command

import (
	"errors"
	"math/bits"
	"slices"
)

// How HRANDFIELD, SRANDMEMBER and SPOP choose: by places in the byte order of the elements, of which there are Meta.Count. So every
// element is as likely as any other, and nothing is kept for it while nobody asks. What lies between two chosen places is skipped within
// the store, if it is much, and otherwise passed over.

const (
	// farPlace is from how many elements between two chosen ones on skipping them, which begins a new iteration, is cheaper than
	// visiting them.
	farPlace = 32
	// handfulPlaces and handfulBytes bound what is held of a collection while elements are drawn from it again and again.
	handfulPlaces = 1 << 16
	handfulBytes  = 4 << 20
)

// errFewer is a state whose meta row promises more elements than there are.
var errFewer = errors.New("command: a collection has fewer elements than its meta row says")

// draw is a source of random numbers: SplitMix64 (Steele, Lea, Flood, Fast Splittable Pseudorandom Number Generators).
type draw uint64

// drawing starts a source for this evaluation. What the caller drew is mixed first, so that numbers that are near each other, or a
// generator's steps apart, start different sequences.
func (c *Context) drawing() *draw {
	d := draw(mix(c.Random + 0x2545F4914F6CDD1D))
	return &d
}

func (d *draw) next() uint64 {
	*d += 0x9E3779B97F4A7C15
	return mix(uint64(*d))
}

// mix makes every bit of z depend on every other.
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// below draws from [0, n), n > 0, each number as likely as any other (Lemire, Fast Random Integer Generation in an Interval).
func (d *draw) below(n uint64) uint64 {
	hi, lo := bits.Mul64(d.next(), n)
	if lo < n {
		for least := -n % n; lo < least; {
			hi, lo = bits.Mul64(d.next(), n)
		}
	}
	return hi
}

// places says place by place which elements are wanted: how many to pass over before the next one. ok is false when there are no more.
type places func() (gap uint64, ok bool)

// distinct chooses k of n places, every subset of so many as likely as any other (Knuth, volume 2, algorithm S).
func (d *draw) distinct(k, n uint64) places {
	return func() (gap uint64, ok bool) {
		if k == 0 {
			return 0, false
		}
		for d.below(n) >= k {
			n--
			gap++
		}
		n--
		k--
		return gap, true
	}
}

// sortedPlaces are the given ones, which grow.
func sortedPlaces(at []uint64) places {
	next := uint64(0)
	return func() (gap uint64, ok bool) {
		if len(at) == 0 {
			return 0, false
		}
		gap, next, at = at[0]-next, at[0]+1, at[1:]
		return gap, true
	}
}

// visitPlaces shows the elements at the wanted places of the live collection at Args[1] in byte order, until show returns false. What it
// shows is borrowed, and show must not call the view.
func (c *Context) visitPlaces(r *row, wanted places, show func(sub []byte, e *Element) bool) error {
	gap, more := wanted()
	in := Range{Skip: int64(gap)}
	for more {
		pass, far, stopped := uint64(0), false, false
		err := c.View.Elements(c.Args[1], &r.Meta, in, func(sub []byte, e *Element) bool {
			if pass > 0 {
				pass--
				return true
			}
			if stopped = !show(sub, e); stopped {
				return false
			}
			if pass, more = wanted(); more && pass >= farPlace {
				far = true
				in = Range{From: append(append(in.From[:0], sub...), 0), Skip: int64(pass)}
			}
			return more && !far
		})
		switch {
		case err != nil:
			return err
		case stopped:
			return nil
		case more && !far:
			return errFewer
		}
	}
	return nil
}

// visitOne shows one element, chosen at random: from the nearer end.
func (c *Context) visitOne(r *row, show func(sub []byte, e *Element)) error {
	at, last := c.drawing().below(r.Count), r.Count-1
	in := Range{Skip: int64(at)}
	if at > last/2 {
		in = Range{Reverse: true, Skip: int64(last - at)}
	}
	err := errFewer
	failed := c.View.Elements(c.Args[1], &r.Meta, in, func(sub []byte, e *Element) bool {
		show(sub, e)
		err = nil
		return false
	})
	if failed != nil {
		return failed
	}
	return err
}

// visitSome shows k distinct elements, chosen at random, 0 < k ≤ Count.
func (c *Context) visitSome(r *row, k uint64, show func(sub []byte, e *Element) bool) error {
	switch {
	case k >= r.Count:
		return c.View.Elements(c.Args[1], &r.Meta, Range{}, show)
	case k == 1:
		return c.visitOne(r, func(sub []byte, e *Element) { show(sub, e) })
	}
	return c.visitPlaces(r, c.drawing().distinct(k, r.Count), show)
}

// handful is some of the elements of a collection, held.
type handful struct {
	places []uint64 // which; they grow
	buf    []byte
	ends   []int // in buf, of each one's subkey and value
}

// gather reads the elements at h.places; values says whether their values are wanted. ok is false when they are too large to be held
// together. One alone never is.
func (c *Context) gather(h *handful, r *row, values bool) (ok bool, err error) {
	h.buf, h.ends = h.buf[:0], h.ends[:0]
	ok = true
	err = c.visitPlaces(r, sortedPlaces(h.places), func(sub []byte, e *Element) bool {
		h.buf = append(h.buf, sub...)
		h.ends = append(h.ends, len(h.buf))
		if values {
			h.buf = append(h.buf, e.Value...)
		}
		h.ends = append(h.ends, len(h.buf))
		ok = len(h.buf) <= handfulBytes || len(h.places) == 1
		return ok
	})
	return ok, err
}

// at is the i-th element of the handful.
func (h *handful) at(i int) (sub, value []byte) {
	start := 0
	if i > 0 {
		start = h.ends[2*i-1]
	}
	return h.buf[start:h.ends[2*i]], h.buf[h.ends[2*i]:h.ends[2*i+1]]
}

// visitRepeatedly shows n elements, each drawn from all; values says whether their values are wanted. Between two of them it hands over
// what was replied. It holds a bounded part of the collection, whatever n.
func (c *Context) visitRepeatedly(r *row, n uint64, values bool, show func(sub, value []byte)) error {
	d := c.drawing()
	if r.Count <= handfulPlaces && n >= r.Count/4 {
		h := &handful{places: make([]uint64, r.Count)}
		for i := range h.places {
			h.places[i] = uint64(i)
		}
		if ok, err := c.gather(h, r, values); ok || err != nil {
			return c.drawFrom(h, d, n, show, err)
		}
	}
	fits := handfulPlaces
	for n > 0 {
		drawn := make([]uint64, min(n, handfulPlaces))
		for i := range drawn {
			drawn[i] = d.below(r.Count)
		}
		n -= uint64(len(drawn))
		for len(drawn) > 0 {
			some := drawn[:min(fits, len(drawn))]
			ok, err := c.showDrawn(r, some, values, show)
			switch {
			case err != nil:
				return err
			case ok:
				drawn = drawn[len(some):]
			default:
				fits = len(some) / 2
			}
		}
	}
	return nil
}

// drawFrom draws from a collection that is held as a whole.
func (c *Context) drawFrom(h *handful, d *draw, n uint64, show func(sub, value []byte), err error) error {
	for ; n > 0 && err == nil; n-- {
		show(h.at(int(d.below(uint64(len(h.places))))))
		err = c.Reply.Part()
	}
	return err
}

// showDrawn reads the elements at the drawn places in one pass and shows them in the order in which they were drawn. ok is false, and
// none was shown, when they are too large to be held together.
func (c *Context) showDrawn(r *row, drawn []uint64, values bool, show func(sub, value []byte)) (ok bool, err error) {
	sorted := slices.Clone(drawn)
	slices.Sort(sorted)
	h := &handful{places: slices.Compact(sorted)}
	if ok, err = c.gather(h, r, values); !ok || err != nil {
		return false, err
	}
	for _, place := range drawn {
		i, _ := slices.BinarySearch(h.places, place)
		show(h.at(i))
		if err := c.Reply.Part(); err != nil {
			return false, err
		}
	}
	return true, nil
}
