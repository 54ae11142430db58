package conformance

import "strings"

var lists = family{name: "lists", cases: listCases, differences: listDifferences, templates: listTemplates, domains: listDomains, options: "mnb"}

// listCases: what blocks never does here, as there is always something to pop, or the timeout is short.
var listCases = map[string][]string{
	"push and pop": {
		`lpush`, `lpush k`, `rpush k`, `lpush k a`, `lpush k b c`, `rpush k x y z`, `llen k`, `lrange k 0 -1`, `lpop k`, `rpop k`, `lpop k 2`, `rpop k 2`,
		`lpop k 5`, `lpop k`, `rpop k`, `lpop k 1`, `rpop k 0`, `exists k`, `lpop k -1`, `lpop k x`, `lpop k 9223372036854775808`, `lpop k 1 2`, `lpop`,
		`rpush k a b c`, `lpop k 0`, `lpop k 9223372036854775807`, `llen k`, `llen`, `type k`, `rpush k a`, `type k`, `rpush "" ""`, `lrange "" 0 -1`, `lpop ""`,
		`lpushx n a`, `rpushx n a b`, `rpush n 1`, `lpushx n 2 3`, `rpushx n 4 5`, `lrange n 0 -1`, `lpushx n`, `rpushx n`, `llen none`, `rpop n x`, `rpop n -1`, `rpop n 1 1`, `rpop n 99`,
		`rpush b "a\x00b\r\n" "\x00\xff\r\n"`, `lrange b 0 -1`, `lpop b`, `rpop b 1`, `rpop b 1`,
	},
	"wrong type": {
		`set s v`, `lpush s a`, `rpush s a`, `lpushx s a`, `rpushx s a`, `lpop s`, `rpop s`, `lpop s 1`, `lpop s 0`, `lpop s x`, `llen s`, `lindex s 0`, `lindex s x`, `lrange s 0 -1`, `lrange s x y`,
		`lset s 0 v`, `lset s x v`, `ltrim s 0 -1`, `ltrim s x 0`, `linsert s before a b`, `linsert s beside a b`, `lrem s 0 v`, `lrem s x v`, `lpos s v`, `lpos s v count 0`, `lpos s v rank 0`,
		`lmove s k left right`, `lmove k s left right`, `rpush k a`, `lmove k s left right`, `rpoplpush s k`, `rpoplpush k s`, `lrange k 0 -1`, `lmpop 1 s left`, `lmpop 2 none s left`, `lmpop 2 k s left`, `lmpop 2 s k left`,
		`rpush k a`, `blpop s 0`, `brpop s 0`, `blpop none s 0`, `blpop s x`, `blmove s k left right 0`, `blmove k s left right 0`, `brpoplpush s k 0`, `brpoplpush k s 0`, `blmpop 0 1 s left`, `lrange k 0 -1`, `get k`, `incr k`, `append k x`, `getex k`, `strlen k`,
	},
	"expiry": {
		`rpush k a b c`, `expire k 1000`, `lpush k z`, `ttl k`, `lpop k`, `lset k 0 y`, `lrem k 1 y`, `linsert k before b x`, `ttl k`, `rpoplpush k k`, `lmove k k left right`, `ttl k`, `ltrim k 0 0`, `ttl k`, `rpoplpush k k`, `ttl k`,
		`lpop k`, `ttl k`, `rpush k a`, `ttl k`, `pexpire k -1`, `llen k`, `rpush k a b`, `pexpireat k 1`, `lpop k`, `lpush k 1`, `lrange k 0 -1`, `ttl k`, `expire k 1000`, `del k`, `rpush k a`, `ttl k`, `set k v`, `lpush k v`,
	},
	"index and range": {
		`lindex k 0`, `lindex k x`, `lrange k 0 -1`, `lrange k x 0`, `lrange k 0 x`, `lrange k 0`, `lindex k`, `rpush k a b c d e`,
		`lindex k 0`, `lindex k 4`, `lindex k 5`, `lindex k -1`, `lindex k -5`, `lindex k -6`, `lindex k x`, `lindex k 9223372036854775807`, `lindex k -9223372036854775808`, `lindex k 9223372036854775808`, `lindex k 1.0`,
		`lrange k 0 0`, `lrange k 1 3`, `lrange k -2 -1`, `lrange k -100 100`, `lrange k 3 1`, `lrange k 5 9`, `lrange k -1 -5`, `lrange k 4 4`, `lrange k -9223372036854775808 9223372036854775807`, `lrange k 9223372036854775807 -1`, `lrange k 0 -6`,
		`lrem k 1 c`, `lindex k 0`, `lindex k 1`, `lindex k 2`, `lindex k 3`, `lindex k -1`, `lindex k -2`, `lindex k -3`, `lindex k -4`, `lindex k -5`, `lindex k 4`, `lrange k 0 0`, `lrange k 1 2`, `lrange k 2 9`, `lrange k 3 3`, `lrange k -1 -1`, `lrange k 4 4`,
		`rpush k x`, `lpush k y`, `lrange k 0 -1`, `rpop k`, `lpop k`, `linsert k after b c`, `lindex k 2`, `lrange k 2 2`, `lrange k 0 -1`,
	},
	"set": {
		`lset k 0 v`, `lset k x v`, `rpush k a b c`, `lset k 0 x`, `lset k -1 z`, `lset k 1 b`, `lset k 3 v`, `lset k -4 v`, `lset k x v`, `lset k 9223372036854775808 v`, `lrange k 0 -1`, `lset k 0`, `lset k 0 a b`,
		`lrem k 1 b`, `lset k 1 y`, `lset k -2 w`, `lset k 2 v`, `lrange k 0 -1`, `lset k 1 y`,
	},
	"trim": {
		`ltrim k 0 -1`, `ltrim k x 0`, `ltrim k 0 x`, `ltrim k 0`, `rpush k 0 1 2 3 4 5 6 7 8 9`, `ltrim k 0 -1`, `ltrim k 1 -2`, `lrange k 0 -1`, `ltrim k 2 100`, `lrange k 0 -1`, `ltrim k -4 -1`, `lrange k 0 -1`, `ltrim k 0 -2`, `lrange k 0 -1`,
		`ltrim k 5 1`, `exists k`, `rpush k a b`, `ltrim k 2 2`, `llen k`, `rpush k a b c d e f`, `lrem k 1 c`, `ltrim k 1 -2`, `lrange k 0 -1`, `ltrim k 9223372036854775807 0`, `type k`,
	},
	"insert": {
		`linsert k before a b`, `linsert k beside a b`, `linsert k before a`, `rpush k b d`, `linsert k before b a`, `linsert k AFTER b c`, `linsert k after d e`, `linsert k Before x y`, `linsert k beside a b`, `lrange k 0 -1`, `llen k`,
		`linsert k before c 1`, `linsert k before c 2`, `linsert k before c 3`, `linsert k after c 4`, `linsert k after c 5`, `lrange k 0 -1`, `lindex k 3`, `lindex k -3`, `lset k 4 x`, `lpop k 3`, `rpop k 3`, `lrange k 0 -1`, `lpush k a`, `rpush k z`, `lrange k 0 -1`,
		`rpush d a a a`, `linsert d before a b`, `linsert d after a c`, `lrange d 0 -1`, `linsert d after "" x`, `linsert d before b ""`, `linsert d after "" x`, `lrange d 0 -1`,
	},
	"remove": {
		`lrem k 0 a`, `lrem k x a`, `lrem k 0`, `rpush k a b a c a d a`, `lrem k 1 a`, `lrange k 0 -1`, `lrem k -1 a`, `lrange k 0 -1`, `lrem k 0 x`, `lrem k -5 x`, `lrem k -1 a`, `lrange k 0 -1`, `lrem k 0 a`, `lrange k 0 -1`, `lrem k 2 b`, `lrem k -3 c`, `lrem k 0 d`, `exists k`,
		`rpush k a a a`, `lrem k -9223372036854775807 a`, `exists k`, `rpush k a a a`, `lrem k 9223372036854775807 a`, `exists k`, `rpush k a b a b a`, `lrem k -2 a`, `lrange k 0 -1`, `lrem k 2 b`, `lrange k 0 -1`,
	},
	"positions": {
		`lpos k a`, `lpos k a count 1`, `lpos k`, `rpush k a b c a b c a`, `lpos k a`, `lpos k b`, `lpos k x`, `lpos k x count 0`, `lpos k a rank 2`, `lpos k a rank -1`, `lpos k a rank -3`, `lpos k a rank 4`, `lpos k a rank -4`, `lpos k a rank 0`, `lpos k a rank x`,
		`lpos k a rank -9223372036854775807`, `lpos k a rank 9223372036854775807`, `lpos k a rank 9223372036854775808`,
		`lpos k a count 0`, `lpos k a count 2`, `lpos k a count 9`, `lpos k a count -1`, `lpos k a count x`, `lpos k a rank -1 count 0`, `lpos k a rank -2 count 1`, `lpos k a rank 2 count 0`, `lpos k a count 0 maxlen 3`, `lpos k a maxlen 1`, `lpos k b maxlen 1`, `lpos k b maxlen 0`,
		`lpos k c count 0 maxlen 3 rank -1`, `lpos k a maxlen -1`, `lpos k a maxlen x`, `lpos k a rank`, `lpos k a count`, `lpos k a foo 1`, `lpos k a COUNT 1 count 2 RANK 1 rank 2`, `lpos k a count -1 foo`, `lpos none a rank 0`, `lpos none a foo 0`, `lpos none a count 0 rank 1`,
		`lrem k 1 b`, `lpos k a count 0`, `lpos k c rank -1`,
	},
	"move": {
		`lmove k l left right`, `lmove k l up right`, `lmove k l left`, `rpush k a b c`, `lmove k l left right`, `lmove k l RIGHT Left`, `lrange k 0 -1`, `lrange l 0 -1`, `lmove k l left left`, `exists k`, `lrange l 0 -1`, `lmove l l left right`, `lrange l 0 -1`, `lmove l l right left`, `lmove l l left left`, `lmove l l right right`, `lrange l 0 -1`,
		`lmove l k left down`, `lmove none s left down`, `rpoplpush l k`, `rpoplpush l k`, `rpoplpush l k`, `rpoplpush l k`, `lrange k 0 -1`, `rpoplpush k k`, `lrange k 0 -1`, `rpoplpush`, `rpoplpush k`, `del k`, `rpush k a`, `rpoplpush k k`, `lmove k k left right`, `lrange k 0 -1`,
		`rpush e v pxat 1`, `set e v pxat 1`, `lmove k e left right`, `lrange e 0 -1`, `ttl e`,
	},
	"pop from several": {
		`lmpop 1 k left`, `lmpop`, `lmpop 1 k`, `lmpop 0 k left`, `lmpop -1 k left`, `lmpop x k left`, `lmpop 2 k left`, `lmpop 3 k left`, `lmpop 1 k up`, `lmpop 1 k left count`, `lmpop 1 k left count 0`, `lmpop 1 k left count -1`, `lmpop 1 k left count x`, `lmpop 1 k left foo 1`, `lmpop 1 k left count 1 count 1`, `lmpop 1 k left count 1 x`,
		`rpush k a b c d`, `rpush l 1 2 3`, `lmpop 1 k left`, `lmpop 2 none k RIGHT`, `lmpop 2 k l left count 10`, `lmpop 2 k l right COUNT 2`, `lmpop 2 l l left count 5`, `lmpop 2 k l left`, `exists k l`, `rpush k a`, `lmpop 1 k left count 9223372036854775808`, `lmpop 2 k left left`,
	},
	"blocking": {
		`blpop`, `blpop k`, `blpop k x`, `blpop k -1`, `blpop k -inf`, `blpop k nan`, `blpop k ""`, `blpop k 0x`, `blpop k " 1"`, `blpop k "1 "`, `blpop k 1,5`, `blpop k 0.001`, `blpop k j 0.01`, `brpop k 0.001`, `blmpop 0.001 1 k left`,
		`rpush k a b c d e f g h`, `blpop k 0`, `blpop none k 0`, `brpop k none 1.5`, `brpop none none2 k 0x1p-3`, `blpop k 1e2`, `blpop k 0`, `lrange k 0 -1`, `blmove k l left right 0`, `blmove k l left right x`, `blmove k l left right -1`, `blmove k l up right x`, `blmove l k right left 0`, `brpoplpush k l 0`, `brpoplpush l k x`, `brpoplpush l k -1`, `brpoplpush none k x`, `brpoplpush l l 0`, `lrange l 0 -1`,
		`rpush k a b c d`, `blmpop 0 1 k left`, `blmpop 0 2 none k right count 2`, `blmpop x 1 k left`, `blmpop -1 1 k left`, `blmpop 0 0 k left`, `blmpop x 0 k left`, `blmpop 0 1 k up`, `blmpop 0 1 k left count 0`, `blmpop 0 1 k left foo 1`, `blmpop 0 9 k left`, `blmpop 0 1 k left count 9`, `blmpop 0 1`, `blmove k l left right`, `brpoplpush k l`, `exists k`,
	},
}

