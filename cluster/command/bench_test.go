package command_test

import (
	"testing"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
)

// still is a state that never changes and a transaction that forgets: what is left is the commands' own work.
type still struct {
	command.View // of what isn't benchmarked here: nil
	m            event.Meta
}

func (s *still) Meta([]byte) (event.Meta, bool, error)                   { return s.m, s.m.Type != 0, nil }
func (s *still) Keys([]byte, func(key []byte, m *event.Meta) bool) error { return nil }
func (s *still) Len() int64                                              { return 0 }
func (s *still) Emit(*event.Mutation)                                    {}

// prepare gives a function that finds, checks and runs a command line on a Context used over and over.
func prepare(line string, value string) func() {
	s := &still{m: event.Meta{Type: event.TypeString, Value: []byte(value), Version: event.Version{Time: 1, Cluster: 1}}}
	args := words(line)
	c := &command.Context{Args: args, Now: 1000, View: s, Tx: s, Reply: &command.Reply{}}
	return func() {
		spec, _, problem := command.Resolve(args, &command.DefaultLimits)
		c.Reply.Buf = c.Reply.Buf[:0]
		if c.Spec = spec; problem != "" || spec.Run(c) != nil || c.Reply.IsError() {
			panic(line)
		}
	}
}

var hotLines = map[string]string{"get k": "v", "set k v": "v", "set k v ex 10": "v", "incr k": "12345", "append k x": "abc", "del k": "v", "mget a b c": "v",
	"expire k 100": "v", "ttl k": "v", "setrange k 1 x": "abc", "exists a b": "v", "getex k ex 5": "v"}

// TestAllocations: the hot commands allocate nothing of their own.
func TestAllocations(t *testing.T) {
	for line, value := range hotLines {
		run := prepare(line, value)
		if n := testing.AllocsPerRun(100, run); n > 0 {
			t.Errorf("%s: %v allocations", line, n)
		}
	}
}

func BenchmarkCommands(b *testing.B) {
	for _, line := range []string{"get k", "set k v", "set k v ex 10", "incr k", "append k x", "mget a b c"} {
		b.Run(line, func(b *testing.B) {
			run := prepare(line, hotLines[line])
			b.ReportAllocs()
			for b.Loop() {
				run()
			}
		})
	}
}
