package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// SnapshotHeader says what a snapshot is of.
type SnapshotHeader struct {
	Group uint64
	// Message is the marshalled MsgSnap that is to be stepped once the files are there; at most 16 MiB.
	Message []byte
	// Meta is the handler's own; at most 16 MiB.
	Meta []byte
}

// SnapshotHandler is the receiving side of snapshots. For each BeginSnapshot that accepts, exactly one of FinishSnapshot
// and AbortSnapshot follows, from the same goroutine.
type SnapshotHandler interface {
	// BeginSnapshot decides whether a snapshot is wanted, and where its files go: to dir, which must not exist and whose
	// parent must. The header is the handler's to keep. With accept false the sender is told that it isn't wanted; an error's
	// text is told to the sender.
	BeginSnapshot(from NodeID, h SnapshotHeader) (dir string, accept bool, err error)
	// FinishSnapshot takes dir over: all files are there, checked and synced. The sender learns of success only after it has
	// returned nil. If it fails, dir is removed and the sender is told why. It may take long; the sender waits.
	FinishSnapshot(from NodeID, h SnapshotHeader, dir string) error
	// AbortSnapshot tells that the transfer has failed. What was written is removed already.
	AbortSnapshot(from NodeID, h SnapshotHeader, dir string, err error)
}

// file is one file of a snapshot.
type file struct {
	name string // a single path element
	size int64
	mode fs.FileMode // permission bits
}

// listFiles lists the files of a snapshot directory, which must hold regular files only.
func listFiles(dir string) ([]file, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("transport: list snapshot: %w", err)
	}
	if len(entries) > maxFiles {
		return nil, fmt.Errorf("transport: snapshot %s has %d files, at most %d", dir, len(entries), maxFiles)
	}
	files := make([]file, 0, len(entries))
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return nil, fmt.Errorf("transport: list snapshot: %w", err)
		}
		if !info.Mode().IsRegular() {
			return nil, fmt.Errorf("transport: snapshot holds %s, which is not a regular file (%s)",
				filepath.Join(dir, e.Name()), info.Mode())
		}
		files = append(files, file{name: e.Name(), size: info.Size(), mode: info.Mode().Perm()})
	}
	return files, nil
}

// SendSnapshot sends the files in dir, a flat directory that must not change meanwhile, and returns nil once the other
// node's handler has taken them over. It waits while Options.OutgoingSnapshots others are under way, until ctx ends.
//
// Errors: *RemoteError for what the other node says (StatusBusy, StatusRefused, StatusDiskFull, …), ErrUnknownNode,
// ErrClosed, ctx's, or what failed here. After any error the transfer may be started again from the beginning; after one
// that is not a *RemoteError the other node may have taken the snapshot all the same.
func (t *Transport) SendSnapshot(ctx context.Context, to NodeID, h SnapshotHeader, dir string) error {
	err := t.sendSnapshot(ctx, to, h, dir)
	if err != nil {
		t.metrics.snapFailed.Add(1)
		return fmt.Errorf("send snapshot of group %d to node %d: %w", h.Group, to, err)
	}
	t.metrics.snapSent.Add(1)
	return nil
}

func (t *Transport) sendSnapshot(ctx context.Context, to NodeID, h SnapshotHeader, dir string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(t.ctx, cancel)()
	select {
	case t.outgoing <- struct{}{}:
		defer func() { <-t.outgoing }()
	case <-ctx.Done():
		return t.because(ctx, ctx.Err())
	}
	if !t.begin() {
		return ErrClosed
	}
	defer t.wg.Done()
	files, err := listFiles(dir)
	if err != nil {
		return err
	}
	manifest, err := encodeManifest(h, files)
	if err != nil {
		return err
	}
	conn, err := t.connect(ctx, to, kindSnapshot)
	if err != nil {
		return t.because(ctx, err)
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	s := newSender(t, to, conn, dir, files)
	return t.because(ctx, s.run(manifest))
}

// because prefers the reason why ctx ended to the error that this led to. What the other node said comes first.
func (t *Transport) because(ctx context.Context, err error) error {
	var remote *RemoteError
	switch {
	case err == nil || ctx.Err() == nil || errors.As(err, &remote):
		return err
	case t.ctx.Err() != nil:
		return ErrClosed
	}
	return context.Cause(ctx)
}

// begin adds a goroutine of the caller's to those that Close waits for, unless the transport is closed.
func (t *Transport) begin() bool {
	t.peers.RLock()
	defer t.peers.RUnlock()
	if t.peers.closed {
		return false
	}
	t.wg.Add(1)
	return true
}

// errShort is a file that ended before the size it had in the manifest.
func errShort(f file, got int64) error {
	return fmt.Errorf("transport: snapshot file %s has %d bytes, the manifest says %d: it must not change while it is sent: %w",
		f.name, got, f.size, io.ErrUnexpectedEOF)
}
