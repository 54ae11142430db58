package datanode

import (
	"context"
	"errors"
	"time"

	"github.com/zankv/zankv/cluster/partition"
	"github.com/zankv/zankv/wal"
)

const (
	// pinEvery is how often it is looked after that no quiet partition keeps old segments of the log.
	pinEvery = 10 * time.Second
	// pinBytes is how far, in bytes of log, a partition may lie behind before something is done.
	pinBytes = 128 << 20
	// farShare is the share of the log's disk cap from which on a partition lies far behind.
	farShare = 4
)

// keepLog frees the log from partitions that are quiet: their stores are flushed, so that nothing needs their old
// entries, and what little is left of them is written again at the log's head.
func (n *Node) keepLog(ctx context.Context) error {
	ticker := time.NewTicker(pinEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if err := n.unpin(); err != nil {
			return err
		}
	}
}

func (n *Node) unpin() error {
	for _, pin := range n.log.Pinning() {
		if pin.Behind < pinBytes {
			return nil // they come with the furthest behind first
		}
		if r := n.replicaOfGroup(pin.Group); r != nil {
			if err := r.Flush(); err != nil {
				return err
			}
			r.Release(pin.Behind >= n.opts.LogDiskBytes/farShare)
		}
		if !pin.Rewritable {
			continue
		}
		if err := n.log.Rewrite(pin.Group); err != nil && !errors.Is(err, wal.ErrTooLarge) { // it isn't quiet any more
			return err
		}
	}
	return nil
}

func (n *Node) replicaOfGroup(id uint64) (found *partition.Replica) {
	n.table.each(func(ns *namespace, r *partition.Replica) bool {
		if ns.meta.GroupID(int(r.Partition())) == id {
			found = r
		}
		return found == nil
	})
	return found
}
