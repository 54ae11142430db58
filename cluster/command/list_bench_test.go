package command_test

import (
	"testing"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
)

var stillItem = []byte("v")

// stillList is a dense list of two items that never changes.
type stillList struct{ still }

func (s *stillList) Element([]byte, *event.Meta, []byte) (command.Element, bool, error) {
	return command.Element{Value: stillItem}, true, nil
}

// prepareList is prepare for a list of the numbers 0 and 1.
func prepareList(line string) func() {
	ends := make([]byte, 17)
	ends[8] = 1
	s := &stillList{still{m: event.Meta{Type: event.TypeList, Value: ends, Count: 2, Generation: 7, Version: event.Version{Time: 1, Cluster: 1}}}}
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

var hotListLines = []string{"lpush k v", "rpush k a b c", "lpop k", "rpop k", "lindex k 1", "lset k 0 x", "llen k"}

// TestListAllocations: the hot commands on lists allocate nothing of their own.
func TestListAllocations(t *testing.T) {
	for _, line := range hotListLines {
		if n := testing.AllocsPerRun(100, prepareList(line)); n > 0 {
			t.Errorf("%s: %v allocations", line, n)
		}
	}
}

func BenchmarkListCommands(b *testing.B) {
	for _, line := range hotListLines {
		b.Run(line, func(b *testing.B) {
			run := prepareList(line)
			b.ReportAllocs()
			for b.Loop() {
				run()
			}
		})
	}
}
