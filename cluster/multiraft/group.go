package multiraft

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"unsafe"

	"go.etcd.io/etcd/raft/v3"
	"go.etcd.io/etcd/raft/v3/quorum"
	"go.etcd.io/etcd/raft/v3/raftpb"

	"github.com/zankv/zankv/cluster/transport"
	"github.com/zankv/zankv/wal"
)

// GroupConfig describes one replica of one group.
type GroupConfig struct {
	ID      uint64
	Replica uint64                      // this replica's raft id
	Nodes   map[uint64]transport.NodeID // where each replica of the group is
	// Applied, AppliedTerm and ConfState are what the state machine holds.
	Applied, AppliedTerm uint64
	ConfState            raftpb.ConfState
	Machine              StateMachine
	// Campaign makes the replica stand for election at once: the preferred leader of a new group. One that has voted or followed
	// before doesn't, unless it is alone: it may have promised a leader not to (lease.go).
	Campaign bool
	// Unsynced is the namespace's optimizedfsync: entries are written but not synced before they are acknowledged.
	Unsynced bool
}

// Group is one replica of one group on this node.
type Group struct {
	node  *Node
	cfg   GroupConfig
	raft  *raft.RawNode
	log   *wal.Group
	lease lease

	// The rest belongs to the loop.
	known      Leadership
	voters     quorum.JointConfig // refreshed when the configuration changes
	unassigned []*Proposal        // appended to raft's log, index not yet seen
	generation uint64             // proposals of an older generation are dropped
	voteGrace  int64              // no votes are granted before this monotonic time
	reads      readIndexes
	held       *raft.Ready // waits for a snapshot to be installed
	installing sync.WaitGroup
	incoming   string // folder of the snapshot that was stepped last
	ready      raft.Ready
	inRound    bool
	removed    bool
	lostLog    bool // it was said that the log lacks what was acknowledged
}

var discard = &raft.DefaultLogger{Logger: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}

func newGroup(n *Node, cfg GroupConfig) (*Group, error) {
	g := &Group{node: n, cfg: cfg, log: n.opts.Log.Group(cfg.ID)}
	g.lease.duration = leaseDuration(n.opts.Tick, n.opts.ElectionTicks)
	g.lease.acks, g.lease.pending = make(map[uint64]int64), make(map[uint64]bool)
	if !raft.IsEmptyHardState(g.log.HardState()) {
		g.voteGrace = monotonic() + int64(n.opts.Tick)*int64(n.opts.ElectionTicks)
	}
	if err := g.alignLog(); err != nil {
		return nil, err
	}
	r, err := raft.NewRawNode(&raft.Config{
		ID:                        cfg.Replica,
		ElectionTick:              n.opts.ElectionTicks,
		HeartbeatTick:             n.opts.HeartbeatTicks,
		Storage:                   &storage{log: g.log, confState: cfg.ConfState, applied: cfg.Applied, machine: cfg.Machine},
		Applied:                   cfg.Applied,
		MaxSizePerMsg:             1 << 20,
		MaxCommittedSizePerReady:  16 << 20,
		MaxInflightMsgs:           256,
		CheckQuorum:               true,
		PreVote:                   true,
		ReadOnlyOption:            raft.ReadOnlySafe,
		DisableProposalForwarding: true,
		Logger:                    discard,
	})
	if err != nil {
		return nil, fmt.Errorf("multiraft: group %d: %w", cfg.ID, err)
	}
	g.raft = r
	g.voters = r.Status().Config.Voters
	return g, nil
}

