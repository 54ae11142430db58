package conformance

import (
	"bytes"
	"fmt"
	"strings"
)

var logs = family{
	name:      "hyperloglogs",
	cases:     logCases,
	templates: `pfadd %k %v|pfadd %k %v %v %v|pfadd %k %m|pfadd %k|pfcount %k|pfcount %k %k|pfcount %k %k %k|pfmerge %k|pfmerge %k %k|pfmerge %k %k %k|get %k|set %k %h|set %k %v|type %k|del %k|pexpireat %k %a|pttl %k|rpush %k x`,
	domains: map[byte][]string{
		// Keys of their own: what other commands say of these strings depends on whether they were counted.
		'k': {"p", "q", "{p}q", "r"},
		'v': {"", "x", "y", "z", "hello", "12", "abcdefgh", "abcdefghi"},
		'm': {numbered(10), numbered(100), numbered(700)},
		'h': {"HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x7f\xff", "HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x7f\xfe", "HYLL\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
			"HYLL\x01\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x5f\xff\x88\x89\x5f\xfa", "HYLL\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x7f\xff"},
	},
	options: "m",
	compare: map[string]comparison{"get": countedOrNot},
	differences: []Difference{
		{Setup: []string{`pfadd k a b c`, `pfcount k`}, Line: `getrange k 8 15`, Ours: "$8\r\n\x00\x00\x00\x00\x00\x00\x00\x80", Redis: "$8\r\n\x03\x00\x00\x00\x00\x00\x00\x00",
			Reason: "PFCOUNT only reads: Redis keeps what it counted in bytes 8 to 15 of the string, for the next PFCOUNT. So it also answers that of a string damaged since"},
		{Line: `pfadd k` + strings.Repeat(" e", 50001), Ours: "-ERR the batch size exceed the limit", Redis: ":1", Reason: "PFADD takes at most 50000 elements"},
	},
}

// countedOrNot: two HyperLogLogs are the same if they are so but for what was counted last.
func countedOrNot(_ [][]byte, got, want []byte) bool {
	return len(got) == len(want) && bytes.Equal(uncounted(got), uncounted(want))
}

func uncounted(reply []byte) []byte {
	at := bytes.Index(reply, []byte("HYLL"))
	if reply[0] != '$' || at < 0 || len(reply) < at+16 {
		return reply
	}
	return append(bytes.Clone(reply[:at+8]), reply[at+16:]...)
}

// numbered gives so many words.
func numbered(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, " n%d", i)
	}
	return b.String()
}

// pfadds adds n elements to a key, some at a time, and looks at the key each time.
func pfadds(key string, n int) (lines []string) {
	for i := 0; i < n; i += 50 {
		line := "pfadd " + key
		for j := range 50 {
			line += fmt.Sprintf(" e%d", i+j)
		}
		lines = append(lines, line, "get "+key, "pfcount "+key)
	}
	return lines
}

