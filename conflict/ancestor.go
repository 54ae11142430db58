package conflict

import "github.com/zankv/zankv/cdc/event"

// Takeover takes another cluster's state over, key by key, from the rows of a snapshot (cluster/store, FullRows). Where Decide meets a change, it meets a
// state, which says nothing of what its registers were before; but it says up to which time it has what each cluster made (Horizons). A version that is
// stored here and isn't above that is an *ancestor*: the snapshot comes after it, and has, or took away, what it has. So, register by register:
//
//   - an ancestor is replaced by what the snapshot has, and removed where the snapshot lacks it, under every policy, and whichever is later;
//   - what is no ancestor was written by somebody whom the snapshot's cluster hasn't heard of. It is decided as Decide does: by time, where the timestamp
//     rule holds, and not at all, as having diverged, where it doesn't. Where the snapshot has nothing against it, it stays, and is reported (OnlyHere).
//
// What is emitted has the snapshot's versions, so that a key of ancestors becomes exactly what it is there. What is removed gets the version Base, and leaves
// a tombstone only where the snapshot has one.
//
// A key is taken over by Begin, then, if Sweeps says so, by Sweep or Drop, then by its rows in their order (Row), in as many calls as their caller
// likes, and End. It may be broken off before any of them and gone on with later by Begin: everything that was done stays done, and a row that
// was taken over is passed over when it is taken again. After each call Emit and Conflicts are the caller's to carry out, in their order: the next one begins them anew.
//
// Memory is what a call is given. It is for one goroutine.
type Takeover struct {
	Env *Env
	// Horizons are by the target's numbers of clusters; what is missing is 0.
	Horizons []int64
	// Known are up to which time (ns) everything that a cluster made has come here: an element of a type without tombstones that was made by then, and isn't
	// here, was removed here. So was a key of which the watermark has passed all versions.
	Known []int64
	// Base is the snapshot as a version: the sender's cluster, at the snapshot's time on its clock.
	Base event.Version

	// Emit are changes as Decision.Emit has them. They belong to the Takeover.
	Emit []event.Mutation
	// Conflicts are what the conflict log is to say.
	Conflicts []Conflict

	key  []byte
	head event.Meta // what the snapshot has of the key
	st   *Stored
	// The registers of the key as a whole that come out.
	floor, version, expiryVersion event.Version
	expireAt                      int64
	// own is the floor that somebody else's write left here; zero: none did.
	own event.Version
	// stuck: nothing more is to be changed, as somebody else's content is here that isn't merged, or that is later.
	stuck bool
	// touched: a key of a type that has no timestamp rule was changed by somebody else.
	touched bool
	kept    bool      // something of somebody else's stays
	only    []Element // some of that
	bytes   uint64    // of a bitmap
	spans   int       // calls of span since Begin or GoOn
	// resumed: it was gone on with.
	resumed bool

	origin event.Origin
	parts  []event.Element
	writes []write
	gone   []event.Element
}

// Conflict is a Logged outcome, and what NewRecord needs of it.
type Conflict struct {
	Outcome  Outcome
	Mutation *event.Mutation
	Stored   *Stored
}

// HeadOf is what a row says of its key as a whole: TypeNone of one that was deleted. The zero Meta is that of a key that the snapshot lacks. The value is the
// row's.
func HeadOf(m *event.Mutation) event.Meta {
	head := event.Meta{Type: m.Type, Version: m.Version, Floor: m.Floor, ExpireAt: m.ExpireAt, ExpiryVersion: m.ExpiryVersion, Count: m.Count, Value: m.Value}
	if m.Op.OnElements() {
		head.Version = m.KeyVersion
	}
	if m.Op == event.OpDel || m.Op.OnElements() && m.Count == 0 {
		head.Type = event.TypeNone
	}
	return head
}

// Ancestor says whether the snapshot comes after a version. One without a cluster is nobody's.
func (t *Takeover) Ancestor(v event.Version) bool {
	return v.Cluster == 0 || int64(v.Cluster) < int64(len(t.Horizons)) && v.Time <= t.Horizons[v.Cluster]
}

// others is a version unless it is an ancestor's, or the same cluster came to another one in the same register later: it knew what it had written.
func (t *Takeover) others(v, then event.Version) event.Version {
	if t.Ancestor(v) || v.Cluster == then.Cluster && v.Time <= then.Time {
		return event.Version{}
	}
	return v
}

