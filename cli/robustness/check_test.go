package robustness

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zankv/zankv/cdc/event"
)

// stream makes the JSON lines of events of one mutation each, as a node would.
func stream(mutations ...event.Mutation) []string {
	names := event.Names{"", "c"}
	st := event.Stamp{Cluster: "c", Namespace: "default"}
	var lines []string
	var scratch event.Scratch
	for i, m := range mutations {
		m.Type, m.Version = event.TypeString, event.Version{Time: int64(1000 + i), Cluster: 1}
		ev := event.Event{Time: int64(1000 + i), Mutations: []event.Mutation{m}}
		st.Prev, st.PrevChain = st.Position, st.Chain
		st.Position = event.Position{Term: 2, Index: uint64(5 + 2*i)}
		st.Chain = event.NextChain(st.PrevChain, &st, &ev, names, &scratch)
		lines = append(lines, string(event.AppendJSON(nil, &st, &ev, 0, names)))
	}
	return lines
}

func setTo(key, value string, expireAt int64) event.Mutation {
	return event.Mutation{Op: event.OpSet, Type: event.TypeString, Key: []byte(key), Value: []byte(value), ExpireAt: expireAt}
}

func run(lines []string) (*Tail, error) {
	t := newTail(0)
	return t, t.check(strings.NewReader(strings.Join(lines, "")))
}

