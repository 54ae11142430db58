package resp

import (
	"bytes"
	"errors"
	"slices"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
)

// keyList is which arguments of a command are keys.
type keyList struct {
	n           int
	first, step int
	at          []int // instead of first and step, where only the arguments tell
}

// pos is the position of the i-th key.
func (l *keyList) pos(i int) int {
	if l.at != nil {
		return l.at[i]
	}
	return l.first + i*l.step
}

// keysOf finds all keys of a command. The list is valid until the next call.
func (c *conn) keysOf(spec *command.Spec, args [][]byte) keyList {
	if spec.NumKeys != 0 || spec.MoreKeys != nil {
		c.positions = spec.KeyPositions(c.positions[:0], args)
		slices.Sort(c.positions)
		c.positions = slices.Compact(c.positions)
		return keyList{n: len(c.positions), at: c.positions}
	}
	first, last, step := spec.Keys(args)
	if step == 0 || last < first {
		return keyList{}
	}
	return keyList{n: (last-first)/step + 1, first: first, step: step}
}

// target is where the keys of a command lie.
type target struct {
	ns        *Namespace
	partition int  // of the first key
	prefixed  bool // the keys came with their namespace in front
	spread    int
}

// How the keys of a command lie.
const (
	spreadOne   = iota // in one partition
	spreadMany         // in several
	spreadCross        // on a cluster port: in several slots
)

// locate finds where a command belongs. On the shared port it takes the namespace off the keys.
func (c *conn) locate(args [][]byte, keys *keyList) (t target, problem string) {
	if t.ns, t.prefixed, problem = c.keysNamespace(args, keys); problem != "" {
		return t, problem
	}
	t.partition = t.ns.partition(args[keys.pos(0)])
	if keys.n > 1 {
		t.spread = c.spreadOf(t.ns, t.partition, args, keys)
	}
	return t, ""
}

// keyed runs a command on keys.
func (c *conn) keyed(spec *command.Spec, args [][]byte, stale bool) {
	keys := c.keysOf(spec, args)
	if keys.n == 0 {
		c.keyless(spec, args)
		return
	}
	t, problem := c.locate(args, &keys)
	if problem == "" {
		if key := feedKey(args, &keys); key != nil && c.onFeed(spec, args, key) {
			return
		}
	}
	switch {
	case problem != "":
		c.fail(problem)
	case t.spread == spreadCross:
		c.fail(crossSlot)
	case t.spread == spreadMany:
		c.scatter(t.ns, spec, args, stale, t.prefixed)
	case spec.Flags&command.Blocking != 0:
		c.block(&t, spec, args)
	case numbered(spec, t.prefixed):
		c.elements(&t, spec, args, stale)
	default:
		c.single(t.ns, t.partition, spec, args, stale, t.prefixed)
	}
}

// keysNamespace is the namespace of a command's keys. On the shared port it takes the namespace off the keys.
func (c *conn) keysNamespace(args [][]byte, keys *keyList) (ns *Namespace, prefixed bool, problem string) {
	if c.nsName != "" {
		if c.ns == nil {
			return nil, false, handling(noNamespace, args[0], args[keys.pos(0)])
		}
		return c.ns, false, ""
	}
	for n := range keys.n {
		i := keys.pos(n)
		name, key, problem := splitKey(args[0], args[i])
		if problem != "" {
			return nil, true, problem
		}
		if n == 0 {
			if ns, problem = c.named(name, args[0], args[i]); problem != "" {
				return nil, true, problem
			}
		} else if string(name) != ns.Name {
			return nil, true, handling(badArguments, args[0], args[i])
		}
		args[i] = key
	}
	return ns, true, ""
}

// named looks up the namespace that a key names.
func (c *conn) named(name, cmd, key []byte) (*Namespace, string) {
	if string(name) != c.prefix {
		c.prefix = string(name)
	}
	ns, ok := c.srv.backend.Namespace(c.prefix)
	switch {
	case !ok:
		return nil, handling(noNamespace, cmd, key)
	case ns.Password != "":
		return nil, noAuth
	}
	return ns, ""
}

// splitKey takes namespace:table:key apart.
func splitKey(cmd, wire []byte) (namespace, key []byte, problem string) {
	colon := bytes.IndexByte(wire, ':')
	if colon <= 0 {
		return nil, nil, handling(badKey, cmd, nil)
	}
	key = wire[colon+1:]
	if table := bytes.IndexByte(key, ':'); table <= 0 || table > maxTable {
		return nil, nil, handling(badTable, cmd, wire)
	}
	return wire[:colon], key, ""
}

// spreadOf looks at the keys of a command. On a cluster port they must share a slot, as in Redis Cluster; elsewhere a partition, unless
// the command can be scattered.
func (c *conn) spreadOf(ns *Namespace, partition int, args [][]byte, keys *keyList) int {
	slot := -1
	if c.kind == ClusterPort {
		slot = keySlot(args[keys.pos(0)])
	}
	many := spreadOne
	for n := 1; n < keys.n; n++ {
		key := args[keys.pos(n)]
		if slot >= 0 && keySlot(key) != slot {
			return spreadCross
		}
		if ns.partition(key) != partition {
			many = spreadMany
		}
	}
	return many
}

// keyless runs a command whose arguments name no key (LMPOP 0, say) over no state: what it has to say is about its arguments.
func (c *conn) keyless(spec *command.Spec, args [][]byte) {
	r := c.begin()
	before := len(r.Buf)
	ctx := command.Context{Spec: spec, Args: args, Now: c.srv.now().UnixMilli(), View: noState{}, Tx: noState{}, Reply: r, Limits: &c.srv.opt.Limits}
	if err := spec.Run(&ctx); err != nil || len(r.Buf) == before {
		r.Buf = r.Buf[:before]
		r.Error(command.ErrSyntax)
	}
	c.end(r)
}

// noState is what a command without keys may look at: nothing.
type noState struct{}

var errNoKey = errors.New("resp: a command without keys looked at the state")

func (noState) Meta([]byte) (event.Meta, bool, error)             { return event.Meta{}, false, errNoKey }
func (noState) Keys([]byte, func([]byte, *event.Meta) bool) error { return errNoKey }
func (noState) KeysReverse([]byte, func([]byte, *event.Meta) bool) error {
	return errNoKey
}
func (noState) Len() int64           { return 0 }
func (noState) Emit(*event.Mutation) {}
func (noState) CountScores([]byte, *event.Meta, command.ScoreRange) (int64, error) {
	return 0, errNoKey
}
func (noState) Element([]byte, *event.Meta, []byte) (command.Element, bool, error) {
	return command.Element{}, false, errNoKey
}
func (noState) Elements([]byte, *event.Meta, command.Range, func([]byte, *command.Element) bool) error {
	return errNoKey
}
func (noState) Scores([]byte, *event.Meta, command.ScoreRange, func(float64, []byte) bool) error {
	return errNoKey
}
