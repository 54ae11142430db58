package robustness

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cli/internal/processes"
	"github.com/zankv/zankv/cluster/datanode/config"
)

// smallLog is a log that soon goes on without those who don't read it.
func smallLog(int) processes.Configure {
	return func(_ int, c *config.Config) {
		c.WALRetainBytes, c.WALRetainSeconds, c.WALConsumerBytes = 64<<10, 1, 1<<20
		c.WALMaxDiskBytes = 192 << 20
		c.RocksDB.WriteBufferSize = 1 << 20
	}
}

// A target that was away for longer than the log goes back gets the state as it is: what was deleted meanwhile goes, what it alone wrote stays and is
// reported; and a full sync whose syncers are killed goes on where it was.
func TestFullSyncAfterPlaceLost(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), inAll)
	defer cancel()
	shared := Shared{Name: "shared", Partitions: [2]int{2, 3}}
	p := startPair(t, ctx, PairOptions{Nodes: 1, Replicas: 1, Shared: []Shared{shared}, Configure: smallLog})
	a, b := boundTo(p.Clusters[0], shared.Name)(0, 0), boundTo(p.Clusters[1], shared.Name)(0, 0)
	defer a.Close()
	defer b.Close()
	s := &away{Pair: p, shared: shared, a: a.redis, b: b.redis}
	if err := errors.Join(s.before(ctx), p.Carry(0)); err != nil {
		t.Fatal(err)
	}
	if _, err := p.AwaitEqual(ctx, shared); err != nil {
		t.Fatalf("first: %v\n%s", errors.Join(err, p.differences(ctx)), p.Logs())
	}
	p.StopCarrying(0)
	if err := errors.Join(s.meanwhile(ctx), s.losePlace(ctx)); err != nil {
		t.Fatal(err)
	}
	if err := p.Carry(0, "--bandwidth", slowSync, "--redefine"); err != nil {
		t.Fatal(err)
	}
	halfway, err := s.syncing(ctx)
	if err != nil {
		t.Fatalf("%v\n%s", err, p.Logs())
	}
	p.StopCarrying(0)
	if err := p.Carry(0, "--redefine"); err != nil {
		t.Fatal(err)
	}
	if err := s.goesOn(ctx, halfway); err != nil {
		t.Errorf("%v\n%s", err, p.Logs())
	}
	if _, err := p.AwaitCarried(ctx, shared, 0); err != nil {
		t.Fatalf("%v\n%s", err, p.Logs())
	}
	s.check(t, ctx)
}

// slowSync is the bandwidth at which a full sync of what away writes takes some seconds.
const slowSync = "1MiB"

// away is a target that is away for a time.
type away struct {
	*Pair
	shared Shared
	a, b   *redis.Client
}

// awayKeys is how many keys of each kind there are.
const awayKeys = 60

// large is a value that isn't made smaller by compressing it.
func large(size int) string {
	b := make([]byte, size)
	for i := range b {
		b[i] = 'a' + byte(rand.IntN(26))
	}
	return string(b)
}

func (s *away) before(ctx context.Context) error {
	var errs []error
	for i := range awayKeys {
		errs = append(errs, s.a.Set(ctx, fmt.Sprintf("stays:%d", i), large(20<<10), 0).Err(), s.a.Set(ctx, fmt.Sprintf("goes:%d", i), i, 0).Err(),
			s.a.HSet(ctx, fmt.Sprintf("shrinks:%d", i), "a", i, "b", i).Err(), s.a.RPush(ctx, fmt.Sprintf("list:%d", i), 1, 2, 3).Err(),
			s.a.Set(ctx, fmt.Sprintf("both:%d", i), "a", 0).Err())
	}
	return errors.Join(errs...)
}

// meanwhile is what is written while nothing is carried: deletes and changes in A, and writes of B alone.
func (s *away) meanwhile(ctx context.Context) error {
	var errs []error
	for i := range awayKeys {
		errs = append(errs, s.a.Del(ctx, fmt.Sprintf("goes:%d", i)).Err(), s.a.HDel(ctx, fmt.Sprintf("shrinks:%d", i), "a").Err(),
			s.a.LPop(ctx, fmt.Sprintf("list:%d", i)).Err(), s.a.Set(ctx, fmt.Sprintf("new:%d", i), i, 0).Err(),
			s.a.Set(ctx, fmt.Sprintf("both:%d", i), "later in a", 0).Err(),
			s.b.Set(ctx, fmt.Sprintf("bonly:%d", i), i, 0).Err(), s.b.Set(ctx, fmt.Sprintf("both:%d", i), "latest in b", 0).Err())
	}
	return errors.Join(errs...)
}

