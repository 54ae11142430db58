package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestChoose(t *testing.T) {
	all := []Section{{Name: "a"}, {Name: "b", Needs: []string{"a"}}, {Name: "c", Needs: []string{"b"}}, {Name: "d"}}
	for _, c := range []struct{ only, want string }{
		{"", "a b c d"}, {"a", "a"}, {"b", "a b"}, {"c", "a b c"}, {"d c", "a b c d"}, {"d b", "a b d"},
	} {
		got, err := choose(all, strings.Fields(c.only))
		if err != nil || strings.Join(sectionNames(got), " ") != c.want {
			t.Errorf("choose %q: %v, %v; want %s", c.only, sectionNames(got), err, c.want)
		}
	}
	if _, err := choose(all, []string{"e"}); err == nil || !strings.Contains(err.Error(), `no section "e": there are a, b, c, d`) {
		t.Errorf("unknown section: %v", err)
	}
}

// Every row's samples are taken by a measurement of its section or of one that it needs; else the table would have holes.
func TestRowsHaveSamples(t *testing.T) {
	all := allSections(&Options{Keys: 1, Each: time.Second})
	for _, s := range all {
		chosen, err := choose(all, []string{s.Name})
		if err != nil {
			t.Fatal(err)
		}
		var taken []string
		for _, c := range chosen {
			for _, m := range c.Measurements {
				taken = append(taken, m.Name)
			}
		}
		taken = append(taken, diskName) // which is always run
		for _, r := range s.Rows {
			for _, name := range []string{r.Of, r.Over} {
				if name != "" && !slices.ContainsFunc(taken, func(m string) bool { return strings.HasPrefix(name, m+".") }) {
					t.Errorf("section %s, row %q: nobody takes %s", s.Name, r.What, name)
				}
			}
		}
	}
}

// What is compared is measured next to each other.
func TestInTurn(t *testing.T) {
	m := func(name string, turn int) Measurement { return Measurement{Name: name, Turn: turn} }
	var got []string
	for _, x := range inTurn([]Section{
		{Measurements: []Measurement{m("a1", 1), m("a2", 2), m("a9", 9)}}, {},
		{Measurements: []Measurement{m("b0", -1), m("b2", 2)}}, {Measurements: []Measurement{m("c2", 2), m("c1", 1)}},
	}) {
		got = append(got, x.Name)
	}
	if want := "b0 a1 c1 a2 b2 c2 a9"; strings.Join(got, " ") != want {
		t.Errorf("%v, want %s", got, want)
	}
	// The same load on all systems, and etcd's beside it.
	turns := map[string]int{}
	for _, s := range allSections(&Options{}) {
		for _, m := range s.Measurements {
			turns[m.Name] = m.Turn
		}
	}
	for _, name := range []string{"zankv3.set.c50.p1", "zankv3fwd.set.c50.p1", "zankv1.set.c50.p1", "etcd.put.c50"} {
		if turns[name] != turns["redis.set.c50.p1"] {
			t.Errorf("%s has turn %d, redis's is %d", name, turns[name], turns["redis.set.c50.p1"])
		}
	}
}

