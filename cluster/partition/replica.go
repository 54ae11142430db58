package partition

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/raft/v3/raftpb"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/engine"
	"github.com/zankv/zankv/cluster/hlc"
	"github.com/zankv/zankv/cluster/multiraft"
	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/cluster/transport"
	"github.com/zankv/zankv/wal"
)

// Options of a Replica. All but those with a default are required.
type Options struct {
	Cluster   string
	Namespace string
	Partition uint32
	// Cut is how the namespace is cut: which partitions of other clusters share keys with this one follows from it. While it isn't given, all may.
	Cut       store.Cut
	Group     uint64
	Replica   uint64                      // this replica's raft id
	Voters    map[uint64]transport.NodeID // the first members of the group, by raft id
	Preferred bool                        // this replica stands for election at once when the group is new

	Dir        string // of this replica alone; made if it isn't there
	OpenEngine func(dir string) (engine.Engine, error)
	Cache      *store.Cache
	Log        *wal.Log
	Node       *multiraft.Node
	Logger     *slog.Logger
	// Clock is the wall clock (default time.Now).
	Clock func() time.Time
	// OnLeadership is told of changes. It is called by the replica's goroutine and must not block.
	OnLeadership func(multiraft.Leadership)
	// Fatal is called when the replica can't go on; it should end the process.
	Fatal func(error)

	// ReadQuorum makes every read ask a quorum, lease or not.
	ReadQuorum bool
	// SyncerOnly is the role that the partition gets if it never had a switch (see SetRole).
	SyncerOnly bool
	// Unsynced is the namespace's optimizedfsync.
	Unsynced bool
	// Limits bound what commands may bring (default command.DefaultLimits). SinglePartition says that the namespace has no other partition,
	// HashTags that keys with the same hash tag lie in the same one.
	Limits          *command.Limits
	SinglePartition bool
	HashTags        bool
	// MaxEventBytes bounds one event (default 64 MiB), QueuedRequests what waits to be evaluated (default 65536).
	MaxEventBytes  int
	QueuedRequests int
	// BlockedRequests bounds, besides, those of connections that wait for keys with a blocking command (default 65536).
	BlockedRequests int
	// ProposalTimeout is after how long a client is told that its write's outcome isn't known (default 4 s).
	ProposalTimeout time.Duration
	Retention       Retention
	Replication     Replication
}

func (o *Options) setDefaults() {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.MaxEventBytes == 0 {
		o.MaxEventBytes = 64 << 20
	}
	if o.QueuedRequests == 0 {
		o.QueuedRequests = 1 << 16
	}
	if o.BlockedRequests == 0 {
		o.BlockedRequests = 1 << 16
	}
	if o.ProposalTimeout == 0 {
		o.ProposalTimeout = 4 * time.Second
	}
	o.Retention.setDefaults()
	o.Replication.setDefaults()
}

