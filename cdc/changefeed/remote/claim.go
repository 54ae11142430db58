package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/changefeed/remote/remotepb"
	"github.com/zankv/zankv/cluster/meta"
)

// pending is a request that wasn't answered yet. It keeps its slot until it is, however long anybody waits.
type pending struct {
	answer chan *remotepb.Response
	claim  *claim // what it is to become, of a request to claim
	given  bool   // nobody waits for it any more
}

// ask sends a request and waits for its answer: errNotSent if the session was over before. Where no answer comes it isn't known whether it was carried
// out. claim is what a request to claim is to become.
func (s *session) ask(ctx context.Context, request *remotepb.Request, c *claim) (*remotepb.Response, error) {
	id := s.ids.Add(1)
	p := &pending{answer: make(chan *remotepb.Response, 1), claim: c}
	if err := s.send(ctx, id, request, p); err != nil {
		return nil, err
	}
	var why error
	select {
	case r := <-p.answer:
		return r, problemOf(r)
	case <-s.ctx.Done():
		why = context.Cause(s.ctx)
	case <-ctx.Done():
		why = ctx.Err()
	}
	if !s.abandon(id, p) {
		r := <-p.answer
		return r, problemOf(r)
	}
	return nil, unavailable("what was asked of node "+s.node+" may have happened or not", why)
}

func (s *session) send(ctx context.Context, id uint64, request *remotepb.Request, p *pending) error {
	select {
	case s.slots <- struct{}{}:
	case <-s.ctx.Done():
		return errNotSent
	case <-ctx.Done():
		return unavailable("node "+s.node+" has as much to answer as may be", ctx.Err())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.over {
		return errNotSent
	}
	s.mu.waiting[id] = p
	s.post(id, request)
	return nil
}

// post has a request sent that has a slot: there is room for all of these.
func (s *session) post(id uint64, request *remotepb.Request) {
	s.out <- &remotepb.ClientMessage{What: &remotepb.ClientMessage_Request{Request: &remotepb.Request{Id: id, What: request.GetWhat()}}}
}

// abandon gives a request up: false if its answer has come.
func (s *session) abandon(id uint64, p *pending) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.given = true
	return s.mu.over || s.mu.waiting[id] == p
}

// deliver gives an answer to who waits for it. A claim counts from here on; one that nobody waits for goes back, in the slot that it has.
func (s *session) deliver(r *remotepb.Response) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.mu.waiting[r.GetId()]
	if p == nil {
		return
	}
	delete(s.mu.waiting, r.GetId())
	if p.claim != nil && r.GetProblem() == remotepb.Response_NONE {
		if p.given {
			id := s.ids.Add(1)
			s.mu.waiting[id] = &pending{answer: make(chan *remotepb.Response, 1), given: true}
			s.post(id, releaseOf(r.GetId()))
			return
		}
		p.claim.id = r.GetId()
		s.mu.claims[r.GetId()] = p.claim
	}
	<-s.slots
	p.answer <- r
}

func releaseOf(claim uint64) *remotepb.Request {
	return &remotepb.Request{What: &remotepb.Request_Release{Release: claim}}
}

// lose takes a claim for lost.
func (s *session) lose(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.mu.claims[id]; c != nil {
		delete(s.mu.claims, id)
		close(c.lost)
	}
}

// claim asks for one.
func (s *session) claim(ctx context.Context, request *remotepb.Request) (changefeed.Claim, error) {
	what := request.GetClaim()
	c := &claim{session: s, name: fmt.Sprintf("changefeed %s, partition %d", what.GetChangefeed(), what.GetPartition()), lost: make(chan struct{})}
	r, err := s.ask(ctx, request, c)
	if err != nil {
		return nil, err
	}
	c.epoch = r.GetEpoch()
	if err := json.Unmarshal(r.GetProgress(), &c.progress); err != nil {
		return nil, errors.Join(unavailable("a node's answer can't be read", err), c.Release(ctx))
	}
	return c, nil
}

// claim is a changefeed.Claim that a node holds for this process, as long as the session lasts.
type claim struct {
	session  *session
	id       uint64 // of the request
	name     string
	epoch    uint64
	progress changefeed.Progress
	lost     chan struct{}
}

// Epoch is changefeed.Claim's.
func (c *claim) Epoch() uint64 { return c.epoch }

// Progress is changefeed.Claim's.
func (c *claim) Progress() changefeed.Progress { return c.progress }

// Lost is changefeed.Claim's.
func (c *claim) Lost() <-chan struct{} { return c.lost }

// Save is changefeed.Claim's. If the session ends meanwhile it isn't known whether it was saved.
func (c *claim) Save(ctx context.Context, p changefeed.Progress) error {
	fenced := fmt.Errorf("save progress of %s: %w", c.name, changefeed.ErrFenced)
	select {
	case <-c.lost:
		return fenced
	default:
	}
	value, err := meta.EncodeFeedValue(&p)
	if err != nil {
		return err
	}
	request := &remotepb.Request{What: &remotepb.Request_Save{Save: &remotepb.Save{Claim: c.id, Progress: value}}}
	_, err = c.session.ask(ctx, request, nil)
	if errors.Is(err, errNotSent) {
		return fenced
	}
	if errors.Is(err, changefeed.ErrFenced) {
		c.session.lose(c.id)
	}
	return err
}

// Release is changefeed.Claim's. What isn't answered within ctx is asked for as long as the session lasts; its end releases, too.
func (c *claim) Release(ctx context.Context) error {
	c.session.lose(c.id)
	done := make(chan error, 1)
	sent := c.session.background(func() {
		_, err := c.session.ask(c.session.ctx, releaseOf(c.id), nil)
		done <- err
	})
	if !sent {
		return nil
	}
	select {
	case err := <-done:
		if c.session.ctx.Err() != nil {
			return nil
		}
		return err
	case <-c.session.ctx.Done():
		return nil
	case <-ctx.Done():
		return unavailable("release "+c.name, ctx.Err())
	}
}

// background runs f in a goroutine that the session waits for: false if the session is over.
func (s *session) background(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.over {
		return false
	}
	s.group.Go(f)
	return true
}
