package multiraft

import (
	"math/rand/v2"
	"testing"
	"time"

	"go.etcd.io/etcd/raft/v3/quorum"
)

func config(in, out []uint64) (c quorum.JointConfig) {
	for i, ids := range [][]uint64{in, out} {
		if len(ids) > 0 {
			c[i] = quorum.MajorityConfig{}
			for _, id := range ids {
				c[i][id] = struct{}{}
			}
		}
	}
	return c
}

func TestQuorumTime(t *testing.T) {
	for name, test := range map[string]struct {
		in, out []uint64
		acks    map[uint64]int64
		want    int64
	}{
		"nobody answered":                      {in: []uint64{1, 2, 3}, want: 0},
		"alone of three":                       {in: []uint64{1, 2, 3}, acks: map[uint64]int64{1: 50}, want: 0},
		"alone of one":                         {in: []uint64{1}, acks: map[uint64]int64{1: 50}, want: 50},
		"two of three":                         {in: []uint64{1, 2, 3}, acks: map[uint64]int64{1: 50, 3: 20}, want: 20},
		"all of three: the second counts":      {in: []uint64{1, 2, 3}, acks: map[uint64]int64{1: 50, 2: 30, 3: 20}, want: 30},
		"four need three":                      {in: []uint64{1, 2, 3, 4}, acks: map[uint64]int64{1: 50, 2: 40, 3: 30, 4: 20}, want: 30},
		"a learner's answer counts nothing":    {in: []uint64{1, 2, 3}, acks: map[uint64]int64{1: 50, 9: 40}, want: 0},
		"joint: the older majority counts":     {in: []uint64{1, 2, 3}, out: []uint64{1, 4, 5}, acks: map[uint64]int64{1: 50, 2: 40, 4: 10}, want: 10},
		"joint: one half alone isn't enough":   {in: []uint64{1, 2, 3}, out: []uint64{4, 5, 6}, acks: map[uint64]int64{1: 50, 2: 40, 3: 30, 4: 20}, want: 0},
		"joint, leader only in the old half":   {in: []uint64{2, 3, 4}, out: []uint64{1, 2, 3}, acks: map[uint64]int64{1: 50, 2: 40, 3: 30}, want: 30},
		"equal times are one":                  {in: []uint64{1, 2, 3}, acks: map[uint64]int64{1: 50, 2: 50}, want: 50},
		"five need three, whoever they may be": {in: []uint64{1, 2, 3, 4, 5}, acks: map[uint64]int64{1: 50, 4: 10, 5: 20}, want: 10},
	} {
		t.Run(name, func(t *testing.T) {
			if got := quorumTime(test.acks, config(test.in, test.out)); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}

// quorumTime against its definition, counted out.
func TestQuorumTimeByCounting(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 3000 {
		var halves [2][]uint64
		for id := uint64(1); id <= 6; id++ {
			for h := range halves {
				if r.IntN(2) == 0 {
					halves[h] = append(halves[h], id)
				}
			}
		}
		if len(halves[0]) == 0 {
			continue
		}
		acks := map[uint64]int64{}
		for id := uint64(1); id <= 6; id++ {
			if at := int64(r.IntN(5)); at > 0 {
				acks[id] = at
			}
		}
		want := int64(0)
		for at := int64(1); at < 5; at++ {
			ok := true
			for _, half := range halves {
				votes := 0
				for _, id := range half {
					if acks[id] >= at {
						votes++
					}
				}
				ok = ok && (len(half) == 0 || votes > len(half)/2)
			}
			if ok {
				want = at
			}
		}
		if got := quorumTime(acks, config(halves[0], halves[1])); got != want {
			t.Fatalf("voters %v, answers %v: %d, want %d", halves, acks, got, want)
		}
	}
}

func newLease() *lease {
	return &lease{duration: int64(time.Hour), acks: map[uint64]int64{}, pending: map[uint64]bool{}}
}

var three = config([]uint64{1, 2, 3}, nil)

func TestLeaseNeedsAQuorumOfAnswers(t *testing.T) {
	l := newLease()
	if l.valid(5) {
		t.Error("a lease that nobody gave")
	}
	sent := monotonic()
	l.answered(5, 1, 2, sent, three)
	if !l.valid(5) {
		t.Error("a quorum answered, and there is no lease")
	}
	if l.valid(4) || l.valid(6) {
		t.Error("a lease of one term is taken for another's")
	}
	if got := l.current.Load().until; got != sent+l.duration {
		t.Errorf("it ends at %d, want %d: counted from when the heartbeat was sent", got, sent+l.duration)
	}
	l.answered(5, 1, 2, sent-1000, three)
	if got := l.current.Load().until; got != sent+l.duration {
		t.Errorf("it ends at %d after a late answer, want %d", got, sent+l.duration)
	}
	l.drop()
	if l.valid(5) {
		t.Error("a lease that was dropped")
	}
	l.answered(6, 1, 9, monotonic(), three)
	if l.valid(6) {
		t.Error("a lease by the answer of somebody who doesn't vote")
	}
}

// A lease of an earlier term doesn't hold up that of a later one, however long it would have been.
func TestLeaseOfALaterTerm(t *testing.T) {
	l := newLease()
	l.answered(5, 1, 2, monotonic(), three)
	l.duration = int64(time.Minute)
	clear(l.acks)
	l.answered(6, 1, 2, monotonic(), three)
	if !l.valid(6) || l.valid(5) {
		t.Errorf("lease of term %d, want 6", l.current.Load().term)
	}
}

func TestLeaseEnds(t *testing.T) {
	l := newLease()
	l.duration = 1
	l.answered(5, 1, 2, monotonic()-10, three)
	if l.valid(5) {
		t.Error("a lease whose time is over")
	}
}

// No lease while a transfer is under way, and none after it until everybody who was asked to take over has answered a heartbeat sent later.
func TestTransferBlocksTheLease(t *testing.T) {
	l := newLease()
	l.answered(5, 1, 2, monotonic(), three)
	l.block(2)
	check := func(want bool, what string) {
		t.Helper()
		if l.valid(5) != want {
			t.Errorf("%s: a lease is %v, want %v", what, l.valid(5), want)
		}
	}
	check(false, "asked 2 to take over")
	l.answered(5, 1, 3, monotonic(), three)
	check(false, "3 answers during the transfer")
	before := monotonic()
	l.answered(5, 1, 2, before, three)
	check(false, "2 answers during the transfer")
	l.block(3)
	l.unblock()
	l.answered(5, 1, 2, before, three)
	check(false, "2 answers what was sent during the transfer")
	l.answered(5, 1, 3, monotonic(), three)
	check(false, "3 answers after it: 2 may still take over")
	l.answered(5, 1, 2, monotonic(), three)
	check(true, "both have answered")
	l.block(2)
	l.drop()
	l.answered(6, 1, 3, monotonic(), three)
	if !l.valid(6) {
		t.Error("a transfer of an earlier term holds up the lease of a later one")
	}
}

func TestHeartbeatContext(t *testing.T) {
	c := heartbeatContext(77, 8)
	if sent, ok := sentAt(c); !ok || sent != 77 {
		t.Errorf("sent at %d (%v), want 77", sent, ok)
	}
	other := heartbeatContext(77, 8)
	other[0]++
	for _, c := range [][]byte{nil, c[:23], append(c, 0), other} {
		if sent, ok := sentAt(c); ok {
			t.Errorf("% x is taken for a context of this process, sent at %d", c, sent)
		}
	}
}

func TestLeaseDuration(t *testing.T) {
	if got, most := leaseDuration(100*time.Millisecond, 10), int64(800*time.Millisecond)*9/10; got != most {
		t.Errorf("%d, want %d: eight ticks, less a tenth", got, most)
	}
}
