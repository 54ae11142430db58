package meta

import (
	"context"
	"sync"
	"sync/atomic"
)

// Publisher hands views to any number of watchers, each getting the newest it hasn't seen: for implementations of Store.
// Make one by NewPublisher.
type Publisher = Publication[View]

// NewPublisher shows an empty view until the first is published.
func NewPublisher() *Publisher {
	return NewPublication(&View{Namespaces: map[string]*NamespaceView{}, Nodes: map[NodeID]*NodeView{}}, func(v *View) int64 { return v.Revision })
}

// Publication hands immutable pictures of any kind to watchers. Make one by NewPublication.
type Publication[V any] struct {
	revision func(*V) int64
	last     atomic.Pointer[V]
	mu       struct {
		sync.Mutex
		closed   bool
		watchers map[chan *V]func() // to the function that stops minding its ctx
	}
}

// NewPublication shows the empty picture until the first is published. A picture's revision grows with every change, and is 0 for the empty one.
func NewPublication[V any](empty *V, revision func(*V) int64) *Publication[V] {
	p := &Publication[V]{revision: revision}
	p.last.Store(empty)
	p.mu.watchers = map[chan *V]func(){}
	return p
}

// View is the last one published.
func (p *Publication[V]) View() *V { return p.last.Load() }

// Publish makes v the current view. A view that is not newer than the current one is dropped. It never waits for a
// watcher.
func (p *Publication[V]) Publish(v *V) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.closed || p.revision(v) <= p.revision(p.last.Load()) {
		return
	}
	p.last.Store(v)
	for ch := range p.mu.watchers {
		offer(ch, v)
	}
}

// offer replaces what waits in ch, of which the caller is the only sender. The receiver may take the old view in between;
// then there is room for the new one, so the send can't block either way.
func offer[V any](ch chan *V, v *V) {
	select {
	case <-ch:
	default:
	}
	ch <- v
}

// Watch is Watcher.Watch.
func (p *Publication[V]) Watch(ctx context.Context) <-chan *V {
	ch := make(chan *V, 1)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.closed {
		close(ch)
		return ch
	}
	if v := p.last.Load(); p.revision(v) > 0 {
		ch <- v
	}
	stop := context.AfterFunc(ctx, func() { p.remove(ch) })
	p.mu.watchers[ch] = func() { stop() }
	return ch
}

func (p *Publication[V]) remove(ch chan *V) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.mu.watchers[ch]; ok {
		delete(p.mu.watchers, ch)
		close(ch)
	}
}

// Close closes every watcher's channel. Nothing is published afterwards; View stays.
func (p *Publication[V]) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.closed = true
	for ch, stop := range p.mu.watchers {
		stop()
		close(ch)
	}
	clear(p.mu.watchers)
}
