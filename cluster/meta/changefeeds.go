package meta

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/zankv/zankv/cdc/changefeed"
)

// ErrTooLarge: a definition or progress is larger than the store takes.
var ErrTooLarge = errors.New("meta: too large")

// MaxChangefeedValue bounds what is kept of one definition, or of one partition's progress, in bytes.
const MaxChangefeedValue = 64 << 10

// FeedPublisher hands views of changefeeds to watchers.
type FeedPublisher = Publication[changefeed.View]

// NewFeedPublisher shows an empty view until the first is published.
func NewFeedPublisher() *FeedPublisher {
	return NewPublication(&changefeed.View{Feeds: map[string]*changefeed.Feed{}}, func(v *changefeed.View) int64 { return v.Revision })
}

// FeedBuilder makes views of changefeeds out of single changes. What a change doesn't concern is shared between the views before and after: progress
// that was saved costs a copy of that changefeed's progress, a claim one of its owners. It is for one goroutine.
type FeedBuilder struct {
	feeds   map[string]*rawFeed
	shown   map[string]*changefeed.Feed
	touched map[string]touched
}

type rawFeed struct {
	spec     *changefeed.Spec
	progress map[uint32]changefeed.Progress
	owners   map[uint32]changefeed.Owner
}

// touched says what of a changefeed was changed since the last view.
type touched struct{ progress, owners bool }

// NewFeedBuilder has nothing in it.
func NewFeedBuilder() *FeedBuilder {
	return &FeedBuilder{feeds: map[string]*rawFeed{}, shown: map[string]*changefeed.Feed{}, touched: map[string]touched{}}
}

func (b *FeedBuilder) touch(id string, what touched) *rawFeed {
	f := b.feeds[id]
	if f == nil {
		f = &rawFeed{progress: map[uint32]changefeed.Progress{}, owners: map[uint32]changefeed.Owner{}}
		b.feeds[id] = f
	}
	was := b.touched[id]
	b.touched[id] = touched{was.progress || what.progress, was.owners || what.owners}
	return f
}

// SetSpec puts a definition, or with nil removes it.
func (b *FeedBuilder) SetSpec(id string, s *changefeed.Spec) { b.touch(id, touched{}).spec = s }

// SetProgress puts a partition's progress, or with nil removes it.
func (b *FeedBuilder) SetProgress(id string, partition uint32, p *changefeed.Progress) {
	f := b.touch(id, touched{progress: true})
	if p == nil {
		delete(f.progress, partition)
		return
	}
	f.progress[partition] = *p
}

// SetOwner puts a partition's owner, or with nil removes it.
func (b *FeedBuilder) SetOwner(id string, partition uint32, o *changefeed.Owner) {
	f := b.touch(id, touched{owners: true})
	if o == nil {
		delete(f.owners, partition)
		return
	}
	f.owners[partition] = *o
}

// View is the picture at a revision. A changefeed without a definition isn't in it.
func (b *FeedBuilder) View(revision int64) *changefeed.View {
	if len(b.touched) > 0 {
		b.shown = maps.Clone(b.shown)
	}
	for id, what := range b.touched {
		f := b.feeds[id]
		if f.spec == nil {
			delete(b.shown, id)
			if len(f.progress)+len(f.owners) == 0 {
				delete(b.feeds, id)
			}
			continue
		}
		b.shown[id] = f.view(b.shown[id], what)
	}
	clear(b.touched)
	return &changefeed.View{Revision: revision, Feeds: b.shown}
}

// view shares with the one before what wasn't touched.
func (f *rawFeed) view(before *changefeed.Feed, what touched) *changefeed.Feed {
	v := &changefeed.Feed{Spec: *f.spec}
	if before != nil {
		v.Progress, v.Owners = before.Progress, before.Owners
	}
	if what.progress || before == nil {
		v.Progress = maps.Clone(f.progress)
	}
	if what.owners || before == nil {
		v.Owners = maps.Clone(f.owners)
	}
	return v
}

// EncodeFeedValue is how a definition or progress is stored: JSON, of at most MaxChangefeedValue bytes.
func EncodeFeedValue(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("meta: encode %T: %w", v, err)
	}
	if len(b) > MaxChangefeedValue {
		return nil, fmt.Errorf("%w: %T of %d bytes: want at most %d", ErrTooLarge, v, len(b), MaxChangefeedValue)
	}
	return b, nil
}

// ValidateFeedPartition says what keeps (id, partition) from being one that a changefeed can have.
func ValidateFeedPartition(id string, partition uint32) error {
	if partition >= MaxPartitions {
		return fmt.Errorf("changefeed %.40s: partition %d: want 0 to %d", id, partition, MaxPartitions-1)
	}
	return changefeed.ValidateID(id)
}
