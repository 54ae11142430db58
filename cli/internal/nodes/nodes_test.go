package nodes

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed"
	"github.com/zankv/zankv/cdc/feed/feedtest"
)

func TestSplit(t *testing.T) {
	if got := Split(" a:1, ,b:2,"); !slices.Equal(got, []string{"a:1", "b:2"}) {
		t.Errorf("%q", got)
	}
}

// One node that answers is enough; a namespace that isn't there is told from nodes that don't answer.
func TestPartitions(t *testing.T) {
	n := feedtest.NewNamespace(t, feedtest.NewHistoryOf(0), feedtest.NewHistoryOf(1))
	dead := feedtest.NewNamespace(t, feedtest.NewHistoryOf(0))
	dead.Stop()
	all, err := Partitions(t.Context(), []string{dead.Address, n.Address}, "default")
	if err != nil || len(all) != 2 || all[1].Number != 1 || all[1].Leader != n.Address || !slices.Equal(all[1].Replicas, []string{n.Address}) {
		t.Errorf("%+v, %v", all, err)
	}
	_, err = Partitions(t.Context(), []string{dead.Address, n.Address}, "other")
	if problem, ok := errors.AsType[*feed.Error](err); !ok || problem.Kind != feed.Unknown {
		t.Errorf("another namespace: %v", err)
	}
	_, err = Partitions(t.Context(), []string{dead.Address}, "default")
	if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), dead.Address) {
		t.Errorf("a dead node: %v", err)
	}
	if Ping(t.Context(), n.Address) != nil || Ping(t.Context(), dead.Address) == nil {
		t.Errorf("ping: %v, %v", Ping(t.Context(), n.Address), Ping(t.Context(), dead.Address))
	}
}

func TestLogs(t *testing.T) {
	h := feedtest.NewHistory()
	h.Fill(2, 60)
	c := feedtest.NewCell(t, h, 3)
	c.Nodes[1].Replica.Truncate(40)
	c.Nodes[2].Stop()
	all, err := Partitions(t.Context(), c.Addresses(), "default")
	if err != nil {
		t.Fatal(err)
	}
	logs := Logs(t.Context(), "default", all[0])
	if len(logs) != 3 || !logs[0].Leader || logs[1].Leader || !logs[0].Oldest.IsZero() || logs[0].Applied != 60 {
		t.Fatalf("%+v", logs)
	}
	if oldest := logs[1].Oldest; oldest.IsZero() || oldest.Index > 40 || logs[1].Last != logs[0].Last || logs[1].Last.Compare(event.Position{Term: 2, Index: 60}) > 0 {
		t.Errorf("%+v", logs[1])
	}
	if logs[2].Err == nil || logs[2].Address != c.Nodes[2].Address {
		t.Errorf("%+v", logs[2])
	}
}
