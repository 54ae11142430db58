package command

import "testing"

// TestKeySpecs: every command on keys tells what it does with them, and none is told of that isn't there.
func TestKeySpecs(t *testing.T) {
	left := make(map[string]bool)
	for name := range keySpecs {
		left[name] = true
	}
	visit(All(), func(s *Spec) {
		delete(left, s.Name)
		if s.Scope != ScopeKeys {
			return
		}
		specs := s.keySpecsOf()
		for _, k := range specs {
			if k.access == "" {
				t.Errorf("%s: what does it do with its keys?", s.Name)
			}
		}
		if len(specs) == 0 {
			t.Errorf("%s: no key specification", s.Name)
		}
	})
	for name := range left {
		t.Logf("%s: not a command yet", name)
	}
}
