package conflict

import (
	"strconv"
	"strings"

	"github.com/zankv/zankv/cdc/event"
)

// Local commands of the model: a word, then what it names.
//
//	set, setkeep, incr, del, expire (far away), soon (an expiry that has passed for clusters whose clock is ahead), persist
//	hset f, hdel f, hstore f (a whole-key write), and the same of sets (sadd …), sorted sets (zadd …)
//	rpush, lpop
const (
	farAway = 1000
	soon    = 10
)

var elementCommands = map[string]event.Op{
	"hset": event.OpHSet, "hdel": event.OpHDel, "hstore": event.OpHSet,
	"sadd": event.OpSAdd, "srem": event.OpSRem, "sstore": event.OpSAdd,
	"zadd": event.OpZAdd, "zrem": event.OpZRem, "zstore": event.OpZAdd,
}

// run evaluates a command as the key's leader would, and says whether it changed something.
func (w *world) run(command string) bool {
	w.clock = max(w.clock+1, w.skew+int64(len(w.own))+1)
	word, sub, _ := strings.Cut(command, " ")
	live := w.exists && (w.meta.ExpireAt == 0 || w.meta.ExpireAt > w.now)
	v := event.Version{Time: w.clock, Cluster: w.self}
	m := event.Mutation{Type: event.TypeString, Key: []byte(key), Command: word, Version: v, Prev: w.meta.Version, Floor: w.meta.Floor}
	if w.exists {
		m.Before = event.Before{Exists: true, Type: w.meta.Type, ExpireAt: w.meta.ExpireAt, Generation: w.meta.Generation}
	}
	if !w.evaluate(&m, word, sub, live) {
		return false
	}
	w.apply(&m)
	w.own = append(w.own, m)
	return true
}

func (w *world) evaluate(m *event.Mutation, word, sub string, live bool) bool {
	m.Value = []byte(w.show(m.Version))
	switch word {
	case "set", "setkeep":
		m.Op, m.Floor, m.ExpiryVersion = event.OpSet, m.Version, m.Version
		if word == "setkeep" && live {
			m.ExpireAt, m.ExpiryVersion = w.meta.ExpireAt, w.meta.ExpiryVersion
		}
		return true
	case "incr":
		m.Op = event.OpValue
		w.keepExpiry(m, live)
		return !live || w.meta.Type == event.TypeString
	case "del":
		return w.remove(m, live)
	case "expire":
		return w.expire(m, live, farAway)
	case "soon":
		return w.expire(m, live, soon)
	case "persist":
		return w.expire(m, live, 0)
	case "rpush", "lpop":
		return w.list(m, word, live)
	}
	return w.elements(m, elementCommands[word], sub, strings.HasSuffix(word, "store"), live)
}

// keepExpiry leaves a present key's expiry alone. A key that is made has none: where one was left, that is a write of it.
func (w *world) keepExpiry(m *event.Mutation, live bool) {
	m.ExpireAt, m.ExpiryVersion = w.meta.ExpireAt, w.meta.ExpiryVersion
	if !live && w.meta.ExpireAt != 0 {
		m.ExpireAt, m.ExpiryVersion = 0, m.Version
	}
}

func (w *world) remove(m *event.Mutation, live bool) bool {
	m.Op, m.Type, m.Value = event.OpDel, w.meta.Type, nil
	m.ExpireAt, m.Floor, m.ExpiryVersion, m.Tombstone = 0, m.Version, m.Version, true
	return live
}

func (w *world) expire(m *event.Mutation, live bool, at int64) bool {
	if !live || at == w.meta.ExpireAt {
		return false
	}
	if at != 0 && at <= w.now {
		return w.remove(m, live)
	}
	m.Op, m.Type, m.Value = event.OpExpireAt, w.meta.Type, nil
	if at == 0 {
		m.Op = event.OpPersist
	}
	m.Prev, m.ExpireAt, m.ExpiryVersion = w.meta.ExpiryVersion, at, m.Version
	m.Generation, m.Count = w.meta.Generation, w.meta.Count
	m.Before.Version, m.Before.Value = w.meta.Version, w.meta.Value
	return true
}

// collection prepares an op on elements.
func (w *world) collection(m *event.Mutation, op event.Op, whole, live bool) bool {
	m.Op, m.Type, m.KeyVersion, m.Value = op, op.ElementType(), m.Version, nil
	w.keepExpiry(m, live)
	m.Generation, m.Count, m.Value = w.meta.Generation, w.meta.Count, w.meta.Value
	if !live || whole {
		w.lives++
		m.Generation, m.Count, m.Value = uint64(w.self)<<32|w.lives, 0, nil
	}
	if whole || w.exists && !live {
		m.Whole, m.Floor, m.ExpireAt, m.ExpiryVersion = true, m.Version, 0, m.Version
	}
	return whole || !live || w.meta.Type == m.Type
}

func (w *world) elements(m *event.Mutation, op event.Op, sub string, whole, live bool) bool {
	if !w.collection(m, op, whole, live) {
		return false
	}
	before := w.element(sub)
	if !live {
		before.Exists = false
	}
	e := event.Element{Sub: []byte(sub)}
	if !whole {
		e.Prev, e.Exists, e.Was = before.Version, before.Exists, before.Score
	}
	if m.Whole {
		e = event.Element{Sub: []byte(sub)}
		before.Exists = false
	}
	switch op {
	case event.OpHSet:
		e.Value = []byte(w.show(m.Version))
	case event.OpZAdd:
		e.Score = float64(m.Version.Time)
	}
	m.Elements = []event.Element{e}
	switch {
	case op.Removes() && !before.Exists:
		return false
	case op.Removes():
		m.Count--
		m.Tombstone, m.ElementTombstones = m.Count == 0, w.policy.Governs(m.Type)
	case !before.Exists:
		m.Count++
	case op == event.OpSAdd:
		return false // it is there
	}
	return true
}

// list pushes an item or pops one. An item's place is a number of two digits, Meta.Value the next place.
func (w *world) list(m *event.Mutation, word string, live bool) bool {
	op := event.OpRPush
	if word == "lpop" {
		op = event.OpLPop
	}
	if !w.collection(m, op, false, live) {
		return false
	}
	if op == event.OpRPush {
		next, _ := strconv.Atoi(string(m.Value))
		m.Elements = []event.Element{{Sub: strconv.AppendInt(nil, int64(next+10), 10), Value: []byte(w.show(m.Version))}}
		m.Value = strconv.AppendInt(nil, int64(next+1), 10)
		m.Count++
		return true
	}
	if !live {
		return false
	}
	for next := range 100 {
		sub := strconv.Itoa(next + 10)
		if _, ok := w.rows[sub]; ok {
			m.Elements = []event.Element{{Sub: []byte(sub)}}
			break
		}
	}
	m.Count--
	m.Tombstone = m.Count == 0
	return true
}
