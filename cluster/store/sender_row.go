package store

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/engine"
)

// The row of kind OwnSender. Its id is esc(cluster) esc(namespace) partition, the partition in 4 bytes big-endian (key.go has esc): no two senders
// have the same, and rows sort as names and numbers do. Its value, where a *text* is an uvarint length and so many bytes, a *position* the term and
// the index as uvarints, a *time* a zigzag varint of ns:
//
//	offset  size
//	0       1     format, 01
//	1       1     flags: bit 0 a full sync follows; the others are zero
//	2             partitions of the sender's namespace, uvarint
//	              its hash, text
//	              reached: position, then the mutations done, uvarint
//	              time
//	              number of regions, uvarint, and for each: through, text; base, position; time
//	              the full sync: base, position; time; through, text; parts, uvarint; within, text; number of horizons, uvarint, and for each,
//	              in the order of the clusters' ids: the cluster's id, text; time
//
// The row of kind OwnPeer has the peer's cluster id for its id. Its value:
//
//	0       1     format, 01
//	1             confirmed, time
const (
	senderSyncs = 0x01

	senderFormat = 0x01
	peerFormat   = 0x01
)

// SenderKey is the id of a sender's row.
func SenderKey(id SenderID) []byte {
	key := appendEscaped(nil, []byte(id.Cluster))
	key = appendEscaped(key, []byte(id.Namespace))
	return binary.BigEndian.AppendUint32(key, id.Partition)
}

// ParseSenderKey reads what SenderKey made.
func ParseSenderKey(key []byte) (SenderID, error) {
	cluster, rest, ok := cutEscaped(nil, key)
	namespace, rest, more := cutEscaped(nil, rest)
	if !ok || !more || len(rest) != 4 {
		return SenderID{}, corruptf("sender row: id % x", clip(key))
	}
	return SenderID{Cluster: string(cluster), Namespace: string(namespace), Partition: binary.BigEndian.Uint32(rest)}, nil
}

// SenderChange is the change that writes a sender's row, or, s being nil, removes it.
func SenderChange(id SenderID, s *Sender) event.OwnChange {
	o := event.OwnChange{Kind: event.OwnSender, ID: SenderKey(id)}
	if s != nil {
		o.Value = appendSender(nil, s)
	}
	return o
}

// PeerChange is the change that writes a peer's row, or, p being nil, removes it.
func PeerChange(cluster string, p *Peer) event.OwnChange {
	o := event.OwnChange{Kind: event.OwnPeer, ID: []byte(cluster)}
	if p != nil {
		o.Value = binary.AppendVarint([]byte{peerFormat}, p.Confirmed)
	}
	return o
}

func appendSender(dst []byte, s *Sender) []byte {
	flags := byte(0)
	if s.Sync != nil {
		flags |= senderSyncs
	}
	dst = append(dst, senderFormat, flags)
	dst = binary.AppendUvarint(dst, uint64(s.Partitions))
	dst = appendString(dst, s.Hash)
	dst = appendPosition(dst, s.Reached.Position)
	dst = binary.AppendUvarint(dst, uint64(s.Reached.Done))
	dst = binary.AppendVarint(dst, s.Time)
	dst = binary.AppendUvarint(dst, uint64(len(s.Regions)))
	for i := range s.Regions {
		g := &s.Regions[i]
		dst = appendString(dst, g.Through)
		dst = appendPosition(dst, g.Base)
		dst = binary.AppendVarint(dst, g.Time)
	}
	if s.Sync == nil {
		return dst
	}
	dst = appendPosition(dst, s.Sync.Base)
	dst = binary.AppendVarint(dst, s.Sync.Time)
	dst = appendString(dst, s.Sync.Through)
	dst = binary.AppendUvarint(dst, uint64(s.Sync.Parts))
	dst = appendString(dst, s.Sync.Within)
	dst = binary.AppendUvarint(dst, uint64(len(s.Sync.Horizons)))
	for _, cluster := range slices.Sorted(maps.Keys(s.Sync.Horizons)) {
		dst = appendString(dst, cluster)
		dst = binary.AppendVarint(dst, s.Sync.Horizons[cluster])
	}
	return dst
}

func appendPosition(dst []byte, p event.Position) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(dst, p.Term), p.Index)
}

// decodeSender reads a sender's row. What it returns has memory of its own.
func decodeSender(row []byte) (s Sender, err error) {
	if err := checkRow("sender", row, 2); err != nil {
		return s, err
	}
	if row[1]&^senderSyncs != 0 {
		return s, formatf("sender row: flags %#02x; this program knows %#02x: it was written by a newer one", row[1], senderSyncs)
	}
	f := fields{p: row[2:]}
	s.Partitions = f.uint32()
	s.Hash = string(f.counted())
	s.Reached = Cursor{Position: f.position(), Done: f.uint32()}
	s.Time = f.varint()
	for range f.number() {
		s.Regions = append(s.Regions, Region{Through: append([]byte(nil), f.counted()...), Base: f.position(), Time: f.varint()})
	}
	if row[1]&senderSyncs != 0 {
		s.Sync = f.fullSync()
	}
	if f.bad || len(f.p) != 0 {
		return Sender{}, corruptf("sender row of %d bytes: % x", len(row), row[:min(len(row), 64)])
	}
	return s, nil
}

