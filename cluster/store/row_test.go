package store

import (
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/zankv/zankv/cdc/event"
)

func version(t int64) event.Version { return event.Version{Time: t, Cluster: 1} }

// metas are meta rows of every shape: each combination of floor, expiry version and expiry, strings and collections.
func metas() (all []event.Meta) {
	v, far := version(1_700_000_000_000_000_000), event.Version{Time: 5, Cluster: 1<<32 - 1}
	for _, floor := range []event.Version{{}, v, far} {
		for _, expiry := range []event.Version{{}, v, far, version(9)} {
			for _, at := range []int64{0, 1, -1, 1_800_000_000_000, 1<<63 - 1} {
				m := event.Meta{Type: event.TypeString, Version: v, Floor: floor, ExpireAt: at, ExpiryVersion: expiry, Value: []byte("value")}
				all = append(all, m)
				m.Type, m.Generation, m.Count = event.TypeList, 1<<64-1, 300
				all = append(all, m)
				m.Type, m.Generation, m.Count = event.TypeNone, 0, 0
				all = append(all, m)
			}
		}
	}
	return all
}

func TestMetaRoundTrip(t *testing.T) {
	for _, want := range metas() {
		row := appendMeta(nil, &want)
		var got event.Meta
		must(t, decodeMeta(&got, row))
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("row % x: got %+v, want %+v", row, got, want)
		}
		for cut := range len(row) - len(want.Value) {
			if err := decodeMeta(&got, row[:cut]); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("row % x cut to %d bytes: got %v, want %v", row, cut, err, ErrCorrupt)
			}
		}
	}
}

// TestRowSizes holds the figures that DESIGN.md gives.
func TestRowSizes(t *testing.T) {
	v := version(1_700_000_000_000_000_000)
	set := event.Meta{Type: event.TypeString, Version: v, Floor: v, ExpiryVersion: v}
	incr := set
	incr.Version = version(v.Time + 1)
	expiring := set
	expiring.ExpireAt = 1_800_000_000_000
	for _, c := range []struct {
		name string
		m    event.Meta
		want int
	}{{"SET", set, 12}, {"SET EX", expiring, 18}, {"SET, then INCR", incr, 21}} {
		if got := len(appendMeta(nil, &c.m)); got != c.want {
			t.Errorf("%s: %d bytes beside the value, want %d", c.name, got, c.want)
		}
	}
}

func TestUnknownFormatsAreRefusedByName(t *testing.T) {
	m := event.Meta{Type: event.TypeString, Version: version(1)}
	e := element{kind: event.TypeHash, version: version(1)}
	st := State{}
	change := func(row []byte, at int, b byte) []byte { row[at] = b; return row }
	for name, err := range map[string]error{
		"meta format":    decodeMeta(&m, change(appendMeta(nil, &m), 0, 2)),
		"meta type":      decodeMeta(&m, change(appendMeta(nil, &m), 1, 7)),
		"meta flag":      decodeMeta(&m, change(appendMeta(nil, &m), 2, 0x20)),
		"meta floor":     decodeMeta(&m, change(appendMeta(nil, &m), 2, 0x03)),
		"element format": decodeElement(&e, change(appendElement(nil, &e), 0, 9)),
		"element kind":   decodeElement(&e, change(appendElement(nil, &e), 1, 1)),
		"state format":   decodeState(&st, change(appendState(nil, &st), 0, 2)),
	} {
		if !errors.Is(err, ErrFormat) || errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: got %v, want %v", name, err, ErrFormat)
		}
	}
}

func TestElementRoundTrip(t *testing.T) {
	for _, kind := range []event.Type{event.TypeNone, event.TypeHash, event.TypeList, event.TypeSet, event.TypeZSet, event.TypeBitmap} {
		want := element{kind: kind, version: version(77), payload: []byte("p")}
		row := appendElement(nil, &want)
		var got element
		must(t, decodeElement(&got, row))
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
		for cut := range len(row) - 1 {
			if err := decodeElement(&got, row[:cut]); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("cut to %d: got %v, want %v", cut, err, ErrCorrupt)
			}
		}
	}
}

func TestStateAndIdentityRoundTrip(t *testing.T) {
	want := State{
		Applied: event.Position{Term: 1, Index: 2}, LastEvent: event.Position{Term: 3, Index: 4}, Chain: event.Chain{5, 31: 6},
		Events: 7, Clock: 8, Wall: 9, Keys: 10, Expiring: 11, ConfState: []byte("conf"),
	}
	row := appendState(nil, &want)
	var got State
	must(t, decodeState(&got, row))
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	for cut := range row {
		if err := decodeState(&got, row[:cut]); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("state cut to %d: got %v", cut, err)
		}
	}
	if err := decodeState(&got, append(row, 0)); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("state with a byte too many: got %v", err)
	}
	id := appendIdentity(nil, testID)
	back, err := decodeIdentity(id)
	must(t, err)
	if back != testID {
		t.Fatalf("got %v, want %v", back, testID)
	}
	for cut := range id {
		if _, err := decodeIdentity(id[:cut]); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("identity cut to %d: got %v", cut, err)
		}
	}
}

func FuzzDecodeRows(f *testing.F) {
	for _, m := range metas() {
		f.Add(appendMeta(nil, &m))
	}
	f.Add(appendState(nil, &State{ConfState: []byte("c")}))
	f.Add(appendIdentity(nil, testID))
	f.Fuzz(func(t *testing.T, row []byte) {
		var m, again event.Meta
		if decodeMeta(&m, row) == nil && len(row) > 3 {
			must(t, decodeMeta(&again, appendMeta(nil, &m)))
			if fmt.Sprintf("%+v", m) != fmt.Sprintf("%+v", again) {
				t.Fatalf("% x: %+v, written and read again %+v", row, m, again)
			}
		}
		var e element
		_ = decodeElement(&e, row)
		var s State
		_ = decodeState(&s, row)
		_, _ = decodeIdentity(row)
		_, _, _ = cutEscaped(nil, row)
	})
}
