package options

import (
	"slices"
	"testing"
)

func TestList(t *testing.T) {
	for _, c := range []struct {
		in       []string
		patterns bool
		want     []string
	}{
		{[]string{"a,b", " c "}, false, []string{"a", "b", "c"}},
		{[]string{`a\,b,c\\,d`}, true, []string{`a\,b`, `c\\`, "d"}},
		{[]string{`a\,b`}, false, []string{`a\`, "b"}},
		{[]string{",", ""}, true, nil},
		{[]string{`a\`}, true, []string{`a\`}},
	} {
		if got := List(c.in, c.patterns); !slices.Equal(got, c.want) {
			t.Errorf("%q: got %q, want %q", c.in, got, c.want)
		}
	}
}
