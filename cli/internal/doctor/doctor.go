// Package doctor says what holds changefeeds back, and where: what the registry says of them, checked against what the nodes say at the moment.
//
// A Finding names the stage where to look, a stable code, the reason and what to do. What the workers found themselves is taken as it is; the rest
// are checks that a worker can't make, as it may not run at all: an owner, replicas that answer, a leader, a log that still has what comes next and
// isn't of another history.
package doctor

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cli/internal/feeds"
	"github.com/zankv/zankv/cli/internal/nodes"
	"github.com/zankv/zankv/cli/internal/table"
)

// Finding is one thing that isn't well.
type Finding struct {
	Changefeed string           `json:"changefeed,omitempty"`
	Partition  *uint32          `json:"partition,omitempty"`
	State      changefeed.State `json:"state,omitempty"`
	Stage      changefeed.Stage `json:"stage"`
	Code       changefeed.Code  `json:"code"`
	Reason     string           `json:"reason"`
	Action     string           `json:"action"`
	Since      int64            `json:"since,omitempty"` // ns since 1970; 0: not known
	// Note says that it holds nothing back as yet: it doesn't make the whole unwell.
	Note bool `json:"note,omitempty"`
}

// Seen is what the nodes say of one partition.
type Seen struct {
	// Leader is "" if there is none.
	Leader string
	Logs   []nodes.Log
}

// Examine looks at a changefeed. seen are the partitions of its namespace, nil if they couldn't be asked for.
func Examine(s *feeds.Status, seen map[uint32]Seen, now time.Time) []Finding {
	var all []Finding
	for _, st := range feeds.Standings(s, now) {
		findings := standing(s, st)
		if look, ok := seen[st.Partition]; ok && st.State != changefeed.Finished {
			findings = append(findings, log(s, st, look)...)
		}
		all = append(all, distinct(findings)...)
	}
	return all
}

// standing is what the registry says.
func standing(s *feeds.Status, st feeds.Standing) []Finding {
	if st.Trouble == nil {
		return nil
	}
	t := st.Trouble
	f := of(s, st, t.Stage, t.Code, t.Reason, t.Action)
	f.Since = t.Since
	return []Finding{f}
}

func of(s *feeds.Status, st feeds.Standing, stage changefeed.Stage, code changefeed.Code, reason, action string) Finding {
	n := st.Partition
	return Finding{Changefeed: s.Spec.ID, Partition: &n, State: st.State, Stage: stage, Code: code, Reason: reason, Action: action}
}

// log compares a checkpoint with the logs of the partition's replicas.
func log(s *feeds.Status, st feeds.Standing, look Seen) []Finding {
	var answered []nodes.Log
	var silent []string
	for _, l := range look.Logs {
		if l.Err != nil {
			silent = append(silent, l.Address)
			continue
		}
		answered = append(answered, l)
	}
	name := fmt.Sprintf("%s-%d", s.Spec.Namespace, st.Partition)
	if len(answered) == 0 {
		return []Finding{of(s, st, changefeed.StageLogRead, changefeed.CodeSourceDown,
			fmt.Sprintf("no replica of %s answers: %s", name, orNone(silent)), "start the nodes, or mend the network between here and them")}
	}
	var all []Finding
	if look.Leader == "" {
		all = append(all, of(s, st, changefeed.StageLogRead, changefeed.CodeSourceDown,
			fmt.Sprintf("%s has no leader: nothing is written, and nothing new comes", name), "see that a majority of its replicas runs and reaches each other"))
	}
	var lost []Finding
	if st.Begun && !st.Progress.Position.IsZero() {
		lost = place(s, st, name, answered, len(silent) == 0)
	}
	if st.State == changefeed.Paused && len(lost) == 0 {
		lost = resting(s, st, name, answered)
	}
	all = append(all, lost...)
	if len(silent) > 0 {
		f := of(s, st, changefeed.StageLogRead, changefeed.CodeSourceDown,
			fmt.Sprintf("%d of %d replicas of %s don't answer: %s", len(silent), len(look.Logs), name, strings.Join(silent, ", ")),
			"start the nodes, or mend the network between here and them; the feed goes on at the others meanwhile")
		f.Note = true
		all = append(all, f)
	}
	return all
}

