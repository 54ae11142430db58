package conflict

import (
	"time"

	"github.com/zankv/zankv/cdc/event"
)

// Action says what becomes of a register's write, or of a whole mutation: that of its registers which is the highest. The numbers are on disk: never
// renumber.
type Action uint8

const (
	// AlreadyApplied: it is here already, and is passed over silently.
	AlreadyApplied Action = 1
	// Apply: nobody else wrote.
	Apply Action = 2
	// Ignore: what is here is later. Nothing of it becomes visible, though a whole-key write's floor may still count.
	Ignore Action = 3
	// Overwrite: both wrote, and what came in is later.
	Overwrite Action = 4
	// Diverge: it isn't applied, and the two clusters differ until a person or a whole-key write brings them together.
	Diverge Action = 5
	// Wait: it builds upon a third cluster's change that isn't here. The same mutation is to be decided again, later.
	Wait Action = 6
)

// Reason says why. The numbers are on disk: never renumber.
type Reason uint8

const (
	// Unchanged: what is stored is what the origin had before.
	Unchanged Reason = 1
	// SameVersion: this very write is stored, or was decided before.
	SameVersion Reason = 2
	// Older: what is stored, or the floor, is later.
	Older Reason = 3
	// Later: what is stored is older, but isn't what the origin had before.
	Later Reason = 4
	// NotPrev: what is stored isn't what the origin had before, and the type has no timestamp rule.
	NotPrev Reason = 5
	// TypesClash: the key holds a type with which what came in is never merged.
	TypesClash Reason = 6
	// TooOld: it is at or below the tombstone watermark, so that nobody knows whether it was deleted since. Its sender needs a full sync.
	TooOld Reason = 7
	// PrevNotHere: what the origin had before was written by a third cluster and hasn't come.
	PrevNotHere Reason = 8
	// BothAbsent: nothing was there at the origin, and nothing is here.
	BothAbsent Reason = 9
	// BothRemoved: it removes what isn't here.
	BothRemoved Reason = 10
	// Heals: a whole-key write later than all that is here, of a key that had diverged.
	Heals Reason = 11
	// NeverReplayed: each cluster expires for itself.
	NeverReplayed Reason = 12
	// NoRule: the op doesn't come from a namespace that replicates (a range delete), or is a newer program's.
	NoRule Reason = 13
	// Partly: a whole-key write found both older and later elements; the later ones stay.
	Partly Reason = 14
	// OnlyHere: a full sync found something that the other cluster doesn't have and didn't remove: it stays.
	OnlyHere Reason = 15
)

// Register says which kind of register an outcome is about. The numbers are on disk: never renumber.
type Register uint8

const (
	// RegisterKey is a string's value, a list, or a key that is written as a whole.
	RegisterKey Register = 1
	// RegisterElement is a field, a member, a bitmap's segment.
	RegisterElement Register = 2
	// RegisterExpiry is a key's expiry.
	RegisterExpiry Register = 3
)

// Rule says by which rule it was decided. The numbers are on disk: never renumber.
type Rule uint8

const (
	RuleTimestamp Rule = 1
	RuleStrict    Rule = 2
)

// Outcome is the decision on one register.
type Outcome struct {
	Register Register
	// Element is the number of the element in the mutation, if it is one.
	Element int
	Action  Action
	Reason  Reason
	Rule    Rule
	// Stored is the version that stood there, Prev the one that the origin had: the greater of the register's own and the floor.
	Stored, Prev event.Version
	// Removed is how many older elements a whole-key write takes away that it leaves others beside.
	Removed int
}

// Logged says whether the outcome is a conflict, of which the log gets a row.
func (o *Outcome) Logged() bool {
	switch o.Reason {
	case BothRemoved, NeverReplayed, BothAbsent:
		return false
	}
	return o.Action == Ignore || o.Action == Overwrite || o.Action == Diverge
}

// Decision is what Decide says. It may be used again; what it holds is then overwritten.
type Decision struct {
	Action Action
	// Outcomes are those of all registers that the mutation writes, in its order; the expiry, where it is decided by itself, comes last.
	Outcomes []Outcome
	// Emit are the changes to make here: none, or up to three in this order. Their bytes are those of the mutation and of Stored, their elements and origin
	// the mutation's or the Decision's own. An OpExpire among them has no origin: it is this cluster's.
	Emit []event.Mutation
	// Heals: the key's open records of having diverged are to be closed, as it is a whole-key write's now.
	Heals bool

	elements []event.Element
	origin   event.Origin
}