// losePlace writes until A's log no longer has what B lacks.
func (s *away) losePlace(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	places, err := reachedPlaces(ctx, s.Clusters[1], s.shared, s.Clusters[0].ClusterID)
	if err != nil {
		return err
	}
	value := large(256 << 10)
	return Until(ctx, func(ctx context.Context) error {
		for i := range 20 {
			if err := s.a.Set(ctx, fmt.Sprintf("fill:%d", i), value, 0).Err(); err != nil {
				return err
			}
		}
		for from := range s.shared.Partitions[0] {
			first, err := firstIndex(ctx, s.Clusters[0].Nodes[0], s.shared.Name, from)
			if err != nil {
				return err
			}
			for to := range places {
				if at, has := places[to][from]; has && first <= at.position.Index+1 {
					return fmt.Errorf("robustness: the log of partition %d begins at %d, the place is %d", from, first, at.position.Index)
				}
			}
		}
		return nil
	})
}

// syncing returns, when a full sync has come on in some partition of B, up to which key it has in each.
func (s *away) syncing(ctx context.Context) (through map[string][]byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return through, Until(ctx, func(ctx context.Context) error {
		if through, err = s.through(ctx); err == nil && len(through) == 0 {
			err = errors.New("robustness: no full sync has come on")
		}
		return err
	})
}

// through is, of each full sync that is under way in a partition and has something, up to which key it has all.
func (s *away) through(ctx context.Context) (map[string][]byte, error) {
	all := map[string][]byte{}
	for n := range s.shared.Partitions[1] {
		places, err := leaderPlaces(ctx, s.Clusters[1], s.shared.Name, n)
		if err != nil {
			return nil, err
		}
		for _, p := range places.Senders {
			if p.Base != nil && len(p.Through) > 0 {
				all[fmt.Sprintf("%d of %d", p.Sender.Partition, n)] = p.Through
			}
		}
	}
	return all, nil
}

// goesOn watches the full syncs to their end: none may begin anew.
func (s *away) goesOn(ctx context.Context, before map[string][]byte) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var back error
	err := Until(ctx, func(ctx context.Context) error {
		now, err := s.through(ctx)
		if err != nil {
			return err
		}
		for name, key := range now {
			if was, ok := before[name]; ok && bytes.Compare(key, was) < 0 {
				back = fmt.Errorf("robustness: full sync of %s was at key %q, and is at %q", name, was, key)
			}
			before[name] = key
		}
		_, err = reachedPlaces(ctx, s.Clusters[1], s.shared, s.Clusters[0].ClusterID)
		if err == nil && len(now) > 0 {
			err = fmt.Errorf("robustness: full syncs at %q", now)
		}
		return err
	})
	return errors.Join(back, err)
}

