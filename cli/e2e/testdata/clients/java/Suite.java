import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import redis.clients.jedis.AbstractPipeline;
import redis.clients.jedis.Connection;
import redis.clients.jedis.DefaultJedisClientConfig;
import redis.clients.jedis.GeoCoordinate;
import redis.clients.jedis.HostAndPort;
import redis.clients.jedis.JedisClientConfig;
import redis.clients.jedis.Protocol;
import redis.clients.jedis.RedisClient;
import redis.clients.jedis.RedisClusterClient;
import redis.clients.jedis.RedisProtocol;
import redis.clients.jedis.Response;
import redis.clients.jedis.Transaction;
import redis.clients.jedis.UnifiedJedis;
import redis.clients.jedis.args.BitOP;
import redis.clients.jedis.args.GeoUnit;
import redis.clients.jedis.args.ListDirection;
import redis.clients.jedis.args.ListPosition;
import redis.clients.jedis.exceptions.JedisDataException;
import redis.clients.jedis.params.GetExParams;
import redis.clients.jedis.params.ScanParams;
import redis.clients.jedis.params.SetParams;
import redis.clients.jedis.params.ZAddParams;
import redis.clients.jedis.params.ZParams;
import redis.clients.jedis.resps.ScanResult;
import redis.clients.jedis.util.JedisClusterCRC16;

/** What applications do through Jedis: Suite.java cluster|plain PROTOCOL HOST:PORT PREFIX. See ../README.md. */
public class Suite {
    private final boolean clustered;
    private final HostAndPort address;
    private final String prefix;
    private final int protocol;
    private final JedisClientConfig config;
    private final UnifiedJedis c;

    Suite(String mode, String protocol, String address, String prefix) {
        this.clustered = mode.equals("cluster");
        this.protocol = Integer.parseInt(protocol);
        this.address = HostAndPort.from(address);
        this.prefix = prefix;
        this.config = DefaultJedisClientConfig.builder().protocol(protocol.equals("3") ? RedisProtocol.RESP3 : RedisProtocol.RESP2)
                .socketTimeoutMillis(60_000).blockingSocketTimeoutMillis(60_000).build();
        this.c = clustered
                ? RedisClusterClient.builder().nodes(Set.of(this.address)).clientConfig(config).build()
                : RedisClient.builder().hostAndPort(this.address).clientConfig(config).build();
    }

    interface Step { void run() throws Exception; }

    /** A key in the slot of all the run's keys that are made so. */
    private String key(String name) { return "{" + prefix + "}:" + name; }

    /** Keys of which every partition has some. */
    private String[] spread(String name, int n) {
        return IntStream.range(0, n).mapToObj(i -> prefix + ":" + name + ":" + i).toArray(String[]::new);
    }

    private static void same(Object got, Object want) {
        if (!Objects.equals(got, want)) {
            throw new AssertionError("got " + got + ", want " + want);
        }
    }

    /** Several values at once; a list that may hold null. */
    private static List<Object> list(Object... values) { return Arrays.asList(values); }

    private static void fails(String text, Step call) throws Exception {
        try {
            call.run();
        } catch (JedisDataException e) {
            same(e.getMessage(), text);
            return;
        }
        throw new AssertionError("no error, want " + text);
    }

    /** A connection to the node that has a key: what Jedis's transactions on a cluster begin with. */
    private Connection connection(String key) {
        return clustered
                ? ((RedisClusterClient) c).getConnectionFromSlot(JedisClusterCRC16.getSlot(key))
                : ((RedisClient) c).getPool().getResource();
    }

