package conformance

var zsets = family{
	name: "sorted sets",
	cases: map[string][]string{
		"zadd": {
			`zadd k 1 a`, `zadd k 1 a`, `zadd k 2 a 3 b 4 c`, `zcard k`, `zscore k a`, `zscore k none`, `zscore none a`, `zscore k`, `zscore`, `zcard`, `zcard none`, `zcard k x`, `zadd`, `zadd k`, `zadd k 1`, `zadd k 1 a 2`, `zadd k nx`, `zadd k nx 1`, `zadd k a 1`, `zadd k 1 a x b`, `zscore k b`,
			`zadd k nx 9 a 9 d`, `zadd k xx 8 a 8 e`, `zadd k xx ch 7 a 8 e 4 c`, `zadd k ch 7 a 7 f 5 c`, `zadd k gt 6 a 1 z`, `zadd k gt ch 8 a 1 y`, `zadd k lt ch 9 a 5 z2`, `zadd k lt ch 5 a`, `zadd k gt xx ch 9 a 9 new`, `zadd k lt xx ch 1 a 9 new`, `zadd k GT lt 1 a`, `zadd k nx gt 1 a`, `zadd k nx lt 1 a`, `zadd k nx xx 1 a`, `zadd k nx xx gt 1 a`, `zadd k xx nx`, `zadd k gt lt a`,
			`zadd k incr 1 a`, `zadd k incr 1 a 2 b`, `zadd k incr`, `zadd k incr nx 1 a`, `zadd k incr nx 1 g`, `zadd k incr xx 1 h`, `zadd k incr xx 1 g`, `zadd k incr gt -1 g`, `zadd k incr gt 1 g`, `zadd k incr lt 1 g`, `zadd k incr lt -1 g`, `zadd k incr gt 1 i`, `zadd k incr ch 1 i`, `zadd none incr xx 1 a`, `exists none`, `zadd none xx 1 a`, `exists none`, `zadd none xx incr 1 a`, `zadd none nx 1 a`,
			`zrange k 0 -1 withscores`, `zadd k 1 dup 2 dup 1 dup`, `zadd k ch 2 dup 1 dup`, `zadd k nx 5 dup2 6 dup2`, `zscore k dup2`, `zadd k gt ch 7 dup2 6 dup2 8 dup2`, `zadd k xx ch 1 dup3 2 dup3`, `zadd k ch 1 dup4 2 dup4`, `zscore k dup4`, `zrange k 0 -1 withscores`,
			`zadd k 1 "" 2 "a\x00b" 3 "\r\n"`, `zscore k ""`, `zscore k "a\x00b"`, `zrange k 0 2 withscores`, `zadd k "nx" 1 "nx"`, `zadd k 1 nx 2 xx 3 incr`, `zscore k incr`,
		},
	},
	compare: map[string]comparison{"zscore": shortFloats, "zrange": shortFloats, "zadd": shortFloats},
}
