package event

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
)

// Chain is the state of a partition's chain after an event: SHA-256 over the chain before, the event's header and one digest
// for each of its mutations. The zero Chain is before the first event. Two readers with the same chain at a position have seen the same
// events, all of them and in order.
//
//	chain  = SHA-256( chain before, 32 bytes | header | digest of each mutation, 32 bytes )
//	digest = SHA-256( canonical mutation )
//
// What goes in is exactly what the JSON shows, so that a chain can be computed from lines alone, and a line whose
// mutation was left out can still be counted by its digest. The canonical encoding of both is drawn at appendHeader and
// appendCanonical.
type Chain [sha256.Size]byte

// IsZero says whether c is the chain before the first event.
func (c Chain) IsZero() bool { return c == Chain{} }

// String is 64 hexadecimal digits.
func (c Chain) String() string { return hex.EncodeToString(c[:]) }

// ParseChain reads what String writes.
func ParseChain(s string) (Chain, error) {
	var c Chain
	if len(s) != hex.EncodedLen(len(c)) {
		return Chain{}, fmt.Errorf("chain %q: %d characters, want %d", s, len(s), hex.EncodedLen(len(c)))
	}
	if _, err := hex.Decode(c[:], []byte(s)); err != nil {
		return Chain{}, fmt.Errorf("chain %q: %w", s, err)
	}
	return c, nil
}

// MarshalText is String.
func (c Chain) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, c[:]), nil }

// UnmarshalText is ParseChain.
func (c *Chain) UnmarshalText(text []byte) (err error) {
	*c, err = ParseChain(string(text))
	return err
}

// Digest is what of a mutation goes into the chain.
type Digest [sha256.Size]byte

// Stamp is what an event gets from the log that it is read from: where it lies, what lies before it, and the chain.
type Stamp struct {
	Cluster   string
	Namespace string
	Partition uint32
	// Position is the event's, Prev that of the event before; zero when there is none.
	Position Position
	Prev     Position
	// PrevChain is the chain at Prev, Chain the one that this event makes of it.
	PrevChain Chain
	Chain     Chain
}

// Scratch is memory that chain computations reuse. The zero Scratch is ready. It is for one goroutine.
type Scratch struct {
	mutation []byte
	event    []byte
}

// scratchKept bounds what a Scratch holds on to after a large value.
const scratchKept = 1 << 20

// NextChain is the chain after ev, given the one before. Of st it uses cluster, namespace, partition, position and Prev. It doesn't
// allocate but to grow scratch.
func NextChain(prev Chain, st *Stamp, ev *Event, names Names, scratch *Scratch) Chain {
	b := append(scratch.event[:0], prev[:]...)
	b = appendHeader(b, chainFormat, st, ev.Time, len(ev.Mutations))
	for i := range ev.Mutations {
		d := DigestOf(&ev.Mutations[i], names, scratch)
		b = append(b, d[:]...)
	}
	scratch.event = b
	return sha256.Sum256(b)
}

// CloseChain is NextChain for who has the digests of an event's mutations instead of the event.
func CloseChain(prev Chain, st *Stamp, time int64, digests []Digest, scratch *Scratch) Chain {
	b := append(scratch.event[:0], prev[:]...)
	b = appendHeader(b, chainFormat, st, time, len(digests))
	for i := range digests {
		b = append(b, digests[i][:]...)
	}
	scratch.event = b
	return sha256.Sum256(b)
}

// DigestOf is the digest of one mutation.
func DigestOf(m *Mutation, names Names, scratch *Scratch) Digest {
	b := appendCanonical(scratch.mutation[:0], m, names)
	d := Digest(sha256.Sum256(b))
	if cap(b) > scratchKept {
		b = nil
	}
	scratch.mutation = b
	return d
}

// appendHeader appends the canonical header:
//
//	1        what it begins: 1 an event, 2 a heartbeat, 3 a snapshot
//	string   cluster
//	string   namespace
//	uvarint  partition
//	uvarint  position's term, then index
//	uvarint  term of the event before, then index; zeros when there is none
//	8        event's time, little-endian
//	uvarint  count of mutations
//
// A string is its length as uvarint and its bytes; a uvarint is LEB128 in its shortest form.
func appendHeader(b []byte, format byte, st *Stamp, time int64, mutations int) []byte {
	b = append(b, format)
	b = canonicalString(b, st.Cluster)
	b = canonicalString(b, st.Namespace)
	b = binary.AppendUvarint(b, uint64(st.Partition))
	b = canonicalPosition(b, st.Position)
	b = canonicalPosition(b, st.Prev)
	b = binary.LittleEndian.AppendUint64(b, uint64(time))
	return binary.AppendUvarint(b, uint64(mutations))
}

