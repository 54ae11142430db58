package robustness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cli/internal/processes"
	"github.com/zankv/zankv/replay/equal"
)

// Shared is a namespace that two clusters have, each cut as it likes.
type Shared struct {
	Name string
	// Partitions are how many A has, and B.
	Partitions [2]int
	// Policy is the conflict policy, "" for the default.
	Policy string
}

// Pair is two clusters that know nothing of each other, and the syncers between them: two processes for each direction that is carried.
type Pair struct {
	// Clusters are A and B; direction 0 is from A to B, direction 1 back.
	Clusters [2]*processes.Cluster
	Shared   []Shared
	// Link is between the syncers and both clusters.
	Link *processes.Link
	// Syncers are by direction; none where nothing is carried.
	Syncers [2][]*processes.Process
}

// PairOptions say what to run. Each cluster has the same number of nodes and replicas.
type PairOptions struct {
	processes.Binaries
	Dir             string
	Nodes, Replicas int
	Shared          []Shared
	// Env and Configure are as processes.Options have them, by cluster.
	Env       func(cluster, node int) []string
	Configure func(cluster int) processes.Configure
}

// pairIDs are the clusters' ids.
var pairIDs = [2]string{"dc-a", "dc-b"}

// StartPair runs two clusters and makes their namespaces. Kill ends them, even if it fails.
func StartPair(ctx context.Context, o PairOptions) (p *Pair, err error) {
	p = &Pair{Shared: o.Shared}
	if p.Link, err = processes.NewLink(); err != nil {
		return p, err
	}
	for i, id := range pairIDs {
		if err := p.startCluster(ctx, &o, i, id); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (p *Pair) startCluster(ctx context.Context, o *PairOptions, i int, id string) (err error) {
	dir := filepath.Join(o.Dir, id)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return fmt.Errorf("robustness: %w", err)
	}
	first := o.Shared[0]
	opts := processes.Options{
		Binaries: o.Binaries, Dir: dir, ClusterID: id, Linked: true, Nodes: o.Nodes, Replicas: o.Replicas,
		Namespace: first.Name, Partitions: first.Partitions[i], NamespaceFlags: first.flags(),
	}
	for _, s := range o.Shared[1:] {
		opts.Further = append(opts.Further, s.Name)
	}
	if o.Env != nil {
		opts.Env = func(node int) []string { return o.Env(i, node) }
	}
	if o.Configure != nil {
		opts.Configure = o.Configure(i)
	}
	c, err := processes.Start(ctx, opts)
	if err != nil {
		return err
	}
	p.Clusters[i] = c
	for _, s := range o.Shared[1:] {
		flags := append([]string{"--partitions", strconv.Itoa(s.Partitions[i]), "--replicas", strconv.Itoa(o.Replicas)}, s.flags()...)
		if _, err := c.CreateNamespace(ctx, s.Name, flags...); err != nil {
			return err
		}
	}
	return nil
}

func (s *Shared) flags() []string {
	if s.Policy == "" {
		return nil
	}
	return []string{"--conflict-policy", s.Policy}
}

// Carry starts two syncers of a direction.
func (p *Pair) Carry(direction int, flags ...string) error {
	from, to := p.Clusters[direction], p.Clusters[1-direction]
	var names []string
	for _, s := range p.Shared {
		names = append(names, s.Name)
	}
	for i := range 2 {
		s := processes.NewSyncer(processes.SyncerOptions{
			Name: fmt.Sprintf("syncer-%s-%s-%d", from.ClusterID, to.ClusterID, i), Dir: filepath.Dir(from.Dir),
			From: from, To: to, Namespaces: names, Link: p.Link, Flags: flags,
		})
		if err := s.Start(); err != nil {
			return err
		}
		p.Syncers[direction] = append(p.Syncers[direction], s)
	}
	return nil
}

// Kill ends everything at once.
func (p *Pair) Kill() {
	for _, both := range p.Syncers {
		for _, s := range both {
			s.Kill()
		}
	}
	for _, c := range p.Clusters {
		if c != nil {
			c.Kill()
		}
	}
	if p.Link != nil {
		_ = p.Link.Close()
	}
}

// Stop ends everything in order, and says which log has an alarm.
func (p *Pair) Stop(ctx context.Context) error {
	for _, both := range p.Syncers {
		for _, s := range both {
			if err := s.Stop(ctx); err != nil {
				return err
			}
			if err := s.Alarm(); err != nil {
				return err
			}
		}
	}
	for _, c := range p.Clusters {
		if err := c.Stop(ctx); err != nil {
			return err
		}
		if err := c.Alarms(); err != nil {
			return err
		}
	}
	return nil
}

// Logs are the ends of all logs.
func (p *Pair) Logs() string {
	var logs []string
	for _, both := range p.Syncers {
		for _, s := range both {
			logs = append(logs, s.LogTail())
		}
	}
	for _, c := range p.Clusters {
		if c != nil {
			logs = append(logs, c.Logs())
		}
	}
	return strings.Join(logs, "\n")
}

// MaxQuiet bounds how long two clusters take to become equal when nobody writes.
const MaxQuiet = 90 * time.Second

// AwaitEqual returns when all replicas of each namespace agree, and the namespace has the same in both clusters, by checksums of hash slots. How long it
// took is told.
func (p *Pair) AwaitEqual(ctx context.Context, namespaces ...Shared) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, MaxQuiet)
	defer cancel()
	began := time.Now()
	for _, s := range namespaces {
		err := Until(ctx, func(ctx context.Context) error { return p.compare(ctx, s) })
		if err != nil {
			return 0, fmt.Errorf("robustness: namespace %s isn't equal in both clusters: %w", s.Name, err)
		}
	}
	return time.Since(began), nil
}

