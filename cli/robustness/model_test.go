package robustness

import (
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// op is an operation on key k from call to end; end 0 is an unknown outcome.
func op(call, end int64, in Input, out Output) porcupine.Operation {
	in.Key = "k"
	if end == 0 {
		end, out.Unknown = never, true
	}
	return porcupine.Operation{Input: in, Output: out, Call: call, Return: end}
}

func set(v string) Input   { return Input{Op: Set, Value: v} }
func setnx(v string) Input { return Input{Op: SetNX, Value: v} }

var (
	get  = Input{Op: Get}
	incr = Input{Op: Incr}
	del  = Input{Op: Del}
	ok   = Output{}
	none = Output{Absent: true}
)

func val(v string) Output { return Output{Value: v} }
func num(n int64) Output  { return Output{N: n} }

// Histories whose verdict is known.
func TestModel(t *testing.T) {
	for _, tt := range []struct {
		name    string
		want    bool
		history History
	}{
		{"sequence", true, History{
			op(1, 2, get, none), op(3, 4, set("a"), ok), op(5, 6, get, val("a")), op(7, 8, setnx("b"), num(0)), op(9, 10, del, num(1)),
			op(11, 12, del, num(0)), op(13, 14, setnx("5"), num(1)), op(15, 16, incr, num(6)), op(17, 18, get, val("6")),
		}},
		{"an acknowledged write is lost", false, History{op(1, 2, set("a"), ok), op(3, 4, get, none)}},
		{"an old value is read after a new one", false, History{
			op(1, 2, set("a"), ok), op(3, 10, set("b"), ok), op(4, 5, get, val("b")), op(6, 7, get, val("a")),
		}},
		{"either of two concurrent writes", true, History{op(1, 10, set("a"), ok), op(2, 9, set("b"), ok), op(11, 12, get, val("a"))}},
		{"first one and then the other, long after", false, History{
			op(1, 10, set("a"), ok), op(2, 9, set("b"), ok), op(11, 12, get, val("a")), op(13, 14, get, val("b")),
		}},
		{"an unknown write happens late", true, History{
			op(1, 0, set("a"), ok), op(2, 3, get, none), op(4, 5, set("b"), ok), op(6, 7, get, val("b")), op(8, 9, get, val("a")),
		}},
		{"an unknown write never happens", true, History{op(1, 0, set("a"), ok), op(2, 3, get, none), op(4, 5, get, none)}},
		{"an unknown write happens twice", false, History{
			op(1, 0, set("a"), ok), op(2, 3, get, val("a")), op(4, 5, set("b"), ok), op(6, 7, get, val("b")), op(8, 9, get, val("a")),
		}},
		{"an unknown write before it was sent", false, History{op(1, 2, get, val("a")), op(3, 0, set("a"), ok)}},
		{"a counter loses one", false, History{op(1, 2, incr, num(1)), op(3, 4, incr, num(1))}},
		{"a counter counts an unknown one", true, History{op(1, 2, incr, num(1)), op(3, 0, incr, ok), op(4, 5, incr, num(3))}},
		{"a counter counts an unknown one twice", false, History{op(1, 2, incr, num(1)), op(3, 0, incr, ok), op(4, 5, incr, num(4))}},
		{"not an integer", true, History{op(1, 2, set("x"), ok), op(3, 4, incr, Output{NotInteger: true})}},
		{"not an integer, but it is", false, History{op(1, 2, set("1"), ok), op(3, 4, incr, Output{NotInteger: true})}},
		{"an integer, but it isn't", false, History{op(1, 2, set("x"), ok), op(3, 4, incr, num(1))}},
		{"two win a setnx", false, History{op(1, 10, setnx("a"), num(1)), op(2, 9, setnx("b"), num(1))}},
		{"two win a setnx with a delete between", true, History{op(1, 10, setnx("a"), num(1)), op(2, 9, setnx("b"), num(1)), op(3, 8, del, num(1))}},
		{"a delete of nothing counts", false, History{op(1, 2, del, num(1))}},
		{"an unknown delete", true, History{op(1, 2, set("a"), ok), op(3, 0, del, ok), op(4, 5, get, val("a")), op(6, 7, setnx("b"), num(1))}},
		{"a value that nobody wrote", false, History{op(1, 2, get, val("z"))}},
	} {
		err := CheckLinearizable(tt.history, 10*time.Second, t.TempDir())
		if (err == nil) != tt.want {
			t.Errorf("%s: linearizable: %v, want %v: %v", tt.name, err == nil, tt.want, err)
		}
	}
}

// Keys are independent, and the report names the faulty one.
func TestCheckNamesKey(t *testing.T) {
	h := History{op(1, 2, set("a"), ok), op(3, 4, get, val("a"))}
	bad := op(1, 2, get, val("never written"))
	bad.Input = Input{Op: Get, Key: "bad"}
	if err := CheckLinearizable(h, time.Second, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	err := CheckLinearizable(append(h, bad), time.Second, t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "key bad isn't linearizable") || !strings.Contains(err.Error(), "never written") {
		t.Fatalf("got %v", err)
	}
}

// What is recorded, and what isn't: a read with an unknown answer says nothing.
func TestRecorder(t *testing.T) {
	r := &Recorder{Client: 3, began: time.Now()}
	unknown := func(Input) (Output, error) { return Output{Unknown: true}, nil }
	for _, in := range []Input{{Op: Get, Key: "k"}, {Op: Set, Key: "k", Value: "v"}} {
		if err := r.Do(in, unknown); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Do(Input{Op: Set, Key: "k"}, func(Input) (Output, error) { return Output{}, errNotRun }); err != errNotRun {
		t.Fatalf("got %v, want %v", err, errNotRun)
	}
	if len(r.history) != 1 || r.history[0].Input.(Input).Op != Set || r.history[0].Return != never || r.history[0].ClientId != 3 {
		t.Fatalf("recorded %+v", r.history)
	}
}
