package switchover

import (
	"context"
	"errors"
	"fmt"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cli/internal/failure"
	"github.com/zankv/zankv/cli/internal/peers"
	"github.com/zankv/zankv/replay/equal"
)

// ByChecksums is the Equality of two clusters' contents by the checksums of their hash slots.
type ByChecksums struct{ from, to *equal.Cluster }

// Checksums makes one of nodes' gRPC addresses. Close it.
func Checksums(from, to []string) (*ByChecksums, error) {
	a, err := equal.Dial(from)
	if err != nil {
		return nil, failure.Misuse(err)
	}
	b, err := equal.Dial(to)
	if err != nil {
		return nil, errors.Join(failure.Misuse(err), a.Close())
	}
	return &ByChecksums{a, b}, nil
}

// Close ends the connections.
func (c *ByChecksums) Close() error { return errors.Join(c.from.Close(), c.to.Close()) }

// tries is how often clusters that differ are looked at: nobody writes, but an expired key is removed now and then.
const tries = 3

// Compare implements Equality.
func (c *ByChecksums) Compare(ctx context.Context, namespace string, after []event.Position) (*Comparison, error) {
	at := equal.At{}
	for n, p := range after {
		at[uint32(n)] = p
	}
	r, err := equal.Compare(ctx, c.from, c.to, namespace, equal.Options{Tries: tries})
	if err != nil {
		return nil, peers.Wrong("comparing namespace "+namespace, err)
	}
	for _, p := range r.A.Partitions {
		if at[p.Partition].Compare(p.Position) > 0 {
			return nil, fmt.Errorf("the checksum of %s-%d is of %s, before %s", namespace, p.Partition, p.Position, at[p.Partition])
		}
	}
	return &Comparison{Differing: r.Differing, From: r.A.Keys, To: r.B.Keys}, nil
}

// Adopt implements Equality.
func (c *ByChecksums) Adopt(ctx context.Context, namespace string, force bool) error {
	_, err := equal.Adopt(ctx, c.to, c.from, namespace, equal.AdoptOptions{Force: force})
	if errors.Is(err, equal.ErrDiffer) {
		return failure.New(failure.Refused, "compare them again; --force goes on all the same", "namespace %s: %w", namespace, err)
	}
	return peers.Wrong("namespace "+namespace, err)
}
