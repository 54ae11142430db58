package wal

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// zeroPiece is how much of a new segment is written with zeros at a time, and zeroPause how long the disk is left to
// the log in between.
const (
	zeroPiece = 256 << 10
	zeroPause = 2 * time.Millisecond
)

// spare is a file that is not part of the log.
type spare struct {
	name string
	f    File
	size int64
	old  *segment // what it was last, whose readers may still be there; nil for a new file
}

// keeper owns the goroutine that keeps the next segment ready and takes care of retired ones, so that Append seldom
// waits for anything but its own write and sync.
//
// A file's way: created or recycled as spare-N → header written and synced → renamed to its id, directory synced →
// next → the active segment → shed → renamed to spare-N, directory synced → (no reader left) recycled. So a file with
// a segment's name always has a whole header, and a crash anywhere leaves a spare or an empty segment, both of which
// Open makes spares again.
type keeper struct {
	fs      FS
	dir     string
	size    int64
	spares  int
	prezero bool
	log     *slog.Logger
	// poison is called when a directory can't be synced: what the log consists of is unknown then.
	poison func(error)
	// synced tells the last durable frame, for a new segment's header.
	synced func() uint64

	mu struct {
		sync.Mutex
		*sync.Cond
		next    *segment
		wanted  bool  // Append waits for next
		err     error // why there is none, for the one that wants it
		retired []*segment
		waiting []*spare // still read
		ready   []*spare
		lastID  uint64 // highest id given away
		nameNo  uint64 // for spare names
		closing bool
	}
	wake chan struct{} // capacity 1: something to do
	done chan struct{}
}

func (k *keeper) start() {
	k.mu.Cond = sync.NewCond(&k.mu.Mutex)
	k.wake = make(chan struct{}, 1)
	k.done = make(chan struct{})
	go k.run()
	k.kick()
}

func (k *keeper) kick() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

func (k *keeper) run() {
	defer close(k.done)
	for range k.wake {
		k.retireAll()
		k.settleWaiting()
		k.fill()
		k.mu.Lock()
		closing := k.mu.closing
		k.mu.Unlock()
		if closing {
			return
		}
	}
}

// close ends the goroutine and closes every file that isn't in the log.
func (k *keeper) close() error {
	k.mu.Lock()
	k.mu.closing = true
	k.mu.Unlock()
	k.kick()
	<-k.done
	var errs []error
	for _, s := range slices.Concat(k.mu.ready, k.mu.waiting) {
		errs = append(errs, s.f.Close())
	}
	for _, s := range k.mu.retired {
		errs = append(errs, s.f.Close())
	}
	if k.mu.next != nil {
		errs = append(errs, k.mu.next.f.Close())
	}
	return errors.Join(errs...)
}

// take returns the next segment, ready to be written. It waits for one that is being made.
func (k *keeper) take() (*segment, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.mu.wanted, k.mu.err = true, nil
	for k.mu.next == nil && k.mu.err == nil {
		k.kick()
		k.mu.Wait()
	}
	k.mu.wanted = false
	if k.mu.err != nil {
		return nil, k.mu.err
	}
	s := k.mu.next
	k.mu.next = nil
	k.kick()
	return s, nil
}

// retire hands over segments that left the log, oldest first.
func (k *keeper) retire(segs []*segment) {
	k.mu.Lock()
	k.mu.retired = append(k.mu.retired, segs...)
	k.mu.Unlock()
	k.kick()
}

// retireAll renames retired segments one by one, each durable before the next: a crash must never leave a hole, an
// older segment without the newer one that truncates what it holds.
func (k *keeper) retireAll() {
	for {
		k.mu.Lock()
		if len(k.mu.retired) == 0 {
			k.mu.Unlock()
			return
		}
		s := k.mu.retired[0]
		k.mu.Unlock()
		name := k.spareName()
		if err := k.fs.Rename(s.name, name); err != nil {
			// It stays in line: nothing after it may go first.
			k.log.Warn("wal: a segment can't be retired; it will be tried again", "file", s.name, "err", err)
			return
		}
		if err := k.fs.SyncDir(k.dir); err != nil {
			k.poison(fmt.Errorf("sync directory %s: %w", k.dir, err))
			return
		}
		k.mu.Lock()
		k.mu.retired = k.mu.retired[1:]
		k.mu.waiting = append(k.mu.waiting, &spare{name: name, f: s.f, size: s.size, old: s})
		k.mu.Unlock()
	}
}

func (k *keeper) spareName() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.mu.nameNo++
	return filepath.Join(k.dir, fmt.Sprintf("%s%d", sparePrefix, k.mu.nameNo))
}

