package command_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/store"
)

// Sites that write at the same time and replay each other's changes come to the same state: whatever they write, in whatever order the changes of
// different sites come, with clocks apart, however keys are spread over partitions, while keys expire and the watermarks rise.

// offset is by how much clocks may be apart.
const offset = 20 * time.Minute

var (
	replayKeys = []string{"h:{a}1", "h:{a}2", "h:3", "s:{a}1", "s:{a}2", "s:3", "z:{a}1", "z:{a}2", "z:3", "n:1", "n:2"}
	replaySubs = []string{"a", "b", "c"}
)

// commands are what is written, K and L standing for keys of one kind, F for an element, N for a number, E for a time to live in seconds.
var commands = map[byte][]string{
	'*': {"set K N", "set K N ex E", "set K N keepttl", "set K N xx", "set K N nx", "getset K N", "getdel K", "getex K ex E", "getex K persist", "append K N", "setrange K 2 N", "incr K",
		"incrbyfloat K 0.5", "del K", "del K", "unlink K", "expire K E", "expire K E", "pexpire K -1", "expire K E nx", "expire K E gt", "persist K", "rename K L", "rename K L", "renamenx K L",
		"copy K L", "copy K L replace", "setex K E N", "setnx K N", "mset K N"},
	'h': {"hset K F N", "hset K F N a 1", "hset K F N", "hdel K F", "hdel K a b c", "hdel K F", "hincrby K F 1", "hsetnx K F N", "hmset K a N b N"},
	's': {"sadd K F", "sadd K F a", "srem K F", "srem K a b c", "spop K", "smove K L F", "sunionstore K K L", "sinterstore K K L", "sdiffstore L K K"},
	'z': {"zadd K N F", "zadd K N F 2 a", "zincrby K N F", "zrem K F", "zrem K a b c", "zpopmin K", "zunionstore K 2 K L", "zrangestore L K 0 0", "zremrangebyrank K 0 0"},
	'n': {"incr K", "incrby K N", "decr K"},
}

type replayStory struct {
	t     *testing.T
	r     *rand.Rand
	now   time.Time
	sites []*site
	keys  []string // those of this story
	trace []string
}

func newReplayStory(t *testing.T, seed uint64) *replayStory {
	s := &replayStory{t: t, r: rand.New(rand.NewPCG(seed, 77)), now: time.UnixMilli(1_800_000_000_000)}
	s.sites = []*site{
		newSite(t, "zeta", 1, store.PartitionBySlot), newSite(t, "alpha", 2, store.PartitionByMurmur3), newSite(t, "mid", 3, store.PartitionBySlot),
	}[:2+s.r.IntN(2)]
	if s.keys = replayKeys; seed%2 == 1 { // few, so that all meet at them
		s.keys = []string{"h:{a}1", "h:{a}2", replayKeys[3+s.r.IntN(3)], replayKeys[6+s.r.IntN(3)]}
	}
	for _, one := range s.sites {
		one.apart = time.Duration(s.r.Int64N(int64(offset))) - offset/2
	}
	return s
}

func (s *replayStory) say(format string, args ...any) {
	s.trace = append(s.trace, fmt.Sprintf("%6d ", (s.now.UnixMilli()-1_800_000_000_000)/1000)+fmt.Sprintf(format, args...))
}

func (s *replayStory) pick(from []string) string { return from[s.r.IntN(len(from))] }

// write has a site run a command at random.
func (s *replayStory) write(at *site) {
	key := s.pick(s.keys)
	line := s.pick(commands['*'])
	if s.r.IntN(3) > 0 {
		line = s.pick(commands[key[0]])
	}
	other := s.pick(s.keys)
	if strings.Contains(line, "L") && (other[0] != key[0] || other == key || at.part([]byte(other)) != at.part([]byte(key))) {
		return
	}
	line = strings.NewReplacer("K", key, "L", other, "F", s.pick(replaySubs), "N", fmt.Sprint(1+s.r.IntN(9)), "E", s.pick([]string{"1", "60", "900", "7200"})).Replace(line)
	reply := at.part([]byte(key)).run(s.now, line)
	s.say("%s: %s → %q", at.name, line, reply)
}

