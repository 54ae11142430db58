package robustness

import (
	"strings"
	"testing"

	"github.com/zankv/zankv/conflict"
)

// A lost write must be found that no log has, and so must a register whose latest write isn't there; knowing writers lose nothing.
func TestRegistersFind(t *testing.T) {
	reg := register{"rh:1", "f"}
	at := func(time int64, cluster string) conflict.Version {
		return conflict.Version{Time: time, Cluster: cluster}
	}
	a1, a2, b1, b2 := at(1, "dc-a"), at(3, "dc-a"), at(2, "dc-b"), at(3, "dc-b")
	r := &Registers{writes: map[register]map[conflict.Version]write{}, removals: map[register]conflict.Version{}}
	r.add(reg, a1, write{value: "a1"}, true)
	r.add(reg, a2, write{value: "a2", prev: a1}, true)
	r.add(reg, b1, write{value: "b1", prev: a1}, true)
	r.add(reg, b2, write{value: "b2", prev: b1}, true) // wins a tie
	content := func(value string) map[string]Entry {
		return map[string]Entry{"rh:1": {Type: "hash", Value: Collected("hash", []string{Joined("f", value)})}}
	}
	logs := func(versions ...conflict.Version) ConflictLog {
		l := ConflictLog{Sides: map[register]map[conflict.Version]bool{reg: {}}}
		for _, v := range versions {
			l.Sides[reg][v] = true
		}
		return l
	}
	for _, c := range []struct {
		content map[string]Entry
		logs    ConflictLog
		want    string
	}{
		{content("b2"), logs(a2, b2), ""},
		{content("b2"), logs(b2, a1, b1), "3@dc-a"},
		{content("a2"), logs(a2, b2), `is "a2"`},
		{map[string]Entry{}, logs(a2, b2), `is ""`},
	} {
		verdict, err := r.Check(c.content, c.logs)
		if verdict.Lost != 1 || (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, %v: %+v, %v; want %q", c.content, c.logs, verdict, err, c.want)
		}
	}
	r.add(reg, at(4, "dc-b"), write{removed: true, prev: b2}, true)
	if _, err := r.Check(map[string]Entry{}, logs(a2)); err != nil {
		t.Errorf("a removal that is the latest: %v", err)
	}
	r.add(reg, at(5, "dc-b"), write{value: "b5", prev: b1}, true) // another branch
	if _, err := r.Check(content("b5"), logs(a2)); err == nil {
		t.Error("a removal that lost isn't found")
	}
	r.add(reg, at(3, "dc-c"), write{removed: true, prev: a1}, true)
	r.add(reg, at(4, "dc-c"), write{value: "c4", prev: at(3, "dc-c")}, true)
	if _, err := r.Check(content("b5"), logs(a2, at(4, "dc-c"))); err != nil {
		t.Errorf("a removal that another cluster made, too: %v", err)
	}
	r.add(reg, at(9, "dc-a"), write{removed: true, prev: b2}, true)
	if _, err := r.Check(map[string]Entry{}, logs(a2, at(4, "dc-c"), at(5, "dc-b"))); err != nil {
		t.Errorf("a register that was removed last: %v", err)
	}
}

// Redis Cluster's specification has a sum for this text, and what counts in braces.
func TestSlotOfKey(t *testing.T) {
	for key, want := range map[string]uint16{"123456789": 0x31C3 % slots, "x{123456789}y": 0x31C3 % slots} {
		if got := slotOfKey([]byte(key)); got != want {
			t.Errorf("%s: slot %d, want %d", key, got, want)
		}
	}
}
