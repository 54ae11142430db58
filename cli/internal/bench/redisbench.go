package bench

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// load is one kind of load by redis-benchmark.
type load struct {
	command  string // SET, GET, or one of shapes
	clients  int
	pipeline int
}

func (l load) String() string {
	return fmt.Sprintf("%s.c%d.p%d", strings.ToLower(l.command), l.clients, l.pipeline)
}

// loads are what every system that speaks Redis's protocol is measured with.
var loads = []load{
	{"SET", 1, 1}, {"SET", 50, 1}, {"SET", 1, 16}, {"SET", 50, 16},
	{"GET", 1, 1}, {"GET", 50, 1}, {"GET", 1, 16}, {"GET", 50, 16},
}

// turnOf is a load's place in a round.
func turnOf(l load) int { return slices.Index(loads, l) }

// value is what is written everywhere: 128 bytes without a pattern.
var value = func() string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	random := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, 128)
	for i := range b {
		b[i] = letters[random.IntN(len(letters))]
	}
	return string(b)
}()

// target is a server and the keys that it is sent.
type target struct {
	port int
	key  string // with redis-benchmark's __rand_int__, a number of 12 digits
}

// redisRoute is a way to a system that speaks Redis's protocol.
type redisRoute struct {
	o    *Options
	name string // prefix of its samples
	// targets are asked for before each load: leaders move. Each gets a redis-benchmark of its own, beside the others, and a
	// share of clients, requests and keys.
	targets func(context.Context) ([]target, error)
	// alive tells why the system can't be measured any more.
	alive func() error

	rate   map[load]float64 // requests a second, as last seen
	filled bool
}

// result is what one redis-benchmark has found.
type result struct {
	requests int
	rps      float64
	p50      float64 // µs
}

