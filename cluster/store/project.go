package store

import (
	"encoding/binary"

	"github.com/zankv/zankv/cdc/event"
)

// Event projects an entry's event: its rows go into the batch, and chain, clocks, counts and cluster numbers go on. It reads no
// rows: all that it needs stands in the event. An error means that the event is one that this program can't apply, or that
// it isn't the next; then nothing more can be applied.
func (a *Apply) Event(pos event.Position, ev *event.Event) error {
	if err := a.advance(pos); err != nil {
		return err
	}
	if err := a.project(pos, ev); err != nil {
		a.err = err
	}
	return a.err
}

func (a *Apply) project(pos event.Position, ev *event.Event) error {
	if ev.Term != pos.Term {
		return eventf("at %s: it was evaluated in term %d; such an entry is rejected, not projected", pos, ev.Term)
	}
	if err := a.name(ev.Clusters); err != nil {
		return err
	}
	for i := range ev.Mutations {
		m := &ev.Mutations[i]
		if err := a.mutation(pos, i, m); err != nil {
			return err
		}
		a.state.Clock = max(a.state.Clock, m.Version.Time)
	}
	for i := range ev.Own {
		if err := a.own(pos, &ev.Own[i]); err != nil {
			return err
		}
	}
	a.state.Clock = max(a.state.Clock, ev.Time)
	a.state.Wall = max(a.state.Wall, ev.Wall)
	if len(ev.Mutations) == 0 {
		return nil // not an event of the feed
	}
	a.link(pos, ev)
	return nil
}

// link adds an event to the chain.
func (a *Apply) link(pos event.Position, ev *event.Event) {
	a.stamp.Position, a.stamp.Prev = pos, a.state.LastEvent
	a.state.Chain = event.NextChain(a.state.Chain, &a.stamp, ev, a.state.Clusters, &a.scratch)
	a.state.LastEvent = pos
	a.state.Events++
	if a.state.Events%markEvery == 0 {
		a.putMark(pos.Index)
	}
}

func (a *Apply) name(names []event.ClusterName) error {
	for _, c := range names {
		named, err := nameCluster(a.state.Clusters, c.Number, c.ID)
		if err != nil {
			return err
		}
		a.state.Clusters = named
		a.key = appendClusterKey(a.key[:0], c.Number)
		a.row = append(a.row[:0], c.ID...)
		a.batch.Put(a.key, a.row)
	}
	return nil
}

func (a *Apply) own(pos event.Position, o *event.OwnChange) (err error) {
	a.key = appendOwnKey(a.key[:0], o.Kind, o.ID)
	switch {
	case o.Kind == event.OwnWatermark:
		err = a.moveWatermark(pos, o)
	case o.Kind == event.OwnRole:
		if a.row, err = appendRoleRow(a.row[:0], pos, o); err == nil {
			a.batch.Put(a.key, a.row)
		}
	case o.Kind == event.OwnReplicates:
		if a.row, err = appendReplicatesRow(a.row[:0], pos, o); err == nil {
			a.batch.Put(a.key, a.row)
		}
	case len(o.Value) == 0:
		a.batch.Delete(a.key)
	default:
		a.batch.Put(a.key, o.Value)
	}
	return err
}

func (a *Apply) mutation(pos event.Position, i int, m *event.Mutation) error {
	switch m.Op {
	case event.OpSet, event.OpValue:
		a.set(m)
	case event.OpDel:
		a.remove(m)
	case event.OpExpire:
		if !m.Before.Exists {
			return absent(pos, i, m, "expire")
		}
		a.remove(m)
	case event.OpExpireAt, event.OpPersist:
		if !m.Before.Exists || m.Before.Version.IsZero() {
			return absent(pos, i, m, "expireat or persist")
		}
		a.expiry(m)
	case event.OpRange:
		a.removeRange(pos, i, m)
	default:
		if m.Op.OnElements() {
			return a.collection(pos, i, m)
		}
		return eventf("at %s.%d: op %d is unknown here: the leader runs a newer program; this one knows ops 1 to %d", pos, i, m.Op, event.OpBits)
	}
	return nil
}

