package resp

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/resp/forwardpb"
)

const (
	maxFrame      = 256 << 20 // bytes of a gRPC message
	frameTarget   = 1 << 20   // a frame is sent when it has so many
	maxPeerQueue  = 64 << 20  // bytes that wait to be sent to a node
	laneOverhead  = 64
	lostWriteText = unknownOutcome + ": the answer of the partition's leader was lost"
)

var errPeerGone = errors.New("resp: forward: stream ended")

// forwarder passes lanes on to other nodes over one stream per node.
type forwarder struct {
	srv   *Server
	ctx   context.Context
	end   context.CancelFunc
	group sync.WaitGroup

	mu struct {
		sync.Mutex
		peers  map[string]*peer // by address
		closed bool
	}
}

// peer is the stream to one node, and what is on its way.
type peer struct {
	f    *forwarder
	addr string
	conn *grpc.ClientConn
	kick chan struct{} // there is something to send
	down atomic.Bool   // nothing was answered since it broke off

	mu struct {
		sync.Mutex
		queue   []*flight // not yet handed to the stream
		bytes   int       // of the queue
		cancels []*forwardpb.Cancel
		flights map[uint64]*flight
		lastID  uint64
	}
}

// flight is a lane on its way. Whoever takes it out of flights, under the peer's lock, ends it.
type flight struct {
	lane  *lane
	done  func()
	wire  *forwardpb.Lane
	size  int  // bytes of wire
	sent  bool // the stream may have carried it
	since time.Time
	// until is when an answer is overdue; zero for a command that waits as long as its client does.
	until time.Time
	told  bool // it was asked to end
	peer  *peer
}

func newForwarder(s *Server) *forwarder {
	f := &forwarder{srv: s}
	f.ctx, f.end = context.WithCancel(context.Background())
	f.mu.peers = make(map[string]*peer)
	return f
}

// send passes a lane on. done is called once, from another goroutine, when each of its requests has an outcome:
// Elsewhere for what certainly wasn't run, and for lost reads; Unknown for a write whose answer was lost.
func (f *forwarder) send(to Node, l *lane, done func()) {
	p, err := f.peer(to)
	if err == nil {
		fl := newFlight(f.srv, l, done)
		if l.calls[0].blocks() {
			l.flight = fl
		}
		err = p.enqueue(fl)
	}
	if err != nil {
		f.srv.opt.Logger.Debug("forwarding failed", "node", to.ID, "error", err)
		for _, k := range l.calls {
			k.Outcome = command.Elsewhere
		}
		done()
		return
	}
	f.srv.stats.forwarded.Add(uint64(len(l.calls)))
}

func newFlight(s *Server, l *lane, done func()) *flight {
	fl := &flight{lane: l, done: done, wire: encodeLane(l), since: s.now()}
	fl.size = len(fl.wire.Commands) + laneOverhead
	for _, t := range fl.wire.Transactions {
		fl.size += len(t.Commands) + laneOverhead
		for _, w := range t.Watched {
			fl.size += len(w.Key) + len(w.Token) + laneOverhead
		}
	}
	fl.until = fl.since.Add(s.opt.ForwardTimeout)
	if k := l.calls[0]; k.blocks() {
		fl.until = time.Time{}
		if d := blockTime(k.Spec, k.Args); d > 0 {
			fl.until = fl.since.Add(d + s.opt.ForwardTimeout)
		}
	}
	return fl
}

// unblock asks the other node to end a flight's wait. The flight ends as it does otherwise: by its answer, or when that is overdue.
func (fl *flight) unblock(how command.UnblockHow) {
	p := fl.peer
	if p == nil { // it never got there, and has ended
		return
	}
	p.mu.Lock()
	if p.mu.flights[fl.wire.Id] == fl {
		if fl.until.IsZero() || !fl.told {
			fl.until, fl.told = p.f.srv.now().Add(p.f.srv.opt.ForwardTimeout), true
		}
		p.mu.cancels = append(p.mu.cancels, &forwardpb.Cancel{Id: fl.wire.Id, How: uint32(how)})
	}
	p.mu.Unlock()
	p.poke()
}

