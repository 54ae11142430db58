package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zankv/zankv/cli/internal/processes"
)

// raw is a connection on which anything can be sent.
type raw struct {
	net.Conn
	in *bufio.Reader
	t  *testing.T
}

func dialRaw(t *testing.T, addr string) *raw {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	must(t, "dial", err)
	t.Cleanup(func() { _ = c.Close() })
	must(t, "deadline", c.SetDeadline(time.Now().Add(patience)))
	return &raw{Conn: c, in: bufio.NewReader(c), t: t}
}

func (r *raw) send(text string) {
	r.t.Helper()
	if _, err := io.WriteString(r, text); err != nil {
		r.t.Fatalf("send %.60q: %v", text, err)
	}
}

// line is the next line of an answer.
func (r *raw) line() string {
	r.t.Helper()
	s, err := r.in.ReadString('\n')
	if err != nil {
		r.t.Fatalf("read: %v after %q", err, s)
	}
	return strings.TrimSuffix(s, "\r\n")
}

// command is its form on the wire.
func command(args ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	return b.String()
}

// ports are one of each kind.
func ports(c *processes.Cluster) map[string]string {
	return map[string]string{"shared": c.Nodes[0].Redis(), "bound": c.Nodes[0].Bound("default"), "cluster": c.Nodes[0].Cluster("default")}
}

// What isn't the protocol gets Redis's words and the end of the connection; the server goes on.
func TestMalformedProtocol(t *testing.T) {
	t.Parallel()
	c := sharedCluster(t)
	for port, addr := range ports(c) {
		for sent, want := range map[string]string{
			"*x\r\n":                                "invalid multibulk length",
			"*3000000000\r\n":                       "invalid multibulk length",
			"*1\r\n:1\r\n":                          "expected '$', got ':'",
			"*1\r\n$-5\r\n":                         "invalid bulk length",
			"*1\r\n$x\r\n":                          "invalid bulk length",
			"*1\r\n$99999999999999999999\r\n":       "invalid bulk length",
			"*1\r\n$600000000\r\n":                  "invalid bulk length",
			"set k \"half\r\n":                      "unbalanced quotes in request",
			strings.Repeat("x", 70_000):             "too big inline request",
			"*" + strings.Repeat("1", 70_000):       "too big mbulk count string",
			"*1\r\n$" + strings.Repeat("1", 70_000): "too big bulk count string",
		} {
			r := dialRaw(t, addr)
			must(t, "deadline", r.SetDeadline(time.Now().Add(patience/3)))
			_, _ = io.WriteString(r, sent) // the server may close before all is sent
			got, err := r.in.ReadString('\n')
			if strings.TrimRight(got, "\r\n") != "-ERR Protocol error: "+want {
				t.Errorf("%s port: %.30q: %q, %v; want %q", port, sent, got, err, want)
			}
			if rest, err := io.ReadAll(r.in); len(rest) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s port: %.30q: then %.100q, %v; want the end of the connection", port, sent, rest, err)
			}
		}
		r := dialRaw(t, addr)
		r.send("*0\r\n*-1\r\n\r\n\r\nPING\r\n" + command("ECHO", "a\r\nb\x00"))
		if got := []string{r.line(), r.line(), r.line(), r.line()}; strings.Join(got, "|") != "+PONG|$5|a|b\x00" {
			t.Errorf("%s port: empty commands, then PING and ECHO: %q", port, got)
		}
	}
}

