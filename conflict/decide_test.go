package conflict

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/zankv/zankv/cdc/event"
)

// at is a version by cluster: a for alpha, m for mid, z for zeta.
func at(time int64, cluster byte) event.Version {
	for n, id := range names {
		if id != "" && id[0] == cluster {
			return event.Version{Time: time, Cluster: event.ClusterNumber(n)}
		}
	}
	return event.Version{}
}

// here is the key's state in cluster alpha, by which the table's cases are told.
func text(v event.Version) *Stored {
	return &Stored{Meta: event.Meta{Type: event.TypeString, Version: v, Floor: v, ExpiryVersion: v, Value: []byte("here")}, Exists: true}
}

func removed(v event.Version) *Stored {
	return &Stored{Meta: event.Meta{Version: v, Floor: v, ExpiryVersion: v}}
}

// holds is a collection in which the mutation's only element has a version, or a tombstone if it isn't there.
func holds(t event.Type, latest, floor, element event.Version, there bool) *Stored {
	st := &Stored{Meta: event.Meta{Type: t, Version: latest, Floor: floor, Generation: 7, Count: 1}, Exists: true}
	st.Elements = []Element{{Sub: []byte("f"), Value: []byte("here"), Version: element, Exists: there}}
	st.All = st.Elements
	if !there {
		st.All = []Element{{Sub: []byte("other"), Version: latest, Exists: true}}
	}
	return st
}

func set(v, prev event.Version) *event.Mutation {
	m := &event.Mutation{Op: event.OpSet, Type: event.TypeString, Key: []byte(key), Value: []byte("there"), Version: v, Prev: prev, Floor: v, ExpiryVersion: v}
	m.Before.Exists = !prev.IsZero()
	return m
}

func del(v, prev event.Version) *event.Mutation {
	m := set(v, prev)
	m.Op, m.Value, m.Tombstone = event.OpDel, nil, true
	return m
}

func expireAt(v, prev event.Version) *event.Mutation {
	return &event.Mutation{Op: event.OpExpireAt, Type: event.TypeString, Key: []byte(key), ExpireAt: farAway, Version: v, Prev: prev, ExpiryVersion: v, Before: event.Before{Exists: true}}
}

// writes is an op on element f, which had the version prev.
func writes(op event.Op, v, prev event.Version) *event.Mutation {
	return &event.Mutation{
		Op: op, Type: op.ElementType(), Key: []byte(key), Version: v, KeyVersion: v, Prev: prev, Count: 1, Generation: 9,
		Elements: []event.Element{{Sub: []byte("f"), Value: []byte("there"), Prev: prev, Exists: !prev.IsZero()}},
		Before:   event.Before{Exists: !prev.IsZero(), Generation: 9, Type: op.ElementType()},
	}
}

var never event.Version