    void strings() throws Exception {
        String k = key("string");
        same(c.set(k, "v", SetParams.setParams().ex(100)), "OK");
        long ttl = c.ttl(k);
        same(ttl > 0 && ttl <= 100, true);
        same(c.set(k, "w", SetParams.setParams().nx()), null);
        same(c.setGet(k, "w", SetParams.setParams().xx().keepTtl()), "v");
        same(list(c.append(k, "xyz"), c.getrange(k, 1, 2), c.setrange(k, 1, "ab"), c.strlen(k)), list(4L, "xy", 4L, 4L));
        same(list(c.getEx(k, GetExParams.getExParams().persist()), c.ttl(k), c.getDel(k)), list("wabz", -1L, "wabz"));
        same(list(c.get(k), c.incr(k), c.incrBy(k, 41), c.decr(k), c.incrByFloat(k, 0.5)), list(null, 1L, 42L, 41L, 41.5));
        fails("ERR value is not an integer or out of range", () -> c.incr(k));
        fails("WRONGTYPE Operation against a key holding the wrong kind of value", () -> c.lpush(k, "x"));
    }

    void expiry() throws Exception {
        String k = key("expiry");
        same(c.psetex(k, 100, "v"), "OK");
        same(list(c.hset(k + "h", "f", "v"), c.pexpire(k + "h", 100)), list(1L, 1L));
        for (long end = System.nanoTime() + 30_000_000_000L; c.exists(k, k + "h") > 0 && System.nanoTime() < end;) {
            TimeUnit.MILLISECONDS.sleep(20);
        }
        same(list(c.get(k), c.hgetAll(k + "h"), c.ttl(k)), list(null, Map.of(), -2L));
    }

    void hashes() {
        String k = key("hash");
        same(c.hset(k, Map.of("a", "1", "b", "2", "c", "x")), 3L);
        same(list(c.hget(k, "a"), c.hmget(k, "a", "no", "c"), c.hgetAll(k)), list("1", list("1", null, "x"), Map.of("a", "1", "b", "2", "c", "x")));
        same(list(c.hincrBy(k, "a", 9), c.hincrByFloat(k, "b", 0.25), c.hsetnx(k, "a", "0"), c.hdel(k, "c", "no")), list(10L, 2.25, 0L, 1L));
        same(list(c.hlen(k), c.hexists(k, "c"), c.hkeys(k), new HashSet<>(c.hvals(k))), list(2L, false, Set.of("a", "b"), Set.of("10", "2.25")));
        ScanResult<Map.Entry<String, String>> page = c.hscan(k, ScanParams.SCAN_POINTER_START);
        same(page.getCursor(), "0");
        same(page.getResult().stream().collect(Collectors.toMap(Map.Entry::getKey, Map.Entry::getValue)), Map.of("a", "10", "b", "2.25"));
        same(Set.of("a", "b").contains(c.hrandfield(k)), true);
    }

    void lists() throws Exception {
        String k = key("list");
        same(list(c.rpush(k, "a", "b", "c"), c.lpush(k, "z"), c.lrange(k, 0, -1)), list(3L, 4L, list("z", "a", "b", "c")));
        same(list(c.lpop(k), c.rpop(k, 2), c.llen(k), c.lindex(k, 0), c.lpos(k, "a")), list("z", list("c", "b"), 1L, "a", 0L));
        same(list(c.linsert(k, ListPosition.AFTER, "a", "b"), c.lset(k, 0, "A")), list(2L, "OK"));
        same(c.lmove(k, k + "2", ListDirection.RIGHT, ListDirection.LEFT), "b");
        same(list(c.ltrim(k, 1, 0), c.exists(k)), list("OK", false));
        CompletableFuture<List<String>> popped = CompletableFuture.supplyAsync(() -> c.blpop(60, k + "q"));
        same(c.rpush(k + "q", "job"), 1L);
        same(popped.get(60, TimeUnit.SECONDS), list(k + "q", "job"));
        same(c.blpop(0.1, k + "q"), null);
    }

