package meta

import "errors"

// What a Store answers, beside errors of its own that say it can't be reached (which are worth a retry).
var (
	// ErrExists: a namespace of that name is there.
	ErrExists = errors.New("meta: exists already")
	// ErrNotFound: there is no such namespace, partition or node.
	ErrNotFound = errors.New("meta: not found")
	// ErrStale: someone else has gone further; what was asked must not be repeated as it was.
	ErrStale = errors.New("meta: stale")
	// ErrUnavailable: the store could not be reached in time. What was asked may or may not have happened.
	ErrUnavailable = errors.New("meta: unavailable")
	// ErrCorrupt: metadata that can't be read.
	ErrCorrupt = errors.New("meta: corrupt")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("meta: closed")
)
