package serve

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/partition"
	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/replay/problem"
	"github.com/zankv/zankv/replay/replaypb"
)

// Apply implements the service.
func (s *Server) Apply(stream grpc.ClientStreamingServer[replaypb.ApplyRequest, replaypb.ApplyResponse]) error {
	if n := s.calls.Add(1); n > int64(s.opts.MaxCalls) {
		s.calls.Add(-1)
		return s.answer(problem.New(problem.Overload, "replay: %d calls are served already: send it again later", s.opts.MaxCalls))
	}
	defer s.calls.Add(-1)
	slow := status.Errorf(codes.DeadlineExceeded, "replay: the call took over %s", s.opts.CallWithin)
	ctx, cancel := context.WithTimeoutCause(stream.Context(), s.opts.CallWithin, slow)
	defer cancel()
	c := &call{server: s, ctx: ctx, lease: lease{budget: s.budget}}
	defer c.lease.end()
	resp, err := c.serve(stream)
	if err != nil {
		return s.answer(err)
	}
	return stream.SendAndClose(resp)
}

// call is one call of Apply.
type call struct {
	server *Server
	ctx    context.Context
	header *replaypb.Header
	sender store.SenderID
	target *led
	lease  lease
	plain  []byte // the Range or Chunk
	came   time.Time
}

func (c *call) serve(stream receiver) (*replaypb.ApplyResponse, error) {
	in := c.server.receive(stream)
	defer in.end()
	first, err := in.next(c.ctx)
	if err != nil {
		return nil, err
	}
	if err := c.begin(first.Header); err != nil {
		return nil, err
	}
	if err := c.collect(in, first); err != nil {
		return nil, err
	}
	c.came = c.server.opts.Clock()
	resp, err := c.apply()
	c.server.note(c, resp, err)
	return resp, err
}

// begin checks what the header says, and whether this is the place for it.
func (c *call) begin(h *replaypb.Header) (err error) {
	if c.sender, err = c.server.checkHeader(h); err != nil {
		return err
	}
	if err = c.server.checkPeer(c.sender.Cluster); err != nil {
		return err
	}
	c.header = h
	c.target, err = c.server.leading(h.Namespace, h.Partition)
	return err
}

// collect gets all parts, and unpacks them. Memory is taken before anything of it is allocated, for all at once: two calls that each held a part of
// what they need would wait for each other.
func (c *call) collect(in *parts, first *replaypb.ApplyRequest) error {
	h := c.header
	packed := h.Encoding == replaypb.Header_ZSTD
	need := int64(h.Size)
	if packed {
		need += int64(h.PlainSize)
	}
	if err := c.lease.take(c.ctx, need); err != nil {
		return err
	}
	data, err := in.gather(c.ctx, first, int(h.Size))
	if err != nil {
		return err
	}
	c.server.metrics.Bytes.Add(h.Size)
	c.server.metrics.Plain.Add(h.PlainSize)
	if c.plain = data; !packed {
		return nil
	}
	if c.plain, err = c.server.unpack.unpack(data, int(h.PlainSize)); err != nil {
		return err
	}
	c.lease.give(int64(h.Size))
	return nil
}

// apply decodes what came, and hands it to the replica.
func (c *call) apply() (*replaypb.ApplyResponse, error) {
	var done partition.Replayed
	var err error
	if ch := c.header.GetChunk(); ch != nil {
		done, err = c.chunk(ch)
	} else {
		done, err = c.slices(c.header.GetRange())
	}
	if err != nil {
		return nil, c.target.problem(err)
	}
	resp := &replaypb.ApplyResponse{
		Reached: cursorPB(done.Sender.Reached), Applied: done.Applied, Skipped: done.Skipped, Conflicts: done.Conflicts,
	}
	if sync := done.Sender.Sync; sync != nil {
		resp.Through, resp.Part = sync.Through, sync.Parts
	}
	return resp, nil
}

// names are the header's, by number.
func (c *call) names() event.Names {
	names := make(event.Names, max(len(c.header.Names), 1))
	copy(names, c.header.Names)
	return names
}

func (c *call) slices(h *replaypb.RangeHeader) (done partition.Replayed, err error) {
	count, err := countRange(c.plain)
	if err != nil {
		return done, err
	}
	if err := c.lease.take(c.ctx, count.bytes()); err != nil {
		return done, err
	}
	r := &partition.Range{Sender: c.sender, From: cursorOf(h.From), To: cursorOf(h.To), Time: h.Time, Names: c.names()}
	d := decoder{names: r.Names}
	if r.Slices, err = d.slices(c.plain, &count); err != nil {
		return done, err
	}
	c.server.metrics.Ranges.Add(1)
	return c.target.Replay(c.ctx, r)
}

func (c *call) chunk(h *replaypb.ChunkHeader) (done partition.Replayed, err error) {
	state, err := c.target.state()
	if err != nil {
		return done, err
	}
	count, err := countChunk(c.plain)
	if err != nil {
		return done, err
	}
	if err := c.lease.take(c.ctx, count.bytes()); err != nil {
		return done, err
	}
	ch := &partition.Chunk{
		Sender: c.sender, Base: positionOf(h.Base), After: h.After, Through: h.Through, End: h.End, Part: h.Part, Names: c.names(),
	}
	d := decoder{names: ch.Names}
	if ch.Rows, err = d.rows(c.plain, &count); err != nil {
		return done, err
	}
	c.server.metrics.Chunks.Add(1)
	return state.ReplayChunk(c.ctx, ch)
}