const (
	chainFormat     = 1
	heartbeatFormat = 2
	snapshotFormat  = 3
	rowFormat       = 4
)

// appendCanonical appends the canonical mutation, with the terms of appendHeader:
//
//	1        op
//	1        type
//	1        what follows, as a sum of 1 version, 2 prev, 4 origin, 8 expiry; 16 says that it writes the whole key,
//	         32 that it is a snapshot's row
//	uvarint  group
//	string   command
//	string   key, the start of a range
//	string   value, the end of a range; empty for ops whose JSON shows none
//	8        expiry, little-endian               if there is one
//	version  version: 8 time, string cluster id   if not absent
//	version  prev                                 if not absent
//	origin   string cluster id, uvarint partition, uvarint term, uvarint index   if there is one
//	elements see appendCanonicalElements          if it is an op on elements
//
// The sum has 2 for the mutation's own prev, which the JSON doesn't show where each element has one.
func appendCanonical(b []byte, m *Mutation, names Names) []byte {
	var shown byte
	if !m.Version.IsZero() {
		shown |= 1
	}
	if !m.Prev.IsZero() && !m.versionsElements() {
		shown |= 2
	}
	if m.Whole && m.Op.OnElements() {
		shown |= 16
	}
	if m.Row {
		shown |= 32
	}
	if m.Origin != nil {
		shown |= 4
	}
	if m.ExpireAt != 0 {
		shown |= 8
	}
	b = append(b, byte(m.Op), byte(m.Type), shown)
	b = binary.AppendUvarint(b, uint64(m.Group))
	b = canonicalString(b, m.Command)
	b = canonicalBytes(b, m.Key)
	if m.Op.showsValue() {
		b = canonicalBytes(b, m.Value)
	} else {
		b = append(b, 0)
	}
	if shown&8 != 0 {
		b = binary.LittleEndian.AppendUint64(b, uint64(m.ExpireAt))
	}
	if shown&1 != 0 {
		b = canonicalVersion(b, m.Version, names)
	}
	if shown&2 != 0 {
		b = canonicalVersion(b, m.Prev, names)
	}
	if o := m.Origin; o != nil {
		b = canonicalString(b, names.ID(o.Cluster))
		b = binary.AppendUvarint(b, uint64(o.Partition))
		b = canonicalPosition(b, o.Position)
	}
	if m.Op.OnElements() {
		b = appendCanonicalElements(b, m, names)
	}
	return b
}

// appendCanonicalElements appends the elements of a mutation in their order, with the terms of appendHeader:
//
//	uvarint  how many; of a pop that is all
//
// and of each of them
//
//	string   field or member          of hashes, sets and sorted sets
//	uvarint  the segment's number     of setbits
//	uvarint  index                    of lset, linsert, lrem
//	string   value                    of hset, lpush, rpush, lset, linsert, setbits
//	8        score, IEEE 754 binary64, little-endian   of zadd
//	1        1 if a version follows, else 0            where each has a prev
//	version  prev
//
// and at last, of setbits, the bitmap's length in bytes as uvarint.
func appendCanonicalElements(b []byte, m *Mutation, names Names) []byte {
	if m.Op.pops() {
		return binary.AppendUvarint(b, m.popped())
	}
	b = binary.AppendUvarint(b, uint64(len(m.Elements)))
	versions := m.versionsElements()
	for i := range m.Elements {
		e := &m.Elements[i]
		b = appendCanonicalElement(b, m.Op, e)
		switch {
		case !versions:
		case e.Prev.IsZero():
			b = append(b, 0)
		default:
			b = canonicalVersion(append(b, 1), e.Prev, names)
		}
	}
	if m.Op == OpBits {
		b = binary.AppendUvarint(b, m.Count)
	}
	return b
}

func appendCanonicalElement(b []byte, op Op, e *Element) []byte {
	switch {
	case op.namesSubs():
		b = canonicalBytes(b, e.Sub)
	case op == OpBits:
		b = canonicalBytes(binary.AppendUvarint(b, uint64(segmentNumber(e.Sub))), e.Value)
	case op == OpLSet || op == OpLInsert || op == OpLRem:
		b = binary.AppendUvarint(b, uint64(e.Index))
	}
	if op.showsElementValues() {
		b = canonicalBytes(b, e.Value)
	}
	if op == OpZAdd {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(e.Score))
	}
	return b
}

func canonicalString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func canonicalBytes(b, s []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func canonicalPosition(b []byte, p Position) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, p.Term), p.Index)
}

func canonicalVersion(b []byte, v Version, names Names) []byte {
	return canonicalString(binary.LittleEndian.AppendUint64(b, uint64(v.Time)), names.ID(v.Cluster))
}
