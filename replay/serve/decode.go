package serve

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/partition"
	"github.com/zankv/zankv/replay/problem"
)

// The fields of replay.proto's Range, Slice and Chunk, and those of event.proto's Event and Mutation whose number decides what a decoded event
// takes. They are read where they lie: what protobuf's own code makes of them is a copy.
const (
	fieldSlices = 1 // Range

	fieldTerm    = 1 // Slice
	fieldIndex   = 2
	fieldNumbers = 3
	fieldEvent   = 4

	fieldEvents = 1 // Chunk

	fieldClusters  = 4 // Event
	fieldMutations = 5
	fieldOwn       = 6

	fieldOrigin   = 24 // Mutation
	fieldElements = 29
)

func malformed(format string, args ...any) error {
	return problem.New(problem.Invalid, "replay: malformed: "+format, args...)
}

// fields visits a message's fields: number, and the bytes of a length-delimited one or the value of a varint. Others are passed over.
func fields(b []byte, visit func(number protowire.Number, data []byte, value uint64) error) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return malformed("%v", protowire.ParseError(n))
		}
		b = b[n:]
		var data []byte
		var value uint64
		switch kind {
		case protowire.BytesType:
			data, n = protowire.ConsumeBytes(b)
		case protowire.VarintType:
			value, n = protowire.ConsumeVarint(b)
		default:
			n = protowire.ConsumeFieldValue(number, kind, b)
		}
		if n < 0 {
			return malformed("field %d: %v", number, protowire.ParseError(n))
		}
		if b = b[n:]; kind != protowire.BytesType && kind != protowire.VarintType {
			continue
		}
		if err := visit(number, data, value); err != nil {
			return err
		}
	}
	return nil
}

// census is how many things there are that a decoded form has a struct for.
type census struct {
	slices, numbers, mutations, elements, origins, clusters, own int
}

// bytes is what they take. What lies in memory that grows as it is read counts with what it leaves behind.
func (c *census) bytes() int64 {
	size := func(n int, one uintptr) int64 { return int64(n) * int64(one) }
	return size(c.slices, unsafe.Sizeof(partition.Slice{})+unsafe.Sizeof(event.Event{})) + size(c.numbers, 4) +
		size(c.mutations, unsafe.Sizeof(event.Mutation{})) + size(3*c.elements, unsafe.Sizeof(event.Element{})) +
		size(c.origins, unsafe.Sizeof(event.Origin{})) + size(2*c.clusters, unsafe.Sizeof(event.ClusterName{})) +
		size(2*c.own, unsafe.Sizeof(event.OwnChange{}))
}

// countRange counts what is in a Range.
func countRange(b []byte) (c census, err error) {
	err = fields(b, func(number protowire.Number, data []byte, _ uint64) error {
		if number != fieldSlices {
			return nil
		}
		c.slices++
		return fields(data, func(number protowire.Number, data []byte, _ uint64) error {
			switch number {
			case fieldNumbers:
				c.numbers += max(len(data), 1) // packed, or one
			case fieldEvent:
				return c.event(data)
			}
			return nil
		})
	})
	return c, err
}

// countChunk counts what is in a Chunk.
func countChunk(b []byte) (c census, err error) {
	err = fields(b, func(number protowire.Number, data []byte, _ uint64) error {
		if number != fieldEvents {
			return nil
		}
		c.slices++
		return c.event(data)
	})
	return c, err
}

// event counts what is in the logged form of an event, without the byte that says the format.
func (c *census) event(logged []byte) error {
	if len(logged) == 0 || logged[0] != event.Format {
		return nil // decoding it says so
	}
	for b := logged[1:]; len(b) > 0; {
		number, size, n := skim(b)
		if n < 0 {
			return malformed("an event: %v", protowire.ParseError(n))
		}
		switch number {
		case fieldClusters:
			c.clusters++
		case fieldOwn:
			c.own++
		case fieldMutations:
			c.mutations++
			if err := c.mutation(b[n-size : n]); err != nil {
				return err
			}
		}
		b = b[n:]
	}
	return nil
}

func (c *census) mutation(b []byte) error {
	for len(b) > 0 {
		number, _, n := skim(b)
		if n < 0 {
			return malformed("a mutation: %v", protowire.ParseError(n))
		}
		switch number {
		case fieldElements:
			c.elements++
		case fieldOrigin:
			c.origins++
		}
		b = b[n:]
	}
	return nil
}

// skim passes over one field, of n bytes; the last size of them are the content, if it is length-delimited. n below 0 is protowire's error.
func skim(b []byte) (number protowire.Number, size, n int) {
	tag, n := uint64(b[0]), 1
	if tag >= 0x80 {
		if tag, n = protowire.ConsumeVarint(b); n < 0 {
			return 0, 0, n
		}
	}
	number = protowire.Number(min(tag>>3, math.MaxInt32)) // a larger one is no field's
	if tag&7 != uint64(protowire.BytesType) {
		m := protowire.ConsumeFieldValue(number, protowire.Type(tag&7), b[n:])
		if m < 0 {
			return 0, 0, m
		}
		return number, 0, n + m
	}
	length, m := protowire.ConsumeVarint(b[n:])
	if m < 0 {
		return 0, 0, m
	}
	if length > uint64(len(b)-n-m) {
		return 0, 0, errTruncated
	}
	return number, int(length), n + m + int(length)
}

