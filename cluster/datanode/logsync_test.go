package datanode

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zankv/zankv/cluster/partition"
	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/replay/problem"
	"github.com/zankv/zankv/replay/replaypb"
)

func askJSON(t *testing.T, n *testNode, method, path string, wantStatus int, got any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+n.http+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != wantStatus {
		t.Fatalf("%s %s: %s %s, %v", method, path, resp.Status, body, err)
	}
	if err := json.Unmarshal(body, got); err != nil {
		t.Fatalf("%s %s: %s: %v", method, path, body, err)
	}
}

// How far other clusters' changes are here, and what they have of what was written here, is told in all the ways there are.
func TestLogSync(t *testing.T) {
	c := startCluster(t, 2, 1, 2, 0)
	leader, follower := c.leading(0, nil)
	f := c.far(leader)
	f.adopt(0)
	if _, err := f.replay.Confirm(f.context(), &replaypb.ConfirmRequest{Namespace: "default", Peer: "dc-b", Time: f.clock}); err != nil {
		t.Fatal(err)
	}
	c.fill(leader, 0, 2)
	if _, err := f.send(0, set("t:1", "theirs", time.Now().Add(time.Second).UnixNano()), set("t:7", "new", f.clock)); err != nil {
		t.Fatal(err)
	}
	var got logSyncReply
	askJSON(t, leader, "GET", "/logsync/stats?cluster=dc-b", 200, &got)
	if len(got.Synced) != 1 || len(got.Peers) != 1 {
		t.Fatalf("%+v", got)
	}
	if s := got.Synced[0]; s.Name != "default-0" || s.Cluster != "dc-b" || s.Source != "default-0" || s.Term != 1 || s.Index != f.index || s.Timestamp != f.clock ||
		!s.Leader || s.NeedsSync || s.Syncing || s.LagSeconds < 0 || s.LagSeconds > 30 || s.ETASeconds != 0 {
		t.Errorf("%+v", s)
	}
	if p := got.Peers[0]; p.Cluster != "dc-b" || p.LagSeconds < 0 || p.LagSeconds > 30 {
		t.Errorf("%+v", p)
	}
	sum := uint64(0)
	for _, n := range got.All.Latencies {
		sum += n
	}
	if sum != 1 {
		t.Errorf("latencies: %v", got.All)
	}
	var none logSyncReply
	askJSON(t, leader, "GET", "/logsync/stats?cluster=dc-x", 200, &none)
	askJSON(t, follower, "GET", "/logsync/stats", 200, &none)
	if len(none.Synced)+len(none.Peers) != 0 {
		t.Errorf("%+v", none)
	}
	eventuallyHas(t, "the follower", func() string { return get(t, follower, "/logsync/stats?leader_only=false") }, fmt.Sprintf(`"index": %d`, f.index))

	for _, want := range []string{"partitions_replicating:1", "conflict_log_rows:1", "conflicts_later:1", "sync_from_dc-b_default:places=1,syncing=0,needs_sync=0,lag_seconds=", "sync_to_dc-b:lag_seconds="} {
		if info := ask(t, leader, "INFO", "replication"); !strings.Contains(info, want) {
			t.Errorf("INFO lacks %q: %s", want, info)
		}
	}
	stats := get(t, leader, "/stats")
	for _, want := range []string{`"sender": "dc-b/default-0"`, `"conflict_log_rows": 1`, `"later": 1`, `"applied": 2`, `"memory_max"`} {
		if !strings.Contains(stats, want) {
			t.Errorf("/stats lacks %q: %s", want, stats)
		}
	}
	metrics := get(t, leader, "/metrics")
	for _, want := range []string{
		fmt.Sprintf(`zankv_replay_place_index{partition="default-0",sender="dc-b/default-0"} %d`, f.index), `zankv_replay_lag_seconds{partition="default-0",sender="dc-b/default-0"}`,
		`zankv_conflicts_total{partition="default-0",reason="later"} 1`, `zankv_replay_mutations_total{result="applied"} 2`, `zankv_replay_mutations_total{result="conflicting"} 1`,
		`zankv_replay_peer_lag_seconds{partition="default-0",peer="dc-b"}`, `zankv_conflict_log_limit_bytes{partition="default-0"} 2.68435456e+08`, `zankv_replay_seconds_count 1`,
		`zankv_replay_needs_sync{partition="default-0",sender="dc-b/default-0"} 0`, `zankv_replay_memory_used_bytes 0`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("/metrics lacks %q", want)
		}
	}
	if strings.Contains(get(t, follower, "/metrics"), "zankv_replay_place_index{") {
		t.Error("a follower exports places")
	}
}

