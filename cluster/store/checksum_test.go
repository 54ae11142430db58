package store

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/engine"
)

func checksum(t testing.TB, s *Store) Checksum {
	t.Helper()
	c, err := s.Checksum(context.Background(), nil)
	must(t, err)
	return c
}

// fill writes meta rows as such, with cluster numbers named as given.
func fill(t testing.TB, names event.Names, metas map[string]event.Meta, order []string) *Store {
	t.Helper()
	e := memEngine(t)
	var b engine.Batch
	for _, key := range order {
		m := metas[key]
		b.Put(appendMetaKey(nil, []byte(key)), appendMeta(nil, &m))
	}
	for n, id := range names {
		if id != "" {
			b.Put(appendClusterKey(nil, event.ClusterNumber(n)), []byte(id))
		}
	}
	b.Put([]byte{famOwn, ownState}, appendState(nil, &State{Wall: 100, Clusters: names}))
	must(t, e.Write(&b))
	return openStore(t, e, nil)
}

// fillAll is fill with elements.
func fillAll(t testing.TB, names event.Names, metas map[string]event.Meta, order []string, items map[string]map[string]item) *Store {
	t.Helper()
	s := fill(t, names, metas, order)
	var b engine.Batch
	for _, key := range order {
		m := metas[key]
		for sub, it := range items[key] {
			e := element{kind: m.Type, version: it.version, payload: []byte(it.value)}
			if m.Type == event.TypeZSet {
				e.payload = appendScore(nil, it.score)
			}
			b.Put(appendElementKey(nil, []byte(key), m.Generation, []byte(sub)), appendElement(nil, &e))
		}
	}
	must(t, s.engine.Write(&b))
	return s
}

// TestChecksumOfPartitions: however many partitions the keys are spread over, and whatever numbers clusters have in each, the
// sums of the partitions' slots are the same.
func TestChecksumOfPartitions(t *testing.T) {
	metas := map[string]event.Meta{}
	for i := range 500 {
		v := event.Version{Time: int64(i) + 1, Cluster: event.ClusterNumber(i%2 + 1)}
		metas[fmt.Sprint("table:", i)] = event.Meta{Type: event.TypeString, Version: v, Floor: v, Value: fmt.Append(nil, i)}
	}
	var want Sum
	for _, partitions := range []uint32{1, 2, 3, 16} {
		spread := make([]map[string]event.Meta, partitions)
		order := make([][]string, partitions)
		for key, m := range metas {
			p := PartitionBySlot([]byte(key), partitions)
			if spread[p] == nil {
				spread[p] = map[string]event.Meta{}
			}
			if p%2 == 1 { // this partition has met the clusters in the other order
				m.Version.Cluster = 3 - m.Version.Cluster
				m.Floor.Cluster = 3 - m.Floor.Cluster
			}
			spread[p][key] = m
			order[p] = append(order[p], key)
		}
		var total, slots Sum
		for p := range spread {
			names := event.Names{"", "dc-a", "dc-b"}
			if p%2 == 1 {
				names = event.Names{"", "dc-b", "dc-a"}
			}
			c := checksum(t, fill(t, names, spread[p], order[p]))
			total = total.Add(c.Total)
			for slot, s := range c.Slots {
				if PartitionOfSlot(slot, partitions) != uint32(p) {
					t.Fatalf("slot %d in partition %d of %d", slot, p, partitions)
				}
				slots = slots.Add(s)
			}
		}
		if total != slots {
			t.Fatalf("total %s, slots %s", total, slots)
		}
		if partitions == 1 {
			want = total
		}
		if total != want || total.IsZero() {
			t.Fatalf("%d partitions: %s, want %s", partitions, total, want)
		}
	}
}

