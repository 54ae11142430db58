package meta

import (
	"context"
	"sync"
	"sync/atomic"
)

// Publisher hands views to any number of watchers, each getting the newest it hasn't seen: for implementations of Store.
// Make one by NewPublisher.
type Publisher struct {
	last atomic.Pointer[View]
	mu   struct {
		sync.Mutex
		closed   bool
		watchers map[chan *View]func() // to the function that stops minding its ctx
	}
}

// NewPublisher shows an empty view until the first is published.
func NewPublisher() *Publisher {
	p := &Publisher{}
	p.last.Store(&View{Namespaces: map[string]*NamespaceView{}, Nodes: map[NodeID]*NodeView{}})
	p.mu.watchers = map[chan *View]func(){}
	return p
}

// View is the last one published.
func (p *Publisher) View() *View { return p.last.Load() }

// Publish makes v the current view. A view that is not newer than the current one is dropped. It never waits for a
// watcher.
func (p *Publisher) Publish(v *View) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.closed || v.Revision <= p.last.Load().Revision {
		return
	}
	p.last.Store(v)
	for ch := range p.mu.watchers {
		offer(ch, v)
	}
}

// offer replaces what waits in ch, of which the caller is the only sender. The receiver may take the old view in between;
// then there is room for the new one, so the send can't block either way.
func offer(ch chan *View, v *View) {
	select {
	case <-ch:
	default:
	}
	ch <- v
}

// Watch is Watcher.Watch.
func (p *Publisher) Watch(ctx context.Context) <-chan *View {
	ch := make(chan *View, 1)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.closed {
		close(ch)
		return ch
	}
	if v := p.last.Load(); v.Revision > 0 {
		ch <- v
	}
	stop := context.AfterFunc(ctx, func() { p.remove(ch) })
	p.mu.watchers[ch] = func() { stop() }
	return ch
}

func (p *Publisher) remove(ch chan *View) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.mu.watchers[ch]; ok {
		delete(p.mu.watchers, ch)
		close(ch)
	}
}

// Close closes every watcher's channel. Nothing is published afterwards; View stays.
func (p *Publisher) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.closed = true
	for ch, stop := range p.mu.watchers {
		stop()
		close(ch)
	}
	clear(p.mu.watchers)
}
