package partition

import (
	"fmt"

	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/wal"
)

// markBase writes a chain mark where the log begins, which is where the state stands: a reader of the feed can start there.
func (r *Replica) markBase() error {
	r.apply.Mark()
	if err := r.apply.Commit(); err != nil {
		return fmt.Errorf("partition %s: %w", r.name, err)
	}
	return nil
}

// Mark is the last place at or before index from which the log can be read with its chain; false if there is none.
func (r *Replica) Mark(index uint64) (store.Mark, bool, error) {
	r.state.RLock()
	defer r.state.RUnlock()
	if r.store == nil {
		return store.Mark{}, false, ErrClosed
	}
	return r.store.MarkAtOrBefore(index)
}

// FirstIndex is the oldest entry left in the log.
func (r *Replica) FirstIndex() uint64 { return r.log.FirstIndex() }

// NewLogReader reads the log from an index on. Nothing above Applied may be asked of it.
func (r *Replica) NewLogReader(from uint64) *wal.Reader { return r.log.NewReader(from) }
