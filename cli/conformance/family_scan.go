package conformance

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// elementScans are the scans of a key's elements. What a page holds is each side's affair, so whole iterations are compared.
var elementScans = family{
	name: "scans of elements", cases: elementScanCases, differences: elementScanDifferences, newer: elementScanNewer,
	check:     map[string]func(*pair, [][]byte){"hscan": checkElementScan, "sscan": checkElementScan, "zscan": checkElementScan},
	templates: elementScanTemplates, domains: elementScanDomains,
}

func many(command string, n int, element string) string {
	var b strings.Builder
	b.WriteString(command)
	for i := range n {
		b.WriteString(" " + strings.ReplaceAll(element, "#", string(rune('a'+i%26))+strings.Repeat("x", i/26)))
	}
	return b.String()
}

var elementScanCases = map[string][]string{
	"hscan": {
		`hscan`, `hscan h`, `hscan none 0`, `hscan none x`, `hscan none 0 foo`, `hscan none 0 count x`, `hscan h 0 count`, `hset h a 1 b 2 c 3 "" "" d ""`, `hscan h 0`, `HSCAN h 0 COUNT 1`, `hscan h 0 count 2`, `hscan h 0 count 1000000`, `hscan h 0 count 0`, `hscan h 0 count -1`,
		`hscan h 0 count x`, `hscan h 0 count 9223372036854775807`, `hscan h 0 count 9223372036854775808`, `hscan h 0 match a`, `hscan h 0 match *`, `hscan h 0 match [ab] count 1`, `hscan h 0 match ""`, `hscan h 0 match`, `hscan h 0 foo bar`, `hscan h 0 type hash`, `hscan h 0 novalues`, `hscan h 0 count 1 count 2`, `hscan h x`, `hscan h ""`, `hscan h -`, `hscan h " 0"`, `hscan h "0 "`, `hscan h 1.5`, `hscan h 18446744073709551616`,
		many("hset big", 200, "# v#"), `hscan big 0`, `hscan big 0 count 7`, `hscan big 0 count 7 match a*`, `hscan big 0 match *xxx`, `hdel big a ax b`, `hscan big 0 count 3`, `hset big a new`, `hscan big 0`, `pexpireat big 1`, `hscan big 0`, `set s v`, `hscan s 0`, `hscan s x`, `hscan s 0 count x`, `hscan s 0 foo`,
		`hset h x "y"*70000 "f\x00\r\n" "\xff"`, `hscan h 0 count 1`,
	},
	"sscan": {
		`sscan`, `sscan s`, `sscan none 0`, `sscan none x`, `sadd s a b c ""`, `sscan s 0`, `sscan s 0 count 1`, `sscan s 0 match [a-b]`, `sscan s 0 match b count 100`, `sscan s 0 count 0`, `sscan s 0 foo 1`, `sscan s 0 count`, `sscan s x`, `sadd i 1 2 3 4 5 6 7 8 9 10 11 12`, `sscan i 0 count 1`, `sscan i 0 match 1*`,
		many("sadd big", 700, "#"), `sscan big 0`, `sscan big 0 count 50`, `sscan big 0 match b* count 1`, `srem big a`, `sscan big 0 count 11`, `hset h f v`, `sscan h 0`, `sscan h 0 foo`,
	},
	"zscan": {
		`zscan`, `zscan z`, `zscan none 0`, `zscan none x`, `zadd z 1 a 2 b 3 c 0 ""`, `zscan z 0`, `zscan z 0 count 1`, `zscan z 0 match a`, `zscan z 0 match ? count 2`, `zscan z 0 count 0`, `zscan z 0 foo 1`, `zscan z x`,
		`zadd f 1.5 a -2.25 b 3.3333333333333335 c 1e20 d 1e21 e inf f -inf g 1e-7 h 0.1 i 17179869184.5 j 123456789012345680000 k 5e-324 l 1.7976931348623157e308 m -0.0 n`, `zscan f 0`, `zscan f 0 count 1`, `zincrby f 0.2 i`, `zscan f 0`,
		many("zadd big", 200, "1 #"), `zscan big 0`, `zscan big 0 count 9`, `zadd big 1.5 a 2.5e10 b 0.1 c`, `zscan big 0 match [abc]`, `zrem big a`, `zscan big 0`, `sadd s m`, `zscan s 0`, `set k v`, `zscan k x`, `zscan k 0 foo`,
	},
}

