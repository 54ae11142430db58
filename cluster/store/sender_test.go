package store

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"reflect"
	"testing"

	"github.com/zankv/zankv/cdc/event"
)

// senders are rows of every shape.
func senders() []Sender {
	at := func(n uint64) event.Position { return event.Position{Term: n, Index: 1000 + n} }
	far := event.Position{Term: math.MaxUint64, Index: math.MaxUint64}
	return []Sender{
		{},
		{Partitions: 4, Hash: "crc16"},
		{Partitions: math.MaxUint32, Hash: "murmur3", Reached: Cursor{Position: far, Done: AllDone}, Time: math.MaxInt64},
		{Partitions: 8, Hash: "crc16", Reached: Cursor{Position: at(2), Done: 3}, Time: -1, Regions: []Region{
			{Through: []byte("k\x00\xff"), Base: at(3), Time: 7}, {Base: at(4), Time: 8},
		}},
		{Partitions: 8, Hash: "crc16", Sync: &FullSync{Base: at(9), Time: 5}},
		{Partitions: 8, Hash: "crc16", Reached: Cursor{Position: at(2), Done: 3}, Time: 1, Regions: []Region{{Base: far, Time: math.MinInt64}}, Sync: &FullSync{
			Base: at(9), Time: 5, Through: []byte("\x00"), Parts: 12, Within: []byte("field"), Horizons: map[string]int64{"dc-a": 4, "": math.MaxInt64, "dc-c": -2},
		}},
	}
}

func TestSenderRoundTrip(t *testing.T) {
	for _, want := range senders() {
		row := appendSender(nil, &want)
		got, err := decodeSender(row)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("row % x: got %+v, %v, want %+v", row, got, err, want)
		}
		if again := appendSender(nil, &want); !bytes.Equal(again, row) {
			t.Errorf("% x, then % x: a row is the same each time", row, again)
		}
		for cut := range len(row) {
			if _, err := decodeSender(row[:cut]); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("row % x cut to %d bytes: got %v, want %v", row, cut, err, ErrCorrupt)
			}
		}
		if _, err := decodeSender(append(row, 0)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("row % x and one more: %v, want %v", row, err, ErrCorrupt)
		}
		for at, b := range []byte{2, 2} {
			newer := bytes.Clone(row)
			newer[at] = b
			if _, err := decodeSender(newer); !errors.Is(err, ErrFormat) {
				t.Errorf("byte %d is %d: %v, want %v", at, b, err, ErrFormat)
			}
		}
	}
}

