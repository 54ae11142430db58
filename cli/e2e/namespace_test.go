package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// What can't be created is refused with the reason, and nothing comes of it.
func TestNamespaceCreateRefuses(t *testing.T) {
	t.Parallel()
	c := sharedCluster(t)
	for _, wrong := range []struct {
		name  string
		flags []string
		want  []string
	}{
		{"a-b", nil, []string{"a-b", "letters, digits"}},
		{"", nil, []string{"name"}},
		{"many", []string{"--replicas", "5", "--min-nodes", "3", "--wait", "2s"}, []string{"5", "3"}},
		{"none", []string{"--partitions", "0"}, []string{"partitions", "0"}},
		{"hash", []string{"--partition-hash", "md5"}, []string{"md5", "crc16"}},
		{"mode", []string{"--read-mode", "maybe"}, []string{"maybe", "quorum"}},
		{"default", []string{"--partitions", "4", "--replicas", "3"}, []string{"default", "exists"}},
	} {
		out, err := c.CreateNamespace(bounded(t), wrong.name, wrong.flags...)
		if err == nil {
			t.Errorf("namespace create --name %q %v: %s", wrong.name, wrong.flags, out)
		}
		for _, want := range wrong.want {
			if !strings.Contains(out, want) {
				t.Errorf("namespace create --name %q %v: the error lacks %q: %s", wrong.name, wrong.flags, want, out)
			}
		}
	}
	if err := plain(t, c.Nodes[0].Redis()).Get(t.Context(), "many:t:k").Err(); err == nil || !strings.Contains(err.Error(), "namespace is not found") {
		t.Errorf("a key of a namespace that wasn't created: %v", err)
	}
}

// The other hash and the other way of reading change what happens inside, not what a client sees.
func TestNamespaceSettings(t *testing.T) {
	t.Parallel()
	c := sharedCluster(t)
	namespace(t, c, nsMurmur, "--partition-hash", "murmur3", "--partitions", "5")
	namespace(t, c, nsQuorum, "--read-mode", "quorum")
	for _, ns := range []string{nsMurmur, nsQuorum} {
		for i, n := range c.Nodes {
			client := plain(t, n.Bound(ns))
			prefix := fmt.Sprint(ns, i)
			exercise(t, client, prefix)
			scatter(t, client, prefix+":many")
		}
	}
	if err := plain(t, c.Nodes[0].Cluster(nsMurmur)).ClusterShards(t.Context()).Err(); err == nil || !strings.Contains(err.Error(), "cluster support disabled") {
		t.Errorf("CLUSTER SHARDS of a namespace that isn't spread by Redis's slots: %v", err)
	}
}

// A namespace's password is asked for on all ports.
func TestNamespacePassword(t *testing.T) {
	t.Parallel()
	c := sharedCluster(t)
	namespace(t, c, nsSecret, "--password", "open sesame", "--partitions", "2")
	ctx := bounded(t)
	for i, n := range c.Nodes {
		for _, addr := range []string{n.Bound(nsSecret), n.Cluster(nsSecret)} {
			if err := plain(t, addr).Get(ctx, "k").Err(); err == nil || !strings.HasPrefix(err.Error(), "NOAUTH") {
				t.Errorf("GET without a password: %v", err)
			}
		}
		if err := plain(t, n.Redis()).Get(ctx, nsSecret+":t:k").Err(); err == nil || !strings.HasPrefix(err.Error(), "NOAUTH") {
			t.Errorf("GET on the shared port without a password: %v", err)
		}
		for _, protocol := range []int{2, 3} {
			wrong := redis.NewClient(&redis.Options{Addr: n.Redis(), Username: nsSecret, Password: "open", Protocol: protocol, MaxRetries: -1})
			if err := wrong.Get(ctx, "k").Err(); err == nil || !strings.HasPrefix(err.Error(), "WRONGPASS") {
				t.Errorf("a wrong password: %v", err)
			}
			right := redis.NewClient(&redis.Options{Addr: n.Redis(), Username: nsSecret, Password: "open sesame", Protocol: protocol, MaxRetries: -1})
			exercise(t, right, fmt.Sprint("secret", i, protocol)) // logical keys: the connection is bound
			_, _ = wrong.Close(), right.Close()
		}
	}
}
