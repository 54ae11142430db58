package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed"
	"github.com/zankv/zankv/cdc/feed/feedtest"
	"github.com/zankv/zankv/cluster/meta/memmeta"
)

// world is a cluster with its changefeeds, in one bubble of synctest.
type world struct {
	t      *testing.T
	store  *memmeta.Store
	reg    *registry
	source *source
	sink   *recorder
	opener OpenSink // of the sink
	spec   changefeed.Spec
	whole  *feedtest.Replica // of the first log, never truncated
}

// newWorld has partitions with empty logs, and the changefeed "f" defined but for Create.
func newWorld(t *testing.T, partitions int) *world {
	w := &world{t: t, store: memmeta.New(), sink: newRecorder()}
	w.opener = w.sink.open
	w.reg = &registry{Registry: w.store.Changefeeds()}
	w.source = &source{head: changefeed.Head{HeadroomBytes: -1, BytesPerEntry: 100}}
	for range partitions {
		h := feedtest.NewHistory()
		w.source.logs = append(w.source.logs, &partitionLog{History: h, replica: feedtest.NewReplica(h)})
	}
	w.whole = feedtest.NewReplica(w.source.logs[0].History)
	w.spec = changefeed.Spec{ID: "f", Namespace: "default", SinkURI: "rec://there", Created: time.Now().UnixNano()}
	w.spec.SetDefaults()
	return w
}

func (w *world) create() {
	w.t.Helper()
	if err := w.reg.Create(w.t.Context(), w.spec); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) update(change func(*changefeed.Spec)) {
	w.t.Helper()
	s := w.reg.View().Feeds["f"].Spec
	change(&s)
	if _, err := w.reg.Update(w.t.Context(), s); err != nil {
		w.t.Fatal(err)
	}
}

// process is a running manager.
type process struct {
	*Manager
	name string
	end  context.CancelFunc
	over chan struct{}
}

func (w *world) start(name string, change ...func(*Options)) *process {
	w.t.Helper()
	o := Options{Registry: w.reg, Source: w.source, Process: name, Sinks: map[string]OpenSink{"rec": w.opener}}
	if os.Getenv("WORKER_LOG") != "" {
		o.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil)).With("process", name)
	}
	for _, c := range change {
		c(&o)
	}
	m, err := New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &process{Manager: m, name: name, end: cancel, over: make(chan struct{})}
	go func() {
		defer close(p.over)
		if err := m.Run(ctx); err != nil {
			w.t.Error(err)
		}
	}()
	return p
}

func (p *process) stop() {
	p.end()
	<-p.over
}

// after lets time pass until everything that it brings about has happened.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// progress is what the registry has of a partition.
func (w *world) progress(partition uint32) changefeed.Progress {
	return w.reg.View().Feeds["f"].Progress[partition]
}

func (w *world) wantState(partition uint32, state changefeed.State, code changefeed.Code) changefeed.Progress {
	w.t.Helper()
	p := w.progress(partition)
	var got changefeed.Code
	if p.Trouble != nil {
		got = p.Trouble.Code
	}
	if p.State != state || got != code {
		w.t.Fatalf("state %q, trouble %+v, want %q, %q", p.State, p.Trouble, state, code)
	}
	if p.Trouble != nil && (p.Trouble.Reason == "" || p.Trouble.Action == "" || p.Trouble.Since == 0) {
		w.t.Fatalf("trouble without reason, action or time: %+v", p.Trouble)
	}
	return p
}

// wantAll is that the sink has every event of a partition once, in order.
func (w *world) wantAll(partition int) {
	w.t.Helper()
	same(w.t, w.sink.stamps(uint32(partition)), w.source.logs[partition].Stamps())
}

func same(t *testing.T, got, want []event.Stamp) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("event %d is %s, want %s", i, got[i].Position, want[i].Position)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("the sink has %d events, want %d", len(got), len(want))
	}
}

// registry can be made to fail.
type registry struct {
	changefeed.Registry
	mu    sync.Mutex
	fail  error // what Save returns
	claim error // what Claim returns
	saves []changefeed.Progress
	// onSave is called before a save.
	onSave func(partition uint32, p *changefeed.Progress)
	// late is how much later than the registry an owner learns that its claim is lost; nil: at once.
	late func() time.Duration
}

