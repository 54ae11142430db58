// Package config is a data node's configuration file: its keys, their defaults, and what makes one invalid.
//
// The file is JSON. Its keys are those that ZanKV's operators know, either at the top level or, as in ZanKV's own files,
// within one object "server_conf". A key that means nothing here is an error that names it: a setting that has no effect
// must not look as if it had one.
package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/partition"
)

// Config is one data node's. See Parse for the defaults.
type Config struct {
	// ClusterID and EtcdAddresses say where the metadata is. Required.
	ClusterID     string    `json:"cluster_id"`
	EtcdAddresses Addresses `json:"etcd_cluster_addresses"`
	// BroadcastAddr is the address by which others reach this node; without it, BroadcastInterface's first one is taken.
	BroadcastAddr      string `json:"broadcast_addr,omitempty"`
	BroadcastInterface string `json:"broadcast_interface,omitempty"`
	// DataDir holds everything the node keeps. Required.
	DataDir string `json:"data_dir"`
	// The ports it listens on, on every interface.
	RedisPort int `json:"redis_api_port"` // 12381
	HTTPPort  int `json:"http_api_port"`  // 12380
	GRPCPort  int `json:"grpc_api_port"`  // 12382
	// LocalRaftAddr is where the raft transport listens: host:port or http://host:port; http://0.0.0.0:12379.
	LocalRaftAddr string `json:"local_raft_addr"`
	// NamespacePorts are bound to one namespace each, ClusterPorts speak Redis Cluster's protocol for one. Port 0: none.
	NamespacePorts map[string]int `json:"namespace_ports,omitempty"`
	ClusterPorts   map[string]int `json:"cluster_ports,omitempty"`
	// Tags are what placement looks at; dc_info names the data centre.
	Tags map[string]string `json:"tags,omitempty"`
	// TickMS is a raft tick in milliseconds, 10 to 10000, 100 unless told. ElectionTick is the election timeout in
	// ticks, 5 to 1000, 10 unless told.
	TickMS       int `json:"tick_ms"`
	ElectionTick int `json:"election_tick"`
	// WALMaxDiskBytes is what the log may take at most, whatever it should retain; 0 is no cap.
	WALMaxDiskBytes int64 `json:"wal_max_disk_bytes,omitempty"`
	// WALRetainSeconds and WALRetainBytes (per partition) are how much of the log is kept for consumers without a
	// registered position where the namespace doesn't say; 0 keeps what the node itself needs.
	WALRetainSeconds int64 `json:"wal_retain_seconds,omitempty"`
	WALRetainBytes   int64 `json:"wal_retain_bytes,omitempty"`
	// WALConsumerSeconds and WALConsumerBytes (per partition) are how far a consumer with a registered position can hold the log back: the log
	// keeps nothing for it that is older than 259200 seconds (72 h), and 268435456 bytes at most, unless told. wal_max_disk_bytes wins over both.
	WALConsumerSeconds int64 `json:"wal_consumer_seconds"`
	WALConsumerBytes   int64 `json:"wal_consumer_bytes"`
	// RunChangefeeds says whether this node takes partitions of changefeeds, true unless told. Others are asked and defined here all the same.
	// ChangefeedMemoryBytes is what all that it runs may hold of events on their way to sinks, 256 MiB unless told.
	RunChangefeeds        bool  `json:"run_changefeeds"`
	ChangefeedMemoryBytes int64 `json:"changefeed_memory_bytes"`
	// SyncerWriteOnly is for partitions that never had a switch (POST /synceronly): when this node leads one, only the syncer may write to it from then
	// on. Give all nodes of a cluster the same.
	SyncerWriteOnly bool `json:"syncer_write_only,omitempty"`
	ReplicationConfig
	// MaxScanJob is how many scans of tables are in work at once, 10 unless told; more are refused.
	MaxScanJob int `json:"max_scan_job"`
	CommandLimits
	RocksDB RocksConfig `json:"rocksdb_opts"`
}

// ReplicationConfig says how what other clusters send is taken. Give all nodes of a cluster the same.
type ReplicationConfig struct {
	// MaxClockOffset is how many seconds a change that comes from another cluster may be ahead of the clock here, 60 unless told. One that is further
	// ahead stops its sender.
	MaxClockOffset int64 `json:"max_clock_offset"`
	// TombstoneTTL is for how many seconds at the longest what was deleted is remembered for other clusters, 864000 (10 days) unless told. One that was
	// away for longer needs a full sync.
	TombstoneTTL int64 `json:"tombstone_ttl"`
	// ConflictLogSeconds and ConflictLogBytes (per partition) are how long the conflict log keeps a row, 2592000 (30 days), and how much of it is kept,
	// 268435456. ConflictContentBytes is how much of a value a row shows, 16384: of more it has size and digest.
	ConflictLogSeconds   int64 `json:"conflict_log_seconds"`
	ConflictLogBytes     int64 `json:"conflict_log_bytes"`
	ConflictContentBytes int64 `json:"conflict_content_bytes"`
	// ReplayMemoryBytes is what changes of other clusters on their way into this node's partitions may take, 268435456; three times max_event_bytes at
	// least: a range of one event, packed and unpacked, has to fit.
	ReplayMemoryBytes int64 `json:"replay_memory_bytes"`
}