// Ratios are taken round by round, so that a machine that slows down for one round doesn't bend them.
func TestTable(t *testing.T) {
	taken := Results{"x.rps": {100, 10, 120}, "y.rps": {200, 20, 200}, "m.mib": {401, 390, 395}}
	rep, err := newReport([]string{"a machine"}, []Section{{Name: "s", Rows: []Row{
		{What: "x, /s", Of: "x.rps"},
		{What: "x to y", Of: "x.rps", Over: "y.rps", AtLeast: 0.5},
		{What: "more", Of: "x.rps", Over: "y.rps", AtLeast: 0.6, Stretch: 0.7},
		{What: "memory", Of: "m.mib", AtMost: 400},
		{What: "less", Of: "m.mib", AtMost: 390},
	}}}, taken)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := rep.WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	want := `
a machine
          ours  theirs       ratio  (min – max)    target
s
  x, /s   100                       (10.0 – 120)
  x to y  100   200 (y.rps)  0.50   (0.50 – 0.60)  ≥ 0.50         ok
  more    100   200 (y.rps)  0.50   (0.50 – 0.60)  ≥ 0.60 (0.70)  miss
  memory  395                       (390 – 401)    ≤ 400          ok
  less    395                       (390 – 401)    ≤ 390          miss
`
	var got strings.Builder
	for line := range strings.Lines(b.String()) {
		got.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	if got.String() != want[1:] {
		t.Errorf("got\n%swant\n%s", got.String(), want[1:])
	}
	if rep.Misses() != 2 {
		t.Errorf("%d misses, want 2", rep.Misses())
	}
	for _, row := range []Row{{Of: "no"}, {Of: "x.rps", Over: "no"}} {
		if _, err := newReport(nil, []Section{{Name: "s", Rows: []Row{row}}}, taken); err == nil {
			t.Errorf("row %+v has a figure that nobody took", row)
		}
	}
}

func TestParseBenchmark(t *testing.T) {
	const heading = `"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"` + "\n"
	r, err := parseBenchmark("WARNING: Could not fetch server CONFIG\n" + heading + `"SET key:__rand_int__ x","1000.50","1","2","0.125","3","4","5"` + "\n")
	if err != nil || r.rps != 1000.5 || r.p50 != 125 {
		t.Errorf("%+v, %v", r, err)
	}
	for _, out := range []string{"", heading, heading + `"SET","0","0","0","0","0","0","0"`, "Error from server: no"} {
		if _, err := parseBenchmark(out); err == nil {
			t.Errorf("figures found in %q", out)
		}
	}
}

func TestCombine(t *testing.T) {
	rps, p50 := combine([]result{{requests: 300, rps: 100, p50: 30}, {requests: 100, rps: 100, p50: 10}})
	if rps != 400.0/3 || p50 != 20 {
		t.Errorf("rps %v, p50 %v; want 400 requests in the 3 s of the slower, and 20", rps, p50)
	}
	sum := 0
	for i := range 4 {
		sum += share(50, i, 4)
	}
	if sum != 50 {
		t.Errorf("shares of 50 add up to %d", sum)
	}
}

// The specification's check value, and tags in every partition.
func TestTags(t *testing.T) {
	if got := crc16("123456789"); got != 0x31c3 {
		t.Errorf("crc16 = %04x, want 31c3", got)
	}
	for _, partitions := range []int{1, 4, 7, 100} {
		for p := range partitions {
			tag, slot := tagOf(p, partitions)
			if slot != int(crc16(tag))%clusterSlots || slot*partitions/clusterSlots != p {
				t.Errorf("partition %d of %d: tag %s, slot %d", p, partitions, tag, slot)
			}
		}
	}
}

func TestProcess(t *testing.T) {
	ctx := t.Context()
	p, err := startProcess(ctx, "sh", "go", time.Minute, "sh", "-c", "echo let us go; exec sleep 600")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.alive(); err != nil {
		t.Error(err)
	}
	p.stop()
	if err := p.alive(); err == nil {
		t.Error("alive after stop")
	}
	_, err = startProcess(ctx, "sh", "go", time.Minute, "sh", "-c", "echo no way >&2; exit 3")
	if err == nil || !strings.Contains(err.Error(), "no way") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("a process that ends: %v", err)
	}
	if _, err = startProcess(ctx, "sh", "go", 20*time.Millisecond, "sleep", "600"); err == nil || !strings.Contains(err.Error(), "isn't ready") {
		t.Errorf("a process that is never ready: %v", err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err = startProcess(ended, "sh", "go", time.Minute, "sleep", "600"); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled start: %v", err)
	}
	if _, err = startProcess(ctx, "nothing", "", 0, "/nonexistent"); err == nil {
		t.Error("a program that isn't there was started")
	}
}

// A whole run against the real redis-server: figures in every cell, nothing left behind.
func TestRunRedis(t *testing.T) {
	dir := t.TempDir()
	var progress bytes.Buffer
	rep, err := Run(t.Context(), Options{
		RedisServer: "redis-server", RedisBenchmark: "redis-benchmark", Dir: dir, Only: []string{"disk", "redis"},
		Rounds: 2, Each: 20 * time.Millisecond, Keys: 1000, Progress: &progress,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range rep.Lines {
		if l.Value <= 0 || len(rep.Samples[l.Of]) != 2 {
			t.Errorf("%s: %v out of %v", l.What, l.Value, rep.Samples[l.Of])
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// What is missing is said before anything is started.
func TestMissingBinary(t *testing.T) {
	var progress bytes.Buffer
	_, err := Run(t.Context(), Options{
		Zankv: "/nonexistent/zankv", RedisServer: "redis-server", RedisBenchmark: "redis-benchmark", Dir: t.TempDir(),
		Only: []string{"zankv3"}, Rounds: 1, Progress: &progress,
	})
	if err == nil || !strings.Contains(err.Error(), "make build") || progress.Len() != 0 {
		t.Errorf("%v, after %q", err, progress.String())
	}
}

// The way straight to the leaders, at a real Redis Cluster of one node: every request is answered by it and hits all
// partitions; a slot that moves away is an error.
func TestLeaderRoute(t *testing.T) {
	ctx := t.Context()
	port, err := freePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p, err := startProcess(ctx, "redis-server", "Ready to accept", time.Minute, "redis-server", "--port", strconv.Itoa(port),
		"--bind", "127.0.0.1", "--dir", dir, "--save", "", "--cluster-enabled", "yes", "--cluster-config-file", filepath.Join(dir, "nodes"),
		"--cluster-port", strconv.Itoa(port+1))
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	c := redis.NewClient(&redis.Options{Addr: fmt.Sprintf("127.0.0.1:%d", port)})
	defer func() { _ = c.Close() }()
	if err := c.ClusterAddSlotsRange(ctx, 0, clusterSlots-1).Err(); err != nil {
		t.Fatal(err)
	}
	for !strings.Contains(c.ClusterInfo(ctx).Val(), "cluster_state:ok") {
		if ctx.Err() != nil {
			t.Fatal("the cluster never gets ready")
		}
	}
	var progress bytes.Buffer
	r := &redisRoute{o: &Options{RedisBenchmark: "redis-benchmark", Keys: 4000, Progress: &progress}, name: "x",
		targets: leaderTargets(func() int { return port }, 4), alive: p.alive, rate: map[load]float64{}}
	if err := r.fill(ctx); err != nil {
		t.Fatal(err)
	}
	for partition := range 4 {
		_, slot := tagOf(partition, 4)
		if n := c.ClusterCountKeysInSlot(ctx, slot).Val(); n != 1000 {
			t.Errorf("partition %d has %d keys, want 1000", partition, n)
		}
	}
	if rps, _, err := r.run(ctx, load{"GET", 1, 1}, 100); err != nil || rps <= 0 {
		t.Errorf("one client: %v requests a second, %v", rps, err)
	}
	if err := c.ClusterDelSlotsRange(ctx, 0, 100).Err(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.run(ctx, load{"GET", 50, 1}, 100); err == nil {
		t.Error("a cluster with a slot that nobody leads was measured")
	}
}
