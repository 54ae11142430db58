package replay

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed"
	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/replay/problem"
	"github.com/zankv/zankv/replay/replaypb"
)

// theTarget is a cluster in this process: some nodes behind gRPC, partitions with the rules of places. What a sender promises it checks: what it takes must
// follow what it has, mutation by mutation.
type theTarget struct {
	t          *testing.T
	cluster    string
	hash       func([]byte) uint32
	hashName   string
	nodes      []*node
	partitions []*room
	// fault is asked at each call, may wait, and says what becomes of it.
	fault func(call string, partition, sender uint32) fault
	once  bool // nothing is to come twice

	mu      sync.Mutex
	leaders []int // nodes by partition
	applies map[uint32]int
	flying  map[string]int // ranges under way by pair
}

// fault is what becomes of a call.
type fault struct {
	err   error // instead of doing it
	lost  error // after doing it
	cut   bool  // within its parts
	short bool  // only a part of a range is taken
}

type node struct {
	replaypb.UnimplementedReplayServer
	target   *theTarget
	number   int
	address  string
	server   *grpc.Server
	listener *cutter
}

// cutter is a listener whose connections can be cut.
type cutter struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn
}

func (c *cutter) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.mu.Lock()
		c.conns = append(c.conns, conn)
		c.mu.Unlock()
	}
	return conn, err
}

func (c *cutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		conn.Close()
	}
	c.conns = nil
}

// room is one partition of the target.
type room struct {
	mu      sync.Mutex
	state   map[string]*value
	senders map[string]*place
}

// place is a sender's in a partition.
type place struct {
	id      *replaypb.Sender
	reached store.Cursor
	time    int64
	sync    *store.FullSync
	regions []store.Region
	seen    map[string]bool // keys that had rows since Through moved
}

func newTarget(t *testing.T, nodes, partitions int, hashName string) *theTarget {
	target := &theTarget{t: t, cluster: "dst", hashName: hashName, applies: map[uint32]int{}, flying: map[string]int{}}
	target.fault = func(string, uint32, uint32) fault { return fault{} }
	target.serve(t, nodes, partitions, func(n *node) replaypb.ReplayServer { return n })
	return target
}

// serve starts nodes that answer as make says.
func (t *theTarget) serve(tb testing.TB, nodes, partitions int, make func(*node) replaypb.ReplayServer) {
	t.hash, _ = hashOf(t.hashName, uint32(partitions))
	for n := range nodes {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			tb.Fatal(err)
		}
		one := &node{target: t, number: n, address: listener.Addr().String(), listener: &cutter{Listener: listener}, server: grpc.NewServer(feed.ServerOptions()...)}
		replaypb.RegisterReplayServer(one.server, make(one))
		var serving sync.WaitGroup
		serving.Go(func() { one.server.Serve(one.listener) })
		tb.Cleanup(func() {
			one.server.Stop()
			serving.Wait()
		})
		t.nodes = append(t.nodes, one)
	}
	for n := range partitions {
		t.partitions = append(t.partitions, &room{state: map[string]*value{}, senders: map[string]*place{}})
		t.leaders = append(t.leaders, n%nodes)
	}
}

func (t *theTarget) uri(options string) string {
	return "zankv://" + t.nodes[0].address + options
}

func (t *theTarget) move(partition uint32, to int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.leaders[partition] = to
}

// address is where a partition is led; "" if nowhere.
func (t *theTarget) address(partition int) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := t.leaders[partition]; n >= 0 {
		return t.nodes[n].address
	}
	return ""
}

func (n *node) Topology(_ context.Context, req *replaypb.TopologyRequest) (*replaypb.TopologyResponse, error) {
	t := n.target
	if f := t.fault("topology", 0, 0); f.err != nil {
		return nil, f.err
	}
	if req.Namespace != "ns" {
		return nil, problem.New(problem.Unknown, "there is no namespace %q", req.Namespace)
	}
	r := &replaypb.TopologyResponse{Cluster: t.cluster, Hash: t.hashName, Namespaces: []string{"ns"}}
	for _, one := range t.nodes {
		r.Nodes = append(r.Nodes, &replaypb.Node{Id: uint64(one.number + 1), Grpc: one.address, Alive: true})
	}
	for p := range t.partitions {
		r.Partitions = append(r.Partitions, &replaypb.Partition{Number: uint32(p), Leader: t.address(p)})
	}
	return r, nil
}

