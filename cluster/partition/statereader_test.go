package partition

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/etcd/raft/v3/raftpb"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
)

// foldLog folds the member's log up to an index.
func (m *member) foldLog(index uint64) *event.Fold {
	m.t.Helper()
	var fold event.Fold
	reader := m.replica.NewLogReader(m.replica.FirstIndex())
	defer reader.Close()
	for reader.Index() <= index {
		entries, err := reader.Next(index)
		must(m.t, err)
		for i := range entries {
			e := &entries[i]
			var ev event.Event
			if e.Type != raftpb.EntryNormal || len(e.Data) == 0 {
				continue
			}
			must(m.t, event.Decode(e.Data, &ev))
			if ev.Term == e.Term {
				fold.Event(&ev)
			}
		}
	}
	must(m.t, fold.Err())
	return &fold
}

// readState folds what a reader gives; versions are those of elements by key, where the rows name them.
func readState(s *StateReader) (fold *event.Fold, versions map[string]event.Version, err error) {
	fold, versions = &event.Fold{}, map[string]event.Version{}
	for {
		rows, err := s.Next()
		if errors.Is(err, io.EOF) {
			return fold, versions, fold.Err()
		}
		if err != nil {
			return nil, nil, err
		}
		for i := range rows {
			fold.Apply(&rows[i])
			for j := range rows[i].Elements {
				e := &rows[i].Elements[j]
				versions[fmt.Sprintf("%q %q", rows[i].Key, e.Sub)] = e.Prev
			}
		}
	}
}

// live is what a fold holds that hasn't expired at wall. versions overrules those of elements.
func live(fold *event.Fold, wall int64, versions map[string]event.Version) string {
	var b strings.Builder
	for _, key := range fold.Keys() {
		m, _ := fold.Get([]byte(key))
		if m.Expired(wall) {
			continue
		}
		fmt.Fprintf(&b, "%q %+v\n", key, m)
		for e := range fold.Elements([]byte(key)) {
			if versions != nil {
				e.Version = versions[fmt.Sprintf("%q %q", key, e.Sub)]
			}
			if m.Type == event.TypeList {
				e.Version = event.Version{} // the list's
			}
			fmt.Fprintf(&b, "\t%q %.20q %d %v %v\n", e.Sub, e.Value, len(e.Value), e.Score, e.Version)
		}
	}
	return b.String()
}

// everyType writes keys of every type at random, some of which expire at once.
func everyType(r *rand.Rand) []string {
	n := func(most int) string { return fmt.Sprint(r.IntN(most)) }
	switch r.IntN(14) {
	case 0:
		return []string{"set", "s" + n(20), n(1000), "px", fmt.Sprint(1 + r.IntN(30))}
	case 1:
		return []string{"hset", "h" + n(5), "f" + n(30), n(1000)}
	case 2:
		return []string{"hdel", "h" + n(5), "f" + n(30)}
	case 3:
		return []string{"sadd", "set" + n(5), n(30), n(30)}
	case 4:
		return []string{"srem", "set" + n(5), n(30)}
	case 5:
		return []string{"zincrby", "z" + n(5), n(10), n(30)}
	case 6:
		return []string{"zpopmin", "z" + n(5)}
	case 7:
		return []string{"lpush", "l" + n(5), n(100), n(100)}
	case 8:
		return []string{"rpop", "l" + n(5)}
	case 9:
		return []string{"linsert", "l" + n(5), "before", n(100), "between"}
	case 10:
		return []string{"setbit", "b" + n(3), n(100_000), n(2)}
	case 11:
		return []string{"pexpire", []string{"h", "z", "l", "b"}[r.IntN(4)] + n(3), fmt.Sprint(1 + r.IntN(30))}
	case 12:
		return []string{"del", []string{"s", "h", "set", "z", "l", "b"}[r.IntN(6)] + n(3)}
	}
	return []string{"append", "s" + n(20), "x"}
}

