package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// goSuite is the suite of testdata/clients through go-redis, in a process of its own as those of the other languages:
// this test program with goSuiteArg before the suite's arguments. What isn't as it should be panics.
type goSuite struct {
	clustered bool
	protocol  int
	prefix    string
	ctx       context.Context
	redis.UniversalClient
}

const goSuiteArg = "go-redis-suite"

func runGoSuite(args []string) error {
	if len(args) != 4 {
		return fmt.Errorf("%s cluster|plain PROTOCOL HOST:PORT PREFIX: got %q", goSuiteArg, args)
	}
	protocol, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s := &goSuite{clustered: args[0] == "cluster", protocol: protocol, prefix: args[3], ctx: ctx}
	if s.clustered {
		s.UniversalClient = redis.NewClusterClient(&redis.ClusterOptions{Addrs: args[2:3], Protocol: protocol})
	} else {
		s.UniversalClient = redis.NewClient(&redis.Options{Addr: args[2], Protocol: protocol})
	}
	defer s.Close()
	steps := []func(){
		s.strings, s.expiry, s.hashes, s.lists, s.sets, s.zsets, s.geo, s.bitmaps, s.hyperloglogs, s.many, s.pipeline,
		s.multi, s.watch, s.scan, s.large, s.keys, s.protocols, s.moved,
	}
	for i, name := range clientSteps(s.clustered) {
		steps[i]()
		fmt.Println("ok", name)
	}
	fmt.Println("done")
	return nil
}

// key is in the slot of all the run's keys that are made so.
func (s *goSuite) key(name string) string { return "{" + s.prefix + "}:" + name }

// got is a reply that has to be no error.
func got[T any](c interface{ Result() (T, error) }) T {
	v, err := c.Result()
	if err != nil {
		panic(fmt.Errorf("%v: %w", c, err))
	}
	return v
}

// absent is whether the reply is null.
func absent[T any](c interface{ Result() (T, error) }) bool {
	_, err := c.Result()
	return errors.Is(err, redis.Nil)
}

func same(got, want any) {
	if !reflect.DeepEqual(got, want) {
		panic(fmt.Sprintf("got %#v, want %#v", got, want))
	}
}

func fails(text string, err error) {
	if err == nil || err.Error() != text {
		panic(fmt.Sprintf("got the error %v, want %s", err, text))
	}
}

// list is several replies at once.
func list(values ...any) []any { return values }

func sorted(values []string) []string {
	values = slices.Clone(values)
	slices.Sort(values)
	return values
}

func (s *goSuite) strings() {
	k, ctx := s.key("string"), s.ctx
	same(got(s.Set(ctx, k, "v", 100*time.Second)), "OK")
	ttl := got(s.TTL(ctx, k))
	same(ttl > 0 && ttl <= 100*time.Second, true)
	same(absent(s.SetArgs(ctx, k, "w", redis.SetArgs{Mode: "NX"})), true)
	same(got(s.SetArgs(ctx, k, "w", redis.SetArgs{Mode: "XX", Get: true, KeepTTL: true})), "v")
	same(list(got(s.Append(ctx, k, "xyz")), got(s.GetRange(ctx, k, 1, 2)), got(s.SetRange(ctx, k, 1, "ab"))), list(int64(4), "xy", int64(4)))
	same(list(got(s.Persist(ctx, k)), got(s.TTL(ctx, k)), got(s.GetDel(ctx, k))), list(true, time.Duration(-1), "wabz"))
	same(list(absent(s.Get(ctx, k)), got(s.Incr(ctx, k)), got(s.IncrBy(ctx, k, 41)), got(s.Decr(ctx, k))), list(true, int64(1), int64(42), int64(41)))
	same(got(s.IncrByFloat(ctx, k, 0.5)), 41.5)
	fails("ERR value is not an integer or out of range", s.Incr(ctx, k).Err())
	fails("WRONGTYPE Operation against a key holding the wrong kind of value", s.LPush(ctx, k, "x").Err())
}

