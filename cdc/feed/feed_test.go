package feed_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/raft/v3/raftpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed"
	"github.com/zankv/zankv/cdc/feed/feedpb"
	"github.com/zankv/zankv/cdc/feed/feedtest"
)

// collect reads until the end of the log, or n events, and checks them with a validator that starts where it is told.
func collect(t *testing.T, r *feed.Reader, n int) []event.Stamp {
	t.Helper()
	var v event.Validator
	var got []event.Stamp
	for n < 0 || len(got) < n {
		item, err := r.Next()
		if errors.Is(err, io.EOF) && n < 0 {
			return got
		}
		if err != nil {
			t.Fatalf("after %d events: %v", len(got), err)
		}
		if item.Event == nil {
			continue
		}
		if _, err := v.Event(item.Stamp, item.Event, item.Names); err != nil {
			t.Fatal(err)
		}
		got = append(got, *item.Stamp)
	}
	return got
}

func open(t testing.TB, c *feedtest.Cell, from feed.From, follow bool) *feed.Reader {
	return openConfig(t, c, feed.Config{From: from, Follow: follow})
}

func openConfig(t testing.TB, c *feedtest.Cell, cfg feed.Config) *feed.Reader {
	cfg.Nodes, cfg.Namespace, cfg.Partition = c.Addresses(), "default", 3
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	r, err := feed.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); cancel() })
	return r
}

func same(t *testing.T, got, want []event.Stamp) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d events, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("event %d: got %+v, want %+v", i, got[i], want[i])
		}
	}
}

// after is the stamps after position index.
func after(stamps []event.Stamp, index uint64) []event.Stamp {
	for i := range stamps {
		if stamps[i].Position.Index > index {
			return stamps[i:]
		}
	}
	return nil
}

func fails(t *testing.T, r *feed.Reader, kind feed.Kind) *feed.Error {
	t.Helper()
	for {
		_, err := r.Next()
		if err == nil {
			continue
		}
		var problem *feed.Error
		if !errors.As(err, &problem) || problem.Kind != kind {
			t.Fatalf("got %v, want a problem of kind %d", err, kind)
		}
		return problem
	}
}

func TestFromEveryPosition(t *testing.T) {
	h := feedtest.NewHistory()
	h.Fill(2, 40)
	h.Fill(3, 20)
	c := feedtest.NewCell(t, h, 1)
	all := h.Stamps()
	same(t, collect(t, open(t, c, feed.Earliest(), false), -1), all)
	for i := uint64(1); i <= 60; i++ {
		term := uint64(2)
		if i > 40 {
			term = 3
		}
		p := event.Position{Term: term, Index: i}
		same(t, collect(t, open(t, c, feed.AfterPosition(p), false), -1), after(all, i))
		same(t, collect(t, open(t, c, feed.At(p), false), -1), after(all, i-1))
		chain := event.Chain{}
		for _, st := range all {
			if st.Position.Index <= i {
				chain = st.Chain
			}
		}
		same(t, collect(t, open(t, c, feed.After(p, chain), false), -1), after(all, i))
		chain[7]++
		fails(t, open(t, c, feed.After(p, chain), false), feed.Mismatch)
		fails(t, open(t, c, feed.AfterPosition(event.Position{Term: term + 1, Index: i}), false), feed.Mismatch)
		fails(t, open(t, c, feed.At(event.Position{Term: term - 1, Index: i}), false), feed.Mismatch)
	}
	same(t, collect(t, open(t, c, feed.After(event.Position{}, event.Chain{}), false), -1), all)
}

func TestFromTime(t *testing.T) {
	h := feedtest.NewHistory()
	h.Fill(2, 60)
	c := feedtest.NewCell(t, h, 1)
	all := h.Stamps()
	for _, offset := range []time.Duration{-time.Nanosecond, 0, time.Nanosecond} {
		for i := int64(0); i <= 62; i++ {
			at := time.Unix(0, feedtest.StartTime+i*int64(time.Second)).Add(offset)
			index := uint64(0)
			for _, st := range all {
				if feedtest.StartTime+int64(st.Position.Index)*int64(time.Second) < at.UnixNano() {
					index = st.Position.Index
				}
			}
			same(t, collect(t, open(t, c, feed.AtTime(at), false), -1), after(all, index))
		}
	}
	c.Nodes[0].Replica.Truncate(30)
	fails(t, open(t, c, feed.AtTime(time.Unix(0, feedtest.StartTime)), false), feed.Compacted)
	same(t, collect(t, open(t, c, feed.AtTime(time.Unix(0, feedtest.StartTime+40*int64(time.Second))), false), -1), after(all, 39))
}

