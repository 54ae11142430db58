package feed

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed/feedpb"
)

// Local reads the feed from a replica of the own node, without a stream: as far as it is applied when reading begins, and on after each Wait. It is
// for one goroutine.
type Local struct {
	sub     subscription
	c       *cursor // nil before reading has begun
	closed  bool    // c's reader is
	want    event.Position
	applied uint64
	asOf    time.Time // when that was all there was; zero: that isn't known
	ahead   uint64    // reading can't begin before this index is applied
	item    Item
}

// Local makes a reader of this node's replica. It fails with ErrUnknown when there is no such partition, and with ErrNotHere when the node
// has no replica of it. Close it.
func (s *Server) Local(namespace string, partition uint32, from From) (*Local, error) {
	src, err := s.dir.Source(namespace, partition)
	if err != nil {
		return nil, err
	}
	req := &feedpb.SubscribeRequest{Namespace: namespace, Partition: partition}
	from.fill(req)
	return &Local{sub: subscription{server: s, src: src, req: req}}, nil
}

// Next gives the next event, nil when there is none: then Wait. It belongs to the reader and is valid until the next call. An *Error says why
// reading can't go on here: Elsewhere that other replicas have what follows, Compacted that none has. A place that isn't applied yet is no error:
// there is just nothing behind it.
func (l *Local) Next(ctx context.Context) (*Item, error) {
	if l.c == nil {
		if err := l.begin(ctx); l.c == nil {
			return nil, err
		}
	}
	for l.c.at.Index < l.applied {
		entries, err := l.c.reader.Next(l.c.at.Index + 1)
		switch {
		case truncated(err):
			return nil, l.sub.overtaken(ctx, l.c)
		case err != nil:
			return nil, err
		case len(entries) == 0:
			return nil, fmt.Errorf("feed %s: the log ends at %d, before %d, which is applied", l.sub.name(), l.c.at.Index, l.applied)
		}
		is, err := l.c.step(&entries[0])
		if err == nil {
			err = l.c.check(l.want)
		}
		if err != nil {
			return nil, err
		}
		if is {
			l.item = Item{Event: &l.c.ev, Stamp: &l.c.stamp, Names: l.c.names, Bookmark: l.c.stamp.Position}
			return &l.item, nil
		}
	}
	return nil, nil
}

// begin places the cursor. It leaves it nil, without an error, as long as the place isn't applied.
func (l *Local) begin(ctx context.Context) error {
	asOf := time.Now()
	if !led(l.sub.src) {
		asOf = time.Time{}
	}
	st, err := l.sub.src.State()
	if err != nil {
		return err
	}
	c, want, err := l.sub.start(ctx, st)
	var problem *Error
	if errors.As(err, &problem) && problem.Kind == Ahead {
		l.ahead = want.Index
		return nil
	}
	if err != nil {
		return err
	}
	l.c, l.want, l.applied, l.asOf = c, want, st.Applied.Index, asOf
	return nil
}

// Wait returns when more is applied than Next has seen, or ctx's error. While it waits the log isn't held open.
func (l *Local) Wait(ctx context.Context) error {
	if l.c == nil {
		_, err := l.sub.src.WaitApplied(ctx, max(l.ahead, 1)-1)
		return err
	}
	l.Close()
	index, err := l.sub.src.WaitApplied(ctx, l.c.at.Index)
	l.c.reader, l.closed = l.sub.src.NewLogReader(l.c.at.Index+1), false
	if err == nil {
		l.applied = index
	}
	if now := time.Now(); index <= max(l.applied, l.c.at.Index) && led(l.sub.src) {
		l.asOf = now
	}
	return err
}

// Close ends the reader.
func (l *Local) Close() {
	if l.c != nil && !l.closed {
		l.closed = true
		l.c.close()
	}
}
