package conflict

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/zankv/zankv/cdc/event"
)

// snapshot is what a cluster has of the model's key, as rows, and up to when it has what each cluster made.
type snapshot struct {
	rows     []event.Mutation
	names    event.Names
	from     event.ClusterNumber
	time     int64
	horizons map[string]int64
	known    map[string]int64 // up to when they have come to who takes it over
}

// rows are as store.Snapshot's FullRows gives them, cut after so many elements.
func (w *world) snapshotRows(cut int) (rows []event.Mutation) {
	m := w.meta
	head := event.Mutation{
		Type: m.Type, Key: []byte(key), Value: m.Value, Version: m.Version, Floor: m.Floor, ExpireAt: m.ExpireAt, ExpiryVersion: m.ExpiryVersion,
		Generation: m.Generation,
	}
	graves := event.OpHDel
	floor := m.Floor
	switch {
	case !w.exists && (m.Version != event.Version{} || m.Floor != event.Version{} || m.ExpiryVersion != event.Version{}):
		head.Op, head.Tombstone = event.OpDel, false
		rows = append(rows, head)
	case !w.exists:
	case m.Type == event.TypeString:
		head.Op, floor, graves = event.OpSet, m.Version, 0
		rows = append(rows, head)
	default:
		rows = w.elementRows(head, cut)
		graves = removeOps[m.Type]
	}
	row := head
	row.Op, row.Elements, row.KeyVersion, row.Count = graves, nil, m.Version, m.Count
	if !w.exists {
		row.Type = graves.ElementType()
	}
	for _, sub := range slices.Sorted(maps.Keys(w.tombs)) {
		if graves != 0 && (&Env{Names: w.names}).Compare(w.tombs[sub], floor) > 0 {
			row.Elements = append(row.Elements, event.Element{Sub: []byte(sub), Prev: w.tombs[sub]})
		}
	}
	if len(row.Elements) > 0 {
		rows = append(rows, row)
	}
	return rows
}

func (w *world) elementRows(row event.Mutation, cut int) (rows []event.Mutation) {
	row.Op, row.Whole, row.KeyVersion = rowOps[row.Type], true, w.meta.Version
	subs := slices.Sorted(maps.Keys(w.rows))
	for part := range slices.Chunk(subs, cut) {
		row.Elements = nil
		for _, sub := range part {
			r := w.rows[sub]
			e := event.Element{Sub: []byte(sub), Value: []byte(r.value), Score: r.score}
			if row.Type != event.TypeList {
				e.Prev, e.Exists, e.Was = r.version, true, r.score
			}
			row.Elements = append(row.Elements, e)
		}
		row.Count += uint64(len(part))
		rows = append(rows, row)
		row.Whole = false
	}
	return rows
}

// between is what is here of elements above from, up to and with to; all that follow if to is empty.
func (w *world) between(from, to string) (all []Element) {
	subs := maps.Clone(w.tombs)
	for sub, r := range w.rows {
		subs[sub] = r.version
	}
	for _, sub := range slices.Sorted(maps.Keys(subs)) {
		if sub > from && (to == "" || sub <= to) {
			all = append(all, w.element(sub))
		}
	}
	return all
}

// taking is a takeover of the model's key.
type taking struct {
	*Takeover
	w       *world
	st      Stored
	head    event.Meta
	draw    *rand.Rand
	changes int
	swept   bool // what is here of another type was looked at
}

