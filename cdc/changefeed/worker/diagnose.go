package worker

import (
	"fmt"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
)

// Signs are what a diagnosis goes by.
type Signs struct {
	Changefeed string
	Figures    changefeed.Figures
	// Failure is what it runs into again and again, Tries how often in a row.
	Failure *changefeed.Error
	Tries   int
	// Trying is what the sink runs into and repeats by itself, for TryingFor now; nil if it doesn't.
	Trying    *changefeed.Error
	TryingFor time.Duration
	// Held is how many bytes the log holds for it; 0 if that isn't known.
	Held uint64
	// Registry is why the last save failed, nil if it didn't.
	Registry error
	// Lost says that its place in the log is lost and what is being done, Behind what the sink lost; "" otherwise.
	Lost, Behind string
	// FullSync says that Lost isn't that: the sink asked for the state.
	FullSync bool
	// Scheme is the sink's.
	Scheme string
	// BudgetUsed and BudgetTotal are of the process's byte budget, Bandwidth of the definition, in bytes and bytes a second.
	BudgetUsed, BudgetTotal, Bandwidth int64
	// SinkCall is how long one write takes on average, Retried how many were tried again lately.
	SinkCall time.Duration
	Retried  uint64
	// LagGrowth is by how many bytes a second the lag grows.
	LagGrowth float64
}

// Thresholds of a diagnosis.
const (
	// hintLag is how many seconds of lag make a hint; less is nothing, whatever is measured.
	hintLag = 3
	// A place is at risk with less headroom than a quarter of the lag, or than riskSeconds at the rate at which a lag of riskLag seconds or more grows.
	riskSeconds, riskLag = 60, 10
	// largeShare is the share of the time that a stage must take to be what holds a feed back.
	largeShare = 0.3
)

// Diagnose names what holds a changefeed back: in the state Warning what it runs into, in Normal what it waits for most when it lags; nil where nothing
// does. Since isn't filled in.
func Diagnose(s *Signs) (changefeed.State, *changefeed.Trouble) {
	for _, warning := range []func(*Signs) *changefeed.Trouble{atRisk, failing, lost, behind, unsaved} {
		if t := warning(s); t != nil {
			return changefeed.Warning, t
		}
	}
	if s.Figures.LagSeconds < hintLag {
		return changefeed.Normal, nil
	}
	return changefeed.Normal, slow(s)
}

func failing(s *Signs) *changefeed.Trouble {
	if s.Failure == nil && s.Trying != nil && s.TryingFor >= warnAfter {
		return trying(s)
	}
	if s.Failure == nil {
		return nil
	}
	t := troubleOf(s.Changefeed, s.Failure)
	if s.Tries > 1 {
		t.Reason = fmt.Sprintf("%s; tried %d times, goes on trying", t.Reason, s.Tries)
	}
	return t
}

func trying(s *Signs) *changefeed.Trouble {
	t := troubleOf(s.Changefeed, s.Trying)
	t.Reason = fmt.Sprintf("%s; goes on trying for %s", t.Reason, s.TryingFor.Round(time.Second))
	return t
}

func lost(s *Signs) *changefeed.Trouble {
	if s.Lost == "" {
		return nil
	}
	if s.FullSync {
		return &changefeed.Trouble{Stage: changefeed.StageSink, Code: changefeed.CodeNeedsSync, Reason: s.Lost,
			Action: "nothing: the stream goes on when it is done; its owner's /logsync/stats says how far it is"}
	}
	return &changefeed.Trouble{
		Stage: changefeed.StageCompaction, Code: changefeed.CodeLogCompacted, Reason: s.Lost,
		Action: "nothing now, it goes on by itself; let the log keep more for consumers (wal_consumer_bytes, wal_consumer_seconds), or the sink take more",
	}
}

// atRisk comes before what causes it: that a place will be lost has to be told in time, and the cause is told with it.
func atRisk(s *Signs) *changefeed.Trouble {
	f := &s.Figures
	if f.HeadroomBytes < 0 || f.LagBytes == 0 || f.LagSeconds < hintLag || s.Lost != "" {
		return nil
	}
	left := -1.0
	if s.LagGrowth > 0 {
		left = float64(f.HeadroomBytes) / s.LagGrowth
	}
	soon := left >= 0 && left < riskSeconds && f.LagSeconds >= riskLag
	lag := max(f.LagBytes, s.Held) // LagBytes goes by the average of all entries
	if uint64(f.HeadroomBytes) >= lag/4 && !soon {
		return nil
	}
	t := &changefeed.Trouble{Stage: changefeed.StageCompaction, Code: changefeed.CodePlaceAtRisk}
	t.Reason = fmt.Sprintf("it is %s behind, and will lose its place in the log when %s more are written", bytesText(int64(lag)), bytesText(f.HeadroomBytes))
	if left >= 0 {
		t.Reason += fmt.Sprintf(": in %s at the present rate", time.Duration(left*float64(time.Second)).Round(time.Second))
	}
	t.Action = "let the log keep more (wal_consumer_bytes), or write less meanwhile"
	if why := holding(s); why != nil {
		t.Reason += "; what holds it back: " + why.Reason
		t.Action += "; " + why.Action
	}
	return t
}

