package conformance

var bits = family{
	name:      "bitmaps",
	cases:     bitCases,
	templates: bitTemplates,
	domains: map[byte][]string{
		'k': {"a", "b", "{a}b", "far"},
		'b': {"0", "1", "7", "8", "4095", "4096", "5000", "8191", "524287", "524288", "700001", "-1", "x", "4294967296"},
		'w': {"0", "1", "1", "1", "2", "x"},
		's': {"0", "1", "-1", "3", "-3", "511", "512", "-600", "70000", "x"},
		'u': {"", "", "byte", "bit", "BIT", "foo"},
		't': {"u1", "i1", "u8", "i8", "i16", "u63", "i64", "u64", "i0", "x8", "u7"},
		'h': {"0", "#1", "3", "#64", "4090", "#500", "100", "-1", "#x"},
		'j': {"0", "1", "-1", "200", "-129", "255", "9223372036854775807", "-9223372036854775808", "x"},
		'f': {"get u8 0", "get i64 #3", "set u8 7 255", "overflow sat", "overflow fail incrby u4 3 9", "overflow wrap incrby i64 5 9223372036854775807", "set i5 4093 -7", "overflow x", "foo"},
		'v': {"", "x", "\xff\x0f", "hello", "\x00\x00", "12"},
	},
	options: "uf",
	differences: []Difference{
		{Line: `setbit k 16777217 1`, Ours: "-ERR bit offset is not an integer or out of range", Redis: ":0", Reason: "bits are limited to the offset 16777216, as ZanKV's always were; the words are Redis's"},
		{Setup: []string{`set k 0`}, Line: `setbitv2 k 7 1`, Ours: ":0", Redis: "-ERR unknown command", Reason: "a command of ZanKV's own"},
		{Setup: []string{`setbit k 7 1`}, Line: `bitclear k`, Ours: ":1", Redis: "-ERR unknown command", Reason: "a command of ZanKV's own"},
		{Line: `bitcount none 0`, Ours: "-ERR syntax error", Redis: ":0", Reason: "Redis 7.2 checks the arguments of BITCOUNT and BITPOS also when the key doesn't exist"},
		{Line: `bitcount none x 1`, Ours: "-ERR value is not an integer", Redis: ":0", Reason: "Redis 7.2 checks the arguments of BITCOUNT and BITPOS also when the key doesn't exist"},
		{Line: `bitpos none 1 x`, Ours: "-ERR value is not an integer", Redis: ":-1", Reason: "Redis 7.2 checks the arguments of BITCOUNT and BITPOS also when the key doesn't exist"},
	},
	newer:   []string{"setbitv2", "bitclear"},
	compare: map[string]comparison{"bitcount": checkedFirst, "bitpos": checkedFirst},
}

// checkedFirst: where Redis 7.0 says what an absent key has, or that the key is no string, 7.2 and ZanKV have found an argument wrong before.
func checkedFirst(_ [][]byte, got, want []byte) bool {
	return got[0] == '-' && (string(want) == ":0\r\n" || string(want) == ":-1\r\n" || string(want[:min(6, len(want))]) == "-WRONG")
}

const bitTemplates = `setbit %k %b %w|setbit %k %b %w|setbit %k %b 1|getbit %k %b|bitcount %k|bitcount %k %s %s %u|bitpos %k %w|bitpos %k %w %s|bitpos %k %w %s %s %u|bitop and %k %k %k|bitop or %k %k %k %k|bitop xor %k %k %k|bitop not %k %k|bitop not %k %k %k|bitop foo %k %k|bitfield %k get %t %h|bitfield %k set %t %h %j|bitfield %k incrby %t %h %j|bitfield %k %f %f %f|bitfield_ro %k get %t %h|bitfield_ro %k %f|set %k %v|append %k %v|setrange %k 600 %v|getrange %k %s %s|strlen %k|get %k|getdel %k|incr %k|type %k|del %k|pexpireat %k %a|set %k %v keepttl|pttl %k|persist %k|mget %k %k|getset %k %v|rpush %k x|copy %k %k|lcs %k %k|lcs %k %k idx|lcs %k %k idx withmatchlen minmatchlen 2|lcs %k %k len`

