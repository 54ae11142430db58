package partition

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/meta"
	"github.com/zankv/zankv/cluster/store"
)

// side is one of two clusters: the partitions of a namespace, each a group of its own.
type side struct {
	t     *testing.T
	id    string
	parts []*cluster
}

func newSide(t *testing.T, id string, partitions, replicas int, more ...func(*Options)) *side {
	t.Helper()
	s := &side{t: t, id: id}
	for n := range partitions {
		number := func(o *Options) {
			o.Partition, o.Cut = uint32(n), store.Cut{Hash: meta.HashCRC16, Partitions: uint32(partitions)}
		}
		s.parts = append(s.parts, newCluster(t, replicas, named(id, nil, append([]func(*Options){number}, more...)...)))
	}
	return s
}

// do runs a command on the partition of its key.
func (s *side) do(args ...string) string {
	s.t.Helper()
	return s.of([]byte(args[1])).do(args...)
}

func (s *side) cut() store.Cut {
	return store.Cut{Hash: meta.HashCRC16, Partitions: uint32(len(s.parts))}
}

func (s *side) of(key []byte) *cluster {
	return s.parts[store.PartitionBySlot(key, uint32(len(s.parts)))]
}

// replicates has the partitions keep tombstones, as those of a cluster with a peer do.
func (s *side) replicates(peer string) {
	for _, c := range s.parts {
		c.asLeader("a peer is known", func(r *Replica) error {
			_, err := r.ConfirmPeer(s.t.Context(), peer, 0)
			return err
		})
	}
}

// sums are the checksums of all slots.
func (s *side) sums(wall, watermark int64) map[uint16]store.Sum {
	all := map[uint16]store.Sum{}
	for _, c := range s.parts {
		sum, err := c.leader().replica.ChecksumOf(s.t.Context(), ChecksumOf{Wall: wall, Watermark: watermark})
		must(s.t, err)
		maps.Copy(all, sum.Slots)
	}
	return all
}

// equals wants that two sides have the same content.
func (s *side) equals(other *side) {
	s.t.Helper()
	wall, watermark := time.Now().UnixMilli(), watermarkOf(s, other)
	a, b := s.sums(wall, watermark), other.sums(wall, watermark)
	for now := watermarkOf(s, other); now != watermark; now = watermarkOf(s, other) { // it moved on meanwhile
		watermark = now
		a, b = s.sums(wall, watermark), other.sums(wall, watermark)
	}
	for slot := range a {
		if a[slot] != b[slot] {
			s.t.Errorf("slot %d: %s has %s, %s has %s:\n%s\n%s", slot, s.id, a[slot], other.id, b[slot], s.show(slot), other.show(slot))
		}
	}
	for slot := range b {
		if _, ok := a[slot]; !ok {
			s.t.Errorf("slot %d: nothing of it is in %s, %s has\n%s", slot, s.id, other.id, other.show(slot))
		}
	}
}

// watermarkOf is the latest of all partitions.
func watermarkOf(sides ...*side) (latest int64) {
	for _, s := range sides {
		for _, c := range s.parts {
			st, _ := c.leader().replica.State()
			latest = max(latest, st.Watermark)
		}
	}
	return latest
}

// show tells what a slot has.
func (s *side) show(slot uint16) string {
	var b bytes.Buffer
	rows, base := s.parts[store.PartitionOfSlot(slot, uint32(len(s.parts)))].rows(nil)
	for i := range rows {
		if m := &rows[i]; store.Slot(m.Key) == slot {
			fmt.Fprintf(&b, "\t%s %s %q v%v k%v f%v x%d/%v n%d", m.Op, m.Type, m.Key, m.Version, m.KeyVersion, m.Floor, m.ExpireAt, m.ExpiryVersion, m.Count)
			for j := range m.Elements {
				if e := &m.Elements[j]; j < 20 {
					fmt.Fprintf(&b, " %.20q=%.20q/%g/%v", e.Sub, e.Value, e.Score, e.Prev)
				}
			}
			b.WriteByte('\n')
		}
	}
	return s.id + fmt.Sprint(base.Clusters) + "\n" + b.String()
}

// rows is the state of the cluster's leader after a key, as a reader of the feed gets it.
func (c *cluster) rows(after []byte) (rows []event.Mutation, base store.State) {
	c.t.Helper()
	s, err := c.leader().replica.OpenState(after, true)
	must(c.t, err)
	defer s.Close()
	for {
		part, err := s.Next()
		if errors.Is(err, io.EOF) {
			return rows, s.State()
		}
		must(c.t, err)
		var ev event.Event
		must(c.t, event.Decode(event.Append(nil, &event.Event{Time: 7, Term: 1, Mutations: part}), &ev))
		rows = append(rows, ev.Mutations...)
	}
}

// syncing carries a full sync of one partition of a side to another side.
type syncing struct {
	t        *testing.T
	from, to *side
	p        uint32
	draw     *rand.Rand
	// cut splits rows of collections after so many elements; 0: not at all.
	cut int
	// each is called before each chunk; false breaks the sync off.
	each func() bool
	// heard has the source say that it has all that the target wrote up to a time.
	heard int64
	// done counts what became of it.
	done Replayed
}

func (s *syncing) sender() store.SenderID {
	return store.SenderID{Cluster: s.from.id, Namespace: "default", Partition: s.p}
}

