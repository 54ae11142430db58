package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/zankv/zankv/replay/equal"
)

// equalTo waits until both clusters have the same, by their checksums.
func (c *nodeCluster) equalTo(other *nodeCluster) {
	c.t.Helper()
	var clusters []*equal.Cluster
	for _, one := range []*nodeCluster{c, other} {
		dialled, err := equal.Dial([]string{one.grpc})
		if err != nil {
			c.t.Fatal(err)
		}
		defer dialled.Close()
		clusters = append(clusters, dialled)
	}
	var last any
	defer func() {
		if c.t.Failed() {
			c.t.Logf("compared: %+v", last)
		}
	}()
	until(c.t, "equal", func() bool {
		r, err := equal.Compare(c.t.Context(), clusters[0], clusters[1], "default", equal.Options{})
		if last = r; err != nil {
			last = err
		}
		return err == nil && r.Equal()
	})
}

// What a cluster has when it is first carried comes along, of every type and cut otherwise, and what the source lacks is told apart from what the target made.
// A process that comes when that is done goes on with the stream.
func TestSyncFull(t *testing.T) {
	a, b := newNodeCluster(t, "dc-a", 2), newNodeCluster(t, "dc-b", 3)
	t.Setenv("ZANKV_NODES", a.grpc)
	ctx := t.Context()
	a.write(0, 300)
	pipe := a.Pipeline()
	for i := range 100 {
		pipe.HSet(ctx, "users:1", fmt.Sprint("f", i), strings.Repeat("x", 100))
		pipe.RPush(ctx, "list:1", i)
		pipe.SAdd(ctx, "set:1", i)
		pipe.ZAdd(ctx, "zset:1", redis.Z{Member: i, Score: float64(i)})
	}
	pipe.Set(ctx, "gone:1", "x", 0)
	pipe.Del(ctx, "gone:1")
	if _, err := pipe.Exec(ctx); err != nil {
		t.Fatal(err)
	}
	p := startSync(t, a, b, "one")
	b.same(300)
	a.equalTo(b)
	if n := b.LLen(ctx, "list:1").Val(); n != 100 {
		t.Errorf("the list has %d items", n)
	}
	if out := must(t, "changefeed query -c sync-default-to-dc-b"); !strings.Contains(out, "state       normal") {
		t.Errorf("query:\n%s", out)
	}
	p.end()
	a.write(300, 400)
	p = startSync(t, a, b, "two")
	b.same(400)
	a.equalTo(b)
	p.end()
	if text := p.text.String(); strings.Contains(text, "snapshot") {
		t.Errorf("the second one began anew:\n%s", text)
	}
}
