package conflict

import (
	"strings"

	"github.com/zankv/zankv/cdc/event"
)

// Policy is a namespace's conflict_policy. The numbers are in metadata: never renumber.
type Policy uint8

const (
	// PolicyDefault: the timestamp rule for strings, hash fields and expiries.
	PolicyDefault Policy = 1
	// PolicyElement: for set and zset members, too.
	PolicyElement Policy = 2
)

// Governs says whether the timestamp rule holds for a type. TypeNone, of which nothing is there, is governed.
func (p Policy) Governs(t event.Type) bool {
	switch t {
	case event.TypeNone, event.TypeString, event.TypeHash:
		return true
	case event.TypeSet, event.TypeZSet:
		return p == PolicyElement
	}
	return false
}

// Element is what is stored of one element: its row, or the tombstone of one that was removed.
type Element struct {
	Sub     []byte
	Value   []byte
	Score   float64
	Version event.Version // a tombstone's if Exists is false; zero: nothing is known of it
	Exists  bool
}

// Stored is what the target has of a key, as its leader reads it. Slices are borrowed for the call.
type Stored struct {
	// Meta is the key's meta row, expired or not, if Exists; else its tombstone (TypeNone), or zero. A tombstone has the key's latest version, its
	// floor, and its expiry register with ExpireAt: what the key gets back when an element turns out to be newer than the removal.
	event.Meta
	Exists bool
	// Elements are those that the mutation names, in its order: rows of the key's generation, else tombstones. Lists need none.
	Elements []Element
	// All are all element rows of the key, if Wants said WantAll.
	All []Element
	// Diverged is the latest version that an open record of the key's having diverged knows of, from any source; zero: there is none.
	Diverged event.Version
}

// Env is what a decision depends on besides the key and the mutation.
type Env struct {
	// Names are the target partition's cluster ids, by which both Stored and the (translated) mutation speak.
	Names event.Names
	// Self is the target's own cluster.
	Self event.ClusterNumber
	// Origin is that of a mutation that has none: cluster, partition and position of the event that it was read from.
	Origin event.Origin
	Policy Policy
	// Watermark is the time (ns) at or below which tombstones don't exist. A full sync, whose rows may be older, passes 0.
	Watermark int64
	// Reached says up to which time (ns) the changes that a cluster made have come in; nil: nothing is waited for.
	Reached func(event.ClusterNumber) int64
	// Waited: the time to wait for a third cluster's change has passed.
	Waited bool
	// Generation is one that the key never had, for the case that it is made anew.
	Generation uint64
}

// Compare orders versions by time, then by the id of the cluster. Absent is before all.
func (e *Env) Compare(v, w event.Version) int {
	switch {
	case v == w:
		return 0
	case v.Time != w.Time:
		if v.Time < w.Time {
			return -1
		}
		return 1
	case v.IsZero():
		return -1
	case w.IsZero():
		return 1
	}
	return strings.Compare(e.Names.ID(v.Cluster), e.Names.ID(w.Cluster))
}

func (e *Env) later(v, w event.Version) event.Version {
	if e.Compare(v, w) < 0 {
		return w
	}
	return v
}

// Want says which element rows of a key a decision needs besides those that the mutation names.
type Want uint8

const (
	WantNone Want = 0
	// WantAll: all of them, in Stored.All.
	WantAll Want = 1
	// WantLost: the decision needs none, but they are what the record of the conflict shows as lost, as far as the caller cares to read.
	WantLost Want = 2
)

// Wants says it from the meta row alone.
func Wants(env *Env, meta *event.Meta, exists bool, m *event.Mutation) Want {
	text := m.Op == event.OpSet || m.Op == event.OpValue
	if !exists || meta.Type <= event.TypeString || !whole(m) && !text {
		return WantNone
	}
	switch newer := env.Compare(meta.Version, m.Version) > 0; {
	case newer && env.Policy.Governs(meta.Type) && env.Policy.Governs(m.Type) && env.Compare(m.Version, meta.Floor) > 0:
		return WantAll
	case !newer && meta.Version != m.Version && meta.Version != m.Prev:
		return WantLost
	}
	return WantNone
}

// whole says whether m writes or removes its key as a whole, so that all that is older goes. Beside the ops that are made for it, that is what a cluster
// emitted of one whose content was lost there to something later (Floor is then Version), and what was written into a key whose old content
// had expired at its origin. A removal's floor is always its version: an OpDel that has another wrote an absent key's expiry.
func whole(m *event.Mutation) bool {
	return m.Op == event.OpSet || m.Whole || remains(m) || overExpired(m)
}

func remains(m *event.Mutation) bool { return !m.Version.IsZero() && m.Floor == m.Version }

func overExpired(m *event.Mutation) bool {
	return m.Op.OnElements() && m.Origin == nil && m.Before.Exists && m.Generation != m.Before.Generation && m.ExpiryVersion == m.Version
}

// removal says whether a whole-key write leaves nothing of its own.
func removal(m *event.Mutation) bool {
	return remains(m) && (m.Op == event.OpDel || m.Op == event.OpExpireAt || m.Op == event.OpPersist || m.Op.Removes())
}
