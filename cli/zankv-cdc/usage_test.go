package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/zankv/zankv/cli/internal/failure"
)

// Mistakes in the command line are told apart from everything else, before anybody is asked.
func TestMisuse(t *testing.T) {
	t.Setenv("ZANKV_NODES", "")
	const at = " --nodes 127.0.0.1:1"
	for _, c := range []struct{ words, stderr string }{
		{"tail" + at + " --partition x", "is no partition"},
		{"tail" + at + " --partition 0,0", "named twice"},
		{"tail" + at + " --partition all --from 2-7", "name one for each"},
		{"tail" + at + " --partition 0 --from 1=2-7", "isn't among those"},
		{"tail" + at + " --until soon", "no place to end"},
		{"tail" + at + " --heartbeats", "add --follow"},
		{"tail" + at + " --op steal", "steal"},
		{"tail" + at + " --table ,", "names nothing"},
		{"changefeed nonsense", "no command \"nonsense\""},
		{"changefeed list", "--nodes is missing"},
		{"changefeed list" + at + " more", "Everything is given by options"},
		{"changefeed query" + at, "--changefeed-id (-c) is missing"},
		{"changefeed query" + at + " -c a/b", "want 1 to 128 letters"},
		{"changefeed create" + at, "say where the changes go"},
		{"changefeed create" + at + " --sink-uri file:///x --bandwidth fast", "want a number of bytes"},
		{"changefeed create" + at + " --sink-uri file:///x --format xml", "want json or debezium"},
		{"changefeed create" + at + " --sink-uri file:///x --heartbeat 1ms", "want at least 100ms"},
		{"changefeed create" + at + " --sink-uri nowhere", "want scheme://"},
		{"changefeed create" + at + " --sink-uri file:///x -c ../x", "want 1 to 128 letters"},
		{"changefeed create" + at + " --sink-uri file:///x --op steal", "steal"},
		{"changefeed update" + at + " -c x", "nothing is to change"},
		{"changefeed update" + at + " -c x --no-filter --op set", "contradicts"},
		{"changefeed update" + at + " -c x --no-digests --digests", "contradicts"},
		{"changefeed update" + at + " -c x --bandwidth -1", "want a number of bytes"},
		{"changefeed statistics" + at + " -c x --interval 1ms", "at least 1s"},
		{"changefeed remove" + at + " -c x", "nobody can be asked here"},
		{"checkpoint set" + at + " -c x --partition 0", "say where to go on after"},
		{"checkpoint set" + at + " -c x --position 2-7", "name the partitions"},
		{"checkpoint set" + at + " -c x --position 0=2-7 --partition 0", "name the partitions"},
		{"checkpoint set" + at + " -c x --position 2-7 --partition all", "name one for each"},
		{"checkpoint set" + at + " -c x --position 0=never", "no place to begin"},
		{"consumers remove" + at, "list names all"},
		{"consumers list" + at + " --partition -1", "no partition"},
		{"doctor", "--nodes is missing"},
		{"doctor" + at + " -c", "flag needs an argument"},
	} {
		if r := command(t, c.words); r.code != 2 || r.stdout != "" || !strings.Contains(r.stderr, c.stderr) {
			t.Errorf("%s: want %q: %+v", c.words, c.stderr, r)
		}
	}
}

func TestParseBytes(t *testing.T) {
	for in, want := range map[string]int64{"": 0, "0": 0, "17": 17, "17B": 17, "500KiB": 500 << 10, "10 MiB": 10 << 20, "2GB": 2e9, "1MB": 1e6} {
		if got, err := parseBytes(in); got != want || err != nil {
			t.Errorf("%q: got %d, %v, want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"-1", "x", "1TB", "1.5MiB", "9223372036854775807", "8589934592GiB", "MiB"} {
		if got, err := parseBytes(in); err == nil {
			t.Errorf("%q: got %d", in, got)
		}
	}
}

// Every command says what it is for, how it is called, and shows it; every option says what it does.
func TestHelp(t *testing.T) {
	var walk func(path string, commands []*cli.Command)
	walk = func(path string, commands []*cli.Command) {
		for _, c := range commands {
			name := strings.TrimSpace(path + " " + c.Name)
			out := must(t, name+" --help")
			for _, want := range []string{c.Usage, "USAGE:\n   zankv-cdc " + name + " ", "DESCRIPTION:"} {
				if !strings.Contains(out, want) {
					t.Errorf("%s --help lacks %q", name, want)
				}
			}
			if len(c.Subcommands) == 0 && !strings.Contains(out, "      zankv-cdc "+name) && !strings.Contains(out, "| zankv-cdc "+name) {
				t.Errorf("%s --help has no example", name)
			}
			if len(c.Subcommands) == 0 && !strings.Contains(out, "--json") {
				t.Errorf("%s has no --json", name)
			}
			for _, flag := range c.Flags {
				if f, ok := flag.(cli.DocGenerationFlag); flag.Names()[0] != "help" && (!ok || f.GetUsage() == "") {
					t.Errorf("%s: --%s doesn't say what it does", name, flag.Names()[0])
				}
			}
			if strings.Contains(out, " value ") {
				t.Errorf("%s --help has an option whose value has no name", name)
			}
			walk(name, c.Subcommands)
		}
	}
	walk("", newApp(nil, nil, nil).Commands)
}

// The help text lists all codes, with their exit codes and what they mean.
func TestCodesAreListed(t *testing.T) {
	out := must(t, "--help")
	for _, r := range failure.Table {
		if want := fmt.Sprintf("%d  %-13s  %s\n", r.Exit, r.Code, r.Meaning); !strings.Contains(out, want) {
			t.Errorf("--help lacks %q", want)
		}
	}
}

// The README names every code behind its exit code.
func TestCodesAreInTheReadme(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range failure.Table {
		rows := strings.Split(string(readme), "\n")
		if !slices.ContainsFunc(rows, func(row string) bool {
			return strings.HasPrefix(row, fmt.Sprintf("| %d | ", r.Exit)) && strings.Contains(row, fmt.Sprintf("`%s`", r.Code))
		}) {
			t.Errorf("README.md lacks %s behind exit code %d", r.Code, r.Exit)
		}
	}
}
