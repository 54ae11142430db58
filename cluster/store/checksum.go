package store

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"

	"github.com/zeebo/xxh3"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/engine"
)

// Sum is a sum of 128-bit hashes, modulo 2^128: the order in which they are added doesn't matter.
type Sum struct{ Hi, Lo uint64 }

// Add returns s + t.
func (s Sum) Add(t Sum) Sum {
	lo, carry := bits.Add64(s.Lo, t.Lo, 0)
	hi, _ := bits.Add64(s.Hi, t.Hi, carry)
	return Sum{Hi: hi, Lo: lo}
}

// IsZero says whether nothing was added (or what cancels out, by a chance of 2^-128).
func (s Sum) IsZero() bool { return s == Sum{} }

// String is 32 hexadecimal digits.
func (s Sum) String() string { return fmt.Sprintf("%016x%016x", s.Hi, s.Lo) }

// MarshalText is String, for JSON.
func (s Sum) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (s *Sum) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil || len(b) != 16 {
		return fmt.Errorf("store: checksum %q: want 32 hexadecimal digits", text)
	}
	s.Hi, s.Lo = binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
	return nil
}

// Checksum is the fingerprint of a store's logical content at a position. Two replicas with the same position have the same;
// two clusters, whatever their partition counts, the same sums of their partitions' slots.
type Checksum struct {
	Position event.Position
	Wall     int64 // ms: keys expired at it are left out
	// Watermark (ns) is the one by which it was made.
	Watermark int64
	Keys      int64 // keys that went in, without tombstones
	Total     Sum   // of all slots
	// Slots are those with something in them, by Redis hash slot.
	Slots map[uint16]Sum
}

// The hash of a key is xxh3's, 128 bits, over the following; strings are preceded by their length as an uvarint, numbers are
// little-endian, a version is its time in 8 bytes and the cluster's id as a string:
//
//	1 type · string key · version · version floor · 8 expiry · version of the expiry register
//	string value, if the type is string
//	8 count, if the type is bitmap: its length in bytes, of which the last may be in no segment
//	per element in order: string subkey · version (both left out of a list, which is one register) · string payload, if it is a collection
//
// A tombstone goes in as a key of type 0, without what follows the expiry's version; an element's only above its key's floor, at or
// below which no element counts. A string has no floor but its version. Generations, other counts and cluster
// numbers are internal and left out, as is what a list keeps in its meta row.
//
// What is at or below the watermark was decided alike everywhere, and one cluster may have forgotten it while another remembers: a floor, the version of
// an expiry that was cleared, a tombstone's version count as absent then, and so does the bound that stands for "none" in an expiry's version without a
// cluster. What is left of an expired key counts as little as the key.
type summer struct {
	ctx   context.Context
	names event.Names
	sums  [Slots]Sum
	out   Checksum
	hash  xxh3.Hasher
	buf   []byte
	rows  int
	// elements is opened with the first collection.
	reader   engine.Reader
	elements engine.Iterator
	floor    struct { // of the key whose elements' tombstones are gone through
		known   bool
		key     []byte
		version event.Version
		expired bool
		without bool // it is of a type whose elements leave no tombstones: those that are there are of a life before
	}
}

// checkEvery is after how many rows the context is asked whether it ended.
const checkEvery = 1024

// Checksum reads all of a snapshot (nil: one taken now) and sums it up. What is expired at the state's Wall is left out, as are
// tombstones at or below the watermark, rows that wait for the clean-up and the partition's own rows. It takes 256 KiB, and time
// in proportion to the rows. Any goroutine.
func (s *Store) Checksum(ctx context.Context, snap *Snapshot) (Checksum, error) {
	return s.ChecksumAbove(ctx, snap, 0, 0)
}

