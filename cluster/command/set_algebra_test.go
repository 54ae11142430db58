package command_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/command/commandtest"
)

// combine is what set algebra gives, by maps.
func combine(name string, sets []map[string]bool) []string {
	result := maps.Clone(sets[0])
	for _, s := range sets[1:] {
		switch name {
		case "sunion":
			maps.Copy(result, s)
		case "sinter":
			maps.DeleteFunc(result, func(m string, _ bool) bool { return !s[m] })
		case "sdiff":
			maps.DeleteFunc(result, func(m string, _ bool) bool { return s[m] })
		}
	}
	return slices.Sorted(maps.Keys(result))
}

// drawSets fills the keys a, b, c and d with sets of very different sizes, from none to several pages, of members that are short, long, or
// prefixes of each other.
func drawSets(e *commandtest.Executor, draw *rand.Rand) map[string]map[string]bool {
	all := map[string]map[string]bool{}
	for _, key := range []string{"a", "b", "c", "d"} {
		e.Do([]byte("del"), []byte(key))
		all[key] = map[string]bool{}
		size := []int{0, 1, 7, 60, 700}[draw.IntN(5)]
		universe := size + 1 + draw.IntN(2*size+2)
		args := [][]byte{[]byte("sadd"), []byte(key)}
		for range size {
			m := strings.Repeat("x", draw.IntN(3)) + fmt.Sprint(draw.IntN(universe))
			if draw.IntN(40) == 0 {
				m = strings.Repeat("y", draw.IntN(9000))
			}
			all[key][m] = true
			args = append(args, []byte(m))
		}
		if size > 0 {
			e.Do(args...)
		}
	}
	return all
}

func setReply(members []string) []byte {
	r := command.Reply{}
	r.Set(len(members))
	for _, m := range members {
		r.BulkString(m)
	}
	return r.Buf
}

// TestSetAlgebra compares set algebra with maps, replied and stored, onto one of the operands too.
func TestSetAlgebra(t *testing.T) {
	draw := rand.New(rand.NewPCG(7, 7))
	e := newExecutor(t)
	for range 150 {
		all := drawSets(e, draw)
		keys, sets := []string{}, []map[string]bool{}
		for range 1 + draw.IntN(4) {
			key := string(rune('a' + draw.IntN(4)))
			keys, sets = append(keys, key), append(sets, all[key])
		}
		list := strings.Join(keys, " ")
		for _, name := range []string{"sinter", "sunion", "sdiff"} {
			want := combine(name, sets)
			if got := e.Do(words(name + " " + list)...); !bytes.Equal(got, setReply(want)) {
				t.Fatalf("%s %s: %.300q, want %.300q", name, list, got, want)
			}
		}
		limit := draw.IntN(30)
		want := len(combine("sinter", sets))
		if limit > 0 {
			want = min(want, limit)
		}
		if got := e.Do(words(fmt.Sprintf("sintercard %d %s limit %d", len(keys), list, limit))...); string(got) != fmt.Sprintf(":%d\r\n", want) {
			t.Fatalf("sintercard %s limit %d: %q, want %d", list, limit, got, want)
		}
		name, dest := []string{"sinter", "sunion", "sdiff"}[draw.IntN(3)], []string{"a", "b", "x"}[draw.IntN(3)]
		stored := combine(name, sets)
		if got := e.Do(words(name + "store " + dest + " " + list)...); string(got) != fmt.Sprintf(":%d\r\n", len(stored)) {
			t.Fatalf("%sstore %s %s: %q, want %d", name, dest, list, got, len(stored))
		}
		if got := e.Do(words("smembers " + dest)...); !bytes.Equal(got, setReply(stored)) {
			t.Fatalf("%sstore %s %s: %.300q, want %.300q", name, dest, list, got, stored)
		}
	}
}

