package glob_test

import (
	"testing"

	"github.com/zankv/zankv/cluster/glob"
)

// FuzzMatch compares with the pattern's meaning spelled out by recursion.
func FuzzMatch(f *testing.F) {
	f.Add([]byte("a*[^b-d]?\\*"), []byte("axyz*"))
	f.Add([]byte("**a"), []byte(""))
	f.Add([]byte("[a-"), []byte("-"))
	f.Fuzz(func(t *testing.T, pattern, s []byte) {
		if len(pattern) > 24 || len(s) > 24 {
			return
		}
		want := len(pattern) == 0
		if len(s) > 0 {
			want = matches(pattern, s)
		}
		if got := glob.Match(pattern, s); got != want {
			t.Errorf("Match(%q, %q) = %v", pattern, s, got)
		}
	})
}

// matches tries every length for every star. What one element takes is asked of Match itself, a byte at a time.
func matches(pattern, s []byte) bool {
	if len(pattern) == 0 {
		return len(s) == 0
	}
	if pattern[0] == '*' {
		for i := 0; i <= len(s); i++ {
			if matches(pattern[1:], s[i:]) {
				return true
			}
		}
		return false
	}
	width := element(pattern)
	return len(s) > 0 && glob.Match(pattern[:width], s[:1]) && matches(pattern[width:], s[1:])
}

func element(pattern []byte) int {
	switch {
	case pattern[0] == '\\' && len(pattern) > 1:
		return 2
	case pattern[0] != '[':
		return 1
	}
	i := 1
	if i < len(pattern) && pattern[i] == '^' {
		i++
	}
	for i < len(pattern) {
		switch {
		case pattern[i] == '\\' && i+1 < len(pattern):
			i += 2
		case pattern[i] == ']':
			return i + 1
		case i+2 < len(pattern) && pattern[i+1] == '-':
			i += 3
		default:
			i++
		}
	}
	return i
}
