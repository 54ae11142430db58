package switchover

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/zankv/zankv/cdc/changefeed/admin"
	"github.com/zankv/zankv/cli/internal/nodes"
	"github.com/zankv/zankv/cli/internal/peers"
	"github.com/zankv/zankv/cli/internal/table"
)

// scheme is that of changefeeds that lead to another cluster.
const scheme = "zankv://"

// feeds are the changefeeds of a cluster's namespaces that lead to another cluster.
func (r *Run) feeds(ctx context.Context, client *admin.Client, to *peers.Cluster, id string) ([]admin.Status, error) {
	known := map[string]bool{}
	if top, err := to.Topology(ctx, ""); err == nil {
		for _, n := range top.Nodes {
			known[n.Grpc] = true
		}
	}
	var leading []admin.Status
	for _, ns := range r.state.Namespaces {
		all, err := client.List(ctx, ns)
		if err != nil {
			return nil, err
		}
		for _, s := range all {
			if s.Spec.Namespace == ns && leads(ctx, s.Spec.SinkURI, known, id) {
				leading = append(leading, s)
			}
		}
	}
	return leading, nil
}

// leads says whether a sink's address is of the cluster id: one of its known nodes, or a node that says so.
func leads(ctx context.Context, uri string, known map[string]bool, id string) bool {
	hosts, ok := strings.CutPrefix(uri, scheme)
	if !ok {
		return false
	}
	if i := strings.IndexAny(hosts, "/?"); i >= 0 {
		hosts = hosts[:i]
	}
	all := nodes.Split(hosts)
	if slices.ContainsFunc(all, func(host string) bool { return known[host] }) {
		return true
	}
	if len(all) == 0 {
		return false
	}
	c := peers.Dial(all)
	defer c.Close()
	top, err := c.Topology(ctx, "")
	return err == nil && top.Cluster == id
}

// stopFeeds pauses what carries changes from From to To.
func stopFeeds(ctx context.Context, r *Run) (string, error) {
	client, err := admin.Dial(r.From.Nodes())
	if err != nil {
		return "", err
	}
	defer client.Close()
	all, err := r.feeds(ctx, client, r.To, r.state.To.Cluster)
	if err != nil {
		return "", err
	}
	if len(all) == 0 {
		r.warn("cluster %s has no changefeed that leads to %s: stop whatever else carries changes there", r.state.From.Cluster, r.state.To.Cluster)
		return "there is none", nil
	}
	// Noted before they are paused, so that an abort knows which ones to resume.
	for _, s := range all {
		if !s.Spec.Paused && !slices.Contains(r.state.Paused, s.Spec.ID) {
			r.state.Paused = append(r.state.Paused, s.Spec.ID)
		}
	}
	if err := r.save(); err != nil {
		return "", err
	}
	for _, s := range all {
		if s.Spec.Paused {
			continue
		}
		if _, err := client.Pause(ctx, s.Spec.ID); err != nil {
			return "", fmt.Errorf("pausing changefeed %s of %s: %w", s.Spec.ID, r.state.From.Cluster, err)
		}
	}
	return "paused: " + names(all), nil
}

func names(all []admin.Status) string {
	var ids []string
	for _, s := range all {
		ids = append(ids, s.Spec.ID)
	}
	return strings.Join(ids, ", ")
}

// restartFeeds resumes what stopFeeds paused.
func restartFeeds(ctx context.Context, r *Run) (string, error) {
	err := each(ctx, r.From, r.state.Paused, (*admin.Client).Resume)
	if err != nil || len(r.state.Paused) == 0 {
		return "nothing was paused", err
	}
	said := "resumed: " + strings.Join(r.state.Paused, ", ")
	r.state.Paused = nil
	return said, nil
}

// stopReverse pauses what startReverse resumed.
func stopReverse(ctx context.Context, r *Run) (string, error) {
	err := each(ctx, r.To, r.state.Resumed, (*admin.Client).Pause)
	if err != nil || len(r.state.Resumed) == 0 {
		return fmt.Sprintf("nothing was resumed in %s; a syncer that was started for the way back may be stopped", r.state.To.Cluster), err
	}
	said := "paused again: " + strings.Join(r.state.Resumed, ", ")
	r.state.Resumed = nil
	return said, nil
}

func each(ctx context.Context, c *peers.Cluster, ids []string, do func(*admin.Client, context.Context, string) (admin.Status, error)) error {
	client, err := admin.Dial(c.Nodes())
	if err != nil {
		return err
	}
	defer client.Close()
	for _, id := range ids {
		if _, err := do(client, ctx, id); err != nil {
			return fmt.Errorf("changefeed %s of cluster %s: %w", id, c, err)
		}
	}
	return nil
}

