package partition

import (
	"testing"
	"time"

	"github.com/zankv/zankv/cluster/command"
)

func answered(t *testing.T, what string, done chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatalf("%s: no answer within 10 s", what)
	}
}

// Closing answers everything: what is in the log, what waits for its key, reads that wait for a quorum, and what comes too late.
// What was proposed is Unknown, all else Elsewhere.
func TestCloseAnswersEverything(t *testing.T) {
	ends := map[string]func(*member){
		"the replica closes":  func(m *member) { must(m.t, m.replica.Close()) },
		"its node ends first": func(m *member) { m.stop(); m.running.Wait(); must(m.t, m.replica.Close()) },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 3, func(o *Options) { o.ReadQuorum = true })
			c.do("set", "a", "0")
			m := c.leader()
			c.isolate(m, true)
			last := m.replica.log.LastIndex()
			write, after := request("set", "a", "1"), request("set", "b", "1")
			writeDone := m.pending(write)
			eventually(t, "the write is in the log", func() bool { return m.replica.log.LastIndex() > last })
			waits, read := request("set", "a", "2"), request("get", "other")
			waitsDone, readDone := m.pending(waits), m.pending(read)
			end(m)
			m.replica.Submit([]*command.Request{after}, func() {})
			answered(t, "what was proposed", writeDone)
			answered(t, "what waited for its key", waitsDone)
			answered(t, "the read", readDone)
			answered(t, "what came after", m.pending(request("set", "c", "1")))
			for what, got := range map[string]struct{ got, want command.Outcome }{
				"what was proposed":       {write.Outcome, command.Unknown},
				"what waited for its key": {waits.Outcome, command.Elsewhere},
				"the read":                {read.Outcome, command.Elsewhere},
				"what came after":         {after.Outcome, command.Elsewhere},
			} {
				if got.got != got.want {
					t.Errorf("%s: outcome %d, want %d", what, got.got, got.want)
				}
			}
			m.stop()
			m.running.Wait()
			m.net.Close()
			_ = m.log.Close()
			m.replica = nil
		})
	}
}

// Whatever a replica is doing when it closes: every lane is answered.
func TestCloseUnderLoad(t *testing.T) {
	c := newCluster(t, 3, nil)
	m := c.leader()
	r := m.replica
	lanes := make(chan chan struct{}, 1024)
	for l := range 8 {
		m.running.Go(func() {
			for i := 0; ; i++ {
				req := request("incr", string(rune('a'+(l+i)%26)))
				done := make(chan struct{})
				r.Submit([]*command.Request{req, request("get", "a")}, func() { close(done) })
				lanes <- done
				<-done
				if req.Outcome != command.Answered {
					return
				}
			}
		})
	}
	for range 500 {
		answered(t, "a lane", <-lanes)
	}
	go func() {
		for done := range lanes {
			answered(t, "a lane", done)
		}
	}()
	must(t, r.Close())
	m.stop()
	ended := make(chan struct{})
	go func() { m.running.Wait(); close(ended) }()
	answered(t, "some lane of the closed replica", ended)
	close(lanes)
	m.net.Close()
	_ = m.log.Close()
	m.replica = nil
}
