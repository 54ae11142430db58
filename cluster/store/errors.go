package store

import (
	"errors"
	"fmt"
)

// What a caller does about an error: ErrCorrupt and ErrFormat stop the replica and are never repaired silently (an older
// or damaged program or disk); ErrEvent is a bug of whoever evaluated the event, or an event of a newer program: the
// replica stops before it applies it; ErrIdentity means that the wrong directory was opened. Everything else comes from
// the engine and is passed on wrapped.
var (
	// ErrCorrupt says that a row can't be what this package wrote.
	ErrCorrupt = errors.New("store: corrupt row")
	// ErrFormat says that a row has a format or a flag that this program doesn't know.
	ErrFormat = errors.New("store: unknown format")
	// ErrEvent says that an event can't be projected.
	ErrEvent = errors.New("store: event refused")
	// ErrIdentity says that the rows belong to another partition.
	ErrIdentity = errors.New("store: another partition's rows")
)

func corruptf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}

func formatf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrFormat, fmt.Sprintf(format, args...))
}

func eventf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrEvent, fmt.Sprintf(format, args...))
}