// holding is what it runs into, or else what it waits for.
func holding(s *Signs) *changefeed.Trouble {
	if t := failing(s); t != nil {
		return t
	}
	return slow(s)
}

func behind(s *Signs) *changefeed.Trouble {
	if s.Behind == "" {
		return nil
	}
	return &changefeed.Trouble{
		Stage: sinkStage(s), Code: changefeed.CodeSinkBehind, Reason: s.Behind + "; it is written again from the log",
		Action: "find out what the sink lost: an unclean election of a leader, a topic made anew, a folder restored",
	}
}

func unsaved(s *Signs) *changefeed.Trouble {
	if s.Registry == nil {
		return nil
	}
	return &changefeed.Trouble{
		Stage: changefeed.StageNone, Code: changefeed.CodeRegistry, Reason: fmt.Sprintf("the checkpoint can't be saved: %v", s.Registry),
		Action: "see that etcd is up and can be reached from this process",
	}
}

// slow names the stage that takes most of the time.
func slow(s *Signs) *changefeed.Trouble {
	f := &s.Figures
	share := max(f.Throttled, f.WaitQuota, f.WaitSink, f.Encoding, f.WaitSource)
	switch {
	case s.Trying != nil:
		return trying(s)
	case f.Throttled >= largeShare:
		return &changefeed.Trouble{
			Stage: changefeed.StageQuota, Code: changefeed.CodeBrokerThrottled,
			Reason: fmt.Sprintf("the broker throttles it, %s of the time", percent(f.Throttled)),
			Action: "raise the broker's quota of this client (producer_byte_rate, request_percentage)",
		}
	case share < largeShare:
		return nil
	case share == f.WaitQuota:
		return quota(s)
	case share == f.WaitSink:
		return slowSink(s)
	case share == f.Encoding:
		return &changefeed.Trouble{
			Stage: changefeed.StageDecode, Code: changefeed.CodeDecode,
			Reason: fmt.Sprintf("filtering and encoding take %s of the time", percent(f.Encoding)),
			Action: "give the process more processor, or fewer partitions; narrow the filter",
		}
	}
	return &changefeed.Trouble{
		Stage: changefeed.StageLogRead, Code: changefeed.CodeSourceSlow,
		Reason: fmt.Sprintf("it waits for the feed %s of the time, although there are %d entries more", percent(f.WaitSource), f.LagEntries),
		Action: "look at the nodes that serve the feed: load, disk, network between them and this process",
	}
}

func quota(s *Signs) *changefeed.Trouble {
	t := &changefeed.Trouble{Stage: changefeed.StageQuota}
	if s.Bandwidth > 0 && s.Figures.BytesPerSecond >= 0.7*float64(s.Bandwidth) {
		t.Code = changefeed.CodeBandwidth
		t.Reason = fmt.Sprintf("the definition's limit of %s a second holds it back, %s of the time", bytesText(s.Bandwidth), percent(s.Figures.WaitQuota))
		t.Action = fmt.Sprintf("raise it: zankv-cdc changefeed update %s --bandwidth …", s.Changefeed)
		return t
	}
	t.Code = changefeed.CodeBudget
	t.Reason = fmt.Sprintf("it waits %s of the time for memory: %s of the process's budget of %s are taken", percent(s.Figures.WaitQuota), bytesText(s.BudgetUsed), bytesText(s.BudgetTotal))
	t.Action = "raise the process's byte budget, or find the changefeed whose sink is slow: it holds the memory"
	return t
}

func slowSink(s *Signs) *changefeed.Trouble {
	t := &changefeed.Trouble{Stage: sinkStage(s), Code: changefeed.CodeSinkSlow}
	if t.Stage == changefeed.StageBroker {
		t.Code = changefeed.CodeBrokerSlow
	}
	t.Reason = fmt.Sprintf("it waits for the sink %s of the time; a write takes %s", percent(s.Figures.WaitSink), s.SinkCall.Round(100*time.Microsecond))
	if s.Retried > 0 {
		t.Reason += fmt.Sprintf(", %d were tried again lately", s.Retried)
	}
	t.Action = "look at the sink: load, disk, replicas that are slow to follow, network between it and this process"
	return t
}

func sinkStage(s *Signs) changefeed.Stage {
	if s.Scheme == "kafka" {
		return changefeed.StageBroker
	}
	return changefeed.StageSink
}

func percent(share float64) string { return fmt.Sprintf("%.0f %%", 100*share) }

func bytesText(n int64) string {
	const units = "KMGT"
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n)/(1<<10), 0
	for v >= 1<<10 && unit+1 < len(units) {
		v, unit = v/(1<<10), unit+1
	}
	return fmt.Sprintf("%.1f %ciB", v, units[unit])
}
