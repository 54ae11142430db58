package verify

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/archive/streamtest"
	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/kafka"
)

// startBroker runs a real broker until the test ends.
func startBroker(t *testing.T) (address string) {
	t.Helper()
	dir := t.TempDir()
	ports := make([]string, 3)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports[i] = strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	}
	out, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("../../deployments/kafka/broker.sh", "--dir", filepath.Join(dir, "data"), "--lifetime", "short", "--port", ports[0],
		"--internal-port", ports[1], "--controller-port", ports[2])
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait() // it was killed: that it says so is no news
		if text, _ := os.ReadFile(out.Name()); t.Failed() {
			t.Logf("the broker said:\n%s", text)
		}
	})
	return "127.0.0.1:" + ports[0]
}

// openKafka takes a partition of a topic over, as soon as the broker serves.
func openKafka(ctx context.Context, t *testing.T, uri string, epoch uint64, rewind bool) changefeed.Writer {
	t.Helper()
	cfg, err := kafka.ParseURI(uri)
	if err != nil {
		t.Fatal(err)
	}
	sink, err := kafka.New(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sink.Close() })
	spec := &changefeed.Spec{ID: "a", Namespace: "default", SinkURI: uri, Format: changefeed.JSON}
	target := changefeed.Target{Spec: spec, Cluster: "dc-a", Partition: 3, Partitions: 4, Epoch: epoch, Rewind: rewind, Budget: changefeed.NewBudget(64 << 20), Meter: new(changefeed.Meter)}
	for {
		w, err := sink.Open(ctx, target)
		if err == nil {
			return w
		}
		if problem, ok := errors.AsType[*changefeed.Error](err); !ok || problem.Final || ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}

// publish gives a writer events and heartbeats, and waits for all of them to be durable.
func publish(ctx context.Context, t *testing.T, w changefeed.Writer, units []streamtest.Unit, names event.Names) {
	t.Helper()
	defer w.Close()
	for i := range units {
		u, err := &units[i], error(nil)
		if u.Event != nil {
			err = w.Event(ctx, &u.Stamp, u.Event, names)
		} else {
			err = w.Heartbeat(ctx, u.Reached.Position, &u.Stamp, u.Reached.Time)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	for last := units[len(units)-1].Reached.Position; w.Durable().Position.Compare(last) < 0; {
		if err := errors.Join(ctx.Err(), w.Err()); err != nil {
			t.Fatal(err)
		}
		runtime.Gosched()
	}
}

// TestTopics checks what the real sink wrote into a real broker, values in parts among it, and finds the event that it wasn't given.
func TestTopics(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	broker := startBroker(t)
	s := streamtest.New(41).Fill(60, false)
	large := []byte(strings.Repeat("0123456789abcdef", 1<<17))
	s.Add(&event.Event{Mutations: []event.Mutation{{Op: event.OpSet, Type: event.TypeString, Key: []byte("large"), Value: large}}})
	s.Fill(10, false).Event()

	whole := "kafka://" + broker + "/{cluster}.{namespace}"
	publish(ctx, t, openKafka(ctx, t, whole, 1, false), s.Units, s.Names)
	o := fromTheBeginning(s.Last().Position)
	o.Cluster, o.Namespace = "dc-a", "default"
	r := run1(t, whole, o)
	if !r.OK() || len(r.Partitions) != 1 || r.Partitions[0].Chain != s.Last().Chain {
		t.Fatalf("%+v: %v", r, firstProblem(r))
	}
	missing := 30
	for s.Units[missing].Event == nil {
		missing++
	}
	holed := "kafka://" + broker + "/holed"
	publish(ctx, t, openKafka(ctx, t, holed, 1, false), s.Units[:missing], s.Names)
	publish(ctx, t, openKafka(ctx, t, holed, 2, true), s.Units[missing+1:], s.Names) // as one who sets the checkpoint too far
	r = run1(t, holed, o)
	if p := firstProblem(r); r.Verdict != Violated || p.Promise != event.Reliable || !strings.Contains(p.What, "gap") || !strings.Contains(p.Where, "offset") {
		t.Fatalf("%s: %v", r.Verdict, p)
	}
	if r, err := Run(ctx, "kafka://"+broker+"/nothing", Options{}); err == nil {
		t.Fatalf("a topic that isn't there: %+v", r)
	}
}
