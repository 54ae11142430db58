package feed

import (
	"fmt"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed/feedpb"
)

// incoming is what came of a stream and wasn't handed out yet. A batch is checked as a whole before its first event is handed out: the
// server's chain stands at its end.
type incoming struct {
	// stamp is that of the last event checked.
	stamp event.Stamp
	names event.Names

	records []byte
	chains  []event.Chain // after each record
	taken   int           // how many of them were handed out

	ev      event.Event
	scratch event.Scratch
}

// begin starts at what a server says lies before its first event.
func (in *incoming) begin(b *feedpb.Base) error {
	in.stamp = event.Stamp{Cluster: b.Cluster, Namespace: b.Namespace, Partition: b.Partition, Position: fromPB(b.Prev)}
	if copy(in.stamp.Chain[:], b.PrevChain) != len(in.stamp.Chain) {
		return fmt.Errorf("feed: the stream begins with a chain of %d bytes, want %d", len(b.PrevChain), len(in.stamp.Chain))
	}
	in.names = append(in.names[:0], b.Names...)
	in.records, in.chains, in.taken = nil, in.chains[:0], 0
	return nil
}

// left says whether checked events wait to be handed out.
func (in *incoming) left() bool { return in.taken < len(in.chains) }

// check takes a batch, if everything in it is right.
func (in *incoming) check(b *feedpb.Batch) error {
	in.records, in.chains, in.taken = b.Records, in.chains[:0], 0
	if len(b.Names) > 0 {
		in.names = append(in.names[:0], b.Names...)
	}
	st := in.stamp
	for rest := b.Records; len(rest) > 0; {
		position, prev, data, more, err := takeRecord(rest)
		if err != nil {
			return in.refuse(err)
		}
		if prev != st.Position {
			return in.refuse(fmt.Errorf("feed: a gap: event %s names %s as the one before it, but %s came before", position, prev, st.Position))
		}
		if position.Compare(prev) <= 0 {
			return in.refuse(fmt.Errorf("feed: out of order: event %s after %s", position, prev))
		}
		if err := event.Decode(data, &in.ev); err != nil {
			return in.refuse(fmt.Errorf("feed: event %s: %w", position, err))
		}
		if !in.ev.InFeed(position.Term) {
			return in.refuse(fmt.Errorf("feed: entry %s is no event: evaluated in term %d, %d mutations", position, in.ev.Term, len(in.ev.Mutations)))
		}
		in.names = in.names.Add(in.ev.Clusters)
		st.Prev, st.PrevChain, st.Position = st.Position, st.Chain, position
		st.Chain = event.NextChain(st.PrevChain, &st, &in.ev, in.names, &in.scratch)
		in.chains = append(in.chains, st.Chain)
		rest = more
	}
	if string(b.Chain) != string(st.Chain[:]) || int(b.Count) != len(in.chains) {
		return in.refuse(fmt.Errorf("feed: %d events up to %s give chain %s; the server has %d and chain %x: the content was altered",
			len(in.chains), st.Position, st.Chain, b.Count, b.Chain))
	}
	return nil
}

func (in *incoming) refuse(err error) error {
	in.chains = in.chains[:0]
	return err
}

// take hands out the next checked event: ev and stamp are then of it.
func (in *incoming) take() {
	position, prev, data, rest, err := takeRecord(in.records)
	if err == nil {
		err = event.Decode(data, &in.ev)
	}
	if err != nil {
		panic(fmt.Sprintf("feed: event %s was read before, and now: %v", position, err))
	}
	in.records = rest
	in.stamp.Prev, in.stamp.PrevChain = prev, in.stamp.Chain
	in.stamp.Position, in.stamp.Chain = position, in.chains[in.taken]
	in.taken++
}
