package event

import (
	"bytes"
	"math"
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
