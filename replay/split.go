package replay

import (
	"fmt"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/store"
)

// hashOf is the partition of a key, as a namespace of so many is cut.
func hashOf(name string, partitions uint32) (func(key []byte) uint32, error) {
	switch {
	case partitions == 0 || name == "crc16" && partitions > store.Slots:
		return nil, fmt.Errorf("it has %d partitions by %s", partitions, name)
	case name == "crc16":
		return func(key []byte) uint32 { return store.PartitionBySlot(key, partitions) }, nil
	case name == "murmur3":
		return func(key []byte) uint32 { return store.PartitionByMurmur3(key, partitions) }, nil
	}
	return nil, fmt.Errorf("it is cut by %q: this process knows crc16 and murmur3", name)
}

// splitter says which mutations of an event go where. It is the filler's.
type splitter struct {
	hash func(key []byte) uint32
	peer string // the target's cluster id
	self event.ClusterNumber

	touched []uint32 // the partitions that have a part of it
	of      []uint32 // by mutation: the partition, or one of the following
	seen    []bool   // by partition, all false between calls
	picked  []event.Mutation
	numbers []uint32
	dropped int
}

// What is no partition's number.
const (
	nowhere    = 1<<32 - 1
	everywhere = 1<<32 - 2
)

// take looks at an event, and says about how many bytes its parts need; 0: nothing of it goes anywhere.
func (s *splitter) take(ev *event.Event, partitions int, names event.Names) (need int64) {
	s.touched, s.of, s.dropped = s.touched[:0], s.of[:0], 0
	if len(s.seen) != partitions {
		s.seen = make([]bool, partitions)
	}
	s.own(names)
	all := false
	for i := range ev.Mutations {
		m := &ev.Mutations[i]
		to := s.place(m)
		s.of = append(s.of, to)
		switch {
		case to == nowhere:
			s.dropped++
			continue
		case to == everywhere:
			all = true
			need += int64(partitions) * (sizeOf(m) + sliceBytes)
			continue
		case !s.seen[to]:
			s.seen[to] = true
			s.touched = append(s.touched, to)
			need += sliceBytes + parcelBytes
		}
		need += sizeOf(m)
	}
	for _, n := range s.touched {
		s.seen[n] = false
	}
	if all {
		s.touched = s.touched[:0]
		for n := range partitions {
			s.touched = append(s.touched, uint32(n))
		}
	}
	return need
}

// own finds the number that the target's id has in what comes.
func (s *splitter) own(names event.Names) {
	if int(s.self) < len(names) && names[s.self] == s.peer {
		return
	}
	s.self = 0
	for n, id := range names {
		if n > 0 && id == s.peer {
			s.self = event.ClusterNumber(n)
		}
	}
}

// place is where a mutation goes. What the target itself made it has, and what expires it removes by itself.
func (s *splitter) place(m *event.Mutation) uint32 {
	switch {
	case m.Op == event.OpExpire || m.Origin != nil && s.self != 0 && m.Origin.Cluster == s.self:
		return nowhere
	case m.Op == event.OpRange:
		return everywhere
	}
	return s.hash(m.Key)
}

// sizeOf is about what a mutation takes in the logged form.
func sizeOf(m *event.Mutation) int64 {
	const head, element = 128, 40
	n := head + len(m.Key) + len(m.Value) + len(m.Before.Value) + element*len(m.Elements)
	for i := range m.Elements {
		n += len(m.Elements[i].Sub) + len(m.Elements[i].Value)
	}
	return int64(n)
}

// part is what of an event goes to a partition, and the numbers of these mutations; nil if those are all from 0 on. scratch is the event that is returned,
// unless it is the whole one. Both are valid until the next call.
func (s *splitter) part(n uint32, ev, scratch *event.Event) (numbers []uint32, part *event.Event) {
	s.numbers = s.numbers[:0]
	inOrder := true
	for i, to := range s.of {
		if to == n || to == everywhere {
			inOrder = inOrder && i == len(s.numbers)
			s.numbers = append(s.numbers, uint32(i))
		}
	}
	if inOrder {
		scratch.Mutations = ev.Mutations[:len(s.numbers)]
	} else {
		s.picked = s.picked[:0]
		for _, i := range s.numbers {
			s.picked = append(s.picked, ev.Mutations[i])
		}
		scratch.Mutations, numbers = s.picked, s.numbers
	}
	scratch.Time, scratch.Wall, scratch.Term = ev.Time, ev.Wall, ev.Term
	return numbers, scratch
}

// rows looks at rows of a snapshot, of which all go to the lane of their key that isn't behind it yet, and says about how many bytes they need.
func (s *splitter) rows(ev *event.Event, lanes []lane) (need int64) {
	s.touched, s.of, s.dropped = s.touched[:0], s.of[:0], 0
	if len(s.seen) != len(lanes) {
		s.seen = make([]bool, len(lanes))
	}
	for i := range ev.Mutations {
		m := &ev.Mutations[i]
		to := s.hash(m.Key)
		if !lanes[to].wantsRow(m.Key) {
			s.of = append(s.of, nowhere)
			continue
		}
		s.of = append(s.of, to)
		if !s.seen[to] {
			s.seen[to] = true
			s.touched = append(s.touched, to)
			need += sliceBytes + parcelBytes
		}
		need += sizeOf(m)
	}
	for _, n := range s.touched {
		s.seen[n] = false
	}
	return need
}
