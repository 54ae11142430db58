// Package command is Redis commands as pure functions: a view of the state, a time and arguments go in, a reply and
// mutations come out. It knows no clock, disk, network, randomness or goroutine.
//
// # Model
//
// A Spec describes a command; Lookup finds it by name, Resolve by a whole argument vector, Check validates what can be
// validated without state, Run evaluates it against a Context. The replies are Redis 7.2's to the byte; where ZanKV has
// limits that Redis lacks, the texts are in texts.go.
//
// What a key's row says about an absent key still counts: an expired key, and a tombstone (a Meta of TypeNone, which a view
// of a namespace that replicates may return), are absent to every command, but the version found there is the Prev of the
// next mutation, and its floor stays the floor.
//
// What the commands emit:
//
//	OpSet       SET, SETEX, PSETEX, SETNX, GETSET, MSET, MSETNX, setifeq. Floor is Assigned. So is ExpiryVersion, except with
//	            KEEPTTL on a present key: ExpireAt and ExpiryVersion are then the old ones.
//	OpValue     APPEND, SETRANGE, INCR and its kin, with the whole resulting value. Floor stays what it was, also when the key
//	            is made by it: they aren't whole-key writes. ExpireAt and ExpiryVersion of a present key stay; those of one that is made by
//	            it stand at "Keys made anew".
//	OpDel       DEL, UNLINK, GETDEL, delifeq, EXPIRE with a time that has passed, FLUSHDB in a namespace that replicates.
//	OpExpireAt  EXPIRE and its kin, GETEX with a time. Prev is the version of the expiry register. Value is empty;
//	OpPersist   PERSIST, GETEX PERSIST.        Before.Version and Before.Value are the row's, for who applies it without reading.
//	OpExpire    Context.Expire.
//	OpRange     FLUSHDB elsewhere, with Count and Before.Expiring.
//
// # Keys made anew
//
// A write that isn't of a whole key may make one where a row or a tombstone is, or nothing. Other clusters that replay it may have another state of that
// key, and are to come to the same one:
//
//   - An expired key, or the tombstone of one, in a namespace that replicates: an op on elements is a write of the whole key there (Whole, its elements without
//     Prev). Else a cluster in which the old content hasn't expired yet would go on with it. A string's value is whole by itself.
//   - What is left of an expiry, be it an expired row's or a tombstone's (a key whose last element went may still have had one): it is cleared by the write, so
//     that ExpiryVersion is Assigned. A tombstone without one hands its ExpiryVersion on: an older EXPIRE must not come back.
//   - Nothing: ExpiryVersion is the watermark, and nobody's. That says to another cluster, in which such a key may have expired but not been removed
//     yet, up to when everything of it was known where the key was made (package conflict). Elsewhere than in a namespace that replicates it is zero.
//
// # Invariants
//
//  1. A reply that is an error comes with no mutation.
//  2. A command that changes nothing emits nothing. Writing a register's own content again (INCRBY 0, APPEND of nothing,
//     EXPIREAT of the same time) is no change; a whole-key write (SET of the same value) is one.
//  3. No command reads an expired value, "stale.getexpired" excepted.
//  4. Every mutation's Prev, Floor and Before are those of the row that the view showed just before it.
//  5. Folding what was emitted gives the view that the next command sees.
//
// # Concurrency and cost
//
// Everything here is stateless but Context, which is for one evaluation at a time. A Context that is used again keeps its
// scratch memory: GET, SET and INCR then allocate nothing of their own. Work per call is bounded: Limits.Batch keys,
// FLUSHDB's and SCAN's pages.
package command

import "github.com/zankv/zankv/cdc/event"

// View is the state that a command is evaluated against. Expired keys are in it: commands treat them as absent. So they
// treat a Meta of TypeNone, by which Meta may report the tombstone of a deleted key: its Version, Floor and ExpiryVersion.
type View interface {
	// Meta reads a key's meta row. The Value of what it returns is borrowed until the next call on the view.
	Meta(key []byte) (m event.Meta, ok bool, err error)
	// Keys visits keys ≥ from in byte order with their meta rows, until visit returns false. Both are borrowed for
	// the call of visit.
	Keys(from []byte, visit func(key []byte, m *event.Meta) bool) error
	// KeysReverse visits the keys below before in falling byte order; an empty before is above all keys. Otherwise as Keys.
	KeysReverse(before []byte, visit func(key []byte, m *event.Meta) bool) error
	// Len is the number of keys, expired ones that are not yet removed included.
	Len() int64

	// The following read the elements of a collection: m is what Meta showed of key, with no change of the key since. What they show is
	// borrowed: from Element until the next call on the view, from the others for the call of visit. visit must not call the view.

	// Element reads one. If it is absent, ok is false, and e.Version may be the version of its tombstone.
	Element(key []byte, m *event.Meta, sub []byte) (e Element, ok bool, err error)
	// Elements visits a range in byte order of the subkeys, until visit returns false.
	Elements(key []byte, m *event.Meta, in Range, visit func(sub []byte, e *Element) bool) error
	// Scores visits a range of a sorted set's members by score and member, until visit returns false.
	Scores(key []byte, m *event.Meta, in ScoreRange, visit func(score float64, member []byte) bool) error
	// CountScores counts a range of a sorted set's members.
	CountScores(key []byte, m *event.Meta, in ScoreRange) (int64, error)
}

// ExpiringCounter is a View that knows how many of its keys have an expiry, expired ones that are not yet removed included.
// FLUSHDB says so to those who apply it; over a View that doesn't know it walks over all keys to count.
type ExpiringCounter interface {
	Expiring() int64
}

