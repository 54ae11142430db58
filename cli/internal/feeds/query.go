package feeds

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cli/internal/table"
)

// Query shows one changefeed in full: its definition, how it stands, and each of its partitions.
func Query(w io.Writer, s *Status, now time.Time) error {
	all := Standings(s, now)
	var b strings.Builder
	definition(&b, s, State(s, all))
	summary(&b, Total(all), now)
	b.WriteByte('\n')
	partitions(&b, all)
	for _, p := range all {
		if p.Trouble != nil {
			b.WriteByte('\n')
			trouble(&b, p, now)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// line is one of those at the top: a name, and what it says.
func line(b *strings.Builder, name, format string, args ...any) {
	fmt.Fprintf(b, "%-11s %s\n", name, table.Plain(fmt.Sprintf(format, args...)))
}

// meanings say what a state is.
var meanings = map[changefeed.State]string{
	changefeed.Normal:   "it runs",
	changefeed.Warning:  "something holds it back, and it tries again",
	changefeed.Paused:   "it rests until it is resumed",
	changefeed.Failed:   "it stopped, and trying again won't help before somebody acts",
	changefeed.Finished: "it reached its end",
}

func definition(b *strings.Builder, s *Status, state changefeed.State) {
	line(b, "changefeed", "%s", s.Spec.ID)
	line(b, "state", "%s: %s", state, meanings[state])
	line(b, "namespace", "%s, %s", s.Spec.Namespace, table.Count(s.Partitions, "partition"))
	Definition(b, &s.Spec)
	changed := ""
	if s.Spec.Generation > 1 {
		changed = ", changed " + table.Count(s.Spec.Generation-1, "time") + " since"
	}
	line(b, "created", "%s%s", table.Time(s.Spec.Created), changed)
}

// Definition shows what a changefeed does: where from, where to, what, how.
func Definition(w io.Writer, s *changefeed.Spec) {
	b := &strings.Builder{}
	line(b, "sink", "%s", s.SinkURI)
	to := "without an end"
	if s.To != "" {
		to = "to " + s.To
	}
	line(b, "range", "from %s, %s", s.From, to)
	line(b, "filter", "%s", filter(&s.Filter, s.Digests))
	line(b, "format", "%s, a heartbeat every %s", s.Format, time.Duration(s.Heartbeat))
	if s.Runner != changefeed.RunByNodes {
		line(b, "run by", "%s", runner(s))
	}
	if s.BandwidthBytes > 0 {
		line(b, "bandwidth", "at most %s a second for each partition", table.Bytes(s.BandwidthBytes))
	}
	if s.Archive != "" {
		line(b, "archive", "%s", s.Archive)
	}
	io.WriteString(w, b.String())
}

// runner says which processes run it.
func runner(s *changefeed.Spec) string {
	switch s.Runner {
	case changefeed.RunByNodes:
		return "nodes"
	case changefeed.RunBySyncer:
		return "zankv-cdc sync"
	}
	return s.Runner
}

// filter says in words what is carried.
func filter(f *changefeed.Filter, digests bool) string {
	if f.IsZero() {
		return "none: every change"
	}
	var parts []string
	for _, p := range []struct {
		name   string
		values []string
	}{{"tables", f.Tables}, {"keys", f.Keys}, {"ops", f.Ops}, {"origins", f.Origins}} {
		if len(p.values) > 0 {
			parts = append(parts, p.name+" "+strings.Join(p.values, ","))
		}
	}
	left := "leaving digests, so that it can be verified"
	if !digests {
		left = "leaving no digests: it can't be verified"
	}
	return strings.Join(parts, "; ") + "; " + left
}

func summary(b *strings.Builder, t Totals, now time.Time) {
	if t.Time == 0 {
		line(b, "checkpoint", "none yet in some partition")
	} else {
		line(b, "checkpoint", "%s: everything before is in the sink", table.Time(t.Time))
	}
	line(b, "lag", "%s, %s, %s%s", table.Count(t.LagEntries, "entry"), table.Bytes(t.LagBytes), table.Seconds(t.LagSeconds), eta(t))
	line(b, "rate", "%s events/s, %s/s; %s; %s buffered", table.Rate(t.EventsPerSecond), table.Bytes(t.BytesPerSecond), table.Count(t.Retries, "retry"), table.Bytes(t.Buffered))
}

// eta says when a lag worth speaking of will be gone. That of the moment comes and goes with each batch.
func eta(t Totals) string {
	switch {
	case t.LagSeconds < 1:
		return ""
	case t.ETASeconds < 0:
		return "; it isn't catching up"
	case t.ETASeconds < 0.1:
		return ""
	}
	return "; caught up in " + table.Seconds(t.ETASeconds)
}

func partitions(w io.Writer, all []Standing) {
	t := table.New(">PARTITION", "STATE", ">POSITION", ">ENTRIES", ">BYTES", ">LAG", ">ETA", ">EVENTS/S", ">BYTES/S", ">RETRIES", ">BUFFERED", "OWNER")
	for i := range all {
		s := &all[i]
		f := &s.Progress.Figures
		owner := s.Owner
		if owner == "" {
			owner = table.None
		}
		if !s.Begun {
			t.Row(fmt.Sprint(s.Partition), string(s.State), table.None, table.None, table.None, table.None, table.None, table.None, table.None, table.None, table.None, owner)
			continue
		}
		t.Row(fmt.Sprint(s.Partition), string(s.State), position(s.Progress.Position), fmt.Sprint(f.LagEntries), table.Bytes(f.LagBytes), table.Seconds(f.LagSeconds),
			table.Seconds(f.ETASeconds), table.Rate(f.EventsPerSecond), table.Bytes(f.BytesPerSecond), fmt.Sprint(f.Retries), table.Bytes(f.Buffered), owner)
	}
	t.WriteTo(w)
}

// trouble says what holds a partition back, where to look, and what to do.
func trouble(b *strings.Builder, s Standing, now time.Time) {
	t := s.Trouble
	since := ""
	if t.Since != 0 {
		since = " for " + table.Seconds(now.Sub(time.Unix(0, t.Since)).Seconds())
	}
	fmt.Fprintf(b, "partition %d: %s, %s (%s%s)\n", s.Partition, t.Stage, t.Code, s.State, since)
	fmt.Fprintf(b, "  what: %s\n", table.Plain(t.Reason))
	if t.Action != "" {
		fmt.Fprintf(b, "  do:   %s\n", table.Plain(t.Action))
	}
}
