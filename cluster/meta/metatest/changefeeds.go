package metatest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/meta"
)

// FeedProcess is one process that uses a registry.
type FeedProcess struct {
	changefeed.Registry
	// Name is what it claims under.
	Name string
	// Die ends the process without it releasing anything.
	Die func()
}

type connectFeeds func(t *testing.T, name string) FeedProcess

// RunChangefeeds checks an implementation of changefeed.Registry. cluster makes an empty cluster and returns how a process of a name connects to it.
func RunChangefeeds(t *testing.T, cluster func(t *testing.T) (connect func(t *testing.T, name string) FeedProcess)) {
	tests := []struct {
		name string
		run  func(*testing.T, connectFeeds)
	}{
		{"a changefeed is created once", feedCreate},
		{"bad definitions are refused", feedBad},
		{"a definition is replaced if it is the one known", feedUpdate},
		{"one of many updates succeeds", feedUpdateRace},
		{"a removed changefeed takes claims along", feedRemove},
		{"a partition has one owner", feedTaken},
		{"one of many claims succeeds", feedClaimRace},
		{"epochs grow", feedEpochs},
		{"a dead process's claims end", feedDeath},
		{"a fenced owner saves nothing", feedFenced},
		{"progress outlives owners", feedProgress},
		{"progress set by hand", feedSetProgress},
		{"progress that is too large", feedTooLarge},
		{"watchers get the last view", feedWatch},
		{"views never change", feedImmutable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, cluster(t)) })
	}
}

// Changefeed is a definition that can be created.
func Changefeed(id string) changefeed.Spec {
	s := changefeed.Spec{
		ID: id, Namespace: "default", SinkURI: "kafka://127.0.0.1:9092/{namespace}", To: "0=2-5", Created: 17,
		Filter: changefeed.Filter{Tables: []string{"users"}, Ops: []string{"hset"}, Origins: []string{"!b"}}, Digests: true,
	}
	s.SetDefaults()
	return s
}

// UntilFeeds waits for a view that ok accepts.
func UntilFeeds(t *testing.T, r changefeed.Registry, what string, ok func(*changefeed.View) bool) *changefeed.View {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var last *changefeed.View
	for v := range r.Watch(ctx) {
		if last != nil && v.Revision <= last.Revision {
			t.Fatalf("revision %d after %d", v.Revision, last.Revision)
		}
		if last = v; ok(v) {
			return v
		}
	}
	t.Fatalf("no view with %s; last is %+v", what, last)
	return nil
}

func untilFeed(t *testing.T, r changefeed.Registry, id, what string, ok func(*changefeed.Feed) bool) *changefeed.Feed {
	t.Helper()
	v := UntilFeeds(t, r, what, func(v *changefeed.View) bool { return v.Feeds[id] != nil && ok(v.Feeds[id]) })
	return v.Feeds[id]
}

