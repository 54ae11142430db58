package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/archive"
	"github.com/zankv/zankv/cdc/archive/streamtest"
	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed/feedtest"
)

// TestMixedPartitions mixes several partitions line by line, and has one of them altered: the others are checked to the end.
func TestMixedPartitions(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var streams [][][]byte
	o := Options{Expect: map[uint32]Expect{}}
	for n := range uint32(5) {
		s := streamtest.NewPartition(10, n).Fill(40, true)
		s.Event()
		streams = append(streams, s.Lines())
		o.Expect[n] = Expect{After: &Place{ChainKnown: true}, Until: s.Last().Position}
	}
	streams[2][len(streams[2])/2] = bytes.Replace(streams[2][len(streams[2])/2], []byte(`"chain":"`), []byte(`"chain": "x`), 1)
	var mixed [][]byte
	for len(streams) > 0 {
		i := rng.IntN(len(streams))
		mixed = append(mixed, streams[i][0])
		if streams[i] = streams[i][1:]; len(streams[i]) == 0 {
			streams = append(streams[:i], streams[i+1:]...)
		}
	}
	r := check(t, mixed, o)
	if r.Verdict != Violated || len(r.Partitions) != 5 {
		t.Fatalf("%s with %d partitions", r.Verdict, len(r.Partitions))
	}
	for i := range r.Partitions {
		want := OK
		if i == 2 {
			want = Violated
		}
		if p := &r.Partitions[i]; p.Verdict != want || p.Partition != uint32(i) {
			t.Errorf("partition %d: %s, want %s: %v", p.Partition, p.Verdict, want, p.Problem)
		}
	}
	if p := &r.Partitions[2]; p.Unchecked == 0 || p.Problem.Promise != event.Reliable {
		t.Errorf("%+v", p)
	}
}

func TestTooManyPartitions(t *testing.T) {
	var lines []byte
	for n := range uint32(4) {
		s := streamtest.NewPartition(10, n)
		s.Event()
		lines = append(lines, bytes.Join(s.Lines(), nil)...)
	}
	if _, err := Lines(context.Background(), bytes.NewReader(lines), "test", Options{MaxPartitions: 3}); err == nil || !strings.Contains(err.Error(), "more than 3 partitions") {
		t.Fatal(err)
	}
}

// TestStrayLines has lines that tell no partition among those of two.
func TestStrayLines(t *testing.T) {
	var lines [][]byte
	for n := range uint32(2) {
		lines = append(lines, streamtest.NewPartition(10, n).Fill(10, true).Lines()...)
	}
	for range 150 {
		lines = append(lines, []byte("{\"not\":\"a line\",\"position\":\"2-7\"}\n"))
	}
	r := check(t, lines, Options{})
	if r.Verdict != Violated || r.StrayLines != 150 || len(r.Stray) != strayKept || r.Stray[0].Line != int64(len(lines)-149) || r.Stray[0].Position.Index != 7 {
		t.Fatalf("%s, %d stray lines: %+v", r.Verdict, r.StrayLines, r.Stray[0])
	}
	for i := range r.Partitions {
		if r.Partitions[i].Verdict != OK {
			t.Errorf("%+v", r.Partitions[i])
		}
	}
	var out strings.Builder
	if err := r.WriteText(&out); err != nil || !strings.Contains(out.String(), "and 50 more such lines") {
		t.Fatal(out.String(), err)
	}
}

// TestReport counts what a stream has.
func TestReport(t *testing.T) {
	s := streamtest.New(4)
	first := s.Event()
	want := Partition{Cluster: "dc-a", Namespace: "default", Partition: 3, Verdict: OK, Proved: true, First: first.Stamp.Position, Events: 1}
	want.Mutations = int64(len(first.Event.Mutations))
	for range 20 {
		want.Mutations += int64(len(s.Event().Event.Mutations))
		want.Events++
	}
	s.Heartbeat()
	s.Snapshot(4)
	want.Heartbeats, want.Snapshots, want.Rows = 1, 1, 4
	f := s.Filtered()
	want.Events++
	want.Mutations += int64(len(f.Messages) - 1)
	want.Filtered = int64(len(f.Event.Mutations) - len(f.Messages) + 1)
	want.Last, want.Chain, want.Reached = f.Stamp.Position, f.Stamp.Chain, f.Stamp.Position
	want.Lines = int64(len(s.Lines()))
	r := check(t, s.Lines(), Options{})
	if len(r.Partitions) != 1 || r.Partitions[0] != want || !r.OK() {
		t.Fatalf("got\n%+v, want\n%+v", r.Partitions, want)
	}
	text, err := json.Marshal(r)
	if err != nil || !bytes.Contains(text, []byte(`"verdict":"ok"`)) || !bytes.Contains(text, fmt.Appendf(nil, `"last":"%s"`, want.Last)) {
		t.Fatalf("%s, %v", text, err)
	}
	var out strings.Builder
	if err := r.WriteText(&out); err != nil || !strings.Contains(out.String(), "1 snapshots (declared losses)") || !strings.Contains(out.String(), "OK: test.") {
		t.Fatalf("%s, %v", out.String(), err)
	}
}

