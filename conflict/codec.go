package conflict

import (
	"errors"
	"fmt"
	"math"

	"github.com/zankv/zankv/cdc/event"
)

// The rows' values: one byte with the format, 1, then a protobuf message. Another first byte is another format, refused by name; within
// format 1 fields are added, never renumbered or given another meaning, and a reader passes over what it doesn't know.
//
//	message Version { fixed64 time = 1; string cluster = 2; }
//	message Place   { string cluster = 1; uint32 partition = 2; uint64 term = 3; uint64 index = 4; }
//	message Part    { bytes sub = 1; bytes value = 2; fixed64 score = 3 (a double's bits); Version version = 4; }
//	message Side    { Version version = 1; Place place = 2; bool exists = 3; uint32 type = 4; bytes value = 5; fixed64 score = 6;
//	                  repeated Part parts = 7; fixed64 expire_at = 8; uint64 count = 9; uint64 size = 10; bytes digest = 11; }
//	message Record  { bytes id = 1; uint32 register = 2; uint32 action = 3; uint32 reason = 4; uint32 rule = 5; uint32 op = 6; bytes key = 7;
//	                  bytes sub = 8; Side here = 9; Side there = 10; Place source = 11; uint32 group = 12; string command = 13;
//	                  fixed64 decided_at = 14; uint64 removed = 15; }
//	message Diverged { bytes id = 1; bytes key = 2; string source = 3; uint32 type = 4; uint32 reason = 5; Place first = 6; Place last = 7;
//	                  fixed64 first_at = 8; fixed64 last_at = 9; uint64 count = 10; Version latest = 11; }
const format = 1

// ErrFormat is wrapped when a row is of a format, or a kind, that this program doesn't know.
var ErrFormat = errors.New("unknown conflict format")

// ErrCorrupt is wrapped when a row of a known format can't be read.
var ErrCorrupt = errors.New("corrupt conflict row")

// Append appends the record's row value to dst.
func (rec *Record) Append(dst []byte) []byte {
	w := writer{b: append(dst, format)}
	w.bytes(1, rec.ID[:])
	w.varint(2, uint64(rec.Register))
	w.varint(3, uint64(rec.Action))
	w.varint(4, uint64(rec.Reason))
	w.varint(5, uint64(rec.Rule))
	w.varint(6, uint64(rec.Op))
	w.bytes(7, rec.Key)
	w.bytes(8, rec.Sub)
	w.message(9, false, rec.Here.write)
	w.message(10, false, rec.There.write)
	w.message(11, false, rec.Source.write)
	w.varint(12, uint64(rec.Group))
	w.bytes(13, []byte(rec.Command))
	w.fixed(14, uint64(rec.DecidedAt))
	w.varint(15, rec.Removed)
	return w.b
}

// DecodeRecord reads what Record.Append wrote. Its bytes are data's.
func DecodeRecord(data []byte) (*Record, error) {
	rec := &Record{}
	err := decode("record", data, func(r *reader) {
		switch r.field {
		case 1:
			r.id(&rec.ID)
		case 2:
			rec.Register = Register(r.byte())
		case 3:
			rec.Action = Action(r.byte())
		case 4:
			rec.Reason = Reason(r.byte())
		case 5:
			rec.Rule = Rule(r.byte())
		case 6:
			rec.Op = event.Op(r.byte())
		case 7:
			rec.Key = r.bytes()
		case 8:
			rec.Sub = r.bytes()
		case 9:
			r.message(rec.Here.read)
		case 10:
			r.message(rec.There.read)
		case 11:
			r.message(rec.Source.read)
		case 12:
			rec.Group = r.int32()
		case 13:
			rec.Command = r.text()
		case 14:
			rec.DecidedAt = int64(r.fixed())
		case 15:
			rec.Removed = r.varint()
		default:
			r.skip()
		}
	})
	if err != nil {
		return nil, err
	}
	return rec, nil
}

// Append appends the record's row value to dst.
func (d *Diverged) Append(dst []byte) []byte {
	w := writer{b: append(dst, format)}
	w.bytes(1, d.ID[:])
	w.bytes(2, d.Key)
	w.bytes(3, []byte(d.Source))
	w.varint(4, uint64(d.Type))
	w.varint(5, uint64(d.Reason))
	w.message(6, false, d.First.write)
	w.message(7, false, d.Last.write)
	w.fixed(8, uint64(d.FirstAt))
	w.fixed(9, uint64(d.LastAt))
	w.varint(10, d.Count)
	w.message(11, false, d.Latest.write)
	return w.b
}

