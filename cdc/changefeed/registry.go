package changefeed

import (
	"context"
	"errors"
)

var (
	// ErrExists: there is a changefeed of that id.
	ErrExists = errors.New("changefeed: exists already")
	// ErrNotFound: there is none.
	ErrNotFound = errors.New("changefeed: not found")
	// ErrTaken: another process owns the partition.
	ErrTaken = errors.New("changefeed: owned by another process")
	// ErrFenced: the claim is no longer this process's. What was to be saved wasn't.
	ErrFenced = errors.New("changefeed: the claim was lost to another process")
	// ErrStale: the definition was changed meanwhile; read it again.
	ErrStale = errors.New("changefeed: changed meanwhile")
)

// Feed is a changefeed in a View.
type Feed struct {
	Spec Spec
	// Progress and Owners are by partition. A partition that nobody began isn't in Progress; one that nobody owns isn't in Owners.
	Progress map[uint32]Progress
	Owners   map[uint32]Owner
}

// Owner is who holds a claim.
type Owner struct {
	// Process names it for people: a node's address, a syncer's.
	Process string `json:"process"`
	Epoch   uint64 `json:"-"`
}

// View is one immutable picture of all changefeeds of a cluster.
type View struct {
	Revision int64
	Feeds    map[string]*Feed
}

// Registry keeps the changefeeds of a cluster. Its methods may be called from any goroutine. Errors beside those above say that it can't be
// reached, and are worth a retry.
type Registry interface {
	// View is the last known picture, without asking anybody.
	View() *View
	// Watch delivers the current view and then each later one; what the receiver is too slow for is replaced by the newer. The channel is
	// closed when ctx is done.
	Watch(ctx context.Context) <-chan *View

	// Create adds a definition: ErrExists.
	Create(ctx context.Context, s Spec) error
	// Update replaces the definition that has s.Generation by s with the next generation: ErrStale if there is another, ErrNotFound.
	Update(ctx context.Context, s Spec) (Spec, error)
	// Remove takes the definition, progress and claims away: ErrNotFound. Owners learn it from the view and find their claims lost.
	Remove(ctx context.Context, id string) error
	// SetProgress writes a partition's progress by hand (a forced checkpoint). It fails with ErrTaken while somebody owns the partition.
	SetProgress(ctx context.Context, id string, partition uint32, p Progress) error

	// Claim makes this process the owner of a partition until the claim is released or its time runs out (some seconds after the process
	// dies): ErrTaken, ErrNotFound.
	Claim(ctx context.Context, id string, partition uint32, process string) (Claim, error)
}

// Claim is the ownership of one partition of a changefeed.
type Claim interface {
	// Epoch is greater than that of every earlier claim of the partition, by whomever.
	Epoch() uint64
	// Progress is what was saved before this claim began.
	Progress() Progress
	// Lost is closed when the claim is gone, or when it can't be told for so long that another process may have it.
	Lost() <-chan struct{}
	// Save replaces the progress, if the claim still stands: ErrFenced.
	Save(ctx context.Context, p Progress) error
	// Release gives the partition up at once, so far as the registry can be reached within ctx. It is called once, after Lost too.
	Release(ctx context.Context) error
}
