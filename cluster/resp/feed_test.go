package resp

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
)

// fakeFeed is partitions' events, one index each. What is at or below lost was compacted away.
type fakeFeed struct {
	mu      sync.Mutex
	events  map[int][]event.Event
	changed chan struct{}
	lost    atomic.Uint64
	open    atomic.Int64
	waits   chan struct{}
}

func newFakeFeed() *fakeFeed {
	return &fakeFeed{events: make(map[int][]event.Event), changed: make(chan struct{}), waits: make(chan struct{}, 1000)}
}

func (f *fakeFeed) add(partition int, keys ...string) {
	var ev event.Event
	for _, key := range keys {
		ev.Mutations = append(ev.Mutations, event.Mutation{Op: event.OpDel, Key: []byte(key)})
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events[partition] = append(f.events[partition], ev)
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fakeFeed) size(partition int) (int, chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.events[partition]), f.changed
}

func (f *fakeFeed) OpenFeed(ctx context.Context, _ string, partition int, from command.FeedFrom) FeedReader {
	r := &fakeFeedReader{f: f, partition: partition, next: from.Position.Index}
	switch {
	case from.Newest:
		n, _ := f.size(partition)
		r.next = uint64(n)
	case from.Oldest:
		r.next = f.lost.Load()
	case from.Inclusive:
		r.next--
	}
	f.open.Add(1)
	return r
}

type fakeFeedReader struct {
	f         *fakeFeed
	partition int
	next      uint64
	ev        FeedEvent
}

func (r *fakeFeedReader) Close() { r.f.open.Add(-1) }

func (r *fakeFeedReader) Next() (*FeedEvent, error) {
	if lost := r.f.lost.Load(); r.next < lost {
		return nil, FeedError(fmt.Sprintf("COMPACTED what follows 1-%d is the oldest left", lost))
	}
	r.f.mu.Lock()
	defer r.f.mu.Unlock()
	all := r.f.events[r.partition]
	if r.next >= uint64(len(all)) {
		return nil, nil
	}
	ev := &all[r.next]
	r.next++
	r.ev = FeedEvent{Stamp: &event.Stamp{Cluster: "c", Namespace: "default", Partition: uint32(r.partition), Position: event.Position{Term: 1, Index: r.next}}, Event: ev}
	return &r.ev, nil
}

