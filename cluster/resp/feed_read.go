package resp

import (
	"bytes"
	"context"
	"math"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
)

// everything is a bound that no position passes.
var everything = event.Position{Term: math.MaxUint64, Index: math.MaxUint64}

// feedStream is one stream of an XREAD.
type feedStream struct {
	key []byte
	in  FeedReader // nil for a key that holds no stream
	feedEntries
}

// feedBound says whether change events can be read here, and replies if they can't.
func (c *conn) feedBound() bool {
	switch {
	case c.nsName == "":
		c.fail(unboundCommand)
	case c.ns == nil:
		c.fail(noNamespace)
	case c.srv.opt.Feed == nil:
		c.fail(feedOff)
	default:
		return true
	}
	return false
}

// xrange answers XRANGE.
func (c *conn) xrange(args [][]byte) {
	q, problem := command.ParseXRange(args)
	if problem != "" {
		c.fail(problem)
		return
	}
	if !c.feedBound() {
		return
	}
	partition, ok, problem := c.feedPartition(args[1])
	if problem == "" && !ok {
		problem = c.noStream(args[1])
	}
	if problem != "" {
		c.fail(problem)
		return
	}
	if q.Counted && q.Count == 0 {
		r := c.begin()
		r.NullArray()
		c.end(r)
		return
	}
	c.finish()
	var found feedEntries
	if ok {
		found, problem = c.readRange(partition, &q)
	}
	defer c.srv.budget.take(-found.charged)
	if problem != "" {
		c.fail(problem)
		return
	}
	r := c.begin()
	r.Array(found.n)
	c.end(r)
	c.outEntries(found.buf)
}

func (c *conn) readRange(partition int, q *command.XRange) (found feedEntries, problem string) {
	ctx, cancel := context.WithTimeout(context.Background(), c.srv.opt.ForwardTimeout)
	defer cancel()
	in := c.srv.opt.Feed.OpenFeed(ctx, c.nsName, partition, q.From)
	defer in.Close()
	problem = found.fill(c.srv, in, q.To, countOr(q.Count, feedCount), feedBytes)
	return found, problem
}

func countOr(n, standard int64) int64 {
	if n == 0 {
		return standard
	}
	return n
}

// outEntries sends entries behind what was begun. Nothing waits before it.
func (c *conn) outEntries(b []byte) {
	if len(c.queue) > 0 { // within EXEC
		c.raw(b)
		return
	}
	c.outLargeReply(b)
}

// noStream is why a key that is none of a stream of events can't be read as a stream; "" for one that is absent.
func (c *conn) noStream(key []byte) (problem string) {
	if c.tx.answering { // its neighbours' replies are being passed on: nothing can be asked now
		return ""
	}
	reply := c.ask(c.ns.partition(key), typeSpec, [][]byte{[]byte("type"), key})
	switch {
	case bytes.HasPrefix(reply, []byte("-")):
		return string(bytes.TrimSpace(reply[1:]))
	case !bytes.HasPrefix(reply, []byte("+none")):
		return command.ErrWrongType
	}
	return ""
}

var typeSpec = command.Lookup([]byte("type"))

// xread answers XREAD.
func (c *conn) xread(args [][]byte) {
	q, problem := command.ParseXRead(args)
	switch {
	case problem != "":
	case len(q.Keys) > c.srv.opt.Limits.Batch:
		problem = command.ErrBatchSize
	}
	if problem != "" {
		c.fail(problem)
		return
	}
	if !c.feedBound() {
		return
	}
	c.finish()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	streams, problem := c.openFeeds(ctx, &q)
	defer c.closeFeeds(streams)
	if problem == "" {
		problem = c.readFeeds(streams, &q)
	}
	if problem == "" && found(streams) == 0 && q.Block >= 0 && !c.tx.answering {
		problem = c.awaitFeeds(streams, &q)
	}
	if problem != "" {
		c.fail(problem)
		return
	}
	c.replyFeeds(streams)
}