// alignLog resets a log that doesn't lead to what its state machine has applied: a crash came between the installation of a
// snapshot and the reset of the log, which ends before it, or has entries there that were never committed; or the group is new
// and its state machine starts at the base that all replicas share. A state that ends before the log begins is another matter:
// the log may hold what this replica has promised to keep, so that it must not be forgotten.
func (g *Group) alignLog() error {
	if term, err := g.log.Term(g.cfg.Applied); err == nil && term == g.cfg.AppliedTerm {
		return nil
	}
	hard := g.log.HardState()
	if first := g.log.FirstIndex(); g.cfg.Applied+1 < first {
		return fmt.Errorf("multiraft: group %d: %w: it holds %d-%d, and the log goes on with %d: restore its folder, or remove the replica and add a new one",
			g.cfg.ID, errStateLost, g.cfg.AppliedTerm, g.cfg.Applied, first)
	}
	hard.Term = max(hard.Term, g.cfg.AppliedTerm)
	hard.Commit = g.cfg.Applied
	err := g.node.opts.Log.Append([]wal.Update{{
		Group: g.cfg.ID, HardState: hard, MustSync: true,
		Snapshot: &wal.Base{Index: g.cfg.Applied, Term: g.cfg.AppliedTerm},
	}})
	if err != nil {
		return fmt.Errorf("multiraft: group %d: reset the log to %d-%d: %w", g.cfg.ID, g.cfg.AppliedTerm, g.cfg.Applied, err)
	}
	return nil
}

// LeaseValid says whether this replica, as the leader of a term, may serve reads from its own state now. The state
// must hold an entry of that term.
func (g *Group) LeaseValid(term uint64) bool { return g.lease.valid(term) }

// Wake tells the loop that the state machine holds a proposal.
func (g *Group) Wake() { g.node.touch(g) }

// TransferLeadership asks another replica to take over. It returns at once; leadership notices tell what came of it.
func (g *Group) TransferLeadership(to uint64) {
	g.node.do(g, func() {
		if _, votes := g.voters.IDs()[to]; !votes || !g.known.Leading || to == g.cfg.Replica {
			return
		}
		g.lease.block(to)
		g.raft.TransferLeader(to)
	})
}

// Status is raft's own account; false if the group or its node is no more. It waits for the loop.
func (g *Group) Status() (status raft.Status, ok bool) {
	done := make(chan struct{})
	g.node.do(nil, func() {
		if ok = !g.removed; ok {
			status = g.raft.Status()
		}
		close(done)
	})
	select {
	case <-done:
		return status, ok
	case <-g.node.stopped:
		return raft.Status{}, false
	}
}

// tick advances raft's clock by one. A group of one has nobody whose answers would renew its lease.
func (g *Group) tick() {
	if g.held != nil {
		return
	}
	g.raft.Tick()
	if g.known.Leading && g.alone() {
		g.lease.extend(g.known.Term, g.cfg.Replica, g.voters)
	}
}

// alone says whether the group has one voter.
func (g *Group) alone() bool { return len(g.voters[0]) == 1 && len(g.voters[1]) == 0 }

// step takes one message from another node.
func (g *Group) step(m raftpb.Message, dir string) {
	if g.held != nil && m.Type != raftpb.MsgSnap || !g.admits(&m) {
		return
	}
	if m.Type == raftpb.MsgSnap {
		g.stepSnapshot(m, dir)
		return
	}
	if m.Type == raftpb.MsgHeartbeatResp && g.known.Leading && m.Term == g.known.Term {
		if sent, ok := sentAt(m.Context); ok {
			g.lease.answered(m.Term, g.cfg.Replica, m.From, sent, g.voters)
		}
	}
	if m.Type == raftpb.MsgHeartbeat {
		g.boundCommit(&m)
	}
	// Raft ignores what it can't use (unknown peers, old terms); there is nobody to tell.
	_ = g.raft.Step(m)
}

// boundCommit keeps raft from panicking, and all groups of the node with it, when the leader remembers entries that this replica has
// acknowledged and lost with its disk. The next leader finds out what it has; until then it only hears heartbeats.
func (g *Group) boundCommit(m *raftpb.Message) {
	last := g.log.LastIndex()
	if m.Commit <= last {
		return
	}
	m.Commit = last
	if !g.lostLog {
		g.lostLog = true
		g.node.opts.Logger.Error("this replica has lost entries that it had acknowledged; it catches up under the next leader. Replace it by a new one if its disk was lost",
			"group", g.cfg.ID, "replica", g.cfg.Replica, "last", last)
	}
}

