package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

var oddSizes = []int{0, 1, 4095, 4096, 4097, 65536, dataStep - 1, dataStep, dataStep + 1, 0, 3*dataStep + 17}

var testHeader = SnapshotHeader{Group: 42, Message: []byte("the MsgSnap"), Meta: []byte{0, 1, 2}}

// receiving makes a node take snapshots into parent; the directory's name counts up.
func receiving(parent string) func(*Options, *testNode) {
	var n atomic.Int64
	return func(_ *Options, node *testNode) {
		node.begin = func(h SnapshotHeader) (string, bool, error) {
			if h.Group != 42 || !bytes.Equal(h.Message, testHeader.Message) || !bytes.Equal(h.Meta, testHeader.Meta) {
				return "", false, fmt.Errorf("header %+v", h)
			}
			return filepath.Join(parent, fmt.Sprint("receiving-", n.Add(1))), true, nil
		}
	}
}

func checkSameFiles(t *testing.T, want, got string) {
	t.Helper()
	a, b := mustRead(t, want), mustRead(t, got)
	if len(a) != len(b) {
		t.Fatalf("%d files, want %d", len(b), len(a))
	}
	for name, w := range a {
		if g := b[name]; g != w {
			t.Errorf("file %s differs: mode %s and %d bytes, want mode %s and %d bytes", name, g.mode, len(g.data), w.mode, len(w.data))
		}
	}
}

type content struct {
	mode fs.FileMode
	data string
}

func mustRead(t *testing.T, dir string) map[string]content {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]content{}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		info, err2 := e.Info()
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = content{mode: info.Mode(), data: string(data)}
	}
	return files
}

func checkEmpty(t *testing.T, dir string) {
	t.Helper()
	if left := mustRead(t, dir); len(left) != 0 {
		t.Fatalf("%d entries left in %s", len(left), dir)
	}
}

func TestSnapshot(t *testing.T) {
	n, parent := newTestNet(), t.TempDir()
	b := startNode(t, n, 2, receiving(parent))
	a := startNode(t, n, 1, nil)
	for _, sizes := range [][]int{oddSizes, nil} {
		dir := writeFiles(t, sizes...)
		if err := a.SendSnapshot(t.Context(), 2, testHeader, dir); err != nil {
			t.Fatal(err)
		}
		checkSameFiles(t, dir, await(t, b.finished, "snapshot"))
	}
	if m, w := b.Metrics(), a.Metrics(); m.SnapshotsReceived != 2 || w.SnapshotsSent != 2 ||
		m.SnapshotReceivedBytes != w.SnapshotSentBytes || w.SnapshotSentBytes == 0 {
		t.Errorf("receiver %+v\nsender %+v", m, w)
	}
}

// A connection that breaks anywhere leaves nothing at the receiver, is an error at the sender, and the next try succeeds.
func TestSnapshotCutAnywhere(t *testing.T) {
	n, parent := newTestNet(), t.TempDir()
	b := startNode(t, n, 2, receiving(parent))
	var limit int
	a := startNode(t, n, 1, func(o *Options, _ *testNode) {
		o.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			conn, err := dialTCP(ctx, addr)
			return &limitConn{Conn: conn, left: limit}, err
		}
	})
	dir := writeFiles(t, 0, 5000, 1, 40000, 0)
	failed := 0
	for limit = 100; ; limit += 1501 {
		err := a.SendSnapshot(t.Context(), 2, testHeader, dir)
		if err == nil {
			break
		}
		failed++
		if limit > 500 { // the manifest has passed
			await(t, b.aborted, "abort")
		}
		checkEmpty(t, parent)
		if len(b.finished) != 0 {
			t.Fatalf("finished though cut after %d bytes", limit)
		}
	}
	checkSameFiles(t, dir, await(t, b.finished, "snapshot"))
	if failed < 20 {
		t.Errorf("only %d transfers were cut", failed)
	}
}

// corruptConn flips a bit at one offset of what is written.
type corruptConn struct {
	net.Conn
	at int
}

