package datanode

import (
	"testing"

	"go.etcd.io/etcd/raft/v3/raftpb"

	"github.com/zankv/zankv/wal"
)

// writeElsewhere writes so many bytes to the node's log as another group would, and forgets them.
func writeElsewhere(t *testing.T, n *Node, bytes int) {
	t.Helper()
	const group = 1 << 40
	g := n.log.Group(group)
	data := make([]byte, min(bytes, 4<<20))
	for written := 0; written < bytes; written += len(data) {
		at := g.LastIndex()
		if at == 0 {
			must(t, n.log.Append([]wal.Update{{Group: group, Snapshot: &wal.Base{Index: 1, Term: 1}, MustSync: true}}))
			at = 1
		}
		must(t, n.log.Append([]wal.Update{{Group: group, Entries: []raftpb.Entry{{Term: 1, Index: at + 1, Data: data}}, MustSync: true}}))
		must(t, g.Truncate(at+1))
	}
}
