package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cli/robustness"
)

// refused runs a command that has to fail with an exit code and, in JSON on standard error, a code of its own.
func (f *feedOf) refused(t *testing.T, exit int, code string, args ...string) {
	t.Helper()
	done, err := f.Run(bounded(t), append(args, "--nodes", strings.Join(f.Nodes, ","), "--json")...)
	must(t, "run", err)
	var failure struct {
		Error struct{ Code, Message string }
	}
	if err := json.Unmarshal([]byte(done.Stderr), &failure); err != nil || done.Code != exit || failure.Error.Code != code || failure.Error.Message == "" || done.Stdout != "" {
		t.Errorf("%v: exit code %d, want %d and %s: %v\n%s%s", args, done.Code, exit, code, err, done.Stdout, done.Stderr)
	}
}

// ask runs a command that has to succeed, and reads what it prints.
func (f *feedOf) ask(t *testing.T, into any, args ...string) {
	t.Helper()
	must(t, strings.Join(args, " "), f.Ask(bounded(t), into, args...))
}

func (f *feedOf) events() (n int) {
	for _, s := range f.topic.Partitions {
		events, _, _ := s.Counts()
		n += events
	}
	return n
}

// A changefeed's life as its operator leads it: each command does what it says, in JSON that scripts read, and refuses what makes no sense.
func TestChangefeedLife(t *testing.T) {
	t.Parallel()
	c, k := sharedCluster(t), sharedBroker(t)
	namespace(t, c, nsFeedLife, "--partitions", "2", "--replicas", "3")
	f := newFeed(t, c, k, nsFeedLife, "life", "", "--heartbeat", "500ms")
	f.refused(t, 6, "exists", "changefeed", "create", "-c", f.id, "--namespace", f.namespace, "--sink-uri", f.sink)
	f.refused(t, 4, "not-found", "changefeed", "query", "-c", "nobody")
	f.refused(t, 2, "invalid", "changefeed", "create", "-c", "bad", "--namespace", f.namespace, "--sink-uri", f.sink+"?acks=0")
	f.listed(t, 1)
	clients(t, c, nsFeedLife, 300)
	f.caughtUp(t)
	f.rests(t)
	f.changes(t)
	f.statistics(t)
	f.beginsAnew(t)
	f.goesBack(t)
}

func (f *feedOf) listed(t *testing.T, want int) {
	t.Helper()
	var list struct{ Changefeeds []robustness.Feed }
	f.ask(t, &list, "changefeed", "list", "--namespace", f.namespace)
	if len(list.Changefeeds) != want || want > 0 && list.Changefeeds[0].ID != f.id {
		t.Errorf("list names %+v, want %d", list.Changefeeds, want)
	}
}

// rests: nothing comes while it is paused, everything does when it isn't any more.
func (f *feedOf) rests(t *testing.T) {
	t.Helper()
	var q robustness.Feed
	f.ask(t, &q, "changefeed", "pause", "-c", f.id)
	if q.State != changefeed.Paused || q.Totals.Owned != 0 {
		t.Errorf("paused: %+v", q)
	}
	before := f.events()
	clients(t, f.cluster, f.namespace, 200)
	if after := f.events(); after != before {
		t.Errorf("%d events came while it was paused", after-before)
	}
	f.ask(t, &q, "changefeed", "resume", "-c", f.id)
	f.caughtUp(t)
	if f.events() == before {
		t.Error("nothing came when it went on")
	}
}

// changes: what the sink's content depends on is changed while it rests, the rest at any time.
func (f *feedOf) changes(t *testing.T) {
	t.Helper()
	var q robustness.Feed
	f.ask(t, &q, "changefeed", "update", "-c", f.id, "--bandwidth", "64MiB", "--heartbeat", "300ms", "--no-confirm")
	if q.Spec.BandwidthBytes != 64<<20 || time.Duration(q.Spec.Heartbeat) != 300*time.Millisecond {
		t.Errorf("updated: %+v", q.Spec)
	}
	f.refused(t, 6, "conflict", "changefeed", "update", "-c", f.id, "--sink-uri", f.sink+"-other", "--no-confirm")
	f.refused(t, 6, "conflict", "checkpoint", "set", "-c", f.id, "--partition", "all", "--position", "latest")
	clients(t, f.cluster, f.namespace, 100)
	f.caughtUp(t)
}

func (f *feedOf) statistics(t *testing.T) {
	t.Helper()
	var rates struct {
		ID         string
		Partitions []map[string]any
	}
	f.ask(t, &rates, "changefeed", "statistics", "-c", f.id, "--interval", "1s")
	if rates.ID != f.id || len(rates.Partitions) != 2 || rates.Partitions[1]["lag_entries"] == nil {
		t.Errorf("statistics: %+v", rates)
	}
	var report struct {
		Well     bool
		Findings []any
	}
	f.ask(t, &report, "doctor", "-c", f.id)
	if !report.Well {
		t.Errorf("doctor: %+v", report)
	}
}

// beginsAnew: one that is removed and created again goes on where its sink ends.
func (f *feedOf) beginsAnew(t *testing.T) {
	t.Helper()
	f.refused(t, 2, "unconfirmed", "changefeed", "remove", "-c", f.id)
	f.ask(t, nil, "changefeed", "remove", "-c", f.id, "--no-confirm")
	f.listed(t, 0)
	f.refused(t, 4, "not-found", "changefeed", "query", "-c", f.id)
	clients(t, f.cluster, f.namespace, 100)
	_, err := f.Create(bounded(t), f.id, f.namespace, f.sink)
	must(t, "create", err)
	clients(t, f.cluster, f.namespace, 100)
	f.equal(t)
}

// goesBack: a checkpoint that is set back repeats what comes after it. Strictly that is a violation; a reader that allows replays finds it whole.
func (f *feedOf) goesBack(t *testing.T) {
	t.Helper()
	var shown, set robustness.Feed
	f.ask(t, &shown, "changefeed", "pause", "-c", f.id)
	f.ask(t, &shown, "checkpoint", "show", "-c", f.id)
	f.ask(t, &set, "checkpoint", "set", "-c", f.id, "--partition", "1", "--position", "earliest")
	if set.Partitions[0].Position != shown.Partitions[0].Position || set.Partitions[1].Position == shown.Partitions[1].Position {
		t.Errorf("set back partition 1 of %+v: %+v", shown.Partitions, set.Partitions)
	}
	f.ask(t, nil, "changefeed", "resume", "-c", f.id)
	must(t, "the replay", robustness.Until(bounded(t), func(ctx context.Context) error {
		done, err := f.Run(ctx, "verify", "--json", f.source)
		if err == nil && done.Code != 1 {
			err = fmt.Errorf("a replay passes strictly: %s", done.Stdout)
		}
		return err
	}))
	f.until(t, "it comes on", func(q *robustness.Feed) bool {
		return q.Partitions[1].Position.Compare(shown.Partitions[1].Position) >= 0 && q.State == changefeed.Normal
	})
	report, err := f.Verify(bounded(t), f.source, "--allow-replays")
	must(t, "verify --allow-replays", err)
	t.Log(report)
}
