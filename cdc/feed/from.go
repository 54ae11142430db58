package feed

import (
	"fmt"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed/feedpb"
)

// From is where reading begins. The zero From is Earliest.
type From struct {
	kind     fromKind
	position event.Position
	chain    event.Chain
	known    bool // chain is
	time     int64
}

type fromKind uint8

const (
	fromEarliest fromKind = iota
	fromLatest
	fromAfter
	fromAt
	fromTime
)

// Earliest is the oldest event that any replica retains.
func Earliest() From { return From{kind: fromEarliest} }

// Latest is what is applied from now on.
func Latest() From { return From{kind: fromLatest} }

// After is what follows a position, of an event or a bookmark, that left chain. That is checked.
func After(p event.Position, chain event.Chain) From {
	return From{kind: fromAfter, position: p, chain: chain, known: true}
}

// AfterPosition is what follows a position whose chain isn't known.
func AfterPosition(p event.Position) From { return From{kind: fromAfter, position: p} }

// At is a position and what follows it.
func At(p event.Position) From { return From{kind: fromAt, position: p} }

// AtTime is the first event of a time, on the events' hybrid clock, or later.
func AtTime(t time.Time) From { return From{kind: fromTime, time: t.UnixNano()} }

// ParseFrom reads "earliest", "latest", a position ("2-1041") or a time in RFC 3339.
func ParseFrom(s string) (From, error) {
	switch s {
	case "earliest":
		return Earliest(), nil
	case "latest":
		return Latest(), nil
	}
	if p, err := event.ParsePosition(s); err == nil {
		return At(p), nil
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return AtTime(t), nil
	}
	return From{}, fmt.Errorf("%q is no place to begin: want earliest, latest, a position as 2-1041, or a time as 2026-11-21T10:00:00Z", s)
}

func (f From) fill(req *feedpb.SubscribeRequest) {
	switch f.kind {
	case fromEarliest:
		req.From = &feedpb.SubscribeRequest_Earliest{Earliest: true}
	case fromLatest:
		req.From = &feedpb.SubscribeRequest_Latest{Latest: true}
	case fromAfter:
		resume := &feedpb.Resume{Position: toPB(f.position)}
		if f.known {
			resume.Chain = f.chain[:]
		}
		req.From = &feedpb.SubscribeRequest_After{After: resume}
	case fromAt:
		req.From = &feedpb.SubscribeRequest_At{At: toPB(f.position)}
	case fromTime:
		req.From = &feedpb.SubscribeRequest_Time{Time: f.time}
	}
}
