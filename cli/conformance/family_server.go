package conformance

// servers are commands about commands. Those about the server itself, and about connections, need a real one: cluster/resp compares its
// own with Redis.
var servers = family{
	name:  "server",
	newer: []string{"waitaof"},
	cases: map[string][]string{
		"getkeys": {
			`command getkeys get a`, `command getkeys mset a 1 b 2`, `command getkeys mset a 1 b`, `command getkeys ping`, `command getkeys nosuch a`, `command getkeys get`,
			`command getkeys zunionstore d 2 a b`, `command getkeys zunionstore d 2 a b weights 1 2`, `command getkeys zunionstore d 3 a b`, `command getkeys zunionstore d 0 a`,
			`command getkeys zunionstore d x a`, `command getkeys zinter 2 a b withscores`, `command getkeys lmpop 2 a b left`, `command getkeys lmpop 0 a left`, `command getkeys lmpop 3 a left`,
			`command getkeys blmpop 0 2 a b left`, `command getkeys bzmpop 1 1 a min`, `command getkeys sintercard 2 a b limit 1`, `command getkeys zdiffstore d 1 a`,
			`command getkeys sort k`, `command getkeys sort k by w_* get x_* store d`, `command getkeys sort k store d store e`, `command getkeys sort k limit 0 1 desc store d`, `command getkeys sort k store`,
			`command getkeys sort_ro k by w_*`, `command getkeys georadius k 1 2 3 km store d`, `command getkeys georadius k 1 2 3 km storedist d`, `command getkeys georadius k 1 2 3 km store d storedist e`,
			`command getkeys georadius k 1 2 3 km`, `command getkeys georadiusbymember k m 3 km store d`, `command getkeys georadius_ro k 1 2 3 km`, `command getkeys bitop and d a b`, `command getkeys pfmerge d a b`,
			`command getkeys object encoding k`, `command getkeys object help`, `command getkeys memory usage k`, `command getkeys copy a b`, `command getkeys rename a b`, `command getkeys smove a b m`, `command getkeys blpop a b 0`,
			`command getkeys xread streams a b 0 0`, `command getkeys xread count 1 streams a 0`, `command getkeys xread streams a b 0`, `command getkeys eval`, `command getkeys`, `command getkeys set`, `command getkeys bitfield k get u8 0`, `command getkeys zrangestore d s 0 1`, `command getkeys geosearchstore d s fromlonlat 1 2 byradius 1 km`,
		},
		"getkeysandflags": {
			`command getkeysandflags get a`, `command getkeysandflags set a b`, `command getkeysandflags set a b get`, `command getkeysandflags mset a 1 b 2`, `command getkeysandflags ping`, `command getkeysandflags nosuch a`,
			`command getkeysandflags zunionstore d 2 a b`, `command getkeysandflags zinterstore d 0 a`, `command getkeysandflags lmpop 2 a b left`, `command getkeysandflags blmpop 0 2 a b left`, `command getkeysandflags sort k`,
			`command getkeysandflags sort k by w store d`, `command getkeysandflags sort_ro k`, `command getkeysandflags georadius k 1 2 3 km store d`, `command getkeysandflags georadius k 1 2 3 km storedist d`, `command getkeysandflags georadius k 1 2 3 km`,
			`command getkeysandflags bitop and d a b`, `command getkeysandflags pfmerge d a b`, `command getkeysandflags bitfield k get u8 0`, `command getkeysandflags bitfield k set u8 0 1`, `command getkeysandflags bitfield k incrby u8 0 1`,
			`command getkeysandflags rename a b`, `command getkeysandflags copy a b`, `command getkeysandflags smove a b m`, `command getkeysandflags object encoding k`, `command getkeysandflags del a b`, `command getkeysandflags blpop a b 0`,
			`command getkeysandflags lmove a b left right`, `command getkeysandflags getex a`, `command getkeysandflags sinterstore d a b`, `command getkeysandflags zrangestore d s 0 1`, `command getkeysandflags touch a b`, `command getkeysandflags`,
			`command getkeysandflags xread streams a b 0 0`, `command getkeysandflags getdel k`, `command getkeysandflags incr k`, `command getkeysandflags expire k 1`, `command getkeysandflags getset k v`, `command getkeysandflags pfcount a b`, `command getkeysandflags setnx k v`,
		},
	},
}
