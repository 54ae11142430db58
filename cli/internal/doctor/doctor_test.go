package doctor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed/feedtest"
	"github.com/zankv/zankv/cli/internal/feeds"
	"github.com/zankv/zankv/cli/internal/nodes"
)

var now = time.Unix(1795255200, 0)

func at(index uint64) event.Position { return event.Position{Term: 2, Index: index} }

// status is a changefeed of one partition that runs well at 2-50.
func status() *feeds.Status {
	s := &feeds.Status{Partitions: 1, State: changefeed.Normal}
	s.Spec = changefeed.Spec{ID: "orders", Namespace: "default", SinkURI: "kafka://b/t"}
	s.Owners = map[uint32]changefeed.Owner{0: {Process: "n1"}}
	s.Progress = map[uint32]changefeed.Progress{0: {Position: at(50), State: changefeed.Normal, Owner: "n1", Updated: now.UnixNano(), Time: now.UnixNano()}}
	return s
}

func logs(oldest, last uint64) Seen {
	l := nodes.Log{Oldest: at(oldest), Last: at(last), Applied: last}
	a, b := l, l
	a.Address, b.Address = "n1", "n2"
	return Seen{Leader: "n1", Logs: []nodes.Log{a, b}}
}

// paused is a changefeed that rests, with what the log keeps for it.
func paused(lag uint64, room int64, left time.Duration) func(*feeds.Status, *Seen) {
	return func(s *feeds.Status, l *Seen) {
		s.Spec.Paused, s.Owners = true, nil
		l.Logs[0].Leader = true
		l.Logs[0].Consumers = map[string]nodes.Consumer{"changefeed/orders": {LagBytes: lag, HeadroomBytes: room, Headroom: left}}
		l.Logs[1].Consumers = map[string]nodes.Consumer{"changefeed/orders": {LagBytes: 1 << 30}} // a follower's word doesn't count
	}
}

func TestExamine(t *testing.T) {
	syncer := func(s *feeds.Status, l *Seen) {
		s.Spec.SinkURI, s.Spec.Runner = "zankv://b:1", changefeed.RunBySyncer
		*l = logs(80, 90)
	}
	s, look := status(), logs(0, 60)
	if syncer(s, &look); !strings.Contains(Examine(s, map[uint32]Seen{0: look}, now)[0].Action, "a full sync, which carries the whole state; give the log more room") {
		t.Errorf("what a syncer does: %+v", Examine(s, map[uint32]Seen{0: look}, now))
	}
	for name, c := range map[string]struct {
		change func(*feeds.Status, *Seen)
		want   string // state, stage and code of each finding; a note is marked
		what   string // part of the first one's reason
	}{
		"all is well": {func(*feeds.Status, *Seen) {}, "", ""},
		"the worker's own trouble": {func(s *feeds.Status, _ *Seen) {
			p := s.Progress[0]
			p.State, p.Trouble = changefeed.Warning, &changefeed.Trouble{Stage: changefeed.StageBroker, Code: changefeed.CodeBrokerSlow, Reason: "slow", Action: "look", Since: 7}
			s.Progress[0] = p
		}, "warning broker broker-slow", "slow"},
		"nobody runs it": {func(s *feeds.Status, _ *Seen) {
			p := s.Progress[0]
			p.Updated = now.Add(-time.Hour).UnixNano()
			s.Progress[0], s.Owners = p, nil
		}, "warning owner no-owner", ""},
		"its owner hangs": {func(s *feeds.Status, _ *Seen) {
			p := s.Progress[0]
			p.Updated = now.Add(-time.Hour).UnixNano()
			s.Progress[0] = p
		}, "warning owner registry", "n1 runs it, but has saved nothing"},
		"no replica": {func(_ *feeds.Status, l *Seen) { l.Logs = nil }, "normal log-read source-unreachable", "none is known"},
		"no replica answers": {func(_ *feeds.Status, l *Seen) {
			for i := range l.Logs {
				l.Logs[i].Err = errors.New("down")
			}
		}, "normal log-read source-unreachable", "no replica of default-0 answers: n1, n2"},
		"one doesn't answer": {func(_ *feeds.Status, l *Seen) { l.Logs[1].Err = errors.New("down") }, "note log-read source-unreachable", "1 of 2 replicas of default-0 don't answer: n2"},
		"no leader":          {func(_ *feeds.Status, l *Seen) { l.Leader = "" }, "normal log-read source-unreachable", "no leader"},
		"compacted":          {func(_ *feeds.Status, l *Seen) { *l = logs(51, 90) }, "normal compaction log-compacted", "begins after 2-51 on every replica, the checkpoint is 2-50"},
		"one replica has it": {func(_ *feeds.Status, l *Seen) { *l = logs(51, 90); l.Logs[1].Oldest = at(50) }, "", ""},
		"one that might have it doesn't answer": {func(_ *feeds.Status, l *Seen) {
			*l = logs(51, 90)
			l.Logs[1].Err = errors.New("down")
		}, "note log-read source-unreachable", ""},
		"caught up":       {func(_ *feeds.Status, l *Seen) { *l = logs(0, 50) }, "", ""},
		"another history": {func(_ *feeds.Status, l *Seen) { *l = logs(0, 49) }, "normal log-read history-mismatch", "beyond what any replica has applied, index 49"},
		"not begun": {func(s *feeds.Status, l *Seen) {
			s.Progress = nil
			*l = logs(0, 0)
		}, " ", ""},
		"paused and compacted": {func(s *feeds.Status, l *Seen) {
			s.Spec.Paused, s.Owners = true, nil
			*l = logs(80, 90)
		}, "paused compaction log-compacted", ""},
		"paused, with little room left": {paused(100<<20, 20<<20, 24*time.Hour), "paused compaction place-at-risk", "loses its place in the log when 20 MiB more are written"},
		"paused, with little time left": {paused(1<<20, 255<<20, time.Hour), "paused compaction place-at-risk", "1 MiB behind in default-0, and loses its place in the log in 1 h"},
		"paused, with room and time":    {paused(100<<20, 156<<20, 24*time.Hour), "", ""},
		"paused, and its place is gone": {func(s *feeds.Status, l *Seen) {
			*l = logs(80, 90)
			paused(100<<20, -20<<20, 0)(s, l)
		}, "paused compaction log-compacted", ""},
		"paused, and nothing was written": {paused(0, -1, 0), "", ""},
		"finished, whatever the log": {func(s *feeds.Status, l *Seen) {
			p := s.Progress[0]
			p.State = changefeed.Finished
			s.Progress[0] = p
			*l = logs(80, 90)
		}, "", ""},
		"the worker said it already": {func(s *feeds.Status, l *Seen) {
			p := s.Progress[0]
			p.State, p.Trouble = changefeed.Failed, &changefeed.Trouble{Stage: changefeed.StageCompaction, Code: changefeed.CodeLogCompacted, Reason: "mine"}
			s.Progress[0] = p
			*l = logs(80, 90)
		}, "failed compaction log-compacted", "mine"},
	} {
		s, look := status(), logs(0, 60)
		c.change(s, &look)
		found := Examine(s, map[uint32]Seen{0: look}, now)
		var got []string
		for _, f := range found {
			state := string(f.State)
			if f.Note {
				state = "note"
			}
			got = append(got, fmt.Sprintf("%s %s %s", state, f.Stage, f.Code))
			if f.Reason == "" || f.Partition == nil || f.Changefeed != "orders" {
				t.Errorf("%s: %+v", name, f)
			}
		}
		if text := strings.Join(got, ", "); text != strings.TrimSpace(c.want) || len(found) > 0 && !strings.Contains(found[0].Reason, c.what) {
			t.Errorf("%s: got %q, want %q: %+v", name, text, c.want, found)
		}
		if Well(found) != !slices.ContainsFunc(got, func(g string) bool { return !strings.HasPrefix(g, "note") }) {
			t.Errorf("%s: well is %v", name, Well(found))
		}
	}
}

