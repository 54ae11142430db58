package partition

import (
	"fmt"
	"testing"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
)

// TestCleanUpGoesOnByItself: each slice arms the next until nothing is left, and then nothing wakes the goroutine.
func TestCleanUpGoesOnByItself(t *testing.T) {
	f := newFlightModel(t, false)
	f.begin()
	for i := range 3 * cleanRows {
		key := fmt.Append(nil, "key", i)
		for _, op := range []event.Op{event.OpSAdd, event.OpDel} {
			m := event.Mutation{Key: key, Op: op, Type: event.TypeSet, Floor: command.Assigned}
			if op == event.OpSAdd {
				m.Generation, m.Count, m.KeyVersion = command.NewGeneration, 2, command.Assigned
				m.Elements = []event.Element{{Sub: []byte("a")}, {Sub: []byte("b")}}
			} else {
				m.Before = event.Before{Exists: true, Type: event.TypeSet, Generation: f.r.open.ev.Mutations[2*i].Generation}
			}
			f.r.tx.Emit(&m)
		}
	}
	f.end(true)
	check(t, f.r.cleanUp())
	slices := 1
	for ; f.r.store.CleanDue(); slices++ {
		if !f.r.cleaning.armed {
			t.Fatal("there is more to clean, and nothing wakes the goroutine for it")
		}
		<-f.r.cleaning.wake()
		f.r.cleaning.armed = false
		check(t, f.r.cleanUp())
	}
	if n, err := f.r.store.CleanUps(10); n != 0 || err != nil {
		t.Fatalf("%d jobs are left (%v)", n, err)
	}
	if f.r.cleaning.wake() != nil {
		t.Fatal("nothing is left, and the goroutine is woken for it")
	}
}