// errTruncated is protowire's number for bytes that end too early.
var errTruncated = protowire.ConsumeFieldValue(1, protowire.BytesType, nil)

// decoder decodes events whose versions are by the header's names.
type decoder struct {
	names event.Names
	// free is room for the mutations that are to come: as many as were counted.
	free []event.Mutation
}

// slices reads a Range.
func (d *decoder) slices(b []byte, c *census) ([]partition.Slice, error) {
	all := make([]partition.Slice, 0, c.slices)
	events := make([]event.Event, c.slices)
	d.free = make([]event.Mutation, 0, c.mutations)
	err := fields(b, func(number protowire.Number, data []byte, _ uint64) error {
		if number != fieldSlices {
			return nil
		}
		s := partition.Slice{Event: &events[len(all)]}
		if err := d.slice(&s, data); err != nil {
			return fmt.Errorf("slice %d, event %s: %w", len(all), s.Position, err)
		}
		all = append(all, s)
		return nil
	})
	return all, err
}

func (d *decoder) slice(s *partition.Slice, b []byte) error {
	var logged []byte
	err := fields(b, func(number protowire.Number, data []byte, value uint64) (err error) {
		switch number {
		case fieldTerm:
			s.Position.Term = value
		case fieldIndex:
			s.Position.Index = value
		case fieldNumbers:
			s.Numbers, err = numbers(s.Numbers, data, value)
		case fieldEvent:
			logged = data
		}
		return err
	})
	if err != nil {
		return err
	}
	if s.Position.IsZero() || len(logged) == 0 {
		return malformed("a slice without position or event")
	}
	if err := d.event(logged, s.Event); err != nil {
		return err
	}
	return checkNumbers(s)
}

// numbers appends one number, or those that are packed.
func numbers(to []uint32, packed []byte, one uint64) ([]uint32, error) {
	if packed == nil {
		return append(to, uint32(one)), nil
	}
	if to == nil {
		to = make([]uint32, 0, len(packed))
	}
	for len(packed) > 0 {
		v, n := protowire.ConsumeVarint(packed)
		if n < 0 {
			return nil, malformed("numbers: %v", protowire.ParseError(n))
		}
		to, packed = append(to, uint32(v)), packed[n:]
	}
	return to, nil
}

// checkNumbers sees that there is one for each mutation, or none at all, and that they grow.
func checkNumbers(s *partition.Slice) error {
	if len(s.Numbers) > 0 && len(s.Numbers) != len(s.Event.Mutations) {
		return malformed("%d numbers for %d mutations", len(s.Numbers), len(s.Event.Mutations))
	}
	for i := 1; i < len(s.Numbers); i++ {
		if s.Numbers[i] <= s.Numbers[i-1] {
			return malformed("mutation %d after %d", s.Numbers[i], s.Numbers[i-1])
		}
	}
	return nil
}

// rows reads a Chunk.
func (d *decoder) rows(b []byte, c *census) ([]event.Mutation, error) {
	d.free = make([]event.Mutation, 0, c.mutations)
	rows := d.free
	err := fields(b, func(number protowire.Number, data []byte, _ uint64) error {
		if number != fieldEvents {
			return nil
		}
		var ev event.Event // one of its own for each, as its elements stay in use
		if err := d.event(data, &ev); err != nil {
			return fmt.Errorf("after %d rows: %w", len(rows), err)
		}
		rows = append(rows, ev.Mutations...)
		return nil
	})
	return rows, err
}

// event decodes a logged event and sees that what it refers to is there. What is of the partition that it was read from alone is left out.
func (d *decoder) event(logged []byte, ev *event.Event) error {
	ev.Mutations = d.free
	if err := event.Decode(logged, ev); errors.Is(err, event.ErrFormat) {
		return problem.New(problem.Refused, "replay: %v: upgrade this cluster before the one that sends it", err)
	} else if err != nil {
		return problem.New(problem.Invalid, "replay: %v", err)
	}
	ev.Clusters, ev.Own = nil, nil
	if n := len(ev.Mutations); n <= cap(d.free) {
		d.free, ev.Mutations = ev.Mutations[n:n:cap(ev.Mutations)], slices.Clip(ev.Mutations)
	}
	for i := range ev.Mutations {
		if err := d.mutation(&ev.Mutations[i]); err != nil {
			return fmt.Errorf("mutation %d: %w", i, err)
		}
	}
	return nil
}

func (d *decoder) mutation(m *event.Mutation) error {
	if m.Op < event.OpSet || m.Op > event.OpBits {
		return problem.New(problem.Refused, "replay: op %d isn't known here: upgrade this cluster before the one that sends it", uint8(m.Op))
	}
	for _, v := range [...]*event.Version{&m.Version, &m.Prev, &m.Floor, &m.ExpiryVersion, &m.KeyVersion, &m.Before.Version} {
		if err := d.named(v.Cluster); err != nil {
			return err
		}
	}
	if m.Origin != nil {
		if err := d.named(m.Origin.Cluster); err != nil {
			return err
		}
	}
	for i := range m.Elements {
		if err := d.named(m.Elements[i].Prev.Cluster); err != nil {
			return err
		}
	}
	return nil
}

// named sees that a number has a name; 0 is no cluster.
func (d *decoder) named(c event.ClusterNumber) error {
	if c == 0 || int64(c) < int64(len(d.names)) && d.names[c] != "" {
		return nil
	}
	return malformed("cluster number %d has no name in the header", c)
}
