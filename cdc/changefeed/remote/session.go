package remote

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/zankv/zankv/cdc/changefeed/remote/remotepb"
)

// welcomeWithin bounds how long a node has to welcome a process.
const welcomeWithin = 5 * time.Second

var (
	// errNotSent: the session was over before the request went.
	errNotSent  = errors.New("changefeed registry: not sent")
	errClock    = errors.New("the node answered no heartbeat in time")
	errFarewell = errors.New("the node ends")
	errStranger = errors.New("it is a node of another cluster")
)

// session is one with a node, as the process has it. It lasts until its stream breaks, or no heartbeat was answered for as long as the node said, less a
// fifth: the node gives the claims up later than that.
type session struct {
	registry *Registry
	node     string
	ctx      context.Context
	stop     context.CancelCauseFunc
	out      chan *remotepb.ClientMessage
	slots    chan struct{} // has an element for each request that wasn't answered yet
	ids      atomic.Uint64
	group    sync.WaitGroup

	welcome  chan *remotepb.Welcome
	answered chan uint64 // numbers of heartbeats
	began    time.Time   // when the hello was sent
	welcomed atomic.Bool

	mu struct {
		sync.Mutex
		over    bool
		waiting map[uint64]*pending
		claims  map[uint64]*claim
		// beats are when heartbeats that weren't answered yet were sent.
		beats map[uint64]time.Time
	}
}

func newSession(r *Registry, node string) *session {
	s := &session{
		registry: r, node: node, out: make(chan *remotepb.ClientMessage, maxRequests), slots: make(chan struct{}, maxRequests),
		welcome: make(chan *remotepb.Welcome, 1), answered: make(chan uint64, 1),
	}
	s.ctx, s.stop = context.WithCancelCause(r.ctx)
	s.mu.waiting, s.mu.claims, s.mu.beats = map[uint64]*pending{}, map[uint64]*claim{}, map[uint64]time.Time{}
	return s
}

// run returns when the session is over, and why. Whoever waits for it, or has a claim of it, knows before that.
func (s *session) run() (err error) {
	defer func() { s.end(err) }()
	options := append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, s.registry.o.Dial...)
	conn, err := grpc.NewClient(s.node, options...)
	if err != nil {
		return err
	}
	defer conn.Close()
	limit := time.AfterFunc(welcomeWithin, func() { s.stop(errClock) })
	defer limit.Stop()
	stream, err := remotepb.NewRegistryClient(conn).Session(s.ctx)
	if err != nil {
		return s.why(err)
	}
	s.began = time.Now()
	hello := &remotepb.Hello{Version: Version, Process: s.registry.o.Process}
	if err := stream.Send(&remotepb.ClientMessage{What: &remotepb.ClientMessage_Hello{Hello: hello}}); err != nil {
		_, err = stream.Recv()
		return s.why(err)
	}
	s.group.Go(func() { s.stop(s.receive(stream)) })
	err = s.greet(limit, stream)
	s.end(err)
	s.group.Wait()
	return err
}

// why prefers why the session was ended to what that made of a call.
func (s *session) why(err error) error {
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	return err
}

// greet waits for the welcome, and then keeps the session.
func (s *session) greet(limit *time.Timer, stream remotepb.Registry_SessionClient) error {
	var w *remotepb.Welcome
	select {
	case w = <-s.welcome:
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
	if !limit.Stop() {
		return errClock
	}
	if !s.registry.join(w) {
		return fmt.Errorf("%w: %q", errStranger, w.GetCluster())
	}
	patience := time.Duration(w.GetPatienceMs()) * time.Millisecond
	const least = 10 * time.Millisecond
	if patience < least {
		return fmt.Errorf("the node's patience of %s makes no sense", patience)
	}
	s.group.Go(func() {
		if err := s.transmit(stream, patience/5); err != nil {
			s.stop(err)
		}
	})
	s.registry.o.Logger.Info("a session with a node for changefeeds has begun", "node", s.node, "cluster", w.GetCluster())
	s.welcomed.Store(true)
	s.registry.set(s)
	return s.keep(patience * 4 / 5)
}

// keep returns when the session is over, by the clock or otherwise.
func (s *session) keep(lasts time.Duration) error {
	until := s.began.Add(lasts)
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	for {
		select {
		case number := <-s.answered:
			sent := s.sentAt(number)
			if sent.IsZero() {
				continue
			}
			until = sent.Add(lasts)
			timer.Reset(time.Until(until))
		case <-timer.C:
			return errClock
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		}
	}
}

// sentAt forgets a heartbeat and those before it.
func (s *session) sentAt(number uint64) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.mu.beats[number]
	for n := range s.mu.beats {
		if n <= number {
			delete(s.mu.beats, n)
		}
	}
	return at
}

// transmit sends, alone.
func (s *session) transmit(stream remotepb.Registry_SessionClient, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for number := uint64(1); ; {
		var m *remotepb.ClientMessage
		select {
		case m = <-s.out:
		case <-tick.C:
			m = &remotepb.ClientMessage{What: &remotepb.ClientMessage_Beat{Beat: &remotepb.Beat{Number: number}}}
			s.mu.Lock()
			s.mu.beats[number] = time.Now()
			s.mu.Unlock()
			number++
		case <-s.ctx.Done():
			return stream.CloseSend()
		}
		if err := stream.Send(m); err != nil {
			return nil // receive says why
		}
	}
}

// receive takes what the node sends until the stream ends.
func (s *session) receive(stream remotepb.Registry_SessionClient) error {
	f := newFollower()
	for {
		m, err := stream.Recv()
		if err != nil {
			return err
		}
		if err := s.take(m, f); err != nil {
			return err
		}
	}
}

func (s *session) take(m *remotepb.ServerMessage, f *follower) error {
	switch what := m.GetWhat().(type) {
	case *remotepb.ServerMessage_Welcome:
		select {
		case s.welcome <- what.Welcome:
		default:
			return errors.New("the node welcomes twice")
		}
	case *remotepb.ServerMessage_Beat:
		select {
		case s.answered <- what.Beat.GetNumber():
		case <-s.ctx.Done():
		}
	case *remotepb.ServerMessage_Response:
		s.deliver(what.Response)
	case *remotepb.ServerMessage_Lost:
		s.lose(what.Lost)
	case *remotepb.ServerMessage_Changes:
		view, err := f.apply(what.Changes)
		if err != nil {
			return fmt.Errorf("the node's view can't be read: %w", err)
		}
		if view != nil {
			s.registry.Publish(view)
		}
	case *remotepb.ServerMessage_Farewell:
		return errFarewell
	}
	return nil
}

// end is the end for claims and for who waits. It may be called more than once.
func (s *session) end(err error) {
	s.mu.Lock()
	s.mu.over = true
	for _, c := range s.mu.claims {
		close(c.lost)
	}
	s.mu.claims, s.mu.waiting = nil, nil
	s.mu.Unlock()
	s.registry.unset(s)
	s.stop(err)
}
