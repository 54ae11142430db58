package conformance

var hashes = family{
	name: "hashes", cases: hashCases, differences: hashDifferences, newer: hashNewer, templates: hashTemplates, domains: hashDomains,
	compare: map[string]comparison{"hgetall": unordered(2), "hkeys": unordered(1), "hvals": unordered(1)},
	check:   map[string]func(*pair, [][]byte){"hrandfield": checkHRandField},
}

var hashCases = map[string][]string{
	"hset and hget": {
		`hset h f v`, `hget h f`, `hset h f v`, `hset h f w`, `HGET h f`, `hset h a 1 b 2 f 3`, `hget h b`, `hget h none`, `hget none f`, `hset h a 1 b`, `hset h a`, `hset h`, `hset`,
		`hset h a 1 b 2 c`, `hget h`, `hget h a b`, `hget`, `hlen h`, `hset d f 1 f 2`, `hget d f`, `hlen d`, `hset d f 3 g 4 f 2`, `hget d f`, `hset d x 1 y 1 x 1 y 2`, `hgetall d`, `hlen d`,
		`hset h "" ""`, `hget h ""`, `hset "" f v`, `hget "" f`, `hset h "a\x00\r\n" "\x00\xff\r\n"`, `hget h "a\x00\r\n"`, `hstrlen h "a\x00\r\n"`, `hset h big "x"*70000`, `hget h big`, `hset h "f"*300 v`, `hget h "f"*300`, `type h`,
		`hset m a 1 b 2 c 3 d 4 e 5 f 6 g 7 h 8 i 9 j 10 k 11 l 12 m 13 n 14 o 15 p 16 q 17 r 18 a 19 b 20`, `hgetall m`, `hset m a 19 b 21 c 3 d 4 e 5 f 6 g 7 h 8 i 9 j 10 k 11 l 12 m 13 n 14 o 15 p 16 q 17 z 18 z 19`, `hgetall m`,
		`hdel m a b c d e f g h i j k l m n o p q r a b c d none`, `hgetall m`, `hdel m z z`, `exists m`,
	},
	"hmset and hsetnx": {
		`hmset h f v g w`, `hgetall h`, `hmset h f v`, `hmset h f 1 f 2`, `hget h f`, `hmset h f`, `hmset h f 1 g`, `hmset h`, `hmset`, `hsetnx h f x`, `hsetnx h n x`, `hget h f`, `hget h n`, `hsetnx new f v`, `hgetall new`, `hsetnx h f`, `hsetnx h f v w`, `hsetnx h`,
	},
	"reads": {
		`hgetall none`, `hkeys none`, `hvals none`, `hlen none`, `hexists none f`, `hstrlen none f`, `hmget none a b`, `hset h a 1 b 22 c ""`, `hgetall h`, `hkeys h`, `hvals h`, `hlen h`, `hexists h a`, `hexists h z`, `hstrlen h b`, `hstrlen h c`, `hstrlen h z`,
		`hmget h a b z a`, `hmget h z`, `hmget h`, `hmget`, `hgetall`, `hgetall h x`, `hkeys`, `hkeys h x`, `hvals`, `hvals h x`, `hlen`, `hlen h x`, `hexists h`, `hexists h a b`, `hstrlen h`, `hstrlen h a b`,
	},
	"hdel": {
		`hdel none f`, `hset h a 1 b 2 c 3`, `hdel h z`, `hdel h a z a`, `hlen h`, `hdel h b c`, `exists h`, `hdel h b`, `hdel h`, `hdel`, `hset h a 1`, `expire h 100`, `hdel h a`, `ttl h`, `hset h a 1`, `ttl h`,
	},
	"hincrby": {
		`hincrby h f 5`, `hincrby h f -7`, `hincrby h f 0`, `hget h f`, `hincrby h n 0`, `hget h n`, `hset h f abc`, `hincrby h f 1`, `hset h f " 1"`, `hincrby h f 1`, `hset h f 1.5`, `hincrby h f 1`, `hset h f 01`, `hincrby h f 1`, `hset h f ""`, `hincrby h f 1`, `hset h f "1\x00"`, `hincrby h f 1`,
		`hset h f 9223372036854775807`, `hincrby h f 1`, `hincrby h f -1`, `hset h f -9223372036854775808`, `hincrby h f -1`, `hincrby h f 9223372036854775807`, `hincrby h f abc`, `hincrby h f 1.5`, `hincrby h f 9223372036854775808`, `hincrby h f ""`, `hincrby h f " 1"`, `hincrby new f abc`, `exists new`,
		`hset e f x`, `hincrby e f 1`, `hincrby e f`, `hincrby e`, `hincrby e f 1 2`, `hset h f 12345678901234567890`, `hincrby h f 1`,
	},
	"hincrbyfloat": {
		`hincrbyfloat h f 1.5`, `hincrbyfloat h f 1.5`, `hget h f`, `hincrbyfloat h f -3`, `hincrbyfloat h f 0.1`, `hincrbyfloat h f 0.2`, `hincrbyfloat h f 5.0e3`, `hincrbyfloat h f abc`, `hincrbyfloat h f ""`, `hincrbyfloat h f " 1"`, `hincrbyfloat h f "1 "`, `hincrbyfloat h f nan`, `hincrbyfloat h f inf`, `hincrbyfloat h f -inf`, `hincrbyfloat h f +inf`, `hincrbyfloat h f infinity`,
		`hincrbyfloat none f nan`, `hincrbyfloat none f inf`, `hincrbyfloat none f x`, `exists none`, `hset h f abc`, `hincrbyfloat h f 1`, `hincrbyfloat h f x`, `hset h f ""`, `hincrbyfloat h f 1`, `hset h f " 1"`, `hincrbyfloat h f 1`, `hset h f inf`, `hincrbyfloat h f 1`, `hset h f nan`, `hincrbyfloat h f 1`, `hset h f 1e4932`, `hincrbyfloat h f 1e4932`, `hincrbyfloat h f 1e4933`,
		`hset h f 3.0`, `hincrbyfloat h f 0`, `hget h f`, `hset h f 3.0e3`, `hincrbyfloat h f 200`, `hset h f 17179869184.123456789`, `hincrbyfloat h f 0.000000001`, `hset h f "1\x00"`, `hincrbyfloat h f 1`, `hset h f 0.3333333333333333333`, `hincrbyfloat h f 0.6666666666666666667`, `hincrbyfloat h f -1e-20`, `hincrbyfloat h n 0`, `hget h n`, `hincrbyfloat h`, `hincrbyfloat h f`, `hincrbyfloat h f 1 2`,
		`hset h f 9223372036854775807`, `hincrbyfloat h f 1`, `hset h f -0`, `hincrbyfloat h f -0.0`,
	},
	"wrong types": {
		`set s v`, `hset s f v`, `hset s f`, `hsetnx s f v`, `hmset s f v`, `hmset s f v g`, `hget s f`, `hmget s f`, `hgetall s`, `hkeys s`, `hvals s`, `hlen s`, `hexists s f`, `hstrlen s f`, `hdel s f`, `hincrby s f 1`, `hincrby s f x`, `hincrbyfloat s f 1`, `hincrbyfloat s f x`, `hincrbyfloat s f nan`, `hset h f v`, `get h`, `append h x`, `incr h`, `sadd h m`, `smembers h`, `set h v`, `type h`, `hset h f v`, `del h`, `hset h f v`, `type h`,
	},
	"hrandfield": {
		`hrandfield`, `hrandfield none`, `hrandfield none 5`, `hrandfield none -5`, `hrandfield none 0`, `hrandfield none 3 withvalues`, `hrandfield none x`, `hrandfield none 1 foo`, `hset h a 1 b 2 c 3 d "" "" e`, `hrandfield h`, `hrandfield h 1`, `hrandfield h 2`, `hrandfield h 4`, `hrandfield h 5`, `hrandfield h 6`, `hrandfield h 100`, `hrandfield h 0`,
		`hrandfield h -1`, `hrandfield h -3`, `hrandfield h -50`, `hrandfield h 1 withvalues`, `hrandfield h 3 WITHVALUES`, `hrandfield h 5 withvalues`, `hrandfield h 9 withvalues`, `hrandfield h 0 withvalues`, `hrandfield h -1 withvalues`, `hrandfield h -20 withvalues`, `hrandfield h 1 foo`, `hrandfield h withvalues`, `hrandfield h 1 withvalues foo`, `hrandfield h 1 withvalues withvalues`,
		`hrandfield h x`, `hrandfield h 1.5`, `hrandfield h ""`, `hrandfield h 9223372036854775807`, `hrandfield h 9223372036854775808`, `hrandfield h -9223372036854775808`, `hrandfield none -9223372036854775808`, `hrandfield none -9223372036854775807`, `hrandfield h -9223372036854775808 foo`, `hrandfield h -9223372036854775807 foo`, `hrandfield none -9223372036854775807 withvalues`,
		`hrandfield h -9223372036854775807 withvalues`, `hrandfield h -4611686018427387904 withvalues`, `hrandfield h 4611686018427387904 withvalues`, `hrandfield none 4611686018427387904 withvalues`, `hrandfield h 4611686018427387903 withvalues`, `hrandfield h 9223372036854775807 withvalues`, `pexpireat h 1`, `hrandfield h`, `hrandfield h 2`, `set s v`, `hrandfield s`, `hrandfield s 1`, `hrandfield s x`, `hrandfield s 0`, `hrandfield s 1 foo`, `hrandfield s -4611686018427387904 withvalues`, `hrandfield s -2`,
	},
	"expiry": {
		`hset h f v`, `pexpireat h 1`, `hget h f`, `hlen h`, `hset h f v`, `expire h 100`, `hset h g w`, `ttl h`, `hincrby h n 1`, `ttl h`, `hdel h f g n`, `ttl h`, `set old v pxat 1`, `hset old f v`, `ttl old`, `hgetall old`,
	},
}