// Replica is one partition replica of this node.
type Replica struct {
	opts  Options
	name  string // namespace-partition
	group *multiraft.Group
	log   *wal.Group
	box   *mailbox
	stop  chan struct{}
	done  chan struct{}

	// state guards the store against being replaced: readers outside the replica's goroutine hold it shared.
	state struct {
		sync.RWMutex
		engine engine.Engine
	}
	store *store.Store // written by the goroutine under state's lock

	// For everyone, without a lock.
	serving        atomic.Uint64 // the term in which this replica answers; 0: it doesn't
	applied        atomic.Uint64
	replacing      atomic.Bool // somebody waits for the readers of the store to end
	backlog        atomic.Int64
	published      atomic.Pointer[multiraft.Leadership]
	appliedWaiters waiters
	flushed        atomic.Uint64 // index up to which the store is durable
	flushing       atomic.Bool
	tasks          sync.WaitGroup

	// offer is where the raft loop finds batches.
	offer struct {
		sync.Mutex
		closed []*batch
		open   *batch
	}
	snapshots outgoing
	readers   stateReaders
	watches   watches

	// The rest belongs to the goroutine.
	leadership  multiraft.Leadership
	term        uint64 // in which batches are evaluated
	generation  uint64
	self        event.ClusterNumber
	replicates  bool
	role        store.Role
	roleless    bool   // it never had a switch, and is to get one before a client writes
	initial     *batch // the one that brings that
	clock       hlc.Clock
	apply       *store.Apply
	decoded     event.Event
	settled     []settlement
	open        *batch
	offered     bool     // the open batch lies where the raft loop may take it
	flight      []*batch // proposed, by index
	flights     int      // batches that are neither open nor settled
	flightBytes int
	inflight    map[string]flightKey
	arena       arena
	barrier     bool
	nextGroup   uint32
	waiting     []*lane
	spareLanes  []*lane
	waitedFor   map[string]bool
	waitsForAll bool
	retry       bool
	unconfirmed []answer
	confirming  map[uint64][]answer // a quorum was asked for them
	confirms    uint64              // how often one was
	view        flightView
	tx          batchTx
	ctx         command.Context
	whole       wholeView
	wholeTx     wholeTx
	part        command.Reply // of one command of a transaction
	absent      absences
	older       older
	blocked     blocked
	blockers    map[*command.Request]*lane // requests that may block and aren't answered
	resumed     []*lane                    // that wait no more, to be run
	offers      []offer                    // keys to be offered to those who wait for them
	armed       time.Time                  // what the timer of waits is set to
	expired     [][]byte
	cleaning    cleaning
	sinking     sinking
	moves       map[string]consumerMove // consumers whose new position isn't applied yet
	places      map[string]*placed      // senders, as applied
	moving      map[string]*batch       // places whose new state isn't applied yet
	patience    map[string]patience
	sending     map[string]bool // whether clusters have senders with a place; what isn't in it has to be looked up
	names       event.Names     // of clusters: those that have a number, and those that get one with the next event that needs it
	conflicts   conflictLog
	replaying   replaying
	outcomes    outcomeCounters
	lastExpiry  time.Time
	lastRetain  time.Time
	farBehind   bool  // what is kept for its size lies far behind the log's head
	unmarked    int64 // bytes of entries applied since the last mark for them
	unflushed   int64 // bytes of entries applied since the last flush began
	free        []*batch
}

// base is the position at which every new group starts: so that a replica that starts empty later gets a snapshot, with the
// configuration in it, instead of a log that begins before there was one.
var base = event.Position{Term: 1, Index: 1}

// Open opens a replica's store, makes it if the partition is new, and joins its raft group.
func Open(opts Options) (*Replica, error) {
	opts.setDefaults()
	r := &Replica{
		opts: opts, name: fmt.Sprintf("%s-%d", opts.Namespace, opts.Partition),
		box: newMailbox(opts.QueuedRequests), stop: make(chan struct{}), done: make(chan struct{}),
		inflight: make(map[string]flightKey), waitedFor: make(map[string]bool),
		moves: make(map[string]consumerMove), moving: make(map[string]*batch), confirming: make(map[uint64][]answer), blockers: make(map[*command.Request]*lane), log: opts.Log.Group(opts.Group),
	}
	r.view.r, r.tx.r = r, r
	r.configure(&r.ctx)
	r.whole.flightView = &r.view
	r.wholeTx.batchTx, r.wholeTx.view = &r.tx, &r.whole
	r.published.Store(&multiraft.Leadership{})
	if err := r.openStore(); err != nil {
		return nil, fmt.Errorf("partition %s: %w", r.name, err)
	}
	if err := r.join(); err != nil {
		return nil, fmt.Errorf("partition %s: %w", r.name, closeAfter(err, r.state.engine))
	}
	return r, nil
}

func (r *Replica) join() error {
	state := r.store.State()
	var conf raftpb.ConfState
	if err := conf.Unmarshal(state.ConfState); err != nil {
		return fmt.Errorf("configuration in the store: %w", err)
	}
	fresh := state.Applied == base
	r.flushed.Store(state.Applied.Index) // what a restart finds is durable
	r.applied.Store(state.Applied.Index)
	group, err := r.opts.Node.Add(multiraft.GroupConfig{
		ID: r.opts.Group, Replica: r.opts.Replica, Nodes: r.opts.Voters,
		Applied: state.Applied.Index, AppliedTerm: state.Applied.Term, ConfState: conf,
		Machine: r, Campaign: fresh && r.opts.Preferred || len(conf.Voters) == 1, Unsynced: r.opts.Unsynced,
	})
	if err != nil {
		return err
	}
	r.group = group
	if r.log.FirstIndex() == state.Applied.Index+1 {
		if err := r.markBase(); err != nil {
			return errors.Join(err, r.opts.Node.Remove(r.opts.Group))
		}
	}
	go r.run()
	return nil
}

