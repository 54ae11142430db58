// Package streamtest makes streams of a partition for tests of what archives and checks them: events of all ops with their chain, and as lines with
// what stands between them.
package streamtest

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/message"
)

// StartTime is the first event's, about.
const StartTime = int64(1795255200000000000)

// Stream is a partition's stream in the making. What it makes follows from its seed.
type Stream struct {
	Names event.Names
	Units []Unit

	rng     *rand.Rand
	last    event.Stamp
	time    int64
	beyond  uint64 // what a heartbeat named
	scratch event.Scratch
}

// Unit is what is delivered whole: an event, a heartbeat, a snapshot.
type Unit struct {
	// Event is nil in heartbeats and snapshots.
	Event *event.Event
	Stamp event.Stamp
	// Messages have a line each.
	Messages []message.Message
	// Reached is how far the stream is with it.
	Reached changefeed.Reached
}

// New makes a stream of partition 3 of the namespace default.
func New(seed uint64) *Stream { return NewPartition(seed, 3) }

// NewPartition makes one of another partition.
func NewPartition(seed uint64, partition uint32) *Stream {
	return &Stream{
		Names: event.Names{"", "dc-a", "dc-b", "ü\"c"}, rng: rand.New(rand.NewPCG(seed, uint64(partition))), time: StartTime,
		last: event.Stamp{Cluster: "dc-a", Namespace: "default", Partition: partition},
	}
}

// Last is the last event's stamp.
func (s *Stream) Last() event.Stamp { return s.last }

// advance goes to the next entry's position: some entries are no events, some begin a term.
func (s *Stream) advance() {
	p := &s.last.Position
	s.last.Prev, s.last.PrevChain = *p, s.last.Chain
	p.Index = max(p.Index, s.beyond) + 1 + uint64(s.rng.IntN(3)/2)
	if p.Term == 0 || s.rng.IntN(10) == 0 {
		p.Term++
	}
	s.time += 1 + s.rng.Int64N(int64(1e9))
}

// Event adds an event of random mutations of all ops.
func (s *Stream) Event() *Unit {
	n := 1
	if s.rng.IntN(3) == 0 {
		n += s.rng.IntN(4)
	}
	ev := &event.Event{}
	for range n {
		ev.Mutations = append(ev.Mutations, s.mutation(int64(len(ev.Mutations))))
	}
	return s.Add(ev)
}

// Add adds an event. Its time and term are set.
func (s *Stream) Add(ev *event.Event) *Unit {
	s.stamp(ev)
	u := Unit{Event: ev, Stamp: s.last}
	for i := range ev.Mutations {
		u.Messages = append(u.Messages, s.change(ev, i))
	}
	return s.add(u)
}

// Filtered adds an event of which some mutations, or all, were left out.
func (s *Stream) Filtered() *Unit {
	ev := &event.Event{}
	for range 1 + s.rng.IntN(4) {
		ev.Mutations = append(ev.Mutations, s.mutation(int64(len(ev.Mutations))))
	}
	s.stamp(ev)
	of := uint32(len(ev.Mutations))
	out := s.rng.IntN(int(of))
	u := Unit{Event: ev, Stamp: s.last}
	var digests []event.Digest
	for i := range ev.Mutations[:out+1] {
		digests = append(digests, event.DigestOf(&ev.Mutations[i], s.Names, &s.scratch))
	}
	u.Messages = append(u.Messages, s.message(message.Filtered, event.AppendFiltered(nil, &s.last, ev.Time, 0, of, digests), 0, of))
	for i := out + 1; i < int(of); i++ {
		u.Messages = append(u.Messages, s.change(ev, i))
	}
	return s.add(u)
}

