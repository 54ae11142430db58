package syncer

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
)

func ids(feeds map[string]*changefeed.Feed) []string { return slices.Sorted(maps.Keys(feeds)) }

// All namespaces that both have get a changefeed that nodes don't run; a second process finds them.
func TestDefines(t *testing.T) {
	a, b := newSide(t, "dc-a", "default", "orders", "mine"), newSide(t, "dc-b", "orders", "default", "theirs")
	s, _ := mustOpen(t, a, b, nil)
	if s.Source() != "dc-a" || s.Target() != "dc-b" || s.names() != "default,orders" {
		t.Fatalf("%s to %s: %s", s.Source(), s.Target(), s.names())
	}
	feeds := until(t, a, "two", func(f map[string]*changefeed.Feed) bool { return len(f) == 2 })
	f := feeds["sync-orders-to-dc-b"]
	if f == nil || f.Spec.Runner != changefeed.RunBySyncer || f.Spec.SinkURI != "zankv://"+b.address || f.Spec.Namespace != "orders" || f.Spec.From != "earliest" {
		t.Fatalf("defined are %v, %+v", ids(feeds), f)
	}
	if !s.takes(&f.Spec) || s.takes(&changefeed.Spec{ID: "sync-orders-to-dc-c", Namespace: "orders"}) {
		t.Error("it takes what is another target's, or not its own")
	}
	_, said := mustOpen(t, a, b, nil)
	if n := strings.Count(said.String(), "a changefeed is there already"); n != 2 {
		t.Errorf("%d were adopted: %s", n, said)
	}
	one, _ := mustOpen(t, a, b, func(o *Options) { o.Namespaces = []string{"orders"} })
	if one.names() != "orders" || one.takes(&feeds["sync-default-to-dc-b"].Spec) {
		t.Errorf("told to carry orders it carries %s", one.names())
	}
}

func kind(t *testing.T, err error, want Kind, mention string) {
	t.Helper()
	var known *Error
	if !errors.As(err, &known) || known.Kind != want || known.Action == "" || !strings.Contains(err.Error(), mention) {
		t.Errorf("got %v, want kind %d and %q", err, want, mention)
	}
}