func (c *conn) openFeeds(ctx context.Context, q *command.XRead) (streams []feedStream, problem string) {
	for i, key := range q.Keys {
		s := feedStream{key: key}
		partition, ok, problem := c.feedPartition(key)
		if problem == "" && !ok {
			problem = c.noStream(key)
		}
		if problem != "" {
			return streams, problem
		}
		if ok {
			s.in = c.srv.opt.Feed.OpenFeed(ctx, c.nsName, partition, q.From[i])
		}
		streams = append(streams, s)
	}
	return streams, ""
}

func (c *conn) closeFeeds(streams []feedStream) {
	for i := range streams {
		if streams[i].in != nil {
			streams[i].in.Close()
		}
		c.srv.budget.take(-streams[i].charged)
	}
}

// readFeeds reads what there is. Each stream has its share of a reply's bytes, so that one that is far behind doesn't keep the others out.
func (c *conn) readFeeds(streams []feedStream, q *command.XRead) (problem string) {
	size := max(feedBytes/max(len(streams), 1), 1)
	for i := range streams {
		s := &streams[i]
		if s.in == nil {
			continue
		}
		if problem = s.fill(c.srv, s.in, everything, countOr(q.Count, feedCount), size); problem != "" {
			return problem
		}
	}
	return ""
}

func found(streams []feedStream) (n int) {
	for i := range streams {
		if streams[i].n > 0 {
			n++
		}
	}
	return n
}

func (c *conn) replyFeeds(streams []feedStream) {
	r := c.begin()
	if n := found(streams); n == 0 {
		r.NullArray()
		c.end(r)
		return
	} else if c.resp3 {
		r.Map(n)
	} else {
		r.Array(n)
	}
	c.end(r)
	for i := range streams {
		s := &streams[i]
		if s.n == 0 {
			continue
		}
		r := c.begin()
		if !c.resp3 {
			r.Array(2)
		}
		r.Bulk(s.key)
		r.Array(s.n)
		c.end(r)
		c.outEntries(s.buf)
	}
}

// awaitFeeds waits until one of the streams has an event. What came before is answered first; the client may go, or be unblocked, meanwhile.
func (c *conn) awaitFeeds(streams []feedStream, q *command.XRead) (problem string) {
	c.flush()
	c.account()
	if c.broken != nil || c.srv.stopping.Load() {
		c.closing = true
		return ""
	}
	w := &wait{c: c, told: make(chan command.UnblockHow, 1)}
	w.begin()
	defer w.end()
	var late <-chan time.Time
	if q.Block > 0 {
		timer := time.NewTimer(time.Duration(q.Block) * time.Millisecond)
		defer timer.Stop()
		late = timer.C
	}
	for {
		problem, more := c.awaitFeed(w, streams, late)
		if problem == "" && more {
			problem = c.readFeeds(streams, q)
		}
		if problem != "" || !more || found(streams) > 0 {
			return problem
		}
	}
}

// awaitFeed waits once. more is false when the wait is over.
func (c *conn) awaitFeed(w *wait, streams []feedStream, late <-chan time.Time) (problem string, more bool) {
	ctx, cancel := context.WithCancel(context.Background())
	woken := make(chan error, len(streams))
	waiting := 0
	for i := range streams {
		if in := streams[i].in; in != nil {
			waiting++
			go func() { woken <- in.Wait(ctx) }()
		}
	}
	defer func() { // the readers are this goroutine's again
		cancel()
		for range waiting {
			<-woken
		}
	}()
	select {
	case err := <-woken:
		if waiting--; err != nil {
			return feedProblem(err), false
		}
		return "", true
	case how := <-w.told:
		if w.how = how; how == command.UnblockError {
			return command.ErrUnblocked, false
		}
	case <-late:
	case <-w.client.gone:
		w.how = command.UnblockGone
	case <-c.srv.stop:
		w.how = command.UnblockGone
	}
	return "", false
}
