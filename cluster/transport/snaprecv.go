package transport

import (
	"bufio"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

func addChecksum(sum uint32, b []byte) uint32 { return crc32.Update(sum, castagnoli, b) }

// receiver is one snapshot on its way in.
type receiver struct {
	t      *Transport
	from   NodeID
	conn   net.Conn
	r      *bufio.Reader
	header SnapshotHeader
	files  []file
	dir    string

	buf  []byte
	sums []byte
	got  int64

	// free gives the place among the incoming snapshots back: before the sender hears the result, so that its next transfer
	// finds it free.
	free func()
	wmu  sync.Mutex // one frame at a time: results and working frames come from two goroutines
}

// handleSnapshot receives one snapshot, from the hello on.
func (in *inbound) handleSnapshot(conn net.Conn, h hello) {
	select {
	case in.snapshots <- struct{}{}:
	default:
		in.t.metrics.snapRejected.Add(1)
		in.refuse(conn, h, refusef(StatusBusy, "%d snapshots are being received, which is the limit: try again later",
			cap(in.snapshots)))
		return
	}
	free := sync.OnceFunc(func() { <-in.snapshots })
	defer free()
	if !in.welcome(conn, StatusOK, "") {
		return
	}
	rc := &receiver{t: in.t, from: h.from, conn: conn, r: bufio.NewReaderSize(conn, 64<<10), free: free}
	if err := rc.run(); err != nil {
		in.t.metrics.snapRejected.Add(1)
		if errors.Is(err, ErrCorrupt) {
			in.t.metrics.corrupt.Add(1)
		}
		in.t.log.Warn("snapshot not received", "from", uint64(h.from), "group", rc.header.Group, "err", err)
		return
	}
}

func (rc *receiver) run() error {
	if err := rc.manifest(); err != nil {
		rc.fail(frameAnswer, err)
		return err
	}
	accepted, err := rc.begin()
	if err != nil {
		if accepted {
			rc.t.handler.AbortSnapshot(rc.from, rc.header, rc.dir, err)
		}
		rc.fail(frameAnswer, err)
		return err
	}
	stop := rc.keepWorking()
	defer stop()
	if err := rc.receive(); err != nil {
		rc.remove()
		rc.t.handler.AbortSnapshot(rc.from, rc.header, rc.dir, err)
		rc.fail(frameResult, err)
		return err
	}
	if err := rc.t.handler.FinishSnapshot(rc.from, rc.header, rc.dir); err != nil {
		rc.remove()
		rc.fail(frameResult, err)
		return fmt.Errorf("finish: %w", err)
	}
	rc.t.metrics.snapReceived.Add(1)
	rc.t.log.Info("snapshot received", "from", uint64(rc.from), "group", rc.header.Group,
		"files", len(rc.files), "bytes", rc.got)
	rc.free()
	_ = rc.send(appendFrame(nil, frameResult, encodeStatus(frameResult, StatusOK, ""))) // lost: the sender asks again
	return nil
}

func (rc *receiver) manifest() error {
	kind, payload, err := rc.next()
	if err != nil {
		return err
	}
	if kind != frameManifest {
		return corruptf("frame of type %d where a manifest is due", kind)
	}
	rc.header, rc.files, err = decodeManifest(payload)
	rc.buf = nil // a manifest may be large
	return err
}

// begin asks the handler and makes the directory; accepted tells that the handler must learn how it ended.
func (rc *receiver) begin() (accepted bool, err error) {
	dir, accept, err := rc.t.handler.BeginSnapshot(rc.from, rc.header)
	if err != nil {
		return false, fmt.Errorf("begin: %w", err)
	}
	if !accept {
		return false, refusef(StatusRefused, "node %d doesn't want a snapshot of group %d now", rc.t.opts.Self, rc.header.Group)
	}
	rc.dir = dir
	if err := os.Mkdir(dir, 0o700); err != nil {
		return true, fmt.Errorf("make directory for snapshot: %w", err)
	}
	if err := rc.room(); err != nil {
		rc.remove()
		return true, err
	}
	if err := rc.send(appendFrame(nil, frameAnswer, encodeStatus(frameAnswer, StatusOK, ""))); err != nil {
		rc.remove()
		return true, err
	}
	return true, nil
}

// room checks that the files fit on the disk now. That they still do at the end is for the writes to find out.
func (rc *receiver) room() error {
	var need uint64
	for _, f := range rc.files {
		need += uint64(f.size)
	}
	free, ok := freeBytes(rc.dir)
	if ok && need > free {
		return refusef(StatusDiskFull, "the snapshot has %d bytes, and %d are free in %s", need, free, filepath.Dir(rc.dir))
	}
	return nil
}

// receive writes all files and syncs them and their directory.
func (rc *receiver) receive() error {
	for i, f := range rc.files {
		if err := rc.file(i, f); err != nil {
			return err
		}
	}
	payload, err := rc.expect(frameEnd)
	if err != nil {
		return err
	}
	c := cursor{b: payload}
	n, size, sum := c.u32(), c.u64(), c.u32()
	if int(n) != len(rc.files) || size != uint64(rc.got) || sum != checksum(rc.sums) {
		return corruptf("end of %d files, %d bytes, checksum %08x; received %d files, %d bytes, checksum %08x",
			n, size, sum, len(rc.files), rc.got, checksum(rc.sums))
	}
	return syncDir(rc.dir)
}

// file receives one file: its announcement, its bytes, its end.
func (rc *receiver) file(index int, f file) (err error) {
	payload, err := rc.expect(frameFile)
	if err != nil {
		return err
	}
	c := cursor{b: payload}
	if got := c.u32(); c.bad || int(got) != index {
		return corruptf("file %d of the manifest begins where file %d (%s) is due", got, index, f.name)
	}
	out, err := os.OpenFile(filepath.Join(rc.dir, f.name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := out.Close(); err == nil {
			err = cerr
		}
	}()
	sum, err := rc.data(out, f)
	if err != nil {
		return err
	}
	rc.sums = le.AppendUint32(rc.sums, sum)
	if err := out.Chmod(f.mode); err != nil {
		return err
	}
	return out.Sync()
}

// data writes the file's bytes to out and checks them against the file's end.
func (rc *receiver) data(out *os.File, f file) (sum uint32, err error) {
	var got int64
	for {
		kind, payload, err := rc.next()
		if err != nil {
			return 0, err
		}
		if kind == frameFileEnd {
			return sum, checkEnd(payload, f, got, sum)
		}
		if kind != frameData || int64(len(payload)) > f.size-got {
			return 0, corruptf("file %s: frame of type %d with %d bytes after %d of %d bytes", f.name, kind, len(payload), got, f.size)
		}
		if _, err := out.Write(payload); err != nil {
			return 0, err
		}
		sum = addChecksum(sum, payload)
		got += int64(len(payload))
		rc.got += int64(len(payload))
		rc.t.metrics.snapReceivedBytes.Add(uint64(len(payload)))
	}
}

func checkEnd(payload []byte, f file, got int64, sum uint32) error {
	c := cursor{b: payload}
	size, want := c.u64(), c.u32()
	if c.bad || got != f.size || size != uint64(f.size) || want != sum {
		return corruptf("file %s: received %d bytes with checksum %08x; its end says %d and %08x, the manifest %d",
			f.name, got, sum, size, want, f.size)
	}
	return nil
}

// next reads a frame within the idle timeout. An abort is an error.
func (rc *receiver) next() (kind byte, payload []byte, err error) {
	_ = rc.conn.SetReadDeadline(time.Now().Add(rc.t.opts.SnapshotIdle))
	kind, payload, err = readFrame(rc.r, senderLimits, rc.buf)
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, fmt.Errorf("read snapshot: %w", err)
	}
	rc.buf = payload[:0]
	if kind == frameAbort {
		return 0, nil, fmt.Errorf("the sender gave up: %s", payload)
	}
	return kind, payload, nil
}

func (rc *receiver) expect(kind byte) ([]byte, error) {
	got, payload, err := rc.next()
	if err == nil && got != kind {
		err = corruptf("frame of type %d where type %d is due", got, kind)
	}
	return payload, err
}

// keepWorking sends working frames until the function that it returns has returned.
func (rc *receiver) keepWorking() (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(rc.t.opts.SnapshotIdle / 4)
		defer ticker.Stop()
		frame := appendFrame(nil, frameWorking, nil)
		for {
			select {
			case <-ticker.C:
				_ = rc.send(frame)
			case <-quit:
				return
			}
		}
	}()
	return func() { close(quit); <-done }
}

func (rc *receiver) send(frame []byte) error {
	rc.wmu.Lock()
	defer rc.wmu.Unlock()
	_ = rc.conn.SetWriteDeadline(time.Now().Add(rc.t.opts.WriteTimeout))
	_, err := rc.conn.Write(frame)
	return err
}

// drainTime is how long the receiver goes on reading after a failure. To close with bytes unread would reset the
// connection, and the reset may reach the sender before it has read the reason.
const drainTime = 2 * time.Second

// fail tells the sender the reason and swallows what is still coming.
func (rc *receiver) fail(kind byte, err error) {
	rc.free()
	if rc.send(appendFrame(nil, kind, encodeStatus(kind, statusOf(err), err.Error()))) != nil {
		return
	}
	_ = rc.conn.SetReadDeadline(time.Now().Add(drainTime))
	_, _ = io.Copy(io.Discard, rc.r)
}

func (rc *receiver) remove() {
	if err := os.RemoveAll(rc.dir); err != nil {
		rc.t.log.Error("directory of a failed snapshot can't be removed: remove it by hand", "dir", rc.dir, "err", err)
	}
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	return errors.Join(err, d.Close())
}
