package feed_test

import (
	"context"
	"fmt"
	"net"
	"reflect"
	"testing"

	"go.etcd.io/etcd/raft/v3/raftpb"
	"google.golang.org/grpc"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed"
	"github.com/zankv/zankv/cluster/engine/mem"
	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/wal"
)

// parts is a replica's log and store as they are, without raft: a Source over them.
type parts struct {
	t     *testing.T
	log   *wal.Log
	group *wal.Group
	store *store.Store
	apply *store.Apply
	at    event.Position
	addr  string
}

func newParts(t *testing.T) *parts {
	log, err := wal.Open(wal.Options{Dir: t.TempDir(), SegmentBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	e, err := mem.Open(t.TempDir(), mem.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	s, err := store.Open(e, store.Identity{Cluster: "dc-a", Namespace: "default", Partition: 3}, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &parts{t: t, log: log, store: s, apply: s.NewApply(), at: event.Position{Term: 1, Index: 1}}
	p.apply.Skip(p.at)
	p.apply.Mark()
	p.commit()
	if err := log.Append([]wal.Update{{Group: 7, Snapshot: &wal.Base{Index: 1, Term: 1}, MustSync: true}}); err != nil {
		t.Fatal(err)
	}
	p.group = log.Group(7)
	return p
}

func (p *parts) commit() {
	if err := p.apply.Commit(); err != nil {
		p.t.Fatal(err)
	}
}

// write logs and applies an event evaluated in evTerm.
func (p *parts) write(term uint64, ev *event.Event) {
	p.at = event.Position{Term: term, Index: p.at.Index + 1}
	entry := raftpb.Entry{Term: term, Index: p.at.Index}
	if ev != nil {
		entry.Data = event.Append(nil, ev)
	}
	if err := p.log.Append([]wal.Update{{Group: 7, Entries: []raftpb.Entry{entry}}}); err != nil {
		p.t.Fatal(err)
	}
	if ev == nil || ev.Term != term {
		p.apply.Skip(p.at)
	} else if err := p.apply.Event(p.at, ev); err != nil {
		p.t.Fatal(err)
	}
	p.commit()
}

func (p *parts) ClusterID() string { return "dc-a" }

func (p *parts) State() (feed.State, error) {
	st := p.store.State()
	oldest, _, err := p.Mark(p.group.FirstIndex() - 1)
	return feed.State{Applied: st.Applied, Head: feed.Mark{Index: st.Applied.Index, LastEvent: st.LastEvent, Chain: st.Chain}, Oldest: oldest, Names: st.Clusters}, err
}

func (p *parts) Mark(index uint64) (feed.Mark, bool, error) {
	m, ok, err := p.store.MarkAtOrBefore(index)
	return feed.Mark(m), ok, err
}

func (p *parts) NewLogReader(from uint64) feed.LogReader { return p.group.NewReader(from) }

func (p *parts) WaitApplied(ctx context.Context, above uint64) (uint64, error) {
	if at := p.store.State().Applied.Index; at > above {
		return at, nil
	}
	<-ctx.Done()
	return 0, ctx.Err()
}

func (p *parts) Source(string, uint32) (feed.Source, error) { return p, nil }

func (p *parts) Partitions(context.Context, string) ([]feed.Partition, error) {
	return []feed.Partition{{Number: 3, Leader: p.addr, Replicas: []string{p.addr}}}, nil
}

func (p *parts) serve() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.t.Fatal(err)
	}
	p.addr = l.Addr().String()
	g := grpc.NewServer(feed.ServerOptions()...)
	feed.NewServer(p, feed.Options{}).Register(g)
	done := make(chan struct{})
	go func() { defer close(done); g.Serve(l) }()
	p.t.Cleanup(func() { g.Stop(); <-done })
}

func (p *parts) open(from feed.From) *feed.Reader {
	r, err := feed.Open(p.t.Context(), feed.Config{Nodes: []string{p.addr}, Namespace: "default", Partition: 3, From: from})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { r.Close() })
	return r
}

// The feed of a real log and store: it ends at the store's own chain, its fold is the store's content, and after the log was
// truncated at a mark it begins there.
func TestRealLogAndStore(t *testing.T) {
	p := newParts(t)
	exists := map[string]bool{}
	for i := range 1500 {
		term := uint64(2 + i/1000)
		switch {
		case i%50 == 10:
			p.write(term, nil)
			continue
		case i%50 == 20:
			p.write(term, &event.Event{Time: 1, Term: term - 1, Mutations: []event.Mutation{{Op: event.OpSet, Key: []byte("rejected")}}})
			continue
		case i%50 == 30:
			p.write(term, &event.Event{Term: term, Own: []event.OwnChange{{Kind: event.OwnConsumer, ID: []byte("tail"), Value: []byte("2-1")}}})
			continue
		}
		ev := &event.Event{Time: int64(i+1) * 1000, Wall: int64(i), Term: term}
		if i == 0 {
			ev.Clusters = []event.ClusterName{{Number: 1, ID: "dc-a"}}
		}
		for j := range 1 + i%3 {
			key := fmt.Sprintf("key:%d", (i*7+j)%200)
			v := event.Version{Time: ev.Time + int64(j), Cluster: 1}
			m := event.Mutation{Op: event.OpSet, Type: event.TypeString, Key: []byte(key), Value: fmt.Appendf(nil, "value %d", i), Version: v, Floor: v, ExpiryVersion: v, Command: "set"}
			if m.Before.Exists = exists[key]; m.Before.Exists {
				m.Before.Type = event.TypeString
			}
			exists[key] = true
			ev.Mutations = append(ev.Mutations, m)
		}
		p.write(term, ev)
	}
	p.serve()
	var fold event.Fold
	var v event.Validator
	v.From(event.Position{}, event.Chain{})
	var all []event.Stamp
	r := p.open(feed.Earliest())
	for {
		item, err := r.Next()
		if err != nil {
			break
		}
		if _, err := v.Event(item.Stamp, item.Event, item.Names); err != nil {
			t.Fatal(err)
		}
		fold.Event(item.Event)
		all = append(all, *item.Stamp)
	}
	st := p.store.State()
	if last, chain := v.Last(); last != st.LastEvent || chain != st.Chain || uint64(len(all)) != st.Events {
		t.Fatalf("the feed ends at %s with chain %s after %d events; the store is at %s with %s after %d", last, chain, len(all), st.LastEvent, st.Chain, st.Events)
	}
	for _, key := range fold.Keys() {
		want, _ := fold.Get([]byte(key))
		got, _, ok, err := p.store.Meta(nil, []byte(key))
		if err != nil || !ok || !reflect.DeepEqual(got, want) {
			t.Fatalf("%s: the store has %+v, the fold %+v (%v)", key, got, want, err)
		}
	}
	if int64(fold.Len()) != st.Keys {
		t.Fatalf("the fold has %d keys, the store %d", fold.Len(), st.Keys)
	}

	mark, ok, err := p.Mark(900)
	if err != nil || !ok || mark.Index < 500 {
		t.Fatal(mark, ok, err)
	}
	if err := p.group.Truncate(mark.Index); err != nil {
		t.Fatal(err)
	}
	same(t, collect(t, p.open(feed.Earliest()), -1), after(all, mark.Index))
	same(t, collect(t, p.open(feed.After(mark.LastEvent, mark.Chain)), -1), after(all, mark.Index))
	same(t, collect(t, p.open(feed.At(all[len(all)-3].Position)), -1), all[len(all)-3:])
	if problem := fails(t, p.open(feed.At(all[5].Position)), feed.Compacted); problem.Oldest != mark.LastEvent {
		t.Fatalf("the oldest left is %s, want %s", problem.Oldest, mark.LastEvent)
	}
}
