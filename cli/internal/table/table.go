// Package table prints what people read: columns that are aligned, and numbers with units.
package table

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Table is rows of cells. The first row is the heading.
type Table struct {
	rows [][]string
	// right are the columns whose cells are numbers.
	right map[int]bool
}

// New makes one with a heading. A column whose name begins with ">" is aligned on the right.
func New(heading ...string) *Table {
	t := &Table{right: make(map[int]bool)}
	row := make([]string, len(heading))
	for i, name := range heading {
		row[i], t.right[i] = strings.TrimPrefix(name, ">"), strings.HasPrefix(name, ">")
	}
	t.rows = append(t.rows, row)
	return t
}

// Row adds a row.
func (t *Table) Row(cells ...string) { t.rows = append(t.rows, cells) }

// WriteTo writes the columns two spaces apart. Nothing that a cell holds moves the cursor of a terminal.
func (t *Table) WriteTo(w io.Writer) (int64, error) {
	var widths []int
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			row[i] = Plain(cell)
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	var b strings.Builder
	for _, row := range t.rows {
		var line strings.Builder
		for i, cell := range row {
			gap := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if t.right[i] {
				cell = gap + cell
			} else {
				cell += gap
			}
			line.WriteString(cell + "  ")
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

// Plain is text on one line, without what a terminal would take for a command.
func Plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7F && r < 0xA0 || r == utf8.RuneError {
			return ' '
		}
		return r
	}, s)
}

// None stands in a cell of which nothing is known.
const None = "-"

// Bytes is a number of bytes with its unit: "1.2 MiB".
func Bytes[T int64 | uint64 | float64](n T) string {
	v := float64(n)
	for _, unit := range []string{"B", "KiB", "MiB", "GiB", "TiB"} {
		if v < 1024 || unit == "TiB" {
			return number(v, unit == "B") + " " + unit
		}
		v /= 1024
	}
	return None
}

// Rate is a number a second: "120", "1.5".
func Rate(v float64) string { return number(v, false) }

// number has one digit behind the point, if it is small and not whole.
func number(v float64, whole bool) string {
	if whole || v >= 100 || v == math.Trunc(v) {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'f', 1, 64)
}

// Seconds is a time span in at most two units: "0.3 s", "4 min 5 s", "3 h 20 min", "2 d 4 h".
func Seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	switch {
	case s < 0:
		return None
	case s < 60:
		return number(math.Round(s*10)/10, false) + " s"
	case s < 3600:
		return pair(int64(d/time.Minute), "min", int64(d%time.Minute/time.Second), "s")
	case s < 24*3600:
		return pair(int64(d/time.Hour), "h", int64(d%time.Hour/time.Minute), "min")
	}
	return pair(int64(s/86400), "d", int64(math.Mod(s, 86400)/3600), "h")
}

func pair(a int64, unit string, b int64, smaller string) string {
	if b == 0 {
		return fmt.Sprintf("%d %s", a, unit)
	}
	return fmt.Sprintf("%d %s %d %s", a, unit, b, smaller)
}

// Count is a number with its noun: "1 partition", "3 entries".
func Count[T int | uint32 | uint64](n T, noun string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case strings.HasSuffix(noun, "y"):
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(noun, "y"))
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Time is a moment, ns since 1970, in UTC; None for 0.
func Time(ns int64) string {
	if ns == 0 {
		return None
	}
	return time.Unix(0, ns).UTC().Format("2006-01-02T15:04:05Z07:00")
}
