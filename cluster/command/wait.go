package command

// waits ask how many copies of a connection's writes there are. The front end answers them.
var waits = []*Spec{
	{Name: "wait", Arity: 3, Flags: NoScript, Scope: ScopeConnection, Categories: []string{"connection"}, Tips: []string{"request_policy:all_shards", "response_policy:agg_min"},
		Summary: "Returns how many replicas besides the leader are known to have this connection's writes.", Since: "3.0.0", Group: "generic", Complexity: "O(1)"},
	{Name: "waitaof", Arity: 4, Flags: NoScript, Scope: ScopeConnection, Categories: []string{"connection"}, Tips: []string{"request_policy:all_shards", "response_policy:agg_min"},
		Summary: "Returns how many nodes are known to have this connection's writes on disk: one, and how many others.", Since: "7.2.0", Group: "generic", Complexity: "O(1)"},
}

// ParseWait reads the arguments of WAIT and WAITAOF, the name included. problem is the error to reply, or "".
func ParseWait(args [][]byte) (problem string) {
	n := len(args)
	if n == 4 {
		local, ok := parseInt(args[1])
		if !ok {
			return ErrNotInteger
		}
		if local < 0 || local > 1 {
			return "ERR value is out of range, value must between 0 and 1"
		}
	}
	replicas, ok := parseInt(args[n-2])
	switch {
	case !ok:
		return ErrNotInteger
	case n == 4 && replicas < 0:
		return "ERR value is out of range, must be positive"
	}
	_, problem = blockMilliseconds(args[n-1])
	return problem
}
