package command_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
)

// emitted runs a line and shows what it emitted: each mutation's op and count, and its elements.
func written(e interface{ Do(...[]byte) []byte }, list *[]event.Mutation, line string) string {
	*list = nil
	e.Do(words(line)...)
	var b strings.Builder
	for i := range *list {
		m := &(*list)[i]
		fmt.Fprintf(&b, "%s %d", m.Op, m.Count)
		if m.Whole {
			b.WriteString(" whole")
		}
		for _, x := range m.Elements {
			fmt.Fprintf(&b, " %s", x.Sub)
			if !m.Op.Removes() {
				fmt.Fprintf(&b, "=%v", x.Score)
			}
			if x.Exists {
				fmt.Fprintf(&b, "<%v", x.Was)
			}
		}
		b.WriteString(";")
	}
	return b.String()
}

// TestZSetEmits: one mutation a command, each member once, and none when nothing changes.
func TestZSetEmits(t *testing.T) {
	e := newExecutor(t)
	for _, c := range []struct{ line, want string }{
		{"zadd k 1 a 2 b", "zadd 2 a=1 b=2;"},
		{"zadd k 1 a 2 b", ""},
		{"zadd k 1 a 3 b", "zadd 2 b=3<2;"},
		{"zadd k 5 a 1 a", ""},
		{"zadd k 5 a 6 a 1 c 2 c", "zadd 3 a=6<1 c=2;"},
		{"zadd k gt 5 a 7 a 6 a", "zadd 3 a=7<6;"},
		{"zadd k lt ch 8 a", ""},
		{"zadd k nx 9 a", ""},
		{"zadd k xx 9 z", ""},
		{"zadd none xx 9 z", ""},
		{"zadd k incr 0 a", ""},
		{"zadd k -0 zero 0 zero", "zadd 4 zero=0;"},
		{"zadd k 0 zero", ""},
		{"zadd k -0 zero", ""},
		{"zincrby k 0.5 a", "zadd 4 a=7.5<7;"},
		{"zincrby k nan a", ""},
		{"zrem k none", ""},
		{"zrem k zero zero c", "zrem 2 zero<0 c<2;"},
		{"zpopmin k", "zrem 1 b<3;"},
		{"zpopmin k 0", ""},
		{"zrem k a", "zrem 0 a<7.5;"},
		{"zadd k 1 a 2 b 3 c", "zadd 3 a=1 b=2 c=3;"},
		{"zremrangebyscore k 5 6", ""},
		{"zremrangebyscore k (1 2", "zrem 2 b<2;"},
		{"zremrangebyrank k 0 -1", "zrem 0 a<1 c<3;"},
		{"zadd k 1 a 2 b 3 c", "zadd 3 a=1 b=2 c=3;"},
		{"zrangestore d k 0 0", "zadd 1 whole a=1;"},
		{"zrangestore d k 5 6", "del 0;"},
		{"zrangestore d k 5 6", ""},
		{"zinterstore d 2 k none", ""},
		{"zunionstore d 1 k weights -0", "zadd 3 whole a=0 b=0 c=0;"},
		{"zunionstore d 1 d weights -1", "zadd 3 whole a=0 b=0 c=0;"},
		{"zunionstore d 1 none", "del 0;"},
	} {
		if got := written(e, &e.Store.Emitted, c.line); got != c.want {
			t.Errorf("%s emitted %q, want %q", c.line, got, c.want)
		}
	}
}

// TestZAddManyTwice: a member that comes twice among many is one element.
func TestZAddManyTwice(t *testing.T) {
	e := newExecutor(t)
	line := "zadd k ch"
	for i := range 100 {
		line += fmt.Sprintf(" %d m%d", i, i%30)
	}
	if got := string(e.Do(words(line)...)); got != ":100\r\n" || len(e.Store.Emitted) != 1 || len(e.Store.Emitted[0].Elements) != 30 {
		t.Errorf("%q, %+v", got, e.Store.Emitted)
	}
	if got := string(e.Do(words("zscore k m9")...)); got != "$2\r\n99\r\n" {
		t.Errorf("the last score is %q", got)
	}
}

