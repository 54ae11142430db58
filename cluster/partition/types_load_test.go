package partition

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zankv/zankv/cluster/command"
)

// typeLines are commands on all types, by what they make. %k is a key, of few, so that it changes its type now and then; %m a member, a field
// or an item; %v a value; %n a number, %f a score, %o an offset, %B a bit's offset; %r a time to live in ms. A word in which nothing is to be
// filled in is itself.
var typeLines = map[string]string{
	"strings":      "set %k %v|set %k %v px %r|set %k %v keepttl|append %k %v|incr %k|incrby %k %n|setrange %k %o %v|mset %k %v %k %v|getdel %k|incrbyfloat %k 0.5|getset %k %v",
	"bitmaps":      "setbit %k %B 1|setbit %k %B 1|setbit %k %B 0|bitfield %k set u8 #%o %n incrby i16 %B %n|bitop not %k %k|bitop xor %k %k %k|bitclear %k",
	"hyperloglogs": "pfadd %k %m %m|pfadd %k %v|pfmerge %k %k %k",
	"hashes":       "hset %k %m %v %m %v|hset %k %m %v|hsetnx %k %m %v|hdel %k %m %m|hdel %k %m|hincrby %k %m %n|hincrbyfloat %k %m 0.25|hmset %k %m %v",
	"lists":        "lpush %k %m %m|rpush %k %m|rpush %k %m %m %m|lpushx %k %m|lpop %k|rpop %k|lpop %k 2|lset %k %o %v|ltrim %k %o -1|linsert %k before %m %m|linsert %k after %m %m|lrem %k 0 %m|lmove %k %k left right|rpoplpush %k %k|lmpop 2 %k %k right count 2|blpop %k %k 0.001|blmove %k %k right left 0.001",
	"sets":         "sadd %k %m %m %m|sadd %k %m|srem %k %m %m|spop %k|spop %k 2|smove %k %k %m|sinterstore %k %k %k|sunionstore %k %k %k|sdiffstore %k %k %k",
	"sorted sets":  "zadd %k %f %m %f %m|zadd %k gt ch %f %m|zadd %k nx %f %m|zincrby %k %f %m|zrem %k %m|zpopmin %k|zpopmax %k 2|zremrangebyrank %k 4 -1|zremrangebyscore %k -inf (%f|zunionstore %k 2 %k %k|zinterstore %k 2 %k %k weights 2 %n|zdiffstore %k 2 %k %k|zrangestore %k %k 0 3|bzpopmin %k %k 0.001|zmpop 1 %k max count 2|geoadd %k 1.%n 2.%n %m|geosearchstore %k %k fromlonlat 1.5 2.5 byradius 200 km",
	"keys":         "del %k|del %k %k|rename %k %k|renamenx %k %k|copy %k %k|copy %k %k replace|expire %k 60|pexpire %k %r|pexpireat %k 1|persist %k|sort %k alpha store %k|hclear %k|lclear %k|sclear %k|zclear %k|hmclear %k %k|getex %k px %r|type %k|hgetall %k|lrange %k 0 -1|smembers %k|zrange %k 0 -1 withscores|get %k",
}

// typeLine is one of them.
type typeLine struct{ family, text string }

// typesLoad draws such lines from a seed.
type typesLoad struct {
	c     *cluster
	r     *rand.Rand
	clock *manual
	lines []typeLine
	ran   map[string]int // by line, how often it was answered, and not by an error
}

func newTypesLoad(c *cluster, r *rand.Rand, clock *manual) *typesLoad {
	l := &typesLoad{c: c, r: r, clock: clock, ran: map[string]int{}}
	for _, family := range slices.Sorted(maps.Keys(typeLines)) {
		for text := range strings.SplitSeq(typeLines[family], "|") {
			l.lines = append(l.lines, typeLine{family: family, text: text})
		}
	}
	return l
}

var (
	typeKeys = []string{"str", "bits", "log", "h", "h2", "l", "l2", "s", "s2", "z", "z2", "k\x00", ""}
	// mostly are the keys that a family's lines are about as a rule, so that collections live for a while.
	mostly = map[string][]string{
		"strings": {"str"}, "bitmaps": {"bits"}, "hyperloglogs": {"log"}, "hashes": {"h", "h2"}, "lists": {"l", "l2"}, "sets": {"s", "s2"}, "sorted sets": {"z", "z2"},
	}
	typeMembers = []string{"", "m", "n\x00", "1", "2", "3.5", "\xff\xfe", "x", "y", "z", strings.Repeat("long", 40)}
)