var listDifferences = []Difference{
	{Line: `blpop k 1e30`, Ours: "-ERR timeout is out of range", Redis: "-ERR timeout is negative", Reason: "Redis 7.2's text; 7.0 lets the number overflow"},
	{Line: `blpop k inf`, Ours: "-ERR timeout is out of range", Redis: "-ERR timeout is negative", Reason: "Redis 7.2's text; 7.0 lets the number overflow"},
	{Setup: []string{`rpush k a`}, Line: `lpos k a rank -9223372036854775808`, Ours: "-ERR value is out of range", Redis: ":0", Reason: "Redis 7.2's text; 7.0 lets the number overflow"},
	{Line: `lpush k` + strings.Repeat(" v", 5001), Ours: "-ERR the batch size exceed the limit", Redis: ":5001", Reason: "a command brings at most 5000 items"},
	{Line: `rpush k "v"*8388609`, Ours: "-ERR invalid value size", Redis: ":1", Reason: "items are limited to 8 MiB"},
}

// listTemplates: besides the shared ones, %b before or after, %d left or right, %c a count, %m LPOS's options, %n LMPOP's, %t a timeout.
const listTemplates = `lpush %k %v|lpush %k %v %v %v|rpush %k %v|rpush %k %v %v %v|rpush %k %v %v %v %v %v|lpushx %k %v|rpushx %k %v|lpop %k|rpop %k|lpop %k %c|rpop %k %c|lrange %k 0 -1|lrange %k %o %o|lrange %k %o %o|lindex %k %o|lindex %k %o|llen %k|lset %k %o %v|lset %k %o %v|ltrim %k %o %o|linsert %k %b %v %v|linsert %k %b %v %v|linsert %k %b %v %v|lrem %k %o %v|lrem %k %c %v|lpos %k %v %m|lpos %k %v %m %m|lmove %k %k %d %d|lmove %k %k %d %d|rpoplpush %k %k|lmpop 1 %k %d|lmpop 2 %k %k %d %n|lmpop %c %k %d %n|blpop %k %k a %t|brpop %k %t|blmpop %t 2 %k %k %d %n|expire %k 1000|ttl %k|persist %k|type %k|exists %k|set %k %v|del %k`

var listDomains = map[byte][]string{
	'k': {"a", "a", "b", "c"},
	'v': {"", "x", "y", "z", "0", "7", "-12", "hello", "\r\n\xff"},
	'o': {"0", "1", "-1", "2", "-2", "3", "-3", "5", "-7", "40", "x", "-9223372036854775808"},
	'c': {"0", "1", "2", "3", "-1", "100", "x"},
	'b': {"before", "before", "after", "after", "AFTER", "beside"},
	'd': {"left", "right", "LEFT", "right", "up"},
	'm': {"", "rank 1", "rank -1", "rank 2", "rank -2", "rank 0", "count 0", "count 1", "count 2", "maxlen 2", "maxlen 0", "count -1", "foo 1", "rank"},
	'n': {"", "", "count 1", "count 2", "count 10", "count 0", "foo"},
	't': {"0.001", "0.001", "0.002", "x", "-1"},
}
