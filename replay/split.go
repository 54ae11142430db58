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

// splitter says which mutations of an event go to which lane. It is the filler's.
type splitter struct {
	hash  func(key []byte) uint32
	lanes store.Numbers // the target's partitions that lanes lead to, in their order
	peer  string        // the target's cluster id
	self  event.ClusterNumber

	touched []uint32        // the lanes that have a part of it
	of      []uint32        // by mutation: the lane, or one of the following
	all     bool            // something goes everywhere
	stray   *event.Mutation // one whose key no lane is for: it is the event's
	// first and last are, by lane, numbers of mutations and one more, 0 for none; next leads by mutation from one to the next of the same lane.
	first, last []uint32
	next        []uint32
	picked      []event.Mutation
	numbers     []uint32
	dropped     int
}

// What is no lane.
const (
	nowhere    = 1<<32 - 1
	everywhere = 1<<32 - 2
)

// begin forgets what was looked at before.
func (s *splitter) begin() {
	for _, n := range s.touched {
		s.first[n], s.last[n] = 0, 0
	}
	if s.first == nil {
		s.first, s.last = make([]uint32, s.lanes.Count), make([]uint32, s.lanes.Count)
	}
	s.touched, s.of, s.next, s.dropped, s.all, s.stray = s.touched[:0], s.of[:0], s.next[:0], 0, false, nil
}

// add notes where the next mutation goes, and says about how many bytes it needs there.
func (s *splitter) add(m *event.Mutation, to uint32) (need int64) {
	s.of, s.next = append(s.of, to), append(s.next, 0)
	number := uint32(len(s.of))
	switch {
	case to == nowhere:
		return 0
	case to == everywhere:
		s.all = true
		return int64(len(s.first)) * (sizeOf(m) + sliceBytes + parcelBytes)
	case s.first[to] == 0:
		s.first[to] = number
		s.touched = append(s.touched, to)
		need = sliceBytes + parcelBytes
	default:
		s.next[s.last[to]-1] = number
	}
	s.last[to] = number
	return need + sizeOf(m)
}

// take looks at an event, and says about how many bytes its parts need; 0: nothing of it goes anywhere.
func (s *splitter) take(ev *event.Event, names event.Names) (need int64) {
	s.begin()
	s.own(names)
	for i := range ev.Mutations {
		m := &ev.Mutations[i]
		to := s.place(m)
		if to == nowhere {
			s.dropped++
		}
		need += s.add(m, to)
	}
	if s.all {
		s.touched = s.touched[:0]
		for n := range s.lanes.Count {
			s.touched = append(s.touched, n)
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
	return s.lane(m)
}

// lane is that of a mutation's key.
func (s *splitter) lane(m *event.Mutation) uint32 {
	n, ok := s.lanes.Index(s.hash(m.Key))
	if !ok {
		s.stray = m
		return nowhere
	}
	return n
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

// part is what of an event goes to a lane, and the numbers of these mutations; nil if those are all from 0 on. scratch is the event that is returned,
// unless it is the whole one. Both are valid until the next call.
func (s *splitter) part(n uint32, ev, scratch *event.Event) (numbers []uint32, part *event.Event) {
	s.numbers = s.numbers[:0]
	if s.all {
		for i, to := range s.of {
			if to == n || to == everywhere {
				s.numbers = append(s.numbers, uint32(i))
			}
		}
	} else {
		for i := s.first[n]; i != 0; i = s.next[i-1] {
			s.numbers = append(s.numbers, i-1)
		}
	}
	if last := len(s.numbers) - 1; int(s.numbers[last]) == last {
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
	s.begin()
	for i := range ev.Mutations {
		m := &ev.Mutations[i]
		to := s.lane(m)
		if to != nowhere && !lanes[to].wantsRow(m.Key) {
			to = nowhere
		}
		need += s.add(m, to)
	}
	return need
}
