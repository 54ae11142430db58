package command_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/zankv/zankv/cluster/command"
)

// pushMany makes a list of n items, the numbers from 0 on, each with some filling.
func (w *listWorld) pushMany(key string, n int, filling string) {
	for from := 0; from < n; from += 5000 {
		args := [][]byte{[]byte("rpush"), []byte(key)}
		for i := from; i < min(n, from+5000); i++ {
			item := fmt.Sprint(i, filling)
			args = append(args, []byte(item))
			w.model[key] = append(w.model[key], item)
		}
		w.e.Store.Emitted = nil
		w.e.Do(args...)
		for i := range w.e.Store.Emitted {
			w.fold(&w.e.Store.Emitted[i])
		}
	}
}

// shape says what was emitted last.
func (w *listWorld) shape() string {
	var b strings.Builder
	for i := range w.e.Store.Emitted {
		m := &w.e.Store.Emitted[i]
		fmt.Fprintf(&b, "%s %d ", m.Op, len(m.Elements))
		if m.Whole {
			b.WriteString("whole ")
		}
	}
	return strings.TrimSpace(b.String())
}

// TestLTrimChoosesTheSmallerEvent: what is removed is named, unless what stays is less.
func TestLTrimChoosesTheSmallerEvent(t *testing.T) {
	for _, c := range []struct {
		n       int
		filling string
		gap     bool // the list isn't dense
		start   int
		end     int // exclusive
		shape   string
	}{
		{12000, "", false, 0, 100, "rpush 100 whole"},
		{12000, "", false, 11900, 12000, "rpush 100 whole"},
		{12000, "", true, 5900, 6000, "rpush 100 whole"},
		{12000, "", false, 100, 12000, "lpop 100"},
		{12000, "", true, 100, 11000, "lpop 100 rpop 999"},
		{12000, "", false, 2000, 7000, "rpush 5000 whole"},
		{12000, "", false, 3000, 9500, "lpop 3000 rpop 2500"},
		{12000, strings.Repeat("x", 200), false, 0, 1000, "rpop 11000"},
		{6000, "", false, 0, 999, "rpush 999 whole"},
		{5000, "", false, 0, 1, "rpop 4999"},
		{5000, "", false, 7, 7, "del 0"},
		{3, "", false, 3, 9, "del 0"},
	} {
		w := newListWorld(t, 1)
		w.pushMany("k", c.n, c.filling)
		list := w.model["k"]
		if c.gap {
			w.model["k"] = slices.Delete(list, 4000, 4001)
			list = w.model["k"]
			w.do("lrem k 1 4000"+c.filling, integer(1))
		}
		w.do("pexpireat k 4102444800000", integer(1))
		w.model["k"] = list[c.start:max(c.start, min(c.end, len(list)))]
		w.do(fmt.Sprintf("ltrim k %d %d", c.start, c.end-1), "+OK\r\n")
		if got := w.shape(); got != c.shape {
			t.Errorf("of %d items %d to %d: %s, want %s", c.n, c.start, c.end, got, c.shape)
		}
		w.compare("k")
		if len(w.model["k"]) > 0 {
			w.do("pexpiretime k", ":4102444800000\r\n")
			w.model["k"] = append(slices.Clone(w.model["k"]), "x")
			w.do("rpush k x", integer(len(w.model["k"])))
			w.compare("k")
		}
	}
}

// TestPopOfVeryMany: a pop of more than a batch becomes the smaller event, too.
func TestPopOfVeryMany(t *testing.T) {
	for line, shape := range map[string]string{"lpop k 9000": "del 0", "rpop k 8990": "rpush 10 whole", "lpop k 5000": "lpop 5000", "rpop k 6000": "rpush 3000 whole"} {
		w := newListWorld(t, 1)
		w.pushMany("k", 9000, "")
		var side byte
		var n int
		if _, err := fmt.Sscanf(line, "%cpop k %d", &side, &n); err != nil {
			t.Fatal(err)
		}
		list := w.model["k"]
		popped, kept := list[:n], list[n:]
		if side == 'r' {
			popped, kept = slices.Clone(list[9000-n:]), list[:9000-n]
			slices.Reverse(popped)
		}
		w.model["k"] = kept
		w.do(line, bulks(popped))
		if got := w.shape(); got != shape {
			t.Errorf("%s: %s, want %s", line, got, shape)
		}
		w.compare("k")
	}
	w := newListWorld(t, 1)
	for range 2 {
		w.e.Do(append([][]byte{[]byte("rpush"), []byte("k")}, slices.Repeat([][]byte{[]byte("v")}, 5000)...)...)
	}
	w.do("lrem k 0 v", integer(10000))
	if got := w.shape(); got != "del 0" {
		t.Errorf("lrem of all: %s", got)
	}
}

