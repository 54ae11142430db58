package partition

import (
	"bytes"
	"slices"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
)

// errNotQueued is the reply, in its place, to a command of a transaction that no partition can evaluate.
const errNotQueued = "ERR this command isn't available within a transaction"

// runQueue evaluates a transaction: all its commands over the same open batch, or none if a watched key has changed. An error reply of one
// stands among the others'. An error of the engine is returned, and the caller takes back what was emitted.
func (r *Replica) runQueue(req *command.Request, b *batch) error {
	b.whole = demands(req)&command.Barrier != 0
	holds, err := r.watchesHold(req, b)
	if err != nil {
		return err
	}
	if !holds {
		req.Reply.NullArray()
		return nil
	}
	req.Reply.Array(len(req.Queue))
	for i := range req.Queue {
		if err := r.runQueued(&req.Queue[i], req, b); err != nil {
			return err
		}
		if b.bytes > r.opts.MaxEventBytes {
			return nil // the caller takes it back
		}
	}
	return nil
}

func (r *Replica) watchesHold(req *command.Request, b *batch) (bool, error) {
	c := r.prepare(command.WatchRead, nil, nil, b)
	for i := range req.Watched {
		if holds, err := c.WatchHolds(&req.Watched[i]); err != nil || !holds {
			return false, err
		}
	}
	return true, nil
}

// runQueued evaluates one command of a transaction. One that works in pages does all of them at once: a transaction is one event.
func (r *Replica) runQueued(q *command.Queued, req *command.Request, b *batch) error {
	part := &r.part
	*part = command.Reply{Buf: part.Buf[:0], RESP3: req.Reply.RESP3}
	if q.Spec.Run == nil {
		req.Reply.Error(errNotQueued)
		return nil
	}
	r.tx.command = q.Spec.Name
	before := len(b.ev.Mutations)
	c := r.prepare(q.Spec, q.Args, part, b)
	for {
		if err := q.Spec.Run(c); err != nil {
			return err
		}
		if c.More == nil || b.bytes > r.opts.MaxEventBytes {
			break
		}
		c.Resume, part.Buf = c.More, part.Buf[:0]
	}
	c.Resume, c.More = nil, nil
	if len(b.ev.Mutations) > before && part.IsError() {
		panic("partition: " + q.Spec.Name + " changed something and failed")
	}
	req.Reply.Buf = append(req.Reply.Buf, part.Buf...)
	if cap(part.Buf) > keptReply {
		part.Buf = nil
	}
	return r.whole.takeError()
}

// keptReply is how large a buffer for replies may be and be kept.
const keptReply = 1 << 20

// wholeView is what a transaction on the whole partition sees: it is alone, so that what is applied and its own batch is all there is. Unlike
// flightView it shows its own changes also to commands that walk over keys, and to keys that a range took.
type wholeView struct {
	*flightView
	keys   [][]byte // of own mutations, in order
	sorted int      // up to which mutation
	of     *batch
	err    error
}

// Meta implements command.View.
func (v *wholeView) Meta(key []byte) (event.Meta, bool, error) {
	at, ok := v.r.inflight[string(key)]
	own := ok && at.batch == v.r.open && at.batch.ev.Mutations[at.mutation].Op != event.OpRange
	if !own && v.r.open.flushed {
		v.dirty = true
		return event.Meta{}, false, nil
	}
	return v.flightView.Meta(key)
}

// Len implements command.View.
func (v *wholeView) Len() int64 { return v.r.store.State().Keys + v.delta(1, 0) }

// Expiring implements command.ExpiringCounter.
func (v *wholeView) Expiring() int64 { return v.r.store.State().Expiring + v.delta(0, 1) }