// ChecksumAbove is Checksum with a watermark (ns) and a wall clock (ms) that may be higher than the store's: the sums of two clusters can be compared
// once both have taken in what the other made up to the greater of their watermarks, if both are made by that, and by the same time.
func (s *Store) ChecksumAbove(ctx context.Context, snap *Snapshot, watermark, wall int64) (Checksum, error) {
	if snap == nil {
		snap = s.Snapshot()
		defer snap.Close()
	}
	st, err := snap.State()
	if err != nil {
		return Checksum{}, err
	}
	sum := &summer{ctx: ctx, names: st.Clusters, reader: snap.reader}
	sum.out = Checksum{Position: st.Applied, Wall: max(wall, st.Wall), Watermark: max(watermark, st.Watermark)}
	defer sum.close()
	if err := sum.all(); err != nil {
		return Checksum{}, fmt.Errorf("store: checksum of %s at %s: %w", s.id, st.Applied, err)
	}
	return sum.result(), nil
}

func (c *summer) close() {
	if c.elements != nil {
		c.elements.Close()
	}
}

func (c *summer) result() Checksum {
	c.out.Slots = make(map[uint16]Sum)
	for slot, sum := range &c.sums {
		if !sum.IsZero() {
			c.out.Slots[uint16(slot)] = sum
			c.out.Total = c.out.Total.Add(sum)
		}
	}
	return c.out
}

func (c *summer) all() error {
	var m event.Meta
	err := scan(c.reader, []byte{famMeta}, []byte{famMeta + 1}, func(key, row []byte) (bool, error) {
		if err := c.tick(); err != nil {
			return false, err
		}
		if err := decodeMeta(&m, row); err != nil {
			return false, fmt.Errorf("key %q: %w", clip(key[1:]), err)
		}
		return true, c.key(key[1:], &m)
	})
	if err != nil {
		return err
	}
	return scan(c.reader, []byte{famTombstone}, []byte{famTombstone + 1}, func(key, row []byte) (bool, error) {
		if err := c.tick(); err != nil {
			return false, err
		}
		return true, c.tombstone(key, row)
	})
}

func (c *summer) tick() error {
	if c.rows++; c.rows%checkEvery == 0 {
		return c.ctx.Err()
	}
	return nil
}

func (c *summer) key(key []byte, m *event.Meta) error {
	if m.Expired(c.out.Wall) {
		return nil
	}
	c.out.Keys++
	c.head(key, m)
	if m.Type == event.TypeString {
		c.string(m.Value)
	} else if err := c.collection(key, m); err != nil {
		return err
	}
	c.add(key)
	return nil
}

// add takes up the hash that was made of a key.
func (c *summer) add(key []byte) {
	h := c.hash.Sum128()
	slot := Slot(key)
	c.sums[slot] = c.sums[slot].Add(Sum{Hi: h.Hi, Lo: h.Lo})
}

func (c *summer) head(key []byte, m *event.Meta) {
	c.hash.Reset()
	c.buf = append(c.buf[:0], byte(m.Type))
	c.buf = appendString(c.buf, key)
	c.buf = c.appendVersion(c.buf, m.Version)
	c.buf = c.appendVersion(c.buf, c.above(floorOf(m)))
	c.buf = binary.LittleEndian.AppendUint64(c.buf, uint64(m.ExpireAt))
	expiry := m.ExpiryVersion
	if m.ExpireAt == 0 {
		if expiry = c.above(expiry); expiry.Cluster == 0 {
			expiry = event.Version{}
		}
	}
	c.buf = c.appendVersion(c.buf, expiry)
	c.hash.Write(c.buf)
}

// floorOf is the version at or below which nothing of a key counts.
func floorOf(m *event.Meta) event.Version {
	if m.Type == event.TypeString {
		return m.Version
	}
	return m.Floor
}

// above is a version as long as it is above the watermark.
func (c *summer) above(v event.Version) event.Version {
	if v.Time <= c.out.Watermark {
		return event.Version{}
	}
	return v
}

func appendString[T string | []byte](dst []byte, s T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func (c *summer) appendVersion(dst []byte, v event.Version) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(v.Time))
	if v.Cluster == 0 {
		return append(dst, 0)
	}
	return appendString(dst, c.names.ID(v.Cluster))
}

// string hashes a large string without copying it.
func (c *summer) string(s []byte) {
	c.buf = binary.AppendUvarint(c.buf[:0], uint64(len(s)))
	c.hash.Write(c.buf)
	c.hash.Write(s)
}

