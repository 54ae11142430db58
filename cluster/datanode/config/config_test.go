package config

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/partition"
)

const least = `"cluster_id":"c","etcd_cluster_addresses":"http://127.0.0.1:2379","data_dir":"d","broadcast_addr":"10.0.0.1"`

func TestDefaults(t *testing.T) {
	for _, text := range []string{"{" + least + "}", `{"server_conf":{` + least + "}}"} {
		got, err := Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		want := &Config{
			ClusterID: "c", EtcdAddresses: Addresses{"http://127.0.0.1:2379"}, DataDir: "d", BroadcastAddr: "10.0.0.1",
			RedisPort: 12381, HTTPPort: 12380, GRPCPort: 12382, LocalRaftAddr: "http://0.0.0.0:12379", TickMS: 100, ElectionTick: 10, MaxScanJob: 10, RunChangefeeds: true, ChangefeedMemoryBytes: 256 << 20, CommandLimits: defaultLimits(),
			WALConsumerSeconds: 259200, WALConsumerBytes: 268435456,
			ReplicationConfig: ReplicationConfig{
				MaxClockOffset: 60, TombstoneTTL: 864000, ConflictLogSeconds: 2592000, ConflictLogBytes: 268435456, ConflictContentBytes: 16384, ReplayMemoryBytes: 268435456,
			},
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
		if got.RaftListen() != "0.0.0.0:12379" {
			t.Fatalf("raft listens on %s", got.RaftListen())
		}
		n, err := got.Node()
		if err != nil || n.RaftAddr != "10.0.0.1:12379" || n.BroadcastAddr != "10.0.0.1" {
			t.Fatalf("node %+v, %v", n, err)
		}
	}
}

func TestEverything(t *testing.T) {
	file := filepath.Join(t.TempDir(), "node.json")
	text := `{` + least + `,
		"redis_api_port":1,"http_api_port":2,"grpc_api_port":3,"local_raft_addr":"127.0.0.1:4",
		"namespace_ports":{"default":5,"none":0},"cluster_ports":{"default":6},
		"tags":{"ssd":"","dc_info":"dc1"},"tick_ms":200,"election_tick":30,
		"wal_max_disk_bytes":1000,"wal_retain_seconds":60,"wal_retain_bytes":500,"wal_consumer_seconds":3600,"wal_consumer_bytes":2000000,
		"max_key_bytes":20,"max_subkey_bytes":21,"max_value_bytes":22,"max_batch":23,"max_pfadd":24,"max_scan_count":25,"max_bit_offset":26,"max_keys":27,"max_event_bytes":33554432,"max_scan_job":28,"run_changefeeds":false,"changefeed_memory_bytes":2097152,"syncer_write_only":true,
		"max_clock_offset":5,"tombstone_ttl":3600,"conflict_log_seconds":7200,"conflict_log_bytes":3000000,"conflict_content_bytes":100,"replay_memory_bytes":110000000,
		"rocksdb_opts":{"block_cache":1,"write_buffer_size":2,"rate_bytes_per_sec":3}}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	n, err := c.Node()
	if err != nil || n.RaftAddr != "127.0.0.1:4" || !reflect.DeepEqual(n.NamespacePorts, map[string]int{"default": 5}) || n.Tags["dc_info"] != "dc1" {
		t.Fatalf("node %+v, %v", n, err)
	}
	if l := c.Limits(); l != (command.Limits{Key: 20, SubKey: 21, Value: 22, Batch: 23, PFAdd: 24, ScanCount: 25, BitOffset: 26, Keys: 27, Event: 33554432}) {
		t.Errorf("limits %+v", l)
	}
	if c.WALConsumerSeconds != 3600 || c.WALConsumerBytes != 2000000 {
		t.Errorf("consumers hold %d s, %d bytes", c.WALConsumerSeconds, c.WALConsumerBytes)
	}
	if !c.SyncerWriteOnly {
		t.Error("syncer_write_only isn't read")
	}
	if c.RunChangefeeds || c.ChangefeedMemoryBytes != 2<<20 {
		t.Errorf("changefeeds %v, %d bytes", c.RunChangefeeds, c.ChangefeedMemoryBytes)
	}
	if r := c.Replication(); r != (partition.Replication{
		MaxClockOffset: 5 * time.Second, TombstoneTTL: time.Hour, ConflictAge: 2 * time.Hour, ConflictBytes: 3000000, ContentLimit: 100,
	}) || c.ReplayMemoryBytes != 110000000 {
		t.Errorf("replication %+v, %d bytes", r, c.ReplayMemoryBytes)
	}
	if c.MaxScanJob != 28 {
		t.Errorf("scan jobs %d", c.MaxScanJob)
	}
	if l := Default().Limits(); l != command.DefaultLimits {
		t.Errorf("default limits %+v", l)
	}
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(b)
	if err != nil || !reflect.DeepEqual(again, c) {
		t.Fatalf("written and read again: %+v, %v", again, err)
	}
}

// Each fault is named with its key, so that an operator finds it.
func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		`{`:                              "line 1",
		`{}`:                             "cluster_id is missing",
		`{"cluster_id":"c"}`:             "etcd_cluster_addresses is missing",
		`{` + least + `,"redis_prot":1}`: `unknown key "redis_prot"`,
		`{` + least + `,"keep_wal":80}`:  `"keep_wal": it has no effect`,
		`{` + least + `,"rocksdb_opts":{"blocks":1}}`:                      `unknown key "blocks"`,
		"{" + least + ",\n\"tick_ms\":\"fast\"}":                           "line 2: key tick_ms",
		`{` + least + `,"tick_ms":1}`:                                      "tick_ms is 1: want 10 to 10000",
		`{` + least + `,"election_tick":4}`:                                "election_tick is 4",
		`{` + least + `,"redis_api_port":70000}`:                           "redis_api_port is 70000",
		`{` + least + `,"redis_api_port":12380}`:                           "redis_api_port has that port",
		`{` + least + `,"namespace_ports":{"a-b":1}}`:                      `"a-b"`,
		`{` + least + `,"namespace_ports":{"a":12381}}`:                    "namespace_ports.a is 12381",
		`{` + least + `,"local_raft_addr":"x"}`:                            `local_raft_addr "x"`,
		`{` + least + `,"local_raft_addr":"http://x:y"}`:                   `port "y"`,
		`{` + least + `,"wal_retain_bytes":-1}`:                            "wal_retain_bytes is -1",
		`{` + least + `,"wal_consumer_seconds":0}`:                         "wal_consumer_seconds is 0: want 60 to",
		`{` + least + `,"wal_consumer_bytes":1}`:                           "wal_consumer_bytes is 1: want 1048576 to",
		`{` + least + `,"max_key_bytes":0}`:                                "max_key_bytes is 0: want 1 to 65536",
		`{` + least + `,"max_subkey_bytes":-1}`:                            "max_subkey_bytes is -1",
		`{` + least + `,"max_value_bytes":99999999}`:                       "max_value_bytes is 99999999: want 1 to 33554432",
		`{` + least + `,"max_batch":0}`:                                    "max_batch is 0",
		`{` + least + `,"max_pfadd":0}`:                                    "max_pfadd is 0",
		`{` + least + `,"max_scan_count":0}`:                               "max_scan_count is 0",
		`{` + least + `,"max_value_bytes":10}`:                             "max_bit_offset is 16777216: want 7 to 79",
		`{` + least + `,"changefeed_memory_bytes":1000}`:                   "changefeed_memory_bytes is 1000: want 1048576 to",
		`{` + least + `,"max_clock_offset":0}`:                             "max_clock_offset is 0: want 1 to",
		`{` + least + `,"tombstone_ttl":59}`:                               "tombstone_ttl is 59: want 60 to",
		`{` + least + `,"conflict_log_seconds":1}`:                         "conflict_log_seconds is 1",
		`{` + least + `,"conflict_log_bytes":1}`:                           "conflict_log_bytes is 1: want 1048576 to",
		`{` + least + `,"conflict_content_bytes":2000000}`:                 "conflict_content_bytes is 2000000: want 64 to 1048576",
		`{` + least + `,"replay_memory_bytes":1000}`:                       "replay_memory_bytes is 1000: want 1048576 to",
		`{` + least + `,"max_keys":0}`:                                     "max_keys is 0",
		`{"server_conf":{` + least + `},"other":1}`:                        "keys beside server_conf: other",
		`{"cluster_id":"a b"}`:                                             `cluster id "a b"`,
		`{"etcd_cluster_addresses":["nope"]}`:                              `etcd_cluster_addresses "nope"`,
		`{"cluster_id":"c","etcd_cluster_addresses":"h:1","data_dir":"d"}`: "broadcast_addr is missing",
	} {
		_, err := Parse([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\ngot  %v\nwant %s", text, err, want)
		}
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none.json")); err == nil {
		t.Error("a file that isn't there was loaded")
	}
}

func TestBroadcastInterface(t *testing.T) {
	c := &Config{BroadcastInterface: "no such interface"}
	if _, err := c.Broadcast(); err == nil || !strings.Contains(err.Error(), "broadcast_interface") {
		t.Fatalf("got %v", err)
	}
}
