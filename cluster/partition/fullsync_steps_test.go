package partition

import (
	"fmt"
	"testing"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/meta"
	"github.com/zankv/zankv/cluster/store"
)

// TestFullSyncInSteps: one chunk that covers everything deletes what the sender's state lacks, keys and elements of a large collection, in events of bounded
// size and work; what isn't the sender's by its hash stays, and so does what nobody there has heard of.
func TestFullSyncInSteps(t *testing.T) {
	const limit = 64 << 10
	c := newCluster(t, 1, named("dc-b", nil, func(o *Options) { o.MaxEventBytes = limit }))
	m := c.leader()
	r := m.replica
	own := func(key string) bool { return store.PartitionBySlot([]byte(key), 2) == 0 }
	large := "h"
	for n := 0; !own(large); n++ {
		large = fmt.Sprint("h", n)
	}
	const keys, fields = 20_000, 6_000
	var reqs []*command.Request
	for i := range keys {
		reqs = append(reqs, request("set", fmt.Sprint("k", i), "v"))
	}
	for i := range fields {
		reqs = append(reqs, request("hset", large, fmt.Sprintf("f%05d", i), "v"))
	}
	for len(reqs) > 0 {
		n := min(len(reqs), 1000)
		m.submit(reqs[:n]...)
		reqs = reqs[n:]
	}
	stranger := store.SenderID{Cluster: "dc-c", Namespace: "default"} // with next to no key of these
	_, err := r.OpenSender(t.Context(), stranger, store.Slots, meta.HashCRC16)
	must(t, err)
	_, err = r.BeginSync(t.Context(), &Begin{Sender: stranger, Base: event.Position{Term: 1, Index: 1}, Time: 1})
	must(t, err)
	first := m.applied()
	_, err = r.ReplayChunk(t.Context(), &Chunk{Sender: stranger, Base: event.Position{Term: 1, Index: 1}, End: true, Names: senderNames})
	must(t, err)
	if n := m.applied().Index - first.Index; n != keys/syncVisits+1 {
		t.Errorf("%d keys that aren't the sender's took %d events", keys, n)
	}
	known, _ := r.State()
	c.do("hset", large, "new", "v")
	c.do("set", "k1", "new")
	id := store.SenderID{Cluster: "dc-a", Namespace: "default"}
	_, err = r.OpenSender(t.Context(), id, 2, meta.HashCRC16)
	must(t, err)
	base := event.Position{Term: 1, Index: 9}
	_, err = r.BeginSync(t.Context(), &Begin{Sender: id, Base: base, Time: 1000, Horizons: map[string]int64{"dc-b": known.Clock}})
	must(t, err)
	before := m.applied()
	got, err := r.ReplayChunk(t.Context(), &Chunk{Sender: id, Base: base, End: true, Names: senderNames})
	must(t, err)
	want := uint64(1) // the hash, and what of the others is the sender's
	for i := range keys {
		if own(fmt.Sprint("k", i)) && i != 1 {
			want++
		}
	}
	if got.Applied != want || got.Sender.Sync != nil {
		t.Errorf("%d keys were changed, want %d; %+v", got.Applied, want, got.Sender)
	}
	if reply := c.do("hlen", large); reply != ":1\r\n" {
		t.Errorf("%s has %q fields left", large, reply)
	}
	for i := range keys {
		if i%997 > 1 {
			continue
		}
		key := fmt.Sprint("k", i)
		stays := ":0\r\n"
		if !own(key) || i == 1 {
			stays = ":1\r\n"
		}
		if reply := c.do("exists", key); reply != stays {
			t.Errorf("%s: %q, want %q", key, reply, stays)
		}
	}
	entries, err := r.log.Entries(before.Index+1, m.applied().Index+1, 1<<30)
	must(t, err)
	events := 0
	for _, e := range entries {
		if len(e.Data) > limit {
			t.Errorf("an event of %d bytes", len(e.Data))
		}
		if len(e.Data) > 0 {
			events++
		}
	}
	if events < (fields*elementOverhead+keys/2*mutationOverhead)/limit {
		t.Errorf("%d events", events)
	}
	big := setBy("big", string(make([]byte, 2*limit)), at(900, byA), event.Version{})
	_, err = r.BeginSync(t.Context(), &Begin{Sender: id, Base: base, Time: 1000, Anew: true})
	must(t, err)
	_, err = r.ReplayChunk(t.Context(), &Chunk{Sender: id, Base: base, End: true, Names: senderNames, Rows: []event.Mutation{big}})
	refused(t, "a row that no event holds", err, RefusedState)
	if reply := c.do("exists", "big"); reply != ":0\r\n" {
		t.Errorf("refused, and there: %q", reply)
	}
}
