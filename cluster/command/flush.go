package command

import (
	"github.com/zankv/zankv/cdc/event"
)

// One page of FLUSHDB has at most so many keys, and so many bytes of keys.
const (
	flushPageKeys  = 5000
	flushPageBytes = 1 << 20
)

// runFlushDB removes everything from a partition. Without replication that is one OpRange over all keys, whose Count is the
// number of rows removed, and Before.Expiring that of those with an expiry. A namespace that replicates gets deletes, key by key and a page a call: see Context.More.
func runFlushDB(c *Context) error {
	c.More = nil
	if len(c.Args) > 2 || len(c.Args) == 2 && !equalFold(c.Args[1], "async") && !equalFold(c.Args[1], "sync") {
		c.Reply.Error(ErrSyntax)
		return nil
	}
	if c.Replicates {
		if err := c.flushPage(); err != nil {
			return err
		}
	} else if err := c.flushRange(); err != nil {
		return err
	}
	c.Reply.OK()
	return nil
}

func (c *Context) flushRange() error {
	n := c.View.Len()
	if n == 0 {
		return nil
	}
	expiring, err := c.expiring()
	if err != nil {
		return err
	}
	c.out = event.Mutation{Op: event.OpRange, Count: uint64(n), Before: event.Before{Expiring: uint64(expiring)}}
	c.Tx.Emit(&c.out)
	return nil
}

// expiring is the number of rows that have an expiry: known, or counted.
func (c *Context) expiring() (n int64, err error) {
	if v, ok := c.View.(ExpiringCounter); ok {
		return v.Expiring(), nil
	}
	err = c.View.Keys(nil, func(_ []byte, m *event.Meta) bool {
		if m.ExpireAt != 0 {
			n++
		}
		return true
	})
	return n, err
}

// flushPage emits the removal of the keys from Resume on. They are collected first: the view may not be changed under
// its own iteration.
func (c *Context) flushPage() error {
	var arena []byte
	var ends []int
	err := c.View.Keys(c.Resume, func(key []byte, _ *event.Meta) bool {
		if len(ends) == flushPageKeys || len(arena) > flushPageBytes {
			c.More = append([]byte{}, key...)
			return false
		}
		arena = append(arena, key...)
		ends = append(ends, len(arena))
		return true
	})
	if err != nil {
		return err
	}
	start := 0
	for _, end := range ends {
		if err := c.flushKey(arena[start:end]); err != nil {
			return err
		}
		start = end
	}
	return nil
}

func (c *Context) flushKey(key []byte) error {
	r, err := c.look(key)
	switch {
	case err != nil || !r.stored:
	default: // an expired one, too: it might be prolonged yet from elsewhere
		c.emitDel(key, r)
	}
	return err
}