// TestChecksumSeesEachField: changing any one thing that counts changes it, and what doesn't count leaves it.
func TestChecksumSeesEachField(t *testing.T) {
	names := event.Names{"", "dc-a", "dc-b"}
	v := event.Version{Time: 10, Cluster: 1}
	base := event.Meta{Type: event.TypeString, Version: v, Floor: v, ExpireAt: 200, ExpiryVersion: v, Value: []byte("v")}
	sum := func(key string, m event.Meta) Sum {
		return checksum(t, fill(t, names, map[string]event.Meta{key: m}, []string{key})).Total
	}
	want := sum("k", base)
	for name, change := range map[string]func(m *event.Meta){
		"value":            func(m *event.Meta) { m.Value = []byte("w") },
		"version":          func(m *event.Meta) { m.Version.Time++ },
		"version's origin": func(m *event.Meta) { m.Version.Cluster = 2 },
		"expiry":           func(m *event.Meta) { m.ExpireAt++ },
		"no expiry":        func(m *event.Meta) { m.ExpireAt = 0 },
		"expiry's version": func(m *event.Meta) { m.ExpiryVersion.Time++ },
		"type":             func(m *event.Meta) { m.Type, m.Value = event.TypeHash, nil },
	} {
		m := base
		change(&m)
		if sum("k", m) == want {
			t.Errorf("%s: the checksum doesn't see it", name)
		}
	}
	if sum("l", base) == want {
		t.Error("key: the checksum doesn't see it")
	}
	floor := base
	floor.Floor.Time--
	if sum("k", floor) != want {
		t.Error("a string's floor is in it, which is its version whatever its row says")
	}
	base = event.Meta{Type: event.TypeHash, Version: v, Floor: v}
	floor = base
	floor.Floor.Time--
	if sum("k", floor) == sum("k", base) {
		t.Error("floor: the checksum doesn't see it")
	}
	expired := base
	expired.ExpireAt = 100
	if !sum("k", expired).IsZero() {
		t.Error("a key expired at the state's wall is in it")
	}
}

// TestChecksumOfCollections: elements count, by their content and version; generations, list numbers and dead elements don't.
func TestChecksumOfCollections(t *testing.T) {
	sum := func(kind event.Type, gen uint64, shift int64, payload string, at int64, dead bool) Sum {
		s := fill(t, event.Names{"", "dc-a"}, map[string]event.Meta{
			"a": {Type: kind, Version: version(5), Generation: gen, Count: 2},
			"b": {Type: kind, Version: version(5), Generation: gen, Count: 1},
		}, []string{"a", "b"})
		var b engine.Batch
		put := func(key string, gen uint64, i int64, payload string) {
			sub := fmt.Append(nil, "field", i)
			if kind == event.TypeList {
				sub = appendInt64(nil, i+shift)
			}
			e := element{kind: kind, version: version(at), payload: []byte(payload)}
			b.Put(appendElementKey(nil, []byte(key), gen, sub), appendElement(nil, &e))
		}
		put("a", gen, 0, "one")
		put("a", gen, 1, payload)
		put("b", gen, 0, "three")
		if dead {
			put("a", gen-1, 0, "dead")
			put("b", gen+1, 0, "dead")
		}
		must(t, s.engine.Write(&b))
		return checksum(t, s).Total
	}
	want := sum(event.TypeHash, 8, 0, "two", 9, false)
	if got := sum(event.TypeHash, 80, 0, "two", 9, true); got != want {
		t.Errorf("another generation, and dead elements: %s, want %s", got, want)
	}
	for name, got := range map[string]Sum{
		"payload": sum(event.TypeHash, 8, 0, "owt", 9, false), "version": sum(event.TypeHash, 8, 0, "two", 10, false),
		"kind": sum(event.TypeSet, 8, 0, "two", 9, false),
	} {
		if got == want {
			t.Errorf("%s: the checksum doesn't see it", name)
		}
	}
	if sum(event.TypeList, 8, 0, "two", 9, false) != sum(event.TypeList, 8, -40, "two", 9, false) {
		t.Error("the numbers of list items are in the checksum")
	}
}

// TestChecksumOfTombstones: those above the watermark count, others don't exist.
func TestChecksumOfTombstones(t *testing.T) {
	w := newWorld()
	w.replicates = true
	s := openStore(t, memEngine(t), nil)
	a := s.NewApply()
	w.begin()
	w.set("k", "v", 0)
	w.del("k")
	gather(t, a, w.end())
	must(t, a.Commit())
	c := checksum(t, s)
	if c.Keys != 0 || c.Total.IsZero() || c.Position != w.pos {
		t.Fatalf("with a tombstone: %+v", c)
	}
	below := w.clock - 1
	for _, at := range []int64{below, w.clock} {
		w.begin()
		w.ev.Own = append(w.ev.Own, Watermark(at))
		gather(t, a, w.end())
		must(t, a.Commit())
		if got := checksum(t, s).Total.IsZero(); got != (at != below) {
			t.Fatalf("watermark %d: nothing in it: %v", at, got)
		}
	}
}

