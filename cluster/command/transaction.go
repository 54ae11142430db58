package command

// transactions are MULTI and its kin: what they do is about a connection. A partition gets what EXEC gathered as one Request.
var transactions = []*Spec{
	{Name: "multi", Arity: 1, Flags: NoScript | Loading | Stale | Fast | AllowBusy, Scope: ScopeConnection, Categories: []string{"transaction"},
		Summary: "Begins a transaction: the commands that follow wait for EXEC.", Since: "1.2.0", Group: "transactions", Complexity: "O(1)"},
	{Name: "exec", Arity: 1, Flags: NoScript | Loading | Stale | SkipSlowlog, Scope: ScopeConnection, Categories: []string{"transaction"},
		Summary: "Runs the commands of a transaction as one.", Since: "1.2.0", Group: "transactions", Complexity: "Depends on commands in the transaction"},
	{Name: "discard", Arity: 1, Flags: NoScript | Loading | Stale | Fast | AllowBusy, Scope: ScopeConnection, Categories: []string{"transaction"},
		Summary: "Drops a transaction.", Since: "2.0.0", Group: "transactions", Complexity: "O(N), when N is the number of queued commands"},
	{Name: "watch", Arity: -2, Flags: NoScript | Loading | Stale | Fast | AllowBusy, FirstKey: 1, LastKey: -1, KeyStep: 1, Scope: ScopeConnection, Categories: []string{"transaction"},
		KeyAccess: "RO",
		Summary:   "Has the next EXEC do nothing if a key changes before it.", Since: "2.2.0", Group: "transactions", Complexity: "O(1) for every key."},
	{Name: "unwatch", Arity: 1, Flags: NoScript | Loading | Stale | Fast | AllowBusy, Scope: ScopeConnection, Categories: []string{"transaction"},
		Summary: "Forgets what WATCH was told.", Since: "2.2.0", Group: "transactions", Complexity: "O(1)"},
}

// Exec is the Spec of a Request that is a transaction: see Request.Queue.
var Exec = specOf(transactions, "exec")

func specOf(family []*Spec, name string) *Spec {
	for _, s := range family {
		if s.Name == name {
			return s
		}
	}
	panic("command: no " + name)
}
