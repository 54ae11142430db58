package feeds

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
)

var rewrite = flag.Bool("rewrite", false, "write what is printed now into testdata")

var now = time.Unix(1795255200, 0)

// ago is a moment before now.
func ago(seconds int) int64 { return now.Add(-time.Duration(seconds) * time.Second).UnixNano() }

// orders is a changefeed of three partitions: one that is well, one that its broker holds back, one that nobody began.
func orders() *Status {
	s := &Status{Partitions: 3, State: changefeed.Warning}
	s.Spec = changefeed.Spec{
		ID: "orders", Namespace: "default", SinkURI: "kafka://127.0.0.1:9092/{cluster}.{namespace}?acks=all&x=<1>", From: "earliest", Format: changefeed.JSON,
		Heartbeat: changefeed.Duration(5 * time.Second), Digests: true, Filter: changefeed.Filter{Tables: []string{"orders", "users"}, Ops: []string{"set"}},
		BandwidthBytes: 10 << 20, Archive: "file:///backup/orders", Created: ago(86400), Generation: 3,
	}
	s.Owners = map[uint32]changefeed.Owner{0: {Process: "10.0.0.1:12382", Epoch: 4}, 1: {Process: "10.0.0.2:12382", Epoch: 2}, 2: {Process: "10.0.0.1:12382", Epoch: 1}}
	s.Progress = map[uint32]changefeed.Progress{
		0: {
			Position: event.Position{Term: 2, Index: 1041}, Chain: event.Chain{1, 2, 3}, Time: ago(1), State: changefeed.Normal, Owner: "10.0.0.1:12382", Epoch: 4,
			Updated: ago(2), Figures: changefeed.Figures{EventsPerSecond: 1201.4, BytesPerSecond: 420000, Events: 90000, Mutations: 91000, Messages: 91005, Bytes: 31 << 20, HeadroomBytes: -1},
		},
		1: {
			Position: event.Position{Term: 12, Index: 99}, Time: ago(240), State: changefeed.Warning, Owner: "10.0.0.2:12382", Epoch: 2, Updated: ago(3), Forced: true,
			Trouble: &changefeed.Trouble{Stage: changefeed.StageBroker, Code: changefeed.CodeBrokerDown, Reason: "127.0.0.1:9092: connection refused",
				Action: "start the broker, or mend the network to it", Since: ago(245)},
			Figures: changefeed.Figures{LagEntries: 1204, LagBytes: 300 << 10, LagSeconds: 240.2, ETASeconds: -1, Retries: 17, Buffered: 1 << 20, Events: 12, Messages: 12, Bytes: 4096},
		},
	}
	return s
}

// golden compares what is printed with what stands in testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is\n%s\nwant\n%s", name, got, want)
	}
}

