package command_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/command/commandtest"
)

// TestStories runs testdata: each line of a "do" is a command; what it replied and emitted follows. "now" sets the clock
// (ms), "replicates" the namespace, "watermark" its watermark, "row" puts a row of another type, "expire" does what the leader does with a key from the expiry index, "reset"
// starts again.
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := newStory(t)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string { return s.run(t, d) })
	})
}

type story struct {
	now int64
	e   *commandtest.Executor
}

func newStory(t *testing.T) *story {
	s := &story{now: 1000}
	s.e = commandtest.NewExecutor(func() int64 { return s.now }, func(problem string) { t.Error(problem) })
	return s
}

func (s *story) run(t *testing.T, d *datadriven.TestData) string {
	var out strings.Builder
	switch d.Cmd {
	case "now":
		d.ScanArgs(t, "ms", &s.now)
	case "reset":
		*s = *newStory(t)
	case "replicates":
		s.e.Replicates, s.e.MemberTombstones = true, d.HasArg("members")
	case "watermark":
		d.ScanArgs(t, "ns", &s.e.Watermark)
	case "row":
		var key string
		d.ScanArgs(t, "key", &key)
		m := event.Meta{Type: event.TypeHash, Version: event.Version{Time: 7, Cluster: 1}, Floor: event.Version{Time: 3, Cluster: 1}, Generation: 7, Count: 2}
		if d.HasArg("expires") {
			d.ScanArgs(t, "expires", &m.ExpireAt)
			m.ExpiryVersion = event.Version{Time: 8, Cluster: 1}
		}
		s.e.Store.Put(key, m)
	case "do":
		for _, line := range strings.Split(d.Input, "\n") {
			s.do(&out, line)
		}
	case "expire":
		s.expire(t, &out, d)
	default:
		t.Fatalf("%s: unknown %s", d.Pos, d.Cmd)
	}
	return out.String()
}

func (s *story) do(out *strings.Builder, line string) {
	s.e.Store.Emitted = nil
	reply := s.e.Do(commandtest.Words(line)...)
	shown := strings.ReplaceAll(strings.TrimSpace(string(reply)), "\r\n", " ")
	fmt.Fprintf(out, "%s\n", strings.ReplaceAll(shown, "\x00", `\0`))
	for i := range s.e.Store.Emitted {
		fmt.Fprintf(out, "  %s\n", describe(&s.e.Store.Emitted[i]))
	}
}

func (s *story) expire(t *testing.T, out *strings.Builder, d *datadriven.TestData) {
	var key string
	d.ScanArgs(t, "key", &key)
	s.e.Store.Emitted = nil
	c := command.Context{Now: s.now, View: s.e.Store, Tx: s.e.Store, Replicates: s.e.Replicates, Watermark: s.e.Watermark}
	removed, err := c.Expire([]byte(key))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(out, "%v\n", removed)
	for i := range s.e.Store.Emitted {
		fmt.Fprintf(out, "  %s\n", describe(&s.e.Store.Emitted[i]))
	}
}

// describe shows what a mutation says, less what is zero.
func describe(m *event.Mutation) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s %q", m.Op, command.TypeName(m.Type), m.Key)
	if m.Value != nil {
		fmt.Fprintf(&b, " = %q", m.Value)
	}
	fmt.Fprintf(&b, " at %d was %d floor %d", m.Version.Time, m.Prev.Time, m.Floor.Time)
	if m.ExpireAt != 0 || m.ExpiryVersion.Time != 0 {
		fmt.Fprintf(&b, " expires %d since %d", m.ExpireAt, m.ExpiryVersion.Time)
	}
	if m.Generation != 0 || m.Count != 0 {
		fmt.Fprintf(&b, " generation %d count %d", m.Generation, m.Count)
	}
	if m.Whole {
		b.WriteString(" whole")
	}
	for i := range m.Elements {
		fmt.Fprintf(&b, " %q was %d", m.Elements[i].Sub, m.Elements[i].Prev.Time)
	}
	if m.Tombstone {
		b.WriteString(" tombstone")
	}
	if m.ElementTombstones {
		b.WriteString(" tombstones")
	}
	if m.Before.Exists {
		fmt.Fprintf(&b, " before %s expires %d generation %d", command.TypeName(m.Before.Type), m.Before.ExpireAt, m.Before.Generation)
	}
	if m.Before.Version.Time != 0 {
		fmt.Fprintf(&b, " = %q at %d", m.Before.Value, m.Before.Version.Time)
	}
	if m.Before.Expiring != 0 {
		fmt.Fprintf(&b, " expiring %d", m.Before.Expiring)
	}
	return b.String()
}