// admits refuses votes in the grace after a restart, and entries while the state machine is too far behind.
func (g *Group) admits(m *raftpb.Message) bool {
	switch m.Type {
	case raftpb.MsgVote, raftpb.MsgPreVote:
		const campaignTransfer = "CampaignTransfer" // raft's own word, raft.go
		return monotonic() >= g.voteGrace || string(m.Context) == campaignTransfer
	case raftpb.MsgApp:
		return g.cfg.Machine.Backlog() < g.node.opts.MaxBacklog
	}
	return true
}

func (g *Group) stepSnapshot(m raftpb.Message, dir string) {
	if g.held != nil || g.incoming != "" || g.cfg.Machine.Backlog() > 0 && m.Snapshot.Metadata.Index <= g.raft.BasicStatus().Commit {
		g.discardDir(dir)
		return
	}
	g.incoming = dir
	_ = g.raft.Step(m)
}

func (g *Group) discardDir(dir string) {
	if err := os.RemoveAll(dir); err != nil {
		g.node.opts.Logger.Warn("can't remove a snapshot that isn't needed", "dir", dir, "error", err)
	}
}

// propose appends what the state machine holds ready.
func (g *Group) propose() {
	for p := g.cfg.Machine.TakeProposal(); p != nil; p = g.cfg.Machine.TakeProposal() {
		status := g.raft.BasicStatus()
		fits := p.Generation >= g.generation && status.RaftState == raft.StateLeader && status.Term == p.Term
		if !fits || g.raft.Propose(p.Data) != nil {
			g.generation = max(g.generation, p.Generation+1)
			g.cfg.Machine.Dropped(p)
			continue
		}
		g.unassigned = append(g.unassigned, p)
	}
}

// assign finds the entries of this replica's proposals among those that are about to be written: raft appends them in order and
// keeps the slice that it was given, so that a proposal's entry is the one with its memory.
func (g *Group) assign(entries []raftpb.Entry) {
	for i := range entries {
		if len(g.unassigned) == 0 {
			return
		}
		p, e := g.unassigned[0], &entries[i]
		if len(e.Data) == len(p.Data) && unsafe.SliceData(e.Data) == unsafe.SliceData(p.Data) {
			g.cfg.Machine.Assigned(p, e.Index)
			g.unassigned = g.unassigned[1:]
		}
	}
}

// dropUnassigned: leadership was lost before the entries of some proposals were written. Raft may have overwritten them in memory.
func (g *Group) dropUnassigned() {
	for _, p := range g.unassigned {
		g.generation = max(g.generation, p.Generation+1)
		g.cfg.Machine.Dropped(p)
	}
	g.unassigned = nil
}

// noteLeadership tells the state machine when the term, the leader or the role is another.
func (g *Group) noteLeadership() {
	status := g.raft.BasicStatus()
	now := Leadership{Term: status.Term, Leader: status.Lead, Leading: status.RaftState == raft.StateLeader}
	if g.lease.blocked && status.LeadTransferee == raft.None {
		g.lease.unblock()
	}
	if now == g.known {
		return
	}
	if now.Term != g.known.Term || now.Leading != g.known.Leading {
		g.lease.drop()
		g.reads.fail()
	}
	g.known = now
	g.cfg.Machine.LeadershipChanged(now)
}

// collect asks raft for what is to be done and queues what has to be written. It reports whether there is anything.
func (g *Group) collect() bool {
	if g.held != nil || !g.raft.HasReady() {
		return false
	}
	g.ready = g.raft.Ready()
	g.noteLeadership()
	g.assign(g.ready.Entries)
	if !g.known.Leading {
		g.dropUnassigned()
	}
	if !raft.IsEmptySnap(g.ready.Snapshot) {
		held := g.ready
		g.held = &held
		g.install()
		return false
	}
	if g.incoming != "" { // raft had no use for it
		g.discardDir(g.incoming)
		g.incoming = ""
	}
	g.sendMessages(sendFirst)
	return true
}