var logCases = map[string][]string{
	"pfadd and pfcount": {
		`pfadd k`, `exists k`, `get k`, `pfadd k`, `pfcount k`, `pfadd k a`, `get k`, `pfadd k a`, `pfadd k a b c d e f g`, `get k`, `pfcount k`, `pfcount k`, `get k`, `pfadd k a`, `pfadd k foo foo foo`, `pfcount k`, `pfcount none`, `pfcount k none`, `pfcount none none2`, `type k`, `strlen k`,
		`pfadd l "" "\x00" "12345678" "123456789" "\xff\xfe" `, `pfcount l`, `get l`, `pfcount k l`, `pfcount l k k`, `pfadd`, `pfcount`, `pfadd k a`, `expire k 100`, `pfadd k new`, `ttl k`, `append k x`, `pfcount k`, `pfadd k a`, `pfadd k other`, `rpush q x`, `pfadd q a`, `pfadd q`, `pfcount q`, `pfcount k q`, `pfcount q k`,
		`set s abc`, `pfadd s a`, `pfcount s`, `pfcount none s`, `pfmerge s`, `pfmerge d s`, `set n 12345678901234567`, `pfadd n a`, `set old v pxat 1`, `pfadd old a`, `ttl old`, `setbit b 9000 1`, `pfadd b x`, `pfcount b`,
	},
	"growing":    pfadds("k", 4000),
	"one by one": oneByOne(700),
	"pfmerge": {
		`pfadd a 1 2 3`, `pfadd b 3 4 5`, `pfmerge c a b`, `get c`, `pfcount c`, `pfmerge c`, `get c`, `pfmerge new`, `get new`, `pfcount new`, `pfmerge new2 none`, `get new2`, `pfmerge a b`, `get a`, `pfcount a b c`, `pfmerge`, `rpush l x`, `pfmerge l a`, `pfmerge a l`, `pfmerge x l`, `exists x`, `expire a 100`, `pfmerge a c`, `ttl a`,
		`pfadd big` + numbered(3000), `strlen big`, `pfcount big`, `pfmerge d big a`, `get d`, `pfmerge a big`, `strlen a`, `get a`, `pfmerge e a big`, `pfcount e`, `pfcount e a big`, `pfcount big none`, `pfmerge big b`, `get big`, `pfadd big x1 x2 x3`, `pfcount big`, `pfmerge c big`, `pfmerge f c`, `pfcount f`,
		`pfadd m` + numbered(500), `pfadd n 1 2 3` + numbered(900), `pfmerge o m n`, `get o`, `pfcount o`, `pfmerge m n`, `get m`,
	},
	"corrupt": {
		`set k "HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80"`, `pfcount k`, `pfadd k a`, `pfcount k k`, `pfmerge k`, `pfmerge d k`, `set k "HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"`, `pfcount k`, `pfadd k a`, `set k "HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"`, `pfcount k`, `pfadd k`, `set k "HYLX\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x7f\xff"`, `pfcount k`,
		`set k "HYLL\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x7f\xff"`, `pfcount k`, `set k "HYLL\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x7f\xff"`, `pfcount k`, `set k "HYLL\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80"`, `append k "\x00"*12288`, `pfcount k`, `pfadd k a`, `pfcount k`, `append k x`, `pfcount k`, `set k "HYLL\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80"`, `append k "\xff"*12288`, `pfcount k`, `pfadd k a`, `pfcount k k`, `pfmerge d k`, `get d`, `pfcount d`,
		`set k "HYLL\x01\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x7f\xff"`, `pfcount k`, `pfadd k a`, `pfcount k`, `set k "HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x7f\xfe"`, `pfcount k`, `pfcount k k`, `pfmerge k`, `set k "HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x7f\xff\x80"`, `pfcount k`, `pfcount k k`, `pfmerge d k`, `set k "HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x7f\xff\x00"`, `pfcount k`, `pfadd k a`, `set k "HYLL\x01abc\x00\x00\x00\x00\x00\x00\x00\x80\x7f\xfb\x87\xff"`, `pfcount k`, `pfadd k a b c`, `get k`, `pfcount k`, `set k "HYLL\x01\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\x7f\x7f\xff"`, `pfcount k`,
		`set k "HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80"`, `append k "\x00"*16384`, `pfcount k`, `pfadd k a`, `strlen k`, `pfcount k`, `set k "HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80"`, `append k "\xff"*4096`, `pfcount k`, `pfadd k a`, `strlen k`, `pfmerge d k`, `pfcount d`, `set k "HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80"`, `append k "\x80"*16384`, `pfcount k`, `pfadd k a b c d e`, `strlen k`, `pfcount k`,
	},
}

// oneByOne adds elements to a key each with a line of its own: the runs are split and joined in all ways.
func oneByOne(n int) (lines []string) {
	for i := range n {
		lines = append(lines, fmt.Sprintf("pfadd k %d", i), "get k")
	}
	return append(lines, "pfcount k")
}
