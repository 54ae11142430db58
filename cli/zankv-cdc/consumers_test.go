package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/zankv/zankv/cdc/feed"
)

func TestConsumers(t *testing.T) {
	c := newCluster(t, logOf(0, 20), logOf(1, 20))
	t.Setenv("ZANKV_NODES", c.Address)
	if out := must(t, "consumers list"); strings.Count(out, "\n") != 1 {
		t.Error(out)
	}
	for partition, id := range []string{"reader", "changefeed/orders"} {
		if _, err := feed.SetConsumer(t.Context(), []string{c.Address}, "default", uint32(partition), id, at(7)); err != nil {
			t.Fatal(err)
		}
	}
	out := must(t, "consumers list")
	if !strings.Contains(out, "        0  reader                  2-7       13") || !strings.Contains(out, "        1  changefeed/orders") {
		t.Errorf("\n%s", out)
	}
	if out = must(t, "consumers list --partition 1"); strings.Contains(out, "reader") {
		t.Errorf("\n%s", out)
	}
	var listed struct {
		Consumers []struct {
			ID, Position string
			LagEntries   int `json:"lag_entries"`
		}
	}
	if err := json.Unmarshal([]byte(must(t, "consumers list --json")), &listed); err != nil || len(listed.Consumers) != 2 || listed.Consumers[0].Position != "2-7" {
		t.Errorf("%v: %+v", err, listed)
	}
	if err := command(t, "consumers remove --id reader").check(2, "", "Remove consumer reader of 1 partition"); err != nil {
		t.Error(err)
	}
	if out = must(t, "consumers remove --id reader --no-confirm"); out != "consumer reader is removed from 1 partition of default\n" {
		t.Error(out)
	}
	if err := command(t, "consumers remove --id reader --no-confirm").check(4, "", "has a consumer reader"); err != nil {
		t.Error(err)
	}
	if err := command(t, "consumers list --namespace other").check(4, "", "namespace"); err != nil {
		t.Error(err)
	}
	if err := command(t, "consumers list --partition 7").check(4, "", "default-7"); err != nil {
		t.Error(err)
	}
}
