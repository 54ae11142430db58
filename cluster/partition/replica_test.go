package partition

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
)

func TestWriteThenReadOnThreeReplicas(t *testing.T) {
	c := newCluster(t, 3, nil)
	if got := c.do("set", "greeting", "hello"); got != "+OK\r\n" {
		t.Fatalf("set: %q", got)
	}
	if got := c.do("get", "greeting"); got != "$5\r\nhello\r\n" {
		t.Fatalf("get: %q", got)
	}
	read := request("get", "greeting")
	leader := c.leader()
	eventually(t, "the leader reads under its lease", func() bool { return leader.replica.Read(read) })
	if got := string(read.Reply.Buf); got != "$5\r\nhello\r\n" {
		t.Fatalf("read: %q", got)
	}
	c.equal()
}

// A pipeline's later commands see its earlier ones, and one event answers them.
func TestLaneSeesItsOwnWrites(t *testing.T) {
	c := newCluster(t, 1, nil)
	m := c.leader()
	var reqs []*command.Request
	for range 10 {
		reqs = append(reqs, request("incr", "n"), request("get", "n"))
	}
	m.submit(reqs...)
	for i := range 10 {
		if got, want := string(reqs[2*i].Reply.Buf), fmt.Sprintf(":%d\r\n", i+1); got != want {
			t.Errorf("incr %d: %q", i, got)
		}
		text := fmt.Sprint(i + 1)
		if got, want := string(reqs[2*i+1].Reply.Buf), fmt.Sprintf("$%d\r\n%s\r\n", len(text), text); got != want {
			t.Errorf("get %d: %q", i, got)
		}
	}
}

// equal compares the checksums of all members at one position. Where another entry came meanwhile it is another position.
func (c *cluster) equal() {
	c.t.Helper()
	err := c.equalNow()
	for tries := 0; errors.Is(err, ErrPast) && tries < 100; tries++ {
		err = c.equalNow()
	}
	must(c.t, err)
}

func (c *cluster) equalNow() error {
	c.t.Helper()
	at := event.Position{}
	for _, m := range c.members {
		if s, ok := m.replica.State(); ok && s.Applied.Compare(at) > 0 {
			at = s.Applied
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	want := ""
	for _, m := range c.members {
		sum, err := m.replica.Checksum(ctx, at)
		if err != nil {
			return err
		}
		got := fmt.Sprintf("%d keys, %v", sum.Keys, sum.Total)
		if want == "" {
			want = got
		}
		if got != want {
			c.t.Errorf("node %d at %s: %s; others: %s", m.id, at, got, want)
		}
	}
	return nil
}
