package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/zankv/zankv/cdc/archive/streamtest"
	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/message"
)

func specOf(uri string) *changefeed.Spec {
	return &changefeed.Spec{ID: "a", Namespace: "default", SinkURI: uri, Format: changefeed.JSON}
}

func TestNewRefuses(t *testing.T) {
	debezium := specOf("file:///x")
	debezium.Format = changefeed.Debezium
	for _, spec := range []*changefeed.Spec{specOf("file:///x?y=z"), specOf("kafka://x"), debezium} {
		if err := Check(spec, "dc-a"); code(err) != changefeed.CodeSinkConfig {
			t.Errorf("%+v: %v", spec, err)
		}
	}
	if err := Check(specOf("file:///x/{cluster}"), "../y"); code(err) != changefeed.CodeSinkConfig {
		t.Errorf("a cluster that is no folder's name: %v", err)
	}
	if err := Check(specOf("file:///x/{cluster}/{namespace}/{changefeed}"), "dc-a"); err != nil {
		t.Error(err)
	}
}

// TestResumeAfterEveryUnit closes the real sink's writer after each unit, and goes on with another.
func TestResumeAfterEveryUnit(t *testing.T) {
	ctx := context.Background()
	s := streamtest.New(31).Fill(60, false)
	root := t.TempDir()
	sink, err := New(specOf("file://"+root+"/{namespace}?segment-bytes=4KiB&compression=zstd"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range s.Units {
		u := &s.Units[i]
		w, err := sink.Open(ctx, changefeed.Target{Spec: specOf(""), Cluster: "dc-a", Partition: 3, Partitions: 4, Epoch: uint64(1 + i/3)})
		if err != nil {
			t.Fatal(err)
		}
		want := changefeed.Resume{}
		if i > 0 {
			before := s.Units[i-1].Reached
			want = changefeed.Resume{Known: true, After: before.Position, Chain: before.Chain, ChainKnown: true, Time: w.Resume().Time}
		}
		if got := w.Resume(); got != want {
			t.Fatalf("unit %d: got %+v, want %+v", i, got, want)
		}
		for j := max(0, i-3); j <= i; j++ { // some that are there already
			if v := &s.Units[j]; v.Event != nil {
				err = errors.Join(err, w.Event(ctx, &v.Stamp, v.Event, s.Names))
			}
		}
		if u.Event == nil {
			err = w.Heartbeat(ctx, u.Reached.Position, &u.Stamp, u.Reached.Time)
		}
		if err = errors.Join(err, w.Flush(ctx)); err != nil {
			t.Fatal(err)
		}
		for w.Durable().Time < u.Reached.Time {
			runtime.Gosched()
			if w.Err() != nil {
				t.Fatal(w.Err())
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	r, err := Open("file://"+root+"/{namespace}", "default", 3, ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if n := wholeUnits(t, s.Units, linesOf(t, r)); n != len(s.Units) {
		t.Fatalf("%d units of %d", n, len(s.Units))
	}
	found, err := Partitions(filepath.Join(root, "default"))
	if err != nil || len(found) != 1 || found[0] != (Partition{"default", 3}) {
		t.Fatalf("%v, %v", found, err)
	}
}

// TestRewind is told by hand to begin anew: the archive has what came before again, and reading it gives each event once.
func TestRewind(t *testing.T) {
	s := streamtest.New(32).Fill(40, false)
	disk := newCrashFS()
	rng := rand.New(rand.NewPCG(1, 1))
	sink := newSink(testConfig(), Options{}, disk, disk.clock)
	write := func(epoch uint64, from, to int, rewind bool) {
		d := &folder{fs: disk, path: testFolder}
		end, err := sink.takeOver(d, epoch)
		if err != nil {
			t.Fatal(err)
		}
		a, err := sink.begin(d, epoch, end, rewind)
		if err != nil {
			t.Fatal(err)
		}
		l := &life{a: a, next: from}
		_, err = l.write(s.Units, to-from, rng)
		if err = errors.Join(err, a.Close()); err != nil {
			t.Fatal(err)
		}
	}
	write(1, 0, 25, false)
	write(2, 10, 33, true)
	write(3, 33, 40, false)
	want := bytes.Join(append(streamtest.LinesOf(s.Units[:25]), streamtest.LinesOf(s.Units[10:])...), nil)
	if got := archived(t, disk); !bytes.Equal(got, want) {
		t.Fatalf("got\n%s\nwant\n%s\n%s", got, want, disk.dump())
	}
	r, err := open(disk, testFolder)
	if err != nil {
		t.Fatal(err)
	}
	for i := range s.Units {
		reached := s.Units[i].Reached
		wantEvents(t, r, changefeed.Place{After: reached.Position, Chain: reached.Chain, ChainKnown: true}, s.Units[i+1:], s.Names)
	}
}

// TestTakingOverReadsTheEnd has a large segment, and wants no more than its end read, and a hole in that found.
func TestTakingOverReadsTheEnd(t *testing.T) {
	s := streamtest.New(33)
	value := bytes.Repeat([]byte("v"), 50<<10)
	for range 400 {
		s.Add(&event.Event{Mutations: []event.Mutation{{Op: event.OpSet, Type: event.TypeString, Key: []byte("k"), Value: value}}})
	}
	disk := newCrashFS()
	cfg := testConfig()
	cfg.SegmentBytes = 1 << 30
	l, err := beginLife(newSink(cfg, Options{}, disk, disk.clock), 1, s.Units)
	if err == nil {
		_, err = l.write(s.Units, len(s.Units), rand.New(rand.NewPCG(1, 1)))
	}
	if err = errors.Join(err, l.a.Close()); err != nil {
		t.Fatal(err)
	}
	n := disk.names[testFolder+"/"+l.a.seg.name()]
	disk.bytesRead = 0
	if next, err := beginLife(newSink(cfg, Options{}, disk, disk.clock), 2, s.Units); err != nil || next.next != len(s.Units) {
		t.Fatal(next, err)
	} else if disk.bytesRead > 2*unsyncedBytes {
		t.Fatalf("%d of %d bytes were read", disk.bytesRead, len(n.data))
	} else {
		next.a.Close()
		delete(disk.names, testFolder+"/"+next.a.seg.name())
	}
	for _, back := range []int{100, 60 << 10, 3 << 20} {
		hole := n.data[len(n.data)-back:][:64]
		kept := bytes.Clone(hole)
		clear(hole)
		want := len(s.Units) - 1 - back/(51<<10)
		next, err := beginLife(newSink(cfg, Options{}, disk, disk.clock), 2, s.Units)
		if err != nil || next.next > want || next.next < want-2 {
			t.Fatalf("a hole %d bytes before the end: %+v, %v, want to go on at %d", back, next, err, want)
		}
		next.a.Close()
		delete(disk.names, testFolder+"/"+next.a.seg.name())
		copy(hole, kept)
	}
}

// TestFailedSyncPoisons has a sync fail whose pages are in memory only from then on, as Linux keeps them: what the next life goes on behind must be on the disk.
func TestFailedSyncPoisons(t *testing.T) {
	units := streamtest.New(34).Fill(40, false).Units
	rng := rand.New(rand.NewPCG(1, 1))
	disk := newCrashFS()
	sink := newSink(testConfig(), Options{}, disk, disk.clock)
	l, err := beginLife(sink, 1, units)
	if err == nil {
		_, err = l.write(units, 10, rng)
	}
	if err != nil {
		t.Fatal(err)
	}
	durable := l.next
	disk.mu.Lock()
	disk.failSyncs = true
	disk.mu.Unlock()
	if _, err := l.write(units, 5, rng); code(err) != changefeed.CodeSinkStorage || !strings.Contains(err.Error(), "another segment") {
		t.Fatal(err)
	}
	disk.mu.Lock()
	disk.failSyncs = false
	disk.mu.Unlock()
	if err := l.a.Append(context.Background(), &message.Batch{}); err == nil {
		t.Fatal("a writer goes on after a failed sync")
	}
	l.a.Close()
	next, err := beginLife(sink, 1, units)
	if err != nil || next.next != durable {
		t.Fatalf("%+v, %v, want to go on at %d", next, err, durable)
	}
	if _, err := next.write(units, len(units), rng); err != nil {
		t.Fatal(err)
	}
	next.a.Close()
	if n := wholeUnits(t, units, archived(t, disk.crash(rng, false))); n != len(units) {
		t.Fatalf("%d units of %d", n, len(units))
	}
}

func TestWordsOfErrors(t *testing.T) {
	for err, words := range map[error]string{
		fmt.Errorf("write: %w", syscall.ENOSPC): "keep-bytes", fmt.Errorf("open: %w", syscall.EACCES): "user", syscall.EROFS: "user", syscall.EIO: "the disk",
	} {
		problem, ok := errors.AsType[*changefeed.Error](storage(err, "x"))
		if !ok || problem.Final || problem.Code != changefeed.CodeSinkStorage || problem.Stage != changefeed.StageSink || !strings.Contains(problem.Action, words) ||
			!errors.Is(problem, err) {
			t.Errorf("%v: %+v", err, problem)
		}
	}
}
