package equal

import (
	"context"
	"errors"
	"fmt"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/replay/replaypb"
)

// AdoptOptions of Adopt.
type AdoptOptions struct {
	// Force adopts although the clusters differ: what differs stays as it is.
	Force bool
	// Tries is how often clusters that differ are looked at (3).
	Tries int
}

// Adopted is what Adopt did.
type Adopted struct {
	Source    string `json:"source"`
	Target    string `json:"target"`
	Namespace string `json:"namespace"`
	// Equal says that they held the same; Differing is in how many hash slots they didn't.
	Equal     bool `json:"equal"`
	Differing int  `json:"differing_slots"`
	// Slots are the first of these.
	Slots []uint16 `json:"slots,omitempty"`
	// Places are the source's partitions, each adopted by those of the target's partitions that can share keys with it.
	Places  []AdoptedPlace `json:"places"`
	Targets int            `json:"target_partitions"`
}

// AdoptedPlace is from where on a partition of the source is replayed.
type AdoptedPlace struct {
	Partition uint32         `json:"partition"`
	Position  event.Position `json:"position"`
	Time      int64          `json:"time"` // ns
}

// Adopt has a target go on from where a source is, because both hold the same: then no full sync is needed. ErrDiffer (wrapped): they don't, and it
// wasn't forced; nothing was changed but that the source keeps tombstones for the target from then on. It can be repeated.
func Adopt(ctx context.Context, source, target *Cluster, namespace string, o AdoptOptions) (*Adopted, error) {
	if o.Tries == 0 {
		o.Tries = 3
	}
	to, err := target.Topology(ctx, namespace)
	if err != nil {
		return nil, err
	}
	if err := confirm(ctx, source, namespace, to.Cluster); err != nil {
		return nil, err
	}
	r, err := Compare(ctx, source, target, namespace, Options{Tries: o.Tries})
	if err != nil {
		return nil, err
	}
	done := &Adopted{
		Source: r.A.Cluster, Target: r.B.Cluster, Namespace: namespace, Equal: r.Equal(), Differing: len(r.Differing),
		Slots: r.Differing[:min(len(r.Differing), 100)], Targets: len(r.B.Partitions),
	}
	if !r.Equal() && !o.Force {
		return done, r.differ()
	}
	for i := range r.A.Partitions {
		place := placeOf(&r.A.Partitions[i])
		if err := adopt(ctx, target, r.A, r.B.Cut(), &place); err != nil {
			return done, err
		}
		done.Places = append(done.Places, place)
	}
	return done, nil
}

// placeOf is where a sum stands. Its time is one that every event after it is above, whoever leads then: the clock that the partition's log has there. No wall clock
// says that. It isn't old either: confirm has a partition at rest write an entry.
func placeOf(p *PartitionSum) AdoptedPlace {
	return AdoptedPlace{Partition: p.Partition, Position: p.Position, Time: p.Clock}
}

// confirm tells all partitions of a source that a peer will take their changes: from here on they keep tombstones for it.
func confirm(ctx context.Context, source *Cluster, namespace, peer string) error {
	top, err := source.Topology(ctx, namespace)
	if err != nil {
		return err
	}
	if top.Cluster == peer {
		return fmt.Errorf("equal: source and target are one cluster, %s", peer)
	}
	return each(ctx, len(top.Partitions), func(ctx context.Context, i int) error {
		return source.atLeader(ctx, namespace, uint32(i), func(ctx context.Context, client replaypb.ReplayClient, _ *place) error {
			asking, cancel := context.WithTimeout(ctx, callWithin)
			defer cancel()
			_, err := client.Confirm(asking, &replaypb.ConfirmRequest{Namespace: namespace, Partition: uint32(i), Peer: peer})
			return err
		})
	})
}

// adopt gives a source's partition its place in the partitions of a target that can share keys with it.
func adopt(ctx context.Context, target *Cluster, source *Sums, cut store.Cut, from *AdoptedPlace) error {
	sender := &replaypb.Sender{
		Cluster: source.Cluster, Namespace: source.Namespace, Partition: from.Partition, Partitions: uint32(len(source.Partitions)), Hash: source.Hash,
	}
	sharing := source.Cut().Sharing(from.Partition, cut)
	err := each(ctx, int(sharing.Count), func(ctx context.Context, i int) error {
		n := sharing.At(uint32(i))
		return target.atLeader(ctx, source.Namespace, n, func(ctx context.Context, client replaypb.ReplayClient, _ *place) error {
			asking, cancel := context.WithTimeout(ctx, callWithin)
			defer cancel()
			_, err := client.Adopt(asking, &replaypb.AdoptRequest{
				Namespace: source.Namespace, Partition: n, Sender: sender,
				Position: &replaypb.Position{Term: from.Position.Term, Index: from.Position.Index}, Time: from.Time,
			})
			return err
		})
	})
	if err != nil {
		return errors.Join(fmt.Errorf("equal: not all partitions of the target have taken over the place of %s-%d: repeat it", source.Namespace, from.Partition), err)
	}
	return nil
}