// enter is who a call may reach: the leader's partition, and the sender's place there.
func (n *node) enter(partition uint32, sender *replaypb.Sender, make bool) (*room, *place, error) {
	t := n.target
	if int(partition) >= len(t.partitions) {
		return nil, nil, problem.New(problem.Unknown, "there is no partition %d", partition)
	}
	if leader := t.address(int(partition)); leader != n.address {
		return nil, nil, &problem.Error{Kind: problem.Elsewhere, Leader: leader, What: "it is led elsewhere"}
	}
	r := t.partitions[partition]
	r.mu.Lock()
	defer r.mu.Unlock()
	id := fmt.Sprint(sender.Cluster, sender.Namespace, sender.Partition)
	p := r.senders[id]
	if p == nil && !make {
		return nil, nil, problem.New(problem.Refused, "the sender isn't known")
	}
	if p == nil {
		p = &place{id: sender}
		r.senders[id] = p
	}
	return r, p, nil
}

func (n *node) answer(p *place) *replaypb.OpenResponse {
	r := &replaypb.OpenResponse{Cluster: n.target.cluster, Reached: pbCursor(p.reached), Time: p.time, NeedsSync: p.reached.Position.IsZero() || p.sync != nil, MaxEventBytes: 1 << 20}
	if p.sync != nil {
		r.Base, r.Through = pbPosition(p.first()), p.sync.Through
	}
	return r
}

// first is the least base of a full sync: where the log goes on.
func (p *place) first() event.Position {
	least := p.sync.Base
	for _, r := range p.regions {
		if r.Base.Compare(least) < 0 {
			least = r.Base
		}
	}
	return least
}

func (n *node) Open(_ context.Context, req *replaypb.OpenRequest) (*replaypb.OpenResponse, error) {
	f := n.target.fault("open", req.Partition, req.Sender.Partition)
	if f.err != nil {
		return nil, f.err
	}
	r, p, err := n.enter(req.Partition, req.Sender, true)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return n.answer(p), f.lost
}

func (n *node) Begin(_ context.Context, req *replaypb.BeginRequest) (*replaypb.OpenResponse, error) {
	f := n.target.fault("begin", req.Partition, req.Sender.Partition)
	if f.err != nil {
		return nil, f.err
	}
	r, p, err := n.enter(req.Partition, req.Sender, false)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	base := positionOf(req.Base)
	switch {
	case p.sync == nil:
		p.sync, p.regions = &store.FullSync{Base: base, Time: req.Time}, nil
		p.reached = store.Cursor{}
	case p.sync.Base != base:
		if len(p.sync.Through) > 0 {
			p.regions = append(p.regions, store.Region{Through: p.sync.Through, Base: p.sync.Base, Time: p.sync.Time})
		}
		p.sync.Base, p.sync.Time = base, req.Time
	}
	p.sync.Parts, p.seen = 0, map[string]bool{}
	return n.answer(p), f.lost
}

func (n *node) Apply(stream grpc.ClientStreamingServer[replaypb.ApplyRequest, replaypb.ApplyResponse]) error {
	t := n.target
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	came := 1
	h := first.Header
	f := t.fault("apply", h.Partition, h.Sender.Partition)
	if f.err != nil {
		return f.err
	}
	r, p, err := n.enter(h.Partition, h.Sender, false)
	if err != nil {
		return err
	}
	pair := fmt.Sprint(h.Sender.Partition, "→", h.Partition)
	t.count(pair, h.Partition, 1)
	defer t.count(pair, h.Partition, -1)
	body := bytes.Clone(first.Data)
	defer func() {
		if parts := (len(body) + partBytes - 1) / partBytes; came < parts {
			t.t.Errorf("%d bytes came in %d parts", len(body), came)
		}
	}()
	for req := first; !req.Last; {
		if f.cut {
			n.listener.cut()
			return status.Error(codes.Unavailable, "cut")
		}
		if req, err = stream.Recv(); err != nil {
			return err
		}
		came++
		body = append(body, req.Data...)
	}
	switch more, err := stream.Recv(); {
	case err == nil:
		t.t.Errorf("after the last part came one of %d bytes", len(more.Data))
	case err != io.EOF: // the caller is gone; what it sent may take effect all the same
	}
	if body, err = t.plain(h, body); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var resp *replaypb.ApplyResponse
	if c := h.GetChunk(); c != nil {
		resp, err = t.chunk(r, p, h, c, body)
	} else {
		resp, err = t.apply(r, p, h, body, f.short)
	}
	if err == nil && f.lost != nil {
		err = f.lost
	}
	return respond(stream, resp, err)
}

