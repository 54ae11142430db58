package store

import (
	"encoding/binary"
	"fmt"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/engine"
)

// Identity names a partition: what an event's chain is stamped with.
type Identity struct {
	Cluster   string
	Namespace string
	Partition uint32
}

func (id Identity) String() string {
	return fmt.Sprintf("%s-%d of cluster %s", id.Namespace, id.Partition, id.Cluster)
}

// State is what a store knows of itself after some entry of the log: the content of the state row and of the cluster rows.
// A State is never changed once handed out; its slices are not to be written to.
type State struct {
	// Applied is the last entry that the rows contain; zero in an empty store.
	Applied event.Position
	// LastEvent is the last entry that was an event of the feed, Chain the chain after it, Events how many there were.
	LastEvent event.Position
	Chain     event.Chain
	Events    uint64
	// Clock is the highest version time seen (ns, hybrid clock), Wall the highest wall clock (ms since 1970).
	Clock int64
	Wall  int64
	// Keys counts the meta rows, those of expired keys included, Expiring those of them that have an expiry.
	Keys     int64
	Expiring int64
	// ConfState is raft's, marshalled, opaque here; nil until SetConfState.
	ConfState []byte
	// Clusters are the cluster ids by number; those that have none are empty, as number 0.
	Clusters event.Names
	// Watermark is the time (ns) at or below which tombstones don't exist, 0 for none: see Watermark.
	Watermark int64
}

// ClusterID is the id of the cluster with this number; ok is false if it has none.
func (s *State) ClusterID(n event.ClusterNumber) (id string, ok bool) {
	if uint64(n) >= uint64(len(s.Clusters)) {
		return "", false
	}
	id = s.Clusters[n]
	return id, id != ""
}

// maxClusters bounds cluster numbers: they are an index into a slice.
const maxClusters = 1 << 16

// nameCluster returns the names with one added, in memory of its own: the ones that came in may be in use as a State's.
func nameCluster(clusters event.Names, n event.ClusterNumber, id string) (event.Names, error) {
	if n == 0 || n > maxClusters || id == "" {
		return clusters, eventf("cluster number %d for %q: want a number in [1, %d] and an id", n, id, maxClusters)
	}
	if int(n) < len(clusters) && clusters[n] != "" {
		if clusters[n] != id {
			return clusters, eventf("cluster number %d for %q: it is %q already, and numbers never change", n, id, clusters[n])
		}
		return clusters, nil
	}
	named := make(event.Names, max(len(clusters), int(n)+1))
	copy(named, clusters)
	named[n] = id
	return named, nil
}

// The state row, key 01 01, little-endian:
//
//	offset  size
//	0       1     format, 01
//	1       8     applied: term
//	9       8     applied: index
//	17      8     last event: term
//	25      8     last event: index
//	33      32    chain after the last event
//	65      8     events of the feed, in all
//	73      8     clock, ns
//	81      8     wall, ms
//	89      8     keys
//	97      8     keys with an expiry
//	105     4     length of ConfState
//	109           ConfState
const stateFixed = 109

func appendState(dst []byte, s *State) []byte {
	le := binary.LittleEndian
	dst = append(dst, rowFormat)
	dst = le.AppendUint64(dst, s.Applied.Term)
	dst = le.AppendUint64(dst, s.Applied.Index)
	dst = le.AppendUint64(dst, s.LastEvent.Term)
	dst = le.AppendUint64(dst, s.LastEvent.Index)
	dst = append(dst, s.Chain[:]...)
	dst = le.AppendUint64(dst, s.Events)
	dst = le.AppendUint64(dst, uint64(s.Clock))
	dst = le.AppendUint64(dst, uint64(s.Wall))
	dst = le.AppendUint64(dst, uint64(s.Keys))
	dst = le.AppendUint64(dst, uint64(s.Expiring))
	dst = le.AppendUint32(dst, uint32(len(s.ConfState)))
	return append(dst, s.ConfState...)
}

