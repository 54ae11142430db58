package conflict

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"

	"github.com/zankv/zankv/cdc/event"
)

// ID names a conflict, or a key that has diverged.
type ID [16]byte

// String is 32 hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Version is an event.Version that can be read anywhere: with the cluster's id. The zero Version means absent.
type Version struct {
	Time    int64 // ns since 1970 on the hybrid clock
	Cluster string
}

// Place says where in which cluster's log something is.
type Place struct {
	Cluster   string
	Partition uint32
	Position  event.Position
}

// Part is one element of a collection's content.
type Part struct {
	Sub     []byte
	Value   []byte
	Score   float64
	Version Version
}

// Side is one of the two that met.
type Side struct {
	Version Version
	// Place is where it was written, as far as that is known: of what is stored only the version is.
	Place Place
	// Exists is false of a removal, and of what isn't there.
	Exists bool
	Type   event.Type
	// Value and Score are a string's or an element's; Parts the elements of a key that was written, or lost, as a whole. ExpireAt is ms since 1970,
	// 0 for none.
	Value    []byte
	Score    float64
	Parts    []Part
	ExpireAt int64
	// Count is how many elements a key as a whole has, when it is a collection. Those that aren't in Parts weren't read.
	Count uint64
	// Size is how many bytes the content has, and Digest its SHA-256 where it is left out as being more than the limit.
	Size   uint64
	Digest []byte
}

// Record is a row of the conflict log.
type Record struct {
	ID       ID
	Register Register
	Action   Action
	Reason   Reason
	Rule     Rule
	Op       event.Op
	Key      []byte
	Sub      []byte // of an element
	// Here is what was stored, There what came in.
	Here, There Side
	// Source is the event that the mutation came with; There.Place is where it was first made.
	Source Place
	// Group and Command are those of the mutation in that event.
	Group   uint32
	Command string
	// DecidedAt is the time of the event here that the decision is recorded in (ns).
	DecidedAt int64
	// Removed is how many older elements went with it besides.
	Removed uint64
}

// RecordID is the id of the conflict that an outcome is: of the write that came in, whatever it met.
func RecordID(env *Env, m *event.Mutation, o *Outcome) ID {
	b := []byte{byte(o.Register)}
	b = appendString(b, m.Key)
	if o.Register == RegisterElement {
		b = appendString(b, m.Elements[o.Element].Sub)
	}
	b = binary.LittleEndian.AppendUint64(b, uint64(m.Version.Time))
	return hashed(appendString(b, env.Names.ID(m.Version.Cluster)))
}

func hashed(b []byte) ID {
	sum := sha256.Sum256(b)
	return ID(sum[:16])
}

func appendString[T string | []byte](dst []byte, s T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// NewRecord describes a logged outcome of Decide on m against st, both as they were given to it. source is where m was read, at the time of the event
// here that it is recorded in (ns), limit how many bytes of content a side shows at most. It borrows the bytes of st and m.
func NewRecord(env *Env, st *Stored, m *event.Mutation, o *Outcome, source Place, at int64, limit int) Record {
	rec := Record{
		ID: RecordID(env, m, o), Register: o.Register, Action: o.Action, Reason: o.Reason, Rule: o.Rule, Op: m.Op, Key: m.Key,
		Source: source, Group: m.Group, Command: m.Command, DecidedAt: at, Removed: uint64(o.Removed),
	}
	switch o.Register {
	case RegisterElement:
		rec.Sub = m.Elements[o.Element].Sub
		rec.Here, rec.There = elementSides(st, m, o.Element)
	case RegisterExpiry:
		rec.Here = Side{Exists: st.Exists, Type: st.Type, ExpireAt: st.ExpireAt}
		rec.There = Side{Exists: true, Type: m.Type, ExpireAt: m.ExpireAt}
	default:
		rec.Here, rec.There = keyHere(env, st), keyThere(m)
	}
	rec.Here.Version, rec.There.Version = versionOf(env, o.Stored), versionOf(env, m.Version)
	rec.There.Place = placeOf(env, m)
	rec.Here.bound(limit)
	rec.There.bound(limit)
	return rec
}

func versionOf(env *Env, v event.Version) Version {
	if v.IsZero() {
		return Version{}
	}
	return Version{Time: v.Time, Cluster: env.Names.ID(v.Cluster)}
}

func placeOf(env *Env, m *event.Mutation) Place {
	o := &env.Origin
	if m.Origin != nil {
		o = m.Origin
	}
	return Place{Cluster: env.Names.ID(o.Cluster), Partition: o.Partition, Position: o.Position}
}

func elementSides(st *Stored, m *event.Mutation, i int) (here, there Side) {
	there = Side{Type: m.Type}
	if p := &m.Elements[i]; !m.Op.Removes() {
		there = Side{Exists: true, Type: m.Type, Value: p.Value, Score: p.Score}
	}
	here = Side{Type: st.Type}
	if i < len(st.Elements) && st.Elements[i].Exists {
		e := &st.Elements[i]
		here = Side{Exists: true, Type: st.Type, Value: e.Value, Score: e.Score}
	}
	return here, there
}

func keyHere(env *Env, st *Stored) Side {
	s := Side{Exists: st.Exists, Type: st.Type, ExpireAt: st.ExpireAt, Count: st.Count}
	if st.Type == event.TypeString {
		s.Value = st.Value
	}
	for i := range st.All {
		e := &st.All[i]
		s.Parts = append(s.Parts, Part{Sub: e.Sub, Value: e.Value, Score: e.Score, Version: versionOf(env, e.Version)})
	}
	return s
}

func keyThere(m *event.Mutation) Side {
	if removal(m) {
		return Side{Type: m.Type}
	}
	s := Side{Exists: true, Type: m.Type, ExpireAt: m.ExpireAt, Count: m.Count}
	if m.Op == event.OpSet || m.Op == event.OpValue {
		s.Value = m.Value
	}
	for i := range m.Elements {
		e := &m.Elements[i]
		s.Parts = append(s.Parts, Part{Sub: e.Sub, Value: e.Value, Score: e.Score})
	}
	return s
}

// bound replaces content of more than limit bytes by its size and digest.
func (s *Side) bound(limit int) {
	size := len(s.Value)
	for i := range s.Parts {
		size += len(s.Parts[i].Sub) + len(s.Parts[i].Value) + partOverhead
	}
	s.Size = uint64(size)
	if size <= limit {
		return
	}
	h := sha256.New()
	var b []byte
	h.Write(appendString(b, s.Value))
	for i := range s.Parts {
		p := &s.Parts[i]
		b = appendString(appendString(b[:0], p.Sub), p.Value)
		h.Write(binary.LittleEndian.AppendUint64(b, math.Float64bits(p.Score)))
	}
	s.Digest, s.Value, s.Parts = h.Sum(nil), nil, nil
}

// partOverhead is about what an element of a collection takes in a record besides its content.
const partOverhead = 24
