package partition

import (
	"bytes"
	"fmt"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/meta"
	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/conflict"
)

// Bounds of what one event of a chunk does.
const (
	// syncBytes and syncVisits end an event: so much was written, and so many keys and elements were looked at.
	syncBytes  = 1 << 20
	syncVisits = 1 << 14
	// spanElements is how many elements that are here are decided at once.
	spanElements = 1 << 10
)

// cursor is a place in a chunk.
type cursor struct {
	after []byte // the key that was done last
	row   int    // the row that is next

	// Inside a key: the row is its next one, and elem the next element in that.
	inside bool
	key    []byte
	elem   int
	found  conflict.Found
	// goesOn: it was begun with a chunk before this one.
	goesOn bool
	// changed, noted: something was written for it, and to the conflict log.
	changed, noted bool
	// swept: what is here of another type was looked at. Then sub is the last element of the rows that is in, before that of what was swept; hasSub
	// says that there is one.
	swept  bool
	sub    []byte
	hasSub bool
	// rested: what is here behind the elements of all rows was looked at, too.
	rested bool
}

// evaluate takes as much of the chunk over as an event holds.
func (c *chunkCall) evaluate(l *lane, req *command.Request, b *batch, at *store.Sender) {
	r := c.r
	start := mark{mutations: len(b.ev.Mutations), own: len(b.ev.Own)}
	err := c.open(at)
	if err == nil {
		err = c.steps(b, at)
		c.close()
	}
	if err != nil {
		r.rollbackTo(b, &start)
		r.fails(l, req, err)
		return
	}
	c.move(b, at)
	r.noteChanges(b, start.mutations)
	r.hangOn(l, req, b)
}

// open prepares an event.
func (c *chunkCall) open(at *store.Sender) (err error) {
	r := c.r
	c.p = &r.replaying
	c.p.begin(r, r.open, c.chunk.Sender)
	c.translate()
	c.p.at(c.chunk.Base)
	c.p.env.Names = r.names
	c.p.replayed.Skipped, c.passed = c.passed, 0
	c.take.Env, c.take.Base = &c.p.env, event.Version{Time: at.Sync.Time, Cluster: c.p.env.Origin.Cluster}
	c.take.Horizons, c.take.Known = c.take.Horizons[:0], c.take.Known[:0]
	for _, id := range r.names {
		known := int64(0)
		if id == c.chunk.Sender.Cluster {
			known = at.Time
		} else if r.sends(id) {
			known = r.reachedOf(id)
		}
		c.take.Horizons, c.take.Known = append(c.take.Horizons, at.Sync.Horizons[id]), append(c.take.Known, known)
	}
	c.visited = 0
	c.snap = r.store.Snapshot()
	if c.walk, err = c.snap.Walk(c.at.after); err != nil {
		c.snap.Close()
	}
	return err
}

func (c *chunkCall) close() {
	c.walk.Close()
	c.snap.Close()
	c.walk, c.snap = nil, nil
}

// translate gives the rows' versions the numbers that clusters have here.
func (c *chunkCall) translate() {
	if c.term != 0 {
		return
	}
	c.term = c.r.term
	for i := range c.chunk.Rows {
		conflict.Translate(&c.chunk.Rows[i], c.chunk.Names, &c.r.names)
	}
}

// steps takes one step after the other, to the end of the chunk or of what an event is to hold. What doesn't fit any more is taken back.
func (c *chunkCall) steps(b *batch, at *store.Sender) error {
	if c.at.inside {
		if err := c.goOn(); err != nil {
			return err
		}
	}
	for b.bytes < syncBytes && c.visited < syncVisits {
		before, was := c.p.mark(at.Reached, 0), c.at
		done, err := c.step(at)
		if err != nil {
			return err
		}
		if b.bytes <= c.r.opts.MaxEventBytes {
			if c.finished = done; done {
				return nil
			}
			continue
		}
		c.r.rollbackTo(b, &before)
		c.p.replayed, c.p.counted, c.at = before.replayed, before.counted, was
		switch {
		case before.mutations+before.own > 0:
			return nil
		case c.p.limit == 0:
			return refusal(RefusedState, at, "a row of key %q needs an event larger than max_event_bytes, %d: raise that", clipKey(c.at.key), c.r.opts.MaxEventBytes)
		}
		c.p.limit = 0
		if c.at.inside {
			if err := c.goOn(); err != nil {
				return err
			}
		}
	}
	return nil
}

// step takes the next step.
func (c *chunkCall) step(at *store.Sender) (done bool, err error) {
	if c.at.inside {
		return c.stepWithin()
	}
	key, row, ok := c.nextKey()
	if err := c.walk.Err(); err != nil || !ok {
		return true, err
	}
	c.visited++
	if !row && !c.sends(at, key) {
		c.at.after = append(c.scratch[:0], key...)
		c.scratch = c.at.after
		c.walk.Next()
		return false, nil
	}
	c.at = cursor{after: c.at.after, row: c.at.row, inside: true, key: bytes.Clone(key)}
	c.group++
	if err := c.enter(); err != nil {
		return false, err
	}
	c.ready()
	c.take.Begin(c.at.key, &c.st, c.head())
	return false, c.carry()
}

