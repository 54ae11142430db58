// Package feeds shows changefeeds to people and to scripts: what `zankv-cdc changefeed` and `checkpoint show` print.
package feeds

import (
	"cmp"
	"slices"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/changefeed/admin"
	"github.com/zankv/zankv/cdc/changefeed/worker"
)

// Status is a changefeed as a node shows it.
type Status = admin.Status

// Standing is how one partition of a changefeed stands.
type Standing struct {
	Partition uint32
	State     changefeed.State
	Trouble   *changefeed.Trouble
	// Owner names the process that runs it now; "" is none.
	Owner string
	// Begun says that there is a checkpoint: what Progress holds counts. Rates are those of an owner, without one they are 0.
	Begun    bool
	Progress changefeed.Progress
}

// Standings are those of all partitions, in order.
func Standings(s *Status, now time.Time) []Standing {
	all := make([]Standing, 0, s.Partitions)
	for n := range count(s) {
		st := Standing{Partition: n, Owner: s.Owners[n].Process}
		st.Progress, st.Begun = s.Progress[n]
		st.State, st.Trouble = worker.Standing(&s.Feed, n, now)
		if f := &st.Progress.Figures; st.Owner == "" {
			f.EventsPerSecond, f.BytesPerSecond, f.Buffered = 0, 0, 0
		} else if rests(&st.Progress, now) {
			f.EventsPerSecond, f.BytesPerSecond = 0, 0
		}
		all = append(all, st)
	}
	return all
}

// restsAfter is twice the interval at which a worker saves the progress of a partition whose events it carries.
const restsAfter = 10 * time.Second

// rests says whether nothing was saved for so long that no events can have been carried lately: rates that were saved are of before then.
func rests(p *changefeed.Progress, now time.Time) bool {
	return now.Sub(time.Unix(0, p.Updated)) > restsAfter
}

// State is the worst of the partitions': with a reason there, that is.
func State(s *Status, all []Standing) changefeed.State {
	has := func(state changefeed.State) bool {
		return slices.ContainsFunc(all, func(st Standing) bool { return st.State == state })
	}
	switch {
	case s.Partitions == 0:
		return s.State // the namespace is gone
	case has(changefeed.Failed):
		return changefeed.Failed
	case !slices.ContainsFunc(all, func(st Standing) bool { return st.State != changefeed.Finished }):
		return changefeed.Finished
	case s.Spec.Paused:
		return changefeed.Paused
	case has(changefeed.Warning):
		return changefeed.Warning
	}
	return changefeed.Normal
}

// count is how many partitions there are to show: those of the namespace, and, should it be unknown, those that were ever begun or owned.
func count(s *Status) uint32 {
	n := s.Partitions
	for p := range s.Progress {
		n = max(n, p+1)
	}
	for p := range s.Owners {
		n = max(n, p+1)
	}
	return n
}

// Totals are of all partitions of a changefeed.
type Totals struct {
	// Time is up to where everything is in the sink, ns since 1970; 0 as long as some partition has no checkpoint.
	Time int64 `json:"time"`
	// Lags are sums, but LagSeconds and ETASeconds are the worst; an ETA of -1 says that some lag doesn't shrink.
	LagEntries uint64  `json:"lag_entries"`
	LagBytes   uint64  `json:"lag_bytes"`
	LagSeconds float64 `json:"lag_seconds"`
	ETASeconds float64 `json:"eta_seconds"`

	EventsPerSecond float64 `json:"events_per_second"`
	BytesPerSecond  float64 `json:"bytes_per_second"`
	Retries         uint64  `json:"retries"`
	Buffered        int64   `json:"buffered_bytes"`
	// Owned is how many partitions have an owner.
	Owned int `json:"owned"`
}

// Total sums standings up.
func Total(all []Standing) Totals {
	var t Totals
	first, complete, stuck := int64(0), true, false
	for i := range all {
		p := &all[i].Progress
		f := &p.Figures
		complete = complete && p.Time != 0
		if first == 0 || p.Time < first {
			first = p.Time
		}
		t.LagEntries += f.LagEntries
		t.LagBytes += f.LagBytes
		t.LagSeconds = max(t.LagSeconds, f.LagSeconds)
		t.ETASeconds = max(t.ETASeconds, f.ETASeconds)
		stuck = stuck || f.ETASeconds < 0
		t.EventsPerSecond += f.EventsPerSecond
		t.BytesPerSecond += f.BytesPerSecond
		t.Retries += f.Retries
		t.Buffered += f.Buffered
		if all[i].Owner != "" {
			t.Owned++
		}
	}
	if complete {
		t.Time = first
	}
	if stuck {
		t.ETASeconds = -1
	}
	return t
}

// worst is the trouble that weighs most: a failure before a warning, the oldest first. nil if there is none.
func worst(all []Standing) *changefeed.Trouble {
	var troubled []Standing
	for _, s := range all {
		if s.Trouble != nil {
			troubled = append(troubled, s)
		}
	}
	if len(troubled) == 0 {
		return nil
	}
	rank := func(s Standing) int {
		if s.State == changefeed.Failed {
			return 0
		}
		return 1
	}
	return slices.MinFunc(troubled, func(a, b Standing) int {
		return cmp.Or(rank(a)-rank(b), cmp.Compare(a.Trouble.Since, b.Trouble.Since))
	}).Trouble
}
