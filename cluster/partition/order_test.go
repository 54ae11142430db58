package partition

import (
	"testing"
)

// A read opens a batch that stays empty; a barrier after it in the same turn finds nothing to wait for.
func TestBarrierAfterWhatChangedNothing(t *testing.T) {
	c := newCluster(t, 1, nil)
	c.do("set", "a", "1")
	m := c.leader()
	eventually(t, "the leader has a lease", func() bool { return m.replica.Read(request("get", "a")) })
	get, flush, size := request("get", "a"), request("flushdb"), request("dbsize")
	m.submit(get, flush, size)
	for i, want := range []string{"$1\r\n1\r\n", "+OK\r\n", ":0\r\n"} {
		req := []string{string(get.Reply.Buf), string(flush.Reply.Buf), string(size.Reply.Buf)}[i]
		if req != want {
			t.Errorf("reply %d: %q, want %q", i, req, want)
		}
	}
}
