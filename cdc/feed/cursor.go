package feed

import (
	"errors"
	"fmt"

	"go.etcd.io/etcd/raft/v3"
	"go.etcd.io/etcd/raft/v3/raftpb"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/zankv/zankv/cdc/event"
)

// cursor walks over a log and carries the chain along.
type cursor struct {
	reader LogReader
	stamp  event.Stamp    // Position and Chain of the last event; cluster, namespace and partition
	at     event.Position // the last entry passed; its term is 0 where that isn't known
	names  event.Names

	ev      event.Event
	scratch event.Scratch
}

func newCursor(src Source, namespace string, partition uint32, from Mark, names event.Names) *cursor {
	c := &cursor{reader: src.NewLogReader(from.Index + 1), at: event.Position{Index: from.Index}, names: append(event.Names(nil), names...)}
	c.stamp = event.Stamp{Cluster: src.ClusterID(), Namespace: namespace, Partition: partition, Position: from.LastEvent, Chain: from.Chain}
	if from.LastEvent.Index == from.Index {
		c.at.Term = from.LastEvent.Term
	}
	return c
}

func (c *cursor) close() { c.reader.Close() }

// step passes over an entry, and says whether it is an event; ev and stamp are then of it.
func (c *cursor) step(e *raftpb.Entry) (bool, error) {
	if e.Index != c.at.Index+1 {
		return false, fmt.Errorf("feed %s: the log gave entry %d after %d", c.name(), e.Index, c.at.Index)
	}
	c.at = event.Position{Term: e.Term, Index: e.Index}
	if e.Type != raftpb.EntryNormal || len(e.Data) == 0 {
		return false, nil
	}
	if err := event.Decode(e.Data, &c.ev); err != nil {
		return false, fmt.Errorf("feed %s: entry %s: %w", c.name(), c.at, err)
	}
	if c.ev.Term == e.Term {
		c.names = c.names.Add(c.ev.Clusters)
	}
	if !c.ev.InFeed(e.Term) {
		return false, nil
	}
	c.stamp.Prev, c.stamp.PrevChain = c.stamp.Position, c.stamp.Chain
	c.stamp.Position = c.at
	c.stamp.Chain = event.NextChain(c.stamp.PrevChain, &c.stamp, &c.ev, c.names, &c.scratch)
	return true, nil
}

// skipTo passes over entries up to index, inclusive, and checks that the one at want, if it comes by, has want's term.
func (c *cursor) skipTo(index uint64, want event.Position) error {
	for c.at.Index < index {
		entries, err := c.reader.Next(index)
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			return fmt.Errorf("feed %s: the log ends at %d, before %d", c.name(), c.at.Index, index)
		}
		for i := range entries {
			if _, err := c.step(&entries[i]); err != nil {
				return err
			}
			if err := c.check(want); err != nil {
				return err
			}
		}
	}
	return nil
}

// check says whether where the cursor stands contradicts a position that a reader named.
func (c *cursor) check(want event.Position) error {
	if last := c.stamp.Position; last.Index == want.Index && last != want {
		return mismatch(c.name(), want, fmt.Sprintf("event %d is of term %d", last.Index, last.Term))
	}
	if c.at.Index == want.Index && c.at.Term != 0 && c.at != want {
		return mismatch(c.name(), want, fmt.Sprintf("entry %d is of term %d", c.at.Index, c.at.Term))
	}
	return nil
}

// next finds the first event after the cursor, up to index; false if there is none.
func (c *cursor) next(index uint64) (bool, error) {
	for c.at.Index < index {
		entries, err := c.reader.Next(c.at.Index + 1)
		if err != nil {
			return false, err
		}
		for i := range entries {
			if is, err := c.step(&entries[i]); is || err != nil {
				return is, err
			}
		}
	}
	return false, nil
}

func (c *cursor) name() string { return fmt.Sprintf("%s-%d", c.stamp.Namespace, c.stamp.Partition) }

func truncated(err error) bool { return errors.Is(err, raft.ErrCompacted) }

// Fields of Record in feed.proto.
const (
	recordTerm      = 1<<3 | byte(protowire.VarintType)
	recordIndex     = 2<<3 | byte(protowire.VarintType)
	recordPrevTerm  = 3<<3 | byte(protowire.VarintType)
	recordPrevIndex = 4<<3 | byte(protowire.VarintType)
	recordEvent     = 5<<3 | byte(protowire.BytesType)
)

// appendRecord appends a Record in delimited form.
func appendRecord(dst []byte, position, prev event.Position, data []byte) []byte {
	size := 5 + protowire.SizeVarint(position.Term) + protowire.SizeVarint(position.Index) +
		protowire.SizeVarint(prev.Term) + protowire.SizeVarint(prev.Index) + protowire.SizeBytes(len(data))
	dst = protowire.AppendVarint(dst, uint64(size))
	dst = protowire.AppendVarint(append(dst, recordTerm), position.Term)
	dst = protowire.AppendVarint(append(dst, recordIndex), position.Index)
	dst = protowire.AppendVarint(append(dst, recordPrevTerm), prev.Term)
	dst = protowire.AppendVarint(append(dst, recordPrevIndex), prev.Index)
	return protowire.AppendBytes(append(dst, recordEvent), data)
}

// takeRecord takes a Record in delimited form off the front of b. data points into b.
func takeRecord(b []byte) (position, prev event.Position, data, rest []byte, err error) {
	body, n := protowire.ConsumeBytes(b)
	if n < 0 {
		return position, prev, nil, nil, fmt.Errorf("feed: a record is cut short: %w", protowire.ParseError(n))
	}
	rest = b[n:]
	for len(body) > 0 {
		num, typ, n := protowire.ConsumeTag(body)
		if n < 0 {
			return position, prev, nil, nil, fmt.Errorf("feed: a record's field: %w", protowire.ParseError(n))
		}
		body = body[n:]
		n = protowire.ConsumeFieldValue(num, typ, body)
		if n < 0 {
			return position, prev, nil, nil, fmt.Errorf("feed: a record's field %d: %w", num, protowire.ParseError(n))
		}
		v, _ := protowire.ConsumeVarint(body)
		switch {
		case num == 5 && typ == protowire.BytesType:
			data, _ = protowire.ConsumeBytes(body)
		case typ != protowire.VarintType:
		case num == 1:
			position.Term = v
		case num == 2:
			position.Index = v
		case num == 3:
			prev.Term = v
		case num == 4:
			prev.Index = v
		}
		body = body[n:]
	}
	return position, prev, data, rest, nil
}
