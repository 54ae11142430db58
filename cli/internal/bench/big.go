package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// million is how many elements the large collections have.
const million = 1_000_000

const turnBig = 102

// big measures what is done with collections of a million elements.
type big struct{ z *zankvLocal }

// bigSections are one for each way of replicating.
func bigSections(of ...*zankvLocal) (sections []Section) {
	for _, z := range of {
		b := big{z}
		name := z.name + "-big"
		sections = append(sections, Section{
			Name: name, About: fmt.Sprintf("collections of a million, %d replicas", z.replicas), Systems: []System{z}, Prepare: b.fill,
			Measurements: []Measurement{{Name: name, Turn: turnBig, Run: b.measure}},
			Rows: []Row{
				{What: "ZRANK in the middle, ms", Of: name + ".zrank.ms", AtMost: 150},
				{What: "ZRANGE of the first ten, ms", Of: name + ".first.ms", AtMost: 1},
				{What: "ZRANGE of the last ten, ms", Of: name + ".last.ms", AtMost: 1},
				{What: "DEL of a hash, ms", Of: name + ".del.ms", AtMost: 10},
				{What: "SET after it / before it", Of: name + ".after.rps", Over: name + ".before.rps", AtLeast: 0.5},
			},
		})
	}
	return sections
}

func (b big) target(ctx context.Context) (target, error) {
	targets, err := b.z.direct.targets(ctx)
	if err != nil {
		return target{}, err
	}
	return targets[0], nil
}

func (b big) fill(ctx context.Context) error {
	t, err := b.target(ctx)
	if err != nil {
		return err
	}
	c := t.client()
	defer func() { _ = c.Close() }()
	return fillMembers(ctx, c, "", t.collection("big zset"), million, "")
}

// shortValue keeps the filling of a million fields short.
const shortValue = "0123456789"

func (b big) measure(ctx context.Context) (Samples, error) {
	t, err := b.target(ctx)
	if err != nil {
		return nil, err
	}
	c := t.client()
	defer func() { _ = c.Close() }()
	zset, hash := t.collection("big zset"), t.collection("big hash")
	name := b.z.name + "-big."
	s := Samples{}
	for what, run := range map[string]func() error{
		"zrank.ms": func() error { return c.ZRank(ctx, zset, fmt.Sprintf("m:%012d", million/2)).Err() },
		"first.ms": func() error { return c.ZRange(ctx, zset, 0, 9).Err() },
		"last.ms":  func() error { return c.ZRange(ctx, zset, -10, -1).Err() },
	} {
		if s[name+what], err = medianMS(5, run); err != nil {
			return nil, err
		}
	}
	if err := fillMembers(ctx, c, hash, "", million, shortValue); err != nil {
		return nil, err
	}
	if s[name+"before.rps"], err = writesFor(ctx, c, t, cleanWatch); err != nil {
		return nil, err
	}
	if s[name+"del.ms"], err = medianMS(1, func() error { return c.Del(ctx, hash).Err() }); err != nil {
		return nil, err
	}
	s[name+"after.rps"], err = writesFor(ctx, c, t, cleanWatch)
	return s, err
}

// cleanWatch is for how long writes are counted while a deleted collection's rows are removed.
const cleanWatch = 3 * time.Second

// medianMS is the median time of some runs, in milliseconds.
func medianMS(times int, run func() error) (float64, error) {
	var took []float64
	for range times {
		begun := time.Now()
		if err := run(); err != nil {
			return 0, err
		}
		took = append(took, float64(time.Since(begun).Microseconds())/1000)
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}

// writesFor writes pipelines of SET for a time, and returns how many it could a second.
func writesFor(ctx context.Context, c *redis.Client, t target, during time.Duration) (float64, error) {
	begun, n := time.Now(), 0
	for time.Since(begun) < during {
		_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i := range fillPipeline {
				p.Set(ctx, t.name(i), value, 0)
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
		n += fillPipeline
	}
	return float64(n) / time.Since(begun).Seconds(), nil
}
