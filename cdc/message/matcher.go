package message

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/glob"
)

// Matcher says which mutations a Filter passes. It is for one goroutine.
type Matcher struct {
	all      bool
	tables   map[string]bool
	patterns []pattern
	ops      [256]bool
	anyOp    bool
	only     map[string]bool // origins that pass, unless empty
	not      map[string]bool // origins that don't
	cluster  string
}

// pattern is a glob, and what every key begins with that it matches.
type pattern struct{ glob, prefix []byte }

// Compile makes a Matcher of a filter of the cluster with this id. Each list that isn't empty needs a match:
//
//   - a table's name is the key's part before its first colon;
//   - a key's pattern is that of KEYS;
//   - an op is the JSON's;
//   - an origin is the id of the cluster that first made the mutation. With one or more that begin with "!" those are left out; if there are others they alone
//     pass.
//
// An op range, which removes keys from one to another, passes if a key of one of the tables could lie between, and a key that begins as one of the
// patterns does up to its first special character.
func Compile(f changefeed.Filter, cluster string) (*Matcher, error) {
	m := &Matcher{all: f.IsZero(), cluster: cluster, anyOp: len(f.Ops) == 0, tables: setOf(f.Tables), only: map[string]bool{}, not: map[string]bool{}}
	for _, p := range f.Keys {
		prefix := p
		if i := strings.IndexAny(p, `*?[\`); i >= 0 {
			prefix = p[:i]
		}
		m.patterns = append(m.patterns, pattern{[]byte(p), []byte(prefix)})
	}
	for _, name := range f.Ops {
		if !event.IsOp(name) {
			return nil, fmt.Errorf("filter: op %q: want the name of one as the JSON has it, such as set or hset", name)
		}
		for op := range m.ops {
			m.ops[op] = m.ops[op] || event.Op(op).String() == name
		}
	}
	for _, origin := range f.Origins {
		id, without := strings.CutPrefix(origin, "!")
		if id == "" {
			return nil, fmt.Errorf("filter: origin %q: want the id of a cluster, with or without a ! before it", origin)
		}
		if without {
			m.not[id] = true
		} else {
			m.only[id] = true
		}
	}
	return m, nil
}

func setOf(names []string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[name] = true
	}
	return set
}

// All says whether everything passes.
func (f *Matcher) All() bool { return f.all }

// Match says whether a mutation passes; names are those of its partition.
func (f *Matcher) Match(m *event.Mutation, names event.Names) bool {
	switch {
	case f.all:
		return true
	case !f.anyOp && !f.ops[m.Op], !f.origin(m, names):
		return false
	case m.Op == event.OpRange:
		return f.inRange(m.Key, m.Value)
	}
	return f.table(m.Key) && f.key(m.Key)
}

func (f *Matcher) origin(m *event.Mutation, names event.Names) bool {
	if len(f.only)+len(f.not) == 0 {
		return true
	}
	id := f.cluster
	if m.Origin != nil {
		id = names.ID(m.Origin.Cluster)
	}
	return !f.not[id] && (len(f.only) == 0 || f.only[id])
}

func (f *Matcher) table(key []byte) bool {
	if len(f.tables) == 0 {
		return true
	}
	table, ok := event.Table(key)
	return ok && f.tables[string(table)]
}

func (f *Matcher) key(key []byte) bool {
	for i := range f.patterns {
		if glob.Match(f.patterns[i].glob, key) {
			return true
		}
	}
	return len(f.patterns) == 0
}

func (f *Matcher) inRange(start, end []byte) bool {
	tables, keys := len(f.tables) == 0, len(f.patterns) == 0
	for table := range f.tables {
		tables = tables || overlaps(start, end, []byte(table+":"))
	}
	for i := range f.patterns {
		keys = keys || overlaps(start, end, f.patterns[i].prefix)
	}
	return tables && keys
}

// overlaps says whether a key with a prefix can lie in [start, end), an empty end being none.
func overlaps(start, end, prefix []byte) bool {
	beforeEnd := len(end) == 0 || bytes.Compare(prefix, end) < 0
	return beforeEnd && (bytes.Compare(start, prefix) <= 0 || bytes.HasPrefix(start, prefix))
}
