package wal

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/etcd/raft/v3"
)

// smallLog writes a small log of frames that are all synced, and returns its one segment's content, its name, and the
// state after each frame with where the frame ends.
func smallLog(t *testing.T) (content []byte, name string, states []model, ends []int64) {
	t.Helper()
	o := testOptions(t.TempDir())
	o.SegmentBytes = 8 << 10
	l := mustOpen(t, o)
	states, ends = []model{{}}, []int64{segmentHeaderSize}
	for i := uint64(1); i <= 6; i++ {
		us := []Update{
			{Group: 1, Entries: ents(i, i, i+2, 5), HardState: hard(i, 1, i-1), MustSync: true},
			{Group: 2, Entries: ents(1, i, i+1, 20)},
		}
		if i == 4 {
			us = append(us, Update{Group: 3, Snapshot: &Base{Index: 70, Term: 3}})
		}
		mustAppend(t, l, us...)
		states = append(states, states[len(states)-1].apply(us))
		ends = append(ends, l.writer.off)
	}
	name = filepath.Base(l.writer.active.name)
	mustClose(t, l)
	content, err := os.ReadFile(filepath.Join(o.Dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return content, name, states, ends
}

// openBytes opens a log whose one segment has this content.
func openBytes(t *testing.T, name string, content []byte) (*Log, error) {
	t.Helper()
	fs := newCrashFS()
	n := &crashNode{data: bytes.Clone(content), durable: bytes.Clone(content), dirty: map[int64]bool{}}
	fs.names[filepath.Join("/wal", name)] = n
	o := testOptions("/wal")
	o.FS, o.SegmentBytes = fs, 8<<10
	return Open(o)
}

// TestTruncateEveryByte: a file cut anywhere holds the frames before the cut, and is refused when its header is cut.
func TestTruncateEveryByte(t *testing.T) {
	content, name, states, ends := smallLog(t)
	for cut := range int(ends[len(ends)-1]) + 20 {
		l, err := openBytes(t, name, content[:cut])
		if cut < segmentHeaderSize {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("cut at %d: %v, want ErrCorrupt", cut, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		n := 0
		for n+1 < len(ends) && ends[n+1] <= int64(cut) {
			n++
		}
		if err := states[n].compare(l, false); err != nil {
			t.Fatalf("cut at %d, after frame %d: %v", cut, n, err)
		}
		mustAppend(t, l, Update{Group: 9, Entries: ents(1, 1, 2, 1), MustSync: true})
		mustClose(t, l)
	}
}

// TestFlipEveryByte: a byte changed in any frame but the last is damage that names the file and the frame; in the last
// one it is a torn tail.
func TestFlipEveryByte(t *testing.T) {
	content, name, states, ends := smallLog(t)
	last := len(ends) - 1
	for at := range ends[last] {
		if at >= 36 && at < segmentHeaderSize {
			continue // nothing reads it
		}
		damaged := bytes.Clone(content)
		damaged[at] ^= 0x41
		l, err := openBytes(t, name, damaged)
		if at >= ends[last-1] {
			if err != nil {
				t.Fatalf("flip at %d, in the last frame: %v", at, err)
			}
			if err := states[last-1].compare(l, false); err != nil {
				t.Fatalf("flip at %d, in the last frame: %v", at, err)
			}
			mustClose(t, l)
			continue
		}
		if !errors.Is(err, ErrCorrupt) && !(errors.Is(err, ErrVersion) && at < 16) {
			t.Fatalf("flip at %d: %v, want ErrCorrupt", at, err)
		}
		var c *CorruptError
		if errors.As(err, &c) && at >= segmentHeaderSize {
			n := 0
			for ends[n+1] <= at {
				n++
			}
			if c.Offset != ends[n] || filepath.Base(c.File) != name {
				t.Fatalf("flip at %d: %v, want offset %d of %s", at, err, ends[n], name)
			}
		}
	}
}

// TestUnsyncedFrames: of frames that no sync covered the disk may keep the later and lose the earlier. That is a torn
// tail, and what was cut stays cut, however the log goes on.
func TestUnsyncedFrames(t *testing.T) {
	fs := newCrashFS()
	o := testOptions("/wal")
	o.FS = fs
	l := mustOpen(t, o)
	mustAppend(t, l, Update{Group: 1, Entries: ents(1, 1, 2, 10), MustSync: true})
	lost := l.writer.off
	mustAppend(t, l, Update{Group: 1, Entries: ents(1, 2, 3, 10)})
	mustAppend(t, l, Update{Group: 1, Entries: ents(1, 3, 4, 10)})
	node := fs.node(l.writer.active.name)
	node.data[lost+frameHeaderSize+40] ^= 1 // the second frame got lost
	l2 := mustOpen(t, o)
	if last := l2.Group(1).LastIndex(); last != 1 {
		t.Fatalf("last index %d, want 1", last)
	}
	// A frame of the same size over the lost one: the third would follow on by place and number.
	es := ents(2, 2, 3, 10)
	mustAppend(t, l2, Update{Group: 1, Entries: es, MustSync: true})
	l3 := mustOpen(t, o)
	if last := l3.Group(1).LastIndex(); last != 2 {
		t.Fatalf("last index %d, want 2: a frame that was cut off came back", last)
	}
	wantEntries(t, readAll(t, l3.Group(1), 2), es)
	for _, l := range []*Log{l, l2, l3} {
		l.keeper.close()
	}
}

// TestSyncedBeforeAcknowledged: what recovery read from the page cache is durable before anything is built on it.
func TestRecoveredIsDurable(t *testing.T) {
	fs := newCrashFS()
	o := testOptions("/wal")
	o.FS = fs
	l := mustOpen(t, o)
	mustAppend(t, l, Update{Group: 1, Entries: ents(1, 1, 2, 10)}) // in the page cache only
	l2 := mustOpen(t, o)                                           // after kill -9
	node := fs.node(l2.writer.active.name)
	if end := l2.writer.off; !bytes.Equal(node.durable[:end], node.data[:end]) {
		t.Fatal("the recovered tail isn't durable")
	}
	l.keeper.close()
	l2.keeper.close()
}

// TestRecycled: bytes of a segment's older life are never read again, though frames lie in the same places.
func TestRecycled(t *testing.T) {
	o := testOptions(t.TempDir())
	o.SegmentBytes = 16 << 10
	l := mustOpen(t, o)
	i := uint64(1)
	for l.writer.active.id < 12 {
		mustAppend(t, l, Update{Group: 1, Entries: ents(1, i, i+1, 200), MustSync: true})
		if i%5 == 0 {
			if err := l.Group(1).Truncate(i - 2); err != nil {
				t.Fatal(err)
			}
		}
		i++
	}
	first := l.Group(1).FirstIndex()
	want := readAll(t, l.Group(1), first)
	mustClose(t, l)
	l = mustOpen(t, o)
	defer mustClose(t, l)
	if last := l.Group(1).LastIndex(); last != i-1 {
		t.Fatalf("last index %d, want %d", last, i-1)
	}
	wantEntries(t, readAll(t, l.Group(1), first), want)
	if s := l.Stats(); s.Segments > 3 {
		t.Fatalf("%d segments, want at most 3: nothing was recycled", s.Segments)
	}
}

// TestMissingSegment: a segment that went missing in the middle is damage.
func TestMissingSegment(t *testing.T) {
	o := testOptions(t.TempDir())
	o.SegmentBytes = 16 << 10
	l := mustOpen(t, o)
	for i := uint64(1); l.writer.active.id < 4; i++ {
		mustAppend(t, l, Update{Group: 1, Entries: ents(1, i, i+1, 500), MustSync: true})
	}
	mustClose(t, l)
	if err := os.Remove(segmentName(o.Dir, 2)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(o); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("open: %v, want ErrCorrupt", err)
	}
}

// TestQuietGroup: a group with few records doesn't keep old segments once it is rewritten, and keeps its state, its
// entries and their age over reopening.
func TestQuietGroup(t *testing.T) {
	o := testOptions(t.TempDir())
	o.SegmentBytes = 16 << 10
	l := mustOpen(t, o)
	quiet := ents(1, 1, 4, 30)
	mustAppend(t, l, Update{Group: 7, Entries: quiet, HardState: hard(1, 2, 3), MustSync: true})
	oldest := l.Group(7).Stats().Oldest
	i := uint64(1)
	busy := func(n uint64) {
		for end := l.writer.active.id + n; l.writer.active.id < end; i++ {
			mustAppend(t, l, Update{Group: 1, Entries: ents(1, i, i+1, 500), MustSync: true})
			if err := l.Group(1).Truncate(i); err != nil {
				t.Fatal(err)
			}
		}
	}
	busy(5)
	pins := l.Pinning()
	if len(pins) == 0 || pins[0].Group != 7 || !pins[0].Rewritable || pins[0].Behind < 4*o.SegmentBytes {
		t.Fatalf("pins %+v, want group 7, 4 segments behind", pins)
	}
	if err := l.Rewrite(7); err != nil {
		t.Fatal(err)
	}
	busy(2)
	if n := l.Stats().Segments; n > 4 {
		t.Fatalf("%d segments, want at most 4", n)
	}
	for range 2 {
		g := l.Group(7)
		wantEntries(t, readAll(t, g, 1), quiet)
		if g.HardState() != hard(1, 2, 3) || !g.Stats().Oldest.Equal(oldest) {
			t.Fatalf("hard state %v, oldest %v; want %v, %v", g.HardState(), g.Stats().Oldest, hard(1, 2, 3), oldest)
		}
		mustClose(t, l)
		l = mustOpen(t, o)
	}
	mustClose(t, l)
}

// TestLargeEntry: an entry over the size of a segment gets one of its own size.
func TestLargeEntry(t *testing.T) {
	o := testOptions(t.TempDir())
	o.CacheBytes = 1
	l := mustOpen(t, o)
	es := append(ents(1, 1, 3, 10), ents(1, 3, 4, 300<<10)...)
	es = append(es, ents(1, 4, 200, 1000)...) // several frames
	mustAppend(t, l, Update{Group: 1, Entries: es, MustSync: true})
	wantEntries(t, readAll(t, l.Group(1), 1), es)
	mustClose(t, l)
	l = mustOpen(t, o)
	defer mustClose(t, l)
	wantEntries(t, readAll(t, l.Group(1), 1), es)
}

// TestReaderHoldsSegment: a segment that is read isn't written again under the reader.
func TestReaderHoldsSegment(t *testing.T) {
	o := testOptions(t.TempDir())
	o.SegmentBytes, o.CacheBytes = 16<<10, 1
	l := mustOpen(t, o)
	defer mustClose(t, l)
	es := ents(1, 1, 13, 1000)
	mustAppend(t, l, Update{Group: 1, Entries: es[:12], MustSync: true})
	r := l.Group(1).NewReader(1)
	defer r.Close()
	if _, err := r.Next(1); err != nil {
		t.Fatal(err)
	}
	held := r.s.sp.seg
	for i := uint64(13); l.writer.active.id < 10; i++ {
		mustAppend(t, l, Update{Group: 1, Entries: ents(1, i, i+1, 1000), MustSync: true})
		if err := l.Group(1).Truncate(i); err != nil {
			t.Fatal(err)
		}
	}
	head := make([]byte, 8)
	if _, err := held.f.ReadAt(head, 16); err != nil || le.Uint64(head) != held.id {
		t.Fatalf("the file is segment %d now (%v), a reader holds it as %d", le.Uint64(head), err, held.id)
	}
	if _, err := r.Next(2); !errors.Is(err, raft.ErrCompacted) {
		t.Fatalf("Next: %v, want ErrCompacted", err)
	}
}

func TestRemoveGroup(t *testing.T) {
	o := testOptions(t.TempDir())
	l := mustOpen(t, o)
	mustAppend(t, l, Update{Group: 1, Entries: ents(1, 1, 9, 10), MustSync: true})
	old := l.Group(1)
	if err := l.RemoveGroup(1); err != nil {
		t.Fatal(err)
	}
	if _, err := old.Entries(1, 2, noLimit); !errors.Is(err, ErrRemoved) {
		t.Fatalf("Entries: %v, want ErrRemoved", err)
	}
	mustAppend(t, l, Update{Group: 1, Entries: ents(5, 1, 2, 10), MustSync: true})
	mustClose(t, l)
	l = mustOpen(t, o)
	defer mustClose(t, l)
	wantEntries(t, readAll(t, l.Group(1), 1), ents(5, 1, 2, 10))
}

func TestOpenTwice(t *testing.T) {
	o := testOptions(t.TempDir())
	l := mustOpen(t, o)
	defer mustClose(t, l)
	if _, err := Open(o); err == nil {
		t.Fatal("a second Open of the same directory works")
	}
}

// TestConcurrentReaders reads committed entries through readers and Entries while a writer appends and truncates.
func TestConcurrentReaders(t *testing.T) {
	o := testOptions(t.TempDir())
	o.SegmentBytes, o.CacheBytes = 32<<10, 8<<10
	l := mustOpen(t, o)
	const groups, last = 3, 3000
	done := make(chan error, groups)
	positions, grown := make([]chan uint64, groups), make([]chan struct{}, groups)
	for g := range uint64(groups) {
		positions[g], grown[g] = make(chan uint64, last), make(chan struct{}, 1)
		go func() { done <- follow(l.Group(g+1), last, positions[g], grown[g]) }()
	}
	for i := uint64(1); i <= last; i++ {
		var us []Update
		for g := range uint64(groups) {
			us = append(us, Update{Group: g + 1, Entries: ents(1, i, i+1, 60), MustSync: i%50 == 0})
			for n := len(positions[g]); n > 0; n-- {
				if err := l.Group(g + 1).Truncate(<-positions[g]); err != nil {
					t.Fatal(err)
				}
			}
		}
		mustAppend(t, l, us...)
		for _, c := range grown {
			select {
			case c <- struct{}{}:
			default:
			}
		}
	}
	for range groups {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	mustClose(t, l)
}

// follow reads up to last, telling what was read so that it may be truncated.
func follow(g *Group, last uint64, position chan<- uint64, grown <-chan struct{}) error {
	r := g.NewReader(1)
	defer r.Close()
	for next := uint64(1); next <= last; {
		batch, err := r.Next(g.LastIndex())
		if err != nil {
			return fmt.Errorf("group %d at %d: %w", g.id, next, err)
		}
		for _, e := range batch {
			want := ents(1, next, next+1, 60)[0]
			if e.Index != next || !bytes.Equal(e.Data, want.Data) {
				return fmt.Errorf("group %d: entry %d is %q, want %d", g.id, e.Index, e.Data, next)
			}
			next++
		}
		if len(batch) == 0 {
			<-grown
		} else {
			if _, err := g.Entries(next-1, next, noLimit); err != nil {
				return fmt.Errorf("group %d: Entries(%d): %w", g.id, next-1, err)
			}
			position <- next - 1
		}
	}
	return nil
}

// TestThinIndex: over its budget the index gets sparser, and everything is still found.
func TestThinIndex(t *testing.T) {
	o := testOptions(t.TempDir())
	o.SegmentBytes, o.CacheBytes, o.IndexBytes = 4<<20, 1, 40*markBytes
	l := mustOpen(t, o)
	defer mustClose(t, l)
	want := map[uint64]modelGroup{}
	for i := uint64(1); i <= 300; i++ {
		var us []Update
		for g := uint64(1); g <= modelGroups; g++ {
			us = append(us, Update{Group: g, Entries: ents(1, i, i+1, 10<<10)})
		}
		mustAppend(t, l, us...)
		want = maps.Clone(model(want).apply(us))
	}
	if got := l.Stats().IndexBytes; got > 3*o.IndexBytes {
		t.Errorf("index has %d bytes, budget is %d", got, o.IndexBytes)
	}
	if err := model(want).compare(l, true); err != nil {
		t.Fatal(err)
	}
}
