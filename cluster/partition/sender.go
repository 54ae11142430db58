package partition

import (
	"context"
	"fmt"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/meta"
	"github.com/zankv/zankv/cluster/store"
)

// maxSenders bounds the senders of a partition.
const maxSenders = 4096

// Place is where a sender stands in this partition.
type Place struct {
	Sender store.Sender
	// NeedsSync: it can't be gone on from there without a full sync, and Why says so for people.
	NeedsSync bool
	Why       string
	Watermark int64
	// MaxEventBytes bounds what one event here may hold.
	MaxEventBytes int
	// Position is the last entry that is applied.
	Position event.Position
}

// placed is a sender and where it stands, as applied.
type placed struct {
	id store.SenderID
	at store.Sender
}

// move is what a batch does to a place: no other batch moves that before this one is settled.
type move struct {
	place string
	own   int     // of the row's change in the batch's event
	to    *placed // where the sender stands then; nil: the place isn't a sender's
	// removed: the sender is forgotten. switches: from then on the partition keeps tombstones.
	removed, switches bool
	counted           outcomes
}

func senderPlace(id store.SenderID) string { return "s" + string(store.SenderKey(id)) }
func peerPlace(cluster string) string      { return "p" + cluster }

// OpenSender says where a sender stands, and makes it known if it isn't: with an entry that is a barrier if that is the first of all, as from there on the
// partition keeps tombstones. partitions and hash are how the sender's namespace is cut. Errors are Replay's.
func (r *Replica) OpenSender(ctx context.Context, id store.SenderID, partitions uint32, hash string) (Place, error) {
	p, known, err := r.lookAtSender(ctx, id, partitions, hash)
	if err != nil || known {
		return p, err
	}
	return r.placeSender(ctx, id, func(at store.Sender, known bool) (store.Sender, error) {
		if known {
			return at, fits(id, &at, partitions, hash)
		}
		return store.Sender{Partitions: partitions, Hash: hash}, r.alone(id)
	})
}

// AdoptSender sets a sender's place without any change: both sides are known to be equal there. A full sync under way is over. Errors are Replay's.
func (r *Replica) AdoptSender(ctx context.Context, id store.SenderID, partitions uint32, hash string, position event.Position, time int64) (Place, error) {
	if _, _, err := r.lookAtSender(ctx, id, partitions, hash); err != nil {
		return Place{}, err
	}
	reached := store.Cursor{Position: position, Done: store.AllDone}
	return r.placeSender(ctx, id, func(at store.Sender, known bool) (store.Sender, error) {
		if known {
			if err := fits(id, &at, partitions, hash); err != nil {
				return at, err
			}
		} else if err := r.alone(id); err != nil {
			return at, err
		}
		return store.Sender{Partitions: partitions, Hash: hash, Reached: reached, Time: time}, nil
	})
}

// ForgetSender removes a sender and its place, if it is there: nothing waits for it any more, and it begins with a full sync should it come again.
// Errors are Replay's.
func (r *Replica) ForgetSender(ctx context.Context, id store.SenderID) error {
	e := &errand{spec: writeErrand, place: senderPlace(id)}
	e.run = func(l *lane, req *command.Request) {
		known := r.places[e.place]
		if known == nil {
			r.answerRead(l, req)
			return
		}
		b := r.openBatch()
		r.movePlace(b, move{place: e.place, to: known, removed: true}, store.SenderChange(id, nil))
		r.hangOn(l, req, b)
	}
	return r.senderError(id, r.runErrand(ctx, e))
}

// lookAtSender is OpenSender for one that is known already; known is false if it isn't.
func (r *Replica) lookAtSender(ctx context.Context, id store.SenderID, partitions uint32, hash string) (p Place, known bool, err error) {
	if err := r.checkSender(id, partitions, hash); err != nil {
		return p, false, r.senderError(id, err)
	}
	e := &errand{spec: readErrand, place: senderPlace(id)}
	e.run = func(l *lane, req *command.Request) {
		held := r.places[e.place]
		if known = held != nil && r.replicates; known {
			p, e.refused = r.placeOf(&held.at), fits(id, &held.at, partitions, hash)
		}
		r.answerRead(l, req)
	}
	err = r.runErrand(ctx, e)
	return p, known, r.senderError(id, err)
}