// update is what the log has to hold before the rest of the round. A commit index that has moved isn't worth a write: a
// replica that restarts learns it from the leader, and holds at least what its state machine has applied (storage.InitialState).
func (g *Group) update() (wal.Update, bool) {
	rd := &g.ready
	voted := g.votesChanged(rd.HardState)
	if len(rd.Entries) == 0 && !voted {
		return wal.Update{}, false
	}
	sync := voted || len(rd.Entries) > 0 && !g.cfg.Unsynced
	return wal.Update{Group: g.cfg.ID, HardState: rd.HardState, Entries: rd.Entries, MustSync: sync}, true
}

func (g *Group) votesChanged(h raftpb.HardState) bool {
	if raft.IsEmptyHardState(h) {
		return false
	}
	old := g.log.HardState()
	return h.Term != old.Term || h.Vote != old.Vote
}

// finish does what may be done once the log is durable.
func (g *Group) finish() {
	g.sendMessages(sendLast)
	g.reads.ready(g.ready.ReadStates)
	if len(g.ready.CommittedEntries) > 0 {
		g.cfg.Machine.Committed(g.committed(g.ready.CommittedEntries))
	}
	g.raft.Advance(g.ready)
	g.ready = raft.Ready{}
}

// committed applies configuration entries to raft and attaches what they lead to.
func (g *Group) committed(entries []raftpb.Entry) Committed {
	c := Committed{Entries: entries}
	for i := range entries {
		change, ok, err := confChange(&entries[i])
		if err != nil {
			g.node.fail(fmt.Errorf("multiraft: group %d: configuration entry %d: %w", g.cfg.ID, entries[i].Index, err))
			return c
		}
		if !ok {
			continue
		}
		state, err := g.raft.ApplyConfChange(change).Marshal()
		if err != nil {
			g.node.fail(fmt.Errorf("multiraft: group %d: configuration entry %d: %w", g.cfg.ID, entries[i].Index, err))
			return c
		}
		g.voters = g.raft.Status().Config.Voters
		if c.ConfStates == nil {
			c.ConfStates = make(map[uint64][]byte)
		}
		c.ConfStates[entries[i].Index] = state
	}
	return c
}

func confChange(e *raftpb.Entry) (raftpb.ConfChangeI, bool, error) {
	switch e.Type {
	case raftpb.EntryConfChange:
		var cc raftpb.ConfChange
		err := cc.Unmarshal(e.Data)
		return cc, true, err
	case raftpb.EntryConfChangeV2:
		var cc raftpb.ConfChangeV2
		err := cc.Unmarshal(e.Data)
		return cc, true, err
	}
	return nil, false, nil
}

// install runs the installation beside the loop; the held Ready goes on when it is done.
func (g *Group) install() {
	meta, dir := g.held.Snapshot.Metadata, g.incoming
	g.incoming = ""
	if dir == "" {
		g.node.fail(fmt.Errorf("multiraft: group %d: snapshot %d-%d: %w", g.cfg.ID, meta.Term, meta.Index, errNoFiles))
		return
	}
	g.installing.Add(1)
	g.node.tasks.Go(func() {
		defer g.installing.Done()
		err := g.cfg.Machine.Install(meta, dir)
		g.node.do(g, func() { // nothing, if the group was removed meanwhile
			if err != nil {
				g.node.fail(fmt.Errorf("multiraft: group %d: install snapshot %d-%d: %w", g.cfg.ID, meta.Term, meta.Index, err))
				return
			}
			g.installed()
		})
	})
}

var (
	errNoFiles   = errors.New("a snapshot message came without its files")
	errStateLost = errors.New("the state was lost")
)

// installed resets the log to the snapshot, which the state machine holds durably by now.
func (g *Group) installed() {
	g.ready, g.held = *g.held, nil
	meta := g.ready.Snapshot.Metadata
	err := g.node.opts.Log.Append([]wal.Update{{
		Group: g.cfg.ID, HardState: g.ready.HardState, Entries: g.ready.Entries, MustSync: true,
		Snapshot: &wal.Base{Index: meta.Index, Term: meta.Term},
	}})
	if err != nil {
		g.node.fail(err)
		return
	}
	g.voters = g.raft.Status().Config.Voters
	g.cfg.Machine.Installed()
	g.finish()
}
