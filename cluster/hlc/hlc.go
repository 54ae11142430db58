// Package hlc is a partition's hybrid clock: times that follow the wall clock and never come twice, whatever the wall clock
// does. It is pure: the wall clock comes in as an argument.
//
// Model. The clock remembers the highest time that it issued or observed, and the latest wall clock. A leader observes, before
// it issues anything, the highest version that its partition's rows hold, and then that of each event it applies or takes in; that
// row travels with snapshots, so a new leader with a slow wall clock still issues above everything that came before.
//
// Invariants:
//
//  1. Next returns a time above everything that was issued or observed before, and reserves the n times from there on.
//  2. Next returns no time below the wall clock that it was given.
//  3. Wall never returns less than it did before, or less than was observed.
//
// A clock belongs to one goroutine, that of the partition's queue. It is not durable by itself: who applies events keeps the
// highest time in a row of the partition and observes it when it starts.
package hlc

import (
	"fmt"
	"math"
)

// Clock is one partition's. The zero Clock has issued and observed nothing.
type Clock struct {
	last int64 // highest time issued or observed, ns since 1970
	wall int64 // latest wall clock returned or observed, ms since 1970
}

// Next gives n times in a row, for the n mutations of an event: the one it returns and the n-1 after it. wall is the wall clock in
// ns since 1970. An event without versions of its own counts as one. It panics when int64 has no room left above the highest time
// observed, in the year 2262: incoming times that far ahead must be refused before they are observed (DESIGN.md §8, clock guard).
func (c *Clock) Next(wall int64, n int) int64 {
	n = max(n, 1)
	if c.last > math.MaxInt64-int64(n) {
		panic(fmt.Sprintf("hlc: no %d times are left above %d: an absurd version was observed", n, c.last))
	}
	t := max(c.last+1, wall)
	c.last = t + int64(n) - 1
	return t
}

// Observe keeps what Next returns from now on above time, the highest of an event or of the partition's rows.
func (c *Clock) Observe(time int64) { c.last = max(c.last, time) }

// Last is the highest time issued or observed.
func (c *Clock) Last() int64 { return c.last }

// Wall is the time, in ms since 1970, that expiry and relative times are judged by: wall, or the latest before if wall ran backward.
func (c *Clock) Wall(wall int64) int64 {
	c.wall = max(c.wall, wall)
	return c.wall
}

// ObserveWall keeps what Wall returns from now on at or above wall, in ms since 1970: that of an event or of the partition's rows.
func (c *Clock) ObserveWall(wall int64) { c.wall = max(c.wall, wall) }