// next draws a line: it, and what it is when it is filled in.
func (l *typesLoad) next() (line string, words []string) {
	pick := func(from []string) string { return from[l.r.IntN(len(from))] }
	drawn := l.lines[l.r.IntN(len(l.lines))]
	if drawn.family == "keys" && l.r.IntN(2) == 0 { // these destroy
		drawn = l.lines[l.r.IntN(len(l.lines))]
	}
	line = drawn.text
	key := func() string {
		if own := mostly[drawn.family]; own != nil && l.r.IntN(15) > 0 {
			return pick(own)
		}
		return pick(typeKeys)
	}
	fill := map[string]func() string{
		"%k": key,
		"%m": func() string { return pick(typeMembers) },
		"%v": func() string { return pick([]string{"", "v", "7", "-12", "\r\n\x00", strings.Repeat("w", 700)}) },
		"%n": func() string { return fmt.Sprint(l.r.IntN(20)) },
		"%f": func() string { return pick([]string{"0", "-0", "1", "1", "-1.5", "2", "1e300", "inf", "-inf"}) },
		"%o": func() string { return fmt.Sprint(l.r.IntN(4)) },
		"%B": func() string { return pick([]string{"0", "7", "4095", "4096", "9000", "100000"}) },
		"%r": func() string { return pick([]string{"60000", "90000", "1000000"}) },
	}
	for _, word := range strings.Fields(line) {
		for name, draw := range fill {
			for strings.Contains(word, name) {
				word = strings.Replace(word, name, draw(), 1)
			}
		}
		words = append(words, word)
	}
	return line, words
}

// typesLane is requests, and the lines that they came from.
type typesLane struct {
	reqs  []*command.Request
	lines [][]string // of each request; several of a transaction
	done  chan struct{}
}

func (l *typesLoad) lane() *typesLane {
	lane := &typesLane{}
	for range 1 + l.r.IntN(5) {
		line, words := l.next()
		req, lines := request(words...), []string{line}
		if l.r.IntN(6) == 0 {
			req = exec()
			for range l.r.IntN(4) {
				line, words := l.next()
				q := request(words...)
				req.Queue, lines = append(req.Queue, command.Queued{Spec: q.Spec, Args: q.Args}), append(lines, line)
			}
			lines = lines[1:]
		}
		lane.reqs, lane.lines = append(lane.reqs, req), append(lane.lines, lines)
	}
	return lane
}

// run submits so many lanes, some at a time, to whoever leads, and waits for them. Time passes meanwhile.
func (l *typesLoad) run(lanes int) {
	t := l.c.t
	t.Helper()
	for lanes > 0 {
		var all []*typesLane
		for range min(lanes, 1+l.r.IntN(6)) {
			lane := l.lane()
			all = append(all, lane)
			lane.done = l.c.leader().pending(lane.reqs...)
		}
		lanes -= len(all)
		for _, lane := range all {
			select {
			case <-lane.done:
				l.count(lane)
			case <-time.After(20 * time.Second):
				t.Fatalf("no answer within 20 s to %v", lane.lines)
			}
		}
		if l.r.IntN(20) == 0 {
			l.clock.advance(time.Duration(l.r.IntN(20)) * time.Second)
		}
		if l.r.IntN(200) == 0 {
			l.c.do("flushdb")
		}
	}
}

// count notes what was answered. Lines are well formed: an error is the state's.
func (l *typesLoad) count(lane *typesLane) {
	for i, req := range lane.reqs {
		reply := string(req.Reply.Buf)
		for _, wrong := range []string{"-ERR unknown", "-ERR wrong number", "-ERR syntax", "-EXECABORT"} {
			if strings.Contains(reply, wrong) {
				l.c.t.Errorf("%q: %q", lane.lines[i], reply)
			}
		}
		if req.Outcome == command.Answered && len(lane.lines[i]) == 1 && !strings.HasPrefix(reply, "-") {
			l.ran[lane.lines[i][0]]++
		}
	}
}

// missing are the lines that never were answered but by an error.
func (l *typesLoad) missing() []typeLine {
	return slices.DeleteFunc(slices.Clone(l.lines), func(line typeLine) bool { return l.ran[line.text] > 0 })
}

// settle waits until what has expired is removed, and all replicas have applied the same.
func (l *typesLoad) settle() {
	c := l.c
	eventually(c.t, "what has expired is removed, and applied everywhere", func() bool {
		leader := c.serving()
		if leader == nil {
			return false
		}
		due := 0
		must(c.t, leader.replica.store.Expired(l.clock.now().UnixMilli()+1000, 1, func([]byte, int64) bool { due++; return true }))
		for _, m := range c.members {
			if m.applied() != leader.applied() {
				return false
			}
		}
		return due == 0
	})
}

// typesCluster is three replicas under all types.
func typesCluster(t *testing.T, size int) (*cluster, *typesLoad) {
	clock := &manual{}
	r := seeded(t)
	c := newCluster(t, size, func(o *Options) {
		clock.use()(o)
		o.SinglePartition, o.HashTags = true, true
	})
	return c, newTypesLoad(c, r, clock)
}
