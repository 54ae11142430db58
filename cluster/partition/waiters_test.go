package partition

import (
	"strings"
	"testing"
	"time"

	"github.com/zankv/zankv/cluster/command"
)

func words(line string) *command.Request { return request(strings.Fields(line)...) }

// Every blocking command is woken by everything that can put something into its key.
func TestWhatWakesWhom(t *testing.T) {
	c := newCluster(t, 1, nil)
	m := c.leader()
	for _, test := range []struct{ wait, wake, want string }{
		{"blpop k 0", "rpush k 1 2", popped("k", "1")},
		{"brpop j k 0", "rpush k 1 2", popped("k", "2")},
		{"blmove k to right left 0", "lpush k 1", "$1\r\n1\r\n"},
		{"brpoplpush k to 0", "lpush k 1", "$1\r\n1\r\n"},
		{"blmpop 0 2 j k left count 2", "rpush k 1 2 3", "*2\r\n$1\r\nk\r\n*2\r\n$1\r\n1\r\n$1\r\n2\r\n"},
		{"bzpopmin k 0", "zadd k 1 a 2 b", "*3\r\n$1\r\nk\r\n$1\r\na\r\n$1\r\n1\r\n"},
		{"bzpopmax j k 0", "zincrby k 2 b", "*3\r\n$1\r\nk\r\n$1\r\nb\r\n$1\r\n2\r\n"},
		{"bzmpop 0 2 j k min", "geoadd k 0 0 a", ""},
		{"blpop k 0", "rename list k", popped("k", "x")},
		{"blpop k 0", "renamenx list k", popped("k", "x")},
		{"blpop k 0", "copy list k", popped("k", "x")},
		{"blpop k 0", "lmove list k left right", popped("k", "x")},
		{"blpop k 0", "sort list alpha store k", popped("k", "x")},
		{"bzpopmin k 0", "zunionstore k 1 zset", "*3\r\n$1\r\nk\r\n$1\r\na\r\n$1\r\n1\r\n"},
		{"bzpopmin k 0", "zrangestore k zset 0 -1", "*3\r\n$1\r\nk\r\n$1\r\na\r\n$1\r\n1\r\n"},
		{"bzpopmin k 0", "rename zset k", "*3\r\n$1\r\nk\r\n$1\r\na\r\n$1\r\n1\r\n"},
	} {
		t.Run(test.wait+", "+test.wake, func(t *testing.T) {
			c.do("flushdb")
			m.run(words("rpush list x"))
			m.run(words("zadd zset 1 a"))
			req := words(test.wait)
			done := m.pending(req)
			m.blockedNow(1)
			last := m.replica.log.LastIndex()
			if got := m.run(words(test.wake)); got[0] == '-' {
				t.Fatalf("%s: %q", test.wake, got)
			}
			answered(t, "the waiter", done)
			if got := string(req.Reply.Buf); got != test.want && test.want != "" || got[0] == '-' {
				t.Errorf("%q, want %q", got, test.want)
			}
			if n := len(m.events(last + 1)); n != 1 {
				t.Errorf("%d events, want one", n)
			}
			m.nothingLeft()
		})
	}
	m.equalsItsLog()
}

// What a blocking command of a transaction finds empty doesn't block, and its time isn't looked at.
func TestNothingBlocksWithinATransaction(t *testing.T) {
	c := newCluster(t, 1, nil)
	m := c.leader()
	req := exec()
	for _, line := range []string{"blpop a 0", "blmove a b left left 0", "bzpopmin a 0", "blmpop 0 1 a left"} {
		w := words(line)
		req.Queue = append(req.Queue, command.Queued{Spec: w.Spec, Args: w.Args})
	}
	expect(t, "exec", m.run(req), "*4\r\n*-1\r\n$-1\r\n*-1\r\n*-1\r\n")
	m.nothingLeft()
}

