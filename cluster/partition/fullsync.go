package partition

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/conflict"
)

// BeginSync begins a full sync of a sender that is open, or goes on with one: at another base, the keys that are in stay, and a region says what base they are of.
// It returns where the sender stands then: rows are wanted of the keys after Sync.Through. Errors are Replay's.
func (r *Replica) BeginSync(ctx context.Context, begin *Begin) (store.Sender, error) {
	var to store.Sender
	e := &errand{spec: writeErrand, place: senderPlace(begin.Sender)}
	e.run = func(l *lane, req *command.Request) {
		held := r.places[e.place]
		if held == nil {
			r.refuseErrand(l, req, refusal(RefusedState, nil, "the sender isn't known here: open it first"))
			return
		}
		if err := r.refuseAhead(&held.at, begin.Time); err != nil {
			r.refuseErrand(l, req, err)
			return
		}
		to = begun(&held.at, begin)
		b := r.openBatch()
		r.movePlace(b, move{place: e.place, to: &placed{id: begin.Sender, at: to}}, store.SenderChange(begin.Sender, &to))
		r.hangOn(l, req, b)
	}
	if begin.Base.IsZero() {
		return to, r.senderError(begin.Sender, fmt.Errorf("%w: a full sync without a base", ErrMalformed))
	}
	if err := r.runErrand(ctx, e); err != nil {
		return store.Sender{}, r.senderError(begin.Sender, err)
	}
	return to, nil
}

// begun is where a sender stands when a full sync has begun.
func begun(at *store.Sender, begin *Begin) store.Sender {
	to := *at
	to.Sync = &store.FullSync{Base: begin.Base, Time: begin.Time, Horizons: begin.Horizons}
	if at.Sync == nil || begin.Anew {
		to.Regions = nil // those of an earlier one are of rows that come again
		return to
	}
	to.Sync.Through, to.Sync.Parts = at.Sync.Through, at.Sync.Parts+otherParts
	if at.Sync.Base != begin.Base && len(at.Sync.Through) > 0 {
		to.Regions = endRegion(at, at.Sync.Through)
	}
	return to
}

// otherParts is by how much parts are numbered on where another chunk than the next may come: above what whoever sent the last one sends next, or once more. Two
// who carry the same state cut a key's rows elsewhere: a part of the one isn't to be taken for what follows a part of the other.
const otherParts = 2

// endRegion ends the region that a full sync is in with a key. One that has no keys is none.
func endRegion(at *store.Sender, through []byte) []store.Region {
	regions := at.Regions[:len(at.Regions):len(at.Regions)]
	if n := len(regions); n > 0 && bytes.Equal(regions[n-1].Through, through) {
		return regions
	}
	return append(regions, store.Region{Through: through, Base: at.Sync.Base, Time: at.Sync.Time})
}

// ended is where a sender stands when its full sync is done: everything is in up to the least of its bases.
func ended(at *store.Sender) store.Sender {
	to := *at
	to.Regions = endRegion(at, nil)
	to.Sync = nil
	to.Reached, to.Time = store.Cursor{Position: at.Sync.Base, Done: store.AllDone}, at.Sync.Time
	for i := range to.Regions {
		if g := &to.Regions[i]; g.Base.Compare(to.Reached.Position) < 0 {
			to.Reached.Position, to.Time = g.Base, g.Time
		}
	}
	ahead := false
	for i := range to.Regions {
		ahead = ahead || to.Regions[i].Base != to.Reached.Position
	}
	if !ahead {
		to.Regions = nil
	}
	return to
}

// ReplayChunk takes a chunk of a sender's state over: rows by conflict.Takeover's rule, and of the keys that the chunk covers, and lacks, those of the sender that its
// state must have deleted. It is evaluated in its turn and alone, in events of bounded work, between which others have theirs. When it returns nil, all of the
// chunk is in; a chunk that is in already is left out. The chunk is used up, as a Range is. Errors are Replay's.
func (r *Replica) ReplayChunk(ctx context.Context, chunk *Chunk) (Replayed, error) {
	highest, err := checkChunk(chunk)
	if err != nil {
		return Replayed{}, r.senderError(chunk.Sender, err)
	}
	c := &chunkCall{r: r, chunk: chunk, highest: highest}
	var all Replayed
	for {
		c.errand = errand{spec: barrierErrand, place: senderPlace(chunk.Sender), run: c.run}
		if err := r.runErrand(ctx, &c.errand); err != nil {
			return all, r.senderError(chunk.Sender, err)
		}
		all.Sender = c.done.Sender
		all.Applied, all.Skipped, all.Conflicts = all.Applied+c.done.Applied, all.Skipped+c.done.Skipped, all.Conflicts+c.done.Conflicts
		if c.finished {
			return all, nil
		}
	}
}

// chunkCall is a call of ReplayChunk.
type chunkCall struct {
	errand
	r       *Replica
	chunk   *Chunk
	highest int64 // version in it
	// term is that in which its versions were changed to the numbers here; 0: they weren't.
	term uint64
	take conflict.Takeover
	st   conflict.Stored
	// at is where the evaluation is, begun how many events it made, last where the sender stands after those.
	at       cursor
	begun    int
	last     *store.FullSync
	part     uint32 // that follows, if it ends within a key
	finished bool
	done     Replayed

	p       *replaying
	snap    *store.Snapshot
	walk    *store.KeyWalk
	visited int
	meta    []byte // st's value
	parts   arena  // elements that were read
	stored  []conflict.Element
	graves  []conflict.Element
	merged  []conflict.Element
	scratch []byte
	group   uint32
	passed  uint64 // rows that were in before
}

