package main

import (
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	const passing = `{"Action":"output","Package":"p","Test":"TestA","Output":"noise\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s\n"}
{"Action":"pass","Package":"p"}
{"Action":"output","Package":"q","Output":"?   \tq\t[no test files]\n"}
{"Action":"skip","Package":"q"}
`
	for _, c := range []struct {
		name, in, out string
		ok            bool
	}{
		{"all pass", passing, "ok  \tp\t0.1s\n?   \tq\t[no test files]\n", true},
		{"one fails", passing + `{"Action":"output","Package":"r","Test":"TestB","Output":"got 1, want 2\n"}
{"Action":"fail","Package":"r","Test":"TestB"}
{"Action":"output","Package":"r","Output":"FAIL\tr\t0.1s\n"}
{"Action":"fail","Package":"r"}
`, "ok  \tp\t0.1s\n?   \tq\t[no test files]\ngot 1, want 2\nFAIL\tr\t0.1s\n", false},
		{"one is skipped", passing + `{"Action":"output","Package":"r","Test":"TestB","Output":"no redis-server\n"}
{"Action":"skip","Package":"r","Test":"TestB"}
`, "ok  \tp\t0.1s\n?   \tq\t[no test files]\nno redis-server\nskipped: r TestB\n", false},
		{"a build fails", passing + `{"Action":"build-output","ImportPath":"r","Output":"r.go:1: syntax error\n"}
{"Action":"build-fail","ImportPath":"r"}
`, "ok  \tp\t0.1s\n?   \tq\t[no test files]\nr.go:1: syntax error\n", false},
		{"a package panics", passing + `{"Action":"output","Package":"r","Output":"panic: boom\n"}
{"Action":"fail","Package":"r"}
`, "ok  \tp\t0.1s\n?   \tq\t[no test files]\npanic: boom\n", false},
		{"a test never ends", passing + `{"Action":"output","Package":"r","Test":"TestB","Output":"panic: test timed out\n"}
{"Action":"output","Package":"r","Output":"FAIL\tr\t20s\n"}
{"Action":"fail","Package":"r"}
`, "ok  \tp\t0.1s\n?   \tq\t[no test files]\nFAIL\tr\t20s\npanic: test timed out\n", false},
		{"nothing ran", "", "no test ran\n", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			ok, err := report(strings.NewReader(c.in), &out)
			if err != nil {
				t.Fatal(err)
			}
			if ok != c.ok || out.String() != c.out {
				t.Errorf("got %t and %q, want %t and %q", ok, out.String(), c.ok, c.out)
			}
		})
	}
}