// TestLInsertNumbersAnew: insertions at the worst spot make places grow, but not above their bound.
func TestLInsertNumbersAnew(t *testing.T) {
	for _, side := range []string{"left", "right"} {
		w := newListWorld(t, 1)
		w.pushMany("k", 40, "")
		at, anew := 5, 0
		if side == "right" {
			at = 35
		}
		for i := range 1500 {
			list := w.model["k"]
			word, behind := "after", 1
			item := fmt.Sprintf("new%d", i)
			w.model["k"] = slices.Insert(slices.Clone(list), at+behind, item)
			w.do(fmt.Sprintf("linsert k %s %s %s", word, list[at], item), integer(len(list)+1))
			if at += behind; len(w.e.Store.Emitted) == 2 {
				anew++
			}
			if i%50 == 0 || len(w.e.Store.Emitted) == 2 {
				w.compare("k")
			}
			if t.Failed() {
				t.FailNow()
			}
		}
		if anew == 0 {
			t.Errorf("%s: never numbered anew", side)
		}
	}
}

// TestBlocking: what a blocking command asks for that finds nothing, and what it says then.
func TestBlocking(t *testing.T) {
	for _, c := range []struct {
		line, now, late string // the reply when it may not wait, and the one for when the time has passed
		ms              int64
	}{
		{"blpop a b 0", "*-1\r\n", "*-1\r\n", 0},
		{"brpop a 0.0001", "*-1\r\n", "*-1\r\n", 1},
		{"blpop a 1.5", "*-1\r\n", "*-1\r\n", 1500},
		{"blpop a -0.0001", "*-1\r\n", "*-1\r\n", 0},
		{"blmpop 2 2 a b left", "*-1\r\n", "*-1\r\n", 2000},
		{"blmove a b left right 3", "$-1\r\n", "*-1\r\n", 3000},
		{"brpoplpush a b 0.0105", "$-1\r\n", "*-1\r\n", 11},
	} {
		e := newExecutor(t)
		if got := string(e.Do(words(c.line)...)); got != c.now {
			t.Errorf("%s: %q, want %q", c.line, got, c.now)
		}
		args := words(c.line)
		spec, _, _ := command.Resolve(args, &command.DefaultLimits)
		r := &command.Reply{}
		ctx := command.Context{Spec: spec, Args: args, Now: 1000, View: e.Store, Tx: e.Store, Reply: r, MayBlock: true}
		if err := spec.Run(&ctx); err != nil {
			t.Fatal(err)
		}
		if want := (command.Block{Wanted: true, Milliseconds: c.ms}); ctx.Block != want || string(r.Buf) != c.late {
			t.Errorf("%s: %+v with %q, want %+v with %q", c.line, ctx.Block, r.Buf, want, c.late)
		}
		if len(e.Store.Emitted) > 0 {
			t.Errorf("%s: emitted", c.line)
		}
		r.Buf, ctx.Block = r.Buf[:0], command.Block{}
		e.Do(words("rpush a x y")...)
		if err := spec.Run(&ctx); err != nil || ctx.Block.Wanted || len(e.Store.Emitted) == 0 {
			t.Errorf("%s: run again: %q, %+v, %v", c.line, r.Buf, ctx.Block, err)
		}
	}
}

// TestTimeouts: those that Redis 7.0 takes otherwise, or waits for too long to be asked.
func TestTimeouts(t *testing.T) {
	e := newExecutor(t)
	for timeout, want := range map[string]string{
		"inf": "out of range", "1e30": "out of range", "9223372036854775807": "out of range", "9223372036854773": "*-1", "9223372036854776": "out of range", "9223372036854775.807": "out of range",
		"-inf": "is negative", "-0.002": "is negative", "-0.0009": "*-1", "nan": "not a float", "": "not a float", "1 ": "not a float", "0x10": "*-1",
	} {
		if got := string(e.Do([]byte("blpop"), []byte("k"), []byte(timeout))); !strings.Contains(got, want) {
			t.Errorf("timeout %q: %q, want %q", timeout, got, want)
		}
	}
}
