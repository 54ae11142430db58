package conflict

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/zankv/zankv/cdc/event"
)

// run is one history: clusters that write, and changes that come over when the schedule says so.
type history struct {
	worlds []*world
	// got is how many of cluster j's own mutations cluster i has decided.
	got [][]int
	// knew is, for each write by its version, got of the cluster that wrote it, at that time.
	knew  map[string][]int
	trace []string
	// traced: the history is told step by step, which takes most of the time. It is played again for that when something is wrong.
	traced bool
	// strict: types that the timestamp rule doesn't hold for are written.
	strict bool
}

// newHistory begins with clusters that have run the same commands of the first.
func newHistory(n int, policy Policy, now []int64, skew []int64, common []string) *history {
	h := &history{got: make([][]int, n), knew: make(map[string][]int)}
	for i := range n {
		w := newWorld(event.ClusterNumber(i+1), policy)
		h.worlds = append(h.worlds, w)
		h.got[i] = make([]int, n)
	}
	for _, c := range common {
		h.write(0, c)
		h.settle()
	}
	for i, w := range h.worlds {
		w.now, w.skew = now[i%len(now)], skew[i%len(skew)]
	}
	return h
}

func (h *history) write(i int, command string) bool {
	if h.traced {
		h.trace = append(h.trace, fmt.Sprintf("%d: %s", i, command))
	}
	w := h.worlds[i]
	if !w.run(command) {
		return false
	}
	knew := slices.Clone(h.got[i])
	knew[i] = len(w.own) - 1
	h.knew[w.show(w.own[len(w.own)-1].Version)] = knew
	return true
}

// deliver has cluster i decide the next mutation of cluster j, if there is one.
func (h *history) deliver(i, j int) bool {
	if i == j || h.got[i][j] >= len(h.worlds[j].own) {
		return false
	}
	m := &h.worlds[j].own[h.got[i][j]]
	h.got[i][j]++
	a := h.worlds[i].receive(m, h.worlds[j])
	if h.traced {
		h.trace = append(h.trace, fmt.Sprintf("%d<-%d %s: %d, %s", i, j, h.worlds[j].describe(m), a, h.worlds[i].content()))
	}
	return true
}

func (h *history) settle() {
	for i := range h.worlds {
		for j := range h.worlds {
			for h.deliver(i, j) {
			}
		}
	}
}

// check says what is wrong with clusters that have decided everything.
func (h *history) check() string {
	h.settle()
	want := h.worlds[0].content()
	for i, w := range h.worlds {
		if w.broken != "" {
			return fmt.Sprintf("cluster %d: %s", i, w.broken)
		}
		if got := w.content(); got != want {
			return fmt.Sprintf("cluster %d has  %s\ncluster 0 has  %s", i, got, want)
		}
	}
	return ""
}

// try plays a history, and once more to tell how it came to what is wrong with it.
func try(t *testing.T, play func(traced bool) (*history, string)) {
	if _, problem := play(false); problem == "" {
		return
	}
	h, problem := play(true)
	t.Helper()
	t.Fatalf("%s\n%s", problem, strings.Join(h.trace, "\n"))
}

// passive has a cluster that writes nothing decide all mutations, those of each origin in order, origins taken in turn as pick says.
func (h *history) passive(pick func(n int) int) *world {
	w := newWorld(3, h.worlds[0].policy)
	next := make([]int, len(h.worlds))
	for {
		var left []int
		for j := range h.worlds {
			if next[j] < len(h.worlds[j].own) {
				left = append(left, j)
			}
		}
		if len(left) == 0 {
			return w
		}
		j := left[pick(len(left))]
		w.receive(&h.worlds[j].own[next[j]], h.worlds[j])
		next[j]++
	}
}

// relayed has a cluster decide all that cluster i applied, in its order: its own changes, and those of others as it emitted them.
func (h *history) relayed(i int) *world {
	w := newWorld(3, h.worlds[0].policy)
	for n := range h.worlds[i].all {
		w.receive(&h.worlds[i].all[n], h.worlds[i])
	}
	return w
}

// beginnings are states that all clusters share at first.
var beginnings = [][]string{
	nil,
	{"set"},
	{"hset f", "hset g"},
	{"hset f", "expire"},
	{"set", "del"},
	{"hset f", "hset g", "hdel g", "soon"},
}

var timestampCommands = []string{"persist", "set", "setkeep", "incr", "del", "expire", "soon", "hset f", "hset g", "hdel f", "hstore f"}

