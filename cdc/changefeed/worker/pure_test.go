package worker

import (
	"strings"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
)

func at(index uint64) event.Position { return event.Position{Term: 2, Index: index} }

func TestForPartition(t *testing.T) {
	for _, c := range []struct{ list, want string }{
		{"latest", "latest"}, {"2-1041", "2-1041"}, {"2026-11-21T10:00:00Z", "2026-11-21T10:00:00Z"},
		{"0=2-1041,1=2-99", "2-99"}, {"1=latest", "latest"}, {"0=2-1", "absent"}, {"", ""},
	} {
		if got, err := forPartition(c.list, 1, "absent"); err != nil || got != c.want {
			t.Errorf("%q: %q, %v, want %q", c.list, got, err, c.want)
		}
	}
	for _, bad := range []string{"x=2-1", "1=", "=2-1", "0=2-1,", "-1=2-1"} {
		if got, err := forPartition(bad, 1, "absent"); err == nil {
			t.Errorf("%q: %q", bad, got)
		}
	}
}

func TestUntil(t *testing.T) {
	spec := &changefeed.Spec{ID: "f", To: "2-10"}
	u, err := parseUntil(spec, 0)
	if err != nil || u.before(at(10), 0) || !u.before(at(11), 0) || u.passed(at(9)) || !u.passed(at(10)) || !u.marked(at(10), 0) {
		t.Errorf("a position: %+v, %v", u, err)
	}
	spec.To = "1970-01-01T00:00:10Z"
	second := int64(time.Second)
	u, err = parseUntil(spec, 0)
	if err != nil || u.before(at(1), 10*second-1) || !u.before(at(1), 10*second) || u.passed(at(99)) || u.marked(at(1), 10*second) || !u.marked(at(1), 11*second) {
		t.Errorf("a time: %+v, %v", u, err)
	}
	spec.To = ""
	if u, err = parseUntil(spec, 0); err != nil || !u.isZero() || u.before(at(1<<60), 1<<62) || u.marked(at(1<<60), 1<<62) {
		t.Errorf("never: %+v, %v", u, err)
	}
}

func TestStartOf(t *testing.T) {
	chain := event.Chain{7}
	saved := changefeed.Progress{Position: at(20), Chain: chain}
	forced := changefeed.Progress{Position: at(5), Forced: true}
	for _, c := range []struct {
		name   string
		p      changefeed.Progress
		r      changefeed.Resume
		want   changefeed.Place
		rewind bool
		snap   bool
		behind bool
	}{
		{name: "nothing", want: changefeed.Place{From: "latest"}},
		{name: "checkpoint", p: saved, want: changefeed.Place{After: at(20), Chain: chain, ChainKnown: true}},
		{name: "sink beyond", p: saved, r: changefeed.Resume{Known: true, After: at(25), Chain: event.Chain{8}, ChainKnown: true}, want: changefeed.Place{After: at(25), Chain: event.Chain{8}, ChainKnown: true}},
		{name: "sink there, chain from checkpoint", p: saved, r: changefeed.Resume{Known: true, After: at(20)}, want: changefeed.Place{After: at(20), Chain: chain, ChainKnown: true}},
		{name: "sink behind", p: saved, r: changefeed.Resume{Known: true, After: at(19)}, want: changefeed.Place{After: at(19)}, behind: true},
		{name: "forced", p: forced, r: changefeed.Resume{Known: true, After: at(19)}, want: changefeed.Place{After: at(5)}, rewind: true},
		{name: "forced to the beginning", p: changefeed.Progress{Forced: true}, r: changefeed.Resume{Known: true, After: at(19)}, want: changefeed.Place{From: "latest"}, rewind: true},
		{name: "forced, of a sink that decides", p: changefeed.Progress{Position: at(25), Forced: true}, r: changefeed.Resume{Known: true, Decides: true, After: at(19)}, want: changefeed.Place{After: at(19)}},
		{name: "a sink that decides, behind", p: saved, r: changefeed.Resume{Known: true, Decides: true, After: at(19)}, want: changefeed.Place{After: at(19)}, behind: true},
		{name: "in a snapshot", p: saved, r: changefeed.Resume{Known: true, After: at(20), InSnapshot: true}, want: changefeed.Place{After: at(20), Chain: chain, ChainKnown: true}, snap: true},
		{name: "in a first snapshot", r: changefeed.Resume{Known: true, InSnapshot: true}, want: changefeed.Place{From: "latest"}, snap: true},
	} {
		s, err := startOf(&changefeed.Spec{ID: "f", From: "0=earliest,1=latest"}, 1, &c.p, c.r)
		if err != nil || s.at != c.want || s.rewind != c.rewind || s.snapshot != c.snap || (s.behind != "") != c.behind {
			t.Errorf("%s: %+v, %v", c.name, s, err)
		}
		if c.behind && (!strings.Contains(s.behind, "2-19") || !strings.Contains(s.behind, "2-20")) {
			t.Errorf("%s: doesn't name both positions: %s", c.name, s.behind)
		}
	}
}

