package robustness

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Collections is a workload on all types of keys beside the one on strings. Nobody judges its replies, but for the queues, of which each
// has one client: what counts is that in the end the store is what the feed says, and that replicas agree.
type Collections struct {
	*Workload
	// queues are, by client, the numbers that were pushed to its list for certain, and those that may have been.
	queues []queue
}

type queue struct {
	pushed, maybe []int
}

// NewCollections shares a workload's clients' way to connect, and its account of troubles.
func NewCollections(w *Workload, clients int) *Collections {
	return &Collections{Workload: w, queues: make([]queue, clients)}
}

// Run runs the clients until ctx is done.
func (c *Collections) Run(ctx context.Context) {
	done := make(chan struct{})
	for i := range c.queues {
		go func() {
			defer func() { done <- struct{}{} }()
			c.client(ctx, i)
		}()
	}
	for range c.queues {
		<-done
	}
}

func (c *Collections) client(ctx context.Context, id int) {
	s := &session{Workload: c.Workload, rng: rand.New(rand.NewPCG(c.Seed, uint64(1000+id))), id: id, node: id}
	s.connect()
	defer func() { s.client.Close() }()
	for n := 0; ctx.Err() == nil; n++ {
		if n%4 == 0 {
			c.push(s, n)
		} else {
			s.mixed()
		}
	}
}

// push puts a number at the end of the client's own list, alone or as part of a transaction.
func (c *Collections) push(s *session, n int) {
	ctx, cancel := context.WithTimeout(context.Background(), answerLimit)
	defer cancel()
	key := s.client.prefix + queueKey(s.id)
	var err error
	if s.rng.IntN(2) == 0 {
		err = s.client.redis.RPush(ctx, key, n).Err()
	} else {
		_, err = s.client.redis.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.RPush(ctx, key, n)
			p.HIncrBy(ctx, key+":h", "pushes", 1)
			return nil
		})
	}
	q := &c.queues[s.id]
	if err == nil {
		q.pushed = append(q.pushed, n)
		s.count()
		return
	}
	if _, refused := classify(err); refused == nil {
		q.maybe = append(q.maybe, n)
	}
	s.moveOn(err)
}

func queueKey(id int) string { return fmt.Sprintf("q:{%d}", id) }

// CheckQueues checks content for the numbers that were pushed: each that was acknowledged once and in order, none that was refused.
func (c *Collections) CheckQueues(content map[string]Entry) error {
	for id, q := range c.queues {
		var got []int
		for _, item := range strings.Fields(content[queueKey(id)].Value) {
			n, err := strconv.Atoi(strings.Trim(item, `"`))
			if err != nil {
				return fmt.Errorf("robustness: list %s: item %s", queueKey(id), item)
			}
			got = append(got, n)
		}
		if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
			return fmt.Errorf("robustness: list %s is out of order, or has items twice: %d", queueKey(id), got)
		}
		for _, n := range q.pushed {
			if _, ok := slices.BinarySearch(got, n); !ok {
				return fmt.Errorf("robustness: an acknowledged push is lost: RPUSH %s %d: %d", queueKey(id), n, got)
			}
		}
		for _, n := range got {
			if !slices.Contains(q.pushed, n) && !slices.Contains(q.maybe, n) {
				return fmt.Errorf("robustness: list %s has %d, which was refused or never pushed", queueKey(id), n)
			}
		}
	}
	return nil
}

// mixes are lines of commands on keys that all clients share, all in one partition: %d is a small number that is drawn. Keys change their types now and
// then.
var mixes = []string{
	"HSET {c}h f%d %d f%d %d", "HDEL {c}h f%d f%d", "HINCRBY {c}h f%d %d", "HSETNX {c}h f%d %d", "HINCRBYFLOAT {c}h f%d 0.5",
	"LPUSH {c}l %d %d", "RPUSH {c}l %d", "LPOP {c}l %d", "RPOP {c}l", "LSET {c}l %d x%d", "LINSERT {c}l BEFORE %d y%d", "LREM {c}l 0 %d", "LTRIM {c}l 0 20",
	"LMOVE {c}l {c}l2 LEFT RIGHT", "RPOPLPUSH {c}l2 {c}l", "LMPOP 2 {c}l {c}l2 LEFT COUNT 2", "BLPOP {c}l {c}l2 0.01",
	"SADD {c}s m%d m%d m%d", "SREM {c}s m%d", "SPOP {c}s", "SMOVE {c}s {c}s2 m%d", "SINTERSTORE {c}s3 {c}s {c}s2", "SUNIONSTORE {c}s {c}s2 {c}s3",
	"ZADD {c}z %d m%d %d m%d", "ZADD {c}z GT CH %d m%d", "ZINCRBY {c}z 1.5 m%d", "ZREM {c}z m%d", "ZPOPMIN {c}z", "ZREMRANGEBYRANK {c}z 8 -1", "ZUNIONSTORE {c}z2 2 {c}z {c}s WEIGHTS 2 %d",
	"ZRANGESTORE {c}z3 {c}z 0 3", "BZPOPMAX {c}z {c}z2 0.01", "GEOADD {c}g 1.%d 2.%d p%d", "SETBIT {c}b %d00 1", "SETBIT {c}b %d000 0", "BITFIELD {c}b SET u8 #%d %d", "BITOP NOT {c}b2 {c}b", "PFADD {c}p e%d e%d",
	"PFMERGE {c}p2 {c}p", "APPEND {c}b x", "RENAME {c}l {c}l2", "RENAME {c}z {c}z3", "COPY {c}h {c}h2 REPLACE", "COPY {c}b {c}b3 REPLACE", "SORT {c}s ALPHA STORE {c}l2", "DEL {c}h", "DEL {c}z {c}s", "SET {c}h2 %d",
	"SET {c}l2 %d", "PEXPIRE {c}h 3%d0", "PEXPIRE {c}l 2%d0", "PERSIST {c}h", "EXPIRE {c}z 5%d00", "DEL {c}h2 {c}l2 {c}z3 {c}s3",
}

// mixed sends one such line, or a few as a transaction.
func (s *session) mixed() {
	ctx, cancel := context.WithTimeout(context.Background(), answerLimit)
	defer cancel()
	var err error
	if s.rng.IntN(5) > 0 {
		err = s.client.redis.Do(ctx, s.drawn()...).Err()
	} else {
		_, err = s.client.redis.TxPipelined(ctx, func(p redis.Pipeliner) error {
			for range 2 + s.rng.IntN(3) {
				p.Do(ctx, s.drawn()...)
			}
			return nil
		})
	}
	if err == nil || replied(err) {
		s.count()
		return
	}
	s.moveOn(err)
}

// replied says whether an error is what Redis itself would have said of the state: no trouble.
func replied(err error) bool {
	for _, text := range []string{"redis: nil", "WRONGTYPE", "ERR no such key", "ERR index out of range", "ERR value is not", "ERR hash value is not", "ERR bit", "ERR One or more scores"} {
		if strings.HasPrefix(err.Error(), text) {
			return true
		}
	}
	return false
}

// drawn fills in a line.
func (s *session) drawn() []any {
	var args []any
	for i, word := range strings.Fields(mixes[s.rng.IntN(len(mixes))]) {
		for strings.Contains(word, "%d") {
			word = strings.Replace(word, "%d", strconv.Itoa(s.rng.IntN(9)), 1)
		}
		if i > 0 && strings.Contains(word, "{c}") {
			word = s.client.prefix + "t:" + word
		}
		args = append(args, word)
	}
	return args
}
