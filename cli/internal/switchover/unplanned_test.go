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
	from := peers.Dial([]string{w.a.grpc})
	t.Cleanup(func() { from.Close() })
	return switchover.Options{From: from, To: w.b.peer, File: filepath.Join(w.dir, "failover.json"), Say: func(l switchover.Line) {
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
	carry(t, w.a, w.b)
	mustSet(t, w.a, "k", "1")
	arrives(t, w.b, "k", "1")
	_, err := unplanned(t.Context(), w.failover(t, nil))
	refusal(t, err, "cluster dc-a answers")
	ctx, stop := context.WithCancel(t.Context())
	counts := make(chan int, 1)
	go load(ctx, w.a, "load", counts)
	o := w.failover(t, nil)
	o.From = peers.Dial([]string{"127.0.0.1:1"})
	_, err = unplanned(t.Context(), o)
	stop()
	<-counts
	refusal(t, err, "dc-a still sends")
	if !closedTo(t, w.b) {
		t.Error("it was opened")
	}
	o.FromID = "dc-c"
	if _, err := unplanned(t.Context(), o); failure.Of(err).Code != failure.NotFound {
		t.Errorf("of a cluster that nobody knows: %v", err)
	}
	o = w.failover(t, nil)
	o.To, o.From = w.a.peer, nil
	if _, err := unplanned(t.Context(), o); failure.Of(err).Code != failure.NotFound {
		t.Errorf("to a cluster that never got anything: %v", err)
	}
}

// What came is there, what is known of the dead cluster is written down before anybody can write, and a run that was killed is gone on with.
func TestFailover(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := carry(t, w.a, w.b)
	mustSet(t, w.a, "k", "1")
	arrives(t, w.b, "k", "1")
	stop()
	mustSet(t, w.a, "lost", "1") // nobody carries it any more
	ends, err := w.a.peer.Places(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	w.a.stop()

	dry := w.failover(t, nil)
	dry.DryRun = true
	if _, err := unplanned(t.Context(), dry); err != nil || !closedTo(t, w.b) {
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
	if err == nil || !closedTo(t, w.b) {
		t.Fatalf("killed: %v", err)
	}
	if _, err := unplanned(t.Context(), w.failover(t, nil)); err != nil || closedTo(t, w.b) {
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
		if len(h.Places) != 3 {
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
	mustSet(t, w.b, "after", "1")
}
