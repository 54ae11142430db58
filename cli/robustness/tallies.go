package robustness

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Tallies is a workload of commands that aren't right when they happen twice, or not at all: what was acknowledged is kept count of, and the content has
// to have just that. What has no answer may have happened, once.
type Tallies struct {
	*Workload
	Clients int

	mu struct {
		sync.Mutex
		// counts are counters by what names them: a key, or a key and a field or member.
		counts map[string]*count
		// tokens are what was pushed to a list or appended to a string, by key.
		tokens map[string]*tokens
		// members are the sets' members that one client puts in and takes out, by key and member.
		members map[string]membership
	}
}

// count is how much was added for certain, and how much may have been besides.
type count struct{ sure, maybe int }

// tokens are those that are in for certain, and those that may be.
type tokens struct{ sure, maybe map[string]bool }

// membership is what a member's client knows of it.
type membership uint8

const (
	memberOut     membership = 0
	memberIn      membership = 1
	memberUnknown membership = 2
)

// NewTallies shares a workload's way to connect, and its account of commands and troubles.
func NewTallies(w *Workload, clients int) *Tallies {
	t := &Tallies{Workload: w, Clients: clients}
	t.mu.counts, t.mu.tokens, t.mu.members = map[string]*count{}, map[string]*tokens{}, map[string]membership{}
	return t
}

// Run runs the clients until ctx is done.
func (t *Tallies) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for i := range t.Clients {
		wg.Go(func() { t.client(ctx, i) })
	}
	wg.Wait()
}

func (t *Tallies) client(ctx context.Context, id int) {
	s := &session{Workload: t.Workload, rng: rand.New(rand.NewPCG(t.Seed, uint64(2000+id))), id: id, node: id}
	s.connect()
	defer func() { s.client.Close() }()
	for n := 0; ctx.Err() == nil; n++ {
		tallyOps[s.rng.IntN(len(tallyOps))](t, s, n)
	}
}

var tallyOps = []func(*Tallies, *session, int){
	(*Tallies).incr, (*Tallies).incr, (*Tallies).hincrby, (*Tallies).zincrby, (*Tallies).lpush, (*Tallies).appendTo, (*Tallies).member,
	(*Tallies).setWithTTL, (*Tallies).expiringCollection, (*Tallies).both, (*Tallies).remake,
}

const (
	tallyKeys = 12 // of each kind
	// tokenShare is how many tokens a list or string gets before another takes its place.
	tokenShare = 400
)

// do runs a command, and says whether it was done for certain, or may have been.
func (s *session) do(run func(ctx context.Context, c *redis.Client) error) (sure, maybe bool) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*answerLimit)
	defer cancel()
	err := run(ctx, s.client.redis)
	if err == nil || errors.Is(err, redis.Nil) {
		s.count()
		return true, false
	}
	_, refused := classify(err)
	s.moveOn(err)
	return false, refused == nil
}

// add runs a command that adds n to a counter.
func (t *Tallies) add(s *session, counters []string, n int, run func(ctx context.Context, c *redis.Client) error) {
	sure, maybe := s.do(run)
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, name := range counters {
		c := t.mu.counts[name]
		if c == nil {
			c = new(count)
			t.mu.counts[name] = c
		}
		if sure {
			c.sure += n
		} else if maybe {
			c.maybe += n
		}
	}
}

func (t *Tallies) incr(s *session, _ int) {
	key := fmt.Sprintf("ti:%d", s.rng.IntN(tallyKeys))
	by := 1 + s.rng.IntN(3)
	t.add(s, []string{key}, by, func(ctx context.Context, c *redis.Client) error { return c.IncrBy(ctx, key, int64(by)).Err() })
}

func (t *Tallies) hincrby(s *session, _ int) {
	key, field := fmt.Sprintf("th:%d", s.rng.IntN(tallyKeys)), fmt.Sprintf("f%d", s.rng.IntN(4))
	t.add(s, []string{Joined(key, field)}, 1, func(ctx context.Context, c *redis.Client) error { return c.HIncrBy(ctx, key, field, 1).Err() })
}

func (t *Tallies) zincrby(s *session, _ int) {
	key, member := fmt.Sprintf("tz:%d", s.rng.IntN(tallyKeys)), fmt.Sprintf("m%d", s.rng.IntN(4))
	t.add(s, []string{Joined(key, member)}, 1, func(ctx context.Context, c *redis.Client) error { return c.ZIncrBy(ctx, key, 1, member).Err() })
}

