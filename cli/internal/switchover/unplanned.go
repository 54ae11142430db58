package switchover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/zankv/zankv/cli/internal/failure"
	"github.com/zankv/zankv/replay/replaypb"
)

const stepRecord = "record"

// UnplannedSteps are those of a switch from a cluster that is dead.
func UnplannedSteps() []Step {
	return []Step{
		{Name: stepCheck, Title: "the first cluster is dead, and the second is well", Do: checkDead},
		{Name: stepRecord, Title: "what the second cluster has of the first is written down", Changes: true, Do: record, Plan: func(r *Run) string {
			return "write " + r.reportFile() + ".json and .txt"
		}},
		{Name: stepOpen, Title: "clients may write to the second cluster", Changes: true, Do: openAfterRecord, Plan: func(r *Run) string {
			return fmt.Sprintf("POST /synceronly?enable=false, on a node of %s", r.state.To.Cluster)
		}},
	}
}

// Unplanned prepares a switch from a cluster that is dead, or goes on with one that was begun: see Plan.
func Unplanned(ctx context.Context, o Options) (r *Run, done bool, err error) {
	to, err := o.To.Topology(ctx, "")
	if err != nil {
		return nil, false, err
	}
	fresh := &State{Format: stateFormat, Kind: kindUnplanned, Began: now(), To: Party{to.Cluster, o.To.Nodes()}, From: Party{Cluster: o.FromID}}
	if o.From != nil {
		fresh.From.Nodes = o.From.Nodes()
	}
	wanted := o.Namespaces
	if len(wanted) == 0 {
		wanted = slices.Sorted(slices.Values(to.Namespaces))
	}
	sources := map[string]bool{}
	for _, ns := range wanted {
		places, err := o.To.Places(ctx, ns)
		if err != nil {
			return nil, false, err
		}
		from := clustersOf(places, ns)
		if o.FromID != "" {
			from = slices.DeleteFunc(from, func(id string) bool { return id != o.FromID })
		}
		for _, id := range from {
			sources[id] = true
		}
		if len(from) > 0 {
			fresh.Namespaces = append(fresh.Namespaces, ns)
		}
	}
	if fresh.From.Cluster, err = sourceOf(o, to.Cluster, sources); err != nil {
		return nil, false, err
	}
	return open(ctx, o, fresh, UnplannedSteps())
}

