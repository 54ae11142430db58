package resp

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/zankv/zankv/cluster/command"
)

// sessions are what real Redis is asked too: each on a fresh connection, with all replies compared.
var sessions = []string{
	"PING|PING hi|PING a b|ping",
	"ECHO hi|ECHO|ECHO a b",
	"SELECT 0|SELECT 1000|SELECT -1|SELECT x|SELECT|SELECT 99999999999",
	"CLIENT GETNAME|CLIENT SETNAME me|CLIENT GETNAME|CLIENT SETNAME|CLIENT SETNAME a\tb|CLIENT SETNAME |CLIENT GETNAME",
	"CLIENT NO-EVICT on|CLIENT NO-EVICT maybe|CLIENT NO-EVICT|CLIENT REPLY maybe|CLIENT LIST TYPE nope|CLIENT LIST ID x|CLIENT LIST ID|CLIENT LIST nope|CLIENT LIST TYPE pubsub",
	"CLIENT REPLY SKIP|PING lost|PING kept|CLIENT REPLY ON|PING",
	"CLIENT REPLY OFF|PING lost|CLIENT REPLY SKIP|PING lost|CLIENT REPLY ON|PING",
	"HELLO 4|HELLO x|HELLO 3 NOPE|HELLO 3 SETNAME|HELLO 2 AUTH a|HELLO 3 AUTH nobody x|HELLO 3 SETNAME a\tb|CLIENT GETNAME",
	"AUTH x|AUTH nobody x|AUTH default x|AUTH|AUTH a b c",
	"HELLO 3 AUTH default x SETNAME me|CLIENT GETNAME|GET nothing|CONFIG GET databases|RESET|GET nothing|CLIENT GETNAME",
	"RESET|RESET x|QUIT|PING never",
	"QUIT now|PING never",
	"CONFIG GET|CONFIG GET databases appendonly-no-such|CONFIG GET DATABASE?|CONFIG NOPE|CONFIG",
	"COMMAND COUNT x|COMMAND INFO nosuch|COMMAND GETKEYS GET a|COMMAND GETKEYS MSET a 1 b 2|COMMAND GETKEYS PING|COMMAND GETKEYS NOSUCH a|COMMAND NOPE",
	"TIME x|INFO nosuchsection|READONLY|READWRITE|CLUSTER INFO|CLUSTER MYID x|CLUSTER",
	"NOSUCH a b|CLIENT NOPE x|GET|SET a|DBSIZE x|FLUSHDB NOPE",
	"SCAN x|SCAN 0 COUNT x|SCAN 0 COUNT 0|SCAN 0 NOPE|SCAN 0 MATCH|SCAN 0|RANDOMKEY|DBSIZE",
	"MSET a 1 b 2 c 3|MGET a b c d|MSET a|MSET a 1 b|EXISTS a b a z|TOUCH a z|DEL a z|UNLINK b c|MGET a|DBSIZE|MSETNX k 1 k 2|FLUSHDB|FLUSHDB SYNC|DBSIZE",
}

// TestRepliesAsRedis compares sessions, reply by reply, byte by byte.
func TestRepliesAsRedis(t *testing.T) { compareSessions(t, sessions) }

func compareSessions(t *testing.T, sessions []string) {
	t.Helper()
	theirs := startRedis(t, "--databases", "1")
	ours := newCluster(t, 1, nil, &Namespace{Name: "default", Partitions: 1, Hash: HashMurmur3, Forward: true}).nodes[0].addr[NamespacePort]
	for _, s := range sessions {
		var in strings.Builder
		for _, line := range strings.Split(s, "|") {
			in.WriteString(encode(strings.Split(line, " ")...))
		}
		got, want := normal(exchange(t, ours, in.String())), normal(exchange(t, theirs, in.String()))
		if got != want {
			t.Errorf("%s:\ngot  %q\nwant %q", s, got, want)
		}
	}
}

var differs = regexp.MustCompile("(\\$7\r\nversion\r\n)\\$[0-9]+\r\n[0-9.]+|(\\$2\r\nid\r\n):[0-9]+")

// normal hides what can't be equal: HELLO's version and id.
func normal(s string) string { return differs.ReplaceAllString(s, "$1$2?") }

func TestEveryCommandHasAHandler(t *testing.T) {
	for _, s := range command.All() {
		for _, sub := range append([]*command.Spec{s}, s.Subcommands...) {
			container := len(sub.Subcommands) > 0 && sub.Arity == -2
			if sub.Scope == command.ScopeConnection && handlers[sub] == nil && !container {
				t.Errorf("no handler for %s", sub.Name)
			}
			if sub.Scope == command.ScopeNamespace && sub.Gather == command.GatherOwn && own[sub] == nil {
				t.Errorf("no code for %s", sub.Name)
			}
		}
	}
}

