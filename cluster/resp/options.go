package resp

import (
	"log/slog"
	"time"

	"google.golang.org/grpc"

	"github.com/zankv/zankv/cluster/command"
)

// PortKind says what a listener is for.
type PortKind uint8

const (
	// SharedPort takes keys of the form namespace:table:key, until AUTH binds the connection to a namespace.
	SharedPort PortKind = 1
	// NamespacePort is bound to one namespace; keys are logical.
	NamespacePort PortKind = 2
	// ClusterPort is bound to one namespace and speaks Redis Cluster: MOVED instead of forwarding.
	ClusterPort PortKind = 3
)

func (k PortKind) String() string {
	switch k {
	case SharedPort:
		return "shared"
	case NamespacePort:
		return "namespace"
	case ClusterPort:
		return "cluster"
	}
	return "unknown"
}

// Options configure a Server. Zero values stand for the defaults named here.
type Options struct {
	// Backend is required.
	Backend Backend
	// NodeID is this node's, as Backend names it.
	NodeID uint64
	// Version is what INFO and HELLO report as ZanKV's own version.
	Version string
	Logger  *slog.Logger

	// MaxClients is the number of connections over all ports (10000). Further ones get an error and are closed.
	MaxClients int
	// IdleTimeout closes connections on which nothing was sent for so long (5 minutes; negative: never).
	IdleTimeout time.Duration
	// OutputTimeout closes connections whose client takes less than 256 KiB of a reply in so long (30 seconds).
	OutputTimeout time.Duration
	// MaxBulk is the largest argument in bytes that is read at all (32 MiB).
	MaxBulk int
	// MaxQuery is the largest command in bytes (64 MiB), and so bounds a connection's query buffer.
	MaxQuery int
	// MemoryBudget bounds the query and reply buffers of all connections together, in bytes (512 MiB). Each connection's first
	// few KiB don't count: MaxClients bounds those.
	MemoryBudget int64
	// RetryFor is how long a command is kept while its partition has no leader that can be reached (4 seconds).
	RetryFor time.Duration
	// ForwardTimeout is how long the answer of a forwarded command is awaited (10 seconds).
	ForwardTimeout time.Duration
	// DialOptions are for the connections to other nodes' gRPC ports; without any they are plain text.
	DialOptions []grpc.DialOption
	// MaxCursors bounds the SCAN cursors that the node remembers (65536).
	MaxCursors int
	// MaxScanJobs bounds the scans of tables that are in work at once on this node (10). More are refused.
	MaxScanJobs int
	// Limits bound what commands may bring (command.DefaultLimits for those that are 0). They are checked where a client is connected, and again by
	// the node that leads.
	Limits command.Limits
	// Feed gives the partitions' change events; nil: XREAD and XRANGE are refused.
	Feed Feed
	// Config is added to what CONFIG GET knows.
	Config map[string]string
}

func (o Options) withDefaults() Options {
	defaultInt(&o.MaxClients, 10000)
	defaultInt(&o.IdleTimeout, 5*time.Minute)
	defaultInt(&o.OutputTimeout, 30*time.Second)
	defaultInt(&o.MaxBulk, defaultMaxBulk)
	defaultInt(&o.MaxQuery, 64<<20)
	defaultInt(&o.MemoryBudget, 512<<20)
	defaultInt(&o.RetryFor, 4*time.Second)
	defaultInt(&o.ForwardTimeout, 10*time.Second)
	defaultInt(&o.MaxCursors, 1<<16)
	defaultInt(&o.MaxScanJobs, 10)
	o.Limits.SetDefaults()
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Version == "" {
		o.Version = "dev"
	}
	return o
}

func defaultInt[T ~int | ~int64](p *T, value T) {
	if *p == 0 {
		*p = value
	}
}