func TestTrack(t *testing.T) {
	var tr track
	tr.restart(at(10), 1000)
	if l := tr.lag(at(10)); l.pending || l.settled || l.since != 1000 {
		t.Errorf("at the start: %+v", l)
	}
	second := int64(time.Second)
	for i := range uint64(1000) {
		tr.gave(at(11+i), int64(i+1)*second)
	}
	for _, durable := range []uint64{10, 11, 200, 500, 999, 1009} {
		l := tr.lag(at(durable))
		oldest := int64(durable-10+1) * second // of the first that isn't durable
		if !l.pending || l.since > oldest || l.since < oldest-33*second {
			t.Errorf("durable %d: since %d, want %d or a little less", durable, l.since/second, oldest/second)
		}
	}
	if _, mine := tr.bounded(changefeed.Reached{Position: at(1011)}); mine {
		t.Error("what wasn't given counts as durable")
	}
	if _, mine := tr.bounded(changefeed.Reached{}); mine {
		t.Error("nothing counts as durable")
	}
	tr.passed(at(1015), 2000*second, false)
	if l := tr.lag(at(1010)); l.pending || !l.settled || l.position != at(1015) || l.since != 2000*second {
		t.Errorf("after a bookmark: %+v", l)
	}
	tr.passed(at(1016), 2001*second, true)
	if l := tr.lag(at(1010)); l.pending || l.settled {
		t.Errorf("with a heartbeat under way: %+v", l)
	}
}

func TestFigures(t *testing.T) {
	var w window
	var m changefeed.Meter
	start := time.Unix(1000, 0)
	for i := range 31 {
		m.Events.Store(uint64(100 * i))
		m.Bytes.Store(uint64(1000 * i))
		m.WaitSink.Store(int64(i) * int64(250*time.Millisecond))
		m.WaitQuota.Store(int64(i) * int64(2*time.Second)) // several writers may count one second
		m.SinkCalls.Store(int64(2 * i))
		m.SinkNanos.Store(int64(i) * int64(time.Second))
		w.take(start.Add(time.Duration(i)*time.Second), &m, 0)
	}
	var f changefeed.Figures
	call, _ := w.rates(&f)
	if f.EventsPerSecond != 100 || f.BytesPerSecond != 1000 || f.WaitSink != 0.25 || f.WaitQuota != 1 || f.WaitSource != 0 || call != 500*time.Millisecond {
		t.Errorf("%+v, %s", f, call)
	}
	var tr trend
	for i := range 20 {
		tr.take(start.Add(time.Duration(2*i)*time.Second), uint64(10000-100*i), float64(10*i))
	}
	entries, bytes := tr.growth()
	if entries != -50 || bytes != 5 || eta(1000, entries) != 20 || eta(1000, 0) != -1 || eta(1000, 3) != -1 || eta(0, 3) != 0 {
		t.Errorf("grows by %v entries, %v bytes", entries, bytes)
	}
}

