package peers_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cli/internal/failure"
	"github.com/zankv/zankv/cli/internal/peers"
	"github.com/zankv/zankv/cli/internal/peers/peerstest"
	"github.com/zankv/zankv/conflict"
	"github.com/zankv/zankv/replay/problem"
	"github.com/zankv/zankv/replay/replaypb"
)

func record(n int) conflict.Record {
	rec := conflict.Record{
		Register: conflict.RegisterKey, Action: conflict.Overwrite, Reason: conflict.Later, Rule: conflict.RuleTimestamp, Op: event.OpSet, Key: fmt.Appendf(nil, "t:%d", n),
		Here: conflict.Side{Exists: true, Type: event.TypeString}, There: conflict.Side{Exists: true, Type: event.TypeString, Version: conflict.Version{Time: int64(n + 1), Cluster: "dc-a"}},
		Source: conflict.Place{Cluster: "dc-a"}, DecidedAt: int64(n + 1),
	}
	copy(rec.ID[:], fmt.Sprintf("%016d", n))
	return rec
}

func dial(t *testing.T, nodes ...string) *peers.Cluster {
	c := peers.Dial(nodes)
	t.Cleanup(func() { c.Close() })
	return c
}

// Rows come once and in order, also when the leader changes between two pages.
func TestConflictsOverLeaders(t *testing.T) {
	const rows = 600
	world := peerstest.New(t, 2, 1)
	for i := range rows {
		world.Add(0, record(i))
	}
	world.OnPage(func(n int) { world.Lead(n % 2) })
	c := dial(t, world.Addresses[0])
	for _, limit := range []int{0, 1, 256, 300} {
		got := 0
		err := c.Conflicts(t.Context(), peerstest.Namespace, 0, &replaypb.Filter{}, limit, func(r *peers.Row) error {
			if want := fmt.Sprintf("t:%d", got); string(r.Key()) != want {
				return fmt.Errorf("got %s, want %s", r.Key(), want)
			}
			got++
			return nil
		})
		if want := map[bool]int{true: rows, false: limit}[limit == 0]; err != nil || got != want {
			t.Errorf("limit %d: %d rows, %v", limit, got, err)
		}
	}
}

func TestPurgeOverLeaders(t *testing.T) {
	world := peerstest.New(t, 2, 1)
	var ids [][]byte
	for i := range 300 {
		rec := record(i)
		world.Add(0, rec)
		if i != 7 {
			ids = append(ids, rec.RowID())
		}
	}
	world.Lead(1)
	removed, err := dial(t, world.Addresses[0]).Purge(t.Context(), peerstest.Namespace, 0, append(ids, []byte("absent")))
	if err != nil || removed != 299 || world.Rows() != 1 {
		t.Errorf("%d removed, %d left, %v", removed, world.Rows(), err)
	}
}

func code(err error) failure.Code { return failure.Of(err).Code }

func TestTopology(t *testing.T) {
	world := peerstest.New(t, 1, 2)
	c := dial(t, "127.0.0.1:1", world.Addresses[0])
	if top, err := c.Topology(t.Context(), peerstest.Namespace); err != nil || top.Cluster != peerstest.ID || len(top.Partitions) != 2 {
		t.Errorf("the second node answers: %v, %v", top, err)
	}
	if _, err := c.Topology(t.Context(), "other"); code(err) != failure.NotFound {
		t.Errorf("another namespace: %v", err)
	}
	if _, err := dial(t, "127.0.0.1:1").Topology(t.Context(), ""); code(err) != failure.Unavailable || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("nobody: %v", err)
	}
	err := c.AtLeader(t.Context(), peerstest.Namespace, 2, func(*grpc.ClientConn) error { return nil })
	if code(err) != failure.NotFound {
		t.Errorf("no such partition: %v", err)
	}
}

// Nobody leads for a while: it is waited for, as long as the context lasts.
func TestNoLeader(t *testing.T) {
	world := peerstest.New(t, 1, 1)
	world.Lead(-1)
	c := dial(t, world.Addresses...)
	ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond)
	defer cancel()
	if err := c.Conflicts(ctx, peerstest.Namespace, 0, nil, 0, func(*peers.Row) error { return nil }); err == nil {
		t.Fatal("nobody leads")
	}
	defer time.AfterFunc(150*time.Millisecond, func() { world.Lead(0) }).Stop()
	if err := c.Conflicts(t.Context(), peerstest.Namespace, 0, nil, 0, func(*peers.Row) error { return nil }); err != nil {
		t.Errorf("somebody leads: %v", err)
	}
}

func TestWrong(t *testing.T) {
	for _, c := range []struct {
		err  error
		want failure.Code
	}{
		{problem.New(problem.Unknown, "x"), failure.NotFound}, {problem.New(problem.Invalid, "x"), failure.Invalid}, {problem.New(problem.Elsewhere, "x"), failure.Unavailable},
		{problem.New(problem.Refused, "x"), failure.Error}, {status.Error(codes.Unavailable, "x"), failure.Unavailable}, {status.Error(codes.Unimplemented, "x"), failure.NotSupported},
		{failure.New(failure.Refused, "", "x"), failure.Refused}, {errors.New("x"), failure.Error},
	} {
		if got := peers.Wrong("what", c.err); code(got) != c.want || !strings.Contains(got.Error(), "what: ") {
			t.Errorf("%v: %s, %v", c.err, code(got), got)
		}
	}
	if peers.Wrong("what", nil) != nil {
		t.Error("nil is nil")
	}
}
