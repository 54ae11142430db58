package robustness

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/zankv/zankv/cdc/event"
)

// Stream is one partition's lines from the earliest position on, checked as they come, wherever they come from. One goroutine hands them in; the rest of
// its methods may be called from any.
type Stream struct {
	Partition int
	done      chan struct{} // closed when nothing is handed in any more

	parser    event.Parser
	parsed    event.Line
	validator event.Validator
	pairs     halves

	mu struct {
		sync.Mutex
		changed    chan struct{} // closed and replaced at each event
		fold       event.Fold
		events     int
		heartbeats int
		snapshots  int
		last       event.Position
		seen       map[string]event.Stamp // of the last event with each value of a marker key
		err        error
	}
}

func newStream(partition int) *Stream {
	s := &Stream{Partition: partition, done: make(chan struct{})}
	s.mu.changed, s.mu.seen = make(chan struct{}), map[string]event.Stamp{}
	s.validator.From(event.Position{}, event.Chain{})
	return s
}

// markerPrefix begins the keys that show how far a feed has come.
const markerPrefix = "marker:"

// line takes the next line, or says which promise it breaks.
func (s *Stream) line(b []byte) error {
	l := &s.parsed
	if err := s.parser.Parse(b, l); err != nil {
		return fmt.Errorf("%w: %s", err, b)
	}
	if err := s.validator.Line(l, s.parser.Names); err != nil {
		return err
	}
	if l.Kind == event.LineChange {
		if err := s.pairs.line(l); err != nil {
			return fmt.Errorf("half a transaction: %w", err)
		}
	}
	s.take(l)
	return nil
}

func (s *Stream) take(l *event.Line) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.fold.Line(l)
	switch l.Kind {
	case event.LineHeartbeat:
		s.mu.heartbeats++
		s.reachedLocked(l.Stamp.Position)
	case event.LineSnapshotEnd:
		s.mu.snapshots = s.validator.Snapshots()
		s.reachedLocked(l.Stamp.Position)
	case event.LineChange, event.LineSnapshotRow:
		if key := string(l.Mutation.Key); strings.HasPrefix(key, markerPrefix) {
			s.mu.seen[key+"="+string(l.Mutation.Value)] = l.Stamp
		}
		if l.Kind == event.LineChange && l.Seq+1 == l.Of {
			s.mu.events++
			s.reachedLocked(l.Stamp.Position)
		}
	}
}

// reachedLocked notes up to where everything came.
func (s *Stream) reachedLocked(p event.Position) {
	s.mu.last = p
	close(s.mu.changed)
	s.mu.changed = make(chan struct{})
}

// fail notes the first error; what comes after it doesn't count.
func (s *Stream) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.err = fmt.Errorf("partition %d: after %d events, at %s: %w", s.Partition, s.mu.events, s.mu.last, err)
	close(s.mu.changed)
	s.mu.changed = make(chan struct{})
}

// Await returns where the event stands that wrote a marker, once it has come as a whole.
func (s *Stream) Await(ctx context.Context, key, value string) (at event.Stamp, err error) {
	err = s.until(ctx, func() bool {
		var ok bool
		at, ok = s.mu.seen[key+"="+value]
		return ok && s.mu.last.Compare(at.Position) >= 0
	})
	if err != nil {
		err = fmt.Errorf("robustness: %s=%s: %w", key, value, err)
	}
	return at, err
}

// AwaitPosition returns when everything up to a position has come, heartbeats counted.
func (s *Stream) AwaitPosition(ctx context.Context, p event.Position) error {
	err := s.until(ctx, func() bool { return s.mu.last.Compare(p) >= 0 })
	if err != nil {
		err = fmt.Errorf("robustness: position %s: %w", p, err)
	}
	return err
}

// until returns when something, asked with the lock held, has come true.
func (s *Stream) until(ctx context.Context, true func() bool) error {
	for {
		s.mu.Lock()
		ok, changed, err := true(), s.mu.changed, s.mu.err
		s.mu.Unlock()
		if ok || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("the feed of partition %d didn't come so far: it is at %s: %w", s.Partition, s.Last(), ctx.Err())
		}
	}
}

// Last is up to where everything came.
func (s *Stream) Last() event.Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.last
}

// Err is what was found wrong so far.
func (s *Stream) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.err
}

// Counts are how many whole events, heartbeats and snapshots came.
func (s *Stream) Counts() (events, heartbeats, snapshots int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.events, s.mu.heartbeats, s.mu.snapshots
}