func absent(pos event.Position, i int, m *event.Mutation, op string) error {
	return eventf("at %s.%d: %s of %q without the key and version that were there before", pos, i, op, clip(m.Key))
}

// set writes a string: the whole key, or its value.
func (a *Apply) set(m *event.Mutation) {
	meta := event.Meta{
		Type: event.TypeString, Version: m.Version, Floor: m.Floor,
		ExpireAt: m.ExpireAt, ExpiryVersion: m.ExpiryVersion, Value: m.Value,
	}
	a.putMeta(m.Key, &meta)
	a.replace(m, 0)
	a.index(m, m.ExpireAt)
}

// expiry writes a key's meta row again with another expiry.
func (a *Apply) expiry(m *event.Mutation) {
	b := &m.Before
	meta := event.Meta{
		Type: b.Type, Version: b.Version, Floor: m.Floor,
		ExpireAt: m.ExpireAt, ExpiryVersion: m.ExpiryVersion,
		Generation: b.Generation, Count: m.Count, Value: b.Value,
	}
	a.putMeta(m.Key, &meta)
	a.replace(m, b.Generation)
	a.index(m, m.ExpireAt)
}

// replace counts a key that is there now, removes the tombstone that it takes the place of (the version before of a key that is
// absent is a tombstone's) and leaves a generation that is no longer its own to the clean-up.
func (a *Apply) replace(m *event.Mutation, generation uint64) {
	if !m.Before.Exists {
		a.state.Keys++
		if !m.Prev.IsZero() {
			a.deleteTombstone(m.Key)
		}
		return
	}
	if m.Before.Generation != generation {
		a.bury(m)
	}
}

// remove takes a key away, and keeps its version if it is to.
func (a *Apply) remove(m *event.Mutation) {
	if m.Before.Exists {
		a.state.Keys--
		a.deleteMeta(m.Key)
		a.index(m, 0)
		a.bury(m)
	}
	a.entomb(m)
}

// LeftVersion is the version of the tombstone of a key that a mutation removes: the latest of any of its registers' content. A removal of the whole key
// is that itself, as its floor, unless an element was removed later still (KeyVersion). A removal that only writes the expiry of a key that is absent has
// a version that is the expiry's.
func LeftVersion(m *event.Mutation) event.Version {
	switch {
	case m.Op == event.OpExpire:
		return m.Version
	case !m.KeyVersion.IsZero():
		return m.KeyVersion
	}
	return m.Floor
}

// entomb keeps the versions of a key that was removed, if they are to be kept, else sees to it that no older ones stay. The expiry is kept with them: what
// is written elsewhere without knowing of the removal may bring the key back, and then it expires as it would have.
func (a *Apply) entomb(m *event.Mutation) {
	if !m.Tombstone && (m.Before.Exists || m.Prev.IsZero()) {
		return
	}
	if !m.Tombstone {
		a.deleteTombstone(m.Key)
		return
	}
	a.key = appendTombstoneKey(a.key[:0], m.Key)
	left := event.Meta{Version: LeftVersion(m), Floor: m.Floor, ExpireAt: m.ExpireAt, ExpiryVersion: m.ExpiryVersion}
	a.row = appendMeta(a.row[:0], &left)
	a.batch.Put(a.key, a.row)
	a.touched = append(a.touched, a.lastRow())
}

func (a *Apply) deleteTombstone(key []byte) {
	a.key = appendTombstoneKey(a.key[:0], key)
	a.batch.Delete(a.key)
	a.touched = append(a.touched, a.lastRemoved())
}

// bury queues the elements of the generation before, if there was one, for removal.
func (a *Apply) bury(m *event.Mutation) {
	if m.Before.Generation == 0 {
		return
	}
	a.key = appendCleanGenerationKey(a.key[:0], m.Key, m.Before.Generation)
	a.row = append(a.row[:0], rowFormat, byte(m.Before.Type))
	a.putCleanup()
}

