package resp

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/zankv/zankv/cluster/command"
)

// operations are sessions as those of TestRepliesAsRedis: against a Redis in cluster mode where the words are that mode's.
var operations = []string{
	"SLOWLOG|SLOWLOG NOPE|SLOWLOG RESET|SLOWLOG LEN|SLOWLOG GET|SLOWLOG GET -1|SLOWLOG GET -2|SLOWLOG GET x|SLOWLOG GET 1 2|SLOWLOG LEN x|SLOWLOG GET 0",
	"LATENCY|LATENCY LATEST|LATENCY HISTORY|LATENCY HISTORY command|LATENCY RESET|LATENCY RESET command|LATENCY GRAPH command|LATENCY GRAPH|LATENCY NOPE|LATENCY HISTOGRAM nosuch|LATENCY LATEST x",
	"CLIENT KILL|CLIENT KILL 1.2.3.4:5|CLIENT KILL ID x|CLIENT KILL ID 0|CLIENT KILL ID -1|CLIENT KILL ID 123456|CLIENT KILL TYPE nope|CLIENT KILL TYPE pubsub|CLIENT KILL TYPE master|CLIENT KILL TYPE slave|CLIENT KILL USER nobody|CLIENT KILL ADDR 1.2.3.4:5|CLIENT KILL LADDR 1.2.3.4:5|CLIENT KILL SKIPME maybe|CLIENT KILL NOPE x|CLIENT KILL ID 1 TYPE|CLIENT KILL ID 99999 SKIPME no ADDR x",
	"CLIENT PAUSE|CLIENT PAUSE x|CLIENT PAUSE -1|CLIENT PAUSE 1 NOPE|CLIENT PAUSE 0|CLIENT PAUSE 0 WRITE|CLIENT PAUSE 0 ALL|CLIENT UNPAUSE|CLIENT UNPAUSE x|CLIENT PAUSE 1 ALL x|PING",
	"CLIENT GETREDIR|CLIENT GETREDIR x|CLIENT LIST TYPE master|CLIENT LIST TYPE replica",
	"CONFIG SET|CONFIG SET slowlog-max-len|CONFIG SET nosuch 1|CONFIG SET slowlog-max-len x|CONFIG SET slowlog-log-slower-than -2|CONFIG SET slowlog-max-len 5 slowlog-max-len 6|CONFIG SET databases 2|CONFIG SET slowlog-max-len 7 nosuch 1|CONFIG GET slowlog-max-len|CONFIG SET slowlog-max-len 8 databases 2|CONFIG GET slowlog-max-len|CONFIG SET slowlog-max-len 5 latency-monitor-threshold 100|CONFIG GET slowlog-max-len|CONFIG GET latency-monitor-threshold|CONFIG SET a b c",
	"CONFIG GET slowlog-max-* nosuch|CONFIG GET slowlog-max-len SLOWLOG-MAX-?EN|CONFIG RESETSTAT|CONFIG RESETSTAT x|CONFIG REWRITE",
	"DEBUG SLEEP 0|DEBUG|REPLICAOF a 1|SLAVEOF NO ONE|REPLICAOF a|SWAPDB 0 1|SWAPDB 0|MOVE k 1|MOVE k|SELECT 1|SELECT 0|ACL WHOAMI|ACL NOPE|ROLE x|SAVE x|LASTSAVE x|MEMORY PURGE|MEMORY NOPE|MONITOR x",
	"MULTI|SET k v|MONITOR x|EXEC|RESET",
}

