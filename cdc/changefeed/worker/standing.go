package worker

import (
	"fmt"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
)

// Times after which a partition is told to have nobody.
const (
	// unownedFor is how long a partition may have no owner before it is told: takeovers take a moment.
	unownedFor = 5 * time.Second
	// silentFor is how long an owner may save nothing.
	silentFor = time.Minute
)

// Standing is how a partition stands, as the registry shows it: for who doesn't run it.
func Standing(f *changefeed.Feed, partition uint32, now time.Time) (changefeed.State, *changefeed.Trouble) {
	p, begun := f.Progress[partition]
	owner, owned := f.Owners[partition]
	switch {
	case f.Spec.Paused:
		return changefeed.Paused, nil
	case !runs(&f.Spec, p):
		return p.State, p.Trouble
	case !owned:
		return unowned(f, &p, begun, now)
	case begun && now.Sub(time.Unix(0, p.Updated)) > silentFor:
		return changefeed.Warning, &changefeed.Trouble{
			Stage: changefeed.StageOwner, Code: changefeed.CodeRegistry, Since: p.Updated,
			Reason: fmt.Sprintf("%s runs it, but has saved nothing since %s", owner.Process, clock(p.Updated)),
			Action: "see that that process is alive and reaches etcd",
		}
	case p.State == "" || p.State == changefeed.Paused || p.State == changefeed.Failed || p.State == changefeed.Finished:
		return changefeed.Normal, nil // what is there is of before this owner
	}
	return p.State, p.Trouble
}

func unowned(f *changefeed.Feed, p *changefeed.Progress, begun bool, now time.Time) (changefeed.State, *changefeed.Trouble) {
	since, who := max(p.Updated, f.Spec.Created), "no process has run it yet"
	if begun && p.Owner != "" {
		who = fmt.Sprintf("no process runs it; the last was %s, at %s", p.Owner, clock(p.Updated))
	}
	if now.Sub(time.Unix(0, since)) < unownedFor {
		return changefeed.Normal, nil
	}
	action := "see that data nodes are up, reach etcd, and aren't told not to run changefeeds"
	if f.Spec.Runner == changefeed.RunBySyncer {
		action = "start zankv-cdc sync with this cluster as its source and the sink's as its target; if it runs, look at its log"
	}
	return changefeed.Warning, &changefeed.Trouble{Stage: changefeed.StageOwner, Code: changefeed.CodeNoOwner, Since: since, Reason: who, Action: action}
}

func clock(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339) }
