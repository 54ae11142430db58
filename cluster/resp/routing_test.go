package resp

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zankv/zankv/cluster/command"
)

// keyIn gives a key of a partition that no other call gives.
func keyIn(ns *Namespace, partition int, name string) string {
	for i := 0; ; i++ {
		if k := fmt.Sprintf("%s-%d", name, i); ns.partition([]byte(k)) == partition {
			return k
		}
	}
}

// TestOrderUnderLeaderChanges is invariants 1 and 2: while leaders move about, every connection's APPENDs to a key take effect once each
// and in order, and each read sees exactly the writes sent before it.
func TestOrderUnderLeaderChanges(t *testing.T) {
	ns := oneNamespace(4)
	cl := newCluster(t, 3, nil, ns)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	stop := make(chan struct{})
	var chaos, clients sync.WaitGroup
	chaos.Go(func() { moveLeaders(cl, ns, rand.New(rand.NewPCG(seed, 0)), stop) })
	for i := range 6 {
		clients.Go(func() { appendInOrder(t, cl, ns, i, rand.New(rand.NewPCG(seed, uint64(i)+1))) })
	}
	clients.Wait()
	close(stop)
	chaos.Wait()
	var forwarded uint64
	for _, n := range cl.nodes {
		forwarded += n.srv.Stats().Forwarded
	}
	if forwarded == 0 {
		t.Error("nothing was forwarded")
	}
}

// moveLeaders gives random partitions other leaders, or none for a moment, and makes random batches stop half way.
func moveLeaders(cl *fakeCluster, ns *Namespace, rng *rand.Rand, stop chan struct{}) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	var mu sync.Mutex
	fault := func(*command.Request) command.Outcome {
		mu.Lock()
		defer mu.Unlock()
		if rng.IntN(8) == 0 {
			return command.Elsewhere
		}
		return command.Answered
	}
	for {
		for _, p := range cl.parts[ns.Name] {
			p.fault.Store(&fault)
		}
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		mu.Lock()
		cl.parts[ns.Name][rng.IntN(ns.Partitions)].leader.Store(uint64(rng.IntN(len(cl.nodes) + 1)))
		for p := range ns.Partitions { // nobody stays without a leader for long
			if part := cl.parts[ns.Name][p]; part.leader.Load() == 0 && rng.IntN(3) == 0 {
				part.leader.Store(uint64(rng.IntN(len(cl.nodes)) + 1))
			}
		}
		mu.Unlock()
	}
}

func appendInOrder(t *testing.T, cl *fakeCluster, ns *Namespace, id int, rng *rand.Rand) {
	c := dial(t, cl.nodes[id%len(cl.nodes)].addr[NamespacePort])
	keys, values := make([]string, 4), make([]string, 4)
	for p := range keys {
		keys[p] = keyIn(ns, p, fmt.Sprintf("client%d", id))
	}
	for round := range 30 {
		var in strings.Builder
		var want []string
		for range 1 + rng.IntN(40) {
			p := rng.IntN(4)
			switch rng.IntN(4) {
			case 0:
				in.WriteString(encode("GET", keys[p]))
				want = append(want, bulkOrNull(values[p]))
			case 1:
				in.WriteString(encode("MGET", keys[3], keys[p], keys[0]))
				want = append(want, "*3\r\n"+bulkOrNull(values[3])+bulkOrNull(values[p])+bulkOrNull(values[0]))
			default:
				part := fmt.Sprintf("%d,", len(want))
				values[p] += part
				in.WriteString(encode("APPEND", keys[p], part))
				want = append(want, fmt.Sprintf(":%d\r\n", len(values[p])))
			}
		}
		c.send(in.String())
		for i, w := range want {
			if got := c.reply(); got != w {
				t.Errorf("client %d round %d reply %d: got %q, want %q", id, round, i, got, w)
				return
			}
		}
	}
}

func bulkOrNull(s string) string {
	if s == "" {
		return "$-1\r\n"
	}
	return "$" + strconv.Itoa(len(s)) + "\r\n" + s + "\r\n"
}

// TestLostAnswers is invariant 3: the write whose answer was lost is not sent again and gets UNKNOWN; the read behind it is.
func TestLostAnswers(t *testing.T) {
	ns := oneNamespace(1)
	cl := newCluster(t, 3, nil, ns)
	part := cl.parts[ns.Name][0]
	part.leader.Store(2)
	entered, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	fault := func(*command.Request) command.Outcome {
		once.Do(func() { close(entered) })
		<-release
		return command.Answered
	}
	part.fault.Store(&fault)
	c := dial(t, cl.nodes[0].addr[NamespacePort])
	c.send(encode("APPEND", "k", "x") + encode("GET", "k") + encode("APPEND", "k", "y"))
	<-entered
	part.leader.Store(3)
	stopped := make(chan struct{})
	go func() {
		cl.nodes[1].stopGRPC()
		close(stopped)
	}()
	for cl.nodes[0].srv.Stats().ForwardLost == 0 { // its stream has broken off
		runtime.Gosched()
	}
	close(release)
	<-stopped
	if got := c.reply(); !strings.HasPrefix(got, "-UNKNOWN ") {
		t.Errorf("first write: %q", got)
	}
	if got := c.reply(); got != "$1\r\nx\r\n" && got != "$2\r\nxy\r\n" {
		t.Errorf("read: %q", got)
	}
	if got := c.reply(); !strings.HasPrefix(got, "-UNKNOWN ") {
		t.Errorf("second write: %q", got)
	}
	part.mu.Lock()
	defer part.mu.Unlock()
	if n := len(part.log); n > 2 {
		t.Errorf("writes were sent again: %q", part.log)
	}
}