// riskTime is how early it is told that a paused changefeed's place in the log goes by age.
const riskTime = 6 * time.Hour

// resting says whether a paused changefeed, which no worker looks after, is about to lose its place: with less room left than a quarter of what it lacks, or with less
// time than riskTime. What the leader says counts.
func resting(s *feeds.Status, st feeds.Standing, name string, logs []nodes.Log) []Finding {
	for _, l := range logs {
		c, held := l.Consumers[changefeed.ConsumerID(s.Spec.ID)]
		if !l.Leader || !held || c.LagBytes == 0 {
			continue
		}
		left := ""
		switch {
		case c.HeadroomBytes < int64(c.LagBytes/4):
			left = fmt.Sprintf("when %s more are written", table.Bytes(max(c.HeadroomBytes, 0)))
		case c.Headroom < riskTime:
			left = "in " + table.Seconds(max(c.Headroom, 0).Seconds())
		default:
			continue
		}
		return []Finding{of(s, st, changefeed.StageCompaction, changefeed.CodePlaceAtRisk,
			fmt.Sprintf("it is paused, %s behind in %s, and loses its place in the log %s", table.Bytes(int64(c.LagBytes)), name, left),
			"resume it, or let the log keep more for consumers (wal_consumer_bytes, wal_consumer_seconds); after that it goes on from "+from(&s.Spec))}
	}
	return nil
}

// place says whether what comes after the checkpoint is still there, and whether the checkpoint is of this history at all.
func place(s *feeds.Status, st feeds.Standing, name string, logs []nodes.Log, complete bool) []Finding {
	at := st.Progress.Position
	oldest := slices.MinFunc(logs, func(a, b nodes.Log) int { return a.Oldest.Compare(b.Oldest) }).Oldest
	applied := slices.MaxFunc(logs, func(a, b nodes.Log) int { return cmp.Compare(a.Applied, b.Applied) }).Applied
	switch {
	case complete && at.Index > applied:
		return []Finding{of(s, st, changefeed.StageLogRead, changefeed.CodeHistory,
			fmt.Sprintf("the checkpoint %s of %s is beyond what any replica has applied, index %d", at, name, applied),
			"if the cluster was restored or made anew, take the changefeed away and create it again; else wait until the replicas have caught up")}
	case complete && oldest.Index > at.Index:
		return []Finding{of(s, st, changefeed.StageCompaction, changefeed.CodeLogCompacted,
			fmt.Sprintf("the log of %s begins after %s on every replica, the checkpoint is %s: what lies between is gone", name, oldest, at), recovery(&s.Spec))}
	}
	return nil
}

// recovery is how a changefeed goes on that lost its place.
func recovery(s *changefeed.Spec) string {
	if s.Paused {
		return "resume it: it goes on from " + from(s)
	}
	return "it goes on by itself from " + from(s) + "; give the log more room (wal_consumer_bytes, wal_consumer_seconds) or the sink more speed"
}

func from(s *changefeed.Spec) string {
	if s.Archive != "" {
		return "the archive " + s.Archive + ", else from a snapshot of the state"
	}
	if strings.HasPrefix(s.SinkURI, "zankv:") {
		return "a full sync, which carries the whole state"
	}
	return "a snapshot of the state; --archive would spare it that"
}

func orNone(addresses []string) string {
	if len(addresses) == 0 {
		return "none is known"
	}
	return strings.Join(addresses, ", ")
}

// distinct leaves one finding for each stage and code: the first, which is the worker's own.
func distinct(all []Finding) []Finding {
	var kept []Finding
	for _, f := range all {
		if !slices.ContainsFunc(kept, func(k Finding) bool { return k.Stage == f.Stage && k.Code == f.Code }) {
			kept = append(kept, f)
		}
	}
	return kept
}

// Well says whether nothing but notes was found.
func Well(all []Finding) bool {
	return !slices.ContainsFunc(all, func(f Finding) bool { return !f.Note })
}

// Missing is the note on a node that was named and doesn't answer.
func Missing(address string, err error) Finding {
	return Finding{Stage: changefeed.StageLogRead, Code: changefeed.CodeSourceDown, Note: true,
		Reason: fmt.Sprintf("node %s doesn't answer: %v", address, err), Action: "start it, or mend the network between here and it; or name another one by --nodes"}
}