// schedules are all orders of a writes at cluster 0, b writes at cluster 1 and the decisions about them.
func schedules(a, b int) (all []string) {
	var extend func(s string, wrote, got [2]int)
	extend = func(s string, wrote, got [2]int) {
		if wrote == [2]int{a, b} {
			all = append(all, s)
			return
		}
		for i, n := range [2]int{a, b} {
			if wrote[i] < n {
				w := wrote
				w[i]++
				extend(s+string("ab"[i]), w, got)
			}
			if got[i] < wrote[1-i] {
				g := got
				g[i]++
				extend(s+string("AB"[i]), wrote, g)
			}
		}
	}
	extend("", [2]int{}, [2]int{})
	return all
}

// play says whether each of the commands changed something; it ends with the first that doesn't.
func (h *history) play(schedule string, commands []string) bool {
	next := [2]int{0, strings.Count(schedule, "a")}
	for _, step := range schedule {
		switch step {
		case 'a', 'b':
			i := int(step - 'a')
			if !h.write(i, commands[next[i]]) {
				return false
			}
			next[i]++
		case 'A':
			h.deliver(0, 1)
		case 'B':
			h.deliver(1, 0)
		}
	}
	return true
}

// eachSequence visits all sequences of n commands.
func eachSequence(commands []string, n int, visit func([]string)) {
	sequence := make([]string, n)
	var fill func(i int)
	fill = func(i int) {
		if i == n {
			visit(sequence)
			return
		}
		for _, c := range commands {
			sequence[i] = c
			fill(i + 1)
		}
	}
	fill(0)
}

// converge plays all histories of up to three of the commands, and checks all that must hold of each.
func converge(t *testing.T, policy Policy, commands []string, skews [][]int64, beginnings [][]string) {
	histories := 0
	for s, skew := range skews {
		for _, common := range beginnings {
			for _, shape := range [][2]int{{1, 1}, {2 - s%2, 1 + s%2}} {
				orders := schedules(shape[0], shape[1])
				eachSequence(commands, shape[0]+shape[1], func(sequence []string) {
					for _, order := range orders {
						try(t, func(traced bool) (*history, string) {
							h := newHistory(2, policy, []int64{5, 20}, skew, common)
							h.traced = traced
							if !h.play(order, sequence) {
								return h, "" // a shorter history is the same
							}
							histories++
							return h, h.checkAll()
						})
					}
				})
			}
		}
	}
	t.Logf("%d histories", histories)
}

// checkAll checks the clusters, and those that have seen their mutations in other orders or by way of another cluster.
func (h *history) checkAll() string {
	problem := h.check()
	if problem != "" {
		return problem
	}
	if problem = h.checkLost(); problem != "" {
		return problem
	}
	want := h.worlds[0].content()
	for how, w := range map[string]*world{
		"all of the first, then of the second": h.passive(func(int) int { return 0 }),
		"all of the second, then of the first": h.passive(func(n int) int { return n - 1 }),
		"by way of the first":                  h.relayed(0),
		"by way of the second":                 h.relayed(1),
	} {
		if w.broken != "" {
			return how + ": " + w.broken
		}
		if got := w.content(); got != want {
			return how + ": " + got + "\nthey have: " + want
		}
	}
	return ""
}

// checkLost checks that the last write of all is there, a deletion included, and that what isn't there any more was replaced by somebody who knew it,
// or is in a conflict log.
func (h *history) checkLost() string {
	var last *event.Mutation
	var by *world
	logged := 0
	for _, w := range h.worlds {
		logged += len(w.logged)
		for n := range w.own {
			if m := &w.own[n]; !onlyExpiry(m) && (last == nil || after(w, m, by, last)) {
				last, by = m, w
			}
		}
	}
	switch here := h.worlds[0]; {
	case last == nil:
	case last.Op == event.OpDel:
		if here.exists {
			return "the last write deletes the key, and it is there: " + here.content()
		}
	case !last.Op.Removes() && !here.has(by, last):
		return "the last write isn't there: " + by.describe(last)
	}
	for i, w := range h.worlds {
		for n := range w.own {
			if m := &w.own[n]; logged == 0 && !m.Op.Removes() && !onlyExpiry(m) && m.Op != event.OpDel && !w.has(w, m) && !h.replaced(i, n) {
				return "lost, and nobody has logged it: " + w.describe(m)
			}
		}
	}
	return ""
}

// after says whether a write of cluster w is later than one of cluster v.
func after(w *world, m *event.Mutation, v *world, n *event.Mutation) bool {
	if m.Version.Time != n.Version.Time {
		return m.Version.Time > n.Version.Time
	}
	return w.names.ID(m.Version.Cluster) > v.names.ID(n.Version.Cluster)
}

// has says whether a write of cluster by is what the cluster shows.
func (w *world) has(by *world, m *event.Mutation) bool {
	version := by.show(m.Version)
	if !m.Op.OnElements() {
		return w.exists && w.meta.Type == event.TypeString && w.show(w.meta.Version) == version
	}
	return w.show(w.rows[string(m.Elements[0].Sub)].version) == version
}

