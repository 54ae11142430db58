package processes

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/zankv/zankv/cluster/datanode/config"
)

// Options say what to run.
type Options struct {
	Binaries
	Dir                         string
	Nodes, Partitions, Replicas int
	Namespace                   string
	// ClusterID is the cluster's; "robust" unless told.
	ClusterID string
	// NamespaceFlags are further flags of zankv namespace create for Namespace.
	NamespaceFlags []string
	// Linked gives the nodes an address for which programs ask the proxy that their environment names: see Link.
	Linked bool
	// Env is what a node's environment has beside this process's; nil is nothing.
	Env func(node int) []string
	// Further are namespaces that have ports on each node, for CreateNamespace.
	Further []string
	// Configure changes a node's configuration before the node first starts; nil leaves all at the defaults.
	Configure Configure
	// Wrap gives what is put before a node's command line (see Process.Wrapper); nil is nothing.
	Wrap func(node int) []string
}

// Configure changes a node's configuration.
type Configure func(node int, c *config.Config)

// Cluster is one etcd and some nodes on free ports of 127.0.0.1.
type Cluster struct {
	Options
	Etcd  *Process
	Nodes []*Node
	etcd  int // port
}

// Node is a data node's process.
type Node struct {
	*Process
	Config config.Config
	file   string // what holds it
}

// defaultID is the cluster id of who doesn't say one.
const defaultID = "robust"

// linkedHost is this machine by a name that isn't taken for it: programs never ask a proxy for "localhost" and 127.0.0.1.
const linkedHost = "LOCALHOST"

func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// Redis is the shared port, Bound the port of the namespace, HTTP and GRPC the others.
func (n *Node) Redis() string { return local(n.Config.RedisPort) }

// Bound is the address of a namespace's own port.
func (n *Node) Bound(namespace string) string { return local(n.Config.NamespacePorts[namespace]) }

// Cluster is the address of a namespace's cluster port.
func (n *Node) Cluster(namespace string) string { return local(n.Config.ClusterPorts[namespace]) }

// HTTP is the address of the HTTP API.
func (n *Node) HTTP() string { return local(n.Config.HTTPPort) }

// GRPC is the address of the feed.
func (n *Node) GRPC() string { return local(n.Config.GRPCPort) }

// LinkedGRPC is the same by the address that the node gives to others, which is behind the Link if the cluster is Linked.
func (n *Node) LinkedGRPC() string {
	return net.JoinHostPort(n.Config.BroadcastAddr, strconv.Itoa(n.Config.GRPCPort))
}

// portsPerNode: redis, http, grpc, raft.
const portsPerNode = 4

// portsPerNamespace: its own port, its cluster port.
const portsPerNamespace = 2

// ports is how many a node takes.
func (o *Options) ports() int { return portsPerNode + portsPerNamespace*(1+len(o.Further)) }

// Start runs the processes, creates the namespace and returns when it answers. On an error nothing is left running.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	if err := seeSources(); err != nil {
		return nil, err
	}
	c, err := prepare(o)
	if err != nil {
		return nil, err
	}
	if err := c.bringUp(ctx); err != nil {
		err = fmt.Errorf("%w\n%s", err, c.Logs())
		c.Kill()
		return nil, err
	}
	return c, nil
}

func prepare(o Options) (*Cluster, error) {
	o.ClusterID = cmp.Or(o.ClusterID, defaultID)
	ports, err := FreePorts(1 + o.ports()*o.Nodes)
	if err != nil {
		return nil, err
	}
	c := &Cluster{Options: o, etcd: ports[0]}
	ports = ports[1:]
	c.Etcd = New("etcd", filepath.Join(o.Dir, "etcd.log"), o.Zankv,
		"etcd", "--data-dir", filepath.Join(o.Dir, "etcd"), "--client-port", strconv.Itoa(c.etcd))
	c.Etcd.env = []string{"GORACE=exitcode=0"} // see Alarms
	for i := range o.Nodes {
		n, err := prepareNode(o, i, c.etcd, ports[o.ports()*i:])
		if err != nil {
			return nil, err
		}
		c.Nodes = append(c.Nodes, n)
	}
	return c, nil
}

