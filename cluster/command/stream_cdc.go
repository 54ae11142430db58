package command

import (
	"bytes"
	"math"
	"strconv"

	"github.com/zankv/zankv/cdc/event"
)

// feedStreams read a partition's change events as Redis streams. The front end runs them: events aren't in a partition's state.
var feedStreams = []*Spec{
	{Name: "xread", Arity: -4, Flags: ReadOnly | Blocking | MovableKeys, Scope: ScopeConnection, MoreKeys: xreadKeys,
		Summary: "Returns the change events of partitions after given positions, and may wait for some.", Since: "5.0.0", Group: "stream",
		Complexity: "O(M), M being the events returned"},
	{Name: "xrange", Arity: -4, Flags: ReadOnly, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeConnection,
		KeyAccess: readAccess, Summary: "Returns the change events of a partition between two positions.", Since: "5.0.0", Group: "stream",
		Complexity: "O(M), M being the events returned"},
}

// Texts of Redis's about streams.
const (
	errStreamID        = "ERR Invalid stream ID specified as stream command argument"
	errStreamStart     = "ERR invalid start ID for the interval"
	errStreamEnd       = "ERR invalid end ID for the interval"
	errStreamList      = "ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be specified."
	errStreamGroup     = "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead."
	errStreamGreater   = "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option."
	errTimeoutNotInt   = "ERR timeout is not an integer or out of range"
	streamMaxIDPart    = math.MaxUint64
	streamOldest       = "-"
	streamNewest       = "+"
	streamFromNow      = "$"
	streamNeverWaiting = -1
)

// FeedFrom is where reading change events begins: behind a position, at it, or at one of the ends of what is there.
type FeedFrom struct {
	Oldest, Newest bool
	Position       event.Position
	Inclusive      bool
}

// XRead is what an XREAD asks for.
type XRead struct {
	Keys  [][]byte
	From  []FeedFrom
	Count int64 // 0: none was given
	Block int64 // ms, 0 for ever, negative: not at all
}

// XRange is what an XRANGE asks for.
type XRange struct {
	From    FeedFrom
	To      event.Position // the last position that may be returned
	Counted bool
	Count   int64
}

// ParseXRead reads XREAD's arguments, the name included. problem is the error to reply, or "".
func ParseXRead(args [][]byte) (q XRead, problem string) {
	q.Block = streamNeverWaiting
	streams := 0
	for i := 1; i < len(args) && streams == 0; i++ {
		more := i+1 < len(args)
		switch {
		case equalFold(args[i], "block") && more:
			i++
			if q.Block, problem = blockMilliseconds(args[i]); problem != "" {
				return q, problem
			}
		case equalFold(args[i], "count") && more:
			i++
			n, ok := parseInt(args[i])
			if !ok {
				return q, ErrNotInteger
			}
			q.Count = max(n, 0)
		case equalFold(args[i], "streams") && more:
			streams = i + 1
		case equalFold(args[i], "group") && i+2 < len(args):
			return q, errStreamGroup
		default:
			return q, ErrSyntax
		}
	}
	if streams == 0 {
		return q, ErrSyntax
	}
	rest := args[streams:]
	if len(rest)%2 != 0 {
		return q, errStreamList
	}
	q.Keys = rest[:len(rest)/2]
	for _, id := range rest[len(rest)/2:] {
		from, problem := parseFeedID(id)
		if problem != "" {
			return q, problem
		}
		q.From = append(q.From, from)
	}
	return q, ""
}

func blockMilliseconds(arg []byte) (ms int64, problem string) {
	ms, ok := parseInt(arg)
	switch {
	case !ok:
		return 0, errTimeoutNotInt
	case ms < 0:
		return 0, errTimeoutNegative
	case ms > math.MaxInt64/int64(1e6):
		return 0, errTimeoutRange
	}
	return ms, ""
}

// parseFeedID reads the position behind which XREAD begins.
func parseFeedID(id []byte) (from FeedFrom, problem string) {
	switch string(id) {
	case streamFromNow:
		return FeedFrom{Newest: true}, ""
	case ">":
		return from, errStreamGreater
	}
	p, ok := parseStreamID(id, 0)
	if !ok || p.Index == 0 && p.Term != 0 {
		return from, errStreamID
	}
	return FeedFrom{Position: p, Oldest: p.IsZero()}, ""
}

// parseStreamID reads term-index, or a term alone, which then has the given index.
func parseStreamID(id []byte, index uint64) (p event.Position, ok bool) {
	term, rest, both := bytes.Cut(id, []byte{'-'})
	var err, err2 error
	p.Term, err = strconv.ParseUint(string(term), 10, 64)
	p.Index = index
	if both {
		p.Index, err2 = strconv.ParseUint(string(rest), 10, 64)
	}
	return p, err == nil && err2 == nil
}

// ParseXRange reads XRANGE's arguments, the name included. problem is the error to reply, or "".
func ParseXRange(args [][]byte) (q XRange, problem string) {
	if q.From, problem = parseRangeStart(args[2]); problem != "" {
		return q, problem
	}
	if q.To, problem = parseRangeEnd(args[3]); problem != "" {
		return q, problem
	}
	for i := 4; i < len(args); i += 2 {
		if i+1 == len(args) || !equalFold(args[i], "count") {
			return q, ErrSyntax
		}
		n, ok := parseInt(args[i+1])
		if !ok {
			return q, ErrNotInteger
		}
		q.Counted, q.Count = true, max(n, 0)
	}
	return q, ""
}

func parseRangeStart(id []byte) (from FeedFrom, problem string) {
	if string(id) == streamOldest {
		return FeedFrom{Oldest: true}, ""
	}
	if string(id) == streamNewest {
		return FeedFrom{Position: event.Position{Term: streamMaxIDPart, Index: streamMaxIDPart}, Inclusive: true}, ""
	}
	id, exclusive := bytes.CutPrefix(id, []byte{'('})
	p, ok := parseStreamID(id, 0)
	switch {
	case !ok || p.Index == 0 && p.Term != 0:
		return from, errStreamID
	case exclusive && p.Term == streamMaxIDPart && p.Index == streamMaxIDPart:
		return from, errStreamStart
	}
	return FeedFrom{Oldest: p.IsZero(), Position: p, Inclusive: !exclusive}, ""
}

// parseRangeEnd reads where XRANGE ends. A position before an exclusive one needn't be there: it is just a bound.
func parseRangeEnd(id []byte) (p event.Position, problem string) {
	switch string(id) {
	case streamNewest:
		return event.Position{Term: streamMaxIDPart, Index: streamMaxIDPart}, ""
	case streamOldest:
		return p, ""
	}
	id, exclusive := bytes.CutPrefix(id, []byte{'('})
	p, ok := parseStreamID(id, streamMaxIDPart)
	switch {
	case !ok:
		return p, errStreamID
	case exclusive && p.IsZero():
		return p, errStreamEnd
	case exclusive && p.Index == 0:
		p.Term, p.Index = p.Term-1, streamMaxIDPart
	case exclusive:
		p.Index--
	}
	return p, ""
}

// xreadKeys are the keys behind STREAMS: the first half of what follows.
func xreadKeys(dst []int, args [][]byte) []int {
	for i := 1; i < len(args); i++ {
		if !equalFold(args[i], "streams") {
			continue
		}
		for n := range (len(args) - i - 1) / 2 {
			dst = append(dst, i+1+n)
		}
		break
	}
	return dst
}
