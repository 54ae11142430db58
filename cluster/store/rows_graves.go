package store

import (
	"bytes"
	"fmt"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/engine"
)

// graves are the tombstones that a RowReader gives with the keys.
type graves struct {
	it        engine.Iterator
	watermark int64
	// The row that the iterator stands on, unless there is none left: its key, and what follows that (nothing, or the mark and the element).
	key  []byte
	rest []byte
	// The deleted key whose tombstones are being given.
	of   []byte
	meta event.Meta
}

func (n *Snapshot) openGraves(afterKey []byte) (*graves, error) {
	watermark, err := n.Watermark()
	if err != nil {
		return nil, err
	}
	lower := []byte{famTombstone}
	if len(afterKey) > 0 {
		// What is of afterKey has the end of an escaped key behind it; a longer key that begins with it has more there, or FF.
		lower = append(appendEscapedPrefix(lower, afterKey), escByte, escEnd+1)
	}
	it, err := n.reader.NewIterator(lower, []byte{famTombstone + 1})
	if err != nil {
		return nil, iterateError(lower, err)
	}
	g := &graves{it: it, watermark: watermark}
	it.First()
	if err := g.stand(); err != nil {
		it.Close()
		return nil, err
	}
	return g, nil
}

// stand reads the key of the row that the iterator stands on.
func (g *graves) stand() error {
	if !g.it.Valid() {
		return nil
	}
	var ok bool
	g.key, g.rest, ok = cutEscaped(g.key[:0], g.it.Key()[1:])
	if !ok || len(g.rest) > 0 && g.rest[0] != tombstoneElement {
		return corruptf("tombstone row: key % x", clip(g.it.Key()))
	}
	return nil
}

func (g *graves) next() error {
	g.it.Next()
	return g.stand()
}

// before says whether the next tombstone is of a key before the one that meta stands on.
func (g *graves) before(meta engine.Iterator) bool {
	return g.it.Valid() && (!meta.Valid() || bytes.Compare(g.key, meta.Key()[1:]) < 0)
}

// dead makes rows of a deleted key: its tombstone, then some of its elements'.
func (r *RowReader) dead() error {
	g := r.graves
	if string(g.of) != string(g.key) {
		g.of, g.meta = append(g.of[:0], g.key...), event.Meta{}
	}
	if len(g.rest) > 0 {
		return r.takeGraves(g.of, &g.meta, event.OpHDel)
	}
	if err := decodeMeta(&g.meta, g.it.Value()); err != nil {
		return fmt.Errorf("tombstone of %q: %w", clip(g.key), err)
	}
	g.meta.Value = nil
	if !g.meta.Forgotten(g.watermark) {
		r.addHead(event.Mutation{Op: event.OpDel}, g.key, &g.meta)
	}
	return g.next()
}

// graveOps are the ops that remove elements of the types that keep tombstones of them.
var graveOps = [...]event.Op{
	event.TypeNone: 0, event.TypeString: 0, event.TypeHash: event.OpHDel, event.TypeList: 0,
	event.TypeSet: event.OpSRem, event.TypeZSet: event.OpZRem, event.TypeBitmap: 0,
}

// elementGraves makes a row of deleted elements of the key at hand, whose other rows were made; false: there are none left.
func (r *RowReader) elementGraves() (took bool, err error) {
	g := r.graves
	if !g.it.Valid() || !r.meta.Valid() || string(g.key) != string(r.key()) {
		return false, nil
	}
	if len(g.rest) == 0 { // a key that is there has none: what is left of one doesn't count
		return true, g.next()
	}
	return true, r.takeGraves(r.key(), &r.m, graveOps[r.m.Type])
}

// takeGraves takes elements' tombstones of a key, as far as there is room in one mutation.
func (r *RowReader) takeGraves(key []byte, m *event.Meta, op event.Op) error {
	g := r.graves
	floor := m.Floor
	if m.Type == event.TypeString {
		floor = m.Version
	}
	first := len(r.parts)
	var e element
	for size := 0; size < r.limit && r.visited < visitedAtOnce && g.it.Valid() && len(g.rest) > 0 && string(g.key) == string(key); r.visited++ {
		if err := decodeElement(&e, g.it.Value()); err != nil {
			return fmt.Errorf("element tombstone of %q: %w", clip(key), err)
		}
		if op != 0 && e.version.Time > g.watermark && r.later(e.version, floor) {
			part := event.Element{Sub: r.hold(g.rest[1:]), Prev: e.version}
			r.parts = append(r.parts, part)
			size += partBytes + len(part.Sub)
		}
		if err := g.next(); err != nil {
			return err
		}
	}
	if len(r.parts) == first {
		return nil
	}
	r.size += partBytes * (len(r.parts) - first)
	row := event.Mutation{Op: op, KeyVersion: m.Version, Generation: m.Generation, Count: m.Count, Prev: m.Version}
	row.Elements = r.parts[first:len(r.parts):len(r.parts)]
	r.addHead(row, key, m)
	if m.Type == event.TypeNone {
		r.rows[len(r.rows)-1].Type = op.ElementType()
	}
	return nil
}

// later orders versions by time, then by the cluster's id.
func (r *RowReader) later(v, than event.Version) bool {
	if v.Time != than.Time {
		return v.Time > than.Time
	}
	return v != than && !v.IsZero() && r.state.Clusters.ID(v.Cluster) > r.state.Clusters.ID(than.Cluster)
}
