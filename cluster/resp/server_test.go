package resp

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func oneNamespace(partitions int) *Namespace {
	return &Namespace{Name: "default", Partitions: partitions, Hash: HashCRC16, Forward: true}
}

// client is a raw connection.
type client struct {
	t  testing.TB
	nc net.Conn
	rd *bufio.Reader
}

func dial(t testing.TB, addr string) *client {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	return &client{t, nc, bufio.NewReader(nc)}
}

func (c *client) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.nc, s); err != nil {
		c.t.Fatal(err)
	}
}

// reply reads one reply, as it comes.
func (c *client) reply() string {
	c.t.Helper()
	line, err := c.rd.ReadString('\n')
	if err != nil {
		c.t.Fatalf("reading a reply: %v (got %q)", err, line)
	}
	n := 0
	fmt.Sscanf(line[1:], "%d", &n)
	switch line[0] {
	case '$', '=':
		if n < 0 {
			return line
		}
		b := make([]byte, n+2)
		if _, err := io.ReadFull(c.rd, b); err != nil {
			c.t.Fatal(err)
		}
		return line + string(b)
	case '%':
		n *= 2
		fallthrough
	case '*', '~', '>':
		for range n {
			line += c.reply()
		}
	}
	return line
}

func (c *client) do(words ...string) string {
	c.t.Helper()
	c.send(encode(words...))
	return c.reply()
}

func encode(words ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	return b.String()
}

func (c *client) want(want string, words ...string) {
	c.t.Helper()
	if got := c.do(words...); got != want {
		c.t.Errorf("%q: got %q, want %q", words, got, want)
	}
}

func TestGetSet(t *testing.T) {
	cl := newCluster(t, 1, nil, oneNamespace(4))
	c := dial(t, cl.nodes[0].addr[NamespacePort])
	c.want("+OK\r\n", "SET", "greeting", "hello")
	c.want("$5\r\nhello\r\n", "GET", "greeting")
	c.want("$-1\r\n", "GET", "other")
	c.want("+OK\r\n", "MSET", "a", "1", "b", "2", "c", "3")
	c.want("*4\r\n$1\r\n3\r\n$1\r\n2\r\n$-1\r\n$1\r\n1\r\n", "MGET", "c", "b", "x", "a")
	c.want(":3\r\n", "DEL", "a", "b", "c", "d")
	c.want(":1\r\n", "DBSIZE")
	c.send(strings.Repeat(encode("INCR", "n")+encode("GET", "n")+encode("PING"), 50))
	for i := 1; i <= 50; i++ {
		n := fmt.Sprint(i)
		if got, want := c.reply()+c.reply()+c.reply(), ":"+n+"\r\n$"+fmt.Sprint(len(n))+"\r\n"+n+"\r\n+PONG\r\n"; got != want {
			t.Fatalf("round %d: got %q, want %q", i, got, want)
		}
	}
}

func TestGoRedis(t *testing.T) {
	cl := newCluster(t, 3, nil, oneNamespace(4))
	ctx := context.Background()
	plain := redis.NewClient(&redis.Options{Addr: cl.nodes[1].addr[NamespacePort]})
	defer plain.Close()
	cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{cl.nodes[2].addr[ClusterPort]}})
	defer cluster.Close()
	for i := range 100 {
		k := fmt.Sprint("key", i)
		if err := plain.Set(ctx, k, i, 0).Err(); err != nil {
			t.Fatal(err)
		}
		if got, err := cluster.Get(ctx, k).Int(); err != nil || got != i {
			t.Fatalf("cluster get %s: %d, %v", k, got, err)
		}
	}
	if n, err := plain.DBSize(ctx).Result(); n != 100 || err != nil {
		t.Fatalf("dbsize: %d, %v", n, err)
	}
	if n, err := cluster.DBSize(ctx).Result(); n != 100 || err != nil {
		t.Fatalf("cluster dbsize: %d, %v", n, err)
	}
	var keys []string
	iter := plain.Scan(ctx, 0, "key*", 7).Iterator()
	for iter.Next(ctx) {
		keys = append(keys, iter.Val())
	}
	if iter.Err() != nil || len(keys) != 100 {
		t.Fatalf("scan: %d keys, %v", len(keys), iter.Err())
	}
}