// collection hashes a collection's elements. Keys come in the order of their element rows, so one iterator serves all.
func (c *summer) collection(key []byte, m *event.Meta) error {
	if c.elements == nil {
		it, err := c.reader.NewIterator([]byte{famElement}, []byte{famElement + 1})
		if err != nil {
			return err
		}
		c.elements = it
	}
	if m.Type == event.TypeBitmap {
		c.buf = binary.LittleEndian.AppendUint64(c.buf[:0], m.Count)
		c.hash.Write(c.buf)
	}
	prefix := appendElementsKey(nil, famElement, key, m.Generation)
	var e element
	it := c.elements
	for ok := it.SeekGE(prefix); ok && hasPrefix(it.Key(), prefix); ok = it.Next() {
		if err := c.tick(); err != nil {
			return err
		}
		if err := decodeElement(&e, it.Value()); err != nil {
			return fmt.Errorf("element of %q: %w", clip(key), err)
		}
		if m.Type != event.TypeList {
			c.string(it.Key()[len(prefix):])
			c.hash.Write(c.appendVersion(c.buf[:0], e.version))
		}
		c.string(e.payload)
	}
	return it.Err()
}

func hasPrefix(p, prefix []byte) bool {
	return len(p) >= len(prefix) && string(p[:len(prefix)]) == string(prefix)
}

// tombstone takes up a deleted key, or a deleted element: that is a key of type 0 with the element after it.
func (c *summer) tombstone(row, value []byte) error {
	key, sub, err := splitTombstoneKey(row)
	if err != nil {
		return err
	}
	if sub != nil {
		return c.elementTombstone(key, sub, value)
	}
	var m event.Meta
	if err := decodeMeta(&m, value); err != nil {
		return fmt.Errorf("tombstone of %q: %w", clip(key), err)
	}
	if m.Forgotten(c.out.Watermark) || m.Expired(c.out.Wall) {
		return nil
	}
	// A key that is there has none. But one that only told of an expiry, with no version, isn't removed by who doesn't read.
	if _, there, err := c.reader.Get(nil, appendMetaKey(nil, key)); err != nil || there {
		return err
	}
	m.Version = c.above(m.Version)
	c.head(key, &m)
	c.add(key)
	return nil
}

func (c *summer) elementTombstone(key, subkey, value []byte) error {
	var e element
	if err := decodeElement(&e, value); err != nil {
		return fmt.Errorf("element tombstone of %q: %w", clip(key), err)
	}
	if err := c.findFloor(key); err != nil {
		return err
	}
	if e.version.Time <= c.out.Watermark || c.floor.expired || c.floor.without || !c.later(e.version, c.floor.version) {
		return nil
	}
	c.hash.Reset()
	c.buf = appendString(append(c.buf[:0], 0xFF), key)
	c.buf = appendString(c.buf, subkey)
	c.hash.Write(c.appendVersion(c.buf, e.version))
	c.add(key)
	return nil
}

// findFloor finds the floor of a key, present or deleted, and whether it has expired.
func (c *summer) findFloor(key []byte) error {
	f := &c.floor
	if f.known && string(f.key) == string(key) {
		return nil
	}
	f.known, f.key, f.version, f.expired, f.without = true, append(f.key[:0], key...), event.Version{}, false, false
	for _, rowKey := range [...][]byte{appendMetaKey(nil, key), appendTombstoneKey(nil, key)} {
		row, ok, err := c.reader.Get(nil, rowKey)
		if err != nil {
			return err
		}
		if ok {
			var m event.Meta
			err = decodeMeta(&m, row)
			f.version, f.expired = floorOf(&m), m.Expired(c.out.Wall)
			f.without = m.Type == event.TypeList || m.Type == event.TypeString || m.Type == event.TypeBitmap
			return err
		}
	}
	return nil
}

// later says whether a version comes after another: by time, then by the cluster's id.
func (c *summer) later(v, than event.Version) bool {
	if v.Time != than.Time {
		return v.Time > than.Time
	}
	return c.names.ID(v.Cluster) > c.names.ID(than.Cluster)
}
