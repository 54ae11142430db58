package conformance

import (
	"bytes"
	"testing"
)

// RunTransactions is RunBrief's cases and random part with each line sent as a transaction of its own, between MULTI and EXEC, to both sides: what
// EXEC has inside must be the same, and what is refused when it is queued too. Commands that wait answer at once there.
func RunTransactions(t *testing.T, ours, oracle Target, seed uint64) {
	ours, oracle = transacted{t, ours}, transacted{t, oracle}
	t.Run("cases", func(t *testing.T) { allCases(t, ours, oracle) })
	t.Run("random", func(t *testing.T) { random(t, ours, oracle, seed, 1) })
}

// transacted sends commands as transactions of one command. It fails the test if the transaction itself goes wrong.
type transacted struct {
	tb testing.TB
	Target
}

// Do implements Target. The reply is the one within EXEC's; of a command that wasn't queued it is the error, if EXEC then says that it did nothing.
func (t transacted) Do(args ...[]byte) []byte {
	if r := t.Target.Do([]byte("multi")); string(r) != "+OK\r\n" {
		t.tb.Errorf("MULTI: %q", r)
	}
	queued := t.Target.Do(args...)
	reply := t.Target.Do([]byte("exec"))
	if string(queued) != "+QUEUED\r\n" {
		if !bytes.HasPrefix(reply, []byte("-EXECABORT ")) {
			t.tb.Errorf("%.200q: %q, and then EXEC: %q", args, queued, reply)
		}
		return queued
	}
	inside, ok := bytes.CutPrefix(reply, []byte("*1\r\n"))
	if !ok {
		t.tb.Errorf("%.200q: EXEC: %.300q", args, reply)
	}
	return inside
}