// configure fills in what is the same for all evaluations.
func (r *Replica) configure(c *command.Context) {
	c.Limits, c.SinglePartition, c.HashTags = r.opts.Limits, r.opts.SinglePartition, r.opts.HashTags
}

// openStore finishes an installation that a crash interrupted, and opens what there is.
func (r *Replica) openStore() error {
	if err := os.MkdirAll(r.opts.Dir, 0o755); err != nil {
		return err
	}
	if err := finishInstall(r.opts.Dir); err != nil {
		return err
	}
	if err := removeLeftovers(r.opts.Dir); err != nil {
		return err
	}
	e, err := r.opts.OpenEngine(filepath.Join(r.opts.Dir, storeDir))
	if err != nil {
		return err
	}
	if err := r.useEngine(e); err != nil {
		return closeAfter(err, e)
	}
	if r.store.State().Applied.IsZero() {
		if err := r.bootstrap(); err != nil {
			return closeAfter(err, e)
		}
	}
	return nil
}

func (r *Replica) useEngine(e engine.Engine) error {
	id := store.Identity{Cluster: r.opts.Cluster, Namespace: r.opts.Namespace, Partition: r.opts.Partition}
	s, err := store.Open(e, id, r.opts.Cache)
	if err != nil {
		return err
	}
	r.state.engine, r.store, r.apply = e, s, s.NewApply()
	return nil
}

// bootstrap writes the base that all replicas of a new group share, durably: the group's configuration is nowhere else.
func (r *Replica) bootstrap() error {
	var conf raftpb.ConfState
	for id := range r.opts.Voters {
		conf.Voters = append(conf.Voters, id)
	}
	data, err := conf.Marshal()
	if err != nil {
		return err
	}
	r.apply.SetConfState(data)
	r.apply.Skip(base)
	r.apply.Mark()
	if err := r.apply.Commit(); err != nil {
		return err
	}
	_, err = r.store.Flush()
	return err
}

func closeAfter(err error, e engine.Engine) error {
	if cerr := e.Close(); cerr != nil {
		return fmt.Errorf("%w (and closing the store: %w)", err, cerr)
	}
	return err
}

// Name is namespace-partition.
func (r *Replica) Name() string { return r.name }

// Leadership is what this replica knows of who leads.
func (r *Replica) Leadership() multiraft.Leadership { return *r.published.Load() }

// Leading says whether this replica serves as the leader.
func (r *Replica) Leading() bool { return r.serving.Load() != 0 }

// Group is the replica's raft group.
func (r *Replica) Group() *multiraft.Group { return r.group }

// Close leaves the raft group, ends the goroutine and closes the store, flushed so that the next start replays little.
func (r *Replica) Close() error {
	err := r.opts.Node.Remove(r.opts.Group)
	if errors.Is(err, multiraft.ErrStopped) {
		err = nil
	}
	close(r.stop)
	<-r.done
	r.tasks.Wait()
	r.replacing.Store(true)
	r.state.Lock()
	defer r.state.Unlock()
	r.readers.end()
	if _, ferr := r.store.Flush(); err == nil {
		err = ferr
	}
	if cerr := r.state.engine.Close(); err == nil {
		err = cerr
	}
	r.store = nil
	return err
}

// housekeeping is how often a replica looks after what no message brings up.
const housekeeping = 500 * time.Millisecond

// run is the replica's goroutine: it owns everything that isn't marked otherwise.
func (r *Replica) run() {
	defer close(r.done)
	ticker := time.NewTicker(housekeeping)
	defer ticker.Stop()
	waits := time.NewTimer(housekeeping)
	defer waits.Stop()
	var spare arrivals
	for {
		tick := false
		select {
		case <-r.stop:
			r.abandon(nil)
			return
		case <-ticker.C:
			tick = true
		case <-r.cleaning.wake():
			r.cleaning.armed = false
		case <-waits.C:
			r.armed = time.Time{}
		case <-r.box.wake:
		}
		// Whoever can run now runs first, so that what they send is evaluated together.
		runtime.Gosched()
		work := r.box.swap(spare)
		if err := r.handle(&work, tick); err != nil {
			r.opts.Fatal(err)
			r.abandon(work.lanes)
			return
		}
		r.armTimer(waits)
		work.reset()
		spare = work
	}
}