// TestOperationsAsRedis compares with a Redis in cluster mode that serves all slots.
func TestOperationsAsRedis(t *testing.T) {
	theirs := startRedis(t, "--cluster-enabled", "yes")
	dial(t, theirs).want("+OK\r\n", "CLUSTER", "ADDSLOTSRANGE", "0", "16383")
	for c := dial(t, theirs); c.do("SET", "probe", "1") != "+OK\r\n"; { // until it has noticed that it serves
	}
	ours := newCluster(t, 1, nil, &Namespace{Name: "default", Partitions: 1, Hash: HashCRC16, Forward: true}).nodes[0].addr[ClusterPort]
	for _, s := range operations {
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

func TestSlowlog(t *testing.T) {
	cl := newCluster(t, 1, nil, oneNamespace(4))
	c := dial(t, cl.nodes[0].addr[NamespacePort])
	c.do("CLIENT", "SETNAME", "me")
	c.want("+OK\r\n", "CONFIG", "SET", "slowlog-log-slower-than", "0")
	c.do("GET", "k")
	c.do("SET", "k", strings.Repeat("v", 200))
	c.do(append([]string{"MGET"}, strings.Split(strings.Repeat("a", 40), "")...)...)
	c.do("AUTH", "default", "secret")
	c.do("HELLO", "2", "AUTH", "default", "secret")
	log := c.do("SLOWLOG", "GET", "-1")
	for _, want := range []string{
		"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n$", "$2\r\nme\r\n", strings.Repeat("v", 128) + "... (72 more bytes)\r\n", "*32\r\n$4\r\nMGET", "... (10 more arguments)",
		"*3\r\n$4\r\nAUTH\r\n$10\r\n(redacted)\r\n$10\r\n(redacted)\r\n", "*5\r\n$5\r\nHELLO\r\n$1\r\n2\r\n$4\r\nAUTH\r\n$10\r\n(redacted)\r\n$10\r\n(redacted)\r\n",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("SLOWLOG GET lacks %q:\n%q", want, log)
		}
	}
	c.want("+OK\r\n", "CONFIG", "SET", "slowlog-log-slower-than", "-1")
	c.want("+OK\r\n", "CONFIG", "SET", "slowlog-max-len", "2")
	c.want(":2\r\n", "SLOWLOG", "LEN")
	c.want("+OK\r\n", "SLOWLOG", "RESET")
	c.do("GET", "k")
	c.want(":0\r\n", "SLOWLOG", "LEN")
}

// TestTimesOfWrites: a write's time ends with its outcome, and a command behind it doesn't bear it.
func TestTimesOfWrites(t *testing.T) {
	cl := newCluster(t, 1, nil, oneNamespace(1))
	part := cl.parts["default"][0]
	slowly := func(*command.Request) command.Outcome {
		<-time.After(5 * time.Millisecond)
		return command.Answered
	}
	part.fault.Store(&slowly)
	c := dial(t, cl.nodes[0].addr[NamespacePort])
	c.do("CONFIG", "SET", "slowlog-log-slower-than", "4000", "latency-monitor-threshold", "3")
	c.send(encode("PING") + encode("SET", "k", "v") + encode("PING") + encode("SET", "k", "v") + encode("SUBSTR", "k", "1", "1") + encode("PING"))
	for range 6 {
		c.reply()
	}
	log := c.do("SLOWLOG", "GET")
	if !strings.Contains(log, "SET") || strings.Contains(log, "PING") || strings.Contains(log, "SUBSTR") {
		t.Errorf("SLOWLOG GET: %q", log)
	}
	latest := c.do("LATENCY", "LATEST")
	if !strings.Contains(latest, "command\r\n") {
		t.Errorf("LATENCY LATEST: %q", latest)
	}
	for _, line := range []string{"LATENCY GRAPH command", "LATENCY DOCTOR", "LATENCY HISTORY command"} {
		if got := c.do(strings.Fields(line)...); got[0] == '-' || got == "*0\r\n" {
			t.Errorf("%s: %q", line, got)
		}
	}
	if got := c.do("LATENCY", "HISTOGRAM", "set"); !strings.HasPrefix(got, "*2\r\n$3\r\nset\r\n*4\r\n$5\r\ncalls\r\n:2\r\n$14\r\nhistogram_usec\r\n*2\r\n") {
		t.Errorf("LATENCY HISTOGRAM: %q", got)
	}
	if got := c.do("LATENCY", "RESET"); got == ":0\r\n" || c.do("LATENCY", "LATEST") != "*0\r\n" {
		t.Errorf("LATENCY RESET: %q", got)
	}
}

func TestMonitor(t *testing.T) {
	locked := &Namespace{Name: "locked", Partitions: 1, Hash: HashCRC16, Forward: true, Password: "secret"}
	cl := newCluster(t, 1, nil, oneNamespace(4), locked)
	n := cl.nodes[0]
	slowly := func(*command.Request) command.Outcome {
		<-time.After(20 * time.Millisecond)
		return command.Answered
	}
	for _, part := range cl.parts["default"] {
		part.fault.Store(&slowly)
	}
	c, shared, m := dial(t, n.addr[NamespacePort]), dial(t, n.addr[SharedPort]), dial(t, n.addr[NamespacePort])
	m.send(encode("PING") + encode("SET", "k", "v") + encode("MONITOR") + encode("ECHO", "there"))
	for _, want := range []string{"+PONG\r\n", "+OK\r\n", "+OK\r\n"} {
		if got := m.reply(); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
	expect := func(suffix string) {
		t.Helper()
		if got := m.reply(); !regexp.MustCompile(`^\+[0-9]+\.[0-9]{6} \[0 127\.0\.0\.1:[0-9]+\] `).MatchString(got) || !strings.HasSuffix(got, "] "+suffix+"\r\n") {
			t.Errorf("got %q, want %s", got, suffix)
		}
	}
	// Its own command is shown, and answered; which comes first isn't said.
	if both := m.reply() + m.reply(); !strings.Contains(both, `"ECHO" "there"`) {
		t.Errorf("got %q", both)
	} else if !strings.Contains(both, "$5\r\nthere\r\n") {
		t.Errorf("got %q", both)
	}
	c.do("SET", "a \"b\"\\", "\x00\xff\n\r\t\a\b'")
	expect(`"SET" "a \"b\"\\" "\x00\xff\n\r\t\a\b'"`)
	c.do("CONFIG", "GET", "port")
	c.do("NOSUCH")
	c.do("AUTH", "default", "x")
	expect(`"AUTH" "(redacted)" "(redacted)"`)
	shared.do("AUTH", "locked", "secret")
	expect(`"AUTH" "(redacted)" "(redacted)"`)
	shared.want("+OK\r\n", "SET", "private", "1")
	c.do("GET", "x")
	expect(`"GET" "x"`)
	if list := c.do("CLIENT", "LIST", "TYPE", "replica"); strings.Count(list, "flags=O") != 1 {
		t.Errorf("CLIENT LIST: %q", list)
	}
	c.do("PING")
	expect(`"PING"`)
	m.send(encode("RESET"))
	expect(`"RESET"`)
	if got := m.reply(); got != "+RESET\r\n" {
		t.Errorf("got %q", got)
	}
	c.do("PING")
	m.want("+PONG\r\n", "PING")
	if n.srv.hooked.Load() != 0 {
		t.Error("commands are still shown to nobody")
	}
}

// TestSlowMonitorIsDropped: who doesn't read what it is shown is disconnected, and holds nobody up.
func TestSlowMonitorIsDropped(t *testing.T) {
	cl := newCluster(t, 1, nil, oneNamespace(1))
	n := cl.nodes[0]
	m, c := dial(t, n.addr[NamespacePort]), dial(t, n.addr[NamespacePort])
	m.want("+OK\r\n", "MONITOR")
	big := strings.Repeat("x", 256<<10)
	for i := 0; n.srv.Stats().Dropped == 0; i++ {
		if i == 1000 {
			t.Fatal("it isn't dropped")
		}
		c.do("ECHO", big)
	}
	c.want("+PONG\r\n", "PING")
}

func TestClientKill(t *testing.T) {
	cl := newCluster(t, 1, nil, oneNamespace(1))
	addr := cl.nodes[0].addr[NamespacePort]
	c := dial(t, addr)
	gone := func(victim *client) {
		t.Helper()
		if _, err := victim.rd.ReadByte(); err == nil {
			t.Error("the connection is there")
		}
	}
	victim := dial(t, addr)
	id := strings.Trim(victim.do("CLIENT", "ID"), ":\r\n")
	c.want(":1\r\n", "CLIENT", "KILL", "ID", id)
	gone(victim)
	victim = dial(t, addr)
	victim.do("PING")
	c.want("+OK\r\n", "CLIENT", "KILL", victim.nc.LocalAddr().String())
	gone(victim)
	victim = dial(t, addr)
	victim.do("PING")
	c.want(":0\r\n", "CLIENT", "KILL", "TYPE", "normal", "LADDR", "1.2.3.4:5")
	c.want(":1\r\n", "CLIENT", "KILL", "TYPE", "normal", "LADDR", addr, "USER", "default")
	gone(victim)
	victim = dial(t, addr)
	victim.send(encode("delifeq", "nothing", "0")) // waits for ever
	for c.do("CLIENT", "LIST") != "" && !strings.Contains(c.do("CLIENT", "LIST"), "flags=b") {
	}
	c.want(":1\r\n", "CLIENT", "KILL", "TYPE", "normal")
	gone(victim)
	c.want(":1\r\n", "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no")
	gone(c)
}

func TestClientPause(t *testing.T) {
	cl := newCluster(t, 1, nil, oneNamespace(1))
	n := cl.nodes[0]
	c, other := dial(t, n.addr[NamespacePort]), dial(t, n.addr[NamespacePort])
	c.want("+OK\r\n", "CLIENT", "PAUSE", "100000", "WRITE")
	other.want("$-1\r\n", "GET", "k")
	other.want("+OK\r\n", "MULTI")
	other.want("+QUEUED\r\n", "SET", "k", "v")
	other.send(encode("EXEC"))
	other.nc.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if b, err := other.rd.ReadByte(); err == nil {
		t.Errorf("EXEC was answered with %q", b)
	}
	other.nc.SetReadDeadline(time.Now().Add(20 * time.Second))
	c.want("$-1\r\n", "GET", "k")
	c.want("+OK\r\n", "CLIENT", "UNPAUSE")
	if got := other.reply(); got != "*1\r\n+OK\r\n" {
		t.Errorf("EXEC: %q", got)
	}
	c.want("+OK\r\n", "CLIENT", "PAUSE", "30")
	began := time.Now()
	other.want("$1\r\nv\r\n", "GET", "k")
	if took := time.Since(began); took < 20*time.Millisecond {
		t.Errorf("GET was answered after %v", took)
	}
	c.want("+OK\r\n", "CLIENT", "PAUSE", "100000")
	other.send(encode("GET", "k"))
	for !strings.Contains(c.do("CLIENT", "LIST"), "cmd=get") { // until its round has begun to wait
	}
	c.want(":1\r\n", "CLIENT", "KILL", "TYPE", "normal")
	for deadline := time.Now().Add(10 * time.Second); n.srv.Stats().Clients > 1; {
		if time.Now().After(deadline) {
			t.Fatal("a connection waits though it was killed")
		}
	}
	c.want("+OK\r\n", "CLIENT", "UNPAUSE")
	c.want("$1\r\nv\r\n", "GET", "k")
}

func TestMaxClientsAtRunTime(t *testing.T) {
	cl := newCluster(t, 1, nil, oneNamespace(1))
	c := dial(t, cl.nodes[0].addr[NamespacePort])
	c.want("+OK\r\n", "CONFIG", "SET", "maxclients", "1", "timeout", "77")
	if got := dial(t, cl.nodes[0].addr[NamespacePort]).reply(); got != "-ERR max number of clients reached\r\n" {
		t.Errorf("got %q", got)
	}
	c.want("*2\r\n$7\r\ntimeout\r\n$2\r\n77\r\n", "CONFIG", "GET", "timeout")
}

func TestInfoSections(t *testing.T) {
	cl := newCluster(t, 1, nil, oneNamespace(4))
	c := dial(t, cl.nodes[0].addr[NamespacePort])
	c.do("GET")
	c.do("SET", "k", "v")
	c.do("INCR", "k")
	c.do("NOSUCH")
	c.do("MGET", "a", "b", "c", "d")
	c.send(encode("SET", "k", "v") + encode("INCR", "k") + encode("GET", "k"))
	for range 3 {
		c.reply()
	}
	all := c.do("INFO", "everything")
	for _, want := range []string{
		"# CPU\r\nused_cpu_sys:", "# Modules\r\n", "cmdstat_get:calls=1,usec=", ",rejected_calls=1,failed_calls=0\r\n", "cmdstat_incr:calls=2,", "rejected_calls=0,failed_calls=2\r\n",
		"cmdstat_mget:calls=1,", "errorstat_ERR:count=4\r\n", "total_error_replies:4\r\n", "latency_percentiles_usec_set:p50=", "instantaneous_ops_per_sec:",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("INFO everything lacks %q:\n%s", want, all)
		}
	}
	for args, want := range map[string]string{
		"": "Server Clients Memory Persistence Stats Replication Raft CDC CPU Modules Errorstats Cluster Keyspace", "nosuch": "", "cpu CPU": "CPU", "keyspace clients": "Clients Keyspace",
		"all":                  "Server Clients Memory Persistence Stats Replication Raft CDC CPU Commandstats Errorstats Latencystats Cluster Keyspace",
		"default latencystats": "Server Clients Memory Persistence Stats Replication Raft CDC CPU Modules Errorstats Latencystats Cluster Keyspace",
	} {
		var got []string
		for _, m := range regexp.MustCompile(`# (\w+)\r\n`).FindAllStringSubmatch(c.do(append([]string{"INFO"}, strings.Fields(args)...)...), -1) {
			got = append(got, m[1])
		}
		if strings.Join(got, " ") != want {
			t.Errorf("INFO %s: %s, want %s", args, got, want)
		}
	}
	c.want("+OK\r\n", "CONFIG", "RESETSTAT")
	if got := c.do("INFO", "commandstats", "errorstats"); strings.Contains(got, "cmdstat_mget") || strings.Contains(got, "errorstat_") {
		t.Errorf("after CONFIG RESETSTAT: %q", got)
	}
}
