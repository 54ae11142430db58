package partition

import (
	"time"
	"unsafe"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/multiraft"
)

// answer is a request whose outcome depends on a batch.
type answer struct {
	lane *lane
	req  *command.Request
}

// batch is one event in the making: what was evaluated together is proposed together.
type batch struct {
	proposal multiraft.Proposal
	ev       event.Event
	index    uint64 // of its entry, 0 as long as it isn't known
	answers  []answer
	// undo has, for each mutation, what inflight held of its key before.
	undo    []flightKey
	bytes   int
	barrier bool
	pageOf  *lane // of a command that goes on after this batch
	// whole: it is a transaction's on the whole partition, which is alone; flushed: that has removed everything.
	whole, flushed bool
	opened         time.Time
	role           *roleCall // that it carries out
	unknown        bool      // its clients were told that the outcome isn't known
	moves          []move    // of places of senders and peers
	rows           rowsOfLog
}

// flightKey says which batch last changed a key, and by which of its mutations.
type flightKey struct {
	batch    *batch
	mutation int
}

// empty says whether there is nothing to propose.
func (b *batch) empty() bool { return len(b.ev.Mutations) == 0 && len(b.ev.Own) == 0 }

// arena keeps copies of keys, values and elements. Its memory never moves, so that map keys may point into it.
type arena struct {
	chunk    []byte
	elements []event.Element
	origins  []event.Origin
}

const (
	arenaChunk    = 16 << 10
	arenaElements = 128
	arenaOrigins  = 128
)

func (a *arena) copyOrigin(o *event.Origin) *event.Origin {
	if o == nil {
		return nil
	}
	if len(a.origins) == cap(a.origins) {
		a.origins = make([]event.Origin, 0, arenaOrigins)
	}
	a.origins = append(a.origins, *o)
	return &a.origins[len(a.origins)-1]
}

// copyElements copies elements with what their slices hold.
func (a *arena) copyElements(p []event.Element) []event.Element {
	if len(p) == 0 {
		return nil
	}
	if len(p) > cap(a.elements)-len(a.elements) {
		a.elements = make([]event.Element, 0, max(arenaElements, len(p)))
	}
	n := len(a.elements)
	a.elements = append(a.elements, p...)
	own := a.elements[n:len(a.elements):len(a.elements)]
	for i := range own {
		e := &own[i]
		e.Sub, e.Value = a.copy(e.Sub), a.copy(e.Value)
	}
	return own
}

func (a *arena) copy(p []byte) []byte {
	if len(p) == 0 {
		return nil
	}
	if len(p) > cap(a.chunk)-len(a.chunk) {
		a.chunk = make([]byte, 0, max(arenaChunk, len(p)))
	}
	n := len(a.chunk)
	a.chunk = append(a.chunk, p...)
	return a.chunk[n:len(a.chunk):len(a.chunk)]
}

// asString views bytes that never change again as a string.
func asString(p []byte) string { return unsafe.String(unsafe.SliceData(p), len(p)) }