// A command whose keys are found by its arguments is ordered by all of them.
func TestKeysOfACommand(t *testing.T) {
	for line, want := range map[string]string{
		"get a":                     "a",
		"mset a 1 b 2":              "a b",
		"blmpop 0 2 a b left":       "a b",
		"zunionstore dst 2 a b":     "dst a b",
		"sort list by x store into": "list into",
		"dbsize":                    "",
	} {
		var got []string
		add := func(key []byte) bool {
			got = append(got, string(key))
			return true
		}
		eachKey(words(line), add)
		expect(t, line, strings.Join(got, " "), want)
		got = nil
		tx := exec(line)
		tx.Watched = []command.Watch{{Key: []byte("w")}}
		eachKey(tx, add)
		expect(t, "exec "+line, strings.Join(got, " "), strings.TrimSpace(want+" w"))
	}
	for line, want := range map[string]string{"blpop a b a 0": "a b", "blmove a b left left 0": "a", "bzmpop 0 2 a b min": "a b"} {
		expect(t, "what "+line+" waits for", strings.Join(waitedKeys(words(line)), " "), want)
	}
	plain := words("mset a 1 b 2")
	n := 0
	if allocs := testing.AllocsPerRun(100, func() {
		eachKey(plain, func([]byte) bool { n++; return true })
	}); allocs != 0 {
		t.Errorf("%v allocations for a plain command's keys", allocs)
	}
}

// A waiter that was woken for nothing waits again at its place.
func TestWokenForNothingKeepsItsPlace(t *testing.T) {
	c := newCluster(t, 1, nil)
	m := c.leader()
	first, firstDone := m.waiter("pop b a 3600000", 1)
	second, secondDone := m.waiter("pop a 0", 2)
	var deadline time.Time
	must(t, m.replica.do(t.Context(), func() { deadline = m.replica.blocked.waits[first].deadline }))
	var busy, pushed chan struct{}
	c.inTurn(func(r *Replica) {
		var l *lane
		l, busy = newLane(request("set", "b", "1"), request("del", "b"))
		r.runLane(l)
		r.closeBatch()
		l, pushed = newLane(exec("push a 1", "pop a 0"))
		r.runLane(l)
		if len(r.blocked.waits) != 1 {
			t.Errorf("%d are blocked, want the second alone", len(r.blocked.waits))
		}
	})
	answered(t, "who is in flight", busy)
	answered(t, "who pushes and pops", pushed)
	m.blockedNow(2)
	must(t, m.replica.do(t.Context(), func() {
		m.replica.box.requests = 0
		if now := m.replica.blocked.waits[first].deadline; !now.Equal(deadline) {
			t.Errorf("its deadline was %v and is %v", deadline, now)
		}
	}))
	m.doList("push a 2")
	answered(t, "first", firstDone)
	m.doList("push a 3")
	answered(t, "second", secondDone)
	expect(t, "first", string(first.Reply.Buf), popped("a", "2"))
	expect(t, "second", string(second.Reply.Buf), popped("a", "3"))
	m.nothingLeft()
}

// A lane doesn't block before its earlier writes are settled: when they end Elsewhere, so does the command that would have blocked.
func TestBlocksBehindItsLane(t *testing.T) {
	c := newCluster(t, 1, nil)
	m := c.leader()
	write, pop := request("set", "x", "1"), listRequest("pop a 0")
	l, done := newLane(write, pop)
	m.stop()
	m.running.Wait() // the raft loop takes nothing any more
	must(t, m.replica.do(t.Context(), func() {
		r := m.replica
		r.evaluateLanes([]*lane{l})
		if len(r.blocked.waits) != 0 || len(r.waiting) != 1 {
			t.Errorf("%d blocked, %d lanes wait", len(r.blocked.waits), len(r.waiting))
		}
		r.dropOpen()
	}))
	answered(t, "the lane", done)
	if write.Outcome != command.Elsewhere || pop.Outcome != command.Elsewhere {
		t.Errorf("outcomes %d and %d, want Elsewhere", write.Outcome, pop.Outcome)
	}
}

// A waiter that was served may still be told that it wasn't: a leader that is deposed had its push and pop in flight.
func TestServedByALostEvent(t *testing.T) {
	c := newCluster(t, 3, nil)
	old := c.leader()
	req, done := old.waiter("pop a 0", 1)
	c.isolate(old, true)
	push := listRequest("push a 1")
	pushed := old.pending(push)
	old.blockedNow(0)
	eventually(t, "another leads", func() bool {
		now := c.serving()
		return now != nil && now != old && !old.replica.Leading()
	})
	c.do("set", "x", "1")
	c.isolate(old, false)
	answered(t, "the waiter", done)
	answered(t, "who pushed", pushed)
	if req.Outcome != command.Elsewhere || push.Outcome != command.Elsewhere {
		t.Errorf("outcomes %d and %d, want Elsewhere for both: it is known that neither happened", req.Outcome, push.Outcome)
	}
	expect(t, "exists", c.do("exists", "a"), ":0\r\n")
	c.equal()
}
