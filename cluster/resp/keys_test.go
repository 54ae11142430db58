package resp

import (
	"fmt"
	"strings"
	"testing"

	"github.com/zankv/zankv/cluster/command"
)

// TestKeysThatArgumentsTell are routed like others: all of them count.
func TestKeysThatArgumentsTell(t *testing.T) {
	ns, other := oneNamespace(4), &Namespace{Name: "other", Partitions: 4, Hash: HashMurmur3, Forward: true}
	cl := newCluster(t, 2, nil, ns, other)
	a, b := "{"+keyIn(ns, 1, "x")+"}a", "{"+keyIn(ns, 1, "x")+"}b"
	far := keyIn(ns, 2, "far")
	bound, shared := dial(t, cl.nodes[0].addr[NamespacePort]), dial(t, cl.nodes[0].addr[SharedPort])
	bound.want("+OK\r\n", "SET", a, "12")
	bound.want("+OK\r\n", "SET", b, "345")
	bound.want(":5\r\n", "GETNOLOCK", "2", a, b)
	bound.want("-"+crossSlot+"\r\n", "GETNOLOCK", "2", a, far)
	bound.want("-"+crossSlot+"\r\n", "GETNOLOCK", "3", a, b, far)
	bound.want(":2\r\n", "GETNOLOCK", "1", a, far) // not a key
	for _, args := range []string{"0 k", "9 k", "-1 k", "x k"} {
		bound.want("-"+numKeysError+"\r\n", strings.Fields("GETNOLOCK "+args)...)
		shared.want("-"+numKeysError+"\r\n", strings.Fields("GETNOLOCK "+args)...)
	}

	t1, t2 := "default:t:{1}a", "default:t:{1}b"
	shared.want("+OK\r\n", "SET", t1, "1")
	shared.want("+OK\r\n", "SET", t2, "23")
	shared.want(":3\r\n", "GETNOLOCK", "2", t1, t2)
	bound.want(":3\r\n", "GETNOLOCK", "2", "t:{1}a", "t:{1}b")
	shared.want("-invalid arguments : ERR handle command GETNOLOCK, other:t:k\r\n", "GETNOLOCK", "2", t1, "other:t:k")
	shared.want("-invalid redis key : ERR handle command GETNOLOCK\r\n", "GETNOLOCK", "2", t1, "k")
	shared.want(popped(t1, "1"), "SETIFEQ", "1", "2", t1, t2) // the key as it came
	shared.want(popped(t2, "23"), "DELIFEQ", t2, "1")
	shared.want("*-1\r\n", "DELIFEQ", t2, "0.001")

	cluster := dial(t, cl.nodes[0].addr[ClusterPort])
	cluster.want(fmt.Sprintf("-MOVED %d %s\r\n", keySlot([]byte(a)), cl.nodes[1].addr[ClusterPort]), "GETNOLOCK", "2", a, b)
	near, beside := keyIn(ns, 0, "n"), keyIn(ns, 0, "m")
	cluster.want("-"+crossSlot+"\r\n", "GETNOLOCK", "2", near, beside)
}

func TestWithNamespace(t *testing.T) {
	for in, want := range map[string]string{
		"*-1\r\n": "*-1\r\n", "_\r\n": "_\r\n", "-ERR x\r\n": "-ERR x\r\n", ":1\r\n": ":1\r\n", "*0\r\n": "*0\r\n", "": "",
		"*2\r\n$1\r\nk\r\n$1\r\nv\r\n":              "*2\r\n$4\r\nns:k\r\n$1\r\nv\r\n",
		"*2\r\n$0\r\n\r\n*1\r\n$1\r\nv\r\n":         "*2\r\n$3\r\nns:\r\n*1\r\n$1\r\nv\r\n",
		"*3\r\n$3\r\nt:k\r\n$1\r\nv\r\n$1\r\n1\r\n": "*3\r\n$6\r\nns:t:k\r\n$1\r\nv\r\n$1\r\n1\r\n",
	} {
		if got := string(withNamespace(nil, []byte(in), "ns")); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// TestLimitsAreTheNodes: both the node of the client and the one that leads have a say.
func TestLimitsAreTheNodes(t *testing.T) {
	ns := oneNamespace(2)
	node := 0
	cl := newCluster(t, 2, func(o *Options) {
		node++
		o.Limits = command.Limits{Value: 10 * node, Key: 15}
	}, ns)
	key := keyIn(ns, 0, "k") // led by the stricter
	loose := dial(t, cl.nodes[1].addr[NamespacePort])
	loose.want("+OK\r\n", "SET", key, strings.Repeat("x", 10))
	loose.send(encode("APPEND", key, "1") + encode("SET", key, strings.Repeat("x", 11)) + encode("STRLEN", key))
	for _, want := range []string{":11\r\n", "-" + command.ErrValueSize + "\r\n", ":11\r\n"} {
		if got := loose.reply(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	loose.want("-"+command.ErrValueSize+"\r\n", "SET", key, strings.Repeat("x", 21))
	loose.want("-"+command.ErrKeySize+"\r\n", "GET", strings.Repeat("x", 16))
	loose.want("+OK\r\n", "MULTI")
	loose.want("+QUEUED\r\n", "SET", key, strings.Repeat("x", 11))
	loose.want("-EXECABORT Transaction discarded because of: "+command.ErrValueSize+"\r\n", "EXEC")
	if got := newServer(t, Options{}).opt.Limits; got != command.DefaultLimits {
		t.Errorf("defaults: %+v", got)
	}
}

func newServer(t *testing.T, o Options) *Server {
	o.Backend = nullBackend{oneNamespace(1), &nullExecutor{}}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}
