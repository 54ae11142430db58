package event

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/zankv/zankv/cdc/event/eventpb"
)

// randomEvent draws from small domains, so that equal versions, absent ones and empty fields happen.
func randomEvent(r *rand.Rand) *Event {
	ev := &Event{Time: draw[int64](r, 0, 1, 1795255200123456789, math.MaxInt64), Wall: draw[int64](r, 0, 1795255200123, -5), Term: draw[uint64](r, 0, 2, math.MaxUint64)}
	for range r.IntN(3) {
		ev.Clusters = append(ev.Clusters, ClusterName{Number: ClusterNumber(r.IntN(3)), ID: draw(r, "", "dc-a", "dc-b")})
	}
	for i := range r.IntN(4) {
		ev.Mutations = append(ev.Mutations, randomMutation(r, ev.Time+int64(i)))
	}
	for range r.IntN(3) {
		ev.Own = append(ev.Own, OwnChange{Kind: OwnKind(r.IntN(7)), ID: draw(r, nil, []byte("tail")), Value: draw(r, nil, []byte("2-7"))})
	}
	return ev
}

func draw[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

func randomMutation(r *rand.Rand, local int64) Mutation {
	version := func() Version {
		return draw(r, Version{}, Version{Time: local, Cluster: 1}, Version{Time: local}, Version{Cluster: 1}, Version{Time: 77, Cluster: 300})
	}
	m := Mutation{
		Op: Op(1 + r.IntN(22)), Type: Type(r.IntN(8)),
		Key: draw(r, nil, []byte("users:42"), []byte("\xff:\x00")), Value: draw(r, nil, []byte("37"), bytes.Repeat([]byte("v"), 300)),
		ExpireAt: draw[int64](r, 0, 1795255300000, -1), Version: version(), Prev: version(), Floor: version(), ExpiryVersion: version(),
		Generation: draw[uint64](r, 0, 9, math.MaxUint64), Count: draw[uint64](r, 0, 200), Group: draw[uint32](r, 0, 1, math.MaxUint32),
		Command: draw(r, "", "set", "hincrby", "my.module"), Tombstone: r.IntN(2) == 1,
		Before: Before{Exists: r.IntN(2) == 1, Type: Type(r.IntN(3)), ExpireAt: draw[int64](r, 0, 5), Generation: draw[uint64](r, 0, 4),
			Version: version(), Value: draw(r, nil, []byte("old")), Expiring: draw[uint64](r, 0, 3)},
	}
	m.KeyVersion, m.Whole, m.ElementTombstones = version(), r.IntN(4) == 0, r.IntN(4) == 0
	if r.IntN(3) == 0 {
		m.Generation = uint64(local) - draw[uint64](r, 0, 3, 1e9)
	}
	if r.IntN(2) == 0 {
		m.Before.Exists, m.Before.Type, m.Before.Generation = true, m.Type, m.Generation
	}
	m.Elements = randomElements(r, &m, version)
	if r.IntN(3) == 0 {
		m.Origin = &Origin{Cluster: ClusterNumber(r.IntN(3)), Partition: draw[uint32](r, 0, 200), Position: Position{Term: draw[uint64](r, 0, 2), Index: draw[uint64](r, 0, 1041)}}
	}
	return m
}

// randomElements are as the op wants them: no two alike, indexes that grow, segments with numbers. All fields are drawn, also those that the op has
// no use for.
func randomElements(r *rand.Rand, m *Mutation, version func() Version) []Element {
	n := draw(r, 0, 1, 2, 5)
	if n > 0 && !m.Op.OnElements() && r.IntN(4) > 0 {
		n = 0
	}
	if m.Op == OpLInsert {
		n = 1
	}
	var elements []Element
	for i := range n {
		e := Element{
			Sub:   fmt.Appendf(nil, "%s%d", draw(r, "field", "\xff", "ü\n", "a:"), i),
			Value: draw(r, nil, []byte("37"), []byte("\x00\xfe"), bytes.Repeat([]byte("w"), 200)),
			Score: draw(r, 0, 1.5, math.Inf(1), math.Inf(-1), math.Copysign(0, -1), 1e300, 5e-324, 0.1, 1e21, 123456789), Was: draw(r, 0, -2.5),
			Index: int64(i) * draw[int64](r, 1, 1, 1<<40), Prev: draw(r, Version{}, m.Prev, version()), Exists: r.IntN(2) == 1,
		}
		if i == 0 && r.IntN(3) == 0 {
			e.Sub = nil
		}
		if i > 0 && e.Index <= elements[i-1].Index {
			e.Index = elements[i-1].Index + 1
		}
		if m.Op == OpBits {
			e.Sub = binary.BigEndian.AppendUint32(nil, uint32(i)*1000)
		}
		elements = append(elements, e)
	}
	return elements
}

// toProto is the independent reading of event.proto: it never uses marks but where asked to.
func toProto(ev *Event, marked bool) *eventpb.Event {
	p := &eventpb.Event{Time: ev.Time, Wall: ev.Wall, Term: ev.Term}
	for _, c := range ev.Clusters {
		p.Clusters = append(p.Clusters, &eventpb.ClusterName{Number: uint32(c.Number), Id: c.ID})
	}
	for i := range ev.Mutations {
		m := &ev.Mutations[i]
		pm := &eventpb.Mutation{
			Op: eventpb.Op(m.Op), Type: eventpb.Type(m.Type), Key: m.Key, Value: m.Value, ExpireAt: m.ExpireAt,
			VersionCluster: uint32(m.Version.Cluster), VersionTime: m.Version.Time, PrevCluster: uint32(m.Prev.Cluster), PrevTime: m.Prev.Time,
			FloorCluster: uint32(m.Floor.Cluster), FloorTime: m.Floor.Time,
			ExpiryVersionCluster: uint32(m.ExpiryVersion.Cluster), ExpiryVersionTime: m.ExpiryVersion.Time,
			Generation: m.Generation, Count: m.Count, Group: m.Group, Command: m.Command, Tombstone: m.Tombstone,
			BeforeExists: m.Before.Exists, BeforeType: eventpb.Type(m.Before.Type), BeforeExpireAt: m.Before.ExpireAt, BeforeGeneration: m.Before.Generation,
			BeforeVersionCluster: uint32(m.Before.Version.Cluster), BeforeVersionTime: m.Before.Version.Time, BeforeValue: m.Before.Value, BeforeExpiring: m.Before.Expiring,
		}
		if m.Origin != nil {
			pm.Origin = &eventpb.Origin{Cluster: uint32(m.Origin.Cluster), Partition: m.Origin.Partition, Term: m.Origin.Position.Term, Index: m.Origin.Position.Index}
		}
		pm.KeyVersionCluster, pm.KeyVersionTime = uint32(m.KeyVersion.Cluster), m.KeyVersion.Time
		if m.Whole { // has no field of its own
			pm.Marks |= 128
		}
		if m.ElementTombstones {
			pm.Marks |= 256
		}
		for j := range m.Elements {
			pm.Elements = append(pm.Elements, elementToProto(m, &m.Elements[j], marked))
		}
		if marked {
			markProto(pm, m, ev.Time+int64(i))
		}
		p.Mutations = append(p.Mutations, pm)
	}
	for _, o := range ev.Own {
		p.Own = append(p.Own, &eventpb.OwnChange{Kind: uint32(o.Kind), Id: o.ID, Value: o.Value})
	}
	return p
}

func elementToProto(m *Mutation, e *Element, marked bool) *eventpb.Element {
	pe := &eventpb.Element{Sub: e.Sub, Value: e.Value, Score: e.Score, Index: e.Index, PrevCluster: uint32(e.Prev.Cluster), PrevTime: e.Prev.Time, Was: e.Was}
	if e.Exists { // has no field of its own
		pe.Marks |= 1
	}
	if !marked || e.Prev.IsZero() {
		return pe
	}
	if e.Prev == m.Prev {
		pe.Marks, pe.PrevCluster, pe.PrevTime = pe.Marks|2, 0, 0
	} else if e.Prev.Cluster == m.Version.Cluster && e.Prev.Cluster != 0 {
		pe.Marks, pe.PrevCluster = pe.Marks|4, 0
	}
	return pe
}

func markProto(pm *eventpb.Mutation, m *Mutation, local int64) {
	if m.Version.Time == local && local != 0 {
		pm.Marks, pm.VersionTime = pm.Marks|1, 0
	}
	if (m.Version != Version{}) && m.Floor == m.Version {
		pm.Marks, pm.FloorCluster, pm.FloorTime = pm.Marks|2, 0, 0
	}
	if (m.Version != Version{}) && m.ExpiryVersion == m.Version {
		pm.Marks, pm.ExpiryVersionCluster, pm.ExpiryVersionTime = pm.Marks|4, 0, 0
	}
	if (m.Version != Version{}) && m.KeyVersion == m.Version {
		pm.Marks, pm.KeyVersionCluster, pm.KeyVersionTime = pm.Marks|8, 0, 0
	}
	if age := uint64(local) - m.Generation; age < m.Generation {
		pm.Marks, pm.Generation, pm.GenerationAge = pm.Marks|16, 0, age
	}
	if m.Before.Exists && m.Before.Type == m.Type && m.Before.Generation == m.Generation {
		pm.Marks, pm.BeforeExists, pm.BeforeType, pm.BeforeGeneration = pm.Marks|32, false, 0, 0
	}
	if m.Version.Cluster != 0 && m.Prev.Cluster == m.Version.Cluster {
		pm.Marks, pm.PrevCluster = pm.Marks|64, 0
	}
}

// normal makes empty and nil slices the same.
func normal(ev *Event) *Event {
	c := *ev
	c.elements = nil
	c.Clusters = append([]ClusterName(nil), ev.Clusters...)
	c.Mutations = append([]Mutation(nil), ev.Mutations...)
	c.Own = append([]OwnChange(nil), ev.Own...)
	for i := range c.Mutations {
		m := &c.Mutations[i]
		m.Key, m.Value = append([]byte(nil), m.Key...), append([]byte(nil), m.Value...)
		m.Before.Value = append([]byte(nil), m.Before.Value...)
		m.Elements = append([]Element(nil), m.Elements...)
		for j := range m.Elements {
			e := &m.Elements[j]
			e.Sub, e.Value = append([]byte(nil), e.Sub...), append([]byte(nil), e.Value...)
		}
	}
	for i := range c.Own {
		c.Own[i].ID, c.Own[i].Value = append([]byte(nil), c.Own[i].ID...), append([]byte(nil), c.Own[i].Value...)
	}
	return &c
}

func TestCodecAgreesWithGeneratedCode(t *testing.T) {
	const seed = 7
	r := rand.New(rand.NewPCG(seed, seed))
	var got Event
	for n := range 5000 {
		ev := randomEvent(r)
		data := Append(nil, ev)
		want, err := proto.MarshalOptions{Deterministic: true}.Marshal(toProto(ev, true))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(data[1:], want) {
			t.Fatalf("seed %d, event %d: Append writes\n%x, generated code\n%x\nfor %+v", seed, n, data[1:], want, ev)
		}
		for _, marked := range []bool{false, true} {
			body, err := proto.Marshal(toProto(ev, marked))
			if err != nil {
				t.Fatal(err)
			}
			if err := Decode(append([]byte{Format}, body...), &got); err != nil {
				t.Fatalf("seed %d, event %d: %v", seed, n, err)
			}
			if !reflect.DeepEqual(normal(&got), normal(ev)) {
				t.Fatalf("seed %d, event %d, marked %v: decoded\n%+v, want\n%+v", seed, n, marked, normal(&got), normal(ev))
			}
		}
	}
}

func TestDecodeTakesFieldsInAnyOrderAndUnknownOnes(t *testing.T) {
	ev := &Event{Time: 100, Term: 2, Mutations: []Mutation{{Op: OpSet, Key: []byte("k"), Version: Version{100, 1}}, {Op: OpDel, Key: []byte("l"), Version: Version{101, 1}}}}
	withTime := Append(nil, ev)
	const timeField = 9
	data := append([]byte{Format}, withTime[1+timeField:]...)
	data = append(data, withTime[1:1+timeField]...)
	data = append(data, 0xFA, 0x3F, 2, 'h', 'i') // field 1023, two bytes
	var got Event
	if err := Decode(data, &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(normal(&got), normal(ev)) {
		t.Fatalf("got %+v, want %+v", got, ev)
	}
}

func TestDecodeRefuses(t *testing.T) {
	ok := Append(nil, &Event{Time: 1, Mutations: []Mutation{{Op: OpSet, Key: []byte("key"), Command: "set"}}})
	for _, c := range []struct {
		name string
		data []byte
		is   error
		says string
	}{
		{"another format", append([]byte{2}, ok[1:]...), ErrFormat, "unknown event format 2"},
		{"cut short", ok[:len(ok)-1], ErrCorrupt, "a field of"},
		{"length beyond the data", []byte{Format, byte(tagMutation), 0xFF, 0xFF, 0xFF, 0xFF, 0x0F}, ErrCorrupt, "4294967295 bytes where 0 are left"},
		{"time cut short", []byte{Format, byte(tagTime), 1, 2}, ErrCorrupt, "a time is cut short"},
		{"no op", []byte{Format, byte(tagMutation), 0}, ErrCorrupt, "without an op"},
		{"op 256", []byte{Format, byte(tagMutation), 3, byte(tagOp), 0x80, 0x02}, ErrCorrupt, "256, want at most 255"},
		{"command not UTF-8", []byte{Format, byte(tagMutation), 5, byte(tagOp), 1, byte(tagCommand), 1, 0xFF}, ErrCorrupt, "isn't UTF-8"},
		{"field 0", []byte{Format, 0, 0}, ErrCorrupt, "field number 0"},
	} {
		var ev Event
		err := Decode(c.data, &ev)
		if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %v that says %q", c.name, err, c.is, c.says)
		}
	}
}

func TestDecodeEmptyDataIsNoEvent(t *testing.T) {
	ev := Event{Time: 5, Mutations: []Mutation{{Op: OpSet}}}
	if err := Decode(nil, &ev); err != nil || ev.Time != 0 || len(ev.Mutations) != 0 {
		t.Fatalf("got %+v, %v", ev, err)
	}
}

// Every cut of an event fails or gives fewer fields, and never reads beyond.
func TestDecodeEveryCut(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	var ev Event
	for range 50 {
		data := Append(nil, randomEvent(r))
		for n := range data {
			if err := Decode(data[:n:n], &ev); err != nil && !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
		}
	}
}

func TestDecodeReusesAndForgets(t *testing.T) {
	full := Append(nil, &Event{Time: 9, Wall: 8, Term: 7, Clusters: []ClusterName{{1, "a"}}, Own: []OwnChange{{Kind: OwnRole}},
		Mutations: []Mutation{{Op: OpSet, Key: []byte("k"), Tombstone: true, Origin: &Origin{Cluster: 2, Partition: 3}}}})
	bare := &Event{Time: 1, Mutations: []Mutation{{Op: OpDel, Key: []byte("l")}}}
	var ev Event
	if err := Decode(full, &ev); err != nil {
		t.Fatal(err)
	}
	if err := Decode(Append(nil, bare), &ev); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(normal(&ev), normal(bare)) {
		t.Fatalf("something of the event before is left: %+v", ev)
	}
}

func TestCodecDoesNotAllocate(t *testing.T) {
	ev := benchEvent(3)
	ev.Mutations[1].Origin = &Origin{Cluster: 1, Position: Position{2, 3}}
	data := Append(nil, ev)
	var got Event
	if n := testing.AllocsPerRun(100, func() {
		data = Append(data[:0], ev)
		if err := Decode(data, &got); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Fatalf("%v allocations an event, want none", n)
	}
}

func FuzzDecode(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 60 {
		f.Add(Append(nil, randomEvent(r)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var ev, again Event
		if Decode(data, &ev) != nil {
			return
		}
		once := Append(nil, &ev)
		if len(data) == 0 {
			return
		}
		if err := Decode(once, &again); err != nil {
			t.Fatalf("what Append wrote can't be read: %v", err)
		}
		if !reflect.DeepEqual(normal(&ev), normal(&again)) {
			t.Fatalf("decoded\n%+v, encoded and decoded again\n%+v", ev, again)
		}
		if twice := Append(nil, &again); !bytes.Equal(once, twice) {
			t.Fatalf("encoding isn't stable: %x, then %x", once, twice)
		}
		var p eventpb.Event
		if err := proto.Unmarshal(once[1:], &p); err != nil {
			t.Fatalf("generated code refuses what Append wrote: %v", err)
		}
		// Whatever can be decoded can be shown, counted in the chain and folded.
		var fold Fold
		var scratch Scratch
		fold.Event(&ev)
		for i := range ev.Mutations {
			DigestOf(&ev.Mutations[i], nil, &scratch)
			if line := AppendJSON(nil, &Stamp{}, &ev, i, nil); !json.Valid(line) {
				t.Fatalf("not JSON: %s", line)
			}
			AppendText(nil, &Stamp{}, &ev, i, nil)
		}
	})
}

func benchEvent(n int) *Event {
	ev := &Event{Time: 1795255200123456789, Wall: 1795255200123, Term: 2}
	for i := range n {
		v := Version{Time: ev.Time + int64(i), Cluster: 1}
		ev.Mutations = append(ev.Mutations, Mutation{Op: OpSet, Type: TypeString, Key: []byte("key:000012345678"), Value: make([]byte, 128),
			Version: v, Floor: v, ExpiryVersion: v, Prev: Version{1795255100000000000, 1}, Group: uint32(i), Command: "set", Before: Before{Exists: true, Type: TypeString}})
	}
	return ev
}

func BenchmarkCodec(b *testing.B) {
	ev := benchEvent(16)
	data := Append(nil, ev)
	b.Logf("%d bytes a mutation with 16 + 128 bytes of key and value", len(data)/16)
	var got Event
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			data = Append(data[:0], ev)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/16, "ns/mutation")
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			if err := Decode(data, &got); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/16, "ns/mutation")
	})
}

func BenchmarkChain(b *testing.B) {
	for _, n := range []int{1, 16} {
		b.Run(map[int]string{1: "1 mutation", 16: "16 mutations"}[n], func(b *testing.B) {
			ev := benchEvent(n)
			st := Stamp{Cluster: "local", Namespace: "default", Position: Position{2, 100041}, Prev: Position{2, 100040}}
			var scratch Scratch
			var c Chain
			b.ReportAllocs()
			for range b.N {
				c = NextChain(c, &st, ev, Names{"", "local"}, &scratch)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/mutation")
		})
	}
}
