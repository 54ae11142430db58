package multiraft

import (
	"context"
	"fmt"

	"go.etcd.io/etcd/raft/v3"
	"go.etcd.io/etcd/raft/v3/raftpb"

	"github.com/zankv/zankv/cluster/transport"
)

// When a message may leave.
const (
	sendFirst = true  // before the round's sync: it promises nothing of this node's disk
	sendLast  = false // after it
)

func promisesNothing(t raftpb.MessageType) bool {
	switch t {
	case raftpb.MsgApp, raftpb.MsgHeartbeat, raftpb.MsgSnap, raftpb.MsgTimeoutNow:
		return true
	}
	return false
}

// sendMessages queues the Ready's messages of one kind for their nodes; the round flushes them.
func (g *Group) sendMessages(first bool) {
	for i := range g.ready.Messages {
		m := &g.ready.Messages[i]
		if promisesNothing(m.Type) != first {
			continue
		}
		to, ok := g.cfg.Nodes[m.To]
		if !ok {
			continue
		}
		switch {
		case m.Type == raftpb.MsgSnap:
			g.sendSnapshot(to, *m)
			continue
		case m.Type == raftpb.MsgHeartbeat && len(m.Context) == 0:
			m.Context = heartbeatContext(monotonic(), 0)
		}
		g.node.queue(to, transport.Message{Group: g.cfg.ID, Message: *m})
	}
}

// sendSnapshot sends the files beside the loop and reports to raft how it went.
func (g *Group) sendSnapshot(to transport.NodeID, m raftpb.Message) {
	g.node.tasks.Go(func() {
		err := g.transfer(to, m)
		if err != nil {
			g.node.opts.Logger.Warn("snapshot not sent", "group", g.cfg.ID, "to", to,
				"position", fmt.Sprintf("%d-%d", m.Snapshot.Metadata.Term, m.Snapshot.Metadata.Index), "error", err)
		}
		status := raft.SnapshotFinish
		if err != nil {
			status = raft.SnapshotFailure
		}
		g.node.do(g, func() { g.raft.ReportSnapshot(m.To, status) })
	})
}

func (g *Group) transfer(to transport.NodeID, m raftpb.Message) error {
	dir, release, err := g.cfg.Machine.OpenSnapshot(m.Snapshot.Metadata.Index)
	if err != nil {
		return err
	}
	defer release()
	message, err := m.Marshal()
	if err != nil {
		return fmt.Errorf("marshal: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stop := context.AfterFunc(g.node.ctx, cancel)
	defer stop()
	return g.node.opts.Transport.SendSnapshot(ctx, to, transport.SnapshotHeader{Group: g.cfg.ID, Message: message}, dir)
}
