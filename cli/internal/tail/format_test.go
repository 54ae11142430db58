package tail

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed"
	"github.com/zankv/zankv/cdc/feed/feedtest"
)

// mixed is a log of events of several mutations, of two tables.
func mixed(events int) *feedtest.History {
	h := feedtest.NewHistoryOf(0)
	for e := range events {
		t := feedtest.StartTime + int64(e)*1e9
		ev := &event.Event{Time: t, Term: 2}
		for i := range 1 + e%5 {
			v := event.Version{Time: t + int64(i), Cluster: 1}
			m := event.Mutation{Op: event.OpSet, Type: event.TypeString, Key: fmt.Appendf(nil, "%s:%d", []string{"users", "orders"}[(e+i)%2], i), Value: []byte("v"),
				Version: v, Floor: v, ExpiryVersion: v, Group: uint32(i)}
			if i == 3 {
				m = event.Mutation{Op: event.OpDel, Type: event.TypeString, Key: []byte("users:0"), Version: v, Prev: v, Floor: v, Group: uint32(i)}
			}
			ev.Mutations = append(ev.Mutations, m)
		}
		h.Append(2, ev)
	}
	return h
}

// printed is what a format makes of a log.
func printed(t *testing.T, h *feedtest.History, o Options, count uint64) string {
	t.Helper()
	n := feedtest.NewNamespace(t, h)
	cfg := namespaceConfig(n, false)
	cfg.Count = count
	var err error
	if cfg.Format, err = NewFormat(o); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Run(t.Context(), &out, cfg); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// verified reads lines back and has them proven whole from the beginning; it returns how many mutations they show and how many they leave out.
func verified(text string) (changes, left int, last event.Position, err error) {
	var p event.Parser
	var v event.Validator
	var l event.Line
	v.From(event.Position{}, event.Chain{})
	for line := range strings.Lines(text) {
		if err := p.Parse([]byte(line), &l); err != nil {
			return 0, 0, last, err
		}
		if err := v.Line(&l, p.Names); err != nil {
			return 0, 0, last, err
		}
		switch l.Kind {
		case event.LineChange:
			changes++
		case event.LineFiltered:
			left += len(l.Digests)
		}
	}
	last, _ = v.Last()
	return changes, left, last, v.End()
}

// What a filter leaves out leaves its digests: the output still proves itself whole, and shows nothing of it.
func TestFilterLeavesDigests(t *testing.T) {
	h := mixed(40)
	stamps := h.Stamps()
	for _, format := range []string{"json", "debezium"} {
		for name, f := range map[string]changefeed.Filter{
			"table": {Tables: []string{"users"}}, "op": {Ops: []string{"del"}}, "key": {Keys: []string{"orders:[02]"}}, "origin": {Origins: []string{"dc-b"}}, "all": {},
			"own": {Origins: []string{"dc-a"}},
		} {
			out := printed(t, h, Options{Format: format, Filter: f, Digests: true}, 0)
			changes, left, last, err := verified(out)
			if err != nil || changes+left != 120 || last != stamps[len(stamps)-1].Position {
				t.Errorf("%s, %s: %d changes, %d left out, up to %s: %v", format, name, changes, left, last, err)
			}
			if want := map[string]int{"table": -1, "op": 16, "key": -1, "origin": 0, "all": 120, "own": 120}[name]; want >= 0 && changes != want {
				t.Errorf("%s, %s: %d changes, want %d", format, name, changes, want)
			}
			if name == "table" && strings.Contains(out, "orders") {
				t.Errorf("%s: what was filtered out is there", format)
			}
		}
	}
}

func TestFilterWithoutDigests(t *testing.T) {
	h := mixed(40)
	for format, sign := range map[string]string{"json": `"op":"del"`, "text": "  del  ", "debezium": `"op":"d"`} {
		out := printed(t, h, Options{Format: format, Filter: changefeed.Filter{Ops: []string{"del"}}}, 0)
		if strings.Count(out, "\n") != 16 || strings.Count(out, sign) != 16 {
			t.Errorf("%s:\n%.500s", format, out)
		}
	}
}

// What is filtered out doesn't count, and an event isn't torn apart by the end.
func TestCountOfWhatIsShown(t *testing.T) {
	out := printed(t, mixed(40), Options{Format: "json", Filter: changefeed.Filter{Ops: []string{"del"}}, Digests: true}, 3)
	changes, _, last, err := verified(out)
	if changes != 3 || err != nil || last.Index != 9 {
		t.Errorf("%d changes up to %s: %v", changes, last, err)
	}
}

func TestPrefixedText(t *testing.T) {
	out := printed(t, mixed(3), Options{Format: "text", Prefixed: true}, 0)
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, "0   2-") {
			t.Errorf("%q", line)
		}
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{{Format: "xml"}, {Format: "json", Filter: changefeed.Filter{Ops: []string{"steal"}}}, {}} {
		if _, err := NewFormat(o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}

// Heartbeats prove up to where nothing is missing, while nothing comes; they are no events and don't count.
func TestHeartbeats(t *testing.T) {
	h := feedtest.NewHistoryOf(0)
	h.Set(2, "a", "v")
	h.Append(2, nil)
	n := feedtest.NewNamespace(t, h)
	cfg := namespaceConfig(n, true)
	cfg.Heartbeats, cfg.Count = true, 2
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	in, out := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, out, cfg)
		out.Close()
	}()
	r := bufio.NewReader(in)
	var all strings.Builder
	for beats := 0; beats < 3; {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString(line)
		if strings.Contains(line, `"op":"heartbeat"`) && strings.Contains(line, `"position":"2-2","last_position":"2-1"`) {
			beats++
		}
	}
	h.Set(2, "b", "v")
	rest, err := io.ReadAll(r)
	all.Write(rest)
	if err != nil || <-done != nil {
		t.Fatal(err)
	}
	if changes, _, last, err := verified(all.String()); changes != 2 || last.Index != 3 || err != nil {
		t.Errorf("%d changes up to %s: %v in\n%s", changes, last, err, all.String())
	}
	cfg.Format = format("text")
	cfg.Heartbeats, cfg.Count, cfg.Partitions[0].From = true, 1, feed.Earliest()
	var text bytes.Buffer
	if err := Run(t.Context(), &text, cfg); err != nil || strings.Contains(text.String(), "heartbeat") {
		t.Errorf("%v and\n%s", err, text.String())
	}
}
