package command

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/zankv/zankv/cdc/event"
)

// Error texts of the commands on places, Redis's.
const (
	errGeoUnit     = "ERR unsupported unit provided. please use M, KM, FT, MI"
	errGeoRadius   = "ERR need numeric radius"
	errGeoNegative = "ERR radius cannot be negative"
	errGeoWidth    = "ERR need numeric width"
	errGeoHeight   = "ERR need numeric height"
	errGeoBox      = "ERR height or width cannot be negative"
	errGeoMember   = "ERR could not decode requested zset member"
	errGeoCount    = "ERR COUNT must be > 0"
	errGeoAny      = "ERR the ANY argument requires COUNT argument"
	errGeoStore    = " is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
	errGeoFrom     = "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for "
	errGeoBy       = "ERR exactly one of BYRADIUS and BYBOX can be specified for "
)

// geoQuery is a search for places: GEOSEARCH's, and what its older kin say of it.
type geoQuery struct {
	key   []byte // that is searched
	row   *row
	shape geoShape
	// from and by: the middle and the shape have been given, and how.
	fromMember, fromPlace, byRadius, byBox bool
	withDistance, withHash, withPlace      bool
	count                                  int64 // 0: all
	any                                    bool
	order                                  int    // of distances: 1 nearest first, -1 farthest first, 0 as found
	store                                  []byte // nil: reply
	storeDistance                          bool
}

// geoFound is a member that a search found.
type geoFound struct {
	scored
	place
	distance float64 // meters
}

// geoStoreKeys appends the positions of the keys behind GEORADIUS's STORE and STOREDIST. Only the last one counts, but all are keys.
func geoStoreKeys(dst []int, args [][]byte) []int {
	first := 5
	if equalFold(args[0], "georadius") {
		first = 6
	}
	for _, option := range [...]string{"store", "storedist"} {
		for i := first; i+1 < len(args); i++ {
			if equalFold(args[i], option) {
				dst = append(dst, i+1)
			}
		}
	}
	return dst
}

// runGeoSearch is GEOSEARCH, GEOSEARCHSTORE, GEORADIUS, GEORADIUSBYMEMBER and their forms that only read.
func runGeoSearch(c *Context) error {
	q := geoQuery{key: c.Args[1]}
	if c.Spec.Name == "geosearchstore" {
		q.key, q.store = c.Args[2], c.Args[1]
	}
	r, ok, err := c.lookType(q.key, event.TypeZSet)
	if !ok {
		return err
	}
	q.row = r
	if ok, err := c.geoQuery(&q); !ok {
		return err
	}
	var all []geoFound
	if r.live {
		if all, err = c.geoFind(&q); err != nil {
			return err
		}
	}
	if q.store != nil {
		return c.geoStore(&q, all)
	}
	return c.geoReply(&q, all)
}

// geoQuery reads the arguments behind the key; ok is false, and an error replied, when they are wrong. A member that the search begins at is
// looked up meanwhile, as Redis does: it shows in which error comes first.
func (c *Context) geoQuery(q *geoQuery) (ok bool, err error) {
	i, err := c.geoFixed(q)
	for ; i > 0 && i < len(c.Args); i++ {
		n, err := c.geoOption(q, i)
		if n < 0 || err != nil {
			return false, err
		}
		i += n
	}
	if i < 0 || err != nil {
		return false, err
	}
	if problem := q.problem(c); problem != "" {
		c.Reply.Error(problem)
		return false, nil
	}
	if q.count > 0 && q.order == 0 && !q.any {
		q.order = 1
	}
	return true, nil
}

// geoFixed reads what stands at fixed places, and gives the place of the first option, or -1 when it replied an error.
func (c *Context) geoFixed(q *geoQuery) (options int, err error) {
	ok := true
	switch name := c.Spec.Name; {
	case name == "geosearch":
		return 2, nil
	case name == "geosearchstore":
		return 3, nil
	case strings.HasPrefix(name, "georadiusbymember"):
		options = 5
		if q.row.live { // without the key nobody looks at the radius
			if ok, err = c.geoMember(q, 2); ok {
				ok = c.radiusArgs(q, 3)
			}
		}
	default:
		options = 6
		if q.shape.middle, ok = c.placeArgs(2); ok {
			ok = c.radiusArgs(q, 4)
		}
	}
	if !ok {
		return -1, err
	}
	return options, nil
}

