package partition

import (
	"context"
	"errors"
	"testing"

	"github.com/zankv/zankv/cdc/event"
)

// A consumer's position is a row of every replica, and goes with the zero position.
func TestSetConsumer(t *testing.T) {
	c := newCluster(t, 3, nil)
	ctx := context.Background()
	leader := c.leader()
	want := event.Position{Term: 2, Index: 2}
	must(t, leader.replica.SetConsumer(ctx, "kafka", want))
	must(t, leader.replica.SetConsumer(ctx, "other", event.Position{Term: 2, Index: 3}))
	must(t, leader.replica.SetConsumer(ctx, "other", event.Position{}))
	at, _ := leader.replica.State()
	for _, m := range c.members {
		eventually(t, "the replica has applied the change", func() bool { return m.replica.Applied() >= at.Applied.Index })
		got := map[string]string{}
		must(t, m.replica.store.Own(event.OwnConsumer, func(id, value []byte) bool {
			got[string(id)] = string(value)
			return true
		}))
		if len(got) != 1 || got["kafka"] != want.String() {
			t.Errorf("node %d: consumers %v", m.id, got)
		}
		if m != leader {
			if err := m.replica.SetConsumer(ctx, "kafka", want); !errors.Is(err, ErrNotLeader) {
				t.Errorf("node %d: %v, want ErrNotLeader", m.id, err)
			}
		}
	}
}
