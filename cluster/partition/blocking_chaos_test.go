package partition

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zankv/zankv/cluster/command"
)

// ledger counts what became of items.
type ledger struct {
	sync.Mutex
	t       *testing.T
	pushed  map[string]command.Outcome
	popped  map[string]int
	unknown int // pops of which nobody knows what they took
	ends    map[string]int
}

func (g *ledger) push(item string, outcome command.Outcome) {
	g.Lock()
	defer g.Unlock()
	g.pushed[item] = outcome
}

// pop notes the answer to a blocking pop, and says whether it took something.
func (g *ledger) pop(req *command.Request) bool {
	g.Lock()
	defer g.Unlock()
	reply := string(req.Reply.Buf)
	switch {
	case req.Outcome == command.Unknown:
		g.unknown++
		g.ends["unknown"]++
	case req.Outcome == command.Elsewhere:
		g.ends["elsewhere"]++
	case reply == "*-1\r\n":
		g.ends["timeout"]++
	case reply == "-"+command.ErrUnblockedByForce+"\r\n", reply == "-"+command.ErrUnblocked+"\r\n":
		g.ends[reply[1:20]]++
	case strings.HasPrefix(reply, "*2\r\n"):
		g.popped[strings.Split(reply, "\r\n")[4]]++
		g.ends["served"]++
		return true
	default:
		g.t.Errorf("pop: outcome %d, %q", req.Outcome, reply)
	}
	return false
}

// settle checks that nothing was lost and nothing was popped twice.
func (g *ledger) settle() {
	lost := 0
	for item, outcome := range g.pushed {
		n := g.popped[item]
		switch {
		case n > 1:
			g.t.Errorf("%s was popped %d times", item, n)
		case n == 1 && outcome == command.Elsewhere:
			g.t.Errorf("%s was popped and never pushed", item)
		case n == 0 && outcome == command.Answered:
			lost++
		}
	}
	if lost > g.unknown {
		g.t.Errorf("%d items are lost, with %d pops of unknown outcome", lost, g.unknown)
	}
	g.t.Logf("%d pushed, %d popped, %d lost to unknown pops; %v", len(g.pushed), len(g.popped), lost, g.ends)
}

// someone submits a request to whoever claims to lead, and waits; false if nobody does.
func (c *cluster) someone(r *rand.Rand, req *command.Request, meanwhile func(*Replica)) bool {
	replica := c.members[r.IntN(len(c.members))].live.Load()
	if replica == nil || !replica.Leading() {
		c.pause(1)
		return false
	}
	done := make(chan struct{})
	replica.Submit([]*command.Request{req}, func() { close(done) })
	meanwhile(replica)
	select {
	case <-done:
		return true
	case <-time.After(20 * time.Second):
		c.t.Errorf("%s: no answer within 20 s", req.Spec.Name)
		return false
	}
}

// Producers push, consumers wait, some give up or are unblocked, while leaders change, nodes crash and the network is cut: no item is lost,
// and none is popped twice.
func TestBlockingPopsLoseNothing(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	c := newCluster(t, 3, func(o *Options) { o.ProposalTimeout = 300 * time.Millisecond })
	g := &ledger{t: t, pushed: map[string]command.Outcome{}, popped: map[string]int{}, ends: map[string]int{}}
	stop := make(chan struct{})
	stopped := func() bool {
		select {
		case <-stop:
			return true
		default:
			return false
		}
	}
	var clients sync.WaitGroup
	for i := range 3 {
		clients.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			for n := 0; !stopped(); n++ {
				item := fmt.Sprint("item", i, "-", n)
				req := listRequest(fmt.Sprint("push q", r.IntN(3), " ", item))
				if r.IntN(3) == 0 {
					req = exec("set x 1", fmt.Sprint("push q", r.IntN(3), " ", item))
				}
				if c.someone(r, req, func(*Replica) {}) {
					g.push(item, req.Outcome)
				}
				c.pause(r.IntN(3))
			}
		})
	}
	for i := range 8 {
		clients.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(100+i)))
			for !stopped() {
				a, b := r.IntN(3), r.IntN(3)
				req := listRequest(fmt.Sprint("pop q", a, " q", b, " ", 1+r.IntN(100)))
				c.someone(r, req, func(replica *Replica) {
					if r.IntN(4) == 0 {
						replica.Unblock(req, command.UnblockHow(1+r.IntN(3)))
					}
				})
				if req.Outcome != command.Pending {
					g.pop(req)
				}
			}
		})
	}
	clients.Go(func() { // moves items between lists others wait for
		r := rand.New(rand.NewPCG(seed, 200))
		for !stopped() {
			req := listRequest(fmt.Sprint("move q", r.IntN(3), " q", r.IntN(3), " 20"))
			c.someone(r, req, func(*Replica) {})
		}
	})
	r := rand.New(rand.NewPCG(seed, 99))
	for until := time.Now().Add(5 * time.Second); time.Now().Before(until); {
		t.Log(c.trouble(r))
		c.pause(r.IntN(200))
	}
	close(stop)
	clients.Wait()
	for took := true; took; {
		req := listRequest("pop q0 q1 q2 10")
		c.leader().submit(req)
		if took = req.Outcome != command.Answered || string(req.Reply.Buf) != "*-1\r\n"; took {
			g.pop(req)
		}
	}
	g.settle()
	c.leader().nothingLeft()
	c.equal()
	for _, m := range c.members {
		m.equalsItsLog()
	}
}
