package partition

import (
	"context"
	"fmt"

	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/store"
)

// tellRole and switchRole are the requests of a roleCall: they are admitted as commands are.
var (
	tellRole   = &command.Spec{Name: "role", Flags: command.ReadOnly}
	switchRole = &command.Spec{Name: "role", Flags: command.Barrier}
)

// roleCall asks for the partition's role, or switches it.
type roleCall struct {
	spec  *command.Spec
	to    bool // syncer only
	found store.Role
	// gone is closed when its caller has left: a switch that waited longer must not come as a surprise.
	gone <-chan struct{}
}

func (c *roleCall) isGone() bool {
	select {
	case <-c.gone:
		return true
	default:
		return false
	}
}

// SetRole switches who may write: with syncerOnly, clients' writes are refused with command.ErrSyncerOnly. It is a barrier: every write that was
// evaluated before it is settled when it is proposed, and what comes later is evaluated when it is applied. So no client's write takes effect
// after the Since of the Role that is returned, until the next switch; those who wait for keys get the error then. Keys go on to expire.
//
// When the partition has the role already, by a switch, nothing is written, and the Role with the position of that switch is returned. An error is
// ErrNotLeader, ErrUnknownOutcome or ErrClosed; each can be repeated. When ctx ends before its turn comes, it isn't done.
func (r *Replica) SetRole(ctx context.Context, syncerOnly bool) (store.Role, error) {
	return r.callRole(ctx, &roleCall{spec: switchRole, to: syncerOnly})
}

// LeaderRole is the role that the partition has now: this replica leads, and has made sure of it. Errors are as SetRole's.
func (r *Replica) LeaderRole(ctx context.Context) (store.Role, error) {
	return r.callRole(ctx, &roleCall{spec: tellRole})
}

// Role is the role as of what this replica has applied; false when it is closed. Any goroutine.
func (r *Replica) Role() (store.Role, bool) {
	r.state.RLock()
	defer r.state.RUnlock()
	if r.store == nil {
		return store.Role{}, false
	}
	role, err := r.store.Role()
	return role, err == nil
}

// callRole has a call evaluated in its turn, and waits for what comes of it.
func (r *Replica) callRole(ctx context.Context, call *roleCall) (store.Role, error) {
	call.gone = ctx.Done()
	done := make(chan struct{})
	req := &command.Request{Spec: call.spec}
	l := &lane{reqs: []*command.Request{req}, role: call, uncounted: true, done: func() { close(done) }}
	r.box.call(func() { r.evaluateLanes([]*lane{l}) })
	select {
	case <-done:
	case <-r.done:
		return store.Role{}, ErrClosed
	case <-ctx.Done():
		return store.Role{}, fmt.Errorf("partition %s: role: %w: %w", r.name, ErrUnknownOutcome, ctx.Err())
	}
	switch req.Outcome {
	case command.Elsewhere:
		return store.Role{}, fmt.Errorf("partition %s: role: %w; replica %d does", r.name, ErrNotLeader, req.Leader)
	case command.Unknown:
		return store.Role{}, fmt.Errorf("partition %s: role: %w", r.name, ErrUnknownOutcome)
	}
	return call.found, nil
}

// runRole carries out a call. Whoever switches is alone: nothing is in flight.
func (r *Replica) runRole(l *lane, req *command.Request) {
	call := l.role
	call.found = r.role
	if call.isGone() {
		elsewhere(req, r.leadership.Leader)
		r.resolve(answer{lane: l, req: req}, command.Elsewhere)
		return
	}
	if call.spec != switchRole || !r.role.Since.IsZero() && r.role.SyncerOnly == call.to {
		r.answerRead(l, req)
		return
	}
	b := r.openBatch()
	b.ev.Own = append(b.ev.Own, store.RoleChange(call.to))
	b.answers = append(b.answers, answer{lane: l, req: req})
	b.role, b.barrier, r.barrier = call, true, true
	l.last = b
	r.closeBatch()
}

// settleRole takes note of a switch that is applied.
func (r *Replica) settleRole(b *batch, outcome command.Outcome) {
	if r.initial == b {
		r.initial = nil
	}
	if b.role == nil || outcome != command.Answered {
		return
	}
	if err := r.readRole(); err != nil {
		r.opts.Fatal(err)
		return
	}
	b.role.found = r.role
	if r.role.SyncerOnly {
		r.endWaits()
	}
}

func (r *Replica) readRole() (err error) {
	r.role, err = r.store.Role()
	r.roleless = r.role.Since.IsZero() && r.opts.SyncerOnly
	return err
}

// giveRole proposes the configured role for a partition that never had a switch. No write is admitted before it is applied, so that it needs no
// barrier; if the proposal is dropped there comes another.
func (r *Replica) giveRole() {
	if !r.roleless || r.initial != nil || !r.servingNow() {
		return
	}
	r.takeBackOffer()
	b := r.openBatch()
	b.ev.Own = append(b.ev.Own, store.RoleChange(true))
	b.role, r.initial = &roleCall{}, b
	r.offerBatch()
}

// refuseClient answers a write that came from a client while only the syncer may write. It is answered as a read is: by who leads.
func (r *Replica) refuseClient(l *lane, req *command.Request) {
	req.Reply.Buf = req.Reply.Buf[:0]
	req.Reply.Error(command.ErrSyncerOnly)
	r.answerRead(l, req)
}

// endWaits has those who wait for keys run again: they are writers, and refused.
func (r *Replica) endWaits() {
	for _, w := range r.blocked.waits {
		r.again(w)
		r.resumed = append(r.resumed, w.lane)
	}
}