// TestTable goes through the table of the rule, for each kind of register and both policies.
func TestTable(t *testing.T) {
	hash, member, bits, list := event.TypeHash, event.TypeSet, event.TypeBitmap, event.TypeList
	for _, c := range []struct {
		about  string
		policy Policy
		st     *Stored
		m      *event.Mutation
		action Action
		reason Reason
		emits  string
	}{
		// Strings.
		{"nobody else wrote", 1, text(at(3, 'z')), set(at(5, 'z'), at(3, 'z')), Apply, Unchanged, "set"},
		{"nothing was there", 1, &Stored{}, set(at(5, 'z'), never), Apply, Unchanged, "set"},
		{"both wrote, it is later", 1, text(at(4, 'a')), set(at(5, 'z'), at(3, 'z')), Overwrite, Later, "set"},
		{"both wrote, it is older", 1, text(at(6, 'a')), set(at(5, 'z'), at(3, 'z')), Ignore, Older, ""},
		{"a tie, its id is greater", 1, text(at(5, 'a')), set(at(5, 'z'), never), Overwrite, Later, "set"},
		{"a tie, its id is less", 1, text(at(5, 'm')), set(at(5, 'a'), never), Ignore, Older, ""},
		{"it is here", 1, text(at(5, 'z')), set(at(5, 'z'), at(3, 'z')), AlreadyApplied, SameVersion, ""},
		{"it was deleted since", 1, removed(at(6, 'a')), set(at(5, 'z'), never), Ignore, Older, ""},
		{"it was deleted before", 1, removed(at(4, 'a')), set(at(5, 'z'), at(3, 'z')), Overwrite, Later, "set"},
		{"both deleted", 1, removed(at(4, 'a')), del(at(5, 'z'), at(3, 'z')), Apply, BothRemoved, "del"},
		{"both deleted, here later", 1, removed(at(6, 'a')), del(at(5, 'z'), at(3, 'z')), Ignore, BothRemoved, ""},
		{"a delete that is later", 1, text(at(4, 'a')), del(at(5, 'z'), at(3, 'z')), Overwrite, Later, "del"},
		{"a delete that is older", 1, text(at(6, 'a')), del(at(5, 'z'), at(3, 'z')), Ignore, Older, ""},

		// Hash fields.
		{"nobody else wrote the field", 1, holds(hash, at(9, 'a'), never, at(3, 'z'), true), writes(event.OpHSet, at(5, 'z'), at(3, 'z')), Apply, Unchanged, "hset"},
		{"both wrote the field, it is later", 1, holds(hash, at(9, 'a'), never, at(4, 'a'), true), writes(event.OpHSet, at(5, 'z'), at(3, 'z')), Overwrite, Later, "hset"},
		{"both wrote the field, it is older", 1, holds(hash, at(9, 'a'), never, at(6, 'a'), true), writes(event.OpHSet, at(5, 'z'), at(3, 'z')), Ignore, Older, ""},
		{"the floor is later", 1, holds(hash, at(9, 'a'), at(6, 'a'), at(3, 'z'), false), writes(event.OpHSet, at(5, 'z'), at(3, 'z')), Ignore, Older, ""},
		{"the field's tombstone is later", 1, holds(hash, at(9, 'a'), never, at(6, 'a'), false), writes(event.OpHSet, at(5, 'z'), at(3, 'z')), Ignore, Older, ""},
		{"the field's tombstone is what it knew", 1, holds(hash, at(9, 'a'), never, at(3, 'z'), false), writes(event.OpHSet, at(5, 'z'), at(3, 'z')), Apply, Unchanged, "hset"},
		{"both removed the field", 1, holds(hash, at(9, 'a'), never, at(6, 'a'), false), writes(event.OpHDel, at(5, 'z'), at(3, 'z')), Ignore, BothRemoved, ""},
		{"both removed the field, it later", 1, holds(hash, at(9, 'a'), never, at(4, 'a'), false), writes(event.OpHDel, at(5, 'z'), at(3, 'z')), Apply, BothRemoved, "hdel"},
		{"a delete over a later field", 1, holds(hash, at(9, 'a'), never, at(9, 'a'), true), del(at(5, 'z'), at(3, 'z')), Ignore, Older, "persist"},

		// Types that clash.
		{"a later string over a hash", 1, holds(hash, at(4, 'a'), never, at(4, 'a'), true), set(at(5, 'z'), never), Overwrite, Later, "set"},
		{"an older string under a hash", 1, holds(hash, at(6, 'a'), never, at(6, 'a'), true), set(at(5, 'z'), never), Ignore, Older, "persist"},
		{"a later field over a string", 1, text(at(4, 'a')), writes(event.OpHSet, at(5, 'z'), never), Overwrite, Later, "hset"},
		{"an older field under a string", 1, text(at(6, 'a')), writes(event.OpHSet, at(5, 'z'), never), Ignore, Older, ""},
		{"a member into a hash", 2, holds(hash, at(4, 'a'), never, at(4, 'a'), true), writes(event.OpSAdd, at(5, 'z'), never), Diverge, TypesClash, ""},
		{"a field into a set", 2, holds(member, at(4, 'a'), never, at(4, 'a'), true), writes(event.OpHSet, at(5, 'z'), never), Diverge, TypesClash, ""},
		{"a later string over a set", 1, holds(member, at(4, 'a'), never, at(4, 'a'), true), set(at(5, 'z'), never), Diverge, NotPrev, ""},
		{"a later string over a set, by element", 2, holds(member, at(4, 'a'), never, at(4, 'a'), true), set(at(5, 'z'), never), Overwrite, Later, "set"},

		// Members.
		{"nobody else wrote the member", 1, holds(member, at(9, 'a'), never, never, false), writes(event.OpSAdd, at(5, 'z'), never), Apply, Unchanged, "sadd"},
		{"both wrote the member", 1, holds(member, at(4, 'a'), never, at(4, 'a'), true), writes(event.OpSRem, at(5, 'z'), at(3, 'z')), Diverge, NotPrev, ""},
		{"both wrote the member, by element", 2, holds(member, at(4, 'a'), never, at(4, 'a'), true), writes(event.OpSRem, at(5, 'z'), at(3, 'z')), Overwrite, Later, "srem"},
		{"the member is later", 1, holds(member, at(6, 'a'), never, at(6, 'a'), true), writes(event.OpSAdd, at(5, 'z'), at(3, 'z')), Diverge, Older, ""},
		{"the member is later, by element", 2, holds(member, at(6, 'a'), never, at(6, 'a'), true), writes(event.OpSAdd, at(5, 'z'), at(3, 'z')), Ignore, Older, ""},
		{"both removed the member", 1, holds(member, at(9, 'a'), never, never, false), writes(event.OpSRem, at(5, 'z'), at(3, 'z')), Ignore, BothRemoved, ""},

		// Lists and bitmaps, under any policy.
		{"nobody else wrote the list", 2, holds(list, at(3, 'z'), never, never, false), writes(event.OpRPush, at(5, 'z'), at(3, 'z')), Apply, Unchanged, "rpush"},
		{"both wrote the list", 2, holds(list, at(4, 'a'), never, never, false), writes(event.OpRPush, at(5, 'z'), at(3, 'z')), Diverge, NotPrev, ""},
		{"the list is here", 2, holds(list, at(5, 'z'), never, never, false), writes(event.OpRPush, at(5, 'z'), at(3, 'z')), AlreadyApplied, SameVersion, ""},
		{"a list that is made", 2, removed(at(3, 'a')), writes(event.OpRPush, at(5, 'z'), never), Apply, BothAbsent, "rpush"},
		{"a list whose items aren't here", 2, removed(at(3, 'a')), writes(event.OpLPop, at(5, 'z'), at(3, 'z')), Diverge, NotPrev, ""},
		{"both wrote the segment", 2, holds(bits, at(4, 'a'), never, at(4, 'a'), true), writes(event.OpBits, at(5, 'z'), at(3, 'z')), Diverge, NotPrev, ""},
		{"nobody else wrote the segment", 1, holds(bits, at(4, 'a'), never, at(3, 'z'), true), writes(event.OpBits, at(5, 'z'), at(3, 'z')), Apply, Unchanged, "setbits"},

		// Expiries, of whatever type.
		{"nobody else set the expiry", 1, holds(list, at(9, 'a'), never, never, false), expireAt(at(5, 'z'), never), Apply, Unchanged, "expireat"},
		{"both set the expiry, here later", 1, text(at(6, 'a')), expireAt(at(5, 'z'), at(3, 'z')), Ignore, Older, ""},
		{"both set the expiry, it is later", 1, text(at(4, 'a')), expireAt(at(5, 'z'), at(3, 'z')), Overwrite, Later, "expireat"},
		{"the expiry of a key that is deleted", 1, removed(at(4, 'a')), expireAt(at(5, 'z'), at(3, 'z')), Overwrite, Later, "del"},

		// What is never replayed.
		{"a key that expired elsewhere", 1, text(at(4, 'a')), &event.Mutation{Op: event.OpExpire, Version: at(4, 'a')}, Ignore, NeverReplayed, ""},
		{"a range", 1, &Stored{}, &event.Mutation{Op: event.OpRange, Version: at(4, 'a')}, Diverge, NoRule, ""},
		{"an op of a newer program", 1, &Stored{}, &event.Mutation{Op: 99, Version: at(4, 'a')}, Diverge, NoRule, ""},
	} {
		var d Decision
		env := &Env{Names: names, Self: at(1, 'a').Cluster, Policy: c.policy, Generation: 8}
		Decide(&d, env, c.st, c.m)
		var emits []string
		for i := range d.Emit {
			emits = append(emits, d.Emit[i].Op.String())
			if d.Emit[i].Version != c.m.Version || d.Emit[i].Origin == nil {
				t.Errorf("%s: emits version %s, origin %v", c.about, show(d.Emit[i].Version), d.Emit[i].Origin)
			}
		}
		last := d.Outcomes[len(d.Outcomes)-1]
		if d.Action == Overwrite {
			last = d.Outcomes[0]
		}
		if got := strings.Join(emits, " "); d.Action != c.action || last.Reason != c.reason || got != c.emits {
			t.Errorf("%s: %s, %s, emits %q; want %s, %s, %q", c.about, d.Action, last.Reason, got, c.action, c.reason, c.emits)
		}
	}
}

