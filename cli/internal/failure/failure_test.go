package failure

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed"
	"github.com/zankv/zankv/cli/internal/nodes"
)

func TestOf(t *testing.T) {
	for _, c := range []struct {
		err    error
		code   Code
		exit   int
		action string
	}{
		{errors.New("x"), Error, 1, ""},
		{Misuse(errors.New("x")), Usage, 2, ""},
		{fmt.Errorf("a: %w", Misuse(errors.New("x"))), Usage, 2, ""},
		{&event.Violation{Promise: event.Ordered}, Violation, 1, ""},
		{&feed.Error{Kind: feed.Compacted}, Compacted, 3, "--from earliest"},
		{&feed.Error{Kind: feed.Unknown}, NotFound, 4, "check --namespace"},
		{&feed.Error{Kind: feed.Ahead}, Ahead, 1, ""},
		{&feed.Error{Kind: feed.Mismatch}, Mismatch, 1, "own feed"},
		{&feed.Error{Kind: feed.Elsewhere}, Unavailable, 5, "try again"},
		{nodes.Unavailable(errors.New("x")), Unavailable, 5, "--nodes"},
		{fmt.Errorf("create: %w", changefeed.ErrExists), Exists, 6, "another id"},
		{changefeed.ErrNotFound, NotFound, 4, "changefeed list"},
		{changefeed.ErrTaken, Conflict, 6, "pause"},
		{changefeed.ErrStale, Conflict, 6, "again"},
		{changefeed.ErrFenced, Conflict, 6, "again"},
		{&changefeed.Error{Code: changefeed.CodeSinkConfig, Final: true, Action: "do"}, Invalid, 2, "do"},
		{&changefeed.Error{Code: changefeed.CodeBrokerDown, Action: "do"}, Unavailable, 5, "do"},
		{&changefeed.Error{Code: changefeed.CodeLogCompacted, Final: true}, Compacted, 3, ""},
		{&changefeed.Error{Code: changefeed.CodeSinkDiverged, Final: true}, Violation, 1, ""},
		{&changefeed.Error{Code: changefeed.CodeHistory, Final: true}, Mismatch, 1, ""},
	} {
		f := Of(c.err)
		if f.Code != c.code || f.Code.Exit() != c.exit || !strings.Contains(f.Action, c.action) || f.Message != c.err.Error() {
			t.Errorf("%v: got %s, exit %d, %q", c.err, f.Code, f.Code.Exit(), f.Action)
		}
	}
}

// Each code stands once in the table, in the order of exit codes, and the exit codes that scripts know stay.
func TestTable(t *testing.T) {
	seen := map[Code]bool{}
	for _, r := range Table {
		if seen[r.Code] || r.Meaning == "" || r.Exit < 1 {
			t.Errorf("%+v", r)
		}
		seen[r.Code] = true
	}
	if !slices.IsSortedFunc(Table, func(a, b Row) int { return a.Exit - b.Exit }) {
		t.Error("not in order")
	}
	if Usage.Exit() != 2 || Compacted.Exit() != 3 || Code("nonsense").Exit() != 1 {
		t.Error("exit codes have changed")
	}
}

func TestPrint(t *testing.T) {
	f := New(NotFound, "look <there>", "changefeed %s: %w", "x", changefeed.ErrNotFound)
	f.Stage, f.Cause = changefeed.StageSink, changefeed.CodeTopic
	if !errors.Is(f, changefeed.ErrNotFound) {
		t.Error("what is behind it is lost")
	}
	var text, object strings.Builder
	f.Print(&text, "zankv-cdc")
	if err := f.PrintJSON(&object); err != nil {
		t.Fatal(err)
	}
	if text.String() != "zankv-cdc: changefeed x: changefeed: not found\nzankv-cdc: look <there>\n" {
		t.Error(text.String())
	}
	want := `{"error":{"code":"not-found","message":"changefeed x: changefeed: not found","action":"look <there>","stage":"sink","cause":"topic"}}` + "\n"
	if object.String() != want {
		t.Error(object.String())
	}
}
