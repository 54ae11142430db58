package bench

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// syncBudget is what a syncer may hold of changes on their way, in MiB, and syncBeyond what it may take besides.
const (
	syncBudget = 128
	syncBeyond = 64
)

// syncSection measures a syncer between two clusters of one node each, which share the machine with it and the load generator.
func syncSection(o *Options) Section {
	s := &syncing{o: o, from: newZankvLocal(o, "synca", 1, 1), to: newZankvLocal(o, "syncb", 1, 1), off: newZankvLocal(o, "syncoff", 1, 1)}
	return Section{
		Name: "sync", About: "a syncer between two clusters, 1 node and 1 replica each", Systems: []System{s.from, s.to, s.off, s}, Prepare: s.prepare,
		Measurements: []Measurement{
			{Name: "sync.replay", Turn: turnSync, Run: s.replay},
			{Name: "sync.delay", Turn: turnSync, Run: s.delay},
			{Name: "sync.cost", Turn: turnSync, Run: s.cost},
			{Name: "sync.full", Turn: turnSync, Run: s.full},
		},
		Rows: []Row{
			{What: "replayed / written, SET, 50 clients, pipeline 16, each alone, /s", Of: "sync.replay.to.rps", Over: "sync.replay.from.rps", AtLeast: 0.8},
			{What: "commit to visible at half that load, p50, ms", Of: "sync.delay.p50.ms", AtMost: 10},
			{What: "commit to visible at half that load, p99, ms", Of: "sync.delay.p99.ms", AtMost: 50},
			{What: "SET at half that load, /s", Of: "sync.delay.load.rps"},
			{What: "SET in a namespace that replicates / that doesn't, /s", Of: "sync.cost.on.rps", Over: "sync.cost.off.rps", AtLeast: 0.9},
			{What: "full sync / pipelined SETs of the same, MiB/s", Of: "sync.full.sync.mibs", Over: "sync.full.write.mibs", AtLeast: 0.5},
			{What: "the syncer beyond its byte budget, MiB", Of: "sync.replay.beyond.mib", AtMost: syncBeyond},
			{What: "the same in a full sync, MiB", Of: "sync.full.beyond.mib", AtMost: syncBeyond},
		},
	}
}

// syncing is two clusters and a syncer from one to the other; off is like from, and nobody's source.
type syncing struct {
	o             *Options
	from, to, off *zankvLocal
	p             *process
	marks         int
}

// maxRate is the load that makes up the most that a cluster takes.
var maxRate = load{"SET", 50, 16}

// prepare fills the source, and a cluster like it, and waits until the target has it.
func (s *syncing) prepare(ctx context.Context) error {
	for _, z := range []*zankvLocal{s.from, s.off} {
		if err := z.direct.fill(ctx); err != nil {
			return err
		}
	}
	marks, err := s.mark(ctx)
	if err != nil {
		return err
	}
	_, _, err = s.await(ctx, marks)
	return err
}

func (s *syncing) Name() string { return "zankv-cdc sync" }

func (s *syncing) Check() error {
	return binary(s.o.ZankvCDC, "build it with `make build`, or name it with --zankv-cdc")
}

// Version is the clusters': all are built together.
func (s *syncing) Version(ctx context.Context) (string, error) { return s.from.Version(ctx) }

// Start runs the syncer, when both clusters serve.
func (s *syncing) Start(ctx context.Context) (err error) {
	s.p, err = s.carry(ctx, s.from, s.to)
	return err
}

func (s *syncing) Stop() { s.p.stop() }

// carry runs a syncer.
func (s *syncing) carry(ctx context.Context, from, to *zankvLocal) (*process, error) {
	return startProcess(ctx, "zankv-cdc sync", "syncer started", watchWait, s.o.ZankvCDC, "sync", "--source", strings.Join(from.grpc(), ","),
		"--target", strings.Join(to.grpc(), ","), "--namespace", localNamespace, "--memory", fmt.Sprintf("%dMiB", syncBudget))
}

// switchFeed pauses or resumes what the syncer carries.
func (s *syncing) switchFeed(ctx context.Context, verb string) error {
	_, err := runTool(ctx, s.o.ZankvCDC, "changefeed", verb, "--nodes", strings.Join(s.from.grpc(), ","), "-c", "sync-"+localNamespace+"-to-"+s.to.name)
	return err
}

