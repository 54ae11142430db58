package replay

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/replay/problem"
)

// trouble draws what becomes of calls.
type trouble struct {
	mu   sync.Mutex
	r    *rand.Rand
	rate int // one in so many calls fails
	left int // failures that may still come
	t    *theTarget
}

func (f *trouble) draw(call string, partition, _ uint32) (out fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left <= 0 || f.r.IntN(f.rate) != 0 {
		return fault{short: f.left > 0 && f.r.IntN(4) == 0}
	}
	f.left--
	down := status.Error(codes.Unavailable, "down")
	switch f.r.IntN(9) {
	case 0:
		f.t.move(partition, f.r.IntN(len(f.t.nodes)))
	case 1:
		out.err = down
	case 2:
		out.lost = down
	case 3:
		out.lost = problem.New(problem.Outcome, "it isn't known")
	case 4:
		out.err = problem.New(problem.Overload, "too much")
	case 5:
		out.err = problem.New(problem.Waits, "a third cluster")
	case 6:
		out.err = &problem.Error{Kind: problem.Elsewhere, What: "nobody leads"}
	case 7:
		out.cut = true
	case 8:
		f.t.nodes[f.r.IntN(len(f.t.nodes))].listener.cut()
	}
	if call == "topology" {
		out = fault{}
	}
	return out
}

// draws makes two generators of one seed, that of a world and that of its faults.
func draws(t *testing.T, seed uint64) (*rand.Rand, *rand.Rand) {
	if s := os.Getenv("SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	t.Logf("SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, 2))
}

// Whatever happens to connections, answers, leaders, and owners, every mutation takes effect once and in its order. The target checks each one.
func TestAnythingHappens(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			r, faults := draws(t, seed)
			target := newTarget(t, 1+r.IntN(3), 1+r.IntN(6), []string{"crc16", "murmur3"}[r.IntN(2)])
			f := &trouble{r: faults, rate: 6, left: 40, t: target}
			target.fault = f.draw
			count, cut := uint32(1+r.IntN(6)), []string{"crc16", "murmur3"}[r.IntN(2)]
			var sources []*source
			for n := range count {
				s := newSource(n, count).cutBy(t, cut)
				for range 150 {
					s.write(r, 1+r.IntN(5))
				}
				s.lost = r.IntN(2) * r.IntN(140)
				sources = append(sources, s)
			}
			var work sync.WaitGroup
			for n, s := range sources {
				one := rand.New(rand.NewPCG(seed, uint64(n)+10))
				sink := openSink(t, target, s, "?compression="+[]string{"zstd", "none"}[n%2])
				work.Go(func() { s.carryMany(t, sink, one) })
			}
			work.Wait()
			if !t.Failed() {
				target.check(sources...)
			}
		})
	}
}

// carryMany has several owners of a partition one after the other, and at times two at once.
func (s *source) carryMany(t *testing.T, sink *Sink, r *rand.Rand) {
	upTo := s.lost
	for range 4 {
		upTo = min(upTo+1+r.IntN(60), len(s.events))
		life := r.IntN(80)
		stop := func() bool {
			life--
			if life == 0 {
				life = r.IntN(150)
				return true
			}
			return false
		}
		o := carrying{upTo: upTo, budget: 8<<10 + r.Int64N(64<<10), stop: stop}
		if r.IntN(3) > 0 {
			s.carry(t, sink, r, o)
			continue
		}
		other, mine := rand.New(rand.NewPCG(r.Uint64(), 1)), rand.New(rand.NewPCG(r.Uint64(), 2))
		second := carrying{upTo: upTo, budget: 64 << 10, stop: never, tries: 3, rivals: true}
		o.rivals = true
		var both sync.WaitGroup
		both.Go(func() { s.carry(t, sink, other, second) })
		s.carry(t, sink, mine, o)
		both.Wait()
	}
	s.carry(t, sink, r, carrying{upTo: len(s.events), budget: 1 << 20, stop: never})
}

// Nothing is left running behind a writer that was closed, and no bytes are held.
func TestNothingIsLeft(t *testing.T) {
	r, faults := draws(t, 7)
	target := newTarget(t, 2, 5, "crc16")
	target.fault = (&trouble{r: faults, rate: 4, left: 60, t: target}).draw
	s := newSource(0, 1)
	for range 100 {
		s.write(r, 3)
	}
	sink, err := Open(&changefeed.Spec{ID: "f", Namespace: "ns", SinkURI: target.uri("")}, Options{Confirm: s})
	if err != nil {
		t.Fatal(err)
	}
	sink.pace, sink.chunks = quickPace, smallChunks
	before := runtime.NumGoroutine()
	meter := new(changefeed.Meter)
	n := 0
	s.carry(t, sink, r, carrying{upTo: 100, budget: 32 << 10, meter: meter, stop: func() bool { n++; return n%150 == 0 }})
	if err := sink.Close(); err != nil {
		t.Error(err)
	}
	if held := meter.Buffered.Load(); held != 0 {
		t.Errorf("%d bytes are held", held)
	}
	for range 500 {
		if runtime.NumGoroutine() <= before {
			return
		}
		<-time.After(10 * time.Millisecond)
	}
	buf := make([]byte, 1<<20)
	t.Error(fmt.Sprintf("%d goroutines, %d before\n", runtime.NumGoroutine(), before), string(buf[:runtime.Stack(buf, true)]))
}
