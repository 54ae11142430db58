package config

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"

	"github.com/zankv/zankv/cluster/meta"
)

// Validate says what is wrong, all of it at once.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.ClusterID == "" {
		bad("cluster_id is missing")
	} else if err := meta.ValidateClusterID(c.ClusterID); err != nil {
		bad("cluster_id: %w", err)
	}
	if len(c.EtcdAddresses) == 0 {
		bad("etcd_cluster_addresses is missing: give etcd's client addresses, as in http://127.0.0.1:2379")
	}
	for _, a := range c.EtcdAddresses {
		if _, _, err := hostPort("etcd_cluster_addresses", a); err != nil {
			errs = append(errs, err)
		}
	}
	if c.DataDir == "" {
		bad("data_dir is missing")
	}
	if c.BroadcastAddr == "" && c.BroadcastInterface == "" {
		bad("broadcast_addr is missing: give the address by which the other nodes and clients reach this one (or broadcast_interface)")
	}
	between := func(key string, v, lo, hi int64) {
		if v < lo || v > hi {
			bad("%s is %d: want %d to %d", key, v, lo, hi)
		}
	}
	between("tick_ms", int64(c.TickMS), 10, 10000)
	between("election_tick", int64(c.ElectionTick), 5, 1000)
	const most = 1 << 60
	between("wal_max_disk_bytes", c.WALMaxDiskBytes, 0, most)
	between("wal_retain_seconds", c.WALRetainSeconds, 0, most)
	between("wal_retain_bytes", c.WALRetainBytes, 0, most)
	between("wal_consumer_seconds", c.WALConsumerSeconds, 60, 10*365*24*3600)
	between("wal_consumer_bytes", c.WALConsumerBytes, 1<<20, most)
	between("rocksdb_opts.block_cache", c.RocksDB.BlockCache, 0, most)
	between("rocksdb_opts.write_buffer_size", c.RocksDB.WriteBufferSize, 0, most)
	between("rocksdb_opts.rate_bytes_per_sec", c.RocksDB.RateBytesPerSec, 0, most)
	// A value and its key have to fit into what the front end reads at all (an argument of 32 MiB) and into an event.
	between("max_key_bytes", int64(c.MaxKeyBytes), 1, 64<<10)
	between("max_subkey_bytes", int64(c.MaxSubKeyBytes), 1, 64<<10)
	between("max_value_bytes", int64(c.MaxValueBytes), 1, 32<<20)
	between("max_batch", int64(c.MaxBatch), 1, 1_000_000)
	between("max_pfadd", int64(c.MaxPFAdd), 1, 1_000_000)
	between("max_scan_count", int64(c.MaxScanCount), 1, 1_000_000)
	between("max_event_bytes", int64(c.MaxEventBytes), 2*int64(c.MaxValueBytes), 256<<20)
	between("max_bit_offset", c.MaxBitOffset, 7, 8*int64(c.MaxValueBytes)-1)
	between("max_scan_job", int64(c.MaxScanJob), 1, 100_000)
	between("changefeed_memory_bytes", c.ChangefeedMemoryBytes, 1<<20, most)
	const year = 365 * 24 * 3600
	between("max_clock_offset", c.MaxClockOffset, 1, year)
	between("tombstone_ttl", c.TombstoneTTL, 60, 10*year)
	between("conflict_log_seconds", c.ConflictLogSeconds, 60, 100*year)
	between("conflict_log_bytes", c.ConflictLogBytes, 1<<20, most)
	between("conflict_content_bytes", c.ConflictContentBytes, 64, 1<<20)
	between("replay_memory_bytes", c.ReplayMemoryBytes, 1<<20, most)
	between("max_keys", int64(c.MaxKeys), 1, 1_000_000_000)
	return errors.Join(append(errs, c.validatePorts()...)...)
}

// validatePorts also finds ports that are given twice.
func (c *Config) validatePorts() (errs []error) {
	takenBy := map[int]string{}
	take := func(key string, port int) {
		if port < 1 || port > 65535 {
			errs = append(errs, fmt.Errorf("%s is %d: want 1 to 65535", key, port))
		} else if other, taken := takenBy[port]; taken {
			errs = append(errs, fmt.Errorf("%s is %d: %s has that port", key, port, other))
		}
		takenBy[port] = key
	}
	take("redis_api_port", c.RedisPort)
	take("http_api_port", c.HTTPPort)
	take("grpc_api_port", c.GRPCPort)
	if _, port, err := hostPort("local_raft_addr", c.LocalRaftAddr); err != nil {
		errs = append(errs, err)
	} else {
		take("local_raft_addr", port)
	}
	for key, ports := range map[string]map[string]int{"namespace_ports": c.NamespacePorts, "cluster_ports": c.ClusterPorts} {
		for _, ns := range slices.Sorted(maps.Keys(ports)) {
			if err := meta.ValidateNamespaceName(ns); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", key, err))
			}
			if ports[ns] != 0 {
				take(key+"."+ns, ports[ns])
			}
		}
	}
	return errs
}

// RaftListen is where the raft transport listens, host:port.
func (c *Config) RaftListen() string {
	host, port, _ := hostPort("local_raft_addr", c.LocalRaftAddr) // Validate has looked at it
	return net.JoinHostPort(host, strconv.Itoa(port))
}

// Broadcast is the address by which others reach the node: the one given, or the first of the interface given.
func (c *Config) Broadcast() (string, error) {
	if c.BroadcastAddr != "" {
		return c.BroadcastAddr, nil
	}
	i, err := net.InterfaceByName(c.BroadcastInterface)
	if err != nil {
		return "", fmt.Errorf("config: broadcast_interface %s: %w", c.BroadcastInterface, err)
	}
	addrs, err := i.Addrs()
	if err != nil {
		return "", fmt.Errorf("config: broadcast_interface %s: %w", c.BroadcastInterface, err)
	}
	for _, a := range addrs {
		if ip, ok := a.(*net.IPNet); ok && !ip.IP.IsLinkLocalUnicast() {
			return ip.IP.String(), nil
		}
	}
	return "", fmt.Errorf("config: broadcast_interface %s has no address: give broadcast_addr", c.BroadcastInterface)
}

// Node is the node as it is to be registered, without id, hostname and version.
func (c *Config) Node() (meta.Node, error) {
	broadcast, err := c.Broadcast()
	if err != nil {
		return meta.Node{}, err
	}
	host, port, err := hostPort("local_raft_addr", c.LocalRaftAddr)
	if err != nil {
		return meta.Node{}, err
	}
	if ip := net.ParseIP(host); host == "" || (ip != nil && ip.IsUnspecified()) {
		host = broadcast
	}
	return meta.Node{
		BroadcastAddr: broadcast, RedisPort: c.RedisPort, HTTPPort: c.HTTPPort, GRPCPort: c.GRPCPort,
		RaftAddr:       net.JoinHostPort(host, strconv.Itoa(port)),
		NamespacePorts: withoutZero(c.NamespacePorts), ClusterPorts: withoutZero(c.ClusterPorts), Tags: c.Tags,
	}, nil
}

func withoutZero(ports map[string]int) map[string]int {
	some := maps.Clone(ports)
	maps.DeleteFunc(some, func(_ string, port int) bool { return port == 0 })
	return some
}
