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
