package transport

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"
)

// sender is one snapshot on its way out.
type sender struct {
	t     *Transport
	to    NodeID
	conn  net.Conn
	dir   string
	files []file

	buf  []byte // a data frame: header, then dataStep bytes
	sums []byte // the files' checksums so far
	sent int64

	broken bool // a write has failed

	answered chan struct{} // closed when the answer was StatusOK
	ended    chan struct{} // closed when nothing more will be read
	err      error         // set before ended is closed: nil for a result of StatusOK
}

func newSender(t *Transport, to NodeID, conn net.Conn, dir string, files []file) *sender {
	return &sender{
		t: t, to: to, conn: conn, dir: dir, files: files, buf: make([]byte, headerSize+dataStep),
		answered: make(chan struct{}), ended: make(chan struct{}),
	}
}

// run sends everything and returns how it ended. What the receiver says counts more than what went wrong here, as its
// reason is the cause of a broken connection.
func (s *sender) run(manifest []byte) error {
	go func() {
		defer close(s.ended)
		s.err = s.listen()
		_ = s.conn.SetWriteDeadline(aLongTimeAgo) // whatever is being written, nobody wants it
	}()
	err := s.stream(manifest)
	if err != nil {
		if !s.broken {
			s.abort(err)
		}
		// The receiver's reason may be on its way; if it isn't, don't wait for it.
		_ = s.conn.SetReadDeadline(time.Now().Add(time.Second))
	}
	<-s.ended
	var remote *RemoteError
	if err == nil || errors.As(s.err, &remote) {
		return s.err
	}
	return err
}

// listen reads what the receiver sends until it is done. Its error says why there is no result of StatusOK.
func (s *sender) listen() error {
	r := bufio.NewReaderSize(s.conn, 4096)
	answered := false
	for {
		_ = s.conn.SetReadDeadline(time.Now().Add(s.t.opts.SnapshotIdle))
		kind, payload, err := readFrame(r, receiverLimits, nil)
		if err != nil {
			return fmt.Errorf("transport: no result from node %d: %w", s.to, err)
		}
		if kind == frameWorking {
			continue
		}
		status, reason, err := decodeStatus(kind, payload)
		switch {
		case err != nil:
			return err
		case status != StatusOK:
			return &RemoteError{Node: s.to, Status: status, Reason: reason}
		case (kind == frameAnswer) == answered:
			return corruptf("node %d has sent a frame of type %d out of turn", s.to, kind)
		case kind == frameResult:
			return nil
		}
		answered = true
		close(s.answered)
	}
}

// stream writes manifest, files and end.
func (s *sender) stream(manifest []byte) error {
	if err := s.write(appendFrame(nil, frameManifest, manifest)); err != nil {
		return err
	}
	select {
	case <-s.answered:
	case <-s.ended:
		return nil // run takes the reason from s.err
	}
	for i, f := range s.files {
		if err := s.file(i, f); err != nil {
			return err
		}
	}
	end := le.AppendUint32(nil, uint32(len(s.files)))
	end = le.AppendUint64(end, uint64(s.sent))
	end = le.AppendUint32(end, checksum(s.sums))
	return s.write(appendFrame(s.buf[:0], frameEnd, end))
}

func (s *sender) file(index int, f file) (err error) {
	in, err := os.Open(filepath.Join(s.dir, f.name))
	if err != nil {
		return fmt.Errorf("transport: read snapshot: %w", err)
	}
	defer func() { _ = in.Close() }()
	if err := s.write(appendFrame(s.buf[:0], frameFile, le.AppendUint32(nil, uint32(index)))); err != nil {
		return err
	}
	sum, err := s.data(in, f)
	if err != nil {
		return err
	}
	end := le.AppendUint64(nil, uint64(f.size))
	end = le.AppendUint32(end, sum)
	s.sums = le.AppendUint32(s.sums, sum)
	return s.write(appendFrame(s.buf[:0], frameFileEnd, end))
}

// data sends the file's bytes, exactly as many as the manifest says, and returns their checksum.
func (s *sender) data(in *os.File, f file) (sum uint32, err error) {
	for at := int64(0); at < f.size; {
		step := s.buf[headerSize:][:min(f.size-at, dataStep)]
		n, err := io.ReadFull(in, step)
		at += int64(n)
		if err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return 0, errShort(f, at)
			}
			return 0, fmt.Errorf("transport: read snapshot: %w", err)
		}
		sum = addChecksum(sum, step)
		putHeader(s.buf, frameData, 0, step)
		if err := s.write(s.buf[:headerSize+n]); err != nil {
			return 0, err
		}
		s.sent += int64(n)
		s.t.metrics.snapSentBytes.Add(uint64(n))
	}
	return sum, nil
}

// write writes within the idle timeout. A deadline that listen has set in the past may be overwritten here once: the next
// write of a closed or finished receiver fails by itself.
func (s *sender) write(b []byte) error {
	select {
	case <-s.ended:
		return net.ErrClosed
	default:
	}
	_ = s.conn.SetWriteDeadline(time.Now().Add(s.t.opts.SnapshotIdle))
	if _, err := s.conn.Write(b); err != nil {
		s.broken = true
		return fmt.Errorf("transport: write snapshot: %w", err)
	}
	return nil
}

// abort tells the receiver why nothing more comes.
func (s *sender) abort(err error) {
	_ = s.write(appendFrame(nil, frameAbort, []byte(clip(err.Error()))))
}
