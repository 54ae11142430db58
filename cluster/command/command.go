// Package command is Redis commands as pure functions: a view of the state, a time and arguments go in, a reply and
// mutations come out. It knows no clock, disk, network, randomness or goroutine.
package command

import "github.com/zankv/zankv/cdc/event"

// View is the state that a command is evaluated against. Expired keys are in it: commands treat them as absent.
type View interface {
	// Meta reads a key's meta row. The Value of what it returns is borrowed until the next call on the view.
	Meta(key []byte) (m event.Meta, ok bool, err error)
	// Keys visits keys ≥ from in byte order with their meta rows, until visit returns false. Both are borrowed for
	// the call of visit.
	Keys(from []byte, visit func(key []byte, m *event.Meta) bool) error
	// Len is the number of keys, expired ones that are not yet removed included.
	Len() int64
}

// Tx collects the mutations of a write. After Emit the view shows the change.
type Tx interface {
	// Emit takes a mutation without Version, Group, Command and Cluster, which the transaction fills in: where Floor and
	// ExpiryVersion should be the new version it takes them from Op (OpSet, OpDel: both; OpExpireAt, OpPersist: the expiry's). It copies
	// Key and Value before it returns.
	Emit(m *event.Mutation)
}

// Context is one evaluation.
type Context struct {
	Spec *Spec
	// Args are as sent, Args[0] being the command's name in whatever case. Keys are logical. Borrowed until Run returns.
	Args [][]byte
	// Now is the time that expiry and relative times are judged by, ms since 1970.
	Now  int64
	View View
	// Tx is nil when a read is evaluated.
	Tx Tx
	// Random is a number drawn for this evaluation by the caller; commands that choose at random derive all from it.
	Random uint64
	Reply  *Reply
}

// Flags are properties of a command, as COMMAND INFO reports them.
type Flags uint32

const (
	Write Flags = 1 << iota
	ReadOnly
	Fast
	DenyOOM
	Admin
	NoScript
	Loading
	Stale
	SkipMonitor
	NoAuth
	// Barrier: the command waits until nothing of the partition is in flight, and nothing is evaluated until it is applied.
	Barrier
)

// Scope says where a command is answered.
type Scope uint8

const (
	// ScopeConnection: by the front end, without a partition.
	ScopeConnection Scope = iota + 1
	// ScopeKeys: by the partition, or partitions, of its keys.
	ScopeKeys
	// ScopeNamespace: by every partition of the namespace (on a cluster port: every one that the node leads).
	ScopeNamespace
)

// Gather says how the replies of several partitions make one. An error from any is the whole command's error.
type Gather uint8

const (
	// GatherNone: all keys must lie in one partition, else CROSSSLOT.
	GatherNone Gather = iota
	// GatherSum adds integers up.
	GatherSum
	// GatherArray puts array elements, one a key, in the order of the arguments.
	GatherArray
	// GatherOK answers OK when all did.
	GatherOK
	// GatherOwn: the front end has code of its own for it (SCAN, RANDOMKEY).
	GatherOwn
)

// Spec describes a command.
type Spec struct {
	// Name is in lower case; a subcommand's is joined by a bar, as in "client|getname".
	Name string
	// Arity counts the name: exact if positive, at least -Arity if negative.
	Arity int
	Flags Flags
	// FirstKey, LastKey and KeyStep are as in COMMAND INFO: positions in Args; LastKey counts from the end if negative. 0: no keys.
	FirstKey, LastKey, KeyStep int
	Scope                      Scope
	Gather                     Gather
	// Run evaluates it; nil for ScopeConnection. An error means that the state could not be read: the client gets an error
	// reply and the node looks after itself. Everything the client did wrong goes into the reply, and then nothing was emitted.
	Run func(*Context) error
	// ACLCategories, Summary, Since, Group and Complexity are for COMMAND DOCS.
	Summary, Since, Group, Complexity string
	Subcommands                       []*Spec
}

// Outcome says what became of a request.
type Outcome uint8

const (
	// Pending: no answer yet.
	Pending Outcome = iota
	// Answered: Reply holds the answer.
	Answered
	// Elsewhere: it was not run, and will not be, as this replica doesn't lead; Leader may name who does. It is safe to send it there.
	Elsewhere
	// Unknown: it was proposed and may or may not take effect. Reply holds the error for the client.
	Unknown
)

// Request is one command for one partition.
type Request struct {
	Spec *Spec
	// Args are owned by the request until it is answered: the front end must not reuse their memory before.
	Args  [][]byte
	Reply Reply
	// ReadStale lets any replica answer a read from whatever it has applied.
	ReadStale bool
	Outcome   Outcome
	// Leader is the raft id of the leader that the replica knew of when the outcome is Elsewhere, 0 for none.
	Leader uint64
}
