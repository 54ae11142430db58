package engine

import "errors"

// The errors that a caller tells apart, with errors.Is. Every other error of an engine says that the disk or the engine
// failed: what was not flushed may be lost, and the engine takes no more writes until it is opened again.
var (
	// ErrClosed is returned by every call on an engine that was closed.
	ErrClosed = errors.New("engine: closed")
	// ErrInUse refuses a Close while iterators or snapshots are open, and an Open of a directory that is open already.
	ErrInUse = errors.New("engine: in use")
	// ErrNoSpace is a full disk or an exhausted quota. Opened again once there is room, the engine holds a prefix of the
	// batches, and nothing is broken.
	ErrNoSpace = errors.New("engine: no space left on the device")
	// ErrCorrupt is a file that isn't what was written to it. It is never repaired silently: the replica must be made anew.
	ErrCorrupt = errors.New("engine: corrupt")
)
