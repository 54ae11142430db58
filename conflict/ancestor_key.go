package conflict

import "github.com/zankv/zankv/cdc/event"

// What is taken over of a key as a whole: strings, lists, removals, and the registers that all keys have.

// Sweeps says whether what is stored is a collection that the snapshot doesn't have: all its elements are to be given to Sweep before any row, in calls
// of some; or, if all are known to be ancestors, Drop is to be called instead.
func (t *Takeover) Sweeps() bool {
	return t.st.Exists && !single(t.st.Type) && t.st.Type != t.head.Type
}

// Sweep removes those of some elements that the snapshot can't have.
func (t *Takeover) Sweep(stored []Element) {
	t.reset()
	t.sweep(stored, t.limit())
	floor, version, at, expiry := t.floor, t.version, t.expireAt, t.expiryVersion
	t.floor, t.version, t.expireAt, t.expiryVersion = t.st.Floor, t.st.Version, t.st.ExpireAt, t.st.ExpiryVersion
	t.bytes = t.st.Count
	t.remove()
	t.floor, t.version, t.expireAt, t.expiryVersion = floor, version, at, expiry
}

// Drop removes the key, all of whose elements are ancestors.
func (t *Takeover) Drop() {
	t.reset()
	t.drop()
}

// drop removes the key, and leaves the tombstone that is to stay, at once if the removal can say it.
func (t *Takeover) drop() {
	left := t.left()
	out := t.emit(event.OpDel, t.st.Type, t.Base)
	if left.Floor.IsZero() {
		out.Floor, out.ExpireAt, out.ExpiryVersion = t.Base, 0, event.Version{}
		t.st.Meta, t.st.Exists = event.Meta{}, false
		if left != none {
			t.grow(left)
		}
		return
	}
	out.Version, out.Tombstone = left.Floor, true
	t.leave(out, left)
}

// registers are those that a tombstone has.
type registers struct {
	Version, Floor, ExpiryVersion event.Version
	ExpireAt                      int64
}

var none registers

func registersOf(m *event.Meta) registers {
	return registers{m.Version, m.Floor, m.ExpiryVersion, m.ExpireAt}
}

// left is what is to stay of the key when nothing of its content does: as it will be, if the snapshot has this key, or had; else what others wrote.
func (t *Takeover) left() registers {
	st := t.st
	dead := t.head.Type == event.TypeNone
	if !t.lacks() && (dead || t.head.Type == st.Type || st.Type == event.TypeString && !t.Ancestor(st.Version)) {
		return registers{t.version, t.floor, t.expiryVersion, t.expireAt}
	}
	r := registers{Floor: t.others(st.Floor, t.head.Floor), ExpiryVersion: t.others(st.ExpiryVersion, t.head.ExpiryVersion)}
	if st.Type == event.TypeString {
		r.Floor = event.Version{}
	} else {
		r.Version = t.Env.later(t.others(st.Version, t.head.Version), r.Floor)
	}
	if !r.ExpiryVersion.IsZero() {
		r.ExpireAt = st.ExpireAt
	}
	return r
}

// leave has a removal leave a tombstone.
func (t *Takeover) leave(out *event.Mutation, left registers) {
	out.Tombstone, out.Floor, out.ExpireAt, out.ExpiryVersion = true, left.Floor, left.ExpireAt, left.ExpiryVersion
	if left.Version != left.Floor {
		out.KeyVersion = left.Version
	}
	t.st.Meta, t.st.Exists = event.Meta{Version: left.Version, Floor: left.Floor, ExpireAt: left.ExpireAt, ExpiryVersion: left.ExpiryVersion}, false
}

// grow writes the tombstone of an absent key again, or makes it one.
func (t *Takeover) grow(left registers) {
	version := left.Floor
	if version.IsZero() {
		version = t.Env.later(left.Version, left.ExpiryVersion)
	}
	kind := t.head.Type
	if kind == event.TypeNone {
		kind = event.TypeString
	}
	t.leave(t.emit(event.OpDel, kind, version), left)
}

// limit is the version at or below which the snapshot took away whatever this key had, by the timestamp rule.
func (t *Takeover) limit() event.Version {
	switch {
	case !t.Env.Policy.Governs(t.st.Type) || !t.Env.Policy.Governs(t.head.Type):
		return event.Version{}
	case t.head.Type == event.TypeString:
		return t.head.Version
	}
	return t.head.Floor
}