// replaced says whether somebody who knew write n of cluster i wrote the same register again.
func (h *history) replaced(i, n int) bool {
	m := &h.worlds[i].own[n]
	for _, w := range h.worlds {
		for k := range w.own {
			other := &w.own[k]
			same := !m.Op.OnElements() || other.Op.OnElements() && string(other.Elements[0].Sub) == string(m.Elements[0].Sub)
			if h.knew[w.show(other.Version)][i] > n && !onlyExpiry(other) && (same || whole(other) || other.Op == event.OpValue) {
				return true
			}
		}
	}
	return false
}

var (
	even = [][]int64{{0, 0}}
	odd  = [][]int64{{0, 5}, {5, 0}}
)

// TestConverge: clusters that have decided the same mutations under the timestamp rule have the same, in whatever order they came.
func TestConverge(t *testing.T) {
	converge(t, PolicyDefault, timestampCommands[1:], even, beginnings)
	converge(t, PolicyDefault, timestampCommands[1:], odd, beginnings[1:2])
}

// TestConvergeElements: so have those with sets and sorted sets under PolicyElement.
func TestConvergeElements(t *testing.T) {
	sets := []string{"set", "del", "expire", "sadd x", "sadd y", "srem x", "sstore x"}
	converge(t, PolicyElement, sets, even, [][]string{nil, {"sadd x", "sadd y"}, {"sadd x", "srem x"}})
	zsets := []string{"incr", "del", "soon", "zadd x", "zadd y", "zrem x", "zstore x"}
	converge(t, PolicyElement, zsets, odd, [][]string{nil, {"zadd x", "zadd y"}, {"set"}})
}

// TestConvergeLong: long histories of three clusters, drawn from a seed.
func TestConvergeLong(t *testing.T) {
	sets := slices.Concat(timestampCommands[:7], []string{"sadd x", "sadd y", "sadd z", "srem x", "srem y", "sstore z"})
	for seed := range uint64(40000) {
		try(t, func(traced bool) (*history, string) {
			draw := rand.New(rand.NewPCG(seed, 5))
			policy, commands := PolicyDefault, timestampCommands
			if seed%2 == 0 {
				policy, commands = PolicyElement, sets
			}
			h := newHistory(3, policy, []int64{5, 20}, []int64{draw.Int64N(9), 0, draw.Int64N(9)}, nil)
			h.traced = traced
			for _, w := range h.worlds {
				w.coded = true
			}
			h.draw(draw, commands)
			problem := h.check()
			if problem != "" {
				return h, fmt.Sprintf("seed %d: %s", seed, problem)
			}
			w := h.passive(draw.IntN)
			if got, want := w.content(), h.worlds[0].content(); got != want || w.broken != "" {
				problem = fmt.Sprintf("seed %d: a fourth has %s\nthey have %s\n%s", seed, got, want, w.broken)
			}
			return h, problem
		})
	}
}

// draw plays steps at random.
func (h *history) draw(draw *rand.Rand, commands []string) {
	for range 4 + draw.IntN(30) {
		i, j := draw.IntN(len(h.worlds)), draw.IntN(len(h.worlds))
		if draw.IntN(2) == 0 {
			h.write(i, commands[draw.IntN(len(commands))])
		} else {
			h.deliver(i, j)
		}
	}
}

// TestStrict: where the timestamp rule doesn't hold, clusters have the same content in the end, or one of them knows that the key diverged.
func TestStrict(t *testing.T) {
	commands := []string{"set", "del", "expire", "sadd x", "srem x", "sstore y", "rpush", "lpop", "hset f"}
	orders := schedules(2, 1)
	for _, common := range [][]string{nil, {"sadd x"}, {"rpush", "rpush"}, {"set"}, {"rpush", "lpop"}} {
		eachSequence(commands, 3, func(sequence []string) {
			for _, order := range orders {
				try(t, func(traced bool) (*history, string) {
					h := newHistory(2, PolicyDefault, []int64{5}, []int64{0}, common)
					h.traced = traced
					if !h.play(order, sequence) {
						return h, ""
					}
					return h, h.checkStrict()
				})
			}
		})
	}
}

func (h *history) checkStrict() string {
	h.settle()
	a, b := h.worlds[0], h.worlds[1]
	switch {
	case a.broken+b.broken != "":
		return a.broken + b.broken
	case a.visible() != b.visible() && !everDiverged(a) && !everDiverged(b):
		return "no record that they diverged: " + a.visible() + " and " + b.visible()
	}
	return ""
}

func everDiverged(w *world) bool {
	for _, o := range w.logged {
		if o.Action == Diverge {
			return true
		}
	}
	return false
}