// handle does what came in.
func (r *Replica) handle(work *arrivals, tick bool) error {
	for _, a := range work.assigned {
		a.batch.index = a.index
		r.flight = append(r.flight, a.batch)
	}
	if len(work.assigned) > 0 {
		r.takeBackOffer()
	}
	for _, p := range work.dropped {
		r.handleDropped(p)
	}
	for i := range work.committed {
		if err := r.applyCommitted(&work.committed[i]); err != nil {
			return err
		}
	}
	for _, l := range work.leadership {
		r.noteLeadership(l)
	}
	r.startServing()
	r.giveRole()
	for _, f := range work.calls {
		f()
	}
	r.endOverdue()
	r.evaluateLanes(work.lanes)
	r.unblockAll(work.unblocks)
	if tick {
		if err := r.tick(); err != nil {
			return err
		}
	}
	return r.cleanUp()
}

func (r *Replica) tick() error {
	r.expireWaits()
	now := r.opts.Clock()
	if now.Sub(r.lastExpiry) >= time.Second {
		r.lastExpiry = now
		if err := r.expireBatch(now); err != nil {
			return fmt.Errorf("partition %s: expiry: %w", r.name, err)
		}
	}
	if err := r.trimConflicts(now); err != nil {
		return err
	}
	if err := r.raiseWatermark(now); err != nil {
		return fmt.Errorf("partition %s: tombstone watermark: %w", r.name, err)
	}
	r.snapshots.tidy(now)
	return r.retain(now)
}

// abandon answers everything that waits: the replica is closing. The raft loop, which knows of proposals that this goroutine hasn't
// heard of again, won't say any more what became of them.
func (r *Replica) abandon(lanes []*lane) {
	r.stopServing()
	r.failLanes(lanes)
	r.failLanes(r.box.close())
	r.offer.Lock()
	closed := r.offer.closed
	r.offer.closed = nil
	r.offer.Unlock()
	for _, b := range closed {
		r.resolveAnswers(b, command.Elsewhere)
	}
	for _, at := range r.inflight { // every batch that was proposed has keys here
		r.resolveAnswers(at.batch, command.Unknown)
	}
	for number := range r.confirming {
		r.confirmed(number, false)
	}
}

func (r *Replica) newBatch() *batch {
	if n := len(r.free); n > 0 {
		b := r.free[n-1]
		r.free = r.free[:n-1]
		return b
	}
	return &batch{}
}

// recycle keeps a batch's memory, unless it grew large.
func (r *Replica) recycle(b *batch) {
	if r.view.over.batch == b {
		r.view.over.forget()
	}
	if len(r.free) >= flightBatches || cap(b.ev.Mutations) > batchRequests {
		return
	}
	clear(b.ev.Mutations)
	clear(b.undo)
	*b = batch{
		ev:      event.Event{Mutations: b.ev.Mutations[:0]},
		undo:    b.undo[:0],
		answers: b.answers[:0],
	}
	r.free = append(r.free, b)
}

// State is what the store knows of itself; false when the replica is closed.
func (r *Replica) State() (store.State, bool) {
	r.state.RLock()
	defer r.state.RUnlock()
	if r.store == nil {
		return store.State{}, false
	}
	return r.store.State(), true
}

// EngineMetrics are the store's engine's; false when the replica is closed.
func (r *Replica) EngineMetrics() (engine.Metrics, bool) {
	r.state.RLock()
	defer r.state.RUnlock()
	if r.store == nil {
		return engine.Metrics{}, false
	}
	return r.state.engine.Metrics(), true
}

// LogStats describes the replica's part of the log.
func (r *Replica) LogStats() wal.GroupStats { return r.log.Stats() }

// Members are the nodes of the group's replicas, by raft id.
func (r *Replica) Members() map[uint64]transport.NodeID { return r.opts.Voters }

// Partition is the replica's number within its namespace.
func (r *Replica) Partition() uint32 { return r.opts.Partition }
