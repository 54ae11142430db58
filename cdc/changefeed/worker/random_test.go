package worker

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
)

// chaos draws what happens from one seed.
type chaos struct {
	*world
	mu        sync.Mutex
	r         *rand.Rand
	processes map[string]*process
	calm      atomic.Bool
}

// TestRandomDeaths has owners die, hang, learn late that their claims are lost, and sinks, sources and the registry fail. Whatever happens, the sink
// has each event once and in order, and no checkpoint was ever ahead of it.
func TestRandomDeaths(t *testing.T) {
	first := rand.Uint64N(1 << 32)
	for i := range uint64(20) {
		seed := first + i
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { runChaos(t, seed) })
		})
	}
}

func (c *chaos) intN(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.r.IntN(n)
}

func runChaos(t *testing.T, seed uint64) {
	c := &chaos{world: newWorld(t, 3), r: rand.New(rand.NewPCG(seed, 0)), processes: map[string]*process{}}
	c.sink.delay = 50 * time.Millisecond
	c.sink.failing = c.fail
	c.reg.late = func() time.Duration {
		if c.intN(2) == 0 {
			return 0
		}
		return time.Duration(c.intN(8000)) * time.Millisecond
	}
	c.reg.onSave = func(partition uint32, p *changefeed.Progress) {
		if r := c.sink.resumeOf(partition); p.Position.Compare(r.After) > 0 {
			t.Errorf("saved %s of partition %d, the sink has %s", p.Position, partition, r.After)
		}
	}
	c.create()
	for range 150 {
		c.step()
		time.Sleep(time.Duration(c.intN(400)) * time.Millisecond)
	}
	c.settle()
	for n := range c.source.logs {
		c.wantAll(n)
		if p := c.wantState(uint32(n), changefeed.Normal, ""); p.Figures.LagEntries != 0 {
			t.Errorf("lag: %+v", p.Figures)
		}
	}
	for _, p := range c.processes {
		p.stop()
	}
}

// fail is the sink's: now and then an opening or a write fails, the write before, in the middle of or after what it was to do.
func (c *chaos) fail(uint32, uint64, string) error {
	if c.calm.Load() || c.intN(12) > 0 {
		return nil
	}
	return &torn{done: c.intN(10), error: errors.New("connection reset")}
}

func (c *chaos) step() {
	name := string(rune('a' + c.intN(3)))
	switch p := c.processes[name]; c.intN(9) {
	case 0, 1, 2, 3:
		c.source.logs[c.intN(len(c.source.logs))].add(1 + c.intN(20))
	case 4:
		if p == nil {
			c.processes[name] = c.start(name)
		}
	case 5:
		if p != nil && c.intN(3) == 0 {
			p.stop()
			delete(c.processes, name)
		}
	case 6:
		c.store.ExpireClaims(name)
	case 7:
		c.source.set(func() {
			c.source.fail = nil
			if c.intN(3) == 0 {
				c.source.fail = errors.New("no replica")
			}
		})
	case 8:
		var err error
		if c.intN(3) == 0 {
			err = errors.New("etcd: timeout")
		}
		c.reg.failSaves(err)
	}
}

func (c *chaos) settle() {
	c.calm.Store(true)
	c.source.set(func() { c.source.fail = nil })
	c.reg.failSaves(nil)
	if c.processes["a"] == nil {
		c.processes["a"] = c.start("a")
	}
	after(2 * time.Minute)
}
