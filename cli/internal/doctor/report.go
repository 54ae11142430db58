package doctor

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cli/internal/feeds"
	"github.com/zankv/zankv/cli/internal/nodes"
	"github.com/zankv/zankv/cli/internal/table"
)

// Report is what the doctor says.
type Report struct {
	Well bool `json:"well"`
	// Changefeeds is how many were looked at, Partitions of how many partitions in all.
	Changefeeds int       `json:"changefeeds"`
	Partitions  int       `json:"partitions"`
	Findings    []Finding `json:"findings"`
}

// Run looks at changefeeds, and at the nodes. What couldn't be asked is a finding itself.
func Run(ctx context.Context, addresses []string, all []feeds.Status, now func() time.Time) Report {
	r := Report{Changefeeds: len(all), Findings: append([]Finding{}, missing(ctx, addresses)...)}
	seen := map[string]map[uint32]Seen{}
	for i := range all {
		s := &all[i]
		look, known := seen[s.Spec.Namespace]
		if !known {
			var err error
			if look, err = Look(ctx, addresses, s.Spec.Namespace); err != nil {
				r.Findings = append(r.Findings, Finding{Changefeed: s.Spec.ID, Stage: changefeed.StageLogRead, Code: changefeed.CodeSourceDown, State: s.State,
					Reason: fmt.Sprintf("the partitions of %s can't be asked for: %v", s.Spec.Namespace, err), Action: "see that the namespace is there and that the nodes run"})
			}
			seen[s.Spec.Namespace] = look
		}
		r.Partitions += len(feeds.Standings(s, now()))
		r.Findings = append(r.Findings, Examine(s, look, now())...)
	}
	// What is a problem comes first.
	slices.SortStableFunc(r.Findings, func(a, b Finding) int { return cmp.Compare(weight(a), weight(b)) })
	r.Well = Well(r.Findings)
	return r
}

func weight(f Finding) int {
	switch {
	case f.Note:
		return 2
	case f.State == changefeed.Failed:
		return 0
	}
	return 1
}

// missing are notes on those of several nodes that don't answer. If there is only one, whatever asked it before has failed.
func missing(ctx context.Context, addresses []string) []Finding {
	errs := make([]error, len(addresses))
	var group sync.WaitGroup
	for i, address := range addresses {
		group.Go(func() { errs[i] = nodes.Ping(ctx, address) })
	}
	group.Wait()
	var all []Finding
	for i, err := range errs {
		if err != nil {
			all = append(all, Missing(addresses[i], err))
		}
	}
	return all
}

// looksAtOnce bounds how many partitions are asked for at once.
const looksAtOnce = 16

// Look asks the nodes for a namespace's partitions, and all replicas of them for their logs.
func Look(ctx context.Context, addresses []string, namespace string) (map[uint32]Seen, error) {
	partitions, err := nodes.Partitions(ctx, addresses, namespace)
	if err != nil {
		return nil, err
	}
	seen := make([]Seen, len(partitions))
	slots := make(chan struct{}, looksAtOnce)
	var group sync.WaitGroup
	for i, p := range partitions {
		slots <- struct{}{}
		group.Go(func() {
			seen[i] = Seen{Leader: p.Leader, Logs: nodes.Logs(ctx, namespace, p)}
			<-slots
		})
	}
	group.Wait()
	all := make(map[uint32]Seen, len(partitions))
	for i, p := range partitions {
		all[p.Number] = seen[i]
	}
	return all, nil
}

// Write shows a report to people.
func (r *Report) Write(w io.Writer, now time.Time) error {
	var b strings.Builder
	for _, f := range r.Findings {
		f.write(&b, now)
	}
	verdict := "nothing holds them back"
	if !r.Well {
		verdict = "not all is well"
	}
	fmt.Fprintf(&b, "%s, %s: %s\n", table.Count(r.Changefeeds, "changefeed"), table.Count(r.Partitions, "partition"), verdict)
	_, err := io.WriteString(w, b.String())
	return err
}

func (f *Finding) write(b *strings.Builder, now time.Time) {
	where := "cluster"
	if f.Changefeed != "" {
		where = f.Changefeed
	}
	if f.Partition != nil {
		where += fmt.Sprintf(" partition %d", *f.Partition)
	}
	state := string(f.State)
	if f.Note {
		state = "note"
	}
	since := ""
	if f.Since != 0 {
		since = " for " + table.Seconds(now.Sub(time.Unix(0, f.Since)).Seconds())
	}
	fmt.Fprintf(b, "%s: %s, %s (%s%s)\n", table.Plain(where), f.Stage, f.Code, state, since)
	fmt.Fprintf(b, "  what: %s\n", table.Plain(f.Reason))
	if f.Action != "" {
		fmt.Fprintf(b, "  do:   %s\n", table.Plain(f.Action))
	}
	b.WriteByte('\n')
}
