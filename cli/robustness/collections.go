package robustness

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Collections is a workload on all types of keys beside the one on strings. Nobody judges its replies, but for the queues, of which each
// has one client: what counts is that in the end the store is what the feed says, and that replicas agree.
type Collections struct {
	*Workload
	// queues are, by client, the numbers that were pushed to its list for certain, and those that may have been.
	queues []queue
	jobs   *jobs

	tally struct {
		sync.Mutex
		lines map[string]*tally // by line of mixes
		wrong []error           // what must not have been
	}
}

// tally is how often a line was answered with something, with nil or an error of the state's, and not at all.
type tally struct{ succeeded, replied, failed int }

type queue struct {
	pushed, maybe []int
}

// NewCollections shares a workload's clients' way to connect, and its account of troubles.
func NewCollections(w *Workload, clients int) *Collections {
	c := &Collections{Workload: w, queues: make([]queue, clients), jobs: newJobs()}
	c.tally.lines = map[string]*tally{}
	for _, line := range mixes {
		c.tally.lines[line] = &tally{}
	}
	return c
}

// takers is how many more clients wait for jobs.
const takers = 3

// Run runs the clients until ctx is done.
func (c *Collections) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for i := range len(c.queues) + takers {
		wg.Go(func() { c.client(ctx, i) })
	}
	wg.Wait()
}

func (c *Collections) client(ctx context.Context, id int) {
	s := &session{Workload: c.Workload, rng: rand.New(rand.NewPCG(c.Seed, uint64(1000+id))), id: id, node: id}
	s.connect()
	defer func() { s.client.Close() }()
	for n := 0; ctx.Err() == nil; n++ {
		switch {
		case id >= len(c.queues):
			c.jobs.take(s)
		case n%4 == 0:
			c.push(s, n)
		case n%8 == 1:
			c.jobs.offer(s, id*1_000_000+n)
		case n%8 == 3:
			c.wrong(s.pair())
		default:
			c.mixed(s)
		}
	}
}

func (c *Collections) wrong(err error) {
	if err != nil {
		c.tally.Lock()
		defer c.tally.Unlock()
		c.tally.wrong = append(c.tally.wrong, err)
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

// CheckQueues checks content for the numbers that were pushed: each that was acknowledged once and in order, none twice, and none that was refused. One
// of unknown outcome may have come late.
func (c *Collections) CheckQueues(content map[string]Entry) error {
	for id, q := range c.queues {
		var certain []int
		seen := map[int]bool{}
		for _, item := range strings.Fields(content[queueKey(id)].Value) {
			n, err := strconv.Atoi(strings.Trim(item, `"`))
			if err != nil {
				return fmt.Errorf("robustness: list %s: item %s", queueKey(id), item)
			}
			if seen[n] {
				return fmt.Errorf("robustness: list %s has %d twice", queueKey(id), n)
			}
			seen[n] = true
			if !slices.Contains(q.maybe, n) {
				certain = append(certain, n)
			}
		}
		if !slices.Equal(certain, q.pushed) {
			return fmt.Errorf("robustness: list %s has %d, and what was acknowledged are %d", queueKey(id), certain, q.pushed)
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
func (c *Collections) mixed(s *session) {
	ctx, cancel := context.WithTimeout(context.Background(), answerLimit)
	defer cancel()
	var sent []redis.Cmder
	var lines []string
	var err error
	if s.rng.IntN(5) > 0 {
		line, args := s.drawn()
		cmd := s.client.redis.Do(ctx, args...)
		err = cmd.Err()
		sent, lines = append(sent, cmd), append(lines, line)
	} else {
		_, err = s.client.redis.TxPipelined(ctx, func(p redis.Pipeliner) error {
			for range 2 + s.rng.IntN(3) {
				line, args := s.drawn()
				sent, lines = append(sent, p.Do(ctx, args...)), append(lines, line)
			}
			return nil
		})
	}
	c.count(sent, lines)
	if err != nil && replied(err) {
		err = nil
	}
	s.answered(err)
}

// count keeps account of what lines were answered.
func (c *Collections) count(sent []redis.Cmder, lines []string) {
	c.tally.Lock()
	defer c.tally.Unlock()
	for i, cmd := range sent {
		t := c.tally.lines[lines[i]]
		switch err := cmd.Err(); {
		case err == nil:
			t.succeeded++
		case replied(err):
			t.replied++
		default:
			t.failed++
			if strings.HasPrefix(err.Error(), "ERR ") || strings.HasPrefix(err.Error(), "EXECABORT") || strings.HasPrefix(err.Error(), "CROSSSLOT") {
				c.tally.wrong = append(c.tally.wrong, fmt.Errorf("robustness: %v: %w", cmd.Args(), err))
			}
		}
	}
}

// Check holds what clients know against content: queues, jobs and pairs. And it wants that each line was of use, and none met an error
// that no state explains.
func (c *Collections) Check(content map[string]Entry) error {
	errs := append([]error{c.CheckQueues(content), c.jobs.check(content), checkPairs(content)}, c.tally.wrong[:min(10, len(c.tally.wrong))]...)
	for line, t := range c.tally.lines {
		if t.succeeded == 0 {
			errs = append(errs, fmt.Errorf("robustness: %s never succeeded: %+v", line, *t))
		}
	}
	return errors.Join(errs...)
}

// Summary tells how much was done.
func (c *Collections) Summary() string {
	var all tally
	least, rare := "", 1<<30
	for line, t := range c.tally.lines {
		all.succeeded, all.replied, all.failed = all.succeeded+t.succeeded, all.replied+t.replied, all.failed+t.failed
		if t.succeeded < rare {
			least, rare = line, t.succeeded
		}
	}
	return fmt.Sprintf("%d lines on all types succeeded, %d were answered with nil or an error, %d weren't answered; the rarest success, %d times, is %s\njobs: %s", all.succeeded, all.replied, all.failed, rare, least, c.jobs)
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
func (s *session) drawn() (line string, args []any) {
	line = mixes[s.rng.IntN(len(mixes))]
	for i, word := range strings.Fields(line) {
		for strings.Contains(word, "%d") {
			word = strings.Replace(word, "%d", strconv.Itoa(s.rng.IntN(9)), 1)
		}
		if i > 0 && strings.Contains(word, "{c}") {
			word = s.client.prefix + "t:" + word
		}
		args = append(args, word)
	}
	return line, args
}
