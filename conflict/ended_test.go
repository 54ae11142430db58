package conflict

import (
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/event"
)

// A key made of nothing takes away a row that ended, all of it no later than its maker knew everything; and nothing else.
func TestEnded(t *testing.T) {
	const end = 20 // ms
	ns := func(at int64) int64 { return at * int64(time.Millisecond) }
	v := func(at int64) event.Version { return event.Version{Time: ns(at), Cluster: 1} }
	row := event.Meta{Type: event.TypeHash, Version: v(10), Floor: v(5), ExpireAt: end, ExpiryVersion: v(11), Generation: 7, Count: 1}
	for name, c := range map[string]struct {
		bound event.Version
		st    func(m *event.Meta)
		ends  bool
	}{
		"all before":            {event.Version{Time: ns(20)}, func(*event.Meta) {}, true},
		"the end is later":      {event.Version{Time: ns(20) - 1}, func(*event.Meta) {}, false},
		"content is later":      {event.Version{Time: ns(20)}, func(m *event.Meta) { m.Version = v(21) }, false},
		"its floor is later":    {event.Version{Time: ns(20)}, func(m *event.Meta) { m.Floor = v(21) }, false},
		"its expiry is later":   {event.Version{Time: ns(20)}, func(m *event.Meta) { m.ExpiryVersion = v(21) }, false},
		"it has no expiry":      {event.Version{Time: ns(20)}, func(m *event.Meta) { m.ExpireAt = 0 }, false},
		"somebody's expiry":     {v(20), func(*event.Meta) {}, false},
		"nothing said about it": {event.Version{}, func(*event.Meta) {}, false},
	} {
		st := &Stored{Meta: row, Exists: true, Elements: []Element{{Sub: []byte("f"), Version: v(10), Exists: true}}}
		c.st(&st.Meta)
		m := &event.Mutation{Op: event.OpHSet, Type: event.TypeHash, Key: []byte(key), Version: v(40), KeyVersion: v(40), ExpiryVersion: c.bound, Generation: 9, Count: 1,
			Elements: []event.Element{{Sub: []byte("f"), Value: []byte("x")}}}
		var d Decision
		Decide(&d, &Env{Names: event.Names{"", "a", "b"}, Self: 2, Policy: PolicyDefault, Generation: 99, Origin: event.Origin{Cluster: 1}}, st, m)
		if !c.ends {
			if len(d.Emit) != 1 || d.Emit[0].Op != event.OpHSet || d.Emit[0].Generation != 7 || d.Emit[0].ExpireAt != st.ExpireAt {
				t.Errorf("%s: %+v", name, d.Emit)
			}
			continue
		}
		if len(d.Emit) != 2 || d.Action != Apply {
			t.Fatalf("%s: action %d, %+v", name, d.Action, d.Emit)
		}
		gone, made := &d.Emit[0], &d.Emit[1]
		if gone.Op != event.OpExpire || gone.Origin != nil || gone.Version != st.Version || gone.Before.ExpireAt != end || gone.Before.Generation != 7 || gone.Tombstone {
			t.Errorf("%s: removed by %+v", name, gone)
		}
		if made.Op != event.OpHSet || made.Before.Exists || made.Count != 1 || made.Generation != 99 || made.Elements[0].Exists || made.ExpireAt != 0 || made.ExpiryVersion != c.bound || made.Origin == nil {
			t.Errorf("%s: made by %+v", name, made)
		}
	}
}

// An expiry that was written over one that nobody set is no conflict, and no version is shown for that.
func TestExpiryOverNobodys(t *testing.T) {
	bound := event.Version{Time: 5}
	st := &Stored{Meta: event.Meta{Type: event.TypeString, Version: event.Version{Time: 7, Cluster: 1}, ExpiryVersion: bound}, Exists: true}
	m := &event.Mutation{Op: event.OpExpireAt, Type: event.TypeString, Key: []byte(key), ExpireAt: farAway, Version: event.Version{Time: 9, Cluster: 1}}
	m.ExpiryVersion = m.Version
	var d Decision
	Decide(&d, &Env{Names: event.Names{"", "a", "b"}, Self: 2, Policy: PolicyDefault}, st, m)
	if d.Action != Apply || len(d.Emit) != 1 || !d.Emit[0].Prev.IsZero() || d.Outcomes[0].Logged() {
		t.Fatalf("%+v, %+v", d.Outcomes, d.Emit)
	}
}

// What is written here made the key here, and an expiry that was decided here before doesn't come back with it.
func TestExpiryUnderTheWatermarkStaysGone(t *testing.T) {
	old := event.Version{Time: 5, Cluster: 1}
	m := &event.Mutation{Op: event.OpHSet, Type: event.TypeHash, Key: []byte(key), Version: event.Version{Time: 9, Cluster: 1}, ExpireAt: farAway, ExpiryVersion: old, Count: 2,
		Before: event.Before{Exists: true, Type: event.TypeHash}, Prev: old, Elements: []event.Element{{Sub: []byte("f")}}}
	for watermark, want := range map[int64]int64{4: farAway, 5: 0} {
		var d Decision
		Decide(&d, &Env{Names: event.Names{"", "a", "b"}, Self: 2, Policy: PolicyDefault, Watermark: watermark, Generation: 3}, &Stored{Elements: make([]Element, 1)}, m)
		if len(d.Emit) != 1 || d.Emit[0].ExpireAt != want {
			t.Errorf("watermark %d: %+v, want expiry %d", watermark, d.Emit, want)
		}
	}
}
