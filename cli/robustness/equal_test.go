package robustness

import (
	"testing"
	"time"
)

// What is compared must be able to differ: in a slot, in its absence on either side, in a key's content and presence.
func TestCompareFinds(t *testing.T) {
	a, b := map[string]string{"1": "x", "2": "y"}, map[string]string{"1": "x", "2": "y"}
	if err := compareSums([2]map[string]string{a, b}); err != nil {
		t.Error(err)
	}
	for _, b := range []map[string]string{{"1": "x"}, {"1": "x", "2": "z"}, {"1": "x", "2": "y", "3": "z"}} {
		if compareSums([2]map[string]string{a, b}) == nil {
			t.Errorf("%v and %v are taken for equal", a, b)
		}
	}
	now := time.Now()
	one := map[string]Entry{"k": {Type: "string", Value: "1"}}
	for _, c := range []struct {
		other map[string]Entry
		want  int
	}{
		{map[string]Entry{"k": {Type: "string", Value: "1"}}, 0},
		{map[string]Entry{"k": {Type: "string", Value: "2"}}, 1},
		{map[string]Entry{}, 1},
		{map[string]Entry{"k": {Type: "string", Value: "1"}, "l": {}}, 1},
		{map[string]Entry{"k": {Type: "string", Value: "1"}, "l": {ExpireAt: now.UnixMilli()}}, 0},
	} {
		for _, contents := range [][2]map[string]Entry{{one, c.other}, {c.other, one}} {
			if got := differing(contents, now); len(got) != c.want {
				t.Errorf("%v: %v differ, want %d", contents, got, c.want)
			}
		}
	}
}
