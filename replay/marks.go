package replay

import (
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
)

// mark is a place of the source's log that a checkpoint may have.
type mark struct {
	position event.Position
	chain    event.Chain
	time     int64
}

// marks are some of those between what the target has and what came, spread evenly, and always the last one.
type marks struct {
	n     int
	every uint64 // how many events apart they are at least
	last  mark   // not among list
	list  [32]mark
}

// begin begins at a place that the target has.
func (m *marks) begin(at mark) { m.n, m.every, m.last, m.list[0] = 1, 1, at, at }

// chain says which chain the place has that it began with.
func (m *marks) chain(c event.Chain) {
	if m.n == 1 && m.last == m.list[0] && m.last.chain.IsZero() {
		m.last.chain, m.list[0].chain = c, c
	}
}

func (m *marks) add(at mark) {
	if m.last.position.Index >= m.list[m.n-1].position.Index+m.every {
		if m.n == len(m.list) {
			m.thin()
		}
		m.list[m.n] = m.last
		m.n++
	}
	m.last = at
}

// thin keeps every other one.
func (m *marks) thin() {
	for i := range len(m.list) / 2 {
		m.list[i] = m.list[2*i]
	}
	m.n = len(m.list) / 2
	m.every *= 2
}

// at is the last mark at or before a position; those before it are forgotten.
func (m *marks) at(p event.Position) changefeed.Reached {
	found := m.last
	if p.Compare(m.last.position) < 0 {
		i := m.n - 1
		for i > 0 && m.list[i].position.Compare(p) > 0 {
			i--
		}
		found = m.list[i]
		copy(m.list[:], m.list[i:m.n])
		m.n -= i
	} else {
		m.n, m.list[0] = 1, m.last
	}
	if m.n < len(m.list)/4 {
		m.every = max(m.every/2, 1)
	}
	return changefeed.Reached{Position: found.position, Chain: found.chain, Time: found.time}
}

// counts are the filler's, published now and then.
type counts struct {
	calls, events, mutations, filtered uint64
	waited                             int64
}

// countEvery is after how many events they are published, and of how many one is timed, for all of them.
const countEvery = 256

// timing is when an event began that is timed, and how long was waited before.
type timing struct {
	at     time.Time
	waited int64
}

func (c *counts) begin() timing {
	if c.calls++; c.calls%countEvery != 1 {
		return timing{}
	}
	return timing{time.Now(), c.waited}
}

func (c *counts) event(mutations, dropped int, t timing, m *changefeed.Meter) {
	c.events++
	c.mutations += uint64(mutations)
	c.filtered += uint64(dropped)
	if t.at.IsZero() {
		return
	}
	m.Encoding.Add(max(int64(time.Since(t.at))-(c.waited-t.waited), 0) * countEvery)
	c.publish(m)
}

func (c *counts) publish(m *changefeed.Meter) {
	m.Events.Add(c.events)
	m.Mutations.Add(c.mutations)
	m.Filtered.Add(c.filtered)
	c.events, c.mutations, c.filtered = 0, 0, 0
}
