package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

// stream makes events with stamps and chains, as a log's reader would.
type stream struct {
	names  Names
	stamps []Stamp
	events []*Event
}

func newStream(seed uint64, n int) *stream {
	r := rand.New(rand.NewPCG(seed, seed))
	s := &stream{names: Names{"", "dc-a", "dc-b"}}
	last := Stamp{Cluster: "dc-a", Namespace: "default", Partition: 3}
	var scratch Scratch
	at := int64(1795255200000000000)
	for i := range n {
		ev := &Event{Time: at, Term: 2}
		for j := range 1 + r.IntN(4) {
			m := randomMutation(r, at+int64(j))
			m.Value = append([]byte(nil), m.Value...)
			m.Version.Time++ // no two alike by chance
			if !m.Version.IsZero() {
				m.Version.Cluster = 1
			}
			ev.Mutations = append(ev.Mutations, m)
		}
		at += int64(len(ev.Mutations)) + int64(r.IntN(1e9))
		st := last
		st.Prev, st.PrevChain = last.Position, last.Chain
		st.Position = Position{Term: 2, Index: last.Position.Index + 1 + uint64(i%2)}
		st.Chain = NextChain(st.PrevChain, &st, ev, s.names, &scratch)
		s.stamps, s.events = append(s.stamps, st), append(s.events, ev)
		last = st
	}
	return s
}

// lines are the stream's JSON, one element an event's mutation.
func (s *stream) lines() [][]byte {
	var lines [][]byte
	for i, ev := range s.events {
		for j := range ev.Mutations {
			lines = append(lines, AppendJSON(nil, &s.stamps[i], ev, j, s.names))
		}
	}
	return lines
}

func TestJSONLine(t *testing.T) {
	ev := &Event{Time: time.Date(2026, 11, 21, 10, 0, 0, 123456789, time.UTC).UnixNano(), Mutations: []Mutation{
		{Op: OpSet, Type: TypeString, Key: []byte("users:42"), Value: []byte("a\"b\\\n\x01\u0085ü"), ExpireAt: 1795255300000,
			Version: Version{1795255200123456789, 1}, Command: "set"},
		{Op: OpDel, Type: TypeHash, Key: []byte("x\xff"), Version: Version{5, 1}, Prev: Version{4, 2}, Group: 1,
			Origin: &Origin{Cluster: 2, Partition: 7, Position: Position{3, 9}}},
		{Op: OpRange, Key: []byte("a"), Value: []byte("b"), Version: Version{6, 1}, Prev: Version{0, 9}},
	}}
	st := Stamp{Cluster: "dc-a", Namespace: "default", Position: Position{2, 1041}, Prev: Position{2, 1040}, Chain: Chain{0x9f, 0x2c}}
	chain := "9f2c" + strings.Repeat("0", 60)
	want := []string{
		`{"cluster":"dc-a","namespace":"default","partition":0,"position":"2-1041","seq":0,"of":3,"prev_position":"2-1040",` +
			`"ts":"2026-11-21T10:00:00.123456789Z","op":"set","type":"string","table":"users","key":"users:42",` +
			`"value":"a\"b\\\n\u0001\u0085ü","expire_at":1795255300000,"version":"1795255200123456789@dc-a","prev":"absent","group":0,"command":"set","chain":"` + chain + `"}`,
		`{"cluster":"dc-a","namespace":"default","partition":0,"position":"2-1041","seq":1,"of":3,"prev_position":"2-1040",` +
			`"ts":"2026-11-21T10:00:00.123456789Z","op":"del","type":"hash","enc":"base64","key":"eP8=",` +
			`"version":"5@dc-a","prev":"4@dc-b","group":1,"origin":{"cluster":"dc-b","partition":7,"position":"3-9"},"chain":"` + chain + `"}`,
		`{"cluster":"dc-a","namespace":"default","partition":0,"position":"2-1041","seq":2,"of":3,"prev_position":"2-1040",` +
			`"ts":"2026-11-21T10:00:00.123456789Z","op":"range","type":"none","start":"a","end":"b","version":"6@dc-a","prev":"0@#9","group":0,"chain":"` + chain + `"}`,
	}
	for i := range want {
		if got := string(AppendJSON(nil, &st, ev, i, Names{"", "dc-a", "dc-b"})); got != want[i]+"\n" {
			t.Errorf("mutation %d: got\n%s, want\n%s", i, got, want[i])
		}
	}
}