func defaultReplication() ReplicationConfig {
	return ReplicationConfig{
		MaxClockOffset: 60, TombstoneTTL: 10 * 24 * 3600, ConflictLogSeconds: 30 * 24 * 3600, ConflictLogBytes: 256 << 20, ConflictContentBytes: 16 << 10,
		ReplayMemoryBytes: 256 << 20,
	}
}

// Replication is what of it the partitions take.
func (r *ReplicationConfig) Replication() partition.Replication {
	return partition.Replication{
		MaxClockOffset: time.Duration(r.MaxClockOffset) * time.Second, TombstoneTTL: time.Duration(r.TombstoneTTL) * time.Second,
		ConflictAge: time.Duration(r.ConflictLogSeconds) * time.Second, ConflictBytes: r.ConflictLogBytes, ContentLimit: int(r.ConflictContentBytes),
	}
}

// CommandLimits bound what one command may bring. Nodes need not agree: a command must fit where its client is connected and where its partition is
// led, and what it finds in the state (how far KEYS or a scan looks, say) goes by the leader. So raise them on all nodes before clients rely on it.
// What is stored already stays readable when they are lowered.
type CommandLimits struct {
	// MaxKeyBytes is the longest key without its namespace, 10240 unless told; MaxSubKeyBytes the longest field or member, 10240;
	// MaxValueBytes the longest string, field's value or list item, 8 MiB.
	MaxKeyBytes    int `json:"max_key_bytes"`
	MaxSubKeyBytes int `json:"max_subkey_bytes"`
	MaxValueBytes  int `json:"max_value_bytes"`
	// MaxBatch is the largest number of keys, fields, members or items in a command, 5000; MaxPFAdd the same for PFADD, 50000.
	MaxBatch int `json:"max_batch"`
	MaxPFAdd int `json:"max_pfadd"`
	// MaxScanCount is the largest COUNT of the scans, 5000: a larger one is taken for it.
	MaxScanCount int `json:"max_scan_count"`
	// MaxBitOffset is the highest offset of a bit, 16777216.
	MaxBitOffset int64 `json:"max_bit_offset"`
	// MaxKeys is how many keys KEYS looks at, 100000.
	MaxKeys int `json:"max_keys"`
	// MaxEventBytes is how large one change event may be, and so what a command may change at once, 64 MiB.
	MaxEventBytes int `json:"max_event_bytes"`
}

func defaultLimits() CommandLimits {
	l := command.DefaultLimits
	return CommandLimits{
		MaxKeyBytes: l.Key, MaxSubKeyBytes: l.SubKey, MaxValueBytes: l.Value, MaxBatch: l.Batch, MaxPFAdd: l.PFAdd,
		MaxScanCount: l.ScanCount, MaxBitOffset: l.BitOffset, MaxKeys: l.Keys, MaxEventBytes: l.Event,
	}
}

// Limits are the limits as the front end and the partitions take them.
func (l *CommandLimits) Limits() command.Limits {
	return command.Limits{
		Key: l.MaxKeyBytes, SubKey: l.MaxSubKeyBytes, Value: l.MaxValueBytes, Batch: l.MaxBatch, PFAdd: l.MaxPFAdd,
		ScanCount: l.MaxScanCount, BitOffset: l.MaxBitOffset, Keys: l.MaxKeys, Event: l.MaxEventBytes,
	}
}

// RocksConfig is RocksDB's part. 0 leaves a value to the engine.
type RocksConfig struct {
	BlockCache      int64 `json:"block_cache,omitempty"`        // bytes, shared by all partitions
	WriteBufferSize int64 `json:"write_buffer_size,omitempty"`  // bytes, per partition
	RateBytesPerSec int64 `json:"rate_bytes_per_sec,omitempty"` // of flushes and compactions, shared by all partitions
}

// Addresses is a list of host:port or http://host:port: in JSON a string with commas, or an array.
type Addresses []string

