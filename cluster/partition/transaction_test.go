package partition

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
)

// exec makes a transaction of command lines.
func exec(lines ...string) *command.Request {
	r := &command.Request{Spec: command.Exec, Args: [][]byte{[]byte("EXEC")}}
	for _, line := range lines {
		q := listRequest(line)
		r.Queue = append(r.Queue, command.Queued{Spec: q.Spec, Args: q.Args})
	}
	return r
}

// watch asks the leader for the tokens of keys.
func (m *member) watch(keys ...string) (watched []command.Watch) {
	m.t.Helper()
	req := &command.Request{Spec: command.WatchRead, Args: [][]byte{[]byte("watch")}}
	for _, key := range keys {
		req.Args = append(req.Args, []byte(key))
	}
	if m.replica.Read(req) {
		m.t.Error("a WATCH was answered beside the goroutine")
	}
	m.submit(req)
	if req.Outcome != command.Answered {
		m.t.Fatalf("watch: outcome %d", req.Outcome)
	}
	rest := req.Reply.Buf[bytes.IndexByte(req.Reply.Buf, '\n')+1:]
	for _, key := range keys {
		n := 0
		_, err := fmt.Sscanf(string(rest), "$%d\r\n", &n)
		must(m.t, err)
		rest = rest[bytes.IndexByte(rest, '\n')+1:]
		watched = append(watched, command.Watch{Key: []byte(key), Token: bytes.Clone(rest[:n])})
		rest = rest[n+2:]
	}
	return watched
}

// run submits one request and returns its reply.
func (m *member) run(req *command.Request) string {
	m.t.Helper()
	m.submit(req)
	if req.Outcome != command.Answered {
		m.t.Fatalf("outcome %d", req.Outcome)
	}
	return string(req.Reply.Buf)
}

// A transaction is one event and one group; each command sees those before it, and an error among them undoes nothing.
func TestTransactionIsOneEvent(t *testing.T) {
	c := newCluster(t, 3, nil)
	m := c.leader()
	c.do("set", "s", "text")
	from := m.replica.log.LastIndex() + 1
	lane := []*command.Request{
		request("set", "before", "1"),
		exec("set a 1", "incr a", "incr s", "get a", "append s !", "mget a s none", "del a none", "exists a"),
		request("get", "s"),
	}
	m.submit(lane...)
	expect(t, "exec", string(lane[1].Reply.Buf), "*8\r\n+OK\r\n:2\r\n-ERR value is not an integer or out of range\r\n$1\r\n2\r\n:5\r\n*3\r\n$1\r\n2\r\n$5\r\ntext!\r\n$-1\r\n:1\r\n:0\r\n")
	expect(t, "get", string(lane[2].Reply.Buf), "$5\r\ntext!\r\n")
	events := m.events(from)
	if len(events) != 1 {
		t.Fatalf("%d events", len(events))
	}
	var got []string
	for _, mutation := range events[0].Mutations {
		got = append(got, fmt.Sprint(mutation.Group, " ", mutation.Command, " ", string(mutation.Key)))
	}
	expect(t, "mutations", strings.Join(got, ", "), "0 set before, 1 set a, 1 incr a, 1 append s, 1 del a")
	expect(t, "an empty one", m.run(exec()), "*0\r\n")
	last := m.replica.log.LastIndex()
	expect(t, "one that only reads", m.run(exec("get s", "exists a")), "*2\r\n$5\r\ntext!\r\n:0\r\n")
	expect(t, "one that changes nothing", m.run(exec("del none", "setnx s x")), "*2\r\n:0\r\n:0\r\n")
	if now := m.replica.log.LastIndex(); now != last {
		t.Errorf("the log grew by %d", now-last)
	}
	three := exec("get none", "config get x")
	three.Reply.RESP3 = true
	expect(t, "RESP3", m.run(three), "*2\r\n_\r\n-"+errNotQueued+"\r\n")
	c.equal()
	m.equalsItsLog()
}