// nextKey is the next one of which there is a row, or which is here and before that, or in the interval that the chunk covers.
func (c *chunkCall) nextKey() (key []byte, row, ok bool) {
	if c.at.row < len(c.chunk.Rows) {
		key, row = c.chunk.Rows[c.at.row].Key, true
	}
	if here := c.walk.Key(); c.walk.Valid() && (row && bytes.Compare(here, key) < 0 || !row && c.covers(here)) {
		return here, false, true
	}
	return key, row, row
}

// covers says whether all there is of a key in the state is in the chunk, or was in those before.
func (c *chunkCall) covers(key []byte) bool {
	return c.chunk.End || bytes.Compare(key, c.chunk.Through) <= 0
}

// sends says whether a key is the sender's.
func (c *chunkCall) sends(at *store.Sender, key []byte) bool {
	if at.Hash == meta.HashMurmur3 {
		return store.PartitionByMurmur3(key, at.Partitions) == c.chunk.Sender.Partition
	}
	return store.PartitionBySlot(key, at.Partitions) == c.chunk.Sender.Partition
}

// goOn takes up the key that the cursor is in where it was left.
func (c *chunkCall) goOn() error {
	if err := c.enter(); err != nil {
		return err
	}
	c.ready()
	c.take.GoOn(c.at.key, &c.st, c.head(), c.at.found)
	return c.carry()
}

// enter reads the key that the cursor is in.
func (c *chunkCall) enter() error {
	m, ok, err := c.r.view.Meta(c.at.key)
	if err != nil {
		return fmt.Errorf("key %q: %w", clipKey(c.at.key), err)
	}
	c.meta = append(c.meta[:0], m.Value...)
	m.Value = c.meta
	c.st = conflict.Stored{Meta: m, Exists: ok && m.Type != event.TypeNone}
	return nil
}

// head is what the snapshot has of the key as a whole. Of one whose last rows came with the chunk before it is what they left.
func (c *chunkCall) head() event.Meta {
	rows := c.chunk.Rows
	for _, i := range [...]int{c.at.row, c.at.row - 1} {
		if i >= 0 && i < len(rows) && bytes.Equal(rows[i].Key, c.at.key) {
			return conflict.HeadOf(&rows[i])
		}
	}
	if c.at.goesOn {
		return c.st.Meta
	}
	return event.Meta{}
}

// row is the key's next row; nil if there is none left.
func (c *chunkCall) row() *event.Mutation {
	if c.at.row < len(c.chunk.Rows) && bytes.Equal(c.chunk.Rows[c.at.row].Key, c.at.key) {
		return &c.chunk.Rows[c.at.row]
	}
	return nil
}

// ready has the next changes that are emitted begin lives of their own.
func (c *chunkCall) ready() {
	b := c.p.b
	c.p.env.Generation = uint64(b.ev.Time) + uint64(len(b.ev.Mutations))
}

// carry carries out what a call of the takeover came to.
func (c *chunkCall) carry() error {
	for i := range c.take.Conflicts {
		f := &c.take.Conflicts[i]
		c.p.st = *f.Stored
		f.Mutation.Group = c.group
		c.p.counted.count(&f.Outcome)
		if err := c.p.record(f.Mutation, &f.Outcome); err != nil {
			return err
		}
		c.at.noted = true
	}
	for i := range c.take.Emit {
		c.take.Emit[i].Group = c.group
		c.p.emit(&c.take.Emit[i])
		c.at.changed = true
	}
	c.at.found = c.take.Found()
	return nil
}

// leave ends the key that the cursor is in.
func (c *chunkCall) leave() error {
	c.ready()
	c.take.End()
	if err := c.carry(); err != nil {
		return err
	}
	if c.take.Whole() {
		c.r.heal(c.p.b, c.at.key)
	}
	n := &c.p.replayed
	switch {
	case c.at.noted:
		n.Conflicts++
	case !c.at.changed:
		n.Skipped++
	}
	if c.at.changed {
		n.Applied++
	}
	switch {
	case !c.walk.Valid() || bytes.Compare(c.walk.Key(), c.at.key) > 0:
	case bytes.Equal(c.walk.Key(), c.at.key):
		c.walk.Next()
	default: // what is before a key that was begun with another chunk was looked at then
		c.walk.Seek(append(bytes.Clone(c.at.key), 0))
	}
	c.at = cursor{after: c.at.key, row: c.at.row}
	return c.walk.Err()
}

// move puts the place into the batch that goes with what was taken over.
func (c *chunkCall) move(b *batch, at *store.Sender) {
	r := c.r
	to, sync := *at, *at.Sync
	to.Sync = &sync
	if c.finished && c.chunk.End {
		to = ended(&to)
	} else {
		c.moveThrough(&sync)
	}
	c.last = to.Sync
	c.begun++
	r.assignNames(b)
	r.movePlace(b, move{place: c.place, to: &placed{id: c.chunk.Sender, at: to}, counted: c.p.counted}, store.SenderChange(c.chunk.Sender, &to))
	c.done = c.p.replayed
	c.done.Sender = to
}

// moveThrough notes how far the rows are in.
func (c *chunkCall) moveThrough(sync *store.FullSync) {
	through := c.at.after
	if c.finished {
		through = c.chunk.Through
	}
	if bytes.Compare(through, sync.Through) > 0 {
		sync.Through, sync.Within = bytes.Clone(through), nil
	}
	if c.finished && c.at.inside {
		w := within{key: c.at.key, found: c.at.found, sub: c.at.sub, hasSub: c.at.hasSub}
		sync.Parts, sync.Within = c.part, w.append()
	}
}
