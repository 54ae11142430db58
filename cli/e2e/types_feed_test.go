package e2e

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cli/robustness"
)

// odd are commands with content that a format could stumble over: empty, binary, larger than buffers, at the ends of what numbers can say.
func odd() (lines [][]any) {
	binary := "\x00\xff\xfe\r\n\"\\\u2028é\x80"
	large := strings.Repeat("x", 8<<20)
	noise := string(bytes.Repeat([]byte{0, 0xff, '"', 0x80, '\\', '\n', 0xc3, 0xa9}, 1<<17))
	return [][]any{
		{"set", "", ""}, {"set", binary, binary}, {"set", "large", large}, {"set", "noise", noise}, {"set", "html", "<a&b>\u2029"},
		{"hset", "h", "", "", binary, binary, "large", large, "noise", noise, "n", "1"}, {"hincrbyfloat", "h", "n", "1e-7"}, {"hdel", "h", ""}, {"hset", "h" + binary, binary, ""},
		{"rpush", "l", "", binary, large, noise, ""}, {"lset", "l", "0", binary}, {"linsert", "l", "after", binary, ""}, {"lrem", "l", "1", ""}, {"lpush", "l", binary, ""}, {"rpop", "l"},
		{"sadd", "s", "", binary, "\xff", "é"}, {"srem", "s", ""}, {"sadd", "\xff\x00", ""},
		{"zadd", "z", "-0", "", "0", binary, "inf", "i", "-inf", "-i", "5e-324", "least", "-1.7976931348623157e308", "first", "0.1", "tenth", "1e21", "e21", "9007199254740993", "odd"},
		{"zadd", "z", "-0", binary}, {"zincrby", "z", "0.2", "tenth"}, {"zadd", "zero", "-0", "z"}, {"zunionstore", "minus", "1", "zero", "weights", "-1"}, {"geoadd", "g", "180", "85.05112878", "corner", "-0.0000001", "0", binary},
		{"setbit", "b", "16777216", "1"}, {"setbit", "b", "0", "1"}, {"setbit", "b", "16777216", "0"}, {"bitop", "not", "b2", "b"}, {"bitfield", "b", "set", "i64", "#100", "-1"}, {"setbit", "zeros", "100000", "0"},
		{"pfadd", "p", "", binary, noise[:1000]}, {"pfmerge", "p2", "p", "none"},
		{"expire", "h", "100000"}, {"copy", "h", "h2"}, {"persist", "h2"}, {"rename", "l", "l2"}, {"pexpireat", "s", "4102444800001"}, {"rename", "s", ""}, {"hset", "gone", "f", "v"}, {"pexpireat", "gone", "1"},
	}
}

// many are commands that write a hundred thousand elements at once, of keys that were filled before.
var many = []string{
	"rename list list2", "copy list2 list3", "copy hash hash2", "rename hash2 hash3", "sunionstore set2 set none", "sdiffstore set3 set2 small", "zunionstore zset2 2 zset set weights 2 -1",
	"zrangestore zset3 zset 0 -1", "sort list2 alpha store sorted", "ltrim list3 50000 -1", "lrem list2 0 item", "zremrangebyrank zset2 10 -10", "copy set3 set4", "del set4", "spop set2 70000",
}

const elements = 100_000

// fill makes a list, a hash, a set and a sorted set of so many elements.
func fill(t *testing.T, c *redis.Client) {
	t.Helper()
	const batch = 5000
	for from := 0; from < elements; from += batch {
		list, hash, set, zset := []any{"rpush", "list"}, []any{"hset", "hash"}, []any{"sadd", "set"}, []any{"zadd", "zset"}
		for i := from; i < from+batch; i++ {
			item := any("item")
			if i%3 > 0 {
				item = i
			}
			list, set, zset = append(list, item), append(set, i), append(zset, float64(i%1000)/8, i)
			if i%2 == 0 {
				hash = append(hash, i, item)
			}
		}
		_, err := c.Pipelined(bounded(t), func(p redis.Pipeliner) error {
			for _, args := range [][]any{list, hash, set, zset} {
				p.Do(t.Context(), args...)
			}
			return nil
		})
		must(t, "fill", err)
	}
	must(t, "SADD", c.SAdd(t.Context(), "small", 1, 2, 3, 99_999).Err())
}

