package remote

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/changefeed/remote/remotepb"
)

// served is a session as the node has it.
type served struct {
	server  *Server
	stream  remotepb.Registry_SessionServer
	process string

	ctx  context.Context // ends with the session
	stop context.CancelCauseFunc
	out  chan *remotepb.ServerMessage
	beat chan struct{} // one came
	// slots has an element for each request in work.
	slots chan struct{}

	mu struct {
		sync.Mutex
		claims map[uint64]changefeed.Claim // by the request that claimed
	}
}

func newServed(s *Server, stream remotepb.Registry_SessionServer) *served {
	v := &served{
		server: s, stream: stream, out: make(chan *remotepb.ServerMessage, maxRequests), beat: make(chan struct{}, 1),
		slots: make(chan struct{}, maxRequests),
	}
	v.ctx, v.stop = context.WithCancelCause(stream.Context())
	v.mu.claims = map[uint64]changefeed.Claim{}
	return v
}

// hello waits for the process's first word, and answers it.
func (v *served) hello() (*remotepb.Hello, error) {
	limit := time.AfterFunc(v.server.o.Patience, func() { v.stop(errSilent) })
	defer limit.Stop()
	first := make(chan *remotepb.ClientMessage, 1)
	v.server.group.Go(func() { // ends with the stream, at the latest when the handler returns
		m, err := v.stream.Recv()
		if err != nil {
			v.stop(err)
			return
		}
		first <- m
	})
	select {
	case m := <-first:
		if err := validHello(m.GetHello()); err != nil {
			return nil, err
		}
		return m.GetHello(), nil
	case <-v.ctx.Done():
		return nil, status.Convert(context.Cause(v.ctx)).Err()
	}
}

// run returns when the session is over: the process ended it, died, or was silent for too long; or the node ends. It doesn't wait for who sends: a
// process that reads nothing keeps that one until the stream is ended by returning.
func (v *served) run() error {
	v.server.group.Go(v.receive)
	v.server.group.Go(func() {
		if err := v.transmit(); err != nil {
			v.stop(err)
		}
	})
	limit := time.NewTimer(v.server.o.Patience)
	defer limit.Stop()
	ended, why := v.server.ended.Done(), errSilent
	for {
		select {
		case <-v.beat:
			if why == errSilent {
				limit.Reset(v.server.o.Patience)
			}
		case <-ended: // the process is told, and answers by ending the stream
			ended, why = nil, errEnds
			limit.Reset(min(farewellWithin, v.server.o.Patience))
		case <-limit.C:
			v.stop(why)
		case <-v.ctx.Done():
			return context.Cause(v.ctx)
		}
	}
}

// welcome is the first answer.
func (v *served) welcome() *remotepb.ServerMessage {
	w := &remotepb.Welcome{Cluster: v.server.o.Cluster, PatienceMs: v.server.o.Patience.Milliseconds()}
	if v.server.o.Nodes != nil {
		nodes := v.server.o.Nodes()
		w.Nodes = nodes[:min(len(nodes), maxNodes)]
	}
	return &remotepb.ServerMessage{What: &remotepb.ServerMessage_Welcome{Welcome: w}}
}

// transmit sends, alone: answers, and views as they change.
func (v *served) transmit() error {
	if err := v.stream.Send(v.welcome()); err != nil {
		return err
	}
	views := v.server.o.Registry.Watch(v.ctx)
	d := newDiffer(func(c *remotepb.Changes) error {
		return v.stream.Send(&remotepb.ServerMessage{What: &remotepb.ServerMessage_Changes{Changes: c}})
	})
	watched := views
	var wait <-chan time.Time
	for {
		select {
		case m := <-v.out:
			if err := v.stream.Send(m); err != nil {
				return err
			}
		case view, ok := <-watched:
			if !ok {
				return status.Error(codes.Unavailable, "changefeed registry: the node's registry was closed")
			}
			if err := d.show(view); err != nil {
				return err
			}
			watched, wait = nil, time.After(showEvery)
		case <-wait:
			watched, wait = views, nil
		case <-v.server.ended.Done():
			f := &remotepb.Farewell{Why: "the node ends"}
			return v.stream.Send(&remotepb.ServerMessage{What: &remotepb.ServerMessage_Farewell{Farewell: f}})
		case <-v.ctx.Done():
			return context.Cause(v.ctx)
		}
	}
}

// receive reads what the process sends until the stream ends.
func (v *served) receive() {
	for {
		m, err := v.stream.Recv()
		if err == io.EOF {
			err = errLeft
		}
		if err == nil {
			err = v.take(m)
		}
		if err != nil {
			v.stop(err)
			return
		}
	}
}

var errLeft = status.Error(codes.Canceled, "the process ended it")

// take deals with one message.
func (v *served) take(m *remotepb.ClientMessage) error {
	if b := m.GetBeat(); b != nil {
		select {
		case v.beat <- struct{}{}:
		default: // the one before isn't noted yet
		}
		v.say(&remotepb.ServerMessage{What: &remotepb.ServerMessage_Beat{Beat: b}})
		return nil
	}
	r := m.GetRequest()
	if r == nil {
		return nil // of a later version
	}
	select {
	case v.slots <- struct{}{}:
	default:
		return status.Errorf(codes.ResourceExhausted, "changefeed registry: more than %d requests at once", maxRequests)
	}
	if v.ctx.Err() != nil {
		return context.Cause(v.ctx)
	}
	v.server.group.Go(func() {
		answer := v.serve(r)
		<-v.slots // before the answer: the process may ask again as soon as it has it
		v.say(&remotepb.ServerMessage{What: &remotepb.ServerMessage_Response{Response: answer}})
	})
	return nil
}

// say has a message sent, unless the session ends first.
func (v *served) say(m *remotepb.ServerMessage) {
	select {
	case v.out <- m:
	case <-v.ctx.Done():
	}
}

// keep notes a claim: false if the session is over.
func (v *served) keep(id uint64, c changefeed.Claim) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.mu.claims == nil || v.mu.claims[id] != nil {
		return false
	}
	v.mu.claims[id] = c
	return true
}

func (v *served) claimOf(id uint64) changefeed.Claim {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.mu.claims[id]
}

func (v *served) forget(id uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.mu.claims, id)
}

// release gives all claims back, those that come later included, and says how many there were.
func (v *served) release() int {
	v.mu.Lock()
	claims := v.mu.claims
	v.mu.claims = nil
	v.mu.Unlock()
	var group sync.WaitGroup
	for _, c := range claims {
		group.Go(func() { v.giveBack(c) })
	}
	group.Wait()
	return len(claims)
}

func (v *served) giveBack(c changefeed.Claim) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(v.ctx), releaseWithin)
	defer cancel()
	if err := c.Release(ctx); err != nil {
		v.server.o.Logger.Warn("a process's claim wasn't given back; it ends by its lease", "process", v.process, "err", fmt.Sprint(err))
	}
}