// A transaction waits for all its keys, wherever they stand in it, and those after it for the same.
func TestTransactionWaitsForItsKeys(t *testing.T) {
	c := newCluster(t, 1, nil)
	c.do("set", "b", "0")
	m := c.leader()
	watched := m.watch("w")
	for _, queue := range [][]string{{"set a 1", "append b 1"}, {"set a 1", "get b"}, {"set a 1", "mget c b"}, {"set a 1", "push c 1", "move b d 0"}} {
		var dones []chan struct{}
		c.inTurn(func(r *Replica) {
			for i, req := range []*command.Request{request("append", "b", "x"), exec(queue...), request("append", "a", "y")} {
				l, done := newLane(req)
				dones = append(dones, done)
				r.runLane(l)
				if i == 0 {
					r.closeBatch()
				} else if len(r.waiting) != i {
					t.Errorf("%v: %d lanes wait, want %d", queue, len(r.waiting), i)
				}
			}
		})
		for _, done := range dones {
			answered(t, "a lane", done)
		}
	}
	var dones []chan struct{}
	onWatched := exec("set a 1")
	onWatched.Watched = watched
	c.inTurn(func(r *Replica) {
		for _, req := range []*command.Request{request("set", "w", "x"), onWatched} {
			l, done := newLane(req)
			dones = append(dones, done)
			r.runLane(l)
			r.closeBatch()
		}
		if len(r.waiting) != 1 {
			t.Error("a transaction doesn't wait for the key that it watches")
		}
	})
	for _, done := range dones {
		answered(t, "a lane", done)
	}
	expect(t, "exec", string(onWatched.Reply.Buf), "*-1\r\n")
}

// A transaction that one event can't hold changes nothing; one that only doesn't fit into the open event goes into the next, whole.
func TestTransactionTooLarge(t *testing.T) {
	c := newCluster(t, 1, func(o *Options) { o.MaxEventBytes = 2000 })
	m := c.leader()
	x := strings.Repeat("x", 900)
	if got := m.run(exec("set a "+x, "append a "+x)); !strings.HasPrefix(got, "-ERR the command needs an event larger") {
		t.Errorf("too large: %q", got)
	}
	expect(t, "exists", c.do("exists", "a"), ":0\r\n")
	from := m.replica.log.LastIndex() + 1
	lane := []*command.Request{request("set", "before", x), exec("set a "+x, "set b 1")}
	m.submit(lane...)
	expect(t, "exec", string(lane[1].Reply.Buf), "*2\r\n+OK\r\n+OK\r\n")
	if events := m.events(from); len(events) != 2 || len(events[1].Mutations) != 2 {
		t.Errorf("%d events", len(events))
	}
	c.equal()
}

// FLUSHDB and what walks over keys make the transaction a barrier, and see what it did itself.
func TestTransactionOnTheWholePartition(t *testing.T) {
	for _, replicates := range []bool{false, true} {
		t.Run(fmt.Sprint("replicates ", replicates), func(t *testing.T) {
			c := newCluster(t, 1, nil)
			m := c.leader()
			c.do("mset", "a", "1", "b", "2", "c", "3")
			c.do("pexpire", "c", "1000000")
			expect(t, "dbsize", m.run(exec("set d 4", "dbsize", "del a", "dbsize")), "*4\r\n+OK\r\n:4\r\n:1\r\n:3\r\n")
			must(t, m.replica.do(t.Context(), func() { m.replica.replicates = replicates }))
			before, after := request("append", "b", "x"), request("append", "e", "y")
			flush := exec("set e 5 px 1000000", "push l 1", "flushdb", "dbsize", "exists a b c d e l", "randomkey", "set e 6", "get b", "push l 2", "randomkey", "dbsize", "flushdb nonsense")
			beforeDone, flushDone, afterDone := m.pending(before), m.pending(flush), m.pending(after)
			answered(t, "before", beforeDone)
			answered(t, "flush", flushDone)
			answered(t, "after", afterDone)
			got := strings.Replace(string(flush.Reply.Buf), "$1\r\nl\r\n", "$1\r\ne\r\n", 1)
			expect(t, "flush", got, "*12\r\n+OK\r\n:1\r\n+OK\r\n:0\r\n:0\r\n$-1\r\n+OK\r\n$-1\r\n:1\r\n$1\r\ne\r\n:2\r\n-ERR syntax error\r\n")
			expect(t, "get e", c.do("get", "e"), "$2\r\n6y\r\n")
			expect(t, "l", m.doList("pop l 0"), popped("l", "2"))
			expect(t, "dbsize", c.do("dbsize"), ":1\r\n")
			state, _ := m.replica.State()
			if state.Expiring != 0 || state.Keys != 1 {
				t.Errorf("%d keys, %d expiring", state.Keys, state.Expiring)
			}
			m.rowsAre("e")
		})
	}
}

// rowsAre checks which keys the store has.
func (m *member) rowsAre(keys ...string) {
	m.t.Helper()
	var got []string
	must(m.t, m.replica.store.Keys(nil, func(key []byte, _ *event.Meta) bool {
		got = append(got, string(key))
		return true
	}))
	expect(m.t, "rows", strings.Join(got, " "), strings.Join(keys, " "))
}

