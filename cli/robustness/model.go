package robustness

import (
	"fmt"
	"math"
	"strconv"

	"github.com/anishathalye/porcupine"
)

// Op is a command of the workload.
type Op uint8

// The commands.
const (
	Get Op = iota + 1
	Set
	SetNX
	Incr
	Del
)

func (o Op) String() string {
	return [...]string{"?", "GET", "SET", "SETNX", "INCR", "DEL"}[o]
}

// Input is one command.
type Input struct {
	Op    Op
	Key   string
	Value string // of SET and SETNX
}

// Output is what came back.
type Output struct {
	// Unknown: it may or may not have taken effect, at any time after it was sent.
	Unknown bool
	Why     string
	// Absent: GET found nothing.
	Absent bool
	Value  string // GET
	N      int64  // SETNX, INCR, DEL
	// NotInteger: INCR's error.
	NotInteger bool
}

// keyState is a key's state: comparable, as the checker wants it.
type keyState struct {
	there bool
	value string
}

// step says whether a key in state s can answer in with out, and its state then. After an unknown outcome the command
// has taken effect: that it never does is the same as that it does after everything else.
func step(s keyState, in Input, out Output) (bool, keyState) {
	switch in.Op {
	case Get:
		return out.Absent == !s.there && (out.Absent || out.Value == s.value), s
	case Set:
		return true, keyState{true, in.Value}
	case SetNX:
		if s.there {
			return out.Unknown || out.N == 0, s
		}
		return out.Unknown || out.N == 1, keyState{true, in.Value}
	case Del:
		return out.Unknown || out.N == one(s.there), keyState{}
	case Incr:
		return stepIncr(s, out)
	}
	panic(fmt.Sprintf("robustness: op %d", in.Op))
}

func stepIncr(s keyState, out Output) (bool, keyState) {
	n := int64(0)
	if s.there {
		var err error
		if n, err = strconv.ParseInt(s.value, 10, 64); err != nil || n == math.MaxInt64 {
			return out.Unknown || out.NotInteger, s
		}
	}
	next := keyState{true, strconv.FormatInt(n+1, 10)}
	return out.Unknown || (!out.NotInteger && out.N == n+1), next
}

func one(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// model is the specification of one key. Histories are given to it key by key.
var model = porcupine.Model{
	Init: func() any { return keyState{} },
	Step: func(state, in, out any) (bool, any) { return step(state.(keyState), in.(Input), out.(Output)) },
	DescribeOperation: func(in, out any) string {
		return describe(in.(Input), out.(Output))
	},
	DescribeState: func(state any) string {
		if s := state.(keyState); s.there {
			return strconv.Quote(s.value)
		}
		return "absent"
	},
}

func describe(in Input, out Output) string {
	call := in.Op.String() + " " + in.Key
	if in.Value != "" {
		call += " " + in.Value
	}
	switch {
	case out.Unknown:
		return call + " → ?"
	case out.NotInteger:
		return call + " → not an integer"
	case out.Absent:
		return call + " → absent"
	case in.Op == Get:
		return call + " → " + strconv.Quote(out.Value)
	case in.Op == Set:
		return call + " → OK"
	}
	return call + " → " + strconv.FormatInt(out.N, 10)
}