func (f *fields) fullSync() *FullSync {
	y := &FullSync{Base: f.position(), Time: f.varint(), Through: append([]byte(nil), f.counted()...), Parts: f.uint32(), Within: append([]byte(nil), f.counted()...)}
	for range f.number() {
		if y.Horizons == nil {
			y.Horizons = make(map[string]int64)
		}
		cluster := string(f.counted())
		y.Horizons[cluster] = f.varint()
	}
	return y
}

func (f *fields) position() event.Position {
	return event.Position{Term: f.uvarint(), Index: f.uvarint()}
}

func (f *fields) uint32() uint32 {
	n := f.uvarint()
	if n > 1<<32-1 {
		f.p, f.bad = nil, true
		return 0
	}
	return uint32(n)
}

// number takes how many things follow: as each takes a byte at least, not more than bytes are left.
func (f *fields) number() uint64 {
	n := f.uvarint()
	if n > uint64(len(f.p)) {
		f.p, f.bad = nil, true
		return 0
	}
	return n
}

func decodePeer(row []byte) (Peer, error) {
	if err := checkRow("peer", row, 2); err != nil {
		return Peer{}, err
	}
	f := fields{p: row[1:]}
	p := Peer{Confirmed: f.varint()}
	if f.bad || len(f.p) != 0 {
		return Peer{}, corruptf("peer row: % x", row[:min(len(row), 32)])
	}
	return p, nil
}

// Senders visits the partition's senders in the order of their ids until visit returns false. Any goroutine.
func (s *Store) Senders(visit func(id SenderID, at Sender) bool) error {
	return visitSenders(s.engine, visit)
}

// Senders is Store.Senders on the snapshot.
func (n *Snapshot) Senders(visit func(id SenderID, at Sender) bool) error {
	return visitSenders(n.reader, visit)
}

func visitSenders(r engine.Reader, visit func(SenderID, Sender) bool) error {
	return visitOwnRows(r, event.OwnSender, func(key, value []byte) (bool, error) {
		id, err := ParseSenderKey(key)
		if err != nil {
			return false, err
		}
		at, err := decodeSender(value)
		if err != nil {
			return false, fmt.Errorf("sender %s: %w", id, err)
		}
		return visit(id, at), nil
	})
}

// Sender reads one sender's row; false if the partition doesn't know it. Any goroutine.
func (s *Store) Sender(id SenderID) (Sender, bool, error) { return readSender(s.engine, id) }

// Sender is Store.Sender on the snapshot.
func (n *Snapshot) Sender(id SenderID) (Sender, bool, error) { return readSender(n.reader, id) }

func readSender(r engine.Reader, id SenderID) (Sender, bool, error) {
	row, ok, err := r.Get(nil, appendOwnKey(nil, event.OwnSender, SenderKey(id)))
	if err != nil {
		return Sender{}, false, fmt.Errorf("store: read sender %s: %w", id, err)
	}
	if !ok {
		return Sender{}, false, nil
	}
	at, err := decodeSender(row)
	if err != nil {
		return Sender{}, false, fmt.Errorf("sender %s: %w", id, err)
	}
	return at, true, nil
}

// Peers visits the partition's peers in the order of their cluster ids until visit returns false. Any goroutine.
func (s *Store) Peers(visit func(cluster string, p Peer) bool) error {
	return visitPeers(s.engine, visit)
}

// Peers is Store.Peers on the snapshot.
func (n *Snapshot) Peers(visit func(cluster string, p Peer) bool) error {
	return visitPeers(n.reader, visit)
}

func visitPeers(r engine.Reader, visit func(string, Peer) bool) error {
	return visitOwnRows(r, event.OwnPeer, func(key, value []byte) (bool, error) {
		p, err := decodePeer(value)
		if err != nil {
			return false, fmt.Errorf("peer %q: %w", clip(key), err)
		}
		return visit(string(key), p), nil
	})
}

// visitOwnRows is visitOwn for rows that may turn out to be unreadable.
func visitOwnRows(r engine.Reader, kind event.OwnKind, visit func(id, value []byte) (bool, error)) error {
	prefix := appendOwnKey(nil, kind, nil)
	return scan(r, prefix, prefixEnd(nil, prefix), func(key, value []byte) (bool, error) {
		return visit(key[len(prefix):], value)
	})
}