func (s *goSuite) expiry() {
	k, ctx := s.key("expiry"), s.ctx
	same(got(s.Set(ctx, k, "v", 100*time.Millisecond)), "OK")
	same(list(got(s.HSet(ctx, k+"h", "f", "v")), got(s.PExpire(ctx, k+"h", 100*time.Millisecond))), list(int64(1), true))
	if err := awaitErr(ctx, func() error {
		if n := got(s.Exists(ctx, k, k+"h")); n != 0 {
			return fmt.Errorf("%d keys are still there", n)
		}
		return nil
	}); err != nil {
		panic(err)
	}
	same(list(absent(s.Get(ctx, k)), got(s.HGetAll(ctx, k+"h")), got(s.TTL(ctx, k))), list(true, map[string]string{}, time.Duration(-2)))
}

func (s *goSuite) hashes() {
	k, ctx := s.key("hash"), s.ctx
	same(got(s.HSet(ctx, k, "a", 1, "b", 2, "c", "x")), int64(3))
	same(list(got(s.HGet(ctx, k, "a")), got(s.HMGet(ctx, k, "a", "no", "c"))), list("1", list("1", nil, "x")))
	same(got(s.HGetAll(ctx, k)), map[string]string{"a": "1", "b": "2", "c": "x"})
	same(list(got(s.HIncrBy(ctx, k, "a", 9)), got(s.HIncrByFloat(ctx, k, "b", 0.25)), got(s.HSetNX(ctx, k, "a", 0))), list(int64(10), 2.25, false))
	same(list(got(s.HDel(ctx, k, "c", "no")), got(s.HLen(ctx, k)), got(s.HExists(ctx, k, "c"))), list(int64(1), int64(2), false))
	same(list(sorted(got(s.HKeys(ctx, k))), sorted(got(s.HVals(ctx, k)))), list([]string{"a", "b"}, []string{"10", "2.25"}))
	found, cursor := s.HScan(ctx, k, 0, "", 0).Val()
	same(list(cursor, sorted(found)), list(uint64(0), []string{"10", "2.25", "a", "b"}))
	same(slices.Contains([]string{"a", "b"}, got(s.HRandField(ctx, k, 1))[0]), true)
}

func (s *goSuite) lists() {
	k, ctx := s.key("list"), s.ctx
	same(list(got(s.RPush(ctx, k, "a", "b", "c")), got(s.LPush(ctx, k, "z"))), list(int64(3), int64(4)))
	same(got(s.LRange(ctx, k, 0, -1)), []string{"z", "a", "b", "c"})
	same(list(got(s.LPop(ctx, k)), got(s.RPopCount(ctx, k, 2)), got(s.LLen(ctx, k)), got(s.LIndex(ctx, k, 0))), list("z", []string{"c", "b"}, int64(1), "a"))
	same(list(got(s.LPos(ctx, k, "a", redis.LPosArgs{})), got(s.LInsertAfter(ctx, k, "a", "b")), got(s.LSet(ctx, k, 0, "A"))), list(int64(0), int64(2), "OK"))
	same(list(got(s.LMove(ctx, k, k+"2", "RIGHT", "LEFT")), got(s.LTrim(ctx, k, 1, 0)), got(s.Exists(ctx, k))), list("b", "OK", int64(0)))
	popped := make(chan []string, 1)
	go func() { popped <- s.BLPop(ctx, time.Minute, k+"q").Val() }()
	same(got(s.RPush(ctx, k+"q", "job")), int64(1))
	same(<-popped, []string{k + "q", "job"})
	same(absent(s.BLPop(ctx, time.Second, k+"q")), true) // go-redis's shortest wait
}

func (s *goSuite) sets() {
	k, ctx := s.key("set"), s.ctx
	same(list(got(s.SAdd(ctx, k, "a", "b", "c")), got(s.SAdd(ctx, k, "c")), got(s.SCard(ctx, k))), list(int64(3), int64(0), int64(3)))
	same(list(sorted(got(s.SMembers(ctx, k))), got(s.SIsMember(ctx, k, "a"))), list([]string{"a", "b", "c"}, true))
	same(list(got(s.SMIsMember(ctx, k, "a", "x")), got(s.SAdd(ctx, k+"2", "b", "c", "d"))), list([]bool{true, false}, int64(3)))
	same(list(sorted(got(s.SInter(ctx, k, k+"2"))), got(s.SDiff(ctx, k, k+"2"))), list([]string{"b", "c"}, []string{"a"}))
	same(list(got(s.SUnionStore(ctx, k+"3", k, k+"2")), got(s.SRem(ctx, k, "a")), got(s.SMove(ctx, k, k+"2", "b"))), list(int64(4), int64(1), true))
	same(list(got(s.SPop(ctx, k)), got(s.Exists(ctx, k))), list("c", int64(0)))
	found, cursor := s.SScan(ctx, k+"3", 0, "", 0).Val()
	same(list(cursor, sorted(found)), list(uint64(0), []string{"a", "b", "c", "d"}))
}