// A whole feed passes and folds; one with an event lost, repeated, exchanged or altered doesn't.
func TestTailChecks(t *testing.T) {
	lines := stream(setTo("a", "1", 0), setTo("marker:0", "7", 0), event.Mutation{Op: event.OpDel, Key: []byte("a")}, setTo("b", "2", 99))
	tail, err := run(lines)
	if err != nil {
		t.Fatal(err)
	}
	if m, ok := tail.mu.fold.Get([]byte("b")); tail.mu.fold.Len() != 2 || !ok || string(m.Value) != "2" || m.ExpireAt != 99 {
		t.Fatalf("folded to %v, b is %+v", tail.mu.fold.Keys(), m)
	}
	if at, err := tail.Await(t.Context(), "marker:0", "7"); err != nil || at.Position != (event.Position{Term: 2, Index: 7}) {
		t.Fatalf("marker at %s, %v", at.Position, err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tail.Await(gone, "marker:0", "8"); !errors.Is(err, context.Canceled) {
		t.Fatalf("a marker that didn't come: %v", err)
	}
	for name, spoil := range map[string]func([]string) []string{
		"first lost": func(l []string) []string { return l[1:] },
		"one lost":   func(l []string) []string { return slices.Delete(l, 1, 2) },
		"repeated":   func(l []string) []string { return slices.Insert(l, 2, l[1]) },
		"exchanged":  func(l []string) []string { l[1], l[2] = l[2], l[1]; return l },
		"altered":    func(l []string) []string { l[3] = strings.Replace(l[3], `"value":"2"`, `"value":"3"`, 1); return l },
		"cut off":    func(l []string) []string { l[3] = l[3][:20]; return l },
	} {
		if _, err := run(spoil(slices.Clone(lines))); err == nil {
			t.Errorf("%s: not noticed", name)
		}
	}
}

func TestCompareFold(t *testing.T) {
	now := time.UnixMilli(1_000_000)
	const far = 9_000_000
	folds := func() []*event.Fold {
		a, b := &event.Fold{}, &event.Fold{}
		for f, ms := range map[*event.Fold][]event.Mutation{a: {setTo("a", "1", 0), setTo("x", "1", 1_000_001)}, b: {setTo("b", "2", far)}} {
			for i := range ms {
				f.Apply(&ms[i])
			}
		}
		return []*event.Fold{a, b}
	}
	content := func() map[string]Entry {
		return map[string]Entry{"a": {Type: "string", Value: "1"}, "b": {Type: "string", Value: "2", ExpireAt: far}}
	}
	if err := CompareFold(folds(), content(), now); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(map[string]Entry){
		"value":    func(c map[string]Entry) { c["a"] = Entry{Type: "string", Value: "2"} },
		"expiry":   func(c map[string]Entry) { c["b"] = Entry{Type: "string", Value: "2", ExpireAt: far + 1} },
		"missing":  func(c map[string]Entry) { delete(c, "a") },
		"expiring": func(c map[string]Entry) { delete(c, "b") },
		"type":     func(c map[string]Entry) { c["a"] = Entry{Type: "hash", Value: "1"} },
		"too many": func(c map[string]Entry) { c["z"] = Entry{} },
	} {
		c := content()
		spoil(c)
		if err := CompareFold(folds(), c, now); err == nil {
			t.Errorf("%s: not noticed", name)
		}
	}
	twice := folds()
	m := setTo("a", "1", 0)
	twice[1].Apply(&m)
	if err := CompareFold(twice, content(), now); err == nil {
		t.Error("a key in two partitions: not noticed")
	}
}

func TestCheckKept(t *testing.T) {
	w := NewWorkload(1, 0, nil)
	w.mu.kept["w:0:1"], w.mu.maybe["w:0:2"] = "a", "b"
	good := map[string]Entry{"w:0:1": {Value: "a"}, "other": {Value: "z"}}
	if err := w.CheckKept(good); err != nil {
		t.Fatal(err)
	}
	good["w:0:2"] = Entry{Value: "b"}
	if err := w.CheckKept(good); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]map[string]Entry{
		"lost":          {},
		"other value":   {"w:0:1": {Value: "b"}},
		"expiry":        {"w:0:1": {Value: "a", ExpireAt: 1}},
		"never written": {"w:0:1": {Value: "a"}, "w:0:3": {Value: "a"}},
		"maybe, other":  {"w:0:1": {Value: "a"}, "w:0:2": {Value: "c"}},
	} {
		if err := w.CheckKept(content); err == nil {
			t.Errorf("%s: not noticed", name)
		}
	}
}

// replyError is an error reply of a server.
type replyError string

func (e replyError) Error() string { return string(e) }
func (replyError) RedisError()     {}

var _ redis.Error = replyError("")

// Only what promises that nothing was done counts as that.
func TestClassify(t *testing.T) {
	for _, tt := range []struct {
		err     error
		notRun  bool
		unknown bool
	}{
		{replyError("ERR_CLUSTER_CHANGED: partition of the node has no leader"), true, false},
		{replyError("CLUSTERDOWN Hash slot not served"), true, false},
		{replyError("BUSY too many commands"), true, false},
		{replyError("UNKNOWN the write was proposed"), false, true},
		{replyError("ERR something else"), false, true},
		{replyError("ERR value is not an integer or out of range"), false, false},
		{&net.OpError{Op: "dial", Err: errors.New("refused")}, true, false},
		{&net.OpError{Op: "read", Err: errors.New("reset")}, false, true},
		{context.DeadlineExceeded, false, true},
		{fmt.Errorf("wrapped: %w", &net.OpError{Op: "dial", Err: errors.New("refused")}), true, false},
	} {
		out, err := classify(tt.err)
		if errors.Is(err, errNotRun) != tt.notRun || out.Unknown != tt.unknown || (err != nil) != tt.notRun {
			t.Errorf("%v: got %+v, %v", tt.err, out, err)
		}
	}
}

func TestChecksum(t *testing.T) {
	status, body := http.StatusOK, "{\n \"checksum\": {\n \"Keys\": 1}, \"now\": 2}"
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/cluster/checksum/default-1" || r.URL.Query().Get("at") != "2-7" {
			t.Errorf("asked for %s", r.URL)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	defer s.Close()
	ask := func() (string, error) {
		return Checksum(t.Context(), strings.TrimPrefix(s.URL, "http://"), "default-1", event.Position{Term: 2, Index: 7})
	}
	if sum, err := ask(); err != nil || sum != `{"Keys":1}` {
		t.Fatalf("got %s, %v", sum, err)
	}
	body = "{}"
	if _, err := ask(); err == nil {
		t.Fatal("an answer without a checksum was taken")
	}
	status = http.StatusConflict
	if _, err := ask(); !errors.Is(err, errPast) {
		t.Fatalf("got %v, want %v", err, errPast)
	}
	status = http.StatusInternalServerError
	if _, err := ask(); err == nil || errors.Is(err, errPast) {
		t.Fatalf("got %v", err)
	}
}

func TestCheckQueues(t *testing.T) {
	c := NewCollections(NewWorkload(1, 0, nil), 1)
	c.queues[0] = queue{pushed: []int{1, 5, 9}, maybe: []int{3, 7}}
	for list, want := range map[string]bool{
		"1 5 9": true, "1 3 5 7 9": true, "1 5 9 3": true, "3 1 5 9": true,
		"1 9": false, "5 1 9": false, "1 5 5 9": false, "1 3 5 3 9": false, "1 5 8 9": false, "1 5 9 9": false, "": false,
	} {
		content := map[string]Entry{queueKey(0): {Value: Collected("list", strings.Fields(list))}}
		if err := c.CheckQueues(content); (err == nil) != want {
			t.Errorf("%s: %v", list, err)
		}
	}
}

func TestCheckJobs(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(*jobs, map[string]Entry)
		want  bool
	}{
		"as it should be":           {func(*jobs, map[string]Entry) {}, true},
		"an unknown push came":      {func(j *jobs, _ map[string]Entry) { j.maybe[9], j.taken[9] = true, 1 }, true},
		"one on its way":            {func(j *jobs, _ map[string]Entry) { delete(j.taken, 1); j.unknown = 1 }, true},
		"lost":                      {func(j *jobs, _ map[string]Entry) { delete(j.taken, 1) }, false},
		"taken twice":               {func(j *jobs, _ map[string]Entry) { j.taken[1] = 2 }, false},
		"taken and left":            {func(j *jobs, _ map[string]Entry) { j.taken[2] = 1 }, false},
		"done and left":             {func(j *jobs, c map[string]Entry) { c[doneKey(0)] = Entry{Value: `"3" "2"`} }, false},
		"done twice":                {func(j *jobs, c map[string]Entry) { c[doneKey(0)] = Entry{Value: `"3" "3"`} }, false},
		"never pushed":              {func(j *jobs, _ map[string]Entry) { j.taken[9] = 1 }, false},
		"seen done, and isn't":      {func(j *jobs, c map[string]Entry) { delete(c, doneKey(0)); j.unknown = 9 }, false},
		"left of an unknown push":   {func(j *jobs, c map[string]Entry) { j.maybe[9] = true; c[jobKey(4)] = Entry{Value: `"9"`} }, true},
		"something else is left":    {func(j *jobs, c map[string]Entry) { c[jobKey(4)] = Entry{Value: `"x"`} }, false},
		"a number that wasn't seen": {func(j *jobs, c map[string]Entry) { c[jobKey(4)] = Entry{Value: `"9"`} }, false},
	} {
		j := newJobs()
		j.pushed, j.taken, j.moved = map[int]bool{1: true, 2: true, 3: true}, map[int]int{1: 1}, map[int]bool{3: true}
		content := map[string]Entry{jobKey(0): {Value: `"2"`}, doneKey(0): {Value: `"3"`}}
		test.spoil(j, content)
		if err := j.check(content); (err == nil) != test.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A feed in which the sides of a pair are apart, or of which one is missing, is refused.
func TestPairsInTheFeed(t *testing.T) {
	side := func(n int, hash bool, group, seq, of uint32, value string) event.Line {
		text, h := pairKeys(n)
		l := event.Line{Seq: seq, Of: of, Mutation: event.Mutation{Key: []byte(text), Value: []byte(value), Group: group}}
		if hash {
			l.Mutation = event.Mutation{Key: []byte(h), Group: group, Elements: []event.Element{{Value: []byte(value)}}}
		}
		return l
	}
	other := event.Line{Seq: 0, Of: 1, Mutation: event.Mutation{Key: []byte("other")}}
	for name, test := range map[string]struct {
		lines []event.Line
		want  bool
	}{
		"together":         {[]event.Line{other, side(1, false, 3, 0, 2, "7"), side(1, true, 3, 1, 2, "7"), other}, true},
		"another group":    {[]event.Line{side(1, false, 3, 0, 2, "7"), side(1, true, 4, 1, 2, "7")}, false},
		"another value":    {[]event.Line{side(1, false, 3, 0, 2, "7"), side(1, true, 3, 1, 2, "8")}, false},
		"another pair":     {[]event.Line{side(1, false, 3, 0, 2, "7"), side(2, true, 3, 1, 2, "7")}, false},
		"another event":    {[]event.Line{side(1, false, 3, 0, 1, "7"), side(1, true, 3, 0, 1, "7")}, false},
		"only the string":  {[]event.Line{side(1, false, 3, 0, 1, "7")}, false},
		"only the hash":    {[]event.Line{side(1, true, 3, 0, 1, "7")}, false},
		"two of one side":  {[]event.Line{side(1, false, 3, 0, 3, "7"), side(1, false, 3, 1, 3, "7"), side(1, true, 3, 2, 3, "7")}, false},
		"two of the other": {[]event.Line{side(1, false, 3, 0, 3, "7"), side(1, true, 3, 1, 3, "7"), side(1, true, 3, 2, 3, "7")}, false},
	} {
		var h halves
		var err error
		for i := range test.lines {
			if err == nil {
				err = h.line(&test.lines[i])
			}
		}
		if (err == nil) != test.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	text, hash := pairKeys(2)
	for value, want := range map[string]bool{"7": true, "8": false} {
		content := map[string]Entry{text: {Value: "7"}, hash: {Value: Collected("hash", []string{Joined(pairField, value)})}}
		if err := checkPairs(content); (err == nil) != want {
			t.Errorf("%s: %v", value, err)
		}
	}
	if checkPairs(map[string]Entry{text: {Value: "7"}}) == nil || checkPairs(map[string]Entry{hash: {Value: "7"}}) == nil {
		t.Error("one side alone was taken")
	}
}