// Who sends here is told, with what stops it.
func TestRunnings(t *testing.T) {
	c := startCluster(t, 1, 1, 1, 0)
	n, _ := c.leading(0, nil)
	var all []runningSender
	askJSON(t, n, "GET", "/syncer/runnings", 200, &all)
	if all == nil || len(all) != 0 {
		t.Errorf("at first: %+v", all)
	}
	f := c.far(n)
	f.adopt(0)
	if _, err := f.send(0, set("t:1", "x", f.clock)); err != nil {
		t.Fatal(err)
	}
	if _, err := f.send(0, set("t:1", "y", time.Now().Add(time.Hour).UnixNano())); err == nil {
		t.Fatal("it was taken")
	}
	askJSON(t, n, "GET", "/syncer/runnings", 200, &all)
	if len(all) != 1 || all[0].Name != "default-0" || all[0].Source != "default-0" || all[0].Cluster != "dc-b" || all[0].Calls != 2 || all[0].Applied != 1 ||
		all[0].Refused != problem.Clock.String() || all[0].OffsetSeconds < 3000 || all[0].Message == "" || all[0].From == "" {
		t.Errorf("%+v", all)
	}
	if metrics := get(t, n, "/metrics"); !strings.Contains(metrics, `zankv_replay_refused{kind="CLOCK",partition="default-0",sender="dc-b/default-0"} 1`) ||
		!strings.Contains(metrics, "zankv_replay_clock_offset_seconds") {
		t.Error("/metrics doesn't say so")
	}
	var message struct{ Message string }
	askJSON(t, n, "POST", "/syncer/setindex/dc-b", http.StatusNotImplemented, &message)
	if !strings.Contains(message.Message, "normalinit") {
		t.Errorf("%q", message.Message)
	}
}