func (s *away) check(t *testing.T, ctx context.Context) {
	t.Helper()
	var contents [2]map[string]Entry
	for i, c := range s.Clusters {
		var err error
		if contents[i], err = ReadStore(ctx, c.Nodes[0].Bound(s.shared.Name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range differing(contents, time.Now()) {
		if !strings.HasPrefix(key, "bonly:") && !strings.HasPrefix(key, "both:") {
			t.Errorf("%s: A has %.80v, B has %.80v", key, contents[0][key], contents[1][key])
		}
	}
	log, err := s.ReadConflicts(ctx, s.shared.Name)
	if err != nil {
		t.Error(err)
	}
	for i := range awayKeys {
		only, both := fmt.Sprintf("bonly:%d", i), fmt.Sprintf("both:%d", i)
		if contents[1][only].Value != fmt.Sprint(i) || contents[1][both].Value != "latest in b" {
			t.Errorf("B has %s = %q, %s = %q: its own writes don't stay", only, contents[1][only].Value, both, contents[1][both].Value)
		}
		for _, key := range []string{only, both} {
			if len(log.Sides[register{key: key}]) == 0 {
				t.Errorf("%s isn't reported", key)
			}
		}
	}
	t.Logf("%d keys in A, %d in B; rows: %v", len(contents[0]), len(contents[1]), log.Rows)
}

// An older write from elsewhere never revives a deleted key, and a clock that is too far ahead stops the syncer instead of dragging the target's.
func TestClockGuard(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), inAll)
	defer cancel()
	shared := Shared{Name: "shared", Partitions: [2]int{1, 1}}
	p := startPair(t, ctx, PairOptions{Nodes: 1, Replicas: 1, Shared: []Shared{shared}, Configure: wholeLog, Env: func(cluster, _ int) []string {
		if cluster == 0 {
			return []string{"ZANKV_CLOCK_OFFSET=" + clockOff.String()}
		}
		return nil
	}})
	a, b := boundTo(p.Clusters[0], shared.Name)(0, 0), boundTo(p.Clusters[1], shared.Name)(0, 0)
	defer a.Close()
	defer b.Close()
	if err := errors.Join(p.Adopt(ctx, 0), p.Carry(0), a.redis.Set(ctx, "ahead", 1, 0).Err()); err != nil {
		t.Fatal(err)
	}
	if err := p.awaitTrouble(ctx, shared, "clock-offset"); err != nil {
		t.Fatalf("%v\n%s", err, p.Logs())
	}
	if err := b.redis.Set(ctx, "here", 1, 0).Err(); err != nil {
		t.Fatal(err)
	}
	err := ReadFeed(ctx, p.Clusters[1], shared.Name, 0, func(l *event.Line, _ event.Names) error {
		if off := time.Until(time.Unix(0, l.Mutation.Version.Time)); string(l.Mutation.Key) != "here" || off > clockOff/2 {
			t.Errorf("B has %s at %v from now: wants nothing of A, and its own clock as it was", l.Mutation.Key, off)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	n := p.Clusters[1].Nodes[0]
	n.Kill()
	n.Config.MaxClockOffset = int64(2 * clockOff / time.Second)
	if err := errors.Join(n.WriteConfig(), (&Faults{Cluster: p.Clusters[1]}).restart(ctx, n)); err != nil {
		t.Fatal(err)
	}
	if _, err := p.AwaitCarried(ctx, shared, 0); err != nil {
		t.Errorf("with a larger max_clock_offset: %v\n%s", err, p.Logs())
	}
}

var hashMiB = flag.Int("hash-mib", 48, "how large the hash of TestLargeHash is; for a run as it should be: 256")

// maxLag is how late a key may be, in the worst case, while a large hash is on its way, on a busy machine under the race detector.
const maxLag = 5 * time.Second

// One large hash doesn't hold up other keys: neither those of other partitions while it comes with a full sync, nor any while it is written.
//
// It measures time, so that no other test of the package runs beside it.
func TestLargeHash(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), inAll)
	defer cancel()
	shared := Shared{Name: "shared", Partitions: [2]int{2, 2}}
	p := startPair(t, ctx, PairOptions{Nodes: 1, Replicas: 1, Shared: []Shared{shared}})
	at := int(slotOfKey([]byte("large"))) * shared.Partitions[0] / slots
	if err := errors.Join(writeHash(ctx, p, shared, "large"), p.Carry(0)); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	first, err := p.AwaitCarried(ctx, shared, 0, 1-at)
	if err != nil {
		t.Fatalf("%v\n%s", err, p.Logs())
	}
	l := startLag(ctx, p, shared, 1-at)
	_, err = p.AwaitCarried(ctx, shared, 0)
	l.wants(t, "while it came with a full sync: keys of another partition", err)
	t.Logf("the other partition's first key came after %v, all after %v", first.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	l = startLag(ctx, p, shared, 0, 1)
	err = writeHash(ctx, p, shared, "{large}2")
	l.wants(t, "while it was written: other keys", err)
	if _, err := p.AwaitEqual(ctx, shared); err != nil {
		t.Errorf("%v\n%s", err, p.Logs())
	}
}

// writeHash writes a hash by many commands.
func writeHash(ctx context.Context, p *Pair, s Shared, key string) error {
	a := boundTo(p.Clusters[0], s.Name)(0, 0)
	defer a.Close()
	const each = 64 << 10
	value := large(each)
	for i := range *hashMiB << 20 / each / 8 {
		var fields []any
		for j := range 8 {
			fields = append(fields, fmt.Sprintf("f%d.%d", i, j), value)
		}
		if err := a.redis.HSet(ctx, key, fields...).Err(); err != nil {
			return err
		}
	}
	return nil
}

// lag writes a small key into partitions of A again and again, and sees how late it is in B.
type lag struct {
	stop  context.CancelFunc
	ended chan struct{}
	worst time.Duration
	count int
	err   error
}

func startLag(ctx context.Context, p *Pair, s Shared, partitions ...int) *lag {
	running, stop := context.WithCancel(ctx)
	l := &lag{stop: stop, ended: make(chan struct{})}
	go func() {
		defer close(l.ended)
		for running.Err() == nil && l.err == nil {
			late, err := p.AwaitCarried(ctx, s, 0, partitions...)
			l.worst, l.err = max(l.worst, late), err
			l.count++
		}
	}()
	return l
}

// wants ends it, when what went on beside it has ended with err.
func (l *lag) wants(t *testing.T, what string, err error) {
	t.Helper()
	l.stop()
	<-l.ended
	if err := errors.Join(err, l.err); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %d times, %v late at most", what, l.count, l.worst.Round(time.Millisecond))
	if l.worst > maxLag {
		t.Errorf("%s were %v late, want %v at most", what, l.worst, maxLag)
	}
}
