package remote

import (
	"context"
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/changefeed/remote/remotepb"
	"github.com/zankv/zankv/cluster/meta"
)

// serve carries a request out.
func (v *served) serve(r *remotepb.Request) *remotepb.Response {
	answer := &remotepb.Response{Id: r.GetId()}
	if size := proto.Size(r); size > maxRequest {
		return refusal(r.GetId(), fmt.Errorf("%w: %d bytes: want at most %d", meta.ErrTooLarge, size, maxRequest))
	}
	var err error
	switch what := r.GetWhat().(type) {
	case *remotepb.Request_Claim:
		err = v.claim(r.GetId(), what.Claim, answer)
	case *remotepb.Request_Save:
		err = v.save(what.Save)
	case *remotepb.Request_Release:
		err = v.giveUp(what.Release)
	case *remotepb.Request_Create:
		err = v.create(what.Create)
	case *remotepb.Request_Update:
		answer.Spec, err = v.update(what.Update)
	case *remotepb.Request_Remove:
		err = v.server.o.Registry.Remove(v.ctx, what.Remove)
	case *remotepb.Request_SetProgress:
		err = v.setProgress(what.SetProgress)
	default:
		err = fmt.Errorf("%w: this node doesn't know it", errInvalid)
	}
	if err != nil {
		return refusal(r.GetId(), err)
	}
	return answer
}

// claim holds what it got for the process, and watches it.
func (v *served) claim(id uint64, r *remotepb.Claim, answer *remotepb.Response) error {
	if len(r.GetProcess()) > maxName {
		return fmt.Errorf("%w: a process's name of %d bytes: want at most %d", errInvalid, len(r.GetProcess()), maxName)
	}
	c, err := v.server.o.Registry.Claim(v.ctx, r.GetChangefeed(), r.GetPartition(), r.GetProcess())
	if err != nil {
		return err
	}
	p := c.Progress()
	answer.Epoch = c.Epoch()
	answer.Progress, err = json.Marshal(&p)
	if err != nil || !v.keep(id, c) {
		v.giveBack(c)
		return fmt.Errorf("%w: the session is over", meta.ErrUnavailable)
	}
	v.server.group.Go(func() { v.watch(id, c) })
	return nil
}

// watch tells the process that a claim was lost.
func (v *served) watch(id uint64, c changefeed.Claim) {
	select {
	case <-c.Lost():
		v.say(&remotepb.ServerMessage{What: &remotepb.ServerMessage_Lost{Lost: id}})
	case <-v.ctx.Done():
	}
}

func (v *served) save(r *remotepb.Save) error {
	c := v.claimOf(r.GetClaim())
	if c == nil {
		return changefeed.ErrFenced
	}
	var p changefeed.Progress
	if err := json.Unmarshal(r.GetProgress(), &p); err != nil {
		return fmt.Errorf("%w: a progress that can't be read: %w", errInvalid, err)
	}
	return c.Save(v.ctx, p)
}

// giveUp gives a claim back. The session's end doesn't break that off.
func (v *served) giveUp(id uint64) error {
	c := v.claimOf(id)
	if c == nil {
		return nil
	}
	v.forget(id)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(v.ctx), releaseWithin)
	defer cancel()
	return c.Release(ctx)
}

func (v *served) create(value []byte) error {
	s, err := readSpec(value)
	if err != nil {
		return err
	}
	return v.server.o.Registry.Create(v.ctx, s)
}

func (v *served) update(value []byte) ([]byte, error) {
	s, err := readSpec(value)
	if err != nil {
		return nil, err
	}
	if s, err = v.server.o.Registry.Update(v.ctx, s); err != nil {
		return nil, err
	}
	return json.Marshal(&s)
}

func readSpec(value []byte) (s changefeed.Spec, err error) {
	if err = json.Unmarshal(value, &s); err != nil {
		err = fmt.Errorf("%w: a definition that can't be read: %w", errInvalid, err)
	}
	return s, err
}

func (v *served) setProgress(r *remotepb.SetProgress) error {
	var p changefeed.Progress
	if err := json.Unmarshal(r.GetProgress(), &p); err != nil {
		return fmt.Errorf("%w: a progress that can't be read: %w", errInvalid, err)
	}
	return v.server.o.Registry.SetProgress(v.ctx, r.GetChangefeed(), r.GetPartition(), p)
}
