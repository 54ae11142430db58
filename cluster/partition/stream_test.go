package partition

import (
	"errors"
	"fmt"
	"testing"

	"github.com/zankv/zankv/cluster/command"
)

// TestReadInParts: a reply that goes out in parts and fails behind them has no outcome that a client could be told; and a client that
// takes its time doesn't keep the replica from closing.
func TestReadInParts(t *testing.T) {
	c := newCluster(t, 1, nil)
	line := []string{"rpush", "l"}
	for i := range 2000 {
		line = append(line, fmt.Sprintf("%0100d", i))
	}
	if got := c.do(line...); got != ":2000\r\n" {
		t.Fatal(got)
	}
	leader := c.leader()
	replica := leader.replica
	read := func(spill func([]byte) error) *command.Request {
		req := request("stale.lrange", "l", "0", "-1")
		req.Reply.Spill = spill
		if !replica.Read(req) {
			t.Fatal("not read")
		}
		return req
	}
	size := 0
	req := read(func(part []byte) error { size += len(part); return nil })
	if size += len(req.Reply.Buf); req.Outcome != command.Answered || size < 2000*100 {
		t.Fatalf("outcome %d, %d bytes", req.Outcome, size)
	}
	req = read(func([]byte) error { return errors.New("gone") })
	if req.Outcome != command.Unknown || len(req.Reply.Buf) != 0 {
		t.Errorf("a client that is gone: outcome %d, %q", req.Outcome, req.Reply.Buf)
	}
	closed := make(chan struct{})
	parts := 0
	req = read(func([]byte) error {
		if parts++; parts == 1 {
			go func() { defer close(closed); leader.shutdown() }()
			eventually(t, "the replica waits for its readers", replica.replacing.Load)
		}
		return nil
	})
	if req.Outcome != command.Unknown || parts != 1 {
		t.Errorf("while it is being closed: outcome %d, %d parts", req.Outcome, parts)
	}
	<-closed
}
