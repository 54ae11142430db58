package feeds

import (
	"fmt"
	"io"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cli/internal/table"
)

// Rates are what one partition did between two looks at it.
type Rates struct {
	Partition uint32         `json:"partition"`
	Position  event.Position `json:"position"`
	// Seconds is the time between what was saved last before each look; 0 if nothing was saved meanwhile, or by another owner. Then the rates
	// are those that the worker itself gave last, if that is of late.
	Seconds   float64 `json:"seconds"`
	Events    float64 `json:"events_per_second"`
	Mutations float64 `json:"mutations_per_second"`
	Filtered  float64 `json:"filtered_per_second"`
	Messages  float64 `json:"messages_per_second"`
	Bytes     float64 `json:"bytes_per_second"`
	// Retries and Snapshots came to pass meanwhile.
	Retries    uint64  `json:"retries"`
	Snapshots  uint64  `json:"snapshots"`
	LagEntries uint64  `json:"lag_entries"`
	LagBytes   uint64  `json:"lag_bytes"`
	LagSeconds float64 `json:"lag_seconds"`
	ETASeconds float64 `json:"eta_seconds"`
	Buffered   int64   `json:"buffered_bytes"`
}

// RatesOf compares two looks at one changefeed, the later of them now.
func RatesOf(before, after *Status, now time.Time) []Rates {
	var all []Rates
	for n := range count(after) {
		was, known := before.Progress[n]
		is, begun := after.Progress[n]
		if !begun {
			continue
		}
		f, g := &is.Figures, &was.Figures
		r := Rates{
			Partition: n, Position: is.Position, Events: f.EventsPerSecond, Bytes: f.BytesPerSecond, LagEntries: f.LagEntries, LagBytes: f.LagBytes,
			LagSeconds: f.LagSeconds, ETASeconds: f.ETASeconds, Buffered: f.Buffered,
		}
		if rests(&is, now) {
			r.Events, r.Bytes = 0, 0
		}
		if span := time.Duration(is.Updated - was.Updated).Seconds(); known && is.Epoch == was.Epoch && span > 0 {
			per := func(now, then uint64) float64 { return float64(now-min(then, now)) / span }
			r.Seconds, r.Events, r.Mutations, r.Filtered = span, per(f.Events, g.Events), per(f.Mutations, g.Mutations), per(f.Filtered, g.Filtered)
			r.Messages, r.Bytes = per(f.Messages, g.Messages), per(f.Bytes, g.Bytes)
			r.Retries, r.Snapshots = f.Retries-min(g.Retries, f.Retries), f.Snapshots-min(g.Snapshots, f.Snapshots)
		}
		all = append(all, r)
	}
	return all
}

// Statistics shows the rates of a changefeed, and their sum.
func Statistics(w io.Writer, s *Status, all []Rates, now time.Time) error {
	fmt.Fprintf(w, "%s  changefeed %s, %s\n", table.Time(now.UnixNano()), table.Plain(s.Spec.ID), State(s, Standings(s, now)))
	t := table.New(">PARTITION", ">POSITION", ">EVENTS/S", ">MUTATIONS/S", ">FILTERED/S", ">MESSAGES/S", ">BYTES/S", ">ENTRIES", ">LAG", ">ETA", ">BUFFERED", ">RETRIES")
	var sum Rates
	for i := range all {
		r := &all[i]
		t.Row(r.cells(fmt.Sprint(r.Partition), position(r.Position))...)
		sum.add(r)
	}
	if len(all) > 1 {
		t.Row(sum.cells("all", "")...)
	}
	_, err := t.WriteTo(w)
	return err
}

func (r *Rates) cells(name, position string) []string {
	return []string{
		name, position, table.Rate(r.Events), table.Rate(r.Mutations), table.Rate(r.Filtered), table.Rate(r.Messages), table.Bytes(r.Bytes),
		fmt.Sprint(r.LagEntries), table.Seconds(r.LagSeconds), table.Seconds(r.ETASeconds), table.Bytes(r.Buffered), fmt.Sprint(r.Retries),
	}
}

// add sums up; of the lag in seconds and of the ETA it keeps the worst.
func (r *Rates) add(o *Rates) {
	r.Events, r.Mutations, r.Filtered = r.Events+o.Events, r.Mutations+o.Mutations, r.Filtered+o.Filtered
	r.Messages, r.Bytes, r.Retries, r.Buffered = r.Messages+o.Messages, r.Bytes+o.Bytes, r.Retries+o.Retries, r.Buffered+o.Buffered
	r.LagEntries, r.LagBytes, r.LagSeconds = r.LagEntries+o.LagEntries, r.LagBytes+o.LagBytes, max(r.LagSeconds, o.LagSeconds)
	if r.ETASeconds >= 0 && o.ETASeconds >= 0 {
		r.ETASeconds = max(r.ETASeconds, o.ETASeconds)
	} else {
		r.ETASeconds = -1
	}
}
