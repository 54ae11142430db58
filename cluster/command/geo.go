package command

import (
	"strconv"

	"github.com/zankv/zankv/cdc/event"
)

const (
	geoRadiusComplexity = "O(N+log(M)), N being the members in the cells around the circle and M all members"
	geoSearchInstead    = "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument"
)

// geos are the commands on places. A set of places is a sorted set: a member's score is its cell in a grid of 2^26 by 2^26 cells, numbered
// such that cells that are near each other have near numbers for the most part (geo_hash.go).
var geos = []*Spec{
	{Name: "geoadd", Arity: -5, Flags: Write | DenyOOM, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runGeoAdd,
		KeyAccess: "RW update", Summary: "Gives members their places, adding those that aren't there.", Since: "3.2.0", Group: "geo", Complexity: "O(log(N)) for each member, N being the number of members"},
	{Name: "geopos", Arity: -2, Flags: ReadOnly | ManyRows, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runGeoPos,
		KeyAccess: "RO access", Summary: "Returns the longitude and latitude of members.", Since: "3.2.0", Group: "geo", Complexity: "O(N), N being the number of members asked for"},
	{Name: "geohash", Arity: -2, Flags: ReadOnly | ManyRows, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runGeoHash,
		KeyAccess: "RO access", Summary: "Returns the places of members as geohash strings.", Since: "3.2.0", Group: "geo", Complexity: "O(N), N being the number of members asked for"},
	{Name: "geodist", Arity: -4, Flags: ReadOnly | ManyRows, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runGeoDist,
		KeyAccess: "RO access", Summary: "Returns how far two members are from each other.", Since: "3.2.0", Group: "geo", Complexity: "O(1)"},
	{Name: "geosearch", Arity: -7, Flags: ReadOnly | ManyRows, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runGeoSearch,
		KeyAccess: "RO access", Summary: "Finds the members within a circle or a box.", Since: "6.2.0", Group: "geo", Complexity: geoRadiusComplexity},
	{Name: "geosearchstore", Arity: -8, Flags: Write | DenyOOM, FirstKey: 1, LastKey: 2, KeyStep: 1, Scope: ScopeKeys, Run: runGeoSearch,
		KeyAccess: "OW update", Summary: "Finds the members within a circle or a box, and stores them as a sorted set.", Since: "6.2.0", Group: "geo", Complexity: geoRadiusComplexity},
	{Name: "georadius", Arity: -6, Flags: Write | DenyOOM | MovableKeys, FirstKey: 1, LastKey: 1, KeyStep: 1, MoreKeys: geoStoreKeys, Scope: ScopeKeys, Run: runGeoSearch,
		KeyAccess: "RO access", Summary: "Finds the members within a circle around a place, and may store them.", Since: "3.2.0", Group: "geo", Complexity: geoRadiusComplexity,
		DeprecatedSince: "6.2.0", ReplacedBy: geoSearchInstead},
	{Name: "georadius_ro", Arity: -6, Flags: ReadOnly | ManyRows, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runGeoSearch,
		KeyAccess: "RO access", Summary: "Finds the members within a circle around a place.", Since: "3.2.10", Group: "geo", Complexity: geoRadiusComplexity,
		DeprecatedSince: "6.2.0", ReplacedBy: "`GEOSEARCH` with the `BYRADIUS` argument"},
	{Name: "georadiusbymember", Arity: -5, Flags: Write | DenyOOM | MovableKeys, FirstKey: 1, LastKey: 1, KeyStep: 1, MoreKeys: geoStoreKeys, Scope: ScopeKeys, Run: runGeoSearch,
		KeyAccess: "RO access", Summary: "Finds the members within a circle around a member, and may store them.", Since: "3.2.0", Group: "geo", Complexity: geoRadiusComplexity,
		DeprecatedSince: "6.2.0", ReplacedBy: "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments"},
	{Name: "georadiusbymember_ro", Arity: -5, Flags: ReadOnly | ManyRows, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runGeoSearch,
		KeyAccess: "RO access", Summary: "Finds the members within a circle around a member.", Since: "3.2.10", Group: "geo", Complexity: geoRadiusComplexity,
		DeprecatedSince: "6.2.0", ReplacedBy: "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments"},
}

