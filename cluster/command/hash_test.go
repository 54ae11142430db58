package command_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/command/commandtest"
)

// elements shows what a mutation of a hash or a set says, in short.
func elements(m *event.Mutation) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", m.Op, m.Key)
	for i := range m.Elements {
		e := &m.Elements[i]
		fmt.Fprintf(&b, " %s=%s", e.Sub, e.Value)
		if e.Exists {
			b.WriteByte('!')
		}
	}
	fmt.Fprintf(&b, " (%d)", m.Count)
	if m.Whole {
		b.WriteString(" whole")
	}
	if m.Tombstone {
		b.WriteString(" tombstone")
	}
	if m.ElementTombstones {
		b.WriteString(" tombstones")
	}
	return b.String()
}

// effect is a line of commands, its reply, and what it emits.
type effect struct{ line, reply, emitted string }

// runEffects runs lines one after the other.
func runEffects(t *testing.T, e *commandtest.Executor, lines []effect) {
	for _, want := range lines {
		e.Store.Emitted = nil
		got := effect{line: want.line, reply: strings.TrimSuffix(string(e.Do(words(want.line)...)), "\r\n")}
		var all []string
		for i := range e.Store.Emitted {
			all = append(all, elements(&e.Store.Emitted[i]))
		}
		if got.emitted = strings.Join(all, "; "); got != want {
			t.Errorf("%s: %q and %q, want %q and %q", want.line, got.reply, got.emitted, want.reply, want.emitted)
		}
	}
}

// TestElementsEmitted: an element that is named more than once is in a mutation once, and what changes nothing isn't. An element has an
// exclamation mark if it was there.
func TestElementsEmitted(t *testing.T) {
	runEffects(t, newExecutor(t), []effect{
		{"hset h f v", ":1", "hset h f=v (1)"},
		{"hset h f v", ":0", ""},
		{"hset h f w g x f y", ":1", "hset h g=x f=y! (2)"},
		{"hset h f z f y", ":0", ""},
		{"hmset h f y i 1", "+OK", "hset h i=1 (3)"},
		{"hsetnx h f q", ":0", ""},
		{"hsetnx h q 7", ":1", "hset h q=7 (4)"},
		{"hincrby h q 0", ":7", ""},
		{"hincrby h q -2", ":5", "hset h q=5! (4)"},
		{"hincrby h new 0", ":0", "hset h new=0 (5)"},
		{"hincrbyfloat h q 0", "$1\r\n5", ""},
		{"hincrbyfloat h q 0.5", "$3\r\n5.5", "hset h q=5.5! (5)"},
		{"hdel h none none2", ":0", ""},
		{"hdel h f none f g", ":2", "hdel h f=! g=! (3)"},
		{"hdel h i q new", ":3", "hdel h i=! q=! new=! (0)"},
		{"sadd s a a b", ":2", "sadd s a= b= (2)"},
		{"sadd s a b", ":0", ""},
		{"sadd s b c", ":1", "sadd s c= (3)"},
		{"srem s z", ":0", ""},
		{"srem s c c z", ":1", "srem s c=! (2)"},
		{"smove s t a", ":1", "srem s a=! (1); sadd t a= (1)"},
		{"smove s s b", ":1", ""},
		{"smove s t z", ":0", ""},
		{"sadd t b", ":1", "sadd t b= (2)"},
		{"smove s t b", ":1", "srem s b=! (0)"},
		{"sunionstore t t", ":2", "sadd t a= b= (2) whole"},
		{"sinterstore t t none", ":0", "del t (0)"},
		{"sinterstore t t none", ":0", ""},
		{"sadd p a", ":1", "sadd p a= (1)"},
		{"spop p 0", "*0", ""},
		{"spop p 2", "*1\r\n$1\r\na", "del p (0)"},
		{"spop p", "$-1", ""},
		{"sadd p a b", ":2", "sadd p a= b= (2)"},
		{"spop p 2", "*2\r\n$1\r\na\r\n$1\r\nb", "del p (0)"},
	})
}

// TestElementsReplicated: where tombstones are kept, removing asks for them, of fields, and of the key with its last element; what is made
// again has its tombstone's version for Prev, which the store checks.
func TestElementsReplicated(t *testing.T) {
	e := newExecutor(t)
	e.Replicates = true
	runEffects(t, e, []effect{
		{"hset h f v g w", ":2", "hset h f=v g=w (2)"},
		{"hdel h f", ":1", "hdel h f=! (1) tombstones"},
		{"hset h f x", ":1", "hset h f=x (2)"},
		{"hdel h f g", ":2", "hdel h f=! g=! (0) tombstone tombstones"},
		{"hincrby h f 1", ":1", "hset h f=1 (1)"},
		{"hsetnx h g y", ":1", "hset h g=y (2)"},
		{"sadd s a b c", ":3", "sadd s a= b= c= (3)"},
		{"srem s a", ":1", "srem s a=! (2)"},
		{"smove s t b", ":1", "srem s b=! (1); sadd t b= (1)"},
		{"spop s 9", "*1\r\n$1\r\nc", "del s (0) tombstone"},
		{"sadd s c", ":1", "sadd s c= (1)"},
		{"srem s c", ":1", "srem s c=! (0) tombstone"},
	})
}

