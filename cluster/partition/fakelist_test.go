package partition

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
)

// The commands of this file are as small as commands on lists can be: pushing at the end, popping from the front. A list's Meta.Value holds
// where it begins and ends; an item's subkey is its number.
var (
	pushSpec = &command.Spec{Name: "test.push", Group: "list", Arity: -3, Flags: command.Write, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: command.ScopeKeys, Run: runPush}
	popSpec  = &command.Spec{Name: "test.pop", Group: "list", Arity: -3, Flags: command.Write | command.Blocking, FirstKey: 1, LastKey: -2, KeyStep: 1, Scope: command.ScopeKeys, Run: runPop}
	moveSpec = &command.Spec{Name: "test.move", Group: "list", Arity: 4, Flags: command.Write | command.Blocking, FirstKey: 1, LastKey: 2, KeyStep: 1, Scope: command.ScopeKeys, Run: runMove}
	zaddSpec = &command.Spec{Name: "test.zadd", Group: "sorted-set", Arity: 3, Flags: command.Write, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: command.ScopeKeys, Run: runZAdd}
	zpopSpec = &command.Spec{Name: "test.zpop", Group: "sorted-set", Arity: 3, Flags: command.Write | command.Blocking, FirstKey: 1, LastKey: -2, KeyStep: 1, Scope: command.ScopeKeys, Run: runZPop}
)

// listRequest makes a request for one of them: "push k a b", "pop k 0", "move k k2 0", "zadd k m".
func listRequest(line string) *command.Request {
	words := strings.Fields(line)
	spec := map[string]*command.Spec{"push": pushSpec, "pop": popSpec, "move": moveSpec, "zadd": zaddSpec, "zpop": zpopSpec}[words[0]]
	if spec == nil {
		return request(words...)
	}
	r := &command.Request{Spec: spec}
	for _, w := range words {
		r.Args = append(r.Args, []byte(w))
	}
	return r
}

type testList struct {
	event.Meta
	key        []byte
	stored     bool
	live       bool
	head, next uint64
}

// lookList reads a list; it replies an error and returns nil if the key holds something else.
func lookList(c *command.Context, key []byte) (*testList, error) {
	m, ok, err := c.View.Meta(key)
	l := &testList{Meta: m, key: key, stored: ok && m.Type != event.TypeNone}
	l.live = l.stored && !m.Expired(c.Now)
	if err != nil || l.live && m.Type != event.TypeList {
		if err == nil {
			c.Reply.Error(command.ErrWrongType)
		}
		return nil, err
	}
	if l.live {
		l.head, l.next = binary.BigEndian.Uint64(m.Value), binary.BigEndian.Uint64(m.Value[8:])
	}
	return l, nil
}

func (l *testList) change(op event.Op, subs ...uint64) *event.Mutation {
	m := &event.Mutation{Op: op, Type: op.ElementType(), Key: l.key, Prev: l.Version, Floor: l.Floor, KeyVersion: command.Assigned, Generation: command.NewGeneration}
	if l.stored {
		m.Before = event.Before{Exists: true, Type: l.Type, ExpireAt: l.ExpireAt, Generation: l.Generation}
		m.ExpiryVersion = command.Assigned
	}
	if l.live {
		m.Generation, m.ExpireAt, m.ExpiryVersion = l.Generation, l.ExpireAt, l.ExpiryVersion
	}
	for _, s := range subs {
		m.Elements = append(m.Elements, event.Element{Sub: binary.BigEndian.AppendUint64(nil, s)})
	}
	m.Value = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, l.head), l.next)
	m.Count = l.next - l.head
	return m
}

func (l *testList) push(c *command.Context, items [][]byte) {
	first := l.next
	var subs []uint64
	for i := range items {
		subs = append(subs, first+uint64(i))
	}
	l.next += uint64(len(items))
	m := l.change(event.OpRPush, subs...)
	for i := range items {
		m.Elements[i].Value = items[i]
	}
	c.Tx.Emit(m)
}

// pop removes the first item.
func (l *testList) pop(c *command.Context) ([]byte, error) {
	e, ok, err := c.View.Element(l.key, &l.Meta, binary.BigEndian.AppendUint64(nil, l.head))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("item %d of %q isn't there", l.head, l.key)
	}
	item := append([]byte(nil), e.Value...)
	l.head++
	c.Tx.Emit(l.change(event.OpLPop, l.head-1))
	return item, nil
}

func runPush(c *command.Context) error {
	l, err := lookList(c, c.Args[1])
	if err != nil || l == nil {
		return err
	}
	l.push(c, c.Args[2:])
	c.Reply.Int(int64(l.next - l.head))
	return nil
}

// nothing is the end of a blocking command that found nothing.
func nothing(c *command.Context) {
	c.Reply.NullArray()
	if c.MayBlock {
		ms, _ := strconv.ParseInt(string(c.Args[len(c.Args)-1]), 10, 64)
		c.Block = command.Block{Wanted: true, Milliseconds: ms}
	}
}

func runPop(c *command.Context) error {
	for _, key := range c.Args[1 : len(c.Args)-1] {
		l, err := lookList(c, key)
		if err != nil || l == nil {
			return err
		}
		if !l.live || l.next == l.head {
			continue
		}
		item, err := l.pop(c)
		if err != nil {
			return err
		}
		c.Reply.Array(2)
		c.Reply.Bulk(key)
		c.Reply.Bulk(item)
		return nil
	}
	nothing(c)
	return nil
}

func runMove(c *command.Context) error {
	from, err := lookList(c, c.Args[1])
	if err != nil || from == nil {
		return err
	}
	if !from.live || from.next == from.head {
		nothing(c)
		return nil
	}
	to, err := lookList(c, c.Args[2])
	if err != nil || to == nil {
		return err
	}
	item, err := from.pop(c)
	if err != nil {
		return err
	}
	if string(c.Args[1]) == string(c.Args[2]) {
		if to, err = lookList(c, c.Args[2]); err != nil {
			return err
		}
	}
	to.push(c, [][]byte{item})
	c.Reply.Bulk(item)
	return nil
}

// runZAdd makes a sorted set of one member.
func runZAdd(c *command.Context) error {
	m, ok, err := c.View.Meta(c.Args[1])
	if err != nil || ok && m.Type != event.TypeNone {
		return err
	}
	l := &testList{key: c.Args[1], Meta: m}
	out := l.change(event.OpZAdd)
	out.Elements, out.Count, out.Value = []event.Element{{Sub: c.Args[2], Score: 1}}, 1, nil
	c.Tx.Emit(out)
	c.Reply.Int(1)
	return nil
}

// runZPop takes the sorted set as a whole.
func runZPop(c *command.Context) error {
	m, ok, err := c.View.Meta(c.Args[1])
	if err != nil {
		return err
	}
	if !ok || m.Type == event.TypeNone {
		nothing(c)
		return nil
	}
	if m.Type != event.TypeZSet {
		c.Reply.Error(command.ErrWrongType)
		return nil
	}
	l := &testList{key: c.Args[1], Meta: m, stored: true, live: true}
	out := l.change(event.OpDel)
	out.Type, out.Generation, out.KeyVersion, out.Count, out.Value = m.Type, 0, event.Version{}, 0, nil
	out.Floor, out.ExpiryVersion = command.Assigned, command.Assigned
	c.Tx.Emit(out)
	c.Reply.Int(1)
	return nil
}