// TestWatermark: tombstones at or below it don't exist, for the version before as well, and what is older than it finds no way in.
func TestWatermark(t *testing.T) {
	for _, c := range []struct {
		about  string
		st     *Stored
		m      *event.Mutation
		action Action
		reason Reason
	}{
		{"it knew a tombstone that is gone here", &Stored{}, set(at(15, 'z'), at(9, 'z')), Apply, Unchanged},
		{"what it knew is above the watermark", &Stored{}, set(at(15, 'z'), at(11, 'z')), Overwrite, Later},
		{"a tombstone below the watermark", removed(at(9, 'a')), set(at(15, 'z'), at(8, 'z')), Apply, Unchanged},
		{"older than the watermark, into nothing", &Stored{}, set(at(9, 'z'), never), Diverge, TooOld},
		{"older than the watermark and than a tombstone below it", removed(at(10, 'a')), set(at(9, 'z'), never), Diverge, TooOld},
		{"older than the watermark, over what is known", text(at(5, 'a')), set(at(9, 'z'), never), Overwrite, Later},
		{"a field older than the watermark", holds(event.TypeHash, at(20, 'a'), never, never, false), writes(event.OpHSet, at(9, 'z'), never), Diverge, TooOld},
		{"a field's tombstone below the watermark", holds(event.TypeHash, at(20, 'a'), never, at(9, 'a'), false), writes(event.OpHSet, at(15, 'z'), never), Apply, Unchanged},
		{"a field's tombstone above it", holds(event.TypeHash, at(20, 'a'), never, at(16, 'a'), false), writes(event.OpHSet, at(15, 'z'), never), Ignore, Older},
		{"an old delete of nothing", &Stored{}, del(at(9, 'z'), at(8, 'z')), Apply, Unchanged},
	} {
		var d Decision
		Decide(&d, &Env{Names: names, Policy: PolicyDefault, Watermark: 10, Generation: 8}, c.st, c.m)
		if d.Action != c.action || d.Outcomes[0].Reason != c.reason {
			t.Errorf("%s: %s, %s; want %s, %s", c.about, d.Action, d.Outcomes[0].Reason, c.action, c.reason)
		}
		if d.Action == Diverge && len(d.Emit) > 0 {
			t.Errorf("%s: emits %s", c.about, describe(&d.Emit[0]))
		}
	}
}