func (p *peer) poke() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

// peer finds or makes the connection to a node.
func (f *forwarder) peer(to Node) (*peer, error) {
	addr := net.JoinHostPort(to.Host, strconv.Itoa(to.GRPCPort))
	f.mu.Lock()
	defer f.mu.Unlock()
	if p := f.mu.peers[addr]; p != nil {
		return p, nil
	}
	if f.mu.closed {
		return nil, errPeerGone
	}
	conn, err := grpc.NewClient(addr, f.dialOptions()...)
	if err != nil {
		return nil, err
	}
	p := &peer{f: f, addr: addr, conn: conn, kick: make(chan struct{}, 1)}
	p.mu.flights = make(map[uint64]*flight)
	f.mu.peers[addr] = p
	f.group.Add(1)
	go func() {
		defer f.group.Done()
		p.run()
	}()
	return p, nil
}

func (f *forwarder) dialOptions() []grpc.DialOption {
	opts := []grpc.DialOption{
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxFrame), grpc.MaxCallSendMsgSize(maxFrame)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second}),
		// A node that comes back is found at once, not after gRPC's two minutes.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 500 * time.Millisecond},
			MinConnectTimeout: 2 * time.Second,
		}),
		grpc.WithInitialWindowSize(1 << 20), grpc.WithInitialConnWindowSize(4 << 20),
	}
	if len(f.srv.opt.DialOptions) == 0 {
		return append(opts, grpc.WithTransportCredentials(insecure.NewCredentials()))
	}
	return append(opts, f.srv.opt.DialOptions...)
}

func (p *peer) enqueue(fl *flight) error {
	fl.peer = p
	p.mu.Lock()
	if p.mu.bytes+fl.size > maxPeerQueue && p.mu.bytes > 0 {
		p.mu.Unlock()
		return errors.New("resp: forward: " + p.addr + ": queue is full")
	}
	p.mu.lastID++
	fl.wire.Id = p.mu.lastID
	p.mu.flights[fl.wire.Id] = fl
	p.mu.queue = append(p.mu.queue, fl)
	p.mu.bytes += fl.size
	p.mu.Unlock()
	p.poke()
	return nil
}

// run keeps a stream open as long as there is something to send.
func (p *peer) run() {
	defer p.conn.Close()
	for {
		select {
		case <-p.f.ctx.Done():
			p.fail()
			return
		case <-p.kick:
		}
		// Said once: until an answer comes again, each attempt fails the same way.
		if err := p.stream(); err != nil && p.f.ctx.Err() == nil && !p.down.Swap(true) {
			p.f.srv.opt.Logger.Warn("forwarding to a node broke off", "address", p.addr, "error", err)
		}
		p.fail()
	}
}

// stream opens a stream and sends until it breaks.
func (p *peer) stream() error {
	ctx, cancel := context.WithCancel(p.f.ctx)
	defer cancel()
	stream, err := forwardpb.NewForwardClient(p.conn).Exchange(ctx)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- p.receive(stream) }()
	for {
		for frame := p.nextFrame(); frame != nil; frame = p.nextFrame() {
			if err := stream.Send(frame); err != nil {
				cancel()
				if got := <-ended; !errors.Is(got, io.EOF) {
					err = got
				}
				return err
			}
		}
		select {
		case <-p.kick:
		case err := <-ended:
			return err
		}
	}
}

