package robustness

import (
	"context"
	"errors"
	"testing"

	"github.com/redis/go-redis/v9"
)

// What was deleted in one cluster is not revived by an older write of the other that comes later: keys of all types, fields, members.
func TestDeletedStaysDeleted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), inAll)
	defer cancel()
	shared := Shared{Name: "shared", Partitions: [2]int{2, 2}, Policy: "element"}
	p := startPair(t, ctx, PairOptions{Nodes: 1, Replicas: 1, Shared: []Shared{shared}, Env: offset, Configure: tolerant})
	a, b := boundTo(p.Clusters[0], shared.Name)(0, 0), boundTo(p.Clusters[1], shared.Name)(0, 0)
	defer a.Close()
	defer b.Close()
	if err := errors.Join(p.Adopt(ctx, 0), p.Adopt(ctx, 1), p.Carry(0), p.Carry(1)); err != nil {
		t.Fatal(err)
	}
	fill := func(c *redis.Client, value string) error {
		return errors.Join(c.Set(ctx, "s", value, 0).Err(), c.HSet(ctx, "h", "f", value, "g", value).Err(), c.HSet(ctx, "fields", "f", value, "g", value).Err(),
			c.SAdd(ctx, "m", value).Err(), c.SAdd(ctx, "members", "x", "y").Err(), c.ZAdd(ctx, "z", redis.Z{Score: 1, Member: value}).Err())
	}
	if err := fill(b.redis, "first"); err != nil { // B's clock is behind
		t.Fatal(err)
	}
	if _, err := p.AwaitEqual(ctx, shared); err != nil {
		t.Fatalf("%v\n%s", err, p.Logs())
	}
	for _, c := range p.Clusters {
		p.Link.Cut(c.GRPCAddrs()...)
	}
	// A deletes, at what is 20 minutes later than what B writes: without what A knows B would overtake it, by what it replaces.
	err := errors.Join(a.redis.Del(ctx, "s", "h", "m", "z").Err(), a.redis.HDel(ctx, "fields", "f").Err(), a.redis.SRem(ctx, "members", "x").Err(),
		fill(b.redis, "older"), b.redis.SRem(ctx, "members", "x").Err(), b.redis.SAdd(ctx, "members", "x").Err())
	if err != nil {
		t.Fatal(err)
	}
	p.Link.Heal()
	if _, err := p.AwaitEqual(ctx, shared); err != nil {
		t.Fatalf("%v\n%s", errors.Join(err, p.differences(ctx)), p.Logs())
	}
	content, err := p.SameContent(ctx, shared.Name)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"s", "h", "m", "z"} {
		if e, ok := content[key]; ok {
			t.Errorf("%s is back: %+v", key, e)
		}
	}
	if got := partsOf(content["fields"]); len(got) != 1 || got["g"] != "older" {
		t.Errorf("fields are %q, want g alone", got)
	}
	if got := partsOf(content["members"]); len(got) != 1 {
		t.Errorf("members are %q, want y alone", got)
	}
}
