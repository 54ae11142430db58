package conformance

import (
	"bytes"
	"strings"
)

var zsets = family{
	name: "sorted sets",
	cases: map[string][]string{
		"zadd": {
			`zadd k 1 a`, `zadd k 1 a`, `zadd k 2 a 3 b 4 c`, `zcard k`, `zscore k a`, `zscore k none`, `zscore none a`, `zscore k`, `zscore`, `zcard`, `zcard none`, `zcard k x`, `zadd`, `zadd k`, `zadd k 1`, `zadd k 1 a 2`, `zadd k nx`, `zadd k nx 1`, `zadd k a 1`, `zadd k 1 a x b`, `zscore k b`,
			`zadd k nx 9 a 9 d`, `zadd k xx 8 a 8 e`, `zadd k xx ch 7 a 8 e 4 c`, `zadd k ch 7 a 7 f 5 c`, `zadd k gt 6 a 1 z`, `zadd k gt ch 8 a 1 y`, `zadd k lt ch 9 a 5 z2`, `zadd k lt ch 5 a`, `zadd k gt xx ch 9 a 9 new`, `zadd k lt xx ch 1 a 9 new`, `zadd k GT lt 1 a`, `zadd k nx gt 1 a`, `zadd k nx lt 1 a`, `zadd k nx xx 1 a`, `zadd k nx xx gt 1 a`, `zadd k xx nx`, `zadd k gt lt a`,
			`zadd k incr 1 a`, `zadd k incr 1 a 2 b`, `zadd k incr`, `zadd k incr nx 1 a`, `zadd k incr nx 1 g`, `zadd k incr xx 1 h`, `zadd k incr xx 1 g`, `zadd k incr gt -1 g`, `zadd k incr gt 1 g`, `zadd k incr lt 1 g`, `zadd k incr lt -1 g`, `zadd k incr gt 1 i`, `zadd k incr ch 1 i`, `zadd none incr xx 1 a`, `exists none`, `zadd none xx 1 a`, `exists none`, `zadd none xx incr 1 a`, `zadd none nx 1 a`,
			`zrange k 0 -1 withscores`, `zadd k 1 dup 2 dup 1 dup`, `zadd k ch 2 dup 1 dup`, `zadd k nx 5 dup2 6 dup2`, `zscore k dup2`, `zadd k gt ch 7 dup2 6 dup2 8 dup2`, `zadd k xx ch 1 dup3 2 dup3`, `zadd k ch 1 dup4 2 dup4`, `zscore k dup4`, `zrange k 0 -1 withscores`,
			`zadd many 1 a 2 b 3 c 4 d 5 e 6 f 7 g 8 h 9 i 1 a 10 j 2 b 9 a 10 a`, `zadd many ch 1 a 2 b 3 c 4 d 5 e 6 f 7 g 8 h 9 i 9 a 10 a 10 j 3 b`, `zrange many 0 -1 withscores`,
			`zadd k 1 "" 2 "a\x00b" 3 "\r\n"`, `zscore k ""`, `zscore k "a\x00b"`, `zrange k 0 2 withscores`, `zadd k "nx" 1 "nx"`, `zadd k 1 nx 2 xx 3 incr`, `zscore k incr`, `zadd k NX Ch InCr 1 q`, `zadd k nx nx ch ch 1 q`,
		},
		"scores": {
			`zadd k inf a -inf b +inf c`, `zrange k 0 -1 withscores`, `zadd k nan d`, `zadd k -nan d`, `zadd k NaN d`, `zadd k "nan(1)" d`, `zadd k incr -inf a`, `zadd k incr inf a`, `zincrby k -inf a`, `zincrby k inf b`, `zincrby k inf a`, `zincrby none nan a`, `exists none`, `zadd k infinity d INFINITY e -Infinity f iNf g`, `zadd k infinit h`, `zadd k 1e400 h`, `zadd k -1e400 h`, `zadd k 1e-400 h`, `zadd k 0e-400 h`, `zadd k 0e400 h`, `zadd k 1e-320 i`, `zscore k i`, `zadd k 5e-324 i`, `zscore k i`,
			`zadd k "" j`, `zadd k " 1" j`, `zadd k "1 " j`, `zadd k +1 j`, `zadd k 1. j`, `zadd k .5 j2`, `zadd k . j`, `zadd k 1e j`, `zadd k 1e+ j`, `zadd k 1e+2 j3`, `zadd k 1E2 j4`, `zadd k 0x10 j5`, `zadd k 0x1p-3 j6`, `zadd k 0X.8P1 j7`, `zadd k 0x j`, `zadd k 0xg j`, `zadd k 0x1p j`, `zadd k 1_000 j`, `zadd k 0x1_0p0 j`, `zadd k 0b1 j`, `zadd k 0o7 j`, `zadd k 007 j8`, `zadd k "1\x00" j`, `zadd k "1\x002" j`, `zadd k -- j`, `zadd k +-1 j`, `zadd k 1f j`, `zadd k "\t1" j`,
			`zadd k 0.1 k1 0.2 k2 0.30000000000000004 k3 1e17 k4 12345678901234567 k5 9007199254740993 k6 1e21 k7 1e-5 k8 1e-7 k9 1.7976931348623157e308 k10 -1.7976931348623157e308 k11 2.2250738585072014e-308 k12 3.0 k13 100000000000000000000 k14 4611686018427387904 k15 4611686018427387905 k16 1e22 k17 123456789.125 k18 -0.00001234 k19`, `zrange k 0 -1 withscores`, `zincrby k 0.1 k2`, `zincrby k 0.2 k1`, `zincrby k 1e308 k10`, `zincrby k 1.7976931348623157e308 k10`, `zscore k k10`,
			`zincrby k 1 a`, `zincrby k x a`, `zincrby k 1`, `zincrby`, `zincrby k 1 a b`, `zincrby k nx a`, `zincrby k nx xx`, `zincrby n 2.5 m`, `zincrby n -2.5 m`, `zincrby n -0.5 m`, `zincrby n 0 z`, `zscore n z`, `zmscore k a none b`, `zmscore none a b`, `zmscore k`, `zmscore`, `zmscore k k3 k3`,
		},
		"zrem": {
			`zadd k 1 a 2 b 3 c 4 d`, `zrem k a`, `zrem k a`, `zrem k b b none`, `zrem k c d`, `exists k`, `zrem k a`, `zrem k`, `zrem`, `zrem none a b`, `zadd k 1 a 2 b 3 c 4 d 5 e 6 f 7 g 8 h 9 i`, `zrem k a a b b c c d d e e x x`, `zrange k 0 -1`, `expire k 100`, `zrem k f`, `ttl k`, `zadd k 1 z`, `ttl k`, `zrem k f g h i z`, `ttl k`, `zadd k 1 a`, `ttl k`, `pexpireat k 1`, `zcard k`, `zadd k 1 b`, `ttl k`, `zrange k 0 -1`,
		},
		"zrange by rank": {
			`zadd k 1 a 2 b 3 c 4 d 5 e 5 f 5 g`, `zrange k 0 -1`, `zrange k 0 0`, `zrange k 1 3`, `zrange k -3 -1`, `zrange k -100 100`, `zrange k 5 2`, `zrange k 7 8`, `zrange k 6 6`, `zrange k 5 6`, `zrange k -1 -1`, `zrange k -1 0`, `zrange k -7 -7`, `zrange k -8 -8`, `zrange k 4 -2`, `zrange k 0 -1 rev`, `zrange k 5 6 rev`, `zrange k -2 -1 rev withscores`, `zrange k 1 2 WITHSCORES`, `zrange k 1 2 withscores withscores`, `zrange k 0 9223372036854775807`, `zrange k -9223372036854775808 -1`, `zrange k -9223372036854775808 -9223372036854775808`, `zrange k 9223372036854775807 9223372036854775807`, `zrange k 9223372036854775808 1`, `zrange k 1.0 2`, `zrange k a b`, `zrange k "" 1`, `zrange k (1 2`,
			`zrange k 0 -1 limit 0 1`, `zrange k 0 -1 limit 0 -1`, `zrange k 0 -1 limit a 1`, `zrange k 0 -1 limit 1`, `zrange k 0 -1 limit`, `zrange k 0 -1 foo`, `zrange k 0 -1 rev rev`, `zrange k 0`, `zrange k`, `zrange`, `zrange none 0 -1`, `zrange none a b`, `zrange none 0 -1 withscores`, `zrevrange k 0 -1`, `zrevrange k 0 2 withscores`, `zrevrange k -2 -1`, `zrevrange k 5 6`, `zrevrange k 6 6`, `zrevrange k 0 -1 rev`, `zrevrange k 0 -1 byscore`, `zrevrange k 0 -1 limit 0 1`, `zrevrange k 0 -1 limit 0 -1`, `zrevrange k 0`, `zrevrange none 0 -1`,
		},
		"zrange by score": {
			`zadd k 1 a 2 b 3 c 4 d 5 e 5 f 5 g -1.5 n 0 z inf i -inf j 1.5 h`, `zrange k 1 3 byscore`, `zrange k (1 3 byscore`, `zrange k (1 (3 byscore`, `zrange k 1 (3 byscore`, `zrange k -inf +inf byscore`, `zrange k (-inf (+inf byscore`, `zrange k -inf -inf byscore`, `zrange k (-inf -inf byscore`, `zrange k inf inf byscore`, `zrange k inf (inf byscore`, `zrange k (inf inf byscore`, `zrange k 3 1 byscore`, `zrange k 2 2 byscore`, `zrange k (2 2 byscore`, `zrange k 2 (2 byscore`, `zrange k (2 (2 byscore`, `zrange k (1.5 2 byscore`, `zrange k (0 1 byscore`, `zrange k (-1.5 (1.5 byscore withscores`, `zrange k "(1" 1e300 byscore`, `zrange k 5 5 byscore`, `zrange k 5.0000000000000001 5 byscore`, `zrange k 1 3 byscore rev`, `zrange k 3 1 byscore rev`, `zrange k 3 1 rev byscore withscores`, `zrange k +inf -inf byscore rev`, `zrange k (5 (1 byscore rev`,
			`zrange k -inf inf byscore limit 0 2`, `zrange k -inf inf byscore limit 2 3`, `zrange k -inf inf byscore limit 10 5`, `zrange k -inf inf byscore limit 100 5`, `zrange k -inf inf byscore limit 0 0`, `zrange k -inf inf byscore limit 0 -1`, `zrange k -inf inf byscore limit 3 -1`, `zrange k -inf inf byscore limit 3 -5`, `zrange k -inf inf byscore limit -1 5`, `zrange k -inf inf byscore limit -1 -1`, `zrange k inf -inf byscore rev limit 1 2 withscores`, `zrange k inf -inf byscore rev limit 1 -1`, `zrange k -inf inf byscore limit 1 2 limit 3 4`, `zrange k -inf inf limit 0 1 byscore`, `zrange k -inf inf byscore limit a 1`, `zrange k -inf inf byscore limit 1 b`, `zrange k -inf inf byscore limit 1`, `zrange k -inf inf byscore limit 1.5 2`, `zrange k a b byscore limit x y`, `zrange k a b byscore foo`,
			`zrange k a b byscore`, `zrange k 1 b byscore`, `zrange k (a 1 byscore`, `zrange k nan 1 byscore`, `zrange k 1 nan byscore`, `zrange k (nan 1 byscore`, `zrange k "" 5 byscore`, `zrange k "" "" byscore`, `zrange k ( 5 byscore`, `zrange k " 1" 5 byscore`, `zrange k "1 " 5 byscore`, `zrange k " " 5 byscore`, `zrange k "( 1" 5 byscore`, `zrange k "( " 5 byscore`, `zrange k ((1 5 byscore`, `zrange k [1 5 byscore`, `zrange k "1\x00x" 5 byscore`, `zrange k "\x00x" 5 byscore`, `zrange k 1e400 inf byscore`, `zrange k 1e-400 1 byscore`, `zrange k (1e-400 1 byscore`, `zrange k -1e400 0 byscore`, `zrange k 0x1 0x2 byscore`, `zrange k +1 5 byscore`, `zrange k -0 0 byscore`, `zrange k (-0 1 byscore`, `zrange k 1 2 byscore bylex`, `zrange k 1 2 byscore byscore`, `zrange k 1 2 bylex byscore`, `zrange none 1 2 byscore`, `zrange none a 2 byscore`,
			`zrangebyscore k 1 3`, `zrangebyscore k (1 3 withscores`, `zrangebyscore k 1 3 withscores limit 1 1`, `zrangebyscore k 1 3 limit 1 1 withscores`, `zrangebyscore k 3 1`, `zrangebyscore k a 1`, `zrangebyscore k 1 2 rev`, `zrangebyscore k 1 2 byscore`, `zrangebyscore k 1 2 bylex`, `zrangebyscore k 1`, `zrangebyscore k`, `zrangebyscore none 1 2`, `zrangebyscore k 1 2 limit 1`, `zrangebyscore k -inf +inf limit 2 -1`,
			`zrevrangebyscore k 3 1`, `zrevrangebyscore k 3 (1 withscores`, `zrevrangebyscore k 1 3`, `zrevrangebyscore k +inf -inf limit 1 3`, `zrevrangebyscore k +inf -inf limit 1 -3`, `zrevrangebyscore k (5 1 withscores limit 0 2`, `zrevrangebyscore k a 1`, `zrevrangebyscore k 1 a`, `zrevrangebyscore k 1`, `zrevrangebyscore none 2 1`, `zrevrangebyscore k 3 1 rev`,
			`zcount k 1 3`, `zcount k (1 3`, `zcount k (1 (3`, `zcount k -inf +inf`, `zcount k -inf (inf`, `zcount k 5 5`, `zcount k 3 1`, `zcount k a 1`, `zcount k 1 a`, `zcount none 1 2`, `zcount none a 1`, `zcount k 1`, `zcount k 1 2 3`, `zcount k`,
		},
		"zrange by lex": {
			`zadd k 0 a 0 b 0 c 0 d 0 e 0 f 0 "" 0 aa 0 "a\x00" 0 "\xff"`, `zrange k - + bylex`, `zrange k [b [d bylex`, `zrange k (b [d bylex`, `zrange k (b (d bylex`, `zrange k [b (d bylex`, `zrange k - [c bylex`, `zrange k - (c bylex`, `zrange k [c + bylex`, `zrange k (c + bylex`, `zrange k [ + bylex`, `zrange k ( + bylex`, `zrange k [a [a bylex`, `zrange k (a [a bylex`, `zrange k [a (a bylex`, `zrange k [d [b bylex`, `zrange k + - bylex`, `zrange k + + bylex`, `zrange k - - bylex`, `zrange k [b - bylex`, `zrange k + [b bylex`, `zrange k (a (aa bylex`, `zrange k "[a\x00" "(aa" bylex`, `zrange k [zz + bylex`, `zrange k "(\xff" + bylex`, `zrange k - "(" bylex`, `zrange k - "[" bylex`,
			`zrange k [d [b bylex rev`, `zrange k + - bylex rev`, `zrange k (d (b rev bylex`, `zrange k - + rev bylex`, `zrange k + [c bylex rev limit 1 2`, `zrange k - + bylex limit 1 3`, `zrange k - + bylex limit 5 -1`, `zrange k - + bylex limit 0 0`, `zrange k - + bylex limit -1 2`, `zrange k - + bylex limit 50 2`, `zrange k - + bylex withscores`, `zrange k a b bylex`, `zrange k [a b bylex`, `zrange k a [b bylex`, `zrange k "" + bylex`, `zrange k -a + bylex`, `zrange k - +a bylex`, `zrange k - ++ bylex`, `zrange none - + bylex`, `zrange none a + bylex`,
			`zrangebylex k [b [d`, `zrangebylex k - + limit 1 2`, `zrangebylex k - + withscores`, `zrangebylex k - + rev`, `zrangebylex k - + bylex`, `zrangebylex k a b`, `zrangebylex k -`, `zrangebylex none - +`, `zrevrangebylex k [d [b`, `zrevrangebylex k + -`, `zrevrangebylex k + - limit 1 2`, `zrevrangebylex k - +`, `zrevrangebylex k b a`, `zrevrangebylex none + -`, `zrevrangebylex k +`,
			`zlexcount k - +`, `zlexcount k [b [d`, `zlexcount k (b (d`, `zlexcount k [d [b`, `zlexcount k + -`, `zlexcount k a b`, `zlexcount none - +`, `zlexcount none a b`, `zlexcount k -`, `zlexcount k - + x`, `zlexcount k - - `, `zlexcount k + +`,
			`zadd m 1 c 2 a 3 d 4 b 5 e`, `zrange m [b [d bylex`, `zrange m - [c bylex`, `zrange m [c + bylex`, `zrange m [d + bylex`, `zrange m [b + bylex`, `zrange m (a (e bylex`, `zrange m [d [b bylex rev`, `zrange m + [c bylex rev`, `zrange m [c - bylex rev`, `zrange m (e - bylex rev`, `zlexcount m [b [d`, `zlexcount m [a [c`, `zlexcount m - +`, `zrange m [c + bylex limit 1 2`, `zremrangebylex m [a [c`, `zrange m 0 -1`,
		},
		"zrangestore": {
			`zadd k 1 a 2 b 3 c 4 d`, `zrangestore d k 0 -1`, `zrange d 0 -1 withscores`, `zrangestore d k 1 2`, `zrange d 0 -1 withscores`, `zrangestore d k 1 2 rev`, `zrange d 0 -1 withscores`, `zrangestore d k 2 3 byscore`, `zrange d 0 -1 withscores`, `zrangestore d k 3 (1 byscore rev limit 0 1`, `zrange d 0 -1 withscores`, `zrangestore d k [b [c bylex`, `zrange d 0 -1 withscores`, `zrangestore d k 0 -1 withscores`, `zrangestore d k 0 -1 limit 0 1`, `zrangestore d k a b`, `zrangestore d k 0`, `zrangestore d k`, `exists d`, `zrangestore d k 5 6`, `exists d`, `zrangestore d none 0 -1`, `zrangestore d none a b`, `set s x`, `zrangestore s k 0 0`, `type s`, `zrange s 0 -1`, `set s x`, `zrangestore s none 0 -1`, `exists s`, `set s x`, `zrangestore k s 0 -1`, `exists k`, `zrangestore k k 1 2`, `zrange k 0 -1 withscores`, `expire k 100`, `zrangestore k k 0 -1`, `ttl k`, `rpush l x`, `zrangestore d l 0 -1`, `zrangestore l k 0 -1`, `type l`,
		},
		"zrank": {
			`zadd k 1 a 2 b 2 c 3 d inf e -inf f`, `zrank k a`, `zrank k f`, `zrank k e`, `zrank k c`, `zrank k none`, `zrank none a`, `zrank k`, `zrank`, `zrevrank k a`, `zrevrank k f`, `zrevrank k e`, `zrevrank k c`, `zrevrank k none`, `zrevrank none a`, `zrevrank k`,
		},
		"zremrange": {
			`zadd k 1 a 2 b 3 c 4 d 5 e 6 f 7 g`, `zremrangebyrank k 0 0`, `zremrangebyrank k -1 -1`, `zremrangebyrank k 1 2`, `zrange k 0 -1 withscores`, `zremrangebyrank k 5 9`, `zremrangebyrank k 2 1`, `zremrangebyrank k a 1`, `zremrangebyrank k 1 a`, `zremrangebyrank k 0`, `zremrangebyrank k 0 1 2`, `zremrangebyrank none 0 1`, `zremrangebyrank none a 1`, `zremrangebyrank k 0 -1`, `exists k`,
			`zadd k 1 a 2 b 3 c 4 d 5 e 6 f 7 g`, `zremrangebyscore k (1 2`, `zremrangebyscore k 6 +inf`, `zrange k 0 -1`, `zremrangebyscore k a 1`, `zremrangebyscore k 1 a`, `zremrangebyscore k 5 1`, `zremrangebyscore k 1`, `zremrangebyscore k 1 2 3`, `zremrangebyscore none 1 2`, `zremrangebyscore k -inf +inf`, `exists k`,
			`zadd k 0 a 0 b 0 c 0 d 0 e`, `zremrangebylex k [b (d`, `zrange k 0 -1`, `zremrangebylex k a b`, `zremrangebylex k [d [a`, `zremrangebylex k -`, `zremrangebylex k - + 1`, `zremrangebylex none - +`, `zremrangebylex k - +`, `exists k`, `zadd k 1 a 2 b`, `expire k 100`, `zremrangebyrank k 0 0`, `ttl k`,
		},
		"zpop": {
			`zadd k 1 a 2 b 3 c 4 d 5 e 6 f 7 g`, `zpopmin k`, `zpopmax k`, `zpopmin k 2`, `zpopmax k 2`, `zpopmin k 0`, `zpopmin k -1`, `zpopmin k a`, `zpopmin k 1 2`, `zpopmin k ""`, `zpopmin k 1.5`, `zpopmin`, `zpopmin none`, `zpopmin none 2`, `zpopmin none 0`, `zpopmax none`, `zpopmax k 100`, `exists k`, `set s x`, `zpopmin s`, `zpopmin s 0`, `zpopmin s -1`, `zpopmax s a`,
			`zmpop 1 k min`, `zadd k 1 a 2 b 3 c 4 d`, `zmpop 1 k min`, `zmpop 2 none k max count 2`, `zmpop 2 none k MIN COUNT 10`, `zmpop 1 k min`, `exists k`, `zadd k 1 a`, `zadd l 2 b`, `zmpop 2 k l min count 5`, `zmpop 2 k l min count 5`, `zmpop 2 s l min`, `zmpop 2 k s min`, `zadd k 1 a`, `zmpop 2 k s min`, `zmpop 0 k min`, `zmpop -1 k min`, `zmpop a k min`, `zmpop 1 k`, `zmpop 1 k foo`, `zmpop 2 k min`, `zmpop 3 k min`, `zmpop 1 k l min`, `zmpop 1 k min count`, `zmpop 1 k min count 0`, `zmpop 1 k min count -1`, `zmpop 1 k min count a`, `zmpop 1 k min count 1 count 1`, `zmpop 1 k min foo 1`, `zmpop 1 k min count 1 x`, `zmpop 9223372036854775807 k min`, `zmpop`, `zmpop 1 k min max`,
			`zadd k 1 a 2 b 3 c`, `bzpopmin k 0`, `bzpopmax none k 0`, `bzpopmin k none 0.5`, `bzpopmin k 0.01`, `bzpopmax k l 0.01`, `bzpopmin k x`, `bzpopmin k -1`, `bzpopmin k ""`, `bzpopmin k nan`, `bzpopmin k -inf`, `bzpopmin k " 1"`, `bzpopmin k`, `bzpopmin`, `bzpopmin s 0`, `bzpopmin none s 0`, `zadd k 1 a 2 b 3 c`, `bzpopmin k s 0`, `bzmpop 0 1 k min`, `bzmpop 0.01 2 none k max count 5`, `bzmpop 0.01 1 k min`, `bzmpop x 1 k min`, `bzmpop -1 1 k min`, `bzmpop x 0 k min`, `bzmpop 0 0 k min`, `bzmpop 0 1 k foo`, `bzmpop 0 2 k min`, `bzmpop 0 1 k min count 0`, `bzmpop 0 1 k min count`, `bzmpop 0 1 s min`, `bzmpop 0 2 none s min`, `bzmpop 0 1 k`, `bzmpop 0 1`, `zadd k 1 a`, `expire k 100`, `zadd k 2 b`, `zpopmin k`, `ttl k`,
		},
		"combinations": {
			`zadd a 1 x 2 y 3 z`, `zadd b 10 y 20 z 30 w`, `zadd c inf x -inf y 0 z`, `sadd s x y q`, `zunion 2 a b`, `zunion 2 a b withscores`, `zunion 1 a`, `zunion 2 a none withscores`, `zunion 2 none none2`, `zunion 2 a a withscores`, `zunion 3 a b c withscores`, `zunion 2 c c weights 1 -1 withscores`, `zunion 2 a s withscores`, `zunion 1 s withscores`, `zunion 2 a b weights 2 3 withscores`, `zunion 2 a b weights 2 3 aggregate min withscores`, `zunion 2 a b aggregate MAX withscores`, `zunion 2 a b aggregate max aggregate sum withscores`, `zunion 2 a b withscores withscores`, `zunion 2 a b weights 0.1 -0.5 withscores weights 1 1`, `zunion 2 a c weights 0 0 withscores`, `zunion 2 a c weights inf inf withscores`, `zunion 1 c weights 0 withscores`, `zunion 1 c weights -0 withscores`, `zunion 1 a weights -0 withscores`,
			`zunion 2 a b weights 1`, `zunion 2 a b weights 1 x`, `zunion 2 a b weights 1 nan`, `zunion 2 a b weights 1 inf withscores`, `zunion 2 a b weights`, `zunion 2 a b aggregate`, `zunion 2 a b aggregate foo`, `zunion 2 a b foo`, `zunion 0 a`, `zunion -1 a`, `zunion x a`, `zunion 3 a b`, `zunion 9223372036854775807 a b`, `zunion 1`, `zunion`, `zunion 1 a b`, `zunion 2 a b limit 1`, `set str x`, `zunion 2 a str`, `zunion 2 a str foo`, `zunion 2 str a`, `zunion 3 a str`,
			`zinter 2 a b`, `zinter 2 a b withscores`, `zinter 3 a b c withscores`, `zinter 2 a s withscores`, `zinter 2 s a withscores`, `zinter 2 a none`, `zinter 1 a withscores`, `zinter 2 a a withscores`, `zinter 2 a b weights 2 3 withscores`, `zinter 2 a b weights 2 3 aggregate min withscores`, `zinter 2 a b aggregate max withscores`, `zinter 2 a c weights 0 0 withscores`, `zinter 2 c c weights 1 -1 withscores`, `zinter 2 c a weights 0 1 aggregate min withscores`, `zinter 2 a c weights 1 0 aggregate min withscores`, `zinter 2 a c weights 1 0 aggregate max withscores`, `zinter 0 a`, `zinter 2 a str`, `zinter 2 none str`, `zinter 2 a`, `zinter x a`, `zinter`,
			`zdiff 2 a b`, `zdiff 2 a b withscores`, `zdiff 2 b a withscores`, `zdiff 1 a withscores`, `zdiff 2 a a`, `zdiff 2 a none withscores`, `zdiff 2 none a`, `zdiff 3 a b c`, `zdiff 2 a s withscores`, `zdiff 2 s a withscores`, `zdiff 2 a b weights 1 2`, `zdiff 2 a b aggregate min`, `zdiff 2 a b foo`, `zdiff 0 a`, `zdiff 2 a str`, `zdiff 2 a`, `zdiff`,
			`zintercard 2 a b`, `zintercard 2 a b limit 1`, `zintercard 2 a b limit 0`, `zintercard 2 a b limit 5`, `zintercard 2 a b limit -1`, `zintercard 2 a b limit x`, `zintercard 2 a b limit`, `zintercard 2 a b foo`, `zintercard 2 a b withscores`, `zintercard 2 a b weights 1 1`, `zintercard 2 a b limit 1 limit 2`, `zintercard 2 a none`, `zintercard 1 a`, `zintercard 2 a s`, `zintercard 0 a`, `zintercard 2 a str`, `zintercard`, `zintercard x a`,
			`zunionstore d 2 a b`, `zrange d 0 -1 withscores`, `zunionstore d 2 a b weights 2 3 aggregate max`, `zrange d 0 -1 withscores`, `zunionstore d 2 a b withscores`, `zinterstore d 2 a b`, `zrange d 0 -1 withscores`, `zinterstore d 2 a b withscores`, `zinterstore d 2 a b weights 1 x`, `zinterstore d 2 a b aggregate foo`, `zdiffstore d 2 a b`, `zrange d 0 -1 withscores`, `zdiffstore d 2 a b withscores`, `zdiffstore d 2 a a`, `exists d`, `zdiffstore d 1 a`, `zinterstore d 2 a none`, `exists d`, `set d x`, `zunionstore d 1 a`, `type d`, `set d x`, `zinterstore d 2 a none`, `exists d`, `zunionstore d 0 a`, `zunionstore d x a`, `zunionstore d 3 a b`, `zunionstore d 1 str`, `zunionstore d`, `zunionstore d 1`, `zinterstore d 0 a`, `zdiffstore d 0 a`, `zunionstore a 2 a b`, `zrange a 0 -1 withscores`, `expire a 100`, `zunionstore a 1 a`, `ttl a`, `zunionstore d 2 a s`, `zrange d 0 -1 withscores`, `zunionstore d 2 s s weights 0.5 0.25`, `zrange d 0 -1 withscores`, `zunionstore s 1 s`, `type s`, `zinterstore d 2 a a aggregate sum`, `zrange d 0 -1 withscores`,
		},
		"zrandmember": {
			`zrandmember none`, `zrandmember none 5`, `zrandmember none -5 withscores`, `zadd k 1 a`, `zrandmember k`, `zrandmember k 1`, `zrandmember k 5 withscores`, `zrandmember k -3 withscores`, `zrandmember k 0`, `zrandmember k 0 withscores`, `zadd k 2 b 3 c 4 d 5 e`, `zrandmember k`, `zrandmember k 2`, `zrandmember k 4 withscores`, `zrandmember k 5`, `zrandmember k 50 withscores`, `zrandmember k -20`, `zrandmember k -20 withscores`, `zrandmember k x`, `zrandmember k 1.5`, `zrandmember k 1 foo`, `zrandmember k 1 withscores x`, `zrandmember k -9223372036854775808`, `zrandmember k -9223372036854775807 withscores`, `zrandmember k 9223372036854775807 withscores`, `zrandmember k 4611686018427387904 withscores`, `zrandmember k 9223372036854775807`, `zrandmember`, `set s x`, `zrandmember s`, `zrandmember s 1`, `zrandmember s x`,
		},
		"wrong type": {
			`set s x`, `zadd s 1 a`, `zadd s x a`, `zadd s xx 1 a`, `zadd s incr 1 a`, `zincrby s 1 a`, `zincrby s x a`, `zrem s a`, `zscore s a`, `zmscore s a b`, `zcard s`, `zcount s 1 2`, `zcount s a 2`, `zlexcount s - +`, `zrank s a`, `zrevrank s a`, `zrange s 0 -1`, `zrange s a -1`, `zrange s 0 1 byscore`, `zrange s - + bylex`, `zrevrange s 0 -1`, `zrangebyscore s 0 1`, `zrevrangebyscore s 0 1`, `zrangebylex s - +`, `zrevrangebylex s + -`, `zremrangebyrank s 0 1`, `zremrangebyscore s 0 1`, `zremrangebylex s - +`, `zpopmin s`, `zpopmax s 1`, `zunion 1 s`, `zinter 1 s`, `zdiff 1 s`, `zintercard 1 s`, `zrangestore d s 0 1`, `get s`, `zadd z 1 a`, `get z`, `incr z`, `append z x`, `sadd z x`, `hset z f v`, `lpush z x`, `type z`,
		},
	},
	differences: []Difference{
		{Setup: []string{`zadd k 1 a`}, Line: `zrank k a withscore`, Ours: "*2\r\n:0\r\n", Redis: "-ERR wrong number of arguments for 'zrank' command", Reason: "Redis 7.2's"},
		{Setup: []string{`zadd k 1 a`}, Line: `zrevrank k a foo`, Ours: "-ERR syntax error", Redis: "-ERR wrong number of arguments for 'zrevrank' command", Reason: "Redis 7.2's"},
		{Setup: []string{`zadd k 1 a`}, Line: `bzpopmin none inf`, Ours: "-ERR timeout is out of range", Redis: "-ERR timeout is negative", Reason: "Redis 7.2's"},
	},
	newer: []string{"zrank", "zrevrank"}, // 7.2 knows more arguments of theirs
	compare: map[string]comparison{
		"zscore": shortFloats, "zmscore": shortFloats, "zadd": shortFloats, "zincrby": shortFloats, "zrange": shortFloats, "zrevrange": shortFloats, "zrangebyscore": shortFloats,
		"zrevrangebyscore": shortFloats, "zpopmin": shortFloats, "zpopmax": shortFloats, "zmpop": shortFloats, "bzpopmin": shortFloats, "bzpopmax": shortFloats, "bzmpop": shortFloats,
		"zunion": shortFloats, "zinter": shortFloats, "zdiff": shortFloats, "zrank": rankArgs, "zrevrank": rankArgs,
	},
	check: map[string]func(p *pair, args [][]byte){"zrandmember": (*pair).randomMembers},
	templates: strings.Join([]string{
		`zadd %k %s %m|zadd %k %s %m %s %m|zadd %k %o %s %m|zadd %k %o %o %s %m %s %m|zadd %k %o %o %s %m|zadd %k 0 %m 0 %m 0 %m 0 %m|zadd %k 1 %m 2 %m 3 %m %s %m %s %m|zadd %k %o incr %s %m|zincrby %k %s %m`,
		`zrem %k %m|zrem %k %m %m %m|zscore %k %m|zmscore %k %m %m|zcard %k|zcount %k %b %b|zlexcount %k %x %x|zrank %k %m|zrevrank %k %m|expire %k 1000|del %k|set %k x|sadd %k %m %m`,
		`zrange %k %i %i|zrange %k %i %i %u %u|zrange %k %b %b byscore %u %u|zrange %k %b %b byscore rev %u %u|zrange %k %x %x bylex %u|zrange %k %x %x bylex rev %u|zrevrange %k %i %i %u|zrangebyscore %k %b %b %u %u|zrevrangebyscore %k %b %b %u|zrangebylex %k %x %x %u|zrevrangebylex %k %x %x %u`,
		`zrangestore %k %k %i %i %u|zrangestore %k %k %b %b byscore %u|zrangestore %k %k %x %x bylex %u|zremrangebyrank %k %i %i|zremrangebyscore %k %b %b|zremrangebylex %k %x %x`,
		`zpopmin %k|zpopmax %k|zpopmin %k %i|zpopmax %k %i|zmpop 1 %k %w|zmpop 2 %k %k %w|bzpopmin %k %k 0.001|bzpopmax %k 0.001|bzmpop 0.001 2 %k %k %w`,
		`zunion 2 %k %k %g %g|zunion 3 %k %k %k %g withscores|zinter 2 %k %k %g %g|zinter 2 %k %k %g withscores|zdiff 2 %k %k withscores|zdiff 3 %k %k %k|zintercard 2 %k %k|zintercard 2 %k %k limit %i`,
		`zunionstore %k 2 %k %k %g|zinterstore %k 2 %k %k %g|zdiffstore %k 2 %k %k|zunionstore %k 1 %k|zrandmember %k|zrandmember %k %i|zrandmember %k %i withscores`,
	}, "|"),
	domains: map[byte][]string{
		'k': {"a", "b", "c", "{a}b"},
		'm': {"", "a", "b", "c", "d", "aa", "a\x00", "\xff"},
		's': {"0", "0", "1", "1", "2", "-1", "1.5", "0.1", "1e20", "inf", "-inf", "x", "nan", "3", "4"},
		'o': {"", "nx", "xx", "gt", "lt", "ch", "ch", "incr"},
		'b': {"0", "(0", "1", "(1", "2", "(1.5", "-1", "inf", "-inf", "+inf", "(-inf", "(inf", "0.1", "x", ""},
		'x': {"-", "+", "-", "+", "[a", "(a", "[b", "(b", "[c", "[", "(", "[aa", "(\xff", "x", ""},
		'i': {"0", "1", "-1", "2", "-3", "5", "-7", "40", "x"},
		'u': {"", "", "withscores", "limit 0 2", "limit 1 -1", "limit 1 1", "limit -1 2", "rev", "limit 9 1", "foo"},
		'w': {"min", "max", "min count 2", "max count 3", "min count 0", "foo"},
		'g': {"", "weights 1 2", "weights 0.5 -1", "weights inf 0", "weights 1 x", "aggregate min", "aggregate max", "aggregate sum", "withscores", "foo"},
	},
	options: "ouwg",
}

