package conformance

// cases are stories: each starts with nothing, and every line is compared. EXPIRE with GT or LT never meets a time that is
// equal but for the moment at which it was given: two servers may disagree on that.
var cases = map[string][]string{
	"get and set": {
		`get k`, `set k v`, `GET k`, `gEt k`, `get`, `get a b`, `set k`, `set`, `set k "" `, `get k`, `set "" v`, `get ""`,
		`set "a\x00b\r\n" "\x00\xff\r\n"`, `get "a\x00b\r\n"`, `strlen "a\x00b\r\n"`, `exists ""`,
		`set k v nx`, `set n v nx`, `set n w xx`, `set m w xx`, `get n`, `get m`, `set m v nx get`, `get m`, `set m w nx get`, `get m`,
		`set z v xx get`, `get z`, `set m v2 xx get`, `get m`, `set m v EX 100 ex 200`, `ttl m`, `set m v nx nx get GET`, `set m v xx xx`,
	},
	"set and time": {
		`set k v ex 100`, `ttl k`, `set k w keepttl`, `ttl k`, `get k`, `set k w`, `ttl k`, `set k v px 100000`, `pttl k`,
		`set k v exat 4102444800`, `expiretime k`, `set k v pxat 4102444800123`, `pexpiretime k`, `expiretime k`,
		`set k v ex 0`, `set k v ex -1`, `set k v px 0`, `set k v exat 0`, `set k v pxat -5`, `set k v ex abc`, `set k v ex 1.5`, `set k v ex ""`,
		`set k v ex 9223372036854775807`, `set k v px 9223372036854775807`, `set k v ex 9223372036854775`, `set k v exat 9223372036854775`,
		`pexpiretime k`, `expiretime k`, `set k v exat 9223372036854776`, `set k v pxat 9223372036854775807`, `pexpiretime k`, `ttl k`,
		`set k v ex`, `set k v ex 10 px 10`, `set k v ex 10 keepttl`, `set k v keepttl ex 10`, `set k v persist`, `set k v nx xx`, `set k v xx nx`,
		`set k v get ex 10 nx`, `set k v ex nx`, `set k v nx ex abc`, `set new v xx ex abc`, `set new v keepttl`, `ttl new`, `set k v keepttl keepttl`,
		`set old v pxat 1`, `get old`, `exists old`, `ttl old`, `type old`, `persist old`, `set old w xx`, `set old w nx keepttl`, `ttl old`,
		`set old v exat 1`, `append old x`, `get old`, `ttl old`, `set old v pxat 1`, `incr old`, `ttl old`, `set old v pxat 1`, `del old`,
		`set old v pxat 1`, `expire old 100`, `getdel old`, `getex old persist`, `getset old x`, `ttl old`, `set old v pxat 1`, `setnx old y`, `get old`,
	},
	"setex": {
		`setex k 10 v`, `ttl k`, `psetex k 10000 w`, `pttl k`, `get k`, `setex k 0 v`, `setex k -1 v`, `setex k x v`, `psetex k 0 v`, `setex k 9223372036854775807 v`,
		`psetex k 9223372036854775807 v`, `setex k 10`, `setex k 10 v w`, `get k`, `setnx k v`, `setnx l v`, `get l`, `setnx l`, `getset l w`, `get l`, `getset q w`, `get q`, `getset q`,
		`setex k 100 v`, `getset k w`, `ttl k`, `setnx`, `psetex k`,
	},
	"getdel and getex": {
		`set k v`, `getdel k`, `getdel k`, `get k`, `set k v`, `getex k`, `ttl k`, `getex k ex 100`, `ttl k`, `getex k persist`, `ttl k`, `getex k persist`,
		`getex k px 100000`, `pttl k`, `getex k exat 4102444800`, `expiretime k`, `getex k pxat 4102444800000`, `pexpiretime k`, `getex k ex 10 persist`,
		`getex k persist ex 10`, `getex k persist persist`, `getex k keepttl`, `getex k nx`, `getex k ex`, `getex k ex 0`, `getex k ex abc`, `getex k ex -1`, `getex none ex abc`, `getex none ex`, `getex none`,
		`getex k exat 1`, `get k`, `exists k`, `set k v`, `getex k pxat 1`, `get k`, `getex`, `getdel`, `getdel a b`,
	},
	"ranges": {
		`getrange k 0 -1`, `set k "Hello World"`, `getrange k 0 -1`, `getrange k 0 0`, `getrange k -3 -1`, `getrange k -1 -3`, `getrange k 5 2`, `getrange k 100 200`, `getrange k -100 -50`, `getrange k -100 3`,
		`getrange k 0 9223372036854775807`, `getrange k -9223372036854775808 9223372036854775807`, `getrange k -9223372036854775808 -9223372036854775808`, `getrange k 9223372036854775807 9223372036854775807`, `getrange k 1.0 2`, `getrange k a b`, `getrange none a 1`, `getrange k 0`,
		`substr k 0 4`, `substr k -5 -1`, `substr none 0 1`, `substr k x 1`, `substr k 1`, `set e ""`, `getrange e 0 -1`, `getrange e -1 0`, `getrange k 3 -9`, `getrange k -11 -11`, `getrange k -12 -12`,
		`setrange k 6 Redis`, `get k`, `setrange k 0 ""`, `setrange none 5 ""`, `exists none`, `setrange none 5 abc`, `get none`, `setrange k 20 x`, `get k`, `setrange k -1 x`, `setrange k x x`, `setrange k 3 x`, `get k`,
		`setrange k 9223372036854775807 x`, `setrange none2 9223372036854775807 x`, `setrange k 536870912 x`, `setrange none2 536870912 x`, `setrange k 9223372036854775807 ""`, `setrange k -1 ""`, `setrange k 1`, `strlen k`, `strlen none3`, `strlen`,
		`setrange k 9223372036854775808 x`, `append k x`, `append k ""`, `append fresh ""`, `exists fresh`, `append fresh abc`, `get fresh`, `append fresh`, `expire fresh 100`, `append fresh d`, `ttl fresh`, `setrange fresh 1 ZZ`, `ttl fresh`, `get fresh`,
		`set big "x"*5000`, `setrange big 4990 "y"*100`, `strlen big`, `getrange big 4980 5010`, `setrange far 9000 z`, `strlen far`, `getrange far 8990 9000`,
	},
	"counters": {
		`incr k`, `incr k`, `decr k`, `incrby k 10`, `decrby k 3`, `get k`, `set k abc`, `incr k`, `incrby k 1`, `set k 9223372036854775807`, `incr k`, `incrby k 1`, `decr k`, `set k -9223372036854775808`, `decr k`, `incr k`, `decrby k 9223372036854775807`,
		`decrby k -9223372036854775808`, `decrby none -9223372036854775808`, `incrby k -9223372036854775808`, `incrby k 9223372036854775808`, `incrby k abc`, `incrby k 1.5`, `incrby k " 1"`, `incrby k "1 "`, `incrby k +1`, `incrby k 01`, `incrby k -0`, `incrby k 0`, `incrby k ""`,
		`set k " 1"`, `incr k`, `set k "1 "`, `incr k`, `set k +1`, `incr k`, `set k 01`, `incr k`, `set k -0`, `incr k`, `set k ""`, `incr k`, `set k 0`, `incr k`, `set k -1`, `incr k`, `set k 12345678901234567890`, `incr k`, `set k "1\x00"`, `incr k`, `set k 1.0`, `incr k`,
		`set k 5 ex 100`, `incr k`, `ttl k`, `incr`, `incr a b`, `incrby k`, `decrby k`, `decr k k`, `set k -9223372036854775807`, `decr k`, `decr k`, `incrby e 0`, `get e`,
	},
	"floats": {
		`incrbyfloat k 1.5`, `incrbyfloat k 1.5`, `incrbyfloat k -3`, `incrbyfloat k 0.1`, `incrbyfloat k 0.2`, `incrbyfloat k 5.0e3`, `incrbyfloat k -5.0e3`, `incrbyfloat k abc`, `incrbyfloat k ""`, `incrbyfloat k " 1"`, `incrbyfloat k "1 "`, `incrbyfloat k +1`, `incrbyfloat k .5`, `incrbyfloat k 5.`, `incrbyfloat k .`, `incrbyfloat k 1e`, `incrbyfloat k 1e+`, `incrbyfloat k 1e+2`,
		`incrbyfloat k inf`, `incrbyfloat k -inf`, `incrbyfloat k nan`, `incrbyfloat k -nan`, `incrbyfloat k infinity`, `incrbyfloat k INFINITY`, `incrbyfloat k infinit`, `incrbyfloat k 0x10`, `incrbyfloat k 0x1p3`, `incrbyfloat k 0x.8`, `incrbyfloat k 0x1.8p-1`, `incrbyfloat k 0x`, `incrbyfloat k 0xg`, `incrbyfloat k 1_0`, `incrbyfloat k 0b1`, `incrbyfloat k "1\x002"`,
		`set k 10`, `incrbyfloat k 0`, `set k 3.0`, `incrbyfloat k 0`, `get k`, `set k 3.0e3`, `incrbyfloat k 200`, `set k abc`, `incrbyfloat k 1`, `set k inf`, `incrbyfloat k 1`, `set k ""`, `incrbyfloat k 1`, `set k " 1"`, `incrbyfloat k 1`,
		`set k 1e4932`, `incrbyfloat k 0`, `incrbyfloat k 1e4932`, `incrbyfloat k 1e4933`, `incrbyfloat k 1e-4932`, `set k 0`, `incrbyfloat k 1e-4950`, `incrbyfloat k 1e-4952`, `incrbyfloat k 1e99999999999999999999`, `incrbyfloat k 0e99999999999999999999`, `incrbyfloat k -1e-20`, `incrbyfloat k 1e-17`, `incrbyfloat k 5e-18`, `incrbyfloat k -0`, `set k -0`, `incrbyfloat k 0`, `incrbyfloat k -0.0`,
		`set k 17179869184.123456789`, `incrbyfloat k 0.000000001`, `set k 1e17`, `incrbyfloat k 0.1`, `set k 99999999999999999999999`, `incrbyfloat k 1`, `set k 0.3333333333333333333`, `incrbyfloat k 0.6666666666666666667`, `set k 5 ex 100`, `incrbyfloat k 1.25`, `ttl k`, `incrbyfloat k`, `incrbyfloat`, `set k 1`, `incrbyfloat k 1e18`, `incrbyfloat k 9223372036854775807`, `incrbyfloat k 18446744073709551615`, `incrbyfloat k 0.5`,
	},
	"many keys": {
		`mset a 1 b 2 c 3`, `mget a b c d`, `mget a a`, `mget`, `mset a`, `mset a 1 b`, `mset`, `mset a 1 a 2`, `get a`, `msetnx a 1 z 2`, `exists z`, `msetnx y 1 z 2`, `mget y z`, `msetnx y`, `msetnx y 1 z`, `msetnx q 1 q 2`, `get q`,
		`exists a b c none a a`, `exists`, `touch a b none`, `touch`, `del a a none`, `exists a`, `unlink b none`, `del`, `unlink`, `mset a 1 b 2`, `expire a 100`, `mset a 5`, `ttl a`, `set old v pxat 1`, `msetnx old 1 new 2`, `mget old new`, `set old v pxat 1`, `mget old`, `exists old`, `unlink old`, `touch old`,
	},
	"types": {
		`type none`, `set k v`, `type k`, `rpush l x`, `type l`, `hset h f v`, `type h`, `sadd s m`, `type s`, `zadd z 1 m`, `type z`, `type`, `get l`, `getset l x`, `getdel l`, `getex l`, `getex l ex abc`, `getex l foo`, `append l x`, `incr l`, `incrby l 1`, `incrby l x`, `incrbyfloat l 1`, `incrbyfloat l x`, `strlen l`, `getrange l 0 1`, `getrange l x 1`, `substr l 0 1`,
		`setrange l 0 x`, `setrange l 0 ""`, `setrange l 9223372036854775807 x`, `setrange l -1 x`, `set l x get`, `set l x nx get`, `set l x xx get`, `set l x ex 0 get`, `type l`, `setnx l x`, `msetnx l x`, `mget l k`, `exists l h`, `expire h 100`, `ttl h`, `persist h`, `ttl h`, `set l x`, `type l`, `set h x nx`, `set h x xx keepttl`, `get h`, `setex s 100 v`, `get s`, `del z`, `type z`, `mset z 1`, `get z`,
	},
	"expiry": {
		`expire k 10`, `set k v`, `expire k 100`, `ttl k`, `expire k 200 nx`, `expire k 200 xx`, `ttl k`, `expire k 100 gt`, `expire k 300 gt`, `ttl k`, `expire k 400 lt`, `expire k 100 lt`, `ttl k`, `persist k`, `persist k`, `ttl k`, `pttl k`, `expiretime k`, `pexpiretime k`, `expire k 100 gt`, `ttl k`, `expire k 100 xx`, `expire k 100 lt`, `ttl k`,
		`expire k 100 nx xx`, `expire k 100 nx gt`, `expire k 100 nx lt`, `expire k 100 gt lt`, `expire k 50 xx gt`, `expire k 500 xx gt`, `expire k 100 xx lt`, `expire k 100 foo`, `expire k 100 "f\r\no"`, `expire k 100 "f\x00o"`, `expire k 100 nx nx`, `expire k abc foo`, `expire k abc`, `expire k 1.5`, `expire k ""`, `expire none abc`, `expire none 9223372036854775807`, `expire k 9223372036854775807`, `expire k 9223372036854775`, `expire k -9223372036854775808`, `expire k -9223372036854776`,
		`exists k`, `expire k -9223372036854775`, `exists k`, `set k v`, `pexpire k 9223372036854775807`, `pexpire k -9223372036854775808`, `exists k`, `set k v`, `pexpireat k 9223372036854775807`, `pexpiretime k`, `expiretime k`, `expireat k 9223372036854775`, `expiretime k`, `expireat k 9223372036854776`, `expireat k -9223372036854776`, `pexpireat k -9223372036854775808`, `exists k`,
		`set k v`, `expire k 0`, `exists k`, `set k v`, `expire k -1`, `exists k`, `set k v`, `pexpire k 0`, `exists k`, `set k v`, `expireat k 1`, `exists k`, `set k v`, `pexpireat k 0`, `exists k`, `set k v`, `expire k -1 xx`, `exists k`, `expire k -1 gt`, `exists k`, `expire k -1 lt`, `exists k`, `set k v ex 100`, `expire k -1 nx`, `exists k`, `expire k -1 gt`, `exists k`, `expire k -1 lt`, `exists k`,
		`expire`, `expire k`, `pexpire k`, `expireat k`, `ttl`, `ttl a b`, `persist`, `set k v pxat 4102444800499`, `expiretime k`, `set k v pxat 4102444800500`, `expiretime k`, `pexpireat k 4102444800500 gt`, `pexpireat k 4102444800501 gt`, `pexpireat k 4102444800501 lt`, `pexpireat k 4102444800500 lt`, `pexpiretime k`, `pexpireat k 4102444800500`,
	},
	"scan": {
		`scan 0`, `mset a 1 b 2 aa 3 ab 4 "a*" 5 "a[b" 6 "" 7 "x\\y" 8 "\xff" 9 "\x80" 10`, `scan 0`, `scan 0 match a*`, `scan 0 match *`, `scan 0 match ""`, `scan 0 match **`, `scan 0 match ?`, `scan 0 match a?`, `scan 0 match a[ab]`, `scan 0 match a[^b]`, `scan 0 match a[a-b]`, `scan 0 match a[b-a]`, `scan 0 match "a\\*"`, `scan 0 match a[*]`, `scan 0 match "a["`, `scan 0 match "a[["`, `scan 0 match "a[[b"`, `scan 0 match "a\\[b"`, `scan 0 match "x\\\\y"`, `scan 0 match "[\x80-\xff]"`, `scan 0 match "[\x01-\xff]"`, `scan 0 match "[^a-z]"`, `scan 0 match "*b"`, `scan 0 match "*a*"`, `scan 0 match "a"`, `scan 0 match "\\a"`, `scan 0 match "[]a]"`, `scan 0 match "[\\]a]"`, `scan 0 match "a\\"`, `scan 0 match "[^"`, `scan 0 match "[^]"`, `scan 0 match "a[a-"`, `scan 0 match "a[a-]"`,
		`scan 0 count 1`, `scan 0 count 1000`, `scan 0 count 0`, `scan 0 count -1`, `scan 0 count abc`, `scan 0 count`, `scan 0 match`, `scan 0 type`, `scan 0 foo bar`, `scan 0 foo`, `scan abc`, `scan 18446744073709551616`, `scan " 0"`, `scan "0 "`, `scan -`, `scan +`, `scan`, `scan abc count 0`, `scan 0 count 0 match`, `scan 0 count 0 foo bar`, `scan 0 match a* count 2`, `scan 0 match a* match b*`, `scan 0 type string`, `scan 0 type STRING`, `scan 0 type list`, `scan 0 type foo`, `rpush l x`, `scan 0 type list`, `scan 0 type string match l*`, `set old v pxat 1`, `scan 0 match old`, `expire a 100`, `scan 0 type string count 3`,
	},
	"key space": {
		`dbsize`, `randomkey`, `set k v`, `dbsize`, `randomkey`, `randomkey x`, `dbsize x`, `set l w`, `dbsize`, `flushdb foo`, `flushdb sync async`, `dbsize`, `flushdb async`, `dbsize`, `mset a 1 b 2`, `flushdb SYNC`, `exists a b`, `flushdb`, `dbsize`, `randomkey`, `mset abc 1 abd 2 b 3`, `randomkey`, `randomkey`, `randomkey`, `randomkey`,
	},
	"unknown": {
		`nosuch`, `nosuch a b`, `nosuch "a\r\nb"`, `nosuch "a\x00b" c`, `"no\r\nsuch" x`, `nosuch "x"*100 "y"*100 z`, `nosuch "x"*126 y`, `nosuch "x"*127 y`, `nosuch "x"*128 y`, `nosuch "x"*200`, `"n"*200`, `"n"*200 a`, `""`, `command nosuch`, `command "x"*200`, `config nosuch`, `client "a\r\nb"`, `cluster nosuch x`, `client`, `config`, `cluster`, `client getname x`, `config get`, `Config nosuch`, `command count x`, `command getkeys`, `command getkeys get`,
	},
	"command": {
		`command getkeys get k`, `command getkeys set k v ex 1`, `command getkeys mset a 1 b 2`, `command getkeys mset a 1 b`, `command getkeys mget a b c`, `command getkeys del x y`, `command getkeys ping x`, `command getkeys nosuch x`, `command getkeys get k l`, `command getkeys scan 0`, `command getkeys client getname`, `command getkeys client nosuch`, `command getkeys GETEX k ex 1`, `command getkeys flushdb x`, `command getkeys dbsize x`,
		`command list filterby`, `command list filterby pattern`, `command list filterby foo x`, `command list foo`, `command list filterby pattern get`, `command list filterby pattern no*such`, `command list filterby aclcat nosuch`, `command list filterby module nosuch`, `command list filterby PATTERN GET`, `command info nosuch`, `command docs nosuch`, `command info` + "" + ` get`, `command info nosuch get client|nosuch`, `command info client|getname config|get`, `command info GET`,
	},
}
