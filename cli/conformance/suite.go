package conformance

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/command/commandtest"
)

// Run runs the whole suite: ours against the oracle, both speaking the same protocol, both with a key space of their own,
// which is emptied. seed is for the random parts.
func Run(t *testing.T, ours, oracle Target, seed uint64) {
	for _, f := range families {
		for _, name := range f.names() {
			t.Run(f.name+"/"+name, func(t *testing.T) {
				p := &pair{tb: t, ours: ours, oracle: oracle}
				p.reset()
				for _, line := range f.cases[name] {
					p.line(line)
				}
			})
		}
	}
	t.Run("descriptions", func(t *testing.T) { descriptions(t, ours, oracle) })
	t.Run("options", func(t *testing.T) { options(t, ours, oracle, seed) })
	t.Run("differences", func(t *testing.T) { differences(t, ours, oracle) })
	t.Run("patterns", func(t *testing.T) { patterns(t, ours, oracle, seed) })
	t.Run("numbers", func(t *testing.T) { numbers(t, ours, oracle, seed) })
	t.Run("expiry passes", func(t *testing.T) { expiryPasses(t, ours, oracle) })
	t.Run("random", func(t *testing.T) { random(t, ours, oracle, seed, 40) })
}

// RunBrief is Run for a target on which each write costs a disk's sync: all cases and all differences, a short random part, and none of
// the long products.
func RunBrief(t *testing.T, ours, oracle Target, seed uint64) {
	t.Run("cases", func(t *testing.T) { allCases(t, ours, oracle) })
	t.Run("descriptions", func(t *testing.T) { descriptions(t, ours, oracle) })
	t.Run("differences", func(t *testing.T) { differences(t, ours, oracle) })
	t.Run("expiry passes", func(t *testing.T) { expiryPasses(t, ours, oracle) })
	t.Run("random", func(t *testing.T) { random(t, ours, oracle, seed, 3) })
}

// allCases runs the cases of all families.
func allCases(t *testing.T, ours, oracle Target) {
	p := &pair{tb: t, ours: ours, oracle: oracle}
	for _, f := range families {
		for _, name := range f.names() {
			p.reset()
			for _, line := range f.cases[name] {
				p.line(line)
			}
		}
	}
}

// descriptions compares COMMAND INFO and COMMAND GETKEYS's opinion of every command that both know: arity, flags, keys,
// categories, tips and key specifications, and the arguments of COMMAND DOCS. Containers are compared by their subcommands, as Redis has more of them.
func descriptions(t *testing.T, ours, oracle Target) {
	p := &pair{tb: t, ours: ours, oracle: oracle}
	newer := Newer()
	for _, s := range command.All() {
		specs := s.Subcommands
		if len(specs) == 0 {
			specs = []*command.Spec{s}
		}
		for _, s := range specs {
			if !slices.Contains(newer, s.Name) {
				p.line("command info " + s.Name)
				p.line("command getkeys " + s.Name + " a b c")
				p.docs(s.Name)
			}
		}
	}
}

// states are ways in which the key k can be when a command with options meets it.
var states = map[string][]string{
	"absent":  nil,
	"string":  {`set k old`},
	"expires": {`set k old pxat 4102444800000`},
	"expired": {`set k old pxat 1`},
	"list":    {`rpush k x`},
}

// options runs SET, GETEX and EXPIRE with every combination of up to two options, and some of three, in every state.
func options(t *testing.T, ours, oracle Target, seed uint64) {
	times := []string{"ex 100", "px 100000", "exat 4102444900", "pxat 4102444700000", "pxat 1", "ex 0", "px -1", "exat x", "pxat 9223372036854775807", "ex 9223372036854775807", "ex"}
	families := map[string][]string{
		"set k new":                    append([]string{"nx", "XX", "get", "KeepTTL", "persist", "foo"}, times...),
		"getex k":                      append([]string{"persist", "keepttl", "nx", "foo"}, times...),
		"pexpireat k 4102444700000":    {"nx", "xx", "GT", "lt", "foo", ""},
		"pexpireat k 4102444900000":    {"nx", "xx", "gt", "Lt", "foo", ""},
		"expireat k 1":                 {"nx", "xx", "gt", "lt", "foo", ""},
		"expire k 9223372036854775807": {"nx", "xx", "gt", "lt", "foo", ""},
	}
	draw := rand.New(rand.NewPCG(seed, 1))
	for _, line := range slices.Sorted(maps.Keys(families)) {
		for _, tokens := range combinations(families[line], draw) {
			for _, state := range slices.Sorted(maps.Keys(states)) {
				p := &pair{tb: t, ours: ours, oracle: oracle}
				p.reset()
				for _, before := range states[state] {
					p.line(before)
				}
				p.line(line + " " + tokens)
				p.line("type k")
				if state != "list" {
					p.line("get k")
				}
				p.line("pexpiretime k")
			}
		}
	}
}

// combinations gives no token, each, each two, and 200 threes.
func combinations(tokens []string, draw *rand.Rand) []string {
	list := append([]string{""}, tokens...)
	for _, a := range tokens {
		for _, b := range tokens {
			list = append(list, a+" "+b)
		}
	}
	pick := func() string { return tokens[draw.IntN(len(tokens))] }
	for range 200 {
		list = append(list, strings.Join([]string{pick(), pick(), pick()}, " "))
	}
	return list
}

// differences checks that the two still differ as the table says.
func differences(t *testing.T, ours, oracle Target) {
	for _, d := range Differences() {
		p := &pair{tb: t, ours: ours, oracle: oracle}
		p.reset()
		for _, line := range d.Setup {
			ours.Do(commandtest.Words(line)...)
			oracle.Do(commandtest.Words(line)...)
		}
		for _, side := range []struct {
			name, want string
			target     Target
		}{{"ours", d.Ours, ours}, {"Redis", d.Redis, oracle}} {
			if got := side.target.Do(commandtest.Words(d.Line)...); !strings.HasPrefix(string(got), side.want) {
				t.Errorf("%.60s: %s says %.100q, and the table (%s) %q", d.Line, side.name, got, d.Reason, side.want)
			}
		}
	}
}

// random runs generated commands, 300 in each round: of each family, and of all mixed. Each round ends with a look at everything.
func random(t *testing.T, ours, oracle Target, seed uint64, rounds int) {
	t.Logf("seed %d", seed)
	run := func(t *testing.T, mixed []*family, rounds int) {
		g := newGenerator(seed, mixed)
		p := &pair{tb: t, ours: ours, oracle: oracle}
		for range rounds {
			p.reset()
			for range 300 {
				p.do(g.next()...)
				if t.Failed() {
					t.FailNow()
				}
			}
			p.contents()
		}
		p.reset()
	}
	for _, f := range families {
		if f.templates != "" { // less than of all mixed, where most is to be found
			t.Run(f.name, func(t *testing.T) { run(t, []*family{f}, (rounds+3)/4) })
		}
	}
	mixed := slices.DeleteFunc(slices.Clone(families), func(f *family) bool { return f.alone })
	t.Run("all", func(t *testing.T) { run(t, mixed, rounds) })
}
