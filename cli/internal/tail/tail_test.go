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
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed"
	"github.com/zankv/zankv/cdc/feed/feedtest"
)

func config(c *feedtest.Cell, from feed.From, follow bool) Config {
	return Config{
		Format: format("json"), Partitions: []Partition{{Number: 3, From: from}},
		Feed: feed.Config{Nodes: c.Addresses(), Namespace: "default", Follow: follow},
	}
}

func format(name string) func() Format {
	f, err := NewFormat(Options{Format: name})
	if err != nil {
		panic(err)
	}
	return f
}

// What tail prints is the whole feed, as the lines alone prove, and folds to the same state as the events do.
func TestLinesAreTheFeed(t *testing.T) {
	h := feedtest.NewHistory()
	h.Fill(2, 200)
	c := feedtest.NewCell(t, h, 2)
	var out bytes.Buffer
	if err := Run(t.Context(), &out, config(c, feed.Earliest(), false)); err != nil {
		t.Fatal(err)
	}
	var p event.Parser
	var l event.Line
	var v event.Validator
	var fold event.Fold
	v.From(event.Position{}, event.Chain{})
	lines := strings.SplitAfter(out.String(), "\n")
	for _, line := range lines[:len(lines)-1] {
		if err := p.Parse([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		if err := v.Line(&l, p.Names); err != nil {
			t.Fatal(err)
		}
		fold.Apply(&l.Mutation)
	}
	want := h.Stamps()
	if last, chain := v.Last(); last != want[len(want)-1].Position || chain != want[len(want)-1].Chain {
		t.Fatalf("ended at %s", last)
	}
	if m, ok := fold.Get([]byte("key:199")); fold.Len() != len(want) || !ok || string(m.Value) != "value 199" {
		t.Fatalf("%d keys, want %d; key:199 is %+v", fold.Len(), len(want), m)
	}
}

// Lines of collections fold to what the events fold to, element by element.
func TestLinesOfCollections(t *testing.T) {
	h := feedtest.NewHistory()
	h.Fill(2, 10)
	h.FillCollections(2, 70)
	c := feedtest.NewCell(t, h, 1)
	var out bytes.Buffer
	if err := Run(t.Context(), &out, config(c, feed.Earliest(), false)); err != nil {
		t.Fatal(err)
	}
	var p event.Parser
	var l event.Line
	var v event.Validator
	var lines, events event.Fold
	v.From(event.Position{}, event.Chain{})
	for line := range strings.Lines(out.String()) {
		if err := p.Parse([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		if err := v.Line(&l, p.Names); err != nil {
			t.Fatal(err)
		}
		lines.Apply(&l.Mutation)
	}
	if err := v.End(); err != nil {
		t.Fatal(err)
	}
	from := config(c, feed.Earliest(), false).Feed
	from.Partition = 3
	r, err := feed.Open(t.Context(), from)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for {
		item, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if item.Event != nil {
			events.Event(item.Event)
		}
	}
	if events.Err() != nil || lines.Err() != nil || !slices.Equal(events.Keys(), lines.Keys()) {
		t.Fatalf("%v, %v: keys %q of the lines, %q of the events", lines.Err(), events.Err(), lines.Keys(), events.Keys())
	}
	for _, key := range events.Keys() {
		if got, want := content(&lines, key), content(&events, key); got != want {
			t.Errorf("%s: %s of the lines, %s of the events", key, got, want)
		}
	}
	for key, want := range map[string]string{
		"hash:4": `hash 1 ["name" "of name" 0 `, "set:4": `set 1 ["\xff" "" 0 `, "zset:4": `zset 2 ["one" "" -0.5 `,
		"list:4": `list 2 ["" "first" 0 `, "bitmap:4": `bitmap 1000 ["\x00\x00\x00\x01" "\x00\x01" 0 `,
	} {
		if got := content(&lines, key); !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %s, want %s…", key, got, want)
		}
	}
}

// content is what a fold has of a key.
func content(f *event.Fold, key string) string {
	m, _ := f.Get([]byte(key))
	text := fmt.Sprintf("%s %d", m.Type, m.Count)
	for e := range f.Elements([]byte(key)) {
		text += fmt.Sprintf(" [%q %q %v %d]", e.Sub, e.Value, e.Score, e.Version.Time)
	}
	return text
}

func TestTextOfCollections(t *testing.T) {
	h := feedtest.NewHistory()
	h.FillCollections(2, 14)
	c := feedtest.NewCell(t, h, 1)
	cfg := config(c, feed.Earliest(), false)
	cfg.Format = format("text")
	var out bytes.Buffer
	if err := Run(t.Context(), &out, cfg); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"hset      hash    hash:0  age = ", "zadd      zset    zset:0  one = -0.5, two = 0.5, three = 1.5", "lpop      list    list:0  1 item",
		"setbits   bitmap  bitmap:0  segment 1: 2 bytes of 1000 bytes"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestCountAndText(t *testing.T) {
	h := feedtest.NewHistory()
	h.Fill(2, 30)
	c := feedtest.NewCell(t, h, 1)
	cfg := config(c, feed.Earliest(), true)
	cfg.Count, cfg.Format = 3, format("text")
	var out bytes.Buffer
	if err := Run(t.Context(), &out, cfg); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); strings.Count(got, "\n") != 3 || !strings.Contains(got, `set       string  key:0  =  "value 0"`) {
		t.Fatalf("got\n%s", got)
	}
}

// While it follows, a line is out as soon as its event is there, though output is buffered; and ctx ends it without an error.
func TestFollowFlushesWhenIdle(t *testing.T) {
	h := feedtest.NewHistory()
	c := feedtest.NewCell(t, h, 1)
	ctx, cancel := context.WithCancel(t.Context())
	in, out := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- Run(ctx, out, config(c, feed.Earliest(), true)) }()
	lines := bufio.NewScanner(in)
	for _, key := range []string{"a", "b", "c"} {
		h.Set(2, key, "v")
		if !lines.Scan() || !strings.Contains(lines.Text(), `"key":"`+key+`"`) {
			t.Fatalf("got %q, %v", lines.Text(), lines.Err())
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestClosedPipeIsNoError(t *testing.T) {
	h := feedtest.NewHistory()
	h.Fill(2, 3000)
	c := feedtest.NewCell(t, h, 1)
	in, out := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- Run(t.Context(), out, config(c, feed.Earliest(), true)) }()
	if _, err := in.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	in.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestErrors(t *testing.T) {
	h := feedtest.NewHistory()
	h.Fill(2, 60)
	c := feedtest.NewCell(t, h, 1)
	if err := Run(t.Context(), full{}, config(c, feed.Earliest(), false)); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("a full disk: %v", err)
	}
	c.Nodes[0].Replica.Truncate(40)
	err := Run(t.Context(), io.Discard, config(c, feed.At(event.Position{Term: 2, Index: 1}), false))
	if problem, ok := errors.AsType[*feed.Error](err); !ok || problem.Kind != feed.Compacted {
		t.Errorf("a compacted position: %v", err)
	}
	cfg := config(c, feed.Earliest(), false)
	cfg.Feed.Nodes = nil
	if err := Run(t.Context(), io.Discard, cfg); err == nil {
		t.Error("no nodes: no error")
	}
	cfg.Feed.Nodes, cfg.Partitions = c.Addresses(), nil
	if err := Run(t.Context(), io.Discard, cfg); err == nil {
		t.Error("no partitions: no error")
	}
	if _, err := NewFormat(Options{Format: "xml"}); err == nil {
		t.Error("format xml was taken")
	}
}

func TestGivesUp(t *testing.T) {
	h := feedtest.NewHistory()
	c := feedtest.NewCell(t, h, 1)
	c.Nodes[0].Stop()
	cfg := config(c, feed.Earliest(), false)
	cfg.Feed.GiveUp = 50 * time.Millisecond
	if err := Run(t.Context(), io.Discard, cfg); err == nil || !strings.Contains(err.Error(), "no replica served") {
		t.Fatalf("got %v", err)
	}
}