func TestUnknownIsNotRetried(t *testing.T) {
	ns := oneNamespace(1)
	cl := newCluster(t, 1, nil, ns)
	unknown := func(*command.Request) command.Outcome { return command.Unknown }
	cl.parts[ns.Name][0].fault.Store(&unknown)
	c := dial(t, cl.nodes[0].addr[NamespacePort])
	c.want("-"+unknownOutcome+"\r\n", "INCR", "n")
	c.want("$1\r\n1\r\n", "GET", "n")
}

// TestPartErrorIsTheCommands is invariant 4.
func TestPartErrorIsTheCommands(t *testing.T) {
	ns := oneNamespace(4)
	cl := newCluster(t, 1, nil, ns)
	c := dial(t, cl.nodes[0].addr[NamespacePort])
	a, b := keyIn(ns, 0, "a"), keyIn(ns, 3, "b")
	unknown := func(*command.Request) command.Outcome { return command.Unknown }
	cl.parts[ns.Name][3].fault.Store(&unknown)
	for _, cmd := range [][]string{{"MSET", a, "1", b, "2"}, {"DEL", a, b}, {"FLUSHDB"}} {
		c.want("-"+unknownOutcome+"\r\n", cmd...)
	}
	c.want("-"+crossSlot+"\r\n", "MSETNX", a, "1", b, "2")
}

func TestNoLeader(t *testing.T) {
	ns, off := oneNamespace(2), &Namespace{Name: "off", Partitions: 2, Hash: HashMurmur3}
	cl := newCluster(t, 2, func(o *Options) { o.RetryFor = 20 * time.Millisecond }, ns, off)
	c := dial(t, cl.nodes[0].addr[NamespacePort])
	k := keyIn(ns, 1, "k")
	cl.parts[ns.Name][1].leader.Store(0)
	c.want("-"+noLeader+"\r\n", "SET", k, "1")
	c.want("-"+noLeader+"\r\n", "GET", k)
	dial(t, cl.nodes[0].addr[ClusterPort]).want("-CLUSTERDOWN Hash slot not served\r\n", "GET", k)
	cl.parts[ns.Name][1].leader.Store(2)
	cl.nodes[1].replicas[ns.Name][1] = nil // the leader that metadata names has no replica: refused, and tried again until time is up
	c.want("-"+noLeader+"\r\n", "SET", k, "1")

	shared := dial(t, cl.nodes[0].addr[SharedPort])
	far := keyIn(off, 1, "t:k")
	shared.want("-ERR_CLUSTER_CHANGED: partition of the namespace is not leader on the node : Err handle command get : ERR handle command get, off:"+far+"\r\n", "get", "off:"+far)
	shared.want("-"+noLeader+"\r\n", "set", "off:"+far, "v")
	cl.nodes[0].replicas["off"][1] = nil
	shared.want("-ERR_CLUSTER_CHANGED: partition of the namespace is not found : ERR handle command get, off:"+far+"\r\n", "get", "off:"+far)
	shared.want("-ERR_CLUSTER_CHANGED: namespace is not found : ERR handle command GET, nosuch:t:k\r\n", "GET", "nosuch:t:k")
}

// TestNodesThatDisagree: a node that counts other partitions, or doesn't know the namespace, refuses what was routed by another's
// count; nothing is run.
func TestNodesThatDisagree(t *testing.T) {
	ns := oneNamespace(2)
	cl := newCluster(t, 2, func(o *Options) { o.RetryFor = 20 * time.Millisecond }, ns)
	c := dial(t, cl.nodes[0].addr[NamespacePort])
	k := keyIn(ns, 1, "k")
	for _, other := range []*Namespace{oneNamespace(3), nil} {
		cl.nodes[1].sees.Store(&other)
		c.want("-"+noLeader+"\r\n", "SET", k, "1")
	}
	cl.nodes[1].sees.Store(nil)
	c.want("$-1\r\n", "GET", k)
	if s := cl.nodes[1].srv.Stats(); s.Served != 1 {
		t.Errorf("%d requests were served, want 1", s.Served)
	}
}