func runGeoAdd(c *Context) error {
	first, ch, flags := c.geoAddOptions()
	rest := len(c.Args) - first
	if rest == 0 || rest%3 != 0 || flags == zaddNX|zaddXX {
		c.Reply.Error(ErrSyntax)
		return nil
	}
	if !c.batchFits(rest/3) || !c.subKeysFit(first+2, 3) {
		return nil
	}
	pairs := make([]scored, 0, rest/3)
	for i := first; i < len(c.Args); i += 3 {
		at, ok := c.placeArgs(i)
		if !ok {
			return nil
		}
		pairs = append(pairs, scored{member: c.Args[i+2], score: float64(at.cell(finestStep).align())})
	}
	r, ok, err := c.lookType(c.Args[1], event.TypeZSet)
	if !ok {
		return err
	}
	result, err := c.zsetAdd(c.Args[1], r, flags, pairs)
	if err == nil {
		c.replyAdded(&result, flags, ch)
	}
	return err
}

// geoAddOptions reads GEOADD's options; first is where the places begin.
func (c *Context) geoAddOptions() (first int, ch bool, flags zaddFlags) {
	for first = 2; first < len(c.Args); first++ {
		switch arg := c.Args[first]; {
		case equalFold(arg, "nx"):
			flags |= zaddNX
		case equalFold(arg, "xx"):
			flags |= zaddXX
		case equalFold(arg, "ch"):
			ch = true
		default:
			return first, ch, flags
		}
	}
	return first, ch, flags
}

// placeOf gives a member's place; ok is false when it, or the key, isn't there.
func (c *Context) placeOf(key []byte, r *row, member []byte) (p place, ok bool, err error) {
	if !r.live {
		return place{}, false, nil
	}
	e, ok, err := c.element(key, r, member)
	if !ok || err != nil {
		return place{}, false, err
	}
	return placeOfScore(e.Score), true, nil
}

// eachPlace replies an array of what reply says of each of the members named from Args[2] on.
func (c *Context) eachPlace(reply func(p place, ok bool)) error {
	r, ok, err := c.lookType(c.Args[1], event.TypeZSet)
	if !ok || !c.batchFits(len(c.Args)-2) {
		return err
	}
	c.Reply.Array(len(c.Args) - 2)
	for _, member := range c.Args[2:] {
		p, ok, err := c.placeOf(c.Args[1], r, member)
		if err != nil {
			return err
		}
		reply(p, ok)
	}
	return nil
}

func runGeoPos(c *Context) error {
	return c.eachPlace(func(p place, ok bool) {
		if !ok {
			c.Reply.NullArray()
			return
		}
		c.replyPlace(p)
	})
}

func runGeoHash(c *Context) error {
	return c.eachPlace(func(p place, ok bool) {
		if !ok {
			c.Reply.Null()
			return
		}
		var text [hashLetters]byte
		c.Reply.Bulk(p.appendHash(text[:0]))
	})
}

func runGeoDist(c *Context) error {
	unit := 1.0
	if len(c.Args) > 5 {
		c.Reply.Error(ErrSyntax)
		return nil
	}
	if len(c.Args) == 5 {
		var ok bool
		if unit, ok = c.unitArg(4); !ok {
			return nil
		}
	}
	r, ok, err := c.lookType(c.Args[1], event.TypeZSet)
	if !ok {
		return err
	}
	a, ok, err := c.placeOf(c.Args[1], r, c.Args[2])
	if err != nil {
		return err
	}
	b, ok2, err := c.placeOf(c.Args[1], r, c.Args[3])
	switch {
	case err != nil:
	case ok && ok2:
		c.replyDistance(a.distance(b) / unit)
	default:
		c.Reply.Null()
	}
	return err
}

// replyDistance replies a distance with four decimals, a string in both protocols.
func (c *Context) replyDistance(d float64) {
	var text [32]byte
	c.Reply.Bulk(strconv.AppendFloat(text[:0], d, 'f', 4, 64))
}

func (c *Context) replyPlace(p place) {
	c.Reply.Array(2)
	c.replyDegrees(p.longitude)
	c.replyDegrees(p.latitude)
}

// replyDegrees replies a number with up to 17 decimals, without an exponent.
func (c *Context) replyDegrees(f float64) {
	var memory [32]byte
	text := strconv.AppendFloat(memory[:0], f, 'f', 17, 64)
	for text[len(text)-1] == '0' {
		text = text[:len(text)-1]
	}
	if text[len(text)-1] == '.' {
		text = text[:len(text)-1]
	}
	if string(text) == "-0" {
		text = text[1:]
	}
	if !c.Reply.RESP3 {
		c.Reply.Bulk(text)
		return
	}
	c.Reply.Buf = append(append(append(c.Reply.Buf, ','), text...), '\r', '\n')
}