// settleWaiting makes spares of retired files that nobody reads any more, and removes what is too many or of an odd size.
func (k *keeper) settleWaiting() {
	k.mu.Lock()
	var drop, keep []*spare
	for _, s := range k.mu.waiting {
		switch {
		case s.old.refs.Load() > 0:
			keep = append(keep, s)
		case s.size == k.size && len(k.mu.ready) < k.spares:
			k.mu.ready = append(k.mu.ready, s)
		default:
			drop = append(drop, s)
		}
	}
	k.mu.waiting = keep
	k.mu.Unlock()
	for _, s := range drop {
		if err := errors.Join(s.f.Close(), k.fs.Remove(s.name)); err != nil {
			k.log.Warn("wal: a retired segment can't be removed", "file", s.name, "err", err)
		}
	}
}

// fill makes the next segment if there is none. A failure is only told when Append wants it; until then the disk may
// get space again.
func (k *keeper) fill() {
	k.mu.Lock()
	need := k.mu.next == nil && (!k.mu.closing || k.mu.wanted)
	k.mu.Unlock()
	if !need {
		return
	}
	s, err := k.prepare()
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		k.mu.next = s
	} else if k.mu.wanted {
		k.mu.err = err
	} else {
		k.log.Warn("wal: the next segment can't be prepared; it will be tried again when it is needed", "err", err)
	}
	k.mu.Broadcast()
}

func (k *keeper) prepare() (*segment, error) {
	s, err := k.takeSpare()
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	id := k.mu.lastID + 1
	k.mu.lastID = id
	k.mu.Unlock()
	name := segmentName(k.dir, id)
	if _, err := s.f.WriteAt(encodeSegmentHeader(id, k.synced()), 0); err != nil {
		return nil, k.giveUp(s, fmt.Errorf("write header of %s: %w", s.name, err))
	}
	if err := s.f.Sync(); err != nil {
		return nil, k.giveUp(s, fmt.Errorf("sync %s: %w", s.name, err))
	}
	if err := k.fs.Rename(s.name, name); err != nil {
		return nil, k.giveUp(s, fmt.Errorf("rename %s to %s: %w", s.name, name, err))
	}
	if err := k.fs.SyncDir(k.dir); err != nil {
		err = fmt.Errorf("sync directory %s: %w", k.dir, err)
		k.poison(err)
		return nil, errors.Join(err, s.f.Close())
	}
	next := &segment{id: id, name: name, f: s.f, size: s.size, seed: seed(id)}
	next.written.Store(segmentHeaderSize)
	return next, nil
}

// giveUp throws away a spare of which something failed.
func (k *keeper) giveUp(s *spare, err error) error {
	if e := errors.Join(s.f.Close(), k.fs.Remove(s.name)); e != nil {
		k.log.Warn("wal: a spare segment can't be removed", "file", s.name, "err", e)
	}
	return err
}

// spare takes a recycled file or makes a new one.
func (k *keeper) takeSpare() (*spare, error) {
	k.mu.Lock()
	if n := len(k.mu.ready); n > 0 {
		s := k.mu.ready[n-1]
		k.mu.ready = k.mu.ready[:n-1]
		k.mu.Unlock()
		return s, nil
	}
	k.mu.Unlock()
	name := k.spareName()
	f, err := k.fs.Create(name)
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", name, err)
	}
	s := &spare{name: name, f: f, size: k.size}
	if err := f.Allocate(k.size); err != nil {
		return nil, k.giveUp(s, fmt.Errorf("allocate %d bytes for %s: %w", k.size, name, err))
	}
	if k.prezero {
		if err := k.zero(f); err != nil {
			return nil, k.giveUp(s, fmt.Errorf("zero %s: %w", name, err))
		}
	}
	return s, nil
}

// zero writes a new file's blocks once, because a sync over written blocks needs no journal commit and takes half the
// time. Piece by piece with pauses, so that the log's own syncs don't queue behind it; and given up as soon as Append
// waits, for it is an optimisation and nothing else.
func (k *keeper) zero(f File) error {
	piece := make([]byte, zeroPiece)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for off := int64(segmentHeaderSize); off < k.size; off += zeroPiece {
		<-timer.C
		k.mu.Lock()
		stop := k.mu.wanted || k.mu.closing
		k.mu.Unlock()
		if stop {
			return nil
		}
		n := min(int64(len(piece)), k.size-off)
		if _, err := f.WriteAt(piece[:n], off); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
		timer.Reset(zeroPause)
	}
	return nil
}