// TestWait: what builds upon a third cluster's change that hasn't come waits for it, and changes nothing meanwhile, whole.
func TestWait(t *testing.T) {
	self, reached := at(1, 'a').Cluster, int64(0)
	decide := func(st *Stored, m *event.Mutation, waited bool) Decision {
		var d Decision
		Decide(&d, &Env{Names: names, Self: self, Policy: PolicyDefault, Generation: 8, Waited: waited,
			Reached: func(c event.ClusterNumber) int64 {
				if c != at(1, 'm').Cluster {
					t.Errorf("asked about cluster %s", names.ID(c))
				}
				return reached
			}}, st, m)
		return d
	}
	third := set(at(9, 'z'), at(7, 'm'))
	if d := decide(text(at(5, 'a')), third, false); d.Action != Wait || d.Outcomes[0].Reason != PrevNotHere || len(d.Emit) > 0 {
		t.Errorf("before it came: %s, %s, emits %d", d.Action, d.Outcomes[0].Reason, len(d.Emit))
	}
	if d := decide(text(at(5, 'a')), third, true); d.Action != Overwrite {
		t.Errorf("when time has passed: %s", d.Action)
	}
	if d := decide(text(at(7, 'm')), third, false); d.Action != Apply {
		t.Errorf("when it is here: %s", d.Action)
	}
	reached = 7
	if d := decide(text(at(5, 'a')), third, false); d.Action != Overwrite {
		t.Errorf("when it came and was lost: %s", d.Action)
	}
	reached = 0
	for _, prev := range []event.Version{at(7, 'z'), at(4, 'a')} {
		if d := decide(text(at(5, 'a')), set(at(9, 'z'), prev), false); d.Action != Overwrite {
			t.Errorf("upon %s: %s", show(prev), d.Action)
		}
	}
	two := writes(event.OpHSet, at(9, 'z'), never)
	two.Elements = append(two.Elements, event.Element{Sub: []byte("g"), Prev: at(7, 'm'), Exists: true})
	st := holds(event.TypeHash, at(5, 'a'), never, never, false)
	st.Elements = append(st.Elements, Element{Sub: []byte("g"), Version: at(5, 'a'), Exists: true})
	if d := decide(st, two, false); d.Action != Wait || len(d.Emit) > 0 || d.Outcomes[0].Action != Apply {
		t.Errorf("one of two fields: %s, emits %d, the other one %s", d.Action, len(d.Emit), d.Outcomes[0].Action)
	}
}

