package command

// maxName is longer than every command's name.
const maxName = 32

// families are all commands, one file each.
var families = [][]*Spec{
	stringReads, stringWrites, counters, bitmaps, hyperLogLogs,
	hashes, lists, sets, zsets, geos,
	generics, expiries, keyOperations, objects, dumps, sorts, typed,
	keyspaces, scans, tableScans, feedStreams, waits, transactions, connections, servers, operations,
}

// table holds every command by its name in lower case. It never changes after initialization.
var table = index(families)

// names lists the table's commands in the order of their families.
var names = order(families)

func index(families [][]*Spec) map[string]*Spec {
	t := make(map[string]*Spec)
	for _, family := range families {
		for _, s := range family {
			t[s.Name] = s
		}
	}
	return t
}

func order(families [][]*Spec) []*Spec {
	var all []*Spec
	for _, family := range families {
		all = append(all, family...)
	}
	return all
}

// All lists every command, containers without their subcommands. The slice and the specs are shared: don't change them.
func All() []*Spec { return names }

// Lookup finds a command by name, in whatever case, or returns nil. It doesn't allocate. Spec.Subcommand goes on from
// a container.
func Lookup(name []byte) *Spec {
	if len(name) > maxName {
		return nil
	}
	var buf [maxName]byte
	for i, b := range name {
		buf[i] = lower(b)
	}
	return table[string(buf[:len(name)])]
}

const stalePrefix = "stale."

// LookupStale is Lookup for connections that know ZanKV's prefix: "stale.get" gives GET's spec, and stale = true, which
// lets any replica answer. The prefix goes with reads of keys only. Commands that bear it in their own name
// ("stale.getversion") are stale too.
func LookupStale(name []byte) (s *Spec, stale bool) {
	s = Lookup(name)
	if len(name) <= len(stalePrefix) || !equalFold(name[:len(stalePrefix)], stalePrefix) {
		return s, false
	}
	if s != nil {
		return s, true
	}
	s = Lookup(name[len(stalePrefix):])
	if s == nil || s.Flags&ReadOnly == 0 || s.Scope != ScopeKeys {
		return nil, false
	}
	return s, true
}

// Subcommand finds a container's subcommand, or returns nil. It doesn't allocate.
func (s *Spec) Subcommand(name []byte) *Spec {
	for _, sub := range s.Subcommands {
		if equalFold(name, sub.Name[len(s.Name)+1:]) {
			return sub
		}
	}
	return nil
}

// Resolve finds what a whole command line (args[0] the name) asks for and checks it (Spec.Check). A problem is the error
// to reply, and then the spec is nil.
func Resolve(args [][]byte, limits *Limits) (s *Spec, stale bool, problem string) {
	s, stale = LookupStale(args[0])
	if s == nil {
		return nil, false, unknownCommand(args)
	}
	if len(s.Subcommands) > 0 && len(args) > 1 {
		if s = s.Subcommand(args[1]); s == nil {
			return nil, false, unknownSubcommand(args[0], args[1])
		}
	}
	if problem = s.Check(args, limits); problem != "" {
		return nil, false, problem
	}
	return s, stale, ""
}

// arityFits says whether n arguments, the name included, are right for s.
func (s *Spec) arityFits(n int) bool {
	if s.Arity > 0 {
		return n == s.Arity
	}
	return n >= -s.Arity
}

// Check validates what needs no state: the number of arguments and ZanKV's limits. It returns the error to reply, or "".
// It doesn't allocate when all is well. Who splits a command over partitions checks it before: keys come with all that
// belongs to them then (MSET's are pairs).
func (s *Spec) Check(args [][]byte, limits *Limits) string {
	if !s.arityFits(len(args)) || s.KeyStep > 1 && (len(args)-s.FirstKey)%s.KeyStep != 0 {
		return arityError(s.Name)
	}
	if s.Scope == ScopeConnection {
		return ""
	}
	for _, arg := range args[1:] {
		if len(arg) > limits.Value {
			return ErrValueSize
		}
	}
	if s.movable() {
		return s.checkMovable(args, limits)
	}
	first, last, step := s.Keys(args)
	if step == 0 {
		return ""
	}
	if (last-first)/step >= limits.Batch {
		return ErrBatchSize
	}
	for i := first; i <= last; i += step {
		if len(args[i]) > limits.Key {
			return ErrKeySize
		}
	}
	return ""
}

func (s *Spec) checkMovable(args [][]byte, limits *Limits) string {
	keys := s.KeyPositions(nil, args)
	if len(keys) > limits.Batch {
		return ErrBatchSize
	}
	for _, i := range keys {
		if len(args[i]) > limits.Key {
			return ErrKeySize
		}
	}
	return ""
}

// Keys says which arguments are keys by their position alone: args[first], args[first+step] … up to and including args[last]. step is
// 0 when there are none. A command may have others: KeyPositions has them all.
func (s *Spec) Keys(args [][]byte) (first, last, step int) {
	if s.FirstKey == 0 || s.FirstKey >= len(args) {
		return 0, 0, 0
	}
	last = s.LastKey
	if last < 0 {
		last += len(args)
	}
	return s.FirstKey, min(last, len(args)-1), s.KeyStep
}

// movable says whether Keys isn't all.
func (s *Spec) movable() bool { return s.NumKeys != 0 || s.MoreKeys != nil }

// KeyPositions appends the positions of all keys in args to dst. A number of keys that isn't one, or is more than there are arguments, counts
// as none: the command itself refuses it.
func (s *Spec) KeyPositions(dst []int, args [][]byte) []int {
	if first, last, step := s.Keys(args); step > 0 {
		for i := first; i <= last; i += step {
			dst = append(dst, i)
		}
	}
	if s.NumKeys != 0 && s.NumKeys < len(args) {
		n, ok := parseInt(args[s.NumKeys])
		if ok && n > 0 && n <= int64(len(args)-1-s.NumKeys) {
			for i := range int(n) {
				dst = append(dst, s.NumKeys+1+i)
			}
		}
	}
	if s.MoreKeys != nil {
		dst = s.MoreKeys(dst, args)
	}
	return dst
}

func lower(b byte) byte {
	if 'A' <= b && b <= 'Z' {
		return b + ('a' - 'A')
	}
	return b
}

func upper(b byte) byte {
	if 'a' <= b && b <= 'z' {
		return b - ('a' - 'A')
	}
	return b
}

// equalFold compares with a word in lower case, as C's strcasecmp does in the C locale.
func equalFold(b []byte, word string) bool {
	if len(b) != len(word) {
		return false
	}
	for i, c := range b {
		if lower(c) != word[i] {
			return false
		}
	}
	return true
}
