package partition

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/zankv/zankv/cluster/command"
)

// Fifty connections, each with pipelines on a few keys: every lane is answered, and every increment counted once. (An open batch
// that the replica's goroutine had taken back was once taken for proposed: its lanes, and its keys, were lost.)
func TestLoadAnswersEveryLane(t *testing.T) {
	const lanes, rounds = 50, 60
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	c := newCluster(t, 3, nil)
	m := c.leader()
	var total [4]int
	var mu sync.Mutex
	var clients sync.WaitGroup
	for l := range lanes {
		clients.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(l)))
			for range rounds {
				var reqs []*command.Request
				var keys []int
				for range 1 + r.IntN(4) {
					key := r.IntN(len(total))
					keys = append(keys, key)
					reqs = append(reqs, request("incr", fmt.Sprint("n", key)), request("get", fmt.Sprint("own", l, r.IntN(3))))
				}
				done := m.pending(reqs...)
				answered(t, "a lane", done)
				mu.Lock()
				for i, key := range keys {
					if reqs[2*i].Outcome == command.Answered {
						total[key]++
					} else {
						t.Errorf("outcome %d under a leader that stays", reqs[2*i].Outcome)
					}
				}
				mu.Unlock()
			}
		})
	}
	clients.Wait()
	for key, n := range total {
		text := fmt.Sprint(n)
		if got, want := c.do("get", fmt.Sprint("n", key)), fmt.Sprintf("$%d\r\n%s\r\n", len(text), text); got != want {
			t.Errorf("n%d: %q, want %q", key, got, want)
		}
	}
	c.equal()
	must(t, m.replica.do(t.Context(), func() {
		r := m.replica
		if r.flights != 0 || r.flightBytes != 0 || len(r.inflight) != 0 || len(r.flight) != 0 || len(r.waiting) != 0 {
			t.Errorf("left over: %d flights of %d bytes, %d keys, %d batches, %d lanes", r.flights, r.flightBytes, len(r.inflight), len(r.flight), len(r.waiting))
		}
		if r.box.requests != 0 {
			t.Errorf("left over: %d requests in the mailbox's count", r.box.requests)
		}
	}))
}

// A turn may take the offered batch back more than once: when the loop hasn't taken it, it stays the open one.
func TestTakenBackTwice(t *testing.T) {
	c := newCluster(t, 1, nil)
	m := c.leader()
	c.do("set", "a", "1")
	m.stop()
	m.running.Wait() // nobody takes what is offered
	req := request("set", "a", "2")
	must(t, m.replica.do(t.Context(), func() {
		r := m.replica
		r.evaluateLanes([]*lane{{reqs: []*command.Request{req}}})
		offered := r.open
		r.takeBackOffer()
		r.takeBackOffer()
		if r.open == nil || r.open != offered || r.flights != 0 || len(r.offer.closed) != 0 {
			t.Errorf("open %p, want %p; %d flights, want 0", r.open, offered, r.flights)
		}
		r.offerBatch()
		if r.offer.open != offered {
			t.Errorf("offered %p, want %p", r.offer.open, offered)
		}
	}))
}
