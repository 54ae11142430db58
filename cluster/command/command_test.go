package command_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/command/commandtest"
)

func words(line string) [][]byte { return commandtest.Words(line) }

func newExecutor(t testing.TB) *commandtest.Executor {
	return commandtest.NewExecutor(func() int64 { return 1000 }, func(problem string) { t.Error(problem) })
}

func TestLookup(t *testing.T) {
	for _, s := range command.All() {
		for _, name := range []string{s.Name, strings.ToUpper(s.Name)} {
			if got := command.Lookup([]byte(name)); got != s {
				t.Errorf("Lookup(%s) = %v", name, got)
			}
		}
		for _, sub := range s.Subcommands {
			word := strings.ToUpper(strings.TrimPrefix(sub.Name, s.Name+"|"))
			if got := s.Subcommand([]byte(word)); got != sub {
				t.Errorf("%s.Subcommand(%s) = %v", s.Name, word, got)
			}
		}
	}
	for _, name := range []string{"", "nosuch", "get ", "gét", strings.Repeat("x", 100), "client|getname"} {
		if got := command.Lookup([]byte(name)); got != nil {
			t.Errorf("Lookup(%q) = %s", name, got.Name)
		}
	}
}

func TestLookupStale(t *testing.T) {
	for _, c := range []struct {
		name, spec string
		stale      bool
	}{
		{"get", "get", false}, {"stale.get", "get", true}, {"STALE.Mget", "mget", true}, {"stale.getversion", "stale.getversion", true},
		{"stale.set", "", false}, {"stale.scan", "", false}, {"stale.ping", "", false}, {"stale.", "", false}, {"stale.nosuch", "", false},
		{"stale.stale.get", "", false}, {"set", "set", false}, {"nosuch", "", false},
	} {
		s, stale := command.LookupStale([]byte(c.name))
		name := ""
		if s != nil {
			name = s.Name
		}
		if name != c.spec || stale != c.stale {
			t.Errorf("LookupStale(%s) = %q, %v; want %q, %v", c.name, name, stale, c.spec, c.stale)
		}
	}
}

func TestSpecs(t *testing.T) {
	for _, s := range command.All() {
		switch {
		case s.Scope == command.ScopeConnection != (s.Run == nil):
			t.Errorf("%s: a command is either the front end's or can be run", s.Name)
		case s.Scope == command.ScopeKeys && s.FirstKey == 0 && s.NumKeys == 0 && s.MoreKeys == nil:
			t.Errorf("%s: scope %d, first key %d", s.Name, s.Scope, s.FirstKey)
		case s.Run != nil && (s.Flags&command.Write != 0) == (s.Flags&command.ReadOnly != 0):
			t.Errorf("%s: neither a read nor a write", s.Name)
		case s.Flags&command.ReadOnly != 0 && s.Flags&command.DenyOOM != 0:
			t.Errorf("%s: a read needs no memory", s.Name)
		case s.Summary == "" || s.Since == "" || s.Group == "" || s.Complexity == "" || s.Arity == 0:
			t.Errorf("%s: not documented", s.Name)
		}
	}
}

func TestLimits(t *testing.T) {
	key, value := strings.Repeat("k", command.DefaultLimits.Key), strings.Repeat("v", command.DefaultLimits.Value)
	for _, c := range []struct {
		name    string
		args    []string
		problem string
	}{
		{"longest key", []string{"get", key}, ""},
		{"key too long", []string{"get", key + "k"}, command.ErrKeySize},
		{"second key too long", []string{"mget", "a", key + "k"}, command.ErrKeySize},
		{"last key of pairs", []string{"mset", "a", "1", key + "k", "1"}, command.ErrKeySize},
		{"value as long as no key may be", []string{"mset", "a", key + "k"}, ""},
		{"half a pair", []string{"mset", "a", "1", "b"}, "ERR wrong number of arguments for 'mset' command"},
		{"longest value", []string{"set", "k", value}, ""},
		{"value too long", []string{"set", "k", value + "v"}, command.ErrValueSize},
		{"value too long after arity", []string{"getset", "k"}, "ERR wrong number of arguments for 'getset' command"},
		{"second value too long", []string{"mset", "a", "1", "b", value + "v"}, command.ErrValueSize},
		{"largest batch", append([]string{"del"}, make([]string, 5000)...), ""},
		{"batch too large", append([]string{"del"}, make([]string, 5001)...), command.ErrBatchSize},
		{"largest batch of pairs", append([]string{"mset"}, make([]string, 10000)...), ""},
		{"batch of pairs too large", append([]string{"mset"}, make([]string, 10002)...), command.ErrBatchSize},
	} {
		var args [][]byte
		for _, a := range c.args {
			args = append(args, []byte(a))
		}
		if _, _, problem := command.Resolve(args, &command.DefaultLimits); problem != c.problem {
			t.Errorf("%s: %q, want %q", c.name, problem, c.problem)
		}
	}
}

