package partition

import (
	"context"
	"errors"
	"fmt"
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

// stands is where a consumer stands, and what is applied.
func (m *member) stands(id string) (position, applied event.Position) {
	m.t.Helper()
	h, err := m.replica.Holding()
	must(m.t, err)
	for _, c := range h.Consumers {
		if c.ID == id {
			position = c.Position
		}
	}
	return position, m.applied()
}

// A move goes forward only, and costs an entry only where it passes an event.
func TestMoveConsumer(t *testing.T) {
	c := newCluster(t, 1, nil)
	ctx, m := t.Context(), c.leader()
	at := make([]event.Position, 5)
	for i := range at {
		c.do("set", "k", "v")
		at[i] = m.applied()
	}
	move := func(what string, to, want event.Position, entries uint64) {
		t.Helper()
		_, before := m.stands("kafka")
		must(t, m.replica.MoveConsumer(ctx, "kafka", to))
		got, after := m.stands("kafka")
		if got != want || after.Index-before.Index != entries {
			t.Errorf("%s: it stands at %s after %d entries, want %s after %d", what, got, after.Index-before.Index, want, entries)
		}
	}
	move("not there, and removed", event.Position{}, event.Position{}, 0)
	move("registered", at[2], at[2], 1)
	move("the same again", at[2], at[2], 0)
	move("late", at[1], at[2], 0)
	move("on", at[4], at[4], 1)
	move("past its own entry, which is no event", m.applied(), at[4], 0)
	c.do("set", "k", "w")
	move("past an event", m.applied(), m.applied(), 1)
	beyond := m.applied()
	beyond.Index++
	for _, set := range []func(context.Context, string, event.Position) error{m.replica.MoveConsumer, m.replica.SetConsumer} {
		if err := set(ctx, "kafka", beyond); !errors.Is(err, ErrAhead) {
			t.Errorf("beyond the log: %v, want ErrAhead", err)
		}
	}
	must(t, m.replica.SetConsumer(ctx, "kafka", at[0]))
	if got, _ := m.stands("kafka"); got != at[0] {
		t.Errorf("set back: it stands at %s, want %s", got, at[0])
	}
	move("removed", event.Position{}, event.Position{}, 1)
}

// Moves that overtake each other on their way leave the furthest, and none is answered before it is applied.
func TestMovesUnderWay(t *testing.T) {
	c := newCluster(t, 3, nil)
	m := c.leader()
	var at []event.Position
	for range 40 {
		c.do("set", "k", "v")
		at = append(at, m.applied())
	}
	results := make(chan error, len(at))
	for _, i := range seeded(t).Perm(len(at)) {
		go func() {
			err := m.replica.MoveConsumer(t.Context(), "kafka", at[i])
			if got, _ := m.stands("kafka"); err == nil && got.Index < at[i].Index {
				err = fmt.Errorf("moved to %s, it stands at %s", at[i], got)
			}
			results <- err
		}()
	}
	for range at {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if got, _ := m.stands("kafka"); got != at[len(at)-1] {
		t.Errorf("it stands at %s, want %s", got, at[len(at)-1])
	}
	must(t, m.replica.do(t.Context(), func() {
		if len(m.replica.moves) != 0 {
			t.Errorf("%d moves are still under way", len(m.replica.moves))
		}
	}))
}

// There are only so many consumers, and one that is there can move all the same.
func TestConsumersAreBounded(t *testing.T) {
	c := newCluster(t, 1, nil)
	ctx, m := t.Context(), c.leader()
	c.do("set", "k", "v")
	at := m.applied()
	errs := make(chan error, maxConsumers)
	for i := range maxConsumers {
		go func() { errs <- m.replica.MoveConsumer(ctx, fmt.Sprint("c", i), at) }()
	}
	for range maxConsumers {
		must(t, <-errs)
	}
	if err := m.replica.MoveConsumer(ctx, "one more", at); !errors.Is(err, ErrConsumers) {
		t.Errorf("one more: %v, want ErrConsumers", err)
	}
	c.do("set", "k", "v")
	must(t, m.replica.MoveConsumer(ctx, "c0", m.applied()))
	must(t, m.replica.MoveConsumer(ctx, "c1", event.Position{}))
	must(t, m.replica.MoveConsumer(ctx, "one more", at))
}
