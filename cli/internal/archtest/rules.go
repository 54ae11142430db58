package archtest

// module is the path that every import of our own begins with.
const module = "github.com/zankv/zankv/"

// rows is the table of DESIGN.md §10 from top to bottom. A package, or one below its folder, may import packages of later
// rows, and of its own row. A new package belongs into both tables.
var rows = [][]string{
	{"cli/zankv", "cli/placedriver", "cli/zankv-cdc", "cli/zankv-repair", "cli/backup", "cli/restore", "cli/zankv-bench",
		"deployments/examples"},
	{"cli/internal", "cli/e2e", "cli/conformance", "cli/robustness"},
	{"cluster/local", "cluster/sim"},
	{"cluster/datanode", "cluster/placedriver"},
	{"cdc/changefeed/sinks"},
	{"replay"},
	{"cdc/changefeed/worker", "cdc/changefeed/admin", "cdc/changefeed/remote", "cdc/changefeed/metrics", "cdc/verify"},
	{"cdc/kafka", "cdc/archive", "cdc/feed"},
	{"cluster/resp"},
	{"cluster/partition"},
	{"cluster/multiraft"},
	{"conflict/repair"},
	{"cluster/command"},
	{"cluster/store"},
	{"cluster/engine"},
	{"cluster/transport"},
	// placement reads metadata's types, and meta/admin asks placement where replicas go.
	{"cluster/meta", "cluster/placement"},
	{"wal"},
	{"cdc/message"},
	{"cdc/changefeed"},
	{"conflict"},
	{"cluster/rdb"},
	{"cdc/event", "backupfmt", "cluster/hlc", "cluster/glob"},
}

// importers names who may import a heavy dependency, by the beginning of its import path: the one package whose duty it is,
// and those that measure us against it. Tests are free to use it as a real peer, where the rule isn't strict.
var importers = []struct {
	dependency string
	allowed    []string
	strict     bool // tests, too
}{
	{"C", []string{"cluster/engine/rocks"}, true},
	{"github.com/linxGnu/grocksdb", []string{"cluster/engine/rocks"}, true},
	{"go.etcd.io/etcd/client/v3", []string{"cluster/meta/etcdmeta", "cli/internal/bench/etcdload"}, false},
	{"go.etcd.io/etcd/server/v3", []string{"cluster/meta/etcdserver", "cli/internal/bench/etcdload", "wal/walbench"}, false},
	{"github.com/segmentio/kafka-go", []string{"cdc/kafka", "deployments/examples"}, false},
	{"github.com/urfave/cli", []string{"cli"}, false},
	// The implementations are wired where a process is put together, nowhere else.
	{module + "cluster/engine/rocks", []string{"cli", "cluster/local", "cluster/engine/rocks"}, false},
	{module + "cluster/engine/mem", []string{"cli", "cluster/local", "cluster/sim", "cluster/engine/mem"}, false},
	{module + "cluster/meta/etcdmeta", []string{"cli", "cluster/local", "cluster/meta/etcdmeta"}, false},
	{module + "cluster/meta/memmeta", []string{"cli", "cluster/local", "cluster/sim", "cluster/meta/memmeta"}, false},
}

// pure are packages whose outcome depends on their arguments alone: no disk, network or randomness. Their tests may. Time
// is theirs as a duration and an argument; a clock is not.
var pure = []string{"cluster/command", "cluster/placement", "cluster/store", "cdc/event", "cluster/glob", "cluster/rdb", "conflict", "backupfmt"}

// impure is what they may not import, and impureCalls what they may not call.
var (
	impure      = []string{"os", "net", "net/http", "math/rand", "math/rand/v2", "crypto/rand", "syscall"}
	impureCalls = []string{"time.Now", "time.Since", "time.Until", "time.After", "time.Sleep", "time.NewTimer", "time.NewTicker", "time.Tick"}
)
