package multiraft

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"go.etcd.io/etcd/raft/v3/raftpb"

	"github.com/zankv/zankv/cluster/transport"
	"github.com/zankv/zankv/wal"
)

// Sender is the transport as the loop uses it.
type Sender interface {
	Send(to transport.NodeID, msgs []transport.Message)
	SendSnapshot(ctx context.Context, to transport.NodeID, h transport.SnapshotHeader, dir string) error
}

// Options of a Node. Log, Transport and Logger are required.
type Options struct {
	Log       *wal.Log
	Transport Sender
	Logger    *slog.Logger
	// Tick is raft's unit of time (default 100 ms); an election starts after ElectionTicks (10) without a leader's word,
	// a leader gives it every HeartbeatTicks (1).
	Tick           time.Duration
	ElectionTicks  int
	HeartbeatTicks int
	// MaxBacklog bounds what a state machine may have waiting to be applied, in bytes (default 64 MiB): a replica that is
	// behind by more takes no new entries until it has caught up.
	MaxBacklog int64
}

func (o *Options) setDefaults() {
	if o.Tick == 0 {
		o.Tick = 100 * time.Millisecond
	}
	if o.ElectionTicks == 0 {
		o.ElectionTicks = 10
	}
	if o.HeartbeatTicks == 0 {
		o.HeartbeatTicks = 1
	}
	if o.MaxBacklog == 0 {
		o.MaxBacklog = 64 << 20
	}
}

// ErrStopped is returned for groups of a node that has stopped.
var ErrStopped = errors.New("multiraft: the node stopped")

type inbound struct {
	group *Group
	msg   raftpb.Message
	dir   string // of a snapshot's files
}

type task struct {
	group *Group
	do    func()
}

// arrivals are what came in from outside the loop.
type arrivals struct {
	msgs    []inbound
	tasks   []task
	touched []*Group
}

// reset empties a, keeps its memory and lets go of what it referred to.
func (a *arrivals) reset() {
	clear(a.msgs)
	clear(a.tasks)
	clear(a.touched)
	a.msgs, a.tasks, a.touched = a.msgs[:0], a.tasks[:0], a.touched[:0]
}

// Node drives the groups of one data node.
type Node struct {
	opts    Options
	ctx     context.Context // ends when Run does
	stop    context.CancelFunc
	wake    chan struct{}
	stopped chan struct{}
	tasks   sync.WaitGroup

	groups struct {
		sync.RWMutex
		byID map[uint64]*Group
	}

	// inbox is what came in since the last round.
	inbox struct {
		sync.Mutex
		arrivals
		err error
	}

	// The rest belongs to the loop.
	round   []*Group // groups to look after in this round
	working []*Group // those of them whose Ready is being worked off
	spare   arrivals // what the last round took, for its memory
	outbox  map[transport.NodeID][]transport.Message
	updates []wal.Update
}

// New returns a Node that does nothing until Run.
func New(opts Options) *Node {
	opts.setDefaults()
	n := &Node{
		opts: opts, wake: make(chan struct{}, 1), stopped: make(chan struct{}),
		outbox: make(map[transport.NodeID][]transport.Message),
	}
	n.ctx, n.stop = context.WithCancel(context.Background())
	n.groups.byID = make(map[uint64]*Group)
	return n
}

// Add starts a replica. Its state machine is called from now on.
func (n *Node) Add(cfg GroupConfig) (*Group, error) {
	var g *Group
	err := n.wait(func() (err error) {
		g, err = newGroup(n, cfg)
		if err != nil {
			return err
		}
		n.groups.Lock()
		n.groups.byID[cfg.ID] = g
		n.groups.Unlock()
		if cfg.Campaign && (g.voteGrace == 0 || g.alone()) {
			_ = g.raft.Campaign() // refused only when it may not stand, and then the others elect one
		}
		n.include(g)
		return nil
	})
	return g, err
}

// Remove stops a replica: its state machine isn't called any more once Remove has returned. It waits for an installation
// under way, so that it must not be called by who has to take part in one.
func (n *Node) Remove(id uint64) error {
	var g *Group
	err := n.wait(func() error {
		n.groups.Lock()
		defer n.groups.Unlock()
		if g = n.groups.byID[id]; g != nil {
			g.removed = true
			g.lease.drop()
			g.reads.fail()
		}
		delete(n.groups.byID, id)
		return nil
	})
	if err == nil && g != nil {
		g.installing.Wait()
	}
	return err
}

// Group finds a replica by its group's id, nil if there is none.
func (n *Node) Group(id uint64) *Group {
	n.groups.RLock()
	defer n.groups.RUnlock()
	return n.groups.byID[id]
}

// wait runs f in the loop and returns what it returned.
func (n *Node) wait(f func() error) error {
	done := make(chan error, 1)
	n.do(nil, func() { done <- f() })
	select {
	case err := <-done:
		return err
	case <-n.stopped:
		return ErrStopped
	}
}

// do runs f in the loop's next round; the group, if any, is looked after in that round.
func (n *Node) do(g *Group, f func()) {
	n.inbox.Lock()
	n.inbox.tasks = append(n.inbox.tasks, task{group: g, do: f})
	n.inbox.Unlock()
	n.poke()
}

func (n *Node) touch(g *Group) {
	n.inbox.Lock()
	n.inbox.touched = append(n.inbox.touched, g)
	n.inbox.Unlock()
	n.poke()
}

func (n *Node) poke() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// fail makes Run end with err.
func (n *Node) fail(err error) {
	n.inbox.Lock()
	if n.inbox.err == nil {
		n.inbox.err = err
	}
	n.inbox.Unlock()
	n.poke()
}

