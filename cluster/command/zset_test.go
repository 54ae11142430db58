package command_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
)

// ordered is one large sorted set that never changes, which counts what commands pass over.
type ordered struct {
	still
	keys   []command.ScoreKey // in order
	passed int
}

// newOrdered makes one of n members: many have equal scores if so many scores are few.
func newOrdered(n, scores int) *ordered {
	o := &ordered{}
	o.m = event.Meta{Type: event.TypeZSet, Count: uint64(n), Generation: 1, Version: event.Version{Time: 1, Cluster: 1}}
	for i := range n {
		o.keys = append(o.keys, command.ScoreKey{Score: float64(i*scores/n) / 2, Member: fmt.Appendf(nil, "m%07d", i)})
	}
	return o
}

func order(a, b command.ScoreKey) int {
	switch {
	case a.Score < b.Score:
		return -1
	case a.Score > b.Score:
		return 1
	}
	return bytes.Compare(a.Member, b.Member)
}

func (o *ordered) within(in command.ScoreRange) []command.ScoreKey {
	from, to := 0, len(o.keys)
	if in.From != nil {
		from, _ = slices.BinarySearchFunc(o.keys, *in.From, order)
	}
	if in.To != nil {
		to, _ = slices.BinarySearchFunc(o.keys, *in.To, order)
	}
	return o.keys[from:max(from, to)]
}

func (o *ordered) Scores(_ []byte, _ *event.Meta, in command.ScoreRange, visit func(float64, []byte) bool) error {
	keys := o.within(in)
	for i := range keys {
		k := &keys[i]
		if in.Reverse {
			k = &keys[len(keys)-1-i]
		}
		o.passed++
		if int64(i) >= in.Skip && !visit(k.Score, k.Member) {
			break
		}
	}
	return nil
}

func (o *ordered) CountScores(_ []byte, _ *event.Meta, in command.ScoreRange) (int64, error) {
	n := len(o.within(in))
	o.passed += n
	return int64(n), nil
}

func (o *ordered) Element(_ []byte, _ *event.Meta, sub []byte) (e command.Element, ok bool, err error) {
	var i int
	if _, err := fmt.Sscanf(string(sub), "m%d", &i); err != nil || i >= len(o.keys) {
		return e, false, nil
	}
	return command.Element{Score: o.keys[i].Score}, true, nil
}

// do runs a line and gives the reply; parts are how often it was handed over.
func (o *ordered) do(t *testing.T, line string, resp3 bool) (reply string, parts int) {
	t.Helper()
	var whole []byte
	r := &command.Reply{RESP3: resp3}
	r.Spill = func(part []byte) error {
		if len(part) > 80<<10 {
			t.Errorf("%s: a part of %d bytes", line, len(part))
		}
		whole = append(whole, part...)
		parts++
		return nil
	}
	args := words(line)
	c := &command.Context{Spec: command.Lookup(args[0]), Args: args, View: o, Reply: r, Random: 7}
	o.passed = 0
	if err := c.Spec.Run(c); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return string(append(whole, r.Buf...)), parts
}

// reply is what ZRANGE and its kin say of some members.
func scoredReply(keys []command.ScoreKey, withScores, resp3 bool) string {
	n := len(keys)
	if withScores && !resp3 {
		n *= 2
	}
	r := command.Reply{RESP3: resp3}
	r.Array(n)
	for _, k := range keys {
		if withScores && resp3 {
			r.Array(2)
		}
		r.Bulk(k.Member)
		if withScores {
			r.Double(k.Score)
		}
	}
	return string(r.Buf)
}

// TestZRangeLarge compares what large sets reply, in one piece or in parts, with a slice of the members.
func TestZRangeLarge(t *testing.T) {
	draw := rand.New(rand.NewPCG(3, 3))
	o := newOrdered(20_000, 900)
	for i := range 300 {
		resp3, withScores, reverse := i%2 == 0, i%3 == 0, draw.IntN(2) == 0
		from, to := draw.IntN(len(o.keys)), draw.IntN(len(o.keys)+2000)
		if i%4 == 0 {
			to = from + draw.IntN(20)
		}
		line, want := fmt.Sprintf("zrange k %d %d", from, to), o.keys[min(from, len(o.keys)):max(from, min(to+1, len(o.keys)))]
		switch draw.IntN(3) {
		case 0:
			if reverse {
				line, want = line+" rev", mirrored(o.keys)[from:max(from, min(to+1, len(o.keys)))]
			}
		case 1:
			low, high := o.keys[from].Score, o.keys[min(to, len(o.keys)-1)].Score
			want = nil
			for _, k := range o.keys {
				if k.Score > low && k.Score <= high {
					want = append(want, k)
				}
			}
			line, want = ends(fmt.Sprintf("(%v", low), fmt.Sprint(high), "byscore", reverse, want)
			line, want = limited(line, want, draw)
		case 2:
			low := string(o.keys[from].Member)
			want = nil
			for _, k := range o.keys { // scores differ: the first run
				if string(k.Member) >= low {
					want = append(want, k)
				}
			}
			line, want = ends("["+low, "+", "bylex", reverse, want)
			line, want = limited(line, want, draw)
			withScores = false
		}
		if withScores {
			line += " withscores"
		}
		got, _ := o.do(t, line, resp3)
		if got != scoredReply(want, withScores, resp3) {
			t.Errorf("%s: %.100q of %d bytes, want %.100q", line, got, len(got), scoredReply(want, withScores, resp3))
		}
	}
}