func (c *corruptConn) Write(b []byte) (int, error) {
	if c.at >= 0 && c.at < len(b) {
		b = append([]byte(nil), b...)
		b[c.at] ^= 1
	}
	c.at -= len(b)
	return c.Conn.Write(b)
}

func TestSnapshotCorruptedOnTheWay(t *testing.T) {
	n, parent := newTestNet(), t.TempDir()
	b := startNode(t, n, 2, receiving(parent))
	var at int
	a := startNode(t, n, 1, func(o *Options, _ *testNode) {
		o.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			conn, err := dialTCP(ctx, addr)
			return &corruptConn{Conn: conn, at: at}, err
		}
	})
	dir := writeFiles(t, 3000, 10, 0)
	length := 3300 // hello, manifest, files and end together are a little longer
	for at = 60; at < length; at += 41 {
		err := a.SendSnapshot(t.Context(), 2, testHeader, dir)
		var remote *RemoteError
		if !errors.As(err, &remote) || remote.Status != StatusCorrupt || !strings.Contains(remote.Reason, "checksum") {
			t.Fatalf("byte %d: %v, want status %s and a word about the checksum", at, err, StatusCorrupt)
		}
		checkEmpty(t, parent)
	}
	if len(b.finished) != 0 {
		t.Fatal("a corrupted snapshot was finished")
	}
}

// rawSnapshot is a hand-driven sender of a snapshot that has sent its manifest.
func rawSnapshot(t *testing.T, n *testNet, manifest []byte) *rawPeer {
	h := helloOf(7, 1)
	h.kind = kindSnapshot
	p := dialRaw(t, n, 2, h)
	if w := p.welcome(); w.status != StatusOK {
		t.Fatalf("welcome %+v", w)
	}
	p.write(appendFrame(nil, frameManifest, manifest))
	return p
}

