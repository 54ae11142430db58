package event

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// Position names one raft entry of one partition: the term in which it was proposed and its index in the log.
// Within a partition positions are totally ordered; a committed position never changes its content.
// The zero Position is before every entry.
type Position struct {
	Term  uint64
	Index uint64
}

// String gives the form that people see, term-index: "2-1041".
func (p Position) String() string {
	return strconv.FormatUint(p.Term, 10) + "-" + strconv.FormatUint(p.Index, 10)
}

// Compare orders positions of one partition: by index, and by term where indexes are equal (only an uncommitted
// entry can share its index with another).
func (p Position) Compare(q Position) int {
	if c := cmp.Compare(p.Index, q.Index); c != 0 {
		return c
	}
	return cmp.Compare(p.Term, q.Term)
}

// IsZero says whether p is before every entry.
func (p Position) IsZero() bool { return p == Position{} }

// ParsePosition reads the form that String writes.
func ParsePosition(s string) (Position, error) {
	term, index, ok := strings.Cut(s, "-")
	if !ok {
		return Position{}, fmt.Errorf("position %q: want term-index, as in 2-1041", s)
	}
	t, err := strconv.ParseUint(term, 10, 64)
	if err != nil {
		return Position{}, fmt.Errorf("position %q: term: %w", s, err)
	}
	i, err := strconv.ParseUint(index, 10, 64)
	if err != nil {
		return Position{}, fmt.Errorf("position %q: index: %w", s, err)
	}
	return Position{Term: t, Index: i}, nil
}

// MarshalText is String, so that JSON shows positions as people see them.
func (p Position) MarshalText() ([]byte, error) { return p.Append(nil), nil }

// UnmarshalText is ParsePosition.
func (p *Position) UnmarshalText(text []byte) (err error) {
	*p, err = ParsePosition(string(text))
	return err
}

// ClusterNumber is a partition's own small number for a cluster id. Numbers start at 1, are assigned by an event
// (Event.Clusters) and never change. 0 is no cluster.
type ClusterNumber uint32

// Version says when, on the hybrid clock of the cluster that made it, a register was written. Versions are compared
// by time, then by the *id* of the cluster (not its number: numbers differ between partitions). The zero Version
// means absent.
type Version struct {
	Time    int64 // nanoseconds since 1970 on the hybrid clock
	Cluster ClusterNumber
}

// IsZero says whether v means absent.
func (v Version) IsZero() bool { return v == Version{} }

// Op says what a mutation does. The numbers are on disk and on the wire: never renumber.
type Op uint8

const (
	// OpSet writes a string as a whole key: value, expiry and floor.
	OpSet Op = 1
	// OpValue writes a string's value and leaves its expiry and floor (APPEND, INCR, SETRANGE …).
	OpValue Op = 2
	// OpDel removes a key, whatever its type.
	OpDel Op = 3
	// OpExpire removes a key whose expiry has passed. It takes no new version and is never replayed elsewhere.
	OpExpire Op = 4
	// OpExpireAt gives an existing key an expiry.
	OpExpireAt Op = 5
	// OpPersist takes an existing key's expiry away.
	OpPersist Op = 6
	// OpRange removes the keys in [Key, Value): an empty Value means to the end.
	OpRange Op = 7

	// The ops on elements. What an element is, and which of Element's fields count, stands at Element. One that leaves Count at 0
	// removes the key.

	// OpHSet writes fields of a hash.
	OpHSet Op = 8
	// OpHDel removes fields of a hash.
	OpHDel Op = 9
	// OpSAdd adds members to a set.
	OpSAdd Op = 10
	// OpSRem removes members of a set.
	OpSRem Op = 11
	// OpZAdd gives members of a sorted set their scores.
	OpZAdd Op = 12
	// OpZRem removes members of a sorted set.
	OpZRem Op = 13
	// OpLPush puts items in front of a list, one after the other: the last comes to stand first.
	OpLPush Op = 14
	// OpRPush puts items at the end of a list, one after the other.
	OpRPush Op = 15
	// OpLPop removes items from the front of a list, OpRPop from its end. Elements are in the order in which they are removed.
	OpLPop Op = 16
	OpRPop Op = 17
	// OpLSet replaces items of a list.
	OpLSet Op = 18
	// OpLInsert puts one item into a list, where it has Index then.
	OpLInsert Op = 19
	// OpLRem removes items from within a list. Their Index counts before the removal and grows.
	OpLRem Op = 20
	// OpBits writes segments of a bitmap.
	OpBits Op = 21
)

// Type is a key's type. The numbers are on disk and on the wire: never renumber.
type Type uint8