// TestChecksumOfElementTombstones: what a write of the whole key outdated doesn't count, whether the key is there or not.
func TestChecksumOfElementTombstones(t *testing.T) {
	sum := func(at int64, present bool) Sum {
		meta := event.Meta{Version: version(10), Floor: version(10)}
		s := fill(t, event.Names{"", "dc-a"}, nil, nil)
		var b engine.Batch
		if present {
			meta.Type, meta.Generation, meta.Count = event.TypeHash, 7, 1
			b.Put(appendMetaKey(nil, []byte("h")), appendMeta(nil, &meta))
		} else {
			b.Put(appendTombstoneKey(nil, []byte("h")), appendMeta(nil, &meta))
		}
		if at > 0 {
			b.Put(appendElementTombstoneKey(nil, []byte("h"), []byte("f")), appendElement(nil, &element{version: version(at)}))
		}
		must(t, s.engine.Write(&b))
		return checksum(t, s).Total
	}
	for _, present := range []bool{true, false} {
		without := sum(0, present)
		if sum(9, present) != without || sum(10, present) != without {
			t.Errorf("present %v: a tombstone at or below the floor is in it", present)
		}
		if sum(11, present) == without {
			t.Errorf("present %v: a tombstone above the floor isn't in it", present)
		}
	}
}

// TestChecksumIgnoresOrderAndHousekeeping: other entries that lead to the same keys give the same sum, cleaned or not.
func TestChecksumIgnoresOrderAndHousekeeping(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	w := newWorld()
	s := openStore(t, memEngine(t), nil)
	a := s.NewApply()
	for range 800 {
		gather(t, a, w.step(r))
	}
	must(t, a.Commit())
	before := checksum(t, s)
	order := sortedKeys(w.keys)
	r.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	live := map[string]event.Meta{}
	for k, m := range w.keys {
		if !m.Expired(before.Wall) {
			live[k] = m
		}
	}
	if before.Keys != int64(len(live)) {
		t.Fatalf("%d keys, want %d", before.Keys, len(live))
	}
	st := s.State()
	for _, m := range w.keys { // fill's wall is 100: none has expired there but those expired here, which are left out
		if m.ExpireAt != 0 && m.ExpireAt <= 100 {
			t.Fatal("the story's walls begin too early")
		}
	}
	var alive []string
	for _, k := range order {
		if _, ok := live[k]; ok {
			alive = append(alive, k)
		}
	}
	if got := checksum(t, fillAll(t, st.Clusters, live, alive, w.items)); got.Total != before.Total {
		t.Fatalf("filled in another order: %s, want %s", got.Total, before.Total)
	}
	cleanAll(t, s)
	a.Mark()
	must(t, a.TrimMarks(w.pos.Index))
	must(t, a.Commit())
	if got := checksum(t, s); got.Total != before.Total {
		t.Fatalf("after housekeeping: %s, want %s", got.Total, before.Total)
	}
}

func TestChecksumEndsWithItsContext(t *testing.T) {
	metas, order := map[string]event.Meta{}, []string{}
	for i := range checkEvery + 1 {
		k := fmt.Sprint(i)
		metas[k], order = event.Meta{Type: event.TypeString, Version: version(1)}, append(order, k)
	}
	s := fill(t, event.Names{"", "dc-a"}, metas, order)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Checksum(ctx, nil); err == nil {
		t.Fatal("it went on")
	}
}

func TestSumText(t *testing.T) {
	want := Sum{Hi: 1, Lo: 1<<64 - 1}
	if got := want.Add(Sum{Lo: 1}); got != (Sum{Hi: 2}) {
		t.Fatalf("carry: %v", got)
	}
	b, err := json.Marshal(want)
	must(t, err)
	var got Sum
	must(t, json.Unmarshal(b, &got))
	if got != want || string(b) != `"0000000000000001ffffffffffffffff"` {
		t.Fatalf("%s is %v, want %v", b, got, want)
	}
	if json.Unmarshal([]byte(`"12"`), &got) == nil || json.Unmarshal([]byte(`"zz000000000000010000000000000000"`), &got) == nil {
		t.Fatal("accepted")
	}
}

// By a later time more keys have expired; an earlier one than the store's changes nothing.
func TestChecksumByALaterTime(t *testing.T) {
	s := fill(t, event.Names{"", "dc-a"}, map[string]event.Meta{
		"k": {Type: event.TypeString, Version: version(1), Floor: version(1), Value: []byte("v"), ExpireAt: 500, ExpiryVersion: version(1)},
		"l": {Type: event.TypeString, Version: version(1), Floor: version(1), Value: []byte("v")},
	}, []string{"k", "l"})
	for wall, want := range map[int64]struct{ wall, keys int64 }{0: {100, 2}, 499: {499, 2}, 500: {500, 1}} {
		c, err := s.ChecksumAbove(context.Background(), nil, 0, wall)
		must(t, err)
		if c.Wall != want.wall || c.Keys != want.keys {
			t.Errorf("by %d: %d keys by %d, want %+v", wall, c.Keys, c.Wall, want)
		}
	}
}