// DecodeDiverged reads what Diverged.Append wrote. Its bytes are data's.
func DecodeDiverged(data []byte) (*Diverged, error) {
	d := &Diverged{}
	err := decode("diverged key", data, func(r *reader) {
		switch r.field {
		case 1:
			r.id(&d.ID)
		case 2:
			d.Key = r.bytes()
		case 3:
			d.Source = r.text()
		case 4:
			d.Type = event.Type(r.byte())
		case 5:
			d.Reason = Reason(r.byte())
		case 6:
			r.message(d.First.read)
		case 7:
			r.message(d.Last.read)
		case 8:
			d.FirstAt = int64(r.fixed())
		case 9:
			d.LastAt = int64(r.fixed())
		case 10:
			d.Count = r.varint()
		case 11:
			r.message(d.Latest.read)
		default:
			r.skip()
		}
	})
	if err != nil {
		return nil, err
	}
	return d, nil
}

func decode(what string, data []byte, field func(r *reader)) error {
	if len(data) == 0 {
		return fmt.Errorf("conflict: %s of no bytes: %w", what, ErrCorrupt)
	}
	if data[0] != format {
		return fmt.Errorf("conflict: %s: %w %d; this program knows %d: it was written by a newer one", what, ErrFormat, data[0], format)
	}
	r := reader{b: data[1:]}
	for r.next() {
		field(&r)
	}
	if r.err != nil {
		return fmt.Errorf("conflict: %s of %d bytes: %w", what, len(data), r.err)
	}
	return nil
}

func (r *reader) id(id *ID) {
	b := r.bytes()
	if len(b) != len(id) && r.err == nil {
		r.err = fmt.Errorf("%w: an id of %d bytes, want %d", ErrCorrupt, len(b), len(id))
		return
	}
	copy(id[:], b)
}

func (v *Version) write(w *writer) {
	w.fixed(1, uint64(v.Time))
	w.bytes(2, []byte(v.Cluster))
}

func (v *Version) read(r *reader) {
	switch r.field {
	case 1:
		v.Time = int64(r.fixed())
	case 2:
		v.Cluster = r.text()
	default:
		r.skip()
	}
}

func (p *Place) write(w *writer) {
	w.bytes(1, []byte(p.Cluster))
	w.varint(2, uint64(p.Partition))
	w.varint(3, p.Position.Term)
	w.varint(4, p.Position.Index)
}

func (p *Place) read(r *reader) {
	switch r.field {
	case 1:
		p.Cluster = r.text()
	case 2:
		p.Partition = r.int32()
	case 3:
		p.Position.Term = r.varint()
	case 4:
		p.Position.Index = r.varint()
	default:
		r.skip()
	}
}

func (p *Part) write(w *writer) {
	w.bytes(1, p.Sub)
	w.bytes(2, p.Value)
	w.fixed(3, math.Float64bits(p.Score))
	w.message(4, false, p.Version.write)
}

func (p *Part) read(r *reader) {
	switch r.field {
	case 1:
		p.Sub = r.bytes()
	case 2:
		p.Value = r.bytes()
	case 3:
		p.Score = math.Float64frombits(r.fixed())
	case 4:
		r.message(p.Version.read)
	default:
		r.skip()
	}
}

func (s *Side) write(w *writer) {
	w.message(1, false, s.Version.write)
	w.message(2, false, s.Place.write)
	if s.Exists {
		w.varint(3, 1)
	}
	w.varint(4, uint64(s.Type))
	w.bytes(5, s.Value)
	w.fixed(6, math.Float64bits(s.Score))
	for i := range s.Parts {
		w.message(7, true, s.Parts[i].write)
	}
	w.fixed(8, uint64(s.ExpireAt))
	w.varint(9, s.Count)
	w.varint(10, s.Size)
	w.bytes(11, s.Digest)
}

func (s *Side) read(r *reader) {
	switch r.field {
	case 1:
		r.message(s.Version.read)
	case 2:
		r.message(s.Place.read)
	case 3:
		s.Exists = r.varint() != 0
	case 4:
		s.Type = event.Type(r.byte())
	case 5:
		s.Value = r.bytes()
	case 6:
		s.Score = math.Float64frombits(r.fixed())
	case 7:
		var p Part
		r.message(p.read)
		s.Parts = append(s.Parts, p)
	case 8:
		s.ExpireAt = int64(r.fixed())
	case 9:
		s.Count = r.varint()
	case 10:
		s.Size = r.varint()
	case 11:
		s.Digest = r.bytes()
	default:
		r.skip()
	}
}
