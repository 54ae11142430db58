package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

// list lists the samples by name, without the name that they all begin with.
func (s Samples) list(measurement string) string {
	names := make([]string, 0, len(s))
	for name := range s {
		names = append(names, name)
	}
	slices.Sort(names)
	for i, name := range names {
		names[i] = strings.TrimPrefix(name, measurement+".") + " " + number(s[name])
	}
	return strings.Join(names, ", ")
}

// Results are the samples of all rounds, in their order, by name.
type Results map[string][]float64

func (r Results) add(s Samples) {
	for name, v := range s {
		r[name] = append(r[name], v)
	}
}

// Row is one line of the table: a metric, or the ratio of two.
type Row struct {
	What string
	// Of is a sample's name. With Over, another one, the row is the ratio Of / Over of each round.
	Of, Over string
	// AtLeast or AtMost is the target, 0 for none.
	AtLeast, AtMost float64
	// Stretch is a target beyond AtLeast that isn't required; 0 for none.
	Stretch float64
}

// Line is a row with its figures.
type Line struct {
	Section   string  `json:"section"`
	What      string  `json:"what"`
	Of        string  `json:"of"`
	Over      string  `json:"over,omitempty"`
	OfValue   float64 `json:"of_median"`
	OverValue float64 `json:"over_median,omitempty"`
	Value     float64 `json:"value"` // the median ratio, or of_median
	Min       float64 `json:"min"`
	Max       float64 `json:"max"`
	AtLeast   float64 `json:"at_least,omitempty"`
	AtMost    float64 `json:"at_most,omitempty"`
	Stretch   float64 `json:"stretch,omitempty"`
	// Mark is "ok", "miss", or empty without a target.
	Mark string `json:"mark,omitempty"`
}

// Report is what a run has found.
type Report struct {
	Facts   []string `json:"facts"`
	Lines   []Line   `json:"lines"`
	Samples Results  `json:"samples"`
}

// newReport fills the rows; facts say of what. A row without samples is an error: it names what nobody has measured.
func newReport(facts []string, sections []Section, taken Results) (Report, error) {
	rep := Report{Facts: facts, Samples: taken}
	for _, s := range sections {
		for _, row := range s.Rows {
			of, over := taken[row.Of], taken[row.Over]
			if len(of) == 0 || row.Over != "" && len(over) != len(of) {
				return rep, fmt.Errorf("section %s, row %q: %d samples of %s and %d of %q, want as many as there were rounds",
					s.Name, row.What, len(of), row.Of, len(over), row.Over)
			}
			rep.Lines = append(rep.Lines, newLine(s.Name, row, of, over))
		}
	}
	return rep, nil
}

// newLine takes ratios round by round, so that a round in which the machine was slow bends nothing.
func newLine(section string, row Row, of, over []float64) Line {
	l := Line{
		Section: section, What: row.What, Of: row.Of, Over: row.Over,
		AtLeast: row.AtLeast, AtMost: row.AtMost, Stretch: row.Stretch,
	}
	values := slices.Clone(of)
	l.OfValue, l.OverValue = median(of), median(over)
	for i := range over {
		values[i] /= over[i]
	}
	l.Value, l.Min, l.Max = median(values), slices.Min(values), slices.Max(values)
	l.Mark = l.mark()
	return l
}

func (l *Line) mark() string {
	switch {
	case l.AtLeast == 0 && l.AtMost == 0:
		return ""
	case l.AtLeast != 0 && l.Value >= l.AtLeast, l.AtMost != 0 && l.Value <= l.AtMost:
		return "ok"
	}
	return "miss"
}

// median is 0 for no values.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	v := slices.Clone(values)
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// Misses counts the rows whose target isn't reached.
func (r Report) Misses() (n int) {
	for _, l := range r.Lines {
		if l.Mark == "miss" {
			n++
		}
	}
	return n
}

// WriteJSON writes everything, samples included.
func (r Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// WriteTable writes the table that people read. Medians, with the extremes behind them; a row without "theirs" is no ratio.
func (r Report) WriteTable(w io.Writer) error {
	for _, fact := range r.Facts {
		if _, err := fmt.Fprintln(w, fact); err != nil {
			return err
		}
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(tw, "\tours\ttheirs\tratio\t(min – max)\ttarget\t")
	section := ""
	for _, l := range r.Lines {
		if l.Section != section {
			section = l.Section
			_, _ = fmt.Fprintf(tw, "%s\t\t\t\t\t\t\n", section)
		}
		against, ratio := "", ""
		if l.Over != "" {
			against, ratio = fmt.Sprintf("%s (%s)", number(l.OverValue), l.Over), number(l.Value)
		}
		_, _ = fmt.Fprintf(tw, "  %s\t%s\t%s\t%s\t(%s – %s)\t%s\t%s\n",
			l.What, number(l.OfValue), against, ratio, number(l.Min), number(l.Max), l.target(), l.Mark)
	}
	return tw.Flush()
}

func (l *Line) target() string {
	switch {
	case l.AtLeast != 0 && l.Stretch != 0:
		return fmt.Sprintf("≥ %s (%s)", number(l.AtLeast), number(l.Stretch))
	case l.AtLeast != 0:
		return "≥ " + number(l.AtLeast)
	case l.AtMost != 0:
		return "≤ " + number(l.AtMost)
	}
	return ""
}

// number writes three significant digits, and thousands as k.
func number(v float64) string {
	switch a := math.Abs(v); {
	case a >= 1e6:
		return fmt.Sprintf("%.2fM", v/1e6)
	case a >= 1e5:
		return fmt.Sprintf("%.0fk", v/1e3)
	case a >= 1e4:
		return fmt.Sprintf("%.1fk", v/1e3)
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