// Begin begins a key: nothing of it was taken over. st is what is stored, without elements, and is brought up to date as changes are emitted. Key, head and st are borrowed until End.
func (t *Takeover) Begin(key []byte, st *Stored, head event.Meta) {
	t.only = t.only[:0]
	t.GoOn(key, st, head, 0)
	t.resumed = false
	if t.forgotten() {
		t.diverge(TooOld, event.Mutation{Op: event.OpSet, Type: head.Type, Version: head.Version})
	}
}

// forgotten says whether a key that isn't here must have been deleted here, of which the watermark has taken the trace: it was here, as everything that its
// writers had made by then was. The snapshot's cluster hasn't heard of it, else it wouldn't have the key. One that expires may have gone by itself.
func (t *Takeover) forgotten() bool {
	st, head := t.st, &t.head
	if st.Exists || head.Type == event.TypeNone || head.ExpireAt != 0 || !st.Version.IsZero() || !st.Floor.IsZero() || st.ExpiryVersion.Cluster != 0 {
		return false
	}
	for _, v := range [...]event.Version{head.Version, head.Floor, author(head.ExpiryVersion)} {
		if v.IsZero() {
			continue
		}
		if v.Time > t.Env.Watermark || int64(v.Cluster) >= int64(len(t.Known)) || v.Time > t.Known[v.Cluster] {
			return false
		}
	}
	return true
}

// Found is what was found out about a key so far, for who goes on with it later. The numbers are on disk: never renumber.
type Found uint8

const (
	foundKept  Found = 1
	foundStuck Found = 2
)

// Found is what was found out about the key at hand.
func (t *Takeover) Found() (f Found) {
	if t.kept {
		f |= foundKept
	}
	if t.stuck {
		f |= foundStuck
	}
	return f
}

// Stuck says whether nothing more of the key at hand will be changed.
func (t *Takeover) Stuck() bool { return t.stuck }

// GoOn is Begin for a key that was begun before, and not ended, when others may have changed what is stored.
func (t *Takeover) GoOn(key []byte, st *Stored, head event.Meta, found Found) {
	t.reset()
	t.kept, t.stuck = found&foundKept != 0, found&foundStuck != 0
	t.key, t.head, t.st, t.origin = key, head, st, t.Env.Origin
	t.spans, t.resumed = 0, true
	if t.lacks() {
		t.own = event.Version{}
		t.floor, t.version, t.expireAt, t.expiryVersion = st.Floor, st.Version, st.ExpireAt, st.ExpiryVersion
	} else {
		t.decideHead()
	}
	if st.Exists && single(st.Type) && st.Type != head.Type && t.Ancestor(st.Version) {
		t.drop()
	}
}

func (t *Takeover) lacks() bool {
	return t.head.Type == event.TypeNone && t.head.Version.IsZero() && t.head.Floor.IsZero() && t.head.ExpiryVersion.IsZero()
}

func (t *Takeover) reset() {
	clear(t.Emit)
	clear(t.Conflicts)
	if cap(t.parts) > elementsKept {
		t.parts, t.writes, t.gone = nil, nil, nil
	}
	t.Emit, t.Conflicts, t.parts, t.writes, t.gone = t.Emit[:0], t.Conflicts[:0], t.parts[:0], t.writes[:0], t.gone[:0]
}

// single says whether a type is one register.
func single(t event.Type) bool { return t == event.TypeString || t == event.TypeList }

// decideHead decides floor, version and expiry of the key.
func (t *Takeover) decideHead() {
	st, head := t.st, &t.head
	t.own, t.version, t.touched = event.Version{}, head.Version, false
	if !st.Exists || st.Type != event.TypeString {
		t.own = t.others(st.Floor, head.Floor)
		t.version = t.others(st.Version, head.Version)
		// The version that others left where nothing is merged shows from then on that they did.
		if t.touched = !t.version.IsZero() && st.Exists && head.Type == st.Type && !t.Env.Policy.Governs(st.Type); !t.touched {
			t.version = t.Env.later(head.Version, t.version)
		}
	}
	t.floor = t.Env.later(head.Floor, t.own)
	t.expireAt, t.expiryVersion = head.ExpireAt, head.ExpiryVersion
	own := t.others(st.ExpiryVersion, head.ExpiryVersion)
	if own.IsZero() {
		return
	}
	o := Outcome{Register: RegisterExpiry, Action: Overwrite, Reason: Later, Rule: RuleTimestamp, Stored: own}
	if t.Env.Compare(own, head.ExpiryVersion) > 0 {
		t.expireAt, t.expiryVersion = st.ExpireAt, st.ExpiryVersion
		o.Action, o.Reason = Ignore, Older
	}
	if head.Type != event.TypeNone && !head.ExpiryVersion.IsZero() && st.ExpireAt != head.ExpireAt {
		t.note(o, event.Mutation{Op: event.OpExpireAt, Type: head.Type, Version: head.ExpiryVersion, ExpireAt: head.ExpireAt}, nil)
	}
}

