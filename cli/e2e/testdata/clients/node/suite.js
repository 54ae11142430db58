// What applications do through ioredis: suite.js cluster|plain 2 HOST:PORT PREFIX. See ../README.md.
'use strict'

const assert = require('node:assert').strict
const readline = require('node:readline')
const Redis = require('ioredis')

const [mode, protocol, address, prefix] = process.argv.slice(2)
const [host, port] = address.split(':')
const clustered = mode === 'cluster'
assert.equal(protocol, '2', 'this ioredis speaks RESP2 only')

const connect = () => (clustered ? new Redis.Cluster([{ host, port: Number(port) }]) : new Redis({ host, port: Number(port) }))
const c = connect()

// key is in the slot of all the run's keys that are made so; every partition has some of spread's.
const key = (name) => `{${prefix}}:${name}`
const spread = (name, n) => Array.from({ length: n }, (_, i) => `${prefix}:${name}:${i}`)
const same = (got, want) => assert.deepEqual(got, want)
const all = (...calls) => Promise.all(calls)
const fails = (text, promise) => assert.rejects(promise, { message: text })
// nodes are the connections that a scan of everything has to ask.
const nodes = () => (clustered ? c.nodes('master') : [c])
// values are those of a pipeline or a transaction, each an [error, value].
const values = (replies) => replies.map(([err, value]) => { assert.equal(err, null); return value })

async function strings() {
  const k = key('string')
  same(await c.set(k, 'v', 'EX', 100), 'OK')
  const ttl = await c.ttl(k)
  assert(ttl > 0 && ttl <= 100, `TTL ${ttl}`)
  same(await c.set(k, 'w', 'NX'), null)
  same(await c.set(k, 'w', 'KEEPTTL', 'XX', 'GET'), 'v')
  same(await c.append(k, 'xyz'), 4)
  same(await all(c.getrange(k, 1, 2), c.setrange(k, 1, 'ab'), c.strlen(k)), ['xy', 4, 4])
  same(await all(c.getex(k, 'PERSIST'), c.ttl(k), c.getdel(k)), ['wabz', -1, 'wabz'])
  same(await all(c.get(k), c.incr(k), c.incrby(k, 41), c.decr(k), c.incrbyfloat(k, 0.5)), [null, 1, 42, 41, '41.5'])
  await fails('ERR value is not an integer or out of range', c.incr(k))
  await fails('WRONGTYPE Operation against a key holding the wrong kind of value', c.lpush(k, 'x'))
}

