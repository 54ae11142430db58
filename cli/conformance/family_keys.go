package conformance

import (
	"bytes"
	"slices"
	"strings"

	"github.com/zankv/zankv/cluster/command"
)

var keys = family{
	name: "keys",
	cases: map[string][]string{
		"rename": {
			`rename`, `rename a`, `rename a b c`, `rename a b`, `renamenx a b`, `set a 1 pxat 4102444800000`, `rename a b`, `get b`, `pexpiretime b`, `exists a`,
			`rename b b`, `renamenx b b`, `set c 2`, `renamenx b c`, `rename b c`, `get c`, `pexpiretime c`, `set a x`, `rename a c`, `pexpiretime c`,
			`set e x pxat 1`, `rename e f`, `renamenx e f`, `set g y`, `renamenx g e`, `get e`,
			`rpush l 1 2 3`, `rename l m`, `lrange m 0 -1`, `rpush m 4`, `lrange m 0 -1`, `renamenx m n`, `llen n`, `type m`, `lpush n 0`, `lrange n 0 -1`,
			`setbit zeros 100000 0`, `rename zeros z2`, `strlen z2`, `exists zeros`, `copy z2 z3`, `strlen z3`, `bitcount z3`, `setbit z3 50000 1`, `rename z3 z4`, `bitpos z4 1`,
			`hset h f v`, `sadd s m`, `zadd z 1.5 m`, `rename h h2`, `rename s s2`, `rename z zz`, `hgetall h2`, `smembers s2`, `zscore zz m`,
		},
		"copy": {
			`copy`, `copy a`, `copy a b`, `set a 1 pxat 4102444800000`, `copy a b`, `copy a b`, `get b`, `pexpiretime b`, `set a 2`, `copy a b replace`, `copy a b REPLACE replace`,
			`get b`, `pexpiretime b`, `copy a a`, `copy a c db 0`, `copy a c db x`, `copy a c db 2147483648`, `copy a c db -1`, `copy a c foo`, `copy a c replace db 0`, `copy a c db`, `copy x y db 1x`,
			`rpush l 1 2 3`, `copy l m`, `rpop l`, `lrange m 0 -1`, `lrange l 0 -1`, `copy l a replace`, `lrange a 0 -1`, `set e 1 pxat 1`, `copy e f`, `copy l e`, `lrange e 0 -1`,
		},
		"keys": {
			`keys`, `keys a b`, `keys *`, `set abc 1`, `set abd 2`, `set b 3`, `set "a*" 4`, `keys *`, `keys a*`, `keys ab?`, `keys abc`, `keys [ab]*`, `keys "a\\*"`, `keys ""`, `keys x*`, `set gone 1 pxat 1`, `keys g*`,
		},
		"object": {
			`object`, `object encoding`, `object encoding k`, `object freq k`, `object idletime k`, `object refcount k`, `object foo`, `object encoding k l`,
			`set k 12`, `object encoding k`, `set k 12a`, `object encoding k`, `set k "x"*44`, `object encoding k`, `set k "x"*45`, `object encoding k`, `object refcount k`, `object freq k`, `object idletime k`,
			`sadd ints 1 2 3`, `object encoding ints`, `rpush l a b`, `object idletime l`, `del k`, `hset k f v`, `object encoding k`, `hset k f "x"*65`, `object encoding k`, `zadd z 1 m`, `object encoding z`,
		},
		"memory": {`memory`, `memory usage`, `memory usage k`, `memory usage k samples`, `memory usage k samples x`, `memory usage k foo 1`, `set k v`, `memory usage k samples -1`, `memory usage k`, `memory usage k samples 0`},
		"restore": {
			`restore`, `restore k 0`, `restore k 0 x`, `restore k -1 x`, `restore k x x`, `restore k 0 x foo`, `restore k 0 x idletime`, `restore k 0 x idletime -1`, `restore k 0 x freq 256`, `restore k 0 x freq x`,
			`set k v`, `restore k 0 x`, `restore k x x`, `restore k 0 x replace`, `restore j 0 "\x00\xc0\n\n\x00n\x9fWE\x0e\xaec\xbb"`, `get j`,
			`restore l 5000000 "\x00\xc0\n\n\x00n\x9fWE\x0e\xaec\xbb"`, `restore m 4102444800000 "\x00\xc0\n\n\x00n\x9fWE\x0e\xaec\xbb" absttl`, `pexpiretime m`, `restore k 1 "\x00\xc0\n\n\x00n\x9fWE\x0e\xaec\xbb" absttl replace`, `exists k`,
			`restore n 0 "\x00\xc0\n\n\x00n\x9fWE\x0e\xaec\xbc"`, `restore n 0 "\x00\xc0\n\x0c\x00n\x9fWE\x0e\xaec\xbb"`, `dump`, `dump absent`, `dump a b`,
		},
		"dump": {`set s hello`, `dump s`, `set i 12345`, `dump i`, `set big "abc"*40`, `dump big`, `rpush l 1 two 3`, `dump l`, `rpush l2 "x"*200 "y"*10000`, `dump l2`, `set e ""`, `dump e`,
			`hset h f v`, `dump h`, `hset h2 f "x"*100 g 7`, `dump h2`, `sadd s1 1 2 3`, `dump s1`, `sadd s2 a b 1`, `dump s2`, `zadd z 1.5 a inf b -3 c`, `dump z`, `zadd z2 1 "m"*100`, `dump z2`},
		"flushall": {`set a 1`, `rpush l 1`, `flushall`, `dbsize`, `exists a l`},
	},
	differences: []Difference{
		{Setup: []string{`set k v`}, Line: `copy k l db 1`, Ours: "-ERR DB index is out of range", Redis: ":1", Reason: "a namespace is one database"},
		{Line: `lfixkey k`, Ours: "+OK", Redis: "-ERR unknown command", Reason: "a command of ZanKV's own"},
		{Setup: []string{`rpush l a`}, Line: `lclear l`, Ours: ":1", Redis: "-ERR unknown command", Reason: "a command of ZanKV's own"},
	},
	newer: ownTyped(),
	compare: map[string]comparison{
		"keys":   unordered(1),
		"object": sameObject,
		"memory": sameMemory,
	},
	check:     map[string]func(*pair, [][]byte){"dump": (*pair).dump},
	templates: `rename %k %k|rename %k %k|renamenx %k %k|copy %k %k|copy %k %k replace|copy %k %k db 0|set %k %v|set %k %v pxat %a|rpush %k %v %v|lpush %k %i|del %k|type %k|object encoding %k|object refcount %k|object idletime %k|memory usage %k|hset %k %v %v %v %v|sadd %k %v %v %i|zadd %k 1.5 %v 3 %v|dump %k|dump %k|dump %k|exists %k|keys %p|restore %k 0 %v|pexpireat %k %a|persist %k|lpop %k`,
}

