package conflict

import "strconv"

var actionNames = [...]string{
	AlreadyApplied: "already-applied", Apply: "apply", Ignore: "ignore", Overwrite: "overwrite", Diverge: "diverge", Wait: "wait",
}

var reasonNames = [...]string{
	Unchanged: "unchanged", SameVersion: "same-version", Older: "older", Later: "later", NotPrev: "not-prev", TypesClash: "types-clash",
	TooOld: "too-old", PrevNotHere: "prev-not-here", BothAbsent: "both-absent", BothRemoved: "both-removed", Heals: "heals",
	NeverReplayed: "never-replayed", NoRule: "no-rule", Partly: "partly", OnlyHere: "only-here",
}

var registerNames = [...]string{RegisterKey: "key", RegisterElement: "element", RegisterExpiry: "expiry"}

var ruleNames = [...]string{RuleTimestamp: "timestamp", RuleStrict: "strict"}

// name is the name of a number, or what and the number if it has none.
func name(names []string, what string, n uint8) string {
	if int(n) < len(names) && names[n] != "" {
		return names[n]
	}
	return what + strconv.Itoa(int(n))
}

// String is the action's name, as JSON and metrics have it.
func (a Action) String() string { return name(actionNames[:], "action", uint8(a)) }

// String is the reason's name, as JSON and metrics have it.
func (r Reason) String() string { return name(reasonNames[:], "reason", uint8(r)) }

// String is the register's name.
func (r Register) String() string { return name(registerNames[:], "register", uint8(r)) }

// String is the rule's name.
func (r Rule) String() string { return name(ruleNames[:], "rule", uint8(r)) }

// Reasons are all reasons that a logged outcome may have: one counter each.
func Reasons() []Reason {
	return []Reason{Older, Later, NotPrev, TypesClash, TooOld, Heals, NoRule, Partly, OnlyHere}
}

// String is the form that people see, as in the feed: "time@cluster", or "absent".
func (v Version) String() string {
	if v == (Version{}) {
		return "absent"
	}
	return strconv.FormatInt(v.Time, 10) + "@" + v.Cluster
}
