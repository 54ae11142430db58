package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/zankv/zankv/cdc/feed/feedtest"
)

func TestExitCodes(t *testing.T) {
	h := feedtest.NewHistory()
	h.Fill(2, 60)
	c := feedtest.NewCell(t, h, 2)
	for _, n := range c.Nodes {
		n.Replica.Truncate(40)
	}
	nodes := strings.Join(c.Addresses(), ", ,")
	tail := func(args ...string) []string {
		return append([]string{"tail", "--nodes", nodes, "--partition", "3", "--quiet"}, args...)
	}
	for _, c := range []struct {
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{tail(), 0, `"position":"2-`, ""},
		{tail("--count", "2", "--follow", "--format", "text"), 0, "string  key:", ""},
		{tail("--from", "2-50", "--count", "1"), 0, `"position":"2-50"`, ""},
		{tail("--from", "latest"), 0, "", ""},
		{[]string{"tail", "--help"}, 0, "Exit codes: 0 done, 1 an error, 2 a mistake in the command line, 3 the position", ""},
		{tail("--from", "2-1"), 3, "", "was compacted away on every replica; what follows 2-"},
		{tail("--from", "2-9999"), 1, "", "beyond what is applied"},
		{tail("--from", "7-50"), 1, "", "isn't of this partition's history"},
		{tail("--partition", "9"), 4, "", "knows no such partition"},
		{tail("--namespace", "other"), 4, "", "no such namespace"},
		{[]string{"tail"}, 2, "", "--nodes is missing"},
		{tail("--from", "x"), 2, "", "is no place to begin"},
		{tail("--format", "xml"), 2, "", "want json, text or debezium"},
		{tail("--nonsense"), 2, "", "not defined"},
		{tail("extra"), 2, "", "Everything is given by options"},
		{tail("--partition", "4294967296"), 2, "", "not so many"},
		{[]string{"nonsense"}, 2, "", "no command"},
		{nil, 0, "prints partitions' change events", ""},
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), append([]string{"zankv-cdc"}, c.args...), strings.NewReader(""), &stdout, &stderr)
		if code != c.code || !strings.Contains(stdout.String(), c.stdout) || !strings.Contains(stderr.String(), c.stderr) || (code == 0) != (stderr.Len() == 0) {
			t.Errorf("%q: exit %d, want %d; standard output %.300q, error %q", c.args, code, c.code, stdout.String(), stderr.String())
		}
	}
}
