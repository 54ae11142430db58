package replay

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Scheme is that of the sink's URIs.
const Scheme = "zankv"

// What a Config has when the URI doesn't say, and between which bounds it may be.
const (
	DefaultRangeBytes = 1 << 20
	minRangeBytes     = 64 << 10
	maxRangeBytes     = 8 << 20
	DefaultIdle       = 10 * time.Second
	minIdle           = time.Second
	maxIdle           = 10 * time.Minute
)

// Config is what a sink's URI says:
//
//	zankv://host:port[,host:port…][?option=value&…]
type Config struct {
	// Nodes are gRPC addresses, host:port, of any nodes of the target.
	Nodes []string
	// Namespace is the target's; "" is that of the source's name.
	Namespace string
	// Bandwidth bounds what all partitions of a sink in one process send, in bytes a second as they are on the wire; 0 is no bound.
	Bandwidth int64
	// Zstd says that ranges are compressed.
	Zstd bool
	// RangeBytes is how large a range becomes, before compression, while the one before is on its way. A larger event goes alone.
	RangeBytes int
	// Idle is how often a target partition is told a place without changes.
	Idle time.Duration
}

// ParseURI reads a sink's URI. It connects to nothing.
func ParseURI(uri string) (*Config, error) {
	rest, ok := strings.CutPrefix(uri, Scheme+"://")
	if !ok {
		return nil, fmt.Errorf("replay: want %s://host:port[,host:port…], of the target's gRPC addresses", Scheme)
	}
	rest, query, _ := strings.Cut(rest, "?")
	hosts, path, _ := strings.Cut(rest, "/")
	switch {
	case strings.Contains(hosts, "@"):
		return nil, fmt.Errorf("replay: the URI has a user before its hosts: it would be seen by everybody who lists changefeeds, and no password is needed here")
	case path != "":
		return nil, fmt.Errorf("replay: the URI has a path, /%.40s: write the target's namespace as ?namespace=NAME", path)
	case strings.Contains(query, "#"):
		return nil, fmt.Errorf("replay: the URI has a fragment (#…): write %%23 for the sign itself")
	}
	c := &Config{Zstd: true, RangeBytes: DefaultRangeBytes, Idle: DefaultIdle}
	var err error
	if c.Nodes, err = parseNodes(hosts); err != nil {
		return nil, err
	}
	options, err := url.ParseQuery(query)
	if err != nil {
		return nil, fmt.Errorf("replay: options of the URI: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(options)) {
		if len(options[name]) != 1 {
			return nil, fmt.Errorf("replay: option %s is given %d times: want it once", name, len(options[name]))
		}
		if err := c.set(name, options[name][0]); err != nil {
			return nil, fmt.Errorf("replay: %w", err)
		}
	}
	return c, nil
}

func parseNodes(hosts string) ([]string, error) {
	var nodes []string
	for node := range strings.SplitSeq(hosts, ",") {
		host, port, err := net.SplitHostPort(node)
		if err != nil || host == "" {
			return nil, fmt.Errorf("replay: node %q: want host:port, of its gRPC", node)
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, fmt.Errorf("replay: node %q: port %q: want 1 to 65535", node, port)
		}
		if !slices.Contains(nodes, node) {
			nodes = append(nodes, node)
		}
	}
	return nodes, nil
}

// optionNames are those that set knows.
const optionNames = "namespace, bandwidth, compression, range-bytes, idle"

func (c *Config) set(name, value string) (err error) {
	switch name {
	case "namespace":
		if c.Namespace = value; value == "" {
			return fmt.Errorf("option namespace: want a name")
		}
	case "bandwidth":
		c.Bandwidth, err = parseBytes(name, value, 0, 1<<40)
	case "compression":
		if value != "zstd" && value != "none" {
			return fmt.Errorf("option compression=%q: want zstd or none", value)
		}
		c.Zstd = value == "zstd"
	case "range-bytes":
		var n int64
		n, err = parseBytes(name, value, minRangeBytes, maxRangeBytes)
		c.RangeBytes = int(n)
	case "idle":
		if c.Idle, err = time.ParseDuration(value); err != nil || c.Idle < minIdle || c.Idle > maxIdle {
			return fmt.Errorf("option idle=%q: want a duration from %s to %s, as 10s", value, minIdle, maxIdle)
		}
	case "password", "user":
		return fmt.Errorf("option %s: no user or password is needed here, and everybody who lists changefeeds would see it", name)
	default:
		return fmt.Errorf("unknown option %.40q: want one of %s", name, optionNames)
	}
	return err
}

var units = []struct {
	suffix string
	shift  uint
}{{"KiB", 10}, {"MiB", 20}, {"GiB", 30}}

// parseBytes reads 1048576, or 1MiB.
func parseBytes(name, value string, least, most int64) (int64, error) {
	digits, shift := value, uint(0)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(value, u.suffix); ok {
			digits, shift = rest, u.shift
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > most>>shift || n<<shift < least {
		return 0, fmt.Errorf("option %s=%q: want a number of bytes from %d to %d, as 1048576, 1024KiB or 1MiB", name, value, least, most)
	}
	return n << shift, nil
}

// namespaceFor is the target's name of a source's namespace.
func (c *Config) namespaceFor(source string) string { return cmp.Or(c.Namespace, source) }