var bitCases = map[string][]string{
	"lcs": {
		`lcs a b`, `lcs a b len`, `lcs a b idx`, `mset a ohmytext b mynewtext`, `lcs a b`, `lcs a b len`, `lcs a b LEN idx`, `lcs a b idx`, `lcs a b IDX MINMATCHLEN 4`, `lcs a b idx minmatchlen 4 WithMatchLen`, `lcs a b idx withmatchlen`, `lcs a b withmatchlen`, `lcs a b minmatchlen 4`, `lcs a b len minmatchlen 4 withmatchlen`, `lcs a b idx minmatchlen -1`, `lcs a b idx minmatchlen 0`, `lcs a b idx minmatchlen 1`, `lcs a b idx minmatchlen 100`, `lcs a b idx minmatchlen x`, `lcs a b minmatchlen`, `lcs a b idx minmatchlen 9223372036854775807`, `lcs a b foo`, `lcs a b idx len foo`, `lcs a`, `lcs a a`, `lcs a a idx`, `lcs a none`, `lcs none b idx`, `lcs a none len`,
		`rpush l x`, `lcs a l`, `lcs l a`, `lcs l a foo`, `lcs none l`, `mset x abcabcabba y cbabac`, `lcs x y`, `lcs x y idx`, `lcs y x`, `lcs y x idx withmatchlen`, `mset p "\x00\xff\x00" q "\xff\x00\x00"`, `lcs p q`, `lcs p q idx`, `set e ""`, `lcs e p`, `lcs e p idx`, `set n 1234567`, `lcs n n idx`, `set m 246`, `lcs n m idx withmatchlen`, `setbit big 9000 1`, `set tail "\x00\x40\x01"`, `setbit other 8999 1`, `lcs big other len`, `lcs big tail idx`, `set old v pxat 1`, `lcs old b`,
		`set u "ab"*300`, `set v "ba"*280`, `lcs u v`, `lcs u v idx`, `lcs v u idx minmatchlen 3`, `set u "abcde"*100`, `set v "aced"*110`, `lcs u v idx withmatchlen`, `lcs u v`, `set u "x"*20000`, `set v "x"*20000`, `lcs u v`, `lcs u v len`, `lcs u v idx foo`, `set v "x"*500`, `lcs u v len`,
	},
	"setbit": {
		`setbit k 7 1`, `get k`, `setbit k 7 1`, `setbit k 7 0`, `get k`, `getbit k 7`, `getbit k 6`, `getbit k 100`, `getbit none 0`, `setbit z 15 0`, `get z`, `strlen z`, `setbit z 23 0`, `strlen z`,
		`setbit k -1 1`, `setbit k x 1`, `setbit k 1 2`, `setbit k 1 -1`, `setbit k 1 x`, `setbit k "" 1`, `setbit k 1`, `setbit k 1 1 1`, `setbit k 4294967296 1`, `setbit k x x`, `setbit k #1 1`,
		`getbit k -1`, `getbit k x`, `getbit k 4294967295`, `getbit k 4294967296`, `getbit k`, `getbit k 1 1`, `rpush l x`, `setbit l 1 1`, `setbit l x 1`, `getbit l 1`, `getbit l x`, `set s abc`, `setbit s 6 1`, `get s`,
		`setbit far 4095 1`, `strlen far`, `setbit far 4096 1`, `strlen far`, `getbit far 4096`, `getbit far 4095`, `type far`, `setbit far 700000 0`, `strlen far`, `getrange far 510 520`, `getrange far -3 -1`, `bitcount far`, `get far`,
		`set e v ex 100`, `setbit e 3 1`, `ttl e`, `setbit e 9000 1`, `ttl e`, `strlen e`, `setbit e 9001 1`, `ttl e`, `set old v pxat 1`, `setbit old 9000 1`, `ttl old`, `strlen old`, `set old v pxat 1`, `setbit old 3 1`, `ttl old`, `get old`,
	},
	"a bitmap is a string": {
		`setbit k 9000 1`, `type k`, `append k tail`, `strlen k`, `getrange k 1124 1130`, `setbit k 9000 0`, `setbit k 20000 1`, `setrange k 3 abc`, `getrange k 0 5`, `getbit k 20000`, `setbit k 20001 1`, `setrange k 2000 ""`, `append k ""`, `strlen k`,
		`setbit n 9000 0`, `incr n`, `incrbyfloat n 1`, `get n`, `getset n 5`, `incr n`, `get n`, `setbit n 9000 1`, `getdel n`, `exists n`, `setbit n 9000 1`, `set n v get`, `get n`, `setbit n 9000 1`, `set n w xx keepttl`, `get n`,
		`setbit n 9000 1`, `mget n k none`, `setnx n v`, `expire n 100`, `ttl n`, `getex n persist`, `ttl n`, `getex n ex 100`, `setbit n 9001 1`, `ttl n`, `append n x`, `ttl n`, `getrange n 0 -1`, `getrange n -5 -1`, `getrange n 5 2`, `getrange n 2000 3000`, `substr n 1120 1126`,
		`del n`, `exists n`, `setbit n 9000 1`, `expire n -1`, `exists n`, `setbit n 9000 1`, `scan 0 type string`, `mset n a k b`, `get n`, `get k`, `setbit n 9000 1`, `msetnx n a q b`, `setex n 100 v`, `get n`, `setbit n 9000 1`, `persist n`, `strlen n`, `ttl n`,
		`set s "\xff"*600`, `expire s 100`, `setbit s 0 1`, `setbit s 0 0`, `ttl s`, `bitcount s`, `setbit s 10000 1`, `getrange s 595 605`, `setbit s 10000 0`, `bitcount s`, `get s`, `bitpos s 0`, `bitpos s 0 1`, `bitpos s 1 600`,
		`set q "\x00"*599`, `append q "\x01"`, `setbit q 4799 0`, `get q`, `bitcount q`, `setbit q 4799 1`, `setbit q 4799 0`, `strlen q`, `bitpos q 1`, `bitpos q 0`, `append q x`, `get q`, `touch q`, `unlink q`, `get q`,
	},
	"bitcount and bitpos": {
		`bitcount none`, `bitcount none 0 -1`, `set k foobar`, `bitcount k`, `bitcount k 0 0`, `bitcount k 1 1`, `bitcount k 0 -1`, `bitcount k -2 -1`, `bitcount k -1 -2`, `bitcount k -100 -50`, `bitcount k -50 -100`, `bitcount k 3 100`, `bitcount k 100 200`, `bitcount k 1 1 byte`, `bitcount k 5 30 bit`, `bitcount k 5 30 BIT`, `bitcount k 5 5 bit`, `bitcount k 6 5 bit`, `bitcount k -10 -3 bit`, `bitcount k 0 -1 bit`, `bitcount k 0 1000 bit`, `bitcount k -1 -2 bit`,
		`bitcount k 0`, `bitcount k 0 1 foo`, `bitcount k 0 1 bit x`, `bitcount k x 1`, `bitcount k 1 x`, `bitcount k x 1 foo`, `bitcount k 9223372036854775807 -9223372036854775808`, `bitcount k -9223372036854775808 9223372036854775807`, `bitcount k -9223372036854775808 9223372036854775807 bit`, `bitcount`, `rpush l x`, `bitcount l`, `bitcount l 0 0`, `set e ""`, `bitcount e`, `bitcount e 0 0`, `bitcount e 0 0 bit`,
		`bitpos none 0`, `bitpos none 1`, `bitpos none 1 0`, `bitpos none 0 5 6`, `bitpos e 0`, `bitpos e 1`, `bitpos e 0 0`, `bitpos k 0`, `bitpos k 1`, `set a "\xff\xf0\x00"`, `bitpos a 0`, `bitpos a 1`, `bitpos a 1 2`, `bitpos a 0 2`, `bitpos a 1 1 1`, `bitpos a 0 0 0`, `bitpos a 0 0 0 bit`, `bitpos a 0 5 11 bit`, `bitpos a 0 5 12 bit`, `bitpos a 1 12 23 bit`, `bitpos a 1 -13 -1 bit`, `bitpos a 1 7 15 bit`, `bitpos a 0 -1`, `bitpos a 0 -1 -2`, `bitpos a 0 -50 -100`, `bitpos a 1 -50 -100`,
		`set f "\xff\xff\xff"`, `bitpos f 0`, `bitpos f 0 1`, `bitpos f 0 3`, `bitpos f 0 0 -1`, `bitpos f 0 0 -1 bit`, `bitpos f 0 2 2`, `bitpos f 1 3`, `bitpos f 2`, `bitpos f -1`, `bitpos f x`, `bitpos f 1 x`, `bitpos f 1 0 x`, `bitpos f 1 0 0 foo`, `bitpos f 1 0 x foo`, `bitpos f 1 0 0 bit x`, `bitpos f`, `bitpos l 1`, `bitpos l 2`, `bitpos f 0 0 100`, `bitpos f 0 -1 100 byte`,
		`setbit far 100000 1`, `setbit far 200007 1`, `bitcount far`, `bitcount far 12500 12500`, `bitcount far 100000 100000 bit`, `bitcount far 100001 200006 bit`, `bitcount far 100000 200007 bit`, `bitcount far 12501 -1`, `bitpos far 1`, `bitpos far 1 12501`, `bitpos far 0`, `bitpos far 0 12500`, `bitpos far 1 100001 200006 bit`, `bitpos far 1 100001 200007 bit`, `bitpos far 0 200007 200007 bit`, `bitpos far 0 100000 100001 bit`, `bitpos far 1 0 99999 bit`, `bitpos far 0 25000`, `setbit far 200008 0`, `bitpos far 1 25001`, `bitpos far 0 25001`,
		`bitop not inv far`, `bitpos inv 0`, `bitpos inv 0 12501`, `bitcount inv`, `bitpos inv 1 100000 100000 bit`,
	},
	"bitop": {
		`set a "abc\xff"`, `set b "\x0f\xf0"`, `bitop and d a b`, `get d`, `bitop or d a b`, `get d`, `bitop xor d a b`, `get d`, `bitop not d a`, `get d`, `bitop AND d a`, `get d`, `bitop xor d a a`, `get d`, `bitop and d a none`, `get d`, `bitop or d none a`, `get d`, `bitop xor d none none2`, `exists d`, `bitop not d none`, `bitop or d none`, `exists d`, `bitop and d a b a b`, `get d`, `bitop or a a b`, `get a`,
		`bitop not d a b`, `bitop foo d a`, `bitop foo d`, `bitop and d`, `bitop not d`, `bitop`, `rpush l x`, `bitop and d a l`, `bitop and l a b`, `type l`, `get l`, `bitop not d none`, `set d v ex 100`, `bitop or d a b`, `ttl d`, `set num 12345`, `bitop not d num`, `get d`, `set e ""`, `bitop or d e`, `exists d`,
		`setbit x 700000 1`, `setbit y 700001 1`, `setbit y 5 1`, `bitop or d x y a`, `bitcount d`, `strlen d`, `bitpos d 1 100`, `bitop and d x y`, `bitcount d`, `strlen d`, `type d`, `bitop xor d x y`, `bitcount d`, `getbit d 700000`, `getbit d 700001`, `bitop and d a x`, `strlen d`, `bitcount d`, `bitop xor d x d`, `bitcount d`, `bitop not d x`, `bitcount d`, `strlen d`, `bitop not d d`, `bitcount d`, `bitop and d d a`, `bitcount d`, `append d x`, `strlen d`, `bitop or x none x`, `bitcount x`,
		`setbit p 5000 1`, `bitop or q p`, `strlen q`, `setbit q 5001 1`, `bitcount q`, `expire x 100`, `bitop or x p`, `ttl x`,
	},
	"bitfield": {
		`bitfield k`, `exists k`, `bitfield k set u8 0 255`, `bitfield k get u8 0`, `bitfield k get i8 0`, `bitfield k get u4 2`, `bitfield k incrby u2 100 1 get u4 0`, `strlen k`, `bitfield k set i8 #1 -5 get i8 #1 get u8 #1`, `bitfield k set u8 0 256`, `bitfield k set u8 0 -1`, `bitfield k get u8 0`, `get k`, `bitfield none get u8 0 get i64 100`, `exists none`,
		`bitfield k overflow sat incrby u8 0 1000`, `bitfield k overflow sat incrby u8 0 -1000`, `bitfield k overflow fail incrby u8 0 256`, `bitfield k overflow fail incrby u8 0 -1`, `bitfield k overflow fail set u8 0 256 get u8 0`, `bitfield k overflow wrap incrby u8 0 257`, `bitfield k overflow sat set i8 0 200`, `bitfield k overflow sat set i8 0 -200 get i8 0`, `bitfield k overflow sat set u8 0 -1 get u8 0`, `bitfield k set i8 0 200 get i8 0`, `bitfield k overflow sat incrby i8 0 -128`, `bitfield k incrby i8 0 -1`, `bitfield k incrby i8 0 1`, `bitfield k overflow sat overflow fail incrby i8 0 127 overflow wrap incrby i8 0 1`,
		`bitfield k set i64 0 9223372036854775807 incrby i64 0 1`, `bitfield k set i64 0 -9223372036854775808 overflow sat incrby i64 0 -1 overflow fail incrby i64 0 -1 overflow wrap incrby i64 0 -1`, `bitfield k incrby i64 0 -9223372036854775808`, `bitfield k set u63 0 9223372036854775807 incrby u63 0 1`, `bitfield k set u63 0 -1 get u63 0`, `bitfield k overflow sat incrby u63 0 9223372036854775807 incrby u63 0 9223372036854775807`, `bitfield k overflow fail incrby u63 0 1`, `bitfield k set i1 0 1 get i1 0 get u1 0`, `bitfield k overflow sat incrby i1 0 1`, `bitfield k overflow sat set i1 0 1 get i1 0`, `bitfield k set i63 3 -4611686018427387904 incrby i63 3 -1 get i63 3`, `bitfield k overflow sat incrby i63 3 9223372036854775807`,
		`bitfield k get u64 0`, `bitfield k get i65 0`, `bitfield k get u0 0`, `bitfield k get x8 0`, `bitfield k get u 0`, `bitfield k get "" 0`, `bitfield k get u8x 0`, `bitfield k get "u8\x00x" 0`, `bitfield k get U8 0`, `bitfield k get u08 0`, `bitfield k get u8 -1`, `bitfield k get u8 x`, `bitfield k get u8 #`, `bitfield k get u8 #-1`, `bitfield k get u8 #x`, `bitfield k get u8 4294967295`, `bitfield k get u8 4294967296`, `bitfield k get u8 #536870911`, `bitfield k get u8 #536870912`, `bitfield k get u8 ""`, `bitfield k set u8 0 x`, `bitfield k set u8 0 1.5`, `bitfield k set u8 0`, `bitfield k set u8`, `bitfield k get u8`, `bitfield k get`, `bitfield k foo`, `bitfield k foo u8 0`, `bitfield k overflow`, `bitfield k overflow foo`, `bitfield k overflow sat`, `bitfield k incrby u8 0`, `bitfield k get u8 0 1`, `bitfield`, `bitfield k set u8 0 1 get u99 0`, `bitfield k GET u8 0 SET u8 0 7 INCRBY u8 0 1 OVERFLOW SAT INCRBY u8 0 255`, `bitfield k get u8 9223372036854775807`, `bitfield k get u8 #9223372036854775807`,
		`rpush l x`, `bitfield l get u8 0`, `bitfield l set u8 0 1`, `bitfield l`, `bitfield l foo`, `bitfield_ro l get u8 0`, `bitfield_ro l set u8 0 1`, `bitfield_ro k get u8 0 get i5 3`, `bitfield_ro k set u8 0 1`, `bitfield_ro k get u8 0 incrby u8 0 1`, `bitfield_ro none get u8 0`, `bitfield_ro none`, `bitfield_ro k overflow sat get u8 0`, `bitfield_ro k overflow sat`, `bitfield_ro k foo`, `bitfield_ro`,
		`bitfield far set i64 4090 -123456789 get i64 4090 get u63 4091`, `strlen far`, `bitfield far set u8 600000 7`, `strlen far`, `bitfield far incrby u32 8190 4000000000 incrby u32 8190 4000000000`, `bitcount far`, `getrange far 505 525`, `bitfield far overflow fail set u8 700000 256`, `strlen far`, `bitfield fail overflow fail set u8 100 256`, `strlen fail`, `bitfield fail overflow fail set u8 10000 256`, `strlen fail`, `get fail`, `bitfield fail overflow fail incrby u8 20000 256 set u8 0 1`, `strlen fail`, `expire fail 100`, `bitfield fail set u8 30000 1`, `ttl fail`, `set p "\xff"*700 ex 100`, `bitfield p incrby u16 4090 5 get u8 0 get u8 #699 get u8 #700`, `ttl p`, `bitcount p`, `set old x pxat 1`, `bitfield old get u8 0`, `bitfield old set u8 0 1`, `ttl old`,
	},
}