// TestHeals: a key that has diverged is brought together by a whole-key write that is later than all that is known of it, and by no other.
func TestHeals(t *testing.T) {
	for _, c := range []struct {
		m     *event.Mutation
		until event.Version
		heals bool
	}{
		{set(at(9, 'z'), at(8, 'z')), at(8, 'z'), true},
		{del(at(9, 'z'), at(8, 'z')), at(8, 'z'), true},
		{set(at(9, 'z'), at(8, 'z')), at(9, 'z'), false}, // the one that was held back
		{set(at(4, 'z'), at(3, 'z')), at(3, 'z'), false},
		{set(at(9, 'z'), at(8, 'z')), never, false},
		{writes(event.OpRPush, at(9, 'z'), at(8, 'z')), at(8, 'z'), false},
	} {
		st := holds(event.TypeList, at(5, 'a'), never, never, false)
		st.Diverged = c.until
		var d Decision
		Decide(&d, &Env{Names: names, Policy: PolicyElement, Generation: 8}, st, c.m)
		want := Diverge
		if c.heals {
			want = Overwrite
		}
		if d.Heals != c.heals || d.Action != want || (len(d.Emit) > 0) != c.heals {
			t.Errorf("%s, diverged until %s: %s, heals %v, emits %d", describe(c.m), show(c.until), d.Action, d.Heals, len(d.Emit))
		}
	}
}