// UnmarshalJSON takes both forms.
func (a *Addresses) UnmarshalJSON(b []byte) error {
	var list []string
	if bytes.HasPrefix(b, []byte(`"`)) {
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		list = strings.Split(s, ",")
	} else if err := json.Unmarshal(b, &list); err != nil {
		return err
	}
	*a = nil
	for _, s := range list {
		if s = strings.TrimSpace(s); s != "" {
			*a = append(*a, s)
		}
	}
	return nil
}

// maxFile bounds what is read of a configuration file.
const maxFile = 1 << 20

// Load reads and checks a file.
func Load(file string) (*Config, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	if len(b) > maxFile {
		return nil, fmt.Errorf("config: %s has over %d bytes: that is no configuration", file, maxFile)
	}
	c, err := Parse(b)
	if err != nil {
		return nil, fmt.Errorf("config: %s: %w", file, err)
	}
	return c, nil
}

// Default is what a node has that is told nothing.
func Default() *Config {
	return &Config{
		RedisPort: 12381, HTTPPort: 12380, GRPCPort: 12382, LocalRaftAddr: "http://0.0.0.0:12379",
		WALConsumerSeconds: 72 * 3600, WALConsumerBytes: 256 << 20,
		TickMS: 100, ElectionTick: 10, MaxScanJob: 10, RunChangefeeds: true, ChangefeedMemoryBytes: 256 << 20, CommandLimits: defaultLimits(),
		ReplicationConfig: defaultReplication(),
	}
}

// Parse reads a configuration, fills in what isn't given, and checks it.
func Parse(b []byte) (*Config, error) {
	var wrapped map[string]json.RawMessage
	if err := json.Unmarshal(b, &wrapped); err != nil {
		return nil, syntax(b, err)
	}
	if inner, ok := wrapped["server_conf"]; ok {
		if len(wrapped) > 1 {
			delete(wrapped, "server_conf")
			return nil, fmt.Errorf("keys beside server_conf: %s: put them into it", keys(wrapped))
		}
		b = inner
	}
	c := Default()
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(c); err != nil {
		return nil, syntax(b, err)
	}
	return c, c.Validate()
}

func keys(m map[string]json.RawMessage) string {
	var names []string
	for k := range m {
		names = append(names, k)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// syntax puts encoding/json's errors into an operator's words.
func syntax(b []byte, err error) error {
	var s *json.SyntaxError
	var u *json.UnmarshalTypeError
	switch {
	case errors.As(err, &s):
		return fmt.Errorf("line %d: %w", line(b, s.Offset), err)
	case errors.As(err, &u):
		return fmt.Errorf("line %d: key %s: got a JSON %s, want %s", line(b, u.Offset), u.Field, u.Value, u.Type)
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return fmt.Errorf("unknown key %s%s", name, hint(strings.Trim(name, `"`)))
	}
	return err
}

func line(b []byte, offset int64) int {
	return 1 + bytes.Count(b[:min(int(offset), len(b))], []byte("\n"))
}

// elsewhere are keys of ZanKV's that have no effect here, and why.
var elsewhere = map[string]string{
	"data_rsync_module":    "snapshots go over the raft transport",
	"default_snap_count":   "snapshots are taken when a replica needs one",
	"default_snap_catchup": "see wal_retain_seconds and wal_retain_bytes",
	"keep_wal":             "see wal_retain_seconds, wal_retain_bytes and wal_max_disk_bytes",
	"keep_backup":          "no backups are kept on the node",
	"use_rocks_wal":        "all partitions of a node share one log",
	"shared_rocks_wal":     "all partitions of a node share one log",
	"wal_rocksdb_opts":     "all partitions of a node share one log",
	"use_redis_v2":         "the log holds change events",
	"metric_addr":          "metrics are at /metrics of http_api_port",
	"namespaces":           "namespaces are in the cluster's metadata: see zankv namespace create",
}

func hint(key string) string {
	if why, ok := elsewhere[key]; ok {
		return ": it has no effect in this version (" + why + "): remove it"
	}
	return ": remove it, or see the README for the keys there are"
}

// hostPort takes the scheme off an address and checks the rest.
func hostPort(key, addr string) (host string, port int, err error) {
	bare := strings.TrimSuffix(strings.TrimPrefix(addr, "http://"), "/")
	host, p, err := net.SplitHostPort(bare)
	if err != nil {
		return "", 0, fmt.Errorf("%s %q: want host:port or http://host:port: %w", key, addr, err)
	}
	port, err = strconv.Atoi(p)
	if err != nil || port < 1 || port > 65535 {
		return "", 0, fmt.Errorf("%s %q: port %q: want 1 to 65535", key, addr, p)
	}
	return host, port, nil
}