// Against nodes: one changefeed that is well, one whose namespace isn't there; one node that doesn't answer.
func TestRun(t *testing.T) {
	h := feedtest.NewHistoryOf(0)
	for range 60 {
		h.Set(2, "k", "v")
	}
	n := feedtest.NewNamespace(t, h)
	dead := feedtest.NewNamespace(t, feedtest.NewHistoryOf(0))
	dead.Stop()
	other := status()
	other.Spec.ID, other.Spec.Namespace = "other", "nowhere"
	clock := func() time.Time { return now }
	r := Run(t.Context(), []string{n.Address}, []feeds.Status{*status()}, clock)
	if !r.Well || len(r.Findings) != 0 || r.Changefeeds != 1 || r.Partitions != 1 || r.Findings == nil {
		t.Errorf("%+v", r)
	}
	r = Run(t.Context(), []string{dead.Address, n.Address}, []feeds.Status{*status()}, clock)
	if !r.Well || len(r.Findings) != 1 || !r.Findings[0].Note || !strings.Contains(r.Findings[0].Reason, dead.Address) {
		t.Errorf("%+v", r)
	}
	r = Run(t.Context(), []string{n.Address, dead.Address}, []feeds.Status{*status(), *other}, clock)
	if r.Well || len(r.Findings) != 2 || r.Findings[0].Changefeed != "other" || !r.Findings[1].Note {
		t.Errorf("%+v", r)
	}
}

func TestWrite(t *testing.T) {
	one := uint32(1)
	r := Report{Changefeeds: 2, Partitions: 5, Findings: []Finding{
		{Changefeed: "orders", Partition: &one, State: changefeed.Failed, Stage: changefeed.StageSink, Code: changefeed.CodeTopic, Reason: "no topic\x1b[0m", Action: "create it",
			Since: now.Add(-90 * time.Second).UnixNano()},
		Missing("n3:1", errors.New("refused")),
	}}
	var b strings.Builder
	if err := r.Write(&b, now); err != nil {
		t.Fatal(err)
	}
	want := `orders partition 1: sink, topic (failed for 1 min 30 s)
  what: no topic [0m
  do:   create it

cluster: log-read, source-unreachable (note)
  what: node n3:1 doesn't answer: refused
  do:   start it, or mend the network between here and it; or name another one by --nodes

2 changefeeds, 5 partitions: not all is well
`
	if b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
	b.Reset()
	well := Report{Well: true, Changefeeds: 1, Partitions: 1}
	if well.Write(&b, now); b.String() != "1 changefeed, 1 partition: nothing holds them back\n" {
		t.Error(b.String())
	}
}