func manifestOf(t *testing.T, files ...file) []byte {
	t.Helper()
	b, err := encodeManifest(testHeader, files)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What a sender's frames must not do.
func TestSnapshotProtocolErrors(t *testing.T) {
	f := file{name: "a.sst", size: 3, mode: 0o644}
	two := manifestOf(t, f, file{name: "b.sst"})
	rename := func(name string) []byte {
		return bytes.Replace(two, []byte("b.sst"), []byte(name), 1)
	}
	u32 := func(v ...uint32) []byte {
		var b []byte
		for _, x := range v {
			b = le.AppendUint32(b, x)
		}
		return b
	}
	end := func(size uint64, sum uint32) []byte { return le.AppendUint32(le.AppendUint64(nil, size), sum) }
	then := func(before []byte, kind byte, payload []byte) []byte {
		return appendFrame(slices.Clone(before), kind, payload)
	}
	start := then(nil, frameFile, u32(0))
	data := then(start, frameData, []byte("abc"))
	whole := then(data, frameFileEnd, end(3, checksum([]byte("abc"))))
	for name, c := range map[string]struct {
		manifest, frames []byte
		want             string
	}{
		"parent":        {rename("../xy"), nil, "single path element"},
		"absolute":      {rename("/etc/"), nil, "single path element"},
		"dot dot":       {manifestOf(t, f)[:0], nil, "cut short"},
		"twice":         {rename("a.sst"), nil, "named twice"},
		"cut":           {two[:len(two)-1], nil, "cut short"},
		"too long":      {append(two[:len(two):len(two)], 0), nil, "behind the manifest"},
		"wrong index":   {two, then(nil, frameFile, u32(1)), "where file 0 (a.sst) is due"},
		"data first":    {two, then(nil, frameData, []byte("abc")), "where type 18 is due"},
		"too much data": {two, then(data, frameData, []byte("d")), "after 3 of 3 bytes"},
		"too little":    {two, then(start, frameFileEnd, end(3, 0)), "received 0 bytes"},
		"file checksum": {two, then(data, frameFileEnd, end(3, 1)), "its end says 3 and 00000001"},
		"file size":     {two, then(data, frameFileEnd, end(4, checksum([]byte("abc")))), "its end says 4"},
		"end too early": {two, then(whole, frameEnd, make([]byte, 16)), "where type 18 is due"},
		"end wrong": {manifestOf(t, f), then(whole, frameEnd, append(u32(1, 3, 0), 0, 0, 0, 0)),
			"end of 1 files, 3 bytes"},
		"abort": {two, then(start, frameAbort, []byte("my disk broke")), "gave up: my disk broke"},
	} {
		t.Run(name, func(t *testing.T) {
			n, parent := newTestNet(), t.TempDir()
			b := startNode(t, n, 2, receiving(parent))
			p := rawSnapshot(t, n, c.manifest)
			p.write(c.frames)
			_ = p.conn.(*net.TCPConn).CloseWrite()
			p.hungUp()
			b.Close()
			if log := b.logs.String(); !strings.Contains(log, c.want) {
				t.Errorf("log:\n%s\nwant %q", log, c.want)
			}
			checkEmpty(t, parent)
			if len(b.finished) != 0 || len(b.aborted) > 1 || (len(b.aborted) == 1) != (c.frames != nil) {
				t.Errorf("finished %d times, aborted %d times", len(b.finished), len(b.aborted))
			}
		})
	}
}

func TestNamesStayInTheirDirectory(t *testing.T) {
	for _, name := range []string{"", ".", "..", "../x", "a/b", "/x", `a\b`, "a\x00b", "\xff", strings.Repeat("x", 256)} {
		if err := checkName(name); !errors.Is(err, ErrCorrupt) {
			t.Errorf("checkName(%q) = %v", name, err)
		}
	}
	for _, name := range []string{"CURRENT", "000012.sst", "MANIFEST-000004", "..x", "häß"} {
		if err := checkName(name); err != nil {
			t.Error(err)
		}
	}
}

// What the receiver says reaches the sender with its status and reason, also while the sender is streaming.
func TestSnapshotReasons(t *testing.T) {
	huge := writeFiles(t, 0)
	if err := os.Truncate(filepath.Join(huge, "000000.0.sst"), 4<<40); err != nil {
		t.Fatal(err)
	}
	small := writeFiles(t, 10)
	for name, c := range map[string]struct {
		dir    string
		begin  func(dir string) (string, bool, error)
		finish error
		status Status
		reason string
	}{
		"not wanted": {small, func(string) (string, bool, error) { return "", false, nil }, nil, StatusRefused, "doesn't want"},
		"begin":      {small, func(string) (string, bool, error) { return "", false, errors.New("no such group") }, nil, StatusFailed, "no such group"},
		"no room":    {huge, func(dir string) (string, bool, error) { return dir + "/x", true, nil }, nil, StatusDiskFull, "4398046511104 bytes"},
		"disk full":  {small, func(dir string) (string, bool, error) { return dir + "/x", true, nil }, syscall.ENOSPC, StatusDiskFull, "no space"},
		"finish":     {small, func(dir string) (string, bool, error) { return dir + "/x", true, nil }, errors.New("won't open"), StatusFailed, "won't open"},
		"exists":     {small, func(dir string) (string, bool, error) { return dir, true, nil }, nil, StatusFailed, "file exists"},
		"no parent":  {small, func(dir string) (string, bool, error) { return dir + "/x/y", true, nil }, nil, StatusFailed, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			n, parent := newTestNet(), t.TempDir()
			startNode(t, n, 2, func(_ *Options, node *testNode) {
				node.begin = func(SnapshotHeader) (string, bool, error) { return c.begin(parent) }
				node.finish = func(SnapshotHeader, string) error { return c.finish }
			})
			a := startNode(t, n, 1, nil)
			err := a.SendSnapshot(t.Context(), 2, testHeader, c.dir)
			var remote *RemoteError
			if !errors.As(err, &remote) || remote.Status != c.status || !strings.Contains(remote.Reason, c.reason) {
				t.Fatalf("%v; want %s: …%s…", err, c.status, c.reason)
			}
			checkEmpty(t, parent)
		})
	}
}

