package message

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/zankv/zankv/cdc/event"
)

// split makes messages of a value, in parts of n bytes.
func split(position, seq int, value string, n int) (all []Message) {
	for at := 0; at < len(value); at += n {
		all = append(all, Message{Kind: Change, Position: event.Position{Term: 1, Index: uint64(position)}, Seq: uint32(seq), Of: 9,
			Value: []byte(value[at:min(at+n, len(value))]), Offset: uint64(at), Total: uint64(len(value))})
	}
	if len(all) == 1 {
		all[0].Total = 0
	}
	return all
}

func join(j *Joiner, messages []Message) (got []string, err error) {
	for i := range messages {
		line, err := j.Add(&messages[i])
		if err != nil {
			return got, err
		}
		if line != nil {
			got = append(got, string(line))
		}
	}
	return got, j.End()
}

var joined = slices.Concat(split(1, 0, "abcdefgh", 3), split(1, 1, "x", 3), []Message{{Kind: Tombstone, Position: event.Position{Term: 1, Index: 1}}},
	split(2, 0, "ijklmnop", 3))

func TestJoiner(t *testing.T) {
	got, err := join(&Joiner{}, joined)
	if err != nil || strings.Join(got, " ") != "abcdefgh x ijklmnop" {
		t.Fatalf("%q, %v", got, err)
	}
	for i, m := range joined {
		lost := slices.Delete(slices.Clone(joined), i, i+1)
		if _, err := join(&Joiner{}, lost); err == nil && m.Total != 0 {
			t.Errorf("loss of message %d wasn't found", i)
		}
		twice := slices.Insert(slices.Clone(joined), i, m)
		if _, err := join(&Joiner{}, twice); err == nil && m.Total != 0 {
			t.Errorf("message %d twice wasn't found", i)
		}
		if i+1 < len(joined) {
			swapped := slices.Clone(joined)
			swapped[i], swapped[i+1] = joined[i+1], joined[i]
			if _, err := join(&Joiner{}, swapped); err == nil && m.Total != 0 && joined[i+1].Kind != Tombstone {
				t.Errorf("messages %d and %d swapped wasn't found", i, i+1)
			}
		}
		altered := slices.Clone(joined)
		if altered[i].Offset++; m.Total != 0 {
			if _, err := join(&Joiner{}, altered); err == nil {
				t.Errorf("message %d altered wasn't found", i)
			}
		}
	}
	if _, err := join(&Joiner{}, joined[:2]); err == nil || !strings.Contains(err.Error(), "1-1.0: parts from byte 6 of 8 on are missing") {
		t.Errorf("the end in the middle of a line: %v", err)
	}
}

// A reader that reconnects anywhere gets every line, each as it was.
func TestJoinerAfterReconnects(t *testing.T) {
	for stop := 1; stop <= len(joined); stop++ {
		for again := range stop {
			got, err := join(&Joiner{AllowReplays: true}, slices.Concat(joined[:stop], joined[again:]))
			if err != nil {
				t.Fatalf("%d messages, then from %d: %v", stop, again, err)
			}
			for _, line := range []string{"abcdefgh", "x", "ijklmnop"} {
				if !slices.Contains(got, line) {
					t.Errorf("%d messages, then from %d: got %q", stop, again, got)
				}
			}
			if slices.ContainsFunc(got, func(s string) bool { return s != "abcdefgh" && s != "x" && s != "ijklmnop" }) {
				t.Errorf("%d messages, then from %d: got %q", stop, again, got)
			}
		}
	}
	other := slices.Clone(joined)
	other[1].Value = bytes.ToUpper(other[1].Value)
	if _, err := join(&Joiner{AllowReplays: true}, slices.Concat(joined[:2], other[1:])); err == nil {
		t.Error("a part that came again with other bytes was taken")
	}
}

// What a message claims of a line's length takes no memory before the parts come, and none above the bound.
func TestJoinerIsBounded(t *testing.T) {
	m := split(1, 0, "abcdefgh", 3)[0]
	m.Total = 100 << 20
	j := Joiner{MaxBytes: 100 << 20}
	if _, err := j.Add(&m); err != nil || cap(j.buf) > joinStep {
		t.Errorf("%v, %d bytes of memory", err, cap(j.buf))
	}
	m.Total++
	if _, err := (&Joiner{MaxBytes: 100 << 20}).Add(&m); err == nil {
		t.Error("a line above the bound was taken")
	}
	for name, change := range map[string]func(*Message){
		"beyond the whole": func(m *Message) { m.Offset, m.Total = 7, 8 },
		"overflow":         func(m *Message) { m.Offset = 1<<64 - 2 },
		"empty":            func(m *Message) { m.Value = nil },
		"kind":             func(m *Message) { m.Kind = "fence" },
	} {
		m := split(1, 0, "abcdefgh", 3)[0]
		change(&m)
		if _, err := (&Joiner{AllowReplays: true}).Add(&m); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