func mirrored(keys []command.ScoreKey) []command.ScoreKey {
	keys = slices.Clone(keys)
	slices.Reverse(keys)
	return keys
}

func ends(low, high, by string, reverse bool, want []command.ScoreKey) (string, []command.ScoreKey) {
	if reverse {
		return fmt.Sprintf("zrange k %s %s %s rev", high, low, by), mirrored(want)
	}
	return fmt.Sprintf("zrange k %s %s %s", low, high, by), want
}

func limited(line string, want []command.ScoreKey, draw *rand.Rand) (string, []command.ScoreKey) {
	if draw.IntN(2) == 0 {
		return line, want
	}
	offset, n := draw.IntN(len(want)+10), draw.IntN(len(want)+10)
	want = want[min(offset, len(want)):]
	return fmt.Sprintf("%s limit %d %d", line, offset, n), want[:min(n, len(want))]
}

// TestZRangeStreams: a large reply goes in parts, and is counted without being looked at twice.
func TestZRangeStreams(t *testing.T) {
	o := newOrdered(20_000, 20_000)
	for _, line := range []string{"zrange k 0 -1", "zrangebyscore k -inf inf withscores", "zrevrangebyscore k (9000 10", "zrange k - + bylex", "zrandmember k 19000", "zrandmember k -19000"} {
		if strings.HasPrefix(line, "zrandmember") {
			continue // reads Elements, which hash_test has
		}
		if _, parts := o.do(t, line, false); parts < 3 {
			t.Errorf("%s: %d parts", line, parts)
		}
	}
	if o.do(t, "zrangebyscore k 100 inf limit 5 10000", false); o.passed > 21_000 {
		t.Errorf("LIMIT passed over %d members", o.passed)
	}
}

