package switchover_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/zankv/zankv/cli/internal/failure"
	"github.com/zankv/zankv/cli/internal/peers/pairtest"
	"github.com/zankv/zankv/cli/internal/switchover"
)

// Under load nothing that was acknowledged is missing afterwards, the syncer for the way back is waited for, and carries what is written from then on.
func TestSwitchover(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pairtest.Carry(t, w.A, w.B)
	pairtest.MustSet(t, w.A, "before", "1")
	pairtest.Arrives(t, w.B, "before", "1")
	counts := make(chan int, 4)
	for i := range 4 {
		go load(t.Context(), w.A, fmt.Sprintf("load%d", i), counts)
	}
	asked := false
	o := w.options(t, w.A, w.B, func(l switchover.Line) {
		if l.Step == "reverse" && strings.Contains(l.Message, "zankv-cdc sync --source "+w.B.GRPC+" --target "+w.A.GRPC) && !asked {
			asked = true
			pairtest.Carry(t, w.B, w.A)
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
			want, err := w.A.Client.Get(t.Context(), key).Result()
			if err != nil {
				break
			}
			if got, err := w.B.Client.Get(t.Context(), key).Result(); err != nil || got != want {
				t.Fatalf("%s: %q, %v", key, got, err)
			}
		}
	}
	if !asked || !pairtest.ClosedTo(t, w.A) || pairtest.ClosedTo(t, w.B) {
		t.Errorf("asked %v, a closed %v, b closed %v", asked, pairtest.ClosedTo(t, w.A), pairtest.ClosedTo(t, w.B))
	}
	pairtest.MustSet(t, w.B, "after", "2")
	pairtest.Arrives(t, w.A, "after", "2")
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
	pairtest.Carry(t, w.A, w.B)
	pairtest.Carry(t, w.B, w.A)
	from, to := w.A, w.B
	for i, killed := range steps {
		key := "k" + killed
		pairtest.MustSet(t, from, key, "1")
		ctx, kill := context.WithCancel(t.Context())
		both := false
		err := planned(ctx, w.options(t, from, to, func(l switchover.Line) {
			if l.State == switchover.Done {
				both = both || !pairtest.ClosedTo(t, from) && !pairtest.ClosedTo(t, to)
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
		if got := to.Client.Get(t.Context(), key).Val(); got != "1" || both || !pairtest.ClosedTo(t, from) || pairtest.ClosedTo(t, to) {
			t.Fatalf("%s: %q, both open %v", killed, got, both)
		}
		pairtest.MustSet(t, to, key, "2")
		pairtest.Arrives(t, from, key, "2")
		from, to = to, from
	}
}

// Whenever it is taken back, clients write to the first cluster as before, and what they write goes to the second.
func TestAborted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pairtest.Carry(t, w.A, w.B)
	pairtest.Carry(t, w.B, w.A)
	for _, killed := range steps[1 : len(steps)-1] {
		pairtest.MustSet(t, w.A, "k", killed)
		ctx, kill := context.WithCancel(t.Context())
		err := planned(ctx, w.options(t, w.A, w.B, func(l switchover.Line) {
			if l.Step == killed && l.State == switchover.Done {
				kill()
			}
		}))
		kill()
		if err == nil || !strings.Contains(failure.Of(err).Action, "--abort") {
			t.Fatalf("%s: %+v", killed, failure.Of(err))
		}
		if err := abort(t.Context(), w.options(t, w.A, w.B, nil)); err != nil {
			t.Fatalf("%s: %v", killed, err)
		}
		if pairtest.ClosedTo(t, w.A) || !pairtest.ClosedTo(t, w.B) {
			t.Fatalf("%s: it isn't as before", killed)
		}
		pairtest.MustSet(t, w.A, "after", killed)
		pairtest.Arrives(t, w.B, "after", killed)
	}
	if err := planned(t.Context(), w.options(t, w.A, w.B, nil)); err != nil {
		t.Fatal(err)
	}
}

// A dry run changes neither the clusters nor the disk.
func TestDry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pairtest.Carry(t, w.A, w.B)
	pairtest.MustSet(t, w.A, "k", "1")
	pairtest.Arrives(t, w.B, "k", "1")
	var said []string
	o := w.options(t, w.A, w.B, func(l switchover.Line) {
		if l.State == switchover.Planned {
			said = append(said, l.Step)
		}
	})
	o.DryRun = true
	if err := planned(t.Context(), o); err != nil || !slices.Equal(said, steps[1:]) {
		t.Errorf("%v: %q", err, said)
	}
	if all, err := os.ReadDir(w.dir); err != nil || len(all) > 0 || pairtest.ClosedTo(t, w.A) || !pairtest.ClosedTo(t, w.B) {
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
	w.B.SetClosed(t, false)
	refusal(t, planned(t.Context(), w.options(t, w.A, w.B, nil)), "clients can write to namespace default of dc-b")
	w.B.SetClosed(t, true)
	refusal(t, planned(t.Context(), w.options(t, w.B, w.A, nil)), "clients can write to namespace default of dc-a")
	w.A.SetClosed(t, true)
	refusal(t, planned(t.Context(), w.options(t, w.B, w.A, nil)), "no syncer has ever brought")
	o := w.options(t, w.A, w.A, nil)
	if err := planned(t.Context(), o); failure.Of(err).Code != failure.Invalid {
		t.Errorf("to itself: %v", err)
	}
	w.A.SetClosed(t, false)
	pairtest.MustSet(t, w.A, "k", "1") // nobody carries it
	o = w.options(t, w.A, w.B, nil)
	o.MaxLag = 1
	refusal(t, planned(t.Context(), o), "behind dc-a")
	if pairtest.ClosedTo(t, w.A) {
		t.Error("it was begun")
	}
}

// Clusters that differ aren't switched, unless that is forced; going back is possible.
func TestDiffer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pairtest.Carry(t, w.A, w.B)
	w.B.SetClosed(t, false)
	pairtest.MustSet(t, w.B, "only", "here")
	w.B.SetClosed(t, true)
	err := planned(t.Context(), w.options(t, w.A, w.B, nil))
	refusal(t, err, "differs in 1 of 16384 hash slots")
	if !strings.Contains(failure.Of(err).Action, "--abort") {
		t.Errorf("%+v", failure.Of(err))
	}
	if err := abort(t.Context(), w.options(t, w.A, w.B, nil)); err != nil || pairtest.ClosedTo(t, w.A) {
		t.Fatal(err)
	}
	o := w.options(t, w.A, w.B, nil)
	o.Force, o.NoReverse = true, true
	if err := planned(t.Context(), o); err != nil || pairtest.ClosedTo(t, w.B) {
		t.Fatal(err)
	}
}

// Who opens the first cluster by hand in the middle is told to begin anew.
func TestOpenedMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pairtest.Carry(t, w.A, w.B)
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	_ = planned(ctx, w.options(t, w.A, w.B, func(l switchover.Line) {
		if l.Step == "verify" && l.State == switchover.Done {
			kill()
		}
	}))
	w.A.SetClosed(t, false)
	pairtest.MustSet(t, w.A, "k", "1")
	w.A.SetClosed(t, true)
	refusal(t, planned(t.Context(), w.options(t, w.A, w.B, nil)), "was opened to clients since")
}
