package memmeta

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cluster/meta"
)

// Changefeeds is the changefeed.Registry of a cluster, in memory. Everything it is given and gives is copied through JSON, as in etcd.
type Changefeeds struct {
	*meta.FeedPublisher
	mu struct {
		sync.Mutex
		closed   bool
		revision int64
		builder  *meta.FeedBuilder
		specs    map[string]changefeed.Spec
		progress map[seat][]byte
		claims   map[seat]*claim
		epochs   map[seat]uint64
	}
}

var _ changefeed.Registry = (*Changefeeds)(nil)

// seat is what one process at a time owns.
type seat struct {
	id        string
	partition uint32
}

func (s seat) String() string { return fmt.Sprintf("changefeed %s, partition %d", s.id, s.partition) }

func newChangefeeds() *Changefeeds {
	r := &Changefeeds{FeedPublisher: meta.NewFeedPublisher()}
	r.mu.builder = meta.NewFeedBuilder()
	r.mu.specs, r.mu.progress = map[string]changefeed.Spec{}, map[seat][]byte{}
	r.mu.claims, r.mu.epochs = map[seat]*claim{}, map[seat]uint64{}
	r.changedLocked()
	return r
}

// Changefeeds is the cluster's registry of changefeeds. A process's claims end by ExpireClaims.
func (s *Store) Changefeeds() changefeed.Registry { return s.feeds }

func (r *Changefeeds) changedLocked() {
	r.mu.revision++
	r.Publish(r.mu.builder.View(r.mu.revision))
}

func (r *Changefeeds) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", meta.ErrUnavailable, err)
	}
	r.mu.Lock()
	if r.mu.closed {
		r.mu.Unlock()
		return meta.ErrClosed
	}
	return nil
}

func copyOf[T any](v *T) (c T, err error) {
	b, err := meta.EncodeFeedValue(v)
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	return c, err
}

// Create is changefeed.Registry's.
func (r *Changefeeds) Create(ctx context.Context, s changefeed.Spec) error {
	s.Generation = 1
	s, err := copyOf(&s)
	if err == nil {
		err = s.Validate()
	}
	if err == nil {
		err = r.enter(ctx)
	}
	if err != nil {
		return err
	}
	defer r.mu.Unlock()
	if _, there := r.mu.specs[s.ID]; there {
		return fmt.Errorf("create changefeed %s: %w", s.ID, changefeed.ErrExists)
	}
	r.putLocked(s)
	return nil
}

func (r *Changefeeds) putLocked(s changefeed.Spec) {
	r.mu.specs[s.ID] = s
	r.mu.builder.SetSpec(s.ID, &s)
	r.changedLocked()
}

// Update is changefeed.Registry's.
func (r *Changefeeds) Update(ctx context.Context, s changefeed.Spec) (changefeed.Spec, error) {
	next, err := copyOf(&s)
	if err == nil {
		err = next.Validate()
	}
	if err == nil {
		err = r.enter(ctx)
	}
	if err != nil {
		return s, err
	}
	defer r.mu.Unlock()
	old, there := r.mu.specs[s.ID]
	if !there {
		return s, fmt.Errorf("update changefeed %s: %w", s.ID, changefeed.ErrNotFound)
	}
	if old.Generation != s.Generation {
		return s, fmt.Errorf("update changefeed %s: %w: it is of generation %d, not %d", s.ID, changefeed.ErrStale, old.Generation, s.Generation)
	}
	next.Generation, next.Created = s.Generation+1, old.Created
	r.putLocked(next)
	return next, nil
}

// Remove is changefeed.Registry's.
func (r *Changefeeds) Remove(ctx context.Context, id string) error {
	if err := r.enter(ctx); err != nil {
		return err
	}
	defer r.mu.Unlock()
	if _, there := r.mu.specs[id]; !there {
		return fmt.Errorf("remove changefeed %s: %w", id, changefeed.ErrNotFound)
	}
	delete(r.mu.specs, id)
	r.mu.builder.SetSpec(id, nil)
	for at := range r.mu.progress {
		if at.id == id {
			delete(r.mu.progress, at)
			r.mu.builder.SetProgress(id, at.partition, nil)
		}
	}
	for at, c := range r.mu.claims {
		if at.id == id {
			r.endLocked(c)
		}
	}
	r.changedLocked()
	return nil
}