// TestZRangeStopsWhenNobodyListens: an error of Spill ends the walk and is the command's.
func TestZRangeStopsWhenNobodyListens(t *testing.T) {
	gone := errors.New("gone")
	for _, line := range []string{"zrange k 0 -1", "zrangebyscore k -inf inf"} {
		o := newOrdered(50_000, 50_000)
		args := words(line)
		c := &command.Context{Spec: command.Lookup(args[0]), Args: args, View: o, Reply: &command.Reply{Spill: func([]byte) error { return gone }}}
		if err := c.Spec.Run(c); !errors.Is(err, gone) {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// TestZRank: every rank is right, and counting goes from the nearer end.
func TestZRank(t *testing.T) {
	draw := rand.New(rand.NewPCG(4, 4))
	for _, c := range []struct {
		n, scores int
		most      float64 // of the members up to the nearer end, beyond a few steps
	}{{100, 10, 1}, {513, 600, 2}, {40_000, 40_000, 1.3}, {300_000, 300_000, 1.3}, {300_000, 1, 5}} {
		o := newOrdered(c.n, c.scores)
		for i := range 60 {
			rank := draw.IntN(c.n)
			if i%3 == 0 {
				rank = []int{0, c.n - 1, c.n / 2, min(c.n-1, 600), max(0, c.n-600)}[i/3%5]
			}
			got, _ := o.do(t, fmt.Sprintf("zrank k m%07d", rank), false)
			nearer := min(rank, c.n-rank)
			if most := min(int(c.most*float64(nearer))+40_000, c.n+40_000); got != fmt.Sprintf(":%d\r\n", rank) || o.passed > most {
				t.Errorf("%d of %d in %d scores: %q, passed %d, at most %d", rank, c.n, c.scores, got, o.passed, most)
			}
			if got, _ := o.do(t, fmt.Sprintf("zrevrank k m%07d", rank), false); got != fmt.Sprintf(":%d\r\n", c.n-1-rank) {
				t.Errorf("zrevrank %d of %d: %q", rank, c.n, got)
			}
		}
	}
}

// TestZRangeFromTheNearerEnd: a few members near an end cost a few steps, whichever end.
func TestZRangeFromTheNearerEnd(t *testing.T) {
	o := newOrdered(100_000, 100_000)
	for _, line := range []string{"zrange k 0 9", "zrange k -10 -1", "zrevrange k 0 9", "zrevrange k -10 -1", "zrange k 99990 99995", "zrange k -1 -1 rev withscores",
		"zrangebyscore k 10 15 limit 0 5", "zrevrangebyscore k inf -inf limit 0 10", "zrangebyscore k -inf +inf limit 0 10", "zcount k -inf +inf", "zcount k 5 10", "zrange k + - bylex rev limit 0 3"} {
		if o.do(t, line, false); o.passed > 30 && !strings.Contains(line, "lex") {
			t.Errorf("%s: passed %d", line, o.passed)
		}
	}
	same := newOrdered(100_000, 1)
	for _, line := range []string{"zrange k + - bylex rev limit 0 3", "zrange k [m0050000 + bylex limit 0 3", "zlexcount k [m0050000 [m0050009"} {
		if same.do(t, line, false); same.passed > 30 {
			t.Errorf("%s: passed %d", line, same.passed)
		}
	}
}

// TestDouble has the forms of Redis 7.2.
func TestDouble(t *testing.T) {
	tenth := 0.1 // a constant sum would be 0.3
	for _, c := range []struct {
		f    float64
		want string
	}{
		{0, "0"}, {1, "1"}, {-1, "-1"}, {3.0, "3"}, {0.1, "0.1"}, {tenth + 0.2, "0.30000000000000004"}, {1.5, "1.5"}, {-3.25, "-3.25"}, {1e5, "100000"}, {1e15, "1000000000000000"}, {1e17, "100000000000000000"}, {1e18, "1000000000000000000"}, {1 << 62, "4611686018427387904"},
		{4611686018427387904 + 1024, "4611686018427389000"}, {1e19, "1e+19"}, {1e20, "1e+20"}, {1e21, "1e+21"}, {1e22, "1e+22"}, {1.2345678901234567e20, "123456789012345670000"}, {12345678901234567890123, "12345678901234568000000"}, {1.2345678901234569e23, "123456789012345690000000"}, {1.2345678901234568e24, "1.2345678901234568e+24"}, {-1e20, "-1e+20"},
		{1e-1, "0.1"}, {1e-4, "0.0001"}, {1e-5, "0.00001"}, {1e-6, "0.000001"}, {1e-7, "1e-7"}, {1.5e-6, "1.5e-6"}, {1.5e-5, "0.000015"}, {1.25e-5, "1.25e-5"}, {1.234e-4, "1.234e-4"}, {0.001234, "0.001234"}, {0.0012345678, "0.0012345678"}, {0.00012345678, "1.2345678e-4"},
		{12345.25, "12345.25"}, {12345.654321, "12345.654321"}, {12345.6543217, "1.23456543217e+4"}, {1234.6543217, "1234.6543217"}, {9999.123456789, "9999.123456789"}, {123456789.125, "123456789.125"},
		{5e-324, "5e-324"}, {math.MaxFloat64, "1.7976931348623157e+308"}, {-math.MaxFloat64, "-1.7976931348623157e+308"}, {2.2250738585072014e-308, "2.2250738585072014e-308"}, {1e100, "1e+100"}, {1e-100, "1e-100"}, {1.5e300, "1.5e+300"}, {1e99, "1e+99"},
		{math.Inf(1), "inf"}, {math.Inf(-1), "-inf"}, {math.Copysign(0, -1), "-0"}, {1.0 / 3, "0.3333333333333333"}, {2.0 / 3, "0.6666666666666666"}, {100.0 / 3, "33.333333333333336"}, {3.141592653589793, "3.141592653589793"},
	} {
		var r2, r3 command.Reply
		r3.RESP3 = true
		r2.Double(c.f)
		r3.Double(c.f)
		if got := string(r2.Buf); got != fmt.Sprintf("$%d\r\n%s\r\n", len(c.want), c.want) {
			t.Errorf("%v: %q, want %s", c.f, got, c.want)
		}
		if got := string(r3.Buf); got != ","+c.want+"\r\n" {
			t.Errorf("%v in RESP3: %q, want %s", c.f, got, c.want)
		}
	}
}

// TestDoubleReadsBack: whatever the form, it is the same number, and the shortest that is.
func TestDoubleReadsBack(t *testing.T) {
	draw := rand.New(rand.NewPCG(5, 5))
	for i := range 200_000 {
		f := math.Float64frombits(draw.Uint64())
		switch i % 4 {
		case 1:
			f = draw.Float64()
		case 2:
			f = math.Round(draw.NormFloat64()*1e6) / math.Pow10(draw.IntN(12))
		}
		if math.IsNaN(f) || math.IsInf(f, 0) {
			continue
		}
		r := command.Reply{RESP3: true}
		r.Double(f)
		text := strings.TrimSuffix(string(r.Buf[1:]), "\r\n")
		back, err := strconv.ParseFloat(text, 64)
		if err != nil || back != f || len(text) > 26 {
			t.Fatalf("%v is written %s", f, text)
		}
	}
}