// emit begins a change of the key to what it is to be: this version, the floor and the expiry that come out.
func (t *Takeover) emit(op event.Op, kind event.Type, version event.Version) *event.Mutation {
	st := t.st
	t.Emit = append(t.Emit, event.Mutation{
		Op: op, Type: kind, Key: t.key, Version: version, Prev: st.Version, Floor: t.floor,
		ExpireAt: t.expireAt, ExpiryVersion: t.expiryVersion, Command: takeoverName, Origin: &t.origin,
	})
	out := &t.Emit[len(t.Emit)-1]
	if st.Exists {
		out.Before = event.Before{Exists: true, Type: st.Type, ExpireAt: st.ExpireAt, Generation: st.Generation}
	}
	return out
}

// takeoverName is what changes of a full sync have for a command.
const takeoverName = "fullsync"

// generation is one that the key never had.
func (t *Takeover) generation() uint64 { return t.Env.Generation + uint64(len(t.Emit)) }

// text takes a string over.
func (t *Takeover) text(m *event.Mutation) {
	st := t.st
	own := t.others(st.Version, m.Version)
	switch {
	case st.Exists && st.Type == event.TypeString && st.Version == m.Version:
	case st.Exists && st.Type != event.TypeString && (!own.IsZero() || !single(st.Type)):
		t.textOverOther(m)
	case own.IsZero():
		t.putText(m)
	case t.Env.Compare(m.Version, own) > 0:
		t.note(Outcome{Register: RegisterKey, Action: Overwrite, Reason: Later, Rule: RuleTimestamp, Stored: own}, *m, nil)
		t.putText(m)
	default:
		t.ignoreText(m)
	}
}

// textOverOther meets what isn't a string: a list, or what a sweep left of a collection, all of which is later where it goes by time.
func (t *Takeover) textOverOther(m *event.Mutation) {
	if !t.Env.Policy.Governs(t.st.Type) {
		t.diverge(TypesClash, *m)
		return
	}
	t.ignoreText(m)
}

// ignoreText leaves of a string what it is to whatever is later: a floor.
func (t *Takeover) ignoreText(m *event.Mutation) {
	t.note(Outcome{Register: RegisterKey, Action: Ignore, Reason: Older, Rule: RuleTimestamp, Stored: t.st.Version}, *m, nil)
	t.floor = t.Env.later(t.floor, m.Version)
	if t.st.Exists {
		t.settle()
	} else {
		t.bury()
	}
	t.stuck = true
}

func (t *Takeover) putText(m *event.Mutation) {
	t.emit(event.OpSet, event.TypeString, m.Version).Value = m.Value
	*t.st = Stored{Exists: true, Meta: event.Meta{
		Type: event.TypeString, Version: m.Version, Floor: t.floor, ExpireAt: t.expireAt, ExpiryVersion: t.expiryVersion, Value: m.Value,
	}, Diverged: t.st.Diverged}
}

// list takes the items of a list over that aren't here. A list with the same version has the same items: if there are fewer here, then because it
// came in parts, and those are its first.
func (t *Takeover) list(m *event.Mutation) {
	st := t.st
	first := m.Count - uint64(len(m.Elements))
	if st.Exists && st.Type == event.TypeList && st.Version == t.head.Version {
		if first <= st.Count && st.Count < m.Count {
			t.meetExpiry()
			t.push(m, m.Elements[st.Count-first:])
		}
		return
	}
	switch own := t.others(st.Version, t.head.Version); {
	case !m.Whole:
		t.diverge(NotPrev, *m) // somebody wrote between the parts
	case st.Exists && st.Type != event.TypeList:
		t.diverge(TypesClash, *m)
	case !own.IsZero():
		t.diverge(NotPrev, *m)
	default:
		if st.Exists {
			t.drop()
		}
		t.push(m, m.Elements)
	}
}

func (t *Takeover) push(m *event.Mutation, items []event.Element) {
	st := t.st
	out := t.emit(event.OpRPush, event.TypeList, t.head.Version)
	out.Elements, out.Value, out.Count = items, m.Value, m.Count
	out.KeyVersion, out.Generation = t.head.Version, st.Generation
	if !st.Exists {
		out.Generation = t.generation()
	}
	t.now(out)
}

// now brings what is stored up to date with a change of elements.
func (t *Takeover) now(m *event.Mutation) {
	left := event.Meta{Version: m.KeyVersion, Floor: m.Floor, ExpireAt: m.ExpireAt, ExpiryVersion: m.ExpiryVersion}
	switch {
	case m.Count > 0:
		left.Type, left.Generation, left.Count, left.Value = m.Type, m.Generation, m.Count, m.Value
		t.st.Meta, t.st.Exists = left, true
	case m.Tombstone:
		t.st.Meta, t.st.Exists = left, false
	default:
		t.st.Meta, t.st.Exists = event.Meta{}, false
	}
}

