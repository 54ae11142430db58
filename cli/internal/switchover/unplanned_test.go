package switchover_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cli/internal/failure"
	"github.com/zankv/zankv/cli/internal/peers"
	"github.com/zankv/zankv/cli/internal/peers/pairtest"
	"github.com/zankv/zankv/cli/internal/switchover"
)

func unplanned(ctx context.Context, o switchover.Options) (done bool, err error) {
	r, done, err := switchover.Unplanned(ctx, o)
	if err != nil {
		return false, err
	}
	defer r.Close()
	if done {
		return true, nil
	}
	return false, r.Do(ctx)
}

// failover is one from the first cluster to the second.
func (w *world) failover(t *testing.T, say func(switchover.Line)) switchover.Options {
	from := peers.Dial([]string{w.A.GRPC})
	t.Cleanup(func() { from.Close() })
	return switchover.Options{From: from, To: w.B.Peer, File: filepath.Join(w.dir, "failover.json"), Say: func(l switchover.Line) {
		t.Logf("%s %s %s (%d ms)", l.Step, l.State, l.Message, l.TookMS)
		if say != nil {
			say(l)
		}
	}}
}

// A cluster that lives isn't failed over from: neither when its nodes answer, nor when changes of it come in.
func TestNotDead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pairtest.Carry(t, w.A, w.B)
	pairtest.MustSet(t, w.A, "k", "1")
	pairtest.Arrives(t, w.B, "k", "1")
	_, err := unplanned(t.Context(), w.failover(t, nil))
	refusal(t, err, "cluster dc-a answers")
	ctx, stop := context.WithCancel(t.Context())
	counts := make(chan int, 1)
	go load(ctx, w.A, "load", counts)
	o := w.failover(t, nil)
	o.From = peers.Dial([]string{"127.0.0.1:1"})
	_, err = unplanned(t.Context(), o)
	stop()
	<-counts
	refusal(t, err, "dc-a still sends")
	if !pairtest.ClosedTo(t, w.B) {
		t.Error("it was opened")
	}
	o.FromID = "dc-c"
	if _, err := unplanned(t.Context(), o); failure.Of(err).Code != failure.NotFound {
		t.Errorf("of a cluster that nobody knows: %v", err)
	}
	o = w.failover(t, nil)
	o.To, o.From = w.A.Peer, nil
	if _, err := unplanned(t.Context(), o); failure.Of(err).Code != failure.NotFound {
		t.Errorf("to a cluster that never got anything: %v", err)
	}
}

// What came is there, what is known of the dead cluster is written down before anybody can write, and a run that was killed is gone on with.
func TestFailover(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := pairtest.Carry(t, w.A, w.B)
	pairtest.MustSet(t, w.A, "k", "1")
	pairtest.Arrives(t, w.B, "k", "1")
	stop()
	pairtest.MustSet(t, w.A, "lost", "1") // nobody carries it any more
	ends, err := w.A.Peer.Places(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	w.A.Stop()

	dry := w.failover(t, nil)
	dry.DryRun = true
	if _, err := unplanned(t.Context(), dry); err != nil || !pairtest.ClosedTo(t, w.B) {
		t.Fatalf("dry: %v", err)
	}
	if all, err := os.ReadDir(w.dir); err != nil || len(all) > 0 {
		t.Fatalf("a dry run left %v, %v", all, err)
	}

	ctx, kill := context.WithCancel(t.Context())
	_, err = unplanned(ctx, w.failover(t, func(l switchover.Line) {
		if l.Step == "record" && l.State == switchover.Done {
			kill()
		}
	}))
	kill()
	if err == nil || !pairtest.ClosedTo(t, w.B) {
		t.Fatalf("killed: %v", err)
	}
	if _, err := unplanned(t.Context(), w.failover(t, nil)); err != nil || pairtest.ClosedTo(t, w.B) {
		t.Fatalf("going on: %v", err)
	}
	b, err := os.ReadFile(filepath.Join(w.dir, "failover.report.json"))
	if err != nil {
		t.Fatal(err)
	}
	var report switchover.Report
	if err := json.Unmarshal(b, &report); err != nil || report.From != "dc-a" || len(report.Have) != 2 || len(report.Own) != 3 || len(report.Opened["default"]) != 3 {
		t.Fatalf("%v: %s", err, b)
	}
	short := 0
	for _, h := range report.Have {
		if len(h.Places) != 2 || h.Places[0].Partition != h.Partition || h.Places[1].Partition != h.Partition+1 { // of 3 partitions, those that share slots with one of 2
			t.Errorf("%+v", h)
		}
		at, err := event.ParsePosition(h.From)
		if err != nil {
			t.Fatal(err)
		}
		if at.Index < ends[h.Partition].LastEvent.GetIndex() {
			short++
		}
	}
	if short != 1 {
		t.Errorf("one of the partitions has lost something: %s; they ended at %v", b, ends)
	}
	if text, err := os.ReadFile(filepath.Join(w.dir, "failover.report.txt")); err != nil || !strings.Contains(string(text), "zankv-cdc tail --nodes NODE-OF-dc-a:12382 --namespace default --partition 1") {
		t.Errorf("%v: %s", err, text)
	}
	if done, err := unplanned(t.Context(), w.failover(t, nil)); err != nil || !done {
		t.Errorf("once more: %v, %v", done, err)
	}
	pairtest.MustSet(t, w.B, "after", "1")
}
