package resp

import (
	"fmt"
	"strings"
	"testing"
)

// transactionSessions are compared with real Redis, reply by reply.
var transactionSessions = []string{
	"MULTI|SET a 1|INCR a|GET a|EXEC|GET a",
	"EXEC|DISCARD|UNWATCH|MULTI x|EXEC x|WATCH|DISCARD 1|MULTI|EXEC",
	"MULTI|MULTI|WATCH a|SET k v|EXEC",
	"MULTI|SET a 1|NOSUCH|SET a 2|EXEC|GET nothing|EXEC",
	"MULTI|SET a|EXEC|MULTI|GET|DISCARD|MULTI|SET a 3|EXEC",
	"SET s x|MULTI|INCR s|SET s y|GET s|EXEC",
	"MULTI|PING|SET a 1|ECHO hi|CLIENT GETNAME|SELECT 0|SELECT 7|INCR a|PING x|EXEC",
	"MULTI|PING|ECHO|EXEC|MULTI|PING|PING a b|EXEC|MULTI|CLIENT NOPE|EXEC",
	"MULTI|CLIENT SETNAME me|CLIENT GETNAME|CLIENT ID x|EXEC|CLIENT GETNAME",
	"SET w 1|WATCH w|MULTI|SET w 2|EXEC|MULTI|GET w|EXEC",
	"SET w 1|WATCH w|SET w 2|MULTI|SET w 3|PING|EXEC|GET w|MULTI|GET w|EXEC",
	"WATCH gone|SET gone 1|UNWATCH|MULTI|GET gone|EXEC",
	"SET w 1|WATCH w w z|SET z 2|MULTI|EXEC",
	"WATCH nokey|MULTI|PING|EXEC",
	"WATCH nokey2|SET nokey2 1|MULTI|PING|EXEC",
	"SET w 1|WATCH w|SET w 2|MULTI|DISCARD|MULTI|GET w|EXEC",
	"SET w 1|WATCH w|SET w 2|MULTI|NOSUCH|EXEC|MULTI|GET w|EXEC",
	"SET w 1|WATCH w|SET w 2|RESET|MULTI|GET w|EXEC",
	"MULTI|SET a 1|RESET|EXEC|GET a",
	"MULTI|SET a 1|QUIT|GET a",
	"MULTI|FLUSHDB|SET a 1|DBSIZE|SCAN 0|RANDOMKEY|SCAN x|SCAN 0 NOPE|EXEC",
	"MULTI|MSET a 1 b 2|MGET a b c|DEL a b c|EXISTS a|MSETNX a 1 a 2|EXEC",
	"HELLO 3|MULTI|GET nothing|EXEC|SET w 1|WATCH w|SET w 2|MULTI|EXEC",
	"MULTI|AUTH x|EXEC|MULTI|COMMAND COUNT x|EXEC|MULTI|HELLO x|EXEC",
	"MULTI|CLIENT REPLY SKIP|PING|EXEC|PING",
	"CLIENT REPLY SKIP|MULTI|SET a 5|EXEC|GET a",
	"EXEC|WATCH a|WATCH a b|EXEC|DISCARD|MULTI|UNWATCH|EXEC",
}

func TestTransactionsAsRedis(t *testing.T) {
	theirs := startRedis(t, "--databases", "1")
	ours := newCluster(t, 1, nil, &Namespace{Name: "default", Partitions: 1, Hash: HashMurmur3, Forward: true}).nodes[0].addr[NamespacePort]
	for _, s := range transactionSessions {
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

func TestTransactionsInPipelines(t *testing.T) {
	cl := newCluster(t, 3, nil, oneNamespace(4))
	for _, n := range cl.nodes {
		c := dial(t, n.addr[NamespacePort])
		k := fmt.Sprint("{tag}", n.node.ID)
		var in strings.Builder
		var want []string
		for i := range 20 {
			in.WriteString(encode("INCR", k) + encode("MULTI") + encode("INCR", k) + encode("PING") + encode("GET", k) + encode("EXEC") + encode("GET", k))
			if i%2 == 0 { // all of it for the partition
				in.WriteString(encode("MULTI") + encode("APPEND", k, "") + encode("EXEC"))
			}
			v := fmt.Sprint(2*i + 2)
			b := fmt.Sprintf("$%d\r\n%s\r\n", len(v), v)
			want = append(want, fmt.Sprintf(":%d\r\n", 2*i+1), "+OK\r\n", "+QUEUED\r\n", "+QUEUED\r\n", "+QUEUED\r\n",
				fmt.Sprintf("*3\r\n:%s\r\n+PONG\r\n%s", v, b), b)
			if i%2 == 0 {
				want = append(want, "+OK\r\n", "+QUEUED\r\n", fmt.Sprintf("*1\r\n:%d\r\n", len(v)))
			}
		}
		c.send(in.String())
		for i, w := range want {
			if got := c.reply(); got != w {
				t.Fatalf("node %d reply %d: got %q, want %q", n.node.ID, i, got, w)
			}
		}
	}
}
