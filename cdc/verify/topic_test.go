package verify

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/zankv/zankv/cdc/archive/streamtest"
	"github.com/zankv/zankv/cdc/message"
)

// listed are messages as a topic would give them.
type listed struct {
	all []message.Message
	at  int
}

func (l *listed) next() (*message.Message, error) {
	if l.at == len(l.all) {
		return nil, io.EOF
	}
	l.at++
	return &l.all[l.at-1], nil
}

func (l *listed) of() id { return id{"dc-a", "default", 3} }

func (l *listed) describe() (string, int64, int64) {
	return fmt.Sprintf("topic t, partition 3, offset %d", l.at-1), 0, int64(l.at - 1)
}

func checkMessages(t *testing.T, all []message.Message, cut bool, o Options) *Report {
	t.Helper()
	r := begin(context.Background(), "test", &o)
	if err := r.messages(&listed{all: all}, cut); err != nil {
		t.Fatal(err)
	}
	return r.end()
}

// inParts makes messages of a stream, each line that is longer than limit in parts.
func inParts(t *testing.T, units []streamtest.Unit, limit int) (all []message.Message) {
	t.Helper()
	for i := range units {
		for _, m := range units[i].Messages {
			total := uint64(len(m.Value))
			for rest := m.Value; len(rest) > 0; {
				part := m
				part.Value = rest[:min(len(rest), limit)]
				if total > uint64(limit) {
					part.Offset, part.Total = total-uint64(len(rest)), total
				}
				rest = rest[len(part.Value):]
				all = append(all, part)
			}
		}
	}
	return all
}

// TestEveryFaultOfAMessageIsFound loses, doubles, moves and alters messages, parts of lines among them.
func TestEveryFaultOfAMessageIsFound(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	s := streamtest.New(8).Fill(70, true)
	s.Event()
	end := s.Last().Position
	all := inParts(t, s.Units, 420) // about half of the lines are whole
	o := fromTheBeginning(end)
	if r := checkMessages(t, all, false, o); !r.OK() {
		t.Fatal(firstProblem(r))
	}
	with := func(i int, replaced ...message.Message) []message.Message {
		return append(append(append([]message.Message(nil), all[:i]...), replaced...), all[i+1:]...)
	}
	for i := range all {
		altered := all[i]
		altered.Value = bytes.Clone(altered.Value)
		altered.Value[rng.IntN(len(altered.Value))] ^= 1
		moved := all[i]
		moved.Position.Index++
		other := all[i]
		other.Key = []byte("another key")
		faults := map[string][]message.Message{
			"removed": with(i), "repeated": with(i, all[i], all[i]), "altered": with(i, altered), "with another position": with(i, moved),
		}
		if all[i].Total == 0 {
			faults["with another key"] = with(i, other)
		}
		for name, stream := range faults {
			if all[i].Total == 0 && harmless(name, &all[i]) {
				continue
			}
			if r := checkMessages(t, stream, false, o); r.OK() {
				t.Fatalf("message %d of %d (%s %s.%d, byte %d of %d) %s isn't found", i, len(all), all[i].Kind, all[i].Position, all[i].Seq, all[i].Offset, all[i].Total, name)
			}
		}
	}
}

// harmless says what nobody has to find: a heartbeat that is missing, a key where the line has none.
func harmless(fault string, m *message.Message) bool {
	keyless := m.Kind != message.Change || bytes.Contains(m.Value, []byte(`"op":"range"`))
	return fault == "removed" && m.Kind == message.Heartbeat || fault == "with another key" && keyless
}

// TestTopicThatEndsWithinALine says so, also when nothing is known of its end.
func TestTopicThatEndsWithinALine(t *testing.T) {
	s := streamtest.New(8).Fill(5, false)
	s.Event()
	all := inParts(t, s.Units, 100)
	r := checkMessages(t, all[:len(all)-1], false, Options{})
	if p := firstProblem(r); r.Verdict != Incomplete || !strings.Contains(p.What, "missing at the end") || p.Position.IsZero() {
		t.Fatalf("%s: %v", r.Verdict, p)
	}
}

// TestTopicWithoutItsBeginning has the oldest messages removed, wherever that is.
func TestTopicWithoutItsBeginning(t *testing.T) {
	s := streamtest.New(9).Fill(40, true)
	all := inParts(t, s.Units, 300)
	for i := 1; i < len(all)-40; i++ {
		r := checkMessages(t, all[i:], true, Options{})
		if !r.OK() {
			t.Fatalf("from message %d: %v", i, firstProblem(r))
		}
	}
}
