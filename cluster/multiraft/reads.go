package multiraft

import (
	"encoding/binary"

	"go.etcd.io/etcd/raft/v3"
)

// readIndexes are the reads that wait for a quorum to confirm that this replica leads. All that came in before a
// round share one confirmation.
type readIndexes struct {
	number  uint64
	asked   []func(ok bool)
	waiting map[uint64][]func(ok bool)
}

// ReadIndex asks a quorum whether this replica still leads a term, and calls done with the answer. If it does, then
// whatever it had applied at the time of the call holds everything that was acknowledged before the call, given that the state holds an
// entry of that term. done is called by the loop and must not block; when the node stops it may never be called.
func (g *Group) ReadIndex(term uint64, done func(ok bool)) {
	g.node.do(nil, func() {
		if g.removed || !g.known.Leading || g.known.Term != term {
			done(false)
			return
		}
		g.reads.asked = append(g.reads.asked, done)
		g.node.include(g)
	})
}

// ask starts one confirmation for what came in since the last.
func (r *readIndexes) ask(node *raft.RawNode) {
	if len(r.asked) == 0 {
		return
	}
	if r.waiting == nil {
		r.waiting = make(map[uint64][]func(bool))
	}
	r.number++
	r.waiting[r.number] = r.asked
	r.asked = nil
	node.ReadIndex(heartbeatContext(monotonic(), r.number))
}

func (r *readIndexes) ready(states []raft.ReadState) {
	for _, s := range states {
		if _, ok := sentAt(s.RequestCtx); !ok {
			continue
		}
		number := binary.LittleEndian.Uint64(s.RequestCtx[16:])
		for _, done := range r.waiting[number] {
			done(true)
		}
		delete(r.waiting, number)
	}
}

// fail answers everything that waits: leadership was lost.
func (r *readIndexes) fail() {
	for _, done := range r.asked {
		done(false)
	}
	r.asked = nil
	for _, waiting := range r.waiting {
		for _, done := range waiting {
			done(false)
		}
	}
	clear(r.waiting)
}