// Tx collects the mutations of a write. After Emit the view shows the change.
type Tx interface {
	// Emit takes a mutation without Version, Group and Command, which the transaction fills in; Stamp does so for the
	// versions, Floor, KeyVersion and ExpiryVersion included. The mutation and its slices are borrowed: Emit copies what it keeps, Key,
	// Value, Elements with their slices and Before.Value included, before it returns.
	Emit(m *event.Mutation)
}

// Assigned stands, in an emitted mutation's Floor, KeyVersion and ExpiryVersion, for the version that the mutation itself will get.
// Any other value there is what the register already had and stays.
var Assigned = event.Version{Time: -1}

// Stamp gives an emitted mutation its version. An OpExpire has its own (the one that it removes), which stays. A new generation is the
// version's time: within a partition no two mutations made here have the same.
func Stamp(m *event.Mutation, v event.Version) {
	if m.Generation == NewGeneration {
		m.Generation = uint64(v.Time)
	}
	if m.KeyVersion == Assigned {
		m.KeyVersion = v
	}
	if m.Op != event.OpExpire {
		m.Version = v
	}
	if m.Floor == Assigned {
		m.Floor = v
	}
	if m.ExpiryVersion == Assigned {
		m.ExpiryVersion = v
	}
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
	// Replicates says that the namespace keeps tombstones: deletes ask for one, and FLUSHDB is evaluated into deletes.
	Replicates bool
	// MemberTombstones: in such a namespace removed members of sets and sorted sets leave tombstones as removed fields do (conflict_policy element).
	MemberTombstones bool
	// Watermark is the time (ns) at or below which tombstones don't exist, 0 for none. The view shows none of those.
	Watermark int64
	// Resume is where a command that works in pages goes on: nil at first, then the More of the call before.
	Resume []byte
	// Limits are the node's; nil for DefaultLimits.
	Limits *Limits
	// SinglePartition says that all keys of the namespace are in this partition, HashTags that keys with the same hash tag are in
	// the same one (partition_hash crc16). SORT reads keys that only it knows of.
	SinglePartition, HashTags bool
	// MayBlock: the caller can keep a blocking command waiting (see Block); otherwise it answers at once, as within MULTI.
	MayBlock bool
	// Block is set by a blocking command that found nothing. It is the caller's to clear.
	Block Block
	// More is set by a command that isn't done: the caller commits what was emitted, drops this reply, and runs the same
	// command again with Resume = More, nothing else having been evaluated in between (such commands are barriers).
	// Run sets it to nil when the command is done. It is the caller's.
	More []byte

	row  row            // of the key looked at last
	out  event.Mutation // the mutation being emitted
	text []byte         // the value being made
	// elements and held are memory for the elements of out.
	elements []event.Element
	held     []byte
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
	NoAsyncLoading
	AllowBusy
	// Blocking: the command may wait for its keys (Context.Block).
	Blocking
	// ManyRows: it reads more of its one key than the meta row and one element, and so needs one consistent state.
	ManyRows
	// MovableKeys: not all of its keys are named by FirstKey, LastKey and KeyStep.
	MovableKeys
	// SkipSlowlog: its time isn't its own, as EXEC's isn't.
	SkipSlowlog
	// NoMulti: not within MULTI.
	NoMulti
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
	// GatherConcat makes one array of all the parts' arrays.
	GatherConcat
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
	// NumKeys is the position of an argument that says how many keys follow it, in addition to those above; 0: there is none.
	NumKeys int
	// MoreKeys appends the positions of keys that only the arguments tell (as behind STORE); nil: there are none.
	MoreKeys func(dst []int, args [][]byte) []int
	Scope    Scope
	Gather   Gather
	// Run evaluates it; nil for ScopeConnection. Args must have passed Check. An error means that the state could not be read:
	// the client gets an error reply, the caller throws away what was emitted, and the node looks after itself. Everything
	// the client did wrong goes into the reply, and then nothing was emitted.
	Run func(*Context) error
	// Categories are the ACL categories of COMMAND INFO that Flags don't imply, without the at sign. Without any it is the one of Group.
	Categories []string
	// Tips are the hints of COMMAND INFO.
	Tips []string
	// KeyAccess are the flags of the key specification ("RW access update"), KeyNotes its notes.
	KeyAccess, KeyNotes string
	// Summary, Since, Group and Complexity are for COMMAND DOCS.
	Summary, Since, Group, Complexity string
	// ReplacedBy says what to use in place of a deprecated command, DeprecatedSince from which version on.
	ReplacedBy, DeprecatedSince string
	Subcommands                 []*Spec
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

// Queued is one command of a transaction.
type Queued struct {
	Spec *Spec
	Args [][]byte
}

// Watch is a key as WATCH found it.
type Watch struct {
	Key []byte
	// Token is what the reply to WATCH said of the key (see cluster/partition): EXEC compares.
	Token []byte
}

// Request is one command, or one transaction, for one partition.
type Request struct {
	Spec *Spec
	// Args are owned by the request until it is answered: the front end must not reuse their memory before.
	Args  [][]byte
	Reply Reply
	// Queue are the commands of an EXEC, in whose Spec and Args nothing is said of keys: they are evaluated as one, and Reply is the
	// array of their replies. Watched are the keys that must not have changed.
	Queue   []Queued
	Watched []Watch
	// ReadStale lets any replica answer a read from whatever it has applied.
	ReadStale bool
	Outcome   Outcome
	// Leader is the raft id of the leader that the replica knew of when the outcome is Elsewhere, 0 for none.
	Leader uint64
}
