package datanode

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zankv/zankv/cluster/meta"
)

// synceronly asks a node for the role of all partitions, or with a query switches it.
func (c *testCluster) synceronly(n *testNode, method, query string, wantStatus int) (got rolesReply) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, "http://"+n.http+"/synceronly"+query, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != wantStatus {
		c.t.Fatalf("%s %s: %s %s, %v", method, query, resp.Status, body, err)
	}
	if err := json.Unmarshal(body, &got); err != nil {
		c.t.Fatalf("%s: %v", body, err)
	}
	return got
}

// The guide's procedure: the same call on one node after the other. The first one switches all partitions, the others find that done.
func TestSyncerOnly(t *testing.T) {
	const partitions = 6
	c := startCluster(t, 3, partitions, 3, 0)
	c.fill(c.nodes[0], 0, 30)
	if got := c.synceronly(c.nodes[2], "GET", "", 200); got.SyncerWriteOnly || !got.Complete || len(got.Partitions) != partitions {
		t.Errorf("at first: %+v", got)
	}
	var first rolesReply
	for i, n := range c.nodes {
		got := c.synceronly(n, "POST", "?enable=true", 200)
		if i == 0 {
			first = got
		}
		if !slices.Equal(got.Partitions, first.Partitions) || !got.SyncerWriteOnly || !got.Complete || len(got.Partitions) != partitions {
			t.Errorf("node %d: %+v, the first said %+v", i, got, first)
		}
	}
	for i, p := range first.Partitions {
		if p.Partition != fmt.Sprint("default-", i) || !p.SyncerWriteOnly || p.Position == "" || p.Leader == 0 || p.Error != "" {
			t.Errorf("partition %d: %+v", i, p)
		}
	}
	for i, n := range c.nodes {
		if got := c.synceronly(n, "GET", "?namespace=default", 200); !slices.Equal(got.Partitions, first.Partitions) {
			t.Errorf("node %d tells %+v", i, got)
		}
		for key := range 10 {
			name := fmt.Sprint("default:t:", key)
			if got, want := ask(t, n, "SET", name, "x"), "-The cluster is only allowing syncer write : ERR handle command SET, "+name; got != want {
				t.Errorf("node %d: %q, want %q", i, got, want)
			}
			if got, want := ask(t, n, "GET", name), fmt.Sprint(key); got != want {
				t.Errorf("node %d: get: %q, want %q", i, got, want)
			}
		}
		if got, want := ask(t, n, "DEL", "default:t:1", "default:t:2", "default:t:3"), "-The cluster is only allowing syncer write : ERR handle command DEL, default:t:"; !strings.HasPrefix(got, want) {
			t.Errorf("node %d: %q, want %q", i, got, want)
		}
		eventuallyHas(t, "INFO", func() string { return ask(t, n, "INFO", "replication") }, "syncer_write_only:1\r\npartitions_syncer_only:6")
		eventuallyHas(t, "/metrics", func() string { return get(t, n, "/metrics") }, `zankv_partition_syncer_only{partition="default-3"} 1`)
		eventuallyHas(t, "/stats", func() string { return get(t, n, "/stats?leader_only=false") }, fmt.Sprintf("\"role_position\": %q", first.Partitions[3].Position))
	}
	if got := c.synceronly(c.nodes[1], "POST", "?enable=false&namespace=default", 200); got.SyncerWriteOnly || !got.Complete {
		t.Errorf("opened: %+v", got)
	}
	c.fill(c.nodes[2], 0, 30)
	if got := ask(t, c.nodes[0], "INFO", "replication"); !strings.Contains(got, "syncer_write_only:0") {
		t.Errorf("INFO: %s", got)
	}
}

// eventuallyHas waits until something is shown: followers apply a little later.
func eventuallyHas(t *testing.T, what string, show func() string, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for got := show(); !strings.Contains(got, want); got = show() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatalf("%s never had %q: %s", what, want, got)
		}
	}
}

// What can't be meant is refused, and nothing is switched.
func TestSyncerOnlyRefuses(t *testing.T) {
	c := startCluster(t, 2, 2, 1, 0)
	c.synceronly(c.nodes[0], "POST", "", http.StatusBadRequest)
	c.synceronly(c.nodes[0], "POST", "?enable=yes", http.StatusBadRequest)
	c.synceronly(c.nodes[0], "POST", "?enable=true&namespace=none", http.StatusNotFound)
	c.synceronly(c.nodes[0], "POST", "/default-7?enable=true", http.StatusNotFound)
	for _, p := range c.synceronly(c.nodes[0], "GET", "", 200).Partitions {
		if p.SyncerWriteOnly || p.Position != "" {
			t.Errorf("switched: %+v", p)
		}
	}
}

// A partition whose leader is gone is named, with what to do; the others are switched. When it has a leader again the call is repeated.
func TestSyncerOnlyWithoutALeader(t *testing.T) {
	const partitions = 4
	c := startCluster(t, 2, partitions, 1, 0)
	gone, left := c.nodes[0], c.nodes[1]
	gone.end(t)
	want := roleRequest{change: true, syncerOnly: true}
	var all []roleReply
	for i := range partitions {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		all = append(all, left.roleOf(ctx, meta.PartitionID{Namespace: "default", Number: i}, want))
		cancel()
	}
	answer := summarize(all)
	for i, p := range answer.Partitions {
		here := left.replica("default", uint32(i)) != nil
		if here != (p.Error == "") || here != p.SyncerWriteOnly || here == strings.Contains(answer.Message, p.Partition) {
			t.Errorf("partition %d, here %v: %+v, message %q", i, here, p, answer.Message)
		}
	}
	if answer.SyncerWriteOnly || answer.Complete || !strings.Contains(answer.Message, "repeat the request") {
		t.Errorf("%+v", answer)
	}
}

// The configured role is in force on every node before the first write.
func TestSyncerOnlyConfigured(t *testing.T) {
	c := startTuned(t, 3, 2, 3, 0, func(o *Options) { o.SyncerOnly = true })
	for i := range 10 {
		if got := ask(t, c.nodes[i%3], "SET", fmt.Sprint("default:t:", i), "x"); !strings.HasPrefix(got, "-The cluster is only allowing syncer write") {
			t.Errorf("set %d: %q", i, got)
		}
	}
	if got := c.synceronly(c.nodes[0], "GET", "", 200); !got.SyncerWriteOnly || !got.Complete {
		t.Errorf("%+v", got)
	}
}
