package partition

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/conflict"
)

// two are clusters of all types, with one clock.
func two(t *testing.T, sizeA, sizeB int, more ...func(*Options)) (a, b *cluster, la, lb *typesLoad) {
	clock, r := &manual{}, seeded(t)
	more = append(more, func(o *Options) { o.SinglePartition, o.HashTags = true, true })
	a, b = newCluster(t, sizeA, named("dc-a", clock, more...)), newCluster(t, sizeB, named("dc-b", clock, more...))
	return a, b, newTypesLoad(a, rand.New(rand.NewPCG(r.Uint64(), 1)), clock), newTypesLoad(b, rand.New(rand.NewPCG(r.Uint64(), 2)), clock)
}

// sameAs wants that two clusters have the same content.
func (c *cluster) sameAs(other *cluster) {
	c.t.Helper()
	of := ChecksumOf{}
	for _, m := range []*member{c.leader(), other.leader()} {
		st, _ := m.replica.State()
		of.Watermark, of.Wall = max(of.Watermark, st.Watermark), max(of.Wall, m.replica.opts.Clock().UnixMilli())
	}
	var sums [2]store.Checksum
	for i, m := range []*member{c.leader(), other.leader()} {
		sum, err := m.replica.ChecksumOf(c.t.Context(), of)
		must(c.t, err)
		sums[i] = sum
	}
	if sums[0].Total != sums[1].Total || sums[0].Keys != sums[1].Keys {
		c.t.Errorf("%d keys, %v and %d keys, %v", sums[0].Keys, sums[0].Total, sums[1].Keys, sums[1].Total)
		for _, key := range typeKeys {
			if x, y := c.do("dump", key), other.do("dump", key); x != y {
				c.t.Logf("%q: %q, %q", key, x, y)
			}
		}
	}
}

// owner is one of several who carry the same stream at once, and who send what they like: from the place, from before, from beyond, in pieces.
func (s *stream) owner(r *rand.Rand, stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		m := s.to.members[r.IntN(len(s.to.members))]
		ctx, cancel := context.WithTimeout(s.t.Context(), time.Duration(1+r.IntN(400))*time.Millisecond)
		if live := m.live.Load(); live != nil && live.Leading() {
			s.sendAny(ctx, live, r)
		} else {
			s.to.pause(1)
		}
		cancel()
	}
}

func (s *stream) sendAny(ctx context.Context, replica *Replica, r *rand.Rand) {
	p, err := replica.OpenSender(ctx, s.id, 1, "crc16")
	if err != nil {
		return
	}
	from := p.Sender.Reached
	if r.IntN(4) == 0 {
		from = store.Cursor{Position: event.Position{Term: from.Position.Term, Index: max(1, from.Position.Index-min(from.Position.Index, uint64(r.IntN(20))))}, Done: store.AllDone}
	}
	rng := s.cutToDecided(s.rangeFrom(from))
	if len(rng.Slices) > 1 && r.IntN(2) == 0 { // some of it, perhaps up to the middle of an event
		rng.Slices = rng.Slices[:1+r.IntN(len(rng.Slices)-1)]
		last := &rng.Slices[len(rng.Slices)-1]
		rng.To, rng.Time = store.Cursor{Position: last.Position, Done: store.AllDone}, 0
		if n := len(last.Numbers); n > 1 && r.IntN(2) == 0 {
			n = 1 + r.IntN(n-1)
			rng.To.Done, last.Event.Mutations, last.Numbers = last.Numbers[n-1]+1, last.Event.Mutations[:n], last.Numbers[:n]
		}
	}
	if len(rng.Slices) > 1 && r.IntN(8) == 0 { // the beginning lost
		rng.From = store.Cursor{Position: rng.Slices[0].Position, Done: store.AllDone}
		rng.Slices = rng.Slices[1:]
	}
	_, err = replica.Replay(ctx, rng)
	var why *ReplayError
	switch {
	case errors.As(err, &why) && why.Refusal == RefusedGap:
	case err != nil && !errors.Is(err, ErrNotLeader) && !errors.Is(err, ErrUnknownOutcome) && !errors.Is(err, ErrClosed):
		s.t.Errorf("%s to %s: %v", rng.From, rng.To, err)
	}
}

// Everything that one cluster's clients do is in the other exactly once, whatever happens to that one's replicas and however many send it.
func TestReplayExactlyOnce(t *testing.T) {
	a, b, load, _ := two(t, 1, 3, func(o *Options) { o.ProposalTimeout = 300 * time.Millisecond })
	s := a.flows(b)
	stop := make(chan struct{})
	var owners sync.WaitGroup
	for i := range 2 {
		r := rand.New(rand.NewPCG(load.r.Uint64(), uint64(i)))
		owners.Go(func() { s.owner(r, stop) })
	}
	var written sync.WaitGroup
	written.Go(func() {
		for i := range 400 {
			a.do("incr", "count")
			a.do("rpush", "items", fmt.Sprint(i))
			load.run(2)
		}
	})
	r := rand.New(rand.NewPCG(load.r.Uint64(), 99))
	for until := time.Now().Add(6 * time.Second); time.Now().Before(until); b.pause(r.IntN(200)) {
		t.Log(b.trouble(r))
	}
	written.Wait()
	close(stop)
	owners.Wait()
	s.catchUp()
	expect(t, "count", b.do("get", "count"), a.do("get", "count"))
	expect(t, "items", b.do("lrange", "items", "0", "-1"), a.do("lrange", "items", "0", "-1"))
	a.sameAs(b)
	b.equal()
	b.agreeOnRows()
	records, diverged := b.leader().conflictRows()
	if len(records)+len(diverged) > 0 {
		t.Errorf("%d conflicts, %d keys have diverged, and nobody else wrote; the first: %+v", len(records), len(diverged), records[0])
	}
	want := s.place()
	b.restart()
	if at := s.place(); !reflect.DeepEqual(at, want) {
		t.Errorf("after a restart of all it stands at %+v, want %+v", at, want)
	}
	b.agreeOnRows()
	a.sameAs(b)
}

