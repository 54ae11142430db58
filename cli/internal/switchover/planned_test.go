package switchover_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/zankv/zankv/cli/internal/failure"
	"github.com/zankv/zankv/cli/internal/switchover"
)

// Under load nothing that was acknowledged is missing afterwards, the syncer for the way back is waited for, and carries what is written from then on.
func TestSwitchover(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	carry(t, w.a, w.b)
	mustSet(t, w.a, "before", "1")
	arrives(t, w.b, "before", "1")
	counts := make(chan int, 4)
	for i := range 4 {
		go load(t.Context(), w.a, fmt.Sprintf("load%d", i), counts)
	}
	asked := false
	o := w.options(t, w.a, w.b, func(l switchover.Line) {
		if l.Step == "reverse" && strings.Contains(l.Message, "zankv-cdc sync --source "+w.b.grpc+" --target "+w.a.grpc) && !asked {
			asked = true
			carry(t, w.b, w.a)
		}
	})
	if err := planned(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		n := <-counts
		if n == 0 {
			t.Error("nothing was written under way")
		}
	}
	for i := range 4 {
		for n := 0; ; n++ {
			key := fmt.Sprintf("load%d:%d", i, n)
			want, err := w.a.client.Get(t.Context(), key).Result()
			if err != nil {
				break
			}
			if got, err := w.b.client.Get(t.Context(), key).Result(); err != nil || got != want {
				t.Fatalf("%s: %q, %v", key, got, err)
			}
		}
	}
	if !asked || !closedTo(t, w.a) || closedTo(t, w.b) {
		t.Errorf("asked %v, a closed %v, b closed %v", asked, closedTo(t, w.a), closedTo(t, w.b))
	}
	mustSet(t, w.b, "after", "2")
	arrives(t, w.a, "after", "2")
	if err := planned(t.Context(), o); err == nil || !strings.Contains(err.Error(), "done before") {
		t.Errorf("once more: %v", err)
	}
	if err := abort(t.Context(), o); failure.Of(err).Code != failure.Refused {
		t.Errorf("going back: %v", err)
	}
}

var steps = []string{"check", "stop-writes", "catch-up", "verify", "stop-feed", "adopt", "reverse", "open"}

// A switch goes on wherever it was killed; clients can never write to both, and never lose anything. There and back again, by the same syncers.
func TestKilled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	carry(t, w.a, w.b)
	carry(t, w.b, w.a)
	from, to := w.a, w.b
	for i, killed := range steps {
		key := "k" + killed
		mustSet(t, from, key, "1")
		ctx, kill := context.WithCancel(t.Context())
		both := false
		err := planned(ctx, w.options(t, from, to, func(l switchover.Line) {
			if l.State == switchover.Done {
				both = both || !closedTo(t, from) && !closedTo(t, to)
			}
			if l.Step == killed && l.State == switchover.Done {
				kill()
			}
		}))
		kill()
		if err == nil && i < len(steps)-1 {
			t.Fatalf("%s: it wasn't killed", killed)
		}
		if err != nil {
			if err := planned(t.Context(), w.options(t, from, to, nil)); err != nil {
				t.Fatalf("%s: going on: %v", killed, err)
			}
		}
		if got := to.client.Get(t.Context(), key).Val(); got != "1" || both || !closedTo(t, from) || closedTo(t, to) {
			t.Fatalf("%s: %q, both open %v", killed, got, both)
		}
		mustSet(t, to, key, "2")
		arrives(t, from, key, "2")
		from, to = to, from
	}
}

