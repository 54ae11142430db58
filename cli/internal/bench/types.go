package bench

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// hundred is how many elements the collections have that are read whole.
const hundred = 100

// shapes are the command lines of the loads beside SET and GET: $h, $l, $s, $z stand for a target's collection that is written to, $H, $L, $Z for the
// one that is read whole, $k for a key that is drawn, $m for a field or member that is drawn, $u for one that hardly ever is drawn twice, $n for a
// number that is drawn, $v for a value, $w for one that is drawn: what changes nothing writes nothing.
var shapes = map[string]string{
	"HSET": "HSET $h $m $w", "LPUSH": "LPUSH $l $v", "LPOP": "LPOP $l", "SADD": "SADD $s $u", "ZADD": "ZADD $z $n $m",
	"HGET": "HGET $h $m", "ZSCORE": "ZSCORE $z $m",
	"MGET": "MGET" + strings.Repeat(" $k", 10), "HGETALL": "HGETALL $H", "LRANGE": "LRANGE $L 0 -1", "ZRANGE": "ZRANGE $Z 0 -1 WITHSCORES",
}

// What a command of shapes is, for its target.
const (
	write = iota
	pointRead
	rangeRead
)

// typeLoads are the loads of the data types with what each is. LPOP comes behind LPUSH, which leaves it something to pop.
var typeLoads = []struct {
	load
	kind int
}{
	{load{"HSET", 50, 1}, write}, {load{"HSET", 50, 16}, write}, {load{"LPUSH", 50, 1}, write}, {load{"LPUSH", 50, 16}, write},
	{load{"LPOP", 50, 1}, write}, {load{"SADD", 50, 1}, write}, {load{"SADD", 50, 16}, write}, {load{"ZADD", 50, 1}, write}, {load{"ZADD", 50, 16}, write},
	{load{"HGET", 50, 1}, pointRead}, {load{"ZSCORE", 50, 1}, pointRead},
	{load{"MGET", 50, 1}, rangeRead}, {load{"HGETALL", 50, 1}, rangeRead}, {load{"LRANGE", 50, 1}, rangeRead}, {load{"ZRANGE", 50, 1}, rangeRead},
}

// typeTargets are what is asked for, by kind, against redis-server.
var typeTargets = map[int]float64{write: 0.5, pointRead: 0.7, rangeRead: 0.4}

// collection is the name of one of a target's collections.
func (t target) collection(name string) string {
	return strings.Replace(t.key, "__rand_int__", name, 1)
}

// line is the command line of a load.
func (l load) line(t target) []string {
	shape, ok := shapes[l.command]
	if !ok {
		shape = map[string]string{"SET": "SET $k $v", "GET": "GET $k"}[l.command]
	}
	words := strings.Fields(shape)
	for i, w := range words {
		switch w {
		case "$k":
			words[i] = t.key
		case "$m":
			words[i] = "m:__rand_int__"
		case "$u":
			words[i] = "m:__rand_int__:__rand_int__"
		case "$w":
			words[i] = "__rand_int__" + value[len("000000000000"):]
		case "$n":
			words[i] = "__rand_int__"
		case "$v":
			words[i] = value
		default:
			if w[0] == '$' {
				words[i] = t.collection(w[1:])
			}
		}
	}
	return words
}

// turnTypes is where the data types stand in a round: behind the plain loads.
const turnTypes = 20

func (r *redisRoute) typeMeasurements() (all []Measurement) {
	for i, l := range typeLoads {
		m := r.measurement(l.load)
		m.Turn = turnTypes + i
		all = append(all, m)
	}
	return all
}

// fillTypes writes the keys of fill, a hash and a sorted set of as many elements, and collections of a hundred.
func (r *redisRoute) fillTypes(ctx context.Context) error {
	if err := r.fill(ctx); err != nil {
		return err
	}
	err := r.whileLeadersStay(func() error {
		targets, err := r.targets(ctx)
		for _, t := range targets {
			if err == nil {
				err = fillCollections(ctx, t, r.keys(len(targets)))
			}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("fill %s with collections: %w", r.name, err)
	}
	return nil
}

func (t target) client() *redis.Client {
	return redis.NewClient(&redis.Options{Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(t.port)), MaxRetries: -1})
}

func fillCollections(ctx context.Context, t target, n int) error {
	c := t.client()
	defer func() { _ = c.Close() }()
	if err := c.Del(ctx, t.collection("H"), t.collection("L"), t.collection("Z")).Err(); err != nil {
		return err
	}
	if err := fillMembers(ctx, c, t.collection("h"), t.collection("z"), n, value); err != nil {
		return err
	}
	if err := fillMembers(ctx, c, t.collection("H"), t.collection("Z"), hundred, value); err != nil {
		return err
	}
	items := make([]any, hundred)
	for i := range items {
		items[i] = value
	}
	return c.RPush(ctx, t.collection("L"), items...).Err()
}

// fillStep is how many elements one command of fillMembers brings.
const fillStep = 500

// fillMembers gives a hash and a sorted set n elements, named as redis-benchmark names what it draws. An empty name leaves one out.
func fillMembers(ctx context.Context, c *redis.Client, hash, zset string, n int, value string) error {
	for first := 0; first < n; first += fillStep {
		var pairs []any
		var members []redis.Z
		for i := first; i < min(first+fillStep, n); i++ {
			name := fmt.Sprintf("m:%012d", i)
			pairs = append(pairs, name, value)
			members = append(members, redis.Z{Score: float64(i), Member: name})
		}
		if hash != "" {
			if err := c.HSet(ctx, hash, pairs...).Err(); err != nil {
				return err
			}
		}
		if zset != "" {
			if err := c.ZAdd(ctx, zset, members...).Err(); err != nil {
				return err
			}
		}
	}
	return nil
}

// typesSections are the data types' on each system.
func typesSections(redisServer *redisServer, three, one *zankvLocal) []Section {
	sections := []Section{{
		Name: "redis-types", About: "redis-server's data types", Prepare: redisServer.route.fillTypes,
		Systems: []System{redisServer}, Measurements: redisServer.route.typeMeasurements(), Rows: typeRows("redis", false),
	}}
	for _, z := range []*zankvLocal{three, one} {
		sections = append(sections, Section{
			Name: z.name + "-types", About: fmt.Sprintf("data types, %d replicas, straight to the leader", z.replicas), Needs: []string{"redis-types"},
			Prepare: z.direct.fillTypes, Systems: []System{z}, Measurements: z.direct.typeMeasurements(), Rows: typeRows(z.name, true),
		})
	}
	return sections
}

func typeRows(system string, ratio bool) (rows []Row) {
	for _, l := range typeLoads {
		row := Row{What: what(l.load) + ", /s", Of: system + "." + l.String() + ".rps"}
		if ratio {
			row.Over, row.AtLeast = "redis."+l.String()+".rps", typeTargets[l.kind]
		}
		rows = append(rows, row)
	}
	return rows
}
