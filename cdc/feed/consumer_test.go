package feed_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed"
	"github.com/zankv/zankv/cdc/feed/feedpb"
	"github.com/zankv/zankv/cdc/feed/feedtest"
)

func consumers(t *testing.T, nodes ...string) *feed.Consumers {
	c := feed.NewConsumers(nodes)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// Consumers are moved at the leader, whichever node was named, and told where they stand and what is left.
func TestConsumers(t *testing.T) {
	h := feedtest.NewHistory()
	h.Fill(2, 60)
	cell := feedtest.NewCell(t, h, 3)
	at := h.Stamps()
	c, ctx := consumers(t, cell.Nodes[2].Address), bounded(t)
	set := func(what string, got feed.Consumer, err error, want event.Position, lag uint64) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if got.ID != "kafka" || got.Position != want || got.LagEntries != lag || got.HeadroomBytes != feedtest.LimitBytes-int64(got.LagBytes) || got.Lost {
			t.Errorf("%s: %+v, want it at %s, %d behind", what, got, want, lag)
		}
	}
	last := at[len(at)-1].Position
	got, err := c.Set(ctx, "default", 3, "kafka", at[5].Position)
	set("registered", got, err, at[5].Position, last.Index-at[5].Position.Index)
	got, err = c.Set(ctx, "default", 3, "kafka", at[3].Position)
	set("late", got, err, at[5].Position, last.Index-at[5].Position.Index)
	got, err = c.SetBack(ctx, "default", 3, "kafka", at[3].Position)
	set("set back", got, err, at[3].Position, last.Index-at[3].Position.Index)
	got, err = feed.SetConsumer(ctx, cell.Addresses(), "default", 3, "kafka", last)
	set("by who does it once", got, err, last, 0)
	if _, err := c.Set(ctx, "default", 3, "other", at[0].Position); err != nil {
		t.Fatal(err)
	}
	cell.Nodes[0].Replica.Truncate(40)
	list, err := c.List(ctx, "default", 3)
	if err != nil || len(list) != 2 || list[0].ID != "kafka" || list[0].Lost || list[1].ID != "other" || !list[1].Lost {
		t.Errorf("list: %+v, %v; want kafka, and other, which is lost", list, err)
	}
	held, err := c.Retained(ctx, "default", 3)
	if err != nil || len(held.Consumers) != 2 || held.LimitBytes != feedtest.LimitBytes || held.LimitAge != feedtest.LimitAge || held.Last != last ||
		held.Oldest.Index == 0 || held.First != held.Oldest.Index+1 || held.Bytes == 0 || held.Applied != 60 || held.OldestTime.IsZero() {
		t.Errorf("retained %+v, %v", held, err)
	}
	for range 2 {
		if err := c.Remove(ctx, "default", 3, "other"); err != nil {
			t.Error(err)
		}
	}
	if list, err := c.List(ctx, "default", 3); err != nil || len(list) != 1 {
		t.Errorf("after the removal: %+v, %v", list, err)
	}
}

// A leader that changes, or isn't there for a while, is found again.
func TestConsumersFollowTheLeader(t *testing.T) {
	h := feedtest.NewHistory()
	h.Fill(2, 60)
	cell := feedtest.NewCell(t, h, 3)
	c, ctx := consumers(t, cell.Addresses()...), bounded(t)
	for i, s := range h.Stamps() {
		switch i % 10 {
		case 2, 4:
			cell.SetLeader(i / 2 % 3)
		case 6:
			cell.SetLeader(-1)
			elected := time.AfterFunc(100*time.Millisecond, func() { cell.SetLeader(1) })
			defer elected.Stop()
		case 8:
			leader := cell.Nodes[1]
			leader.Stop()
			cell.SetLeader(2)
			defer leader.Start(leader.Address)
		}
		if i == 9 {
			break
		}
		got, err := c.Set(ctx, "default", 3, "kafka", s.Position)
		if err != nil || got.Position != s.Position {
			t.Fatalf("%d: %+v, %v", i, got, err)
		}
	}
	cell.SetLeader(-1)
	short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	if _, err := c.List(short, "default", 3); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without a leader: %v", err)
	}
}

// What can't succeed is refused at once, and says why.
func TestConsumersRefuse(t *testing.T) {
	h := feedtest.NewHistory()
	h.Fill(2, 10)
	cell := feedtest.NewCell(t, h, 2)
	c, ctx := consumers(t, cell.Addresses()...), bounded(t)
	kind := func(want feed.Kind, err error) {
		t.Helper()
		var problem *feed.Error
		if !errors.As(err, &problem) || problem.Kind != want {
			t.Errorf("%v, want kind %d", err, want)
		}
	}
	at := event.Position{Term: 2, Index: 1}
	_, err := c.Set(ctx, "none", 3, "kafka", at)
	kind(feed.Unknown, err)
	_, err = c.Set(ctx, "default", 4, "kafka", at)
	kind(feed.Unknown, err)
	_, err = c.Set(ctx, "default", 3, "kafka", event.Position{Term: 2, Index: 11})
	kind(feed.Ahead, err)
	if _, err := c.Set(ctx, "default", 3, "kafka", event.Position{}); err == nil {
		t.Error("position 0-0 was taken")
	}
	for _, id := range []string{"", string(make([]byte, 256))} {
		if _, err := c.Set(ctx, "default", 3, id, at); status.Code(err) != codes.InvalidArgument {
			t.Errorf("an id of %d bytes: %v", len(id), err)
		}
	}
	conn, err := grpc.NewClient(cell.Nodes[1].Address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = feedpb.NewFeedClient(conn).Consumers(ctx, &feedpb.ConsumersRequest{Namespace: "default", Partition: 3})
	if s := status.Convert(err); len(s.Details()) != 1 || s.Details()[0].(*feedpb.Problem).Kind != feedpb.Problem_ELSEWHERE ||
		s.Details()[0].(*feedpb.Problem).Addresses[0] != cell.Nodes[0].Address {
		t.Errorf("a follower: %v, want ELSEWHERE with %s", err, cell.Nodes[0].Address)
	}
}

// One Consumers serves all goroutines of a process.
func TestConsumersAtOnce(t *testing.T) {
	h := feedtest.NewHistory()
	h.Fill(2, 40)
	cell := feedtest.NewCell(t, h, 2)
	c, ctx := consumers(t, cell.Nodes[1].Address), bounded(t)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for _, s := range h.Stamps() {
				if _, err := c.Set(ctx, "default", 3, fmt.Sprint(i), s.Position); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if list, err := c.List(ctx, "default", 3); err != nil || len(list) != 8 || list[7].LagEntries != 0 {
		t.Errorf("%+v, %v", list, err)
	}
}
