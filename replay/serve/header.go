package serve

import (
	"strings"
	"unicode/utf8"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/meta"
	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/replay/problem"
	"github.com/zankv/zankv/replay/replaypb"
)

const (
	// maxNames bounds the cluster ids that a header names.
	maxNames = 1024
	// maxKey bounds the keys that a chunk's header names: the longest key there can be, 64 KiB, and room.
	maxKey = 128 << 10
	// maxHorizons bounds the clusters that a Begin names.
	maxHorizons = 1024
)

// checkSender sees that a sender can be one.
func checkSender(s *replaypb.Sender, cut bool) (store.SenderID, error) {
	id := store.SenderID{Cluster: s.GetCluster(), Namespace: s.GetNamespace(), Partition: s.GetPartition()}
	bad := func(format string, args ...any) (store.SenderID, error) {
		return store.SenderID{}, problem.New(problem.Invalid, "replay: sender: "+format, args...)
	}
	if err := meta.ValidateClusterID(id.Cluster); err != nil {
		return bad("%v", err)
	}
	if err := meta.ValidateNamespaceName(id.Namespace); err != nil {
		return bad("%v", err)
	}
	if id.Partition >= meta.MaxPartitions {
		return bad("partition %d: want below %d", id.Partition, meta.MaxPartitions)
	}
	if !cut {
		return id, nil
	}
	if s.Partitions == 0 || s.Partitions > meta.MaxPartitions || id.Partition >= s.Partitions {
		return bad("partition %d of %d: want one of 1 to %d", id.Partition, s.Partitions, meta.MaxPartitions)
	}
	if s.Hash != meta.HashCRC16 && s.Hash != meta.HashMurmur3 {
		return bad("hash %q: want %s or %s", s.Hash, meta.HashCRC16, meta.HashMurmur3)
	}
	return id, nil
}

// checkHeader sees that a call's header is whole, and that what it announces may come.
func (s *Server) checkHeader(h *replaypb.Header) (store.SenderID, error) {
	if h == nil {
		return store.SenderID{}, malformed("the first part has no header")
	}
	id, err := checkSender(h.Sender, true)
	if err != nil {
		return id, err
	}
	if err := s.checkSizes(h); err != nil {
		return id, err
	}
	return id, checkCovers(h)
}

func (s *Server) checkSizes(h *replaypb.Header) error {
	most := s.mostPlain()
	switch {
	case h.Size > most || h.PlainSize > most:
		return problem.New(problem.Invalid, "replay: %d bytes, %d unpacked: want at most %d, as max_event_bytes is %d here", h.Size, h.PlainSize, most, s.opts.MaxEventBytes)
	case h.Encoding != replaypb.Header_PLAIN && h.Encoding != replaypb.Header_ZSTD:
		return problem.New(problem.Refused, "replay: encoding %d isn't known here: upgrade this cluster before the one that sends it", h.Encoding)
	case h.Encoding == replaypb.Header_PLAIN && h.Size != h.PlainSize:
		return malformed("size %d, plain size %d of what isn't packed", h.Size, h.PlainSize)
	case len(h.Names) > maxNames:
		return malformed("%d names: want at most %d", len(h.Names), maxNames)
	}
	for i, name := range h.Names {
		if i == 0 && name != "" || i > 0 && name != "" && meta.ValidateClusterID(name) != nil {
			return malformed("name %d is %.300q", i, name)
		}
	}
	return nil
}

func checkCovers(h *replaypb.Header) error {
	switch c := h.Covers.(type) {
	case *replaypb.Header_Range:
		from, to := cursorOf(c.Range.GetFrom()), cursorOf(c.Range.GetTo())
		if to.Compare(from) < 0 || to.Position.IsZero() {
			return malformed("a range from %s to %s", from, to)
		}
	case *replaypb.Header_Chunk:
		if len(c.Chunk.GetAfter()) > maxKey || len(c.Chunk.GetThrough()) > maxKey {
			return malformed("a chunk between keys of %d and %d bytes", len(c.Chunk.GetAfter()), len(c.Chunk.GetThrough()))
		}
		if c.Chunk.GetBase() == nil || positionOf(c.Chunk.Base).IsZero() {
			return malformed("a chunk without base")
		}
	default:
		return malformed("neither a range nor a chunk")
	}
	return nil
}

// checkPeer sees that a cluster can be another one.
func (s *Server) checkPeer(id string) error {
	if err := meta.ValidateClusterID(id); err != nil {
		return problem.New(problem.Invalid, "replay: %v", err)
	}
	if id == s.dir.Cluster() {
		return problem.New(problem.Invalid, "replay: %s is this cluster itself: source and target are the same, or two clusters have one id", id)
	}
	return nil
}

// where is a partition's name for people. What came in is cut to what a namespace can be.
func clean(s string) string {
	if len(s) > meta.MaxNamespaceName {
		s = s[:meta.MaxNamespaceName]
	}
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "?")
	}
	return s
}

func positionOf(p *replaypb.Position) event.Position {
	return event.Position{Term: p.GetTerm(), Index: p.GetIndex()}
}

func positionPB(p event.Position) *replaypb.Position {
	return &replaypb.Position{Term: p.Term, Index: p.Index}
}

func cursorOf(c *replaypb.Cursor) store.Cursor {
	return store.Cursor{Position: positionOf(c.GetPosition()), Done: c.GetDone()}
}

func cursorPB(c store.Cursor) *replaypb.Cursor {
	return &replaypb.Cursor{Position: positionPB(c.Position), Done: c.Done}
}