// placeSender writes what change makes of a sender's place. It is a barrier if the partition doesn't keep tombstones yet.
func (r *Replica) placeSender(ctx context.Context, id store.SenderID, change func(at store.Sender, known bool) (store.Sender, error)) (p Place, err error) {
	e := &errand{spec: barrierErrand, place: senderPlace(id)}
	e.run = func(l *lane, req *command.Request) {
		var at store.Sender
		held := r.places[e.place]
		if held != nil {
			at = held.at
		} else if len(r.places) >= maxSenders {
			r.refuseErrand(l, req, refusal(RefusedState, &at, "%d senders are known here, and there can be no more: forget those that are gone", len(r.places)))
			return
		}
		to, err := change(at, held != nil)
		if err != nil {
			r.refuseErrand(l, req, err)
			return
		}
		b := r.openBatch()
		r.switchOn(b)
		r.movePlace(b, move{place: e.place, to: &placed{id: id, at: to}, switches: true}, store.SenderChange(id, &to))
		p = r.placeOf(&to)
		r.hangOn(l, req, b)
	}
	if err := r.runErrand(ctx, e); err != nil {
		return Place{}, r.senderError(id, err)
	}
	return p, nil
}

// checkSender says what is wrong with a sender whatever stands here.
func (r *Replica) checkSender(id store.SenderID, partitions uint32, hash string) error {
	switch {
	case id.Cluster == r.opts.Cluster:
		return refusal(RefusedState, nil, "the changes come from this cluster, %s, itself: source and target must be two clusters, with cluster ids of their own", id.Cluster)
	case id.Cluster == "" || id.Namespace == "" || id.Partition >= partitions || hash != meta.HashCRC16 && hash != meta.HashMurmur3:
		return fmt.Errorf("%w: a sender of %d partitions, cut by %q", ErrMalformed, partitions, hash)
	}
	return nil
}

// shares says whether a sender can have keys that are here. One that can't holds nothing up: no writer moves its place.
func (r *Replica) shares(id store.SenderID, at *store.Sender) bool {
	return at.Cut().Shares(id.Partition, r.opts.Cut, r.opts.Partition)
}

// fits says whether a sender is the one that is known by its id.
func fits(id store.SenderID, at *store.Sender, partitions uint32, hash string) error {
	if at.Partitions == partitions && at.Hash == hash {
		return nil
	}
	return refusal(RefusedState, at, "%s is known with %d partitions cut by %s, and comes with %d cut by %s: if its namespace was made anew, forget the sender first",
		id, at.Partitions, at.Hash, partitions, hash)
}

// alone says whether no other namespace of the sender's cluster comes into this one. Nothing says of a key here which of the two it came of: the full sync of one
// would take what the other brought for what it has deleted since.
func (r *Replica) alone(id store.SenderID) error {
	for _, held := range r.places {
		if other := &held.id; other.Cluster == id.Cluster && other.Namespace != id.Namespace {
			return refusal(RefusedState, nil, "namespace %s of cluster %s is carried here already: a full sync of %s would delete what came from there; carry it to a namespace of its own, or forget the senders of %s first",
				other.Namespace, id.Cluster, id.Namespace, other.Namespace)
		}
	}
	return nil
}

func (r *Replica) senderError(id store.SenderID, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("partition %s: sender %s: %w", r.name, id, err)
}

// refusal is a ReplayError with the place at.
func refusal(why Refusal, at *store.Sender, format string, args ...any) *ReplayError {
	e := &ReplayError{Refusal: why, What: fmt.Sprintf(format, args...)}
	if at != nil {
		e.Sender = *at
	}
	return e
}

