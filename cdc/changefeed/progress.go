package changefeed

import (
	"github.com/zankv/zankv/cdc/event"
)

// State is how a changefeed, or one partition of it, stands.
type State string

const (
	Normal   State = "normal"   // it runs
	Warning  State = "warning"  // it runs into something and tries again, or is about to lose its place
	Paused   State = "paused"   // its user wants it to rest
	Failed   State = "failed"   // it stopped: trying again won't help before somebody acts
	Finished State = "finished" // it reached its end
)

// Stage is where something happens, for the operator to know where to look.
type Stage string

const (
	StageNone       Stage = ""
	StageOwner      Stage = "owner"      // no process runs it
	StageLogRead    Stage = "log-read"   // reading the partition's feed
	StageDecode     Stage = "decode"     // decoding, filtering, encoding: this process's processor
	StageSink       Stage = "sink"       // the sink's side, apart from the more special ones below
	StageBroker     Stage = "broker"     // the broker can't be reached, refuses, or is slow
	StageQuota      Stage = "quota"      // a bound holds it back: byte budget, bandwidth, the broker's throttling
	StageCompaction Stage = "compaction" // the log no longer has what comes next
)

// Trouble is what holds a changefeed back: the cause as a stable code, what happened, and what to do.
type Trouble struct {
	Stage  Stage  `json:"stage"`
	Code   Code   `json:"code"`
	Reason string `json:"reason"`
	Action string `json:"action"`
	Since  int64  `json:"since"` // ns since 1970
}

// Progress is what the registry keeps of one partition of a changefeed: the checkpoint, and the rest for people.
type Progress struct {
	// Position and Chain are the checkpoint: the sink has everything up to there. Position may be a bookmark's; the chain is that after the last
	// event at or before it. A zero Position says that nothing was written;
	// so does one with Began.
	Position event.Position `json:"position"`
	Chain    event.Chain    `json:"chain"`
	// Time is the checkpoint's on the events' clock, ns since 1970: everything before it is in the sink.
	Time int64 `json:"time"`
	// Forced says that the checkpoint was set by hand: it wins over what the sink says, once.
	Forced bool `json:"forced,omitempty"`
	// Began is what the definition's From said when Position was found to be where the partition begins. It stands for as long as the sink is known to have
	// nothing: without it an owner that dies before that would have the next one begin at another "latest".
	Began string `json:"began,omitempty"`

	State   State    `json:"state"`
	Trouble *Trouble `json:"trouble,omitempty"`
	// Generation is the definition's that it was saved under: a partition that failed or finished runs again under a later one.
	Generation uint64 `json:"generation,omitempty"`

	// Owner names the process that saved it, Epoch is its claim's.
	Owner   string  `json:"owner"`
	Epoch   uint64  `json:"epoch"`
	Updated int64   `json:"updated"` // ns since 1970
	Figures Figures `json:"figures"`
}

// Figures are what a worker measures. Counts are since the claim.
type Figures struct {
	LagEntries uint64  `json:"lag_entries"`
	LagBytes   uint64  `json:"lag_bytes"`
	LagSeconds float64 `json:"lag_seconds"`
	// EntriesPerSecond and BytesPerSecond are of the last ten seconds or so; ETASeconds is when it will have caught up at the rate at which the lag
	// shrinks: 0 when it has, -1 when it doesn't shrink.
	EventsPerSecond float64 `json:"events_per_second"`
	BytesPerSecond  float64 `json:"bytes_per_second"`
	ETASeconds      float64 `json:"eta_seconds"`

	Events    uint64 `json:"events"`
	Mutations uint64 `json:"mutations"`
	Filtered  uint64 `json:"filtered"`
	Messages  uint64 `json:"messages"`
	Bytes     uint64 `json:"bytes"`
	Retries   uint64 `json:"retries"`
	Snapshots uint64 `json:"snapshots"`
	Buffered  int64  `json:"buffered_bytes"`

	// OldestRetained is the oldest position left in the partition's log, HeadroomBytes how far behind the checkpoint may still fall before its
	// place is lost; -1 where that isn't known.
	OldestRetained string `json:"oldest_retained,omitempty"`
	HeadroomBytes  int64  `json:"headroom_bytes"`

	// Shares of the last ten seconds or so that were spent in a stage, each between 0 and 1: waiting for the feed, encoding, waiting for budget or
	// bandwidth, waiting for the sink, and what the sink said that it throttled.
	WaitSource, Encoding, WaitQuota, WaitSink, Throttled float64 `json:"-"`
}
