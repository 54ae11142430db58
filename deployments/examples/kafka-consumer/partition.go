package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/segmentio/kafka-go"

	"github.com/zankv/zankv/cdc/event"
)

// partition is what was made of one partition's messages so far.
type partition struct {
	// index and seq are those of the last change that was applied: all up to there is done.
	index, seq uint64
	began      bool
	// rows counts those of the snapshot that is coming in, if inSnapshot.
	rows       uint64
	inSnapshot bool

	part   value
	parser event.Parser
	state  event.Fold
}

// value is one that comes in parts.
type value struct {
	of   string // position and seq
	line []byte
}

// take applies a message, and returns the line that was applied: nil if there was none, or if it came before.
func (p *partition) take(m *kafka.Message) ([]byte, error) {
	headers := map[string]string{}
	for _, h := range m.Headers {
		headers[h.Key] = string(h.Value)
	}
	switch headers["type"] {
	case "change", "snapshot-begin", "snapshot-row", "snapshot-end":
	default:
		// Heartbeats say how far the partition is, filtered what was left out on purpose, tombstones (on compacted topics) what the change before says, too;
		// fences are Kafka's and ours. What isn't known is of a later version.
		return nil, nil
	}
	line, err := p.join(m.Value, headers)
	if err != nil || line == nil {
		return nil, err
	}
	fresh, err := p.fresh(headers)
	if err != nil || !fresh {
		return nil, err
	}
	var l event.Line
	if err := p.parser.Parse(line, &l); err != nil {
		return nil, err
	}
	p.state.Line(&l)
	return line, p.state.Err()
}

// join gives the whole line; nil as long as parts of it are missing.
func (p *partition) join(value []byte, headers map[string]string) ([]byte, error) {
	if headers["part-total"] == "" {
		return value, nil
	}
	offset, err := strconv.Atoi(headers["part-offset"])
	if err != nil {
		return nil, err
	}
	total, err := strconv.Atoi(headers["part-total"])
	if err != nil {
		return nil, err
	}
	of := headers["position"] + "." + headers["seq"]
	switch {
	case offset == 0:
		p.part.of, p.part.line = of, append(p.part.line[:0], value...)
	case p.part.of == of && offset == len(p.part.line):
		p.part.line = append(p.part.line, value...)
	default: // a part again; or one that is left on a compacted topic, of a value that isn't there any more
		return nil, nil
	}
	if len(p.part.line) < total {
		return nil, nil
	}
	return p.part.line, nil
}

// fresh says whether a line comes for the first time. Within a partition positions only grow: by their second number, the index; within an event
// its mutations are counted by seq, and so are the rows of a snapshot.
func (p *partition) fresh(headers map[string]string) (bool, error) {
	_, text, _ := strings.Cut(headers["position"], "-")
	index, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return false, fmt.Errorf("position %q: %w", headers["position"], err)
	}
	seq, err := strconv.ParseUint(headers["seq"], 10, 64)
	if err != nil {
		return false, fmt.Errorf("seq %q: %w", headers["seq"], err)
	}
	switch headers["type"] {
	case "snapshot-begin": // the state follows, instead of changes that were lost: it begins from nothing, again if it had begun
		p.inSnapshot, p.rows = true, 0
		return true, nil
	case "snapshot-row":
		if !p.inSnapshot || seq < p.rows {
			return false, nil
		}
		p.rows = seq + 1
		return true, nil
	case "snapshot-end":
		done := p.inSnapshot
		p.inSnapshot = false
		p.index, p.seq, p.began = index, ^uint64(0), true // the changes after it come after its position
		return done, nil
	}
	if p.began && (index < p.index || index == p.index && seq <= p.seq) {
		return false, nil
	}
	p.index, p.seq, p.began = index, seq, true
	return true, nil
}