func TestLatestAndFollow(t *testing.T) {
	h := feedtest.NewHistory()
	h.Fill(2, 21) // the last one is no event
	c := feedtest.NewCell(t, h, 1)
	r := open(t, c, feed.Latest(), true)
	item, err := r.Next()
	if err != nil || item.Event != nil || item.Bookmark != (event.Position{Term: 2, Index: 21}) || item.ServerTime.IsZero() {
		t.Fatalf("got %+v, %v, want a bookmark at 2-21", item, err)
	}
	before := len(h.Stamps())
	for i := range 200 {
		h.Set(2, "k", "v")
		if i%3 == 0 {
			h.Append(2, nil)
		}
	}
	same(t, collect(t, r, 200), h.Stamps()[before:])
	at := h.Append(2, nil) // an entry that is no event moves the bookmark
	for {
		item, err := r.Next()
		if err != nil || item.Event != nil {
			t.Fatal(item, err)
		}
		if item.Bookmark == at {
			break
		}
	}
	if p, chain := r.Position(); p != h.Stamps()[before+199].Position || chain != h.Stamps()[before+199].Chain {
		t.Fatalf("position %s", p)
	}
}

// Cluster numbers that an entry without mutations assigned reach a reader that was there before.
func TestNamesAssignedOutsideOfEvents(t *testing.T) {
	h := feedtest.NewHistory()
	h.Fill(2, 3)
	c := feedtest.NewCell(t, h, 1)
	r := open(t, c, feed.Latest(), true)
	if item, err := r.Next(); err != nil || item.Event != nil {
		t.Fatal(item, err)
	}
	h.Append(2, &event.Event{Time: 1, Term: 2, Clusters: []event.ClusterName{{Number: 2, ID: "dc-b"}}})
	h.Append(2, &event.Event{Time: 2, Term: 2, Mutations: []event.Mutation{{Op: event.OpDel, Key: []byte("k"), Version: event.Version{Time: 2, Cluster: 2}}}})
	for {
		item, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if item.Event != nil {
			if id := item.Names.ID(item.Event.Mutations[0].Version.Cluster); id != "dc-b" {
				t.Fatalf("cluster 2 is %q", id)
			}
			break
		}
	}
	if n := c.Nodes[0].Streams(); n != 1 {
		t.Fatalf("it took %d streams, want 1", n)
	}
}

// Only applied entries are served: what is in the log beyond that stays there.
func TestNeverAheadOfApply(t *testing.T) {
	h := feedtest.NewHistory()
	h.Fill(2, 30)
	c := feedtest.NewCell(t, h, 1)
	c.Nodes[0].Replica.Hold(20)
	all := h.Stamps()
	got := collect(t, open(t, c, feed.Earliest(), false), -1)
	same(t, got, all[:len(got)])
	if last := got[len(got)-1].Position.Index; last > 20 {
		t.Fatalf("entry %d was served, 20 are applied", last)
	}
	if p := fails(t, open(t, c, feed.At(event.Position{Term: 2, Index: 21}), false), feed.Ahead); p.Applied != 20 {
		t.Fatalf("got %+v, want applied 20", p)
	}
	fails(t, open(t, c, feed.AfterPosition(event.Position{Term: 2, Index: 25}), true), feed.Ahead)
}

