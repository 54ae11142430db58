package command

import "github.com/zankv/zankv/cdc/event"

// typed are ZanKV's own commands on the keys of one type, as its users know them: hexpire, lttl, zclear and so on. A key of another
// type is absent to the ones that only look, and WRONGTYPE to those that change.
var typed = typedSpecs()

// typedFamilies are the types by the letter that their commands begin with. A plain string is a bitmap, too.
var typedFamilies = []struct {
	letter, group, noun string
	t                   event.Type
	fix, many           bool
}{
	{"h", "hash", "hash", event.TypeHash, false, true},
	{"l", "list", "list", event.TypeList, true, true},
	{"s", "set", "set", event.TypeSet, false, true},
	{"z", "sorted-set", "sorted set", event.TypeZSet, true, true},
	{"b", "bitmap", "bitmap", event.TypeBitmap, false, false},
}

func typedSpecs() (specs []*Spec) {
	for _, f := range typedFamilies {
		one := func(name string, arity int, flags Flags, run func(*Context, event.Type) error, access, summary string) {
			specs = append(specs, &Spec{
				Name: name, Arity: arity, Flags: flags, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys,
				Run: func(c *Context) error { return run(c, f.t) }, KeyAccess: access,
				Summary: summary + " A command of ZanKV's own.", Since: "1.0.0", Group: f.group, Complexity: "O(1)",
			})
		}
		one(f.letter+"expire", 3, Write|Fast, (*Context).typedExpire, "RW update", "Gives a "+f.noun+" a time to live in seconds.")
		one(f.letter+"persist", 2, Write|Fast, (*Context).typedPersist, "RW update", "Takes a "+f.noun+"'s expiry away.")
		one(f.letter+"ttl", 2, ReadOnly|Fast, (*Context).typedTTL, "RO access", "Returns a "+f.noun+"'s time to live in seconds, -1 without one.")
		one(f.letter+"keyexist", 2, ReadOnly|Fast, (*Context).typedExists, "RO", "Says whether a "+f.noun+" is there.")
		if f.t != event.TypeBitmap {
			one(f.letter+"clear", 2, Write|Fast, (*Context).typedClear, "RM delete", "Removes a "+f.noun+".")
		}
		if f.fix {
			one(f.letter+"fixkey", 2, Write|Fast, (*Context).typedFix, "RW update", "Answers OK: what ZanKV had to mend by it can't come about here.")
		}
		if f.many {
			specs = append(specs, &Spec{
				Name: f.letter + "mclear", Arity: -2, Flags: Write, FirstKey: 1, LastKey: -1, KeyStep: 1, Scope: ScopeKeys, Gather: GatherSum,
				Run: func(c *Context) error { return c.typedClearMany(f.t) }, KeyAccess: "RM delete",
				Summary: "Removes keys of this type and returns how many there were. A command of ZanKV's own.", Since: "1.0.0", Group: f.group, Complexity: "O(N), N being the number of keys",
			})
		}
	}
	return specs
}

// lookTyped is look for these commands: there says that the key lives and has the type.
func (c *Context) lookTyped(key []byte, t event.Type) (r *row, there bool, err error) {
	if r, err = c.look(key); err != nil {
		return nil, false, err
	}
	is := r.Type == t || t == event.TypeBitmap && r.Type == event.TypeString
	return r, r.live && is, nil
}

// lookToChange is lookTyped that replies WRONGTYPE for a key of another type; ok says that it didn't.
func (c *Context) lookToChange(key []byte, t event.Type) (r *row, there, ok bool, err error) {
	r, there, err = c.lookTyped(key, t)
	if err == nil && r.live && !there {
		c.Reply.Error(ErrWrongType)
		return r, false, false, nil
	}
	return r, there, err == nil, err
}

func (c *Context) typedExpire(t event.Type) error {
	_, _, ok, err := c.lookToChange(c.Args[1], t)
	if !ok {
		return err
	}
	return c.expire(1000, c.Now)
}

func (c *Context) typedPersist(t event.Type) error {
	_, _, ok, err := c.lookToChange(c.Args[1], t)
	if !ok {
		return err
	}
	return runPersist(c)
}

func (c *Context) typedTTL(t event.Type) error {
	r, there, err := c.lookTyped(c.Args[1], t)
	switch {
	case err != nil:
	case !there || r.ExpireAt == 0:
		c.Reply.Int(-1)
	default:
		c.Reply.Int((r.ExpireAt - c.Now + 500) / 1000)
	}
	return err
}

func (c *Context) typedExists(t event.Type) error {
	_, there, err := c.lookTyped(c.Args[1], t)
	c.Reply.Int(oneIf(there))
	return err
}

func (c *Context) typedClear(t event.Type) error {
	r, there, ok, err := c.lookToChange(c.Args[1], t)
	if !ok {
		return err
	}
	if there {
		c.emitDel(c.Args[1], r)
	}
	c.Reply.Int(oneIf(there))
	return nil
}

// typedClearMany passes over keys of another type, as it may be one of several partitions' parts.
func (c *Context) typedClearMany(t event.Type) error {
	var n int64
	for _, key := range c.Args[1:] {
		r, there, err := c.lookTyped(key, t)
		if err != nil {
			return err
		}
		if there {
			c.emitDel(key, r)
			n++
		}
	}
	c.Reply.Int(n)
	return nil
}

func (c *Context) typedFix(t event.Type) error {
	_, _, ok, err := c.lookToChange(c.Args[1], t)
	if ok {
		c.Reply.OK()
	}
	return err
}

func oneIf(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
