package archive

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/zankv/zankv/cdc/archive/streamtest"
	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
)

// archiveOf has a stream archived by some owners, one after the other, in small segments.
func archiveOf(t *testing.T, units []streamtest.Unit) *crashFS {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 1))
	disk := newCrashFS()
	for epoch := uint64(1); ; epoch++ {
		l, err := beginLife(newSink(testConfig(), Options{}, disk, disk.clock), epoch, units)
		if err == nil {
			_, err = l.write(units, 30, rng)
		}
		if err = errors.Join(err, l.a.Close()); err != nil {
			t.Fatal(err)
		}
		if l.next == len(units) {
			return disk
		}
	}
}

// code is a *changefeed.Error's.
func code(err error) changefeed.Code {
	if problem, ok := errors.AsType[*changefeed.Error](err); ok {
		return problem.Code
	}
	return ""
}

// TestEventsFromEveryPlace goes on from each event and heartbeat, and wants the very events that come after it.
func TestEventsFromEveryPlace(t *testing.T) {
	s := streamtest.New(11).Fill(150, false)
	disk := archiveOf(t, s.Units)
	r, err := open(disk, testFolder)
	if err != nil {
		t.Fatal(err)
	}
	if r.Newest() != s.Units[len(s.Units)-1].Reached.Position {
		t.Fatalf("it ends at %s", r.Newest())
	}
	for i := -1; i < len(s.Units); i++ {
		for _, known := range []bool{true, false} {
			at := changefeed.Place{ChainKnown: known}
			if i >= 0 {
				at.After, at.Chain = s.Units[i].Reached.Position, s.Units[i].Reached.Chain
			}
			wantEvents(t, r, at, s.Units[i+1:], s.Names)
		}
	}
}

// wantEvents reads on from a place, and compares with the events as they were.
func wantEvents(t *testing.T, r *Reader, at changefeed.Place, units []streamtest.Unit, names event.Names) {
	t.Helper()
	st, err := r.Events(context.Background(), at)
	if err != nil {
		t.Fatalf("after %s: %v", at.After, err)
	}
	defer st.Close()
	var check event.Validator
	if at.ChainKnown && at.After.IsZero() {
		check.From(at.After, at.Chain)
	}
	for _, u := range units {
		if u.Event == nil {
			continue
		}
		item, err := st.Next(context.Background())
		for err == nil && item.Event == nil {
			item, err = st.Next(context.Background())
		}
		if err != nil {
			t.Fatalf("after %s, instead of %s: %v", at.After, u.Stamp.Position, err)
		}
		if at.ChainKnown {
			if _, err := check.Event(item.Stamp, item.Event, item.Names); err != nil {
				t.Fatalf("after %s: %v", at.After, err)
			}
		}
		for i := range u.Messages {
			got := event.AppendJSON(nil, item.Stamp, item.Event, i, item.Names)
			if want := append(bytes.Clone(u.Messages[i].Value), '\n'); !bytes.Equal(got, want) {
				t.Fatalf("after %s: got\n%swant\n%s", at.After, got, want)
			}
		}
	}
	item, err := st.Next(context.Background())
	for err == nil && item.Event == nil {
		item, err = st.Next(context.Background())
	}
	if err != io.EOF {
		t.Fatalf("after %s: %v at the end, %v", at.After, err, item)
	}
}

// TestEventsReadOnlyWhatTheyNeed starts near the end, and wants the segments before left alone.
func TestEventsReadOnlyWhatTheyNeed(t *testing.T) {
	s := streamtest.New(11).Fill(150, false)
	disk := archiveOf(t, s.Units)
	r, err := open(disk, testFolder)
	if err != nil || len(r.parts) < 8 {
		t.Fatal(len(r.parts), err)
	}
	for _, p := range r.parts[:len(r.parts)-3] {
		delete(disk.names, testFolder+"/"+p.name())
	}
	u := s.Units[len(s.Units)-4]
	at := changefeed.Place{After: u.Reached.Position, Chain: u.Reached.Chain, ChainKnown: true}
	wantEvents(t, r, at, s.Units[len(s.Units)-3:], s.Names)
}

