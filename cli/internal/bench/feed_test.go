package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/feed/feedtest"
)

// The server of feedtest has one partition.
const testPartition = 3

func TestReadLog(t *testing.T) {
	h := feedtest.NewHistory()
	h.Fill(2, 3000)
	nodes := feedtest.NewCell(t, h, 1).Addresses()
	all := float64(len(h.Stamps()))
	events, mutations, err := readLog(t.Context(), nodes, testPartition, time.Now().Add(time.Hour))
	if err != nil || events != all || mutations < all {
		t.Errorf("%v events, %v mutations, %v; want %v events", events, mutations, err, all)
	}
	if events, _, err = readLog(t.Context(), nodes, testPartition, time.Now()); err != nil || events <= 0 || events >= all {
		t.Errorf("%v events, %v; want some of %v, as time was over", events, err, all)
	}
}

// A watcher says that it is there and what it has seen, and why it can't go on.
func TestReaderWatcher(t *testing.T) {
	h := feedtest.NewHistory()
	nodes := feedtest.NewCell(t, h, 1).Addresses()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	w, err := newReaderWatcher(ctx, nodes, testPartition, time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	h.Set(2, markKey+"1", "v")
	if err := awaitMark(ctx, w, markKey+"1"); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		h.Set(2, fmt.Sprintf("key:%d", i), "v")
	}
	if ok, err := w.saw(markKey + "2"); ok || err != nil {
		t.Errorf("a mark that nobody made: %v, %v", ok, err)
	}
	h.Set(2, markKey+"2", "v")
	if err := awaitMark(ctx, w, markKey+"2"); err != nil {
		t.Fatal(err)
	}
	if err := sawAll([]watcher{w}, 10); err != nil {
		t.Error(err)
	}
	if err := sawAll([]watcher{w}, 11); err == nil || !strings.Contains(err.Error(), "12 mutations of 13") {
		t.Errorf("one mutation too few: %v", err)
	}
	w.stop()
	if _, err := w.saw(markKey + "2"); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}

// The same of a tail, by what it prints.
func TestTailWatcher(t *testing.T) {
	f, err := memoryFile(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	const script = `for i in 1 2 3; do echo '{"key":"mark:'$i'"}'; done; exec sleep 600`
	p, err := startProcessTo(t.Context(), f, "tail", "", 0, "sh", "-c", script)
	if err != nil {
		t.Fatal(err)
	}
	w := &tailWatcher{p: p, file: f}
	defer w.stop()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := awaitMark(ctx, w, "mark:3"); err != nil {
		t.Fatal(err)
	}
	if n, err := w.mutations(); n != 3 || err != nil {
		t.Errorf("%d lines, %v; want 3", n, err)
	}
	if ok, err := w.saw("mark:"); ok || err != nil {
		t.Errorf("part of a mark was taken for one: %v", err)
	}
	p.stop()
	if _, err := w.saw("mark:3"); err == nil || !strings.Contains(err.Error(), "has ended") {
		t.Errorf("the tail has ended: %v", err)
	}
}

func TestLogSamples(t *testing.T) {
	defer func(groups []int) { logGroups = groups }(logGroups)
	logGroups = []int{1} // the log's own tests have more
	s, err := logSamples(t.Context(), t.TempDir(), time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range logRows() {
		if s[row.Of] <= 0 || row.Over != "" && s[row.Over] <= 0 {
			t.Errorf("%s: no figures in %v", row.What, s)
		}
	}
}

// What hangs is ended, and the systems are asked what they are doing.
func TestExamine(t *testing.T) {
	err := within(t.Context(), time.Millisecond, func(ctx context.Context) error {
		<-ctx.Done()
		return fmt.Errorf("measure: %w", ctx.Err())
	})
	s := &hung{}
	if got := examine([]System{s}, err); got == nil || !strings.Contains(got.Error(), "its goroutines are in /there") {
		t.Errorf("after %v: %v", err, got)
	}
	if got := examine([]System{s}, errors.New("else")); got != nil {
		t.Errorf("an error that is no hang: %v", got)
	}
}

type hung struct{ System }

func (*hung) Name() string             { return "hung" }
func (*hung) examine() (string, error) { return "/there", nil }