// A directory that no snapshot can be made of is an error here, before anything is sent, or told to the receiver.
func TestSnapshotBadSource(t *testing.T) {
	n, parent := newTestNet(), t.TempDir()
	b := startNode(t, n, 2, receiving(parent))
	a := startNode(t, n, 1, nil)
	nested := t.TempDir()
	if err := os.Mkdir(filepath.Join(nested, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{nested: "not a regular file", filepath.Join(nested, "no"): "no such file"} {
		if err := a.SendSnapshot(t.Context(), 2, testHeader, dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	shrinking := writeFiles(t, 10)
	inner := b.begin
	b.begin = func(h SnapshotHeader) (string, bool, error) {
		if err := os.Truncate(filepath.Join(shrinking, "000000.10.sst"), 4); err != nil {
			t.Error(err)
		}
		return inner(h)
	}
	err := a.SendSnapshot(t.Context(), 2, testHeader, shrinking)
	if err == nil || !strings.Contains(err.Error(), "has 4 bytes, the manifest says 10") {
		t.Errorf("a file that shrank: %v", err)
	}
	if err := await(t, b.aborted, "abort"); !strings.Contains(err.Error(), "the manifest says 10") {
		t.Errorf("the receiver was told %v", err)
	}
	checkEmpty(t, parent)
}

// One over the limit is told to try later; messages pass meanwhile; ending the context ends a transfer.
func TestSnapshotLimitAndCancel(t *testing.T) {
	n, parent := newTestNet(), t.TempDir()
	hold := make(chan struct{})
	entered := make(chan struct{}, 1)
	b := startNode(t, n, 2, func(o *Options, node *testNode) {
		o.IncomingSnapshots = 1
		receiving(parent)(o, node)
		node.finish = func(SnapshotHeader, string) error { entered <- struct{}{}; <-hold; return errors.New("released") }
	})
	a := startNode(t, n, 1, nil)
	dir := writeFiles(t, 10)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.SendSnapshot(ctx, 2, testHeader, dir) }()
	await(t, entered, "first transfer")

	var remote *RemoteError
	if err := a.SendSnapshot(t.Context(), 2, testHeader, dir); !errors.As(err, &remote) || remote.Status != StatusBusy {
		t.Errorf("second transfer: %v, want %s", err, StatusBusy)
	}
	a.Send(2, []Message{message(1, 1)})
	b.next()
	cancel()
	if err := await(t, ended, "end of the transfer"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled transfer: %v", err)
	}
	close(hold)
}

// A sender that stands still is given up, and so is a receiver; one that works long is not.
func TestSnapshotIdle(t *testing.T) {
	const idle = 80 * time.Millisecond
	n, parent := newTestNet(), t.TempDir()
	b := startNode(t, n, 2, func(o *Options, node *testNode) {
		o.SnapshotIdle = idle
		receiving(parent)(o, node)
		node.finish = func(SnapshotHeader, string) error { <-time.After(4 * idle); return nil }
	})
	a := startNode(t, n, 1, func(o *Options, _ *testNode) { o.SnapshotIdle = idle })
	if err := a.SendSnapshot(t.Context(), 2, testHeader, writeFiles(t, 10)); err != nil {
		t.Errorf("a receiver that works long: %v", err)
	}
	rawSnapshot(t, n, manifestOf(t, file{name: "a", size: 10}))
	if err := await(t, b.aborted, "abort"); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a sender that stands still: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		conn, err := l.Accept()
		if err == nil {
			_, _ = conn.Write(appendWelcome(nil, welcome{status: StatusOK, node: 3}))
		}
	}()
	n.set(3, l.Addr().String())
	if err := a.SendSnapshot(t.Context(), 3, testHeader, writeFiles(t, 10)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a receiver that stands still: %v", err)
	}
}
