package main

import (
	"fmt"

	"github.com/zankv/zankv/cli/internal/table"
	"github.com/zankv/zankv/replay/syncer"
)

// syncLine says on one line how a syncer is doing.
func syncLine(p syncer.Progress) string {
	if p.Partitions == 0 {
		return "no partition is carried here at the moment"
	}
	text := table.Count(p.Partitions, "partition") + ": "
	switch {
	case p.Syncing > 0:
		text += fmt.Sprintf("full sync of %d, %s so far, %s/s%s", p.Syncing, table.Bytes(int64(p.FullBytes)), table.Bytes(p.FullPerSecond), remaining(p.FullETASeconds, "done"))
	case p.LagSeconds >= 1:
		text += fmt.Sprintf("%s behind, %s, %s%s", table.Seconds(p.LagSeconds), table.Count(p.LagEntries, "entry"), table.Bytes(int64(p.LagBytes)), remaining(p.ETASeconds, "caught up"))
	default:
		text += "in step"
	}
	text += fmt.Sprintf("; %s events/s, %s/s", table.Rate(p.EventsPerSecond), table.Bytes(p.BytesPerSecond))
	if t := p.Trouble; t != nil {
		text += fmt.Sprintf("; %s: %s", t.Stage, t.Code)
	}
	return table.Plain(text)
}

// remaining is when something will be, if that is known.
func remaining(seconds float64, what string) string {
	if seconds < 0.1 {
		return ""
	}
	return ", " + what + " in " + table.Seconds(seconds)
}
