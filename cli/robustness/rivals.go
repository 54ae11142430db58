package robustness

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Rivals are clients that write the same keys, in two clusters that don't wait for each other.
type Rivals struct {
	*Workload
	Clients int
	// Element says that the namespace's conflict policy is element: members of sets are registers. Otherwise what the default policy leaves to repair
	// is written, too.
	Element bool
}

// Run runs the clients until ctx is done.
func (r *Rivals) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for i := range r.Clients {
		wg.Go(func() { r.client(ctx, i) })
	}
	wg.Wait()
}

func (r *Rivals) client(ctx context.Context, id int) {
	s := &session{Workload: r.Workload, rng: rand.New(rand.NewPCG(r.Seed, uint64(3000+id))), id: id, node: id}
	s.connect()
	defer func() { s.client.Close() }()
	for n := 0; ctx.Err() == nil; n++ {
		write := registerWrites
		if n%3 == 0 {
			write = wholeWrites
		}
		if n%3 == 1 && r.Element {
			write = memberWrites
		} else if n%3 == 1 {
			write = divergingWrites
		}
		value := fmt.Sprintf("%d.%d.%d", r.Seed, id, n)
		i, j := s.rng.IntN(rivalKeys), s.rng.IntN(4)
		s.do(func(ctx context.Context, c *redis.Client) error {
			return replyOnly(write[s.rng.IntN(len(write))](ctx, c, i, j, value, s.rng))
		})
	}
}

// rivalKeys is how many keys of each kind they write.
const rivalKeys = 10

type rivalWrite func(ctx context.Context, c *redis.Client, i, j int, value string, rng *rand.Rand) error

// registerWrites change single registers: see Registers.
var registerWrites = []rivalWrite{
	func(ctx context.Context, c *redis.Client, i, _ int, value string, _ *rand.Rand) error {
		return c.Set(ctx, fmt.Sprintf("rs:%d", i), value, 0).Err()
	},
	func(ctx context.Context, c *redis.Client, i, _ int, value string, _ *rand.Rand) error {
		return c.Append(ctx, fmt.Sprintf("rs:%d", i), "+").Err()
	},
	func(ctx context.Context, c *redis.Client, i, j int, value string, _ *rand.Rand) error {
		return c.HSet(ctx, fmt.Sprintf("rh:%d", i), fmt.Sprintf("f%d", j), value).Err()
	},
	func(ctx context.Context, c *redis.Client, i, j int, _ string, _ *rand.Rand) error {
		return c.HDel(ctx, fmt.Sprintf("rh:%d", i), fmt.Sprintf("f%d", j)).Err()
	},
	func(ctx context.Context, c *redis.Client, i, j int, value string, _ *rand.Rand) error {
		return c.HSet(ctx, fmt.Sprintf("rh:%d", i), fmt.Sprintf("f%d", j), value, "g"+fmt.Sprint(j), value).Err()
	},
	func(ctx context.Context, c *redis.Client, i, _ int, _ string, rng *rand.Rand) error {
		return c.Expire(ctx, fmt.Sprintf("rx:%d", i), 3*time.Hour+time.Duration(rng.IntN(1e6))*time.Millisecond).Err()
	},
	func(ctx context.Context, c *redis.Client, i, _ int, _ string, _ *rand.Rand) error {
		return c.Persist(ctx, fmt.Sprintf("rx:%d", i)).Err()
	},
}

// memberWrites change members of sets and sorted sets, which are registers under the policy element.
var memberWrites = []rivalWrite{
	func(ctx context.Context, c *redis.Client, i, j int, _ string, _ *rand.Rand) error {
		return c.SAdd(ctx, fmt.Sprintf("rm:%d", i), fmt.Sprintf("m%d", j)).Err()
	},
	func(ctx context.Context, c *redis.Client, i, j int, _ string, _ *rand.Rand) error {
		return c.SRem(ctx, fmt.Sprintf("rm:%d", i), fmt.Sprintf("m%d", j)).Err()
	},
	func(ctx context.Context, c *redis.Client, i, j int, _ string, rng *rand.Rand) error {
		return c.ZAdd(ctx, fmt.Sprintf("rz:%d", i), redis.Z{Score: float64(rng.IntN(1e6)), Member: fmt.Sprintf("m%d", j)}).Err()
	},
	func(ctx context.Context, c *redis.Client, i, j int, _ string, _ *rand.Rand) error {
		return c.ZRem(ctx, fmt.Sprintf("rz:%d", i), fmt.Sprintf("m%d", j)).Err()
	},
}