// run evaluates what of the chunk isn't in.
func (c *chunkCall) run(l *lane, req *command.Request) {
	r := c.r
	c.done = Replayed{}
	held := r.places[c.place]
	if err := c.refusal(held); err != nil {
		r.refuseErrand(l, req, err)
		return
	}
	if c.term != 0 && c.term != r.term { // the numbers may be other clusters' now
		elsewhere(req, 0)
		r.resolve(answer{lane: l, req: req}, command.Elsewhere)
		return
	}
	if c.begun == 0 && !c.begin(held.at.Sync) {
		c.finished, c.done.Sender, c.done.Skipped = true, held.at, uint64(len(c.chunk.Rows))
		r.answerRead(l, req)
		return
	}
	if !r.openAbove(max(c.highest, held.at.Sync.Time)) {
		r.postpone(l, req)
		return
	}
	c.evaluate(l, req, r.openBatch(), &held.at)
}

// refusal says why the chunk can't be taken where its sender stands; nil if it can.
func (c *chunkCall) refusal(held *placed) error {
	r, chunk := c.r, c.chunk
	if held == nil {
		return refusal(RefusedState, nil, "the sender isn't known here: open it first")
	}
	at := &held.at
	sync := at.Sync
	switch {
	case sync == nil:
		return refusal(RefusedSuperseded, at, "no full sync is under way: it is done, or a place was adopted")
	case sync.Base != chunk.Base, c.begun > 0 && sync != c.last:
		return refusal(RefusedSuperseded, at, "the full sync goes on with the state at %s; the chunk is of that at %s", sync.Base, chunk.Base)
	case c.begun > 0:
		return nil
	case bytes.Compare(chunk.After, sync.Through) > 0,
		bytes.Equal(chunk.After, sync.Through) && chunk.Part > 0 && chunk.Part != sync.Parts && (chunk.Part+1 != sync.Parts || c.moves(sync)),
		chunk.Part > 0 && c.skipsKey(sync):
		return refusal(RefusedGap, at, "the chunk begins behind key %q, part %d; what is here ends with key %q, part %d",
			clipKey(chunk.After), chunk.Part, clipKey(sync.Through), sync.Parts)
	}
	if err := r.refuseAhead(at, c.highest); err != nil {
		return err
	}
	if err := r.admitNames(chunk.Names); err != nil {
		return refusal(RefusedState, at, "%s", err)
	}
	return nil
}

// skipsKey says whether a chunk goes on with a key whose first rows aren't in.
func (c *chunkCall) skipsKey(sync *store.FullSync) bool {
	rows := c.chunk.Rows
	if len(rows) == 0 {
		return false
	}
	if bytes.Equal(c.chunk.After, sync.Through) {
		within, _ := parseWithin(sync.Within)
		return c.chunk.Part == sync.Parts && bytes.Compare(rows[0].Key, within.key) < 0
	}
	return bytes.Compare(rows[0].Key, sync.Through) > 0
}

// moves says whether a chunk brings the rest of a key.
func (c *chunkCall) moves(sync *store.FullSync) bool {
	return c.chunk.End || bytes.Compare(c.chunk.Through, sync.Through) > 0
}

// begin finds where the chunk begins that isn't in; false: all of it is.
func (c *chunkCall) begin(sync *store.FullSync) bool {
	chunk := c.chunk
	fits := bytes.Equal(chunk.After, sync.Through)
	if !c.moves(sync) && (!fits || chunk.Part > 0 && chunk.Part < sync.Parts || len(chunk.Rows) == 0) {
		return false
	}
	if c.part = sync.Parts + 1; len(sync.Within) > 0 && !(fits && chunk.Part == sync.Parts) {
		c.part += otherParts
	}
	c.at = cursor{after: sync.Through}
	if fits && chunk.Part > 0 && chunk.Part == sync.Parts {
		within, err := parseWithin(sync.Within)
		if err == nil && len(sync.Within) > 0 {
			c.at.inside, c.at.goesOn, c.at.key, c.at.found = true, true, within.key, within.found
			c.at.sub, c.at.hasSub, c.at.swept = within.sub, within.hasSub, true
		}
	}
	for c.at.row < len(chunk.Rows) && len(sync.Through) > 0 && bytes.Compare(chunk.Rows[c.at.row].Key, sync.Through) <= 0 {
		c.at.row++
	}
	c.passed = uint64(c.at.row)
	return true
}

// within is the place within a key whose rows come in parts: FullSync.Within.
//
//	uvarint  length of the key
//	         key
//	1        conflict.Found, and 80 if an element follows
//	         the last element that is in
type within struct {
	key   []byte
	found conflict.Found
	// sub is the last element that is in, if hasSub.
	sub    []byte
	hasSub bool
}

const withinElement = 0x80

func (w *within) append() []byte {
	b := append(binary.AppendUvarint(nil, uint64(len(w.key))), w.key...)
	if !w.hasSub {
		return append(b, byte(w.found))
	}
	return append(append(b, byte(w.found)|withinElement), w.sub...)
}

func parseWithin(b []byte) (w within, err error) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n >= uint64(len(b)-size) {
		return w, fmt.Errorf("place within a key: % x", clipKey(b))
	}
	b = b[size:]
	return within{key: b[:n], found: conflict.Found(b[n] &^ withinElement), sub: b[n+1:], hasSub: b[n]&withinElement != 0}, nil
}