func TestGolden(t *testing.T) {
	second := orders()
	second.Spec.ID, second.State, second.Spec.Paused, second.Partitions = "archive-all", changefeed.Paused, true, 1
	second.Spec.SinkURI, second.Spec.Filter = "file:///backup/all", changefeed.Filter{}
	second.Owners = nil
	delete(second.Progress, 1)
	synced := orders()
	synced.Spec.ID, synced.Spec.Runner, synced.Spec.SinkURI, synced.Owners = "sync-default-to-dc-b", changefeed.RunBySyncer, "zankv://10.1.0.1:12382", nil
	for name, print := range map[string]func(*bytes.Buffer) error{
		"query.txt":        func(b *bytes.Buffer) error { return Query(b, orders(), now) },
		"query-paused.txt": func(b *bytes.Buffer) error { return Query(b, second, now) },
		"query-syncer.txt": func(b *bytes.Buffer) error { return Query(b, synced, now) },
		"list.txt":         func(b *bytes.Buffer) error { return List(b, []Status{*second, *orders(), *synced}, now) },
		"checkpoint.txt":   func(b *bytes.Buffer) error { return Checkpoints(b, orders(), now) },
		"query.json":       func(b *bytes.Buffer) error { return JSON(b, ObjectOf(orders(), now)) },
		"statistics.txt":   func(b *bytes.Buffer) error { return Statistics(b, orders(), RatesOf(earlier(), orders(), now), now) },
		"list-empty.txt":   func(b *bytes.Buffer) error { return List(b, nil, now) },
	} {
		var b bytes.Buffer
		if err := print(&b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		golden(t, name, b.Bytes())
	}
}

// earlier is orders ten seconds before: partition 1 had another owner then.
func earlier() *Status {
	s := orders()
	p := s.Progress[0]
	p.Updated -= int64(10 * time.Second)
	p.Figures.Events, p.Figures.Mutations, p.Figures.Messages, p.Figures.Bytes = 80000, 80500, 80505, 28<<20
	s.Progress[0] = p
	p = s.Progress[1]
	p.Updated -= int64(10 * time.Second)
	p.Epoch, p.Figures.Bytes = 1, 1024
	s.Progress[1] = p
	return s
}

func TestRates(t *testing.T) {
	all := RatesOf(earlier(), orders(), now)
	if len(all) != 2 || all[0].Seconds != 10 || all[0].Events != 1000 || all[0].Mutations != 1050 || all[0].Messages != 1050 {
		t.Errorf("%+v", all)
	}
	// Under another owner counts begin anew: the worker's own rate stands.
	if all[1].Seconds != 0 || all[1].Events != 0 || all[1].Retries != 0 {
		t.Errorf("%+v", all[1])
	}
	// Nothing was saved meanwhile: so, too.
	if all = RatesOf(orders(), orders(), now); all[0].Seconds != 0 || all[0].Events != 1201.4 {
		t.Errorf("%+v", all[0])
	}
	// And not for long: a worker that carries events saves where it is.
	later := now.Add(time.Minute)
	if all = RatesOf(orders(), orders(), later); all[0].Events != 0 || all[0].Bytes != 0 {
		t.Errorf("%+v", all[0])
	}
	if standings := Standings(orders(), later); standings[0].Progress.Figures.EventsPerSecond != 0 {
		t.Errorf("%+v", standings[0])
	}
}

func TestTotals(t *testing.T) {
	total := Total(Standings(orders(), now))
	if total.Time != 0 || total.LagEntries != 1204 || total.LagSeconds != 240.2 || total.ETASeconds != -1 || total.Retries != 17 || total.Owned != 3 {
		t.Errorf("%+v", total)
	}
	s := orders()
	s.Partitions = 2
	delete(s.Owners, 2)
	if total = Total(Standings(s, now)); total.Time != ago(240) || total.Owned != 2 {
		t.Errorf("%+v", total)
	}
}

// Up to where all is in the sink isn't known as long as one partition has no checkpoint, whichever that is.
func TestTotalOfUnbegun(t *testing.T) {
	s := orders()
	s.Partitions = 2
	delete(s.Progress, 0)
	delete(s.Owners, 2)
	if total := Total(Standings(s, now)); total.Time != 0 {
		t.Errorf("%+v", total)
	}
}

func TestState(t *testing.T) {
	for want, states := range map[changefeed.State][]changefeed.State{
		changefeed.Failed:   {changefeed.Normal, changefeed.Warning, changefeed.Failed, changefeed.Finished},
		changefeed.Warning:  {changefeed.Normal, changefeed.Warning, changefeed.Finished},
		changefeed.Normal:   {changefeed.Normal, changefeed.Finished},
		changefeed.Finished: {changefeed.Finished, changefeed.Finished},
	} {
		var all []Standing
		for _, state := range states {
			all = append(all, Standing{State: state})
		}
		s := orders()
		if got := State(s, all); got != want {
			t.Errorf("%v: %s", states, got)
		}
		s.Spec.Paused = true
		if got := State(s, all); got != want && got != changefeed.Paused || want == changefeed.Normal && got != changefeed.Paused {
			t.Errorf("%v, paused: %s", states, got)
		}
	}
	gone := orders()
	if gone.Partitions = 0; State(gone, nil) != gone.State {
		t.Error("of a namespace that is gone")
	}
}

// What weighs most is a failure, and then what has lasted longest.
func TestWorst(t *testing.T) {
	trouble := func(code changefeed.Code, since int64) *changefeed.Trouble {
		return &changefeed.Trouble{Code: code, Since: since}
	}
	all := []Standing{{}, {State: changefeed.Warning, Trouble: trouble("a", 3)}, {State: changefeed.Warning, Trouble: trouble("b", 2)}}
	if got := worst(all); got.Code != "b" {
		t.Errorf("%+v", got)
	}
	if got := worst(append(all, Standing{State: changefeed.Failed, Trouble: trouble("c", 9)})); got.Code != "c" {
		t.Errorf("%+v", got)
	}
	if worst(all[:1]) != nil {
		t.Error("trouble out of nothing")
	}
}

// The JSON can be read back, and holds the state where scripts look for it.
func TestJSONIsStable(t *testing.T) {
	var b bytes.Buffer
	if err := JSONLine(&b, ObjectOf(orders(), now)); err != nil {
		t.Fatal(err)
	}
	var o struct {
		State      string
		Partitions []struct {
			State    string
			Trouble  struct{ Code string }
			Position string
		}
	}
	if err := json.Unmarshal(b.Bytes(), &o); err != nil || bytes.Count(b.Bytes(), []byte("\n")) != 1 {
		t.Fatal(err, b.String())
	}
	if o.State != "warning" || len(o.Partitions) != 3 || o.Partitions[1].Trouble.Code != "broker-down" || o.Partitions[0].Position != "2-1041" {
		t.Errorf("%+v", o)
	}
}