// Deliver takes messages of another node, in their order. It implements the transport's handler.
func (n *Node) Deliver(_ transport.NodeID, msgs []transport.Message) {
	n.groups.RLock()
	defer n.groups.RUnlock()
	n.inbox.Lock()
	defer n.inbox.Unlock()
	for i := range msgs {
		if g := n.groups.byID[msgs[i].Group]; g != nil {
			n.inbox.msgs = append(n.inbox.msgs, inbound{group: g, msg: msgs[i].Message})
		}
	}
	n.poke()
}

// DeliverSnapshot takes a snapshot message whose files have arrived in dir; dir is the node's from here on.
func (n *Node) DeliverSnapshot(group uint64, message []byte, dir string) error {
	var m raftpb.Message
	if err := m.Unmarshal(message); err != nil {
		return fmt.Errorf("multiraft: group %d: snapshot message: %w", group, err)
	}
	g := n.Group(group)
	if g == nil {
		return fmt.Errorf("multiraft: group %d has no replica here", group)
	}
	n.inbox.Lock()
	n.inbox.msgs = append(n.inbox.msgs, inbound{group: g, msg: m, dir: dir})
	n.inbox.Unlock()
	n.poke()
	return nil
}

// IncomingDir names a folder for the files of a snapshot that another node is about to send.
func (n *Node) IncomingDir(group uint64) (string, error) {
	g := n.Group(group)
	if g == nil {
		return "", fmt.Errorf("multiraft: group %d has no replica here", group)
	}
	return g.cfg.Machine.IncomingDir()
}

// Unreachable tells raft that messages to a node were lost.
func (n *Node) Unreachable(to transport.NodeID) {
	n.do(nil, func() {
		n.groups.RLock()
		defer n.groups.RUnlock()
		for _, g := range n.groups.byID {
			for replica, node := range g.cfg.Nodes {
				if node == to && replica != g.cfg.Replica {
					g.raft.ReportUnreachable(replica)
				}
			}
		}
	})
}

// Run is the loop. It returns nil when ctx ends and an error when the node can't go on: then nothing more may be
// acknowledged, and the process must exit.
func (n *Node) Run(ctx context.Context) error {
	defer n.tasks.Wait()
	defer close(n.stopped)
	defer n.stop()
	// A ticker drops ticks that nobody took: what was missed is not made up for (invariant 4).
	ticker := time.NewTicker(n.opts.Tick)
	defer ticker.Stop()
	for {
		tick := false
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			tick = true
		case <-n.wake:
			select {
			case <-ticker.C:
				tick = true
			default:
			}
		}
		// Whoever can run now runs first: what they add shares this round's sync. Nobody waits for longer than that.
		runtime.Gosched()
		if err := n.goRound(tick); err != nil {
			return err
		}
	}
}

// goRound does everything that can be done now, with at most one sync of the log.
func (n *Node) goRound(tick bool) error {
	if tick {
		n.tick()
	}
	if err := n.takeInbox(); err != nil {
		return err
	}
	for _, g := range n.round {
		if g.removed {
			continue
		}
		g.reads.ask(g.raft)
		g.propose()
	}
	n.working = n.working[:0]
	for _, g := range n.round {
		g.inRound = false
		if !g.removed && g.collect() {
			n.working = append(n.working, g)
		}
	}
	n.round = n.round[:0]
	n.flush()
	if err := n.persist(); err != nil {
		return err
	}
	for _, g := range n.working {
		g.finish()
	}
	n.flush()
	for _, g := range n.working {
		if g.held == nil && g.raft.HasReady() {
			n.include(g)
		}
	}
	if len(n.round) > 0 {
		n.poke()
	}
	return nil
}

func (n *Node) tick() {
	n.groups.RLock()
	defer n.groups.RUnlock()
	for _, g := range n.groups.byID {
		g.tick()
		n.include(g)
	}
}

// include has a group looked after in this round.
func (n *Node) include(g *Group) {
	if !g.inRound {
		g.inRound = true
		n.round = append(n.round, g)
	}
}

func (n *Node) takeInbox() error {
	n.inbox.Lock()
	work, err := n.inbox.arrivals, n.inbox.err
	n.inbox.arrivals = n.spare
	n.inbox.Unlock()
	if err != nil {
		return err
	}
	defer func() {
		work.reset()
		n.spare = work
	}()
	for i := range work.msgs {
		g := work.msgs[i].group
		if g.removed {
			if dir := work.msgs[i].dir; dir != "" {
				g.discardDir(dir)
			}
			continue
		}
		g.step(work.msgs[i].msg, work.msgs[i].dir)
		n.include(g)
	}
	for _, t := range work.tasks {
		if t.group != nil {
			if t.group.removed {
				continue
			}
			n.include(t.group)
		}
		t.do()
	}
	for _, g := range work.touched {
		if !g.removed {
			n.include(g)
		}
	}
	return nil
}

// persist writes what the groups of the round have to remember.
func (n *Node) persist() error {
	n.updates = n.updates[:0]
	for _, g := range n.working {
		if u, ok := g.update(); ok {
			n.updates = append(n.updates, u)
		}
	}
	if len(n.updates) == 0 {
		return nil
	}
	if err := n.opts.Log.Append(n.updates); err != nil {
		return fmt.Errorf("multiraft: %w", err)
	}
	return nil
}

// queue keeps a message for its node until flush.
func (n *Node) queue(to transport.NodeID, m transport.Message) {
	n.outbox[to] = append(n.outbox[to], m)
}

func (n *Node) flush() {
	for to, msgs := range n.outbox {
		if len(msgs) > 0 {
			n.opts.Transport.Send(to, msgs)
			clear(msgs)
			n.outbox[to] = msgs[:0]
		}
	}
}