func (p *Pair) compare(ctx context.Context, s Shared) error {
	var by basis
	for i, c := range p.Clusters {
		if err := by.raiseAll(ctx, c, s.Name, s.Partitions[i]); err != nil {
			return fmt.Errorf("%s: %w", c.ClusterID, err)
		}
	}
	var sums [2]map[string]string
	for i, c := range p.Clusters {
		var err error
		if sums[i], err = by.sums(ctx, c, s.Name, s.Partitions[i]); err != nil {
			return fmt.Errorf("%s: %w", c.ClusterID, err)
		}
	}
	return compareSums(sums)
}

// SameContent compares what clients read of a namespace, key by key, expiries included.
func (p *Pair) SameContent(ctx context.Context, namespace string) (map[string]Entry, error) {
	var contents [2]map[string]Entry
	for i, c := range p.Clusters {
		var err error
		if contents[i], err = ReadStore(ctx, c.Nodes[0].Bound(namespace)); err != nil {
			return nil, err
		}
	}
	for _, key := range differing(contents, time.Now()) {
		return nil, fmt.Errorf("robustness: %s, key %s: %+v in one cluster, %+v in the other", namespace, key, contents[0][key], contents[1][key])
	}
	return contents[0], nil
}

// differing are the keys that differ, in their order, but for those that expire about now.
func differing(contents [2]map[string]Entry, now time.Time) (keys []string) {
	for i, content := range contents {
		for key, e := range content {
			other, ok := contents[1-i][key]
			if ok && (other == e || i == 1) || e.ExpireAt != 0 && e.ExpireAt < now.Add(near).UnixMilli() {
				continue
			}
			keys = append(keys, key)
		}
	}
	return keys
}

// differences are what clients see of what isn't equal, a few keys of each namespace.
func (p *Pair) differences(ctx context.Context) error {
	var errs []error
	for _, s := range p.Shared {
		if _, err := p.SameContent(ctx, s.Name); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// AwaitCarried writes a marker into each of some partitions of one cluster, all if none is named, and returns how long they took to the other.
func (p *Pair) AwaitCarried(ctx context.Context, s Shared, direction int, partitions ...int) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	from := boundTo(p.Clusters[direction], s.Name)(0, 0)
	defer from.Close()
	to := boundTo(p.Clusters[1-direction], s.Name)(0, 0)
	defer to.Close()
	keys, err := MarkerKeys(ctx, from.redis, s.Partitions[direction])
	if err != nil {
		return 0, err
	}
	if len(partitions) > 0 {
		all := keys
		keys = nil
		for _, n := range partitions {
			keys = append(keys, all[n])
		}
	}
	m, err := Mark(ctx, from.redis, keys)
	if err != nil {
		return 0, err
	}
	want, err := strconv.ParseInt(m.Value, 10, 64) // or a later one, of who marks at the same time
	if err != nil {
		return 0, err
	}
	began := time.Now()
	for _, key := range keys {
		err := Until(ctx, func(ctx context.Context) error {
			got, err := to.redis.Get(ctx, key).Int64()
			if err == nil && got < want {
				err = fmt.Errorf("robustness: %s is %d, want %d", key, got, want)
			}
			return err
		})
		if err != nil {
			return 0, fmt.Errorf("robustness: what is written to %s doesn't come to %s: %w", p.Clusters[direction].ClusterID, p.Clusters[1-direction].ClusterID, err)
		}
	}
	return time.Since(began), nil
}

// StopCarrying kills the syncers of a direction.
func (p *Pair) StopCarrying(direction int) {
	for _, s := range p.Syncers[direction] {
		s.Kill()
	}
	p.Syncers[direction] = nil
}

// awaitTrouble returns when what is carried from A has a trouble.
func (p *Pair) awaitTrouble(ctx context.Context, s Shared, code changefeed.Code) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	o := &Operator{Binary: p.Clusters[0].CDC, Nodes: p.Clusters[0].GRPCAddrs()}
	return Until(ctx, func(ctx context.Context) error {
		feed, err := o.Query(ctx, fmt.Sprintf("sync-%s-to-%s", s.Name, p.Clusters[1].ClusterID))
		if err == nil && (feed.Trouble == nil || feed.Trouble.Code != code) {
			err = fmt.Errorf("robustness: the trouble of %s is %+v, want %s", feed.ID, feed.Trouble, code)
		}
		return err
	})
}

// boundTo makes clients that come in on a namespace's port of any node.
func boundTo(c *processes.Cluster, namespace string) func(node, kind int) *Client {
	return func(node, kind int) *Client { return Dial(c.Nodes[node%len(c.Nodes)].Bound(namespace), "", 2+kind%2) }
}

// Adopt takes both clusters for equal, as they are: nothing of before comes with a full sync.
func (p *Pair) Adopt(ctx context.Context, direction int) error {
	from, err := equal.Dial(p.Clusters[direction].GRPCAddrs())
	if err != nil {
		return err
	}
	to, err := equal.Dial(p.Clusters[1-direction].GRPCAddrs())
	if err != nil {
		return errors.Join(err, from.Close())
	}
	for _, s := range p.Shared {
		if _, adopting := equal.Adopt(ctx, from, to, s.Name, equal.AdoptOptions{}); adopting != nil {
			err = errors.Join(err, fmt.Errorf("robustness: %s: %w", s.Name, adopting))
		}
	}
	return errors.Join(err, from.Close(), to.Close())
}
