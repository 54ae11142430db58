package datanode

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"gopkg.in/yaml.v2"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/changefeed/metrics"
	"github.com/zankv/zankv/cdc/changefeed/worker"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/replay/replaypb"
)

const (
	alertFile       = "../../deployments/alerts/zankv-cdc.rules.yml"
	replayAlertFile = "../../deployments/alerts/zankv-replay.rules.yml"
)

// ruleFile is Prometheus's format, as far as it is used.
type ruleFile struct {
	Groups []struct {
		Name  string
		Rules []alertRule
	}
}

type alertRule struct {
	Alert, Expr, For    string
	Labels, Annotations map[string]string
}

// worst exports one running partition that has everything that can be exported.
type worst struct{ collector }

func (w worst) Collect(out chan<- prometheus.Metric) {
	r := worker.Running{Feed: "troubled", Namespace: "default", Meter: &changefeed.Meter{}, Since: time.Now(), Progress: changefeed.Progress{
		Position: event.Position{Term: 2, Index: 7}, State: changefeed.Warning,
		Trouble: &changefeed.Trouble{Stage: changefeed.StageCompaction, Code: changefeed.CodePlaceAtRisk},
		Figures: changefeed.Figures{OldestRetained: "2-3", HeadroomBytes: 1},
	}}
	metrics.Running(out, &r)
}

// exported are the names that a node exports, with their labels.
func exported(t *testing.T, n *testNode) map[string][]string {
	t.Helper()
	r := prometheus.NewRegistry()
	r.MustRegister(collector{n.Node}, worst{collector{n.Node}})
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, f := range families {
		for _, m := range f.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, l.GetName())
			}
			all[f.GetName()] = labels
		}
	}
	return all
}

// Every rule has a valid form, uses nothing that a node doesn't export, and says what to do.
func TestAlerts(t *testing.T) {
	c := startCluster(t, 1, 1, 1, 0)
	n := c.nodes[0]
	if _, err := c.admin(n).Create(t.Context(), spec("f")); err != nil {
		t.Fatal(err)
	}
	c.fill(n, 0, 3)
	if err := n.cdc.source.Hold(t.Context(), "default", 0, "f", c.applied(0)); err != nil {
		t.Fatal(err)
	}
	seen := checkAlerts(t, alertFile, exported(t, n))
	for _, want := range []string{"Failed", "PlaceAtRisk", "NoOwner", "FarBehind", "Behind", "Stuck", "MemoryFull", "MemoryOver"} {
		if !seen["ZanKVChangefeed"+want] {
			t.Errorf("there is no ZanKVChangefeed%s", want)
		}
	}
}

// The same of replication, by a partition that has all that can be exported: a sender that is refused for its clock, a peer, conflicts.
func TestReplayAlerts(t *testing.T) {
	c := startCluster(t, 1, 1, 1, 0)
	n, _ := c.leading(0, nil)
	f := c.far(n)
	f.adopt(0)
	if _, err := f.replay.Confirm(f.context(), &replaypb.ConfirmRequest{Namespace: "default", Peer: "dc-b", Time: f.clock}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.send(0, set("t:1", "x", time.Now().Add(time.Hour).UnixNano())); err == nil {
		t.Fatal("it was taken")
	}
	seen := checkAlerts(t, replayAlertFile, exported(t, n))
	for _, want := range []string{"ReplayClock", "ReplayNeedsSync", "DivergedKeys", "ConflictLogFull", "ReplayBehind", "ReplayRefused", "PeerBehind"} {
		if !seen["ZanKV"+want] {
			t.Errorf("there is no ZanKV%s", want)
		}
	}
}

// checkAlerts checks all rules of a file, and returns their names.
func checkAlerts(t *testing.T, name string, metrics map[string][]string) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var file ruleFile
	if err := yaml.UnmarshalStrict(text, &file); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if seen[r.Alert] {
				t.Errorf("%s is there twice", r.Alert)
			}
			seen[r.Alert] = true
			if err := r.check(metrics); err != nil {
				t.Errorf("%s: %v", r.Alert, err)
			}
		}
	}
	return seen
}