// TestManyRepeats: what is named more than once counts once among few words and among many.
func TestManyRepeats(t *testing.T) {
	for _, n := range []int{2, 15, 16, 17, 18, 40, 2000} {
		e := newExecutor(t)
		hset, sadd := [][]byte{[]byte("hset"), []byte("h")}, [][]byte{[]byte("sadd"), []byte("s")}
		for i := range n {
			hset = append(hset, fmt.Append(nil, i%(n/2)), fmt.Append(nil, "v", i))
			sadd = append(sadd, fmt.Append(nil, i%(n/2)))
		}
		want := fmt.Sprintf(":%d\r\n", n/2)
		for _, args := range [][][]byte{hset, sadd} {
			if got := string(e.Do(args...)); got != want {
				t.Errorf("%s of %d: %q, want %q", args[0], n, got, want)
			}
		}
		last := (n - 1) / (n / 2) * (n / 2) // the last i that is 0 modulo n/2
		if got := e.Do(words("hget h 0")...); !bytes.Contains(got, fmt.Appendf(nil, "v%d\r\n", last)) {
			t.Errorf("the value that counts of %d: %q, want v%d", n, got, last)
		}
		sadd[0] = []byte("srem")
		if got := string(e.Do(sadd...)); got != want {
			t.Errorf("srem of %d: %q, want %q", n, got, want)
		}
	}
}

// TestHashVersions are ZanKV's own reads.
func TestHashVersions(t *testing.T) {
	now := int64(1000)
	e := commandtest.NewExecutor(func() int64 { return now }, func(problem string) { t.Error(problem) })
	say := func(line string) string { return string(e.Do(words(line)...)) }
	say("hset h f v g w")
	first := say("stale.hget.version h f")
	say("hset h g x")
	if again, other := say("stale.hget.version h f"), say("stale.hget.version h g"); again != first || other <= first || first == ":0\r\n" {
		t.Errorf("versions: %q, later %q; of the field written since %q", first, again, other)
	}
	say("pexpire h 10")
	now += 10
	for line, want := range map[string]string{
		"hgetall h": "*0\r\n", "stale.hgetall h": "*0\r\n", "stale.hgetall.expired h": "*4\r\n$1\r\nf\r\n$1\r\nv\r\n$1\r\ng\r\n$1\r\nx\r\n",
		"stale.hmget.expired h g none": "*2\r\n$1\r\nx\r\n$-1\r\n", "hmget h f": "*1\r\n$-1\r\n", "stale.hget.version h f": ":0\r\n",
		"stale.hgetall.expired none": "*0\r\n", "stale.hget.version none f": ":0\r\n",
	} {
		if got := say(line); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

// settled is still with a collection: of whatever key, with one element of whatever name.
type settled struct {
	still
	e     command.Element
	there bool
}

func (s *settled) Element([]byte, *event.Meta, []byte) (command.Element, bool, error) {
	return s.e, s.there, nil
}

// prepareElements is prepare for commands on a collection that has, or lacks, whatever they ask for.
func prepareElements(line string, kind event.Type, there bool) func() {
	version := event.Version{Time: 1, Cluster: 1}
	s := &settled{e: command.Element{Version: version, Value: []byte("12345")}, there: there}
	s.m = event.Meta{Type: kind, Version: version, Count: 10, Generation: 1}
	args := words(line)
	c := &command.Context{Args: args, Now: 1000, View: s, Tx: s, Reply: &command.Reply{}}
	return func() {
		spec, _, problem := command.Resolve(args, &command.DefaultLimits)
		c.Reply.Buf = c.Reply.Buf[:0]
		if c.Spec = spec; problem != "" || spec.Run(c) != nil || c.Reply.IsError() {
			panic(line)
		}
	}
}

var elementLines = []struct {
	line  string
	kind  event.Type
	there bool
}{
	{"hset k f v", event.TypeHash, true}, {"hset k f v", event.TypeHash, false}, {"hset k a 1 b 2 c 3 d 4", event.TypeHash, true}, {"hget k f", event.TypeHash, true},
	{"hincrby k f 1", event.TypeHash, true}, {"hdel k f", event.TypeHash, true}, {"hmget k a b c", event.TypeHash, true}, {"hexists k f", event.TypeHash, true}, {"hlen k", event.TypeHash, true},
	{"sadd k m", event.TypeSet, false}, {"sadd k m", event.TypeSet, true}, {"srem k m", event.TypeSet, true}, {"sismember k m", event.TypeSet, true},
}

// TestElementAllocations: the commands on single elements allocate nothing of their own.
func TestElementAllocations(t *testing.T) {
	for _, c := range elementLines {
		if n := testing.AllocsPerRun(100, prepareElements(c.line, c.kind, c.there)); n > 0 {
			t.Errorf("%s: %v allocations", c.line, n)
		}
	}
}

func BenchmarkElements(b *testing.B) {
	for _, c := range elementLines {
		b.Run(fmt.Sprintf("%s %v", c.line, c.there), func(b *testing.B) {
			run := prepareElements(c.line, c.kind, c.there)
			b.ReportAllocs()
			for b.Loop() {
				run()
			}
		})
	}
}
