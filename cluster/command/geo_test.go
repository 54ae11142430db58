package command_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/command/commandtest"
)

// found gives the bulk strings of a RESP2 reply.
func found(reply []byte) (all []string) {
	lines := strings.Split(string(reply), "\r\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "$") && line != "$-1" {
			all = append(all, lines[i+1])
		}
	}
	return all
}

// TestSearchFindsAll compares searches with a look at every member's distance: the cells that are searched cover the circle, and the corners
// of a grid, the date line included.
func TestSearchFindsAll(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	draw := rand.New(rand.NewPCG(seed, 1))
	e := newExecutor(t)
	for i := range 400 {
		do(t, e, fmt.Sprintf("geoadd g %v %v m%d", draw.Float64()*358-179, draw.Float64()*120-60, i), ":1\r\n")
	}
	for range 60 {
		middle, radius := draw.IntN(400), math.Exp(draw.Float64()*4)*100 // 100 to 5400 km
		var want []string
		for i := range 400 {
			d, err := strconv.ParseFloat(found(e.Do(words(fmt.Sprintf("geodist g m%d m%d km", middle, i))...))[0], 64)
			if err != nil {
				t.Fatal(err)
			}
			if d <= radius {
				want = append(want, fmt.Sprintf("m%d", i))
			}
		}
		got := found(e.Do(words(fmt.Sprintf("geosearch g frommember m%d byradius %v km", middle, radius))...))
		slices.Sort(got)
		slices.Sort(want)
		// What is a millimeter beyond may be shown as if it were within.
		if !slices.Equal(got, want) {
			t.Errorf("around m%d, %v km: found %d, there are %d:\n%q\n%q", middle, radius, len(got), len(want), got, want)
		}
	}
}

// scoreReads is a view that counts the members that it shows by score.
type scoreReads struct {
	*commandtest.Store
	n int
}

func (s *scoreReads) Scores(key []byte, m *event.Meta, in command.ScoreRange, visit func(score float64, member []byte) bool) error {
	return s.Store.Scores(key, m, in, func(score float64, member []byte) bool {
		s.n++
		return visit(score, member)
	})
}

// TestSearchIsBounded: a search looks at the cells around its shape alone, and with ANY no further than it must.
func TestSearchIsBounded(t *testing.T) {
	e := newExecutor(t)
	for x := range 36 {
		for y := range 16 {
			e.Do(words(fmt.Sprintf("geoadd g %d.5 %d.5 m%d-%d", x*10-180, y*10-80, x, y))...)
		}
	}
	for _, c := range []struct {
		line string
		most int
	}{
		{"geosearch g fromlonlat 0.5 0.5 byradius 10 km", 1}, {"geosearch g fromlonlat 0.5 0.5 byradius 1000 km", 60},
		{"geosearch g fromlonlat 0.5 0.5 byradius 10000 km count 5 any", 5}, {"geosearch g fromlonlat 0.5 0.5 bybox 100 100 km", 4},
	} {
		view := &scoreReads{Store: e.Store}
		reply := run(t, &command.Context{View: view}, c.line)
		if view.n > c.most || len(found(reply)) == 0 {
			t.Errorf("%s: looked at %d members, want at most %d; %q", c.line, view.n, c.most, reply)
		}
	}
}