// done runs a line. What is this large may outlast, on a slow machine, a leader's lease, and then it is sent again, or a client's patience: what
// comes out in the end shows that it was done.
func done(t *testing.T, c *redis.Client, line []any) {
	t.Helper()
	await(t, fmt.Sprintf("%.60q", line), func() error {
		err := c.Do(bounded(t), line...).Err()
		if err != nil && strings.HasPrefix(err.Error(), "ERR_CLUSTER_CHANGED") {
			return err
		}
		if err != nil && !strings.HasPrefix(err.Error(), "UNKNOWN") {
			t.Errorf("%.60q: %v", line, err)
		}
		return nil
	})
}

// Whatever is stored, zankv-cdc tail shows it in lines that are read back to the same: the chain holds, and what the lines fold to is what a client
// reads. Every replica has the same.
func TestTailOfAllTypes(t *testing.T) { // alone: it keeps the machine busy
	c := sharedCluster(t)
	const ns = nsTypes
	namespace(t, c, ns, "--partitions", "1", "--replicas", "3")
	tail, err := robustness.StartTail(c.CDC, c.GRPCAddrs(), ns, 0)
	must(t, "tail", err)
	t.Cleanup(func() { _, _ = tail.Stop() })
	client := plain(t, c.Nodes[0].Bound(ns))
	for _, line := range odd() {
		done(t, client, line)
	}
	fill(t, client)
	for _, line := range many {
		var args []any
		for word := range strings.FieldsSeq(line) {
			args = append(args, word)
		}
		done(t, client, args)
	}
	must(t, "SET", client.Set(t.Context(), "marker:end", "1", 0).Err())
	at, err := tail.Await(bounded(t), "marker:end", "1")
	must(t, "the feed", err)
	content, err := robustness.ReadStore(bounded(t), c.Nodes[1].Bound(ns))
	must(t, "read", err)
	fold, err := tail.Stop()
	must(t, "the feed", err)
	must(t, "compare", robustness.CompareFold([]*event.Fold{fold}, content, time.Now()))
	checkOddContent(t, client)
	sums := map[string]bool{}
	for _, n := range c.Nodes {
		sum, err := robustness.Checksum(bounded(t), n.HTTP(), ns+"-0", at.Position)
		must(t, "checksum", err)
		sums[sum] = true
	}
	if len(sums) != 1 {
		t.Errorf("replicas differ: %v", sums)
	}
}

// checkOddContent looks at some of what must have come out, so that the comparison isn't one of nothing with nothing.
func checkOddContent(t *testing.T, c *redis.Client) {
	t.Helper()
	ctx := context.Background()
	for key, want := range map[string]int64{"list2": elements - elements/3 - 1, "list3": elements / 2, "hash3": elements / 2, "set2": elements - 70_000, "set3": elements - 4, "zset3": elements, "zset2": 19, "sorted": elements} {
		kind := c.Type(ctx, key).Val()
		got := map[string]func() int64{
			"list": c.LLen(ctx, key).Val, "hash": c.HLen(ctx, key).Val, "set": c.SCard(ctx, key).Val, "zset": c.ZCard(ctx, key).Val,
		}[kind]
		if got == nil || got() != want {
			t.Errorf("%s, a %s, doesn't have %d elements", key, kind, want)
		}
	}
	if z, err := c.ZScore(ctx, "z", "-i").Result(); err != nil || !math.IsInf(z, -1) {
		t.Errorf("a score of -inf is %v, %v", z, err)
	}
	if got := fmt.Sprint(c.LRange(ctx, "l2", 0, 1).Val()); got != fmt.Sprint([]string{"", "\x00\xff\xfe\r\n\"\\\u2028é\x80"}) {
		t.Errorf("l2 begins with %q", got)
	}
}
