package partition

import "errors"

var (
	// ErrClosed: the replica was closed. Unavailable.
	ErrClosed = errors.New("partition: the replica is closed")
	// ErrPast: the replica has applied more than the position that was asked for. Stale.
	ErrPast = errors.New("partition: the position is past")
)
