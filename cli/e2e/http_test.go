package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cli/internal/processes"
	"github.com/zankv/zankv/cli/robustness"
)

// httpGet wants an answer with a status and gives its body.
func httpGet(t *testing.T, url string, status int) string {
	t.Helper()
	req, err := http.NewRequestWithContext(bounded(t), http.MethodGet, url, nil)
	must(t, url, err)
	r, err := http.DefaultClient.Do(req)
	must(t, url, err)
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	must(t, url, err)
	if r.StatusCode != status {
		t.Fatalf("GET %s: %s, want %d: %s", url, r.Status, status, body)
	}
	return string(body)
}

// jsonGet reads an answer that has to be JSON.
func jsonGet(t *testing.T, url string, into any) {
	t.Helper()
	body := httpGet(t, url, http.StatusOK)
	if err := json.Unmarshal([]byte(body), into); err != nil {
		t.Fatalf("GET %s: %v: %s", url, err, body)
	}
}

// What operators' scripts read: names and shapes of these answers are a contract.
func TestHTTPTellsAboutTheNode(t *testing.T) {
	t.Parallel()
	c := sharedCluster(t)
	must(t, "SET", plain(t, c.Nodes[0].Bound("default")).Set(t.Context(), "http:told", "v", 0).Err())
	leaders := 0
	for _, n := range c.Nodes {
		base := "http://" + n.HTTP()
		if got := httpGet(t, base+"/ping", http.StatusOK); got != "OK" {
			t.Errorf("ping: %q", got)
		}
		var info struct {
			Version   string
			ClusterID string `json:"cluster_id"`
			NodeID    uint64 `json:"node_id"`
		}
		jsonGet(t, base+"/info", &info)
		if info.Version == "" || info.ClusterID != n.Config.ClusterID || info.NodeID == 0 {
			t.Errorf("info: %+v", info)
		}
		leaders += checkStats(t, base)
		checkRaftStats(t, base, len(c.Nodes))
	}
	if leaders != 4 {
		t.Errorf("/stats of all nodes: %d partitions of default have leaders, want 4", leaders)
	}
}

// checkStats returns how many partitions of default the node leads.
func checkStats(t *testing.T, base string) (leads int) {
	t.Helper()
	type stats struct {
		Stats struct {
			Partitions []struct {
				Name     string
				IsLeader bool `json:"is_leader"`
				Position string
			} `json:"ns_stats"`
		}
	}
	var led, all stats
	jsonGet(t, base+"/stats", &led)
	jsonGet(t, base+"/stats?leader_only=false", &all)
	replicas := 0
	for _, p := range led.Stats.Partitions {
		if !p.IsLeader {
			t.Errorf("/stats: %+v is no leader", p)
		}
		if strings.HasPrefix(p.Name, "default-") {
			leads++
		}
	}
	for _, p := range all.Stats.Partitions {
		if _, err := event.ParsePosition(p.Position); err != nil {
			t.Errorf("/stats: partition %s: %v", p.Name, err)
		}
		if strings.HasPrefix(p.Name, "default-") {
			replicas++
		}
	}
	if replicas != 4 {
		t.Errorf("/stats?leader_only=false: %d partitions of default, want 4", replicas)
	}
	return leads
}

func checkRaftStats(t *testing.T, base string, members int) {
	t.Helper()
	var all []struct {
		Partition string
		Members   []struct {
			Node uint64 `json:"node_id"`
		}
		Stat struct {
			Term      uint64
			RaftState string `json:"raft_state"`
		} `json:"raft_stat"`
	}
	jsonGet(t, base+"/raft/stats?namespace=default&leader_only=false", &all)
	if len(all) != 4 {
		t.Errorf("/raft/stats: %d partitions, want 4: %+v", len(all), all)
	}
	for _, p := range all {
		if len(p.Members) != members || p.Stat.Term == 0 || !strings.HasPrefix(p.Stat.RaftState, "State") {
			t.Errorf("/raft/stats: %+v", p)
		}
	}
}

// Prometheus's own parser must take /metrics, and something that moves must be in it.
func TestMetricsParse(t *testing.T) {
	t.Parallel()
	c := sharedCluster(t)
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(httpGet(t, "http://"+c.Nodes[0].HTTP()+"/metrics", http.StatusOK)))
	must(t, "/metrics", err)
	ours := 0
	for name, f := range families {
		if strings.HasPrefix(name, "zankv_") {
			ours++
			if f.GetHelp() == "" {
				t.Errorf("/metrics: %s has no help", name)
			}
		}
	}
	if ours < 10 {
		t.Errorf("/metrics: %d families of zankv's, want at least 10", ours)
	}
}

// Replicas agree at a position; one that has passed, or isn't there, is told as such.
func TestChecksumAtAPosition(t *testing.T) {
	t.Parallel()
	c := sharedCluster(t)
	client := plain(t, c.Nodes[1].Bound("default"))
	for i := range 20 {
		must(t, "SET", client.Set(t.Context(), "checksum:"+string(rune('a'+i)), "v", 0).Err())
	}
	const partition = "default-0"
	at := quietPosition(t, c.Nodes[0].HTTP(), partition)
	for _, n := range c.Nodes {
		for _, path := range []string{"default-9?at=" + at, "nobody-0", "default-9"} {
			httpGet(t, "http://"+n.HTTP()+"/cluster/checksum/"+path, http.StatusNotFound)
		}
		for _, path := range []string{"default", partition + "?at=x", "default-x"} {
			httpGet(t, "http://"+n.HTTP()+"/cluster/checksum/"+path, http.StatusBadRequest)
		}
	}
	position, err := event.ParsePosition(at)
	must(t, "position", err)
	before := event.Position{Term: position.Term, Index: position.Index - 1}
	body := httpGet(t, "http://"+c.Nodes[0].HTTP()+"/cluster/checksum/"+partition+"?at="+before.String(), http.StatusConflict)
	if now := quietPosition(t, c.Nodes[0].HTTP(), partition); now == at && !strings.Contains(body, at) {
		t.Errorf("the error about the past position %s doesn't name the applied one, %s: %s", before, at, body)
	}
	equalChecksums(t, c, partition)
}

// quietPosition is what a replica has applied.
func quietPosition(t *testing.T, addr, partition string) string {
	t.Helper()
	var stats struct {
		Stats struct {
			Partitions []struct{ Name, Position string } `json:"ns_stats"`
		}
	}
	jsonGet(t, "http://"+addr+"/stats?leader_only=false", &stats)
	for _, p := range stats.Stats.Partitions {
		if p.Name == partition {
			return p.Position
		}
	}
	t.Fatalf("%s has no %s: %+v", addr, partition, stats)
	return ""
}

// equalChecksums holds all replicas against each other at one position, whatever goes on meanwhile.
func equalChecksums(t *testing.T, c *processes.Cluster, partition string) {
	t.Helper()
	sums := make([]string, len(c.Nodes))
	var at string
	await(t, "checksums of "+partition, func() error {
		at = quietPosition(t, c.Nodes[0].HTTP(), partition)
		position, err := event.ParsePosition(at)
		for i, n := range c.Nodes {
			if err == nil {
				sums[i], err = robustness.Checksum(t.Context(), n.HTTP(), partition, position)
			}
		}
		return err
	})
	for i := range sums {
		if sums[i] != sums[0] {
			t.Fatalf("%s at %s: node 0 has %s, node %d has %s", partition, at, sums[0], i, sums[i])
		}
	}
}