func TestResultsAreLimited(t *testing.T) {
	e := newExecutor(t)
	value := bytes.Repeat([]byte("v"), command.DefaultLimits.Value-1)
	e.Do([]byte("set"), []byte("k"), value)
	for _, c := range []struct{ line, reply string }{
		{"append k xy", "-" + command.ErrTooLong + "\r\n"},
		{"append k x", ":8388608\r\n"},
		{"setrange k 8388608 x", "-" + command.ErrTooLong + "\r\n"},
		{"setrange k 8388607 x", ":8388608\r\n"},
		{"setrange none 8388608 x", "-" + command.ErrTooLong + "\r\n"},
	} {
		if got := e.Do(words(c.line)...); string(got) != c.reply {
			t.Errorf("%s: %q, want %q", c.line, got, c.reply)
		}
	}
}

// TestReadErrors: a state that can't be read is an error of Run, whatever the command, and no panic.
func TestReadErrors(t *testing.T) {
	broken := errors.New("broken disk")
	for _, line := range []string{"get k", "mget a b", "set k v", "set k v get", "setnx k v", "setex k 1 v", "getset k v", "getdel k", "getex k", "append k v",
		"setrange k 1 v", "mset k v", "msetnx k v", "setifeq k a b", "delifeq k a", "incr k", "incrbyfloat k 1", "del k", "exists k", "type k", "expire k 1",
		"ttl k", "persist k", "strlen k", "getrange k 0 1", "stale.getversion k", "stale.getexpired k", "randomkey"} {
		e := newExecutor(t)
		e.Store.ReadError = broken
		if got := e.Do(words(line)...); string(got) != "-ERR broken disk\r\n" {
			t.Errorf("%s: %q", line, got)
		}
		if len(e.Store.Emitted) > 0 {
			t.Errorf("%s: emitted", line)
		}
	}
}

// TestFlushPages: in a namespace that replicates FLUSHDB goes on where it stopped, and each page is bounded.
func TestFlushPages(t *testing.T) {
	e := newExecutor(t)
	for i := range 2*command.DefaultLimits.Batch + 7 {
		e.Store.Put(fmt.Sprintf("key:%06d", i), event.Meta{Type: event.TypeString, Version: event.Version{Time: 1, Cluster: 1}})
	}
	c := command.Context{Spec: command.Lookup([]byte("flushdb")), Args: words("flushdb"), Now: 1000, View: e.Store, Tx: e.Store, Replicates: true, Reply: &command.Reply{}}
	var pages []int
	for {
		e.Store.Emitted = nil
		if err := c.Spec.Run(&c); err != nil {
			t.Fatal(err)
		}
		pages = append(pages, len(e.Store.Emitted))
		if c.Resume = c.More; c.Resume == nil {
			break
		}
	}
	if fmt.Sprint(pages) != "[5000 5000 7]" || e.Store.Len() != 0 {
		t.Errorf("pages %v, %d keys left", pages, e.Store.Len())
	}
}

