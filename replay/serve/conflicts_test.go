package serve

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/partition"
	"github.com/zankv/zankv/conflict"
	"github.com/zankv/zankv/replay/problem"
	"github.com/zankv/zankv/replay/replaypb"
)

// fillLog makes n records, about tables t0 to t2 in turn, from dc-a or dc-c, decided at 100, 200 …, and one diverged key.
func (w *world) fillLog(n int) {
	for i := range n {
		rec := conflict.Record{
			ID: conflict.ID{byte(i + 1)}, Register: conflict.RegisterKey, Action: conflict.Ignore, Reason: conflict.Older, Rule: conflict.RuleTimestamp, Op: event.OpSet,
			Key: fmt.Appendf(nil, "t%d:%d", i%3, i), Source: conflict.Place{Cluster: "dc-a", Partition: 1, Position: event.Position{Term: 1, Index: 1}}, DecidedAt: int64(i+1) * 100,
		}
		rec.There.Version = conflict.Version{Time: int64(i + 1), Cluster: "dc-a"}
		if i%2 == 1 {
			rec.Reason, rec.Source.Cluster = conflict.Later, "dc-c"
		}
		w.target.rows = append(w.target.rows, Row{ID: rec.RowID(), Value: rec.Append(nil)})
	}
	d := conflict.Diverged{ID: conflict.DivergedID([]byte("t0:list"), "dc-a"), Key: []byte("t0:list"), Source: "dc-a", Reason: conflict.NotPrev, FirstAt: 150, LastAt: 450, Count: 2}
	w.target.rows = append(w.target.rows, Row{ID: d.RowID(), Value: d.Append(nil)})
	slices.SortFunc(w.target.rows, func(a, b Row) int { return bytes.Compare(a.ID, b.ID) })
}

// list gives the keys of what passes a filter.
func (w *world) list(f *replaypb.Filter, after []byte, limit uint32) (keys []string, last []byte) {
	w.t.Helper()
	stream, err := w.conflicts.List(w.context(), &replaypb.ListRequest{Namespace: "default", Filter: f, After: after, Limit: limit})
	if err != nil {
		w.t.Fatal(err)
	}
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return keys, last
		}
		if err != nil {
			w.t.Fatal(err)
		}
		for _, row := range resp.Rows {
			rec, d, err := conflict.Row(row.Id, row.Value)
			if err != nil {
				w.t.Fatal(err)
			}
			if last = row.Id; d != nil {
				keys = append(keys, string(d.Key))
			} else {
				keys = append(keys, string(rec.Key))
			}
		}
	}
}

func TestListFilters(t *testing.T) {
	w := start(t, Options{})
	w.fillLog(6)
	id := conflict.DivergedID([]byte("t0:list"), "dc-a").String()
	for _, c := range []struct {
		f    *replaypb.Filter
		want string
	}{
		{nil, "t0:0 t1:1 t2:2 t0:3 t1:4 t2:5"},
		{&replaypb.Filter{Tables: []string{"t0", "t2"}}, "t0:0 t2:2 t0:3 t2:5"},
		{&replaypb.Filter{Keys: []string{"*:4", "t0:?"}}, "t0:0 t0:3 t1:4"},
		{&replaypb.Filter{Reasons: []string{conflict.Later.String()}}, "t1:1 t0:3 t2:5"},
		{&replaypb.Filter{Sources: []string{"dc-c"}, Tables: []string{"t0"}}, "t0:3"},
		{&replaypb.Filter{Since: 300, Until: 400}, "t2:2 t0:3"},
		{&replaypb.Filter{Diverged: true}, "t0:list"},
		{&replaypb.Filter{Diverged: true, Since: 460}, ""},
		{&replaypb.Filter{Diverged: true, Since: 400, Until: 420}, "t0:list"},
		{&replaypb.Filter{Ids: []string{"02"}}, "t1:1"},
		{&replaypb.Filter{Ids: []string{strings.ToUpper(id), "0300"}}, "t2:2 t0:list"},
	} {
		keys, _ := w.list(c.f, nil, 0)
		if got := strings.Join(keys, " "); got != c.want {
			t.Errorf("%v: got %s, want %s", c.f, got, c.want)
		}
	}
}

// A limit is exact, and listing goes on after the last row.
func TestListLimit(t *testing.T) {
	w := start(t, Options{})
	w.fillLog(7)
	var all []string
	var after []byte
	for {
		keys, last := w.list(nil, after, 3)
		if len(keys) > 3 {
			t.Fatalf("%d rows of 3", len(keys))
		}
		if len(keys) == 0 {
			break
		}
		all, after = append(all, keys...), last
	}
	if len(all) != 7 {
		t.Errorf("%v", all)
	}
}

func TestPurge(t *testing.T) {
	w := start(t, Options{})
	w.fillLog(6)
	purge := func(f *replaypb.Filter, ids ...[]byte) (uint64, error) {
		resp, err := w.conflicts.Purge(w.context(), &replaypb.PurgeRequest{Namespace: "default", Filter: f, Ids: ids})
		return resp.GetRemoved(), err
	}
	if n, err := purge(nil, w.target.rows[0].ID, w.target.rows[1].ID, []byte("none")); n != 2 || err != nil {
		t.Errorf("by ids: %d, %v", n, err)
	}
	if n, err := purge(&replaypb.Filter{Sources: []string{"dc-c"}}); n != 2 || err != nil {
		t.Errorf("by filter: %d, %v", n, err)
	}
	if n, err := purge(&replaypb.Filter{Diverged: true}); n != 1 || err != nil {
		t.Errorf("diverged: %d, %v", n, err)
	}
	if keys, _ := w.list(nil, nil, 0); strings.Join(keys, " ") != "t2:2 t1:4" {
		t.Errorf("left: %v", keys)
	}
	_, err := purge(&replaypb.Filter{Ids: []string{"02"}})
	wants(t, err, problem.Invalid, "want 32")
	_, err = purge(nil, nil)
	wants(t, err, problem.Invalid, "row id")
	w.target.fail = partition.ErrUnknownOutcome
	_, err = purge(nil, []byte("x"))
	wants(t, err, problem.Outcome, "")
	w.target.fail = nil
	w.target.follows = true
	_, err = purge(nil)
	wants(t, err, problem.Elsewhere, "doesn't lead")
}

func TestListRefuses(t *testing.T) {
	w := start(t, Options{})
	list := func(req *replaypb.ListRequest) error {
		stream, err := w.conflicts.List(w.context(), req)
		if err == nil {
			_, err = stream.Recv()
		}
		return err
	}
	wants(t, list(&replaypb.ListRequest{Namespace: "default", Filter: &replaypb.Filter{Reasons: []string{"whim"}}}), problem.Invalid, "want one of")
	wants(t, list(&replaypb.ListRequest{Namespace: "default", Filter: &replaypb.Filter{Ids: []string{"xyz"}}}), problem.Invalid, "hexadecimal")
	wants(t, list(&replaypb.ListRequest{Namespace: "default", Filter: &replaypb.Filter{Keys: make([]string, maxTerms+1)}}), problem.Invalid, "terms")
	wants(t, list(&replaypb.ListRequest{Namespace: "default", After: make([]byte, 999)}), problem.Invalid, "row id")
	wants(t, list(&replaypb.ListRequest{Namespace: "default", Partition: 9}), problem.Unknown, "default-9")
	w.target.fail = partition.ErrClosed
	wants(t, list(&replaypb.ListRequest{Namespace: "default"}), problem.Elsewhere, "closed")
}
