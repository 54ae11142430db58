package replay

import (
	"reflect"
	"testing"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/store"
)

// What the target made, and what expires, goes nowhere; a range goes everywhere; the rest where its key belongs, with its number.
func TestSplit(t *testing.T) {
	const partitions = 4
	hash, err := hashOf("crc16", partitions)
	if err != nil {
		t.Fatal(err)
	}
	keys := make([][]byte, partitions)
	for n := byte(0); keys[0] == nil || keys[1] == nil || keys[2] == nil || keys[3] == nil; n++ {
		keys[store.PartitionBySlot([]byte{n}, partitions)] = []byte{n}
	}
	names := event.Names{"", "src", "third", "dst"}
	from := func(n event.ClusterNumber) *event.Origin { return &event.Origin{Cluster: n} }
	ev := &event.Event{Time: 7, Wall: 8, Term: 9, Mutations: []event.Mutation{
		{Op: event.OpSet, Key: keys[1]}, {Op: event.OpSet, Key: keys[2], Origin: from(3)}, {Op: event.OpExpire, Key: keys[2]}, {Op: event.OpDel, Key: keys[3], Origin: from(2)},
		{Op: event.OpSet, Key: keys[1]}, {Op: event.OpSet, Key: keys[0]},
	}}
	s := splitter{hash: hash, lanes: store.Numbers{Step: 1, Count: partitions}, peer: "dst"}
	if s.take(ev, names); !reflect.DeepEqual(s.touched, []uint32{1, 3, 0}) || s.dropped != 2 {
		t.Errorf("goes to %v, %d dropped", s.touched, s.dropped)
	}
	want := map[uint32][]uint32{0: {5}, 1: {0, 4}, 3: {3}}
	var scratch event.Event
	for n, numbers := range want {
		got, part := s.part(n, ev, &scratch)
		if !reflect.DeepEqual(got, numbers) || len(part.Mutations) != len(numbers) || part.Time != 7 || part.Wall != 8 || part.Term != 9 {
			t.Errorf("partition %d: %v, %+v", n, got, part)
		}
		for i, number := range numbers {
			if !reflect.DeepEqual(part.Mutations[i], ev.Mutations[number]) {
				t.Errorf("partition %d, mutation %d: %+v", n, number, part.Mutations[i])
			}
		}
	}
	ev.Mutations = []event.Mutation{{Op: event.OpSet, Key: keys[1]}, {Op: event.OpRange}, {Op: event.OpSet, Key: keys[2]}}
	if s.take(ev, names); len(s.touched) != partitions {
		t.Errorf("a range goes to %v", s.touched)
	}
	if numbers, part := s.part(1, ev, &scratch); numbers != nil || len(part.Mutations) != 2 {
		t.Errorf("the first two: %v, %d mutations", numbers, len(part.Mutations))
	}
	if numbers, _ := s.part(2, ev, &scratch); !reflect.DeepEqual(numbers, []uint32{1, 2}) {
		t.Errorf("the last two: %v", numbers)
	}
	ev.Mutations = []event.Mutation{{Op: event.OpSet, Key: keys[1], Origin: from(2)}}
	if s.take(ev, event.Names{"", "src", "dst"}); len(s.touched) != 0 {
		t.Error("numbers of another table were used")
	}
}

func TestHashOf(t *testing.T) {
	for _, bad := range []struct {
		name       string
		partitions uint32
	}{{"crc16", 0}, {"crc16", store.Slots + 1}, {"md5", 4}, {"", 4}} {
		if _, err := hashOf(bad.name, bad.partitions); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
	key := []byte("a key")
	for name, want := range map[string]uint32{"crc16": store.PartitionBySlot(key, 7), "murmur3": store.PartitionByMurmur3(key, 7)} {
		if hash, err := hashOf(name, 7); err != nil || hash(key) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Lanes lead to some of the target's partitions only: a key goes to its partition's, and one of another partition is told, not dropped.
func TestSplitStray(t *testing.T) {
	hash := func(key []byte) uint32 { return uint32(key[0]) }
	s := splitter{hash: hash, lanes: store.Numbers{First: 3, Step: 2, Count: 3}, peer: "dst"}
	ev := &event.Event{Mutations: []event.Mutation{{Op: event.OpSet, Key: []byte{7}}, {Op: event.OpSet, Key: []byte{3}}, {Op: event.OpExpire, Key: []byte{4}}}}
	names := event.Names{"", "src", "dst"}
	if s.take(ev, names); !reflect.DeepEqual(s.touched, []uint32{2, 0}) || s.stray != nil {
		t.Errorf("goes to lanes %v, stray %v", s.touched, s.stray)
	}
	for _, key := range []byte{0, 2, 4, 6, 9} {
		ev.Mutations[1].Key = []byte{key}
		if s.take(ev, names); s.stray != &ev.Mutations[1] {
			t.Errorf("of partition %d: stray %v", key, s.stray)
		}
		if s.rows(ev, make([]lane, 3)); s.stray == nil {
			t.Errorf("a row of partition %d isn't stray", key)
		}
	}
}
