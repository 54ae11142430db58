package partition

import (
	"strings"
	"testing"

	"github.com/zankv/zankv/cluster/command"
)

// TestSeveralKeysAreOneState: MGET, which looks at its keys one by one, never sees one half of an MSET.
func TestSeveralKeysAreOneState(t *testing.T) {
	c := newCluster(t, 1, nil)
	c.do("mset", "a", "0", "b", "0")
	leader := c.leader()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			value := string(rune('a' + n%26))
			leader.submit(request("mset", "a", value, "b", value))
		}
	}()
	for range 200_000 {
		req := request("mget", "a", "b")
		if !leader.replica.Read(req) {
			continue // no lease at the moment
		}
		lines := strings.Split(string(req.Reply.Buf), "\r\n")
		if req.Outcome != command.Answered || len(lines) != 6 || lines[2] != lines[4] {
			t.Errorf("%q", req.Reply.Buf)
			break
		}
	}
	close(stop)
	<-done
}