// syncCommand is what brings changes back.
func (r *Run) syncCommand() string {
	return fmt.Sprintf("zankv-cdc sync --source %s --target %s --namespace %s", r.To, r.From, strings.Join(r.state.Namespaces, ","))
}

// startReverse sees that changes go from To to From: changefeeds that are there are resumed, others are waited for.
func startReverse(ctx context.Context, r *Run) (string, error) {
	if r.NoReverse {
		return "left out (--no-reverse). Later: " + r.syncCommand(), nil
	}
	client, err := admin.Dial(r.To.Nodes())
	if err != nil {
		return "", err
	}
	defer client.Close()
	var told time.Time
	for {
		all, err := r.feeds(ctx, client, r.From, r.state.From.Cluster)
		if err != nil {
			return "", err
		}
		if err := r.resume(ctx, client, all); err != nil {
			return "", err
		}
		idle := r.idle(all)
		if len(idle) == 0 {
			return "run: " + names(all), nil
		}
		if time.Since(told) >= 10*tell {
			told = time.Now()
			r.progress("waiting for a syncer of %s. On two machines, for a hot standby, run: %s", strings.Join(idle, ", "), r.syncCommand())
		}
		if err := wait(ctx, poll); err != nil {
			return "", fmt.Errorf("no syncer runs for %s: run %s, or leave it for later with --no-reverse: %w", strings.Join(idle, ", "), r.syncCommand(), err)
		}
	}
}

// wayBack tells beforehand that somebody will be waited for while clients can write to neither cluster.
func (r *Run) wayBack(ctx context.Context) error {
	if r.NoReverse {
		return nil
	}
	client, err := admin.Dial(r.To.Nodes())
	if err != nil {
		return err
	}
	defer client.Close()
	all, err := r.feeds(ctx, client, r.From, r.state.From.Cluster)
	if err != nil {
		return err
	}
	for _, ns := range r.state.Namespaces {
		if !slices.ContainsFunc(all, func(s admin.Status) bool { return s.Spec.Namespace == ns }) {
			r.warn("no changefeed of %s leads back yet for namespace %s. While clients can write to neither cluster it is waited for; have this ready, or add --no-reverse: %s",
				r.state.To.Cluster, ns, r.syncCommand())
		}
	}
	return nil
}

func (r *Run) resume(ctx context.Context, client *admin.Client, all []admin.Status) error {
	for _, s := range all {
		if !s.Spec.Paused {
			continue
		}
		if !slices.Contains(r.state.Resumed, s.Spec.ID) {
			r.state.Resumed = append(r.state.Resumed, s.Spec.ID)
			if err := r.save(); err != nil {
				return err
			}
		}
		if _, err := client.Resume(ctx, s.Spec.ID); err != nil {
			return fmt.Errorf("resuming changefeed %s of %s: %w", s.Spec.ID, r.state.To.Cluster, err)
		}
	}
	return nil
}

// idle are the namespaces of which nobody carries the changes of every partition.
func (r *Run) idle(all []admin.Status) []string {
	var without []string
	for _, ns := range r.state.Namespaces {
		i := slices.IndexFunc(all, func(s admin.Status) bool { return s.Spec.Namespace == ns && !s.Spec.Paused && owned(&s) })
		if i < 0 {
			without = append(without, "namespace "+ns)
		}
	}
	return without
}

func owned(s *admin.Status) bool {
	for n := range s.Partitions {
		if s.Owners[n].Process == "" {
			return false
		}
	}
	return s.Partitions > 0
}

// openTo lets clients write to To.
func openTo(ctx context.Context, r *Run) (string, error) {
	if r.state.Kind == kindPlanned {
		if err := stillClosed(ctx, r); err != nil {
			return "", err
		}
	}
	opened := map[string][]string{}
	for _, ns := range r.state.Namespaces {
		roles, err := r.To.SetRole(ctx, ns, false)
		if err != nil {
			return "", err
		}
		if opened[ns], err = positionsOf(roles); err != nil {
			return "", err
		}
	}
	r.state.Opened = opened
	return fmt.Sprintf("clients can write to %s: %s", r.state.To.Cluster, describe(opened)), nil
}

// farewell is what is to be known when all is done.
func (r *Run) farewell() string {
	if r.state.Kind == kindUnplanned {
		return r.aftermath()
	}
	text := fmt.Sprintf("clients can write to %s, and no longer to %s. Point them there (%s); \"syncer_write_only\" in the nodes' configuration has no effect any more",
		r.state.To.Cluster, r.state.From.Cluster, table.Count(len(r.state.Namespaces), "namespace"))
	if r.NoReverse {
		text += ". Nothing brings changes back yet: " + r.syncCommand()
	}
	return text
}