// delta is by how much the open batch changes the number of keys, times keys, and of those with an expiry, times expiring.
func (v *wholeView) delta(keys, expiring int64) (n int64) {
	for i := range v.r.open.ev.Mutations {
		m := &v.r.open.ev.Mutations[i]
		v.dirty = true
		if m.Op == event.OpRange {
			n -= keys*int64(m.Count) + expiring*int64(m.Before.Expiring)
			continue
		}
		n -= weigh(m.Before.Exists, m.Before.ExpireAt, keys, expiring)
		left, ok := after(m)
		n += weigh(ok && left.Type != event.TypeNone, left.ExpireAt, keys, expiring)
	}
	return n
}

func weigh(exists bool, expireAt, keys, expiring int64) int64 {
	switch {
	case !exists:
		return 0
	case expireAt != 0:
		return keys + expiring
	}
	return keys
}

// ownKeys are the keys that the open batch has touched, in order, from the given one on.
func (v *wholeView) ownKeys(from []byte) [][]byte {
	b := v.r.open
	if v.of != b || v.sorted != len(b.ev.Mutations) {
		v.keys = v.keys[:0]
		for i := range b.ev.Mutations {
			if m := &b.ev.Mutations[i]; m.Op != event.OpRange {
				v.keys = append(v.keys, m.Key)
			}
		}
		slices.SortFunc(v.keys, bytes.Compare)
		v.keys = slices.CompactFunc(v.keys, bytes.Equal)
		v.of, v.sorted = b, len(b.ev.Mutations)
	}
	at, _ := slices.BinarySearchFunc(v.keys, from, bytes.Compare)
	return v.keys[at:]
}

// Keys implements command.View: what is applied, and what the open batch made of it.
func (v *wholeView) Keys(from []byte, visit func([]byte, *event.Meta) bool) error {
	own := v.ownKeys(from)
	if len(own) > 0 {
		v.dirty = true
	}
	var err error
	more := true
	show := func(key []byte) {
		var m event.Meta
		var ok bool
		if m, ok, err = v.Meta(key); err == nil && ok && m.Type != event.TypeNone {
			more = visit(key, &m)
		}
		more = more && err == nil
	}
	if !v.r.open.flushed {
		walked := v.flightView.Keys(from, func(key []byte, m *event.Meta) bool {
			for more && len(own) > 0 && bytes.Compare(own[0], key) < 0 {
				show(own[0])
				own = own[1:]
			}
			if !more {
				return false
			}
			if len(own) > 0 && bytes.Equal(own[0], key) {
				return true // shown by the next step
			}
			more = visit(key, m)
			return more
		})
		if walked != nil {
			return walked
		}
	}
	for ; more && len(own) > 0; own = own[1:] {
		show(own[0])
	}
	return err
}

// takeError is the error of an Emit, if there was one.
func (v *wholeView) takeError() error {
	err := v.err
	v.err = nil
	return err
}

// wholeTx is the Tx for wholeView. Before a range it removes what its batch has made itself, key by key: nothing of an event may lie
// under a range of the same event.
type wholeTx struct {
	*batchTx
	view *wholeView
	ctx  command.Context
}

// Emit implements command.Tx.
func (t *wholeTx) Emit(m *event.Mutation) {
	if m.Op != event.OpRange {
		t.batchTx.Emit(m)
		return
	}
	if err := t.removeOwn(); err != nil {
		t.view.err = err
		return
	}
	if n := t.view.Len(); n > 0 {
		m.Count, m.Before.Expiring = uint64(n), uint64(t.view.Expiring())
		t.batchTx.Emit(m)
	}
	t.r.open.flushed = true
}

var del = command.Lookup([]byte("del"))

func (t *wholeTx) removeOwn() error {
	c := &t.ctx
	b := t.r.open
	c.Spec, c.View, c.Tx, c.Now = del, t.view, t.batchTx, b.ev.Wall
	t.r.replication(c)
	c.Reply = &command.Reply{}
	for _, key := range slices.Clone(t.view.ownKeys(nil)) {
		c.Args = [][]byte{[]byte(del.Name), key}
		if err := del.Run(c); err != nil {
			return err
		}
		if _, err := c.Expire(key); err != nil {
			return err
		}
	}
	return nil
}