// run sends n requests in all and returns requests a second, from the first start to the last end, and the mean of the
// targets' median latencies, in microseconds.
func (r *redisRoute) run(ctx context.Context, l load, n int) (rps, p50 float64, err error) {
	err = r.whileLeadersStay(func() (err error) {
		rps, p50, err = r.tryRun(ctx, l, n)
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	r.rate[l] = rps
	return rps, p50, nil
}

// leaderTries is how often something is begun again because a leader has moved.
const leaderTries = 3

// whileLeadersStay does do. A leader that moves away meanwhile makes it an error, MOVED or, with no new one yet, CLUSTERDOWN: it is
// done again, with the new leaders.
func (r *redisRoute) whileLeadersStay(do func() error) (err error) {
	for range leaderTries {
		err = do()
		if err == nil {
			return nil
		}
		if text := err.Error(); !strings.Contains(text, "MOVED") && !strings.Contains(text, "CLUSTERDOWN") {
			break
		}
		r.o.say("%s: a leader has moved, again", r.name)
	}
	return errors.Join(err, r.alive())
}

func (r *redisRoute) tryRun(ctx context.Context, l load, n int) (rps, p50 float64, err error) {
	targets, err := r.targets(ctx)
	if err != nil {
		return 0, 0, err
	}
	keys := r.keys(len(targets))
	targets = targets[:min(len(targets), l.clients)]
	results, errs := make([]result, len(targets)), make([]error, len(targets))
	done := make(chan int)
	for i, t := range targets {
		part := l
		part.clients = share(l.clients, i, len(targets))
		before := l.clients * i / len(targets)
		requests := max(1, n*(before+part.clients)/l.clients-n*before/l.clients)
		go func() {
			results[i], errs[i] = r.runOne(ctx, part, t, keys, requests)
			done <- i
		}()
	}
	for range targets {
		<-done
	}
	rps, p50 = combine(results)
	return rps, p50, errors.Join(errs...)
}

// share is the i-th of n parts of whole, as equal as they can be.
func share(whole, i, n int) int { return whole*(i+1)/n - whole*i/n }

// combine counts all requests over the time of the slowest: to add up the rates would count what the others could do only
// because one had ended.
func combine(results []result) (rps, p50 float64) {
	requests, longest := 0, 0.0
	for _, r := range results {
		requests += r.requests
		longest = max(longest, float64(r.requests)/r.rps)
		p50 += r.p50 / float64(len(results))
	}
	return float64(requests) / longest, p50
}

func (r *redisRoute) runOne(ctx context.Context, l load, t target, keys, n int) (result, error) {
	args := []string{"-h", "127.0.0.1", "-p", strconv.Itoa(t.port), "--csv", "--precision", "3",
		"-c", strconv.Itoa(l.clients), "-P", strconv.Itoa(l.pipeline), "-r", strconv.Itoa(keys), "-n", strconv.Itoa(n)}
	args = append(args, l.line(t)...)
	out, err := runTool(ctx, r.o.RedisBenchmark, args...)
	if err != nil {
		return result{}, err
	}
	res, err := parseBenchmark(out)
	res.requests = n
	return res, err
}

// parseBenchmark reads the line behind the heading in redis-benchmark's CSV.
func parseBenchmark(out string) (result, error) {
	var columns []string
	for line := range strings.Lines(out) {
		fields, err := csv.NewReader(strings.NewReader(line)).Read()
		if err != nil {
			continue
		}
		if columns != nil && len(columns) == len(fields) {
			return benchmarkLine(columns, fields)
		}
		if fields[0] == "test" {
			columns = fields
		}
	}
	return result{}, fmt.Errorf("redis-benchmark: no figures in %q", last(out))
}

func benchmarkLine(columns, fields []string) (r result, err error) {
	for i, c := range columns {
		v, _ := strconv.ParseFloat(fields[i], 64)
		switch c {
		case "rps":
			r.rps = v
		case "p50_latency_ms":
			r.p50 = v * 1000
		}
	}
	if r.rps <= 0 {
		return r, fmt.Errorf("redis-benchmark: no requests a second in %q", fields)
	}
	return r, nil
}

// requests is how many requests keep a load up for about a time. The first time, a short trial tells.
func (r *redisRoute) requests(ctx context.Context, l load, during time.Duration) (int, error) {
	if r.rate[l] == 0 {
		if _, _, err := r.run(ctx, l, max(500, 40*l.clients*l.pipeline)); err != nil {
			return 0, err
		}
	}
	return max(int(r.rate[l]*during.Seconds()), 20*l.clients*l.pipeline), nil
}

// measurement keeps one load up for about Options.Each.
func (r *redisRoute) measurement(l load) Measurement {
	name := r.name + "." + l.String()
	return Measurement{Name: name, Turn: turnOf(l), Run: func(ctx context.Context) (Samples, error) {
		n, err := r.requests(ctx, l, r.o.Each)
		if err != nil {
			return nil, err
		}
		rps, p50, err := r.run(ctx, l, n)
		if err != nil {
			return nil, err
		}
		return Samples{name + ".rps": rps, name + ".p50us": p50}, nil
	}}
}

// oneWriter is the load whose latency is told in fdatasyncs, of which each of its requests waits for some.
var oneWriter = load{"SET", 1, 1}

// besideProbes measures the disk before and after, as its speed drifts faster than rounds go by.
func (r *redisRoute) besideProbes(m Measurement) Measurement {
	run := m.Run
	m.Run = func(ctx context.Context) (Samples, error) {
		before, _, err := probe(ctx, r.o.Dir)
		if err != nil {
			return nil, err
		}
		s, err := run(ctx)
		if err != nil {
			return nil, err
		}
		after, _, err := probe(ctx, r.o.Dir)
		if err != nil {
			return nil, err
		}
		s[m.Name+".sync.us"] = (before + after) / 2
		return s, nil
	}
	return m
}

func (r *redisRoute) measurements() (all []Measurement) {
	for _, l := range loads {
		m := r.measurement(l)
		if l == oneWriter {
			m = r.besideProbes(m)
		}
		all = append(all, m)
	}
	return all
}
