package robustness

import (
	"strings"
	"testing"
)

// A tally must find what is lost, what is there twice, and what nobody wrote; and let pass what may have happened.
func TestTalliesFind(t *testing.T) {
	w := NewTallies(NewWorkload(1, 0, nil), 0)
	w.mu.counts["i"] = &count{sure: 3, maybe: 1}
	w.mu.counts[Joined("h", "f")] = &count{sure: 2}
	w.mu.tokens["l"] = &tokens{sure: map[string]bool{"<1.1>": true, "<1.2>": true}, maybe: map[string]bool{"<2.1>": true}}
	w.mu.tokens["a"] = &tokens{sure: map[string]bool{"<1.3>": true}}
	w.mu.members[Joined("s", "in")], w.mu.members[Joined("s", "out")], w.mu.members[Joined("s", "who")] = memberIn, memberOut, memberUnknown
	good := func() map[string]Entry {
		return map[string]Entry{
			"i": {Type: "string", Value: "4"},
			"h": {Type: "hash", Value: Collected("hash", []string{Joined("f", "2")})},
			"l": {Type: "list", Value: Collected("list", []string{"<1.2>", "<2.1>", "<1.1>"})},
			"a": {Type: "string", Value: "<1.3>"},
			"s": {Type: "set", Value: Collected("set", []string{"in"})},
		}
	}
	if err := w.Check(good()); err != nil {
		t.Fatal(err)
	}
	for name, e := range map[string]Entry{
		"i lost":    {Type: "string", Value: "2"},
		"i twice":   {Type: "string", Value: "5"},
		"h lost":    {Type: "hash", Value: Collected("hash", []string{Joined("f", "1")})},
		"h absent":  {},
		"l lost":    {Type: "list", Value: Collected("list", []string{"<1.2>", "<2.1>"})},
		"l twice":   {Type: "list", Value: Collected("list", []string{"<1.2>", "<1.1>", "<1.1>"})},
		"l nobody":  {Type: "list", Value: Collected("list", []string{"<1.2>", "<1.1>", "<3.1>"})},
		"a twice":   {Type: "string", Value: "<1.3><1.3>"},
		"s lost":    {},
		"s revived": {Type: "set", Value: Collected("set", []string{"in", "out"})},
	} {
		content := good()
		content[name[:1]] = e
		if err := w.Check(content); err == nil || !strings.Contains(err.Error(), name[:1]) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
