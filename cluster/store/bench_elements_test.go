//go:build cgo

package store

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/engine"
)

// collect fills a store with one collection of n elements and returns its meta row.
func collect(b *testing.B, s *Store, op event.Op, key string, n int) event.Meta {
	b.Helper()
	a := s.NewApply()
	const per = 1000
	at := s.State().Applied.Index
	meta := event.Meta{Type: op.ElementType(), Generation: uint64(at) + 7}
	r := rand.New(rand.NewPCG(1, 1))
	for i := 0; i < n; i += per {
		m := event.Mutation{Op: op, Type: op.ElementType(), Key: []byte(key), Generation: meta.Generation, Version: event.Version{Time: int64(i) + 1, Cluster: 1}}
		m.KeyVersion = m.Version
		m.Before = event.Before{Exists: i > 0, Type: m.Type, Generation: meta.Generation}
		if i == 0 {
			m.Before.Generation = 0
		}
		for j := range min(per, n-i) {
			e := event.Element{Sub: fmt.Appendf(nil, "member:%09d", i+j)}
			if op == event.OpZAdd {
				e.Score = float64(r.IntN(1_000_000_000))
			} else {
				e.Value = make([]byte, 64)
			}
			m.Elements = append(m.Elements, e)
		}
		meta.Count = uint64(i + len(m.Elements))
		m.Count = meta.Count
		at++
		ev := &event.Event{Term: 1, Time: int64(at), Mutations: []event.Mutation{m}}
		if at == 1 {
			ev.Clusters = []event.ClusterName{{Number: 1, ID: "dc-a"}}
		}
		must(b, a.Event(event.Position{Term: 1, Index: at}, ev))
		must(b, a.Commit())
	}
	_, err := s.Flush()
	must(b, err)
	return meta
}

// BenchmarkZSetRocks reads a sorted set of a million members.
func BenchmarkZSetRocks(b *testing.B) {
	s := openStore(b, rocksEngine(b), nil)
	key := []byte("z")
	meta := collect(b, s, event.OpZAdd, "z", 1_000_000)
	snap := s.Snapshot()
	defer snap.Close()
	var median ScoreKey
	must(b, snap.Scores(key, &meta, ScoreRange{Skip: 500_000}, func(score float64, member []byte) bool {
		median = ScoreKey{Score: score, Member: append([]byte(nil), member...)}
		return false
	}))
	b.Run("rank of the median", func(b *testing.B) {
		for b.Loop() {
			if n, err := snap.CountScores(key, &meta, ScoreRange{To: &median}); n != 500_000 || err != nil {
				b.Fatal(n, err)
			}
		}
	})
	b.Run("count from the median", func(b *testing.B) {
		for b.Loop() {
			_, err := snap.CountScores(key, &meta, ScoreRange{From: &median})
			must(b, err)
		}
	})
	for _, reverse := range []bool{false, true} {
		b.Run(fmt.Sprintf("ten,reverse=%t", reverse), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				n := 0
				must(b, snap.Scores(key, &meta, ScoreRange{Reverse: reverse}, func(float64, []byte) bool { n++; return n < 10 }))
			}
		})
	}
	b.Run("hundred", func(b *testing.B) {
		for b.Loop() {
			n := 0
			must(b, snap.Scores(key, &meta, ScoreRange{}, func(float64, []byte) bool { n++; return n < 100 }))
		}
	})
	b.Run("all", func(b *testing.B) {
		for b.Loop() {
			must(b, snap.Scores(key, &meta, ScoreRange{}, func(float64, []byte) bool { return true }))
		}
	})
	b.Run("member", func(b *testing.B) { benchElement(b, s, key, &meta, 1_000_000) })
}

func benchElement(b *testing.B, s *Store, key []byte, meta *event.Meta, n uint64) {
	r := rand.New(rand.NewPCG(1, 1))
	var buf, sub []byte
	b.ReportAllocs()
	for b.Loop() {
		sub = fmt.Appendf(sub[:0], "member:%09d", r.Uint64N(n))
		_, grown, ok, err := s.Element(buf, key, meta, sub)
		if buf = grown; !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

// BenchmarkHashRocks reads hashes of a hundred fields among a thousand of them.
func BenchmarkHashRocks(b *testing.B) {
	s := openStore(b, rocksEngine(b), nil)
	var meta event.Meta
	for i := range 1000 {
		meta = collect(b, s, event.OpHSet, fmt.Sprint("hash:", i), 100)
	}
	key := []byte("hash:999")
	b.Run("field", func(b *testing.B) { benchElement(b, s, key, &meta, 100) })
	b.Run("all", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			snap := s.Snapshot()
			n := 0
			must(b, snap.Elements(key, &meta, Range{}, func([]byte, *Element) bool { n++; return true }))
			if snap.Close(); n != 100 {
				b.Fatal(n)
			}
		}
	})
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			must(b, s.Live(nil).Elements(key, &meta, Range{}, func([]byte, *Element) bool { return false }))
		}
	})
	b.Run("snapshot", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s.Snapshot().Close()
		}
	})
}

// change is an event of n mutations of one element each, of n keys.
func change(op event.Op, n int) *event.Event {
	ev := setEvent(n)
	for i := range ev.Mutations {
		m := &ev.Mutations[i]
		m.Op, m.Type, m.Generation, m.Count, m.Value = op, op.ElementType(), 9, 5, nil
		m.Before = event.Before{Exists: true, Type: m.Type, Generation: 9}
		m.Elements = []event.Element{{Sub: []byte("member:000000001"), Value: make([]byte, 128), Score: 1, Exists: true, Was: 2}}
	}
	return ev
}