// Heartbeat adds one, at the last event or a bit after it.
func (s *Stream) Heartbeat() *Unit {
	at := s.last.Position
	at.Index = max(at.Index, s.beyond) + uint64(s.rng.IntN(2))
	if s.last.Position.IsZero() {
		at = event.Position{}
	}
	s.time += 1e6
	line := event.AppendHeartbeat(nil, &s.last, at, s.time, &s.scratch)
	u := Unit{Stamp: s.last, Reached: changefeed.Reached{Position: at, Chain: s.last.Chain, Time: s.time}}
	m := s.message(message.Heartbeat, line, 0, 0)
	m.Position = at
	u.Messages = append(u.Messages, m)
	s.beyond = at.Index
	return s.add(u)
}

// Snapshot adds a loss of the place in the log, with so many rows.
func (s *Stream) Snapshot(rows int) *Unit {
	prev := s.last.Position
	s.advance()
	s.last.Position.Index += 5
	base := s.last
	base.Prev = prev
	for i := range base.Chain {
		base.Chain[i] = byte(s.rng.Uint32()) // events that nobody here has seen
	}
	u := Unit{}
	rolling := event.SnapshotChain(&base, s.time, &s.scratch)
	u.Messages = append(u.Messages, s.message(message.SnapshotBegin, event.AppendSnapshotBegin(nil, &base, s.time, &s.scratch), 0, 0))
	for i := range rows {
		m := s.row()
		rolling = event.RowChain(rolling, &m, s.Names, &s.scratch)
		line := event.AppendSnapshotRow(nil, &base, s.time, uint32(i), &m, s.Names, rolling)
		u.Messages = append(u.Messages, s.message(message.SnapshotRow, line, uint32(i), 0))
	}
	u.Messages = append(u.Messages, s.message(message.SnapshotEnd, event.AppendSnapshotEnd(nil, &base, s.time, uint64(rows), rolling), 0, 0))
	s.last = base
	u.Stamp = base
	return s.add(u)
}

func (s *Stream) stamp(ev *event.Event) {
	s.advance()
	ev.Time, ev.Term = s.time, s.last.Position.Term
	s.last.Chain = event.NextChain(s.last.PrevChain, &s.last, ev, s.Names, &s.scratch)
}

func (s *Stream) change(ev *event.Event, i int) message.Message {
	m := s.message(message.Change, event.AppendJSON(nil, &s.last, ev, i, s.Names), uint32(i), uint32(len(ev.Mutations)))
	if mutation := &ev.Mutations[i]; mutation.Op != event.OpRange {
		m.Key = mutation.Key
	}
	return m
}

func (s *Stream) message(kind message.Kind, line []byte, seq, of uint32) message.Message {
	return message.Message{Kind: kind, Value: line[:len(line)-1], Position: s.last.Position, Seq: seq, Of: of, Time: s.time}
}

func (s *Stream) add(u Unit) *Unit {
	if u.Reached.Position.IsZero() {
		u.Reached = changefeed.Reached{Position: u.Stamp.Position, Chain: u.Stamp.Chain, Time: s.time}
	}
	s.Units = append(s.Units, u)
	return &s.Units[len(s.Units)-1]
}

// Lines are all lines, each with its line feed.
func (s *Stream) Lines() [][]byte { return LinesOf(s.Units) }

// LinesOf are those of some units.
func LinesOf(units []Unit) (lines [][]byte) {
	for i := range units {
		for j := range units[i].Messages {
			lines = append(lines, append(append([]byte(nil), units[i].Messages[j].Value...), '\n'))
		}
	}
	return lines
}

// Fill adds n units, mostly events. With, besides heartbeats, what a filter and a loss of the place leave, if all is wanted.
func (s *Stream) Fill(n int, all bool) *Stream {
	for range n {
		switch k := s.rng.IntN(24); {
		case k < 3:
			s.Heartbeat()
		case k < 6 && all:
			s.Filtered()
		case k == 6 && all:
			s.Snapshot(s.rng.IntN(5))
		default:
			s.Event()
		}
	}
	return s
}

