package resp

import (
	"context"
	"errors"
	"io"
	"sync"

	"google.golang.org/grpc"

	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/resp/forwardpb"
)

// Bounds of one stream: lanes in work, and bytes of answers that the other node hasn't taken. Further lanes wait on the wire.
const (
	maxServed = 4096
	maxUnsent = 64 << 20
)

// RegisterForward makes the server answer what other nodes forward.
func (s *Server) RegisterForward(r grpc.ServiceRegistrar) {
	forwardpb.RegisterForwardServer(r, &forwardService{srv: s})
}

type forwardService struct {
	forwardpb.UnimplementedForwardServer
	srv *Server
}

// serving is one stream from another node.
type serving struct {
	srv   *Server
	slots chan struct{}  // one taken per lane in work, until its answer is sent
	held  sync.WaitGroup // lanes that executors hold
	kick  chan struct{}  // there is an answer to send
	mu    struct {
		sync.Mutex
		answers []*forwardpb.Answer
		unsent  int // bytes of answers
	}
	room chan struct{} // unsent became smaller
}

// Exchange runs lanes until the other side ends the stream, and returns when all that were begun are done.
func (f *forwardService) Exchange(stream grpc.BidiStreamingServer[forwardpb.Request, forwardpb.Response]) error {
	v := &serving{srv: f.srv, slots: make(chan struct{}, maxServed), kick: make(chan struct{}, 1), room: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(stream.Context())
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		v.send(ctx, stream)
	}()
	err := v.receive(ctx, stream)
	v.held.Wait()
	cancel()
	<-sent
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func (v *serving) receive(ctx context.Context, stream grpc.BidiStreamingServer[forwardpb.Request, forwardpb.Response]) error {
	for {
		req, err := stream.Recv()
		if err != nil {
			return err
		}
		for _, l := range req.Lanes {
			if err := v.waitForRoom(ctx); err != nil {
				return err
			}
			v.run(l)
		}
	}
}

// waitForRoom takes a slot when the bounds allow another lane.
func (v *serving) waitForRoom(ctx context.Context) error {
	for v.backlog() > maxUnsent {
		select {
		case <-v.room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	select {
	case v.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (v *serving) backlog() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.mu.unsent
}

// delivered gives back what n lanes with so many bytes of answers took.
func (v *serving) delivered(n, size int) {
	v.mu.Lock()
	v.mu.unsent -= size
	v.mu.Unlock()
	for range n {
		<-v.slots
	}
	select {
	case v.room <- struct{}{}:
	default:
	}
}

// send sends answers as they come, as many at once as there are.
func (v *serving) send(ctx context.Context, stream grpc.BidiStreamingServer[forwardpb.Request, forwardpb.Response]) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-v.kick:
		}
		for answers := v.takeAnswers(); len(answers) > 0; {
			n, size := 0, 0
			for n < len(answers) && size < frameTarget {
				size += len(answers[n].Replies) + laneOverhead
				n++
			}
			err := stream.Send(&forwardpb.Response{Answers: answers[:n]})
			v.delivered(n, size)
			if err != nil {
				return // the stream is gone, and receive hears of it
			}
			answers = answers[n:]
		}
	}
}

func (v *serving) takeAnswers() []*forwardpb.Answer {
	v.mu.Lock()
	defer v.mu.Unlock()
	a := v.mu.answers
	v.mu.answers = nil
	return a
}

func (v *serving) answer(a *forwardpb.Answer) {
	v.mu.Lock()
	v.mu.answers = append(v.mu.answers, a)
	v.mu.unsent += len(a.Replies) + laneOverhead
	v.mu.Unlock()
	select {
	case v.kick <- struct{}{}:
	default:
	}
}

// run answers a lane at once if it has only reads and may, or submits it.
func (v *serving) run(l *forwardpb.Lane) {
	ns, ok := v.srv.backend.Namespace(l.Namespace)
	if !ok || ns.Partitions != int(l.Partitions) || l.Partition >= l.Partitions {
		v.answer(&forwardpb.Answer{Id: l.Id, Refusal: forwardpb.Refusal_REFUSAL_NAMESPACE})
		return
	}
	exec := v.srv.backend.Executor(ns, int(l.Partition))
	if exec == nil {
		v.answer(&forwardpb.Answer{Id: l.Id, Refusal: forwardpb.Refusal_REFUSAL_NOT_HERE})
		return
	}
	reqs, reads := v.decode(l)
	if len(reqs) == 0 {
		v.answer(&forwardpb.Answer{Id: l.Id, Refusal: forwardpb.Refusal_REFUSAL_MALFORMED})
		return
	}
	v.srv.stats.served.Add(uint64(len(reqs)))
	done := 0
	for reads && done < len(reqs) && exec.Read(reqs[done]) {
		reqs[done].Outcome = command.Answered
		done++
	}
	if done == len(reqs) {
		v.answer(answerOf(l.Id, reqs))
		return
	}
	v.held.Add(1)
	exec.Submit(reqs[done:], func() {
		v.answer(answerOf(l.Id, reqs))
		v.held.Done()
	})
}

// decode makes requests of a lane's commands: none if one can't be read or isn't known here. They point into the lane.
func (v *serving) decode(l *forwardpb.Lane) (reqs []*command.Request, reads bool) {
	if len(l.Flags) > maxCalls {
		return nil, false
	}
	p := newParser(v.srv.opt.MaxBulk, maxFrame)
	all := make([]command.Request, len(l.Flags))
	reads = true
	for i, flags := range l.Flags {
		whole, err := p.next(l.Commands, false)
		if err != nil || !whole || p.typed || p.count() == 0 {
			return nil, false
		}
		args := make([][]byte, p.count())
		for j := range args {
			args[j] = p.arg(l.Commands, j)
		}
		spec, _, problem := command.Resolve(args, &v.srv.opt.Limits)
		if problem != "" && spec == nil {
			spec = command.Lookup(args[0])
		}
		if spec == nil || spec.Run == nil {
			return nil, false
		}
		all[i] = command.Request{Spec: spec, Args: args, ReadStale: flags&flagStale != 0}
		all[i].Reply.RESP3 = flags&flagRESP3 != 0
		reads = reads && spec.Flags&command.Write == 0
		reqs = append(reqs, &all[i])
	}
	return reqs, reads
}

func answerOf(id uint64, reqs []*command.Request) *forwardpb.Answer {
	size := 0
	for _, r := range reqs {
		size += len(r.Reply.Buf)
	}
	a := &forwardpb.Answer{Id: id, Outcomes: make([]byte, len(reqs)), Lengths: make([]uint32, len(reqs)), Replies: make([]byte, 0, size)}
	for i, r := range reqs {
		a.Outcomes[i] = byte(r.Outcome)
		a.Lengths[i] = uint32(len(r.Reply.Buf))
		a.Replies = append(a.Replies, r.Reply.Buf...)
	}
	return a
}
