package replay

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
)

func openSink(t *testing.T, target *theTarget, s Confirmer, options string) *Sink {
	t.Helper()
	sink, err := Open(&changefeed.Spec{ID: "f", Namespace: "ns", SinkURI: target.uri(options)}, Options{Confirm: s})
	if err != nil {
		t.Fatal(err)
	}
	sink.pace, sink.chunks, sink.config.RangeBytes = quickPace, smallChunks, 2<<10
	t.Cleanup(func() { sink.Close() })
	return sink
}

var quickPace = pace{look: 5 * time.Millisecond, quiet: 10 * time.Millisecond, busy: 20 * time.Millisecond, confirm: 20 * time.Millisecond, apply: 10 * time.Second}

var smallChunks = chunking{most: 1 << 10, least: 200, bytes: 4 << 10, every: time.Hour}

func never() bool { return false }

// A first start gets the state, and what follows comes from the log.
func TestStateThenLog(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	target := newTarget(t, 2, 3, "murmur3")
	s := newSource(0, 1)
	for range 300 {
		s.write(r, 1+r.IntN(4))
	}
	s.carry(t, openSink(t, target, s, ""), r, carrying{upTo: 300, budget: 1 << 20, stop: never})
	target.check(s)
}

// A full sync that is broken off goes on behind the keys that are there, at another base, until it is done; and the log from the least base on.
func TestFullSyncGoesOn(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	target := newTarget(t, 2, 3, "murmur3")
	s := newSource(0, 1)
	for range 400 {
		s.write(r, 1+r.IntN(4))
	}
	s.lost = 100
	n, life := 0, 100
	stop := func() bool {
		if n++; n < life {
			return false
		}
		n, life = 0, life+20
		return true
	}
	s.carry(t, openSink(t, target, s, ""), r, carrying{upTo: 400, budget: 1 << 20, stop: stop, calm: true})
	target.check(s)
}

// Rows of a key that don't fit into a chunk come in several, each once.
func TestKeyInParts(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	target := newTarget(t, 1, 2, "crc16")
	target.once = true
	s := newSource(0, 1)
	for range 200 {
		s.write(r, 3)
	}
	s.lost = 150
	sink := openSink(t, target, s, "")
	sink.chunks.most, sink.chunks.least = 150, 100
	s.carry(t, sink, r, carrying{upTo: 200, budget: 1 << 20, stop: never, calm: true})
	target.check(s)
}
