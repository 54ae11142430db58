package multiraft

import (
	"encoding/binary"

	"go.etcd.io/etcd/raft/v3"
)

// readIndexes are the reads that wait for a quorum to confirm that this replica leads. All that came in before a
// round share one confirmation.
type readIndexes struct {
	number  uint64
	asked   []func(index uint64, ok bool)
	waiting map[uint64][]func(index uint64, ok bool)
}

// ReadIndex calls done with an index that the state must have reached before it may answer a read that came in before
// the call, or with ok false when this replica doesn't lead. done is called by the loop and must not block.
func (g *Group) ReadIndex(done func(index uint64, ok bool)) {
	g.node.do(g, func() {
		if !g.known.Leading {
			done(0, false)
			return
		}
		g.reads.asked = append(g.reads.asked, done)
	})
}

// ask starts one confirmation for what came in since the last.
func (r *readIndexes) ask(node *raft.RawNode) {
	if len(r.asked) == 0 {
		return
	}
	if r.waiting == nil {
		r.waiting = make(map[uint64][]func(uint64, bool))
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
			done(s.Index, true)
		}
		delete(r.waiting, number)
	}
}

// fail answers everything that waits: leadership was lost.
func (r *readIndexes) fail() {
	for _, done := range r.asked {
		done(0, false)
	}
	r.asked = nil
	for _, waiting := range r.waiting {
		for _, done := range waiting {
			done(0, false)
		}
	}
	clear(r.waiting)
}