func TestSharedPort(t *testing.T) {
	cl := newCluster(t, 3, nil, oneNamespace(4), &Namespace{Name: "other", Partitions: 2, Hash: HashMurmur3, Forward: true})
	c := dial(t, cl.nodes[0].addr[SharedPort])
	for i := range 20 {
		c.want("+OK\r\n", "SET", fmt.Sprintf("default:t:%d", i), "v")
	}
	c.want("+OK\r\n", "SET", "other:t:1", "w")
	c.want("$1\r\nw\r\n", "GET", "other:t:1")
	c.want("*2\r\n$1\r\nv\r\n$1\r\nv\r\n", "MGET", "default:t:1", "default:t:2")
	c.want("-invalid arguments : ERR handle command MGET, other:t:1\r\n", "MGET", "default:t:1", "other:t:1")
	c.want("-invalid redis key : ERR handle command GET\r\n", "GET", "nocolon")
	c.want("-invalid redis key : ERR handle command GET\r\n", "GET", ":t:k")
	c.want("-invalid table name : ERR handle command GET, default:k\r\n", "GET", "default:k")
	c.want("-"+unboundCommand+"\r\n", "DBSIZE")
	c.want("-"+noClusterMode+"\r\n", "CLUSTER", "SLOTS")
	bound := dial(t, cl.nodes[1].addr[NamespacePort])
	bound.want("$1\r\nv\r\n", "GET", "t:7")
	bound.want(":20\r\n", "DBSIZE")
}

func TestClusterPort(t *testing.T) {
	ns := oneNamespace(4)
	cl := newCluster(t, 3, nil, ns)
	k := keyIn(ns, 1, "k") // led by node 2
	c := dial(t, cl.nodes[0].addr[ClusterPort])
	moved := fmt.Sprintf("-MOVED %d %s\r\n", keySlot([]byte(k)), cl.nodes[1].addr[ClusterPort])
	c.want(moved, "SET", k, "1")
	c.want(moved, "GET", k)
	dial(t, cl.nodes[1].addr[ClusterPort]).want("+OK\r\n", "SET", k, "1")
	c.want("$1\r\n1\r\n", "stale.get", k)
	c.want("+OK\r\n", "READONLY")
	c.want("$1\r\n1\r\n", "GET", k)
	c.want(moved, "SET", k, "1")
	c.want("+OK\r\n", "READWRITE")
	c.want(moved, "GET", k)
	c.want("-"+crossSlot+"\r\n", "MGET", "a", "b")
	c.want("*2\r\n$-1\r\n$-1\r\n", "MGET", "{"+keyIn(ns, 0, "x")+"}a", "{"+keyIn(ns, 0, "x")+"}b")
	c.want(":0\r\n", "DBSIZE")
	dial(t, cl.nodes[1].addr[ClusterPort]).want(":1\r\n", "DBSIZE")
	c.want(fmt.Sprintf(":%d\r\n", keySlot([]byte(k))), "CLUSTER", "KEYSLOT", k)
	dial(t, cl.nodes[0].addr[NamespacePort]).want(":1\r\n", "CLUSTER", "COUNTKEYSINSLOT", fmt.Sprint(keySlot([]byte(k))))
	if slots := c.do("CLUSTER", "SLOTS"); strings.Count(slots, "*4\r\n") != 4+1 || !strings.Contains(slots, ":4096\r\n:8191\r\n") {
		t.Errorf("CLUSTER SLOTS: %q", slots)
	}
	if nodes := c.do("CLUSTER", "NODES"); !strings.Contains(nodes, "myself,master - 0 0 1 connected 0-4095 12288-16383\n") || strings.Count(nodes, "\n") != 3+2 {
		t.Errorf("CLUSTER NODES: %q", nodes)
	}
	if info := c.do("CLUSTER", "INFO"); !strings.Contains(info, "cluster_state:ok") {
		t.Errorf("CLUSTER INFO: %q", info)
	}
}

func TestSlotRanges(t *testing.T) {
	for _, partitions := range []int{1, 3, 4, 7, 100, 1000, 1023} {
		ns := &Namespace{Partitions: partitions, Hash: HashCRC16}
		next := 0
		for p := range partitions {
			first, last := slotRange(ns, p)
			if first != next || slotPartition(ns, first) != p || slotPartition(ns, last) != p {
				t.Fatalf("%d partitions: %d has slots %d-%d, want from %d on", partitions, p, first, last, next)
			}
			next = last + 1
		}
		if next != 16384 {
			t.Fatalf("%d partitions cover %d slots", partitions, next)
		}
	}
}

func TestScanCursors(t *testing.T) {
	cl := newCluster(t, 3, func(o *Options) { o.MaxCursors = 2 }, oneNamespace(4))
	c := dial(t, cl.nodes[0].addr[NamespacePort])
	for i := range 40 {
		c.do("SET", fmt.Sprint("k", i), "v")
	}
	page := func(cursor string) string {
		reply := c.do("SCAN", cursor, "COUNT", "5")
		return strings.Split(reply, "\r\n")[2]
	}
	first := page("0")
	if first == "0" || page(first) == "0" {
		t.Fatal("the scan ended early")
	}
	want := fmt.Sprintf("-ERR unknown cursor %s: it was dropped, or another node gave it; begin again with 0\r\n", first)
	page("0")
	page("0")
	c.want(want, "SCAN", first)
	dial(t, cl.nodes[1].addr[NamespacePort]).want(want, "SCAN", first)
	if n := cl.nodes[0].srv.cursors.len(); n != 2 {
		t.Errorf("%d cursors are kept, want 2", n)
	}
}