func (d *Decision) reset() {
	clear(d.Emit)
	if cap(d.elements) > elementsKept {
		d.elements = nil
	}
	*d = Decision{Outcomes: d.Outcomes[:0], Emit: d.Emit[:0], elements: d.elements[:0]}
}

// elementsKept bounds the memory that a Decision holds on to after a large mutation.
const elementsKept = 1 << 10

// Decide decides a mutation, whose versions are in the target's cluster numbers (Translate) and which is otherwise as it was read, against what is
// stored. It panics if Stored lacks what Wants asked for.
func Decide(d *Decision, env *Env, st *Stored, m *event.Mutation) {
	d.reset()
	r := decider{d: d, env: env, m: m, st: *st, rule: RuleTimestamp}
	r.begin()
	switch {
	case m.Op == event.OpExpire:
		r.key(Ignore, NeverReplayed)
	case m.Op == event.OpRange, m.Op == 0, m.Op > event.OpBits:
		r.key(Diverge, NoRule)
	case onlyExpiry(m):
		r.decideExpiry()
	case r.tooOld():
		r.key(Diverge, TooOld)
	case r.strict():
		r.rule = RuleStrict
		r.decideStrictly()
	default:
		r.decideByTime()
	}
	if len(d.Outcomes) == 0 {
		r.key(Apply, Unchanged) // an op on elements that names none
	}
	for i := range d.Outcomes {
		d.Action = max(d.Action, d.Outcomes[i].Action)
	}
	if d.Action == Wait {
		d.Emit, d.Heals = d.Emit[:0], false
	}
}

// decider is one decision under way.
type decider struct {
	d    *Decision
	env  *Env
	m    *event.Mutation
	st   Stored
	rule Rule
	// The key's expiry afterwards, and whether it is another than before.
	expireAt      int64
	expiryVersion event.Version
	expiryChanged bool
	// ended: what was stored is emitted to be removed; the rows in Stored.Elements are of that life.
	ended bool
}

// begin forgets what is below the watermark, and starts from the expiry as it is.
func (r *decider) begin() {
	st := &r.st
	if !st.Exists && st.Forgotten(r.env.Watermark) {
		st.Meta = event.Meta{}
	}
	r.d.origin = r.env.Origin
	if r.m.Origin != nil {
		r.d.origin = *r.m.Origin
	}
	if ended(st, r.m) {
		r.end()
	}
	r.expireAt, r.expiryVersion = st.ExpireAt, st.ExpiryVersion
}

// ended says whether what is stored of the key had expired, and been forgotten, where the mutation was made. A key made of nothing says up to when its
// cluster knew what all others had made (its expiry's version is that time, and nobody's): if all that is stored is older, and the expiry with it, that
// cluster had the same, and there was no way left in which it could have been prolonged. Here it merely hasn't been removed yet.
func ended(st *Stored, m *event.Mutation) bool {
	bound := m.ExpiryVersion
	if !st.Exists || bound.Cluster != 0 || bound.Time == 0 || st.ExpireAt == 0 || st.ExpireAt > bound.Time/int64(time.Millisecond) {
		return false
	}
	return max(st.Version.Time, st.Floor.Time, st.ExpiryVersion.Time) <= bound.Time
}

// end removes what is stored, as the expiry of the key does everywhere.
func (r *decider) end() {
	st := &r.st
	r.expireAt, r.expiryVersion = 0, st.ExpiryVersion
	out := r.emit(event.OpExpire, st.Type, st.Floor)
	out.Version, out.Origin = st.Version, nil
	*st = Stored{Elements: st.Elements, Diverged: st.Diverged}
	r.ended = true
}

// author is a version that somebody made: the bound in time that an expiry's version is in a key made of nothing stands for none.
func author(v event.Version) event.Version {
	if v.Cluster == 0 {
		return event.Version{}
	}
	return v
}

// element is what is stored of the mutation's element i.
func (r *decider) element(i int) Element {
	if i >= len(r.st.Elements) {
		return Element{}
	}
	e := r.st.Elements[i]
	if e.Exists && r.ended || !e.Exists && e.Version.Time <= r.env.Watermark {
		return Element{}
	}
	return e
}

func onlyExpiry(m *event.Mutation) bool {
	return (m.Op == event.OpExpireAt || m.Op == event.OpPersist || m.Op == event.OpDel) && !remains(m)
}

// strict says whether the timestamp rule doesn't hold, for what came in or for what it would touch.
func (r *decider) strict() bool {
	if removal(r.m) && !r.st.Exists {
		return false // nothing is there that could be lost
	}
	return !r.env.Policy.Governs(r.m.Type) || r.st.Exists && !r.env.Policy.Governs(r.st.Type)
}

