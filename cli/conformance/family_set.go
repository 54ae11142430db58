package conformance

var sets = family{
	name: "sets", cases: setCases, differences: setDifferences, templates: setTemplates, domains: setDomains,
	compare: map[string]comparison{"smembers": unordered(1), "sinter": unordered(1), "sunion": unordered(1), "sdiff": unordered(1)},
}

var setCases = map[string][]string{
	"sadd and srem": {
		`sadd s a`, `sadd s a`, `sadd s a b c`, `sadd s d d d`, `smembers s`, `scard s`, `sadd s`, `sadd`, `sadd s ""`, `sadd s "\x00\xff\r\n"`, `sismember s "\x00\xff\r\n"`, `sismember s ""`, `smembers s`, `srem s a`, `srem s a`, `srem s b b c zz`, `smembers s`, `srem none a`, `srem s`, `srem`, `srem s d "" "\x00\xff\r\n"`, `exists s`, `sadd "" x`, `smembers ""`,
		`sadd n 1 2 3 -5 9223372036854775807 01 1`, `smembers n`, `scard n`, `sadd n x`, `smembers n`, `sadd big a b c d e f g h i j k l m n o p q r s t a b c`, `scard big`, `smembers big`, `srem big a b c d e f g h i j k l m n o p q r s t a b`, `exists big`, `expire n 100`, `sadd n y`, `ttl n`, `srem n y`, `ttl n`,
	},
	"reads": {
		`smembers none`, `scard none`, `sismember none a`, `smismember none a b`, `sadd s a b`, `sismember s a`, `sismember s z`, `smismember s a z b a`, `smismember s z`, `smismember s`, `smismember`, `sismember s`, `sismember s a b`, `smembers`, `smembers s x`, `scard`, `scard s x`, `type s`,
	},
	"smove": {
		`smove none none2 a`, `sadd s a b`, `smove s t a`, `smembers s`, `smembers t`, `smove s t zz`, `sadd t b`, `smove s t b`, `exists s`, `smembers t`, `smove t t a`, `smove t t zz`, `smembers t`, `smove s t`, `smove s t a b`, `smove`, `set str v`, `smove str t a`, `smove t str a`, `smove t str zz`, `smove none str a`, `smove str none a`, `smove str str a`, `smembers t`,
		`sadd u x`, `expire u 100`, `smove u t x`, `ttl u`, `expire t 100`, `sadd u y`, `smove u t y`, `ttl t`, `sadd old m`, `pexpireat old 1`, `smove t old a`, `smembers old`, `ttl old`,
	},
	"wrong types": {
		`set k v`, `sadd k m`, `srem k m`, `smembers k`, `scard k`, `sismember k m`, `smismember k m`, `smismember k m n`, `sadd s m`, `get s`, `incr s`, `hset s f v`, `hget s f`, `set s v`, `type s`, `hset h f v`, `sadd h m`, `smembers h`,
	},
	"expiry": {
		`sadd s a b`, `pexpireat s 1`, `smembers s`, `scard s`, `sadd s a`, `smembers s`, `ttl s`, `set old v pxat 1`, `sadd old a`, `ttl old`, `type old`, `srem old a`, `exists old`,
	},
}

// setDifferences are of limits that Redis doesn't have.
var setDifferences = []Difference{
	{Line: `sadd k "m"*10241`, Ours: "-ERR invalid sub key size", Redis: ":1", Reason: "members are limited to 10240 bytes"},
	{Setup: []string{`sadd k m`}, Line: `stale.smembers k`, Ours: "*1", Redis: "-ERR unknown command", Reason: "a prefix of ZanKV's own"},
}

const setTemplates = `sadd %k %m|sadd %k %m %m|sadd %k %m %m %m|srem %k %m|srem %k %m %m|smembers %k|scard %k|sismember %k %m|smismember %k %m %m|smove %k %k %m|smove %k %k %m|del %k|set %k %v|expire %k 1000|pexpireat %k 1`

var setDomains = map[byte][]string{
	'k': {"a", "b", "c", "d"},
	'm': {"x", "y", "z", "1", "2", "30000000000", "", "x\x00", "a-member-of-a-set-that-is-longer-than-the-64-bytes-of-a-listpack-entry"},
}