func respond(stream grpc.ClientStreamingServer[replaypb.ApplyRequest, replaypb.ApplyResponse], resp *replaypb.ApplyResponse, err error) error {
	if err != nil {
		return err
	}
	return stream.SendAndClose(resp)
}

// count keeps how many ranges of a pair are under way.
func (t *theTarget) count(pair string, partition uint32, by int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flying[pair] += by
	if by > 0 {
		t.applies[partition]++
	}
}

var decoder, _ = zstd.NewReader(nil)

func (t *theTarget) plain(h *replaypb.Header, body []byte) ([]byte, error) {
	if uint64(len(body)) != h.Size {
		t.t.Errorf("%d bytes came of %d", len(body), h.Size)
	}
	if h.Encoding == replaypb.Header_ZSTD {
		var err error
		if body, err = decoder.DecodeAll(body, nil); err != nil {
			return nil, problem.New(problem.Invalid, "%v", err)
		}
	}
	if uint64(len(body)) != h.PlainSize {
		t.t.Errorf("%d plain bytes came of %d", len(body), h.PlainSize)
	}
	return body, nil
}

// apply is a range, under the rules of places. short takes only a part of it.
func (t *theTarget) apply(r *room, p *place, h *replaypb.Header, body []byte, short bool) (*replaypb.ApplyResponse, error) {
	from, to := cursorOf(h.GetRange().From), cursorOf(h.GetRange().To)
	if p.reached.Position.IsZero() || p.sync != nil {
		return nil, problem.New(problem.NeedsSync, "there is no place")
	}
	if from.Compare(p.reached) > 0 {
		return nil, &problem.Error{Kind: problem.Gap, What: "it begins beyond the place"}
	}
	var content replaypb.Range
	if err := proto.Unmarshal(body, &content); err != nil {
		return nil, problem.New(problem.Invalid, "%v", err)
	}
	resp := &replaypb.ApplyResponse{}
	left := 1 + rand.IntN(8)
	last := from
	for _, s := range content.Slices {
		var ev event.Event
		if err := event.Decode(s.Event, &ev); err != nil {
			return nil, problem.New(problem.Invalid, "%v", err)
		}
		for i := range ev.Mutations {
			number := uint32(i)
			if len(s.Numbers) > 0 {
				number = s.Numbers[i]
			}
			at := store.Cursor{Position: event.Position{Term: s.Term, Index: s.Index}, Done: number + 1}
			if at.Compare(last) <= 0 || at.Compare(to) > 0 {
				t.t.Errorf("mutation %s after %s, in a range from %s to %s", at, last, from, to)
			}
			last = at
			if at.Compare(p.reached) <= 0 {
				resp.Skipped++
				continue
			}
			if left--; short && left < 0 {
				resp.Reached = pbCursor(p.reached)
				return resp, nil
			}
			t.mutation(r, p, at, &ev.Mutations[i], h.Names)
			p.reached = at
			resp.Applied++
		}
	}
	if to.Compare(p.reached) > 0 {
		p.reached = to
	}
	p.time = max(p.time, h.GetRange().Time)
	resp.Reached = pbCursor(p.reached)
	return resp, nil
}

// mutation is one that isn't here yet: it has to follow what is.
func (t *theTarget) mutation(r *room, p *place, at store.Cursor, m *event.Mutation, names []string) {
	for _, region := range p.regions {
		if len(region.Through) == 0 || bytes.Compare(m.Key, region.Through) <= 0 {
			if at.Position.Compare(region.Base) <= 0 {
				return
			}
			break
		}
	}
	v := r.state[string(m.Key)]
	if v == nil {
		v = &value{}
		r.state[string(m.Key)] = v
	}
	if m.Prev.Time != v.version.Time {
		t.t.Errorf("%s of %q follows version %d, stored is %d", at, m.Key, m.Prev.Time, v.version.Time)
	}
	if int(m.Version.Cluster) >= len(names) || names[m.Version.Cluster] != p.id.Cluster {
		t.t.Errorf("%s: version of cluster %d in %v", at, m.Version.Cluster, names)
	}
	v.apply(m)
}