// sync takes a snapshot over, in spans of a draw's size, as cluster/partition does. It returns how many changes that makes.
func (w *world) sync(s *snapshot, draw *rand.Rand) int {
	k := &taking{Takeover: &Takeover{Env: w.env()}, w: w, draw: draw}
	var rows []event.Mutation
	for i := range s.rows {
		m := s.rows[i]
		m.Elements = slices.Clone(m.Elements)
		Translate(&m, s.names, &w.names)
		rows = append(rows, m)
	}
	k.Env.Origin = event.Origin{Cluster: w.names.Number([]byte(s.names.ID(s.from))), Position: event.Position{Term: 1, Index: 9}}
	k.Base = event.Version{Time: s.time, Cluster: k.Env.Origin.Cluster}
	k.Env.Names = w.names
	k.Horizons = make([]int64, len(w.names))
	for n := 1; n < len(w.names); n++ {
		k.Horizons[n] = s.horizons[w.names[n]]
	}
	w.clock = max(w.clock, s.time) // no version in the rows is above it, those of floors and expiries included
	if len(rows) > 0 {
		k.head = HeadOf(&rows[0])
	}
	k.Known = make([]int64, len(w.names))
	for n := 1; n < len(w.names); n++ {
		k.Known[n] = s.known[w.names[n]]
	}
	k.Env.Self = w.self
	k.st = Stored{Meta: w.meta, Exists: w.exists}
	k.Begin([]byte(key), &k.st, k.head)
	k.carry()
	k.sweep()
	k.swept = true
	k.rows(rows)
	k.End()
	k.carry()
	if k.Whole() {
		w.diverged = event.Version{}
	}
	return k.changes
}

// carry carries out what a call came to, and now and then has somebody else go on.
func (k *taking) carry() {
	w := k.w
	k.apply()
	if k.draw.IntN(3) == 0 {
		if k.swept && k.draw.IntN(2) == 0 {
			k.Pause()
			k.apply()
		}
		found := k.Found()
		*k.Takeover = Takeover{Env: k.Env, Horizons: k.Horizons, Known: k.Known, Base: k.Base} // as another event does
		k.st = Stored{Meta: w.meta, Exists: w.exists}
		k.GoOn([]byte(key), &k.st, k.head, found)
		if len(k.Emit)+len(k.Conflicts) > 0 {
			k.carry()
		}
	}
}

// apply carries out what a call came to.
func (k *taking) apply() {
	w := k.w
	for i := range k.Conflicts {
		c := &k.Conflicts[i]
		if !c.Outcome.Logged() {
			w.breaks("noted, and not a conflict: %+v", c.Outcome)
		}
		rec := NewRecord(k.Env, c.Stored, c.Mutation, &c.Outcome, Place{}, 1, 1000)
		w.logged[rec.ID] = c.Outcome
		if c.Outcome.Action == Diverge {
			w.diverged = k.Env.later(w.diverged, c.Mutation.Version)
		}
	}
	w.d.Emit = append(w.d.Emit[:0], k.Emit...)
	for _, m := range w.proposed() {
		w.apply(&m)
		k.changes++
	}
	k.Env.Generation += uint64(len(k.Emit)) + 1
	w.lives = k.Env.Generation&(1<<32-1) + 1
	if st := &k.st; st.Exists != w.exists || st.Exists && (st.Type != w.meta.Type || st.Version != w.meta.Version || st.Count != w.meta.Count ||
		st.Floor != w.meta.Floor || st.ExpiryVersion != w.meta.ExpiryVersion || st.ExpireAt != w.meta.ExpireAt || st.Generation != w.meta.Generation) {
		w.breaks("taken for %+v, it is %+v", st.Meta, w.meta)
	}
}

func (k *taking) sweep() {
	if !k.Sweeps() {
		return
	}
	all := k.w.between("", "")
	if !slices.ContainsFunc(all, func(e Element) bool { return e.Exists && !k.Ancestor(e.Version) }) {
		k.Drop()
		k.carry()
		return
	}
	for part := range slices.Chunk(all, 1+k.draw.IntN(3)) {
		if k.Sweeps() {
			k.Sweep(part)
			k.carry()
		}
	}
}

func (k *taking) rows(rows []event.Mutation) {
	last, open := "", (*event.Mutation)(nil)
	for i := range rows {
		m := &rows[i]
		switch {
		case m.Op == event.OpDel, m.Op == event.OpSet, m.Type == event.TypeList:
			k.Row(m, nil, nil)
			k.carry()
			continue
		case m.Op.Removes():
			k.rest(open, last)
			open = nil
			k.Row(m, m.Elements, k.w.between("", ""))
			k.carry()
			continue
		}
		open = m
		for part := range slices.Chunk(m.Elements, 1+k.draw.IntN(3)) {
			to := string(part[len(part)-1].Sub)
			k.Row(m, part, k.w.between(last, to))
			k.carry()
			last = to
		}
	}
	k.rest(open, last)
}