// hashDifferences are of commands that Redis doesn't have, and of limits that it doesn't have.
var hashDifferences = []Difference{
	{Line: `hset k "f"*10241 v`, Ours: "-ERR invalid sub key size", Redis: ":1", Reason: "fields are limited to 10240 bytes"},
	{Line: `hset k f "v"*8388609`, Ours: "-ERR invalid value size", Redis: ":1", Reason: "values are limited to 8 MiB"},
	{Setup: []string{`hset k f v`}, Line: `stale.hmget k f g`, Ours: "*2\r\n$1\r\nv\r\n", Redis: "-ERR unknown command", Reason: "a prefix of ZanKV's own"},
	{Setup: []string{`set k v`}, Line: `stale.hgetall.expired k`, Ours: "-WRONGTYPE", Redis: "-ERR unknown command", Reason: "a command of ZanKV's own"},
	{Setup: []string{`hset k f v`}, Line: `stale.hmget.expired k f g`, Ours: "*2\r\n$1\r\nv\r\n", Redis: "-ERR unknown command", Reason: "a command of ZanKV's own"},
	{Line: `stale.hget.version k f`, Ours: ":0\r\n", Redis: "-ERR unknown command", Reason: "a command of ZanKV's own"},
}

var hashNewer = []string{"stale.hget.version", "stale.hgetall.expired", "stale.hmget.expired"}

