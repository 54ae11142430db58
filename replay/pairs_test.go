package replay

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
)

// cutBy has the source's namespace be cut by a hash.
func (s *source) cutBy(t *testing.T, hash string) *source {
	t.Helper()
	var err error
	if s.hash, err = hashOf(hash, s.count); err != nil {
		t.Fatal(err)
	}
	s.hashName = hash
	return s
}

// pairs are the places that the target has, as "source→target".
func (t *theTarget) pairs() []string {
	var all []string
	for n, r := range t.partitions {
		r.mu.Lock()
		for _, p := range r.senders {
			all = append(all, fmt.Sprint(p.id.Partition, "→", n))
		}
		r.mu.Unlock()
	}
	return all
}

// A source partition has a place in those of the target's partitions that can have its keys, and everything comes there.
func TestPairs(t *testing.T) {
	for _, c := range []struct {
		source   string
		from     uint32
		target   string
		to       int
		pairs    int // in all
		together string
	}{
		{"crc16", 4, "crc16", 4, 4, "2→2"}, {"crc16", 4, "crc16", 8, 8, "1→3"}, {"crc16", 8, "crc16", 3, 10, "2→1"}, {"crc16", 2, "crc16", 3, 4, "1→1"},
		{"murmur3", 4, "murmur3", 4, 4, "3→3"}, {"murmur3", 4, "murmur3", 6, 12, "3→5"}, {"crc16", 2, "murmur3", 3, 6, "1→0"}, {"murmur3", 2, "crc16", 2, 4, "1→0"},
	} {
		t.Run(fmt.Sprintf("%s %d to %s %d", c.source, c.from, c.target, c.to), func(t *testing.T) {
			t.Parallel()
			target := newTarget(t, 2, c.to, c.target)
			r := rand.New(rand.NewPCG(uint64(c.from), uint64(c.to)))
			var sources []*source
			for n := range c.from {
				s := newSource(n, c.from).cutBy(t, c.source)
				for range 40 {
					s.write(r, 3)
				}
				s.carry(t, openSink(t, target, s, ""), r, carrying{upTo: 30, budget: 1 << 20, stop: never})
				s.carry(t, openSink(t, target, s, ""), r, carrying{upTo: 40, budget: 1 << 20, stop: never})
				sources = append(sources, s)
			}
			target.check(sources...)
			pairs := target.pairs()
			if all := strings.Join(pairs, " "); len(pairs) != c.pairs || !strings.Contains(all, c.together) {
				t.Errorf("%d pairs, want %d with %s: %s", len(pairs), c.pairs, c.together, all)
			}
		})
	}
}

// Figures are of the partitions that are paired, by their own numbers.
func TestPairStats(t *testing.T) {
	target := newTarget(t, 2, 8, "crc16")
	s := newSource(3, 4)
	sink := openSink(t, target, s, "")
	w, err := sink.Open(t.Context(), s.target(&carrying{budget: 1 << 20}))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	stats := sink.Stats().Partitions[0].Targets
	if len(stats) != 2 || stats[0].Partition != 6 || stats[1].Partition != 7 || stats[0].Leader != target.address(6) || stats[1].Leader != target.address(7) {
		t.Errorf("%+v", stats)
	}
}

// A change of a key that the source has in the wrong partition goes nowhere, and isn't left out: the writer ends there, be it of the log or of the state.
func TestStrayKey(t *testing.T) {
	for _, state := range []bool{false, true} {
		target := newTarget(t, 1, 4, "crc16")
		r := rand.New(rand.NewPCG(9, 9))
		s, other := newSource(0, 4), newSource(3, 4)
		s.write(r, 1)
		sink := openSink(t, target, s, "")
		if !state {
			s.carry(t, sink, r, carrying{upTo: 1, budget: 1 << 20, stop: never})
		}
		w, err := sink.Open(t.Context(), s.target(&carrying{budget: 1 << 20}))
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		s.write(r, 1)
		st, ev := s.at(1)
		ev.Mutations = append(ev.Mutations, event.Mutation{Op: event.OpDel, Key: other.key(r), Version: event.Version{Time: ev.Time + 1, Cluster: 1}})
		if state {
			base := changefeed.Base{Stamp: st, Time: ev.Time}
			if err = w.BeginSnapshot(t.Context(), &base); err == nil {
				err = w.Rows(t.Context(), ev, s.names)
			}
		} else {
			err = w.Event(t.Context(), &st, ev, s.names)
		}
		e, ok := err.(*changefeed.Error)
		if !ok || e.Code != changefeed.CodeInternal || !e.Final || !strings.Contains(e.What, "wrong partition") || w.Err() != err {
			t.Errorf("of the state %v: %v, the writer ended with %v", state, err, w.Err())
		}
		if d := w.Durable().Position; d == st.Position {
			t.Errorf("of the state %v: the event counts as taken", state)
		}
	}
}
