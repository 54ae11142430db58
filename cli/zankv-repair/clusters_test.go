package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zankv/zankv/cli/internal/peers/pairtest"
)

func do(t *testing.T, s *pairtest.Side, words string) string {
	t.Helper()
	var args []any
	for _, w := range strings.Fields(words) {
		args = append(args, w)
	}
	v, err := s.Client.Do(t.Context(), args...).Result()
	if err != nil {
		t.Fatalf("%s: %s: %v", s.ID, words, err)
	}
	return fmt.Sprint(v)
}

// soon waits until something is so.
func soon(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for tick := time.NewTicker(50 * time.Millisecond); !is(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%s: it isn't so", what)
		}
	}
}

// rowOf is the row of the conflict log that is about a key; nil if there is none.
func rowOf(t *testing.T, s *pairtest.Side, key, flags string) map[string]any {
	t.Helper()
	for line := range strings.Lines(must(t, "conflicts list --json --cluster "+s.GRPC+" "+flags)) {
		var row map[string]any
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		if row["key"] == key {
			return row
		}
	}
	return nil
}

// parted are two clusters that were both written while nothing went between them, and are connected then.
func parted(t *testing.T) *pairtest.Pair {
	w := pairtest.New(t)
	pairtest.Adopt(t, w.B, w.A)
	w.B.SetClosed(t, false)
	for _, s := range []*pairtest.Side{w.A, w.B} {
		do(t, s, "set users:1 from-"+s.ID)
		do(t, s, "hset users:2 name from-"+s.ID)
		do(t, s, "rpush tags from-"+s.ID)
	}
	pairtest.Carry(t, w.A, w.B)
	pairtest.Carry(t, w.B, w.A)
	return w
}

// What was lost in one cluster is written again there, and comes to the other; once it is settled there is nothing to settle.
func TestApplyLost(t *testing.T) {
	t.Parallel()
	w := parted(t)
	at := " --cluster " + w.A.GRPC
	for key, look := range map[string]string{"users:1": "get users:1", "users:2": "hget users:2 name"} {
		var row map[string]any
		soon(t, key, func() bool { row = rowOf(t, w.A, key, ""); return row != nil })
		if row["action"] != "overwrite" || do(t, w.A, look) != "from-dc-b" {
			t.Fatalf("%v", row)
		}
		id := row["id"].(string)
		dry := must(t, "conflicts apply --dry-run --side here "+id+at)
		if !strings.HasPrefix(dry, "would write ") || do(t, w.A, look) != "from-dc-b" {
			t.Error(dry)
		}
		if got := must(t, "conflicts apply --side here "+id+at); !strings.Contains(got, "from-dc-a") || !strings.Contains(got, "the row is removed") {
			t.Error(got)
		}
		soon(t, key+" in dc-b", func() bool { return do(t, w.B, look) == "from-dc-a" })
		if r := command(t, "conflicts apply --side here "+id+at); r.code != 4 {
			t.Errorf("once more: %+v", r)
		}
	}
}

// A key that has diverged is the same in both clusters once it was written whole in one of them, and no record of it is left.
func TestApplyDiverged(t *testing.T) {
	t.Parallel()
	for _, side := range []string{"here", "there"} {
		t.Run(side, func(t *testing.T) {
			t.Parallel()
			w := parted(t)
			var row map[string]any
			for _, s := range []*pairtest.Side{w.A, w.B} {
				soon(t, "tags has diverged in "+s.ID, func() bool { row = rowOf(t, s, "tags", "--diverged"); return row != nil })
			}
			row = rowOf(t, w.A, "tags", "--diverged")
			words := "conflicts apply --json --side " + side + " --cluster " + w.A.GRPC + " " + row["id"].(string)
			if side == "there" {
				if r := command(t, words+" --force"); r.code != 3 || !strings.Contains(r.stderr, "--other") {
					t.Errorf("%+v", r)
				}
				if r := command(t, words+" --force --other "+w.A.GRPC); r.code != 2 || !strings.Contains(r.stderr, "came from dc-b") {
					t.Errorf("%+v", r)
				}
				words += " --other " + w.B.GRPC
			}
			if got := must(t, words); !strings.Contains(got, `"RESTORE","tags","0"`) || !strings.Contains(got, `"written":true`) {
				t.Error(got)
			}
			want := map[string]string{"here": "[from-dc-a]", "there": "[from-dc-b]"}[side]
			for _, s := range []*pairtest.Side{w.A, w.B} {
				soon(t, "tags is repaired in "+s.ID, func() bool { return do(t, s, "lrange tags 0 -1") == want && rowOf(t, s, "tags", "--diverged") == nil })
			}
		})
	}
}

// The commands do what their flags say, and say it in JSON.
func TestSwitchCommands(t *testing.T) {
	t.Parallel()
	w := pairtest.New(t)
	pairtest.Carry(t, w.A, w.B)
	do(t, w.A, "set k 1")
	state := filepath.Join(t.TempDir(), "state.json")
	words := "switchover --from " + w.A.GRPC + " --to " + w.B.GRPC + " --state " + state + " --no-reverse"
	if got := must(t, words+" --dry-run"); !strings.Contains(got, "8/8 open") || !strings.Contains(got, "finished: dry run") {
		t.Error(got)
	}
	if r := command(t, words+" --abort"); r.code != 4 {
		t.Errorf("%+v", r)
	}
	got := must(t, words+" --json")
	lines := strings.Split(strings.TrimSpace(got), "\n")
	if !strings.HasPrefix(lines[len(lines)-1], `{"step":"","state":"finished"`) || !strings.Contains(got, `{"step":"stop-writes","state":"done"`) {
		t.Error(got)
	}
	if got := do(t, w.B, "get k"); got != "1" || pairtest.ClosedTo(t, w.B) || !pairtest.ClosedTo(t, w.A) {
		t.Error(got)
	}
	if r := command(t, words+" --abort"); r.code != 3 || !strings.Contains(r.stderr, "switch back") {
		t.Errorf("%+v", r)
	}
	if got := must(t, words); !strings.Contains(got, "it was done at") {
		t.Error(got)
	}

	// dc-a is closed: it is asked to take over again, as if dc-b had died.
	back := "failover --to " + w.A.GRPC + " --from-nodes " + w.B.GRPC + " --state " + state + "2 --json"
	if r := command(t, back); r.code != 3 || !strings.Contains(r.stderr, `"code":"refused"`) {
		t.Errorf("%+v", r)
	}
	w.B.Stop()
	if r := command(t, back); r.code != 0 || !strings.Contains(r.stdout, `{"step":"record","state":"done"`) || pairtest.ClosedTo(t, w.A) {
		t.Errorf("%+v", r)
	}
	if _, err := os.Stat(state + "2.report.txt"); err != nil {
		t.Error(err)
	}
}