func (s *goSuite) zsets() {
	k, ctx := s.key("zset"), s.ctx
	members := []redis.Z{{Score: 1, Member: "a"}, {Score: 2.5, Member: "b"}, {Score: 3, Member: "c"}}
	same(list(got(s.ZAdd(ctx, k, members...)), got(s.ZAddNX(ctx, k, redis.Z{Score: 9, Member: "a"})), got(s.ZCard(ctx, k))), list(int64(3), int64(0), int64(3)))
	same(got(s.ZRangeWithScores(ctx, k, 0, -1)), members)
	same(list(got(s.ZScore(ctx, k, "b")), got(s.ZRank(ctx, k, "c")), got(s.ZRevRank(ctx, k, "c"))), list(2.5, int64(2), int64(0)))
	same(list(got(s.ZIncrBy(ctx, k, 10, "a")), got(s.ZRangeByScore(ctx, k, &redis.ZRangeBy{Min: "(2.5", Max: "+inf"}))), list(11.0, []string{"c", "a"}))
	same(list(got(s.ZCount(ctx, k, "0", "3")), got(s.ZRevRange(ctx, k, 0, 0)), got(s.ZPopMin(ctx, k))), list(int64(2), []string{"a"}, members[1:2]))
	same(list(got(s.ZRem(ctx, k, "a", "no")), got(s.ZUnionStore(ctx, k+"2", &redis.ZStore{Keys: []string{k}, Weights: []float64{2}}))), list(int64(1), int64(1)))
	same(got(s.ZScore(ctx, k+"2", "c")), 6.0)
}

func (s *goSuite) geo() {
	k, ctx := s.key("geo"), s.ctx
	same(got(s.GeoAdd(ctx, k, &redis.GeoLocation{Name: "Palermo", Longitude: 13.361389, Latitude: 38.115556},
		&redis.GeoLocation{Name: "Catania", Longitude: 15.087269, Latitude: 37.502669})), int64(2))
	same(got(s.GeoDist(ctx, k, "Palermo", "Catania", "km")), 166.2742)
	same(got(s.GeoSearch(ctx, k, &redis.GeoSearchQuery{Longitude: 15, Latitude: 37, Radius: 100, RadiusUnit: "km"})), []string{"Catania"})
	at := got(s.GeoPos(ctx, k, "Palermo"))[0]
	same(math.Abs(at.Longitude-13.3614) < 1e-4 && math.Abs(at.Latitude-38.1156) < 1e-4, true)
}

func (s *goSuite) bitmaps() {
	k, ctx := s.key("bitmap"), s.ctx
	same(list(got(s.SetBit(ctx, k, 7, 1)), got(s.SetBit(ctx, k, 1_000_000, 1)), got(s.GetBit(ctx, k, 7))), list(int64(0), int64(0), int64(1)))
	same(list(got(s.BitCount(ctx, k, nil)), got(s.BitPos(ctx, k, 1)), got(s.SetBit(ctx, k+"2", 7, 1))), list(int64(2), int64(7), int64(0)))
	same(list(got(s.BitOpAnd(ctx, k+"3", k, k+"2")), got(s.BitCount(ctx, k+"3", nil))), list(int64(125_001), int64(1)))
	same(got(s.BitField(ctx, k+"4", "SET", "u8", 0, 200, "INCRBY", "u8", 0, 100)), []int64{0, 44})
}

func (s *goSuite) hyperloglogs() {
	k, ctx := s.key("hll"), s.ctx
	same(list(got(s.PFAdd(ctx, k, "a", "b", "c")), got(s.PFAdd(ctx, k, "a")), got(s.PFCount(ctx, k))), list(int64(1), int64(0), int64(3)))
	same(list(got(s.PFAdd(ctx, k+"2", "c", "d")), got(s.PFMerge(ctx, k+"3", k, k+"2")), got(s.PFCount(ctx, k+"3"))), list(int64(1), "OK", int64(4)))
}

