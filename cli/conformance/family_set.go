package conformance

import (
	"fmt"
	"slices"
	"strings"
)

var sets = family{
	name: "sets", cases: setCases, differences: setDifferences, templates: setTemplates, domains: setDomains,
	compare: map[string]comparison{"smembers": unordered(1), "sinter": unordered(1), "sunion": unordered(1), "sdiff": unordered(1)},
	check:   map[string]func(*pair, [][]byte){"spop": checkSPop, "srandmember": checkSRandMember},
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
	"spop": {
		`spop`, `spop none`, `spop none 0`, `spop none 3`, `spop none x`, `spop none -1`, `spop none 1 2`, `sadd s a b c d e f g h "" "\x00"`, `spop s`, `scard s`, `spop s 0`, `spop s 1`, `spop s 3`, `smembers s`, `spop s x`, `spop s 1.5`, `spop s ""`, `spop s -1`, `spop s 9223372036854775808`, `spop s -9223372036854775808`, `spop s 1 2`, `spop s 9223372036854775807`, `exists s`, `sadd s a b c`, `spop s 3`, `exists s`, `sadd s a`, `spop s`, `exists s`, `sadd s a`, `spop s 1`, `exists s`,
		`sadd s a b c`, `expire s 100`, `spop s 2`, `ttl s`, `spop s`, `ttl s`, `sadd s a`, `ttl s`, `pexpireat s 1`, `spop s`, `spop s 2`, `set k v`, `spop k`, `spop k 1`, `spop k 0`, `spop k x`, `spop k -1`, `spop k 1 2`, `sadd n 1 2 3 4 5 6 7`, `spop n 5`, `smembers n`, `spop n 2`,
	},
	"srandmember": {
		`srandmember`, `srandmember none`, `srandmember none 0`, `srandmember none 3`, `srandmember none -3`, `srandmember none x`, `srandmember none 1 2`, `sadd s a b c d ""`, `srandmember s`, `srandmember s 0`, `srandmember s 1`, `srandmember s 3`, `srandmember s 4`, `srandmember s 5`, `srandmember s 6`, `srandmember s 100`, `srandmember s 9223372036854775807`, `srandmember s -1`, `srandmember s -3`, `srandmember s -60`,
		`srandmember s x`, `srandmember s 1.5`, `srandmember s ""`, `srandmember s 9223372036854775808`, `srandmember s -9223372036854775808`, `srandmember none -9223372036854775808`, `srandmember none -9223372036854775807`, `srandmember s 1 2`, `srandmember s x 2`, `scard s`, `pexpireat s 1`, `srandmember s`, `srandmember s 2`, `srandmember s -2`, `set k v`, `srandmember k`, `srandmember k 1`, `srandmember k 0`, `srandmember k x`, `srandmember k -1`, `srandmember k 1 2`, `sadd n 1 2 3 4 5 6 7`, `srandmember n 5`, `srandmember n -20`, `srandmember n`,
	},
	"algebra": {
		`sinter none`, `sunion none`, `sdiff none`, `sinter none none2`, `sunion none none2`, `sdiff none none2`, `sadd a 1 2 3 x y`, `sadd b 2 3 y z`, `sadd c 3 y q`, `sinter a`, `sunion a`, `sdiff a`, `sinter a b`, `sinter a b c`, `sinter c b a`, `sinter a none`, `sinter none a`, `sinter a b none`, `sunion a b`, `sunion a b c`, `sunion a none c`, `sunion none a`, `sdiff a b`, `sdiff a b c`, `sdiff b a`, `sdiff a none`, `sdiff none a`, `sdiff a a`, `sinter a a`, `sunion a a`, `sdiff a none a`,
		`sinter`, `sunion`, `sdiff`, `sadd e ""`, `sinter e a`, `sunion e a`, `sdiff e a`, `sunion e e`, `sadd e x`, `sinter e a`, `sdiff e a`, `sdiff a e`, `set k v`, `sinter k`, `sunion k`, `sdiff k`, `sinter a k`, `sinter none k`, `sinter k none`, `sunion a k`, `sunion none k`, `sdiff a k`, `sdiff none k`, `sdiff k a`, `pexpireat b 1`, `sinter a b`, `sunion b c`, `sdiff a b`, `sdiff b a`,
		`sadd m a b c d e f g h i j k l m n o p q r s t u v w x y z`, `sadd n m`, `sinter n m`, `sinter m n`, `sdiff n m`, `sdiff m n`, `sunion m n`, `sinter m n a`, `sdiff m a n c`,
	},
	"algebra stored": {
		`sinterstore d none`, `sunionstore d none`, `sdiffstore d none`, `exists d`, `sadd a 1 2 3 x y`, `sadd b 2 3 y z`, `sadd c 3 y q`, `sinterstore d a b`, `smembers d`, `sunionstore d a b c`, `smembers d`, `sdiffstore d a b`, `smembers d`, `sinterstore d a none`, `exists d`, `sadd d 1`, `sdiffstore d a a`, `exists d`, `sadd d 1`, `sunionstore d none none2`, `exists d`,
		`set d v`, `sinterstore d a b`, `smembers d`, `set d v`, `sdiffstore d a a`, `exists d`, `set d v`, `sunionstore d a`, `type d`, `expire d 100`, `sunionstore d a b`, `ttl d`, `sinterstore a a b`, `smembers a`, `sunionstore a a b c`, `smembers a`, `sdiffstore a a c`, `smembers a`, `sdiffstore a c a`, `smembers a`, `sdiffstore a a a`, `exists a`, `sadd a 1 2 3`, `sinterstore a a`, `smembers a`, `sinterstore b a b`, `smembers b`,
		`set k v`, `sinterstore d k`, `sinterstore d a k`, `sinterstore d none k`, `sunionstore d k`, `sunionstore d a k`, `sdiffstore d a k`, `sdiffstore d k a`, `sinterstore k k`, `type k`, `sinterstore k k a`, `sinterstore`, `sinterstore d`, `sunionstore`, `sunionstore d`, `sdiffstore`, `sdiffstore d`, `pexpireat d 1`, `sunionstore d d`, `exists d`, `sadd d x`, `pexpireat d 1`, `sunionstore d a`, `ttl d`,
	},
	"sintercard": {
		`sintercard`, `sintercard 1`, `sintercard 1 none`, `sadd a 1 2 3 x y`, `sadd b 2 3 y z`, `sadd c 3 y q`, `sintercard 1 a`, `sintercard 2 a b`, `sintercard 3 a b c`, `sintercard 2 a none`, `sintercard 2 a b limit 1`, `sintercard 2 a b limit 2`, `sintercard 2 a b LIMIT 3`, `sintercard 2 a b limit 0`, `sintercard 2 a b limit 100`, `sintercard 2 a b limit 9223372036854775807`, `sintercard 2 a b limit 2 limit 1`, `sintercard 2 a b limit 1 limit 0`,
		`sintercard 2 a b limit -1`, `sintercard 2 a b limit x`, `sintercard 2 a b limit`, `sintercard 2 a b foo`, `sintercard 2 a b foo 1`, `sintercard 2 a b c`, `sintercard 2 a b limit 1 foo`, `sintercard 2 a b limit 1 limit`, `sintercard 0 a`, `sintercard -1 a`, `sintercard x a`, `sintercard 1.5 a`, `sintercard "" a`, `sintercard 3 a b`, `sintercard 9223372036854775807 a`, `sintercard 9223372036854775808 a`, `sintercard 0 a limit x`, `sintercard 1 a limit 9223372036854775808`,
		`set k v`, `sintercard 1 k`, `sintercard 2 a k`, `sintercard 2 none k`, `sintercard 2 k none`, `sintercard 2 a k limit 1`, `sintercard 2 a k limit x`, `sintercard 2 a limit`, `sintercard 1 a a`,
	},
	"expiry": {
		`sadd s a b`, `pexpireat s 1`, `smembers s`, `scard s`, `sadd s a`, `smembers s`, `ttl s`, `set old v pxat 1`, `sadd old a`, `ttl old`, `type old`, `srem old a`, `exists old`,
	},
}

