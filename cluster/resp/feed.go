package resp

import (
	"bytes"
	"context"
	"fmt"
	"strconv"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
)

// feedPrefix begins the keys by which a partition's change events are read: __cdc__:namespace:partition. An event is an entry of that stream: its id
// is the event's position, its fields are the numbers of its mutations, 0 first, and their values the mutations as lines of JSON, as zankv-cdc tail
// prints them, without the line feed. So an entry is one event, whole, and can be checked against its chain.
const feedPrefix = "__cdc__:"

const (
	// feedCount is how many entries are returned when no COUNT is given, feedBytes how many bytes of them are enough, whatever COUNT says. An
	// entry is returned whole, so one may be larger.
	feedCount = 1000
	feedBytes = 4 << 20
	// feedCharge is how much is taken from the node's budget at a time.
	feedCharge = 256 << 10

	feedReadOnly    = "ERR the stream of a partition's change events can't be written: key "
	feedOfOther     = "ERR the connection is bound to namespace '%s': its partitions' change events are read here, key '%s' isn't one of them"
	feedNoPartition = "ERR no such partition: namespace '%s' has %d, key '%s'"
	feedOff         = "ERR this node doesn't serve change events"
)

// FeedEvent is a change event of a partition.
type FeedEvent struct {
	Stamp *event.Stamp
	Event *event.Event
	Names event.Names
}

// FeedReader reads a partition's change events, committed ones only. It is for one goroutine.
type FeedReader interface {
	// Next gives the next event, nil when there is none at the moment. It is valid until the next call. A FeedError is for the client.
	Next() (*FeedEvent, error)
	// Wait returns when there may be more, or ctx's error.
	Wait(ctx context.Context) error
	Close()
}

// FeedError is why reading can't begin or go on: an error reply, with its code.
type FeedError string

func (e FeedError) Error() string { return string(e) }

// Feed reads change events from a replica of this node, or from other nodes where it has none. OpenFeed doesn't block; ctx ends the reader,
// whatever it does.
type Feed interface {
	OpenFeed(ctx context.Context, namespace string, partition int, from command.FeedFrom) FeedReader
}

// feedPartition is the partition that a key names. ok is false for a key that is none of a stream of events; a problem is one that names
// what isn't there.
func (c *conn) feedPartition(key []byte) (partition int, ok bool, problem string) {
	rest, ok := bytes.CutPrefix(key, []byte(feedPrefix))
	if !ok {
		return 0, false, ""
	}
	namespace, number, _ := bytes.Cut(rest, []byte{':'})
	if string(namespace) != c.nsName {
		return 0, true, fmt.Sprintf(feedOfOther, c.nsName, key)
	}
	n, err := strconv.Atoi(string(number))
	if err != nil || n < 0 || n >= c.ns.Partitions || strconv.Itoa(n) != string(number) {
		return 0, true, fmt.Sprintf(feedNoPartition, c.nsName, c.ns.Partitions, key)
	}
	return n, true, ""
}

// feedKey is the first of a command's keys that is a stream's of events.
func feedKey(args [][]byte, keys *keyList) []byte {
	for i := range keys.n {
		if key := args[keys.pos(i)]; len(key) >= len(feedPrefix) && string(key[:len(feedPrefix)]) == feedPrefix {
			return key
		}
	}
	return nil
}

// refuseFeed says why a command may not have a key that is a stream's of events; "" if it may. Reads but XREAD, XRANGE, TYPE and EXISTS find nothing there.
func refuseFeed(spec *command.Spec, key []byte) string {
	if spec.Flags&command.Write == 0 {
		return ""
	}
	return feedReadOnly + "'" + string(key) + "'"
}

// onFeed answers a command on a key that is a stream's of events, unless the key is just absent for it.
func (c *conn) onFeed(spec *command.Spec, args [][]byte, key []byte) (answered bool) {
	if problem := refuseFeed(spec, key); problem != "" {
		c.fail(problem)
		return true
	}
	if c.ns == nil || len(args) != 2 || spec.Name != "type" && spec.Name != "exists" {
		return false
	}
	if _, _, problem := c.feedPartition(key); problem != "" {
		return false
	}
	if spec.Name == "exists" {
		c.integer(1)
		return true
	}
	r := c.begin()
	r.Status("stream")
	c.end(r)
	return true
}

// feedEntries are a stream's entries, as a reply has them.
type feedEntries struct {
	buf     []byte
	n       int
	charged int64 // taken from the node's budget
	line    []byte
}

// take appends an event. False: there is no room in the node's budget.
func (e *feedEntries) take(s *Server, ev *FeedEvent) bool {
	r := command.Reply{Buf: e.buf}
	r.Array(2)
	r.BulkString(ev.Stamp.Position.String())
	r.Array(2 * len(ev.Event.Mutations))
	for i := range ev.Event.Mutations {
		var number [20]byte
		r.Bulk(strconv.AppendInt(number[:0], int64(i), 10))
		e.line = event.AppendJSON(e.line[:0], ev.Stamp, ev.Event, i, ev.Names)
		r.Bulk(e.line[:len(e.line)-1])
	}
	e.buf = r.Buf
	e.n++
	if want := int64(len(e.buf)) - e.charged; want > 0 {
		want += feedCharge
		if !s.budget.take(want) {
			return false
		}
		e.charged += want
	}
	return true
}

// fill reads events up to a position, at most count and about so many bytes. problem is the error to reply, or "".
func (e *feedEntries) fill(s *Server, in FeedReader, to event.Position, count int64, size int) (problem string) {
	for int64(e.n) < count && len(e.buf) < size {
		ev, err := in.Next()
		switch {
		case err != nil:
			return feedProblem(err)
		case ev == nil || ev.Stamp.Position.Compare(to) > 0:
			return ""
		case !e.take(s, ev):
			return "ERR " + errBuffersAreFull.Error()
		}
	}
	return ""
}

func feedProblem(err error) string {
	if e, ok := err.(FeedError); ok {
		return string(e)
	}
	return "ERR reading change events failed: " + err.Error()
}
