package resp

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/zankv/zankv/cluster/command"
)

// fakeWait is a blocking command that waits at a partition.
type fakeWait struct {
	r     *fakeReplica
	req   *command.Request
	done  func()
	timer *time.Timer
}

// fakeWaits are a partition's, in the order in which they came, under its mu.
type fakeWaits struct {
	all   []*fakeWait
	ended map[*command.Request]command.UnblockHow // told before they came
	// gone counts the waits that ended because the client had gone, blocked those that began.
	gone, blocked atomic.Int64
}

// block runs a blocking command; false: it waits, and done is called later. The partition's mu is held.
func (r *fakeReplica) block(req *command.Request, done func()) (answered bool) {
	c := r.p.runBlocking(req)
	if !c.Block.Wanted {
		return true
	}
	w := &fakeWait{r: r, req: req, done: done}
	if how, ok := r.p.waits.ended[req]; ok {
		r.p.end(w, how)
		return true
	}
	if d := c.Block.Milliseconds; d > 0 {
		w.timer = time.AfterFunc(time.Duration(d)*time.Millisecond, func() {
			r.p.mu.Lock()
			defer r.p.mu.Unlock()
			if r.p.remove(w) {
				req.Outcome = command.Answered
				done()
			}
		})
	}
	r.p.waits.blocked.Add(1)
	r.p.waits.all = append(r.p.waits.all, w)
	return false
}

func (p *fakePartition) runBlocking(req *command.Request) *command.Context {
	req.Reply.Buf = req.Reply.Buf[:0]
	c := &command.Context{Spec: req.Spec, Args: req.Args, Now: time.Now().UnixMilli(), View: p, Tx: p, Reply: &req.Reply, MayBlock: true}
	if err := req.Spec.Run(c); err != nil {
		panic(err)
	}
	return c
}

func (p *fakePartition) remove(w *fakeWait) bool {
	i := slices.Index(p.waits.all, w)
	if i < 0 {
		return false
	}
	p.waits.all = slices.Delete(p.waits.all, i, i+1)
	if w.timer != nil {
		w.timer.Stop()
	}
	return true
}

func (p *fakePartition) end(w *fakeWait, how command.UnblockHow) {
	w.req.Outcome = command.Answered
	switch how {
	case command.UnblockGone:
		p.waits.gone.Add(1)
		w.req.Reply.Buf = append(w.req.Reply.Buf[:0], "-ERR gone\r\n"...)
	case command.UnblockError:
		w.req.Reply.Buf = append(w.req.Reply.Buf[:0], "-"+command.ErrUnblocked+"\r\n"...)
	}
}

// serveWaits serves those that find something now.
func (p *fakePartition) serveWaits() {
	for _, w := range slices.Clone(p.waits.all) {
		if !p.runBlocking(w.req).Block.Wanted && p.remove(w) {
			w.req.Outcome = command.Answered
			w.done()
		}
	}
}

// lead gives the partition another leader: who waits is sent there.
func (p *fakePartition) lead(node uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leader.Store(node)
	for _, w := range slices.Clone(p.waits.all) {
		p.remove(w)
		w.req.Reply.Buf, w.req.Outcome = w.req.Reply.Buf[:0], command.Elsewhere
		w.done()
	}
}

func (p *fakePartition) waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.waits.all)
}

func (r *fakeReplica) Unblock(req *command.Request, how command.UnblockHow) {
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	for _, w := range r.p.waits.all {
		if w.req == req {
			r.p.remove(w)
			r.p.end(w, how)
			w.done()
			return
		}
	}
	if req.Outcome == command.Pending {
		r.p.waits.ended[req] = how
	}
}