// Mistakes in a command cost nothing but an error, in Redis's words or in ZanKV's.
func TestWrongCommands(t *testing.T) {
	t.Parallel()
	c := sharedCluster(t)
	const aboutKey = " : ERR handle command "
	for port, cases := range map[string]map[string]string{
		"bound": {
			command("nosuch", "a", "b"):                                                "-ERR unknown command 'nosuch', with args beginning with: 'a' 'b' ",
			command("get"):                                                             "-ERR wrong number of arguments for 'get' command",
			command("SET", "k"):                                                        "-ERR wrong number of arguments for 'set' command",
			command("client", "nosuch"):                                                "-ERR unknown subcommand 'nosuch'. Try CLIENT HELP.",
			command("set", "wrong:k", "v", "ex", "0"):                                  "-ERR invalid expire time in 'set' command",
			command("set", "wrong:k", "v", "nx", "xx"):                                 "-ERR syntax error",
			command("select", "1"):                                                     "-ERR DB index is out of range",
			command("get", strings.Repeat("k", 10241)):                                 "-ERR invalid key size",
			command("set", strings.Repeat("k", 10241), "v"):                            "-ERR invalid key size",
			command("set", "wrong:k", strings.Repeat("v", 8<<20+1)):                    "-ERR invalid value size",
			command(append([]string{"mget"}, spread("wrong", 5001)...)...):             "-ERR the batch size exceed the limit",
			command(append([]string{"del"}, spread("wrong", 5001)...)...):              "-ERR the batch size exceed the limit",
			command("msetnx", "wrong:a", "1", "wrong:b", "2", "wrong:c", "3"):          "-CROSSSLOT Keys in request don't hash to the same slot",
			command("get", strings.Repeat("k", 10240)):                                 "$-1",
			command(append([]string{"exists"}, spread("wrong", 5000)...)...):           ":0",
			command("set", "wrong:largest", strings.Repeat("v", 8<<20), "px", "60000"): "+OK",
		},
		"shared": {
			command("GET", "nocolon"):            "-invalid redis key" + aboutKey + "GET",
			command("get", ":t:k"):               "-invalid redis key" + aboutKey + "get",
			command("get"):                       "-ERR wrong number of arguments for 'get' command",
			command("get", "default:"):           "-invalid table name" + aboutKey + "get, default:",
			command("get", "default::k"):         "-invalid table name" + aboutKey + "get, default::k",
			command("set", "nobody:t:k", "v"):    "-ERR_CLUSTER_CHANGED: namespace is not found" + aboutKey + "set, nobody:t:k",
			command("nosuch", "default:wrong:k"): "-ERR unknown command 'nosuch', with args beginning with: 'default:wrong:k' ",
			command("get", "default:wrong:k"):    "$-1",
		},
	} {
		for sent, want := range cases {
			r := dialRaw(t, ports(c)[port])
			r.send(sent + command("ping"))
			if got := r.line(); got != want {
				t.Errorf("%s port: %.60q:\ngot  %q\nwant %q", port, sent, got, want)
			}
			if got := r.line(); got != "+PONG" {
				t.Errorf("%s port: after %.60q: PING: %q", port, sent, got)
			}
		}
	}
}

// A command that ends in the middle, wherever, did nothing.
func TestHalfCommands(t *testing.T) {
	t.Parallel()
	c := sharedCluster(t)
	whole := command("SET", "half:key", "value")
	for port, addr := range ports(c) {
		if port == "shared" {
			whole = command("SET", "default:half:key", "value")
		}
		for n := range len(whole) {
			r := dialRaw(t, addr)
			r.send(whole[:n])
			must(t, "close", r.Close())
		}
	}
	client := plain(t, c.Nodes[1].Bound("default"))
	if err := client.Get(t.Context(), "half:key").Err(); !errors.Is(err, redis.Nil) {
		t.Errorf("GET half:key: %v: half a command was run", err)
	}
}

// memory is what a process holds, and has held at most, in bytes.
func memory(t *testing.T, p *processes.Process) (now, most int64) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	must(t, "status", err)
	field := func(name string) int64 {
		_, rest, _ := bytes.Cut(b, []byte("\n"+name+":"))
		kib, err := strconv.ParseInt(strings.Fields(string(rest))[0], 10, 64)
		must(t, name, err)
		return kib << 10
	}
	return field("VmRSS"), field("VmHWM")
}

// Clients that ask for gigabytes and take nothing: the node holds a bounded part of it, and others are served.
func TestClientsThatDontRead(t *testing.T) {
	t.Parallel()
	c := ownCluster(t, processes.Options{Nodes: 1, Partitions: 1, Replicas: 1})
	n := c.Nodes[0]
	other := plain(t, n.Bound("default"))
	must(t, "SET", other.Set(t.Context(), "large", strings.Repeat("x", 1<<20), 0).Err())
	before, _ := memory(t, n.Process)
	const clients, asked = 16, 500 // 8 GiB
	ask := strings.Repeat(command("GET", "large"), asked)
	for range clients {
		r := dialRaw(t, n.Bound("default"))
		must(t, "deadline", r.SetWriteDeadline(time.Now().Add(time.Second))) // it needn't take everything
		_, _ = io.WriteString(r, ask)
	}
	for i := range 100 {
		key := "small:" + strconv.Itoa(i)
		must(t, "SET beside them", other.Set(t.Context(), key, "v", 0).Err())
		must(t, "GET beside them", other.Get(t.Context(), key).Err())
	}
	limit := int64(256 << 20) // of the 8 GiB
	if processes.Race {
		limit *= 4
	}
	_, most := memory(t, n.Process)
	t.Logf("the node held %d MiB, and then at most %d", before>>20, most>>20)
	if most-before > limit {
		t.Errorf("the node grew from %d to %d MiB, want at most %d more", before>>20, most>>20, limit>>20)
	}
}