// TestEmittedAmongLater: a hash written as a whole, among fields that are later, is two changes: what is older goes, then what it has comes.
func TestEmittedAmongLater(t *testing.T) {
	st := &Stored{Meta: event.Meta{Type: event.TypeHash, Version: at(9, 'a'), Generation: 7, Count: 3, ExpireAt: 50, ExpiryVersion: at(8, 'a')}, Exists: true}
	row := func(sub string, v event.Version) Element {
		return Element{Sub: []byte(sub), Version: v, Exists: true, Value: []byte("here")}
	}
	st.All = []Element{row("later", at(9, 'a')), row("older", at(3, 'a')), row("again", at(4, 'a'))}
	m := writes(event.OpHSet, at(5, 'z'), never)
	m.Whole, m.Floor, m.ExpiryVersion, m.Count = true, m.Version, m.Version, 3
	m.Elements = []event.Element{{Sub: []byte("again")}, {Sub: []byte("later")}, {Sub: []byte("gone")}}
	st.Elements = []Element{st.All[2], st.All[0], {Sub: []byte("gone"), Version: at(8, 'a')}}
	var d Decision
	Decide(&d, &Env{Names: names, Policy: PolicyDefault, Generation: 8}, st, m)
	got := []string{}
	for i := range d.Emit {
		got = append(got, describe(&d.Emit[i]))
	}
	want := []string{
		"hdel v5z prev9a floor5z x50/8a n2 older=",
		"hset v5z prev9a floor5z x50/8a n2 again=",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("emits %q, want %q", got, want)
	}
	if o := d.Outcomes[0]; o.Action != Overwrite || o.Reason != Partly || o.Removed != 2 {
		t.Errorf("outcome %+v", o)
	}
}

// TestOverExpired: what was written into a key whose content had expired at its origin doesn't join what hasn't expired here.
func TestOverExpired(t *testing.T) {
	st := holds(event.TypeHash, at(3, 'z'), never, never, false)
	m := writes(event.OpHSet, at(5, 'z'), never)
	m.Prev, m.ExpiryVersion = at(3, 'z'), m.Version
	m.Before = event.Before{Exists: true, Type: event.TypeHash, ExpireAt: 1, Generation: 6}
	var d Decision
	Decide(&d, &Env{Names: names, Policy: PolicyDefault, Generation: 8}, st, m)
	if d.Action != Apply || len(d.Emit) != 1 || !d.Emit[0].Whole || d.Emit[0].Floor != m.Version || d.Emit[0].Count != 1 {
		t.Errorf("%s, emits %+v", d.Action, d.Emit)
	}
}

// shaped is a mutation with things that may come together in it, or never do.
func shaped(op event.Op, v, prev event.Version, shape int) *event.Mutation {
	m := writes(op, v, prev)
	m.Whole = shape&1 != 0 && op.OnElements()
	if shape&2 != 0 || m.Whole || op == event.OpSet {
		m.Floor, m.ExpiryVersion = v, v
	}
	if shape&4 != 0 {
		m.Elements = nil
	}
	return m
}

func decideTwice(t *testing.T, st *Stored, m *event.Mutation, policy Policy) {
	t.Helper()
	var d, again Decision
	env := &Env{Names: names, Policy: policy, Generation: 8, Watermark: 4, Self: at(1, 'a').Cluster}
	env.Reached = func(event.ClusterNumber) int64 { return 4 }
	Decide(&d, env, st, m)
	Decide(&again, env, st, m)
	if d.Action < AlreadyApplied || d.Action > Wait || !slices.Equal(d.Outcomes, again.Outcomes) || len(d.Emit) != len(again.Emit) {
		t.Fatalf("%s against %+v: %+v, then %+v", describe(m), st, d, again)
	}
	if d.Action == Wait && len(d.Emit) > 0 {
		t.Fatalf("%s against %+v waits, and emits %s", describe(m), st, describe(&d.Emit[0]))
	}
}

// TestTotal: whatever comes in gets a decision, the same one again, and what waits emits nothing.
func TestTotal(t *testing.T) {
	versions := []event.Version{never, at(3, 'a'), at(5, 'a'), at(5, 'z'), at(7, 'm')}
	states := []*Stored{{}}
	for _, v := range versions[1:] {
		states = append(states, removed(v), text(v))
		for _, floor := range versions[:3] {
			for typ := event.TypeHash; typ <= event.TypeBitmap; typ++ {
				states = append(states, holds(typ, v, floor, v, true), holds(typ, v, floor, v, false))
			}
		}
	}
	decided := 0
	for op := event.Op(0); op <= event.OpBits+1; op++ {
		for _, v := range versions[1:] {
			for _, prev := range versions {
				for shape := range 8 {
					m := shaped(op, v, prev, shape)
					for _, st := range states {
						decideTwice(t, st, m, PolicyDefault)
						decideTwice(t, st, m, PolicyElement)
						decided += 2
					}
				}
			}
		}
	}
	t.Logf("%d decisions", decided)
}

