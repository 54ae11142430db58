package datanode

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/zankv/zankv/cluster/meta"
)

// announcer tells metadata who leads what. Only the newest word about a partition waits: what waits is bounded by the number of
// partitions, however long etcd is away.
type announcer struct {
	sync.Mutex
	waiting map[meta.PartitionID]meta.Leader
	wake    chan struct{}
}

func (a *announcer) init() {
	a.waiting = make(map[meta.PartitionID]meta.Leader)
	a.wake = make(chan struct{}, 1)
}

func (a *announcer) announce(l meta.Leader) {
	a.Lock()
	a.waiting[l.Partition] = l
	a.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

func (a *announcer) take() map[meta.PartitionID]meta.Leader {
	a.Lock()
	defer a.Unlock()
	taken := a.waiting
	a.waiting = make(map[meta.PartitionID]meta.Leader)
	return taken
}

// retryAnnouncement is the pause before a failed announcement is repeated.
const retryAnnouncement = time.Second

func (a *announcer) run(ctx context.Context, registry meta.Announcer, logger *slog.Logger) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.wake:
		}
		for _, l := range a.take() {
			err := registry.SetLeader(ctx, l)
			if err == nil || errors.Is(err, meta.ErrStale) || errors.Is(err, meta.ErrNotFound) || ctx.Err() != nil {
				continue
			}
			logger.Warn("can't announce a leader; clients of other nodes may be forwarded once more", "partition", l.Partition.String(), "error", err)
			time.AfterFunc(retryAnnouncement, func() { a.repeat(l) })
		}
	}
}

// repeat announces l again unless something newer waits.
func (a *announcer) repeat(l meta.Leader) {
	a.Lock()
	newer, ok := a.waiting[l.Partition]
	a.Unlock()
	if !ok || newer.Term < l.Term {
		a.announce(l)
	}
}