// clustersOf are those of which changes came to a namespace.
func clustersOf(places []*replaypb.PlacesResponse, namespace string) []string {
	var all []string
	for _, p := range places {
		for _, s := range p.Senders {
			if s.Sender.GetNamespace() == namespace {
				all = append(all, s.Sender.GetCluster())
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func sourceOf(o Options, to string, sources map[string]bool) (string, error) {
	var ids []string
	for id := range sources {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	switch {
	case len(ids) == 1:
		return ids[0], nil
	case len(ids) > 1:
		return "", failure.New(failure.Invalid, "name the one that is dead: --from "+ids[0], "cluster %s has changes of several others: %s", to, strings.Join(ids, ", "))
	case o.FromID != "":
		return "", failure.New(failure.NotFound, "check --from and --namespace", "cluster %s has nothing of a cluster %q", to, o.FromID)
	}
	return "", failure.New(failure.NotFound, "if clients shall write there all the same: POST /synceronly?enable=false on one of its nodes", "cluster %s never got changes of another cluster: there is nothing to fail over from", to)
}

const (
	// quiet is how long nothing must have come from a cluster that is said to be dead: a syncer says every 10 seconds that it is there, and up to
	// a heartbeat later.
	quiet = 20 * time.Second
	// quietUnreachable is as much for one of which the nodes were asked and didn't answer.
	quietUnreachable = 2 * time.Second
	// longDead is for how long nothing has come from a cluster that needn't be watched.
	longDead = time.Minute
)

// checkDead refuses to open To while From may still be written to, as far as that can be seen from here.
func checkDead(ctx context.Context, r *Run) (string, error) {
	for _, ns := range r.state.Namespaces {
		if err := r.healthy(ctx, r.To, ns); err != nil {
			return "", err
		}
	}
	if r.From != nil {
		top, err := r.From.Topology(ctx, "")
		switch {
		case err == nil && top.Cluster != r.state.From.Cluster:
			return "", failure.New(failure.Invalid, "", "--from-nodes are of cluster %s, not of %s", top.Cluster, r.state.From.Cluster)
		case err == nil:
			err := r.unless(failure.New(failure.Refused, fmt.Sprintf("switch over as planned: zankv-repair switchover --from %s --to %s. --force opens %s all the same: what is written to both then meets as conflicts",
				r.From, r.To, r.state.To.Cluster), "cluster %s answers", r.state.From.Cluster))
			if err != nil {
				return "", err
			}
		case ctx.Err() != nil:
			return "", ctx.Err()
		}
	}
	if err := r.still(ctx); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s is well, and nothing comes from %s", r.state.To.Cluster, r.state.From.Cluster), nil
}

// still refuses when anything comes from From.
func (r *Run) still(ctx context.Context) error {
	before, last, err := r.standing(ctx)
	if err != nil {
		return err
	}
	d := quiet
	switch {
	case time.Since(time.Unix(0, last)) > longDead:
		return nil
	case r.From != nil:
		d = quietUnreachable
	default:
		r.progress("watching for %s whether anything comes from %s", d, r.state.From.Cluster)
	}
	if err := wait(ctx, d); err != nil {
		return err
	}
	after, _, err := r.standing(ctx)
	if err != nil {
		return err
	}
	for at, place := range after {
		if before[at] != place {
			return r.unless(failure.New(failure.Refused, fmt.Sprintf("close %s to clients first (POST /synceronly?enable=true there), or stop its syncer; --force opens %s all the same", r.state.From.Cluster, r.state.To.Cluster),
				"%s still sends: %s moved within %s", r.state.From.Cluster, at, d))
		}
	}
	return nil
}

// standing is where From's partitions are in To's, and the latest time (ns) that one of them has come to.
func (r *Run) standing(ctx context.Context) (all map[string]string, last int64, err error) {
	all = map[string]string{}
	for _, ns := range r.state.Namespaces {
		places, err := r.To.Places(ctx, ns)
		if err != nil {
			return nil, 0, err
		}
		for n, p := range places {
			for _, s := range p.Senders {
				if s.Sender.GetCluster() == r.state.From.Cluster && s.Sender.GetNamespace() == ns {
					at := fmt.Sprintf("the place of %s/%s-%d in %s-%d", r.state.From.Cluster, ns, s.Sender.GetPartition(), ns, n)
					last = max(last, s.Time)
					all[at] = fmt.Sprint(position(s.Reached.GetPosition()), s.Reached.GetDone(), s.Time, position(s.Base), s.Through)
				}
			}
		}
	}
	return all, last, nil
}

// record writes down what To has of From.
func record(ctx context.Context, r *Run) (string, error) {
	report, err := r.report(ctx)
	if err != nil {
		return "", err
	}
	if err := report.write(r.reportFile()); err != nil {
		return "", fmt.Errorf("the report: %w", err)
	}
	r.state.Report = r.reportFile()
	text := fmt.Sprintf("%s.json and .txt say what %s has of %s, up to %s", r.reportFile(), report.To, report.From, report.Until)
	if report.Incomplete {
		r.warn("a full sync of %s was under way: what %s holds of it isn't one state, see the report", report.From, report.To)
	}
	return text, nil
}

func (r *Run) reportFile() string {
	if r.Report != "" {
		return strings.TrimSuffix(strings.TrimSuffix(r.Report, ".json"), ".txt")
	}
	return strings.TrimSuffix(r.Options.File, ".json") + ".report"
}

// openAfterRecord opens To, and adds to the report from where on clients wrote there, and what came from From meanwhile.
func openAfterRecord(ctx context.Context, r *Run) (string, error) {
	said, err := openTo(ctx, r)
	if err != nil {
		return "", err
	}
	report, err := r.report(ctx)
	if err == nil {
		report.Opened = r.state.Opened
		err = report.write(r.reportFile())
	}
	if err != nil {
		return "", errors.Join(fmt.Errorf("clients can write to %s, but the report isn't complete", r.state.To.Cluster), err)
	}
	return said, nil
}

// aftermath is what is to be done about the dead cluster.
func (r *Run) aftermath() string {
	return fmt.Sprintf("clients can write to %s: point them there. What to do when %s is back stands in %s.txt", r.state.To.Cluster, r.state.From.Cluster, r.state.Report)
}