// step does one of the things that happen.
func (s *replayStory) step() {
	at := s.sites[s.r.IntN(len(s.sites))]
	switch n := s.r.IntN(100); {
	case n < 45:
		s.write(at)
	case n < 80:
		from := s.sites[s.r.IntN(len(s.sites))]
		if from == at {
			return
		}
		for range 1 + s.r.IntN(4) {
			s.deliver(at, from.parts[s.r.IntN(len(from.parts))])
		}
	case n < 90:
		s.now = s.now.Add([]time.Duration{time.Millisecond, time.Second, time.Minute, 20 * time.Minute}[s.r.IntN(4)])
	case n < 95:
		s.tidy(at)
	case n < 96:
		at.part([]byte(s.pick(s.keys))).run(s.now, "flushdb")
		s.say("%s: flushdb", at.name)
	}
}

func (s *replayStory) deliver(to *site, from *part) {
	n := to.parts[0].place(from).next
	to.deliver(s.now, from)
	if n < len(from.log) {
		s.say("%s ← %s-%d %s", to.name, from.site.name, from.number, from.log[n].pos)
	}
}

// tidy raises a site's watermarks, and removes what has gone under.
func (s *replayStory) tidy(at *site) {
	for _, p := range at.parts {
		p.sink(s.now, s.others(at))
		p.expire(s.now, offset)
		for range 1 + s.r.IntN(3) {
			_, err := p.store.Clean(5)
			check(s.t, err)
		}
		s.say("%s-%d: watermark %d", at.name, p.number, p.store.Watermark()/1e9-1_800_000_000)
	}
}

func (s *replayStory) others(at *site) (all []*site) {
	for _, o := range s.sites {
		if o != at {
			all = append(all, o)
		}
	}
	return all
}

// settle has every site take in everything, and then every site's clock tell the same.
func (s *replayStory) settle() {
	for range 2 { // the second time for the clocks' times
		for _, to := range s.sites {
			for _, from := range s.others(to) {
				s.deliverAll(to, from)
			}
		}
	}
	for _, one := range s.sites {
		s.now = s.now.Add(offset)
		one.apart = 0
	}
	s.tell()
}

// tell has every partition learn what time it is.
func (s *replayStory) tell() {
	for _, one := range s.sites {
		for _, p := range one.parts {
			p.begin(s.now)
			p.ev.Own = []event.OwnChange{{Kind: event.OwnConsumer, ID: []byte("clock"), Value: []byte("x")}}
			p.end()
		}
	}
}

// compare wants that all sites have the same sums by slot.
func (s *replayStory) compare(when string) {
	s.t.Helper()
	highest := int64(0)
	for _, one := range s.sites {
		for _, p := range one.parts {
			highest = max(highest, p.store.Watermark())
			if err := p.folds(); err != nil {
				s.fail("%s: %s-%d: %v", when, one.name, p.number, err)
			}
		}
	}
	want := s.sites[0].sums(highest)
	for _, one := range s.sites[1:] {
		if !maps.Equal(one.sums(highest), want) {
			s.fail("%s: %s and %s differ", when, s.sites[0].name, one.name)
		}
	}
}

func (s *replayStory) fail(format string, args ...any) {
	s.t.Helper()
	var b strings.Builder
	for _, one := range s.sites {
		fmt.Fprintf(&b, "%s (%s)\n%s", one.name, one.apart, one.describe(replayKeys, replaySubs))
	}
	s.t.Fatalf(format+"\n%s\n%s", append(args, b.String(), strings.Join(s.trace, "\n"))...)
}

func TestSitesConverge(t *testing.T) {
	seeds := uint64(200)
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		playReplay(t, seed, 40+int(seed%5)*60)
	}
}

func playReplay(t *testing.T, seed uint64, steps int) {
	s := newReplayStory(t, seed)
	s.say("seed %d", seed)
	for range steps {
		s.step()
	}
	s.settle()
	s.compare("all is delivered")
	s.tidy(s.sites[0])
	s.compare("one site's watermarks are up")
	for range 2 {
		s.now = s.now.Add(3 * time.Hour)
		s.settle()
		for _, one := range s.sites {
			s.tidy(one)
		}
		s.tell()
		s.compare("all watermarks are up")
	}
	if a, b := s.sites[0].sums(0), s.sites[1].sums(0); !maps.Equal(a, b) {
		s.fail("by their own watermarks they differ")
	}
}