// rest takes over that nothing comes after an element.
func (k *taking) rest(m *event.Mutation, last string) {
	if m != nil {
		k.Row(m, nil, k.w.between(last, ""))
		k.carry()
	}
}

// withoutGraves is the content, elements' tombstones left out if so wanted: of keys that had diverged there may be some that the source doesn't have, until
// the watermark passes them.
func (w *world) withoutGraves(leave bool) string {
	if !leave {
		return w.content()
	}
	c := *w
	c.tombs = nil
	return c.content()
}

// snapshot is taken of cluster i.
func (h *history) snapshot(i int, cut int) *snapshot {
	w := h.worlds[i]
	s := &snapshot{rows: w.snapshotRows(cut), names: slices.Clone(w.names), from: w.self, time: w.clock, horizons: h.horizons(i)}
	return s
}

// horizons are up to which time cluster i has what each cluster made.
func (h *history) horizons(i int) map[string]int64 {
	w := h.worlds[i]
	all := map[string]int64{w.names.ID(w.self): w.clock}
	for j, other := range h.worlds {
		if n := h.got[i][j]; j != i && n > 0 {
			all[other.names.ID(other.self)] = other.own[n-1].Version.Time
		}
	}
	return all
}

// syncs has cluster i take cluster j's state over, twice.
func (h *history) syncs(i, j int, draw *rand.Rand) string {
	s, w := h.snapshot(j, 1+draw.IntN(3)), h.worlds[i]
	s.known = h.horizons(i)
	if h.traced {
		h.trace = append(h.trace, fmt.Sprintf("%d takes %d over: %s\n\there %s, horizons %v", i, j, h.worlds[j].content(), w.content(), s.horizons))
	}
	logged := maps.Clone(w.logged)
	w.sync(s, draw)
	h.got[i][j] = len(h.worlds[j].own)
	if h.traced {
		h.trace = append(h.trace, fmt.Sprintf("\tgives %s, %v", w.content(), w.logged))
	}
	alone := true
	for n := range w.own {
		alone = alone && w.own[n].Version.Time <= s.horizons[w.names.ID(w.self)]
	}
	if got, want := w.withoutGraves(h.strict), h.worlds[j].withoutGraves(h.strict); alone && len(h.worlds) == 2 && got != want {
		return fmt.Sprintf("nobody wrote here, and there is\n%s\nthe source has\n%s", got, want)
	}
	if alone && len(h.worlds) == 2 && len(w.logged) != len(logged) {
		return "nobody wrote here, and there is a conflict"
	}
	before, known := w.content(), len(w.logged)
	if n := w.sync(s, draw); n != 0 || w.content() != before || len(w.logged) != known && !h.strict {
		return fmt.Sprintf("taken over again it makes %d changes, %d more conflicts:\n%s\nbefore\n%s", n, len(w.logged)-known, w.content(), before)
	}
	return w.broken
}

func commandsOf(s string) (all []string) {
	for _, c := range strings.Split(s, ",") {
		if words := strings.Fields(c); len(words) == 2 {
			all = append(all, c)
		} else {
			all = append(all, words...)
		}
	}
	return all
}

// drawSyncs plays commands, deliveries, and a full sync now and then, at random.
func (h *history) drawSyncs(draw *rand.Rand, commands []string) string {
	for range 4 + draw.IntN(20) {
		i, j := draw.IntN(len(h.worlds)), draw.IntN(len(h.worlds))
		switch n := draw.IntN(12); {
		case n < 6:
			h.write(i, commands[draw.IntN(len(commands))])
		case n < 10:
			h.deliver(i, j)
		case i != j:
			if problem := h.syncs(i, j, draw); problem != "" {
				return problem
			}
		}
	}
	return ""
}