func (s *goSuite) many() {
	var near []string
	for i := range 20 {
		near = append(near, s.key("many:"+strconv.Itoa(i)))
	}
	s.together(near)
	far, ctx := spread(s.prefix+":many", 40), s.ctx
	if !s.clustered {
		s.together(far)
		return
	}
	// The client sends it as it is; the server refuses it. What applications do instead is a pipeline.
	fails("CROSSSLOT Keys in request don't hash to the same slot", s.MSet(ctx, far[0], "v", far[1], "v").Err())
	fails("CROSSSLOT Keys in request don't hash to the same slot", s.MGet(ctx, far...).Err())
	replies, err := s.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, k := range far {
			p.Set(ctx, k, k, 0)
			p.Get(ctx, k)
			p.Del(ctx, k)
		}
		return nil
	})
	same(err, nil)
	for i, k := range far {
		same(list(replies[3*i+1].(*redis.StringCmd).Val(), replies[3*i+2].(*redis.IntCmd).Val()), list(k, int64(1)))
	}
}

// together writes, reads and removes keys by one command each.
func (s *goSuite) together(keys []string) {
	pairs, values, ctx, n := []any{}, []any{}, s.ctx, int64(len(keys))
	for _, k := range keys {
		pairs, values = append(pairs, k, k), append(values, k)
	}
	same(list(got(s.MSet(ctx, pairs...)), got(s.MGet(ctx, keys...))), list("OK", values))
	same(list(got(s.Exists(ctx, keys...)), got(s.Del(ctx, keys...))), list(n, n))
}

func (s *goSuite) pipeline() {
	keys, ctx := spread(s.prefix+":pipeline", 100), s.ctx
	replies, err := s.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, k := range keys {
			p.Set(ctx, k, i, 0)
			p.IncrBy(ctx, k, 100)
		}
		return nil
	})
	same(err, nil)
	for i := range keys {
		same(replies[2*i+1].(*redis.IntCmd).Val(), int64(100+i))
	}
	replies, _ = s.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, keys[0], "text", 0)
		p.Incr(ctx, keys[0])
		p.Get(ctx, keys[0])
		return nil
	})
	fails("ERR value is not an integer or out of range", replies[1].Err())
	same(replies[2].(*redis.StringCmd).Val(), "text")
}

func (s *goSuite) multi() {
	k, ctx := s.key("multi"), s.ctx
	replies, err := s.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, k, 1, 0)
		p.Incr(ctx, k)
		p.RPush(ctx, k+"l", "a", "b")
		p.LRange(ctx, k+"l", 0, -1)
		return nil
	})
	same(err, nil)
	same(list(replies[1].(*redis.IntCmd).Val(), replies[3].(*redis.StringSliceCmd).Val()), list(int64(2), []string{"a", "b"}))
}

func (s *goSuite) watch() {
	k, ctx := s.key("watch"), s.ctx
	s.Set(ctx, k, 1, 0)
	increment := func(meanwhile func()) error {
		return s.Watch(ctx, func(tx *redis.Tx) error {
			n, err := tx.Get(ctx, k).Int()
			same(err, nil)
			meanwhile()
			_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error { return p.Set(ctx, k, n+1, 0).Err() })
			return err
		}, k)
	}
	same(increment(func() { same(got(s.Set(ctx, k, 5, 0)), "OK") }), redis.TxFailedErr)
	same(got(s.Get(ctx, k)), "5")
	same(list(increment(func() {}), got(s.Get(ctx, k))), list(nil, "6"))
}

func (s *goSuite) scan() {
	keys, ctx := spread(s.prefix+":scan", 100), s.ctx
	var lists []string
	for i, k := range keys {
		if i%2 == 0 {
			same(got(s.Set(ctx, k, i, 0)), "OK")
		} else {
			same(got(s.RPush(ctx, k, i)), int64(1))
			lists = append(lists, k)
		}
	}
	same(s.scanned(""), sorted(keys))
	same(s.scanned("list"), sorted(lists))
}

