package verify

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/zankv/zankv/cdc/event"
)

// Verdict is what comes of a check.
type Verdict string

const (
	// OK: everything that came is right, and what was expected came.
	OK Verdict = "ok"
	// Incomplete: what came is right, but it ends in the middle of something, or before what was expected.
	Incomplete Verdict = "incomplete"
	// Violated: a promise was broken.
	Violated Verdict = "violated"
)

// Report is what a check found. The JSON names are what `zankv-cdc verify --json` prints.
type Report struct {
	Source     string      `json:"source"`
	Verdict    Verdict     `json:"verdict"`
	Partitions []Partition `json:"partitions"`
	// Stray are lines that can't be read and tell no partition: the first hundred of them, StrayLines is how many there are.
	Stray      []Problem `json:"stray,omitempty"`
	StrayLines int64     `json:"stray_lines,omitempty"`
	// Notes are for people: of what was left out, and why that is right.
	Notes   []string `json:"notes,omitempty"`
	Bytes   int64    `json:"bytes"`
	Lines   int64    `json:"lines"`
	Seconds float64  `json:"seconds"`
}

// Partition is what was found in one partition's stream.
type Partition struct {
	Cluster   string   `json:"cluster"`
	Namespace string   `json:"namespace"`
	Partition uint32   `json:"partition"`
	Verdict   Verdict  `json:"verdict"`
	Problem   *Problem `json:"problem,omitempty"`

	// First is the first event, After the one before it: "0-0" at the log's beginning. Proved says that the chain after it was known, so
	// that the first event is proved, too; the others always are.
	First  event.Position `json:"first"`
	After  event.Position `json:"after"`
	Proved bool           `json:"first_proved"`
	// Last is the last event, Chain the one there. Reached is up to where everything came: Last, or what a heartbeat said.
	Last    event.Position `json:"last"`
	Chain   event.Chain    `json:"chain"`
	Reached event.Position `json:"reached"`

	Lines      int64 `json:"lines"`
	Events     int64 `json:"events"`
	Mutations  int64 `json:"mutations"`
	Filtered   int64 `json:"filtered"`
	Heartbeats int64 `json:"heartbeats"`
	// Snapshots are declared losses: what lies between two positions is missing, the state came in its place, in Rows.
	Snapshots int64 `json:"snapshots"`
	Rows      int64 `json:"rows"`
	// Replays are events that came again.
	Replays int64 `json:"replays"`
	// Unchecked are lines after the first problem.
	Unchecked int64 `json:"unchecked,omitempty"`
}

// Problem is where a stream isn't what it should be.
type Problem struct {
	// Promise is the one that was broken; "" where the stream is merely incomplete.
	Promise  event.Promise  `json:"promise,omitempty"`
	Position event.Position `json:"position"`
	What     string         `json:"what"`
	// Where names file and line, or partition and offset of a topic.
	Where  string `json:"where,omitempty"`
	Line   int64  `json:"line,omitempty"`
	Offset int64  `json:"offset,omitempty"`
}

func (p *Problem) String() string {
	var b strings.Builder
	if p.Promise != "" {
		fmt.Fprintf(&b, "not %s: ", p.Promise)
	}
	fmt.Fprintf(&b, "at %s: %s", p.Position, p.What)
	if p.Where != "" {
		fmt.Fprintf(&b, " (%s)", p.Where)
	}
	return b.String()
}

// OK says whether nothing is wrong and nothing lacks.
func (r *Report) OK() bool { return r.Verdict == OK }

// conclude sorts the partitions and gives the verdict over all.
func (r *Report) conclude() {
	slices.SortFunc(r.Partitions, func(a, b Partition) int {
		return cmp.Or(strings.Compare(a.Cluster, b.Cluster), strings.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Partition, b.Partition))
	})
	r.Verdict = OK
	if r.StrayLines > 0 {
		r.Verdict = Violated
	}
	for i := range r.Partitions {
		r.Verdict = worse(r.Verdict, r.Partitions[i].Verdict)
	}
}

func worse(a, b Verdict) Verdict {
	if a == Violated || b == OK {
		return a
	}
	return b
}

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	for i := range r.Partitions {
		r.Partitions[i].text(&b)
	}
	for i := range r.Stray {
		fmt.Fprintf(&b, "a line of no partition: %s\n", &r.Stray[i])
	}
	if more := r.StrayLines - int64(len(r.Stray)); more > 0 {
		fmt.Fprintf(&b, "and %d more such lines\n", more)
	}
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "note: %s\n", note)
	}
	fmt.Fprintf(&b, "%s: %s. %d partitions, %d lines, %d bytes in %.1f s", strings.ToUpper(string(r.Verdict)), r.Source, len(r.Partitions), r.Lines, r.Bytes, r.Seconds)
	if r.Seconds > 0 {
		fmt.Fprintf(&b, " (%.0f MB/s)", float64(r.Bytes)/1e6/r.Seconds)
	}
	b.WriteByte('\n')
	_, err := io.WriteString(w, b.String())
	return err
}

func (p *Partition) text(b *strings.Builder) {
	fmt.Fprintf(b, "%s/%s-%d: %s", p.Cluster, p.Namespace, p.Partition, p.Verdict)
	if p.Events > 0 {
		fmt.Fprintf(b, ", events %s to %s (%d, %d mutations)", p.First, p.Last, p.Events, p.Mutations)
	}
	for _, c := range []struct {
		n    int64
		name string
	}{{p.Filtered, "filtered mutations"}, {p.Heartbeats, "heartbeats"}, {p.Snapshots, "snapshots (declared losses)"}, {p.Rows, "snapshot rows"},
		{p.Replays, "replayed events"}, {p.Unchecked, "lines not checked after the problem"}} {
		if c.n > 0 {
			fmt.Fprintf(b, ", %d %s", c.n, c.name)
		}
	}
	fmt.Fprintf(b, ", complete up to %s, chain %s\n", p.Reached, p.Chain)
	if p.Problem != nil {
		fmt.Fprintf(b, "    %s\n", p.Problem)
	}
	if p.Events > 0 && !p.Proved && p.Problem == nil {
		fmt.Fprintf(b, "    the content of the first event, %s, isn't proved: nothing says which chain was before it\n", p.First)
	}
}
