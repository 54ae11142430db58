package verify

import (
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/zankv/zankv/cdc/event"
)

// DefaultMaxPartitions is how many partitions a stream may have if Options don't say.
const DefaultMaxPartitions = 4096

// Options say how a stream is checked.
type Options struct {
	// AllowReplays takes whole repeats of a suffix, as a reader that reconnected has them.
	AllowReplays bool
	// Expect is what is known of partitions, by number; Default of those that aren't in it.
	Expect  map[uint32]Expect
	Default Expect
	// MaxPartitions bounds how many a stream may mix; 0 is DefaultMaxPartitions.
	MaxPartitions int
	// Stdin is what the source "-" reads.
	Stdin io.Reader
	// Progress is told, about once a second, how far a check is. It is called from one goroutine at a time.
	Progress func(Progress)
	// Cluster and Changefeed are what {cluster} and {changefeed} in an archive's or a topic's name stand for, Namespace what {namespace} does.
	Cluster, Namespace, Changefeed string
	// GiveUp is how long a live partition may have no replica that serves; 0 is 30 s. Dial are for its connections.
	GiveUp time.Duration
	Dial   []grpc.DialOption
	Logger *slog.Logger
}

// Expect is what is known of a partition's stream beforehand.
type Expect struct {
	// After is the event after which it has to begin; nil if that isn't known.
	After *Place
	// Until is a position that it has to reach, with an event or a heartbeat; zero for any end.
	Until event.Position
}

// Place is an event's position, and the chain there where that is known. At the zero position it always is.
type Place struct {
	Position   event.Position
	Chain      event.Chain
	ChainKnown bool
}

// Progress is how far a check is.
type Progress struct {
	Bytes, Lines   int64
	BytesPerSecond float64
	Elapsed        time.Duration
}

// ParsePlace reads a position, or position:chain, as the report has them: "2-1041" or "2-1041:9f2c…".
func ParsePlace(s string) (Place, error) {
	position, chain, ok := strings.Cut(s, ":")
	p, err := event.ParsePosition(position)
	if err != nil {
		return Place{}, err
	}
	place := Place{Position: p, ChainKnown: p.IsZero()}
	if ok {
		place.Chain, err = event.ParseChain(chain)
		place.ChainKnown = true
	}
	return place, err
}

// Expecting reads what a command line says of all partitions, or of some: from is "", a Place, or "0=Place,1=Place …"; until the same with positions.
func (o *Options) Expecting(from, until string) error {
	err := o.each("from", from, func(e *Expect, value string) error {
		place, err := ParsePlace(value)
		e.After = &place
		return err
	})
	if err != nil {
		return err
	}
	return o.each("until", until, func(e *Expect, value string) (err error) {
		e.Until, err = event.ParsePosition(value)
		return err
	})
}

func (o *Options) each(name, list string, set func(e *Expect, value string) error) error {
	if list == "" {
		return nil
	}
	for item := range strings.SplitSeq(list, ",") {
		number, value, ok := strings.Cut(item, "=")
		if !ok {
			if err := set(&o.Default, item); err != nil {
				return fmt.Errorf("verify: %s %q: %w", name, item, err)
			}
			continue
		}
		n, err := strconv.ParseUint(number, 10, 32)
		if err != nil {
			return fmt.Errorf("verify: %s %q: partition %q: want a number, as in 0=2-1041", name, item, number)
		}
		if o.Expect == nil {
			o.Expect = make(map[uint32]Expect)
		}
		e, there := o.Expect[uint32(n)]
		if !there {
			e = o.Default
		}
		if err := set(&e, value); err != nil {
			return fmt.Errorf("verify: %s %q: %w", name, item, err)
		}
		o.Expect[uint32(n)] = e
	}
	return nil
}

func (o *Options) expect(partition uint32) Expect {
	if e, ok := o.Expect[partition]; ok {
		return e
	}
	return o.Default
}