// putCleanup queues the job in key and row.
func (a *Apply) putCleanup() {
	a.batch.Put(a.key, a.row)
	a.jobs = append(a.jobs, a.lastRow())
}

// index brings the expiry index from the expiry before to the one after.
func (a *Apply) index(m *event.Mutation, after int64) {
	var before int64
	if m.Before.Exists {
		before = m.Before.ExpireAt
	}
	if before == after {
		return
	}
	if before != 0 {
		a.key = appendExpiryKey(a.key[:0], before, m.Key)
		a.batch.Delete(a.key)
		a.state.Expiring--
	}
	if after != 0 {
		a.key = appendExpiryKey(a.key[:0], after, m.Key)
		a.batch.Put(a.key, nil)
		a.state.Expiring++
	}
}

// removeRange removes the keys in [Key, Value). The rows of the families that aren't in the order of keys go at once if it
// is all keys, else they are left to the clean-up.
func (a *Apply) removeRange(pos event.Position, i int, m *event.Mutation) {
	a.rows, a.dropped = a.rows[:0], true
	a.state.Keys -= int64(m.Count)
	a.state.Expiring -= int64(m.Before.Expiring)
	a.deleteRange(m, famMeta)
	for _, family := range [...]byte{famElement, famScore, famTombstone} {
		a.deleteRange(m, family)
	}
	a.deleteRange(m, famCleanup, cleanGeneration)
	if len(m.Key) == 0 && len(m.Value) == 0 {
		for _, family := range [...]byte{famExpiry, famIndex} {
			a.deleteRange(m, family)
		}
		a.deleteRange(m, famCleanup, cleanRange)
		return
	}
	a.key = appendCleanRangeKey(a.key[:0], pos.Index, uint32(i))
	a.row = binary.AppendUvarint(append(a.row[:0], rowFormat), uint64(len(m.Key)))
	a.row = append(append(a.row, m.Key...), m.Value...)
	a.putCleanup()
}

func (a *Apply) deleteRange(m *event.Mutation, prefix ...byte) {
	start, end := keyRange(prefix, m.Key, m.Value)
	a.batch.DeleteRange(start, end)
}

// keyRange is the range of the rows, in the family or part of one named by prefix, of the keys in [start, end); an empty end is
// after all keys.
func keyRange(prefix, start, end []byte) (lower, upper []byte) {
	escape := appendEscapedPrefix
	if prefix[0] == famMeta {
		escape = func(dst, p []byte) []byte { return append(dst, p...) }
	}
	lower = escape(append([]byte(nil), prefix...), start)
	if len(end) == 0 {
		return lower, prefixEnd(nil, prefix)
	}
	return lower, escape(append([]byte(nil), prefix...), end)
}

func (a *Apply) putMeta(key []byte, meta *event.Meta) {
	a.key = appendMetaKey(a.key[:0], key)
	a.row = appendMeta(a.row[:0], meta)
	a.batch.Put(a.key, a.row)
	a.rows = append(a.rows, a.lastRow())
}

// lastRow is where the row just put, that of key and row, lies in the batch.
func (p *projector) lastRow() span {
	end := p.batch.Len()
	row := end - len(p.row)
	keyEnd := row - uvarintLen(uint64(len(p.row)))
	return span{key: keyEnd - len(p.key), keyEnd: keyEnd, row: row, rowEnd: end}
}

func (a *Apply) deleteMeta(key []byte) {
	a.key = appendMetaKey(a.key[:0], key)
	a.batch.Delete(a.key)
	a.rows = append(a.rows, a.lastRemoved())
}

// lastRemoved is where the key of the row just removed lies in the batch.
func (p *projector) lastRemoved() span {
	end := p.batch.Len()
	return span{key: end - len(p.key), keyEnd: end, row: end, rowEnd: end}
}

func uvarintLen(n uint64) int {
	size := 1
	for n >= 0x80 {
		n >>= 7
		size++
	}
	return size
}