func prepareNode(o Options, i, etcd int, ports []int) (*Node, error) {
	name := "node" + strconv.Itoa(i)
	conf := *config.Default()
	conf.ClusterID, conf.EtcdAddresses = o.ClusterID, config.Addresses{"http://" + local(etcd)}
	conf.BroadcastAddr, conf.DataDir = "127.0.0.1", filepath.Join(o.Dir, name)
	if o.Linked {
		conf.BroadcastAddr = linkedHost
	}
	conf.RedisPort, conf.HTTPPort, conf.GRPCPort, conf.LocalRaftAddr = ports[0], ports[1], ports[2], local(ports[3])
	conf.NamespacePorts, conf.ClusterPorts = map[string]int{}, map[string]int{}
	for j, ns := range append([]string{o.Namespace}, o.Further...) {
		own := ports[portsPerNode+portsPerNamespace*j:]
		conf.NamespacePorts[ns], conf.ClusterPorts[ns] = own[0], own[1]
	}
	if o.Configure != nil {
		o.Configure(i, &conf)
	}
	if err := conf.Validate(); err != nil {
		return nil, err
	}
	file := filepath.Join(o.Dir, name+".json")
	p := New(name, filepath.Join(o.Dir, name+".log"), o.Zankv, "--config", file)
	if o.Wrap != nil {
		p.Wrapper = o.Wrap(i)
	}
	if o.Env != nil {
		p.env = o.Env(i)
	}
	n := &Node{Process: p, Config: conf, file: file}
	return n, n.WriteConfig()
}

// WriteConfig writes Config to where the node reads it when it starts the next time.
func (n *Node) WriteConfig() error {
	b, err := json.MarshalIndent(n.Config, "", "  ")
	if err == nil {
		err = os.WriteFile(n.file, b, 0o600)
	}
	if err != nil {
		return fmt.Errorf("processes: %s: %w", n.Name, err)
	}
	return nil
}