// TestFirstEventIsSaidToBeUnproved begins in the middle of a log.
func TestFirstEventIsSaidToBeUnproved(t *testing.T) {
	s := streamtest.New(4).Fill(30, false)
	lines := streamtest.LinesOf(s.Units[10:])
	r := check(t, lines, Options{})
	var out strings.Builder
	if err := r.WriteText(&out); err != nil || !r.OK() || r.Partitions[0].Proved || !strings.Contains(out.String(), "isn't proved") {
		t.Fatalf("%s, %v", out.String(), err)
	}
	before := s.Units[9].Stamp
	known := Options{Default: Expect{After: &Place{Position: before.Position, Chain: before.Chain, ChainKnown: true}}}
	if r := check(t, lines, known); !r.OK() || !r.Partitions[0].Proved {
		t.Fatalf("%+v", r.Partitions[0])
	}
	known.Default.After.Chain[0]++
	if r := check(t, lines, known); r.OK() {
		t.Fatal("another chain before the first event isn't found")
	}
	if r := check(t, lines, Options{Default: Expect{After: &Place{Position: s.Units[2].Stamp.Position}}}); r.OK() {
		t.Fatal("a gap before the first event isn't found")
	}
}

func TestExpecting(t *testing.T) {
	var o Options
	chain := strings.Repeat("0a", 32)
	if err := o.Expecting("0-0,1=2-7:"+chain, "0=2-9,1=2-10"); err != nil {
		t.Fatal(err)
	}
	if a := o.expect(0); a.After == nil || !a.After.ChainKnown || a.Until != (event.Position{Term: 2, Index: 9}) {
		t.Errorf("%+v", a)
	}
	if b := o.expect(1); b.After.Position != (event.Position{Term: 2, Index: 7}) || b.After.Chain.String() != chain || b.Until.Index != 10 {
		t.Errorf("%+v", b)
	}
	for _, bad := range [][2]string{{"x", ""}, {"", "7"}, {"a=2-7", ""}, {"2-7:12", ""}} {
		if err := new(Options).Expecting(bad[0], bad[1]); err == nil {
			t.Errorf("from %q until %q isn't refused", bad[0], bad[1])
		}
	}
}