// Where FLUSHDB works in pages a transaction does them all at once, in its one event.
func TestFlushInPagesWithinATransaction(t *testing.T) {
	c := newCluster(t, 1, nil)
	m := c.leader()
	var reqs []*command.Request
	for i := range command.DefaultLimits.Batch + 10 {
		reqs = append(reqs, request("set", fmt.Sprint("k", i), "x"))
	}
	m.submit(reqs...)
	must(t, m.replica.do(t.Context(), func() { m.replica.replicates = true }))
	from := m.replica.log.LastIndex() + 1
	expect(t, "exec", m.run(exec("set z 1", "flushdb", "dbsize", "set y 1")), "*4\r\n+OK\r\n+OK\r\n:0\r\n+OK\r\n")
	if events := m.events(from); len(events) != 1 {
		t.Errorf("%d events", len(events))
	}
	m.rowsAre("y")
	m.equalsItsLog()
}

// What a transaction pushes serves the waiters when it is done, into its event.
func TestTransactionWakesWaiters(t *testing.T) {
	c := newCluster(t, 1, nil)
	m := c.leader()
	req, done := m.waiter("pop a 0", 1)
	from := m.replica.log.LastIndex() + 1
	expect(t, "exec", m.run(exec("push a 1", "pop a 0", "pop a 0", "push a 2 3", "pop none 0")), "*5\r\n:1\r\n"+popped("a", "1")+"*-1\r\n:2\r\n*-1\r\n")
	answered(t, "the waiter", done)
	expect(t, "the waiter", string(req.Reply.Buf), popped("a", "2"))
	if events := m.events(from); len(events) != 1 || events[0].Mutations[4-1].Group != 1 {
		t.Errorf("%d events: %+v", len(events), events)
	}
	whole, wholeDone := m.waiter("move b c 0", 1)
	c.do("set", "c", "gone")
	expect(t, "exec", m.run(exec("flushdb", "push b 1")), "*2\r\n+OK\r\n:1\r\n")
	answered(t, "the waiter", wholeDone)
	expect(t, "the waiter sees what was flushed", string(whole.Reply.Buf), "$1\r\n1\r\n")
	expect(t, "pop", m.doList("pop c 0"), popped("c", "1"))
	m.nothingLeft()
}

// EXEC does nothing if a watched key has changed in any way.
func TestWatch(t *testing.T) {
	clock := &manual{}
	c := newCluster(t, 1, clock.use())
	m := c.leader()
	reset := func() {
		c.do("flushdb")
		c.do("set", "there", "1")
		c.do("set", "mortal", "1", "px", "5000")
		m.doList("push list 1 2")
	}
	for name, test := range map[string]struct {
		key     string
		changes []string
		holds   bool
	}{
		"nothing":                        {"there", nil, true},
		"nothing, absent":                {"absent", nil, true},
		"another key":                    {"there", []string{"set other 1"}, true},
		"another absent key":             {"absent", []string{"set other 1"}, true},
		"no change":                      {"there", []string{"setnx there 2", "persist there", "get there"}, true},
		"set to the same":                {"there", []string{"set there 1"}, false},
		"expiry":                         {"there", []string{"pexpire there 100000"}, false},
		"made":                           {"absent", []string{"set absent 1"}, false},
		"removed":                        {"there", []string{"del there"}, false},
		"removed and made":               {"there", []string{"del there", "set there 1"}, false},
		"made and removed":               {"absent", []string{"set absent 1", "del absent"}, false},
		"a list is pushed and popped":    {"absent", []string{"push absent 1", "pop absent 0"}, false},
		"an item":                        {"list", []string{"push list 3"}, false},
		"all items":                      {"list", []string{"pop list 0", "pop list 0"}, false},
		"flushed":                        {"there", []string{"flushdb"}, false},
		"absent, flushed":                {"absent", []string{"flushdb"}, true},
		"absent, made and flushed":       {"absent", []string{"set absent 1", "flushdb"}, false},
		"expired":                        {"mortal", []string{"advance"}, false},
		"its expiry goes, and time does": {"mortal", []string{"persist mortal", "advance"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			reset()
			watched := m.watch(test.key)
			for _, line := range test.changes {
				if line == "advance" {
					clock.advance(6 * time.Second)
				} else {
					m.run(listRequest(line))
				}
			}
			req := exec("incr n", "get n")
			req.Watched = watched
			want := "*-1\r\n"
			if test.holds {
				want = "*2\r\n:1\r\n$1\r\n1\r\n"
			}
			expect(t, "exec", m.run(req), want)
			if exists := map[bool]string{true: ":1\r\n", false: ":0\r\n"}[test.holds]; c.do("exists", "n") != exists {
				t.Errorf("exists n: not %q", exists)
			}
		})
	}
	// A key that had expired when it was watched, and is then removed, stays absent.
	reset()
	clock.advance(6 * time.Second)
	req := exec("set n 1")
	req.Watched = m.watch("mortal")
	eventually(t, "the row is removed", func() bool { return c.do("dbsize") == ":2\r\n" })
	expect(t, "exec", m.run(req), "*1\r\n+OK\r\n")
}