const (
	TypeNone   Type = 0
	TypeString Type = 1
	TypeHash   Type = 2
	TypeList   Type = 3
	TypeSet    Type = 4
	TypeZSet   Type = 5
	// TypeBitmap is a string that is kept in segments; clients take it for a string.
	TypeBitmap Type = 6
)

// SegmentBytes is how many bytes of a bitmap one segment covers: segment n has those from n·SegmentBytes on.
const SegmentBytes = 512

// segmentNumberBytes is the length of a segment's Sub.
const segmentNumberBytes = 4

// Element is one element of a collection in a mutation. An op uses these fields, besides Sub:
//
//	OpHSet      Value, Prev, Exists           Sub is the field
//	OpHDel      Prev, Exists                  Sub is the field
//	OpSAdd      Prev, Exists                  Sub is the member
//	OpSRem      Prev, Exists                  Sub is the member
//	OpZAdd      Score, Prev, Exists, Was      Sub is the member
//	OpZRem      Prev, Exists, Was             Sub is the member
//	OpLPush …   Value                         Sub is the item's place in the order of the list (cluster/command, list.go)
//	OpLPop …    –                             Sub as in OpLPush
//	OpLSet      Index, Value                  Sub as in OpLPush
//	OpLInsert   Index, Value                  Sub as in OpLPush
//	OpLRem      Index                         Sub as in OpLPush
//	OpBits      Value, Prev, Exists           Sub is the segment's number, 4 bytes big-endian; Value its bytes without trailing zeros, empty: none left
//
// A list's places aren't shown in the feed: what a reader outside needs is in the op, the items and the indexes.
type Element struct {
	Sub   []byte
	Value []byte
	Score float64 // never NaN
	// Index is an item's position from the front, from 0.
	Index int64
	// Prev is the version of the register before; the zero Prev means absent. If Exists is false it is a tombstone's.
	Prev Version
	// Exists says that an element row was there, and Was is the score in it. They are for the projection and aren't shown in the feed.
	Exists bool
	Was    float64
}

// Origin says where a mutation was first made. A mutation made here has none: its origin is the event that holds it.
type Origin struct {
	Cluster   ClusterNumber
	Partition uint32
	Position  Position
}

// Before is what the leader found of the key when it evaluated a mutation: what a follower needs, beyond the effect,
// to keep indexes and counts without reading. It isn't shown in the feed.
type Before struct {
	Exists     bool   // a meta row was there, expired or not
	Type       Type   // its type
	ExpireAt   int64  // its expiry in ms since 1970, 0 for none
	Generation uint64 // its generation, for collections
	// Version is that of its value. OpExpireAt and OpPersist need it, as Mutation.Version is the expiry's there; others may leave it out.
	Version Version
	// Value is Meta.Value as it was, for OpExpireAt and OpPersist only: they write the whole meta row again.
	Value []byte
	// Expiring is, for OpRange only, how many of the keys removed had an expiry. Mutation.Count is how many were removed.
	Expiring uint64
}

// Mutation is one change to one register of one key. Slices are borrowed: a decoded mutation's point into the buffer
// it was decoded from, and are valid as long as that.
type Mutation struct {
	Op   Op
	Type Type
	// Key is the logical key: without the namespace.
	Key []byte
	// Value is a string's whole value after OpSet and OpValue, the end of the range of OpRange; after the ops on elements it is
	// Meta.Value, which the feed doesn't show.
	Value []byte
	// Elements are those that an op on elements writes or removes, each of them once.
	Elements []Element
	// Popped is how many items OpLPop or OpRPop removed besides Elements. Only Parser sets it, as a line has no elements of them; it
	// isn't in the logged form.
	Popped uint64
	// Whole says that an op on elements is a write of the whole key: what was there before, of whatever type, its expiry
	// included, is gone. It raises Floor to Version, as OpSet does.
	Whole bool
	// Row says that this is no change but a row of a snapshot: a key's state, as one write of the whole key and, of a large collection, further
	// ones that add to it. Of each element Prev is then the version that it has. Nothing of that is in the logged form.
	Row bool
	// ExpireAt is the key's expiry after the mutation, ms since 1970, 0 for none.
	ExpireAt int64
	// Version is what the register gets, and Prev what it had; the zero Prev means absent.
	// OpExpire repeats the version it removes in both. In ops on elements Version is what each of the elements gets, Prev what the key
	// had (Meta.Version), which for a list is the register.
	Version Version
	Prev    Version
	// KeyVersion is Meta.Version after an op on elements: the latest of any of the key's elements. Zero in other ops.
	KeyVersion Version
	// Floor is the version of the key's last whole-key write after the mutation. OpSet and OpDel raise it to Version.
	Floor Version
	// ExpiryVersion is the version of the expiry register after the mutation.
	ExpiryVersion Version
	// Generation separates the elements of the lives of a collection's key; 0 for strings.
	Generation uint64
	// Count is Meta.Count after the mutation; of OpRange the number of keys removed.
	Count uint64
	// Group is shared by the mutations of one command or transaction of an event.
	Group uint32
	// Command names the command it came from, in lower case. For information only.
	Command string
	// Tombstone asks the projection to keep the removed key's version (namespaces that replicate), ElementTombstones those of
	// the elements that are removed.
	Tombstone         bool
	ElementTombstones bool
	// Origin is nil for a mutation made here.
	Origin *Origin
	Before Before
}

