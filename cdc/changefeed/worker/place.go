package worker

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed"
)

// start is where a partition begins.
type start struct {
	at changefeed.Place
	// durable is the checkpoint there: what the sink has.
	durable changefeed.Reached
	// began is Progress.Began, if that is the place.
	began string
	// rewind says that the place was set by hand, snapshot that the sink ends within a snapshot, which has to be begun anew.
	rewind, snapshot bool
	// behind says what the sink lost, if it did.
	behind string
}

// startOf decides between the checkpoint, what the sink says of its end, and the definition, in this order: a sink that decides, a checkpoint set by
// hand, the sink, the checkpoint, the definition.
func startOf(spec *changefeed.Spec, partition uint32, p *changefeed.Progress, r changefeed.Resume) (start, error) {
	saved := changefeed.Reached{Position: p.Position, Chain: p.Chain, Time: p.Time}
	switch {
	case r.Decides && p.Forced: // what was set says nothing of what the sink had
		return startAtSink(spec, partition, &changefeed.Progress{}, r)
	case r.Decides:
		return startAtSink(spec, partition, p, r)
	case p.Forced && (p.Position.IsZero() || p.Began != ""):
		s, err := startBegin(spec, partition, p)
		s.rewind = true
		return s, err
	case p.Forced:
		s := startAfter(saved, !p.Chain.IsZero())
		s.rewind = true
		return s, nil
	case r.Known:
		return startAtSink(spec, partition, p, r)
	case p.Began == "" && !p.Position.IsZero():
		return startAfter(saved, !p.Chain.IsZero()), nil
	}
	return startBegin(spec, partition, p)
}

// startBegin is where the partition begins: where it was found to begin, else where the definition says.
func startBegin(spec *changefeed.Spec, partition uint32, p *changefeed.Progress) (start, error) {
	if p.Began == "" {
		return startFrom(spec, partition)
	}
	s := startAfter(changefeed.Reached{Position: p.Position, Chain: p.Chain, Time: p.Time}, true)
	if s.began = p.Began; p.Position.IsZero() {
		s.at.From = "earliest"
	}
	return s, nil
}

func startAfter(d changefeed.Reached, chainKnown bool) start {
	return start{durable: d, at: changefeed.Place{After: d.Position, Chain: d.Chain, ChainKnown: chainKnown}}
}

func startFrom(spec *changefeed.Spec, partition uint32) (start, error) {
	from, err := forPartition(spec.From, partition, "earliest")
	if err == nil {
		_, err = feed.ParseFrom(from)
	}
	if err != nil {
		return start{}, badDefinition(spec, "from", err)
	}
	return start{at: changefeed.Place{From: from}}, nil
}

// startAtSink goes on where the sink ends.
func startAtSink(spec *changefeed.Spec, partition uint32, p *changefeed.Progress, r changefeed.Resume) (start, error) {
	if r.After.IsZero() && r.InSnapshot {
		s, err := startBegin(spec, partition, p)
		s.snapshot = true
		return s, err
	}
	saved := changefeed.Reached{Position: p.Position, Chain: p.Chain, Time: p.Time}
	if p.Began != "" { // of the sink that says nothing
		saved = changefeed.Reached{}
	}
	end := changefeed.Reached{Position: r.After, Chain: r.Chain, Time: r.Time}
	known := r.ChainKnown
	if !known && r.After == saved.Position && !saved.Chain.IsZero() {
		end.Chain, known = saved.Chain, true
	}
	s := startAfter(end, known)
	s.snapshot = r.InSnapshot
	if r.After.IsZero() { // it has no more than a part of the first event of all
		s.at = changefeed.Place{From: "earliest", ChainKnown: true}
	}
	if r.After.Compare(saved.Position) < 0 && !r.InSnapshot && !leftOut(spec, &saved, &r) {
		s.behind = fmt.Sprintf("the sink ends at %s, but had acknowledged everything up to %s: it lost what came between", r.After, saved.Position)
	}
	return s, nil
}

// leftOut says whether what a filter leaves out explains that a sink ends before a checkpoint: nothing of that is in the sink, but for the heartbeat that follows
// in its time.
func leftOut(spec *changefeed.Spec, saved *changefeed.Reached, r *changefeed.Resume) bool {
	const margin = 5 * time.Second // a busy partition looks at the clock now and then
	return !spec.Filter.IsZero() && !spec.Digests && r.Time != 0 && saved.Time-r.Time <= int64(2*time.Duration(spec.Heartbeat)+margin)
}

// forPartition reads a definition's From or To: one for all partitions, or a list as "0=2-1041,1=2-99", in which what isn't named has absent.
func forPartition(list string, partition uint32, absent string) (string, error) {
	if !strings.Contains(list, "=") {
		return list, nil
	}
	for part := range strings.SplitSeq(list, ",") {
		number, where, _ := strings.Cut(part, "=")
		n, err := strconv.ParseUint(number, 10, 32)
		if err != nil || where == "" {
			return "", fmt.Errorf("%q: want a list as 0=2-1041,1=2-99", part)
		}
		if uint32(n) == partition {
			return where, nil
		}
	}
	return absent, nil
}

// until is where a partition ends: after a position, or before a time. The zero until is never.
type until struct {
	position event.Position
	time     int64
}

// markMargin is by how much the clock of a bookmark must be beyond an end: events may be dated by another machine's clock.
const markMargin = int64(time.Second)

func parseUntil(spec *changefeed.Spec, partition uint32) (until, error) {
	to, err := forPartition(spec.To, partition, "")
	if err != nil {
		return until{}, badDefinition(spec, "to", err)
	}
	if to == "" {
		return until{}, nil
	}
	if p, err := event.ParsePosition(to); err == nil {
		return until{position: p}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, to)
	if err != nil {
		return until{}, badDefinition(spec, "to", fmt.Errorf("%q is no place to end: want a position as 2-1041, or a time as 2026-11-21T10:00:00Z", to))
	}
	return until{time: t.UnixNano()}, nil
}

func (u until) isZero() bool { return u == until{} }

// before says whether an event lies behind the end, and passed whether nothing that follows it lies before the end.
func (u until) before(p event.Position, t int64) bool {
	return !u.position.IsZero() && p.Compare(u.position) > 0 || u.time != 0 && t >= u.time
}

func (u until) passed(p event.Position) bool {
	return !u.position.IsZero() && p.Compare(u.position) >= 0
}

// marked says whether a bookmark lies behind the end.
func (u until) marked(p event.Position, t int64) bool {
	return u.passed(p) || u.time != 0 && t >= u.time+markMargin
}

func badDefinition(spec *changefeed.Spec, what string, err error) error {
	return &changefeed.Error{
		Code: changefeed.CodeDefinition, Final: true, What: fmt.Sprintf("changefeed %s: %s", spec.ID, what), Err: err,
		Action: fmt.Sprintf("correct it: zankv-cdc changefeed update %s --%s …", spec.ID, what),
	}
}
