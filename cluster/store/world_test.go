package store

import (
	"fmt"
	"math/rand/v2"
	"sort"
	"testing"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/engine"
	"github.com/zankv/zankv/cluster/engine/mem"
)

var testID = Identity{Cluster: "dc-a", Namespace: "default", Partition: 3}

func memEngine(t testing.TB) *mem.Engine {
	t.Helper()
	e, err := mem.Open("", mem.Options{})
	must(t, err)
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func openStore(t testing.TB, e engine.Engine, cache *Cache) *Store {
	t.Helper()
	s, err := Open(e, testID, cache)
	must(t, err)
	return s
}

// entry is one log entry: an event, or nothing.
type entry struct {
	pos event.Position
	ev  *event.Event
}

// world is the plainest evaluator there is, and the model that a store is compared with: what every key's fold is.
type world struct {
	keys       map[string]event.Meta
	tombstones map[string]event.Meta
	items      map[string]map[string]item          // elements by key and subkey
	dead       map[string]map[string]event.Version // tombstones of elements
	own        map[string]string                   // kind and id → value
	replicates bool
	pos        event.Position
	clock      int64
	wall       int64
	named      bool
	ev         *event.Event
	linked     int // events of the feed
	last       event.Position
}

func newWorld() *world {
	return &world{
		keys: map[string]event.Meta{}, tombstones: map[string]event.Meta{}, items: map[string]map[string]item{}, dead: map[string]map[string]event.Version{}, own: map[string]string{},
		pos: event.Position{Term: 1}, clock: 1_000_000, wall: 1000,
	}
}

// begin starts an event, end gives the entry.
func (w *world) begin() {
	w.clock += 100
	w.ev = &event.Event{Time: w.clock, Wall: w.wall, Term: w.pos.Term}
	if !w.named {
		w.ev.Clusters = []event.ClusterName{{Number: 1, ID: testID.Cluster}}
		w.named = true
	}
}

func (w *world) end() entry {
	w.pos.Index++
	if len(w.ev.Mutations) > 0 {
		w.linked++
		w.last = w.pos
	}
	return entry{pos: w.pos, ev: w.ev}
}

func (w *world) skip() entry {
	w.pos.Index++
	return entry{pos: w.pos}
}

// mutation fills in what all have.
func (w *world) mutation(op event.Op, key string) (m event.Mutation, old event.Meta) {
	old, exists := w.keys[key]
	prev := old.Version
	if !exists {
		prev = w.tombstones[key].Version
	}
	version := event.Version{Time: w.ev.Time + int64(len(w.ev.Mutations)), Cluster: 1}
	if op != event.OpExpire {
		w.clock = version.Time
	}
	m = event.Mutation{
		Op: op, Type: old.Type, Key: []byte(key), Prev: prev, Tombstone: w.replicates,
		Version: version, Command: op.String(),
		Before: event.Before{Exists: exists, Type: old.Type, ExpireAt: old.ExpireAt, Generation: old.Generation, Version: old.Version},
	}
	return m, old
}

func (w *world) floor(key string) event.Version {
	if m, ok := w.keys[key]; ok {
		return m.Floor
	}
	return w.tombstones[key].Floor
}

func (w *world) emit(m event.Mutation) { w.ev.Mutations = append(w.ev.Mutations, m) }

func (w *world) set(key, value string, expireAt int64) {
	m, _ := w.mutation(event.OpSet, key)
	m.Type, m.Value, m.ExpireAt = event.TypeString, []byte(value), expireAt
	m.Floor, m.ExpiryVersion = m.Version, m.Version
	w.keep(m, event.Meta{Type: event.TypeString, Version: m.Version, Floor: m.Version, ExpireAt: expireAt, ExpiryVersion: m.Version, Value: m.Value})
}

func (w *world) value(key, value string) {
	m, old := w.mutation(event.OpValue, key)
	m.Type, m.Value, m.Floor, m.ExpiryVersion, m.ExpireAt = event.TypeString, []byte(value), w.floor(key), old.ExpiryVersion, old.ExpireAt
	w.keep(m, event.Meta{Type: event.TypeString, Version: m.Version, Floor: m.Floor, ExpireAt: old.ExpireAt, ExpiryVersion: old.ExpiryVersion, Value: m.Value})
}

func (w *world) keep(m event.Mutation, meta event.Meta) {
	w.keys[string(m.Key)] = meta
	delete(w.tombstones, string(m.Key))
	if meta.Type == event.TypeString {
		delete(w.items, string(m.Key))
	}
	w.emit(m)
}

func (w *world) del(key string) {
	m, _ := w.mutation(event.OpDel, key)
	m.Floor, m.ExpiryVersion = m.Version, m.Version
	w.bury(m)
}

// expire removes a key whose expiry has passed.
func (w *world) expire(key string) {
	m, old := w.mutation(event.OpExpire, key)
	m.Version, m.Floor, m.ExpiryVersion = old.Version, old.Floor, old.ExpiryVersion
	w.bury(m)
}

func (w *world) bury(m event.Mutation) {
	key := string(m.Key)
	if w.replicates {
		w.tombstones[key] = event.Meta{Version: m.Version, Floor: m.Floor, ExpireAt: m.ExpireAt, ExpiryVersion: m.ExpiryVersion}
	} else {
		delete(w.tombstones, key)
	}
	delete(w.keys, key)
	delete(w.items, key)
	w.emit(m)
}

func (w *world) expireAt(key string, at int64) {
	op := event.OpExpireAt
	if at == 0 {
		op = event.OpPersist
	}
	m, old := w.mutation(op, key)
	m.Prev, m.ExpireAt, m.Floor, m.ExpiryVersion = old.ExpiryVersion, at, old.Floor, m.Version
	m.Count, m.Generation, m.Before.Value = old.Count, old.Generation, old.Value
	old.ExpireAt, old.ExpiryVersion = at, m.Version
	w.keep(m, old)
}

// rangeDelete is for namespaces that don't replicate.
func (w *world) rangeDelete(start, end string) {
	m, _ := w.mutation(event.OpRange, start)
	m.Value, m.Before, m.Prev = []byte(end), event.Before{}, event.Version{}
	in := func(key string) bool { return key >= start && (end == "" || key < end) }
	for key, meta := range w.keys {
		if in(key) {
			m.Count++
			if meta.ExpireAt != 0 {
				m.Before.Expiring++
			}
			delete(w.keys, key)
			delete(w.items, key)
		}
	}
	for key := range w.dead {
		if in(key) {
			delete(w.dead, key)
		}
	}
	for key := range w.tombstones {
		if in(key) {
			delete(w.tombstones, key)
		}
	}
	w.emit(m)
}

func (w *world) ownChange(kind event.OwnKind, id, value string) {
	w.ev.Own = append(w.ev.Own, event.OwnChange{Kind: kind, ID: []byte(id), Value: []byte(value)})
	at := fmt.Sprint(kind, " ", id)
	if value == "" {
		delete(w.own, at)
		return
	}
	w.own[at] = value
}

// universe are the keys of random stories: few, so that they meet, and with the bytes that escaping is about.
var universe = []string{
	"a", "a\x00", "a\x00\x01", "a\x00\xff", "a\x01", "a:1", "a:2", "ab", "b", "b:\xff", "b:\xff\xff", "{t}1", "{t}2", "\x00", "\xff\xff",
}

// step makes a random entry.
func (w *world) step(r *rand.Rand) entry {
	w.wall += r.Int64N(40)
	if r.IntN(20) == 0 {
		w.pos.Term++
	}
	if r.IntN(12) == 0 {
		return w.skip()
	}
	w.begin()
	for range r.IntN(5) {
		w.randomMutation(r)
	}
	if r.IntN(6) == 0 {
		w.ownChange(event.OwnConsumer, fmt.Sprint("c", r.IntN(3)), []string{"", "x", "yy"}[r.IntN(3)])
	}
	return w.end()
}

func (w *world) randomMutation(r *rand.Rand) {
	key := universe[r.IntN(len(universe))]
	meta, exists := w.keys[key]
	value := fmt.Sprint("v", r.IntN(1000))
	at := w.wall + 1 + r.Int64N(200)
	switch n := r.IntN(140); {
	case n >= 100:
		w.randomElements(r, key)
	case n < 30:
		w.set(key, value, 0)
	case n < 45:
		w.set(key, value, at)
	case n < 60:
		w.value(key, value)
	case n < 75 && (exists || w.replicates):
		w.del(key)
	case n < 82 && exists:
		w.expireAt(key, at)
	case n < 87 && exists && meta.ExpireAt != 0:
		w.expireAt(key, 0)
	case n < 97 && exists && meta.Expired(w.wall):
		w.expire(key)
	case n == 98 && !w.replicates:
		end := universe[r.IntN(len(universe))]
		w.rangeDelete(min(key, end), max(key, end))
	case n == 99 && !w.replicates && r.IntN(4) == 0:
		w.rangeDelete("", "")
	default:
		w.set(key, value, 0)
	}
}

// gather puts an entry into an Apply.
func gather(t testing.TB, a *Apply, en entry) {
	t.Helper()
	if en.ev == nil {
		a.Skip(en.pos)
		return
	}
	must(t, a.Event(en.pos, en.ev))
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