// Lines are JSON to everybody, hold what they should, and can be read back so well that the chain closes on what was read.
func TestJSONIsLossless(t *testing.T) {
	s := newStream(5, 400)
	var p Parser
	var l Line
	var scratch Scratch
	for i, ev := range s.events {
		st := &s.stamps[i]
		var digests []Digest
		for j := range ev.Mutations {
			m := &ev.Mutations[j]
			line := AppendJSON(nil, st, ev, j, s.names)
			if !json.Valid(line) || bytes.Count(line, []byte("\n")) != 1 {
				t.Fatalf("not one line of JSON: %s", line)
			}
			if err := p.Parse(line, &l); err != nil {
				t.Fatalf("%v in %s", err, line)
			}
			want := *st
			want.PrevChain = Chain{}
			if l.Stamp != want || l.Seq != uint32(j) || int(l.Of) != len(ev.Mutations) || l.Time != ev.Time {
				t.Fatalf("header: got %+v of %s", l, line)
			}
			sameElements(t, &l.Mutation, m, p.Names, s.names)
			if !bytes.Equal(l.Mutation.Key, m.Key) || m.Op.showsValue() && !bytes.Equal(l.Mutation.Value, m.Value) || l.Mutation.Command != m.Command {
				t.Fatalf("content: got %+v, want %+v", l.Mutation, m)
			}
			d := DigestOf(&l.Mutation, p.Names, &scratch)
			if d != DigestOf(m, s.names, &scratch) {
				t.Fatalf("the digest of what was read differs, for %s", line)
			}
			digests = append(digests, d)
		}
		if got := CloseChain(st.PrevChain, st, l.Time, digests, &scratch); got != st.Chain {
			t.Fatalf("event %s: chain of what was read %s, want %s", st.Position, got, st.Chain)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	s := newStream(6, 1)
	s.events[0].Mutations = []Mutation{{Op: OpSet, Type: TypeString, Key: []byte("users:42"), Value: []byte("v"), Version: Version{5, 1}, Command: "set"}}
	good := string(AppendJSON(nil, &s.stamps[0], s.events[0], 0, s.names))
	for name, change := range map[string][2]string{
		"not an object":           {"{", "["},
		"cut":                     {`"}`, ""},
		"trailing":                {"}\n", "}}"},
		"unknown field":           {`"group":0`, `"group":0,"note":"x"`},
		"field twice":             {`"group":0`, `"group":0,"group":0`},
		"letter case":             {`"group"`, `"GROUP"`},
		"field missing":           {`,"group":0`, ``},
		"value missing":           {`,"value":"v"`, ``},
		"value where none belong": {`"op":"set"`, `"op":"del"`},
		"unknown op":              {`"op":"set"`, `"op":"sett"`},
		"unknown type":            {`"type":"string"`, `"type":"text"`},
		"table of another key":    {`"table":"users"`, `"table":"user"`},
		"table missing":           {`"table":"users",`, ``},
		"seq beyond of":           {`"seq":0`, `"seq":1`},
		"negative seq":            {`"seq":0`, `"seq":-1`},
		"bad version":             {`"version":"5@dc-a"`, `"version":"5"`},
		"bad position":            {`"position":"2-1"`, `"position":"2"`},
		"bad chain":               {`"chain":"`, `"chain":"0`},
		"bad time":                {`"ts":"2026`, `"ts":"9026`},
		"not UTF-8":               {`"value":"v"`, "\"value\":\"\xff\""},
		"half a surrogate pair":   {`"value":"v"`, `"value":"\ud800"`},
		"bad enc":                 {`"table"`, `"enc":"hex","table"`},
		"not base64":              {`"table"`, `"enc":"base64","table"`},
		"expiry 0":                {`"version"`, `"expire_at":0,"version"`},
		"empty command":           {`"command":"set"`, `"command":""`},
	} {
		bad := strings.Replace(good, change[0], change[1], 1)
		if bad == good {
			t.Fatalf("%s: nothing to change in %s", name, good)
		}
		var p Parser
		var l Line
		if err := p.Parse([]byte(bad), &l); !errors.Is(err, ErrLine) {
			t.Errorf("%s: got %v for %s", name, err, bad)
		}
	}
	bare := strings.Replace(strings.Replace(good, `"table":"users",`, "", 1), `"users:42"`, `"users"`, 1)
	for line, ok := range map[string]bool{bare: true, strings.Replace(bare, `"key"`, `"table":"users","key"`, 1): false} {
		var p Parser
		var l Line
		if err := p.Parse([]byte(line), &l); (err == nil) != ok {
			t.Errorf("a key without table: %v for %s", err, line)
		}
	}
	var p Parser
	var l Line
	if err := p.Parse([]byte(strings.ReplaceAll(strings.TrimSpace(good), ",\"", " ,\t\"")), &l); err != nil {
		t.Errorf("spaces: %v", err)
	}
	if err := p.Parse([]byte(strings.Replace(good, `"value":"v"`, `"value":"\ud83d\ude00\/\b"`, 1)), &l); err != nil || string(l.Mutation.Value) != "😀/\b" {
		t.Errorf("escapes: %q, %v", l.Mutation.Value, err)
	}
}

func TestJSONDoesNotAllocate(t *testing.T) {
	ev := benchEvent(2)
	ev.Mutations[1].Value = []byte("\xff")
	st := Stamp{Cluster: "local", Namespace: "default", Position: Position{2, 5}}
	var scratch Scratch
	var buf []byte
	names := Names{"", "local"}
	if n := testing.AllocsPerRun(100, func() {
		st.Chain = NextChain(st.Chain, &st, ev, names, &scratch)
		buf = AppendJSON(buf[:0], &st, ev, 0, names)
		buf = AppendJSON(buf, &st, ev, 1, names)
		buf = AppendText(buf, &st, ev, 0, names)
	}); n != 1 { // the quoted value of the text form
		t.Fatalf("%v allocations, want 1", n)
	}
}

func TestFloorsThatLinesImply(t *testing.T) {
	v := Version{5, 1}
	for _, c := range []struct {
		op            Op
		floor, expiry Version
	}{{OpSet, v, v}, {OpDel, v, v}, {OpValue, Version{}, Version{}}, {OpExpireAt, Version{}, v}, {OpPersist, Version{}, v}} {
		ev := &Event{Mutations: []Mutation{{Op: c.op, Key: []byte("k"), Version: v}}}
		var p Parser
		var l Line
		if err := p.Parse(AppendJSON(nil, &Stamp{}, ev, 0, Names{"", "a"}), &l); err != nil {
			t.Fatal(err)
		}
		if m := l.Mutation; m.Floor != c.floor || m.ExpiryVersion != c.expiry {
			t.Errorf("%s: floor %v, expiry version %v, want %v, %v", c.op, m.Floor, m.ExpiryVersion, c.floor, c.expiry)
		}
	}
	for _, whole := range []bool{false, true} {
		set := oneOf(OpSAdd)
		set.Whole = whole
		var p Parser
		var l Line
		if err := p.Parse(AppendJSON(nil, &Stamp{}, &Event{Mutations: []Mutation{set}}, 0, Names{"", "a", "b"}), &l); err != nil {
			t.Fatal(err)
		}
		if m := l.Mutation; (m.Floor == m.Version) != whole || (m.ExpiryVersion == m.Version) != whole {
			t.Errorf("whole %v: floor %v, expiry version %v of version %v", whole, m.Floor, m.ExpiryVersion, m.Version)
		}
	}
}

func TestOpAndTypeNames(t *testing.T) {
	for n := range 256 {
		if op, ok := parseOp([]byte(Op(n).String())); n > 0 && (!ok || op != Op(n)) {
			t.Errorf("op %d: %q comes back as %d, %v", n, Op(n), op, ok)
		}
		if typ, ok := parseType([]byte(Type(n).String())); !ok || typ != Type(n) {
			t.Errorf("type %d: %q comes back as %d, %v", n, Type(n), typ, ok)
		}
	}
	for _, bad := range []string{"", "op", "op3", "op300", "Set", "op0"} {
		if op, ok := parseOp([]byte(bad)); ok {
			t.Errorf("%q is taken for %s", bad, op)
		}
	}
}

func TestText(t *testing.T) {
	ev := &Event{Time: time.Date(2026, 11, 21, 10, 0, 0, 120000000, time.UTC).UnixNano(), Mutations: []Mutation{
		{Op: OpSet, Type: TypeString, Key: []byte("users:42"), Value: []byte("37"), ExpireAt: 1795255300000, Prev: Version{7, 1}, Command: "set"},
		{Op: OpDel, Type: TypeHash, Key: []byte("a b"), Origin: &Origin{Cluster: 1, Partition: 2, Position: Position{3, 4}}},
		{Op: OpRange, Key: []byte("a"), Command: "flushdb"},
		{Op: OpValue, Type: TypeString, Key: []byte("k"), Value: bytes.Repeat([]byte("ü"), 100)},
	}}
	st := Stamp{Position: Position{2, 1041}}
	want := []string{
		`2-1041.0        2026-11-21T10:00:00.120000000Z  set       string  users:42  =  "37"  expires 2026-11-21T10:01:40Z  was 7@dc-a  by set`,
		`2-1041.1        2026-11-21T10:00:00.120000000Z  del       hash    "a b"  from dc-a/2/3-4`,
		`2-1041.2        2026-11-21T10:00:00.120000000Z  range     none    [a, end)  by flushdb`,
		`2-1041.3        2026-11-21T10:00:00.120000000Z  setvalue  string  k  =  "` + strings.Repeat("ü", 64) + `"… and 72 bytes`,
	}
	for i := range want {
		if got := string(AppendText(nil, &st, ev, i, Names{"", "dc-a"})); got != want[i]+"\n" {
			t.Errorf("got\n%s, want\n%s", got, want[i])
		}
	}
}

func TestPositionAndChainForms(t *testing.T) {
	for _, bad := range []string{"", "2", "-", "2-", "-1", "a-1", "1-b", "1-2-3", "99999999999999999999-1"} {
		if p, err := ParsePosition(bad); err == nil {
			t.Errorf("%q is taken for %v", bad, p)
		}
	}
	p := Position{2, 1041}
	if back, err := ParsePosition(p.String()); err != nil || back != p {
		t.Errorf("%v comes back as %v, %v", p, back, err)
	}
	c := Chain{1, 2, 0xFF}
	if back, err := ParseChain(c.String()); err != nil || back != c {
		t.Errorf("%v comes back as %v, %v", c, back, err)
	}
	for _, bad := range []string{"", c.String()[1:], "zz" + c.String()[2:]} {
		if _, err := ParseChain(bad); err == nil {
			t.Errorf("%q is taken for a chain", bad)
		}
	}
}

func TestNames(t *testing.T) {
	n := Names(nil).Add([]ClusterName{{2, "b"}, {1, "a"}, {2, "other"}, {0, "none"}, {1 << 30, "absurd"}})
	if want := (Names{"", "a", "b"}); !reflect.DeepEqual(n, want) {
		t.Fatalf("got %q, want %q: a number keeps its first id", n, want)
	}
	if n.ID(2) != "b" || n.ID(7) != "#7" || n.Number([]byte("b")) != 2 || n.Number([]byte("c")) != 3 || n.ID(3) != "c" {
		t.Fatalf("got %q", n)
	}
}

func BenchmarkJSON(b *testing.B) {
	ev := benchEvent(1)
	st := Stamp{Cluster: "local", Namespace: "default", Position: Position{2, 100041}, Prev: Position{2, 100040}}
	names := Names{"", "local"}
	ev.Mutations[0].Value = bytes.Repeat([]byte("v"), 128)
	line := AppendJSON(nil, &st, ev, 0, names)
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		var buf []byte
		for range b.N {
			buf = AppendJSON(buf[:0], &st, ev, 0, names)
		}
	})
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		var p Parser
		var l Line
		for range b.N {
			if err := p.Parse(line, &l); err != nil {
				b.Fatal(err)
			}
		}
	})
}
