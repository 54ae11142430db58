package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// event is a line of `go test -json`; see `go doc test2json`.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

type testName struct{ pkg, test string }

// summary is what was seen so far.
type summary struct {
	out     io.Writer
	output  map[testName]*strings.Builder // of tests that run
	skipped []testName
	failed  bool
	passed  int
}

// report copies what matters from the events in to out, as they come. It is true when nothing failed and nothing was skipped.
func report(in io.Reader, out io.Writer) (bool, error) {
	s := summary{out: out, output: map[testName]*strings.Builder{}}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			fmt.Fprintln(out, lines.Text()) // not test2json's: go's own words, about a build
			continue
		}
		s.add(e)
	}
	if err := lines.Err(); err != nil {
		return false, fmt.Errorf("read test events: %w", err)
	}
	for _, t := range s.skipped {
		fmt.Fprintf(out, "skipped: %s %s\n", t.pkg, t.test)
	}
	if s.passed == 0 && !s.failed {
		fmt.Fprintln(out, "no test ran")
	}
	return !s.failed && len(s.skipped) == 0 && s.passed > 0, nil
}

func (s *summary) add(e event) {
	t := testName{e.Package, e.Test}
	switch e.Action {
	case "output":
		s.keep(t, e.Output)
	case "build-output":
		fmt.Fprint(s.out, e.Output)
	case "fail", "build-fail":
		s.failed = true
		s.tell(t)
		if t.test == "" {
			s.tellUnfinished(t.pkg)
		}
	case "skip":
		if e.Test != "" { // a package without tests is no skipped test
			s.skipped = append(s.skipped, t)
			s.tell(t)
		}
	case "pass":
		if e.Test != "" {
			s.passed++
		}
	}
	if e.Action == "pass" || e.Action == "fail" || e.Action == "skip" {
		delete(s.output, t)
	}
}

// keep prints a package's closing line at once, and keeps a test's output until it is known whether it matters. What a
// package prints outside of tests, a panic for one, is told when it fails.
func (s *summary) keep(t testName, text string) {
	if t.test == "" && closing(text) {
		fmt.Fprint(s.out, text)
		return
	}
	if s.output[t] == nil {
		s.output[t] = &strings.Builder{}
	}
	s.output[t].WriteString(text)
}

func closing(line string) bool {
	for _, prefix := range []string{"ok  \t", "FAIL\t", "?   \t", "---\t"} {
		if strings.HasPrefix(line, prefix) {
			return true
		}
	}
	return false
}

func (s *summary) tell(t testName) {
	if kept := s.output[t]; kept != nil {
		fmt.Fprint(s.out, kept.String())
	}
}

// tellUnfinished tells what the tests of a package said that a panic or a timeout ended.
func (s *summary) tellUnfinished(pkg string) {
	for t := range s.output {
		if t.pkg == pkg && t.test != "" {
			s.tell(t)
			delete(s.output, t)
		}
	}
}