// TestSenderBytes shows the format, so that a change of it reads as one.
func TestSenderBytes(t *testing.T) {
	s := Sender{
		Partitions: 8, Hash: "crc16", Reached: Cursor{Position: event.Position{Term: 2, Index: 300}, Done: 3}, Time: 5,
		Regions: []Region{{Through: []byte("k"), Base: event.Position{Term: 2, Index: 4}, Time: -1}},
		Sync:    &FullSync{Base: event.Position{Term: 3, Index: 9}, Time: 6, Through: []byte("q"), Parts: 1, Within: []byte("z"), Horizons: map[string]int64{"b": 1, "a": 2}},
	}
	want := "01 01 08 05 63 72 63 31 36 02 ac 02 03 0a 01 01 6b 02 04 01 03 09 0c 01 71 01 01 7a 02 01 61 04 01 62 02"
	if got := fmt.Sprintf("% x", appendSender(nil, &s)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, want := fmt.Sprintf("% x", SenderKey(SenderID{"a", "n\x00", 258})), "61 00 01 6e 00 ff 00 01 00 00 01 02"; got != want {
		t.Errorf("id: got %s, want %s", got, want)
	}
	if got, want := fmt.Sprintf("% x", PeerChange("a", &Peer{Confirmed: 64}).Value), "01 80 01"; got != want {
		t.Errorf("peer: got %s, want %s", got, want)
	}
}

// TestSenderKeys: no two senders have the same id, and rows sort as cluster, namespace and number do.
func TestSenderKeys(t *testing.T) {
	var last []byte
	for _, cluster := range []string{"", "\x00", "a", "a\x00", "a\x00\x01b", "ab"} {
		for _, namespace := range []string{"", "\x00", "b", "n"} {
			for _, partition := range []uint32{0, 1, 256, math.MaxUint32} {
				id := SenderID{cluster, namespace, partition}
				key := SenderKey(id)
				if bytes.Compare(last, key) >= 0 {
					t.Errorf("%q: % x isn't above % x", id, key, last)
				}
				last = key
				if got, err := ParseSenderKey(key); err != nil || got != id {
					t.Errorf("%q: read as %q, %v", id, got, err)
				}
				for cut := range len(key) {
					if got, err := ParseSenderKey(key[:cut]); err == nil {
						t.Errorf("%q cut to %d bytes is read as %q", id, cut, got)
					}
				}
			}
		}
	}
}

// TestSendersAndPeers: rows are there on the store and on a snapshot, until they are removed; they are no events.
func TestSendersAndPeers(t *testing.T) {
	s := openStore(t, memEngine(t), nil)
	a, w := s.NewApply(), newWorld()
	put := func(own ...event.OwnChange) {
		w.begin()
		w.ev.Own = append(w.ev.Own, own...)
		gather(t, a, w.end())
		must(t, a.Commit())
	}
	ids := []SenderID{{"a", "default", 0}, {"a", "default", 1}, {"b", "default", 0}}
	for i, id := range ids {
		put(SenderChange(id, &senders()[i+1]), PeerChange(fmt.Sprint("peer", i), &Peer{Confirmed: int64(i)}))
	}
	check := func(what string, r interface {
		Senders(func(SenderID, Sender) bool) error
		Sender(SenderID) (Sender, bool, error)
		Peers(func(string, Peer) bool) error
	}, want ...int) {
		t.Helper()
		var got []SenderID
		must(t, r.Senders(func(id SenderID, at Sender) bool {
			one, ok, err := r.Sender(id)
			if err != nil || !ok || !reflect.DeepEqual(one, at) || !reflect.DeepEqual(at, senders()[want[len(got)]+1]) {
				t.Errorf("%s: %s: %+v, %v, %v; visited %+v", what, id, one, ok, err, at)
			}
			got = append(got, id)
			return true
		}))
		n := 0
		must(t, r.Peers(func(cluster string, p Peer) bool {
			if i := want[n]; cluster != fmt.Sprint("peer", i) || p.Confirmed != int64(i) {
				t.Errorf("%s: peer %s %+v", what, cluster, p)
			}
			n++
			return true
		}))
		if len(got) != len(want) || n != len(want) {
			t.Errorf("%s: %v and %d peers, want %v", what, got, n, want)
		}
	}
	snap := s.Snapshot()
	defer snap.Close()
	check("all", s, 0, 1, 2)
	put(SenderChange(ids[1], nil), PeerChange("peer1", nil))
	check("one removed", s, 0, 2)
	check("the snapshot", snap, 0, 1, 2)
	if _, ok, err := s.Sender(ids[1]); ok || err != nil {
		t.Errorf("removed: %v, %v", ok, err)
	}
	if st := s.State(); st.Events != 0 {
		t.Errorf("%d events", st.Events)
	}
}

// TestReplicates: the row has the position of the entry, and a switch that this program doesn't know stops the replica.
func TestReplicates(t *testing.T) {
	s := openStore(t, memEngine(t), nil)
	a, w := s.NewApply(), newWorld()
	if since, err := s.Replicates(); err != nil || !since.IsZero() {
		t.Errorf("at first: %s, %v", since, err)
	}
	w.begin()
	w.ev.Own = append(w.ev.Own, ReplicatesChange())
	at := w.end()
	gather(t, a, at)
	must(t, a.Commit())
	if since, err := s.Replicates(); err != nil || since != at.pos {
		t.Errorf("since %s, %v, want %s", since, err, at.pos)
	}
	for _, o := range []event.OwnChange{{Kind: event.OwnReplicates}, {Kind: event.OwnReplicates, Value: []byte{2}}, {Kind: event.OwnReplicates, ID: []byte("x"), Value: []byte{1}}} {
		a, w := openStore(t, memEngine(t), nil).NewApply(), newWorld()
		w.begin()
		w.ev.Own = append(w.ev.Own, o)
		at := w.end()
		if err := a.Event(at.pos, at.ev); !errors.Is(err, ErrEvent) {
			t.Errorf("%x of %q: %v, want ErrEvent", o.Value, o.ID, err)
		}
	}
}

func TestRegionOf(t *testing.T) {
	at := func(i uint64) event.Position { return event.Position{Term: 1, Index: i} }
	bounded := Sender{Regions: []Region{{Through: []byte("d"), Base: at(1)}, {Through: []byte("m"), Base: at(2)}}}
	open := Sender{Regions: append(bounded.Regions[:1:1], Region{Base: at(3)})}
	for _, c := range []struct {
		s    Sender
		key  string
		want uint64 // 0: none
	}{{Sender{}, "a", 0}, {bounded, "", 1}, {bounded, "d", 1}, {bounded, "d\x00", 2}, {bounded, "m", 2}, {bounded, "n", 0}, {open, "d", 1}, {open, "e", 3}, {open, "zz", 3}} {
		g, ok := c.s.RegionOf([]byte(c.key))
		if ok != (c.want != 0) || ok && g.Base.Index != c.want {
			t.Errorf("%q among %d regions: %+v, %v, want base %d", c.key, len(c.s.Regions), g, ok, c.want)
		}
	}
}
