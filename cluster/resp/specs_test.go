package resp

import (
	"bytes"
	"errors"
	"strconv"

	"github.com/zankv/zankv/cluster/command"
)

// Commands of these tests, in place of some that they don't use otherwise: what they need of a state is strings.
func init() {
	replace := func(name string, spec command.Spec) { *command.Lookup([]byte(name)) = spec }
	// substr key n size: n times a value of so many bytes, in parts.
	replace("substr", command.Spec{Name: "substr", Arity: 4, Flags: command.ReadOnly | command.ManyRows, FirstKey: 1, LastKey: 1, KeyStep: 1,
		Scope: command.ScopeKeys, Run: runMany, Group: "string"})
	// delifeq key timeout: pops a string, as blpop does.
	replace("delifeq", command.Spec{Name: "blpop", Arity: 3, Flags: command.Write | command.Blocking, FirstKey: 1, LastKey: 1, KeyStep: 1,
		Scope: command.ScopeKeys, Run: runTake, Group: "string"})
	// setifeq timeout numkeys key ...: the same as blmpop.
	replace("setifeq", command.Spec{Name: "blmpop", Arity: -4, Flags: command.Write | command.Blocking | command.MovableKeys, NumKeys: 2,
		Scope: command.ScopeKeys, Run: runTake, Group: "string"})
	// getnolock numkeys key ...: how many bytes the keys hold.
	replace("getnolock", command.Spec{Name: "getnolock", Arity: -3, Flags: command.ReadOnly | command.MovableKeys, NumKeys: 1,
		Scope: command.ScopeKeys, Run: runSum, Group: "string"})
}

const numKeysError = "ERR numkeys should be greater than 0"

func runMany(c *command.Context) error {
	n, _ := strconv.Atoi(string(c.Args[2]))
	size, _ := strconv.Atoi(string(c.Args[3]))
	value := bytes.Repeat([]byte("x"), size)
	c.Reply.Array(n)
	for i := range n {
		if bytes.HasPrefix(c.Args[1], []byte("broken")) && i == n/2 {
			return errors.New("the disk is gone")
		}
		copy(value, strconv.Itoa(i))
		if m, ok, _ := c.View.Meta(c.Args[1]); ok && len(m.Value) == 1 && m.Value[0] >= 'A' {
			value[size-1] = m.Value[0]
		}
		c.Reply.Bulk(value)
		if err := c.Reply.Part(); err != nil {
			return err
		}
	}
	return nil
}

func runTake(c *command.Context) error {
	keys := c.Spec.KeyPositions(nil, c.Args)
	seconds, err := strconv.ParseFloat(string(c.Args[timeoutAt(c.Spec, c.Args)]), 64)
	if err != nil {
		c.Reply.Error("ERR timeout is not a float or out of range")
		return nil
	}
	for _, i := range keys {
		m, ok, _ := c.View.Meta(c.Args[i])
		if !ok {
			continue
		}
		c.Reply.Array(2)
		c.Reply.Bulk(c.Args[i])
		c.Reply.Bulk(m.Value)
		del := *c
		del.Spec, del.Args, del.Reply = command.Lookup([]byte("del")), [][]byte{nil, c.Args[i]}, &command.Reply{}
		return del.Spec.Run(&del)
	}
	if len(keys) == 0 {
		c.Reply.Error(numKeysError)
		return nil
	}
	c.Reply.NullArray()
	if c.MayBlock {
		c.Block = command.Block{Wanted: true, Milliseconds: int64(seconds * 1000)}
	}
	return nil
}

func runSum(c *command.Context) error {
	keys := c.Spec.KeyPositions(nil, c.Args)
	if len(keys) == 0 {
		c.Reply.Error(numKeysError)
		return nil
	}
	n := 0
	for _, i := range keys {
		m, _, err := c.View.Meta(c.Args[i])
		if err != nil {
			return err
		}
		n += len(m.Value)
	}
	c.Reply.Int(int64(n))
	return nil
}