// Row takes a row over, or those of its elements that it is given with. Of a row of elements, or of their tombstones (but for a list's), stored is what is here
// of the interval of elements that the call is about, in their order: between the last call's (or from the first element) and the row's last one, or any
// element between. Without elements it says what is here beyond those of all rows.
func (t *Takeover) Row(m *event.Mutation, elements []event.Element, stored []Element) {
	t.reset()
	switch {
	case t.stuck:
	case m.Op == event.OpDel:
		if t.st.Exists && single(t.st.Type) {
			t.meetRemoval()
		}
	case m.Op == event.OpSet:
		t.text(m)
	case m.Type == event.TypeList:
		t.list(m)
	case m.Op.Removes():
		t.graves(m, elements, stored)
	default:
		t.span(m, elements, stored)
	}
}

// End ends the key: all of its rows, and all that is here of its elements, were given.
func (t *Takeover) End() {
	t.reset()
	t.finishHead()
	t.report()
}

// Pause has the key be what its rows so far say of it as a whole: those that follow come to GoOn, or none do, which doesn't know of these any more.
func (t *Takeover) Pause() {
	t.reset()
	t.finishHead()
}

// finishHead brings about the registers of the key as a whole.
func (t *Takeover) finishHead() {
	switch st, dead := t.st, t.head.Type == event.TypeNone; {
	case t.stuck && dead:
	case t.stuck:
		t.meetExpiry() // each expiry goes by its own version
	case st.Exists && dead && single(st.Type):
		t.meetRemoval()
	case t.kept && dead && !t.lacks() && !t.Env.Policy.Governs(st.Type):
		limit := t.Env.later(t.head.Version, t.head.Floor)
		t.diverge(NotPrev, event.Mutation{Op: event.OpDel, Type: st.Type, Version: limit, Floor: limit})
	case st.Exists && st.Type == event.TypeBitmap && dead && !t.kept:
		t.drop()
		t.bury()
	case st.Exists:
		t.settle()
	default:
		t.bury()
	}
}

// Whole says, after End, whether the key is what the snapshot has, or what is by the timestamp rule: whatever held it apart before doesn't any more.
func (t *Takeover) Whole() bool { return !t.stuck && !t.kept }

// meetRemoval decides a string or list, no ancestor, that the snapshot's cluster removed.
func (t *Takeover) meetRemoval() {
	st := t.st
	limit := t.Env.later(t.head.Version, t.head.Floor)
	switch {
	case t.lacks():
		t.kept = true
	case !t.Env.Policy.Governs(st.Type):
		t.diverge(NotPrev, event.Mutation{Op: event.OpDel, Type: st.Type, Version: limit, Floor: limit})
	case t.Env.Compare(st.Version, limit) > 0:
		t.notePassed(limit)
		t.settle()
	default:
		o := Outcome{Register: RegisterKey, Action: Overwrite, Reason: Later, Rule: RuleTimestamp, Stored: st.Version}
		t.note(o, event.Mutation{Op: event.OpDel, Type: st.Type, Version: limit, Floor: limit}, nil)
		t.floor = t.Env.later(t.floor, st.Version) // what a string leaves that doesn't show
		t.drop()
		t.bury()
	}
}

func (t *Takeover) notePassed(limit event.Version) {
	o := Outcome{Register: RegisterKey, Action: Ignore, Reason: Older, Rule: RuleTimestamp, Stored: t.st.Version}
	t.note(o, event.Mutation{Op: event.OpDel, Type: t.st.Type, Version: limit, Floor: limit}, nil)
}
