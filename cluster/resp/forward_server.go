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
	maxWaits  = 1 << 16 // commands that block: more are refused
)

const tooManyWaits = "BUSY too many clients of one node are blocked at the partition's leader, try again later"

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
		answers []reported
		unsent  int // bytes of answers
		waits   map[uint64]*waiting
	}
	room chan struct{} // unsent became smaller
}

// waiting is a blocking command that isn't answered.
type waiting struct {
	exec Executor
	req  *command.Request
}

// reported is an answer that is to be sent. slot: its lane has one.
type reported struct {
	*forwardpb.Answer
	slot bool
}

// Exchange runs lanes until the other side ends the stream, and returns when all that were begun are done.
func (f *forwardService) Exchange(stream grpc.BidiStreamingServer[forwardpb.Request, forwardpb.Response]) error {
	v := &serving{srv: f.srv, slots: make(chan struct{}, maxServed), kick: make(chan struct{}, 1), room: make(chan struct{}, 1)}
	v.mu.waits = make(map[uint64]*waiting)
	ctx, cancel := context.WithCancel(stream.Context())
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		v.send(ctx, stream)
	}()
	err := v.receive(ctx, stream)
	v.cancelAll()
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
		for _, c := range req.Cancels {
			v.cancel(c)
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
			n, size, slots := 0, 0, 0
			var frame forwardpb.Response
			for n < len(answers) && size < frameTarget {
				size += len(answers[n].Replies) + laneOverhead
				if answers[n].slot {
					slots++
				}
				frame.Answers = append(frame.Answers, answers[n].Answer)
				n++
			}
			err := stream.Send(&frame)
			v.delivered(slots, size)
			if err != nil {
				return // the stream is gone, and receive hears of it
			}
			answers = answers[n:]
		}
	}
}

func (v *serving) takeAnswers() []reported {
	v.mu.Lock()
	defer v.mu.Unlock()
	a := v.mu.answers
	v.mu.answers = nil
	return a
}

func (v *serving) answer(a *forwardpb.Answer) { v.queueAnswer(a, true) }

func (v *serving) queueAnswer(a *forwardpb.Answer, slot bool) {
	v.mu.Lock()
	v.mu.answers = append(v.mu.answers, reported{a, slot})
	v.mu.unsent += len(a.Replies) + laneOverhead
	v.mu.Unlock()
	select {
	case v.kick <- struct{}{}:
	default:
	}
}

// find is the replica that a lane is for, or why there is none.
func (s *Server) find(namespace string, partition, partitions uint32) (Executor, forwardpb.Refusal) {
	ns, ok := s.backend.Namespace(namespace)
	if !ok || ns.Partitions != int(partitions) || partition >= partitions {
		return nil, forwardpb.Refusal_REFUSAL_NAMESPACE
	}
	exec := s.backend.Executor(ns, int(partition))
	if exec == nil {
		return nil, forwardpb.Refusal_REFUSAL_NOT_HERE
	}
	return exec, forwardpb.Refusal_REFUSAL_NONE
}

// run answers a lane at once if it has only reads and may, or submits it.
func (v *serving) run(l *forwardpb.Lane) {
	exec, refusal := v.srv.find(l.Namespace, l.Partition, l.Partitions)
	if exec == nil {
		v.answer(&forwardpb.Answer{Id: l.Id, Refusal: refusal})
		return
	}
	reqs := v.srv.decode(l)
	if len(reqs) == 0 {
		v.answer(&forwardpb.Answer{Id: l.Id, Refusal: forwardpb.Refusal_REFUSAL_MALFORMED})
		return
	}
	v.srv.stats.served.Add(uint64(len(reqs)))
	if len(reqs) == 1 && reqs[0].Spec.Flags&command.Blocking != 0 {
		v.runBlocking(l.Id, exec, reqs)
		return
	}
	large := make([]bool, len(reqs))
	left := readAtOnce(exec, l, reqs, large)
	if len(left) == 0 {
		v.answer(answerOf(l.Id, reqs, large))
		return
	}
	v.held.Add(1)
	exec.Submit(left, func() {
		v.answer(answerOf(l.Id, reqs, large))
		v.held.Done()
	})
}

// readAtOnce answers what it can of a lane that has only reads, and returns what is to be submitted. large notes those that must be asked for
// in parts.
func readAtOnce(exec Executor, l *forwardpb.Lane, reqs []*command.Request, large []bool) (left []*command.Request) {
	reads := true
	for _, req := range reqs {
		reads = reads && req.Spec.Flags&command.Write == 0 && req.Spec != command.Exec
	}
	for i, req := range reqs {
		if req.Outcome == command.Answered {
			continue
		}
		if !reads || !readBounded(exec, req, l.Flags[i]&flagLarge != 0, &large[i]) {
			reads = false
			left = append(left, req)
		}
	}
	return left
}

// runBlocking submits a command that may wait. It doesn't count among the lanes in work: thousands may wait.
func (v *serving) runBlocking(id uint64, exec Executor, reqs []*command.Request) {
	<-v.slots
	w := &waiting{exec: exec, req: reqs[0]}
	v.mu.Lock()
	full := len(v.mu.waits) >= maxWaits
	if !full {
		v.mu.waits[id] = w
	}
	v.mu.Unlock()
	if full && reqs[0].Outcome != command.Answered {
		reqs[0].Reply.Error(tooManyWaits)
		reqs[0].Outcome = command.Answered
	}
	if reqs[0].Outcome == command.Answered {
		v.endWait(id, reqs)
		return
	}
	v.held.Add(1)
	exec.Submit(reqs, func() {
		v.endWait(id, reqs)
		v.held.Done()
	})
}

// endWait answers a command that may have waited.
func (v *serving) endWait(id uint64, reqs []*command.Request) {
	v.mu.Lock()
	delete(v.mu.waits, id)
	v.mu.Unlock()
	v.queueAnswer(answerOf(id, reqs, make([]bool, len(reqs))), false)
}

// cancel ends a wait. It may have ended already.
func (v *serving) cancel(c *forwardpb.Cancel) {
	v.mu.Lock()
	w := v.mu.waits[c.Id]
	v.mu.Unlock()
	how := command.UnblockHow(c.How)
	if w != nil && c.How <= uint32(command.UnblockError) && how >= command.UnblockGone {
		w.exec.Unblock(w.req, how)
	}
}

// cancelAll ends all waits: who asked for them is gone.
func (v *serving) cancelAll() {
	v.mu.Lock()
	var all []*waiting
	for _, w := range v.mu.waits {
		all = append(all, w)
	}
	v.mu.Unlock()
	for _, w := range all {
		w.exec.Unblock(w.req, command.UnblockGone)
	}
}

func answerOf(id uint64, reqs []*command.Request, large []bool) *forwardpb.Answer {
	size := 0
	for _, r := range reqs {
		size += len(r.Reply.Buf)
	}
	a := &forwardpb.Answer{Id: id, Outcomes: make([]byte, len(reqs)), Lengths: make([]uint32, len(reqs)), Replies: make([]byte, 0, size)}
	for i, r := range reqs {
		a.Outcomes[i] = byte(r.Outcome)
		if large[i] {
			a.Outcomes[i] = outcomeLarge
		}
		a.Lengths[i] = uint32(len(r.Reply.Buf))
		a.Replies = append(a.Replies, r.Reply.Buf...)
	}
	return a
}
