package wal

import (
	"errors"
	"fmt"
)

// The classes of errors. Compacted (stale) and unavailable entries are reported as raft.ErrCompacted and
// raft.ErrUnavailable, as raft's Storage wants them.
var (
	// ErrCorrupt: what is on disk can't be what was written. Stop; never repaired silently. The error is a *CorruptError.
	ErrCorrupt = errors.New("wal: corrupt")
	// ErrVersion: a file is of a format that this program doesn't know. Not corrupt: a newer program wrote it.
	ErrVersion = errors.New("wal: unknown format version")
	// ErrPoisoned: a write or a sync failed earlier, so what is durable is unknown. The process has to exit and
	// recover from what is on disk.
	ErrPoisoned = errors.New("wal: poisoned by a failed write")
	// ErrClosed: the log was closed.
	ErrClosed = errors.New("wal: closed")
	// ErrRemoved: the group was removed after the caller got hold of it.
	ErrRemoved = errors.New("wal: group removed")
	// ErrTooLarge: an entry over MaxEntryBytes, or a group that keeps too much to be rewritten. Nothing was written.
	ErrTooLarge = errors.New("wal: too large")
	// ErrGap: entries that don't follow what the group holds. A bug of the caller; nothing was written.
	ErrGap = errors.New("wal: entries don't follow the log")
)

// CorruptError names the place that can't be right. errors.Is(err, ErrCorrupt) holds.
type CorruptError struct {
	File   string
	Offset int64
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("wal: corrupt: file %s offset %d: %s", e.File, e.Offset, e.Reason)
}

// Is makes every CorruptError an ErrCorrupt.
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

func corrupt(file string, offset int64, format string, args ...any) error {
	return &CorruptError{File: file, Offset: offset, Reason: fmt.Sprintf(format, args...)}
}
