package tail

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed"
)

// Numbers are the partitions that a command line names. The zero Numbers are all of them.
type Numbers []uint32

// ParseNumbers reads "all", or numbers as "0,2,5": each once.
func ParseNumbers(s string) (Numbers, error) {
	if s == "all" {
		return nil, nil
	}
	var all Numbers
	for text := range strings.SplitSeq(s, ",") {
		n, err := parseNumber(text)
		if err != nil {
			return nil, err
		}
		if slices.Contains(all, n) {
			return nil, fmt.Errorf("partition %d is named twice", n)
		}
		all = append(all, n)
	}
	return all, nil
}

func parseNumber(s string) (uint32, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 32)
	if errors.Is(err, strconv.ErrRange) {
		return 0, fmt.Errorf("partition %s: there are not so many", strings.TrimSpace(s))
	}
	if err != nil {
		return 0, fmt.Errorf("%q is no partition: want a number from 0, a list as 0,2,5, or all", s)
	}
	return uint32(n), nil
}

// Places say for each partition where to begin, or where to end.
type Places struct {
	all  string
	each map[uint32]string
}

// ParsePlaces reads one place for all partitions, or a list as "0=2-1041,1=2-99". check says whether a place is one.
func ParsePlaces(s string, check func(string) error) (Places, error) {
	if !strings.Contains(s, "=") {
		return Places{all: s}, check(s)
	}
	p := Places{each: make(map[uint32]string)}
	for pair := range strings.SplitSeq(s, ",") {
		number, place, ok := strings.Cut(pair, "=")
		if !ok {
			return Places{}, fmt.Errorf("%q: want partition=place, as in 0=2-1041,1=2-99", pair)
		}
		n, err := parseNumber(number)
		if err != nil {
			return Places{}, err
		}
		if _, twice := p.each[n]; twice {
			return Places{}, fmt.Errorf("partition %d is named twice", n)
		}
		if err := check(place); err != nil {
			return Places{}, err
		}
		p.each[n] = strings.TrimSpace(place)
	}
	return p, nil
}

// of is a partition's place, "" if none was said.
func (p Places) of(n uint32) string {
	if p.each != nil {
		return p.each[n]
	}
	return p.all
}

// Fit says whether the places can be those of partitions: a position is one partition's own.
func (p Places) Fit(numbers Numbers) error {
	if _, err := event.ParsePosition(p.all); err == nil && len(numbers) != 1 {
		return fmt.Errorf("position %s is of one partition: name one for each, as 0=%s,1=%s, or a time", p.all, p.all, p.all)
	}
	for n := range p.each {
		if len(numbers) > 0 && !slices.Contains(numbers, n) {
			return fmt.Errorf("partition %d isn't among those that --partition names", n)
		}
	}
	return nil
}

// CheckFrom says whether s is a place to begin.
func CheckFrom(s string) error {
	_, err := feed.ParseFrom(strings.TrimSpace(s))
	return err
}

// CheckUntil says whether s is a place to end; "" is never.
func CheckUntil(s string) error {
	_, err := parseUntil(strings.TrimSpace(s))
	return err
}

func parseUntil(s string) (Until, error) {
	if s == "" {
		return Until{}, nil
	}
	if p, err := event.ParsePosition(s); err == nil && p.Index > 0 {
		return Until{Position: p}, nil
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil && t.UnixNano() > 0 {
		return Until{Time: t.UnixNano()}, nil
	}
	return Until{}, fmt.Errorf("%q is no place to end: want a position as 2-1041, or a time as 2026-11-21T10:00:00Z", s)
}

// Fits says what is wrong with places for partitions, of those that were named.
func Fits(numbers Numbers, from, until Places) error {
	if err := from.Fit(numbers); err != nil {
		return fmt.Errorf("--from: %w", err)
	}
	if err := until.Fit(numbers); err != nil {
		return fmt.Errorf("--until: %w", err)
	}
	return nil
}

// Place gives each of the partitions its places. A partition that a list doesn't name begins with the oldest event left, and has no end. The
// places were checked when they were parsed.
func Place(numbers Numbers, from, until Places) ([]Partition, error) {
	var all []Partition
	for _, n := range numbers {
		p := Partition{Number: n}
		var err error
		if s := from.of(n); s != "" {
			if p.From, err = feed.ParseFrom(s); err != nil {
				return nil, err
			}
		}
		if p.Until, err = parseUntil(until.of(n)); err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}