func TestFlushPagesAreBoundedInBytes(t *testing.T) {
	e := newExecutor(t)
	for i := range 300 {
		e.Store.Put(fmt.Sprintf("%0*d", command.DefaultLimits.Key, i), event.Meta{Type: event.TypeString, Version: event.Version{Time: 1, Cluster: 1}})
	}
	e.Replicates = true
	c := command.Context{Spec: command.Lookup([]byte("flushdb")), Args: words("flushdb"), View: e.Store, Tx: e.Store, Replicates: true, Reply: &command.Reply{}}
	if err := c.Spec.Run(&c); err != nil || c.More == nil || len(e.Store.Emitted) > 110 {
		t.Errorf("err %v, more %t, %d keys in the first page", err, c.More != nil, len(e.Store.Emitted))
	}
}

// knowing is a view that knows how many of its keys have an expiry.
type knowing struct{ *commandtest.Store }

func (knowing) Expiring() int64 { return 42 }

// TestFlushAsksTheView: a view that can count is asked, and one that can't is walked over (testdata/registers).
func TestFlushAsksTheView(t *testing.T) {
	var problems []string
	store := commandtest.NewStore(func(problem string) { problems = append(problems, problem) })
	store.Put("k", event.Meta{Type: event.TypeString, ExpireAt: 5000})
	c := command.Context{Spec: command.Lookup([]byte("flushdb")), Args: words("flushdb"), View: knowing{store}, Tx: store, Reply: &command.Reply{}}
	if err := c.Spec.Run(&c); err != nil || len(store.Emitted) != 1 || store.Emitted[0].Before.Expiring != 42 {
		t.Errorf("%v, %+v", err, store.Emitted)
	}
	if len(problems) != 1 {
		t.Errorf("the store should have found 42 wrong: %q", problems)
	}
}

// TestScanTakesEachKeyOnce: whatever comes and goes meanwhile, a key that stays is taken exactly once.
func TestScanTakesEachKeyOnce(t *testing.T) {
	e := newExecutor(t)
	live := event.Meta{Type: event.TypeString}
	for i := range 500 {
		e.Store.Put(fmt.Sprintf("stay:%03d", i), live)
	}
	e.Store.Put("", live)
	draw := rand.New(rand.NewPCG(1, 1))
	taken := map[string]int{}
	var from []byte
	for q := (command.Scan{Count: 7}); ; {
		next, err := command.ScanPage(e.Store, 1000, &q, from, func(key []byte) { taken[string(key)]++ })
		if err != nil {
			t.Fatal(err)
		}
		if next == nil {
			break
		}
		from = next
		e.Store.Put(fmt.Sprintf("stay:%03d+", draw.IntN(500)), live)
		e.Do([]byte("del"), fmt.Appendf(nil, "stay:%03d+", draw.IntN(500)))
	}
	for i := range 500 {
		if n := taken[fmt.Sprintf("stay:%03d", i)]; n != 1 {
			t.Errorf("stay:%03d was taken %d times", i, n)
		}
	}
	if taken[""] != 1 {
		t.Errorf("the empty key was taken %d times", taken[""])
	}
}

// TestScanRun: the form in which a partition answers SCAN.
func TestScanRun(t *testing.T) {
	e := newExecutor(t)
	for _, key := range []string{"a", "b", "c"} {
		e.Store.Put(key, event.Meta{Type: event.TypeString})
	}
	for _, c := range []struct{ line, reply string }{
		{`scan "" count 2`, "*2\r\n$1\r\nc\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n"},
		{`scan c count 2`, "*2\r\n$-1\r\n*1\r\n$1\r\nc\r\n"},
		{`scan d count 0`, "-ERR syntax error\r\n"},
	} {
		ctx := command.Context{Spec: command.Lookup([]byte("scan")), Args: words(c.line), Now: 1000, View: e.Store, Reply: &command.Reply{}}
		if err := ctx.Spec.Run(&ctx); err != nil || string(ctx.Reply.Buf) != c.reply {
			t.Errorf("%s: %q, %v", c.line, ctx.Reply.Buf, err)
		}
	}
}