async function expiry() {
  const k = key('expiry')
  same(await c.psetex(k, 100, 'v'), 'OK')
  same(await all(c.hset(k + 'h', 'f', 'v'), c.pexpire(k + 'h', 100)), [1, 1])
  for (const end = Date.now() + 30_000; (await c.exists(k, k + 'h')) && Date.now() < end;) {
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  same(await all(c.get(k), c.hgetall(k + 'h'), c.ttl(k)), [null, {}, -2])
}

async function hashes() {
  const k = key('hash')
  same(await c.hset(k, { a: 1, b: 2, c: 'x' }), 3)
  same(await all(c.hget(k, 'a'), c.hmget(k, 'a', 'no', 'c'), c.hgetall(k)), ['1', ['1', null, 'x'], { a: '1', b: '2', c: 'x' }])
  same(await all(c.hincrby(k, 'a', 9), c.hincrbyfloat(k, 'b', 0.25), c.hsetnx(k, 'a', 0), c.hdel(k, 'c', 'no')), [10, '2.25', 0, 1])
  same(await all(c.hlen(k), c.hexists(k, 'c')), [2, 0])
  same([(await c.hkeys(k)).sort(), (await c.hvals(k)).sort()], [['a', 'b'], ['10', '2.25']])
  const [cursor, found] = await c.hscan(k, 0)
  same([cursor, found.sort()], ['0', ['10', '2.25', 'a', 'b']])
  assert(['a', 'b'].includes(await c.hrandfield(k)))
}

async function lists() {
  const k = key('list')
  same(await all(c.rpush(k, 'a', 'b', 'c'), c.lpush(k, 'z'), c.lrange(k, 0, -1)), [3, 4, ['z', 'a', 'b', 'c']])
  same(await all(c.lpop(k), c.rpop(k, 2), c.llen(k), c.lindex(k, 0), c.lpos(k, 'a')), ['z', ['c', 'b'], 1, 'a', 0])
  same(await all(c.linsert(k, 'AFTER', 'a', 'b'), c.lset(k, 0, 'A'), c.lmove(k, k + '2', 'RIGHT', 'LEFT')), [2, 'OK', 'b'])
  same(await all(c.ltrim(k, 1, 0), c.exists(k)), ['OK', 0])
  const other = connect()
  const popped = other.blpop(k + 'q', 60)
  same(await c.rpush(k + 'q', 'job'), 1)
  same(await popped, [k + 'q', 'job'])
  same(await other.blpop(k + 'q', 0.1), null)
  other.disconnect()
}

async function sets() {
  const k = key('set')
  same(await all(c.sadd(k, 'a', 'b', 'c'), c.sadd(k, 'c'), c.scard(k)), [3, 0, 3])
  same((await c.smembers(k)).sort(), ['a', 'b', 'c'])
  same(await all(c.sismember(k, 'a'), c.smismember(k, 'a', 'x'), c.sadd(k + '2', 'b', 'c', 'd')), [1, [1, 0], 3])
  same((await c.sinter(k, k + '2')).sort(), ['b', 'c'])
  same(await all(c.sdiff(k, k + '2'), c.sunionstore(k + '3', k, k + '2')), [['a'], 4])
  same(await all(c.srem(k, 'a'), c.smove(k, k + '2', 'b'), c.spop(k), c.exists(k)), [1, 1, 'c', 0])
  const [cursor, found] = await c.sscan(k + '3', 0)
  same([cursor, found.sort()], ['0', ['a', 'b', 'c', 'd']])
}

async function zsets() {
  const k = key('zset')
  same(await all(c.zadd(k, 1, 'a', 2.5, 'b', 3, 'c'), c.zadd(k, 'NX', 9, 'a'), c.zcard(k)), [3, 0, 3])
  same(await c.zrange(k, 0, -1, 'WITHSCORES'), ['a', '1', 'b', '2.5', 'c', '3'])
  same(await all(c.zscore(k, 'b'), c.zrank(k, 'c'), c.zrevrank(k, 'c'), c.zincrby(k, 10, 'a')), ['2.5', 2, 0, '11'])
  same(await all(c.zrangebyscore(k, '(2.5', '+inf'), c.zcount(k, 0, 3), c.zrevrange(k, 0, 0)), [['c', 'a'], 2, ['a']])
  same(await all(c.zpopmin(k), c.zrem(k, 'a', 'no'), c.zunionstore(k + '2', 1, k, 'WEIGHTS', 2), c.zscore(k + '2', 'c')), [['b', '2.5'], 1, 1, '6'])
}

async function geo() {
  const k = key('geo')
  same(await c.geoadd(k, 13.361389, 38.115556, 'Palermo', 15.087269, 37.502669, 'Catania'), 2)
  same(await c.geodist(k, 'Palermo', 'Catania', 'km'), '166.2742')
  same(await c.geosearch(k, 'FROMLONLAT', 15, 37, 'BYRADIUS', 100, 'km'), ['Catania'])
  same((await c.geopos(k, 'Palermo'))[0].map((x) => Number(x).toFixed(4)), ['13.3614', '38.1156'])
}

async function bitmaps() {
  const k = key('bitmap')
  same(await all(c.setbit(k, 7, 1), c.setbit(k, 1_000_000, 1), c.getbit(k, 7), c.bitcount(k), c.bitpos(k, 1)), [0, 0, 1, 2, 7])
  same(await all(c.setbit(k + '2', 7, 1), c.bitop('AND', k + '3', k, k + '2'), c.bitcount(k + '3')), [0, 125_001, 1])
  same(await c.bitfield(k + '4', 'SET', 'u8', 0, 200, 'INCRBY', 'u8', 0, 100), [0, 44])
}

async function hyperloglogs() {
  const k = key('hll')
  same(await all(c.pfadd(k, 'a', 'b', 'c'), c.pfadd(k, 'a'), c.pfcount(k), c.pfadd(k + '2', 'c', 'd')), [1, 0, 3, 1])
  same(await all(c.pfmerge(k + '3', k, k + '2'), c.pfcount(k + '3')), ['OK', 4])
}

async function many() {
  const pairs = new Map(Array.from({ length: 20 }, (_, i) => [key('many:' + i), String(i)]))
  same(await all(c.mset(pairs), c.mget(...pairs.keys()), c.del(...pairs.keys())), ['OK', [...pairs.values()], 20])
  const keys = spread('many', 40)
  if (clustered) {
    // The client sends it as it is; the server refuses it.
    await fails("CROSSSLOT Keys in request don't hash to the same slot", c.mget(...keys))
    same(await all(...keys.map((k) => c.set(k, k))), keys.map(() => 'OK'))
    same(await all(...keys.map((k) => c.get(k))), keys)
    same(await all(...keys.map((k) => c.del(k))), keys.map(() => 1))
  } else {
    same(await all(c.mset(new Map(keys.map((k) => [k, k]))), c.mget(...keys)), ['OK', keys])
    same(await all(c.exists(...keys), c.del(...keys)), [40, 40])
  }
}

// A pipeline of this cluster client is of one slot.
async function pipeline() {
  const keys = clustered ? Array.from({ length: 100 }, (_, i) => key('pipeline:' + i)) : spread('pipeline', 100)
  const p = c.pipeline()
  keys.forEach((k, i) => p.set(k, i).incrby(k, 100))
  same(values(await p.exec()).filter((_, i) => i % 2), keys.map((_, i) => 100 + i))
  const [set, incr, get] = await c.pipeline().set(keys[0], 'text').incr(keys[0]).get(keys[0]).exec()
  same([set, incr[0].message, get], [[null, 'OK'], 'ERR value is not an integer or out of range', [null, 'text']])
}

async function multi() {
  const k = key('multi')
  const got = await c.multi().set(k, 1).incr(k).rpush(k + 'l', 'a', 'b').lrange(k + 'l', 0, -1).exec()
  same(values(got), ['OK', 2, 2, ['a', 'b']])
}

// Watching is a connection's: with a cluster, of the node that has the key.
async function watch() {
  const k = key('watch')
  await c.set(k, 1)
  const one = clustered ? await owner(k) : new Redis({ host, port: Number(port) })
  same(await all(one.watch(k), one.get(k)), ['OK', '1'])
  same(await c.set(k, 2), 'OK')
  same(await one.multi().set(k, 3).exec(), null)
  same(await c.get(k), '2')
  same(await one.watch(k), 'OK')
  same(values(await one.multi().incr(k).exec()), [3])
  one.disconnect()
}

// owner is a connection of its own to the node that has a key.
async function owner(k) {
  const slot = await c.cluster('KEYSLOT', k)
  const [, , [ownHost, ownPort]] = (await c.cluster('SLOTS')).find(([from, to]) => from <= slot && slot <= to)
  return new Redis({ host: ownHost, port: ownPort })
}

async function scan() {
  const keys = spread('scan', 100)
  await all(...keys.map((k, i) => (i % 2 ? c.rpush(k, i) : c.set(k, i))))
  const pattern = prefix + ':scan:*'
  same((await scanned({ match: pattern, count: 50 })).sort(), [...keys].sort())
  same((await scanned({ match: pattern, count: 50, type: 'list' })).sort(), keys.filter((_, i) => i % 2).sort())
}

async function scanned(options) {
  const found = []
  for (const node of nodes()) {
    for await (const page of node.scanStream(options)) found.push(...page)
  }
  return found
}

async function large() {
  const k = key('large')
  const n = 50_000
  for (let from = 0; from < n; from += 5000) {
    const numbers = Array.from({ length: 5000 }, (_, i) => from + i)
    await all(c.hset(k + 'h', new Map(numbers.map((i) => ['field:' + i, 'value:' + i]))), c.rpush(k + 'l', numbers.map((i) => 'element:' + i)))
  }
  const [hash, list] = await all(c.hgetall(k + 'h'), c.lrange(k + 'l', 0, -1))
  same(list, Array.from({ length: n }, (_, i) => 'element:' + i))
  same(Object.keys(hash).length, n)
  for (let i = 0; i < n; i++) same(hash['field:' + i], 'value:' + i)
  same(await c.unlink(k + 'h', k + 'l'), 2)
}

async function keys() {
  const k = key('keys')
  await all(c.set(k + 's', 1), c.rpush(k + 'l', 'a'), c.hset(k + 'h', 'f', 'v'), c.sadd(k + 't', 'x'), c.zadd(k + 'z', 1, 'm'))
  same(await all(...[...'slhtz-'].map((t) => c.type(k + t))), ['string', 'list', 'hash', 'set', 'zset', 'none'])
  same(await all(c.object('ENCODING', k + 's'), c.object('ENCODING', k + 'h')), ['int', 'listpack'])
  for (const t of 'slhtz') {
    same(await c.restore(k + 'copy' + t, 100_000, await c.dumpBuffer(k + t)), 'OK')
    same(await c.type(k + 'copy' + t), await c.type(k + t))
  }
  same(await all(c.hgetall(k + 'copyh'), c.lrange(k + 'copyl', 0, -1), c.zscore(k + 'copyz', 'm')), [{ f: 'v' }, ['a'], '1'])
  await fails('BUSYKEY Target key name already exists.', c.restore(k + 'copys', 0, await c.dumpBuffer(k + 's')))
  same(await all(c.rename(k + 's', k + 'r'), c.copy(k + 'r', k + 'c'), c.touch(k + 'r', k + 's'), c.get(k + 'c')), ['OK', 1, 1, '1'])
}

async function protocols() {
  for (const node of nodes()) {
    const got = await node.call('HELLO', '2')
    same([got[got.indexOf('proto') + 1], got[got.indexOf('mode') + 1]], [2, clustered ? 'cluster' : 'standalone'])
  }
}

async function moved() {
  const k = '{moved}:' + prefix
  same(await all(c.set(k, 'before'), c.get(k)), ['OK', 'before'])
  console.log('move')
  for await (const line of readline.createInterface({ input: process.stdin })) {
    same(line, 'moved')
    break
  }
  // One after the other: what is sent at once and redirected comes back in any order.
  same([await c.get(k), await c.set(k, 'after'), await c.get(k)], ['before', 'OK', 'after'])
  same(values(await c.multi().append(k, '!').get(k).exec()), [6, 'after!'])
}

async function main() {
  const steps = [strings, expiry, hashes, lists, sets, zsets, geo, bitmaps, hyperloglogs, many, pipeline, multi, watch, scan, large, keys, protocols]
  if (clustered) {
    await new Promise((resolve, reject) => c.once('ready', resolve).once('error', reject))
    steps.push(moved)
  }
  for (const step of steps) {
    await step()
    console.log('ok', step.name)
  }
  console.log('done')
  c.disconnect()
}

main().then(() => process.exit(0), (err) => { console.error(err); process.exit(1) })