func draw[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

var allOps = []event.Op{
	event.OpSet, event.OpValue, event.OpDel, event.OpExpire, event.OpExpireAt, event.OpPersist, event.OpRange, event.OpHSet, event.OpHDel, event.OpSAdd,
	event.OpSRem, event.OpZAdd, event.OpZRem, event.OpLPush, event.OpRPush, event.OpLPop, event.OpRPop, event.OpLSet, event.OpLInsert, event.OpLRem, event.OpBits,
}

func (s *Stream) version() event.Version {
	if s.rng.IntN(4) == 0 {
		return event.Version{}
	}
	return event.Version{Time: s.time - s.rng.Int64N(1e12), Cluster: event.ClusterNumber(1 + s.rng.IntN(3))}
}

// mutation is one of any op, as a line shows it.
func (s *Stream) mutation(local int64) event.Mutation {
	r := s.rng
	op := draw(r, allOps...)
	m := event.Mutation{
		Op: op, Type: event.TypeString, Key: []byte(draw(r, "users:42", "plain", "t:\x00\xff", "ü:\"q\"\n", "")),
		Version: event.Version{Time: s.time + local, Cluster: 1}, Prev: s.version(), Group: uint32(local / 2),
		Command: draw(r, "set", "", "exec", "zadd"),
	}
	if r.IntN(4) == 0 {
		m.ExpireAt = s.time/1e6 + r.Int64N(1e6)
	}
	if r.IntN(4) == 0 {
		m.Origin = &event.Origin{Cluster: 2, Partition: r.Uint32N(9), Position: event.Position{Term: 3, Index: r.Uint64N(1e6)}}
	}
	switch {
	case op.OnElements():
		m.Type = op.ElementType()
		m.Whole = r.IntN(4) == 0 && (op == event.OpHSet || op == event.OpSAdd || op == event.OpZAdd || op == event.OpRPush || op == event.OpBits)
		s.elements(&m)
	case op == event.OpSet || op == event.OpValue:
		m.Value = []byte(draw(r, "37", "", "a longer value with \\ and \x7f", "\xfe\xff", fmt.Sprint(r.Uint64())))
	case op == event.OpRange:
		m.Key, m.Value = []byte("a"), []byte("b")
	}
	return m
}

func (s *Stream) elements(m *event.Mutation) {
	r := s.rng
	n := 1 + r.IntN(3)
	if m.Op == event.OpLInsert {
		n = 1
	}
	for i := range n {
		e := event.Element{}
		switch m.Op {
		case event.OpHSet, event.OpHDel, event.OpSAdd, event.OpSRem, event.OpZAdd, event.OpZRem, event.OpBits:
			e.Prev = s.version()
			e.Sub = fmt.Appendf(nil, "%s%d", draw(r, "age", "ü", "\xff"), i)
		}
		switch m.Op {
		case event.OpHSet, event.OpLPush, event.OpRPush, event.OpLSet, event.OpLInsert:
			e.Value = []byte(draw(r, "37", "", "item", "\"x\"", fmt.Sprint(r.Uint64())))
		case event.OpZAdd:
			e.Score = draw(r, 1.5, -2, 0, 1e300, 12345.678)
		case event.OpBits:
			e.Sub = binary.BigEndian.AppendUint32(nil, uint32(3*i)+r.Uint32N(3))
			e.Value = []byte(draw(r, "", "\x80", "abc"))
			m.Count = 4096 + r.Uint64N(99)
		}
		if m.Op == event.OpLSet || m.Op == event.OpLInsert || m.Op == event.OpLRem {
			e.Index = int64(10*i) + r.Int64N(10)
		}
		m.Elements = append(m.Elements, e)
	}
}

// row is a key of a snapshot.
func (s *Stream) row() event.Mutation {
	m := event.Mutation{Op: event.OpSet, Type: event.TypeString, Key: fmt.Appendf(nil, "row:%d", s.rng.IntN(100)), Value: []byte("v"), Row: true}
	m.Version = event.Version{Time: s.time - 5, Cluster: 1}
	return m
}
