package event

import (
	"fmt"
)

// Decode reads the logged form into ev, whose slices and origins it reuses. Byte fields point into data and are valid as long
// as that is. Empty data gives an event without anything. An error wraps ErrFormat or ErrCorrupt, and ev is then undefined.
// It allocates only to grow ev's slices, for a mutation's origin, for cluster ids and for commands that it doesn't know.
func Decode(data []byte, ev *Event) error {
	if len(data) == 0 {
		ev.reset()
		return nil
	}
	if data[0] != Format {
		return formatError(data[0])
	}
	// Versions may be given relative to the event's time. Append writes that first; a message is as valid with it anywhere,
	// and is then read twice.
	guess := reader{b: data[1:]}
	var base int64
	if guess.tag() == tagTime {
		base = guess.fixed()
	}
	if err := decode(data, base, ev); err != nil || ev.Time == base {
		return err
	}
	return decode(data, ev.Time, ev)
}

func (ev *Event) reset() {
	*ev = Event{Clusters: ev.Clusters[:0], Mutations: ev.Mutations[:0], Own: ev.Own[:0], elements: ev.elements[:0]}
	if cap(ev.elements) > elementsKept {
		ev.elements = nil
	}
}

func decode(data []byte, base int64, ev *Event) error {
	ev.reset()
	r := reader{b: data[1:]}
	for len(r.b) > 0 {
		switch tag := r.tag(); tag {
		case tagTime:
			ev.Time = r.fixed()
		case tagWall:
			ev.Wall = int64(r.varint())
		case tagTerm:
			ev.Term = r.varint()
		case tagClusters:
			r.clusterName(ev)
		case tagMutation:
			r.mutation(ev, base)
		case tagOwn:
			r.own(ev)
		default:
			r.skip(tag)
		}
	}
	if r.why != "" {
		return fmt.Errorf("event: decode %d bytes, after %d mutations: %w: %s", len(data), len(ev.Mutations), ErrCorrupt, r.why)
	}
	return nil
}

func (r *reader) clusterName(ev *Event) {
	var c ClusterName
	body := r.message()
	for len(body.b) > 0 {
		switch tag := body.tag(); tag {
		case tagNameNumber:
			c.Number = ClusterNumber(body.varint())
		case tagNameID:
			c.ID = string(body.text())
		default:
			body.skip(tag)
		}
	}
	ev.Clusters = append(ev.Clusters, c)
	r.adopt(&body)
}

func (r *reader) own(ev *Event) {
	var o OwnChange
	body := r.message()
	for len(body.b) > 0 {
		switch tag := body.tag(); tag {
		case tagOwnKind:
			o.Kind = OwnKind(body.small())
		case tagOwnID:
			o.ID = body.bytes()
		case tagOwnValue:
			o.Value = body.bytes()
		default:
			body.skip(tag)
		}
	}
	ev.Own = append(ev.Own, o)
	r.adopt(&body)
}

// grow adds a cleared mutation and gives back the memory of the origin that was in its place.
func (ev *Event) grow() (m *Mutation, spare *Origin) {
	n := len(ev.Mutations)
	if n == cap(ev.Mutations) {
		ev.Mutations = append(ev.Mutations, Mutation{})
		return &ev.Mutations[n], nil
	}
	ev.Mutations = ev.Mutations[:n+1]
	m = &ev.Mutations[n]
	spare = m.Origin
	*m = Mutation{}
	return m, spare
}

func (r *reader) mutation(ev *Event, base int64) {
	m, spare := ev.grow()
	var c collection
	var marks uint64
	body := r.message()
	for len(body.b) > 0 {
		switch tag := body.tag(); tag {
		case tagOp:
			m.Op = Op(body.small())
		case tagType:
			m.Type = Type(body.small())
		case tagKey:
			m.Key = body.bytes()
		case tagValue:
			m.Value = body.bytes()
		case tagMarks:
			marks = body.varint()
		case tagVersionCluster:
			m.Version.Cluster = ClusterNumber(body.varint())
		case tagVersionTime:
			m.Version.Time = body.fixed()
		case tagPrevCluster:
			m.Prev.Cluster = ClusterNumber(body.varint())
		case tagPrevTime:
			m.Prev.Time = body.fixed()
		case tagGroup:
			m.Group = uint32(body.varint())
		case tagCommand:
			m.Command = intern(body.text())
		default:
			body.rareField(m, tag, &spare, &c)
		}
	}
	if m.Op == 0 && body.why == "" {
		body.fail("a mutation without an op")
	}
	m.resolve(marks, base+int64(len(ev.Mutations)-1), c.age)
	if c.count > 0 && body.why == "" {
		body.elements(ev, m, &c)
	}
	r.adopt(&body)
}