func (c *Cluster) bringUp(ctx context.Context) error {
	if err := c.Etcd.Start(); err != nil {
		return err
	}
	for _, n := range c.Nodes {
		if err := n.Start(); err != nil {
			return err
		}
	}
	flags := append([]string{"--partitions", strconv.Itoa(c.Partitions), "--replicas", strconv.Itoa(c.Replicas)}, c.NamespaceFlags...)
	if _, err := c.CreateNamespace(ctx, c.Namespace, flags...); err != nil {
		return err
	}
	for _, n := range c.Nodes {
		if err := c.Ready(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// CreateNamespace runs zankv namespace create with further flags, and returns what it printed.
func (c *Cluster) CreateNamespace(ctx context.Context, name string, flags ...string) (string, error) {
	args := append([]string{"namespace", "create", "--etcd", "http://" + local(c.etcd), "--cluster-id", c.ClusterID,
		"--name", name, "--min-nodes", strconv.Itoa(len(c.Nodes)), "--wait", "60s"}, flags...)
	cmd := exec.CommandContext(ctx, c.Zankv, args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("processes: %s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return string(out), err
}

// Ready returns when a node answers a question that every partition has to answer, wherever its leader is.
func (c *Cluster) Ready(ctx context.Context, n *Node) error {
	client := redis.NewClient(&redis.Options{Addr: n.Bound(c.Namespace), MaxRetries: -1, ContextTimeoutEnabled: true})
	defer client.Close()
	return n.until(ctx, func(ctx context.Context) error { return client.DBSize(ctx).Err() })
}

// Leader is the node that leads a partition, as the cluster's own answer to CLUSTER SHARDS has it: which node has the
// cluster port of the master of the partition's slots.
func (c *Cluster) Leader(ctx context.Context, partition int) (int, error) {
	var errs []error
	for _, n := range c.Nodes {
		if n.cmd == nil {
			continue
		}
		i, err := c.leaderFrom(ctx, n, partition)
		if err == nil {
			return i, nil
		}
		errs = append(errs, err)
	}
	return 0, fmt.Errorf("processes: leader of partition %d: %w", partition, errors.Join(errs...))
}

const slots = 16384

func (c *Cluster) leaderFrom(ctx context.Context, n *Node, partition int) (int, error) {
	client := redis.NewClient(&redis.Options{Addr: n.Bound(c.Namespace), MaxRetries: -1})
	defer client.Close()
	shards, err := client.ClusterShards(ctx).Result()
	if err != nil {
		return 0, err
	}
	first := int64((partition*slots + c.Partitions - 1) / c.Partitions)
	holds := func(r redis.SlotRange) bool { return r.Start <= first && first <= r.End }
	for _, s := range shards {
		for _, m := range s.Nodes {
			if i := c.byClusterPort(int(m.Port)); m.Role == "master" && i >= 0 && slices.ContainsFunc(s.Slots, holds) {
				return i, nil
			}
		}
	}
	return 0, fmt.Errorf("slot %d has no leader among %+v", first, shards)
}

func (c *Cluster) byClusterPort(port int) int {
	return slices.IndexFunc(c.Nodes, func(n *Node) bool { return n.Config.ClusterPorts[c.Namespace] == port })
}

// Partition is the partition of a slot.
func (c *Cluster) Partition(slot int64) int { return int(slot) * c.Partitions / slots }

// LinkedGRPCAddrs are all nodes' addresses as the nodes give them to others.
func (c *Cluster) LinkedGRPCAddrs() []string {
	var addrs []string
	for _, n := range c.Nodes {
		addrs = append(addrs, n.LinkedGRPC())
	}
	return addrs
}

// GRPCAddrs are all nodes' addresses of the feed.
func (c *Cluster) GRPCAddrs() []string {
	var addrs []string
	for _, n := range c.Nodes {
		addrs = append(addrs, n.GRPC())
	}
	return addrs
}

// Stop ends everything in order: the nodes, then etcd.
func (c *Cluster) Stop(ctx context.Context) error {
	var errs []error
	for _, n := range c.Nodes {
		errs = append(errs, n.Stop(ctx))
	}
	return errors.Join(append(errs, c.Etcd.Stop(ctx))...)
}

// Kill ends everything at once.
func (c *Cluster) Kill() {
	for _, n := range c.Nodes {
		n.Kill()
	}
	c.Etcd.Kill()
}

// Logs are the ends of all logs.
func (c *Cluster) Logs() string {
	logs := []string{c.Etcd.LogTail()}
	for _, n := range c.Nodes {
		logs = append(logs, n.LogTail())
	}
	return strings.Join(logs, "\n")
}

// alarms are what no log may have, whatever happened to the process: the race detector's finds, and crashes.
var alarms = []string{"WARNING: DATA RACE", "panic: ", "fatal error: "}

// Alarms tells which node's log has one, with some of what follows it. etcd's log isn't looked at: in the release used
// here the race detector finds something in its own recovery.
func (c *Cluster) Alarms() error {
	for _, n := range c.Nodes {
		if err := n.Alarm(); err != nil {
			return err
		}
	}
	return nil
}

// Alarm tells whether the process's log has one.
func (p *Process) Alarm() error {
	b, err := os.ReadFile(p.LogFile)
	if err != nil {
		return fmt.Errorf("processes: %w", err)
	}
	for _, alarm := range alarms {
		if i := strings.Index(string(b), alarm); i >= 0 {
			return fmt.Errorf("processes: %s: %s", p.Name, b[i:min(len(b), i+2*logTail)])
		}
	}
	return nil
}
