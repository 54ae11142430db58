package tail

import (
	"fmt"
	"strings"
	"testing"
)

func TestPlaces(t *testing.T) {
	for _, c := range []struct{ partitions, from, until, want string }{
		{"3", "earliest", "", "3 from earliest"},
		{"3", "2-7", "2-9", "3 from 2-7 until 2-9"},
		{"3,0", "2026-11-21T10:00:00Z", "2026-11-21T11:00:00Z", "3 from 2026-11-21T10:00:00Z until 2026-11-21T11:00:00Z, 0 from 2026-11-21T10:00:00Z until 2026-11-21T11:00:00Z"},
		{"0, 1,2", "0=2-7, 2=latest", "1=2-9", "0 from 2-7, 1 from earliest until 2-9, 2 from latest"},
		{"all", "latest", "", "all"},
		{"all", "0=2-7", "7=2-9", "all"},
		{"", "earliest", "", "error: is no partition"},
		{"x", "earliest", "", "error: is no partition"},
		{"1,1", "earliest", "", "error: named twice"},
		{"4294967296", "earliest", "", "error: not so many"},
		{"all", "2-7", "", "error: name one for each"},
		{"0,1", "earliest", "2-7", "error: name one for each"},
		{"0", "1=2-7", "", "error: isn't among those that --partition names"},
		{"0", "0=2-7,0=2-8", "", "error: named twice"},
		{"0", "0=2-7,latest", "", "error: want partition=place"},
		{"0", "x", "", "error: no place to begin"},
		{"0", "0=x", "", "error: no place to begin"},
		{"0", "earliest", "earliest", "error: no place to end"},
		{"0", "earliest", "0-0", "error: no place to end"},
		{"0", "earliest", "1960-01-01T00:00:00Z", "error: no place to end"},
	} {
		got, err := places(c.partitions, c.from, c.until)
		if want, wrong := strings.CutPrefix(c.want, "error: "); wrong && (err == nil || !strings.Contains(err.Error(), want)) || !wrong && got != c.want {
			t.Errorf("%q from %q until %q: got %q, %v, want %q", c.partitions, c.from, c.until, got, err, c.want)
		}
	}
}

func places(partitions, from, until string) (string, error) {
	numbers, err := ParseNumbers(partitions)
	if err != nil {
		return "", err
	}
	begin, err := ParsePlaces(from, CheckFrom)
	if err != nil {
		return "", err
	}
	end, err := ParsePlaces(until, CheckUntil)
	if err != nil {
		return "", err
	}
	if err := Fits(numbers, begin, end); err != nil {
		return "", err
	}
	if len(numbers) == 0 {
		return "all", nil
	}
	parts, err := Place(numbers, begin, end)
	if err != nil {
		return "", err
	}
	var texts []string
	for _, p := range parts {
		text := fmt.Sprintf("%d from %s", p.Number, or(begin.of(p.Number), "earliest"))
		if s := end.of(p.Number); s != "" {
			text += " until " + s
		}
		if (p.Until == Until{}) != (end.of(p.Number) == "") {
			text += " which isn't what was parsed"
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, ", "), nil
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