func TestBackoff(t *testing.T) {
	for tries := 1; tries < 100; tries++ {
		want := min(backoffLeast<<min(tries-1, 20), backoffMost)
		for range 20 {
			if d := backoff(tries); d < want/2 || d > want {
				t.Fatalf("%s after %d tries, want %s to %s", d, tries, want/2, want)
			}
		}
	}
}

func TestStanding(t *testing.T) {
	now := time.Unix(10000, 0)
	ago := func(d time.Duration) int64 { return now.Add(-d).UnixNano() }
	trouble := &changefeed.Trouble{Code: changefeed.CodeTopic, Reason: "r", Action: "a"}
	owner := map[uint32]changefeed.Owner{0: {Process: "10.0.0.1:12380", Epoch: 3}}
	for _, c := range []struct {
		name   string
		spec   changefeed.Spec
		p      *changefeed.Progress
		owners map[uint32]changefeed.Owner
		state  changefeed.State
		code   changefeed.Code
	}{
		{name: "runs", p: &changefeed.Progress{State: changefeed.Normal, Updated: ago(time.Second)}, owners: owner, state: changefeed.Normal},
		{name: "paused", spec: changefeed.Spec{Paused: true}, p: &changefeed.Progress{State: changefeed.Normal, Updated: ago(time.Hour)}, state: changefeed.Paused},
		{name: "just defined", spec: changefeed.Spec{Created: ago(time.Second)}, state: changefeed.Normal},
		{name: "never run", spec: changefeed.Spec{Created: ago(time.Minute)}, state: changefeed.Warning, code: changefeed.CodeNoOwner},
		{name: "no syncer", spec: changefeed.Spec{Created: ago(time.Minute), Runner: changefeed.RunBySyncer}, state: changefeed.Warning, code: changefeed.CodeNoOwner},
		{name: "owner just went", p: &changefeed.Progress{State: changefeed.Normal, Updated: ago(time.Second)}, state: changefeed.Normal},
		{name: "owner went", p: &changefeed.Progress{State: changefeed.Normal, Updated: ago(time.Minute), Owner: "10.0.0.1:12380"}, state: changefeed.Warning, code: changefeed.CodeNoOwner},
		{name: "silent owner", p: &changefeed.Progress{State: changefeed.Normal, Updated: ago(2 * time.Minute)}, owners: owner, state: changefeed.Warning, code: changefeed.CodeRegistry},
		{name: "failed", spec: changefeed.Spec{Generation: 2}, p: &changefeed.Progress{State: changefeed.Failed, Trouble: trouble, Generation: 2, Updated: ago(time.Hour)}, state: changefeed.Failed, code: changefeed.CodeTopic},
		{name: "resumed after it failed", spec: changefeed.Spec{Generation: 3}, p: &changefeed.Progress{State: changefeed.Failed, Trouble: trouble, Generation: 2, Updated: ago(time.Second)}, owners: owner, state: changefeed.Normal},
		{name: "finished", p: &changefeed.Progress{State: changefeed.Finished, Updated: ago(time.Hour)}, state: changefeed.Finished},
		{name: "warned", p: &changefeed.Progress{State: changefeed.Warning, Trouble: trouble, Updated: ago(time.Second)}, owners: owner, state: changefeed.Warning, code: changefeed.CodeTopic},
	} {
		f := &changefeed.Feed{Spec: c.spec, Owners: c.owners, Progress: map[uint32]changefeed.Progress{}}
		if c.p != nil {
			f.Progress[0] = *c.p
		}
		state, got := Standing(f, 0, now)
		var code changefeed.Code
		if got != nil {
			code = got.Code
		}
		if state != c.state || code != c.code || got != nil && (got.Reason == "" || got.Action == "") {
			t.Errorf("%s: %s, %+v, want %s, %q", c.name, state, got, c.state, c.code)
		}
	}
}