func decodeState(s *State, row []byte) error {
	if err := checkRow("state", row, stateFixed); err != nil {
		return err
	}
	le := binary.LittleEndian
	*s = State{
		Applied:   event.Position{Term: le.Uint64(row[1:]), Index: le.Uint64(row[9:])},
		LastEvent: event.Position{Term: le.Uint64(row[17:]), Index: le.Uint64(row[25:])},
		Events:    le.Uint64(row[65:]),
		Clock:     int64(le.Uint64(row[73:])),
		Wall:      int64(le.Uint64(row[81:])),
		Keys:      int64(le.Uint64(row[89:])),
		Expiring:  int64(le.Uint64(row[97:])),
	}
	copy(s.Chain[:], row[33:65])
	if n := uint64(le.Uint32(row[105:])); n != uint64(len(row)-stateFixed) {
		return corruptf("state row: ConfState of %d bytes announced, %d are there", n, len(row)-stateFixed)
	}
	if len(row) > stateFixed {
		s.ConfState = append([]byte(nil), row[stateFixed:]...)
	}
	return nil
}

// readState reads a store's state from its own rows; an engine without a state row is an empty store.
func readState(r engine.Reader) (State, error) {
	var s State
	row, ok, err := r.Get(nil, []byte{famOwn, ownState})
	if err != nil {
		return s, fmt.Errorf("store: read state row: %w", err)
	}
	if !ok {
		return s, nil
	}
	if err := decodeState(&s, row); err != nil {
		return s, err
	}
	if s.Watermark, err = readWatermark(r); err != nil {
		return s, err
	}
	prefix := []byte{famOwn, ownCluster}
	err = scan(r, prefix, prefixEnd(nil, prefix), func(key, value []byte) (bool, error) {
		if len(key) != 6 {
			return false, corruptf("cluster row: key % x", key)
		}
		n := event.ClusterNumber(binary.BigEndian.Uint32(key[2:]))
		s.Clusters, err = nameCluster(s.Clusters, n, string(value))
		return true, err
	})
	return s, err
}

// The identity row, key 01 02: format 01, uvarint length of the cluster's id, cluster, uvarint length of the namespace,
// namespace, partition in 4 bytes little-endian. It is written with the first entry.

func appendIdentity(dst []byte, id Identity) []byte {
	dst = append(dst, rowFormat)
	dst = binary.AppendUvarint(dst, uint64(len(id.Cluster)))
	dst = append(dst, id.Cluster...)
	dst = binary.AppendUvarint(dst, uint64(len(id.Namespace)))
	dst = append(dst, id.Namespace...)
	return binary.LittleEndian.AppendUint32(dst, id.Partition)
}

func decodeIdentity(row []byte) (id Identity, err error) {
	if err := checkRow("identity", row, 1); err != nil {
		return id, err
	}
	f := fields{p: row[1:]}
	id.Cluster = string(f.counted())
	id.Namespace = string(f.counted())
	if f.bad || len(f.p) != 4 {
		return id, corruptf("identity row: % x", row[:min(len(row), 64)])
	}
	id.Partition = binary.LittleEndian.Uint32(f.p)
	return id, nil
}

// readIdentity reads the row; there is none in a store without entries.
func readIdentity(r engine.Reader) (id Identity, err error) {
	row, ok, err := r.Get(nil, []byte{famOwn, ownIdentity})
	if err != nil {
		return id, fmt.Errorf("store: read identity row: %w", err)
	}
	if !ok {
		return id, nil
	}
	return decodeIdentity(row)
}

func checkIdentity(r engine.Reader, want Identity) error {
	got, err := readIdentity(r)
	if err != nil {
		return err
	}
	if got != want && got != (Identity{}) {
		return fmt.Errorf("%w: open %s: the rows are those of %s; check the data directory", ErrIdentity, want, got)
	}
	return nil
}

// scan visits the rows in [lower, upper) until visit returns false or an error.
func scan(r engine.Reader, lower, upper []byte, visit func(key, value []byte) (bool, error)) error {
	return walk(r, lower, upper, false, 0, visit)
}