// endLocked takes a claim away.
func (r *Changefeeds) endLocked(c *claim) {
	if r.mu.claims[c.seat] != c {
		return
	}
	delete(r.mu.claims, c.seat)
	r.mu.builder.SetOwner(c.seat.id, c.seat.partition, nil)
	close(c.lost)
}

// SetProgress is changefeed.Registry's.
func (r *Changefeeds) SetProgress(ctx context.Context, id string, partition uint32, p changefeed.Progress) error {
	if err := meta.ValidateFeedPartition(id, partition); err != nil {
		return err
	}
	b, err := meta.EncodeFeedValue(&p)
	if err == nil {
		err = r.enter(ctx)
	}
	if err != nil {
		return err
	}
	defer r.mu.Unlock()
	at := seat{id, partition}
	if _, there := r.mu.specs[id]; !there {
		return fmt.Errorf("set progress of %s: %w", at, changefeed.ErrNotFound)
	}
	if r.mu.claims[at] != nil {
		return fmt.Errorf("set progress of %s: %w", at, changefeed.ErrTaken)
	}
	return r.saveLocked(at, b)
}

func (r *Changefeeds) saveLocked(at seat, b []byte) error {
	var p changefeed.Progress
	if err := json.Unmarshal(b, &p); err != nil {
		return err
	}
	r.mu.progress[at] = b
	r.mu.builder.SetProgress(at.id, at.partition, &p)
	r.changedLocked()
	return nil
}

// Claim is changefeed.Registry's.
func (r *Changefeeds) Claim(ctx context.Context, id string, partition uint32, process string) (changefeed.Claim, error) {
	if err := meta.ValidateFeedPartition(id, partition); err != nil {
		return nil, err
	}
	if err := r.enter(ctx); err != nil {
		return nil, err
	}
	defer r.mu.Unlock()
	at := seat{id, partition}
	if _, there := r.mu.specs[id]; !there {
		return nil, fmt.Errorf("claim %s: %w", at, changefeed.ErrNotFound)
	}
	if other := r.mu.claims[at]; other != nil {
		return nil, fmt.Errorf("claim %s: %w: %s", at, changefeed.ErrTaken, other.process)
	}
	c := &claim{registry: r, seat: at, process: process, lost: make(chan struct{})}
	if b, there := r.mu.progress[at]; there {
		if err := json.Unmarshal(b, &c.progress); err != nil {
			return nil, err
		}
	}
	r.mu.epochs[at]++
	c.epoch = r.mu.epochs[at]
	r.mu.claims[at] = c
	r.mu.builder.SetOwner(id, partition, &changefeed.Owner{Process: process, Epoch: c.epoch})
	r.changedLocked()
	return c, nil
}

// ExpireClaims ends the claims of a process as their time does when it has died: the process isn't asked, and learns it.
func (s *Store) ExpireClaims(process string) {
	r := s.feeds
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.mu.claims {
		if c.process == process {
			r.endLocked(c)
		}
	}
	r.changedLocked()
}

func (r *Changefeeds) close() {
	r.mu.Lock()
	r.mu.closed = true
	for _, c := range r.mu.claims {
		r.endLocked(c)
	}
	r.mu.Unlock()
	r.FeedPublisher.Close()
}

type claim struct {
	registry *Changefeeds
	seat     seat
	process  string
	epoch    uint64
	progress changefeed.Progress
	lost     chan struct{}
}

// Epoch is changefeed.Claim's.
func (c *claim) Epoch() uint64 { return c.epoch }

// Progress is changefeed.Claim's.
func (c *claim) Progress() changefeed.Progress { return c.progress }

// Lost is changefeed.Claim's.
func (c *claim) Lost() <-chan struct{} { return c.lost }

// Save is changefeed.Claim's.
func (c *claim) Save(ctx context.Context, p changefeed.Progress) error {
	b, err := meta.EncodeFeedValue(&p)
	if err == nil {
		err = c.registry.enter(ctx)
	}
	if err != nil {
		return err
	}
	defer c.registry.mu.Unlock()
	if c.registry.mu.claims[c.seat] != c {
		return fmt.Errorf("save progress of %s: %w", c.seat, changefeed.ErrFenced)
	}
	return c.registry.saveLocked(c.seat, b)
}

// Release is changefeed.Claim's.
func (c *claim) Release(ctx context.Context) error {
	if err := c.registry.enter(ctx); err != nil {
		return err
	}
	defer c.registry.mu.Unlock()
	c.registry.endLocked(c)
	c.registry.changedLocked()
	return nil
}
