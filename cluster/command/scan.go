package command

import (
	"bytes"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/glob"
)

// One page looks at no more keys, and takes no more bytes of keys, whatever its count.
const (
	scanPageKeys  = 5000
	scanPageBytes = 1 << 20
)

// defaultScanCount is SCAN's COUNT when none is given.
const defaultScanCount = 10

// Scan is what a SCAN asks for besides its cursor.
type Scan struct {
	Count   int64
	Counted bool   // COUNT was given
	Pattern []byte // nil: all
	Type    []byte // nil: all
}

// ParseCursor reads a numeric cursor as Redis does: it is what strtoul takes, so that "" is 0 and "-1" the largest one.
// problem is the error to reply, or "".
func ParseCursor(b []byte) (cursor uint64, problem string) {
	digits, negative := b, false
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		digits, negative = b[1:], b[0] == '-'
		if len(digits) == 0 {
			return 0, ErrCursor
		}
	}
	for _, d := range digits {
		next := cursor*10 + uint64(d-'0')
		if d < '0' || d > '9' || cursor > (1<<64-1)/10 || next < cursor {
			return 0, ErrCursor
		}
		cursor = next
	}
	if negative {
		cursor = -cursor
	}
	return cursor, ""
}

// ParseScan reads the options of SCAN: args are those behind the cursor. The slices of what it returns are theirs.
// problem is the error to reply, or "".
func ParseScan(args [][]byte) (q Scan, problem string) {
	q.Count = defaultScanCount
	for i := 0; i < len(args); i += 2 {
		if i+1 == len(args) {
			return q, ErrSyntax
		}
		opt, value := args[i], args[i+1]
		switch {
		case equalFold(opt, "count"):
			n, ok := parseInt(value)
			if !ok {
				return q, ErrNotInteger
			}
			if n < 1 {
				return q, ErrSyntax
			}
			q.Count, q.Counted = n, true
		case equalFold(opt, "match"):
			q.Pattern = value
			if string(value) == "*" {
				q.Pattern = nil
			}
		case equalFold(opt, "type"):
			q.Type = value
		default:
			return q, ErrSyntax
		}
	}
	return q, ""
}

// ScanPage looks at up to q.Count keys (at most scanPageKeys, and scanPageBytes of matching ones) from a key on, and calls take
// for each that lives at now and matches; the key is borrowed for the call. next is where to go on, the caller's; nil when
// the partition has been seen to its end. A key that is there during the whole of a scan is taken exactly once.
func ScanPage(view View, now int64, q *Scan, from []byte, take func(key []byte)) (next []byte, err error) {
	left, size := min(q.Count, scanPageKeys), 0
	err = view.Keys(from, func(key []byte, m *event.Meta) bool {
		if left == 0 || size > scanPageBytes {
			next = bytes.Clone(key)
			if next == nil {
				next = []byte{}
			}
			return false
		}
		left--
		if m.Type != event.TypeNone && !m.Expired(now) && q.matches(key, m.Type) {
			size += len(key)
			take(key)
		}
		return true
	})
	return next, err
}

func (q *Scan) matches(key []byte, t event.Type) bool {
	return (q.Type == nil || equalFold(q.Type, TypeName(t))) && (q.Pattern == nil || glob.Match(q.Pattern, key))
}

// runScan is a partition's part of SCAN. Args[1] is no cursor but the key to start from, "" at first; the reply is an array
// of the key to go on from (null at the end) and the array of keys. Numeric cursors are the front end's.
func runScan(c *Context) error {
	q, problem := ParseScan(c.Args[2:])
	if problem != "" {
		c.Reply.Error(problem)
		return nil
	}
	var page Reply
	n := 0
	next, err := ScanPage(c.View, c.Now, &q, c.Args[1], func(key []byte) {
		page.Bulk(key)
		n++
	})
	if err != nil {
		return err
	}
	c.Reply.Array(2)
	if next == nil {
		c.Reply.Null()
	} else {
		c.Reply.Bulk(next)
	}
	c.Reply.Array(n)
	c.Reply.Buf = append(c.Reply.Buf, page.Buf...)
	return nil
}
