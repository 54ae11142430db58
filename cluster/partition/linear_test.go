package partition

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/zankv/zankv/cluster/command"
)

// linearOp is one command on one key; its result is the reply, empty when nobody knows what became of it.
type linearOp struct{ command, key, value string }

const absent = ""

// linearModel is one key: a number or nothing.
var linearModel = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[string][]porcupine.Operation{}
		for _, op := range history {
			key := op.Input.(linearOp).key
			byKey[key] = append(byKey[key], op)
		}
		var all [][]porcupine.Operation
		for _, ops := range byKey {
			all = append(all, ops)
		}
		return all
	},
	Init: func() any { return absent },
	Step: func(state, input, output any) (bool, any) {
		reply, next := linearStep(state.(string), input.(linearOp))
		return output.(string) == "" || output.(string) == reply, next
	},
	Equal: func(a, b any) bool { return a == b },
	DescribeOperation: func(input, output any) string {
		op := input.(linearOp)
		return fmt.Sprintf("%s %s %s: %q", op.command, op.key, op.value, output)
	},
}

// linearStep is what a command replies, and leaves.
func linearStep(state string, op linearOp) (reply, next string) {
	switch op.command {
	case "get":
		if state == absent {
			return "$-1\r\n", state
		}
		return fmt.Sprintf("$%d\r\n%s\r\n", len(state), state), state
	case "set":
		return "+OK\r\n", op.value
	case "setnx":
		if state == absent {
			return ":1\r\n", op.value
		}
		return ":0\r\n", state
	case "del":
		if state == absent {
			return ":0\r\n", absent
		}
		return ":1\r\n", absent
	case "incr":
		n := 0
		if state != absent {
			_, _ = fmt.Sscan(state, &n)
		}
		return fmt.Sprintf(":%d\r\n", n+1), fmt.Sprint(n + 1)
	}
	panic(op.command)
}

// history gathers what clients did.
type history struct {
	sync.Mutex
	began      time.Time
	operations []porcupine.Operation
}

func (h *history) add(client int, op linearOp, called int64, reply string) {
	returned := int64(time.Since(h.began))
	if reply == "" { // it may happen at any time
		returned = math.MaxInt64
	}
	h.Lock()
	defer h.Unlock()
	h.operations = append(h.operations, porcupine.Operation{ClientId: client, Input: op, Call: called, Output: reply, Return: returned})
}

// client runs commands on whoever claims to lead, until stop.
func (c *cluster) client(h *history, number int, r *rand.Rand, stop chan struct{}) {
	for done := 0; done < 1500; {
		select {
		case <-stop:
			return
		default:
		}
		replica := c.members[r.IntN(len(c.members))].live.Load()
		if replica == nil || !replica.Leading() {
			c.pause(1)
			continue
		}
		op := linearOp{command: []string{"get", "get", "set", "incr", "del", "setnx"}[r.IntN(6)], key: fmt.Sprint("k", r.IntN(3))}
		args := []string{op.command, op.key}
		if op.command == "set" || op.command == "setnx" {
			op.value = fmt.Sprint(1000 * (1 + r.IntN(1000)))
			args = append(args, op.value)
		}
		req := request(args...)
		called := int64(time.Since(h.began))
		if op.command != "get" || r.IntN(2) == 0 || !replica.Read(req) {
			answer := make(chan struct{})
			replica.Submit([]*command.Request{req}, func() { close(answer) })
			select {
			case <-answer:
			case <-time.After(20 * time.Second):
				c.t.Errorf("client %d: %v got no answer within 20 s", number, args)
				return
			}
		}
		switch req.Outcome {
		case command.Answered:
			if reply := string(req.Reply.Buf); strings.HasPrefix(reply, "-") {
				c.t.Errorf("client %d: %v: %q", number, args, reply)
			} else {
				h.add(number, op, called, reply)
			}
			done++
		case command.Unknown:
			h.add(number, op, called, "")
			done++
		case command.Elsewhere: // it never happened: no part of the history
		default:
			c.t.Errorf("client %d: %v: outcome %d", number, args, req.Outcome)
		}
	}
}

// trouble does one thing that a cluster has to live through.
func (c *cluster) trouble(r *rand.Rand) string {
	m := c.members[r.IntN(len(c.members))]
	leader := c.leader()
	switch kind := r.IntN(7); kind {
	case 0, 1:
		leader.replica.Group().TransferLeadership(uint64(m.id))
		return fmt.Sprintf("transfer from %d to %d", leader.id, m.id)
	case 2:
		c.isolate(leader, true)
		c.pause(200 + r.IntN(400))
		c.isolate(leader, false)
		return fmt.Sprintf("leader %d cut off", leader.id)
	case 3: // it is heard, and hears nobody
		for _, other := range c.members {
			c.cut(other, leader, true)
		}
		c.pause(200 + r.IntN(400))
		c.isolate(leader, false)
		c.cut(leader, leader, false)
		return fmt.Sprintf("leader %d deaf", leader.id)
	case 4:
		c.cut(leader, m, true)
		c.pause(100 + r.IntN(300))
		c.cut(leader, m, false)
		return fmt.Sprintf("cut from %d to %d", leader.id, m.id)
	case 5:
		m.shutdown()
		m.start()
		return fmt.Sprintf("restart of %d", m.id)
	default:
		m.crash(func(n int) int { return r.IntN(n) })
		c.pause(r.IntN(100))
		m.start()
		return fmt.Sprintf("crash of %d", m.id)
	}
}

func (c *cluster) pause(ms int) { <-time.After(time.Duration(ms) * time.Millisecond) }

// Eight clients on three keys, while leaders change, nodes crash and the network is cut: one order of all commands explains all replies,
// and all replicas end up equal.
func TestLinearizable(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	c := newCluster(t, 3, func(o *Options) { o.ProposalTimeout = 300 * time.Millisecond })
	h := &history{began: time.Now()}
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() { c.client(h, i, rand.New(rand.NewPCG(seed, uint64(i))), stop) })
	}
	r := rand.New(rand.NewPCG(seed, 99))
	for until := time.Now().Add(6 * time.Second); time.Now().Before(until); {
		t.Logf("%5d ms: %s", time.Since(h.began).Milliseconds(), c.trouble(r))
		c.pause(r.IntN(200))
	}
	close(stop)
	clients.Wait()
	c.leader()
	c.equal()
	for _, m := range c.members {
		m.equalsItsLog()
	}
	unknown := 0
	for _, op := range h.operations {
		if op.Output == "" {
			unknown++
		}
	}
	t.Logf("%d operations, %d of them of unknown outcome", len(h.operations), unknown)
	if got := porcupine.CheckOperationsTimeout(linearModel, h.operations, 30*time.Second); got != porcupine.Ok {
		t.Errorf("not linearizable: %s", got)
	}
	if len(h.operations) < 200 {
		t.Errorf("only %d operations: nothing was tested", len(h.operations))
	}
}
