package conformance

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// generator draws command lines from a small domain, so that keys collide, values are numbers now and then, and some
// lines are malformed. Absolute times are far away from each other and from now, so that no reply depends on how long a
// command took; EXPIRE's comparisons get absolute times only.
type generator struct {
	*rand.Rand
	lines []template
}

// template is a line to be filled in, of a family.
type template struct {
	*family
	text string
}

// newGenerator draws from the templates of some families.
func newGenerator(seed uint64, of []*family) *generator {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 2))}
	for _, f := range of {
		if f.templates == "" {
			continue
		}
		for _, text := range strings.Split(f.templates, "|") {
			g.lines = append(g.lines, template{family: f, text: text})
		}
	}
	return g
}

// templates: %k a key, %v a value, %i an integer argument, %f a float, %o an offset, %r a relative time, %a an absolute
// one in ms, %s SET's options, %g GETEX's, %e EXPIRE's, %n EXPIRE's that compare nothing, %p a pattern.
const templates = `get %k|get %k|set %k %v|set %k %v|set %k %v %s|set %k %v %s %s|set %k %i|setnx %k %v|setex %k %r %v|psetex %k %r %v|getset %k %v|getdel %k|getex %k|getex %k %g|getex %k %g %g|getrange %k %o %o|substr %k %o %o|setrange %k %o %v|strlen %k|append %k %v|mget %k %k %k|mset %k %v %k %v|mset %k %v %k|msetnx %k %v %k %v|incr %k|incr %k|decr %k|incrby %k %i|decrby %k %i|incrbyfloat %k %f|incrbyfloat %k %f|del %k|del %k %k|unlink %k|exists %k %k %k|touch %k %k|type %k|randomkey|scan 0|scan 0 match %p|scan 0 count 2 match %p|scan 0 type string|expire %k %r %n|pexpire %k %r %n|pexpireat %k %a %e|pexpireat %k %a %e %e|expireat %k 4102444800 %e|expireat %k 1 %e|ttl %k|pttl %k|expiretime %k|pexpiretime %k|persist %k|rpush %k x|command getkeys set %k %v|command getkeys mget %k %k`

var domains = map[byte][]string{
	'k': {"a", "b", "c", "{a}b", "ab", "k\x00"},
	'v': {"", "x", "hello", "0", "7", "-12", "3.25", "\r\n\xff", "9223372036854775807", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
	'i': {"0", "1", "-1", "10", "007", "+3", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "1.0", "", "x", "-0"},
	'f': {"0", "1", "-1", "0.1", "-0.1", "3.0e2", "1e-3", "1e17", "1e-17", "123456789.987654321", "inf", "nan", "x", "", "0x1p-2", "1e4931", "-1e4931", "9223372036854775807"},
	'o': {"0", "1", "-1", "2", "-3", "5", "-7", "40", "x", "-9223372036854775808"},
	'r': {"1000", "100000", "0", "-1", "x", "9223372036854775807", "100000000"},
	'a': {"4102444800000", "4102444800001", "4202444800000", "1", "0", "-1", "x"},
	's': {"nx", "xx", "get", "keepttl", "ex 1000", "px 5000000", "exat 4102444800", "pxat 4102444800001", "pxat 1", "ex 0", "ex x", "foo"},
	'g': {"persist", "ex 1000", "px 5000000", "exat 4102444800", "pxat 1", "ex 0", "px x", "foo"},
	'e': {"", "nx", "xx", "gt", "lt", "foo"},
	'n': {"", "", "nx", "xx"},
	'p': {"a*", "*", "?", "[a-b]", "[^a]", "*b", "{*", "k\\\x00", "k?"},
}

// next draws a line. One in thirty lacks its last word, or has one too many.
func (g *generator) next() [][]byte {
	var args [][]byte
	t := g.lines[g.IntN(len(g.lines))]
	for i, word := range strings.Fields(t.text) {
		switch {
		case word[0] == '%':
			args = append(args, g.draw(t, word[1])...)
		case i == 0 && g.IntN(4) == 0:
			args = append(args, []byte(strings.ToUpper(word)))
		default:
			args = append(args, []byte(word))
		}
	}
	switch g.IntN(60) {
	case 0:
		args = args[:max(1, len(args)-1)]
	case 1:
		args = append(args, []byte(fmt.Sprint("extra", g.IntN(2))))
	}
	return args
}

// draw gives what a placeholder stands for: one word, or for options none or several.
func (g *generator) draw(t template, kind byte) (args [][]byte) {
	list, own := t.domains[kind]
	if !own {
		list = domains[kind]
	}
	text := list[g.IntN(len(list))]
	if !strings.ContainsRune(t.options, rune(kind)) {
		return [][]byte{[]byte(text)}
	}
	for _, word := range strings.Fields(text) {
		args = append(args, []byte(word))
	}
	return args
}
