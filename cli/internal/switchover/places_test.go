package switchover

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cli/internal/peers"
	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/replay/replaypb"
)

func at(term, index uint64) *replaypb.Position { return &replaypb.Position{Term: term, Index: index} }

func cursor(term, index uint64, done uint32) *replaypb.Cursor {
	return &replaypb.Cursor{Position: at(term, index), Done: done}
}

const all = math.MaxUint32

// A place lacks nothing of an event only when all its mutations are in, or when it is past it.
func TestBehind(t *testing.T) {
	end := event.Position{Term: 2, Index: 9}
	for _, c := range []struct {
		at   *replaypb.Cursor
		want bool
	}{
		{nil, true}, {cursor(2, 8, all), true}, {cursor(2, 9, 3), true}, {cursor(2, 9, all), false}, {cursor(2, 10, 0), false}, {cursor(3, 10, 0), false}, {cursor(1, 8, all), true},
	} {
		if got := behind(c.at, end); got != c.want {
			t.Errorf("%v: %v", c.at, got)
		}
	}
	if behind(nil, event.Position{}) {
		t.Error("there is no event that could be lacking")
	}
}

func place(partition uint32, c *replaypb.Cursor, time int64) *replaypb.SenderPlace {
	return &replaypb.SenderPlace{Sender: &replaypb.Sender{Cluster: "dc-a", Namespace: "default", Partition: partition}, Reached: c, Time: time}
}

// What is left of a partition is what the furthest behind of the others lacks.
func TestFurthest(t *testing.T) {
	places := []*replaypb.PlacesResponse{
		{Senders: []*replaypb.SenderPlace{place(0, cursor(2, 5, all), 50), place(1, cursor(2, 3, all), 40)}},
		{Senders: []*replaypb.SenderPlace{place(0, cursor(2, 9, 1), 50)}},
	}
	for _, c := range []struct {
		partition uint32
		end       event.Position
		want      uint64
	}{
		{0, event.Position{Term: 2, Index: 9}, 4}, {0, event.Position{Term: 2, Index: 5}, 0}, {1, event.Position{Term: 2, Index: 3}, 3}, {0, event.Position{Term: 3, Index: 10}, 5},
	} {
		if got := furthest(places, store.Numbers{Step: 1, Count: 2}, "dc-a", "default", c.partition, c.end); got != c.want {
			t.Errorf("%d up to %s: %d, want %d", c.partition, c.end, got, c.want)
		}
	}
}

func TestPace(t *testing.T) {
	for _, c := range []struct {
		first, left uint64
		since       time.Duration
		want        string
	}{
		{100, 100, time.Minute, "100 entries left"}, {100, 50, time.Millisecond, "50 entries left"}, {1000, 500, 10 * time.Second, "500 entries left, 50 entries/s, about 10 s"},
		{10, 20, time.Minute, "20 entries left"},
	} {
		if got := pace(c.first, c.left, c.since); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestPositions(t *testing.T) {
	got, err := positionsOf(&peers.Roles{Partitions: []peers.Role{{Partition: "a-b-1", Position: "2-9"}, {Partition: "a-b-0", Position: "3-1"}}})
	if err != nil || strings.Join(got, " ") != "3-1 2-9" {
		t.Errorf("%q, %v", got, err)
	}
	for _, p := range []peers.Role{{Partition: "a-1", Position: "2-9"}, {Partition: "a", Position: "2-9"}, {Partition: "a-0", Position: "x"}} {
		if _, err := positions(&peers.Roles{Partitions: []peers.Role{p}}); err == nil {
			t.Errorf("%+v was taken", p)
		}
	}
}

// The report has each place, the least of each of the dead cluster's partitions, and what to do then.
func TestReport(t *testing.T) {
	syncing := place(1, cursor(0, 0, 0), 3e9)
	syncing.Base, syncing.Through = at(2, 70), []byte("m")
	report := &Report{Format: reportFormat, From: "dc-a", To: "dc-b", At: "2026-11-22T10:00:00Z", Until: "1970-01-01T00:00:03Z", Opened: map[string][]string{"default": {"5-6", "5-7"}}}
	least := report.add("default", "crc16", []*replaypb.PlacesResponse{
		{Senders: []*replaypb.SenderPlace{place(0, cursor(2, 41, all), 9e9), syncing}, LastEvent: at(3, 5), Applied: at(3, 6)},
		{Senders: []*replaypb.SenderPlace{place(0, cursor(2, 40, 2), 8e9), {Sender: &replaypb.Sender{Cluster: "dc-c", Namespace: "default"}}}, LastEvent: at(4, 5), Applied: at(4, 5)},
	})
	if least != 3e9 || !report.Incomplete {
		t.Errorf("least %d, incomplete %v", least, report.Incomplete)
	}
	path := filepath.Join(t.TempDir(), "report")
	if err := report.write(path); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var read Report
	if err := json.Unmarshal(b, &read); err != nil || len(read.Have) != 2 || read.Have[0].From != "2-40" || read.Have[0].Time != "1970-01-01T00:00:08Z" || read.Have[0].Places[1].Done != 2 {
		t.Errorf("%v: %s", err, b)
	}
	text, err := os.ReadFile(path + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"default-0          2-40   1970-01-01T00:00:08Z  default-0: 2-41, default-1: 2-40.2",
		`default-0: 0-0 (a full sync at 2-70 was under way, up to key "m")`,
		"default-1          4-5         4-5      5-7",
		"--partition 0 --from 2-40 > default-0.jsonl",
		"--partition 1 --from earliest > default-1.jsonl",
		"synceronly?enable=true",
	} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("lacks %q:\n%s", want, text)
		}
	}
}

func TestPrinter(t *testing.T) {
	var out, progress, lines strings.Builder
	p := &Printer{Out: &out, Progress: &progress, Steps: PlannedSteps()}
	j := &Printer{Out: &lines, JSON: true}
	for _, l := range []Line{
		{Step: stepStop, State: Skipped, Message: "done at noon: closed"}, {Step: stepCatchUp, State: Running, Message: "the title"}, {Step: stepCatchUp, State: Running, Message: "7 left"},
		{Step: stepCatchUp, State: Warning, Message: "mind\x1b[2J"}, {Step: stepCatchUp, State: Done, Message: "all there", TookMS: 1500}, {Step: stepVerify, State: Running, Message: "compare"},
		{Step: stepVerify, State: Failed, Message: "no"}, {State: Finished, Message: "so long"},
	} {
		p.Say(l)
		j.Say(l)
	}
	want := `2/8 stop-writes  skipped: done at noon: closed
3/8 catch-up     the title
    note: mind [2J
    ok (1.5 s): all there
4/8 verify       compare
    failed
finished: so long
`
	if out.String() != want || progress.String() != "    7 left\n" {
		t.Errorf("got\n%s\n%s", out.String(), progress.String())
	}
	if got := strings.Split(lines.String(), "\n")[4]; got != `{"step":"catch-up","state":"done","message":"all there","took_ms":1500}` {
		t.Error(got)
	}
}