// scanned are the keys of all nodes, of one type if one is given.
func (s *goSuite) scanned(keyType string) []string {
	var mu sync.Mutex
	var found []string
	of := func(ctx context.Context, c redis.Cmdable) error {
		scan := func(cursor uint64) *redis.ScanCmd { return c.Scan(ctx, cursor, s.prefix+":scan:*", 50) }
		if keyType != "" {
			scan = func(cursor uint64) *redis.ScanCmd { return c.ScanType(ctx, cursor, s.prefix+":scan:*", 50, keyType) }
		}
		it := scan(0).Iterator()
		for it.Next(ctx) {
			mu.Lock()
			found = append(found, it.Val())
			mu.Unlock()
		}
		return it.Err()
	}
	if c, ok := s.UniversalClient.(*redis.ClusterClient); ok {
		same(c.ForEachMaster(s.ctx, func(ctx context.Context, c *redis.Client) error { return of(ctx, c) }), nil)
	} else {
		same(of(s.ctx, s), nil)
	}
	return sorted(found)
}

func (s *goSuite) large() {
	const n = 50_000
	k, ctx := s.key("large"), s.ctx
	hash, elements := map[string]string{}, []string{}
	for from := 0; from < n; from += 5000 {
		fields, further := map[string]string{}, []any{}
		for i := from; i < from+5000; i++ {
			fields[fmt.Sprint("field:", i)] = fmt.Sprint("value:", i)
			further = append(further, fmt.Sprint("element:", i))
			elements = append(elements, fmt.Sprint("element:", i))
		}
		same(list(got(s.HSet(ctx, k+"h", fields)), got(s.RPush(ctx, k+"l", further...))), list(int64(5000), int64(from+5000)))
		maps.Copy(hash, fields)
	}
	same(maps.Equal(got(s.HGetAll(ctx, k+"h")), hash), true)
	same(slices.Equal(got(s.LRange(ctx, k+"l", 0, -1)), elements), true)
	same(got(s.Unlink(ctx, k+"h", k+"l")), int64(2))
}

func (s *goSuite) keys() {
	k, ctx := s.key("keys"), s.ctx
	same(list(got(s.Set(ctx, k+"s", 1, 0)), got(s.RPush(ctx, k+"l", "a")), got(s.HSet(ctx, k+"h", "f", "v"))), list("OK", int64(1), int64(1)))
	same(list(got(s.SAdd(ctx, k+"t", "x")), got(s.ZAdd(ctx, k+"z", redis.Z{Score: 1, Member: "m"}))), list(int64(1), int64(1)))
	for t, name := range map[string]string{"s": "string", "l": "list", "h": "hash", "t": "set", "z": "zset"} {
		same(list(got(s.Type(ctx, k+t)), got(s.Restore(ctx, k+"copy"+t, 100*time.Second, got(s.Dump(ctx, k+t))))), list(name, "OK"))
		same(got(s.Type(ctx, k+"copy"+t)), name)
	}
	same(list(got(s.Type(ctx, k+"-")), got(s.ObjectEncoding(ctx, k+"s")), got(s.ObjectEncoding(ctx, k+"h"))), list("none", "int", "listpack"))
	same(list(got(s.HGetAll(ctx, k+"copyh")), got(s.LRange(ctx, k+"copyl", 0, -1))), list(map[string]string{"f": "v"}, []string{"a"}))
	same(got(s.ZScore(ctx, k+"copyz", "m")), 1.0)
	fails("BUSYKEY Target key name already exists.", s.Restore(ctx, k+"copys", 0, got(s.Dump(ctx, k+"s"))).Err())
	same(list(got(s.Rename(ctx, k+"s", k+"r")), got(s.Copy(ctx, k+"r", k+"c", 0, false)), got(s.Get(ctx, k+"c"))), list("OK", int64(1), "1"))
	same(got(s.Touch(ctx, k+"r", k+"s")), int64(1))
}

func (s *goSuite) protocols() {
	reply := got(s.Do(s.ctx, "HELLO", s.protocol))
	_, isMap := reply.(map[any]any)
	same(isMap, s.protocol == 3)
}

func (s *goSuite) moved() {
	k, ctx := "{moved}:"+s.prefix, s.ctx
	same(list(got(s.Set(ctx, k, "before", 0)), got(s.Get(ctx, k))), list("OK", "before"))
	fmt.Println("move")
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	same(list(strings.TrimSpace(line), err), list("moved", nil))
	same(list(got(s.Get(ctx, k)), got(s.Set(ctx, k, "after", 0)), got(s.Get(ctx, k))), list("before", "OK", "after"))
	replies, err := s.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Append(ctx, k, "!")
		p.Get(ctx, k)
		return nil
	})
	same(list(err, replies[1].(*redis.StringCmd).Val()), list(nil, "after!"))
}