// placeOf describes a sender's place.
func (r *Replica) placeOf(at *store.Sender) Place {
	watermark := r.store.Watermark()
	why := needsSync(at, watermark)
	return Place{
		Sender: *at, NeedsSync: why != "", Why: why, Watermark: watermark, MaxEventBytes: r.opts.MaxEventBytes, Position: r.store.State().Applied,
	}
}

// needsSync says why a place can't be gone on from, "" if it can.
func needsSync(at *store.Sender, watermark int64) string {
	switch {
	case at.Sync != nil:
		return fmt.Sprintf("a full sync from %s is under way: rows are here up to key %q", at.Sync.Base, clipKey(at.Sync.Through))
	case at.Reached.Position.IsZero():
		return "there was no full sync yet"
	case at.Time < watermark:
		return fmt.Sprintf("its place, %s at time %d, is from before the tombstone watermark, %d: what was deleted here since isn't known any more, and could come back", at.Reached, at.Time, watermark)
	}
	return ""
}

func clipKey(key []byte) []byte { return key[:min(len(key), 128)] }

// movePlace puts the change of a place's row into the batch.
func (r *Replica) movePlace(b *batch, m move, row event.OwnChange) {
	m.own = r.putOwn(b, row)
	b.moves = append(b.moves, m)
	r.moving[m.place] = b
}

// switchOn has the partition keep tombstones from the batch on, which is a barrier.
func (r *Replica) switchOn(b *batch) {
	if !r.replicates {
		r.putOwn(b, store.ReplicatesChange())
	}
}

// putOwn puts the change of a row of the partition's own into the batch.
func (r *Replica) putOwn(b *batch, row event.OwnChange) (at int) {
	b.ev.Own = append(b.ev.Own, row)
	b.bytes += ownSize(&row)
	return len(b.ev.Own) - 1
}

// ownSize is about what such a change takes in the log.
func ownSize(o *event.OwnChange) int { return 16 + len(o.ID) + len(o.Value) }

// cutOwn takes back the changes of own rows that came into the batch after the first n.
func (r *Replica) cutOwn(b *batch, n int) {
	if n >= len(b.ev.Own) {
		return
	}
	r.cutRows(b, n)
	for len(b.moves) > 0 && b.moves[len(b.moves)-1].own >= n {
		last := len(b.moves) - 1
		delete(r.moving, b.moves[last].place)
		b.moves[last] = move{}
		b.moves = b.moves[:last]
	}
	for i := n; i < len(b.ev.Own); i++ {
		b.bytes -= ownSize(&b.ev.Own[i])
	}
	clear(b.ev.Own[n:])
	b.ev.Own = b.ev.Own[:n]
}

// settleMoves takes note of what became of a batch's moves.
func (r *Replica) settleMoves(b *batch, outcome command.Outcome) {
	for i := range b.moves {
		m := &b.moves[i]
		if r.moving[m.place] == b {
			delete(r.moving, m.place)
		}
		if outcome != command.Answered {
			continue
		}
		r.outcomes.add(&m.counted)
		r.replicates = r.replicates || m.switches
		if m.to != nil {
			r.place(m)
		}
	}
}

// place notes where a sender stands.
func (r *Replica) place(m *move) {
	if held := r.places[m.place]; m.removed || held == nil || held.at.Reached.Position.IsZero() {
		clear(r.sending)
	}
	if m.removed {
		delete(r.places, m.place)
		return
	}
	r.places[m.place] = m.to
}

// readPlaces reads where the senders stand.
func (r *Replica) readPlaces() error {
	r.places = make(map[string]*placed)
	clear(r.moving)
	clear(r.patience)
	clear(r.sending)
	r.outcomes.reset()
	return r.store.Senders(func(id store.SenderID, at store.Sender) bool {
		r.places[senderPlace(id)] = &placed{id: id, at: at}
		return true
	})
}
