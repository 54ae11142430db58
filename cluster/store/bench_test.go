package store

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/engine"
)

// null is an engine that keeps nothing: what is left is this package's own cost.
type null struct{ engine.Engine }

func (null) Write(*engine.Batch) error { return nil }

const benchKeys = 100_000

// setEvent is an event of n SETs of keys of 16 bytes to values of 128.
func setEvent(n int) *event.Event {
	ev := &event.Event{Term: 1}
	for i := range n {
		ev.Mutations = append(ev.Mutations, event.Mutation{
			Op: event.OpSet, Type: event.TypeString, Key: fmt.Appendf(nil, "key:%012d", i), Value: make([]byte, 128), Command: "set",
			Before: event.Before{Exists: true, Type: event.TypeString},
		})
	}
	return ev
}

// turn makes the next event of it: other keys, later versions.
func turn(ev *event.Event, r *rand.Rand, now int64) {
	ev.Time = now
	for i := range ev.Mutations {
		m := &ev.Mutations[i]
		k := r.Uint64N(benchKeys)
		for d := len(m.Key) - 1; d >= 4; d-- {
			m.Key[d] = '0' + byte(k%10)
			k /= 10
		}
		m.Prev = m.Version
		m.Version = event.Version{Time: now + int64(i), Cluster: 1}
		m.Floor, m.ExpiryVersion = m.Version, m.Version
		binary.LittleEndian.PutUint64(m.Value, uint64(now))
	}
}

// benchCommit measures SETs: events of per mutations, so many events a commit.
func benchCommit(b *testing.B, e engine.Engine, cache *Cache, per, events int) {
	s := openStore(b, e, cache)
	s.SetCaching(cache != nil)
	a := s.NewApply()
	ev, r := setEvent(per), rand.New(rand.NewPCG(1, 1))
	ev.Clusters = []event.ClusterName{{Number: 1, ID: "dc-a"}}
	index, now := uint64(0), int64(1_700_000_000_000_000_000)
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; {
		for range events {
			index++
			now += int64(per)
			turn(ev, r, now)
			must(b, a.Event(event.Position{Term: 1, Index: index}, ev))
			ev.Clusters = nil
			done += per
		}
		must(b, a.Commit())
	}
}

var commits = []struct{ per, events int }{{1, 1}, {16, 1}, {16, 4}, {64, 4}}

// BenchmarkProjection is a SET's cost here, engine left out; the chain's share is BenchmarkChain's, the event's making BenchmarkTurn's.
func BenchmarkProjection(b *testing.B) {
	for _, c := range commits {
		b.Run(fmt.Sprintf("sets=%d,events=%d", c.per, c.events), func(b *testing.B) { benchCommit(b, null{memEngine(b)}, nil, c.per, c.events) })
	}
	b.Run("sets=16,events=4,cache", func(b *testing.B) { benchCommit(b, null{memEngine(b)}, NewCache(64<<20), 16, 4) })
}

func BenchmarkChain(b *testing.B) {
	ev, r := setEvent(16), rand.New(rand.NewPCG(1, 1))
	stamp := event.Stamp{Cluster: "dc-a", Namespace: "default"}
	var chain event.Chain
	var scratch event.Scratch
	names := event.Names{"", "dc-a"}
	turn(ev, r, 1)
	for b.Loop() {
		chain = event.NextChain(chain, &stamp, ev, names, &scratch)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/16, "ns/set")
}

func BenchmarkTurn(b *testing.B) {
	ev, r := setEvent(16), rand.New(rand.NewPCG(1, 1))
	for b.Loop() {
		turn(ev, r, 1)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/16, "ns/set")
}

func BenchmarkCommitMem(b *testing.B) {
	benchCommit(b, memEngine(b), nil, 16, 4)
}

func BenchmarkMeta(b *testing.B) { benchMeta(b, memEngine(b)) }

// benchMeta reads random keys of 100,000, through the cache and past it.
func benchMeta(b *testing.B, e engine.Engine) {
	s := openStore(b, e, NewCache(64<<20))
	s.SetCaching(true)
	a := s.NewApply()
	for i := range benchKeys / 1000 {
		ev := setEvent(1000)
		for j := range ev.Mutations {
			m := &ev.Mutations[j]
			m.Key = fmt.Appendf(m.Key[:0], "key:%012d", i*1000+j)
			m.Version, m.Before = event.Version{Time: 1, Cluster: 1}, event.Before{}
		}
		must(b, a.Event(event.Position{Term: 1, Index: uint64(i) + 1}, ev))
		must(b, a.Commit())
	}
	_, err := s.Flush()
	must(b, err)
	for _, caching := range []bool{true, false} {
		if !caching {
			s.SetCaching(false)
		}
		b.Run(fmt.Sprint("cache=", caching), func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 1))
			ev := setEvent(1)
			var buf []byte
			b.ReportAllocs()
			for b.Loop() {
				turn(ev, r, 1)
				_, buf, _, err = s.Meta(buf, ev.Mutations[0].Key)
				must(b, err)
			}
		})
	}
	b.Run("checksum", func(b *testing.B) {
		for b.Loop() {
			_ = checksum(b, s)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchKeys, "ns/key")
	})
}
