package streamtest

import (
	"testing"

	"github.com/zankv/zankv/cdc/event"
)

// TestStreamsAreRight checks what is made here, so that whoever finds a fault in it is wrong.
func TestStreamsAreRight(t *testing.T) {
	for seed := range uint64(200) {
		s := New(seed).Fill(100, true)
		var p event.Parser
		var l event.Line
		var v event.Validator
		v.From(event.Position{}, event.Chain{})
		for _, line := range s.Lines() {
			if err := p.Parse(line, &l); err != nil {
				t.Fatalf("seed %d: %v\n%s", seed, err, line)
			}
			if err := v.Line(&l, p.Names); err != nil {
				t.Fatalf("seed %d: %v\n%s", seed, err, line)
			}
		}
		if err := v.End(); err != nil {
			t.Fatal(err)
		}
		if at, chain := v.Last(); at != s.Last().Position || chain != s.Last().Chain {
			t.Fatalf("seed %d ends at %s with chain %s, want %s with %s", seed, at, chain, s.Last().Position, s.Last().Chain)
		}
	}
}