// wholeWrites write keys as a whole, too, each of one type only: what has to converge, though not register by register.
var wholeWrites = []rivalWrite{
	func(ctx context.Context, c *redis.Client, i, _ int, value string, _ *rand.Rand) error {
		return c.Set(ctx, fmt.Sprintf("ws:%d", i), value, 0).Err()
	},
	func(ctx context.Context, c *redis.Client, i, _ int, value string, rng *rand.Rand) error {
		return c.Set(ctx, fmt.Sprintf("ws:%d", i), value, 3*time.Hour+time.Duration(rng.IntN(1e6))*time.Millisecond).Err()
	},
	func(ctx context.Context, c *redis.Client, i, _ int, _ string, _ *rand.Rand) error {
		return c.Del(ctx, fmt.Sprintf("ws:%d", i), fmt.Sprintf("wh:%d", i)).Err()
	},
	func(ctx context.Context, c *redis.Client, i, _ int, _ string, _ *rand.Rand) error {
		return c.Expire(ctx, fmt.Sprintf("ws:%d", i), 4*time.Hour).Err()
	},
	func(ctx context.Context, c *redis.Client, i, j int, value string, _ *rand.Rand) error {
		return c.HSet(ctx, fmt.Sprintf("wh:%d", i), fmt.Sprintf("f%d", j), value).Err()
	},
	func(ctx context.Context, c *redis.Client, i, j int, _ string, _ *rand.Rand) error {
		return c.HIncrBy(ctx, fmt.Sprintf("wh:%d", i), fmt.Sprintf("n%d", j), 1).Err()
	},
	func(ctx context.Context, c *redis.Client, i, _ int, _ string, _ *rand.Rand) error {
		return c.Expire(ctx, fmt.Sprintf("wh:%d", i), 4*time.Hour).Err()
	},
	func(ctx context.Context, c *redis.Client, i, j int, _ string, _ *rand.Rand) error {
		return c.Incr(ctx, fmt.Sprintf("wi:%d", i)).Err()
	},
}

// divergingWrites are what the default policy leaves to repair: lists, members, keys of several types.
var divergingWrites = []rivalWrite{
	func(ctx context.Context, c *redis.Client, i, _ int, value string, _ *rand.Rand) error {
		return c.RPush(ctx, fmt.Sprintf("dl:%d", i), value).Err()
	},
	func(ctx context.Context, c *redis.Client, i, _ int, _ string, _ *rand.Rand) error {
		return c.LPop(ctx, fmt.Sprintf("dl:%d", i)).Err()
	},
	func(ctx context.Context, c *redis.Client, i, j int, _ string, _ *rand.Rand) error {
		return c.SAdd(ctx, fmt.Sprintf("ds:%d", i), fmt.Sprintf("m%d", j)).Err()
	},
	func(ctx context.Context, c *redis.Client, i, j int, _ string, _ *rand.Rand) error {
		return c.SRem(ctx, fmt.Sprintf("ds:%d", i), fmt.Sprintf("m%d", j)).Err()
	},
	func(ctx context.Context, c *redis.Client, i, j int, _ string, rng *rand.Rand) error {
		return c.ZAdd(ctx, fmt.Sprintf("dz:%d", i), redis.Z{Score: float64(rng.IntN(1e6)), Member: fmt.Sprintf("m%d", j)}).Err()
	},
	func(ctx context.Context, c *redis.Client, i, _ int, _ string, _ *rand.Rand) error {
		return c.Del(ctx, fmt.Sprintf("dl:%d", i), fmt.Sprintf("ds:%d", i)).Err()
	},
	func(ctx context.Context, c *redis.Client, i, _ int, value string, rng *rand.Rand) error {
		key := fmt.Sprintf("dt:%d", i)
		switch rng.IntN(4) {
		case 0:
			return c.RPush(ctx, key, value).Err()
		case 1:
			return c.HSet(ctx, key, "f", value).Err()
		case 2:
			return c.Del(ctx, key).Err()
		default:
			return c.Set(ctx, key, value, 0).Err()
		}
	},
}
