package command_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/engine/mem"
	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/conflict"
)

// site is a cluster in small: partitions that keys are spread over in a way of its own, and a clock that is apart from the others'.
type site struct {
	name  string
	parts []*part
	route func(key []byte, partitions uint32) uint32
	apart time.Duration
}

func (s *site) part(key []byte) *part { return s.parts[s.route(key, uint32(len(s.parts)))] }

// part is one partition: a store whose leader evaluates commands, decides what comes from other sites, and writes each event through its log.
type part struct {
	t      testing.TB
	site   *site
	number uint32
	store  *store.Store
	apply  *store.Apply
	fold   event.Fold
	pos    event.Position
	clock  int64
	self   event.ClusterNumber
	log    []entry
	places map[*part]*place // of the partitions that changes come from
	buf    []byte
	d      conflict.Decision
	ctx    command.Context
	ev     event.Event // being made
}

// entry is an event as others read it.
type entry struct {
	pos   event.Position
	data  []byte
	names event.Names
}

// place is how far a partition of another site is in: entries, and the time of its clock.
type place struct {
	next int
	time int64
}

func newSite(t testing.TB, name string, partitions int, route func([]byte, uint32) uint32) *site {
	s := &site{name: name, route: route}
	for i := range partitions {
		e, err := mem.Open(t.TempDir(), mem.Options{})
		check(t, err)
		t.Cleanup(func() { check(t, e.Close()) })
		p := &part{t: t, site: s, number: uint32(i), pos: event.Position{Term: 1}, places: map[*part]*place{}}
		p.store, err = store.Open(e, store.Identity{Cluster: name, Namespace: "n", Partition: uint32(i)}, nil)
		check(t, err)
		p.apply = p.store.NewApply()
		s.parts = append(s.parts, p)
	}
	return s
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// begin begins an event at a time of all sites' common, true clock.
func (p *part) begin(now time.Time) {
	wall := now.Add(p.site.apart)
	p.clock = max(p.clock+1, wall.UnixNano())
	p.ev = event.Event{Time: p.clock, Wall: max(wall.UnixMilli(), p.store.State().Wall), Term: 1}
	if p.self == 0 {
		p.self = 1
		p.ev.Clusters = []event.ClusterName{{Number: 1, ID: p.site.name}}
	}
}

// end writes the event, as far as there is something in it, by way of its logged form.
func (p *part) end() {
	if len(p.ev.Mutations)+len(p.ev.Own)+len(p.ev.Clusters) == 0 {
		return
	}
	p.clock = max(p.clock, p.ev.Time+int64(len(p.ev.Mutations)))
	p.pos.Index++
	data := event.Append(nil, &p.ev)
	var ev event.Event
	check(p.t, event.Decode(data, &ev))
	check(p.t, p.apply.Event(p.pos, &ev))
	check(p.t, p.apply.Commit())
	p.fold.Event(&ev)
	p.log = append(p.log, entry{pos: p.pos, data: data, names: p.store.State().Clusters})
}

// run evaluates a command line as the leader would.
func (p *part) run(now time.Time, line string) string {
	p.begin(now)
	reply := &command.Reply{}
	spec, _, problem := command.Resolve(words(line), &command.DefaultLimits)
	if problem != "" {
		p.t.Fatalf("%s: %s", line, problem)
	}
	c := p.context(p.ev.Wall)
	c.Spec, c.Args, c.Reply, c.Random = spec, words(line), reply, uint64(p.clock)*0x9E3779B97F4A7C15
	check(p.t, spec.Run(c))
	if c.More != nil {
		p.t.Fatalf("%s goes on", line)
	}
	p.end()
	return string(reply.Buf)
}

func (p *part) context(now int64) *command.Context {
	c := &p.ctx
	c.View, c.Tx, c.Now, c.Resume = p, p, now, nil
	c.Replicates, c.MemberTombstones, c.Watermark = true, true, p.store.Watermark()
	return c
}

// Emit implements command.Tx. No command of these stories reads what it has changed itself.
func (p *part) Emit(borrowed *event.Mutation) {
	m := *borrowed
	m.Key, m.Value, m.Before.Value = bytes.Clone(m.Key), bytes.Clone(m.Value), bytes.Clone(m.Before.Value)
	m.Elements = slices.Clone(m.Elements)
	for i := range m.Elements {
		e := &m.Elements[i]
		e.Sub, e.Value = bytes.Clone(e.Sub), bytes.Clone(e.Value)
	}
	command.Stamp(&m, event.Version{Time: p.ev.Time + int64(len(p.ev.Mutations)), Cluster: p.self})
	p.ev.Mutations = append(p.ev.Mutations, m)
}

// Meta implements command.View.
func (p *part) Meta(key []byte) (m event.Meta, ok bool, err error) {
	m, p.buf, ok, err = p.store.Meta(p.buf[:0], key)
	if err == nil && !ok {
		m, p.buf, ok, err = p.store.Tombstone(p.buf[:0], key)
	}
	return m, ok, err
}

// Keys implements command.View.
func (p *part) Keys(from []byte, visit func([]byte, *event.Meta) bool) error {
	return p.store.Keys(from, visit)
}

// KeysReverse implements command.View.
func (p *part) KeysReverse(before []byte, visit func([]byte, *event.Meta) bool) error {
	return p.store.Live(nil).KeysReverse(before, visit)
}

// Len implements command.View.
func (p *part) Len() int64 { return p.store.State().Keys }

// Element implements command.View.
func (p *part) Element(key []byte, m *event.Meta, sub []byte) (e command.Element, ok bool, err error) {
	e, p.buf, ok, err = p.store.Element(p.buf[:0], key, m, sub)
	if err == nil && !ok {
		e.Version, p.buf, err = p.store.ElementTombstone(p.buf[:0], key, sub)
	}
	return e, ok, err
}

// Elements implements command.View.
func (p *part) Elements(key []byte, m *event.Meta, in command.Range, visit func([]byte, *command.Element) bool) error {
	return p.store.Live(nil).Elements(key, m, in, visit)
}

// Scores implements command.View.
func (p *part) Scores(key []byte, m *event.Meta, in command.ScoreRange, visit func(float64, []byte) bool) error {
	return p.store.Live(nil).Scores(key, m, in, visit)
}

// CountScores implements command.View.
func (p *part) CountScores(key []byte, m *event.Meta, in command.ScoreRange) (int64, error) {
	return p.store.Live(nil).CountScores(key, m, in)
}

// deliver brings the next entry of a partition of another site, or the time of its clock if there is none.
func (s *site) deliver(now time.Time, from *part) {
	at := s.parts[0].place(from)
	if at.next == len(from.log) {
		from.clock = max(from.clock+1, now.Add(from.site.apart).UnixNano())
		for _, p := range s.parts {
			p.place(from).time = from.clock
		}
		return
	}
	e := &from.log[at.next]
	var ev event.Event
	check(from.t, event.Decode(e.data, &ev))
	for i := range ev.Mutations {
		if m := &ev.Mutations[i]; m.Origin == nil && m.Op != event.OpExpire {
			s.part(m.Key).replay(now, from, e, m)
		}
	}
	for _, p := range s.parts {
		*p.place(from) = place{next: at.next + 1, time: max(at.time, ev.Time+int64(len(ev.Mutations))-1)}
	}
}

func (p *part) place(from *part) *place {
	if p.places[from] == nil {
		p.places[from] = &place{}
	}
	return p.places[from]
}

// replay decides a mutation, and writes what comes of it.
func (p *part) replay(now time.Time, from *part, e *entry, m *event.Mutation) {
	p.begin(now)
	was := p.store.State().Clusters
	if len(was) == 0 {
		was = event.Names{"", p.site.name}
	}
	names := slices.Clone(was)
	conflict.Translate(m, e.names, &names)
	origin := event.Origin{Cluster: names.Number([]byte(from.site.name)), Partition: from.number, Position: e.pos}
	for n := len(was); n < len(names); n++ {
		p.ev.Clusters = append(p.ev.Clusters, event.ClusterName{Number: event.ClusterNumber(n), ID: names[n]})
	}
	env := &conflict.Env{Names: names, Self: p.self, Origin: origin, Policy: conflict.PolicyElement, Watermark: p.store.Watermark(), Generation: uint64(p.ev.Time)}
	conflict.Decide(&p.d, env, p.stored(env, m), m)
	if p.d.Action == conflict.Diverge {
		p.t.Fatalf("%s diverges at %s: %+v", m.Key, p.site.name, p.d.Outcomes)
	}
	p.ev.Mutations = append(p.ev.Mutations, p.d.Emit...)
	p.clock = max(p.clock, m.Version.Time)
	p.end()
}

// stored reads what a decision needs.
func (p *part) stored(env *conflict.Env, m *event.Mutation) *conflict.Stored {
	st := &conflict.Stored{}
	meta, ok, err := p.Meta(m.Key)
	check(p.t, err)
	meta.Value = bytes.Clone(meta.Value)
	st.Meta, st.Exists = meta, ok && meta.Type != event.TypeNone
	for i := range m.Elements {
		e, ok, err := p.Element(m.Key, &st.Meta, m.Elements[i].Sub)
		check(p.t, err)
		st.Elements = append(st.Elements, conflict.Element{Sub: m.Elements[i].Sub, Value: bytes.Clone(e.Value), Score: e.Score, Version: e.Version, Exists: ok})
	}
	if conflict.Wants(env, &st.Meta, st.Exists, m) == conflict.WantAll {
		check(p.t, p.Elements(m.Key, &st.Meta, command.Range{}, func(sub []byte, e *command.Element) bool {
			st.All = append(st.All, conflict.Element{Sub: bytes.Clone(sub), Value: bytes.Clone(e.Value), Score: e.Score, Version: e.Version, Exists: true})
			return true
		}))
	}
	return st
}

// sink raises the watermark as far as the other sites let it.
func (p *part) sink(now time.Time, others []*site) {
	at := int64(math.MaxInt64)
	for _, o := range others {
		for _, q := range o.parts {
			at = min(at, p.place(q).time, q.place(p).time)
		}
	}
	p.begin(now)
	if at = min(at, p.ev.Time-1); at > p.store.Watermark() {
		p.ev.Own = []event.OwnChange{store.Watermark(at)}
	}
	p.end()
}

// expire removes what may be removed of what has expired.
func (p *part) expire(now time.Time, offset time.Duration) {
	p.begin(now)
	over := min(p.ev.Wall, (time.Duration(p.store.Watermark()) - offset).Milliseconds())
	var keys [][]byte
	check(p.t, p.store.Expired(over, 100, func(key []byte, _ int64) bool {
		keys = append(keys, bytes.Clone(key))
		return true
	}))
	for _, key := range keys {
		_, err := p.context(over).Expire(key)
		check(p.t, err)
	}
	p.end()
}

// sums are a site's checksums by slot, with a watermark that isn't below its own.
func (s *site) sums(watermark int64) map[uint16]store.Sum {
	all := map[uint16]store.Sum{}
	for _, p := range s.parts {
		c, err := p.store.ChecksumAbove(context.Background(), nil, watermark, 0)
		check(p.t, err)
		for slot, sum := range c.Slots {
			all[slot] = all[slot].Add(sum)
		}
	}
	return all
}

// describe is all that a site has of some keys, in words.
func (s *site) describe(keys, subs []string) string {
	var b strings.Builder
	for _, key := range keys {
		p := s.part([]byte(key))
		names := p.store.State().Clusters
		show := func(v event.Version) string { return fmt.Sprintf("%d@%s", v.Time/1e6, names.ID(v.Cluster)) }
		m, ok, err := p.Meta([]byte(key))
		check(p.t, err)
		fmt.Fprintf(&b, "  %s: %v %s %q v %s floor %s expires %d since %s", key, ok, m.Type, m.Value, show(m.Version), show(m.Floor), m.ExpireAt, show(m.ExpiryVersion))
		for _, sub := range subs {
			e, ok, err := p.Element([]byte(key), &m, []byte(sub))
			check(p.t, err)
			if ok || !e.Version.IsZero() {
				fmt.Fprintf(&b, " %s %v=%s%g/%s", sub, ok, e.Value, e.Score, show(e.Version))
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// folds compares a partition's rows with the fold of its log.
func (p *part) folds() error {
	if err := p.fold.Err(); err != nil {
		return err
	}
	n := 0
	var problem error
	check(p.t, p.store.Keys(nil, func(key []byte, m *event.Meta) bool {
		n++
		got, ok := p.fold.Get(key)
		if !ok || got.Version != m.Version || got.Floor != m.Floor || got.ExpireAt != m.ExpireAt || got.ExpiryVersion != m.ExpiryVersion || got.Count != m.Count {
			problem = fmt.Errorf("%s: the log folds to %+v, stored is %+v", key, got, m)
		}
		folded := map[string]string{}
		for e := range p.fold.Elements(key) {
			folded[string(e.Sub)] = fmt.Sprint(string(e.Value), e.Score, e.Version)
		}
		rows := map[string]string{}
		meta := *m
		check(p.t, p.Elements(bytes.Clone(key), &meta, command.Range{}, func(sub []byte, e *command.Element) bool {
			rows[string(sub)] = fmt.Sprint(string(e.Value), e.Score, e.Version)
			return true
		}))
		if !maps.Equal(folded, rows) {
			problem = fmt.Errorf("%s: the log folds to %v, stored is %v", key, folded, rows)
		}
		return problem == nil
	}))
	if problem == nil && n != p.fold.Len() {
		problem = fmt.Errorf("the log folds to %d keys, stored are %d", p.fold.Len(), n)
	}
	return problem
}
