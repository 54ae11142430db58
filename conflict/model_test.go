package conflict

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/zankv/zankv/cdc/event"
)

// A small model of a cluster with one key: local writes are evaluated as cluster/command does, mutations that came in are decided, and both are
// projected as cluster/store does, which checks what the projection relies on.

// names put ids in another order than numbers, so that who compares numbers is caught. Cluster n of a history has the id that n has here.
var names = event.Names{"", "zeta", "alpha", "mid"}

// tables are the numbers of each cluster's own.
var tables = [...]event.Names{nil, names, {"", "mid", "zeta", "alpha"}, {"", "alpha", "mid"}}

const key = "k"

type row struct {
	value   string
	score   float64
	version event.Version
}

type world struct {
	names    event.Names
	self     event.ClusterNumber // by its own numbers
	policy   Policy
	now      int64 // ms: what local commands judge expiry by
	skew     int64
	clock    int64
	meta     event.Meta
	exists   bool
	rows     map[string]row
	tombs    map[string]event.Version
	lives    uint64
	own      []event.Mutation // made here
	all      []event.Mutation // applied here
	diverged event.Version
	logged   map[ID]Outcome
	d        Decision
	broken   string
	// coded: what is emitted goes through the logged form.
	coded bool
}

func newWorld(cluster event.ClusterNumber, policy Policy) *world {
	w := &world{names: slices.Clone(tables[cluster]), policy: policy, rows: map[string]row{}, tombs: map[string]event.Version{}, logged: map[ID]Outcome{}}
	w.self = w.names.Number([]byte(names.ID(cluster)))
	return w
}

func (w *world) env() *Env {
	w.lives++
	return &Env{Names: w.names, Self: w.self, Policy: w.policy, Generation: uint64(w.self)<<32 | w.lives}
}

func (w *world) breaks(format string, args ...any) {
	if w.broken == "" {
		w.broken = fmt.Sprintf(format, args...)
	}
}

// stored reads what a decision needs.
func (w *world) stored(m *event.Mutation) *Stored {
	st := &Stored{Meta: w.meta, Exists: w.exists, Diverged: w.diverged}
	for i := range m.Elements {
		st.Elements = append(st.Elements, w.element(string(m.Elements[i].Sub)))
	}
	if Wants(w.env(), &w.meta, w.exists, m) == WantAll {
		for _, sub := range slices.Sorted(maps.Keys(w.rows)) {
			st.All = append(st.All, w.element(sub))
		}
	}
	return st
}

func (w *world) element(sub string) Element {
	r, ok := w.rows[sub]
	if !ok {
		return Element{Sub: []byte(sub), Version: w.tombs[sub]}
	}
	return Element{Sub: []byte(sub), Value: []byte(r.value), Score: r.score, Version: r.version, Exists: true}
}

// receive decides a mutation of another cluster and applies the outcome, then decides it again, which must change nothing.
func (w *world) receive(of *event.Mutation, from *world) Action {
	m := *of
	m.Elements = slices.Clone(of.Elements)
	origin := event.Origin{Cluster: from.self, Position: event.Position{Term: 1, Index: 1}}
	if of.Origin != nil {
		origin = *of.Origin
		m.Origin = &origin
	}
	Translate(&m, from.names, &w.names)
	env := w.env()
	env.Origin = origin
	env.Origin.Cluster = w.names.Number([]byte(from.names.ID(origin.Cluster)))
	if of.Origin != nil {
		env.Origin.Cluster = origin.Cluster
	}
	st := w.stored(&m)
	Decide(&w.d, env, st, &m)
	action := w.d.Action
	w.note(env, st, &m)
	for _, e := range w.proposed() {
		w.apply(&e)
	}
	w.clock = max(w.clock, m.Version.Time)
	Decide(&w.d, env, w.stored(&m), &m)
	if len(w.d.Emit) != 0 {
		w.breaks("%s decided twice emits %s", w.describe(&m), w.describe(&w.d.Emit[0]))
	}
	return action
}

// proposed is what was emitted, in memory of its own, as it comes back from the log.
func (w *world) proposed() (emitted []event.Mutation) {
	for i := range w.d.Emit {
		emitted = append(emitted, copyOf(&w.d.Emit[i]))
	}
	if !w.coded || len(emitted) == 0 {
		return emitted
	}
	var ev event.Event
	if err := event.Decode(event.Append(nil, &event.Event{Time: w.clock, Term: 1, Mutations: emitted}), &ev); err != nil || len(ev.Mutations) != len(emitted) {
		w.breaks("%d mutations come back from the log as %d, %v", len(emitted), len(ev.Mutations), err)
	}
	return ev.Mutations
}

func (w *world) note(env *Env, st *Stored, m *event.Mutation) {
	if w.d.Heals {
		w.diverged = event.Version{}
	}
	for i := range w.d.Outcomes {
		o := &w.d.Outcomes[i]
		if !o.Logged() {
			continue
		}
		w.logged[RecordID(env, m, o)] = *o
		if o.Action == Diverge {
			w.diverged = env.later(w.diverged, m.Version)
		}
	}
}

func copyOf(m *event.Mutation) event.Mutation {
	c := *m
	c.Elements = slices.Clone(m.Elements)
	origin := *m.Origin
	c.Origin = &origin
	return c
}

