package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
)

// syncProcess is a `zankv-cdc sync` of its own.
type syncProcess struct {
	t    *testing.T
	cmd  *exec.Cmd
	http string
	logs chan struct{}
	text strings.Builder // of its log; read it after the end
}

func startSync(t *testing.T, a, b *nodeCluster, name string, more ...string) *syncProcess {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := append([]string{"sync", "--source", a.grpc, "--target", b.grpc, "--name", name, "--http", "127.0.0.1:0"}, more...)
	p := &syncProcess{t: t, cmd: exec.Command(exe, args...), logs: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), "ZANKV_CDC_PROCESS=1")
	out, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	started := make(chan string, 1)
	go p.read(out, started)
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.logs
		_ = p.cmd.Wait()
		if t.Failed() {
			t.Logf("%s said\n%s", name, p.text.String())
		}
	})
	select {
	case p.http = <-started:
	case <-p.logs:
		t.Fatalf("%s ended at once: %s", name, p.text.String())
	case <-time.After(limit):
		t.Fatalf("%s didn't start", name)
	}
	return p
}

// read follows the log up to its end, and finds out where it serves HTTP.
func (p *syncProcess) read(out io.Reader, started chan<- string) {
	defer close(p.logs)
	lines, http := bufio.NewScanner(out), ""
	for lines.Scan() {
		line := lines.Text()
		p.text.WriteString(line + "\n")
		if _, addr, ok := strings.Cut(line, "serves HTTP\" option=http addr="); ok {
			http = addr
		}
		if strings.Contains(line, "syncer started") {
			started <- http
		}
	}
}

// end tells it to, and waits: it has to end in order, soon.
func (p *syncProcess) end() {
	p.t.Helper()
	began := time.Now()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	<-p.logs
	if err := p.cmd.Wait(); err != nil {
		p.t.Fatalf("it ended with %v", err)
	}
	if took := time.Since(began); took > 15*time.Second {
		p.t.Errorf("it took %s to end", took)
	}
}

func ownedBy(name string, partitions int) func(map[uint32]changefeed.Owner) bool {
	return func(owners map[uint32]changefeed.Owner) bool {
		n := 0
		for _, o := range owners {
			if o.Process == name {
				n++
			}
		}
		return n == partitions
	}
}

// A cluster's changes come to another one that is cut otherwise. A pause holds them back. Figures say how it goes.
func TestSync(t *testing.T) {
	a, b := newNodeCluster(t, "dc-a", 2), newNodeCluster(t, "dc-b", 3)
	t.Setenv("ZANKV_NODES", a.grpc)
	adopt(t, a, b)
	a.write(0, 200)
	p := startSync(t, a, b, "one")
	const id = "sync-default-to-dc-b"
	b.same(200)
	a.write(200, 400)
	b.same(400)
	must(t, "changefeed pause -c "+id)
	a.owners(id, "let go of", func(o map[uint32]changefeed.Owner) bool { return len(o) == 0 })
	a.write(400, 500)
	if out := must(t, "changefeed query -c "+id); !strings.Contains(out, "paused") || !strings.Contains(out, "run by      zankv-cdc sync") {
		t.Errorf("query:\n%s", out)
	}
	if n := b.Exists(t.Context(), "t:450").Val(); n != 0 {
		t.Error("what is paused is carried")
	}
	must(t, "changefeed resume -c "+id)
	b.same(500)
	if out := must(t, "changefeed list"); !strings.Contains(out, id) || !strings.Contains(out, "2 of 2") {
		t.Errorf("list:\n%s", out)
	}
	until(t, "in step by its own figures", func() bool {
		var stats struct {
			Synced []struct {
				Name    string
				Index   uint64
				Seconds float64 `json:"lag_seconds"`
				Entries uint64  `json:"lag_entries"`
				Targets []struct{ Partition uint32 }
			} `json:"log_synced"`
		}
		p.ask("/logsync/stats", &stats)
		s := stats.Synced
		return len(s) == 2 && s[0].Name == "default-0" && s[0].Index > 0 && s[0].Seconds < 1 && len(s[1].Targets) == 2
	})
	var running []struct{ Name, Changefeed string }
	if p.ask("/syncer/runnings", &running); len(running) != 2 || running[1].Name != "default-1" || running[1].Changefeed != id {
		t.Errorf("running: %+v", running)
	}
	a.namespace("later", 2)
	b.namespace("later", 2)
	a.owners("sync-later-to-dc-b", "taken", ownedBy("one", 2))
	p.end()
	a.owners(id, "let go of", func(o map[uint32]changefeed.Owner) bool { return len(o) == 0 })
}

