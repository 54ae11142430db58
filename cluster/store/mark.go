package store

import (
	"encoding/binary"
	"fmt"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/engine"
)

// Mark is the state of the chain after the entry Index: what a reader needs to begin there. The feed starts reading the log
// after a mark at or before the position asked for, and the log is truncated only at marks.
type Mark struct {
	Index     uint64
	LastEvent event.Position // the last event at or before Index
	Chain     event.Chain    // the chain after it
}

// A mark row, key 01 04 index: format 01, term and index of the last event (8 bytes each, little-endian), chain (32). One is written
// after every markEvery-th event, counted from the store's beginning so that all replicas have the same, one for index
// 0 with the first entry, and those that Apply.Mark asks for.
const (
	markEvery = 256
	markSize  = 1 + 8 + 8 + len(event.Chain{})
)

func appendMark(dst []byte, last event.Position, chain event.Chain) []byte {
	dst = append(dst, rowFormat)
	dst = binary.LittleEndian.AppendUint64(dst, last.Term)
	dst = binary.LittleEndian.AppendUint64(dst, last.Index)
	return append(dst, chain[:]...)
}

func decodeMark(key, row []byte) (m Mark, err error) {
	if err := checkRow("mark", row, markSize); err != nil {
		return m, err
	}
	if len(key) != 10 || len(row) != markSize {
		return m, corruptf("mark row: key % x, %d bytes", key, len(row))
	}
	m.Index = binary.BigEndian.Uint64(key[2:])
	m.LastEvent.Term = binary.LittleEndian.Uint64(row[1:])
	m.LastEvent.Index = binary.LittleEndian.Uint64(row[9:])
	copy(m.Chain[:], row[17:])
	return m, nil
}

// MarkAtOrBefore finds the last mark whose Index ≤ index; ok is false when it was trimmed. Index 0 has one (the zero Mark) until
// then. Any goroutine.
func (s *Store) MarkAtOrBefore(index uint64) (m Mark, ok bool, err error) {
	return markAtOrBefore(s.engine, index)
}

// MarkAtOrBefore is Store.MarkAtOrBefore on the snapshot.
func (n *Snapshot) MarkAtOrBefore(index uint64) (m Mark, ok bool, err error) {
	return markAtOrBefore(n.reader, index)
}

func markAtOrBefore(r engine.Reader, index uint64) (m Mark, ok bool, err error) {
	upper := prefixEnd(nil, []byte{famOwn, ownMark})
	if index < 1<<64-1 {
		upper = appendMarkKey(nil, index+1)
	}
	it, err := r.NewIterator(appendMarkKey(nil, 0), upper)
	if err != nil {
		return m, false, fmt.Errorf("store: find mark at or before %d: %w", index, err)
	}
	defer it.Close()
	if !it.Last() {
		return m, false, it.Err()
	}
	m, err = decodeMark(it.Key(), it.Value())
	return m, err == nil, err
}

// trimAtOnce bounds the marks that one TrimMarks removes: what is left goes with the next.
const trimAtOnce = 4096

// TrimMarks removes the marks before the last one at or before index below, which stays: MarkAtOrBefore(below) and later ones are
// answered as before. It looks at committed marks only.
func (a *Apply) TrimMarks(below uint64) error {
	keep, ok, err := a.s.MarkAtOrBefore(below)
	if err != nil || !ok {
		return err
	}
	left := trimAtOnce
	a.begin()
	return scan(a.s.engine, appendMarkKey(nil, 0), appendMarkKey(nil, keep.Index), func(key, _ []byte) (bool, error) {
		a.batch.Delete(key)
		left--
		return left > 0, nil
	})
}