// TestTranslate: numbers of the source become the target's, and ids that it doesn't know get the next.
func TestTranslate(t *testing.T) {
	from, to := event.Names{"", "b", "new", "a"}, event.Names{"", "a", "b"}
	v := func(c event.ClusterNumber) event.Version { return event.Version{Time: 1, Cluster: c} }
	m := event.Mutation{Version: v(1), Prev: v(2), KeyVersion: v(3), Floor: v(1), ExpiryVersion: event.Version{}, Before: event.Before{Version: v(3)},
		Elements: []event.Element{{Prev: v(3)}, {Prev: v(2)}}, Origin: &event.Origin{Cluster: 2}}
	Translate(&m, from, &to)
	got := []event.ClusterNumber{m.Version.Cluster, m.Prev.Cluster, m.KeyVersion.Cluster, m.Floor.Cluster, m.ExpiryVersion.Cluster,
		m.Before.Version.Cluster, m.Elements[0].Prev.Cluster, m.Elements[1].Prev.Cluster, m.Origin.Cluster}
	if want := []event.ClusterNumber{2, 3, 1, 2, 0, 1, 1, 3, 3}; fmt.Sprint(got) != fmt.Sprint(want) || to.ID(3) != "new" {
		t.Errorf("numbers %v, want %v; 3 is %s", got, want, to.ID(3))
	}
}

// TestAllocates: deciding a mutation of one register allocates nothing.
func TestAllocates(t *testing.T) {
	var d Decision
	env := &Env{Names: names, Policy: PolicyDefault, Generation: 8}
	st, m := holds(event.TypeHash, at(9, 'a'), never, at(3, 'z'), true), writes(event.OpHSet, at(5, 'z'), at(3, 'z'))
	if n := testing.AllocsPerRun(100, func() { Decide(&d, env, st, m) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkDecide(b *testing.B) {
	env := &Env{Names: names, Policy: PolicyDefault, Generation: 8}
	for name, c := range map[string]struct {
		st *Stored
		m  *event.Mutation
	}{
		"set":  {text(at(3, 'z')), set(at(5, 'z'), at(3, 'z'))},
		"hset": {holds(event.TypeHash, at(9, 'a'), never, at(3, 'z'), true), writes(event.OpHSet, at(5, 'z'), at(3, 'z'))},
	} {
		b.Run(name, func(b *testing.B) {
			var d Decision
			b.ReportAllocs()
			for b.Loop() {
				Decide(&d, env, c.st, c.m)
			}
		})
	}
}

// TestStringOverBitmap: a bitmap of which APPEND made a string is one here, too, if it is the same bitmap.
func TestStringOverBitmap(t *testing.T) {
	env := &Env{Names: names, Policy: PolicyDefault, Generation: 8}
	st := holds(event.TypeBitmap, at(3, 'z'), never, at(3, 'z'), true)
	m := set(at(5, 'z'), at(3, 'z'))
	m.Op, m.Floor, m.ExpiryVersion = event.OpValue, event.Version{}, event.Version{}
	for prev, want := range map[event.Version]Action{at(3, 'z'): Apply, at(2, 'z'): Diverge} {
		var d Decision
		m.Prev = prev
		Decide(&d, env, st, m)
		if d.Action != want || (want == Apply) != (len(d.Emit) == 1) {
			t.Errorf("prev %v: %s, emits %d", prev, d.Action, len(d.Emit))
		}
		if want == Apply {
			if e := &d.Emit[0]; e.Op != event.OpValue || e.Type != event.TypeString || e.Before.Type != event.TypeBitmap || string(e.Value) != string(m.Value) {
				t.Errorf("emits %+v", e)
			}
		}
	}
	st.Version = at(6, 'z')
	var d Decision
	if Decide(&d, env, st, m); d.Action != Diverge {
		t.Errorf("older: %s", d.Action)
	}
}