func (p *syncProcess) ask(path string, into any) {
	p.t.Helper()
	resp, err := http.Get("http://" + p.http + path)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		p.t.Fatal(err)
	}
}

// Of two processes one stands in for the other, whether that ends, is killed or stands still; nothing is carried twice.
func TestSyncStandby(t *testing.T) {
	a, b := newNodeCluster(t, "dc-a", 2), newNodeCluster(t, "dc-b", 2)
	const id = "sync-default-to-dc-b"
	adopt(t, a, b)
	one := startSync(t, a, b, "one")
	a.owners(id, "the first's", ownedBy("one", 2))
	two := startSync(t, a, b, "two")
	n := 0
	write := func() {
		t.Helper()
		a.write(n, n+100)
		n += 100
	}
	takeover := func(to string, within time.Duration, how func()) {
		t.Helper()
		write()
		began := time.Now()
		how()
		write()
		a.owners(id, "taken over by "+to, ownedBy(to, 2))
		took := time.Since(began)
		if t.Logf("%s took over in %s", to, took); took > within {
			t.Errorf("that was too long")
		}
		b.same(n)
	}
	takeover("two", 15*time.Second, func() {
		if err := one.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	})
	if err := one.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	write()
	b.same(n)
	takeover("one", 10*time.Second, func() {
		if err := two.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
	})
	three := startSync(t, a, b, "three")
	takeover("three", 10*time.Second, one.end)
	three.end()
}

// What a process is told has to fit what is there.
func TestSyncRefuses(t *testing.T) {
	a, b := newNodeCluster(t, "dc-a", 1), newNodeCluster(t, "dc-b", 1)
	startSync(t, a, b, "one").end()
	ends := "sync --source " + a.grpc + " --target " + b.grpc
	for _, c := range []struct {
		words  string
		code   int
		stderr string
	}{
		{ends + ",127.0.0.1:1", 6, "add --redefine"},
		{ends + " --bandwidth 1MiB", 6, "its bandwidth is 0 bytes a second, not 1048576"},
		{ends + " --namespace none", 4, "zankv namespace create"},
		{"sync --source " + a.grpc + " --target " + a.grpc, 2, "source and target are one cluster, dc-a"},
	} {
		if err := command(t, c.words).check(c.code, "", c.stderr); err != nil {
			t.Errorf("%s: %v", c.words, err)
		}
	}
}

// A process ends in order and soon, and says what is the matter before that, though its target, or its source, is away.
func TestSyncEndsAlone(t *testing.T) {
	for _, gone := range []string{"target", "source"} {
		a, b := newNodeCluster(t, "dc-a", 2), newNodeCluster(t, "dc-b", 2)
		adopt(t, a, b)
		p := startSync(t, a, b, "one")
		a.owners("sync-default-to-dc-b", "taken", ownedBy("one", 2))
		if gone == "source" {
			a.end()
			p.end()
			continue
		}
		b.end()
		a.write(0, 50)
		until(t, "told", func() bool {
			out := must(t, "changefeed query -c sync-default-to-dc-b --nodes "+a.grpc)
			return strings.Contains(out, "target-unreachable")
		})
		p.end()
	}
}

// The data nodes do it by themselves, for a changefeed that names another cluster; one that names its own is told so, and stops.
func TestSyncByNodes(t *testing.T) {
	a, b := newNodeCluster(t, "dc-a", 2), newNodeCluster(t, "dc-b", 3)
	t.Setenv("ZANKV_NODES", a.grpc)
	adopt(t, a, b)
	must(t, "changefeed create -c to-b --sink-uri zankv://"+b.grpc+"?compression=none")
	a.write(0, 100)
	b.same(100)
	must(t, "changefeed create -c to-a --sink-uri zankv://"+a.grpc)
	until(t, "told that it is its own target", func() bool {
		out := must(t, "changefeed query -c to-a")
		return strings.Contains(out, "state       failed") && strings.Contains(out, "it is the source itself, dc-a")
	})
	if err := command(t, "changefeed create --table users --sink-uri zankv://"+b.grpc).check(2, "", "has a filter"); err != nil {
		t.Error(err)
	}
	if out := must(t, "changefeed list"); !strings.Contains(out, "nodes   zankv://"+b.grpc) {
		t.Errorf("list:\n%s", out)
	}
}