// rankArgs compares replies to ZRANK, of which Redis 7.0 refuses a fourth argument: 7.2 takes one.
func rankArgs(args [][]byte, got, want []byte) bool {
	return len(args) == 4 && bytes.HasPrefix(want, []byte("-ERR wrong number")) && (strings.EqualFold(string(args[3]), "withscore") || string(got) == "-ERR syntax error\r\n")
}

// randomMembers judges ZRANDMEMBER: both sides reply errors and lengths alike, and ours only members that are there, with their scores, and none twice
// unless the count is negative.
func (p *pair) randomMembers(args [][]byte) {
	p.tb.Helper()
	got, want := p.ours.Do(args...), p.oracle.Do(args...)
	a, _ := parseReply(got)
	b, _ := parseReply(want)
	wrong := a.kind != b.kind || len(a.parts) != len(b.parts)
	if a.parts == nil {
		wrong = wrong || a.kind != '$' && !bytes.Equal(got, want) || a.kind == '$' && (len(a.text) == 0) != (len(b.text) == 0) && a.text == "-1"
	}
	if len(args) > 1 && !wrong && a.kind != '-' {
		wrong = !p.areMembers(args, a)
	}
	if wrong {
		p.tb.Errorf("%q: %.300q, and Redis says %.300q; after\n  %s", args, got, want, strings.Join(tail(p.history, 12), "\n  "))
	}
}