// geoOption reads the option at Args[i] and gives how many more arguments it took, or -1 when it replied an error.
func (c *Context) geoOption(q *geoQuery, i int) (took int, err error) {
	arg, more := c.Args[i], len(c.Args)-1-i
	switch {
	case equalFold(arg, "withdist"):
		q.withDistance = true
	case equalFold(arg, "withhash"):
		q.withHash = true
	case equalFold(arg, "withcoord"):
		q.withPlace = true
	case equalFold(arg, "any"):
		q.any = true
	case equalFold(arg, "asc"):
		q.order = 1
	case equalFold(arg, "desc"):
		q.order = -1
	case equalFold(arg, "count") && more > 0:
		return c.geoCount(q, i+1), nil
	case strings.HasPrefix(c.Spec.Name, "geosearch"):
		return c.geoSearchOption(q, i, more)
	case c.Spec.Flags&Write != 0 && more > 0 && (equalFold(arg, "store") || equalFold(arg, "storedist")):
		q.store, q.storeDistance = c.Args[i+1], len(arg) > len("store")
		return 1, nil
	default:
		c.Reply.Error(ErrSyntax)
		return -1, nil
	}
	return 0, nil
}

func (c *Context) geoCount(q *geoQuery, i int) (took int) {
	var ok bool
	if q.count, ok = c.intArg(i); !ok {
		return -1
	}
	if q.count <= 0 {
		c.Reply.Error(errGeoCount)
		return -1
	}
	return 1
}

// geoSearchOption is geoOption for what only GEOSEARCH and GEOSEARCHSTORE know.
func (c *Context) geoSearchOption(q *geoQuery, i, more int) (took int, err error) {
	ok := true
	switch arg := c.Args[i]; {
	case equalFold(arg, "frommember") && more >= 1 && !q.fromPlace:
		q.fromMember, took = true, 1
		if q.row.live {
			ok, err = c.geoMember(q, i+1)
		}
	case equalFold(arg, "fromlonlat") && more >= 2 && !q.fromMember:
		q.fromPlace, took = true, 2
		q.shape.middle, ok = c.placeArgs(i + 1)
	case equalFold(arg, "byradius") && more >= 2 && !q.byBox:
		q.byRadius, took = true, 2
		ok = c.radiusArgs(q, i+1)
	case equalFold(arg, "bybox") && more >= 3 && !q.byRadius:
		q.byBox, took = true, 3
		ok = c.boxArgs(q, i+1)
	case equalFold(arg, "storedist") && q.store != nil:
		q.storeDistance = true
	default:
		c.Reply.Error(ErrSyntax)
		ok = false
	}
	if !ok {
		return -1, err
	}
	return took, nil
}

// problem is what is wrong with the arguments together.
func (q *geoQuery) problem(c *Context) string {
	search := strings.HasPrefix(c.Spec.Name, "geosearch")
	switch {
	case q.store != nil && (q.withDistance || q.withHash || q.withPlace):
		if search {
			return "ERR GEOSEARCHSTORE" + errGeoStore
		}
		return "ERR STORE option in GEORADIUS" + errGeoStore
	case search && !q.fromMember && !q.fromPlace:
		return oneLine(errGeoFrom + cString(c.Args[0]))
	case search && !q.byRadius && !q.byBox:
		return oneLine(errGeoBy + cString(c.Args[0]))
	case q.any && q.count == 0:
		return errGeoAny
	}
	return ""
}

// geoMember takes the place of the member at Args[i] for the middle; ok is false, and an error replied, when it isn't there.
func (c *Context) geoMember(q *geoQuery, i int) (ok bool, err error) {
	q.shape.middle, ok, err = c.placeOf(q.key, q.row, c.Args[i])
	if !ok && err == nil {
		c.Reply.Error(errGeoMember)
	}
	return ok, err
}

// placeArgs reads a longitude and a latitude; it replies what is wrong with them.
func (c *Context) placeArgs(i int) (p place, ok bool) {
	p.longitude, ok = parseDouble(c.Args[i])
	if ok {
		p.latitude, ok = parseDouble(c.Args[i+1])
	}
	if !ok {
		c.Reply.Error(ErrNotFloat)
		return p, false
	}
	if math.Abs(p.longitude) > maxLongitude || math.Abs(p.latitude) > maxLatitude {
		c.Reply.Error("ERR invalid longitude,latitude pair " + fixed(p.longitude) + "," + fixed(p.latitude))
		return p, false
	}
	return p, true
}

