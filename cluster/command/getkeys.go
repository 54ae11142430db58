package command

import "strings"

// replyKeys answers COMMAND GETKEYS, or GETKEYSANDFLAGS, for the command line args.
func replyKeys(r *Reply, args [][]byte, flags bool) {
	keys, problem := keysOfLine(args)
	if problem != "" {
		r.Error(problem)
		return
	}
	s, _ := resolveName(args)
	r.Array(len(keys))
	for _, i := range keys {
		if !flags {
			r.Bulk(args[i])
			continue
		}
		r.Array(2)
		r.Bulk(args[i])
		replyWords(r, s.accessOf(i, args))
	}
}

// resolveName finds what a command line's first words name, nil if nothing.
func resolveName(args [][]byte) (s *Spec, stale bool) {
	s, stale = LookupStale(args[0])
	if s != nil && len(s.Subcommands) > 0 && len(args) > 1 {
		s = s.Subcommand(args[1])
	}
	return s, stale
}

// keysOfLine gives the positions of the keys of a command line.
func keysOfLine(args [][]byte) (keys []int, problem string) {
	s, _ := resolveName(args)
	switch {
	case s == nil:
		return nil, ErrKeysCommand
	case s.FirstKey == 0 && !s.movable():
		return nil, ErrKeysNone
	case !s.arityFits(len(args)):
		return nil, ErrKeysArity
	}
	keys = s.KeyPositions(nil, args)
	if len(keys) == 0 || !s.numKeysFit(args) {
		return nil, ErrKeysArgs
	}
	return keys, ""
}

// numKeysFit says whether the number of keys, if there is one, is a number that fits the arguments.
func (s *Spec) numKeysFit(args [][]byte) bool {
	if s.NumKeys == 0 {
		return true
	}
	n, ok := parseInt(args[s.NumKeys])
	return ok && n > 0 && n <= int64(len(args)-1-s.NumKeys)
}

// accessOf is what the command does with the key at a position.
func (s *Spec) accessOf(at int, args [][]byte) string {
	switch s.Name {
	case "set": // what it does with its key depends on the options
		if hasWord(args[3:], "get") {
			return "RW access update"
		}
		return storeAccess
	case "bitfield":
		if !hasWord(args[2:], "set") && !hasWord(args[2:], "incrby") {
			return readAccess
		}
		return "RW access update"
	}
	specs := s.keySpecsOf()
	for i := range specs {
		if specs[i].covers(at, args, max(s.KeyStep, 1)) {
			return specs[i].access
		}
	}
	return specs[len(specs)-1].access // SORT's STORE
}

func hasWord(args [][]byte, word string) bool {
	for _, a := range args {
		if equalFold(a, word) {
			return true
		}
	}
	return false
}

// covers says whether the argument at a position is a key by this specification.
func (k *keySpec) covers(at int, args [][]byte, step int) bool {
	first := k.index
	switch {
	case k.unknown:
		return false
	case k.keyword != "":
		if first = findWord(args, k.from, strings.ToLower(k.keyword)); first < 0 {
			return false
		}
		first++
	case k.numKeys:
		n, ok := parseInt(args[k.index])
		return ok && at > k.index && int64(at) <= int64(k.index)+n
	}
	last := first + k.last
	if k.last < 0 {
		last = len(args) + k.last
	}
	return at >= first && at <= last && (at-first)%step == 0
}

func findWord(args [][]byte, from int, word string) int {
	for i := from; i < len(args); i++ {
		if equalFold(args[i], word) {
			return i
		}
	}
	return -1
}
