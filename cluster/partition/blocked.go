package partition

import (
	"container/heap"
	"container/list"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
)

// wait is a blocking command that found nothing. Its lane stands still with it.
type wait struct {
	lane *lane
	req  *command.Request
	kind event.Type // of the keys that it waits for
	keys []string
	// order is when it came, and deadline when its time has passed: never if zero. Both stay when it has to be run again.
	order    uint64
	deadline time.Time
	reply    []byte // when its time has passed
	// final: its time has passed. It is run once more, as an ordinary command, so that its answer is as good as a read's.
	final bool
	// deferred: it was woken, and waits among the other writers for keys that are in flight.
	deferred bool
	places   []*list.Element // in the queues of keys; nil: it isn't waiting
	at       int             // in the heap, -1: it isn't there
}

// blocked are the waits of a replica, first come first served at each key.
type blocked struct {
	lists, zsets map[string]*list.List
	waits        map[*command.Request]*wait
	timed        waitHeap
	requests     int // in the lanes that stand still
	orders       uint64
}

// queues are those of the waits for keys of one type; nil for a type that nobody can wait for.
func (b *blocked) queues(kind event.Type) map[string]*list.List {
	switch kind {
	case event.TypeList:
		return b.lists
	case event.TypeZSet:
		return b.zsets
	}
	return nil
}

func (b *blocked) any() bool { return len(b.waits) > 0 }

// enter puts a wait behind those that came before it.
func (b *blocked) enter(w *wait) {
	if b.waits == nil {
		b.waits, b.lists, b.zsets = map[*command.Request]*wait{}, map[string]*list.List{}, map[string]*list.List{}
	}
	if w.order == 0 {
		b.orders++
		w.order = b.orders
	}
	queues := b.queues(w.kind)
	for _, key := range w.keys {
		q := queues[key]
		if q == nil {
			q = list.New()
			queues[key] = q
		}
		w.places = append(w.places, insert(q, w))
	}
	b.waits[w.req] = w
	b.requests += len(w.lane.reqs)
	if !w.deadline.IsZero() {
		heap.Push(&b.timed, w)
	}
}

// insert looks for the place from the end: only who waits again doesn't belong there.
func insert(q *list.List, w *wait) *list.Element {
	for e := q.Back(); e != nil; e = e.Prev() {
		if e.Value.(*wait).order < w.order {
			return q.InsertAfter(w, e)
		}
	}
	return q.PushFront(w)
}

// leave takes a wait out, if it is in.
func (b *blocked) leave(w *wait) {
	if b.waits[w.req] != w {
		return
	}
	queues := b.queues(w.kind)
	for i, key := range w.keys {
		q := queues[key]
		q.Remove(w.places[i])
		if q.Len() == 0 {
			delete(queues, key)
		}
	}
	w.places = w.places[:0]
	delete(b.waits, w.req)
	b.requests -= len(w.lane.reqs)
	if w.at >= 0 {
		heap.Remove(&b.timed, w.at)
	}
}

// overdue takes out a wait whose time has passed, or returns nil.
func (b *blocked) overdue(now time.Time) *wait {
	if len(b.timed) == 0 || b.timed[0].deadline.After(now) {
		return nil
	}
	w := b.timed[0]
	b.leave(w)
	return w
}

// waitHeap has the wait that ends first at its top.
type waitHeap []*wait

func (h waitHeap) Len() int           { return len(h) }
func (h waitHeap) Less(i, j int) bool { return h[i].deadline.Before(h[j].deadline) }
func (h waitHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i]; h[i].at, h[j].at = i, j }

// Push implements heap.Interface.
func (h *waitHeap) Push(x any) {
	w := x.(*wait)
	w.at = len(*h)
	*h = append(*h, w)
}

// Pop implements heap.Interface.
func (h *waitHeap) Pop() any {
	last := len(*h) - 1
	w := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	w.at = -1
	return w
}

// waitedKeys are the keys that may serve a blocking command: all of its keys, or, where LastKey is fixed, the first alone (BLMOVE's
// other key is where it puts things).
func waitedKeys(req *command.Request) (keys []string) {
	add := func(key []byte) bool {
		for _, k := range keys {
			if k == string(key) {
				return true
			}
		}
		keys = append(keys, string(key))
		return req.Spec.LastKey <= 0
	}
	eachKey(req, add)
	return keys
}

// kindOf is the type of the keys that serve a blocking command.
func kindOf(s *command.Spec) event.Type {
	if s.Group == "list" {
		return event.TypeList
	}
	return event.TypeZSet
}
