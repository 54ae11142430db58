package tail

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed"
	"github.com/zankv/zankv/cdc/feed/feedtest"
)

// namespaceConfig prints all partitions of a namespace.
func namespaceConfig(n *feedtest.Namespace, follow bool) Config {
	cfg := Config{Format: format("json"), Feed: feed.Config{Nodes: []string{n.Address}, Namespace: "default", Follow: follow}}
	for i := range n.Replicas {
		cfg.Partitions = append(cfg.Partitions, Partition{Number: uint32(i)})
	}
	return cfg
}

// histories are logs of events whose times fall between and upon each other's: an event's time goes by its index.
func histories(events ...int) []*feedtest.History {
	var all []*feedtest.History
	for i, n := range events {
		h := feedtest.NewHistoryOf(uint32(i))
		for e := range n {
			if e%(i+2) == 0 {
				h.Append(2, nil)
			}
			h.Set(2, fmt.Sprintf("p%d:%d", i, e), strings.Repeat("v", 1+e%200))
		}
		all = append(all, h)
	}
	return all
}

// checked are the lines by partition, each stream of which is proven whole, and the times and partitions in the order of the output.
func checked(t *testing.T, out string, partitions int) (times []int64, order []uint32, last []event.Position) {
	t.Helper()
	parsers := make([]event.Parser, partitions)
	validators := make([]event.Validator, partitions)
	for i := range validators {
		validators[i].From(event.Position{}, event.Chain{})
	}
	for line := range strings.Lines(out) {
		var l event.Line
		var which event.Parser
		if err := which.Parse([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		n := l.Stamp.Partition
		if err := parsers[n].Parse([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		if err := validators[n].Line(&l, parsers[n].Names); err != nil {
			t.Fatal(err)
		}
		times, order = append(times, l.Time), append(order, n)
	}
	for i := range validators {
		position, _ := validators[i].Last()
		last = append(last, position)
	}
	return times, order, last
}

// Without following, all partitions are one output in the order of time, each whole and in its own order; where times are equal, the lower
// partition comes first.
func TestMergesByTime(t *testing.T) {
	hs := histories(300, 0, 40, 900)
	n := feedtest.NewNamespace(t, hs...)
	var out bytes.Buffer
	if err := Run(t.Context(), &out, namespaceConfig(n, false)); err != nil {
		t.Fatal(err)
	}
	times, order, last := checked(t, out.String(), len(hs))
	if len(times) != 300+40+900 {
		t.Fatalf("%d lines", len(times))
	}
	ties := 0
	for i := 1; i < len(times); i++ {
		if times[i] < times[i-1] || times[i] == times[i-1] && order[i] <= order[i-1] {
			t.Fatalf("line %d of partition %d at %d comes after partition %d's at %d", i, order[i], times[i], order[i-1], times[i-1])
		}
		if times[i] == times[i-1] {
			ties++
		}
	}
	if ties == 0 {
		t.Error("the test has no equal times")
	}
	for i, h := range hs {
		if stamps := h.Stamps(); len(stamps) > 0 && last[i] != stamps[len(stamps)-1].Position {
			t.Errorf("partition %d ended at %s", i, last[i])
		}
	}
}

// While it follows, an idle partition and one that no replica serves keep nobody waiting.
func TestFollowDoesNotWaitForTheIdle(t *testing.T) {
	hs := histories(0, 0, 0)
	n := feedtest.NewNamespace(t, hs...)
	n.Silent = map[uint32]bool{2: true}
	ctx, cancel := context.WithCancel(t.Context())
	in, out := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- Run(ctx, out, namespaceConfig(n, true)) }()
	lines := bufio.NewScanner(in)
	for i, p := range []int{1, 1, 0, 1, 0, 0} {
		key := fmt.Sprintf("key%d", i)
		hs[p].Set(2, key, "v")
		if !lines.Scan() || !strings.Contains(lines.Text(), `"key":"`+key+`"`) {
			t.Fatalf("got %q, %v", lines.Text(), lines.Err())
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// Count is of all partitions together, whichever way they are merged.
func TestCountOverPartitions(t *testing.T) {
	n := feedtest.NewNamespace(t, histories(50, 50)...)
	for _, follow := range []bool{false, true} {
		cfg := namespaceConfig(n, follow)
		cfg.Count = 60
		var out bytes.Buffer
		if err := Run(t.Context(), &out, cfg); err != nil || strings.Count(out.String(), "\n") != 60 {
			t.Errorf("follow %v: %d lines, %v", follow, strings.Count(out.String(), "\n"), err)
		}
	}
}

// A partition that can't go on ends the whole, after what came before in the order of time was printed.
func TestFailedPartitionEndsAll(t *testing.T) {
	hs := histories(50, 50)
	n := feedtest.NewNamespace(t, hs...)
	n.Replicas[1].Truncate(40)
	cfg := namespaceConfig(n, false)
	cfg.Partitions[1].From = feed.At(event.Position{Term: 2, Index: 3})
	err := Run(t.Context(), io.Discard, cfg)
	if problem, ok := errors.AsType[*feed.Error](err); !ok || problem.Kind != feed.Compacted || !strings.Contains(err.Error(), "default-1") {
		t.Errorf("got %v", err)
	}
}

// A slow reader of the output holds the feed back: what was read ahead is bounded, however long the log.
func TestMemoryIsBounded(t *testing.T) {
	hs := histories(0, 0)
	value := strings.Repeat("x", 32<<10)
	for i := range 200 {
		for _, h := range hs {
			h.Set(2, fmt.Sprintf("k%d", i), value)
		}
	}
	n := feedtest.NewNamespace(t, hs...)
	var printed counter
	cfg := namespaceConfig(n, false)
	cfg.Format = func() Format { return counting{Format: format("json")(), n: &printed} }
	in, out := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- Run(t.Context(), out, cfg) }()
	r := bufio.NewReader(in)
	for range 20 {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		printed.taken(len(line))
	}
	in.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	// Two chunks for each partition, the output's buffer, and the reader's here, each over by one event at most.
	if most := printed.most(); most > 2*2*(chunkBytes+40<<10)+2*(64<<10)+80<<10 {
		t.Errorf("%d bytes were printed ahead of what was taken", most)
	}
}

// Until ends each partition at its own place: at a position, or with a time.
func TestUntil(t *testing.T) {
	hs := histories(50, 50)
	n := feedtest.NewNamespace(t, hs...)
	stamps := hs[0].Stamps()
	at := stamps[20].Position
	end := feedtest.StartTime + 30e9
	for _, follow := range []bool{false, true} {
		cfg := namespaceConfig(n, follow)
		cfg.Partitions[0].Until = Until{Position: at}
		cfg.Partitions[1].Until = Until{Time: end}
		var out bytes.Buffer
		if err := Run(t.Context(), &out, cfg); err != nil {
			t.Fatal(err)
		}
		times, order, last := checked(t, out.String(), 2)
		if last[0] != at {
			t.Errorf("follow %v: partition 0 ended at %s, want %s", follow, last[0], at)
		}
		i := len(order) - 1 - slices.Index(reversed(order), 1)
		if times[i] >= end || times[i] < end-2e9 {
			t.Errorf("follow %v: partition 1 ended at %d, want it before %d", follow, times[i], end)
		}
	}
}

// A position that is none of an event's, and at which the log of a followed partition ends, is told by the bookmark.
func TestUntilABookmark(t *testing.T) {
	h := feedtest.NewHistoryOf(0)
	h.Set(2, "a", "v")
	h.Append(2, nil)
	n := feedtest.NewNamespace(t, h)
	cfg := namespaceConfig(n, true)
	cfg.Partitions[0].Until = Until{Position: event.Position{Term: 2, Index: 2}}
	var out bytes.Buffer
	if err := Run(t.Context(), &out, cfg); err != nil || strings.Count(out.String(), "\n") != 1 {
		t.Errorf("%v and\n%s", err, out.String())
	}
}

func reversed(s []uint32) []uint32 {
	r := slices.Clone(s)
	slices.Reverse(r)
	return r
}