func createFeed(t *testing.T, r changefeed.Registry, id string) changefeed.Spec {
	t.Helper()
	s := Changefeed(id)
	if err := r.Create(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	s.Generation = 1
	return s
}

func claimFeed(t *testing.T, p FeedProcess, id string, partition uint32) changefeed.Claim {
	t.Helper()
	return must[changefeed.Claim](t)(p.Claim(t.Context(), id, partition, p.Name))
}

// eventually repeats what another process's time has to run out for.
func eventually(t *testing.T, p FeedProcess, id string, partition uint32) changefeed.Claim {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for range p.Watch(ctx) {
		c, err := p.Claim(ctx, id, partition, p.Name)
		if err == nil {
			return c
		}
		if !errors.Is(err, changefeed.ErrTaken) {
			t.Fatal(err)
		}
	}
	t.Fatal("never free")
	return nil
}

func waitLost(t *testing.T, c changefeed.Claim, what string) {
	t.Helper()
	select {
	case <-c.Lost():
	case <-time.After(limit):
		t.Fatalf("the claim isn't lost: %s", what)
	}
}

func notLost(t *testing.T, c changefeed.Claim) {
	t.Helper()
	select {
	case <-c.Lost():
		t.Fatal("the claim is lost")
	default:
	}
}

// Progress is one with something in each field.
func Progress(index uint64) changefeed.Progress {
	return changefeed.Progress{
		Position: event.Position{Term: 2, Index: index}, Chain: event.Chain{1, 2, 3}, Time: 1234, Forced: true, State: changefeed.Warning,
		Trouble: &changefeed.Trouble{Stage: changefeed.StageBroker, Code: changefeed.CodeBrokerSlow, Reason: "slow", Action: "wait", Since: 5},
		Owner:   "n1", Epoch: 3, Updated: 99, Figures: changefeed.Figures{LagEntries: 4, EventsPerSecond: 1.5, OldestRetained: "1-1", HeadroomBytes: -1},
	}
}

func feedCreate(t *testing.T, connect connectFeeds) {
	a, b := connect(t, "a"), connect(t, "b")
	want := createFeed(t, a, "orders")
	wantIs(t, b.Create(t.Context(), Changefeed("orders")), changefeed.ErrExists)
	createFeed(t, b, "orders.2")
	for _, p := range []FeedProcess{a, b} {
		v := UntilFeeds(t, p, "both", func(v *changefeed.View) bool { return len(v.Feeds) == 2 })
		if got := v.Feeds["orders"]; !reflect.DeepEqual(got.Spec, want) || len(got.Progress)+len(got.Owners) != 0 {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	}
}

func feedBad(t *testing.T, connect connectFeeds) {
	r := connect(t, "a")
	for name, spoil := range map[string]func(*changefeed.Spec){
		"id":     func(s *changefeed.Spec) { s.ID = "a/b" },
		"sink":   func(s *changefeed.Spec) { s.SinkURI = "nowhere" },
		"format": func(s *changefeed.Spec) { s.Format = "xml" },
		"large":  func(s *changefeed.Spec) { s.Filter.Keys = []string{strings.Repeat("k", meta.MaxChangefeedValue)} },
	} {
		s := Changefeed("bad")
		spoil(&s)
		if err := r.Create(t.Context(), s); err == nil {
			t.Errorf("%s: created", name)
		}
	}
	s := createFeed(t, r, "good")
	s.Heartbeat = 1
	if _, err := r.Update(t.Context(), s); err == nil {
		t.Error("updated to a heartbeat of 1 ns")
	}
	if _, err := r.Claim(t.Context(), "good", meta.MaxPartitions, "a"); err == nil {
		t.Error("a partition beyond the last one was claimed")
	}
	_, err := r.Claim(t.Context(), "none", 0, "a")
	wantIs(t, err, changefeed.ErrNotFound)
	wantIs(t, r.Remove(t.Context(), "none"), changefeed.ErrNotFound)
	wantIs(t, r.SetProgress(t.Context(), "none", 0, Progress(1)), changefeed.ErrNotFound)
}

func feedUpdate(t *testing.T, connect connectFeeds) {
	a, b := connect(t, "a"), connect(t, "b")
	s := createFeed(t, a, "f")
	changed := s
	changed.Paused, changed.Created = true, 5
	got := must[changefeed.Spec](t)(b.Update(t.Context(), changed))
	changed.Generation, changed.Created = 2, s.Created
	if !reflect.DeepEqual(got, changed) {
		t.Fatalf("got %+v, want %+v", got, changed)
	}
	untilFeed(t, a, "f", "the second generation", func(f *changefeed.Feed) bool { return reflect.DeepEqual(f.Spec, changed) })
	_, err := a.Update(t.Context(), s)
	wantIs(t, err, changefeed.ErrStale)
	_, err = a.Update(t.Context(), Changefeed("none"))
	wantIs(t, err, changefeed.ErrNotFound)
}

func feedUpdateRace(t *testing.T, connect connectFeeds) {
	both := []FeedProcess{connect(t, "a"), connect(t, "b")}
	s := createFeed(t, both[0], "f")
	var mu sync.Mutex
	won := 0
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			_, err := both[i%2].Update(t.Context(), s)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else if !errors.Is(err, changefeed.ErrStale) {
				t.Errorf("got %v, want stale", err)
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Fatalf("%d updates of one generation succeeded", won)
	}
}

func feedRemove(t *testing.T, connect connectFeeds) {
	a, b := connect(t, "a"), connect(t, "b")
	createFeed(t, a, "f")
	createFeed(t, a, "f-2")
	c, other := claimFeed(t, a, "f", 3), claimFeed(t, a, "f-2", 3)
	if err := c.Save(t.Context(), Progress(7)); err != nil {
		t.Fatal(err)
	}
	if err := b.Remove(t.Context(), "f"); err != nil {
		t.Fatal(err)
	}
	waitLost(t, c, "it was removed")
	wantIs(t, c.Save(t.Context(), Progress(8)), changefeed.ErrFenced)
	UntilFeeds(t, a, "the other only", func(v *changefeed.View) bool { return v.Feeds["f"] == nil && len(v.Feeds) == 1 })
	notLost(t, other)
	createFeed(t, b, "f")
	again := claimFeed(t, a, "f", 3)
	if again.Epoch() <= c.Epoch() || !reflect.DeepEqual(again.Progress(), changefeed.Progress{}) {
		t.Fatalf("made anew it has epoch %d after %d and progress %+v", again.Epoch(), c.Epoch(), again.Progress())
	}
	wantIs(t, c.Save(t.Context(), Progress(9)), changefeed.ErrFenced)
}

func feedTaken(t *testing.T, connect connectFeeds) {
	a, b := connect(t, "a"), connect(t, "b")
	createFeed(t, a, "f")
	c := claimFeed(t, a, "f", 0)
	for _, p := range []FeedProcess{a, b} {
		_, err := p.Claim(t.Context(), "f", 0, p.Name)
		wantIs(t, err, changefeed.ErrTaken)
	}
	claimFeed(t, b, "f", 1)
	f := untilFeed(t, b, "f", "both owners", func(f *changefeed.Feed) bool { return len(f.Owners) == 2 })
	if want := (changefeed.Owner{Process: "a", Epoch: c.Epoch()}); f.Owners[0] != want || f.Owners[1].Process != "b" {
		t.Fatalf("owners are %+v", f.Owners)
	}
	notLost(t, c)
	if err := c.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	untilFeed(t, a, "f", "one owner left", func(f *changefeed.Feed) bool { _, has := f.Owners[0]; return !has && len(f.Owners) == 1 })
	claimFeed(t, b, "f", 0)
}

func feedClaimRace(t *testing.T, connect connectFeeds) {
	both := []FeedProcess{connect(t, "a"), connect(t, "b")}
	createFeed(t, both[0], "f")
	var mu sync.Mutex
	won := 0
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			_, err := both[i%2].Claim(t.Context(), "f", 0, both[i%2].Name)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else if !errors.Is(err, changefeed.ErrTaken) {
				t.Errorf("got %v, want taken", err)
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Fatalf("%d claims of one partition succeeded", won)
	}
}

func feedEpochs(t *testing.T, connect connectFeeds) {
	both := []FeedProcess{connect(t, "a"), connect(t, "b")}
	createFeed(t, both[0], "f")
	var epochs []uint64
	for i := range 6 {
		c := claimFeed(t, both[i%2], "f", 2)
		epochs = append(epochs, c.Epoch())
		if err := c.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		waitLost(t, c, "it was released")
		if err := c.Release(t.Context()); err != nil {
			t.Fatalf("released twice: %v", err)
		}
	}
	if epochs[0] == 0 || !slices.IsSorted(epochs) || len(slices.Compact(slices.Clone(epochs))) != len(epochs) {
		t.Fatalf("epochs %v, want each above the one before", epochs)
	}
}

func feedDeath(t *testing.T, connect connectFeeds) {
	a, b := connect(t, "a"), connect(t, "b")
	createFeed(t, a, "f")
	const partitions = 5
	var claims []changefeed.Claim
	for i := range uint32(partitions) {
		claims = append(claims, claimFeed(t, a, "f", i))
	}
	if err := claims[2].Save(t.Context(), Progress(4)); err != nil {
		t.Fatal(err)
	}
	a.Die()
	for i := range uint32(partitions) {
		waitLost(t, claims[i], "its process died")
		c := eventually(t, b, "f", i)
		if c.Epoch() <= claims[i].Epoch() {
			t.Fatalf("epoch %d after %d", c.Epoch(), claims[i].Epoch())
		}
		if i == 2 && c.Progress().Position.Index != 4 {
			t.Fatalf("progress %+v, want what the dead process saved", c.Progress())
		}
	}
}

func feedFenced(t *testing.T, connect connectFeeds) {
	a, b := connect(t, "a"), connect(t, "b")
	createFeed(t, a, "f")
	old := claimFeed(t, a, "f", 0)
	if err := old.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	now := claimFeed(t, b, "f", 0)
	if err := now.Save(t.Context(), Progress(20)); err != nil {
		t.Fatal(err)
	}
	wantIs(t, old.Save(t.Context(), Progress(30)), changefeed.ErrFenced)
	if err := old.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := now.Save(t.Context(), Progress(21)); err != nil {
		t.Fatalf("after the old owner's release: %v", err)
	}
	notLost(t, now)
	f := untilFeed(t, a, "f", "the later save", func(f *changefeed.Feed) bool { return f.Progress[0].Position.Index == 21 })
	if f.Owners[0].Epoch != now.Epoch() {
		t.Fatalf("owners %+v", f.Owners)
	}
}

func feedProgress(t *testing.T, connect connectFeeds) {
	a, b := connect(t, "a"), connect(t, "b")
	createFeed(t, a, "f")
	c := claimFeed(t, a, "f", 1)
	if !reflect.DeepEqual(c.Progress(), changefeed.Progress{}) {
		t.Fatalf("progress %+v before any", c.Progress())
	}
	want := Progress(9)
	if err := c.Save(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	if err := c.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := claimFeed(t, b, "f", 1).Progress(); !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	f := untilFeed(t, b, "f", "progress", func(f *changefeed.Feed) bool { return len(f.Progress) == 1 })
	if !reflect.DeepEqual(f.Progress[1], want) {
		t.Fatalf("shown is %+v, want %+v", f.Progress[1], want)
	}
}

func feedSetProgress(t *testing.T, connect connectFeeds) {
	a, b := connect(t, "a"), connect(t, "b")
	createFeed(t, a, "f")
	c := claimFeed(t, a, "f", 0)
	wantIs(t, b.SetProgress(t.Context(), "f", 0, Progress(3)), changefeed.ErrTaken)
	if err := c.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := changefeed.Progress{Forced: true, State: changefeed.Paused} // the zero position: from the beginning
	if err := b.SetProgress(t.Context(), "f", 0, want); err != nil {
		t.Fatal(err)
	}
	if got := claimFeed(t, a, "f", 0).Progress(); !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
}

func feedTooLarge(t *testing.T, connect connectFeeds) {
	a := connect(t, "a")
	createFeed(t, a, "f")
	c := claimFeed(t, a, "f", 0)
	large := Progress(1)
	large.Trouble.Reason = strings.Repeat("x", meta.MaxChangefeedValue)
	wantIs(t, c.Save(t.Context(), large), meta.ErrTooLarge)
	notLost(t, c)
}

func feedWatch(t *testing.T, connect connectFeeds) {
	a, b := connect(t, "a"), connect(t, "b")
	ctx, cancel := context.WithCancel(t.Context())
	slow := b.Watch(ctx)
	createFeed(t, a, "f")
	c := claimFeed(t, a, "f", 0)
	const last = 50
	for i := uint64(1); i <= last; i++ {
		if err := c.Save(t.Context(), Progress(i)); err != nil {
			t.Fatal(err)
		}
	}
	UntilFeeds(t, b, fmt.Sprint("position ", last), func(v *changefeed.View) bool {
		return v.Feeds["f"] != nil && v.Feeds["f"].Progress[0].Position.Index == last
	})
	for v := range slow { // ends with the last one at the latest
		if v == b.View() {
			break
		}
	}
	cancel()
	for range slow { // ends when the channel is closed
	}
}

func feedImmutable(t *testing.T, connect connectFeeds) {
	a := connect(t, "a")
	s := createFeed(t, a, "f")
	c := claimFeed(t, a, "f", 0)
	if err := c.Save(t.Context(), Progress(1)); err != nil {
		t.Fatal(err)
	}
	before := untilFeed(t, a, "f", "progress", func(f *changefeed.Feed) bool { return len(f.Progress) == 1 && len(f.Owners) == 1 })
	if err := c.Save(t.Context(), Progress(2)); err != nil {
		t.Fatal(err)
	}
	claimFeed(t, a, "f", 1)
	s.Paused = true
	must[changefeed.Spec](t)(a.Update(t.Context(), s))
	untilFeed(t, a, "f", "all of it", func(f *changefeed.Feed) bool {
		return f.Spec.Paused && f.Progress[0].Position.Index == 2 && len(f.Owners) == 2
	})
	if before.Spec.Paused || before.Progress[0].Position.Index != 1 || len(before.Owners) != 1 {
		t.Fatalf("a view from before shows %+v", before)
	}
}