    void sets() {
        String k = key("set");
        same(list(c.sadd(k, "a", "b", "c"), c.sadd(k, "c"), c.scard(k), c.smembers(k)), list(3L, 0L, 3L, Set.of("a", "b", "c")));
        same(list(c.sismember(k, "a"), c.smismember(k, "a", "x"), c.sadd(k + "2", "b", "c", "d")), list(true, list(true, false), 3L));
        same(list(c.sinter(k, k + "2"), c.sdiff(k, k + "2"), c.sunionstore(k + "3", k, k + "2")), list(Set.of("b", "c"), Set.of("a"), 4L));
        same(list(c.srem(k, "a"), c.smove(k, k + "2", "b"), c.spop(k), c.exists(k)), list(1L, 1L, "c", false));
        ScanResult<String> page = c.sscan(k + "3", ScanParams.SCAN_POINTER_START);
        same(list(page.getCursor(), new HashSet<>(page.getResult())), list("0", Set.of("a", "b", "c", "d")));
    }

    void zsets() {
        String k = key("zset");
        same(list(c.zadd(k, Map.of("a", 1.0, "b", 2.5, "c", 3.0)), c.zadd(k, 9, "a", ZAddParams.zAddParams().nx()), c.zcard(k)), list(3L, 0L, 3L));
        same(c.zrangeWithScores(k, 0, -1).toString(), "[[a,1.0], [b,2.5], [c,3.0]]");
        same(list(c.zscore(k, "b"), c.zrank(k, "c"), c.zrevrank(k, "c"), c.zincrby(k, 10, "a")), list(2.5, 2L, 0L, 11.0));
        same(list(c.zrangeByScore(k, "(2.5", "+inf"), c.zcount(k, 0, 3), c.zrevrange(k, 0, 0)), list(list("c", "a"), 2L, list("a")));
        same(list(c.zpopmin(k).toString(), c.zrem(k, "a", "no")), list("[b,2.5]", 1L));
        same(list(c.zunionstore(k + "2", new ZParams().weights(2), k), c.zscore(k + "2", "c")), list(1L, 6.0));
    }

    void geo() {
        String k = key("geo");
        same(c.geoadd(k, Map.of("Palermo", new GeoCoordinate(13.361389, 38.115556), "Catania", new GeoCoordinate(15.087269, 37.502669))), 2L);
        same(c.geodist(k, "Palermo", "Catania", GeoUnit.KM), 166.2742);
        var near = c.geosearch(k, new GeoCoordinate(15, 37), 100, GeoUnit.KM);
        same(list(near.size(), near.get(0).getMemberByString()), list(1, "Catania"));
        GeoCoordinate p = c.geopos(k, "Palermo").get(0);
        same(Math.abs(p.getLongitude() - 13.3614) < 1e-4 && Math.abs(p.getLatitude() - 38.1156) < 1e-4, true);
    }

    void bitmaps() {
        String k = key("bitmap");
        same(list(c.setbit(k, 7, true), c.setbit(k, 1_000_000, true), c.getbit(k, 7), c.bitcount(k), c.bitpos(k, true)), list(false, false, true, 2L, 7L));
        same(list(c.setbit(k + "2", 7, true), c.bitop(BitOP.AND, k + "3", k, k + "2"), c.bitcount(k + "3")), list(false, 125_001L, 1L));
        same(c.bitfield(k + "4", "SET", "u8", "0", "200", "INCRBY", "u8", "0", "100"), list(0L, 44L));
    }

    void hyperloglogs() {
        String k = key("hll");
        same(list(c.pfadd(k, "a", "b", "c"), c.pfadd(k, "a"), c.pfcount(k), c.pfadd(k + "2", "c", "d")), list(1L, 0L, 3L, 1L));
        same(list(c.pfmerge(k + "3", k, k + "2"), c.pfcount(k + "3")), list("OK", 4L));
    }

