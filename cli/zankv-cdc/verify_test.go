package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/verify"
)

// What tail prints is verified, from a file, a pipe and the live partition, options before or behind the source; what was altered isn't.
func TestVerify(t *testing.T) {
	c := newCluster(t, logOf(0, 20), logOf(1, 20))
	t.Setenv("ZANKV_NODES", c.Address)
	printed := must(t, "tail --partition all --op del")
	if strings.Count(printed, `"op":"filtered"`) != 40 {
		t.Fatal(printed)
	}
	file := filepath.Join(t.TempDir(), "changes.jsonl")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(must(t, "tail --partition all"))
	for _, args := range [][]string{{file}, {file, "--json"}, {"--json", file}, {file, "--until", "2-20", "--from", "0-0", "--json"}, {"file://" + file}} {
		if r := command(t, "verify", args...); r.code != 0 || r.stderr != "" {
			t.Errorf("%q: %+v", args, r)
		}
	}
	for _, words := range []string{
		"verify --partition all", "verify --partition 1 --json", "verify --nodes " + c.Address, "verify zankv://" + c.Address + "/default/0", "verify",
	} {
		if r := command(t, words); r.code != 0 || r.stderr != "" {
			t.Errorf("%q: %+v", words, r)
		}
	}
	if err := command(t, "verify --until 2-21 "+file).check(1, "INCOMPLETE", ""); err != nil {
		t.Error(err)
	}
	lines := strings.SplitAfter(must(t, "tail --partition 1"), "\n")
	write(strings.Join(slices.Delete(lines, 5, 6), ""))
	r := command(t, "verify --json "+file)
	var report verify.Report
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil || r.code != 1 || r.stderr != "" || report.Verdict != verify.Violated ||
		report.Partitions[0].Problem.Position != at(7) {
		t.Errorf("%v: %+v", err, r)
	}
}

func TestVerifyStandardInput(t *testing.T) {
	c := newCluster(t, logOf(0, 20))
	printed := must(t, "tail --nodes "+c.Address)
	var stdout, stderr strings.Builder
	if code := run(t.Context(), []string{"zankv-cdc", "verify", "-"}, strings.NewReader(printed), &stdout, &stderr); code != 0 || stderr.Len() != 0 {
		t.Errorf("exit %d, %q, %q", code, stdout.String(), stderr.String())
	}
	if code := run(t.Context(), []string{"zankv-cdc", "verify", "-"}, strings.NewReader(printed+printed), &stdout, &stderr); code != 1 {
		t.Errorf("exit %d", code)
	}
	if code := run(t.Context(), []string{"zankv-cdc", "verify", "-", "--allow-replays"}, strings.NewReader(printed+printed), &stdout, &stderr); code != 0 {
		t.Errorf("exit %d", code)
	}
}

func TestVerifyMisuse(t *testing.T) {
	t.Setenv("ZANKV_NODES", "")
	for words, stderr := range map[string]string{
		"verify": "SOURCE is missing", "verify a b": `what is "b"`, "verify a --partition 1": "stand for a SOURCE", "verify a --nodes x": "stand for a SOURCE",
		"verify --nodes x --partition 0,1": "want one partition, or all", "verify a --from x": "from", "verify a --until x": "until", "verify --nonsense": "not defined",
	} {
		if err := command(t, words).check(2, "", stderr); err != nil {
			t.Errorf("%s: %v", words, err)
		}
	}
	if r := command(t, "verify --json /nowhere/at/all"); r.code == 0 || !strings.Contains(r.stderr, `{"error":`) {
		t.Errorf("%+v", r)
	}
}

func TestOptionsFirst(t *testing.T) {
	app := newApp(nil, nil, nil)
	for in, want := range map[string]string{
		"x verify a --json":             "x verify --json a",
		"x verify a --from 2-1 --json":  "x verify --from 2-1 --json a",
		"x verify --from=2-1 a --json":  "x verify --from=2-1 --json a",
		"x verify - -q":                 "x verify -q -",
		"x verify a -- --json":          "x verify a -- --json",
		"x verify a --from":             "x verify --from a",
		"x changefeed list a --json":    "x changefeed list a --json",
		"x tail a --partition 1 --json": "x tail --partition 1 --json a",
		"x nonsense a --json":           "x nonsense a --json",
		"x":                             "x",
	} {
		if got := strings.Join(optionsFirst(app, strings.Fields(in)), " "); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestProgressText(t *testing.T) {
	p := verify.Progress{Bytes: 30 << 20, Lines: 1000, BytesPerSecond: 10 << 20, Elapsed: 3 * time.Second}
	if got := progressText(p, 0); got != "30 MiB, 1000 lines, 10 MiB/s, 3 s" {
		t.Error(got)
	}
	if got := progressText(p, 120<<20); got != "30 MiB, 1000 lines, 10 MiB/s, 3 s; 25 %, done in 9 s" {
		t.Error(got)
	}
}