// TestTakeoverConverges: clusters that take each other's state over in the midst of a history have the same in the end, as if each change had come: under the
// timestamp rule, whatever they wrote meanwhile. Where nothing was written it is the source's content exactly; and taken over twice is once.
func TestTakeoverConverges(t *testing.T) {
	for seed := range uint64(20000) {
		try(t, func(traced bool) (*history, string) {
			draw := rand.New(rand.NewPCG(seed, 11))
			policy, commands := PolicyDefault, timestampCommands
			if seed%2 == 0 {
				policy, commands = PolicyElement, commandsOf("set setkeep incr del expire soon persist,sadd x,sadd y,sadd z,srem x,srem y,sstore z")
			}
			h := newHistory(2+int(seed/2%2), policy, []int64{5}, []int64{draw.Int64N(9), draw.Int64N(9)}, nil)
			h.traced = traced
			for _, w := range h.worlds {
				w.coded = true
			}
			problem := h.drawSyncs(draw, commands)
			if problem == "" {
				problem = h.check()
			}
			if problem != "" {
				problem = fmt.Sprintf("seed %d: %s", seed, problem)
			}
			return h, problem
		})
	}
}

// TestTakeoverStrictly: of types that are never merged nothing of the source's is lost unsaid, nor is what was written here: who has a different content in the
// end has a record of that. What nobody wrote to here is as in the source, under every policy.
func TestTakeoverStrictly(t *testing.T) {
	commands := commandsOf("set del expire,sadd x,sadd y,srem x,sstore y,hset f,hdel f,zadd x,zrem x,rpush rpush rpush lpop")
	for seed := range uint64(20000) {
		try(t, func(traced bool) (*history, string) {
			draw := rand.New(rand.NewPCG(seed, 12))
			h := newHistory(2, PolicyDefault, []int64{5}, []int64{draw.Int64N(9), draw.Int64N(9)}, nil)
			h.traced, h.strict = traced, true
			for _, w := range h.worlds {
				w.coded = true
			}
			problem := h.drawSyncs(draw, commands)
			if problem == "" {
				problem = h.checkStrict()
			}
			if problem != "" {
				problem = fmt.Sprintf("seed %d: %s", seed, problem)
			}
			return h, problem
		})
	}
}

// TestAncestor: up to its cluster's horizon, and with it; of a cluster that isn't known none is. A version without a cluster is only a bound.
func TestAncestor(t *testing.T) {
	k := Takeover{Horizons: []int64{0, 10}}
	for v, want := range map[event.Version]bool{{}: true, {Time: 10, Cluster: 1}: true, {Time: 11, Cluster: 1}: false, {Time: 1, Cluster: 2}: false, {Time: 99}: true} {
		if k.Ancestor(v) != want {
			t.Errorf("%v: %v, want %v", v, !want, want)
		}
	}
}

// A key that the target had, and has no more, was deleted there, also when the watermark has taken the tombstone: a state that still has it doesn't bring it back.
func TestTakeoverRevivesNothing(t *testing.T) {
	names := event.Names{"", "a", "b"}
	a := func(at int64) event.Version { return event.Version{Time: at, Cluster: 1} }
	for name, c := range map[string]struct {
		version, watermark, known int64
		expireAt                  int64
		comes                     bool
	}{
		"it was here":            {version: 50, watermark: 100, known: 60},
		"it never came":          {version: 50, watermark: 100, known: 40, comes: true},
		"a tombstone would tell": {version: 50, watermark: 40, known: 60, comes: true},
		"it may have expired":    {version: 50, watermark: 100, known: 60, expireAt: 7, comes: true},
	} {
		row := event.Mutation{Op: event.OpSet, Type: event.TypeString, Key: []byte("k"), Version: a(c.version), Floor: a(c.version), ExpiryVersion: a(c.version), ExpireAt: c.expireAt, Value: []byte("v")}
		take := &Takeover{
			Env:      &Env{Names: names, Self: 2, Policy: PolicyElement, Watermark: c.watermark, Generation: 9, Origin: event.Origin{Cluster: 1}},
			Horizons: []int64{0, 200, 0}, Known: []int64{0, c.known, 0}, Base: a(200),
		}
		var st Stored
		take.Begin(row.Key, &st, HeadOf(&row))
		conflicts := len(take.Conflicts)
		take.Row(&row, nil, nil)
		emitted := len(take.Emit)
		take.End()
		if emitted += len(take.Emit); (emitted > 0) != c.comes || (conflicts == 0) != c.comes || st.Exists != c.comes {
			t.Errorf("%s: %d changes, %d conflicts, it is there: %v", name, emitted, conflicts, st.Exists)
		}
	}
}