// setDifferences are of limits that Redis doesn't have.
var setDifferences = []Difference{
	{Line: `sadd k "m"*10241`, Ours: "-ERR invalid sub key size", Redis: ":1", Reason: "members are limited to 10240 bytes"},
	{Setup: []string{`sadd k m`}, Line: `stale.scard k`, Ours: ":1", Redis: "-ERR unknown command", Reason: "a prefix of ZanKV's own"},
}

const setTemplates = `sadd %k %m|sadd %k %m %m|sadd %k %m %m %m|srem %k %m|srem %k %m %m|smembers %k|scard %k|sismember %k %m|smismember %k %m %m|smove %k %k %m|smove %k %k %m|spop %k|spop %k %c|srandmember %k|srandmember %k %c|srandmember %k %c|sinter %k %k|sinter %k %k %k|sunion %k %k|sunion %k %k %k|sdiff %k %k|sdiff %k %k %k|sinterstore %k %k %k|sunionstore %k %k %k|sdiffstore %k %k %k|sinterstore %k %k|sunionstore %k %k|sintercard 2 %k %k|sintercard %c %k %k %k|sintercard 2 %k %k limit %c|del %k|set %k %v|expire %k 1000|pexpireat %k 1`

var setDomains = map[byte][]string{
	'k': {"a", "b", "c", "d"},
	'c': {"0", "1", "2", "3", "5", "20", "-1", "-7", "-40", "x", "9223372036854775807", "-9223372036854775808"},
	'm': {"x", "y", "z", "1", "2", "30000000000", "", "x\x00", "a-member-of-a-set-that-is-longer-than-the-64-bytes-of-a-listpack-entry"},
}

