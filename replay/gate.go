package replay

import "sync"

// gateSlots is how many calls of a sink to one target partition are under way at most.
const gateSlots = 16

// gate lets lanes to one target partition send: some at once, the others in the order in which they came.
type gate struct {
	running     int
	first, last *lane // that wait
}

// gates are those of all target partitions.
type gates struct {
	mu  sync.Mutex
	all []gate
}

// enter has run called in a goroutine of its own as soon as there is a slot.
func (g *gates) enter(l *lane) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for int(l.n) >= len(g.all) {
		g.all = append(g.all, make([]gate, int(l.n)+1-len(g.all))...)
	}
	at := &g.all[l.n]
	if at.running < gateSlots {
		at.running++
		go l.w.run(l)
		return
	}
	l.waits, l.behind = true, nil
	if at.last == nil {
		at.first = l
	} else {
		at.last.behind = l
	}
	at.last = l
}

// leave gives a slot to the one that waits longest.
func (g *gates) leave(n uint32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := &g.all[n]
	next := at.first
	if next == nil {
		at.running--
		return
	}
	if at.first = next.behind; at.first == nil {
		at.last = nil
	}
	next.waits, next.behind = false, nil
	go next.w.run(next)
}

// crowded says whether others wait for a slot.
func (g *gates) crowded(n uint32) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.all[n].first != nil
}

// withdraw takes a lane out of the queue; false if it doesn't stand there.
func (g *gates) withdraw(l *lane) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !l.waits {
		return false
	}
	at := &g.all[l.n]
	var before *lane
	for x := at.first; x != l; x = x.behind {
		before = x
	}
	if before == nil {
		at.first = l.behind
	} else {
		before.behind = l.behind
	}
	if at.last == l {
		at.last = before
	}
	l.waits, l.behind = false, nil
	return true
}
