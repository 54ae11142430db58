package hlc

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestNextFollowsTheWallClock(t *testing.T) {
	var c Clock
	if got := c.Next(1000, 3); got != 1000 {
		t.Fatalf("first: %d, want the wall clock, 1000", got)
	}
	if got := c.Next(1000, 1); got != 1003 {
		t.Fatalf("same wall clock again: %d, want 1003, after the three before", got)
	}
	if got := c.Next(5000, 1); got != 5000 {
		t.Fatalf("wall clock went on: %d, want 5000", got)
	}
	if got := c.Next(10, 1); got != 5001 {
		t.Fatalf("wall clock went back: %d, want 5001", got)
	}
	if got := c.Next(10, 0); got != 5002 || c.Last() != 5002 {
		t.Fatalf("an event without versions: %d and last %d, want 5002", got, c.Last())
	}
}

func TestObserve(t *testing.T) {
	var c Clock
	c.Observe(9000)
	c.Observe(100)
	if got := c.Next(1000, 1); got != 9001 {
		t.Fatalf("got %d, want 9001: above what was observed", got)
	}
}

func TestWallNeverRunsBackward(t *testing.T) {
	var c Clock
	for _, step := range []struct{ wall, want int64 }{{100, 100}, {90, 100}, {101, 101}} {
		if got := c.Wall(step.wall); got != step.want {
			t.Fatalf("wall %d: %d, want %d", step.wall, got, step.want)
		}
	}
	c.ObserveWall(500)
	c.ObserveWall(200)
	if got := c.Wall(300); got != 500 {
		t.Fatalf("got %d, want 500: what was observed", got)
	}
}

// Whatever the wall clock does and whatever is observed: all times of all reservations are new, rise, and are not below the wall clock.
func TestTimesNeverComeTwice(t *testing.T) {
	const seed = 11
	r := rand.New(rand.NewPCG(seed, seed))
	var c Clock
	highest := int64(0)
	for i := range 20000 {
		wall := int64(r.IntN(3000))
		if r.IntN(4) == 0 {
			seen := int64(r.IntN(100000))
			c.Observe(seen)
			highest = max(highest, seen)
		}
		n := r.IntN(5)
		got := c.Next(wall, n)
		if got <= highest || got < wall {
			t.Fatalf("seed %d, step %d: Next(%d, %d) = %d, want above %d and not below the wall clock", seed, i, wall, n, got, highest)
		}
		highest = got + int64(max(n, 1)) - 1
	}
}

func TestNextPanicsRatherThanWrap(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Fatal("it wrapped around")
		}
	}()
	var c Clock
	c.Observe(math.MaxInt64 - 1)
	c.Next(0, 2)
}
