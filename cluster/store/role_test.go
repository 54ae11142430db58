package store

import (
	"errors"
	"testing"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/engine"
)

// TestRole: the row has the position of the entry, the chain knows nothing of it, and it is there after opening again.
func TestRole(t *testing.T) {
	e := memEngine(t)
	s := openStore(t, e, nil)
	a, w := s.NewApply(), newWorld()
	w.begin()
	w.set("k", "v", 0)
	gather(t, a, w.end())
	must(t, a.Commit())
	if got, err := s.Role(); err != nil || got != (Role{}) {
		t.Fatalf("before any switch: %+v, %v", got, err)
	}
	before := s.State()
	for _, only := range []bool{true, false, true} {
		w.begin()
		w.ev.Own = append(w.ev.Own, RoleChange(only))
		at := w.end()
		gather(t, a, at)
		must(t, a.Commit())
		got, err := openStore(t, e, nil).Role()
		if want := (Role{SyncerOnly: only, Since: at.pos}); err != nil || got != want {
			t.Errorf("%+v, %v, want %+v", got, err, want)
		}
	}
	if after := s.State(); after.Chain != before.Chain || after.LastEvent != before.LastEvent || after.Events != before.Events {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

// TestUnknownRole: a role that this program doesn't know stops the replica before it is in force.
func TestUnknownRole(t *testing.T) {
	for name, o := range map[string]event.OwnChange{
		"none":    {Kind: event.OwnRole},
		"unknown": {Kind: event.OwnRole, Value: []byte{3}},
		"long":    {Kind: event.OwnRole, Value: []byte{2, 0}},
		"named":   {Kind: event.OwnRole, ID: []byte("x"), Value: []byte{2}},
	} {
		a, w := openStore(t, memEngine(t), nil).NewApply(), newWorld()
		w.begin()
		w.ev.Own = append(w.ev.Own, o)
		at := w.end()
		if err := a.Event(at.pos, at.ev); !errors.Is(err, ErrEvent) {
			t.Errorf("%s: %v, want ErrEvent", name, err)
		}
	}
}

// TestDamagedRole: a row that can't be a role isn't taken for one.
func TestDamagedRole(t *testing.T) {
	for _, value := range []string{"\x02", "\x00aaaaaaaabbbbbbbb", "\x02aaaaaaaabbbbbbbbc"} {
		s := openStore(t, memEngine(t), nil)
		var b engine.Batch
		b.Put(appendOwnKey(nil, event.OwnRole, nil), []byte(value))
		must(t, s.engine.Write(&b))
		if _, err := s.Role(); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%x: %v, want ErrCorrupt", value, err)
		}
	}
}
