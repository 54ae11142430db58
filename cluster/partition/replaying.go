package partition

import (
	"fmt"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/conflict"
)

// replaying is the decision of mutations from elsewhere, one after the other, into the open batch: read, decide, write. Its memory is used again and again.
type replaying struct {
	r        *Replica
	b        *batch
	env      conflict.Env
	source   conflict.Place // of the event that is being decided
	limit    int            // bytes of content that a side of a conflict shows
	d        conflict.Decision
	st       conflict.Stored
	meta     []byte // st's value
	row      []byte
	parts    arena // st's elements
	elements []conflict.Element
	all      []conflict.Element

	group    uint32 // of the source's event
	grouped  bool   // the batch has a mutation of it
	counted  outcomes
	replayed Replayed
}

// begin starts over for a sender's mutations, which are decided into the batch.
func (p *replaying) begin(r *Replica, b *batch, id store.SenderID) {
	p.r, p.b, p.limit = r, b, r.opts.Replication.ContentLimit
	p.counted, p.replayed = outcomes{}, Replayed{}
	p.source = conflict.Place{Cluster: id.Cluster, Partition: id.Partition}
	p.env = conflict.Env{
		Self: r.self, Policy: r.opts.Replication.Policy, Watermark: r.store.Watermark(), Reached: p.reached,
		Origin: event.Origin{Cluster: r.names.Number([]byte(id.Cluster)), Partition: id.Partition},
	}
	p.grouped = false
}

// at says which event the next mutations are of.
func (p *replaying) at(position event.Position) {
	p.source.Position, p.env.Origin.Position = position, position
	p.grouped = false
}

// one decides a mutation, whose versions are in the numbers here, and writes what comes of it. It returns false, and has written nothing of it, if it has to wait.
func (p *replaying) one(m *event.Mutation) (bool, error) {
	if err := p.read(m); err != nil {
		return false, fmt.Errorf("key %q: %w", clipKey(m.Key), err)
	}
	p.decide(m)
	if p.d.Action == conflict.Wait {
		return false, nil
	}
	return true, p.write(m)
}

// read fills in what is stored, as far as the decision needs it.
func (p *replaying) read(m *event.Mutation) error {
	v := &p.r.view
	p.env.Names = p.r.names
	p.parts.reuse()
	p.st = conflict.Stored{}
	meta, ok, err := v.Meta(m.Key)
	if err != nil {
		return err
	}
	p.meta, v.buf = v.buf, p.meta // its value stays as it is until the next one is read
	p.st.Meta, p.st.Exists = meta, ok && meta.Type != event.TypeNone
	if p.st.Diverged, err = p.r.divergedUpTo(&p.env, m.Key); err != nil {
		return err
	}
	if err := p.readNamed(m); err != nil {
		return err
	}
	return p.readAll(m)
}

// readNamed reads the elements that a mutation names. A list is one register: its items aren't needed.
func (p *replaying) readNamed(m *event.Mutation) error {
	if !m.Op.OnElements() || m.Type == event.TypeList || p.st.Exists && p.st.Type != m.Type && p.st.Type != event.TypeString {
		return nil
	}
	v := &p.r.view
	p.elements = p.elements[:0]
	rows := v.elements(m.Key)
	lives := p.st.Exists && p.st.Type == m.Type
	for i := range m.Elements {
		out := conflict.Element{Sub: m.Elements[i].Sub}
		var e command.Element
		var err error
		if lives {
			e, out.Exists, err = v.Element(m.Key, &p.st.Meta, out.Sub)
		} else {
			e.Version, v.buf, err = rows.ElementTombstone(v.buf[:0], m.Key, out.Sub)
		}
		if err != nil {
			return err
		}
		out.Version, out.Score = e.Version, e.Score
		if out.Exists {
			out.Value = p.parts.copy(e.Value)
		}
		p.elements = append(p.elements, out)
	}
	p.st.Elements = p.elements
	return nil
}

// readAll reads all elements where the decision needs them, and as many of those that are lost as a record shows.
func (p *replaying) readAll(m *event.Mutation) error {
	want := conflict.Wants(&p.env, &p.st.Meta, p.st.Exists, m)
	if want == conflict.WantNone || want == conflict.WantLost && p.limit == 0 {
		return nil
	}
	p.all = p.all[:0]
	size := 0
	err := p.r.view.Elements(m.Key, &p.st.Meta, command.Range{}, func(sub []byte, e *command.Element) bool {
		if size += len(sub) + len(e.Value) + elementOverhead; want == conflict.WantLost && size > p.limit {
			return false
		}
		p.all = append(p.all, conflict.Element{Sub: p.parts.copy(sub), Value: p.parts.copy(e.Value), Score: e.Score, Version: e.Version, Exists: true})
		return true
	})
	p.st.All = p.all
	return err
}

// decide decides the mutation that was read for.
func (p *replaying) decide(m *event.Mutation) {
	p.env.Generation = uint64(p.b.ev.Time) + uint64(len(p.b.ev.Mutations))
	conflict.Decide(&p.d, &p.env, &p.st, m)
}

// write emits what was decided, and records what was lost.
func (p *replaying) write(m *event.Mutation) error {
	r, b := p.r, p.b
	logged := false
	for i := range p.d.Outcomes {
		o := &p.d.Outcomes[i]
		p.counted.count(o)
		if o.Logged() {
			logged = true
			if err := p.record(m, o); err != nil {
				return err
			}
		}
	}
	for i := range p.d.Emit {
		p.emit(&p.d.Emit[i])
	}
	if p.d.Heals {
		r.heal(b, b.ev.Mutations[len(b.ev.Mutations)-1].Key)
	}
	switch {
	case logged:
		p.replayed.Conflicts++
	case len(p.d.Emit) == 0:
		p.replayed.Skipped++
	}
	if len(p.d.Emit) > 0 {
		p.replayed.Applied++
	}
	return nil
}

// emit puts a change into the batch with the version that it has, in a group that the batch has only of this source's group.
func (p *replaying) emit(m *event.Mutation) {
	r := p.r
	if !p.grouped || p.group != m.Group {
		p.grouped, p.group = true, m.Group
		r.nextGroup++
	}
	e, _ := r.take(p.b, m)
	e.Group, e.Origin = r.nextGroup-1, r.arena.copyOrigin(m.Origin)
	r.view.ends.noteEmitted(e)
	if e.Op.OnElements() && !e.Whole && e.KeyVersion != e.Version {
		r.older.written(e.Key)
	}
}

// record puts an outcome into the conflict log.
func (p *replaying) record(m *event.Mutation, o *conflict.Outcome) error {
	r, b := p.r, p.b
	rec := conflict.NewRecord(&p.env, &p.st, m, o, p.source, b.ev.Time, p.limit)
	id := rec.RowID()
	row, err := r.conflictRow(id)
	if err != nil {
		return err
	}
	before := 0
	if row != nil {
		before = len(id) + len(row)
	}
	r.putRow(b, id, rec.Append(nil), before, nil)
	if o.Action != conflict.Diverge {
		return nil
	}
	return r.diverge(b, &rec)
}

// reuse forgets what was copied. Only who knows that nothing of it is looked at any more may call it.
func (a *arena) reuse() {
	if cap(a.chunk) > keptReply {
		a.chunk = nil
	}
	a.chunk = a.chunk[:0]
}
