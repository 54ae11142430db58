package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/zankv/zankv/wal/walbench"
)

// logGroups are the numbers of raft groups that the log is measured with.
var logGroups = []int{1, 16, 256}

// logShort are walbench's names in samples.
var logShort = map[string]string{
	walbench.FirstLife: "first", walbench.Recycled: "recycled", walbench.Append: "append",
	walbench.Overwrite: "overwrite", walbench.EtcdWALs: "etcdwals",
}

// logShare is which part of Options.Each each of a round's fifteen loops takes.
const logShare = 4

func logSection(o *Options) Section {
	return Section{
		Name: "log", About: "the raft log that groups share, against bare loops and a log each", Rows: logRows(),
		Measurements: []Measurement{{Name: "log", Turn: turnLog, Run: func(ctx context.Context) (Samples, error) {
			return logSamples(ctx, o.Dir, o.Each/logShare)
		}}},
	}
}

func logSamples(ctx context.Context, dir string, each time.Duration) (Samples, error) {
	results, err := walbench.Run(ctx, dir, walbench.Options{Groups: logGroups, Duration: each})
	if err != nil {
		return nil, err
	}
	s := Samples{}
	for _, r := range results {
		s[logSample(r.Groups, r.Name, "entries")] = r.Entries
		s[logSample(r.Groups, r.Name, "syncs")] = r.Syncs
	}
	return s, nil
}

func logSample(groups int, name, unit string) string {
	return fmt.Sprintf("log.g%d.%s.%s", groups, logShort[name], unit)
}

func logRows() (rows []Row) {
	for _, groups := range logGroups {
		row := func(what, of, over, unit string, atLeast float64) {
			r := Row{What: fmt.Sprintf("%3d × %s, %s/s", groups, what, unit), Of: logSample(groups, of, unit), AtLeast: atLeast}
			if over != "" {
				r.Over = logSample(groups, over, unit)
			}
			rows = append(rows, r)
		}
		alone := 0.0
		if groups == 256 {
			alone = 10
		}
		row("first life / append", walbench.FirstLife, walbench.Append, "entries", 0.9)
		row("recycled / append", walbench.Recycled, walbench.Append, "entries", 1)
		row("recycled / overwrite", walbench.Recycled, walbench.Overwrite, "entries", 0)
		row("first life / a wal each", walbench.FirstLife, walbench.EtcdWALs, "entries", alone)
		row("first life", walbench.FirstLife, "", "syncs", 0)
		row("recycled", walbench.Recycled, "", "syncs", 0)
	}
	return rows
}