func (r *registry) Claim(ctx context.Context, id string, partition uint32, process string) (changefeed.Claim, error) {
	r.mu.Lock()
	refuse := r.claim
	r.mu.Unlock()
	if refuse != nil {
		return nil, refuse
	}
	c, err := r.Registry.Claim(ctx, id, partition, process)
	if err != nil {
		return nil, err
	}
	own := &claim{Claim: c, r: r, partition: partition, lost: make(chan struct{}), released: make(chan struct{})}
	go own.learn()
	return own, nil
}

// learn closes lost some time after the registry knows.
func (c *claim) learn() {
	select {
	case <-c.Claim.Lost():
	case <-c.released:
		return
	}
	if c.r.late != nil {
		timer := time.NewTimer(c.r.late())
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-c.released:
			return
		}
	}
	close(c.lost)
}

func (c *claim) Lost() <-chan struct{} { return c.lost }

func (c *claim) Release(ctx context.Context) error {
	close(c.released)
	return c.Claim.Release(ctx)
}

func (r *registry) saved() []changefeed.Progress {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.saves)
}

func (r *registry) failSaves(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail = err
}

type claim struct {
	changefeed.Claim
	r              *registry
	partition      uint32
	lost, released chan struct{}
}

func (c *claim) Save(ctx context.Context, p changefeed.Progress) error {
	c.r.mu.Lock()
	fail, onSave := c.r.fail, c.r.onSave
	c.r.mu.Unlock()
	if onSave != nil {
		onSave(c.partition, &p)
	}
	if fail != nil {
		return fail
	}
	err := c.Claim.Save(ctx, p)
	if err == nil {
		c.r.mu.Lock()
		c.r.saves = append(c.r.saves, p)
		c.r.mu.Unlock()
	}
	return err
}

// partitionLog is a partition's log. All say that they are of default-3, as feedtest has them.
type partitionLog struct {
	*feedtest.History
	replica *feedtest.Replica
}

// add appends n events of the present.
func (p *partitionLog) add(n int) {
	for range n {
		t := time.Now().UnixNano()
		v := event.Version{Time: t, Cluster: 1}
		p.Append(1, &event.Event{Time: t, Term: 1, Mutations: []event.Mutation{
			{Op: event.OpSet, Type: event.TypeString, Key: []byte("k"), Value: []byte("v"), Version: v, Floor: v, ExpiryVersion: v, Command: "set"},
		}})
	}
}

// source is a changefeed.Source over logs, by feed.Local.
type source struct {
	logs      []*partitionLog
	mu        sync.Mutex
	head      changefeed.Head // but for Applied and Oldest
	fail      error           // what reading gives
	waits     bool            // a place beyond the log is waited for
	unknown   bool
	deaf      bool // nobody says how many partitions there are
	holds     []event.Position
	snapshots int
	slowRows  time.Duration
	tamper    func(*changefeed.Item)
}

func (s *source) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *source) held() []event.Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.holds)
}

func (s *source) taken() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.snapshots
}

func (s *source) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fail
}

func (s *source) Cluster() string { return "dc-a" }

func (s *source) Partitions(context.Context, string) (uint32, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unknown {
		return 0, feed.ErrUnknown
	}
	if s.deaf {
		return 0, errors.New("no node answers")
	}
	return uint32(len(s.logs)), nil
}

func (s *source) Preference(string, uint32) time.Duration { return 0 }

// preferring is a source of a process that leaves some partitions to others.
type preferring struct {
	*source
	delay func(partition uint32) time.Duration
}

func (p *preferring) Preference(_ string, partition uint32) time.Duration { return p.delay(partition) }

func (s *source) Head(_ context.Context, _ string, partition uint32) (changefeed.Head, error) {
	if err := s.failure(); err != nil {
		return changefeed.Head{}, err
	}
	st, err := s.logs[partition].replica.State()
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.head
	h.Applied, h.Oldest = st.Applied, st.Oldest.LastEvent
	return h, err
}

func (s *source) Hold(_ context.Context, _ string, _ uint32, _ string, p event.Position) error {
	s.set(func() { s.holds = append(s.holds, p) })
	return nil
}

// directory is feed.Server's, of one log.
type directory struct{ log *partitionLog }

func (d directory) Source(string, uint32) (feed.Source, error) { return d.log.replica, nil }