func (r *fakeFeedReader) Wait(ctx context.Context) error {
	r.f.waits <- struct{}{}
	for {
		n, changed := r.f.size(r.partition)
		if uint64(n) > r.next {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// entry is an event of deletes as a reply has it.
func (f *fakeFeed) entry(partition, index int) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	ev := &f.events[partition][index-1]
	st := &event.Stamp{Cluster: "c", Namespace: "default", Partition: uint32(partition), Position: event.Position{Term: 1, Index: uint64(index)}}
	var r command.Reply
	r.Array(2)
	r.BulkString(st.Position.String())
	r.Array(2 * len(ev.Mutations))
	for i := range ev.Mutations {
		r.BulkString(fmt.Sprint(i))
		r.BulkString(strings.TrimSuffix(string(event.AppendJSON(nil, st, ev, i, nil)), "\n"))
	}
	return string(r.Buf)
}

const eventKey = "__cdc__:default:"

func feedCluster(t *testing.T, change func(*Options)) (*fakeFeed, *fakeCluster) {
	f := newFakeFeed()
	cl := newCluster(t, 1, func(o *Options) {
		o.Feed = f
		if change != nil {
			change(o)
		}
	}, oneNamespace(2), &Namespace{Name: "other", Partitions: 1, Hash: HashCRC16, Forward: true})
	t.Cleanup(func() {
		if n := f.open.Load(); n != 0 {
			t.Errorf("%d readers are open", n)
		}
		if n := cl.nodes[0].srv.budget.used.Load(); n != 0 {
			t.Errorf("%d bytes of the budget are taken", n)
		}
	})
	return f, cl
}

func TestXRead(t *testing.T) {
	f, cl := feedCluster(t, nil)
	c := dial(t, cl.nodes[0].addr[NamespacePort])
	f.add(0, "a", "b")
	f.add(0, "c")
	f.add(1, "d")
	one := func(key string, entries ...string) string {
		return fmt.Sprintf("*2\r\n$%d\r\n%s\r\n*%d\r\n%s", len(key), key, len(entries), strings.Join(entries, ""))
	}
	first := f.entry(0, 1)
	if !strings.HasPrefix(first, "*2\r\n$3\r\n1-1\r\n*4\r\n$1\r\n0\r\n$") {
		t.Fatalf("an entry: %q", first)
	}
	c.want("*1\r\n"+one(eventKey+"0", first, f.entry(0, 2)), "XREAD", "STREAMS", eventKey+"0", "0")
	c.want("*1\r\n"+one(eventKey+"0", first), "XREAD", "COUNT", "1", "STREAMS", eventKey+"0", "0-0")
	c.want("*1\r\n"+one(eventKey+"0", f.entry(0, 2)), "XREAD", "STREAMS", eventKey+"0", "absent", "1-1", "5-5")
	c.want("*2\r\n"+one(eventKey+"1", f.entry(1, 1))+one(eventKey+"0", f.entry(0, 2)), "XREAD", "STREAMS", eventKey+"1", eventKey+"0", "0", "1-1")
	c.want("*-1\r\n", "XREAD", "STREAMS", eventKey+"0", "$")
	c.want("*-1\r\n", "XREAD", "BLOCK", "1", "STREAMS", eventKey+"0", "1-2")
	c.want("*2\r\n"+first+f.entry(0, 2), "XRANGE", eventKey+"0", "-", "+")
	c.want("*1\r\n"+first, "XRANGE", eventKey+"0", "-", "1-1")
	c.want("*1\r\n"+first, "XRANGE", eventKey+"0", "-", "+", "COUNT", "1")
	c.want("*0\r\n", "XRANGE", eventKey+"0", "(1-2", "+")
	c.want("*0\r\n", "XRANGE", "absent", "-", "+")
	c.want("*-1\r\n", "XRANGE", eventKey+"0", "-", "+", "COUNT", "0")
	c.want("+OK\r\n", "MULTI")
	c.want("+QUEUED\r\n", "SET", "k", "v")
	c.want("+QUEUED\r\n", "XREAD", "BLOCK", "0", "STREAMS", eventKey+"0", "$")
	c.want("+QUEUED\r\n", "XRANGE", eventKey+"0", "(1-1", "+")
	c.want("+QUEUED\r\n", "GET", "k")
	c.want("*4\r\n+OK\r\n*-1\r\n*1\r\n"+f.entry(0, 2)+"$1\r\nv\r\n", "EXEC")
	if hello := c.do("HELLO", "3"); hello[0] != '%' {
		t.Fatal(hello)
	}
	c.want("%1\r\n"+strings.TrimPrefix(one(eventKey+"0", f.entry(0, 2)), "*2\r\n"), "XREAD", "STREAMS", eventKey+"0", "1-1")
	c.want("_\r\n", "XREAD", "STREAMS", eventKey+"0", "1-2")
}

func TestXReadErrors(t *testing.T) {
	f, cl := feedCluster(t, nil)
	f.add(0, "a")
	c, shared := dial(t, cl.nodes[0].addr[NamespacePort]), dial(t, cl.nodes[0].addr[SharedPort])
	for _, x := range [][]string{{"XREAD", "STREAMS", "", "0"}, {"XREAD", "BLOCK", "0", "STREAMS", "", "$"}, {"XRANGE", "", "-", "+"}} {
		at := len(x) - 2
		if x[0] == "XRANGE" {
			at = 1
		}
		on := func(key string) []string {
			line := append([]string(nil), x...)
			line[at] = key
			return line
		}
		c.want("-ERR the connection is bound to namespace 'default': its partitions' change events are read here, key '__cdc__:other:0' isn't one of them\r\n", on("__cdc__:other:0")...)
		for _, bad := range []string{"__cdc__:default:2", "__cdc__:default:-1", "__cdc__:default:", "__cdc__:default", "__cdc__:default:00", "__cdc__:default:x"} {
			c.want("-ERR no such partition: namespace 'default' has 2, key '"+bad+"'\r\n", on(bad)...)
		}
		c.want("+OK\r\n", "SET", "s", "v")
		c.want("-WRONGTYPE Operation against a key holding the wrong kind of value\r\n", on("s")...)
		shared.want("-"+unboundCommand+"\r\n", on(eventKey+"0")...)
	}
	f.lost.Store(7)
	c.want("-COMPACTED what follows 1-7 is the oldest left\r\n", "XREAD", "STREAMS", eventKey+"0", "1-3")
	c.want("-COMPACTED what follows 1-7 is the oldest left\r\n", "XREAD", "BLOCK", "0", "STREAMS", eventKey+"0", "1-3")
	c.want("-COMPACTED what follows 1-7 is the oldest left\r\n", "XRANGE", eventKey+"0", "1-3", "+")
}

// TestEventsAreReadOnly: no write of a client reaches a stream of events, on whatever port, with whatever other keys.
func TestEventsAreReadOnly(t *testing.T) {
	_, cl := feedCluster(t, nil)
	c, shared := dial(t, cl.nodes[0].addr[NamespacePort]), dial(t, cl.nodes[0].addr[SharedPort])
	refused := "-" + feedReadOnly + "'__cdc__:default:0'\r\n"
	for _, line := range []string{"SET __cdc__:default:0 v", "DEL a __cdc__:default:0 b", "MSET a 1 __cdc__:default:0 2", "EXPIRE __cdc__:default:0 1",
		"RENAME a __cdc__:default:0", "LPUSH __cdc__:default:0 v", "GETEX __cdc__:default:0", "BLPOP __cdc__:default:0 0"} {
		c.want(refused, strings.Fields(line)...)
	}
	c.want("-ERR unknown command 'XADD', with args beginning with: '__cdc__:default:0' '*' 'f' 'v' \r\n", "XADD", "__cdc__:default:0", "*", "f", "v")
	shared.want(refused, "SET", "default:__cdc__:default:0", "v")
	c.want("+OK\r\n", "MULTI")
	c.want(refused, "SET", "__cdc__:default:0", "v")
	c.want("-"+execAbort+"\r\n", "EXEC")
	c.want("$-1\r\n", "GET", "__cdc__:default:0")
	c.want("+stream\r\n", "TYPE", "__cdc__:default:0")
	c.want(":1\r\n", "EXISTS", "__cdc__:default:1")
	c.want("+none\r\n", "TYPE", "__cdc__:default:2")
	c.want(":0\r\n", "EXISTS", "__cdc__:default:2")
	c.want("+OK\r\n", "SET", "__cdc_", "v")
}

// TestXReadWaits: it is woken by an event of any of its streams, ends with its time, by CLIENT UNBLOCK, and when its client goes; what is sent behind it
// comes behind it.
func TestXReadWaits(t *testing.T) {
	f, cl := feedCluster(t, nil)
	srv := cl.nodes[0].srv
	c, other := dial(t, cl.nodes[0].addr[NamespacePort]), dial(t, cl.nodes[0].addr[NamespacePort])
	waiting := func(n int) {
		t.Helper()
		for range n {
			select {
			case <-f.waits:
			case <-time.After(10 * time.Second):
				t.Fatal("nobody waits")
			}
		}
	}
	id := strings.Trim(c.do("CLIENT", "ID"), ":\r\n")
	c.send(encode("SET", "before", "v") + encode("XREAD", "BLOCK", "0", "STREAMS", eventKey+"0", "absent", eventKey+"1", "$", "$", "$") + encode("GET", "before"))
	waiting(2)
	if got := c.reply(); got != "+OK\r\n" {
		t.Errorf("what came before: %q", got)
	}
	if n := srv.stats.blocked.Load(); n != 1 {
		t.Errorf("%d clients are blocked", n)
	}
	f.add(1, "woken")
	if got, want := c.reply(), "*1\r\n*2\r\n$17\r\n"+eventKey+"1\r\n*1\r\n"+f.entry(1, 1); got != want {
		t.Errorf("woken: %q, want %q", got, want)
	}
	if got := c.reply(); got != "$1\r\nv\r\n" {
		t.Errorf("what comes behind: %q", got)
	}
	for how, want := range map[string]string{"TIMEOUT": "*-1\r\n", "ERROR": "-" + command.ErrUnblocked + "\r\n"} {
		c.send(encode("XREAD", "BLOCK", "0", "STREAMS", eventKey+"0", "$"))
		waiting(1)
		other.want(":1\r\n", "CLIENT", "UNBLOCK", id, how)
		if got := c.reply(); got != want {
			t.Errorf("unblocked with %s: %q", how, got)
		}
	}
	c.send(encode("XREAD", "BLOCK", "0", "STREAMS", eventKey+"0", "$"))
	waiting(1)
	c.nc.Close()
	for deadline := time.Now().Add(10 * time.Second); f.open.Load() > 0 || srv.stats.blocked.Load() > 0; {
		if time.Now().After(deadline) {
			t.Fatal("its client is gone, and it waits on")
		}
		<-time.After(time.Millisecond)
	}
	last := dial(t, cl.nodes[0].addr[NamespacePort])
	last.send(encode("XREAD", "BLOCK", "0", "STREAMS", eventKey+"0", "$"))
	waiting(1)
	srv.Close()
}

// TestXReadIsBounded: a reply has some 4 MiB, and always an entry.
func TestXReadIsBounded(t *testing.T) {
	f, cl := feedCluster(t, func(o *Options) { o.MemoryBudget = 40 << 20 })
	c := dial(t, cl.nodes[0].addr[NamespacePort])
	for range 1500 {
		f.add(0, "k")
	}
	f.add(1, strings.Repeat("x", 6<<20))
	f.add(1, strings.Repeat("x", 1<<20))
	f.add(1, strings.Repeat("x", 1<<20))
	ids := func(reply string) (n int) { return strings.Count(reply, "\r\n*2\r\n$1\r\n0\r\n") }
	for _, ask := range []struct {
		words []string
		want  int
	}{
		{[]string{"XREAD", "STREAMS", eventKey + "0", "0"}, 1000},
		{[]string{"XRANGE", eventKey + "0", "-", "+"}, 1000},
		{[]string{"XREAD", "COUNT", "1200", "STREAMS", eventKey + "0", "0"}, 1200},
		{[]string{"XREAD", "COUNT", "100000", "STREAMS", eventKey + "0", "0"}, 1500},
		{[]string{"XREAD", "COUNT", "100000", "STREAMS", eventKey + "1", "0"}, 1},
		{[]string{"XREAD", "COUNT", "100000", "STREAMS", eventKey + "1", "1-1"}, 2},
		{[]string{"XREAD", "COUNT", "1", "STREAMS", eventKey + "1", eventKey + "0", "0", "0"}, 2},
	} {
		if got := ids(c.do(ask.words...)); got != ask.want {
			t.Errorf("%.80q: %d entries, want %d", ask.words, got, ask.want)
		}
	}
	f.add(1, strings.Repeat("x", 45<<20))
	if got := c.do("XREAD", "STREAMS", eventKey+"1", "1-3"); got != "-ERR "+errBuffersAreFull.Error()+"\r\n" {
		t.Errorf("more than the node's budget: %.80q", got)
	}
}

func TestWait(t *testing.T) {
	unsynced := &Namespace{Name: "unsynced", Partitions: 1, Hash: HashCRC16, Forward: true, Unsynced: true}
	cl := newCluster(t, 3, nil, oneNamespace(2), unsynced)
	c, shared := dial(t, cl.nodes[0].addr[NamespacePort]), dial(t, cl.nodes[0].addr[SharedPort])
	c.send(encode("SET", "k", "v") + encode("WAIT", "2", "0") + encode("WAITAOF", "1", "1", "100"))
	if got := c.reply() + c.reply() + c.reply(); got != "+OK\r\n:1\r\n*2\r\n:1\r\n:1\r\n" {
		t.Errorf("of three replicas: %q", got)
	}
	c.want("-ERR wrong number of arguments for 'wait' command\r\n", "WAIT", "1")
	c.want("-ERR timeout is negative\r\n", "WAIT", "1", "-1")
	c.want("+OK\r\n", "MULTI")
	c.want("+QUEUED\r\n", "SET", "k", "v")
	c.want("+QUEUED\r\n", "WAIT", "5", "0")
	c.want("*2\r\n+OK\r\n:1\r\n", "EXEC")
	shared.want(":0\r\n", "WAIT", "0", "0")
	shared.want("+OK\r\n", "SET", "default:t:k", "v")
	shared.want("*2\r\n:1\r\n:1\r\n", "WAITAOF", "1", "1", "100")
	shared.want("+OK\r\n", "SET", "unsynced:t:k", "v")
	shared.want(":1\r\n", "WAIT", "1", "100")
	shared.want("*2\r\n:0\r\n:0\r\n", "WAITAOF", "1", "1", "100")
}