// Whatever is written while it is read, the rows are what the log up to the position gives, and the chain is the log's there.
func TestStateIsOfOnePosition(t *testing.T) {
	r := seeded(t)
	c := newCluster(t, 1, nil)
	m := c.leader()
	for i := range 40 { // 800 KiB each, in parts
		c.do("hset", "h-large", fmt.Sprintf("%0100d", i), strings.Repeat("v", 20<<10))
		c.do("rpush", "l-large", strings.Repeat("i", 20<<10))
	}
	var stop atomic.Bool
	var writers sync.WaitGroup
	for range 4 {
		own := rand.New(rand.NewPCG(r.Uint64(), 0))
		writers.Go(func() {
			for !stop.Load() {
				req, done := request(everyType(own)...), make(chan struct{})
				m.replica.Submit([]*command.Request{req}, func() { close(done) })
				<-done
			}
		})
	}
	last := uint64(0)
	for range 25 {
		eventually(t, "more was written", func() bool { return m.replica.Applied() > last+20 })
		s, err := m.replica.OpenState(nil, false)
		must(t, err)
		fold, versions, err := readState(s)
		s.Close()
		must(t, err)
		state := s.State()
		last = state.Applied.Index
		if got, want := live(fold, 0, versions), live(m.foldLog(last), state.Wall, nil); got != want {
			stop.Store(true)
			writers.Wait()
			t.Fatalf("the state at %s is\n%s\nthe log gives\n%s", state.Applied, got, want)
		}
	}
	stop.Store(true)
	writers.Wait()
	s, err := m.replica.OpenState(nil, false)
	must(t, err)
	defer s.Close()
	if now, _ := m.replica.State(); s.State().Applied != now.Applied || s.State().Chain != now.Chain || s.State().LastEvent != now.LastEvent {
		t.Errorf("position and chain %+v, the replica's are %+v", s.State(), now)
	}
	m.folded() // the chain is the log's
}

// A reader that takes its time doesn't keep a snapshot of another node from being installed, and is told; the next one reads the new state.
func TestStateIsReplaced(t *testing.T) {
	c := newCluster(t, 3, nil)
	m := c.behind(seeded(t))
	var open []*StateReader
	for range 3 {
		s, err := m.replica.OpenState(nil, false)
		must(t, err)
		open = append(open, s)
	}
	if rows, err := open[0].Next(); err != nil || len(rows) == 0 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	open[2].Close()
	old, ahead := m.applied(), c.leader().applied()
	c.isolate(m, false)
	eventually(t, "the snapshot is installed", func() bool { return m.applied().Index >= ahead.Index })
	for _, s := range open[:2] {
		if _, err := s.Next(); !errors.Is(err, errReplaced) {
			t.Errorf("%v, want errReplaced", err)
		}
		s.Close()
	}
	if _, err := open[2].Next(); !errors.Is(err, errStateClosed) {
		t.Errorf("closed before: %v, want errStateClosed", err)
	}
	s, err := m.replica.OpenState(nil, false)
	must(t, err)
	fold, _, err := readState(s)
	must(t, err)
	if s.State().Applied.Index <= old.Index || int64(fold.Len()) != s.State().Keys {
		t.Errorf("the new state is of %s, %d keys, want %d", s.State().Applied, fold.Len(), s.State().Keys)
	}
	// Closing a replica ends readers as well.
	m.shutdown()
	if _, err := s.Next(); !errors.Is(err, errReplaced) {
		t.Errorf("after the replica was closed: %v", err)
	}
	s.Close()
}

// Readers and installations at any moment leave no reader on a store that is gone.
func TestStateIsReplacedAtAnyMoment(t *testing.T) {
	c := newCluster(t, 1, nil)
	m := c.leader()
	for i := range 50 {
		c.do("hset", "h", fmt.Sprint(i), strings.Repeat("v", 50_000))
	}
	must(t, m.replica.Flush())
	var stop atomic.Bool
	var readers sync.WaitGroup
	var read, lost atomic.Int64
	for range 4 {
		readers.Go(func() {
			for !stop.Load() {
				s, err := m.replica.OpenState(nil, false)
				if err != nil {
					t.Error(err)
					return
				}
				switch _, _, err := readState(s); {
				case err == nil:
					read.Add(1)
				case errors.Is(err, errReplaced):
					lost.Add(1)
				default:
					t.Error(err)
				}
				s.Close()
			}
		})
	}
	deadline := time.After(20 * time.Second)
	for i := 0; i < 20 || read.Load() < 20 || lost.Load() < 5; i++ {
		must(t, m.replica.do(t.Context(), func() {
			if err := m.replica.switchStore(); err != nil { // to itself, opened anew
				t.Error(err)
			}
		}))
		select {
		case <-deadline:
			t.Fatalf("%d states were read, %d lost", read.Load(), lost.Load())
		default:
		}
	}
	stop.Store(true)
	readers.Wait()
	m.replica.readers.Lock()
	defer m.replica.readers.Unlock()
	if n := len(m.replica.readers.open); n != 0 {
		t.Errorf("%d readers are still there", n)
	}
}
