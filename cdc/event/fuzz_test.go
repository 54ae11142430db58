package event

import (
	"bytes"
	"testing"
)

// FuzzParse: whatever is read can be written and read again, and says the same then.
func FuzzParse(f *testing.F) {
	for _, debezium := range []bool{false, true} {
		for _, line := range newStream(21, 16).mixed(debezium) {
			f.Add(line)
		}
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		var p, q Parser
		var l, again Line
		if p.Parse(line, &l) != nil {
			return
		}
		written := AppendLine(nil, &l, p.Names)
		if err := q.Parse(written, &again); err != nil {
			t.Fatalf("%v: %s, read from %s", err, written, line)
		}
		if twice := AppendLine(nil, &again, q.Names); !bytes.Equal(twice, written) {
			t.Fatalf("written\n%s, then\n%s", written, twice)
		}
		if l.Kind == LineChange || l.Kind == LineSnapshotRow {
			var a, b Scratch
			if DigestOf(&l.Mutation, p.Names, &a) != DigestOf(&again.Mutation, q.Names, &b) {
				t.Fatalf("another digest of %s", line)
			}
		}
		var fold Fold
		fold.Line(&again)
		if text := AppendLineText(nil, &l, p.Names); bytes.Count(text, []byte("\n")) != 1 {
			t.Fatalf("text %q", text)
		}
	})
}

// FuzzLines: nothing that comes as lines is too much for it.
func FuzzLines(f *testing.F) {
	for _, debezium := range []bool{false, true} {
		lines := newStream(21, 16).mixed(debezium)
		f.Add(bytes.Join(lines[:6], nil), true)
		f.Add(bytes.Join(lines[14:22], nil), true)
		f.Add(bytes.Join(lines[14:22], nil), false)
	}
	f.Fuzz(func(t *testing.T, lines []byte, replays bool) {
		var p Parser
		var l Line
		v := Validator{AllowReplays: replays}
		var fold Fold
		for line := range bytes.Lines(lines) {
			if p.Parse(line, &l) != nil {
				continue
			}
			fold.Line(&l)
			if v.Line(&l, p.Names) != nil {
				return
			}
		}
	})
}