// TestZRemRangePages: a large removal is several mutations of bounded size; one of all of a large set deletes the key.
func TestZRemRangePages(t *testing.T) {
	fill := func() *command.Context {
		e := newExecutor(t)
		for i := range 40 {
			e.Do(words(fmt.Sprintf("zadd k %d m%02d", i/3, i))...)
		}
		return &command.Context{Now: 1000, View: e.Store, Tx: e.Store, Limits: &command.Limits{Batch: 10, SubKey: 100, Key: 100, Value: 100}, Reply: &command.Reply{}}
	}
	for _, c := range []struct{ line, reply, ops, left string }{
		{"zremrangebyrank k 5 29", ":25\r\n", "zrem 10 zrem 10 zrem 5", "m00 m01 m02 m03 m04 m30 m31 m32 m33 m34 m35 m36 m37 m38 m39"},
		{"zremrangebyrank k 25 -1", ":15\r\n", "zrem 10 zrem 5", ""},
		{"zremrangebyscore k (0 11", ":33\r\n", "zrem 10 zrem 10 zrem 10 zrem 3", "m00 m01 m02 m36 m37 m38 m39"},
		{"zremrangebyscore k -inf inf", ":40\r\n", "del 0", "none"},
		{"zremrangebyrank k 0 -1", ":40\r\n", "del 0", "none"},
		{"zpopmax k 25", "", "zrem 10 zrem 10 zrem 5", "m00 m01 m02 m03 m04 m05 m06 m07 m08 m09 m10 m11 m12 m13 m14"},
		{"zpopmin k 41", "", "del 0", "none"},
		{"zmpop 1 k max count 12", "", "zrem 10 zrem 2", ""},
	} {
		x := fill()
		store := x.Tx.(interface {
			Collection(string) map[string]command.Element
		})
		got := runOps(x, c.line)
		if got != c.ops || c.reply != "" && string(x.Reply.Buf) != c.reply {
			t.Errorf("%s: %q, emitted %s, want %s", c.line, x.Reply.Buf, got, c.ops)
		}
		left := store.Collection("k")
		for _, m := range strings.Fields(c.left) {
			if _, ok := left[m]; !ok && m != "none" {
				t.Errorf("%s: %s is gone", c.line, m)
			}
		}
		if want := len(strings.Fields(c.left)); c.left == "none" && len(left) != 0 || want > 1 && len(left) != want {
			t.Errorf("%s: %d left", c.line, len(left))
		}
	}
}

// recorder passes mutations on and notes them.
type recorder struct {
	command.Tx
	ops []string
}

func (r *recorder) Emit(m *event.Mutation) {
	r.ops = append(r.ops, fmt.Sprint(m.Op, " ", len(m.Elements)))
	r.Tx.Emit(m)
}

func runOps(c *command.Context, line string) string {
	r := &recorder{Tx: c.Tx}
	c.Tx, c.Args = r, words(line)
	c.Spec = command.Lookup(c.Args[0])
	if err := c.Spec.Run(c); err != nil {
		return err.Error()
	}
	return strings.Join(r.ops, " ")
}