// tooOld says whether nothing is known of the key any more from the time of the mutation.
func (r *decider) tooOld() bool {
	return r.old(r.st.Version) && !r.st.Exists && !removal(r.m)
}

// old says whether a register of which that much is known may have been deleted after the mutation, without a trace.
func (r *decider) old(known event.Version) bool {
	return known.IsZero() && r.m.Version.Time <= r.env.Watermark
}

// key notes the outcome of a key's register, of any whole mutation.
func (r *decider) key(a Action, why Reason) *Outcome {
	return r.outcome(Outcome{Register: RegisterKey, Action: a, Reason: why, Stored: r.st.Version, Prev: r.m.Prev})
}

// outcome notes an outcome. What would be a conflict waits, if what the origin had before may still come.
func (r *decider) outcome(o Outcome) *Outcome {
	o.Rule = r.rule
	if o.Logged() && o.Reason != NoRule && o.Reason != TooOld && o.Prev != o.Stored && r.awaited(o.Prev) {
		o.Action, o.Reason = Wait, PrevNotHere
	}
	r.d.Outcomes = append(r.d.Outcomes, o)
	return &r.d.Outcomes[len(r.d.Outcomes)-1]
}

// awaited says whether a version was made by a third cluster of which the changes up to there aren't here.
func (r *decider) awaited(prev event.Version) bool {
	e := r.env
	if e.Waited || e.Reached == nil || prev.IsZero() || prev.Cluster == e.Self || prev.Cluster == r.m.Version.Cluster {
		return false
	}
	return prev.Time > e.Watermark && e.Reached(prev.Cluster) < prev.Time
}

// known says whether what is stored of the key is what the origin had before.
func (r *decider) known() (Reason, bool) {
	switch prev := r.m.Prev; {
	case prev == r.st.Version, r.st.Version.IsZero() && prev.Time <= r.env.Watermark:
		return Unchanged, true
	case !r.m.Before.Exists && !r.st.Exists:
		return BothAbsent, true
	case removal(r.m) && !r.st.Exists:
		return BothRemoved, true
	}
	return Later, false
}

// takeExpiry decides the expiry that a mutation brings beside its content. made says that it makes the key: then the expiry that its origin shows
// counts as well where it was set by somebody else, in case that the key's rows are gone here. But one under the watermark was decided here: if it isn't here
// any more, something came after it.
func (r *decider) takeExpiry(made bool) {
	m := r.m
	if m.ExpiryVersion != m.Version && (!made || m.ExpiryVersion.Cluster != 0 && m.ExpiryVersion.Time <= r.env.Watermark) {
		return
	}
	if r.env.Compare(m.ExpiryVersion, r.st.ExpiryVersion) > 0 {
		r.expireAt, r.expiryVersion, r.expiryChanged = m.ExpireAt, m.ExpiryVersion, true
	}
}

// decideExpiry decides EXPIRE and PERSIST: by the timestamp rule, whatever the key's type.
func (r *decider) decideExpiry() {
	o := Outcome{Register: RegisterExpiry, Stored: author(r.st.ExpiryVersion), Prev: r.m.Prev}
	switch c := r.env.Compare(r.m.Version, r.st.ExpiryVersion); {
	case c == 0:
		o.Action, o.Reason = AlreadyApplied, SameVersion
	case r.old(r.st.ExpiryVersion) && !r.st.Exists:
		o.Action, o.Reason = Ignore, BothRemoved
	case c < 0:
		o.Action, o.Reason = Ignore, Older
	default:
		o.Action, o.Reason = Overwrite, Later
		if o.Prev == o.Stored || o.Stored.IsZero() && o.Prev.Time <= r.env.Watermark {
			o.Action, o.Reason = Apply, Unchanged
		}
		r.expireAt, r.expiryVersion, r.expiryChanged = r.m.ExpireAt, r.m.Version, true
	}
	r.outcome(o)
	r.settle(r.st.Floor)
}

// below are the numbers in Stored.All of the elements that a floor takes away.
func (r *decider) below(floor event.Version) (gone []int) {
	if r.st.Exists && uint64(len(r.st.All)) != r.st.Count {
		panic("conflict: the decision needs all elements of the key (Wants), and didn't get them")
	}
	for i := range r.st.All {
		if r.env.Compare(r.st.All[i].Version, floor) < 0 {
			gone = append(gone, i)
		}
	}
	return gone
}