// fixed writes a number as C's %f does.
func fixed(f float64) string {
	if math.IsInf(f, 0) {
		return strings.ToLower(strings.TrimPrefix(fmt.Sprint(f), "+"))
	}
	return fmt.Sprintf("%f", f)
}

// unitArg reads a unit of length; it replies the error.
func (c *Context) unitArg(i int) (meters float64, ok bool) {
	switch arg := c.Args[i]; {
	case equalFold(arg, "m"):
		return 1, true
	case equalFold(arg, "km"):
		return 1000, true
	case equalFold(arg, "ft"):
		return 0.3048, true
	case equalFold(arg, "mi"):
		return 1609.34, true
	}
	c.Reply.Error(errGeoUnit)
	return 0, false
}

// radiusArgs reads a radius and its unit; it replies what is wrong with them.
func (c *Context) radiusArgs(q *geoQuery, i int) (ok bool) {
	if q.shape.radius, ok = parseDouble(c.Args[i]); !ok {
		c.Reply.Error(errGeoRadius)
		return false
	}
	if q.shape.radius < 0 {
		c.Reply.Error(errGeoNegative)
		return false
	}
	q.shape.unit, ok = c.unitArg(i + 1)
	return ok
}

// boxArgs reads a width, a height and their unit; it replies what is wrong with them.
func (c *Context) boxArgs(q *geoQuery, i int) (ok bool) {
	q.shape.box = true
	if q.shape.width, ok = parseDouble(c.Args[i]); !ok {
		c.Reply.Error(errGeoWidth)
		return false
	}
	if q.shape.height, ok = parseDouble(c.Args[i+1]); !ok {
		c.Reply.Error(errGeoHeight)
		return false
	}
	if q.shape.width < 0 || q.shape.height < 0 {
		c.Reply.Error(errGeoBox)
		return false
	}
	q.shape.unit, ok = c.unitArg(i + 2)
	return ok
}

// geoFind searches cell by cell, and gives at most count members, in the order asked for.
func (c *Context) geoFind(q *geoQuery) (all []geoFound, err error) {
	enough := func() bool { return q.any && int64(len(all)) >= q.count }
	var last cell
	for i, cell := range q.shape.cells() {
		// Around a very large shape two neighbours may be the same cell.
		if cell.step == 0 || cell == last || enough() {
			continue
		}
		if i > 0 {
			last = cell
		}
		low, high := cell.scores()
		in := ScoreRange{From: &ScoreKey{Score: low}, To: &ScoreKey{Score: high}}
		err := c.View.Scores(q.key, &q.row.Meta, in, func(score float64, member []byte) bool {
			p := placeOfScore(score)
			if distance, ok := q.shape.holds(p); ok {
				all = append(all, geoFound{scored: scored{member: c.hold(member), score: score}, place: p, distance: distance})
			}
			return !enough()
		})
		if err != nil {
			return nil, err
		}
	}
	if q.order != 0 {
		slices.SortStableFunc(all, func(a, b geoFound) int { return q.order * cmp.Compare(a.distance, b.distance) })
	}
	if q.count > 0 {
		all = all[:min(int64(len(all)), q.count)]
	}
	return all, nil
}

func (c *Context) geoReply(q *geoQuery, all []geoFound) error {
	parts := 1
	for _, with := range [...]bool{q.withDistance, q.withHash, q.withPlace} {
		if with {
			parts++
		}
	}
	c.Reply.Array(len(all))
	for i := range all {
		f := &all[i]
		if parts > 1 {
			c.Reply.Array(parts)
		}
		c.Reply.Bulk(f.member)
		if q.withDistance {
			c.replyDistance(f.distance / q.shape.unit)
		}
		if q.withHash {
			c.Reply.Int(shownScore(f.score))
		}
		if q.withPlace {
			c.replyPlace(f.place)
		}
		if err := c.replyPart(); err != nil {
			return err
		}
	}
	return nil
}

// geoStore makes what was found a sorted set, by cell or by distance.
func (c *Context) geoStore(q *geoQuery, all []geoFound) error {
	members := make([]scored, len(all))
	for i := range all {
		members[i] = all[i].scored
		if q.storeDistance {
			members[i].score = all[i].distance / q.shape.unit
		}
	}
	return c.zsetStore(q.store, members)
}