// apply projects a mutation.
func (w *world) apply(m *event.Mutation) {
	if m.Before.Exists != w.exists || w.exists && (m.Before.Type != w.meta.Type || m.Before.Generation != w.meta.Generation || m.Before.ExpireAt != w.meta.ExpireAt) {
		w.breaks("%s: before is %+v, the key is %+v", w.describe(m), m.Before, w.meta)
	}
	w.all = append(w.all, *m)
	left := event.Meta{Floor: m.Floor, ExpireAt: m.ExpireAt, ExpiryVersion: m.ExpiryVersion}
	switch {
	case m.Op == event.OpSet, m.Op == event.OpValue:
		left.Type, left.Version, left.Value = event.TypeString, m.Version, m.Value
		clear(w.rows)
		w.meta, w.exists = left, true
	case m.Op == event.OpDel:
		left.Version = m.KeyVersion
		if left.Version.IsZero() {
			left.Version = m.Floor
		}
		if !m.Tombstone {
			left = event.Meta{}
		}
		w.vanish(left)
	case m.Op == event.OpExpireAt, m.Op == event.OpPersist:
		if !w.exists || m.Before.Version != w.meta.Version || !bytes.Equal(m.Before.Value, w.meta.Value) || m.Count != w.meta.Count || m.Generation != w.meta.Generation {
			w.breaks("%s: the key is %+v", w.describe(m), w.meta)
		}
		w.meta.Floor, w.meta.ExpireAt, w.meta.ExpiryVersion = m.Floor, m.ExpireAt, m.ExpiryVersion
	default:
		w.applyElements(m, left)
	}
}

func (w *world) vanish(left event.Meta) {
	clear(w.rows)
	w.meta, w.exists = left, false
}

func (w *world) applyElements(m *event.Mutation, left event.Meta) {
	left.Type, left.Version, left.Generation, left.Count, left.Value = m.Type, m.KeyVersion, m.Generation, m.Count, m.Value
	same := w.exists && w.meta.Generation == m.Generation
	if m.Whole && same || m.Generation == 0 {
		w.breaks("%s: its generation isn't new", w.describe(m))
	}
	if !same {
		clear(w.rows)
	}
	for i := range m.Elements {
		w.applyElement(m, &m.Elements[i])
	}
	if m.Type != event.TypeBitmap && m.Count != uint64(len(w.rows)) {
		w.breaks("%s: it counts %d elements, there are %d", w.describe(m), m.Count, len(w.rows))
	}
	if m.Count == 0 {
		left.Type, left.Generation, left.Value = 0, 0, nil
		if !m.Tombstone {
			left = event.Meta{}
		}
		w.vanish(left)
		return
	}
	w.meta, w.exists = left, true
}

func (w *world) applyElement(m *event.Mutation, e *event.Element) {
	sub := string(e.Sub)
	before := w.element(sub)
	if m.Type != event.TypeList && !m.Whole && (before.Exists != e.Exists || before.Version != e.Prev || before.Score != e.Was) {
		w.breaks("%s: element %q is %+v", w.describe(m), sub, before)
	}
	delete(w.rows, sub)
	if m.Op == event.OpBits && len(e.Value) == 0 {
		return
	}
	if m.Op.Removes() {
		if m.ElementTombstones {
			w.tombs[sub] = m.Version
		}
		return
	}
	delete(w.tombs, sub)
	w.rows[sub] = row{value: string(e.Value), score: e.Score, version: m.Version}
}

// content is all that clusters must agree on, in one line.
func (w *world) content() string {
	var b strings.Builder
	floor := w.meta.Floor
	if w.exists && w.meta.Type == event.TypeString {
		floor = w.meta.Version
	}
	b.WriteString(w.meta.Type.String() + " ")
	b.Write(w.meta.Value)
	b.WriteString(" v" + w.show(w.meta.Version) + " f" + w.show(floor) + " x" + strconv.FormatInt(w.meta.ExpireAt, 10) + "/" + w.show(w.meta.ExpiryVersion))
	for _, sub := range slices.Sorted(maps.Keys(w.rows)) {
		r := w.rows[sub]
		if w.meta.Type == event.TypeList { // one register
			r.version = w.meta.Version
		}
		b.WriteString(" " + sub + "=" + r.value + "/" + strconv.FormatFloat(r.score, 'g', -1, 64) + "/" + w.show(r.version))
	}
	for _, sub := range slices.Sorted(maps.Keys(w.tombs)) {
		if (&Env{Names: w.names}).Compare(w.tombs[sub], floor) > 0 {
			b.WriteString(" -" + sub + "/" + w.show(w.tombs[sub]))
		}
	}
	return b.String()
}

// visible is what a client sees, in one line.
func (w *world) visible() string {
	var b strings.Builder
	if !w.exists {
		return "nothing"
	}
	fmt.Fprintf(&b, "%s %q %d", w.meta.Type, w.meta.Value, w.meta.ExpireAt)
	for _, sub := range slices.Sorted(maps.Keys(w.rows)) {
		fmt.Fprintf(&b, " %s=%s/%g", sub, w.rows[sub].value, w.rows[sub].score)
	}
	return b.String()
}

func (w *world) show(v event.Version) string { return showBy(w.names, v) }

func show(v event.Version) string { return showBy(names, v) }

func showBy(names event.Names, v event.Version) string {
	if v.IsZero() {
		return "-"
	}
	return strconv.FormatInt(v.Time, 10) + names.ID(v.Cluster)[:1]
}

func (w *world) describe(m *event.Mutation) string { return describeBy(w.names, m) }

func describe(m *event.Mutation) string { return describeBy(names, m) }

func describeBy(names event.Names, m *event.Mutation) string {
	show := func(v event.Version) string { return showBy(names, v) }
	var b strings.Builder
	fmt.Fprintf(&b, "%s v%s prev%s floor%s x%d/%s n%d", m.Op, show(m.Version), show(m.Prev), show(m.Floor), m.ExpireAt, show(m.ExpiryVersion), m.Count)
	if m.Whole {
		b.WriteString(" whole")
	}
	for i := range m.Elements {
		fmt.Fprintf(&b, " %s=%s", m.Elements[i].Sub, m.Elements[i].Value)
	}
	return b.String()
}