// TestZSetBlocks: who may wait says so, with the reply for when the time has passed.
func TestZSetBlocks(t *testing.T) {
	e := newExecutor(t)
	e.Do(words("zadd there 1 a")...)
	for _, c := range []struct {
		line  string
		block command.Block
		reply string
	}{
		{"bzpopmin none 0", command.Block{Wanted: true}, "*-1\r\n"},
		{"bzpopmax a b 0.0015", command.Block{Wanted: true, Milliseconds: 2}, "*-1\r\n"},
		{"bzmpop 10 2 a b min count 5", command.Block{Wanted: true, Milliseconds: 10_000}, "*-1\r\n"},
		{"bzpopmin a there 1", command.Block{}, "*3\r\n$5\r\nthere\r\n$1\r\na\r\n$1\r\n1\r\n"},
		{"bzpopmin a -1", command.Block{}, "-ERR timeout is negative\r\n"},
		{"bzmpop 1e300 1 a max", command.Block{}, "-ERR timeout is out of range\r\n"},
	} {
		args := words(c.line)
		x := command.Context{Spec: command.Lookup(args[0]), Args: args, Now: 1000, View: e.Store, Tx: e.Store, Reply: &command.Reply{}, MayBlock: true}
		e.Store.Emitted = nil
		if err := x.Spec.Run(&x); err != nil || x.Block != c.block || string(x.Reply.Buf) != c.reply || c.block.Wanted && len(e.Store.Emitted) > 0 {
			t.Errorf("%s: %v, %+v, %q, %d mutations", c.line, err, x.Block, x.Reply.Buf, len(e.Store.Emitted))
		}
	}
}

var zsetLines = []string{"zadd k 1 a", "zincrby k 1 a", "zrem k a", "zscore k a", "zmscore k a", "zcard k", "zcount k 0 1", "zlexcount k - +", "zrank k a", "zrevrank k a withscore", "zrange k 0 -1", "zrange k 0 1 byscore", "zrange k - + bylex",
	"zrangestore d k 0 -1", "zrevrange k 0 1", "zremrangebyrank k 0 0", "zremrangebyscore k 0 5", "zremrangebylex k - +", "zpopmin k", "zpopmax k 2", "zmpop 1 k min", "bzpopmin k 0", "bzmpop 0 1 k max", "zunion 2 k l", "zinter 2 k l", "zdiff 2 k l", "zintercard 2 k l",
	"zunionstore d 2 k l", "zinterstore d 2 k l", "zdiffstore d 2 k l", "zrandmember k", "zrandmember k 2", "zrandmember k -2 withscores"}

// TestZSetReadErrors: a state that can't be read is an error of Run, at whichever read it shows, and nothing was emitted before it.
func TestZSetReadErrors(t *testing.T) {
	broken := errors.New("broken disk")
	for _, line := range zsetLines {
		for after := 0; ; after++ {
			e := newExecutor(t)
			e.Do(words("zadd k 1 a 2 b 3 c")...)
			e.Do(words("zadd l 1 a 2 b 3 c")...)
			e.Store.Emitted = nil
			args := words(line)
			v := &failing{View: e.Store, after: after, err: broken}
			c := command.Context{Spec: command.Lookup(args[0]), Args: args, Now: 1000, View: v, Tx: e.Store, Reply: &command.Reply{}}
			err := c.Spec.Run(&c)
			if err == nil {
				break
			}
			if !errors.Is(err, broken) || len(e.Store.Emitted) > 0 || after > 50 {
				t.Errorf("%s, read %d: %v, %d mutations", line, after, err, len(e.Store.Emitted))
				break
			}
		}
	}
}

// failing is a view that can't read any more after some reads.
type failing struct {
	command.View
	after int
	err   error
}

func (f *failing) fails() error {
	if f.after--; f.after < 0 {
		return f.err
	}
	return nil
}

func (f *failing) Meta(key []byte) (event.Meta, bool, error) {
	if err := f.fails(); err != nil {
		return event.Meta{}, false, err
	}
	return f.View.Meta(key)
}

func (f *failing) Element(key []byte, m *event.Meta, sub []byte) (command.Element, bool, error) {
	if err := f.fails(); err != nil {
		return command.Element{}, false, err
	}
	return f.View.Element(key, m, sub)
}

func (f *failing) Elements(key []byte, m *event.Meta, in command.Range, visit func([]byte, *command.Element) bool) error {
	if err := f.fails(); err != nil {
		return err
	}
	return f.View.Elements(key, m, in, visit)
}

func (f *failing) Scores(key []byte, m *event.Meta, in command.ScoreRange, visit func(float64, []byte) bool) error {
	if err := f.fails(); err != nil {
		return err
	}
	return f.View.Scores(key, m, in, visit)
}