// Whenever it is taken back, clients write to the first cluster as before, and what they write goes to the second.
func TestAborted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	carry(t, w.a, w.b)
	carry(t, w.b, w.a)
	for _, killed := range steps[1 : len(steps)-1] {
		mustSet(t, w.a, "k", killed)
		ctx, kill := context.WithCancel(t.Context())
		err := planned(ctx, w.options(t, w.a, w.b, func(l switchover.Line) {
			if l.Step == killed && l.State == switchover.Done {
				kill()
			}
		}))
		kill()
		if err == nil || !strings.Contains(failure.Of(err).Action, "--abort") {
			t.Fatalf("%s: %+v", killed, failure.Of(err))
		}
		if err := abort(t.Context(), w.options(t, w.a, w.b, nil)); err != nil {
			t.Fatalf("%s: %v", killed, err)
		}
		if closedTo(t, w.a) || !closedTo(t, w.b) {
			t.Fatalf("%s: it isn't as before", killed)
		}
		mustSet(t, w.a, "after", killed)
		arrives(t, w.b, "after", killed)
	}
	if err := planned(t.Context(), w.options(t, w.a, w.b, nil)); err != nil {
		t.Fatal(err)
	}
}

// A dry run changes neither the clusters nor the disk.
func TestDry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	carry(t, w.a, w.b)
	mustSet(t, w.a, "k", "1")
	arrives(t, w.b, "k", "1")
	var said []string
	o := w.options(t, w.a, w.b, func(l switchover.Line) {
		if l.State == switchover.Planned {
			said = append(said, l.Step)
		}
	})
	o.DryRun = true
	if err := planned(t.Context(), o); err != nil || !slices.Equal(said, steps[1:]) {
		t.Errorf("%v: %q", err, said)
	}
	if all, err := os.ReadDir(w.dir); err != nil || len(all) > 0 || closedTo(t, w.a) || !closedTo(t, w.b) {
		t.Errorf("it has changed something: %v, %v", all, err)
	}
}

func refusal(t *testing.T, err error, words string) {
	t.Helper()
	if f := failure.Of(err); err == nil || f.Code != failure.Refused || !strings.Contains(f.Message, words) {
		t.Errorf("want a refusal with %q, got %v", words, err)
	}
}

// What isn't safe isn't begun.
func TestRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.b.close(t, false)
	refusal(t, planned(t.Context(), w.options(t, w.a, w.b, nil)), "clients can write to namespace default of dc-b")
	w.b.close(t, true)
	refusal(t, planned(t.Context(), w.options(t, w.b, w.a, nil)), "clients can write to namespace default of dc-a")
	w.a.close(t, true)
	refusal(t, planned(t.Context(), w.options(t, w.b, w.a, nil)), "no syncer has ever brought")
	o := w.options(t, w.a, w.a, nil)
	if err := planned(t.Context(), o); failure.Of(err).Code != failure.Invalid {
		t.Errorf("to itself: %v", err)
	}
	w.a.close(t, false)
	mustSet(t, w.a, "k", "1") // nobody carries it
	o = w.options(t, w.a, w.b, nil)
	o.MaxLag = 1
	refusal(t, planned(t.Context(), o), "behind dc-a")
	if closedTo(t, w.a) {
		t.Error("it was begun")
	}
}

// Clusters that differ aren't switched, unless that is forced; going back is possible.
func TestDiffer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	carry(t, w.a, w.b)
	w.b.close(t, false)
	mustSet(t, w.b, "only", "here")
	w.b.close(t, true)
	err := planned(t.Context(), w.options(t, w.a, w.b, nil))
	refusal(t, err, "differs in 1 of 16384 hash slots")
	if !strings.Contains(failure.Of(err).Action, "--abort") {
		t.Errorf("%+v", failure.Of(err))
	}
	if err := abort(t.Context(), w.options(t, w.a, w.b, nil)); err != nil || closedTo(t, w.a) {
		t.Fatal(err)
	}
	o := w.options(t, w.a, w.b, nil)
	o.Force, o.NoReverse = true, true
	if err := planned(t.Context(), o); err != nil || closedTo(t, w.b) {
		t.Fatal(err)
	}
}

// Who opens the first cluster by hand in the middle is told to begin anew.
func TestOpenedMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	carry(t, w.a, w.b)
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	_ = planned(ctx, w.options(t, w.a, w.b, func(l switchover.Line) {
		if l.Step == "verify" && l.State == switchover.Done {
			kill()
		}
	}))
	w.a.close(t, false)
	mustSet(t, w.a, "k", "1")
	w.a.close(t, true)
	refusal(t, planned(t.Context(), w.options(t, w.a, w.b, nil)), "was opened to clients since")
}
