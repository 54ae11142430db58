package wal

import (
	"testing"
	"time"
)

func TestRetainPolicy(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(1000+s), 0) }
	// Entries 11 to 50, 10 bytes each, one a second.
	s := RetainState{Now: at(100), Applied: 45, Flushed: 40, Stats: GroupStats{First: 11, Last: 50, Bytes: 400}}
	for i := range 4 {
		s.Outline = append(s.Outline, Point{Index: uint64(11 + 10*i), Before: uint64(100 * i), Time: at(11 + 10*i)})
	}
	with := func(f func(*RetainState)) RetainState {
		c := s
		f(&c)
		return c
	}
	consumer := func(c *RetainState) { c.Positions = []uint64{33, 22} }
	capped := func(index uint64) func(*RetainState) {
		return func(c *RetainState) { consumer(c); c.Stats.CapIndex = index }
	}
	for _, c := range []struct {
		name string
		p    RetainPolicy
		s    RetainState
		want uint64
	}{
		{"nothing keeps: up to flushed", RetainPolicy{}, s, 40},
		{"applied below flushed", RetainPolicy{}, with(func(c *RetainState) { c.Applied = 30 }), 30},
		{"the slowest consumer", RetainPolicy{Consumers: true}, with(consumer), 22},
		{"consumers don't count", RetainPolicy{}, with(consumer), 40},
		{"a consumer holds nothing older than its limit", RetainPolicy{Consumers: true, ConsumerAge: 65 * time.Second}, with(consumer), 31},
		{"a younger place is held", RetainPolicy{Consumers: true, ConsumerAge: 85 * time.Second}, with(consumer), 22},
		{"the consumers' limit isn't for others", RetainPolicy{Consumers: true, ConsumerAge: time.Second, Age: time.Hour}, with(consumer), 10},
		{"nor for who isn't there", RetainPolicy{Consumers: true, ConsumerAge: 95 * time.Second}, s, 40},
		{"age keeps what is younger", RetainPolicy{Age: 65 * time.Second}, s, 31},
		{"age keeps all", RetainPolicy{Age: time.Hour}, s, 10},
		{"size keeps at least", RetainPolicy{Bytes: 250}, s, 20},
		{"size keeps all", RetainPolicy{Bytes: 1000}, s, 10},
		{"any reason keeps", RetainPolicy{Consumers: true, Bytes: 250}, with(consumer), 20},
		{"the limit wins over consumers", RetainPolicy{Consumers: true, MaxBytes: 250}, with(consumer), 30},
		{"the disk cap wins over consumers", RetainPolicy{Consumers: true, Age: time.Hour}, with(capped(35)), 35},
		{"nothing wins over flushed", RetainPolicy{Consumers: true}, with(capped(48)), 40},
	} {
		if got := c.p.Index(c.s); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

// TestDiskCap: truncating every group to its CapIndex brings the log under its cap.
func TestDiskCap(t *testing.T) {
	o := testOptions(t.TempDir())
	o.SegmentBytes, o.MaxDiskBytes = 16<<10, 64<<10
	l := mustOpen(t, o)
	defer mustClose(t, l)
	for i := uint64(1); l.writer.active.id < 12; i++ {
		mustAppend(t, l, Update{Group: 1, Entries: ents(1, i, i+1, 300), MustSync: true}, Update{Group: 2, Entries: ents(1, i, i+1, 30)})
	}
	if l.Stats().OverCap == 0 {
		t.Fatal("not over the cap")
	}
	for _, g := range l.Groups() {
		s := g.Stats()
		p := RetainPolicy{Consumers: true}
		index := p.Index(RetainState{Applied: s.Last, Flushed: s.Last, Positions: []uint64{0}, Stats: s, Outline: g.Outline(64)})
		if err := g.Truncate(index); err != nil {
			t.Fatal(err)
		}
	}
	mustAppend(t, l, Update{Group: 1, HardState: hard(1, 1, 1), MustSync: true})
	if s := l.Stats(); s.OverCap > 0 {
		t.Fatalf("%d bytes over the cap, %d segments", s.OverCap, s.Segments)
	}
}

// A partition that writes little is rewritten at the head again and again. What it wrote lately stays as long as it would have elsewhere: a consumer that
// is within the age that is kept finds its place.
func TestRewrittenEntriesKeepTheirTime(t *testing.T) {
	o := testOptions(t.TempDir())
	now := time.Unix(1_000_000, 0)
	o.Now = func() time.Time { return now }
	l := mustOpen(t, o)
	quiet, i := uint64(0), uint64(0)
	for range 48 { // an entry an hour, and much of others'
		quiet++
		mustAppend(t, l, Update{Group: 7, Entries: ents(1, quiet, quiet+1, 10_000), MustSync: true})
		for end := l.writer.active.id + 2; l.writer.active.id < end; {
			i++
			mustAppend(t, l, Update{Group: 1, Entries: ents(1, i, i+1, 5000), MustSync: true})
		}
		if err := l.Group(1).Truncate(i); err != nil {
			t.Fatal(err)
		}
		if err := l.Rewrite(7); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Hour)
		for range 2 {
			g := l.Group(7)
			index := RetainPolicy{Age: 24 * time.Hour}.Index(RetainState{Now: now, Applied: quiet, Flushed: quiet, Stats: g.Stats(), Outline: g.Outline(64)})
			if younger := max(quiet, 24) - 24; index > younger {
				t.Fatalf("after %d hours: truncated to %d, those after %d are younger than a day", quiet, index, younger)
			}
			mustClose(t, l)
			l = mustOpen(t, o)
		}
	}
	now = now.Add(24 * time.Hour)
	g := l.Group(7)
	if index := (RetainPolicy{Age: 24 * time.Hour}).Index(RetainState{Now: now, Applied: quiet, Flushed: quiet, Stats: g.Stats(), Outline: g.Outline(64)}); index == 0 {
		t.Error("a day later nothing goes")
	}
	mustClose(t, l)
}