// rareField reads what a plain SET hasn't.
func (r *reader) rareField(m *Mutation, tag uint64, spare **Origin, c *collection) {
	switch tag {
	case tagElement:
		r.countElement(c)
	case tagGenerationAge:
		c.age = r.varint()
	case tagKeyCluster:
		m.KeyVersion.Cluster = ClusterNumber(r.varint())
	case tagKeyTime:
		m.KeyVersion.Time = r.fixed()
	case tagBeforeExists:
		m.Before.Exists = r.varint() != 0
	case tagBeforeType:
		m.Before.Type = Type(r.small())
	case tagBeforeExpireAt:
		m.Before.ExpireAt = int64(r.varint())
	case tagExpireAt:
		m.ExpireAt = int64(r.varint())
	case tagFloorCluster:
		m.Floor.Cluster = ClusterNumber(r.varint())
	case tagFloorTime:
		m.Floor.Time = r.fixed()
	case tagExpiryCluster:
		m.ExpiryVersion.Cluster = ClusterNumber(r.varint())
	case tagExpiryTime:
		m.ExpiryVersion.Time = r.fixed()
	case tagGeneration:
		m.Generation = r.varint()
	case tagCount:
		m.Count = r.varint()
	case tagTombstone:
		m.Tombstone = r.varint() != 0
	case tagBeforeGeneration:
		m.Before.Generation = r.varint()
	case tagOrigin:
		r.origin(m, spare)
	case tagBeforeCluster:
		m.Before.Version.Cluster = ClusterNumber(r.varint())
	case tagBeforeTime:
		m.Before.Version.Time = r.fixed()
	case tagBeforeValue:
		m.Before.Value = r.bytes()
	case tagBeforeExpiring:
		m.Before.Expiring = r.varint()
	default:
		r.skip(tag)
	}
}

// origin reads one; as in protobuf, a second one is merged into the first.
func (r *reader) origin(m *Mutation, spare **Origin) {
	if m.Origin == nil {
		if *spare == nil {
			*spare = new(Origin)
		}
		m.Origin = *spare
		*m.Origin = Origin{}
	}
	o := m.Origin
	body := r.message()
	for len(body.b) > 0 {
		switch tag := body.tag(); tag {
		case tagOriginCluster:
			o.Cluster = ClusterNumber(body.varint())
		case tagOriginPartition:
			o.Partition = uint32(body.varint())
		case tagOriginTerm:
			o.Position.Term = body.varint()
		case tagOriginIndex:
			o.Position.Index = body.varint()
		default:
			body.skip(tag)
		}
	}
	r.adopt(&body)
}

// resolve fills in what marks spared.
func (m *Mutation) resolve(marks uint64, local int64, age uint64) {
	if marks&markVersionTime != 0 {
		m.Version.Time = local
	}
	if marks&markFloor != 0 {
		m.Floor = m.Version
	}
	if marks&markExpiryVersion != 0 {
		m.ExpiryVersion = m.Version
	}
	if marks&markPrevCluster != 0 {
		m.Prev.Cluster = m.Version.Cluster
	}
	if marks&markKeyVersion != 0 {
		m.KeyVersion = m.Version
	}
	if marks&markAge != 0 {
		m.Generation = uint64(local) - age
	}
	if marks&markBefore != 0 {
		m.Before.Exists, m.Before.Type, m.Before.Generation = true, m.Type, m.Generation
	}
	m.Whole = marks&markWhole != 0
	m.ElementTombstones = marks&markTombstones != 0
}