// both sends the same change of a third cluster to two clusters.
func both(t *testing.T, key string, fars ...*far) {
	t.Helper()
	at := time.Now().UnixNano()
	for _, f := range fars {
		top, err := f.replay.Topology(t.Context(), &replaypb.TopologyRequest{Namespace: "default"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.send(store.PartitionBySlot([]byte(key), uint32(len(top.Partitions))), set(key, "v", at)); err != nil {
			t.Fatal(err)
		}
	}
}

// Two clusters that hold the same go on from where they are; if they don't hold the same that is refused, unless it is forced.
func TestNormalInit(t *testing.T) {
	a := startCluster(t, 1, 1, 1, 0)
	b := startTuned(t, 1, 2, 1, 0, func(o *Options) { o.ClusterID = "dc-z" })
	na, _ := a.leading(0, nil)
	nb, _ := b.leading(0, nil)
	b.leading(1, nil)
	fa, fb0, fb1 := a.far(na), b.far(nb), b.far(nb)
	fa.adopt(0)
	fb0.adopt(0)
	fb1.adopt(1)
	for i := range 20 {
		key := fmt.Sprint("t:", i)
		fb := fb0
		if store.PartitionBySlot([]byte(key), 2) == 1 {
			fb = fb1
		}
		both(t, key, fa, fb)
	}
	path := "/syncer/normalinit?namespace=default&source=" + na.grpc
	var got initReply
	askJSON(t, nb, "GET", "/syncer/normalinit", 200, &got)
	if got.Running || got.Begun != nil {
		t.Errorf("at first: %+v", got)
	}
	askJSON(t, nb, "POST", path, 200, &got)
	r := got.Result
	if !got.Done || r == nil || !r.Equal || r.Source != "dc-a" || r.Target != "dc-z" || len(r.Places) != 1 || r.Targets != 2 {
		t.Fatalf("%+v, %+v", got, r)
	}
	for number := range uint32(2) {
		p, err := nb.replica("default", number).Places()
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(p.Senders, func(s partition.SenderPlace) bool { return s.ID.Cluster == "dc-a" })
		if i < 0 || p.Senders[i].Reached.Position != r.Places[0].Position || p.Senders[i].Partitions != 1 {
			t.Errorf("partition %d: %+v", number, p.Senders)
		}
	}
	p, err := na.replica("default", 0).Places()
	if err != nil || len(p.Peers) != 1 || p.Peers[0].Cluster != "dc-z" {
		t.Errorf("peers of the source: %+v, %v", p.Peers, err)
	}
	a.fill(na, 0, 1)
	got = initReply{}
	askJSON(t, nb, "POST", path, http.StatusConflict, &got)
	if got.Done || !strings.Contains(got.Message, "differ") || got.Result.Differing != 1 || len(got.Result.Places) != 0 {
		t.Errorf("%+v, %+v", got, got.Result)
	}
	got = initReply{}
	askJSON(t, nb, "POST", path+"&force=true", 200, &got)
	if !got.Done || got.Message != "" || got.Result.Equal || got.Result.Differing != 1 || got.Result.Places[0].Position.Compare(r.Places[0].Position) <= 0 {
		t.Errorf("%+v, %+v", got, got.Result)
	}
}

func TestNormalInitRefuses(t *testing.T) {
	c := startCluster(t, 1, 1, 1, 0)
	n, _ := c.leading(0, nil)
	for query, status := range map[string]int{
		"": 400, "?enable=true": 400, "?source=x:1": 400, "?source=127.0.0.1:1&namespace=a-b": 400, "?source=127.0.0.1:1&namespace=default&force=maybe": 400,
		"?source=nonsense&namespace=default": 503, "?namespace=default&source=" + n.grpc: 503, "?namespace=none&source=" + n.grpc: 404,
	} {
		var got struct{ Message string }
		askJSON(t, n, "POST", "/syncer/normalinit"+query, status, &got)
		if got.Message == "" {
			t.Errorf("%s: no message", query)
		}
	}
}

// A cluster that is no more is forgotten in all partitions, and another one isn't.
func TestForget(t *testing.T) {
	c := startCluster(t, 2, 2, 1, 0)
	for number := range uint32(2) {
		n, _ := c.leading(number, nil)
		f := c.far(n)
		f.adopt(number)
		f.cluster = "dc-c"
		f.adopt(number)
		if _, err := f.replay.Confirm(f.context(), &replaypb.ConfirmRequest{Namespace: "default", Partition: number, Peer: "dc-b"}); err != nil {
			t.Fatal(err)
		}
	}
	var got forgetReply
	askJSON(t, c.nodes[1], "POST", "/syncer/forget/dc-b?namespace=default", 200, &got)
	if got.Senders != 2 || got.Peers != 2 {
		t.Errorf("%+v", got)
	}
	for number := range uint32(2) {
		n, _ := c.leading(number, nil)
		p, err := n.replica("default", number).Places()
		if err != nil || len(p.Peers) != 0 || len(p.Senders) != 1 || p.Senders[0].ID.Cluster != "dc-c" {
			t.Errorf("partition %d: %+v, %v", number, p, err)
		}
	}
	askJSON(t, c.nodes[0], "POST", "/syncer/forget/dc-b?namespace=default", 200, &got)
	if got.Senders+got.Peers != 0 {
		t.Errorf("again: %+v", got)
	}
	var message struct{ Message string }
	askJSON(t, c.nodes[0], "POST", "/syncer/forget/a%20b?namespace=default", 400, &message)
	askJSON(t, c.nodes[0], "POST", "/syncer/forget/dc-b", 400, &message)
	askJSON(t, c.nodes[0], "POST", "/syncer/forget/dc-b?namespace=none", 404, &message)
}
