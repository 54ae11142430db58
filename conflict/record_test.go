package conflict

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/zankv/zankv/cdc/event"
)

func sampleRecord() *Record {
	return &Record{
		ID: ID{1, 2, 3}, Register: RegisterElement, Action: Overwrite, Reason: Later, Rule: RuleTimestamp, Op: event.OpZAdd,
		Key: []byte("users:1"), Sub: []byte("a"),
		Here: Side{Version: Version{Time: 5, Cluster: "dc-b"}, Exists: true, Type: event.TypeZSet, Score: math.Inf(-1), Size: 1,
			Parts: []Part{{Sub: []byte("x"), Value: []byte("y"), Score: 2.5, Version: Version{Time: 3, Cluster: "dc-c"}}, {}}, ExpireAt: -1, Count: 2},
		There:  Side{Version: Version{Time: 7, Cluster: "dc-a"}, Place: Place{"dc-a", 3, event.Position{Term: 2, Index: 9}}, Type: event.TypeZSet, Digest: []byte("digest")},
		Source: Place{"dc-a", 3, event.Position{Term: 2, Index: 9}}, Group: 4, Command: "zadd", DecidedAt: 1e18, Removed: 6,
	}
}

func sampleDiverged() *Diverged {
	d := &Diverged{}
	d.Add(sampleRecord())
	return d
}

// TestCodec: rows are read as they were written, whatever a later program adds to them.
func TestCodec(t *testing.T) {
	rec, d := sampleRecord(), sampleDiverged()
	later := []byte{0xF8, 0x07, 1} // field 127
	for _, added := range [][]byte{nil, later} {
		got, _, err := Row(rec.RowID(), append(rec.Append(nil), added...))
		if err != nil || !reflect.DeepEqual(got, rec) {
			t.Errorf("read %+v, %v\nwrote %+v", got, err, rec)
		}
		_, div, err := Row(d.RowID(), append(d.Append(nil), added...))
		if err != nil || !reflect.DeepEqual(div, d) {
			t.Errorf("read %+v, %v\nwrote %+v", div, err, d)
		}
	}
}

// TestDamage: an unknown format is told from damage, and damage is never read as something else without a reason, nor with a panic.
func TestDamage(t *testing.T) {
	rec, d := sampleRecord(), sampleDiverged()
	for _, c := range []struct {
		id, value []byte
		want      error
	}{
		{rec.RowID(), append([]byte{2}, rec.Append(nil)[1:]...), ErrFormat},
		{[]byte{9}, rec.Append(nil), ErrFormat},
		{nil, nil, ErrCorrupt},
		{rec.RowID(), nil, ErrCorrupt},
		{d.RowID(), []byte{1, 10, 2, 0, 0}, ErrCorrupt},           // a short id
		{rec.RowID(), []byte{1, 0x10, 0xAC, 0x02}, ErrCorrupt},    // register 300
		{rec.RowID(), []byte{1, 0x12, 0}, ErrCorrupt},             // register of another wire type
		{rec.RowID(), []byte{1, 0x6A, 1, 0xFF}, ErrCorrupt},       // a command that isn't text
		{rec.RowID(), []byte{1, 0x4A, 0x7F, 1}, ErrCorrupt},       // a side cut short
		{rec.RowID(), []byte{1, 0x4A, 2, 0x0A, 0x7F}, ErrCorrupt}, // a version cut short within
	} {
		if _, _, err := Row(c.id, c.value); !errors.Is(err, c.want) {
			t.Errorf("row % x, % x: %v, want %v", c.id, c.value, err, c.want)
		}
	}
	draw := rand.New(rand.NewPCG(1, 1))
	for range 20000 {
		data := rec.Append(nil)
		data = data[:1+draw.IntN(len(data))]
		for range draw.IntN(4) {
			data[draw.IntN(len(data))] ^= byte(1 << draw.IntN(8))
		}
		if got, err := DecodeRecord(data); err == nil {
			got.Append(nil)
		} else if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrFormat) {
			t.Fatalf("% x: %v", data, err)
		}
	}
}

// TestBound: content above the limit leaves size and digest, and the digest tells contents apart.
func TestBound(t *testing.T) {
	big := func(value string) Side {
		s := Side{Value: []byte(value)}
		s.bound(8)
		return s
	}
	a, b, small := big("123456789"), big("123456780"), big("12345678")
	switch {
	case small.Digest != nil || string(small.Value) != "12345678" || small.Size != 8:
		t.Errorf("8 bytes within a limit of 8: %+v", small)
	case a.Value != nil || a.Size != 9 || len(a.Digest) != 32 || bytes.Equal(a.Digest, b.Digest):
		t.Errorf("9 bytes: %+v and %+v", a, b)
	}
	parts := Side{Parts: []Part{{Sub: []byte("f"), Value: []byte("v")}}}
	parts.bound(8)
	if parts.Parts != nil || len(parts.Digest) != 32 {
		t.Errorf("an element above the limit: %+v", parts)
	}
}