var elementScanDifferences = []Difference{
	{Setup: []string{`hset h f v`}, Line: `hscan h 12345`, Ours: "-ERR unknown cursor 12345", Redis: "*2",
		Reason: "a cursor that nobody gave, or that was dropped, is an error, never an end that might be none"},
	{Setup: []string{`hset h f v`}, Line: `hrevscan h ""`, Ours: "*2\r\n$0\r\n\r\n*2\r\n", Redis: "-ERR unknown command", Reason: "a command of ZanKV's own"},
	{Setup: []string{`sadd s m`}, Line: `srevscan s ""`, Ours: "*2\r\n$0\r\n\r\n*1\r\n", Redis: "-ERR unknown command", Reason: "a command of ZanKV's own"},
	{Setup: []string{`zadd z 1 m`}, Line: `zrevscan z ""`, Ours: "*2\r\n$0\r\n\r\n*2\r\n", Redis: "-ERR unknown command", Reason: "a command of ZanKV's own"},
}

var elementScanNewer = []string{"hrevscan", "srevscan", "zrevscan", "revscan", "advscan", "advrevscan", "fullscan", "waitaof"}

const elementScanTemplates = `hset %k %m %v|hset %k %m %v %m %v|hdel %k %m|sadd %k %m %m %m|srem %k %m|zadd %k %f %m %i %m|zrem %k %m|del %k|set %k %v|pexpireat %k 1|hscan %k 0|hscan %k 0 count %c|hscan %k 0 match %p|sscan %k 0|sscan %k 0 count %c|sscan %k 0 match %p count %c|zscan %k 0|zscan %k 0 count %c|zscan %k 0 match %p|hscan %k %c|zscan %k 0 %p %c`

var elementScanDomains = map[byte][]string{
	'k': {"a", "b", "c"}, 'c': {"0", "1", "2", "5", "100", "-1", "x", "", "count"}, 'p': {"*", "?", "m*", "[a-f]", "count", "match"},
	'm': {"f", "g", "h", "", "m1", "m2", "m3", "f\x00"},
}

// checkElementScan compares a scan of elements from its beginning to its end. Errors are compared to the byte; a cursor but 0 has to be one
// that the other side never gave, and just mustn't break anything.
func checkElementScan(p *pair, args [][]byte) {
	p.tb.Helper()
	got, want := p.ours.Do(args...), p.oracle.Do(args...)
	if len(args) > 2 && len(bytes.Trim(args[2], "-+0123456789")) == 0 && len(bytes.Trim(args[2], "-+0")) > 0 && got[0] == '-' {
		return
	}
	if got[0] == '-' || want[0] == '-' {
		if !bytes.Equal(got, want) {
			p.failed(args, got, want)
		}
		return
	}
	by := 2
	if strings.EqualFold(string(args[0]), "sscan") {
		by = 1
	}
	ours, oracle := scanElements(p.tb, p.ours, args, by), scanElements(p.tb, p.oracle, args, by)
	if repeats := len(slices.Compact(slices.Clone(ours))); repeats != len(ours) {
		p.tb.Errorf("%q: found %q, some of it more than once", args, ours)
	}
	if !slices.Equal(ours, slices.Compact(oracle)) {
		p.tb.Errorf("%q: found %q, and Redis %q", args, ours, oracle)
	}
}

// scanElements runs a scan to its end and gives the elements found, sorted. Scores count as numbers: 7.0 writes them in another way.
func scanElements(tb testing.TB, t Target, args [][]byte, by int) (found []string) {
	tb.Helper()
	line, zset := slices.Clone(args), strings.EqualFold(string(args[0]), "zscan")
	line[2] = []byte("0")
	for range 10_000 {
		page, _ := parseReply(t.Do(line...))
		if page.kind != '*' || len(page.parts) != 2 || page.parts[0].kind != '$' || len(page.parts[1].parts)%by != 0 {
			tb.Fatalf("%q: a page is %s", line, page)
		}
		for group := range slices.Chunk(page.parts[1].parts, by) {
			text := group[0].String()
			switch score, err := strconv.ParseFloat(group[by-1].text, 64); {
			case by == 2 && zset && err == nil:
				text += " " + strconv.FormatFloat(score, 'g', -1, 64)
			case by == 2:
				text += " " + group[1].String()
			}
			found = append(found, text)
		}
		if line[2] = []byte(page.parts[0].text); string(line[2]) == "0" {
			slices.Sort(found)
			return found
		}
	}
	tb.Fatalf("%q: no end", args)
	return nil
}