// nextFrame takes what waits, and marks it as sent before it is: from then on it may have been run.
func (p *peer) nextFrame() *forwardpb.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.mu.queue) == 0 && len(p.mu.cancels) == 0 {
		return nil
	}
	frame, size, n := &forwardpb.Request{}, 0, 0
	for _, fl := range p.mu.queue {
		if size > frameTarget {
			break
		}
		n++
		size += fl.size
		if p.mu.flights[fl.wire.Id] == fl { // else it has expired
			fl.sent = true
			frame.Lanes = append(frame.Lanes, fl.wire)
		}
	}
	clear(p.mu.queue[:n])
	p.mu.queue = p.mu.queue[n:]
	p.mu.bytes -= size
	if len(p.mu.queue) == 0 { // what is to be ended was sent before, or in this frame
		p.mu.queue = nil
		frame.Cancels, p.mu.cancels = p.mu.cancels, nil
	}
	return frame
}

// receive ends flights as their answers come.
func (p *peer) receive(stream grpc.BidiStreamingClient[forwardpb.Request, forwardpb.Response]) error {
	for {
		resp, err := stream.Recv()
		if err != nil {
			return err
		}
		p.down.Store(false)
		for _, a := range resp.Answers {
			if fl := p.take(a.Id); fl != nil {
				fl.answer(a)
			}
		}
	}
}

func (p *peer) take(id uint64) *flight {
	p.mu.Lock()
	defer p.mu.Unlock()
	fl := p.mu.flights[id]
	delete(p.mu.flights, id)
	return fl
}

// fail ends everything on its way: the stream is gone.
func (p *peer) fail() {
	p.mu.Lock()
	flights := p.mu.flights
	p.mu.flights = make(map[uint64]*flight)
	p.mu.queue, p.mu.bytes, p.mu.cancels = nil, 0, nil
	p.mu.Unlock()
	for _, fl := range flights {
		fl.lose(p.f.srv)
	}
}

// expire ends flights that wait for their answer for too long. An answer that comes later finds nobody.
func (f *forwarder) expire(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.mu.peers {
		for _, fl := range p.overdue(now, now.Add(-f.srv.opt.RetryFor)) {
			fl.lose(f.srv)
		}
	}
}

// overdue takes out the flights whose answer should have come, or that wait to be sent since before a time.
func (p *peer) overdue(now, waiting time.Time) (late []*flight) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, fl := range p.mu.flights {
		if !fl.until.IsZero() && fl.until.Before(now) || !fl.sent && fl.since.Before(waiting) {
			delete(p.mu.flights, id)
			late = append(late, fl)
		}
	}
	return late
}

// lose gives each request of a flight the outcome of one whose answer will not come.
func (fl *flight) lose(s *Server) {
	for _, k := range fl.lane.calls {
		if !fl.sent || !k.isWrite() {
			k.Outcome = command.Elsewhere
			continue
		}
		s.stats.forwardLost.Add(1)
		k.Reply.Buf = k.Reply.Buf[:0]
		k.Reply.Error(lostWriteText)
		k.Outcome = command.Unknown
	}
	fl.done()
}

// answer gives each request of a flight what the other node says of it.
func (fl *flight) answer(a *forwardpb.Answer) {
	calls, replies := fl.lane.calls, a.Replies
	whole := len(a.Outcomes) == len(calls) && len(a.Lengths) == len(calls)
	for i, k := range calls {
		k.Outcome = command.Elsewhere
		switch {
		case a.Refusal != forwardpb.Refusal_REFUSAL_NONE:
		case !whole || int(a.Lengths[i]) > len(replies):
			k.Outcome = command.Unknown // settle gives it the text
		default:
			k.Outcome = command.Outcome(a.Outcomes[i])
			if a.Outcomes[i] == outcomeLarge {
				k.Outcome, k.isLarge = command.Answered, true
			}
			k.Reply.Buf = append(k.Reply.Buf[:0], replies[:a.Lengths[i]]...)
			replies = replies[a.Lengths[i]:]
		}
	}
	fl.done()
}

// close ends all streams. No lane may be on its way.
func (f *forwarder) close() {
	f.mu.Lock()
	f.mu.closed = true
	f.mu.Unlock()
	f.end()
	f.group.Wait()
}
