package tail

import (
	"fmt"

	"github.com/zankv/zankv/cdc/event"
)

// Format prints one partition's events. It is for one goroutine.
type Format interface {
	// Event appends an event's lines. shown says whether any of its mutations is among them.
	Event(dst []byte, st *event.Stamp, ev *event.Event, names event.Names) (out []byte, shown bool, err error)
	// Heartbeat appends what says that everything up to a position was printed; time is the server's, ns since 1970. A format for which nobody
	// would miss it appends nothing.
	Heartbeat(dst []byte, last *event.Stamp, position event.Position, time int64) []byte
}

// textFormat is for people.
type textFormat struct {
	// prefixed begins each line with the partition.
	prefixed bool
}

func (f textFormat) Event(dst []byte, st *event.Stamp, ev *event.Event, names event.Names) ([]byte, bool, error) {
	for i := range ev.Mutations {
		if f.prefixed {
			dst = fmt.Appendf(dst, "%-4d", st.Partition)
		}
		dst = event.AppendText(dst, st, ev, i, names)
	}
	return dst, true, nil
}

func (f textFormat) Heartbeat(dst []byte, _ *event.Stamp, _ event.Position, _ int64) []byte {
	return dst
}

// jsonFormat prints lines of JSON.
type jsonFormat struct{}

func (jsonFormat) Event(dst []byte, st *event.Stamp, ev *event.Event, names event.Names) ([]byte, bool, error) {
	for i := range ev.Mutations {
		dst = event.AppendJSON(dst, st, ev, i, names)
	}
	return dst, true, nil
}

func (jsonFormat) Heartbeat(dst []byte, _ *event.Stamp, _ event.Position, _ int64) []byte { return dst }

// Options say how events are printed.
type Options struct {
	// Format is json, text or debezium.
	Format string
	// Prefixed begins lines of text with the partition.
	Prefixed bool
}

// CheckFormat says whether there is such a format.
func CheckFormat(s string) error {
	switch s {
	case "json", "text", "debezium":
		return nil
	}
	return fmt.Errorf("format %q: want json, text or debezium", s)
}

// NewFormat makes what makes a partition's format.
func NewFormat(o Options) (func() Format, error) {
	if err := CheckFormat(o.Format); err != nil {
		return nil, err
	}
	if o.Format == "text" {
		return func() Format { return textFormat{prefixed: o.Prefixed} }, nil
	}
	return func() Format { return jsonFormat{} }, nil
}