// ClusterName gives a cluster id its number in this partition.
type ClusterName struct {
	Number ClusterNumber
	ID     string
}

// Event is the content of one raft entry: the changes of one evaluated batch, all or nothing. It knows neither its
// position nor its partition: who reads it from a log stamps them.
type Event struct {
	// Time is the hybrid clock's time. The version of local mutation i is Time+i.
	Time int64
	// Wall is the leader's wall clock in ms since 1970, never backward within a partition: what expiry was judged by.
	Wall int64
	// Term is the one it was evaluated in. An entry of another term is rejected as a whole.
	Term uint64
	// Clusters are the numbers assigned by this event.
	Clusters  []ClusterName
	Mutations []Mutation
	// Own changes the partition's own rows. An entry with only these is no event of the feed.
	Own []OwnChange

	// elements holds those of all mutations of a decoded event.
	elements []Element
}

// InFeed says whether the entry that holds ev, proposed in entryTerm, is an event of the feed and of the chain. Entries that are not: those
// evaluated in another term, which apply rejects as a whole, and those that change nothing but the partition's own rows.
func (ev *Event) InFeed(entryTerm uint64) bool {
	return ev.Term == entryTerm && len(ev.Mutations) > 0
}

// OwnKind says which of the partition's own rows a change concerns. The numbers are on disk: never renumber.
type OwnKind uint8

const (
	// OwnConsumer registers, moves or (with an empty Value) removes a consumer's position. ID is its name, Value its position.
	OwnConsumer OwnKind = 1
	// OwnSender is the position reached of a partition of another cluster.
	OwnSender OwnKind = 2
	// OwnRole is the partition's write role.
	OwnRole OwnKind = 3
	// OwnReplicates says whether the namespace replicates, so that tombstones are kept.
	OwnReplicates OwnKind = 4
	// OwnWatermark is the tombstone watermark.
	OwnWatermark OwnKind = 5
	// OwnConflict is a row of the conflict log.
	OwnConflict OwnKind = 6
	// OwnPeer is what another cluster, named by the ID, has of this partition's changes.
	OwnPeer OwnKind = 7
)

// OwnChange puts (or, with an empty Value, removes) one of the partition's own rows.
type OwnChange struct {
	Kind  OwnKind
	ID    []byte
	Value []byte
}

// Meta is what folding a key's mutations gives, less the elements of a collection: the content of its meta row.
type Meta struct {
	Type Type
	// Version is a string's; of a collection the latest of any of its elements, removed ones included.
	Version       Version
	Floor         Version
	ExpireAt      int64 // ms since 1970, 0 for none
	ExpiryVersion Version
	Generation    uint64
	// Count is the number of elements, of a bitmap the number of bytes.
	Count uint64
	// Value is a string's value; of a collection, what its type keeps in the meta row (see cluster/store), mostly nothing.
	Value []byte
}

// Forgotten says whether what m, the tombstone of a key, tells doesn't exist under a tombstone watermark (ns): all of it is at or below, so that every
// cluster has decided it. An expiry that it kept has to be behind as well, by more than clocks may be apart: until then a cluster in which the key lived on
// may write into it, and the key expires with what was written.
func (m *Meta) Forgotten(watermark int64) bool {
	if max(m.Version.Time, m.Floor.Time, m.ExpiryVersion.Time) > watermark {
		return false
	}
	return m.ExpireAt == 0 || m.ExpireAt <= (watermark-clockSlack)/1e6
}

// clockSlack (ns) is more than clocks may be apart.
const clockSlack = 3600 * 1e9

// Expired says whether the key is to be treated as absent at now (ms since 1970).
func (m *Meta) Expired(now int64) bool { return m.ExpireAt != 0 && m.ExpireAt <= now }