// run carries the state as it is now, after the keys that all targets have. It returns false if it was broken off.
func (s *syncing) run() bool {
	s.t.Helper()
	var after []byte
	sharing := s.from.cut().Sharing(s.p, s.to.cut())
	for q := range sharing.All() {
		s.to.parts[q].asLeader("the sender is open", func(r *Replica) error {
			p, err := r.OpenSender(s.t.Context(), s.sender(), uint32(len(s.from.parts)), meta.HashCRC16)
			if through := syncOf(&p.Sender).Through; q == sharing.First || bytes.Compare(through, after) < 0 {
				after = through
			}
			return err
		})
	}
	src := s.from.parts[s.p]
	state, err := src.leader().replica.OpenState(after, true)
	must(s.t, err)
	horizons := state.Horizons()
	state.Close()
	if s.heard > 0 {
		horizons[s.to.id] = s.heard
	}
	rows, base := src.rows(after)
	begin := &Begin{Sender: s.sender(), Base: base.Applied, Time: base.Clock, Horizons: horizons}
	for q := range sharing.All() {
		if !s.target(s.to.parts[q], q, begin, rows, base.Clusters) {
			return false
		}
	}
	return true
}

func syncOf(at *store.Sender) *store.FullSync {
	if at.Sync == nil {
		return &store.FullSync{}
	}
	return at.Sync
}

// target carries what is one target partition's.
func (s *syncing) target(c *cluster, q uint32, begin *Begin, rows []event.Mutation, names event.Names) bool {
	var at store.Sender
	c.asLeader("a full sync begins", func(r *Replica) (err error) {
		at, err = r.BeginSync(s.t.Context(), begin)
		return err
	})
	var mine []event.Mutation
	for i := range rows {
		if store.PartitionBySlot(rows[i].Key, uint32(len(s.to.parts))) == q && bytes.Compare(rows[i].Key, at.Sync.Through) > 0 {
			mine = append(mine, cutRow(rows[i], s.cut)...)
		}
	}
	for n := 0; ; {
		if s.each != nil && !s.each() {
			return false
		}
		take := min(len(mine)-n, 1+s.draw.IntN(20))
		chunk := &Chunk{Sender: begin.Sender, Base: begin.Base, After: at.Sync.Through, Part: at.Sync.Parts, Names: names, Rows: copyRows(mine[n : n+take])}
		chunk.Through = s.through(chunk, mine, n+take)
		chunk.End = n+take == len(mine)
		n += take
		at = s.send(c, chunk)
		if chunk.End {
			return true
		}
	}
}

// through is up to which key a chunk can say that it has all: up to its last one's if another follows, or, as one can't know that, the one before.
func (s *syncing) through(chunk *Chunk, mine []event.Mutation, next int) []byte {
	if len(chunk.Rows) == 0 {
		return chunk.After
	}
	last := chunk.Rows[len(chunk.Rows)-1].Key
	if next < len(mine) && !bytes.Equal(mine[next].Key, last) && s.draw.IntN(2) == 0 {
		return last
	}
	for i := len(chunk.Rows) - 1; i >= 0; i-- {
		if !bytes.Equal(chunk.Rows[i].Key, last) {
			return chunk.Rows[i].Key
		}
	}
	return chunk.After
}

// send sends a chunk until it is in, and now and then once more.
func (s *syncing) send(c *cluster, chunk *Chunk) (at store.Sender) {
	s.t.Helper()
	for again := s.draw.IntN(4); again >= 0; again -= 4 {
		c.asLeader("a chunk is taken", func(r *Replica) error {
			own := *chunk
			own.Rows = copyRows(chunk.Rows)
			got, err := r.ReplayChunk(s.t.Context(), &own)
			if err == nil {
				at = got.Sender
				s.done.Applied, s.done.Skipped, s.done.Conflicts = s.done.Applied+got.Applied, s.done.Skipped+got.Skipped, s.done.Conflicts+got.Conflicts
			}
			return err
		})
	}
	return at
}

// copyRows are rows that a chunk may use up.
func copyRows(rows []event.Mutation) []event.Mutation {
	rows = slices.Clone(rows)
	for i := range rows {
		rows[i].Elements = slices.Clone(rows[i].Elements)
	}
	return rows
}

// cutRow cuts a row of a collection into several.
func cutRow(m event.Mutation, most int) (rows []event.Mutation) {
	if most == 0 || len(m.Elements) <= most {
		return []event.Mutation{m}
	}
	first := m.Count - uint64(len(m.Elements))
	for part := range slices.Chunk(m.Elements, most) {
		row := m
		row.Elements = part
		if first += uint64(len(part)); m.Type != event.TypeBitmap && !m.Op.Removes() {
			row.Count = first
		}
		if len(rows) > 0 {
			row.Whole = false
		}
		rows = append(rows, row)
	}
	return rows
}

// fullSync carries the state of all partitions.
func (s *side) fullSync(to *side, draw *rand.Rand, cut int) (done Replayed) {
	s.t.Helper()
	for p := range s.parts {
		one := &syncing{t: s.t, from: s, to: to, p: uint32(p), draw: draw, cut: cut}
		one.run()
		done.Applied, done.Skipped, done.Conflicts = done.Applied+one.done.Applied, done.Skipped+one.done.Skipped, done.Conflicts+one.done.Conflicts
	}
	return done
}

// fill writes at random, in one lane a partition.
func (s *side) fill(draw *rand.Rand, n int) {
	s.t.Helper()
	lanes := map[*cluster][]*command.Request{}
	for range n {
		args := everyType(draw)
		if args[0] == "pexpire" && args[1][0] == 'b' { // one that is written to after its end comes as a string first, which clashes
			continue
		}
		c := s.of([]byte(args[1]))
		lanes[c] = append(lanes[c], request(args...))
	}
	for c, reqs := range lanes {
		c.leader().submit(reqs...)
	}
}
