package command

import (
	"bytes"

	"github.com/zankv/zankv/cdc/event"
)

// row is a key as the view shows it: what its row holds, and whether the key is there for a command.
type row struct {
	event.Meta
	stored bool // a row is there, expired or not; a tombstone is none
	live   bool // the key exists: it is stored and hasn't expired
}

// look reads a key. What it returns is valid until the next look, its value until the next call on the view or Tx.
func (c *Context) look(key []byte) (*row, error) {
	m, ok, err := c.View.Meta(key)
	if err != nil {
		return nil, err
	}
	r := &c.row
	r.Meta = m
	r.stored = ok && m.Type != event.TypeNone
	r.live = r.stored && !m.Expired(c.Now)
	return r, nil
}

// lookString is look for commands on strings: ok is false, and WRONGTYPE replied, when the key holds something else. A bitmap is a string,
// whose value is put together here: commands that don't need all of it use lookText.
func (c *Context) lookString(key []byte) (r *row, ok bool, err error) {
	r, ok, err = c.lookText(key)
	if ok {
		ok, err = c.loadContent(key, r)
	}
	return r, ok, err
}

// mutation starts a mutation of key's register that had the version prev.
func (c *Context) mutation(op event.Op, key []byte, r *row, prev event.Version) *event.Mutation {
	m := &c.out
	*m = event.Mutation{Op: op, Type: event.TypeString, Key: key, Prev: prev, Floor: r.Floor}
	if r.stored {
		m.Before = event.Before{Exists: true, Type: r.Type, ExpireAt: r.ExpireAt, Generation: r.Generation}
	}
	return m
}

// emitSet writes key as a whole. expireAt is ms since 1970, 0 for none.
func (c *Context) emitSet(key, value []byte, r *row, expireAt int64) {
	m := c.mutation(event.OpSet, key, r, r.Version)
	m.Value, m.ExpireAt = value, expireAt
	m.Floor, m.ExpiryVersion = Assigned, Assigned
	c.Tx.Emit(m)
}

// emitSetKeepTTL writes key as a whole, but for the expiry of a live key.
func (c *Context) emitSetKeepTTL(key, value []byte, r *row) {
	if !r.live {
		c.emitSet(key, value, r, 0)
		return
	}
	m := c.mutation(event.OpSet, key, r, r.Version)
	m.Value, m.ExpireAt = value, r.ExpireAt
	m.Floor, m.ExpiryVersion = Assigned, r.ExpiryVersion
	c.Tx.Emit(m)
}

// emitValue gives a string, or a key that is absent, its whole new value. The value that is already there is no change.
func (c *Context) emitValue(key, value []byte, r *row) {
	if r.live && bytes.Equal(value, r.Value) {
		return
	}
	m := c.mutation(event.OpValue, key, r, r.Version)
	m.Value = value
	if r.live {
		m.ExpireAt, m.ExpiryVersion = r.ExpireAt, r.ExpiryVersion
	} else {
		m.ExpiryVersion = c.clearedExpiry(r)
	}
	c.Tx.Emit(m)
}

// clearedExpiry is the version of the expiry of a key that is made where r shows none alive. It has none then, and whoever folds this must learn
// so if there was one.
func (c *Context) clearedExpiry(r *row) event.Version {
	switch v := r.ExpiryVersion; {
	case r.ExpireAt != 0:
		return Assigned
	case v.Cluster != 0:
		return v
	default:
		return event.Version{Time: max(v.Time, c.Watermark)}
	}
}

// over says whether what r shows has expired, a row or a tombstone, and other clusters may not see it so yet: a write of it must take all of it away.
func (c *Context) over(r *row) bool { return c.Replicates && !r.live && r.Expired(c.Now) }

// emitDel removes a key, as a write.
func (c *Context) emitDel(key []byte, r *row) {
	m := c.mutation(event.OpDel, key, r, r.Version)
	m.Type = r.Type
	m.Floor, m.ExpiryVersion = Assigned, Assigned
	m.Tombstone = c.Replicates
	c.Tx.Emit(m)
}

// emitExpired removes a key that has expired: no write by anybody, so its version stays.
func (c *Context) emitExpired(key []byte, r *row) {
	m := c.mutation(event.OpExpire, key, r, r.Version)
	m.Type, m.Version = r.Type, r.Version
	m.ExpiryVersion = r.ExpiryVersion
	c.Tx.Emit(m)
}

// emitExpiry sets (expireAt in ms since 1970) or clears (0) a live key's expiry. The one that it has is no change.
func (c *Context) emitExpiry(key []byte, r *row, expireAt int64) {
	if expireAt == r.ExpireAt {
		return
	}
	op := event.OpExpireAt
	if expireAt == 0 {
		op = event.OpPersist
	}
	prev := r.ExpiryVersion
	if prev.Cluster == 0 { // see clearedExpiry: that there was none
		prev = event.Version{}
	}
	m := c.mutation(op, key, r, prev)
	m.Type, m.Generation, m.Count = r.Type, r.Generation, r.Count
	m.ExpireAt, m.ExpiryVersion = expireAt, Assigned
	m.Before.Version, m.Before.Value = r.Version, r.Value
	c.Tx.Emit(m)
}

// Expire emits the removal of key if it has expired at Now, and says whether it had. It is how the leader turns what the
// expiry index names into events; Args, Spec and Reply aren't used.
//
// In a namespace that replicates Now is earlier than the present: as long as an EXPIRE may come that was given to the key elsewhere in its lifetime, its
// content has to be there for it. Nor is it removed before the watermark has passed all its versions. So nothing has to be remembered of it.
func (c *Context) Expire(key []byte) (bool, error) {
	r, err := c.look(key)
	if err != nil || !r.stored || r.live {
		return false, err
	}
	if c.Replicates && max(r.Version.Time, r.Floor.Time, r.ExpiryVersion.Time) > c.Watermark {
		return false, nil
	}
	c.emitExpired(key, r)
	return true, nil
}
