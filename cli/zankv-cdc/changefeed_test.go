package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed/feedtest"
)

func logOf(partition uint32, events int) *feedtest.History {
	h := feedtest.NewHistoryOf(partition)
	for range events {
		h.Set(2, "users:1", "v")
	}
	return h
}

func at(index uint64) event.Position { return event.Position{Term: 2, Index: index} }

// A changefeed's life, as its user lives it.
func TestLifeOfAChangefeed(t *testing.T) {
	c := newCluster(t, logOf(0, 20), logOf(1, 20))
	t.Setenv("ZANKV_NODES", c.Address)
	out := must(t, "changefeed create -c orders --sink-uri file:///backup --table users,orders --op set --key users:* --heartbeat 2s --bandwidth 5MiB")
	for _, want := range []string{"created changefeed orders over 2 partitions of default\n", "filter      tables users,orders; keys users:*; ops set; leaving digests", "at most 5 MiB"} {
		if !strings.Contains(out, want) {
			t.Errorf("create: no %q in\n%s", want, out)
		}
	}
	claim := c.own(t, "orders", 0, changefeed.Progress{Position: at(7), Time: 5, State: changefeed.Normal, Figures: changefeed.Figures{LagEntries: 13, ETASeconds: 2}})
	if out = must(t, "changefeed list"); !strings.Contains(out, "orders  default") || !strings.Contains(out, "1 of 2") {
		t.Errorf("list:\n%s", out)
	}
	if out = must(t, "changefeed query -c orders"); !strings.Contains(out, "        0  normal       2-7       13") || !strings.Contains(out, "10.0.0.1:12382") {
		t.Errorf("query:\n%s", out)
	}
	// Its owner doesn't let go.
	if err := command(t, "changefeed pause -c orders --json").check(6, "", `{"error":{"code":"conflict"`); err != nil {
		t.Error(err)
	}
	if err := claim.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if out = must(t, "changefeed pause -c orders"); out != "changefeed orders is paused, and nobody works on it\n" {
		t.Error(out)
	}
	if out = must(t, "checkpoint set -c orders --partition 0 --position 2-3"); !strings.Contains(out, "2-3") || !strings.Contains(out, "by hand") {
		t.Errorf("checkpoint set:\n%s", out)
	}
	if out = must(t, "changefeed update -c orders --no-filter --to 2030-01-01T00:00:00Z --no-confirm"); !strings.Contains(out, "filter      none") || !strings.Contains(out, "to 2030-01-01") {
		t.Errorf("update:\n%s", out)
	}
	if out = must(t, "changefeed resume -c orders"); !strings.HasPrefix(out, "changefeed orders runs again") {
		t.Error(out)
	}
	if err := command(t, "checkpoint set -c orders --partition 0 --position 2-3").check(6, "", "only while it is paused"); err != nil {
		t.Error(err)
	}
	if out = must(t, "checkpoint show -c orders"); !strings.Contains(out, "2-3") {
		t.Errorf("checkpoint show:\n%s", out)
	}
	if err := command(t, "changefeed remove -c orders").check(2, "", "nobody can be asked here: Remove changefeed orders?"); err != nil {
		t.Error(err)
	}
	if out = must(t, "changefeed remove -c orders --no-confirm"); out != "changefeed orders is removed\n" {
		t.Error(out)
	}
	if err := command(t, "changefeed query -c orders").check(4, "", "changefeed list names"); err != nil {
		t.Error(err)
	}
}

