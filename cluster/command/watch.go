package command

import (
	"bytes"
	"encoding/binary"

	"github.com/zankv/zankv/cdc/event"
)

// WatchRead is the read by which a partition's leader answers WATCH for keys of that partition: an array of one token a key, for
// Watch.Token. It isn't in the table: clients can't name it.
var WatchRead = &Spec{
	Name: "watch", Arity: -2, Flags: ReadOnly | Fast, FirstKey: 1, LastKey: -1, KeyStep: 1, Scope: ScopeKeys, Gather: GatherArray, Run: runWatch,
}

// Watcher is a View of a partition's leader. Over another View, what is absent now and was absent then counts as unchanged.
type Watcher interface {
	// WatchTerm is the leader's term: a token of another never holds.
	WatchTerm() uint64
	// WatchAbsent gives a number for a key that is absent. It is another one when the key was written in between, or when
	// that isn't known.
	WatchAbsent(key []byte) uint64
	// WatchOlder gives a number for a key that is present. It is another one when an element of it was written in between by a change from elsewhere that is
	// older than the key's version, which therefore didn't rise; it may be another one without that.
	WatchOlder(key []byte) uint64
}

func runWatch(c *Context) error {
	c.Reply.Array(len(c.Args) - 1)
	for _, key := range c.Args[1:] {
		token, err := c.watchToken(c.text[:0], key)
		if err != nil {
			return err
		}
		c.text = token
		c.Reply.Bulk(token)
	}
	return nil
}

// WatchHolds says whether a key is as it was when WATCH gave out its token. Whatever is uncertain is a change. A key that had an expiry,
// which has passed since, has changed. Args, Spec and Reply aren't used.
func (c *Context) WatchHolds(w *Watch) (bool, error) {
	token, err := c.watchToken(c.text[:0], w.Key)
	if err != nil {
		return false, err
	}
	c.text = token
	return bytes.Equal(token, w.Token), nil
}

// watchToken appends what tells a key's state from any other:
//
//	0   8  the leader's term
//	8   1  the key's type, 0 if it is absent
//	9   8  an absent key: Watcher's number; ends here
//	9   8  a present key: generation
//	17  8  count
//	25 12  version: time, cluster
//	37 12  version of the expiry
//	49  8  Watcher's number of older writes
//
// All in little-endian. It never leaves the cluster's memory, and an old one isn't read but compared, so that it needs no version.
func (c *Context) watchToken(dst, key []byte) ([]byte, error) {
	r, err := c.look(key)
	if err != nil {
		return dst, err
	}
	w, watches := c.View.(Watcher)
	term := uint64(0)
	if watches {
		term = w.WatchTerm()
	}
	dst = binary.LittleEndian.AppendUint64(dst, term)
	if !r.live {
		number := uint64(0)
		if watches {
			number = w.WatchAbsent(key)
		}
		return binary.LittleEndian.AppendUint64(append(dst, byte(event.TypeNone)), number), nil
	}
	dst = append(dst, byte(r.Type))
	dst = binary.LittleEndian.AppendUint64(dst, r.Generation)
	dst = binary.LittleEndian.AppendUint64(dst, r.Count)
	dst = appendVersion(appendVersion(dst, r.Version), r.ExpiryVersion)
	number := uint64(0)
	if watches {
		number = w.WatchOlder(key)
	}
	return binary.LittleEndian.AppendUint64(dst, number), nil
}

func appendVersion(dst []byte, v event.Version) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(v.Time))
	return binary.LittleEndian.AppendUint32(dst, uint32(v.Cluster))
}
