package feed

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed/feedpb"
)

// Snapshot serves one stream of a partition's state.
func (s *Server) Snapshot(req *feedpb.SnapshotRequest, stream grpc.ServerStreamingServer[feedpb.SnapshotResponse]) error {
	if n := s.metrics.Snapshots.Add(1); n > int64(s.opts.MaxSnapshots) {
		s.metrics.Snapshots.Add(-1)
		return status.Errorf(codes.ResourceExhausted, "feed: %d snapshots are served already; try another replica", s.opts.MaxSnapshots)
	}
	defer s.metrics.Snapshots.Add(-1)
	src, err := s.source(stream.Context(), req.Namespace, req.Partition)
	if err != nil {
		return toStatus(err)
	}
	reader, err := openState(src, req)
	if err != nil {
		return toStatus(err)
	}
	defer reader.Close()
	out := &snapshot{server: s, req: req, stream: stream, reader: reader, cut: reader.Cut()}
	return toStatus(out.serve(src.ClusterID()))
}

// openState opens a replica's state, if it is not from before what the reader has.
func openState(src Source, req *feedpb.SnapshotRequest) (StateReader, error) {
	from, ok := src.(StateSource)
	if !ok {
		return nil, status.Error(codes.Unimplemented, "feed: this server has no snapshots")
	}
	reader, err := from.OpenState(req.AfterKey, req.Tombstones)
	if err != nil {
		return nil, err
	}
	if want, applied := fromPB(req.AtLeast), reader.Cut().Applied; want.Index > applied.Index {
		reader.Close()
		return nil, ahead(fmt.Sprintf("%s-%d", req.Namespace, req.Partition), want, applied.Index)
	}
	return reader, nil
}

// snapshot is one state being sent.
type snapshot struct {
	server *Server
	req    *feedpb.SnapshotRequest
	stream grpc.ServerStreamingServer[feedpb.SnapshotResponse]
	reader StateReader
	cut    Cut

	digest event.Chain // of what was sent
	rows   uint64
	keys   uint64
	key    []byte // of the last row
	sent   time.Time
	tired  atomic.Bool // the reader took too long, and the state was closed
}

func (s *snapshot) serve(cluster string) error {
	base := &feedpb.SnapshotBase{
		Cluster: cluster, Namespace: s.req.Namespace, Partition: s.req.Partition, Position: toPB(s.cut.LastEvent), Chain: s.cut.Chain[:],
		Applied: toPB(s.cut.Applied), Names: s.cut.Names, WallMs: s.cut.Wall, Time: s.cut.Time, Keys: s.cut.Keys,
		Horizons: s.cut.Horizons, Tombstones: s.req.Tombstones,
	}
	s.digest = s.cut.Chain
	if err := s.send(&feedpb.SnapshotResponse{Body: &feedpb.SnapshotResponse_Base{Base: base}}); err != nil {
		return err
	}
	for {
		rows, err := s.reader.Next()
		switch {
		case errors.Is(err, io.EOF):
			end := &feedpb.SnapshotEnd{Rows: s.rows, Digest: s.digest[:], Keys: s.keys}
			return s.send(&feedpb.SnapshotResponse{Body: &feedpb.SnapshotResponse_End{End: end}})
		case err != nil && s.tired.Load():
			return status.Errorf(codes.DeadlineExceeded, "feed %s-%d: the snapshot's reader took nothing for %s: it is given up, to free what it holds on disk",
				s.req.Namespace, s.req.Partition, s.server.opts.Patience)
		case err != nil:
			return err
		case len(rows) > 0 || time.Since(s.sent) > s.server.opts.Bookmark:
			if err := s.sendRows(rows); err != nil {
				return err
			}
		}
		if err := s.stream.Context().Err(); err != nil {
			return err
		}
	}
}

// sendRows sends rows; none, to say that it goes on.
func (s *snapshot) sendRows(rows []event.Mutation) error {
	m := &feedpb.SnapshotRows{Count: uint32(len(rows))}
	if len(rows) > 0 {
		m.Event = event.Append(make([]byte, 0, sizeOf(rows)), &event.Event{Time: s.cut.Time, Wall: s.cut.Wall, Term: s.cut.Applied.Term, Mutations: rows})
		s.digest = nextDigest((*[len(s.digest)]byte)(&s.digest), m.Event)
	}
	m.Digest = append(m.Digest, s.digest[:]...)
	s.count(rows)
	return s.send(&feedpb.SnapshotResponse{Body: &feedpb.SnapshotResponse_Rows{Rows: m}})
}

// sizeOf is about what rows take in the logged form.
func sizeOf(rows []event.Mutation) int {
	const ofEvent, ofRow, ofElement = 32, 96, 32
	n := ofEvent
	for i := range rows {
		n += ofRow + len(rows[i].Key) + len(rows[i].Value)
		for j := range rows[i].Elements {
			n += ofElement + len(rows[i].Elements[j].Sub) + len(rows[i].Elements[j].Value)
		}
	}
	return n
}

func (s *snapshot) count(rows []event.Mutation) {
	for i := range rows {
		if s.rows == 0 && i == 0 || string(s.key) != string(rows[i].Key) {
			s.keys++
			s.key = append(s.key[:0], rows[i].Key...)
		}
	}
	s.rows += uint64(len(rows))
	s.server.metrics.Rows.Add(uint64(len(rows)))
}

// send waits until gRPC takes the message. A reader that takes nothing for too long loses the state: as long as it is open the engine
// can free no disk space of what is overwritten.
func (s *snapshot) send(m *feedpb.SnapshotResponse) error {
	tired := time.AfterFunc(s.server.opts.Patience, func() {
		s.tired.Store(true)
		s.reader.Close()
	})
	defer tired.Stop()
	if err := s.stream.Send(m); err != nil {
		return fmt.Errorf("feed %s-%d: send: %w", s.req.Namespace, s.req.Partition, err)
	}
	s.sent = time.Now()
	return nil
}
