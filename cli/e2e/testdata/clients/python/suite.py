"""What applications do through redis-py: suite.py cluster|plain PROTOCOL HOST:PORT PREFIX. See ../README.md."""

import sys
import threading
import time

import redis
from redis.cluster import ClusterNode, RedisCluster

mode, protocol, address, prefix = sys.argv[1:]
host, port = address.split(":")
clustered = mode == "cluster"
resp3 = protocol == "3"


def connect():
    options = dict(protocol=int(protocol), decode_responses=True, socket_timeout=60)
    if clustered:
        return RedisCluster(startup_nodes=[ClusterNode(host, int(port))], **options)
    return redis.Redis(host=host, port=int(port), **options)


c = connect()
raw = redis.Redis(host=host, port=int(port), socket_timeout=60)


def key(name):
    """A key in the slot of all the run's keys that are made so."""
    return "{%s}:%s" % (prefix, name)


def spread(name, n):
    """Keys of which every partition has some."""
    return ["%s:%s:%d" % (prefix, name, i) for i in range(n)]


def same(got, want):
    if got != want:
        raise AssertionError("got %r, want %r" % (got, want))


def fails(text, call, *args):
    try:
        got = call(*args)
    except redis.ResponseError as e:
        same(str(e), text)
    else:
        raise AssertionError("got %r, want the error %r" % (got, text))


def strings():
    k = key("string")
    same(c.set(k, "v", ex=100), True)
    same(0 < c.ttl(k) <= 100, True)
    same(c.set(k, "w", nx=True), None)
    same(c.set(k, "w", xx=True, get=True, keepttl=True), "v")
    same(c.append(k, "xyz"), 4)
    same((c.getrange(k, 1, 2), c.setrange(k, 1, "ab"), c.strlen(k)), ("xy", 4, 4))
    same(c.getex(k, persist=True), "wabz")
    same(c.ttl(k), -1)
    same(c.getdel(k), "wabz")
    same((c.get(k), c.incr(k), c.incrby(k, 41), c.decr(k), c.incrbyfloat(k, 0.5)), (None, 1, 42, 41, 41.5))
    fails("value is not an integer or out of range", c.incr, k)
    fails("WRONGTYPE Operation against a key holding the wrong kind of value", c.lpush, k, "x")


def expiry():
    k = key("expiry")
    same(c.psetex(k, 100, "v"), True)
    same((c.hset(k + "h", "f", "v"), c.pexpire(k + "h", 100)), (1, True))
    end = time.monotonic() + 30
    while c.exists(k, k + "h") and time.monotonic() < end:
        time.sleep(0.02)
    same((c.get(k), c.hgetall(k + "h"), c.ttl(k)), (None, {}, -2))


def hashes():
    k = key("hash")
    same(c.hset(k, mapping={"a": 1, "b": 2, "c": "x"}), 3)
    same((c.hget(k, "a"), c.hmget(k, "a", "no", "c"), c.hgetall(k)), ("1", ["1", None, "x"], {"a": "1", "b": "2", "c": "x"}))
    same((c.hincrby(k, "a", 9), c.hincrbyfloat(k, "b", 0.25), c.hsetnx(k, "a", 0), c.hdel(k, "c", "no")), (10, 2.25, 0, 1))
    same((c.hlen(k), c.hexists(k, "c"), sorted(c.hkeys(k)), sorted(c.hvals(k))), (2, False, ["a", "b"], ["10", "2.25"]))
    same(dict(c.hscan_iter(k)), {"a": "10", "b": "2.25"})
    same(c.hrandfield(k) in ("a", "b"), True)


def lists():
    k = key("list")
    same((c.rpush(k, "a", "b", "c"), c.lpush(k, "z"), c.lrange(k, 0, -1)), (3, 4, ["z", "a", "b", "c"]))
    same((c.lpop(k), c.rpop(k, 2), c.llen(k), c.lindex(k, 0), c.lpos(k, "a")), ("z", ["c", "b"], 1, "a", 0))
    same((c.linsert(k, "AFTER", "a", "b"), c.lset(k, 0, "A"), c.lmove(k, k + "2", "RIGHT", "LEFT")), (2, True, "b"))
    same((c.ltrim(k, 1, 0), c.exists(k)), (True, 0))
    popped = []
    waiter = threading.Thread(target=lambda: popped.append(c.blpop([k + "q"], timeout=60)))
    waiter.start()
    same(c.rpush(k + "q", "job"), 1)
    waiter.join(60)
    same([list(p) for p in popped], [[k + "q", "job"]])
    same(c.blpop([k + "q"], timeout=0.1), None)


