package tail

import (
	"fmt"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/message"
)

// Format prints one partition's events. It is for one goroutine.
type Format interface {
	// Event appends an event's lines. shown says whether any of its mutations is among them.
	Event(dst []byte, st *event.Stamp, ev *event.Event, names event.Names) (out []byte, shown bool, err error)
	// Heartbeat appends what says that everything up to a position was printed; time is the server's, ns since 1970. A format for which nobody
	// would miss it appends nothing.
	Heartbeat(dst []byte, last *event.Stamp, position event.Position, time int64) []byte
}

// Options say how events are printed.
type Options struct {
	// Format is json, text or debezium.
	Format string
	// Filter leaves out what it doesn't pass. Digests has what is left out leave its digests, in json and debezium.
	Filter  changefeed.Filter
	Digests bool
	// Prefixed begins lines of text with the partition.
	Prefixed bool
}

// appenders are the formats, by name.
var appenders = map[string]func(dst []byte, st *event.Stamp, ev *event.Event, i int, names event.Names) []byte{
	"json": event.AppendJSON, "text": event.AppendText, "debezium": event.AppendDebezium,
}

// CheckFormat says whether there is such a format.
func CheckFormat(s string) error {
	if appenders[s] == nil {
		return fmt.Errorf("format %q: want json, text or debezium", s)
	}
	return nil
}

// NewFormat makes what makes a partition's format. It says what is wrong with the options.
func NewFormat(o Options) (func() Format, error) {
	if err := CheckFormat(o.Format); err != nil {
		return nil, err
	}
	if _, err := message.Compile(o.Filter, ""); err != nil {
		return nil, err
	}
	return func() Format {
		f := &lines{line: appenders[o.Format], filter: o.Filter, digests: o.Digests}
		if o.Format != "text" {
			return f
		}
		return &text{lines: f, prefixed: o.Prefixed}
	}, nil
}

// lines is a format whose lines programs read.
type lines struct {
	line    func(dst []byte, st *event.Stamp, ev *event.Event, i int, names event.Names) []byte
	filter  changefeed.Filter
	digests bool

	matcher *message.Matcher // of the filter, once the cluster's id is known; nil: everything passes
	left    []event.Digest   // of the mutations before this one that were left out
	scratch event.Scratch
}

// passes says whether a mutation is printed.
func (l *lines) passes(st *event.Stamp, m *event.Mutation, names event.Names) (bool, error) {
	if l.filter.IsZero() {
		return true, nil
	}
	if l.matcher == nil {
		matcher, err := message.Compile(l.filter, st.Cluster)
		if err != nil {
			return false, err
		}
		l.matcher = matcher
	}
	return l.matcher.Match(m, names), nil
}

func (l *lines) Event(dst []byte, st *event.Stamp, ev *event.Event, names event.Names) ([]byte, bool, error) {
	shown := false
	for i := range ev.Mutations {
		passes, err := l.passes(st, &ev.Mutations[i], names)
		switch {
		case err != nil:
			return dst, shown, err
		case passes:
			dst = l.leave(dst, st, ev, i)
			dst = l.line(dst, st, ev, i, names)
			shown = true
		case l.digests:
			l.left = append(l.left, event.DigestOf(&ev.Mutations[i], names, &l.scratch))
		}
	}
	return l.leave(dst, st, ev, len(ev.Mutations)), shown, nil
}

// leave appends the digests of what was left out before mutation i.
func (l *lines) leave(dst []byte, st *event.Stamp, ev *event.Event, i int) []byte {
	if len(l.left) > 0 {
		dst = event.AppendFiltered(dst, st, ev.Time, uint32(i-len(l.left)), uint32(len(ev.Mutations)), l.left)
		l.left = l.left[:0]
	}
	return dst
}

func (l *lines) Heartbeat(dst []byte, last *event.Stamp, position event.Position, time int64) []byte {
	return event.AppendHeartbeat(dst, last, position, time, &l.scratch)
}

// text is for people: what is left out leaves nothing.
type text struct {
	*lines
	// prefixed begins each line with the partition.
	prefixed bool
}

func (t *text) Event(dst []byte, st *event.Stamp, ev *event.Event, names event.Names) ([]byte, bool, error) {
	shown := false
	for i := range ev.Mutations {
		passes, err := t.passes(st, &ev.Mutations[i], names)
		if err != nil {
			return dst, shown, err
		}
		if !passes {
			continue
		}
		shown = true
		if t.prefixed {
			dst = fmt.Appendf(dst, "%-4d", st.Partition)
		}
		dst = t.line(dst, st, ev, i, names)
	}
	return dst, shown, nil
}

func (t *text) Heartbeat(dst []byte, _ *event.Stamp, _ event.Position, _ int64) []byte { return dst }