    void many() {
        String[] keys = IntStream.range(0, 20).mapToObj(i -> key("many:" + i)).toArray(String[]::new);
        same(list(c.mset(pairs(keys)), c.mget(keys), c.del(keys)), list("OK", List.of(keys), 20L));
        String[] far = spread("many", 40);
        if (!clustered) {
            same(list(c.mset(pairs(far)), c.mget(far), c.exists(far), c.del(far)), list("OK", List.of(far), 40L, 40L));
            return;
        }
        try { // the client doesn't send it
            throw new AssertionError("keys of several slots: " + c.mget(far));
        } catch (redis.clients.jedis.exceptions.JedisClusterOperationException | IllegalArgumentException e) {
            same(e.getMessage().contains("slot"), true);
        }
        for (String k : far) {
            same(list(c.set(k, k), c.get(k), c.del(k)), list("OK", k, 1L));
        }
    }

    private static String[] pairs(String[] keys) {
        return Arrays.stream(keys).flatMap(k -> List.of(k, k).stream()).toArray(String[]::new);
    }

    void pipeline() throws Exception {
        String[] keys = spread("pipeline", 100);
        List<Response<Long>> sums = new ArrayList<>();
        try (AbstractPipeline p = c.pipelined()) {
            for (int i = 0; i < keys.length; i++) {
                p.set(keys[i], String.valueOf(i));
                sums.add(p.incrBy(keys[i], 100));
            }
            p.sync();
        }
        for (int i = 0; i < keys.length; i++) {
            same(sums.get(i).get(), 100L + i);
        }
        try (AbstractPipeline p = c.pipelined()) {
            p.set(keys[0], "text");
            Response<Long> wrong = p.incr(keys[0]);
            Response<String> text = p.get(keys[0]);
            p.sync();
            fails("ERR value is not an integer or out of range", wrong::get);
            same(text.get(), "text");
        }
    }

    void multi() {
        String k = key("multi");
        try (Connection on = connection(k); Transaction t = new Transaction(on)) {
            t.set(k, "1");
            t.incr(k);
            t.rpush(k + "l", "a", "b");
            t.lrange(k + "l", 0, -1);
            same(t.exec(), list("OK", 2L, 2L, list("a", "b")));
        }
    }

    void watch() {
        String k = key("watch");
        c.set(k, "1");
        try (Connection on = connection(k); Transaction t = new Transaction(on, false)) {
            same(t.watch(k), "OK");
            c.set(k, "2");
            t.multi();
            t.set(k, "3");
            same(t.exec(), null);
        }
        same(c.get(k), "2");
        try (Connection on = connection(k); Transaction t = new Transaction(on, false)) {
            same(t.watch(k), "OK");
            t.multi();
            t.incr(k);
            same(t.exec(), list(3L));
        }
    }

    void scan() {
        String[] keys = spread("scan", 100);
        Set<String> lists = new TreeSet<>();
        for (int i = 0; i < keys.length; i++) {
            if (i % 2 == 0) {
                c.set(keys[i], "v");
            } else {
                c.rpush(keys[i], "v");
                lists.add(keys[i]);
            }
        }
        same(scanned(null), Arrays.stream(keys).sorted().toList());
        same(scanned("list"), List.copyOf(lists));
    }

    private List<String> scanned(String type) {
        var pages = type == null ? c.scanIteration(50, prefix + ":scan:*") : c.scanIteration(50, prefix + ":scan:*", type);
        List<String> found = new ArrayList<>();
        while (!pages.isIterationCompleted()) {
            found.addAll(pages.nextBatchList());
        }
        return found.stream().sorted().toList();
    }

    void large() {
        int n = 50_000;
        String k = key("large");
        Map<String, String> hash = new LinkedHashMap<>();
        List<String> elements = new ArrayList<>();
        for (int i = 0; i < n; i += 5000) {
            Map<String, String> fields = IntStream.range(i, i + 5000).boxed().collect(Collectors.toMap(j -> "field:" + j, j -> "value:" + j));
            List<String> further = IntStream.range(i, i + 5000).mapToObj(j -> "element:" + j).toList();
            c.hset(k + "h", fields);
            c.rpush(k + "l", further.toArray(String[]::new));
            hash.putAll(fields);
            elements.addAll(further);
        }
        same(c.hgetAll(k + "h").equals(hash), true);
        same(c.lrange(k + "l", 0, -1).equals(elements), true);
        same(c.unlink(k + "h", k + "l"), 2L);
    }

