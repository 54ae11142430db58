package transport

import (
	"errors"
	"fmt"
	"syscall"
)

// Four classes (see Status for what comes from the other side): ErrCorrupt is corrupt, and the connection is dropped;
// ErrClosed and every network error are unavailable, so retry with backoff; a RemoteError is what its Status says.
var (
	// ErrClosed is returned by calls on a transport that was closed.
	ErrClosed = errors.New("transport: closed")
	// ErrCorrupt is wrapped by every error about bytes that break the format.
	ErrCorrupt = errors.New("transport: corrupt")
	// ErrUnknownNode is returned when Options.Resolve doesn't know the node.
	ErrUnknownNode = errors.New("transport: unknown node")
)

func corruptf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}

// versionError is a format version that this node doesn't speak.
type versionError struct {
	what string
	got  uint16
}

func (e *versionError) Error() string {
	return fmt.Sprintf("transport: %s has format version %d, this node speaks version %d: upgrade the older node",
		e.what, e.got, formatVersion)
}

// Status is what the other side answers. The numbers are part of the wire format.
type Status uint16

const (
	// StatusOK: go on, or done.
	StatusOK Status = 1
	// StatusVersion: the format version of the hello is not spoken there.
	StatusVersion Status = 2
	// StatusCluster: the node belongs to another cluster.
	StatusCluster Status = 3
	// StatusNode: the node has another id than the one meant, or the dialling node claims the id of the dialled one.
	StatusNode Status = 4
	// StatusOutrun: a newer connection of the same process is there already.
	StatusOutrun Status = 5
	// StatusBusy: too many connections or snapshots at once; try later.
	StatusBusy Status = 6
	// StatusCorrupt: what was sent breaks the format or fails its checksum.
	StatusCorrupt Status = 7
	// StatusRefused: the handler doesn't want this snapshot.
	StatusRefused Status = 8
	// StatusDiskFull: there is no room for the snapshot.
	StatusDiskFull Status = 9
	// StatusFailed: anything else; the reason says what.
	StatusFailed Status = 10
)

var statusNames = map[Status]string{
	StatusOK: "ok", StatusVersion: "unknown format version", StatusCluster: "wrong cluster", StatusNode: "wrong node",
	StatusOutrun: "outrun by a newer connection", StatusBusy: "busy", StatusCorrupt: "corrupt",
	StatusRefused: "not wanted", StatusDiskFull: "disk full", StatusFailed: "failed",
}

func (s Status) String() string {
	if name, ok := statusNames[s]; ok {
		return name
	}
	return fmt.Sprintf("status %d", uint16(s))
}

// mismatch says whether trying again can't help until somebody changes the configuration or the software.
func (s Status) mismatch() bool {
	return s == StatusVersion || s == StatusCluster || s == StatusNode
}

// RemoteError is a refusal or a failure that the other node reported.
type RemoteError struct {
	Node   NodeID
	Status Status
	Reason string
}

func (e *RemoteError) Error() string {
	return fmt.Sprintf("transport: node %d: %s: %s", e.Node, e.Status, e.Reason)
}

// refusal is an error that is told to the other side with a status of its own.
type refusal struct {
	status Status
	err    error
}

func (e *refusal) Error() string { return e.err.Error() }
func (e *refusal) Unwrap() error { return e.err }

func refusef(status Status, format string, args ...any) error {
	return &refusal{status: status, err: fmt.Errorf(format, args...)}
}

// statusOf chooses the status that tells err to the other side.
func statusOf(err error) Status {
	var r *refusal
	var v *versionError
	switch {
	case err == nil:
		return StatusOK
	case errors.As(err, &r):
		return r.status
	case errors.As(err, &v):
		return StatusVersion
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return StatusDiskFull
	case errors.Is(err, ErrCorrupt):
		return StatusCorrupt
	}
	return StatusFailed
}