// meetExpiry gives a key that goes on the expiry that it is to have.
func (t *Takeover) meetExpiry() {
	if st := t.st; st.Exists && (st.ExpireAt != t.expireAt || st.ExpiryVersion != t.expiryVersion) {
		t.emitKept(st.Floor)
	}
}

// emitKept writes the meta row again, with the expiry that the key is to have, and with this floor.
func (t *Takeover) emitKept(floor event.Version) {
	st := t.st
	op := event.OpExpireAt
	if t.expireAt == 0 {
		op = event.OpPersist
	}
	version := t.expiryVersion
	if version.IsZero() {
		version = t.Base
	}
	out := t.emit(op, st.Type, version)
	out.Prev, out.Floor = st.ExpiryVersion, floor
	out.Generation, out.Count = st.Generation, st.Count
	out.Before.Version, out.Before.Value = st.Version, st.Value
	st.Floor, st.ExpireAt, st.ExpiryVersion = floor, t.expireAt, t.expiryVersion
}

// settle gives a key that is here the registers that it is to have as a whole.
func (t *Takeover) settle() {
	st := t.st
	if t.lacks() {
		return
	}
	floor, version := t.floor, t.version
	if single(st.Type) {
		version = st.Version
	}
	if st.Type == event.TypeString {
		floor = st.Floor
	}
	if st.ExpireAt != t.expireAt || st.ExpiryVersion != t.expiryVersion || st.Floor != floor && st.Version == version {
		t.emitKept(floor)
	}
	if st.Floor != floor || st.Version != version || st.Type == event.TypeBitmap && t.spans > 0 && st.Count != t.bytes {
		out := t.emit(rowOps[st.Type], st.Type, version)
		out.KeyVersion, out.Generation, out.Count, out.Value = version, st.Generation, st.Count, st.Value
		if st.Type == event.TypeBitmap && t.spans > 0 {
			out.Count = t.bytes
		}
		t.now(out)
	}
}

// rowOps write elements of the types that have some.
var rowOps = map[event.Type]event.Op{
	event.TypeHash: event.OpHSet, event.TypeSet: event.OpSAdd, event.TypeZSet: event.OpZAdd, event.TypeList: event.OpRPush, event.TypeBitmap: event.OpBits,
}

// bury leaves the tombstone that an absent key is to have.
func (t *Takeover) bury() {
	left := registers{t.version, t.floor, t.expiryVersion, t.expireAt}
	w := t.Env.Watermark
	old := left.Version.Time <= w && left.Floor.Time <= w && left.ExpiryVersion.Time <= w
	if !t.lacks() && !old && left != registersOf(&t.st.Meta) {
		t.grow(left)
	}
}

// diverge leaves a key as it is that can't be brought together here.
func (t *Takeover) diverge(why Reason, m event.Mutation) {
	t.note(Outcome{Register: RegisterKey, Action: Diverge, Reason: why, Rule: RuleStrict, Stored: t.st.Version}, m, nil)
	t.stuck = true
}

// note notes a conflict of the key, with the elements here that it is to show.
func (t *Takeover) note(o Outcome, m event.Mutation, all []Element) {
	m.Key, m.Origin, m.Command = t.key, &t.origin, takeoverName
	st := &Stored{Meta: t.st.Meta, Exists: t.st.Exists, All: all}
	t.Conflicts = append(t.Conflicts, Conflict{Outcome: o, Mutation: &m, Stored: st})
}

// noteElement notes a conflict of one element.
func (t *Takeover) noteElement(o Outcome, m event.Mutation, e *Element) {
	o.Register, o.Stored = RegisterElement, e.Version
	m.Key, m.Origin, m.Command = t.key, &t.origin, takeoverName
	st := &Stored{Meta: t.st.Meta, Exists: t.st.Exists, Elements: []Element{*e}}
	t.Conflicts = append(t.Conflicts, Conflict{Outcome: o, Mutation: &m, Stored: st})
}

// report tells of what is only here and stays.
func (t *Takeover) report() {
	if !t.kept || t.stuck {
		return
	}
	rule := RuleStrict
	if t.Env.Policy.Governs(t.st.Type) {
		rule = RuleTimestamp
	}
	o := Outcome{Register: RegisterKey, Action: Ignore, Reason: OnlyHere, Rule: rule, Stored: t.st.Version}
	t.note(o, event.Mutation{Op: event.OpDel, Type: t.st.Type, Version: t.Base, Floor: t.Base}, t.only)
}