func (d directory) Partitions(context.Context, string) ([]feed.Partition, error) {
	return []feed.Partition{{Number: 3}}, nil
}

func (s *source) Open(_ context.Context, _ string, partition uint32, at changefeed.Place) (changefeed.Stream, error) {
	if err := s.failure(); err != nil {
		return nil, err
	}
	log := s.logs[partition]
	st, err := log.replica.State()
	if err != nil {
		return nil, err
	}
	if at.After.Index > st.Applied.Index && !s.waits {
		return nil, &feed.Error{Kind: feed.Ahead, What: "beyond the log"}
	}
	from, err := ReadFrom(at)
	if err != nil {
		return nil, err
	}
	l, err := feed.NewServer(directory{log}, feed.Options{}).Local("default", 3, from)
	if err != nil {
		return nil, err
	}
	return &stream{s: s, log: log, local: l, last: stampOf(at.After, at.Chain)}, nil
}

func stampOf(p event.Position, c event.Chain) event.Stamp {
	return event.Stamp{Cluster: "dc-a", Namespace: "default", Partition: 3, Position: p, Chain: c}
}

type stream struct {
	s     *source
	log   *partitionLog
	local *feed.Local
	last  event.Stamp
	item  changefeed.Item
}

func (s *stream) Buffered() bool {
	all := s.log.Stamps()
	st, _ := s.log.replica.State()
	return len(all) > 0 && s.last.Position.Index < min(all[len(all)-1].Position.Index, st.Applied.Index) && s.last.Position.Index > 0
}

func (s *stream) Next(ctx context.Context) (*changefeed.Item, error) {
	for {
		if err := s.s.failure(); err != nil {
			return nil, err
		}
		item, err := s.local.Next(ctx)
		if err != nil {
			return nil, err
		}
		if item != nil {
			s.last = *item.Stamp
			s.item = changefeed.Item{Event: item.Event, Stamp: item.Stamp, Names: item.Names, Position: item.Bookmark}
			s.s.set(func() {
				if s.s.tamper != nil {
					s.s.tamper(&s.item)
				}
			})
			return &s.item, nil
		}
		if found, err := s.wait(ctx); found || err != nil {
			return &s.item, err
		}
	}
}

// wait waits for more, or a second for a bookmark.
func (s *stream) wait(ctx context.Context) (bool, error) {
	st, err := s.log.replica.State()
	if err != nil {
		return false, err
	}
	timeout, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	err = s.local.Wait(timeout)
	if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
		return false, err
	}
	s.s.mu.Lock()
	defer s.s.mu.Unlock()
	if st.Applied.Index < s.last.Position.Index {
		return false, nil
	}
	if b := s.local.Bookmark(); b != nil && s.last.Position.IsZero() { // of a place that wasn't named: latest
		s.last = *b.Stamp
	}
	s.item = changefeed.Item{Stamp: &s.last, Position: st.Applied, Time: time.Now().UnixNano()}
	return true, nil
}

func (s *stream) Close() error {
	s.local.Close()
	return nil
}

func (s *source) Snapshot(_ context.Context, _ string, partition uint32, want changefeed.Want) (changefeed.Rows, error) {
	st, err := s.logs[partition].replica.State()
	if err != nil || st.Applied.Index < want.AtLeast.Index {
		return nil, errors.Join(err, errors.New("not that far"))
	}
	s.set(func() { s.snapshots++ })
	return &rows{base: stampOf(st.Head.LastEvent, st.Head.Chain), left: 3, pause: s.slowRows}, nil
}

type rows struct {
	base  event.Stamp
	left  int
	pause time.Duration
}

func (r *rows) Base() *changefeed.Base {
	return &changefeed.Base{Stamp: r.base, Time: time.Now().UnixNano()}
}
func (r *rows) Close() error { return nil }

func (r *rows) Next(ctx context.Context) (*event.Event, event.Names, error) {
	timer := time.NewTimer(r.pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	if r.left--; r.left < 0 {
		return nil, nil, io.EOF
	}
	v := event.Version{Time: 1, Cluster: 1}
	return &event.Event{Mutations: []event.Mutation{
		{Op: event.OpSet, Type: event.TypeString, Key: fmt.Append(nil, r.left), Value: []byte("v"), Version: v, Floor: v, ExpiryVersion: v},
	}}, event.Names{"", "dc-a"}, nil
}
