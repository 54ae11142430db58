package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed"
)

// Limits of a definition's filter: entries of each list, and bytes of an entry.
const (
	maxFilterEntries = 256
	maxFilterEntry   = 10 << 10 // as long as a key
)

// validate says what keeps a definition from being run: an *Error.
func (s *Server) validate(ctx context.Context, spec *changefeed.Spec) error {
	partitions, ok := s.opts.Partitions(spec.Namespace)
	if !ok {
		return failure(NotFound, "changefeed %s: there is no namespace %q in this cluster", spec.ID, spec.Namespace)
	}
	for _, err := range []error{
		spec.Validate(), validateFilter(&spec.Filter), validatePlaces("from", spec.From, partitions, validateFrom), validatePlaces("to", spec.To, partitions, validateTo),
	} {
		if err != nil {
			return failure(Invalid, "%v", err)
		}
	}
	return s.validateSink(ctx, spec)
}

func (s *Server) validateSink(ctx context.Context, spec *changefeed.Spec) error {
	scheme, _, _ := strings.Cut(spec.SinkURI, "://")
	check := s.opts.Sinks[scheme]
	if check == nil {
		return failure(Invalid, "changefeed %s: sink %q: no sink is called %.20s; there are %s", spec.ID, changefeed.ShownURI(spec.SinkURI), scheme,
			strings.Join(slices.Sorted(maps.Keys(s.opts.Sinks)), ", "))
	}
	err := check(ctx, spec)
	var cause *changefeed.Error
	if errors.As(err, &cause) && cause.Action != "" {
		return failure(Invalid, "changefeed %s: %v: %s", spec.ID, err, cause.Action)
	}
	if err != nil {
		return failure(Invalid, "changefeed %s: %v", spec.ID, err)
	}
	return nil
}

func validateFilter(f *changefeed.Filter) error {
	for name, list := range map[string][]string{"tables": f.Tables, "keys": f.Keys, "ops": f.Ops, "origins": f.Origins} {
		if len(list) > maxFilterEntries {
			return fmt.Errorf("filter: %d %s: want at most %d", len(list), name, maxFilterEntries)
		}
		for _, entry := range list {
			if entry == "" || len(entry) > maxFilterEntry {
				return fmt.Errorf("filter: one of the %s has %d bytes: want 1 to %d", name, len(entry), maxFilterEntry)
			}
		}
	}
	for _, table := range f.Tables {
		if strings.Contains(table, ":") {
			return fmt.Errorf("filter: table %.40q: want the part of the keys before the first colon", table)
		}
	}
	return nil
}

func validateFrom(place string) error {
	_, err := feed.ParseFrom(place)
	return err
}

func validateTo(place string) error {
	if place == "" {
		return nil
	}
	if _, err := event.ParsePosition(place); err == nil {
		return nil
	}
	if _, err := time.Parse(time.RFC3339Nano, place); err == nil {
		return nil
	}
	return fmt.Errorf("%q is no place to end: want a position as 2-1041, or a time as 2026-11-21T10:00:00Z", place)
}

// validatePlaces checks one place for all partitions, or a list.
func validatePlaces(what, text string, partitions uint32, check func(string) error) error {
	places, err := parsePlaces(text, partitions)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	for _, place := range places {
		if err := check(place); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return nil
}

// everywhere is where parsePlaces puts a place that is for all partitions.
const everywhere = ^uint32(0)

// parsePlaces reads one place, or a list as "0=2-1041,1=2-99" without a partition named twice.
func parsePlaces(text string, partitions uint32) (map[uint32]string, error) {
	if !strings.Contains(text, "=") {
		return map[uint32]string{everywhere: text}, nil
	}
	places := map[uint32]string{}
	for part := range strings.SplitSeq(text, ",") {
		number, place, _ := strings.Cut(part, "=")
		n, err := strconv.ParseUint(number, 10, 32)
		if err != nil || place == "" {
			return nil, fmt.Errorf("%.40q: want a list as 0=2-1041,1=2-99", part)
		}
		if n >= uint64(partitions) {
			return nil, fmt.Errorf("partition %d: the namespace has %d, from 0", n, partitions)
		}
		if _, twice := places[uint32(n)]; twice {
			return nil, fmt.Errorf("partition %d is named twice", n)
		}
		places[uint32(n)] = place
	}
	return places, nil
}
