package serve

import (
	"testing"
	"time"

	"github.com/zankv/zankv/cluster/partition"
	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/replay/problem"
)

// What a sender did is told: who carries it, where it is, and why it doesn't get on.
func TestActivity(t *testing.T) {
	now := time.Unix(1000, 0)
	w := start(t, Options{Clock: func() time.Time { return now }})
	content := oneSlice(t, 3)
	h := header(content)
	h.GetRange().Time = now.Add(-40 * time.Millisecond).UnixNano()
	if _, err := w.apply(h, content); err != nil {
		t.Fatal(err)
	}
	all := w.server.Senders()
	if len(all) != 1 {
		t.Fatalf("%+v", all)
	}
	if a := all[0]; !a.OK || a.Calls != 1 || a.Applied != 3 || a.From == "" || a.Time != h.GetRange().Time || a.Sender.Partition != 3 || a.ETA != 0 || !a.Since.Equal(now) {
		t.Errorf("%+v", a)
	}
	if got := w.server.Metrics().All.Counts(); got[6] != 1 {
		t.Errorf("40 ms are counted in %v", got)
	}
	w.target.fail = &partition.ReplayError{Refusal: partition.RefusedClock, OffsetMS: 700, Sender: store.Sender{}, What: "ahead"}
	if _, err := w.apply(h, content); err == nil {
		t.Fatal("no error")
	}
	if a := w.server.Senders()[0]; a.OK || a.Refused != problem.Clock || a.Offset != 700*time.Millisecond || a.Calls != 2 || a.What == "" {
		t.Errorf("%+v", a)
	}
	now = now.Add(2 * Forgotten)
	if all := w.server.Senders(); len(all) != 0 {
		t.Errorf("not forgotten: %+v", all)
	}
}

// The ETA follows from how the lag shrinks.
func TestETA(t *testing.T) {
	var a Activity
	now := time.Unix(10_000, 0)
	step := func(passed, lag time.Duration) time.Duration {
		now = now.Add(passed)
		a.moved(now.Add(-lag).UnixNano(), now)
		return a.ETA
	}
	for i, s := range []struct{ passed, lag, want time.Duration }{
		{0, time.Hour, -1},
		{5 * time.Second, time.Hour - time.Minute, -1},                  // too soon to tell
		{5 * time.Second, time.Hour - 10*time.Minute, 50 * time.Second}, // 10 minutes in 10 s
		{10 * time.Second, time.Hour - 20*time.Minute, 40 * time.Second},
		{20 * time.Second, time.Hour - 20*time.Minute + time.Second, -1}, // it grows
		{time.Second, time.Second, 0},
	} {
		if got := step(s.passed, s.lag); got != s.want {
			t.Errorf("step %d: %s, want %s", i, got, s.want)
		}
	}
}