// Tail says how much follows, from when, and how far the disk cap is from it: it is taken when that much was written, and not before.
func TestTail(t *testing.T) {
	o := testOptions(t.TempDir())
	o.SegmentBytes, o.MaxDiskBytes = 256<<10, 3<<20
	now := time.Unix(1_000_000, 0)
	o.Now = func() time.Time { return now }
	l := mustOpen(t, o)
	defer mustClose(t, l)
	const last = 20
	for i := uint64(1); i <= last; i++ {
		mustAppend(t, l, Update{Group: 7, Entries: ents(1, i, i+1, 70_000), MustSync: true})
		now = now.Add(time.Minute)
	}
	g := l.Group(7)
	all := g.Tail(0)
	if all.Bytes != g.Bytes() || !all.Oldest.Equal(g.Stats().Oldest) {
		t.Errorf("after nothing: %+v, want %d bytes from %v", all, g.Bytes(), g.Stats().Oldest)
	}
	for i := uint64(1); i < last; i++ {
		before, after := g.Tail(i-1), g.Tail(i)
		if after.Bytes >= before.Bytes || after.Oldest.Before(before.Oldest) || after.DiskLeft < before.DiskLeft {
			t.Errorf("after %d: %+v, after %d: %+v", i-1, before, i, after)
		}
		if written := time.Unix(1_000_000, 0).Add(time.Duration(i) * time.Minute); after.Oldest.After(written) {
			t.Errorf("after %d: since %v, it was written at %v", i, after.Oldest, written)
		}
	}
	if end := g.Tail(last); end.Bytes != 0 || !end.Oldest.IsZero() || end.DiskLeft != o.MaxDiskBytes {
		t.Errorf("after all: %+v", end)
	}
	for i := uint64(1); g.Stats().CapIndex == 0; i++ {
		if left := g.Tail(0).DiskLeft; l.Stats().DiskBytes+left != o.MaxDiskBytes {
			t.Fatalf("%d bytes left of a log of %d", left, l.Stats().DiskBytes)
		}
		mustAppend(t, l, Update{Group: 1, Entries: ents(1, i, i+1, 50_000), MustSync: true})
	}
	if left := g.Tail(0).DiskLeft; left != 0 {
		t.Errorf("%d bytes left, and the cap takes up to %d", left, g.Stats().CapIndex)
	}
}
