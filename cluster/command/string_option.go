package command

import "math"

// setOptions are the options of SET and GETEX.
type setOptions struct {
	nx, xx, get, keepTTL, persist bool
	when                          []byte // EX, PX, EXAT or PXAT's argument; nil without
	unit                          int64  // of when, in ms
	relative                      bool   // when counts from now
	timed                         string // which of the four it was
}

// optionSet says whose options are read: SET and GETEX share the times and differ in the rest.
type optionSet uint8

const (
	forSet optionSet = iota + 1
	forGet
)

// setOptions reads the options from Args[i] on, with Redis's rules on which exclude each other: a time excludes the three
// others, KEEPTTL and PERSIST, but may be repeated, and the last counts.
func (c *Context) setOptions(i int, set optionSet) (o setOptions, ok bool) {
	for ; i < len(c.Args); i++ {
		opt := c.Args[i]
		if set == forSet && o.setOnly(opt) || set == forGet && o.getOnly(opt) {
			continue
		}
		if i+1 == len(c.Args) || !o.time(opt) {
			c.Reply.Error(ErrSyntax)
			return o, false
		}
		i++
		o.when = c.Args[i]
	}
	return o, true
}

func (o *setOptions) setOnly(opt []byte) bool {
	switch {
	case equalFold(opt, "nx") && !o.xx:
		o.nx = true
	case equalFold(opt, "xx") && !o.nx:
		o.xx = true
	case equalFold(opt, "get"):
		o.get = true
	case equalFold(opt, "keepttl") && o.timed == "":
		o.keepTTL = true
	default:
		return false
	}
	return true
}

func (o *setOptions) getOnly(opt []byte) bool {
	if !equalFold(opt, "persist") || o.timed != "" {
		return false
	}
	o.persist = true
	return true
}

// time reads EX, PX, EXAT and PXAT.
func (o *setOptions) time(opt []byte) bool {
	var name string
	var unit int64
	switch {
	case equalFold(opt, "ex"):
		name, unit = "ex", 1000
	case equalFold(opt, "px"):
		name, unit = "px", 1
	case equalFold(opt, "exat"):
		name, unit = "exat", 1000
	case equalFold(opt, "pxat"):
		name, unit = "pxat", 1
	default:
		return false
	}
	if o.keepTTL || o.persist || (o.timed != "" && o.timed != name) {
		return false
	}
	o.timed, o.unit, o.relative = name, unit, len(name) == 2
	return true
}

// expireTime gives the absolute time, in ms since 1970, that the options ask for, 0 for none. It replies what is wrong.
func (c *Context) expireTime(o *setOptions) (int64, bool) {
	if o.when == nil {
		return 0, true
	}
	n, ok := parseInt(o.when)
	if !ok {
		c.Reply.Error(ErrNotInteger)
		return 0, false
	}
	if n <= 0 || n > math.MaxInt64/o.unit {
		c.Reply.Error(expireTimeError(c.Spec.Name))
		return 0, false
	}
	n *= o.unit
	if o.relative {
		if n, ok = addInt(n, c.Now); !ok {
			c.Reply.Error(expireTimeError(c.Spec.Name))
			return 0, false
		}
	}
	return n, true
}

// wrongType says whether the key is there and no string.
func (r *row) wrongType() bool { return r.live && !r.isString() }
