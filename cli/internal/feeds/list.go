package feeds

import (
	"fmt"
	"io"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cli/internal/table"
)

// List shows changefeeds, one a line.
func List(w io.Writer, all []Status, now time.Time) error {
	t := table.New("ID", "NAMESPACE", "STATE", "CAUSE", ">ENTRIES", ">LAG", "CHECKPOINT", "OWNED", "RUN BY", "SINK")
	for i := range all {
		s := &all[i]
		standings := Standings(s, now)
		total := Total(standings)
		cause := table.None
		if trouble := worst(standings); trouble != nil {
			cause = fmt.Sprintf("%s: %s", trouble.Stage, trouble.Code)
		}
		t.Row(s.Spec.ID, s.Spec.Namespace, string(State(s, standings)), cause, fmt.Sprint(total.LagEntries), table.Seconds(total.LagSeconds), table.Time(total.Time),
			fmt.Sprintf("%d of %d", total.Owned, count(s)), runner(&s.Spec), s.Spec.SinkURI)
	}
	_, err := t.WriteTo(w)
	return err
}

// position is a checkpoint's; the zero one says that nothing was written yet.
func position(p event.Position) string {
	if p.IsZero() {
		return table.None
	}
	return p.String()
}

// Checkpoints shows how far each partition is.
func Checkpoints(w io.Writer, s *Status, now time.Time) error {
	t := table.New(">PARTITION", "STATE", ">POSITION", "TIME", "SAVED", "SET", "CHAIN")
	for _, p := range Standings(s, now) {
		if !p.Begun {
			t.Row(fmt.Sprint(p.Partition), string(p.State), table.None, table.None, table.None, table.None, table.None)
			continue
		}
		set := "by the sink"
		switch {
		case p.Progress.Forced:
			set = "by hand"
		case p.Progress.Position.IsZero():
			set = table.None
		}
		chain := table.None
		if !p.Progress.Chain.IsZero() {
			chain = p.Progress.Chain.String()
		}
		t.Row(fmt.Sprint(p.Partition), string(p.State), position(p.Progress.Position), table.Time(p.Progress.Time), table.Time(p.Progress.Updated), set, chain)
	}
	_, err := t.WriteTo(w)
	return err
}