// restart ends all replicas, and starts them again.
func (c *cluster) restart() {
	for _, m := range c.members {
		m.shutdown()
	}
	for _, m := range c.members {
		m.start()
	}
	c.leader()
}

// writer writes to the keys of a load, to whoever is there.
func (c *cluster) writer(l *typesLoad, stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		live := c.members[l.r.IntN(len(c.members))].live.Load()
		if live == nil || !live.Leading() {
			c.pause(1)
			continue
		}
		_, words := l.next()
		done := make(chan struct{})
		live.Submit([]*command.Request{request(words...)}, func() { close(done) })
		answered(c.t, "a write", done)
	}
}

// Both clusters write while one has every kind of trouble: its replicas have the same of everything, what is counted is there, and where the two differ it is said.
func TestReplayConflictsInTrouble(t *testing.T) {
	a, b, la, lb := two(t, 1, 3, func(o *Options) { o.ProposalTimeout = 300 * time.Millisecond })
	there, back := a.flows(b), b.flows(a)
	a.do("set", typeKeys[0], "one") // however little comes to pass later
	b.do("set", typeKeys[0], "other")
	stop := make(chan struct{})
	var running sync.WaitGroup
	r := rand.New(rand.NewPCG(la.r.Uint64(), 0))
	running.Go(func() { there.owner(r, stop) })
	running.Go(func() { b.writer(lb, stop) })
	running.Go(func() {
		for range 60 {
			la.run(5)
		}
	})
	trouble := rand.New(rand.NewPCG(la.r.Uint64(), 99))
	for until := time.Now().Add(4 * time.Second); time.Now().Before(until); b.pause(trouble.IntN(200)) {
		t.Log(b.trouble(trouble))
	}
	close(stop)
	running.Wait()
	for range 2 {
		there.catchUp()
		back.catchUp()
	}
	for _, c := range []*cluster{a, b} {
		c.equal()
		c.agreeOnRows()
		if records, _ := c.leader().conflictRows(); len(records) == 0 {
			t.Errorf("no conflicts")
		}
	}
	a.differsOnlyWhereItSays(b)
}

// apart has a load's lines each be about the keys of its own family: no key changes its type but by being removed.
func (l *typesLoad) apart(families ...string) {
	all := l.lines
	l.lines = nil
	for _, line := range all {
		if slices.Contains(families, line.family) {
			for _, key := range mostly[line.family] {
				l.lines = append(l.lines, typeLine{family: line.family, text: strings.ReplaceAll(line.text, "%k", key)})
			}
		}
	}
	for _, text := range []string{"del %k", "expire %k 60", "pexpire %k %r", "persist %k", "pexpireat %k 1"} {
		for _, family := range families {
			l.lines = append(l.lines, typeLine{family: family, text: text})
		}
	}
}

// Both clusters write the same keys, and each gets the other's changes: when all is quiet those types are the same for which the policy has the later
// version stand, whatever happened, and of the others each key that differs is recorded as diverged. Every replica has the same conflicts.
func TestReplayBothWays(t *testing.T) {
	for name, c := range map[string]struct {
		policy conflict.Policy
		apart  []string // these converge
	}{
		"all types":              {conflict.PolicyDefault, nil},
		"all types, by elements": {conflict.PolicyElement, nil},
		"what converges":         {conflict.PolicyDefault, []string{"strings", "hashes"}},
		"elements converge":      {conflict.PolicyElement, []string{"strings", "hashes", "sets", "sorted sets"}},
	} {
		t.Run(name, func(t *testing.T) {
			a, b, la, lb := two(t, 3, 3, func(o *Options) { o.Replication.Policy = c.policy })
			if c.apart != nil {
				la.apart(c.apart...)
				lb.apart(c.apart...)
			}
			there, back := a.flows(b), b.flows(a)
			for round := range 12 {
				var both sync.WaitGroup
				both.Go(func() { la.run(10) })
				both.Go(func() { lb.run(10) })
				both.Wait()
				if round%3 != 0 {
					there.catchUp()
				}
				back.catchUp()
				if round%4 == 0 {
					b.transfer(b.members[int(b.leader().id)%3])
				}
				if round == 6 {
					b.restart()
				}
			}
			for range 3 {
				there.catchUp()
				back.catchUp()
			}
			for _, c := range []*cluster{a, b} {
				c.equal()
				c.agreeOnRows()
				if records, _ := c.leader().conflictRows(); len(records) == 0 {
					t.Errorf("no conflicts")
				}
			}
			a.differsOnlyWhereItSays(b)
			if c.apart != nil {
				a.sameAs(b)
			}
		})
	}
}

// differsOnlyWhereItSays wants that each key that isn't the same in both is recorded as diverged in one of them.
func (c *cluster) differsOnlyWhereItSays(other *cluster) {
	c.t.Helper()
	diverged := map[string]bool{}
	for _, m := range []*member{c.leader(), other.leader()} {
		_, open := m.conflictRows()
		for _, d := range open {
			diverged[string(d.Key)] = true
		}
	}
	for _, key := range typeKeys {
		if x, y := c.do("dump", key), other.do("dump", key); x != y && !diverged[key] {
			c.t.Errorf("%q differs, and no record says so: %q, %q", key, x, y)
		}
	}
	c.t.Logf("diverged: %v", diverged)
}