// chunk is rows of a sender's state.
func (t *theTarget) chunk(r *room, p *place, h *replaypb.Header, c *replaypb.ChunkHeader, body []byte) (*replaypb.ApplyResponse, error) {
	switch {
	case p.sync == nil && c.End && p.reached.Position == positionOf(c.Base): // it is done
		return &replaypb.ApplyResponse{Reached: pbCursor(p.reached)}, nil
	case p.sync == nil || p.sync.Base != positionOf(c.Base):
		return nil, problem.New(problem.Superseded, "it is of another base")
	case bytes.Compare(c.After, p.sync.Through) > 0 || bytes.Equal(c.After, p.sync.Through) && c.Part > p.sync.Parts:
		return nil, &problem.Error{Kind: problem.Gap, What: "the chunk begins beyond the place"}
	case !c.End && bytes.Compare(c.Through, c.After) < 0:
		t.t.Errorf("a chunk after %q through %q", c.After, c.Through)
	}
	var content replaypb.Chunk
	if err := proto.Unmarshal(body, &content); err != nil {
		return nil, problem.New(problem.Invalid, "%v", err)
	}
	if t.once && !c.End && (bytes.Compare(c.After, p.sync.Through) < 0 || c.Part != p.sync.Parts) {
		t.t.Errorf("chunk %d after %q, at %d after %q", c.Part, c.After, p.sync.Parts, p.sync.Through)
	}
	again := bytes.Equal(c.After, p.sync.Through) && c.Part < p.sync.Parts
	s := p.sync
	var last []byte
	for _, encoded := range content.Events {
		var ev event.Event
		if err := event.Decode(encoded, &ev); err != nil {
			return nil, problem.New(problem.Invalid, "%v", err)
		}
		for i := range ev.Mutations {
			m := &ev.Mutations[i]
			if bytes.Compare(m.Key, c.After) <= 0 || bytes.Compare(m.Key, last) < 0 || t.hash(m.Key) != uint32(slicesIndex(t.partitions, r)) {
				t.t.Errorf("row %q in a chunk after %q, behind %q", m.Key, c.After, last)
			}
			last = bytes.Clone(m.Key)
			if bytes.Compare(m.Key, s.Through) <= 0 {
				continue
			}
			v := r.state[string(m.Key)]
			if v == nil || m.Op != event.OpHSet || m.Whole {
				v = &value{}
				r.state[string(m.Key)] = v
			} else if !p.seen[string(m.Key)] {
				t.t.Errorf("key %q goes on, but didn't begin", m.Key)
			}
			v.apply(m)
			p.seen[string(m.Key)] = true
		}
	}
	if c.End || bytes.Compare(c.Through, s.Through) > 0 {
		mine, err := hashOf(p.id.Hash, p.id.Partitions)
		if err != nil {
			return nil, problem.New(problem.Invalid, "%v", err)
		}
		for key := range r.state {
			if mine([]byte(key)) == p.id.Partition && key > string(s.Through) && (c.End || key <= string(c.Through)) && !p.seen[key] {
				delete(r.state, key)
			}
		}
		s.Through, s.Parts = bytes.Clone(c.Through), 0
		if last != nil && bytes.Compare(last, c.Through) > 0 {
			s.Parts = 1
		}
		for key := range p.seen {
			if key <= string(s.Through) {
				delete(p.seen, key)
			}
		}
	} else if !again {
		s.Parts++
	}
	if c.End {
		p.reached, p.time = store.Cursor{Position: p.first(), Done: store.AllDone}, s.Time
		if len(p.regions) > 0 {
			p.regions = append(p.regions, store.Region{Base: s.Base, Time: s.Time})
		}
		p.sync = nil
		return &replaypb.ApplyResponse{Reached: pbCursor(p.reached)}, nil
	}
	return &replaypb.ApplyResponse{Reached: pbCursor(p.reached), Through: s.Through, Part: s.Parts}, nil
}

func slicesIndex(all []*room, r *room) int {
	for i, x := range all {
		if x == r {
			return i
		}
	}
	return -1
}

// check is that the target holds what the sources do.
func (t *theTarget) check(sources ...*source) {
	t.t.Helper()
	for _, s := range sources {
		s.mu.Lock()
		want := s.states[len(s.states)-1]
		s.mu.Unlock()
		have := map[string]*value{}
		for n, r := range t.partitions {
			r.mu.Lock()
			for key, v := range r.state {
				if s.hash([]byte(key)) != s.number {
					continue
				}
				if t.hash([]byte(key)) != uint32(n) {
					t.t.Errorf("key %q is in partition %d", key, n)
				}
				have[key] = v
			}
			r.mu.Unlock()
		}
		for key, v := range want {
			if have[key] == nil || have[key].String() != v.String() {
				t.t.Errorf("partition %d, key %q: %v, want %v", s.number, key, have[key], v)
			}
			delete(have, key)
		}
		for key, v := range have {
			t.t.Errorf("partition %d, key %q is there as well: %v", s.number, key, v)
		}
	}
}
