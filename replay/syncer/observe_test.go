package syncer

import (
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/replay/writestats"
)

// slow is a writer that has durably what it is told to.
type slow struct {
	changefeed.Writer
	durable changefeed.Reached
	closed  bool
}

func (s *slow) Event(context.Context, *event.Stamp, *event.Event, event.Names) error { return nil }
func (s *slow) BeginSnapshot(context.Context, *changefeed.Base) error                { return nil }
func (s *slow) Rows(context.Context, *event.Event, event.Names) error                { return nil }
func (s *slow) EndSnapshot(context.Context) error                                    { return nil }
func (s *slow) Durable() changefeed.Reached                                          { return s.durable }
func (s *slow) Close() error                                                         { s.closed = true; return nil }
func (s *slow) Wants() changefeed.Want                                               { return changefeed.Want{Tombstones: true} }
func (s *slow) GoOn(event.Position) event.Position                                   { return event.Position{Term: 9} }

func watched() (*writer, *slow, *sinks) {
	all := &sinks{}
	all.init()
	one := &sink{id: "f", all: all, open: map[uint32]*writer{}}
	all.mu.open[one] = true
	inner := &slow{}
	w := &writer{Writer: inner, sink: one, partition: 3}
	one.open[3] = w
	return w, inner, all
}

// Events are timed from when they were made until the target has them, not before and not twice.
func TestAges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, inner, all := watched()
		ctx, stop := context.WithCancel(t.Context())
		over := make(chan struct{})
		go func() {
			all.measure(ctx)
			close(over)
		}()
		give := func(index uint64, age time.Duration) {
			t.Helper()
			at := time.Now().Add(-age).UnixNano()
			if err := w.Event(ctx, &event.Stamp{Position: event.Position{Term: 2, Index: index}}, &event.Event{Time: at}, nil); err != nil {
				t.Fatal(err)
			}
		}
		give(1, 0)
		give(2, 100*time.Millisecond)
		time.Sleep(500 * time.Millisecond)
		if s := all.written.Counts(); s != [16]uint64{} {
			t.Fatalf("written before it is: %v", s)
		}
		if s := all.received.Counts(); s[0] != 1 || s[7] != 1 {
			t.Fatalf("received: %v", s)
		}
		w.mu.Lock()
		inner.durable.Position = event.Position{Term: 2, Index: 1}
		w.mu.Unlock()
		time.Sleep(100 * time.Millisecond)
		if s := all.written.Counts(); s[9] != 1 {
			t.Fatalf("after 500 ms: %v", s)
		}
		w.mu.Lock()
		inner.durable.Position = event.Position{Term: 2, Index: 2}
		w.mu.Unlock()
		time.Sleep(100 * time.Millisecond)
		give(3, 0) // wakes it again after it had nothing to do
		w.mu.Lock()
		inner.durable.Position = event.Position{Term: 2, Index: 3}
		w.mu.Unlock()
		time.Sleep(100 * time.Millisecond)
		if s := all.written.Counts(); s[9] != 1 || s[10] != 1 || s[0]+s[2]+s[3] != 1 {
			t.Fatalf("in the end: %v", s)
		}
		for i := range uint64(10 * maxSamples) {
			give(4+i, 0)
		}
		if n := len(w.mu.samples); n != maxSamples {
			t.Errorf("%d are waited for", n)
		}
		stop()
		<-over
	})
}

// A full sync is counted as its rows go by, and estimated by the keys that there are; what the inner writer wants counts.
func TestFullSyncProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, inner, _ := watched()
		if w.fullSync(time.Now()) != nil {
			t.Fatal("one is under way")
		}
		if !w.Wants().Tombstones || w.GoOn(event.Position{}).Term != 9 {
			t.Error("the writer's own wants are lost")
		}
		if err := w.BeginSnapshot(t.Context(), &changefeed.Base{Stamp: event.Stamp{Position: event.Position{Term: 2, Index: 7}}, Keys: 4}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		rows := &event.Event{Mutations: []event.Mutation{
			{Op: event.OpSet, Key: []byte("key"), Value: make([]byte, 97)},
			{Op: event.OpHSet, Whole: true, Key: []byte("hash"), Elements: []event.Element{{Sub: []byte("f"), Value: make([]byte, 45)}}},
			{Op: event.OpHSet, Key: []byte("hash"), Elements: []event.Element{{Sub: []byte("g"), Value: make([]byte, 49)}}},
		}}
		if err := w.Rows(t.Context(), rows, nil); err != nil {
			t.Fatal(err)
		}
		f := w.fullSync(time.Now())
		if f == nil || f.Keys != 2 || f.TotalKeys != 4 || f.Bytes != 200 || f.BytesPerSecond != 20 || f.ETASeconds != 10 || f.Position.Index != 7 {
			t.Errorf("got %+v", f)
		}
		if err := w.EndSnapshot(t.Context()); err != nil || w.fullSync(time.Now()) != nil {
			t.Errorf("still under way: %v", err)
		}
		if err := w.Close(); err != nil || !inner.closed || len(w.sink.writers()) != 0 {
			t.Errorf("closed: %v", err)
		}
	})
}

// What the process serves has the documented shapes, also while nothing runs.
func TestHTTP(t *testing.T) {
	a, b := newSide(t, "dc-a", "default"), newSide(t, "dc-b", "default")
	s, _ := mustOpen(t, a, b, nil)
	ask := func(path string) string {
		t.Helper()
		r := httptest.NewRecorder()
		s.Handler().ServeHTTP(r, httptest.NewRequest("GET", path, nil))
		if r.Code != 200 {
			t.Fatalf("%s: %d", path, r.Code)
		}
		return r.Body.String()
	}
	var logs struct {
		Source, Target, Name string
		Net                  *writestats.Stats `json:"sync_net_latency"`
		All                  *writestats.Stats `json:"sync_all_latency"`
		Synced               []synced          `json:"log_synced"`
		Received             []logPlace        `json:"log_received"`
	}
	if err := json.Unmarshal([]byte(ask("/logsync/stats")), &logs); err != nil {
		t.Fatal(err)
	}
	if logs.Source != "dc-a" || logs.Target != "dc-b" || logs.Name != "s" || logs.Net == nil || logs.All == nil || logs.Synced == nil || logs.Received == nil {
		t.Errorf("%+v", logs)
	}
	for path, want := range map[string]string{
		"/ping": "OK", "/syncer/runnings": "[]\n", "/stats": `"memory_max":268435456`, "/logsync/stats?cluster=dc-x": `"log_synced":[]`,
		"/metrics": `zankv_syncer_info{name="s",source="dc-a",target="dc-b"} 1`,
	} {
		if got := ask(path); !strings.Contains(got, want) {
			t.Errorf("%s: no %q in %s", path, want, got)
		}
	}
}

func TestError(t *testing.T) {
	inner := errors.New("inner")
	if err := error(&Error{What: "outer", Err: inner}); err.Error() != "outer: inner" || !errors.Is(err, inner) {
		t.Error(err)
	}
}