func (f *failing) CountScores(key []byte, m *event.Meta, in command.ScoreRange) (int64, error) {
	if err := f.fails(); err != nil {
		return 0, err
	}
	return f.View.CountScores(key, m, in)
}

// TestZSetLimits: what a command brings is bounded, and refused as a whole.
func TestZSetLimits(t *testing.T) {
	e := newExecutor(t)
	long := strings.Repeat("m", command.DefaultLimits.SubKey+1)
	for _, c := range []struct{ line, reply string }{
		{"zadd k" + strings.Repeat(" 1 m", 5000), ":1\r\n"},
		{"zadd k" + strings.Repeat(" 1 m", 5001), "-" + command.ErrBatchSize + "\r\n"},
		{"zrem k" + strings.Repeat(" m", 5001), "-" + command.ErrBatchSize + "\r\n"},
		{"zmscore k" + strings.Repeat(" m", 5001), "-" + command.ErrBatchSize + "\r\n"},
		{"zadd k 1 " + long, "-" + command.ErrSubKeySize + "\r\n"},
		{"zincrby k 1 " + long, "-" + command.ErrSubKeySize + "\r\n"},
		{"zadd k 1 " + long[1:], ":1\r\n"},
		{"zunion 5001" + strings.Repeat(" k", 5001), "-" + command.ErrBatchSize + "\r\n"},
	} {
		if got := string(e.Do(words(c.line)...)); got != c.reply {
			t.Errorf("%.40s: %q", c.line, got)
		}
	}
}

// one is a sorted set whose every member has the score 1.
type one struct{ still }

func (o *one) Element([]byte, *event.Meta, []byte) (command.Element, bool, error) {
	return command.Element{Score: 1, Version: event.Version{Time: 1, Cluster: 1}}, true, nil
}

func prepareZSet(line string) func() {
	o := &one{still{m: event.Meta{Type: event.TypeZSet, Count: 3, Generation: 1, Version: event.Version{Time: 1, Cluster: 1}}}}
	args := words(line)
	c := &command.Context{Args: args, Now: 1000, View: o, Tx: o, Reply: &command.Reply{}}
	return func() {
		spec, _, problem := command.Resolve(args, &command.DefaultLimits)
		c.Reply.Buf = c.Reply.Buf[:0]
		if c.Spec = spec; problem != "" || spec.Run(c) != nil || c.Reply.IsError() {
			panic(line)
		}
	}
}

var hotZSetLines = []string{"zadd k 2 a", "zadd k 2.5 a", "zadd k 1 a 2 b 3 c", "zincrby k 0.25 a", "zrem k a", "zscore k a", "zmscore k a b", "zcard k"}

// TestZSetAllocations: the hot commands allocate nothing of their own.
func TestZSetAllocations(t *testing.T) {
	for _, line := range hotZSetLines {
		if n := testing.AllocsPerRun(100, prepareZSet(line)); n > 0 {
			t.Errorf("%s: %v allocations", line, n)
		}
	}
}

func BenchmarkZSet(b *testing.B) {
	for _, line := range hotZSetLines {
		b.Run(line, func(b *testing.B) {
			run := prepareZSet(line)
			b.ReportAllocs()
			for b.Loop() {
				run()
			}
		})
	}
	o := newOrdered(1_000_000, 1_000_000)
	for _, line := range []string{"zrange k 0 9", "zrange k -10 -1", "zrevrange k 0 9 withscores", "zrangebyscore k 1000 inf limit 0 10 withscores", "zrank k m0500000"} {
		b.Run(line, func(b *testing.B) {
			args := words(line)
			c := &command.Context{Spec: command.Lookup(args[0]), Args: args, View: o, Reply: &command.Reply{}}
			b.ReportAllocs()
			for b.Loop() {
				c.Reply.Buf = c.Reply.Buf[:0]
				if c.Spec.Run(c) != nil {
					b.Fatal(line)
				}
			}
		})
	}
}
