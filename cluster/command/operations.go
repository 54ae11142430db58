package command

const (
	adminFlags = Admin | NoScript | Loading | Stale
	helpFlags  = Loading | Stale
)

var (
	tipsOfAllNodes = []string{"nondeterministic_output", "request_policy:all_nodes", "response_policy:special"}
	tipsOfAll      = []string{"request_policy:all_nodes", "response_policy:all_succeeded"}
)

func serverSpec(name string, arity int, flags Flags, since, complexity, summary string, tips ...string) *Spec {
	return &Spec{Name: name, Arity: arity, Flags: flags, Scope: ScopeConnection, Summary: summary, Since: since, Group: "server", Complexity: complexity, Tips: tips}
}

// containerSpec is a command that is but its subcommands.
func containerSpec(name, since, summary string, subcommands ...*Spec) *Spec {
	s := serverSpec(name, -2, 0, since, "Depends on subcommand.", summary)
	help := serverSpec(name+"|help", 2, helpFlags, "5.0.0", "O(1)", "Lists the subcommands.")
	s.Subcommands = append(subcommands, help)
	return s
}

// operations are what operators and their tools ask a node: the front end answers.
var operations = []*Spec{
	containerSpec("slowlog", "2.2.12", "Commands about the slow log.",
		serverSpec("slowlog|get", -2, Admin|Loading|Stale, "2.2.12", "O(N), N being the number of entries returned", "Returns the slow log's entries, the latest first.",
			"request_policy:all_nodes", "nondeterministic_output"),
		serverSpec("slowlog|len", 2, Admin|Loading|Stale, "2.2.12", "O(1)", "Returns the number of entries in the slow log.",
			"request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"),
		serverSpec("slowlog|reset", 2, Admin|Loading|Stale, "2.2.12", "O(N), N being the number of entries", "Clears the slow log.", tipsOfAll...),
	),
	containerSpec("latency", "2.8.13", "Commands about latencies.",
		serverSpec("latency|doctor", 2, adminFlags, "2.8.13", "O(1)", "Says in words what the latency events were.", tipsOfAllNodes...),
		serverSpec("latency|graph", 3, adminFlags, "2.8.13", "O(1)", "Draws the samples of a latency event.", tipsOfAllNodes...),
		serverSpec("latency|histogram", -2, adminFlags, "7.0.0", "O(N), N being the number of commands with latency information", "Returns the distribution of commands' times.", tipsOfAllNodes...),
		serverSpec("latency|history", 3, adminFlags, "2.8.13", "O(1)", "Returns the samples of a latency event.", tipsOfAllNodes...),
		serverSpec("latency|latest", 2, adminFlags, "2.8.13", "O(1)", "Returns the latest sample of each latency event.", tipsOfAllNodes...),
		serverSpec("latency|reset", -2, adminFlags, "2.8.13", "O(1)", "Forgets latency events.", tipsOfAll...),
	),
	containerSpec("acl", "6.0.0", "Commands about users: they are namespaces.",
		serverSpec("acl|whoami", 2, NoScript|Loading|Stale, "6.0.0", "O(1)", "Returns the connection's user."),
	),
	serverSpec("monitor", 1, adminFlags, "1.0.0", "O(1)", "Shows the commands that the node gets, until the connection ends."),
	fastAdmin(serverSpec("role", 1, NoScript|Loading|Stale|Fast, "2.8.12", "O(1)", "Returns the node's role, which is master: replication is within the cluster.")),

	serverSpec("save", 1, Admin|NoScript|NoAsyncLoading|NoMulti, "1.0.0", "O(1)", "Refused: each write is on disk when it is answered."),
	serverSpec("bgsave", -1, Admin|NoScript|NoAsyncLoading, "1.0.0", "O(1)", "Refused, as SAVE is."),
	serverSpec("bgrewriteaof", 1, Admin|NoScript|NoAsyncLoading, "1.0.0", "O(1)", "Refused: there is no append-only file."),
	fastAdmin(serverSpec("lastsave", 1, Loading|Stale|Fast, "1.0.0", "O(1)", "Refused, as SAVE is.", "nondeterministic_output")),
	serverSpec("shutdown", -1, adminFlags|NoMulti|AllowBusy, "1.0.0", "O(1)", "Refused: nodes are stopped by those who started them."),
	serverSpec("debug", -2, adminFlags, "1.0.0", "O(1)", "Refused."),
	serverSpec("replicaof", 3, Admin|NoScript|Stale|NoAsyncLoading, "5.0.0", "O(1)", "Refused: replication is the cluster's."),
	deprecatedSpec(serverSpec("slaveof", 3, Admin|NoScript|Stale|NoAsyncLoading, "1.0.0", "O(1)", "Refused: replication is the cluster's."), "5.0.0", "`REPLICAOF`"),
	swapDB(serverSpec("swapdb", 3, Write|Fast, "4.0.0", "O(1)", "Refused: a namespace is one database.")),
	{Name: "move", Arity: 3, Flags: Write | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeConnection, KeyAccess: "RW access update",
		Summary: "Refused: a namespace is one database.", Since: "1.0.0", Group: "generic", Complexity: "O(1)"},
}

func fastAdmin(s *Spec) *Spec {
	s.Categories = []string{"admin", "dangerous"}
	return s
}

func swapDB(s *Spec) *Spec {
	s.Categories = []string{"keyspace", "dangerous"}
	return s
}

func deprecatedSpec(s *Spec, since, by string) *Spec {
	s.DeprecatedSince, s.ReplacedBy = since, by
	return s
}
