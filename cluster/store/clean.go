package store

import (
	"bytes"
	"fmt"

	"github.com/zankv/zankv/cluster/engine"
)

// cleanQueue are the jobs that wait for Clean. They are rows of the engine; those that came up since the store was opened are in memory, too,
// so that nobody has to look for them among the remains of the jobs before them.
type cleanQueue struct {
	jobs  []cleanJob // in the order in which they came
	bytes int
	// scan says that there may be rows of jobs that aren't in jobs: those of before the store was opened, and those for which there was no
	// room. They are gone through from at.job on.
	scan bool
	at   struct {
		job []byte // of the rows of jobs
		row []byte // of the rows that the job at hand removes
	}
}

type cleanJob struct{ key, row []byte }

// queueBytes bounds the jobs kept in memory.
const queueBytes = 1 << 20

func (q *cleanQueue) add(key, row []byte) {
	if q.bytes += len(key) + len(row); q.bytes > queueBytes {
		q.bytes -= len(key) + len(row)
		q.scan, q.at.job = true, nil // also when one is under way: it may be past this one
		return
	}
	q.jobs = append(q.jobs, cleanJob{key: bytes.Clone(key), row: bytes.Clone(row)})
}

// pop takes off the first n jobs.
func (q *cleanQueue) pop(n int) {
	for _, j := range q.jobs[:n] {
		q.bytes -= len(j.key) + len(j.row)
	}
	clear(q.jobs[:n])
	if q.jobs = q.jobs[n:]; len(q.jobs) == 0 {
		q.jobs = nil
	}
}

// CleanDue says whether Clean may have something to do. Only from the goroutine that applies.
func (s *Store) CleanDue() bool { return s.queue.due() || s.reclaimDue() }

func (q *cleanQueue) due() bool { return len(q.jobs) > 0 || q.scan }

// Clean removes about limit rows at most that nothing refers to any more: elements of dead generations, expiry rows that range
// deletes left, tombstones at or below the watermark. more says that there is more to do. It changes nothing that a read or a checksum sees, and each
// replica does it for itself, between commits: only the goroutine that applies may call it. A limit of a thousand takes about
// a millisecond.
func (s *Store) Clean(limit int) (more bool, err error) {
	var batch engine.Batch
	c := cleaner{s: s, batch: &batch, left: max(limit, 1)}
	finished, err := c.run()
	if err == nil && batch.Count() > 0 {
		err = s.engine.Write(&batch)
	}
	if err != nil {
		return false, fmt.Errorf("store: clean %s: %w", s.id, err)
	}
	s.queue.pop(finished)
	return s.CleanDue(), nil
}

type cleaner struct {
	s     *Store
	batch *engine.Batch
	left  int
	buf   []byte
}

// run does jobs until enough was removed, and says how many of those in memory are finished.
func (c *cleaner) run() (finished int, err error) {
	q := &c.s.queue
	for i := range q.jobs {
		if c.left <= 0 {
			return i, nil
		}
		done, err := c.job(q.jobs[i].key, q.jobs[i].row)
		if err != nil || !done {
			return i, err
		}
	}
	if c.left > 0 && q.scan {
		err = c.scan(q)
	}
	if err == nil && c.left > 0 && c.s.reclaimDue() {
		err = c.reclaim()
	}
	return len(q.jobs), err
}

// scan goes on through the rows of jobs.
func (c *cleaner) scan(q *cleanQueue) error {
	lower, upper := []byte{famCleanup}, []byte{famCleanup + 1}
	if len(q.at.job) > 0 {
		lower = q.at.job
	}
	ended := true
	err := scan(c.s.engine, lower, upper, func(key, row []byte) (bool, error) {
		if ended = false; c.left > 0 {
			done, err := c.job(key, row)
			if err != nil {
				return false, err
			}
			ended = done
		}
		if !ended {
			q.at.job = append(q.at.job[:0], key...)
		}
		return ended, nil
	})
	if err == nil && ended {
		q.scan, q.at.job = false, nil
	}
	return err
}

// job does one job, and says whether it is finished.
func (c *cleaner) job(key, row []byte) (done bool, err error) {
	if err := checkRow("clean-up", row, 1); err != nil {
		return false, err
	}
	if len(key) < 2 {
		return false, corruptf("clean-up row: key % x", key)
	}
	switch key[1] {
	case cleanGeneration:
		done, err = c.generation(key)
	case cleanRange:
		done, err = c.expiries(key, row)
	default:
		return false, formatf("clean-up row of kind %d: it was written by a newer program", key[1])
	}
	if err != nil || !done {
		return false, err
	}
	c.batch.Delete(key)
	c.left--
	return true, nil
}

// generation removes rows of a dead generation, and says whether they all are. What follows the first two bytes of the job's key is
// what follows the family byte in those of the elements.
//
// Rows go one by one. A range delete would do it at once, but each that lies in a memtable makes every get and every seek slower,
// wherever they read (DESIGN.md has the figures), and collections die all the time.
func (c *cleaner) generation(key []byte) (done bool, err error) {
	for _, family := range [...]byte{famElement, famScore} {
		c.buf = append(append(c.buf[:0], family), key[2:]...)
		if done, err := c.prefix(c.buf); err != nil || !done {
			return false, err
		}
	}
	return true, nil
}

// prefix removes rows whose keys start with prefix, as many as are allowed for now. It goes on where the last call for the same prefix
// ended: the engine would walk over the remains of all that was removed.
func (c *cleaner) prefix(prefix []byte) (done bool, err error) {
	at := &c.s.queue.at.row
	lower := prefix
	if hasPrefix(*at, prefix) {
		lower = *at
	}
	it, err := c.s.engine.NewIterator(lower, prefixEnd(nil, prefix))
	if err != nil {
		return false, iterateError(prefix, err)
	}
	defer it.Close()
	for it.First(); it.Valid() && c.left > 0; it.Next() {
		c.batch.Delete(it.Key())
		c.left--
	}
	if it.Valid() {
		*at = append((*at)[:0], it.Key()...)
		return false, nil
	}
	return true, iterateError(prefix, it.Err())
}

// expiries goes through the expiry index once, in pieces, and removes the rows of keys in the range that don't have that expiry.
// Where it stands is kept in memory: after a restart it begins again.
func (c *cleaner) expiries(job, row []byte) (done bool, err error) {
	f := fields{p: row[1:]}
	start := f.counted()
	end := f.p
	if f.bad {
		return false, corruptf("clean-up row of a range: % x", row[:min(len(row), 64)])
	}
	sweep := &c.s.sweep
	if !bytes.Equal(sweep.job, job) {
		sweep.job = append(sweep.job[:0], job...)
		sweep.at = append(sweep.at[:0], famExpiry)
	}
	done = true
	err = scan(c.s.engine, sweep.at, []byte{famExpiry + 1}, func(at, _ []byte) (bool, error) {
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
		return false, err
	}
	sweep.job = sweep.job[:0]
	return true, nil
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