const hashTemplates = `hset %k %m %v|hset %k %m %v|hset %k %m %v %m %v|hset %k %m %v %m %v %m %v|hset %k %m %i|hsetnx %k %m %v|hmset %k %m %v %m %v|hget %k %m|hmget %k %m %m %m|hgetall %k|hkeys %k|hvals %k|hlen %k|hexists %k %m|hstrlen %k %m|hdel %k %m|hdel %k %m %m|hdel %k %m %m %m %m|hincrby %k %m %i|hincrby %k %m %i|hincrbyfloat %k %m %f|hincrbyfloat %k %m %f|hset %k %m %f|hrandfield %k|hrandfield %k %c|hrandfield %k %c|hrandfield %k %c withvalues|del %k|set %k %v|expire %k 1000|pexpireat %k 1|persist %k`

var hashDomains = map[byte][]string{
	'k': {"a", "b", "c"},
	'c': {"0", "1", "2", "3", "5", "20", "-1", "-2", "-7", "-40", "x", "9223372036854775807", "-9223372036854775808"},
	'm': {"f", "g", "h", "", "f\x00", "long-field-of-a-hash-that-does-not-fit-into-64-bytes-of-a-listpack-entry"},
}

// checkHRandField compares errors to the byte, and of what was chosen how much it is, that it is of the hash, and that nothing repeats that
// must not.
func checkHRandField(p *pair, args [][]byte) {
	p.tb.Helper()
	var whole node
	pairs := map[string]string{}
	if len(args) > 1 {
		whole, _ = parseReply(p.ours.Do([]byte("hgetall"), args[1]))
	}
	got, want := p.ours.Do(args...), p.oracle.Do(args...)
	for i := 0; i+1 < len(whole.parts); i += 2 {
		pairs[whole.parts[i].text] = whole.parts[i+1].text
	}
	a, _ := parseReply(got)
	b, _ := parseReply(want)
	if !a.likeness(b) {
		p.failed(args, got, want)
		return
	}
	if a.kind != '*' {
		if _, ok := pairs[a.text]; a.kind == '$' && a.text != "-1" && !ok {
			p.failed(args, got, want)
		}
		return
	}
	fields := a.leaves()
	if len(args) == 4 {
		for i := 0; i < len(fields)/2; i++ {
			if v, ok := pairs[fields[2*i]]; !ok || v != fields[2*i+1] {
				p.failed(args, got, want)
			}
			fields[i] = fields[2*i]
		}
		fields = fields[:len(fields)/2]
	}
	seen := map[string]bool{}
	for _, f := range fields {
		if _, ok := pairs[f]; !ok || seen[f] && args[2][0] != '-' {
			p.failed(args, got, want)
		}
		seen[f] = true
	}
}
