package partition

import (
	"fmt"
	"sync"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/conflict"
)

// Places is what a replica knows of whom it gets changes from and whom it gives them to, as applied.
type Places struct {
	Leading    bool
	Replicates bool
	Watermark  int64
	Senders    []SenderPlace // in the order of their ids
	Peers      []PeerPlace   // in the order of their ids
	// ConflictRows are the records in the conflict log, ConflictBytes those of all its rows, Diverged the keys with an open record, once per source.
	ConflictRows, ConflictBytes, Diverged uint64
	// Outcomes are those of mutations that got a row in the conflict log since this replica began to lead, by conflict.Reason's name; nil if it doesn't.
	Outcomes           map[string]uint64
	Applied, LastEvent event.Position
}

// SenderPlace is where a sender stands.
type SenderPlace struct {
	ID store.SenderID
	store.Sender
}

// PeerPlace is what a peer has.
type PeerPlace struct {
	Cluster string
	store.Peer
}

// Places reads them. Any replica, any goroutine.
func (r *Replica) Places() (Places, error) {
	r.state.RLock()
	defer r.state.RUnlock()
	if r.store == nil {
		return Places{}, ErrClosed
	}
	p, err := r.readPlacesOf()
	if err != nil {
		return Places{}, fmt.Errorf("partition %s: places: %w", r.name, err)
	}
	return p, nil
}

func (r *Replica) readPlacesOf() (p Places, err error) {
	snap := r.store.Snapshot()
	defer snap.Close()
	state, err := snap.State()
	if err != nil {
		return p, err
	}
	p = Places{Leading: r.Leading(), Applied: state.Applied, LastEvent: state.LastEvent}
	if p.Leading {
		p.Outcomes = r.outcomes.byName()
	}
	if p.Watermark, err = snap.Watermark(); err != nil {
		return p, err
	}
	since, err := r.store.Replicates()
	if err != nil {
		return p, err
	}
	p.Replicates = !since.IsZero()
	err = snap.Senders(func(id store.SenderID, at store.Sender) bool {
		p.Senders = append(p.Senders, SenderPlace{id, at})
		return true
	})
	if err != nil {
		return p, err
	}
	err = snap.Peers(func(cluster string, at store.Peer) bool {
		p.Peers = append(p.Peers, PeerPlace{cluster, at})
		return true
	})
	if err != nil {
		return p, err
	}
	c, err := countsOf(r.store)
	p.ConflictRows, p.ConflictBytes, p.Diverged = c.records, c.bytes(), c.diverged
	return p, err
}

// outcomes counts those that are conflicts, by conflict.Reason.
type outcomes [32]uint64

func (o *outcomes) count(one *conflict.Outcome) {
	if one.Logged() && int(one.Reason) < len(o) {
		o[one.Reason]++
	}
}

// outcomeCounters are those of a leader, for everyone.
type outcomeCounters struct {
	mu struct {
		sync.Mutex
		outcomes
	}
}

func (c *outcomeCounters) add(o *outcomes) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, n := range o {
		c.mu.outcomes[i] += n
	}
}

func (c *outcomeCounters) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.outcomes = outcomes{}
}

func (c *outcomeCounters) byName() map[string]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	names := make(map[string]uint64)
	for i, n := range c.mu.outcomes {
		if n > 0 {
			names[conflict.Reason(i).String()] = n
		}
	}
	return names
}
