package e2e

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cli/internal/processes"
	"github.com/zankv/zankv/cli/robustness"
	"github.com/zankv/zankv/cluster/datanode/config"
)

// ownBroker is one that the test may harm.
func ownBroker(t *testing.T, o processes.KafkaOptions) *processes.Kafka {
	t.Helper()
	o.Dir = filepath.Join(t.TempDir(), "kafka")
	k, err := processes.StartKafka(bounded(t), o)
	must(t, "a broker", err)
	t.Cleanup(k.Kill)
	showLogs(t, k.LogTail)
	return k
}

// consumerBytes is what the log keeps for a consumer that is behind, in MiB.
const consumerBytes = 16

// A changefeed whose sink is away for so long that the log no longer has what comes next was told so before. Then it goes on: from an archive
// without a gap; without one from a snapshot of the state, which says that it is one.
func TestChangefeedLosesItsPlace(t *testing.T) {
	t.Parallel()
	k := ownBroker(t, processes.KafkaOptions{})
	c := ownCluster(t, processes.Options{Nodes: 1, Partitions: 1, Replicas: 1, Configure: func(i int, conf *config.Config) {
		tinyLog(i, conf)
		conf.WALConsumerBytes = consumerBytes << 20
	}})
	folder := filepath.Join(t.TempDir(), "archive")
	archive := "file://" + folder
	archiving := &feedOf{Operator: operator(c), id: "archive"}
	_, err := archiving.Create(bounded(t), "archive", "default", archive)
	must(t, "an archive", err)
	with := newFeed(t, c, k, "default", "with-archive", "", "--archive", archive)
	without := newFeed(t, c, k, "default", "without", "")
	clients(t, c, "default", 300)
	with.caughtUp(t)
	without.caughtUp(t)
	k.Kill()
	with.write(t, consumerBytes*9/10)
	with.inArchive(t, folder)
	for _, f := range []*feedOf{with, without} {
		f.until(t, "it is told that its place is at risk", func(q *robustness.Feed) bool {
			return q.State == changefeed.Warning && q.Trouble != nil && q.Trouble.Code == changefeed.CodePlaceAtRisk && q.Trouble.Action != ""
		})
		f.ask(t, nil, "changefeed", "pause", "-c", f.id)
	}
	lost := with.until(t, "it rests", func(q *robustness.Feed) bool { return q.State == changefeed.Paused }).Partitions[0].Position
	await(t, "the log goes on without them", func() error {
		with.write(t, 8)
		with.inArchive(t, folder) // or it would lose its own place
		if first := firstIndex(t, c.Nodes[0]); first <= lost.Index+1 {
			return fmt.Errorf("it begins at %d, their place is %s", first, lost)
		}
		return nil
	})
	for _, f := range []*feedOf{with, without} {
		if code := f.diagnosis(t); code != changefeed.CodeLogCompacted {
			t.Errorf("doctor says %q of %s, want %s", code, f.id, changefeed.CodeLogCompacted)
		}
	}
	must(t, "the broker", k.Start(bounded(t)))
	for want, f := range []*feedOf{with, without} {
		f.ask(t, nil, "changefeed", "resume", "-c", f.id)
		f.equal(t)
		if _, _, snapshots := f.topic.Partitions[0].Counts(); snapshots != want {
			t.Errorf("%s: %d snapshots, want %d", f.id, snapshots, want)
		}
	}
	report, err := with.Verify(bounded(t), archive)
	must(t, "verify the archive", err)
	t.Log(report)
}

// write writes so many MiB into some keys.
func (f *feedOf) write(t *testing.T, mib int) {
	t.Helper()
	value := strings.Repeat("x", 1<<20)
	for i := range mib {
		must(t, "SET", f.bound.Set(t.Context(), fmt.Sprintf("write:%d", i), value, 0).Err())
	}
}

// inArchive writes a mark and waits until the archive in a folder has it, and so all that was written before.
func (f *feedOf) inArchive(t *testing.T, folder string) {
	t.Helper()
	mark := fmt.Sprintf("mark:%d", time.Now().UnixNano())
	must(t, "SET", f.bound.Set(t.Context(), mark, "", 0).Err())
	await(t, "the archive", func() error {
		segments, err := filepath.Glob(filepath.Join(folder, "*", "*.jsonl"))
		if err != nil {
			return err
		}
		for _, name := range segments {
			if end, err := lastBytes(name, 64<<10); err != nil || strings.Contains(end, mark) {
				return err
			}
		}
		return fmt.Errorf("none of %d segments ends with %s", len(segments), mark)
	})
}

// lastBytes is the end of a file, of n bytes at most.
func lastBytes(name string, n int64) (string, error) {
	file, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer file.Close()
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(io.NewSectionReader(file, max(0, size-n), n))
	return string(b), err
}

// diagnosis is the code of what doctor finds first in a changefeed; "" if all is well.
func (f *feedOf) diagnosis(t *testing.T) changefeed.Code {
	t.Helper()
	found, err := f.findings(t)
	must(t, "doctor", err)
	if len(found) == 0 {
		return ""
	}
	return found[0].Code
}
