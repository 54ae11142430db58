package conformance

import (
	"maps"
	"slices"
)

// family is what the suite has about one group of commands. Each has a file of its own.
type family struct {
	name string
	// cases are lines that both sides get, each list over an empty key space.
	cases map[string][]string
	// differences are lawful ones, newer the commands that Redis 7.0 lacks.
	differences []Difference
	newer       []string
	// compare says for commands, by name in lower case, when two replies count as the same; without an entry they must be so to the byte.
	compare map[string]comparison
	// check runs a line whose reply is drawn at random: it has to send it to one side or both, judge, and leave both with the same content.
	check map[string]func(p *pair, args [][]byte)
	// templates are separated by bars; see generator. domains has what its placeholders stand for where that isn't what the shared
	// table says, options those placeholders that stand for none or several words.
	templates string
	// alone: its lines aren't mixed with other families'.
	alone   bool
	domains map[byte][]string
	options string
}

// families are all, in the order in which they run. They are put together at the start, as their checks use them.
var families []*family

func init() {
	families = []*family{&strs, &hashes, &lists, &sorts, &sets, &zsets, &geos, &bits, &logs, &keys, &elementScans, &servers}
}

var strs = family{name: "strings", cases: cases, differences: stringDifferences, newer: stringNewer, templates: templates, domains: domains, options: "sgen"}

// find gives the first entry that a family has for a command.
func find[T any](command string, of func(*family) map[string]T) (entry T, ok bool) {
	for _, f := range families {
		if entry, ok = of(f)[command]; ok {
			return entry, true
		}
	}
	return entry, false
}

// Differences are all the known ones.
func Differences() (all []Difference) {
	for _, f := range families {
		all = append(all, f.differences...)
	}
	return all
}

// Newer are commands of ours that Redis 7.0, Debian's, doesn't know: Redis 7.2's, which ZanKV follows, and ZanKV's own.
func Newer() (all []string) {
	for _, f := range families {
		all = append(all, f.newer...)
	}
	return all
}

func (f *family) names() []string { return slices.Sorted(maps.Keys(f.cases)) }