// BenchmarkChangeRocks commits events of 64 changes of one element each.
func BenchmarkChangeRocks(b *testing.B) {
	for _, op := range []event.Op{event.OpSet, event.OpHSet, event.OpSAdd, event.OpZAdd, event.OpRPush} {
		for _, null := range []bool{true, false} {
			b.Run(fmt.Sprintf("%s,engine=%t", op, !null), func(b *testing.B) { benchChange(b, op, null) })
		}
	}
}

func benchChange(b *testing.B, op event.Op, without bool) {
	var e engine.Engine = null{memEngine(b)}
	if !without {
		e = rocksEngine(b)
	}
	s := openStore(b, e, nil)
	a := s.NewApply()
	ev, r := setEvent(64), rand.New(rand.NewPCG(1, 1))
	if op != event.OpSet {
		ev = change(op, 64)
	}
	ev.Clusters = []event.ClusterName{{Number: 1, ID: "dc-a"}}
	index, now := uint64(0), int64(1_700_000_000_000_000_000)
	b.ReportAllocs()
	for done := 0; done < b.N; done += 64 {
		index++
		now += 64
		turnChange(ev, r, now)
		must(b, a.Event(event.Position{Term: 1, Index: index}, ev))
		ev.Clusters = nil
		must(b, a.Commit())
	}
}

// turnChange is turn for changes of elements.
func turnChange(ev *event.Event, r *rand.Rand, now int64) {
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
		m.Floor, m.KeyVersion = m.Version, m.Version
		m.ExpiryVersion = m.Version
		for j := range m.Elements {
			e := &m.Elements[j]
			e.Was, e.Score = e.Score, e.Score+1
		}
	}
}

// BenchmarkCleanRocks removes a dead hash of 300,000 fields in slices of 256 rows; an operation is one of them.
func BenchmarkCleanRocks(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		s := openStore(b, rocksEngine(b), nil)
		const n = 300_000
		meta := collect(b, s, event.OpHSet, "hash", n)
		a := s.NewApply()
		m := event.Mutation{Op: event.OpDel, Type: event.TypeHash, Key: []byte("hash"), Version: event.Version{Time: 1 << 40, Cluster: 1}}
		m.Before = event.Before{Exists: true, Type: event.TypeHash, Generation: meta.Generation}
		pos := event.Position{Term: 1, Index: s.State().Applied.Index + 1}
		b.StartTimer()
		start := time.Now()
		must(b, a.Event(pos, &event.Event{Term: 1, Time: 1 << 40, Mutations: []event.Mutation{m}}))
		must(b, a.Commit())
		del := time.Since(start)
		var longest time.Duration
		slices := 0
		for more := true; more; slices++ {
			start := time.Now()
			var err error
			more, err = s.Clean(256)
			must(b, err)
			longest = max(longest, time.Since(start))
		}
		b.ReportMetric(float64(del.Microseconds()), "µs/del")
		b.ReportMetric(float64(longest.Microseconds()), "µs/longest-slice")
		b.ReportMetric(float64(time.Since(start).Nanoseconds())/n, "ns/row")
		b.ReportMetric(float64(slices), "slices")
	}
}

// BenchmarkRowsRocks reads a state as rows: one operation is a string of 128 bytes, or a field of 64 of one large hash.
func BenchmarkRowsRocks(b *testing.B) {
	for _, kind := range []string{"strings", "hash"} {
		b.Run(kind, func(b *testing.B) {
			const n = 200_000
			s := openStore(b, rocksEngine(b), nil)
			if kind == "hash" {
				collect(b, s, event.OpHSet, "h", n)
			} else {
				fillStrings(b, s, n)
			}
			snap := s.Snapshot()
			defer snap.Close()
			b.ReportAllocs()
			b.ResetTimer()
			size, held := 0, 0
			for left := b.N; left > 0; {
				r, err := snap.Rows(nil)
				must(b, err)
				for {
					rows, err := r.Next()
					if errors.Is(err, io.EOF) || left <= 0 {
						break
					}
					must(b, err)
					for i := range rows {
						left -= max(1, len(rows[i].Elements))
					}
					size += r.size
					held = max(held, cap(r.arena))
				}
				r.Close()
			}
			b.ReportMetric(float64(size)/1e6/b.Elapsed().Seconds(), "MB/s")
			b.ReportMetric(float64(held), "arena-bytes")
		})
	}
}

func fillStrings(b *testing.B, s *Store, n int) {
	b.Helper()
	a := s.NewApply()
	for i := 0; i < n; i += 1000 {
		at := s.State().Applied.Index + 1
		ev := &event.Event{Term: 1, Time: int64(i + 1)}
		if i == 0 {
			ev.Clusters = []event.ClusterName{{Number: 1, ID: "dc-a"}}
		}
		for j := range 1000 {
			v := event.Version{Time: int64(i + j + 1), Cluster: 1}
			ev.Mutations = append(ev.Mutations, event.Mutation{
				Op: event.OpSet, Type: event.TypeString, Key: fmt.Appendf(nil, "key:%012d", i+j), Value: make([]byte, 128), Version: v, Floor: v, ExpiryVersion: v,
			})
		}
		must(b, a.Event(event.Position{Term: 1, Index: at}, ev))
		must(b, a.Commit())
	}
	_, err := s.Flush()
	must(b, err)
}