func TestAuthBindsToANamespace(t *testing.T) {
	locked := &Namespace{Name: "locked", Partitions: 2, Hash: HashCRC16, Forward: true, Password: "secret"}
	cl := newCluster(t, 1, nil, locked, oneNamespace(2))
	shared := dial(t, cl.nodes[0].addr[SharedPort])
	shared.want("-NOAUTH Authentication required.\r\n", "GET", "locked:t:k")
	shared.want("-WRONGPASS invalid username-password pair or user is disabled.\r\n", "AUTH", "locked", "guess")
	shared.want("-WRONGPASS invalid username-password pair or user is disabled.\r\n", "AUTH", "nosuch", "secret")
	shared.want("+OK\r\n", "AUTH", "locked", "secret")
	shared.want("+OK\r\n", "SET", "any key", "v")
	shared.want("$1\r\nv\r\n", "GET", "any key")
	shared.want("+RESET\r\n", "RESET")
	shared.want("-invalid redis key : ERR handle command GET\r\n", "GET", "any key")
	shared.want("+OK\r\n", "AUTH", "default", "any")
	shared.want("$-1\r\n", "GET", "any key")

	bound := dial(t, cl.nodes[0].addr[NamespacePort])
	bound.want("-NOAUTH Authentication required.\r\n", "GET", "any key")
	bound.want("-WRONGPASS invalid username-password pair or user is disabled.\r\n", "AUTH", "default", "any")
	bound.want("+OK\r\n", "AUTH", "secret")
	bound.want("$1\r\nv\r\n", "GET", "any key")
	bound.want("+RESET\r\n", "RESET")
	bound.want("-NOAUTH Authentication required.\r\n", "PING")
	if got := bound.do("HELLO", "3", "AUTH", "locked", "secret", "SETNAME", "me"); !strings.HasPrefix(got, "%7\r\n") {
		t.Errorf("HELLO 3 AUTH: %q", got)
	}
	bound.want("$1\r\nv\r\n", "GET", "any key")
	bound.want("_\r\n", "GET", "no key")
}

// TestClientReplyAmongWrites: replies that wait are suppressed too, and only those.
func TestClientReplyAmongWrites(t *testing.T) {
	cl := newCluster(t, 1, nil, oneNamespace(4))
	c := dial(t, cl.nodes[0].addr[NamespacePort])
	c.send(encode("SET", "a", "1") + encode("CLIENT", "REPLY", "SKIP") + encode("SET", "b", "2") + encode("GET", "b") +
		encode("CLIENT", "REPLY", "OFF") + encode("INCR", "a") + encode("GET", "a") + encode("CLIENT", "REPLY", "ON") + encode("GET", "a"))
	want := []string{"+OK\r\n", "$1\r\n2\r\n", "+OK\r\n", "$1\r\n2\r\n"}
	var got []string
	for range want {
		got = append(got, c.reply())
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestInfoAndClientList(t *testing.T) {
	cl := newCluster(t, 1, nil, oneNamespace(4))
	c := dial(t, cl.nodes[0].addr[NamespacePort])
	c.do("CLIENT", "SETINFO", "LIB-NAME", "tester")
	info := c.do("INFO")
	for _, want := range []string{"# Server\r\n", "redis_version:7.2", "# Clients\r\nconnected_clients:1", "# Memory", "# Persistence", "# Stats", "# Replication", "# Raft", "# Cluster\r\ncluster_enabled:0", "# Keyspace\r\ndb0:keys="} {
		if !strings.Contains(info, want) {
			t.Errorf("INFO lacks %q:\n%s", want, info)
		}
	}
	if strings.Contains(info, "# Commandstats") || !strings.Contains(c.do("INFO", "everything"), "cmdstat_client|setinfo:calls=1") {
		t.Error("commandstats belongs to everything only")
	}
	if got := c.do("INFO", "clients", "server"); strings.Count(got, "# ") != 2 || strings.Contains(got, "# Memory") {
		t.Errorf("INFO clients server: %q", got)
	}
	if got := c.do("CLIENT", "LIST"); !strings.Contains(got, "lib-name=tester") || !strings.Contains(got, "cmd=client|list") {
		t.Errorf("CLIENT LIST: %q", got)
	}
}