// When a whole cluster starts again, what its last leader had applied is in the log, but nobody knows yet that it is committed. Who has read it waits,
// however often all replicas say that it is beyond them.
func TestAheadOfAllForAWhile(t *testing.T) {
	h := feedtest.NewHistory()
	h.Fill(2, 30)
	c := feedtest.NewCell(t, h, 2)
	r := open(t, c, feed.Earliest(), true)
	all := h.Stamps()
	same(t, collect(t, r, len(all)), all)
	for _, n := range c.Nodes {
		n.Stop()
		n.Replica.Hold(20)
		n.Start(n.Address)
	}
	tried := func() (n int64) {
		for _, node := range c.Nodes {
			n += node.Streams()
		}
		return n
	}
	before := tried()
	next := make(chan error, 1)
	go func() {
		for {
			item, err := r.Next()
			if err != nil || item.Event != nil {
				next <- err
				return
			}
		}
	}()
	for tried() < before+14 { // seven rounds
		select {
		case err := <-next:
			t.Fatalf("it gave up: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	h.Fill(3, 1)
	for _, n := range c.Nodes {
		n.Replica.Hold(0)
	}
	if err := <-next; err != nil {
		t.Fatal(err)
	}
	if got, _ := r.Position(); got != h.Stamps()[len(all)].Position {
		t.Fatalf("it went on with %s, want %s", got, h.Stamps()[len(all)].Position)
	}
}

func TestEmptyPartition(t *testing.T) {
	c := feedtest.NewCell(t, feedtest.NewHistory(), 1)
	for _, from := range []feed.From{feed.Earliest(), feed.Latest(), feed.AtTime(time.Unix(5, 0)), feed.After(event.Position{}, event.Chain{})} {
		same(t, collect(t, open(t, c, from, false), -1), nil)
	}
}

func TestUnknown(t *testing.T) {
	c := feedtest.NewCell(t, feedtest.NewHistory(), 2)
	for _, cfg := range []feed.Config{{Nodes: c.Addresses(), Namespace: "other", Partition: 3}, {Nodes: c.Addresses(), Namespace: "default", Partition: 4}} {
		r, err := feed.Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		fails(t, r, feed.Unknown)
		r.Close()
	}
}

// An event larger than a batch comes alone and whole; many small ones come in several batches.
func TestBatches(t *testing.T) {
	h := feedtest.NewHistory()
	for i := range 40 {
		h.Set(2, "small", strings.Repeat("s", 20000))
		if i%10 == 9 {
			h.Set(2, "large", strings.Repeat("l", 5<<20))
		}
	}
	c := feedtest.NewCell(t, h, 1)
	r := open(t, c, feed.Earliest(), false)
	var batches int
	for n := 0; ; n++ {
		if !r.Buffered() {
			batches++
		}
		item, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if want := h.Stamps()[n]; *item.Stamp != want || len(item.Event.Mutations[0].Value) < 20000 {
			t.Fatalf("event %d: %+v, want %+v", n, *item.Stamp, want)
		}
	}
	if batches < 8 || batches > 16 {
		t.Fatalf("%d batches for 40 events of 20 kB and 4 of 5 MB", batches)
	}
}

func TestCompactedIsFinalOnlyWhenNoReplicaHasIt(t *testing.T) {
	h := feedtest.NewHistory()
	h.Fill(2, 60)
	c := feedtest.NewCell(t, h, 3)
	all := h.Stamps()
	first := c.Nodes[1].Replica.Truncate(20)
	second := c.Nodes[2].Replica.Truncate(40)
	for range 6 { // whichever replica is asked first
		same(t, collect(t, open(t, c, feed.AfterPosition(event.Position{Term: 2, Index: 5}), false), -1), after(all, 5))
		same(t, collect(t, open(t, c, feed.Earliest(), false), -1), all)
		same(t, collect(t, open(t, c, feed.Earliest(), true), len(all)), all)
	}
	c.Nodes[0].Replica.TruncateBare(55)
	for range 4 {
		if p := fails(t, open(t, c, feed.AfterPosition(event.Position{Term: 2, Index: 5}), false), feed.Compacted); p.Oldest != first.LastEvent {
			t.Fatalf("the oldest left is %s, want %s", p.Oldest, first.LastEvent)
		}
		same(t, collect(t, open(t, c, feed.After(first.LastEvent, first.Chain), false), -1), after(all, first.Index))
		same(t, collect(t, open(t, c, feed.AfterPosition(second.LastEvent), false), -1), after(all, second.Index))
	}
	// A replica that doesn't answer may have it: not final.
	c.Nodes[1].Stop()
	r := openConfig(t, c, feed.Config{From: feed.AfterPosition(event.Position{Term: 2, Index: 5}), GiveUp: 300 * time.Millisecond})
	_, err := r.Next()
	if problem, ok := errors.AsType[*feed.Error](err); err == nil || ok && problem.Kind == feed.Compacted {
		t.Fatalf("got %v while a replica that may have the position is down", err)
	}
}

// The log is truncated under a stream: it goes on at a replica that has what follows, and is compacted only if none has.
func TestTruncatedUnderAStream(t *testing.T) {
	h := feedtest.NewHistory()
	h.Fill(2, 20)
	c := feedtest.NewCell(t, h, 2)
	leader, follower := c.Nodes[0], c.Nodes[1]
	r := open(t, c, feed.Latest(), true)
	if item, err := r.Next(); err != nil || item.Bookmark.Index != 20 || follower.Streams() != 1 {
		t.Fatal(item, err, follower.Streams())
	}
	follower.Replica.Hold(20)
	h.Fill(2, 40)
	follower.Replica.TruncateBare(50)
	follower.Replica.Hold(0)
	want := after(h.Stamps(), 20)
	same(t, collect(t, r, len(want)), want)
	if leader.Streams() != 1 {
		t.Fatalf("%d streams of the leader", leader.Streams())
	}

	leader.Replica.Hold(60)
	follower.Replica.Hold(60)
	h.Fill(2, 40)
	leader.Replica.TruncateBare(80)
	follower.Replica.TruncateBare(90)
	leader.Replica.Hold(0)
	follower.Replica.Hold(0)
	oldest := event.Position{}
	for _, st := range h.Stamps() {
		if st.Position.Index <= 80 {
			oldest = st.Position
		}
	}
	if p := fails(t, r, feed.Compacted); p.Oldest != oldest {
		t.Fatalf("the oldest left is %s, want %s", p.Oldest, oldest)
	}
}

// What a server says of a stream that it can't go on with has its kind in the status, for clients of every language.
func TestProblemTravelsInTheStatus(t *testing.T) {
	h := feedtest.NewHistory()
	h.Fill(2, 20)
	c := feedtest.NewCell(t, h, 1)
	conn, err := grpc.NewClient(c.Nodes[0].Address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := feedpb.NewFeedClient(conn)
	problem := func(req *feedpb.SubscribeRequest, met func()) (*feedpb.Problem, codes.Code) {
		stream, err := client.Subscribe(t.Context(), req)
		for err == nil {
			if _, err = stream.Recv(); err == nil && met != nil {
				met()
				met = nil
			}
		}
		for _, detail := range status.Convert(err).Details() {
			return detail.(*feedpb.Problem), status.Code(err)
		}
		t.Fatalf("%v: a status without detail", err)
		return nil, 0
	}
	at := func(term, index uint64) *feedpb.SubscribeRequest_At {
		return &feedpb.SubscribeRequest_At{At: &feedpb.Position{Term: term, Index: index}}
	}
	request := func() *feedpb.SubscribeRequest {
		return &feedpb.SubscribeRequest{Namespace: "default", Partition: 3, Follow: true}
	}

	req := request()
	req.From = &feedpb.SubscribeRequest_Latest{Latest: true}
	p, code := problem(req, func() {
		c.Nodes[0].Replica.Hold(20)
		h.Fill(2, 40)
		c.Nodes[0].Replica.TruncateBare(50)
		c.Nodes[0].Replica.Hold(0)
	})
	if p.Kind != feedpb.Problem_COMPACTED || code != codes.OutOfRange || p.Oldest.GetIndex() != 50 {
		t.Errorf("truncated under the stream: %v %v", p, code)
	}
	req = request()
	req.From = at(2, 9999)
	if p, code := problem(req, nil); p.Kind != feedpb.Problem_AHEAD || code != codes.OutOfRange || p.Applied != 60 {
		t.Errorf("ahead: %v %v", p, code)
	}
	req.From = at(9, 55)
	if p, code := problem(req, nil); p.Kind != feedpb.Problem_MISMATCH || code != codes.FailedPrecondition {
		t.Errorf("mismatch: %v %v", p, code)
	}
	req.Partition = 4
	if p, code := problem(req, nil); p.Kind != feedpb.Problem_UNKNOWN || code != codes.NotFound {
		t.Errorf("unknown: %v %v", p, code)
	}
	stream, err := client.Subscribe(t.Context(), request())
	if err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("no starting point: %v", err)
	}
}

// Who reads to the end gets what the leader has applied, though a follower is behind; who follows spares the leader.
func TestWhichReplica(t *testing.T) {
	h := feedtest.NewHistory()
	h.Fill(2, 60)
	c := feedtest.NewCell(t, h, 3)
	c.Nodes[1].Replica.Hold(30)
	c.Nodes[2].Replica.Hold(30)
	for range 8 {
		same(t, collect(t, open(t, c, feed.Earliest(), false), -1), h.Stamps())
		same(t, collect(t, open(t, c, feed.At(event.Position{Term: 2, Index: 1}), false), -1), h.Stamps())
	}
	before := c.Nodes[0].Streams()
	for range 8 {
		collect(t, open(t, c, feed.Earliest(), true), 1)
	}
	if n := c.Nodes[0].Streams(); n != before {
		t.Fatalf("%d streams that follow went to the leader", n-before)
	}
}

func TestTooManyStreams(t *testing.T) {
	h := feedtest.NewHistory()
	h.Fill(2, 3)
	c := feedtest.NewCell(t, h, 1)
	c.Nodes[0].Stop()
	c.Nodes[0].Options.MaxStreams = 1
	c.Nodes[0].Start(c.Nodes[0].Address)
	first := open(t, c, feed.Earliest(), true)
	collect(t, first, 2)
	_, err := openConfig(t, c, feed.Config{GiveUp: 50 * time.Millisecond}).Next()
	if err == nil || !strings.Contains(err.Error(), "1 streams are served already") {
		t.Fatalf("got %v", err)
	}
	h.Set(2, "k", "v")
	collect(t, first, 1)
}

// Entries that are no events may be truncated from before a position without making it unreadable.
func TestNothingWasMissedBeforeTheOldestEntry(t *testing.T) {
	h := feedtest.NewHistory()
	at := h.Set(2, "a", "1")
	for range 20 {
		h.Append(2, nil)
	}
	h.Set(2, "b", "2")
	c := feedtest.NewCell(t, h, 1)
	c.Nodes[0].Replica.TruncateBare(15)
	all := h.Stamps()
	same(t, collect(t, open(t, c, feed.After(at, all[0].Chain), false), -1), all[1:])
	same(t, collect(t, open(t, c, feed.AfterPosition(event.Position{Term: 2, Index: 9}), false), -1), all[1:])
	same(t, collect(t, open(t, c, feed.At(event.Position{Term: 2, Index: 2}), false), -1), all[1:])
	fails(t, open(t, c, feed.AfterPosition(event.Position{Term: 1, Index: 1}), false), feed.Mismatch)
	fails(t, open(t, c, feed.At(at), false), feed.Compacted)
}

func TestReplicaThatIsNotHere(t *testing.T) {
	h := feedtest.NewHistory()
	h.Fill(2, 20)
	c := feedtest.NewCell(t, h, 3)
	c.Nodes[0].Replica = nil
	cfg := feed.Config{Nodes: []string{c.Nodes[0].Address}, Namespace: "default", Partition: 3}
	r, err := feed.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	same(t, collect(t, r, -1), h.Stamps())
}

// Replicas die and come back, one at a time, in the middle of a stream, while writes go on: nothing is lost or repeated.
func TestResumeOnAnotherReplica(t *testing.T) {
	const seed = 5
	random := rand.New(rand.NewPCG(seed, seed))
	h := feedtest.NewHistory()
	h.Fill(2, 3000)
	c := feedtest.NewCell(t, h, 3)
	r := open(t, c, feed.Earliest(), true)
	var v event.Validator
	v.From(event.Position{}, event.Chain{})
	down, seen, next := -1, 0, 50
	for total := 30; total > 0; {
		item, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if item.Event != nil {
			seen++
			if replay, err := v.Event(item.Stamp, item.Event, item.Names); err != nil || replay {
				t.Fatalf("seed %d: replay %v, %v", seed, replay, err)
			}
		}
		if seen < next {
			continue
		}
		total--
		next = seen + 1 + random.IntN(60)
		h.Fill(2, 60)
		if down >= 0 {
			c.Nodes[down].Start(c.Nodes[down].Address)
		}
		// The one that serves, so that the stream breaks.
		for i, n := range c.Nodes {
			if n.Feed.Metrics().Streams.Load() > 0 {
				down = i
			}
		}
		c.Nodes[down].Stop()
	}
	want := h.Stamps()
	for seen < len(want) {
		item, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if item.Event != nil {
			seen++
			if replay, err := v.Event(item.Stamp, item.Event, item.Names); err != nil || replay {
				t.Fatalf("seed %d: replay %v, %v", seed, replay, err)
			}
		}
	}
	if p, chain := v.Last(); p != want[len(want)-1].Position || chain != want[len(want)-1].Chain {
		t.Fatalf("seed %d: ended at %s, want %s", seed, p, want[len(want)-1].Position)
	}
}

// A replica that is behind isn't taken for the end of history: the reader waits for one that isn't.
func TestResumeOnAReplicaThatIsBehind(t *testing.T) {
	h := feedtest.NewHistory()
	h.Fill(2, 60)
	c := feedtest.NewCell(t, h, 2)
	c.Nodes[1].Replica.Hold(30)
	last := h.Stamps()[len(h.Stamps())-1]
	for range 5 {
		r := open(t, c, feed.After(last.Position, last.Chain), true)
		item, err := r.Next()
		if err != nil || item.Event != nil || item.Bookmark.Index != 60 {
			t.Fatal(item, err)
		}
		r.Close()
	}
}

// A replica whose log was altered under the same positions is found out, and not believed.
func TestAlteredReplica(t *testing.T) {
	h := feedtest.NewHistory()
	h.Fill(2, 60)
	c := feedtest.NewCell(t, h, 2)
	all := h.Stamps()
	c.Nodes[1].Replica.Tamper = func(e raftpb.Entry) raftpb.Entry {
		if e.Index == 31 {
			e.Data = append([]byte(nil), e.Data...)
			e.Data[len(e.Data)-6] ^= 1
		}
		return e
	}
	last := all[len(all)-3]
	found := false
	for range 20 {
		r := open(t, c, feed.After(last.Position, last.Chain), true)
		_, err := r.Next()
		problem, ok := errors.AsType[*feed.Error](err)
		found = found || ok && problem.Kind == feed.Mismatch
		r.Close()
	}
	if found {
		t.Fatal("marks are after the alteration: it can't show here")
	}
	c.Nodes[0].Stop()
	h.ForgetMarks()
	fails(t, open(t, c, feed.After(last.Position, last.Chain), false), feed.Mismatch)
}

func TestLogEndsEarly(t *testing.T) {
	h := feedtest.NewHistory()
	h.Fill(2, 6)
	c := feedtest.NewCell(t, h, 1)
	c.Nodes[0].Replica.Tamper = func(e raftpb.Entry) raftpb.Entry {
		if e.Index == 5 {
			e.Index = 6
		}
		return e
	}
	r := openConfig(t, c, feed.Config{From: feed.Earliest(), GiveUp: 100 * time.Millisecond})
	_, err := r.Next()
	for err == nil {
		_, err = r.Next()
	}
	if !strings.Contains(err.Error(), "the log gave entry 6 after 4") {
		t.Fatalf("got %v", err)
	}
}

func TestContextEndsTheReader(t *testing.T) {
	h := feedtest.NewHistory()
	h.Fill(2, 3)
	c := feedtest.NewCell(t, h, 1)
	ctx, cancel := context.WithCancel(t.Context())
	r, err := feed.Open(ctx, feed.Config{Nodes: c.Addresses(), Namespace: "default", Partition: 3, Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	collect(t, r, 2)
	cancel()
	for {
		if _, err := r.Next(); err != nil {
			if !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			return
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, cfg := range []feed.Config{{Namespace: "default"}, {Nodes: []string{"127.0.0.1:1"}}} {
		if _, err := feed.Open(t.Context(), cfg); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
}

func TestParseFrom(t *testing.T) {
	for text, want := range map[string]feed.From{
		"earliest": feed.Earliest(), "latest": feed.Latest(), "2-1041": feed.At(event.Position{Term: 2, Index: 1041}),
		"2026-11-21T10:00:00.5Z": feed.AtTime(time.Date(2026, 11, 21, 10, 0, 0, 5e8, time.UTC)),
	} {
		if got, err := feed.ParseFrom(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	if _, err := feed.ParseFrom("yesterday"); err == nil || !strings.Contains(err.Error(), "want earliest, latest") {
		t.Errorf("got %v", err)
	}
}