// ownTyped are ZanKV's commands on keys of one type.
func ownTyped() (names []string) {
	for _, s := range command.All() {
		if strings.Contains(s.Summary, "ZanKV's own") {
			names = append(names, s.Name)
		}
	}
	return names
}

// forms are the encodings of each type: which one Redis has depends on how a value came about, here on what it is.
var forms = [][]string{{"int", "embstr", "raw"}, {"listpack", "quicklist"}, {"listpack", "hashtable", "intset"}, {"listpack", "skiplist"}}

// sameObject: Redis shares small numbers, and its idle times count reads.
func sameObject(args [][]byte, got, want []byte) bool {
	if len(args) < 3 || got[0] != want[0] {
		return false
	}
	switch strings.ToLower(string(args[1])) {
	case "idletime", "refcount":
		return got[0] == ':'
	case "encoding":
		a, b := flatten(got), flatten(want)
		return slices.ContainsFunc(forms, func(f []string) bool { return slices.Contains(f, a[0]) && slices.Contains(f, b[0]) })
	}
	return false
}

// sameMemory: there are two ways of keeping a key, and Redis measures one that has expired as well.
func sameMemory(_ [][]byte, got, want []byte) bool {
	return want[0] == ':' && (got[0] == ':' || string(got) == "$-1\r\n" || string(got) == "_\r\n")
}

// dump has each side restore what the other one dumped, and compares what became of it.
func (p *pair) dump(args [][]byte) {
	p.tb.Helper()
	got, want := p.ours.Do(args...), p.oracle.Do(args...)
	ours, theirs := flatten(got), flatten(want)
	if len(ours) != 1 || len(theirs) != 1 {
		if !bytes.Equal(got, want) {
			p.tb.Errorf("%q: %q, and Redis says %q", args, got, want)
		}
		return
	}
	copyOf := []byte("copy of a dump")
	for _, payload := range []string{ours[0], theirs[0]} {
		p.do([]byte("restore"), copyOf, []byte("0"), []byte(payload), []byte("replace"))
		p.do([]byte("type"), copyOf)
		kind := strings.TrimSpace(string(p.oracle.Do([]byte("type"), copyOf))[1:])
		reader := strings.Fields(readers[kind])
		for i := range reader {
			reader[i] = strings.ReplaceAll(reader[i], "%s", string(copyOf))
		}
		words := make([][]byte, len(reader))
		for i, w := range reader {
			words[i] = []byte(w)
		}
		p.do(words...)
	}
	p.do([]byte("del"), copyOf)
}