// What can't be done as it was told isn't begun.
func TestRefuses(t *testing.T) {
	a, b := newSide(t, "dc-a", "default", "mine"), newSide(t, "dc-b", "default")
	_, _, err := open(t, a, a, nil)
	kind(t, err, SameCluster, "one cluster, dc-a")
	_, _, err = open(t, a, b, func(o *Options) { o.Namespaces = []string{"mine"} })
	kind(t, err, Unknown, `"mine" in the target dc-b`)
	_, _, err = open(t, a, b, func(o *Options) { o.Namespaces = []string{"none"} })
	kind(t, err, Unknown, `"none" in the`)
	if f := a.registry.View().Feeds; len(f) != 0 {
		t.Errorf("defined: %v", ids(f))
	}
	for what, change := range map[string]func(*Options){
		"no node of the source": func(o *Options) { o.Source = nil }, "no node of the target": func(o *Options) { o.Target = nil },
		"memory of 5": func(o *Options) { o.MemoryBytes = 5 }, "compression": func(o *Options) { o.Compression = new("gzip") },
		"bandwidth": func(o *Options) { o.Bandwidth = new(int64(-1)) }, "a name of 300": func(o *Options) { o.Name = strings.Repeat("x", 300) },
	} {
		if _, _, err := open(t, a, b, change); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// What a definition says that is there counts, unless it is to be redefined.
func TestDiffers(t *testing.T) {
	a, b := newSide(t, "dc-a", "default"), newSide(t, "dc-b", "default")
	mustOpen(t, a, b, func(o *Options) { o.Bandwidth = new(int64(1 << 20)) })
	mustOpen(t, a, b, nil) // nothing is said
	id := ChangefeedID("default", "dc-b")
	for mention, change := range map[string]func(*Options){
		"its target is " + b.address + ", not " + b.address + ",127.0.0.1:1": func(o *Options) { o.Target = append(o.Target, "127.0.0.1:1") },
		"its bandwidth is 1048576 bytes a second, not 5":                     func(o *Options) { o.Bandwidth = new(int64(5)) },
		"its compression is zstd, not none":                                  func(o *Options) { o.Compression = new("none") },
	} {
		_, _, err := open(t, a, b, change)
		kind(t, err, Differs, mention)
	}
	if g := a.registry.View().Feeds[id].Spec.Generation; g != 1 {
		t.Fatalf("it was changed: generation %d", g)
	}
	mustOpen(t, a, b, func(o *Options) { o.Redefine, o.Compression = true, new("none") })
	f := until(t, a, "the other compression", func(f map[string]*changefeed.Feed) bool {
		return strings.Contains(f[id].Spec.SinkURI, "compression=none")
	})[id]
	if !strings.Contains(f.Spec.SinkURI, "bandwidth=1048576") || f.Spec.Paused {
		t.Errorf("what wasn't said is gone, or it stays paused: %+v", f.Spec)
	}
	// A paused one stays so, and one of data nodes becomes the syncers'.
	spec := f.Spec
	spec.Paused, spec.Runner, spec.SinkURI = true, changefeed.RunByNodes, "file:///x"
	if _, err := a.registry.Update(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	_, _, err := open(t, a, b, nil)
	kind(t, err, Differs, "data nodes run it, not zankv-cdc sync; its sink is file:///x, no cluster")
	mustOpen(t, a, b, func(o *Options) { o.Redefine = true })
	if spec = a.registry.View().Feeds[id].Spec; !spec.Paused || spec.Runner != changefeed.RunBySyncer || spec.SinkURI != "zankv://"+b.address {
		t.Errorf("redefined it is %+v", spec)
	}
}

// Namespaces that come later are defined; what an operator takes away isn't defined again, unless the namespace is made anew.
func TestLooksOut(t *testing.T) {
	a, b := newSide(t, "dc-a", "one"), newSide(t, "dc-b", "one", "two")
	s, said := mustOpen(t, a, b, nil)
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan error)
	go func() { over <- s.Run(ctx) }()
	has := func(want ...string) func(map[string]*changefeed.Feed) bool {
		return func(f map[string]*changefeed.Feed) bool { return slices.Equal(ids(f), want) }
	}
	until(t, a, "the first", has("sync-one-to-dc-b"))
	a.set("one", "two")
	until(t, a, "both", has("sync-one-to-dc-b", "sync-two-to-dc-b"))
	if err := a.registry.Remove(ctx, "sync-one-to-dc-b"); err != nil {
		t.Fatal(err)
	}
	b.set("one", "two", "three")
	a.set("one", "two", "three")
	until(t, a, "the third alone", has("sync-three-to-dc-b", "sync-two-to-dc-b"))
	b.set("two", "three")
	for tick := time.NewTicker(5 * time.Millisecond); s.known()["one"]; {
		<-tick.C
	}
	until(t, a, "nothing new", has("sync-three-to-dc-b", "sync-two-to-dc-b"))
	b.set("one", "two", "three")
	until(t, a, "the first anew", has("sync-one-to-dc-b", "sync-three-to-dc-b", "sync-two-to-dc-b"))
	stop()
	if err := <-over; err != nil {
		t.Fatal(err)
	}
	if text := said.String(); !strings.Contains(text, "syncer started") || !strings.Contains(text, "syncer stopped") {
		t.Error(text)
	}
}

func TestChangefeedID(t *testing.T) {
	long := strings.Repeat("c", 255)
	for _, target := range []string{"dc-b", long, long[:254] + "d"} {
		if err := changefeed.ValidateID(ChangefeedID("default", target)); err != nil {
			t.Error(err)
		}
	}
	if ChangefeedID("default", "dc-b") != "sync-default-to-dc-b" || ChangefeedID("default", long) == ChangefeedID("default", long[:254]+"d") {
		t.Error(ChangefeedID("default", "dc-b"), ChangefeedID("default", long))
	}
}