// TestEventsRefuse asks for what an archive can't give.
func TestEventsRefuse(t *testing.T) {
	ctx := context.Background()
	s := streamtest.New(11).Fill(60, false)
	disk := archiveOf(t, s.Units)
	whole, err := open(disk, testFolder)
	if err != nil {
		t.Fatal(err)
	}
	last := s.Units[len(s.Units)-1].Reached.Position
	later := event.Position{Term: last.Term, Index: last.Index + 10}
	middle := s.Units[30].Reached
	other := middle.Chain
	other[0]++
	oldest := testFolder + "/" + whole.parts[0].name()
	gone := disk.names[oldest]
	delete(disk.names, oldest)
	short, err := open(disk, testFolder)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		r    *Reader
		at   changefeed.Place
		want changefeed.Code
	}{
		"before the oldest":  {short, changefeed.Place{After: s.Units[0].Stamp.Position}, changefeed.CodeLogCompacted},
		"the very beginning": {short, changefeed.Place{From: "earliest", ChainKnown: true}, changefeed.CodeLogCompacted},
		"after the newest":   {whole, changefeed.Place{After: later}, changefeed.CodeLogCompacted},
		"another history":    {whole, changefeed.Place{After: middle.Position, Chain: other, ChainKnown: true}, changefeed.CodeHistory},
		"latest":             {whole, changefeed.Place{From: "latest"}, changefeed.CodeDefinition},
	} {
		disk.names[oldest] = gone
		st, err := c.r.Events(ctx, c.at)
		if err == nil {
			_, err = st.Next(ctx)
			st.Close()
		}
		if code(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// read gives the first error of a stream, and how many events came before it.
func read(r *Reader, at changefeed.Place) (events int, err error) {
	st, err := r.Events(context.Background(), at)
	if err != nil {
		return 0, err
	}
	defer st.Close()
	for {
		item, err := st.Next(context.Background())
		if err != nil {
			return events, err
		}
		if item.Event != nil {
			events++
		}
	}
}

// TestEventsOfFilteredArchives and of one that lost its own place are refused where it matters.
func TestEventsOfFilteredArchives(t *testing.T) {
	s := streamtest.New(12).Fill(10, false)
	before := s.Event().Reached
	s.Filtered()
	after := s.Event().Reached
	s.Snapshot(3)
	base := s.Units[len(s.Units)-1].Reached
	s.Event()
	r, err := open(archiveOf(t, s.Units), testFolder)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := read(r, changefeed.Place{After: before.Position}); code(err) != changefeed.CodeDefinition || !strings.Contains(err.Error(), "filter") {
		t.Errorf("over filtered mutations: %v", err)
	}
	if _, err := read(r, changefeed.Place{After: after.Position, Chain: after.Chain, ChainKnown: true}); code(err) != changefeed.CodeLogCompacted {
		t.Errorf("over a snapshot: %v", err)
	}
	if n, err := read(r, changefeed.Place{After: base.Position, Chain: base.Chain, ChainKnown: true}); n != 1 || err != io.EOF {
		t.Errorf("after a snapshot: %d events, %v", n, err)
	}
}

// TestEventsThatWereAltered flips bytes of segments, and wants none of the altered events.
func TestEventsThatWereAltered(t *testing.T) {
	s := streamtest.New(13).Fill(26, false)
	rng := rand.New(rand.NewPCG(13, 13))
	cfg := testConfig()
	cfg.Compression = None
	disk := newCrashFS()
	l, err := beginLife(newSink(cfg, Options{}, disk, disk.clock), 1, s.Units)
	if err == nil {
		_, err = l.write(s.Units, len(s.Units), rng)
	}
	if err = errors.Join(err, l.a.Close()); err != nil {
		t.Fatal(err)
	}
	r, err := open(disk, testFolder)
	if err != nil || len(r.parts) < 2 {
		t.Fatal(len(r.parts), err)
	}
	data := disk.names[testFolder+"/"+r.parts[1].name()].data
	for i := 0; i < len(data); i += 1 + i%5 {
		data[i] ^= 1
		if _, err := read(r, changefeed.Place{ChainKnown: true}); code(err) != changefeed.CodeCorrupt && code(err) != changefeed.CodeDefinition {
			t.Fatalf("byte %d of the second segment: %v", i, err)
		}
		data[i] ^= 1
	}
	if n, err := read(r, changefeed.Place{ChainKnown: true}); err != io.EOF {
		t.Fatalf("%d events, %v", n, err)
	}
	short := disk.names[testFolder+"/"+r.parts[1].name()]
	short.data = data[:len(data)-3]
	if _, err := read(r, changefeed.Place{ChainKnown: true}); code(err) != changefeed.CodeCorrupt {
		t.Fatalf("a segment that is too short: %v", err)
	}
}