// mark writes a key into each partition of the source, with a value that wasn't there before.
func (s *syncing) mark(ctx context.Context) (marks map[string]string, err error) {
	s.marks++
	marks = map[string]string{}
	targets, err := s.from.direct.targets(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range targets {
		key := strings.Replace(t.name(0), "key:", markKey, 1)
		marks[key] = strconv.Itoa(s.marks)
		c := t.client()
		err := c.Set(ctx, key, marks[key], 0).Err()
		if err := closed(c, err); err != nil {
			return nil, fmt.Errorf("write a mark: %w", err)
		}
	}
	return marks, nil
}

// closed closes a client whose work ended with err.
func closed(c *redis.Client, err error) error {
	if cerr := c.Close(); err == nil {
		err = cerr
	}
	return err
}

// markEvery is how often marks are looked for.
const markEvery = 2 * time.Millisecond

// await returns when the target has marks: when the first came, and the last.
func (s *syncing) await(ctx context.Context, marks map[string]string) (first, last time.Time, err error) {
	return awaitMarks(ctx, s.p, s.to, marks)
}

func awaitMarks(ctx context.Context, p *process, at *zankvLocal, marks map[string]string) (first, last time.Time, err error) {
	c := redis.NewClient(&redis.Options{Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(at.base+portNamespace)), MaxRetries: -1})
	defer func() { err = closed(c, err) }()
	ticker := time.NewTicker(markEvery)
	defer ticker.Stop()
	seen := map[string]bool{}
	for len(seen) < len(marks) {
		for key, want := range marks {
			got, err := c.Get(ctx, key).Result()
			if err != nil && err != redis.Nil {
				return first, last, fmt.Errorf("look for a mark: %w", err)
			}
			if got != want || seen[key] {
				continue
			}
			seen[key], last = true, time.Now()
			if len(seen) == 1 {
				first = last
			}
		}
		if err := p.alive(); err != nil {
			return first, last, err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return first, last, fmt.Errorf("%d of %d marks have come: %w; the syncer's last words:\n%s", len(seen), len(marks), ctx.Err(), p.lastWords())
		}
	}
	return first, last, nil
}

// backlogTime is for how many times Options.Each the source is written, for a backlog that takes its time.
const backlogTime = 2

// replay writes a backlog while nothing is carried, and lets the target catch up while nothing is written: between the marks before and behind it.
func (s *syncing) replay(ctx context.Context) (Samples, error) {
	n, err := s.from.direct.requests(ctx, maxRate, backlogTime*s.o.Each)
	if err != nil {
		return nil, err
	}
	if err := s.switchFeed(ctx, "pause"); err != nil {
		return nil, err
	}
	began, err := s.mark(ctx)
	if err != nil {
		return nil, err
	}
	written, _, err := s.from.direct.run(ctx, maxRate, n)
	if err != nil {
		return nil, err
	}
	if err := s.switchFeed(ctx, "resume"); err != nil {
		return nil, err
	}
	first, _, err := s.await(ctx, began)
	if err != nil {
		return nil, err
	}
	ended, err := s.mark(ctx)
	if err != nil {
		return nil, err
	}
	_, last, err := s.await(ctx, ended)
	if err != nil {
		return nil, err
	}
	beyond, err := beyondBudget(s.p)
	return Samples{"sync.replay.from.rps": written, "sync.replay.to.rps": float64(n) / last.Sub(first).Seconds(), "sync.replay.beyond.mib": beyond}, err
}

// beyondBudget is the most memory that a syncer had, less its byte budget.
func beyondBudget(p *process) (float64, error) {
	peak, err := peakMiB(p.cmd.Process.Pid)
	return peak - syncBudget, err
}

// costSlices is how often, in a round, writers of both kinds take turns, there and back.
const costSlices = 3

// cost compares writers to a namespace that replicates with those of one that doesn't. Nothing is carried meanwhile.
func (s *syncing) cost(ctx context.Context) (Samples, error) {
	if err := s.switchFeed(ctx, "pause"); err != nil {
		return nil, err
	}
	sum := map[*zankvLocal]*writing{s.from: {}, s.off: {}}
	for range costSlices {
		for _, z := range []*zankvLocal{s.from, s.off, s.off, s.from} {
			n, err := z.direct.requests(ctx, maxRate, s.o.Each/2)
			if err != nil {
				return nil, err
			}
			rps, _, err := z.direct.run(ctx, maxRate, n)
			if err != nil {
				return nil, err
			}
			sum[z].requests += float64(n)
			sum[z].seconds += float64(n) / rps
		}
	}
	if err := s.switchFeed(ctx, "resume"); err != nil {
		return nil, err
	}
	marks, err := s.mark(ctx)
	if err != nil {
		return nil, err
	}
	_, _, err = s.await(ctx, marks)
	return Samples{"sync.cost.on.rps": sum[s.from].rps(), "sync.cost.off.rps": sum[s.off].rps()}, err
}