var (
	duration   = regexp.MustCompile(`^([0-9]+(ms|s|m|h|d))+$`)
	token      = regexp.MustCompile(`"[^"]*"|[a-zA-Z_:][a-zA-Z0-9_:]*|[0-9][0-9.]*[a-z]*|[<>=!]=|=~|!~|[-+*/%<>=(){}\[\],]|\S`)
	name       = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
	labelsUsed = regexp.MustCompile(`\$labels\.([a-z_]+)`)
)

func (r *alertRule) check(metrics map[string][]string) error {
	if !slices.Contains([]string{"warning", "critical"}, r.Labels["severity"]) {
		return fmt.Errorf("severity %q", r.Labels["severity"])
	}
	if r.For != "" && !duration.MatchString(r.For) {
		return fmt.Errorf("for %q is no duration", r.For)
	}
	if r.Annotations["summary"] == "" || len(r.Annotations["action"]) < 40 {
		return fmt.Errorf("says too little: %v", r.Annotations)
	}
	kept, err := checkExpr(r.Expr, metrics)
	if err != nil {
		return err
	}
	for _, a := range r.Annotations {
		if strings.Count(a, "{{") != strings.Count(a, "}}") {
			return fmt.Errorf("braces don't match in %q", a)
		}
		for _, l := range labelsUsed.FindAllStringSubmatch(a, -1) {
			if !slices.Contains(kept, l[1]) {
				return fmt.Errorf("label %s isn't one of the expression's: %v", l[1], kept)
			}
		}
	}
	return nil
}

// reserved are words of PromQL and of Prometheus, and what of its functions the rules use.
var reserved = []string{"max", "sum", "by", "and", "or", "on", "rate", "increase", "changes"}

// checkExpr looks at the brackets, the metrics, their matchers and the labels that are kept. It gives those labels: of the first grouping, or of the
// first metric, and the target's.
func checkExpr(expr string, metrics map[string][]string) (kept []string, err error) {
	tokens := token.FindAllString(expr, -1)
	var open []string
	var last string // the metric that matchers belong to
	known := map[string]bool{"instance": true, "job": true}
	for i, tok := range tokens {
		switch {
		case strings.Contains("({[", tok):
			open = append(open, tok)
		case strings.Contains(")}]", tok):
			if len(open) == 0 || !strings.Contains("() {} []", open[len(open)-1]+tok) {
				return nil, fmt.Errorf("%q doesn't match in %s", tok, expr)
			}
			open = open[:len(open)-1]
		case len(open) > 0 && open[len(open)-1] == "[" && !duration.MatchString(tok):
			return nil, fmt.Errorf("range %q", tok)
		case !name.MatchString(tok) || slices.Contains(reserved, tok):
		case len(open) > 0 && open[len(open)-1] == "{":
			if !slices.Contains(metrics[last], tok) {
				return nil, fmt.Errorf("%s has no label %s, but %v", last, tok, metrics[last])
			}
			if value := strings.Trim(tokens[i+2], `"`); !knownValue(tok, value) {
				return nil, fmt.Errorf("label %s is never %q", tok, value)
			}
		case i > 1 && grouped(tokens[:i]):
			kept = append(kept, tok)
		default:
			if last = tok; !has(metrics, tok) {
				return nil, fmt.Errorf("no node exports %s", tok)
			}
			for _, l := range metrics[tok] {
				known[l] = true
			}
		}
	}
	if len(open) > 0 {
		return nil, fmt.Errorf("%v isn't closed in %s", open, expr)
	}
	for _, l := range kept {
		if !known[l] {
			return nil, fmt.Errorf("grouped by %s, which no metric there has", l)
		}
	}
	if len(kept) == 0 {
		kept = append(slices.Clone(metrics[last]), "instance")
	}
	return kept, nil
}

// grouped says whether what comes next is in the list of a by or on.
func grouped(before []string) bool {
	for i := len(before) - 1; i > 0; i-- {
		switch {
		case before[i] == "(":
			return before[i-1] == "by" || before[i-1] == "on"
		case before[i] != "," && !name.MatchString(before[i]):
			return false
		}
	}
	return false
}

func has(metrics map[string][]string, name string) bool {
	_, there := metrics[name]
	return there
}

// knownValue says whether a label can have a value.
func knownValue(label, value string) bool {
	switch label {
	case "state":
		return slices.Contains(metrics.States, changefeed.State(value))
	case "kind":
		_, known := replaypb.Problem_Kind_value[value]
		return known
	case "code":
		return value == string(changefeed.CodePlaceAtRisk)
	}
	return true
}