// both adds to two counters in a transaction.
func (t *Tallies) both(s *session, _ int) {
	tag := fmt.Sprintf("ti:{b%d}", s.rng.IntN(tallyKeys))
	t.add(s, []string{tag + "x", tag + "y"}, 1, func(ctx context.Context, c *redis.Client) error {
		_, err := c.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.Incr(ctx, tag+"x")
			p.Incr(ctx, tag+"y")
			return nil
		})
		return err
	})
}

// token hands one to a command that puts it into a key.
func (t *Tallies) token(s *session, kind string, n int, run func(ctx context.Context, c *redis.Client, key, token string) error) {
	shared := s.rng.IntN(4)
	token := fmt.Sprintf("<%d.%d>", s.id, n)
	key := fmt.Sprintf("%s:%d.%d", kind, shared, n/tokenShare)
	sure, maybe := s.do(func(ctx context.Context, c *redis.Client) error { return run(ctx, c, key, token) })
	t.mu.Lock()
	defer t.mu.Unlock()
	in := t.mu.tokens[key]
	if in == nil {
		in = &tokens{sure: map[string]bool{}, maybe: map[string]bool{}}
		t.mu.tokens[key] = in
	}
	if sure {
		in.sure[token] = true
	} else if maybe {
		in.maybe[token] = true
	}
}

func (t *Tallies) lpush(s *session, n int) {
	t.token(s, "tl", n, func(ctx context.Context, c *redis.Client, key, token string) error {
		if n%2 == 0 {
			return c.LPush(ctx, key, token).Err()
		}
		return c.RPush(ctx, key, token).Err()
	})
}

func (t *Tallies) appendTo(s *session, n int) {
	t.token(s, "ta", n, func(ctx context.Context, c *redis.Client, key, token string) error {
		return c.Append(ctx, key, token).Err()
	})
}

// member puts a member of the client's own into a set, or takes it out.
func (t *Tallies) member(s *session, _ int) {
	key, member := fmt.Sprintf("ts:%d", s.rng.IntN(tallyKeys)), fmt.Sprintf("%d.%d", s.id, s.rng.IntN(10))
	in := s.rng.IntN(3) > 0
	sure, maybe := s.do(func(ctx context.Context, c *redis.Client) error {
		if in {
			return c.SAdd(ctx, key, member).Err()
		}
		return c.SRem(ctx, key, member).Err()
	})
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case sure && in:
		t.mu.members[Joined(key, member)] = memberIn
	case sure:
		t.mu.members[Joined(key, member)] = memberOut
	case maybe:
		t.mu.members[Joined(key, member)] = memberUnknown
	}
}

// setWithTTL writes a key that expires: during the run, or long after it.
func (t *Tallies) setWithTTL(s *session, n int) {
	after := 30 * time.Minute
	if s.rng.IntN(2) == 0 {
		after = time.Duration(50+s.rng.IntN(1500)) * time.Millisecond
	}
	key := fmt.Sprintf("tx:%d", s.rng.IntN(50*tallyKeys))
	s.do(func(ctx context.Context, c *redis.Client) error { return c.Set(ctx, key, n, after).Err() })
}

// expiringCollection changes a collection that expires every now and then, and is made anew: nobody keeps count, both sides have to agree.
func (t *Tallies) expiringCollection(s *session, n int) {
	i := s.rng.IntN(tallyKeys)
	s.do(func(ctx context.Context, c *redis.Client) error {
		switch n % 6 {
		case 0:
			return c.PExpire(ctx, "te:h"+strconv.Itoa(i), time.Duration(20+s.rng.IntN(400))*time.Millisecond).Err()
		case 1:
			return c.PExpire(ctx, "te:l"+strconv.Itoa(i), time.Duration(20+s.rng.IntN(400))*time.Millisecond).Err()
		case 2:
			return c.HSet(ctx, "te:h"+strconv.Itoa(i), fmt.Sprintf("f%d", s.rng.IntN(9)), n).Err()
		case 3:
			return c.RPush(ctx, "te:l"+strconv.Itoa(i), n).Err()
		case 4:
			return c.Persist(ctx, "te:h"+strconv.Itoa(i)).Err()
		default:
			return c.LPop(ctx, "te:l"+strconv.Itoa(i)).Err()
		}
	})
}

