package store

import (
	"fmt"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/engine"
)

// KeyWalk goes over a snapshot's keys in their byte order, expired ones included. It is for one goroutine; Close it before the snapshot.
type KeyWalk struct {
	it   engine.Iterator
	meta event.Meta
	err  error
	ok   bool
}

// Walk begins at the first key above afterKey (of all, if it is empty).
func (n *Snapshot) Walk(afterKey []byte) (*KeyWalk, error) {
	lower := []byte{famMeta}
	if len(afterKey) > 0 {
		lower = append(appendMetaKey(nil, afterKey), 0)
	}
	it, err := n.reader.NewIterator(lower, []byte{famMeta + 1})
	if err != nil {
		return nil, iterateError(lower, err)
	}
	w := &KeyWalk{it: it}
	w.stand(it.First())
	return w, nil
}

// Key is the one that the walk stands on, and Meta its row; nil at the end, or after an error. Both are valid until the next move.
func (w *KeyWalk) Key() []byte {
	if !w.ok {
		return nil
	}
	return w.it.Key()[1:]
}

// Meta is the meta row of Key.
func (w *KeyWalk) Meta() *event.Meta { return &w.meta }

// Valid says whether there is a Key: one may be empty.
func (w *KeyWalk) Valid() bool { return w.ok }

// Err is why the walk ended before its end.
func (w *KeyWalk) Err() error { return w.err }

// Next goes to the next key.
func (w *KeyWalk) Next() {
	if w.ok {
		w.stand(w.it.Next())
	}
}

// Seek goes to a key, or the first above it, from one before it.
func (w *KeyWalk) Seek(key []byte) { w.stand(w.it.SeekGE(appendMetaKey(nil, key))) }

func (w *KeyWalk) stand(ok bool) {
	w.ok = ok && w.err == nil
	if !ok {
		if err := w.it.Err(); err != nil {
			w.err = iterateError([]byte{famMeta}, err)
		}
		return
	}
	if err := decodeMeta(&w.meta, w.it.Value()); err != nil {
		w.ok, w.err = false, fmt.Errorf("key %q: %w", clip(w.it.Key()[1:]), err)
	}
}

// Close releases what it holds.
func (w *KeyWalk) Close() { w.it.Close() }

// ElementTombstones visits those of a key's elements in [From, To), in the order of the elements, until visit returns false, but for those at or below a
// watermark (ns). Reverse and Skip aren't taken.
func (n *Snapshot) ElementTombstones(key []byte, in Range, watermark int64, visit func(sub []byte, v event.Version) bool) error {
	prefix := appendElementTombstoneKey(nil, key, nil)
	lower := append(prefix[:len(prefix):len(prefix)], in.From...)
	upper := prefixEnd(nil, prefix)
	if in.To != nil {
		upper = append(prefix[:len(prefix):len(prefix)], in.To...)
	}
	var e element
	return scan(n.reader, lower, upper, func(row, value []byte) (bool, error) {
		if err := decodeElement(&e, value); err != nil {
			return false, fmt.Errorf("element tombstone of %q: %w", clip(key), err)
		}
		return e.version.Time <= watermark || visit(row[len(prefix):], e.version), nil
	})
}
