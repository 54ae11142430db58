package partition

import (
	"testing"
)

// What one cluster's clients did is in the other, once, whatever is sent how often.
func TestReplayBringsAll(t *testing.T) {
	a, b := newCluster(t, 1, named("dc-a", nil)), newCluster(t, 3, named("dc-b", nil))
	s := a.flows(b)
	for _, line := range []string{
		"set k v", "incr n", "incrby n 41", "append k w", "rpush l a b c", "lpop l", "lpush l z", "sadd s 1 2 3", "srem s 2", "zadd z 1 a 2 b", "zincrby z 5 a",
		"hset h f 1 g 2", "hincrby h f 9", "hdel h g", "set gone 1", "del gone", "set ttl x", "pexpire ttl 600000", "setbit bits 9 1", "linsert l before b y", "lrem l 1 c", "lset l 0 q",
	} {
		a.leader().doList(line)
	}
	got := s.catchUp()
	if got.Conflicts != 0 || got.Applied == 0 {
		t.Errorf("%+v", got)
	}
	for _, line := range []string{"get k", "get n", "lrange l 0 -1", "smembers s", "zrange z 0 -1 withscores", "hgetall h", "exists gone", "getbit bits 9", "pexpiretime ttl"} {
		if x, y := a.leader().doList(line), b.leader().doList(line); x != y {
			t.Errorf("%s: %q here, %q there", line, x, y)
		}
	}
	b.equal()
	b.agreeOnRows()
}