// Another leader doesn't know what the one before it saw.
func TestWatchEndsWithTheTerm(t *testing.T) {
	c := newCluster(t, 3, nil)
	m := c.leader()
	c.do("set", "there", "1")
	for _, key := range []string{"there", "absent"} {
		watched := m.watch(key)
		old := m
		for _, other := range c.members {
			if other != old {
				m = other
			}
		}
		c.transfer(m)
		req := exec("set n 1")
		req.Watched = watched
		expect(t, "exec on another leader", m.run(req), "*-1\r\n")
		c.transfer(old)
		again := exec("set n 1")
		again.Watched = watched
		expect(t, "exec on the same, leading again", old.run(again), "*-1\r\n")
		m = old
	}
}

// What is remembered of absent keys is bounded; what is forgotten counts as changed.
func TestAbsencesAreBounded(t *testing.T) {
	var a absences
	first := a.number([]byte("first"))
	if a.number([]byte("first")) != first {
		t.Error("another number without a change")
	}
	for i := range absentKeys {
		a.number(fmt.Appendf(nil, "k%d", i))
	}
	if a.number([]byte("first")) != first {
		t.Error("forgotten after one generation")
	}
	a.written([]byte("first"))
	if a.number([]byte("first")) == first {
		t.Error("the same number after a change")
	}
	for i := range 10 * absentKeys {
		a.number(fmt.Appendf(nil, "%d%s", i, strings.Repeat("x", 1000)))
		if n := len(a.young) + len(a.old); n > 2*absentKeys || a.bytes > absentBytes+2000 {
			t.Fatalf("%d keys, %d bytes", n, a.bytes)
		}
	}
	if last := a.numbers; a.number([]byte("k1")) != last+1 {
		t.Error("a forgotten key has a number that was given out")
	}
}

// Clients move amounts between accounts in transactions, some of them watched, while leaders change and nodes crash: the sum stays, and
// readers never see another.
func TestTransactionsAreAtomic(t *testing.T) {
	const accounts, amount = 4, 1000
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	c := newCluster(t, 3, func(o *Options) { o.ProposalTimeout = 300 * time.Millisecond })
	for i := range accounts {
		c.do("set", fmt.Sprint("acc", i), fmt.Sprint(amount))
	}
	stop := make(chan struct{})
	var clients sync.WaitGroup
	var mu sync.Mutex
	outcomes := map[string]int{}
	for i := range 6 {
		clients.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			for {
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
				a, b, n := r.IntN(accounts), r.IntN(accounts), r.IntN(50)
				req := exec(fmt.Sprint("decrby acc", a, " ", n), "get acc0", "get acc1", "get acc2", "get acc3", fmt.Sprint("incrby acc", b, " ", n))
				if r.IntN(2) == 0 {
					req = exec("get acc0", "get acc1", "get acc2", "get acc3")
				}
				done := make(chan struct{})
				replica.Submit([]*command.Request{req}, func() { close(done) })
				select {
				case <-done:
				case <-time.After(20 * time.Second):
					t.Error("no answer within 20 s")
					return
				}
				what := fmt.Sprint("outcome ", req.Outcome)
				if req.Outcome == command.Answered {
					sum := balance(t, req)
					if len(req.Queue) == 6 {
						sum += n
					}
					if sum != accounts*amount {
						t.Errorf("sum %d: %q", sum, req.Reply.Buf)
					}
				}
				mu.Lock()
				outcomes[what]++
				mu.Unlock()
			}
		})
	}
	r := rand.New(rand.NewPCG(seed, 99))
	for until := time.Now().Add(4 * time.Second); time.Now().Before(until); {
		t.Log(c.trouble(r))
		c.pause(r.IntN(200))
	}
	close(stop)
	clients.Wait()
	c.leader()
	c.equal()
	for _, m := range c.members {
		m.equalsItsLog()
	}
	expect(t, "in the end", fmt.Sprint(balance(t, c.leader().execNow())), fmt.Sprint(accounts*amount))
	t.Log(outcomes)
}

func (m *member) execNow() *command.Request {
	req := exec("get acc0", "get acc1", "get acc2", "get acc3")
	m.run(req)
	return req
}

// balance adds up the accounts that a transaction read.
func balance(t *testing.T, req *command.Request) (sum int) {
	lines := strings.Split(string(req.Reply.Buf), "\r\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "$") && i+1 < len(lines) {
			n := 0
			if _, err := fmt.Sscan(lines[i+1], &n); err != nil {
				t.Errorf("%q: %v", req.Reply.Buf, err)
			}
			sum += n
		}
	}
	return sum
}