// TestRandomKey: every live key can come out, no expired one does, and the answer is null only when nothing lives.
func TestRandomKey(t *testing.T) {
	e := newExecutor(t)
	want := map[string]bool{}
	put := func(key string, expireAt int64) {
		e.Store.Put(key, event.Meta{Type: event.TypeString, ExpireAt: expireAt})
		if expireAt == 0 {
			want[key] = true
		}
	}
	for i := range 300 {
		put(fmt.Sprintf("user:%03d", i), int64(i%3)/2*500)
	}
	for _, key := range []string{"", "user:", "user", "zz", "\xff\xff"} {
		put(key, 0)
	}
	seen := map[string]int{}
	for range 8000 {
		reply := string(e.Do([]byte("randomkey")))
		_, key, _ := strings.Cut(reply, "\r\n")
		seen[strings.TrimSuffix(key, "\r\n")]++
	}
	for key := range want {
		if seen[key] == 0 {
			t.Errorf("%q never came out", key)
		}
	}
	for key := range seen {
		if !want[key] {
			t.Errorf("%q came out", key)
		}
	}
}

func TestRandomKeyAmongExpired(t *testing.T) {
	e := newExecutor(t)
	for i := range 5000 {
		e.Store.Put(fmt.Sprintf("%08x", uint32(i)*2654435761), event.Meta{Type: event.TypeString, ExpireAt: 500})
	}
	if got := e.Do([]byte("randomkey")); string(got) != "$-1\r\n" {
		t.Errorf("all expired: %q", got)
	}
	e.Store.Put("live", event.Meta{Type: event.TypeString})
	if got := e.Do([]byte("randomkey")); string(got) != "$4\r\nlive\r\n" {
		t.Errorf("one lives: %q", got)
	}
}

// TestRandomKeyDeep: long common prefixes and keys that are each other's prefixes cost no more than levels.
func TestRandomKeyDeep(t *testing.T) {
	e := newExecutor(t)
	long := strings.Repeat("p", 9000)
	for i := range 200 {
		e.Store.Put(fmt.Sprintf("%s%03d", long, i), event.Meta{Type: event.TypeString})
		e.Store.Put(strings.Repeat("\xff", i), event.Meta{Type: event.TypeString})
	}
	count := &counting{View: e.Store}
	for i := range 20 {
		c := command.Context{Now: 1000, View: count, Random: uint64(i) << 32, Reply: &command.Reply{}}
		if err := command.Lookup([]byte("randomkey")).Run(&c); err != nil || c.Reply.Buf[0] != '$' || c.Reply.Buf[1] == '-' {
			t.Fatalf("%q, %v", c.Reply.Buf, err)
		}
	}
	if count.seeks > 20*400 {
		t.Errorf("%d seeks a call", count.seeks/20)
	}
}

// counting counts the iterations over a view.
type counting struct {
	command.View
	seeks int
}

func (v *counting) Keys(from []byte, visit func([]byte, *event.Meta) bool) error {
	v.seeks++
	return v.View.Keys(from, visit)
}

func TestTTLRounds(t *testing.T) {
	e := newExecutor(t)
	for ms, want := range map[int]string{1: ":0\r\n", 499: ":0\r\n", 500: ":1\r\n", 1499: ":1\r\n", 1500: ":2\r\n"} {
		e.Do(words(fmt.Sprintf("set k v px %d", ms))...)
		if got := e.Do(words("ttl k")...); string(got) != want {
			t.Errorf("%d ms: %q, want %q", ms, got, want)
		}
	}
}

// TestStamp: an OpExpire keeps its version, what is Assigned gets the mutation's, the rest stays.
func TestStamp(t *testing.T) {
	v, old := event.Version{Time: 9, Cluster: 1}, event.Version{Time: 5, Cluster: 2}
	m := event.Mutation{Op: event.OpSet, Floor: command.Assigned, ExpiryVersion: old}
	if command.Stamp(&m, v); m.Version != v || m.Floor != v || m.ExpiryVersion != old {
		t.Errorf("%+v", m)
	}
	m = event.Mutation{Op: event.OpExpire, Version: old, Floor: old}
	if command.Stamp(&m, v); m.Version != old || m.Floor != old {
		t.Errorf("%+v", m)
	}
}
