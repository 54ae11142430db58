package switchover

import (
	"fmt"
	"io"
	"slices"

	"github.com/zankv/zankv/cli/internal/feeds"
	tables "github.com/zankv/zankv/cli/internal/table"
	"github.com/zankv/zankv/cli/internal/term"
)

// Printer shows a run: its steps on out, how far the present one is on progress. JSON has each Line as a line on out.
type Printer struct {
	Out, Progress io.Writer
	JSON          bool
	Steps         []Step
	now           string // the step that is under way
	open          bool   // whether a line of progress stands on the terminal
}

// Say shows a line.
func (p *Printer) Say(l Line) {
	if p.JSON {
		_ = feeds.JSONLine(p.Out, l) // a closed pipe doesn't end a switch half way
		return
	}
	if p.open {
		fmt.Fprint(p.Progress, term.Line)
		p.open = false
	}
	text := tables.Plain(l.Message)
	switch {
	case l.Step == "":
		fmt.Fprintf(p.Out, "%s: %s\n", l.State, text)
	case l.State == Running && p.now != l.Step:
		p.now = l.Step
		fmt.Fprintf(p.Out, "%s %s\n", p.head(l.Step), text)
	case l.State == Running && term.Is(p.Progress):
		fmt.Fprint(p.Progress, "    "+text)
		p.open = true
	case l.State == Running:
		fmt.Fprintf(p.Progress, "    %s\n", text)
	case l.State == Done:
		fmt.Fprintf(p.Out, "    ok (%s): %s\n", tables.Seconds(float64(l.TookMS)/1000), text)
	case l.State == Failed:
		fmt.Fprintln(p.Out, "    failed") // the error says the rest
	case l.State == Warning:
		fmt.Fprintf(p.Out, "    note: %s\n", text)
	default:
		fmt.Fprintf(p.Out, "%s %s: %s\n", p.head(l.Step), l.State, text)
	}
}

// head is a step's number and name.
func (p *Printer) head(step string) string {
	i := slices.IndexFunc(p.Steps, func(s Step) bool { return s.Name == step })
	return fmt.Sprintf("%d/%d %-12s", i+1, len(p.Steps), step)
}