// checkSPop: Redis gets back what it took and loses what ours took instead, which it must have. Errors and shapes must be the same.
func checkSPop(p *pair, args [][]byte) {
	p.tb.Helper()
	var before []string
	ttl := int64(-1)
	if len(args) > 1 {
		before = members(p.oracle, args[1])
		ttl, _ = integer(p.oracle.Do([]byte("pexpiretime"), args[1]))
	}
	got, want := p.ours.Do(args...), p.oracle.Do(args...)
	a, _ := parseReply(got)
	b, _ := parseReply(want)
	if !a.likeness(b) {
		p.failed(args, got, want)
		return
	}
	if len(before) == 0 {
		return
	}
	p.give(args[1], b.leaves())
	for _, m := range a.leaves() {
		if string(p.oracle.Do([]byte("srem"), args[1], []byte(m))) != ":1\r\n" {
			p.failed(args, got, want)
		}
	}
	if ttl > 0 {
		p.oracle.Do([]byte("pexpireat"), args[1], fmt.Append(nil, ttl))
	}
	if strings.Join(members(p.ours, args[1]), "\x00,") != strings.Join(members(p.oracle, args[1]), "\x00,") {
		p.failed(args, got, want)
	}
}

// give adds members to a set of the oracle.
func (p *pair) give(key []byte, list []string) {
	for _, m := range list {
		p.oracle.Do([]byte("sadd"), key, []byte(m))
	}
}

// members are those of a set, sorted; none of what is no set.
func members(t Target, key []byte) []string {
	all, _ := parseReply(t.Do([]byte("smembers"), key))
	list := all.leaves()
	if all.kind == '-' {
		return nil
	}
	slices.Sort(list)
	return list
}

// checkSRandMember compares errors to the byte, and of what was chosen how much it is, that it is of the set, and that nothing repeats that
// must not.
func checkSRandMember(p *pair, args [][]byte) {
	p.tb.Helper()
	var all []string
	if len(args) > 1 {
		all = members(p.ours, args[1])
	}
	got, want := p.ours.Do(args...), p.oracle.Do(args...)
	a, _ := parseReply(got)
	b, _ := parseReply(want)
	ok := a.likeness(b)
	seen := map[string]bool{}
	for _, m := range a.leaves() {
		_, is := slices.BinarySearch(all, m)
		ok = ok && is && (!seen[m] || args[2][0] == '-')
		seen[m] = true
	}
	if !ok {
		p.failed(args, got, want)
	}
}

// likeness says whether two replies differ at the most in the contents of their bulk strings. Null isn't like any.
func (n node) likeness(m node) bool {
	if n.kind == '$' && m.kind == '$' {
		return (n.text == nullBulk) == (m.text == nullBulk)
	}
	return n.shape() == m.shape()
}

// nullBulk is the text of RESP2's null. No key, field or member of the cases is this.
const nullBulk = "-1"

// shape is all of a reply but the contents of bulk strings.
func (n node) shape() string {
	if n.kind == '$' {
		return "$"
	}
	if n.parts == nil {
		return n.String()
	}
	all := string(n.kind)
	for _, part := range n.parts {
		all += part.shape()
	}
	return all
}

// leaves are the texts of all bulk strings, but for a null.
func (n node) leaves() (all []string) {
	if n.kind == '$' && n.text != nullBulk {
		return []string{n.text}
	}
	for _, part := range n.parts {
		if part.kind == '$' {
			all = append(all, part.text)
		} else {
			all = append(all, part.leaves()...)
		}
	}
	return all
}

// failed reports two replies that don't go together.
func (p *pair) failed(args [][]byte, got, want []byte) {
	p.tb.Helper()
	p.tb.Errorf("%.200q: %.300q, and Redis says %.300q; after\n  %s", args, got, want, strings.Join(tail(p.history, 12), "\n  "))
}
