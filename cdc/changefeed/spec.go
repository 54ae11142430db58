package changefeed

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/zankv/zankv/cdc/event"
)

// Format is how a change is written. The names are the command line's and the Kafka header's.
type Format string

const (
	// JSON is the line that `zankv-cdc tail` prints (event.AppendJSON).
	JSON Format = "json"
	// Debezium is Debezium's envelope.
	Debezium Format = "debezium"
)

// Which processes run a changefeed.
const (
	// RunByNodes: the cluster's data nodes.
	RunByNodes = ""
	// RunBySyncer: processes of their own, `zankv-cdc sync`.
	RunBySyncer = "syncer"
)

// Limits of a definition.
const (
	MaxID      = 128
	MaxSinkURI = 8 << 10
	// MinHeartbeat is the shortest interval of heartbeats.
	MinHeartbeat = 100 * time.Millisecond
	// DefaultHeartbeat is how often an idle partition says how far it is, when nothing else is said.
	DefaultHeartbeat = 5 * time.Second
)

// Spec is a changefeed as its user defined it. The JSON names are what etcd holds and what `--json` prints.
type Spec struct {
	ID        string `json:"id"`
	Namespace string `json:"namespace"`
	// SinkURI says where the changes go: kafka://, file://, zankv://. Passwords don't stand in it: see the sinks.
	SinkURI string `json:"sink_uri"`
	// From is where a partition begins of which neither the sink nor the registry knows a position; To where it ends, "" is never. Each is what
	// feed.ParseFrom reads (To: a position or a time), or a list for partitions: "0=2-1041,1=2-99".
	From   string `json:"from"`
	To     string `json:"to,omitempty"`
	Filter Filter `json:"filter,omitzero"`
	Format Format `json:"format"`
	// Heartbeat is how often a partition without changes says how far it is.
	Heartbeat Duration `json:"heartbeat"`
	// Digests leaves the digests of filtered mutations in the stream, so that it can still be verified.
	Digests bool `json:"digests"`
	// Archive is the folder of a file:// changefeed of the same namespace, from which this one goes on if it lost its place in the log; "" asks
	// for none. After it, or without it, comes a snapshot of the state.
	Archive string `json:"archive,omitempty"`
	// BandwidthBytes bounds what each partition sends a second; 0 is no bound.
	BandwidthBytes int64 `json:"bandwidth_bytes,omitempty"`
	// Runner is the kind of process that runs it: RunByNodes or RunBySyncer.
	Runner string `json:"runner,omitempty"`
	// Paused says that its user wants it to rest.
	Paused bool `json:"paused,omitempty"`
	// Created is when it was defined, ns since 1970. Generation grows with each change of the definition; workers restart then.
	Created    int64  `json:"created"`
	Generation uint64 `json:"generation"`
}

// Filter says which mutations are carried. Each list that isn't empty must have a match; the zero Filter passes all.
type Filter struct {
	// Tables are names of tables.
	Tables []string `json:"tables,omitempty"`
	// Keys are patterns of logical keys, as KEYS has them.
	Keys []string `json:"keys,omitempty"`
	// Ops are names of ops, as the JSON has them.
	Ops []string `json:"ops,omitempty"`
	// Origins are cluster ids where mutations were first made. The own cluster's id stands for those made here. A leading "!" leaves that
	// cluster out.
	Origins []string `json:"origins,omitempty"`
}

// IsZero says whether everything passes.
func (f *Filter) IsZero() bool {
	return len(f.Tables)+len(f.Keys)+len(f.Ops)+len(f.Origins) == 0
}

// Duration is a time.Duration that JSON shows as text: "5s".
type Duration time.Duration

// MarshalText is time.Duration's String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = Duration(v)
	return err
}

var idPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)

// ValidateID says whether s can name a changefeed: it is part of keys in etcd, of topics' producer ids and of files.
func ValidateID(s string) error {
	if len(s) > MaxID || !idPattern.MatchString(s) {
		return fmt.Errorf("changefeed id %.40q: want 1 to %d letters, digits, dots, _ and -, the first no sign", s, MaxID)
	}
	return nil
}

// SetDefaults fills in what wasn't said.
func (s *Spec) SetDefaults() {
	if s.From == "" {
		s.From = "earliest"
	}
	if s.Format == "" {
		s.Format = JSON
	}
	if s.Heartbeat == 0 {
		s.Heartbeat = Duration(DefaultHeartbeat)
	}
}

// Validate says what is wrong with the definition in itself. Whether the sink's URI makes sense is for the sink to say.
func (s *Spec) Validate() error {
	if err := ValidateID(s.ID); err != nil {
		return err
	}
	if s.Namespace == "" {
		return fmt.Errorf("changefeed %s: no namespace", s.ID)
	}
	if len(s.SinkURI) > MaxSinkURI {
		return fmt.Errorf("changefeed %s: sink URI of %d bytes: want at most %d", s.ID, len(s.SinkURI), MaxSinkURI)
	}
	if u, err := url.Parse(s.SinkURI); err != nil || u.Scheme == "" {
		return fmt.Errorf("changefeed %s: sink URI %q: want scheme://…, as kafka://127.0.0.1:9092/{cluster}.{namespace}", s.ID, ShownURI(s.SinkURI))
	}
	if s.Format != JSON && s.Format != Debezium {
		return fmt.Errorf("changefeed %s: format %q: want %s or %s", s.ID, s.Format, JSON, Debezium)
	}
	if s.Runner != RunByNodes && s.Runner != RunBySyncer {
		return fmt.Errorf("changefeed %s: runner %q: want nothing for the data nodes, or %s", s.ID, s.Runner, RunBySyncer)
	}
	if time.Duration(s.Heartbeat) < MinHeartbeat {
		return fmt.Errorf("changefeed %s: heartbeat %s: want at least %s", s.ID, time.Duration(s.Heartbeat), MinHeartbeat)
	}
	if s.BandwidthBytes < 0 {
		return fmt.Errorf("changefeed %s: bandwidth of %d bytes a second: want none below 0", s.ID, s.BandwidthBytes)
	}
	return s.Filter.validate()
}

func (f *Filter) validate() error {
	for _, op := range f.Ops {
		if !event.IsOp(op) {
			return fmt.Errorf("filter: op %q: want names as the JSON has them, such as set, del and hset", op)
		}
	}
	for _, origin := range f.Origins {
		if strings.TrimPrefix(origin, "!") == "" {
			return fmt.Errorf("filter: origin %q: want a cluster's id, or ! and one", origin)
		}
	}
	return nil
}

// ConsumerID is the name under which a changefeed holds back the truncation of a partition's log.
func ConsumerID(changefeed string) string { return "changefeed/" + changefeed }

// ShownURI is a URI that may be wrong in any way, as errors and logs show it: without what may be a password, which doesn't belong there but is
// put there at times. That is what stands before an @, and the options.
func ShownURI(uri string) string {
	rest, query, options := strings.Cut(uri, "?")
	if scheme, after, ok := strings.Cut(rest, "://"); ok {
		if i := strings.LastIndex(after, "@"); i >= 0 {
			rest = scheme + "://…" + after[i:]
		}
	} else if strings.Contains(rest, "@") {
		rest = "…"
	}
	if options && query != "" {
		rest += "?…"
	}
	const most = 80
	if len(rest) > most {
		rest = strings.ToValidUTF8(rest[:most], "") + "…"
	}
	return rest
}