def sets():
    k = key("set")
    same((c.sadd(k, "a", "b", "c"), c.sadd(k, "c"), c.scard(k), c.smembers(k)), (3, 0, 3, {"a", "b", "c"}))
    same((bool(c.sismember(k, "a")), [bool(x) for x in c.smismember(k, ["a", "x"])]), (True, [True, False]))
    c.sadd(k + "2", "b", "c", "d")
    same((set(c.sinter(k, k + "2")), set(c.sdiff(k, k + "2")), len(c.sunion(k, k + "2"))), ({"b", "c"}, {"a"}, 4))
    same((c.sunionstore(k + "3", k, k + "2"), c.srem(k, "a"), c.smove(k, k + "2", "b")), (4, 1, True))
    same((c.spop(k), c.exists(k), set(c.sscan_iter(k + "3"))), ("c", 0, {"a", "b", "c", "d"}))


def zsets():
    k = key("zset")
    same((c.zadd(k, {"a": 1, "b": 2.5, "c": 3}), c.zadd(k, {"a": 9}, nx=True), c.zcard(k)), (3, 0, 3))
    pairs = c.zrange(k, 0, -1, withscores=True)
    same([tuple(p) for p in pairs], [("a", 1.0), ("b", 2.5), ("c", 3.0)])
    same((c.zscore(k, "b"), c.zrank(k, "c"), c.zrevrank(k, "c"), c.zincrby(k, 10, "a")), (2.5, 2, 0, 11.0))
    same((c.zrangebyscore(k, "(2.5", "+inf"), c.zcount(k, 0, 3), c.zrevrange(k, 0, 0)), (["c", "a"], 2, ["a"]))
    same([tuple(p) for p in c.zpopmin(k, 1)], [("b", 2.5)])
    same((c.zrem(k, "a", "no"), c.zunionstore(k + "2", {k: 2}), c.zscore(k + "2", "c")), (1, 1, 6.0))


def geo():
    k = key("geo")
    same(c.geoadd(k, (13.361389, 38.115556, "Palermo", 15.087269, 37.502669, "Catania")), 2)
    same(round(c.geodist(k, "Palermo", "Catania", "km"), 3), 166.274)
    same(c.geosearch(k, longitude=15, latitude=37, radius=100, unit="km"), ["Catania"])
    same([round(x, 4) for x in c.geopos(k, "Palermo")[0]], [13.3614, 38.1156])


def bitmaps():
    k = key("bitmap")
    same((c.setbit(k, 7, 1), c.setbit(k, 1_000_000, 1), c.getbit(k, 7), c.bitcount(k), c.bitpos(k, 1)), (0, 0, 1, 2, 7))
    same((c.setbit(k + "2", 7, 1), c.bitop("AND", k + "3", k, k + "2"), c.bitcount(k + "3")), (0, 125_001, 1))
    same(c.bitfield(k + "4").set("u8", 0, 200).incrby("u8", 0, 100).execute(), [0, 44])


def hyperloglogs():
    k = key("hll")
    same((c.pfadd(k, "a", "b", "c"), c.pfadd(k, "a"), c.pfcount(k), c.pfadd(k + "2", "c", "d")), (1, 0, 3, 1))
    same((c.pfmerge(k + "3", k, k + "2"), c.pfcount(k + "3")), (True, 4))


def many():
    pairs = {key("many:%d" % i): str(i) for i in range(20)}
    same((c.mset(pairs), c.mget(list(pairs)), c.delete(*pairs)), (True, list(pairs.values()), 20))
    keys = spread("many", 40)
    if clustered:
        fails("MGET - all keys must map to the same key slot", lambda: cross(lambda: c.mget(keys)))
        same(all(c.mset_nonatomic({k: k for k in keys})), True)
        same(c.mget_nonatomic(keys), keys)
    else:
        same((c.mset({k: k for k in keys}), c.mget(keys)), (True, keys))
    same((c.exists(*keys), c.delete(*keys)), (40, 40))


def cross(call):
    """The client's own refusal of keys of several slots, as the error of a server."""
    try:
        return call()
    except redis.exceptions.RedisClusterException as e:
        raise redis.ResponseError(str(e))


def pipeline():
    keys = spread("pipeline", 100)
    with c.pipeline(transaction=False) as p:
        for i, k in enumerate(keys):
            p.set(k, i)
            p.incrby(k, 100)
        same(p.execute()[1::2], [100 + i for i in range(100)])
    with c.pipeline(transaction=False) as p:
        p.set(keys[0], "text").incr(keys[0]).get(keys[0])
        got = p.execute(raise_on_error=False)
    same((got[0], isinstance(got[1], redis.ResponseError), got[2]), (True, True, "text"))