func (p *pair) areMembers(args [][]byte, reply node) bool {
	all, _ := parseReply(p.ours.Do([]byte("zrange"), args[1], []byte("0"), []byte("-1"), []byte("withscores")))
	there, withScores := all.scored(true), len(args) > 3
	drawn := reply.scored(withScores)
	if reply.parts == nil && reply.kind == '$' && reply.text != "-1" {
		drawn = [][2]string{{reply.text, ""}}
	}
	seen := map[string]bool{}
	repeats := len(args) > 2 && args[2][0] == '-'
	for _, d := range drawn {
		ok := false
		for _, m := range there {
			ok = ok || m[0] == d[0] && (!withScores || m[1] == d[1])
		}
		if !ok || seen[d[0]] && !repeats {
			return false
		}
		seen[d[0]] = true
	}
	return true
}

// scored gives members and scores of an array of either protocol.
func (n node) scored(withScores bool) (list [][2]string) {
	for i := 0; i < len(n.parts); i++ {
		switch part := n.parts[i]; {
		case part.parts != nil:
			list = append(list, [2]string{part.parts[0].text, part.parts[1].text})
		case withScores && i+1 < len(n.parts):
			list = append(list, [2]string{part.text, n.parts[i+1].text})
			i++
		default:
			list = append(list, [2]string{part.text})
		}
	}
	return list
}
