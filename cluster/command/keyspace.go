package command

// keyspaces are the commands on a whole namespace: what each does here is a partition's part.
var keyspaces = []*Spec{
	{Name: "scan", Arity: -2, Flags: ReadOnly, Scope: ScopeNamespace, Gather: GatherOwn, Run: runScan,
		Categories: []string{"keyspace"}, Tips: []string{"nondeterministic_output", "request_policy:special"},
		Summary: "Iterates over the keys, a page a call.", Since: "2.8.0", Group: "generic", Complexity: "O(1) a call, O(N) for all N keys"},
	{Name: "randomkey", Arity: 1, Flags: ReadOnly, Scope: ScopeNamespace, Gather: GatherOwn, Run: runRandomKey,
		Categories: []string{"keyspace"}, Tips: []string{"request_policy:all_shards", "nondeterministic_output"},
		Summary: "Returns some key.", Since: "1.0.0", Group: "generic", Complexity: "O(log N), N being the number of keys"},
	{Name: "dbsize", Arity: 1, Flags: ReadOnly | Fast, Scope: ScopeNamespace, Gather: GatherSum, Run: runDBSize,
		Categories: []string{"keyspace"}, Tips: []string{"request_policy:all_shards", "response_policy:agg_sum"},
		Summary: "Returns the number of keys.", Since: "1.0.0", Group: "server", Complexity: "O(1)"},
	{Name: "flushdb", Arity: -1, Flags: Write | Barrier, Scope: ScopeNamespace, Gather: GatherOK, Run: runFlushDB,
		Categories: []string{"keyspace", "dangerous"}, Tips: []string{"request_policy:all_shards", "response_policy:all_succeeded"},
		Summary: "Removes all keys.", Since: "1.0.0", Group: "server", Complexity: "O(1), or O(N) for N keys in a namespace that replicates"},
}

// runDBSize counts rows, like Redis: keys that have expired and aren't removed yet are among them.
func runDBSize(c *Context) error {
	c.Reply.Int(c.View.Len())
	return nil
}