// TestLargeSetReply: a reply that is too large to be gathered is counted and then streamed.
func TestLargeSetReply(t *testing.T) {
	e := newExecutor(t)
	var want []string
	for i := range 300 {
		want = append(want, fmt.Sprintf("%03d", i)+strings.Repeat("m", 9000))
		e.Do([]byte("sadd"), []byte("ab"[i%2:][:1]), []byte(want[i]))
	}
	for range 2 {
		parts := 0
		var out []byte
		c := command.Context{Args: words("sunion a b"), Now: 1000, View: e.Store, Reply: &command.Reply{Spill: func(part []byte) error {
			parts++
			out = append(out, part...)
			return nil
		}}}
		c.Spec = command.Lookup(c.Args[0])
		if err := c.Spec.Run(&c); err != nil {
			t.Fatal(err)
		}
		if out = append(out, c.Reply.Buf...); !bytes.Equal(out, setReply(want)) || parts < 20 {
			t.Errorf("%d bytes in %d parts, want %d bytes", len(out), parts, len(setReply(want)))
		}
	}
}

// tally counts how a view is read.
type tally struct {
	command.View
	probes, pages, steps int
}

func (v *tally) Element(key []byte, m *event.Meta, sub []byte) (command.Element, bool, error) {
	v.probes++
	return v.View.Element(key, m, sub)
}

func (v *tally) Elements(key []byte, m *event.Meta, in command.Range, visit func([]byte, *command.Element) bool) error {
	v.pages++
	return v.View.Elements(key, m, in, func(sub []byte, e *command.Element) bool {
		v.steps++
		return visit(sub, e)
	})
}

// TestSetAlgebraChooses: a set that is much larger than the one walked over is looked up in, one of about its size is walked along.
func TestSetAlgebraChooses(t *testing.T) {
	e := newExecutor(t)
	for i := range 2000 {
		e.Do([]byte("sadd"), []byte("large"), fmt.Append(nil, i))
		if i%2 == 0 {
			e.Do([]byte("sadd"), []byte("half"), fmt.Append(nil, i))
		}
		if i%200 == 0 {
			e.Do([]byte("sadd"), []byte("small"), fmt.Append(nil, i))
		}
	}
	for i := range 2000 {
		e.Do([]byte("sadd"), []byte("low"), fmt.Append(nil, "a", i))
	}
	for i := range 300 {
		e.Do([]byte("sadd"), []byte("high"), fmt.Append(nil, "z", i))
	}
	for _, c := range []struct {
		line              string
		probes, pageLimit int
		stepLimit         int
	}{
		{"sinter large small", 10, 2, 20},
		{"sinter large half", 0, 20, 3100},
		{"sdiff small large", 10, 2, 20},
		{"sdiff large small", 0, 20, 2100},
		{"sinter low high", 0, 5, 900}, // what lies before the members of the other is jumped over
		{"sunion large half small", 0, 20, 3100},
		{"sintercard 2 large half limit 1", 0, 3, 600},
	} {
		v := &tally{View: e.Store}
		x := command.Context{Args: words(c.line), Now: 1000, View: v, Reply: &command.Reply{}}
		x.Spec = command.Lookup(x.Args[0])
		if err := x.Spec.Run(&x); err != nil {
			t.Fatal(err)
		}
		if v.probes != c.probes || v.pages > c.pageLimit || v.steps > c.stepLimit {
			t.Errorf("%s: %d look-ups, %d pages, %d steps", c.line, v.probes, v.pages, v.steps)
		}
	}
}

// TestStoreOntoExpired: a key that has expired isn't removed by a result that is empty.
func TestStoreOntoExpired(t *testing.T) {
	now := int64(1000)
	e := commandtest.NewExecutor(func() int64 { return now }, func(problem string) { t.Error(problem) })
	runEffects(t, e, []effect{{"sadd d a", ":1", "sadd d a= (1)"}, {"pexpire d 5", ":1", "expireat d (1)"}})
	now += 5
	runEffects(t, e, []effect{{"sinterstore d none", ":0", ""}, {"sunionstore d d", ":0", ""}, {"spop d", "$-1", ""}, {"sadd d b", ":1", "sadd d b= (1)"}})
}