// remake deletes keys, renames them, makes them anew as another type.
func (t *Tallies) remake(s *session, n int) {
	i := s.rng.IntN(tallyKeys)
	key, other := fmt.Sprintf("td:{%d}", i), fmt.Sprintf("td:{%d}2", i)
	s.do(func(ctx context.Context, c *redis.Client) error {
		switch s.rng.IntN(7) {
		case 0:
			return c.Del(ctx, key).Err()
		case 1:
			return replyOnly(c.Rename(ctx, key, other).Err())
		case 2:
			return replyOnly(c.SAdd(ctx, key, n, n+1).Err())
		case 3:
			return replyOnly(c.ZAdd(ctx, key, redis.Z{Score: float64(n), Member: n % 9}).Err())
		case 4:
			return c.Set(ctx, other, n, 0).Err()
		case 5:
			return replyOnly(c.HSet(ctx, key, "f", n).Err())
		default:
			return c.Expire(ctx, other, time.Hour).Err()
		}
	})
}

// replyOnly leaves out errors that are what Redis says of the state.
func replyOnly(err error) error {
	if err != nil && replied(err) {
		return nil
	}
	return err
}

// Check holds what was acknowledged against content.
func (t *Tallies) Check(content map[string]Entry) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	elements := map[string]map[string]string{}
	parts := func(key string) map[string]string {
		if elements[key] == nil {
			elements[key] = partsOf(content[key])
		}
		return elements[key]
	}
	var errs []error
	for name, want := range t.mu.counts {
		key, sub, inside := strings.Cut(name, "\x00")
		text := content[key].Value
		if inside {
			text = parts(key)[sub]
		}
		got, err := strconv.Atoi(text)
		if text != "" && err != nil || got < want.sure || got > want.sure+want.maybe {
			errs = append(errs, fmt.Errorf("robustness: %q is %q: %d were acknowledged, and %d aren't known", name, text, want.sure, want.maybe))
		}
	}
	for key, want := range t.mu.tokens {
		errs = append(errs, want.check(key, content[key]))
	}
	for name, want := range t.mu.members {
		key, member, _ := strings.Cut(name, "\x00")
		if _, in := parts(key)[member]; want != memberUnknown && in != (want == memberIn) {
			errs = append(errs, fmt.Errorf("robustness: set %s has member %s: %v, its client left it so: %v", key, member, in, want == memberIn))
		}
	}
	return errors.Join(errs...)
}

// check wants each token that is in for certain once, and no other but those that may be, once.
func (k *tokens) check(key string, e Entry) error {
	text := e.Value
	if e.Type == "list" {
		text = strings.Join(unquoted(e.Value), "")
	}
	seen := map[string]bool{}
	for _, token := range strings.SplitAfter(text, ">") {
		if token == "" {
			continue
		}
		if seen[token] {
			return fmt.Errorf("robustness: %s has %s twice", key, token)
		}
		if !k.sure[token] && !k.maybe[token] {
			return fmt.Errorf("robustness: %s has %s, which nobody wrote or which was refused", key, token)
		}
		seen[token] = true
	}
	for token := range k.sure {
		if !seen[token] {
			return fmt.Errorf("robustness: %s lacks %s, which was acknowledged", key, token)
		}
	}
	return nil
}

// unquoted are the elements of a collection as Collected writes them.
func unquoted(value string) (elements []string) {
	for value != "" {
		quoted, err := strconv.QuotedPrefix(value)
		if err != nil {
			return append(elements, value)
		}
		element, _ := strconv.Unquote(quoted)
		elements = append(elements, element)
		value = strings.TrimPrefix(value[len(quoted):], " ")
	}
	return elements
}

// partsOf are a collection's elements with what belongs to each.
func partsOf(e Entry) map[string]string {
	parts := map[string]string{}
	for _, element := range unquoted(e.Value) {
		name, value, _ := strings.Cut(element, "\x00")
		parts[name] = value
	}
	return parts
}

// Summary tells how much was done.
func (t *Tallies) Summary() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var sure, maybe int
	for _, c := range t.mu.counts {
		sure, maybe = sure+c.sure, maybe+c.maybe
	}
	for _, k := range t.mu.tokens {
		sure, maybe = sure+len(k.sure), maybe+len(k.maybe)
	}
	return fmt.Sprintf("%d commands answered; counters and tokens: %d acknowledged, %d unknown; what clients met:\n%s", t.acked.Load(), sure, maybe, t.Troubles())
}
