package store

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/engine"
)

// Clean removes at most about limit rows that nothing refers to any more: elements of dead generations, expiry rows that range
// deletes left. more says that there is more to do. It changes nothing that a read or a checksum sees, and each
// replica does it for itself, between commits: only the goroutine that applies may call it.
func (s *Store) Clean(limit int) (more bool, err error) {
	var batch engine.Batch
	c := cleaner{s: s, batch: &batch, left: max(limit, 1)}
	prefix := []byte{famCleanup}
	err = scan(s.engine, prefix, prefixEnd(nil, prefix), func(key, row []byte) (bool, error) {
		if err := c.job(key, row); err != nil {
			return false, err
		}
		more = c.left <= 0
		return !more, nil
	})
	if err != nil {
		return false, fmt.Errorf("store: clean %s: %w", s.id, err)
	}
	if batch.Count() == 0 {
		return more, nil
	}
	if err := s.engine.Write(&batch); err != nil {
		return false, fmt.Errorf("store: clean %s: %w", s.id, err)
	}
	return more, nil
}

type cleaner struct {
	s     *Store
	batch *engine.Batch
	left  int
	buf   []byte
}

func (c *cleaner) job(key, row []byte) error {
	if err := checkRow("clean-up", row, 1); err != nil {
		return err
	}
	if len(key) < 2 {
		return corruptf("clean-up row: key % x", key)
	}
	switch key[1] {
	case cleanGeneration:
		return c.generation(key)
	case cleanRange:
		return c.expiries(key, row)
	default:
		return formatf("clean-up row of kind %d: it was written by a newer program", key[1])
	}
}

// smallCollection is up to how many rows a dead generation is removed row by row. A range delete costs the engine's readers
// something until it is compacted away, so that it isn't worth it for few rows.
const smallCollection = 64

// generation removes all rows of a dead generation and the queue row. What follows the first two bytes of the queue row's key is
// what follows the family byte in those of the elements.
func (c *cleaner) generation(key []byte) error {
	for _, family := range [...]byte{famElement, famScore} {
		c.buf = append(append(c.buf[:0], family), key[2:]...)
		if err := c.prefix(c.buf); err != nil {
			return err
		}
	}
	c.batch.Delete(key)
	c.left--
	return nil
}

func (c *cleaner) prefix(prefix []byte) error {
	end := prefixEnd(nil, prefix)
	n := 0
	err := scan(c.s.engine, prefix, end, func(_, _ []byte) (bool, error) {
		n++
		return n <= smallCollection, nil
	})
	if err != nil {
		return err
	}
	if n > smallCollection {
		c.batch.DeleteRange(prefix, end)
		c.left -= n
		return nil
	}
	return scan(c.s.engine, prefix, end, func(key, _ []byte) (bool, error) {
		c.batch.Delete(key)
		c.left--
		return true, nil
	})
}

// expiries goes through the expiry index once, in pieces, and removes the rows of keys in the range that don't have that expiry.
// Where it stands is kept in memory: after a restart it begins again.
func (c *cleaner) expiries(job, row []byte) error {
	f := fields{p: row[1:]}
	start := f.counted()
	end := f.p
	if f.bad {
		return corruptf("clean-up row of a range: % x", row[:min(len(row), 64)])
	}
	sweep := &c.s.sweep
	if !bytes.Equal(sweep.job, job) {
		sweep.job = append(sweep.job[:0], job...)
		sweep.at = append(sweep.at[:0], famExpiry)
	}
	done := true
	err := scan(c.s.engine, sweep.at, []byte{famExpiry + 1}, func(at, _ []byte) (bool, error) {
		if c.left <= 0 {
			done = false
			sweep.at = append(sweep.at[:0], at...)
			return false, nil
		}
		c.left--
		key, expireAt, err := splitExpiryKey(at)
		if err != nil || !within(key, start, end) {
			return true, err
		}
		var live bool
		if live, c.buf, err = expiresAt(c.s.engine, c.buf, key, expireAt); err != nil || live {
			return true, err
		}
		c.batch.Delete(at)
		return true, nil
	})
	if err != nil || !done {
		return err
	}
	sweep.job = sweep.job[:0]
	c.batch.Delete(job)
	c.left--
	return nil
}

func within(key, start, end []byte) bool {
	return string(key) >= string(start) && (len(end) == 0 || string(key) < string(end))
}

// CleanUps counts the jobs that wait for Clean, up to limit. Any goroutine.
func (s *Store) CleanUps(limit int) (n int, err error) {
	prefix := []byte{famCleanup}
	err = scan(s.engine, prefix, prefixEnd(nil, prefix), func(_, _ []byte) (bool, error) {
		n++
		return n < limit, nil
	})
	return n, err
}

// watermarkValue is the value of the watermark row.
func watermarkValue(at int64) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(at)) }

// Watermark is the change that moves the tombstone watermark to a time (ns).
func Watermark(at int64) event.OwnChange {
	return event.OwnChange{Kind: event.OwnWatermark, Value: watermarkValue(at)}
}
