package event

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// sameElements compares what a line shows of its elements with those it was made of.
func sameElements(t *testing.T, got, want *Mutation, gotNames, wantNames Names) {
	t.Helper()
	if !want.Op.OnElements() {
		return
	}
	if got.Whole != want.Whole || want.Op == OpBits && got.Count != want.Count {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	if want.Op.pops() {
		if got.Popped != uint64(len(want.Elements)) || len(got.Elements) != 0 {
			t.Fatalf("%d popped and %d elements, want %d and none", got.Popped, len(got.Elements), len(want.Elements))
		}
		return
	}
	if len(got.Elements) != len(want.Elements) {
		t.Fatalf("op %s: %d elements, want %d", want.Op, len(got.Elements), len(want.Elements))
	}
	op := want.Op
	for i := range want.Elements {
		g, w := &got.Elements[i], &want.Elements[i]
		if (op.namesSubs() || op == OpBits) && !bytes.Equal(g.Sub, w.Sub) ||
			(op.showsElementValues() || op == OpBits) && !bytes.Equal(g.Value, w.Value) ||
			op == OpZAdd && math.Float64bits(g.Score) != math.Float64bits(w.Score) ||
			(op == OpLSet || op == OpLInsert || op == OpLRem) && g.Index != w.Index {
			t.Fatalf("op %s, element %d: got %+v, want %+v", op, i, g, w)
		}
		if want.versionsElements() && (g.Prev.Time != w.Prev.Time || !w.Prev.IsZero() && gotNames.ID(g.Prev.Cluster) != wantNames.ID(w.Prev.Cluster)) {
			t.Fatalf("op %s, element %d: prev %+v, want %+v", op, i, g.Prev, w.Prev)
		}
	}
}

// oneOf is a mutation of each op on elements, as a command would make it.
func oneOf(op Op) Mutation {
	m := Mutation{Op: op, Type: op.ElementType(), Key: []byte("t:k"), Version: Version{9, 1}, Prev: Version{8, 1}, KeyVersion: Version{9, 1},
		Generation: 5, Count: 600, Elements: []Element{{Prev: Version{7, 2}, Exists: true}, {}}}
	a, b := &m.Elements[0], &m.Elements[1]
	switch op {
	case OpHSet:
		a.Sub, a.Value, b.Sub, b.Value = []byte("age"), []byte("37"), []byte("a\"b"), nil
	case OpHDel, OpSAdd, OpSRem, OpZRem:
		a.Sub, b.Sub = []byte("x"), []byte("ü")
	case OpZAdd:
		a.Sub, a.Score, b.Sub, b.Score = []byte("x"), 1.5, []byte("y"), math.Copysign(0, -1)
	case OpLPush, OpRPush:
		a.Value, b.Value = []byte("first"), []byte("second")
	case OpLSet:
		a.Value, a.Index, b.Value, b.Index = []byte("first"), 3, []byte("second"), 1
	case OpLInsert:
		a.Value, a.Index = []byte("first"), 3
		m.Elements = m.Elements[:1]
	case OpLRem:
		a.Index, b.Index = 0, 4
	case OpBits:
		a.Sub, a.Value, b.Sub = []byte{0, 0, 0, 0}, []byte("\x00\x80"), []byte{0, 1, 0, 2}
	}
	return m
}

func contentOf(t *testing.T, m Mutation) string {
	t.Helper()
	line := string(AppendJSON(nil, &Stamp{}, &Event{Mutations: []Mutation{m}}, 0, Names{"", "a", "b"}))
	_, line, _ = strings.Cut(line, `"key":`)
	line = strings.TrimPrefix(line, `"t:k",`)
	line, _, _ = strings.Cut(line, `,"group"`)
	return line
}

func TestJSONOfElements(t *testing.T) {
	const prevs = `"version":"9@a","prev":{"x":"7@b","ü":"absent"}`
	const prev = `"version":"9@a","prev":"8@a"`
	for op, want := range map[Op]string{
		OpHSet:    `"fields":{"age":"37","a\"b":""},"version":"9@a","prev":{"age":"7@b","a\"b":"absent"}`,
		OpHDel:    `"fields":["x","ü"],` + prevs,
		OpSAdd:    `"members":["x","ü"],` + prevs,
		OpSRem:    `"members":["x","ü"],` + prevs,
		OpZAdd:    `"scores":{"x":"1.5","y":"-0"},"version":"9@a","prev":{"x":"7@b","y":"absent"}`,
		OpZRem:    `"members":["x","ü"],` + prevs,
		OpLPush:   `"items":["first","second"],` + prev,
		OpRPush:   `"items":["first","second"],` + prev,
		OpLPop:    `"count":2,` + prev,
		OpRPop:    `"count":2,` + prev,
		OpLSet:    `"indexes":[3,1],"items":["first","second"],` + prev,
		OpLInsert: `"indexes":[3],"items":["first"],` + prev,
		OpLRem:    `"indexes":[0,4],` + prev,
		OpBits:    `"segments":{"0":"AIA=","65538":""},"length":600,"version":"9@a","prev":{"0":"7@b","65538":"absent"}`,
	} {
		if got := contentOf(t, oneOf(op)); got != want {
			t.Errorf("%s: got\n%s, want\n%s", op, got, want)
		}
	}
	m := oneOf(OpHSet)
	m.Whole, m.ExpireAt = true, 5
	if got, want := contentOf(t, m), `"fields":{"age":"37","a\"b":""},"whole":true,"expire_at":5,`+prev; got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
	m = oneOf(OpHSet)
	m.Elements[1].Value = []byte("\xff")
	if got, want := contentOf(t, m), `"dDpr","fields":{"YWdl":"Mzc=","YSJi":"/w=="},"version":"9@a","prev":{"YWdl":"7@b","YSJi":"absent"}`; got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
}

func TestParseRefusesElements(t *testing.T) {
	for _, c := range []struct {
		name     string
		op       Op
		from, to string
	}{
		{"no fields", OpHSet, `"fields":{"age":"37","a\"b":""},`, ``},
		{"fields of hdel in hset", OpHSet, `{"age":"37","a\"b":""}`, `["age","a\"b"]`},
		{"fields of hset in hdel", OpHDel, `["x","ü"]`, `{"x":"","ü":""}`},
		{"a field twice", OpHSet, `{"age":"37","a\"b":""},"version":"9@a","prev":{"age":"7@b","a\"b":"absent"}`,
			`{"age":"37","age":""},"version":"9@a","prev":{"age":"7@b","age":"absent"}`},
		{"a field twice, written in two ways", OpHSet, `{"age":"37","a\"b":""},"version":"9@a","prev":{"age":"7@b","a\"b":"absent"}`,
			`{"age":"37","\u0061ge":""},"version":"9@a","prev":{"age":"7@b","age":"absent"}`},
		{"a member twice", OpSAdd, `["x","ü"],"version":"9@a","prev":{"x":"7@b","ü"`, `["x","x"],"version":"9@a","prev":{"x":"7@b","x"`},
		{"prev lacks one", OpSAdd, `,"ü":"absent"`, ``},
		{"prev of another", OpSAdd, `"ü":"absent"`, `"u":"absent"`},
		{"prev in another order", OpSAdd, `{"x":"7@b","ü":"absent"}`, `{"ü":"absent","x":"7@b"}`},
		{"one prev for all", OpSAdd, `{"x":"7@b","ü":"absent"}`, `"absent"`},
		{"prevs of a list", OpLPush, `"prev":"8@a"`, `"prev":{"first":"8@a","second":"8@a"}`},
		{"prevs of a whole key", OpSAdd, `"version"`, `"whole":true,"version"`},
		{"not whole", OpLPush, `"version"`, `"whole":false,"version"`},
		{"whole twice", OpLPush, `"version"`, `"whole":true,"whole":true,"version"`},
		{"members in hset", OpHSet, `"version"`, `"members":[],"version"`},
		{"a score in another form", OpZAdd, `"1.5"`, `"1.50"`},
		{"a score in hexadecimal", OpZAdd, `"1.5"`, `"0x1.8p0"`},
		{"no score", OpZAdd, `"1.5"`, `"NaN"`},
		{"a score beyond all", OpZAdd, `"1.5"`, `"1e999"`},
		{"a score as a number", OpZAdd, `"1.5"`, `1.5`},
		{"a negative count", OpLPop, `"count":2`, `"count":-2`},
		{"a negative index", OpLSet, `[3,1]`, `[3,-1]`},
		{"an index twice", OpLSet, `[3,1]`, `[3,3]`},
		{"fewer indexes than items", OpLSet, `[3,1]`, `[3]`},
		{"more indexes than items", OpLSet, `["first","second"]`, `["first"]`},
		{"two items inserted", OpLInsert, `[3],"items":["first"]`, `[3,4],"items":["first","second"]`},
		{"indexes that fall", OpLRem, `[0,4]`, `[4,0]`},
		{"a segment in another form", OpBits, `"0":"AIA="`, `"00":"AIA="`},
		{"a segment beyond all", OpBits, `"65538"`, `"4294967296"`},
		{"a segment twice", OpBits, `"65538":""`, `"0":""`},
		{"a segment that isn't base64", OpBits, `"AIA="`, `"AIA"`},
		{"no length", OpBits, `,"length":600`, ``},
		{"an array without end", OpLPush, `"second"]`, `"second"`},
		{"an array with a hole", OpLPush, `"first",`, `"first",,`},
	} {
		ev := &Event{Mutations: []Mutation{oneOf(c.op)}}
		good := string(AppendJSON(nil, &Stamp{}, ev, 0, Names{"", "a", "b"}))
		bad := strings.Replace(good, c.from, c.to, 1)
		if bad == good {
			t.Fatalf("%s: nothing to change in %s", c.name, good)
		}
		var p Parser
		var l Line
		if err := p.Parse([]byte(good), &l); err != nil {
			t.Fatalf("%v: %s", err, good)
		}
		if err := p.Parse([]byte(bad), &l); !errors.Is(err, ErrLine) {
			t.Errorf("%s: got %v for %s", c.name, err, bad)
		}
	}
}

func TestScoresHaveOneForm(t *testing.T) {
	for score, want := range map[float64]string{0: "0", 1: "1", -37.25: "-37.25", 0.1: "0.1", 1e20: "100000000000000000000", 1e21: "1e+21", 1e-6: "0.000001", 1e-7: "1e-07",
		math.Inf(1): "inf", math.Inf(-1): "-inf", math.MaxFloat64: "1.7976931348623157e+308", 5e-324: "5e-324", 9007199254740993: "9007199254740992"} {
		if got := string(appendScore(nil, score)); got != want {
			t.Errorf("%v: got %q, want %q", score, got, want)
		}
	}
}

// Long collections pass through the logged form and the lines as well as short ones.
func TestLongCollections(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	names := Names{"", "dc-a", "dc-b"}
	var got Event
	var p Parser
	var l Line
	var scratch Scratch
	for op := OpHSet; op <= OpBits; op++ {
		m := Mutation{Op: op, Type: op.ElementType(), Key: []byte("k"), Version: Version{100, 1}, Generation: 3, Count: 5000}
		for i := range 5000 {
			e := Element{Sub: fmt.Appendf(nil, "s%d", i), Value: fmt.Appendf(nil, "value %d", i), Score: r.NormFloat64() * 1e6, Index: int64(i) * 3, Prev: Version{int64(i % 2), 1}}
			if op == OpBits {
				e.Sub = []byte(segment(uint32(i)))
			}
			if m.Elements = append(m.Elements, e); op == OpLInsert {
				break
			}
		}
		ev := &Event{Time: 100, Mutations: []Mutation{m, m}}
		if err := Decode(Append(nil, ev), &got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(normal(&got), normal(ev)) {
			t.Fatalf("%s: decoded otherwise", op)
		}
		if err := p.Parse(AppendJSON(nil, &Stamp{}, &got, 1, names), &l); err != nil {
			t.Fatal(err)
		}
		sameElements(t, &l.Mutation, &m, p.Names, names)
		if DigestOf(&l.Mutation, p.Names, &scratch) != DigestOf(&m, names, &scratch) {
			t.Fatalf("%s: the digest of what was read differs", op)
		}
	}
}

// Elements of one mutation stay as they are while those of later ones make the memory grow, and nothing appended to them reaches others.
func TestElementsOfOneEventShareMemorySafely(t *testing.T) {
	ev := &Event{Time: 1}
	for i := range 200 {
		m := Mutation{Op: OpSAdd, Type: TypeSet, Key: []byte("k"), Version: Version{int64(i), 1}}
		for j := range 1 + i%7 {
			m.Elements = append(m.Elements, Element{Sub: fmt.Appendf(nil, "%d/%d", i, j)})
		}
		ev.Mutations = append(ev.Mutations, m)
	}
	var got Event
	data := Append(nil, ev)
	for range 200 {
		if err := Decode(data, &got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(normal(&got), normal(ev)) {
			t.Fatal("decoded otherwise")
		}
		for i := range got.Mutations {
			m := &got.Mutations[i]
			m.Elements = append(m.Elements, Element{Sub: []byte("mine")})[:len(m.Elements)]
		}
		if !reflect.DeepEqual(normal(&got), normal(ev)) {
			t.Fatal("what was appended to one mutation's elements is another's now")
		}
	}
	if c := cap(got.elements); c > 2000 {
		t.Fatalf("after many events of 800 elements there is room for %d", c)
	}
}

func TestDecodeForgetsElements(t *testing.T) {
	big := &Event{Mutations: []Mutation{{Op: OpSAdd, Type: TypeSet, Elements: make([]Element, elementsKept+1)}}}
	var got Event
	if err := Decode(Append(nil, big), &got); err != nil || len(got.Mutations[0].Elements) != elementsKept+1 {
		t.Fatal(err)
	}
	if err := Decode(Append(nil, &Event{Mutations: []Mutation{{Op: OpDel}}}), &got); err != nil || got.Mutations[0].Elements != nil || cap(got.elements) > elementsKept {
		t.Fatalf("%+v, room for %d, %v", got, cap(got.elements), err)
	}
}

func TestDecodeRefusesElements(t *testing.T) {
	number := func(m Mutation) []byte { return Append(nil, &Event{Mutations: []Mutation{m}}) }
	for says, data := range map[string][]byte{
		"score that is no number":  number(Mutation{Op: OpZAdd, Elements: []Element{{Score: math.NaN()}}}),
		"index below 0":            number(Mutation{Op: OpLSet, Elements: []Element{{Index: -1}}}),
		"segment without a number": number(Mutation{Op: OpBits, Elements: []Element{{Sub: []byte("abc")}}}),
	} {
		var ev Event
		if err := Decode(data, &ev); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want one that says %q", err, says)
		}
	}
}

func TestTextOfElements(t *testing.T) {
	for op, want := range map[Op]string{
		OpHSet: `t:k  age = "37", "a\"b" = ""`, OpHDel: `t:k  x, "ü"`, OpSAdd: `t:k  x, "ü"`, OpSRem: `t:k  x, "ü"`, OpZRem: `t:k  x, "ü"`,
		OpZAdd: `t:k  x = 1.5, y = -0`, OpLPush: `t:k  "first", "second"  was 8@a`, OpRPush: `t:k  "first", "second"  was 8@a`,
		OpLPop: `t:k  2 items  was 8@a`, OpRPop: `t:k  2 items  was 8@a`, OpLSet: `t:k  3 = "first", 1 = "second"  was 8@a`,
		OpLInsert: `t:k  3 = "first"  was 8@a`, OpLRem: `t:k  0, 4  was 8@a`, OpBits: `t:k  segment 0: 2 bytes, segment 65538: 0 bytes of 600 bytes`,
	} {
		m := oneOf(op)
		got := string(AppendText(nil, &Stamp{}, &Event{Mutations: []Mutation{m}}, 0, Names{"", "a", "b"}))
		if !strings.HasSuffix(got, "  "+want+"\n") {
			t.Errorf("%s: got\n%s, want\n%s", op, got, want)
		}
	}
	m := Mutation{Op: OpSAdd, Type: TypeSet, Key: []byte("k"), Whole: true, Prev: Version{8, 1}}
	for i := range 1000 {
		m.Elements = append(m.Elements, Element{Sub: fmt.Append(nil, i)})
	}
	got := string(AppendText(nil, &Stamp{}, &Event{Mutations: []Mutation{m}}, 0, Names{"", "a", "b"}))
	if want := "k  0, 1, 2 … and 997 more  whole key  was 8@a\n"; !strings.HasSuffix(got, want) {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
}

// The chain changes with whatever a line shows of elements, and with nothing else.
func TestChainCoversElements(t *testing.T) {
	names := Names{"", "a", "b"}
	var scratch Scratch
	for op := OpHSet; op <= OpBits; op++ {
		for _, whole := range []bool{false, true} {
			build := func(change func(m *Mutation, e *Element)) (Digest, string) {
				m := oneOf(op)
				m.Whole = whole
				change(&m, &m.Elements[0])
				return DigestOf(&m, names, &scratch), contentOf(t, m)
			}
			digest, line := build(func(*Mutation, *Element) {})
			for name, change := range map[string]func(m *Mutation, e *Element){
				"sub":            func(m *Mutation, e *Element) { e.Sub = []byte("\x00\x00\x09\x09") },
				"value":          func(m *Mutation, e *Element) { e.Value = []byte("other") },
				"score":          func(m *Mutation, e *Element) { e.Score += 0.5 },
				"index":          func(m *Mutation, e *Element) { e.Index += 9 },
				"prev":           func(m *Mutation, e *Element) { e.Prev.Time = 3 },
				"prev's cluster": func(m *Mutation, e *Element) { e.Prev.Cluster = 1 },
				"no prev":        func(m *Mutation, e *Element) { e.Prev = Version{} },
				"exists, was":    func(m *Mutation, e *Element) { e.Exists, e.Was = !e.Exists, 77 },
				"count":          func(m *Mutation, e *Element) { m.Count++ },
				"key's prev":     func(m *Mutation, e *Element) { m.Prev.Time = 3 },
				"key's version": func(m *Mutation, e *Element) {
					m.KeyVersion, m.Generation, m.ElementTombstones = Version{1, 1}, 77, true
				},
				"meta value": func(m *Mutation, e *Element) { m.Value = []byte("hidden") },
				"whole":      func(m *Mutation, e *Element) { m.Whole = !m.Whole },
				"one more": func(m *Mutation, e *Element) {
					m.Elements = append(m.Elements, Element{Sub: []byte("\x00\x00\x00\x09")})
				},
				"order": func(m *Mutation, e *Element) {
					slices.Reverse(m.Elements)
				},
			} {
				if d, l := build(change); (d != digest) != (l != line) {
					t.Errorf("%s, whole %v, %s: the chain changed %v, the line %v: %s", op, whole, name, d != digest, l != line, l)
				}
			}
		}
	}
}

func TestElementsDoNotAllocate(t *testing.T) {
	ev := &Event{Time: 100, Term: 2}
	for op := OpHSet; op <= OpBits; op++ {
		ev.Mutations = append(ev.Mutations, oneOf(op))
	}
	st := Stamp{Cluster: "local", Namespace: "default", Position: Position{2, 5}}
	names := Names{"", "a", "b"}
	var scratch Scratch
	var got Event
	var data, line []byte
	if n := testing.AllocsPerRun(100, func() {
		data = Append(data[:0], ev)
		if err := Decode(data, &got); err != nil {
			t.Fatal(err)
		}
		st.Chain = NextChain(st.Chain, &st, &got, names, &scratch)
		for i := range got.Mutations {
			line = AppendJSON(line[:0], &st, &got, i, names)
		}
	}); n != 0 {
		t.Fatalf("%v allocations, want none", n)
	}
}

// The chain is a format: these values never change.
func TestChainOfElementsGolden(t *testing.T) {
	names := Names{"", "a", "b"}
	var scratch Scratch
	all := sha256.New()
	for op := OpHSet; op <= OpBits; op++ {
		for _, whole := range []bool{false, true} {
			m := oneOf(op)
			m.Whole = whole
			d := DigestOf(&m, names, &scratch)
			all.Write(d[:])
		}
	}
	if got, want := hex.EncodeToString(all.Sum(nil)), "0c73115e9b4a3a04430b1b0baa1384cdc0bc4680948210103c6e0e68c2fb163c"; got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
	m := oneOf(OpHSet)
	want := "080201" + "00" + "00" + "03743a6b" + "00" + "0900000000000000" + "0161" + // op, type, version; group, command, key, value; version
		"02" + "03616765" + "023337" + "01" + "0700000000000000" + "0162" + "03612262" + "00" + "00" // two fields; age, 37, its prev; a"b, empty, absent
	if got := hex.EncodeToString(appendCanonical(nil, &m, names)); got != want {
		t.Fatalf("got\n%s, want\n%s", got, want)
	}
}
