package equal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zankv/zankv/cluster/store"
)

// Options of Compare.
type Options struct {
	// AtA and AtB are positions at which the sums are to be; of partitions that they don't name it is what is applied.
	AtA, AtB At
	// Tries is how often clusters that differ are looked at (1): while something is on its way they do. Pause is between two looks (500 ms).
	Tries int
	Pause time.Duration
}

// Result is what Compare found.
type Result struct {
	A, B *Sums
	// Differing are the hash slots in which they differ, in order.
	Differing []uint16
}

// Equal says whether there is no difference.
func (r *Result) Equal() bool { return len(r.Differing) == 0 }

// settleTries is how often sums are made anew because they weren't all made by the same watermark and time.
const settleTries = 5

// ErrUnsettled: watermarks went on each time that the sums were made.
var ErrUnsettled = errors.New("equal: the clusters' tombstone watermarks went on while they were compared, each time: try again")

// Compare compares a namespace of two clusters.
func Compare(ctx context.Context, a, b *Cluster, namespace string, o Options) (*Result, error) {
	if o.Pause == 0 {
		o.Pause = 500 * time.Millisecond
	}
	for try := 1; ; try++ {
		r, err := compare(ctx, a, b, namespace, &o)
		if err != nil || r.Equal() || try >= o.Tries {
			return r, err
		}
		select {
		case <-time.After(o.Pause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func compare(ctx context.Context, a, b *Cluster, namespace string, o *Options) (*Result, error) {
	by, err := commonBy(ctx, a, b, namespace)
	if err != nil {
		return nil, err
	}
	for range settleTries {
		r := &Result{}
		if r.A, err = a.Sums(ctx, namespace, o.AtA, by); err != nil {
			return nil, err
		}
		if r.B, err = b.Sums(ctx, namespace, o.AtB, by); err != nil {
			return nil, err
		}
		byA, sameA := r.A.by()
		byB, sameB := r.B.by()
		if sameA && sameB && byA == byB {
			r.Differing = r.A.Differ(r.B)
			return r, nil
		}
		by = By{Watermark: max(byA.Watermark, byB.Watermark), Wall: max(byA.Wall, byB.Wall)}
	}
	return nil, ErrUnsettled
}

// commonBy is a watermark and a time that are probably as high as any partition's.
func commonBy(ctx context.Context, a, b *Cluster, namespace string) (By, error) {
	by := By{Wall: time.Now().UnixMilli()}
	for _, c := range []*Cluster{a, b} {
		places, err := c.Places(ctx, namespace)
		if err != nil {
			return by, err
		}
		for _, p := range places {
			by.Watermark = max(by.Watermark, p.Watermark)
		}
	}
	return by, nil
}

// ErrDiffer: the clusters don't hold the same. It is wrapped in an error that says where.
var ErrDiffer = errors.New("equal: the clusters differ")

// differ describes a difference.
func (r *Result) differ() error {
	const shown = 10
	more := ""
	if len(r.Differing) > shown {
		more = " …"
	}
	return fmt.Errorf("%w: namespace %s in %d of %d hash slots (%v%s): %s has %d keys, %s has %d. Wait until all that is on its way has come, or do a full sync",
		ErrDiffer, r.A.Namespace, len(r.Differing), store.Slots, r.Differing[:min(shown, len(r.Differing))], more, r.A.Cluster, r.A.Keys, r.B.Cluster, r.B.Keys)
}