// Every command has its JSON, and its errors are JSON, too.
func TestJSON(t *testing.T) {
	c := newCluster(t, logOf(0, 20))
	t.Setenv("ZANKV_NODES", c.Address)
	decode := func(text string) (v map[string]any) {
		t.Helper()
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		return v
	}
	made := decode(must(t, "changefeed create --sink-uri file:///backup --json"))
	id, _ := made["id"].(string)
	if !strings.HasPrefix(id, "default-") || len(id) != len("default-12345678") {
		t.Errorf("id %q", id)
	}
	for _, words := range []string{
		"changefeed list --json", "changefeed query --json -c " + id, "changefeed pause --json -c " + id, "checkpoint show --json -c " + id,
		"checkpoint set --partition all --position latest --json -c " + id, "changefeed update --bandwidth 1KB --no-confirm --json -c " + id,
		"changefeed resume --json -c " + id, "changefeed statistics --interval 1s --json -c " + id, "changefeed remove --no-confirm --json -c " + id,
	} {
		v := decode(must(t, words))
		if strings.Contains(words, "list") && len(v["changefeeds"].([]any)) != 1 {
			t.Errorf("%s: %v", words, v)
		}
	}
	for words, code := range map[string]string{
		"changefeed query --json -c nothing": "not-found", "changefeed list --json --nonsense": "usage", "changefeed create --json": "usage",
		"changefeed create --json --sink-uri file://host/x": "invalid", "changefeed create --json --sink-uri ftp:///x": "invalid",
		"changefeed create --json --sink-uri file:///x --namespace other": "not-found", "changefeed remove --json -c x": "unconfirmed",
		"changefeed list --json --nodes 127.0.0.1:1": "unavailable", "tail --json --partition 7 -q": "not-found", "tail --json --from 2-99 -q": "ahead",
	} {
		r := command(t, words)
		e, _ := decode(r.stderr)["error"].(map[string]any)
		if r.stdout != "" || e["code"] != code || e["message"] == "" || strings.Count(r.stderr, "\n") != 1 {
			t.Errorf("%s: want %s: %+v", words, code, r)
		}
	}
}

func TestStatistics(t *testing.T) {
	c := newCluster(t, logOf(0, 20))
	t.Setenv("ZANKV_NODES", c.Address)
	must(t, "changefeed create -c orders --sink-uri file:///backup")
	c.own(t, "orders", 0, changefeed.Progress{Position: at(7), State: changefeed.Normal, Figures: changefeed.Figures{EventsPerSecond: 12}})
	out := must(t, "changefeed statistics -c orders --interval 1s")
	if !strings.Contains(out, "changefeed orders, normal\n") || !strings.Contains(out, "        0       2-7        12") {
		t.Errorf("\n%s", out)
	}
}

func TestDoctor(t *testing.T) {
	c := newCluster(t, logOf(0, 20), logOf(1, 20))
	t.Setenv("ZANKV_NODES", c.Address)
	if out := must(t, "doctor"); out != "0 changefeeds, 0 partitions: nothing holds them back\n" {
		t.Error(out)
	}
	must(t, "changefeed create -c orders --sink-uri file:///backup")
	well := changefeed.Progress{Position: at(7), State: changefeed.Normal}
	c.own(t, "orders", 0, well)
	ill := c.own(t, "orders", 1, well)
	if out := must(t, "doctor -c orders"); !strings.HasSuffix(out, "1 changefeed, 2 partitions: nothing holds them back\n") {
		t.Error(out)
	}
	// The log goes on without it.
	for _, r := range c.Replicas {
		r.TruncateBare(15)
	}
	r := command(t, "doctor")
	if err := r.check(1, "orders partition 1: compaction, log-compacted (normal)\n", ""); err != nil || r.stderr != "" {
		t.Error(err)
	}
	// And the worker's own trouble comes before what is found here.
	trouble := well
	trouble.State, trouble.Owner, trouble.Epoch, trouble.Updated = changefeed.Warning, "10.0.0.1:12382", ill.Epoch(), time.Now().UnixNano()
	trouble.Trouble = &changefeed.Trouble{Stage: changefeed.StageBroker, Code: changefeed.CodeBrokerDown, Reason: "refused", Action: "start it"}
	if err := ill.Save(t.Context(), trouble); err != nil {
		t.Fatal(err)
	}
	var report struct {
		Well     bool
		Findings []struct{ Stage, Code string }
	}
	// The view of a registry shows progress with some delay.
	for deadline := time.Now().Add(10 * time.Second); len(report.Findings) != 3 && time.Now().Before(deadline); {
		r = command(t, "doctor --json")
		if err := json.Unmarshal([]byte(r.stdout), &report); err != nil || r.code != 1 || r.stderr != "" {
			t.Fatalf("%v: %+v", err, r)
		}
	}
	if report.Well || report.Findings[1].Code != "broker-down" && report.Findings[0].Code != "broker-down" {
		t.Errorf("%+v", report)
	}
	if err := command(t, "doctor -c nothing").check(4, "", "not found"); err != nil {
		t.Error(err)
	}
	if err := command(t, "doctor --nodes 127.0.0.1:1").check(5, "", "can't be reached"); err != nil {
		t.Error(err)
	}
}
