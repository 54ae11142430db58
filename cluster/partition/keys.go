package partition

import "github.com/zankv/zankv/cluster/command"

// isTransaction tells the Request of an EXEC.
func isTransaction(req *command.Request) bool { return req.Spec == command.Exec }

// demands are the flags of all of a request's commands. A transaction with a command on the whole partition is a barrier.
func demands(req *command.Request) command.Flags {
	if !isTransaction(req) {
		return req.Spec.Flags
	}
	flags := command.Flags(0)
	for i := range req.Queue {
		s := req.Queue[i].Spec
		flags |= s.Flags &^ command.Blocking
		if s.Scope == command.ScopeNamespace {
			flags |= command.Barrier
		}
	}
	return flags
}

// eachKey visits a request's keys, those of all commands of a transaction and the watched ones, until visit returns false.
func eachKey(req *command.Request, visit func(key []byte) bool) {
	if !isTransaction(req) {
		eachKeyOf(req.Spec, req.Args, visit)
		return
	}
	for i := range req.Queue {
		if !eachKeyOf(req.Queue[i].Spec, req.Queue[i].Args, visit) {
			return
		}
	}
	for i := range req.Watched {
		if !visit(req.Watched[i].Key) {
			return
		}
	}
}

// eachKeyOf visits the keys of one command. It returns false if visit did.
func eachKeyOf(s *command.Spec, args [][]byte, visit func(key []byte) bool) bool {
	if s.NumKeys != 0 || s.MoreKeys != nil {
		return eachMovableKey(s, args, visit)
	}
	first, last, step := s.Keys(args)
	if step == 0 {
		return true
	}
	for i := first; i <= last; i += step {
		if !visit(args[i]) {
			return false
		}
	}
	return true
}

// eachMovableKey is apart because it allocates.
func eachMovableKey(s *command.Spec, args [][]byte, visit func(key []byte) bool) bool {
	for _, i := range s.KeyPositions(make([]int, 0, 8), args) {
		if !visit(args[i]) {
			return false
		}
	}
	return true
}

// size is how many bytes a request's arguments have.
func size(req *command.Request) int {
	n := sizeOf(req.Args)
	for i := range req.Queue {
		n += sizeOf(req.Queue[i].Args)
	}
	return n
}

func sizeOf(args [][]byte) int {
	n := 0
	for _, a := range args {
		n += len(a)
	}
	return n
}
