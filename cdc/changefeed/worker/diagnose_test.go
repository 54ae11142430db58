package worker

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
)

func TestDiagnose(t *testing.T) {
	behind := func(change func(*changefeed.Figures)) changefeed.Figures {
		f := changefeed.Figures{LagSeconds: 20, LagEntries: 500, LagBytes: 1 << 20, HeadroomBytes: 200 << 20}
		change(&f)
		return f
	}
	failed := func(stage changefeed.Stage, code changefeed.Code) *changefeed.Error {
		return &changefeed.Error{Stage: stage, Code: code, What: "it went wrong"}
	}
	for _, c := range []struct {
		name   string
		signs  Signs
		state  changefeed.State
		stage  changefeed.Stage
		code   changefeed.Code
		reason string
	}{
		{name: "nothing", signs: Signs{Figures: changefeed.Figures{WaitSource: 1, HeadroomBytes: -1}}},
		{name: "lags, and nothing takes long", signs: Signs{Figures: behind(func(f *changefeed.Figures) {})}},
		{name: "source unreachable", signs: Signs{Failure: failed(changefeed.StageLogRead, changefeed.CodeSourceDown), Tries: 4},
			state: changefeed.Warning, stage: changefeed.StageLogRead, code: changefeed.CodeSourceDown, reason: "tried 4 times"},
		{name: "source slow", signs: Signs{Figures: behind(func(f *changefeed.Figures) { f.WaitSource = 0.9 })},
			stage: changefeed.StageLogRead, code: changefeed.CodeSourceSlow, reason: "90 %"},
		{name: "decode", signs: Signs{Figures: behind(func(f *changefeed.Figures) { f.Encoding, f.WaitSource = 0.8, 0.1 })},
			stage: changefeed.StageDecode, code: changefeed.CodeDecode, reason: "80 %"},
		{name: "byte budget", signs: Signs{Figures: behind(func(f *changefeed.Figures) { f.WaitQuota, f.WaitSink = 0.7, 0.2 }), BudgetUsed: 250 << 20, BudgetTotal: 256 << 20},
			stage: changefeed.StageQuota, code: changefeed.CodeBudget, reason: "250.0 MiB of the process's budget of 256.0 MiB"},
		{name: "byte budget with a bandwidth limit", signs: Signs{Figures: behind(func(f *changefeed.Figures) { f.WaitQuota = 0.7 }), BudgetUsed: 250 << 20, BudgetTotal: 256 << 20, Bandwidth: 1 << 20},
			stage: changefeed.StageQuota, code: changefeed.CodeBudget, reason: "budget"},
		{name: "bandwidth", signs: Signs{Figures: behind(func(f *changefeed.Figures) { f.WaitQuota, f.BytesPerSecond = 0.9, 1<<20 }), BudgetUsed: 1 << 20, BudgetTotal: 256 << 20, Bandwidth: 1 << 20},
			stage: changefeed.StageQuota, code: changefeed.CodeBandwidth, reason: "1.0 MiB a second"},
		{name: "broker down", signs: Signs{Failure: failed(changefeed.StageBroker, changefeed.CodeBrokerDown), Tries: 2},
			state: changefeed.Warning, stage: changefeed.StageBroker, code: changefeed.CodeBrokerDown, reason: "it went wrong"},
		{name: "a request is repeated", signs: Signs{Trying: failed(changefeed.StageBroker, changefeed.CodeBrokerDown), TryingFor: 12 * time.Second},
			state: changefeed.Warning, stage: changefeed.StageBroker, code: changefeed.CodeBrokerDown, reason: "it went wrong; goes on trying for 12s"},
		{name: "a request is repeated for a moment", signs: Signs{Trying: failed(changefeed.StageBroker, changefeed.CodeBrokerDown), TryingFor: 4 * time.Second}},
		{name: "a lag is of the repeated request", signs: Signs{Trying: failed(changefeed.StageBroker, changefeed.CodeBrokerDown), TryingFor: 4 * time.Second,
			Figures: behind(func(f *changefeed.Figures) { f.WaitSink = 0.9 })}, stage: changefeed.StageBroker, code: changefeed.CodeBrokerDown, reason: "it went wrong"},
		{name: "place at risk by a failure", signs: Signs{Failure: failed(changefeed.StageBroker, changefeed.CodeBrokerDown), Tries: 9,
			Figures: behind(func(f *changefeed.Figures) { f.LagBytes, f.HeadroomBytes = 200<<20, 40<<20 })},
			state: changefeed.Warning, stage: changefeed.StageCompaction, code: changefeed.CodePlaceAtRisk, reason: "it went wrong; tried 9 times"},
		{name: "place at risk by large entries", signs: Signs{Held: 13 << 20,
			Figures: behind(func(f *changefeed.Figures) { f.LagBytes, f.HeadroomBytes = 3<<20, 3<<20 })},
			state: changefeed.Warning, stage: changefeed.StageCompaction, code: changefeed.CodePlaceAtRisk, reason: "13.0 MiB behind"},
		{name: "broker storage", signs: Signs{Failure: failed(changefeed.StageBroker, changefeed.CodeBrokerStorage), Tries: 2},
			state: changefeed.Warning, stage: changefeed.StageBroker, code: changefeed.CodeBrokerStorage},
		{name: "broker slow", signs: Signs{Scheme: "kafka", SinkCall: 800 * time.Millisecond, Retried: 3, Figures: behind(func(f *changefeed.Figures) { f.WaitSink, f.WaitQuota = 0.8, 0.1 })},
			stage: changefeed.StageBroker, code: changefeed.CodeBrokerSlow, reason: "800ms, 3 were tried again"},
		{name: "sink slow", signs: Signs{Scheme: "file", Figures: behind(func(f *changefeed.Figures) { f.WaitSink = 0.8 })},
			stage: changefeed.StageSink, code: changefeed.CodeSinkSlow, reason: "80 %"},
		{name: "broker quota", signs: Signs{Scheme: "kafka", Figures: behind(func(f *changefeed.Figures) { f.Throttled, f.WaitSink = 0.6, 0.9 })},
			stage: changefeed.StageQuota, code: changefeed.CodeBrokerThrottled, reason: "60 %"},
		{name: "full sync", signs: Signs{Lost: "the target needs the state", FullSync: true},
			state: changefeed.Warning, stage: changefeed.StageSink, code: changefeed.CodeNeedsSync},
		{name: "log compacted", signs: Signs{Lost: "the log no longer has what follows 2-9"},
			state: changefeed.Warning, stage: changefeed.StageCompaction, code: changefeed.CodeLogCompacted, reason: "2-9"},
		{name: "place at risk by bytes", signs: Signs{Scheme: "kafka", Figures: behind(func(f *changefeed.Figures) { f.LagBytes, f.HeadroomBytes, f.WaitSink = 200<<20, 40<<20, 0.9 })},
			state: changefeed.Warning, stage: changefeed.StageCompaction, code: changefeed.CodePlaceAtRisk, reason: "40.0 MiB more are written; what holds it back: it waits for the sink"},
		{name: "place at risk by seconds", signs: Signs{LagGrowth: 10 << 20, Figures: behind(func(f *changefeed.Figures) { f.LagBytes, f.HeadroomBytes = 100<<20, 100<<20 })},
			state: changefeed.Warning, stage: changefeed.StageCompaction, code: changefeed.CodePlaceAtRisk, reason: "in 10s"},
		{name: "a burst is no risk", signs: Signs{LagGrowth: 10 << 20, Figures: behind(func(f *changefeed.Figures) { f.LagBytes, f.HeadroomBytes, f.LagSeconds = 100<<20, 100<<20, 5 })}},
		{name: "a full disk is no risk for who is up to date", signs: Signs{Figures: changefeed.Figures{LagBytes: 4096, LagSeconds: 0.1, LagEntries: 3}}},
		{name: "headroom is not known", signs: Signs{LagGrowth: 10 << 20, Figures: behind(func(f *changefeed.Figures) { f.HeadroomBytes = -1 })}},
		{name: "sink behind", signs: Signs{Scheme: "kafka", Behind: "the sink ends at 2-5"},
			state: changefeed.Warning, stage: changefeed.StageBroker, code: changefeed.CodeSinkBehind, reason: "2-5"},
		{name: "registry", signs: Signs{Registry: errors.New("no leader")}, state: changefeed.Warning, code: changefeed.CodeRegistry, reason: "no leader"},
		{name: "a failure comes before the rest", signs: Signs{Failure: failed(changefeed.StageBroker, changefeed.CodeBrokerDown), Lost: "x", Registry: errors.New("x")},
			state: changefeed.Warning, stage: changefeed.StageBroker, code: changefeed.CodeBrokerDown},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.signs.Changefeed = "f"
			if c.state == "" {
				c.state = changefeed.Normal
			}
			state, got := Diagnose(&c.signs)
			if c.code == "" {
				if state != changefeed.Normal || got != nil {
					t.Fatalf("%s, %+v", state, got)
				}
				return
			}
			if got == nil || state != c.state || got.Stage != c.stage || got.Code != c.code || !strings.Contains(got.Reason, c.reason) || got.Action == "" {
				t.Fatalf("%s, %+v", state, got)
			}
		})
	}
}

// Every code that an error of a sink can have comes with what to do.
func TestEveryCodeHasAnAction(t *testing.T) {
	for code := range actions {
		if tr := troubleOf("f", &changefeed.Error{Code: code, What: "x", Final: true}); tr.Action == "" {
			t.Errorf("%s has none", code)
		}
	}
	for _, code := range []changefeed.Code{changefeed.CodeFenced, "unheard-of"} {
		if tr := troubleOf("f", &changefeed.Error{Code: code, What: "x", Final: true}); tr.Action == "" {
			t.Errorf("%s has none", code)
		}
	}
}