    void keys() throws Exception {
        String k = key("keys");
        same(list(c.set(k + "s", "1"), c.rpush(k + "l", "a"), c.hset(k + "h", "f", "v"), c.sadd(k + "t", "x"), c.zadd(k + "z", 1, "m")), list("OK", 1L, 1L, 1L, 1L));
        Map<String, String> types = new TreeMap<>(Map.of("s", "string", "l", "list", "h", "hash", "t", "set", "z", "zset"));
        for (var t : types.entrySet()) {
            same(c.type(k + t.getKey()), t.getValue());
            same(c.restore(k + "copy" + t.getKey(), 100_000, c.dump(k + t.getKey())), "OK");
            same(c.type(k + "copy" + t.getKey()), t.getValue());
        }
        same(list(c.type(k + "-"), c.objectEncoding(k + "s"), c.objectEncoding(k + "h")), list("none", "int", "listpack"));
        same(list(c.hgetAll(k + "copyh"), c.lrange(k + "copyl", 0, -1), c.zscore(k + "copyz", "m")), list(Map.of("f", "v"), list("a"), 1.0));
        fails("BUSYKEY Target key name already exists.", () -> c.restore(k + "copys", 0, c.dump(k + "s")));
        same(list(c.rename(k + "s", k + "r"), c.copy(k + "r", k + "c", false), c.touch(k + "r", k + "s"), c.get(k + "c")), list("OK", true, 1L, "1"));
    }

    /** The protocol that was agreed on is what a reply shows: a RESP3 map comes as pairs, an array as a flat list. */
    void protocols() {
        try (Connection on = connection(key("protocol"))) {
            on.sendCommand(Protocol.Command.HELLO, String.valueOf(protocol));
            Object reply = on.getOne();
            same(((List<?>) reply).get(0) instanceof redis.clients.jedis.util.KeyValue, protocol == 3);
        }
    }

    void moved() throws Exception {
        String k = "{moved}:" + prefix;
        same(list(c.set(k, "before"), c.get(k)), list("OK", "before"));
        System.out.println("move");
        same(new BufferedReader(new InputStreamReader(System.in)).readLine(), "moved");
        same(list(c.get(k), c.set(k, "after"), c.get(k)), list("before", "OK", "after"));
        try (Connection on = connection(k); Transaction t = new Transaction(on)) {
            t.append(k, "!");
            t.get(k);
            same(t.exec(), list(6L, "after!"));
        }
    }

    public static void main(String[] args) throws Exception {
        Suite s = new Suite(args[0], args[1], args[2], args[3]);
        Map<String, Step> steps = new LinkedHashMap<>();
        steps.put("strings", s::strings);
        steps.put("expiry", s::expiry);
        steps.put("hashes", s::hashes);
        steps.put("lists", s::lists);
        steps.put("sets", s::sets);
        steps.put("zsets", s::zsets);
        steps.put("geo", s::geo);
        steps.put("bitmaps", s::bitmaps);
        steps.put("hyperloglogs", s::hyperloglogs);
        steps.put("many", s::many);
        steps.put("pipeline", s::pipeline);
        steps.put("multi", s::multi);
        steps.put("watch", s::watch);
        steps.put("scan", s::scan);
        steps.put("large", s::large);
        steps.put("keys", s::keys);
        steps.put("protocols", s::protocols);
        if (s.clustered) {
            steps.put("moved", s::moved);
        }
        for (var step : steps.entrySet()) {
            step.getValue().run();
            System.out.println("ok " + step.getKey());
        }
        s.c.close();
        System.out.println("done");
        System.exit(0); // whatever threads the client may have left
    }
}