def multi():
    k = key("multi")
    with c.pipeline(transaction=True) as p:
        p.set(k, 1).incr(k).rpush(k + "l", "a", "b").lrange(k + "l", 0, -1)
        got = p.execute()
    same((got[0] in (True, "OK"), got[1:]), (True, [2, 2, ["a", "b"]]))  # the cluster client says OK


def watch():
    k = key("watch")
    c.set(k, 1)
    with c.pipeline(transaction=True) as p:
        p.watch(k)
        same(p.get(k), "1")
        c.set(k, 2)
        p.multi()
        p.set(k, 3)
        try:
            raise AssertionError("a changed key that was watched: %r" % p.execute())
        except redis.WatchError:
            pass
    same(c.get(k), "2")
    with c.pipeline(transaction=True) as p:
        p.watch(k)
        p.multi()
        p.incr(k)
        same(p.execute(), [3])


def scan():
    keys = spread("scan", 100)
    for i, k in enumerate(keys):
        c.rpush(k, i) if i % 2 else c.set(k, i)
    found = list(c.scan_iter(match=prefix + ":scan:*", count=50))
    same(sorted(found), sorted(keys))
    found = list(c.scan_iter(match=prefix + ":scan:*", count=50, _type="list"))
    same(sorted(found), sorted(keys[1::2]))


def large():
    n = 50_000
    k = key("large")
    for i in range(0, n, 5000):
        with c.pipeline(transaction=False) as p:
            p.hset(k + "h", mapping={"field:%d" % j: "value:%d" % j for j in range(i, i + 5000)})
            p.rpush(k + "l", *["element:%d" % j for j in range(i, i + 5000)])
            p.execute()
    same(c.hgetall(k + "h") == {"field:%d" % j: "value:%d" % j for j in range(n)}, True)
    same(c.lrange(k + "l", 0, -1) == ["element:%d" % j for j in range(n)], True)
    same(c.unlink(k + "h", k + "l"), 2)


def keys():
    k = key("keys")
    c.set(k + "s", "1"), c.rpush(k + "l", "a"), c.hset(k + "h", "f", "v"), c.sadd(k + "t", "x"), c.zadd(k + "z", {"m": 1})
    same([c.type(k + t) for t in "slhtz-"], ["string", "list", "hash", "set", "zset", "none"])
    same([c.object("encoding", k + t) for t in "sh"], ["int", "listpack"])
    binary = RedisCluster(host=host, port=int(port)) if clustered else raw
    for t in "slhtz":
        same(binary.restore(k + "copy" + t, 100_000, binary.dump(k + t)), b"OK")
        same(c.type(k + "copy" + t), c.type(k + t))
    same((c.hgetall(k + "copyh"), c.lrange(k + "copyl", 0, -1), c.zscore(k + "copyz", "m")), ({"f": "v"}, ["a"], 1.0))
    fails("Target key name already exists.", lambda: busy(lambda: binary.restore(k + "copys", 0, binary.dump(k + "s"))))
    same((c.rename(k + "s", k + "r"), c.copy(k + "r", k + "c"), c.touch(k + "r", k + "s"), c.get(k + "c")), (True, True, 1, "1"))
    binary.close()


def busy(call):
    """An error as a server says it, less the word that redis-py takes for its own."""
    try:
        return call()
    except redis.ResponseError as e:
        raise redis.ResponseError(str(e).removeprefix("BUSYKEY "))


def protocols():
    target = dict(target_nodes=c.get_random_node()) if clustered else {}
    got = c.execute_command("HELLO", protocol, **target)
    pairs = got if isinstance(got, dict) else dict(zip(got[::2], got[1::2]))
    same(pairs["proto"], int(protocol))
    same(pairs["mode"], "cluster" if clustered else "standalone")


def moved():
    k = "{moved}:" + prefix
    same((c.set(k, "before"), c.get(k)), (True, "before"))
    print("move", flush=True)
    same(sys.stdin.readline(), "moved\n")
    same((c.get(k), c.set(k, "after"), c.get(k)), ("before", True, "after"))
    with c.pipeline(transaction=True) as p:
        same(p.append(k, "!").get(k).execute(), [6, "after!"])


steps = [strings, expiry, hashes, lists, sets, zsets, geo, bitmaps, hyperloglogs, many, pipeline, multi, watch, scan, large, keys, protocols]
for step in steps + [moved] * clustered:
    step()
    print("ok", step.__name__, flush=True)
print("done", flush=True)