// TestDiverged: one record counts the events that something was held back of, each once.
func TestDiverged(t *testing.T) {
	var d Diverged
	at := func(index uint64, time int64) *Record {
		rec := sampleRecord()
		rec.Source.Position.Index, rec.There.Version.Time, rec.DecidedAt = index, time, int64(index)
		return rec
	}
	for _, rec := range []*Record{at(9, 7), at(9, 8), at(12, 20), at(9, 7), at(12, 20), at(13, 15)} {
		d.Add(rec)
	}
	if d.Count != 3 || d.First.Position.Index != 9 || d.Last.Position.Index != 13 || d.FirstAt != 9 || d.LastAt != 13 {
		t.Errorf("%+v", d)
	}
	if want := (Version{Time: 20, Cluster: "dc-a"}); d.Latest != want {
		t.Errorf("latest %v, want %v", d.Latest, want)
	}
	if d.ID != DivergedID(d.Key, "dc-a") || d.ID == DivergedID(d.Key, "dc-b") {
		t.Error("the id isn't that of key and source")
	}
}

// TestRecordID: a conflict has the same id whatever numbers clusters have, and another write has another.
func TestRecordID(t *testing.T) {
	m := event.Mutation{Op: event.OpHSet, Key: []byte(key), Version: event.Version{Time: 5, Cluster: 1}, Elements: []event.Element{{Sub: []byte("f")}, {Sub: []byte("g")}}}
	env := &Env{Names: names}
	id := RecordID(env, &m, &Outcome{Register: RegisterElement})
	renumbered := m
	renumbered.Version.Cluster = 2
	if got := RecordID(&Env{Names: event.Names{"", "x", names[1]}}, &renumbered, &Outcome{Register: RegisterElement, Stored: event.Version{Time: 3}}); got != id {
		t.Error("the id depends on the cluster's number, or on what is stored")
	}
	others := map[ID]bool{id: true}
	for _, o := range []Outcome{{Register: RegisterElement, Element: 1}, {Register: RegisterKey}, {Register: RegisterExpiry}} {
		others[RecordID(env, &m, &o)] = true
	}
	m.Version.Time++
	others[RecordID(env, &m, &Outcome{Register: RegisterElement})] = true
	others[RecordID(env, &renumbered, &Outcome{Register: RegisterElement})] = true
	if len(others) != 6 {
		t.Errorf("%d ids of 6 writes", len(others))
	}
}

// TestRecordJSON shows what people see.
func TestRecordJSON(t *testing.T) {
	st := &Stored{Meta: event.Meta{Type: event.TypeString, Version: event.Version{Time: 3, Cluster: 2}, Value: []byte("mine")}, Exists: true}
	m := &event.Mutation{Op: event.OpSet, Type: event.TypeString, Key: []byte("users:1"), Value: []byte("yours"), Version: event.Version{Time: 5, Cluster: 1},
		Floor: event.Version{Time: 5, Cluster: 1}, Command: "set", Before: event.Before{Exists: true}, Prev: event.Version{Time: 1, Cluster: 1}}
	env := &Env{Names: names, Self: 2, Policy: PolicyDefault, Origin: event.Origin{Cluster: 1, Partition: 3, Position: event.Position{Term: 2, Index: 9}}}
	var d Decision
	Decide(&d, env, st, m)
	rec := NewRecord(env, st, m, &d.Outcomes[0], Place{"zeta", 3, event.Position{Term: 2, Index: 9}}, 1e18, 100)
	got, err := json.Marshal(&rec)
	want := `{"id":"` + rec.ID.String() + `","key":"users:1","register":"key","op":"set","action":"overwrite","reason":"later","rule":"timestamp",` +
		`"here":{"version":"3@alpha","exists":true,"type":"string","value":"mine","size":4},` +
		`"there":{"version":"5@zeta","exists":true,"type":"string","value":"yours","size":5,"written_at":{"cluster":"zeta","partition":3,"position":"2-9"}},` +
		`"source":{"cluster":"zeta","partition":3,"position":"2-9"},"group":0,"command":"set","decided_at":"2001-09-09T01:46:40Z"}`
	if err != nil || string(got) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
	st.Value = []byte{0xFF}
	rec = NewRecord(env, st, m, &d.Outcomes[0], Place{}, 0, 100)
	if got, err := json.Marshal(&rec); err != nil || !strings.Contains(string(got), `"enc":"base64"`) || !strings.Contains(string(got), `"value":"/w=="`) {
		t.Errorf("%v\n%s", err, got)
	}
	if got, err := json.Marshal(sampleDiverged()); err != nil || !strings.Contains(string(got), `"latest_version":"7@dc-a"`) {
		t.Errorf("%v\n%s", err, got)
	}
}
