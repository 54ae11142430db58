package engine

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// Batch is a list of changes that are applied in order and as one. It is laid out as RocksDB lays out its own write
// batches, so that handing one over costs one copy:
//
//	offset 0   8 bytes   sequence number, zero here
//	offset 8   4 bytes   count of records, little-endian
//	offset 12            records, each
//	                     0x01 varint length key, varint length value   put
//	                     0x00 varint length key                        delete
//	                     0x0F varint length start, varint length end   delete of [start, end)
//
// Source: RocksDB 7.8 db/write_batch.cc. The zero Batch is empty and ready for use.
type Batch struct {
	rep   []byte
	count uint32
}

const (
	batchHeader = 12
	tagDelete   = 0x00
	tagPut      = 0x01
	tagRange    = 0x0F
)

func (b *Batch) grow(tag byte) {
	if len(b.rep) == 0 {
		b.rep = append(b.rep, make([]byte, batchHeader)...)
	}
	b.rep = append(b.rep, tag)
	b.count++
}

func (b *Batch) bytes(p []byte) {
	b.rep = binary.AppendUvarint(b.rep, uint64(len(p)))
	b.rep = append(b.rep, p...)
}

// Put writes key with value. Both are copied.
func (b *Batch) Put(key, value []byte) {
	b.grow(tagPut)
	b.bytes(key)
	b.bytes(value)
}

// Delete removes key, if it is there.
func (b *Batch) Delete(key []byte) {
	b.grow(tagDelete)
	b.bytes(key)
}

// DeleteRange removes start ≤ key < end; nothing, if start is not below end.
func (b *Batch) DeleteRange(start, end []byte) {
	if bytes.Compare(start, end) >= 0 {
		return
	}
	b.grow(tagRange)
	b.bytes(start)
	b.bytes(end)
}

// Count is the number of changes, Len the size in bytes.
func (b *Batch) Count() int { return int(b.count) }
func (b *Batch) Len() int   { return len(b.rep) }

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() {
	b.rep, b.count = b.rep[:0], 0
}

// Rep is the batch in the layout above. It belongs to the batch and is valid until the next change. An empty batch
// has none.
func (b *Batch) Rep() []byte {
	if len(b.rep) > 0 {
		binary.LittleEndian.PutUint32(b.rep[8:], b.count)
	}
	return b.rep
}

// Each calls put, del and delRange for the changes in order. The slices point into the batch.
func (b *Batch) Each(put func(key, value []byte), del func(key []byte), delRange func(start, end []byte)) error {
	if len(b.rep) == 0 {
		return nil
	}
	p := b.rep[batchHeader:]
	take := func() []byte {
		n, w := binary.Uvarint(p)
		field := p[w : w+int(n)]
		p = p[w+int(n):]
		return field
	}
	for len(p) > 0 {
		tag := p[0]
		p = p[1:]
		switch tag {
		case tagPut:
			key := take()
			put(key, take())
		case tagDelete:
			del(take())
		case tagRange:
			start := take()
			delRange(start, take())
		default:
			return fmt.Errorf("engine: batch: unknown tag %#x", tag)
		}
	}
	return nil
}