func run1(t *testing.T, source string, o Options) *Report {
	t.Helper()
	r, err := Run(context.Background(), source, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestFiles checks a file, one that is packed, and standard input.
func TestFiles(t *testing.T) {
	s := streamtest.New(4).Fill(30, true)
	lines := bytes.Join(s.Lines(), nil)
	name := filepath.Join(t.TempDir(), "lines of default.jsonl")
	if err := os.WriteFile(name, lines, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, source := range []string{name, "file://" + name, "-"} {
		if r := run1(t, source, Options{Stdin: bytes.NewReader(lines)}); !r.OK() || r.Partitions[0].Last != s.Last().Position || r.Bytes != int64(len(lines)) {
			t.Errorf("%s: %+v", source, r)
		}
	}
	for _, source := range []string{"", "ftp://x/y", "zankv://host/ns", "zankv://host:1", "zankv://host:1/ns/x", "file://host/x", "kafka://", name + "x", t.TempDir()} {
		if r, err := Run(context.Background(), source, Options{}); err == nil {
			t.Errorf("%q: %+v", source, r)
		}
	}
}

// TestArchiveFolders checks what the archive's sink wrote: the folder itself, a partition's, and one above.
func TestArchiveFolders(t *testing.T) {
	root := t.TempDir()
	uri := "file://" + root + "/{cluster}/{namespace}?compression=zstd&segment-bytes=8KiB"
	streams := map[uint32]*streamtest.Stream{}
	for n := range uint32(3) {
		streams[n] = streamtest.NewPartition(20, n).Fill(80, false)
		archived(t, uri, n, streams[n])
	}
	above := filepath.Join(root, "dc-a", "default")
	for _, source := range []string{uri, root, "file://" + root, above} {
		r := run1(t, source, Options{Cluster: "dc-a", Namespace: "default"})
		if !r.OK() || len(r.Partitions) != 3 {
			t.Fatalf("%s: %+v", source, r)
		}
		for n, s := range streams {
			if p := &r.Partitions[n]; p.Last != s.Last().Position || p.Chain != s.Last().Chain || !p.Proved {
				t.Errorf("%s: %+v", source, p)
			}
		}
	}
	one := filepath.Join(above, "default-1")
	if r := run1(t, one, Options{}); !r.OK() || len(r.Partitions) != 1 || r.Partitions[0].Partition != 1 {
		t.Fatalf("%+v", r)
	}
	files, err := filepath.Glob(one + "/*")
	if err != nil || len(files) < 3 {
		t.Fatalf("%d segments, %v", len(files), err)
	}
	if err := os.Remove(files[1]); err != nil {
		t.Fatal(err)
	}
	if r := run1(t, one, Options{Default: Expect{After: &Place{ChainKnown: true}}}); r.OK() {
		t.Fatal("a segment that is missing isn't found")
	}
}

// archived writes a stream's events with the real sink.
func archived(t *testing.T, uri string, partition uint32, s *streamtest.Stream) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	spec := &changefeed.Spec{ID: "a", Namespace: "default", SinkURI: uri, Format: changefeed.JSON}
	sink, err := archive.New(spec, archive.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w, err := sink.Open(ctx, changefeed.Target{Spec: spec, Cluster: "dc-a", Partition: partition, Partitions: 3, Epoch: 1})
	if err != nil {
		t.Fatal(err)
	}
	for i := range s.Units {
		u := &s.Units[i]
		if u.Event != nil {
			err = w.Event(ctx, &u.Stamp, u.Event, s.Names)
		} else {
			err = w.Heartbeat(ctx, u.Reached.Position, &u.Stamp, u.Reached.Time)
		}
		if err = errors.Join(err, w.Flush(ctx)); err != nil {
			t.Fatal(err)
		}
		for i%10 == 9 && w.Durable().Position.Compare(u.Reached.Position) < 0 {
			runtime.Gosched()
			if err := errors.Join(ctx.Err(), w.Err()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(w.Close(), sink.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestLivePartitions checks what nodes serve: all of a namespace, one partition, and a namespace that isn't there.
func TestLivePartitions(t *testing.T) {
	h := feedtest.NewHistory()
	h.Fill(1, 60)
	cell := feedtest.NewCell(t, h, 2)
	stamps := h.Stamps()
	last := stamps[len(stamps)-1]
	hosts := "zankv://" + strings.Join(cell.Addresses(), ",")
	for _, source := range []string{hosts + "/default", hosts + "/default/3"} {
		r := run1(t, source, Options{Default: Expect{Until: last.Position}})
		if !r.OK() || len(r.Partitions) != 1 || r.Partitions[0].Last != last.Position || r.Partitions[0].Chain != last.Chain || r.Partitions[0].Events != int64(len(stamps)) {
			t.Fatalf("%s: %+v", source, r)
		}
	}
	after := stamps[9]
	from := Options{Default: Expect{After: &Place{Position: after.Position, Chain: after.Chain, ChainKnown: true}}}
	if r := run1(t, hosts+"/default/3", from); !r.OK() || r.Partitions[0].Events != int64(len(stamps)-10) {
		t.Fatalf("%+v", r)
	}
	if r := run1(t, hosts+"/default", Options{Default: Expect{Until: event.Position{Term: 1, Index: 99}}}); r.Verdict != Incomplete {
		t.Fatalf("%+v", r)
	}
	for _, source := range []string{hosts + "/other", hosts + "/default/4"} {
		if r, err := Run(context.Background(), source, Options{GiveUp: time.Second}); err == nil {
			t.Fatalf("%s: %+v", source, r)
		}
	}
}
