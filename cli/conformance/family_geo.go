package conformance

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
)

var geos = family{
	name:      "geo",
	cases:     geoCases,
	check:     map[string]func(*pair, [][]byte){"geosearchstore": storedDistances, "georadius": storedDistances, "georadiusbymember": storedDistances},
	templates: `geoadd %k %l %m|geoadd %k %l %m %l %m|geoadd %k %l %m %l %m %l %m|geoadd %k %x %l %m|geoadd %k %x %l %m %l %m|geopos %k %m %m|geodist %k %m %m|geodist %k %m %m %u|geohash %k %m %m|georadius %k %l %r %u %o|georadius %k %l %r %u %o %o|georadius_ro %k %l %r %u %o %o|georadiusbymember %k %m %r %u %o|georadiusbymember_ro %k %m %r %u %o %o|geosearch %k %f %b|geosearch %k %f %b %o|geosearch %k %b %f %o %o|geosearchstore %k %k %f %b|geosearchstore %k %k %f %b %o|geosearchstore %q %k %f %b storedist|georadius %k %l %r %u store %k|georadiusbymember %k %m %r %u storedist %q|georadius %k %l %r %u %o storedist %q|zrange %q 0 -1|zcard %q|zrem %k %m|zscore %k %m|zadd %k %s %m|del %k|pexpireat %k %a|pttl %k|type %k|set %k x`,
	domains: map[byte][]string{
		'k': {"g", "h", "{g}h"},
		'q': {"d", "e"},
		'm': {"a", "b", "c", "rome", "x", "y", "z", "pole"},
		'l': {"13.361389 38.115556", "15.087269 37.502669", "0 0", "-0.0000001 0.0000001", "180 85.05112878", "-180 -85.05112878", "179.999 10", "-179.999 10.001", "12.5 41.9", "2.3522 48.8566", "2.35 48.85", "100 84", "-70 -67", "181 0", "x 1", "1 91", "1.5 2.5", "1.6 2.4"},
		'x': {"nx", "xx", "ch", "nx ch", "xx ch", "nx xx", "foo"},
		'r': {"0", "1", "100", "200000", "1e3", "500.5", "20000", "-1", "x", "50000000"},
		'u': {"m", "km", "KM", "ft", "mi", "foo"},
		'o': {"", "withdist", "withcoord", "withhash", "asc", "desc", "count 2", "count 1 any", "count 3 any", "any", "count 0", "count x", "WITHDIST withhash withcoord", "foo", "store", "storedist"},
		'f': {"frommember a", "frommember rome", "fromlonlat 15 37", "fromlonlat 0 0", "fromlonlat 179.9 10", "fromlonlat 2 48", "fromlonlat 99 83", "fromlonlat 500 0", "frommember a fromlonlat 1 1", ""},
		'b': {"byradius 200 km", "byradius 5000 mi", "byradius 10 m", "byradius 30000 km", "bybox 400 400 km", "bybox 2000 100 km", "bybox 50000 50000 km", "byradius -1 m", "bybox 1 x m", "bybox 1 1 foo", "byradius 1 m bybox 1 1 m", ""},
		's': {"0", "1", "-5", "3479099956230698", "4503599627370495", "1e17", "1.5", "inf"},
	},
	options: "lxofb",
}

// storedDistances compares replies, and what STOREDIST stored: members and their order, and the scores but for the last digits, as sines aren't
// the same everywhere. So what was stored is removed.
func storedDistances(p *pair, args [][]byte) {
	p.tb.Helper()
	if got, want := p.ours.Do(args...), p.oracle.Do(args...); !bytes.Equal(got, want) {
		p.failed(args, got, want)
	}
	for i, arg := range args {
		if !bytes.EqualFold(arg, []byte("storedist")) {
			continue
		}
		key := args[1]
		if !bytes.EqualFold(args[0], []byte("geosearchstore")) {
			key = args[min(i+1, len(args)-1)]
		}
		stored := [][]byte{[]byte("zrange"), key, []byte("0"), []byte("-1"), []byte("withscores")}
		got, want := p.ours.Do(stored...), p.oracle.Do(stored...)
		if !nearly(got, want) {
			p.failed(stored, got, want)
		}
		p.do([]byte("del"), key)
	}
}

// nearly says whether two replies are the same but for the last digits of numbers.
func nearly(got, want []byte) bool {
	a, _ := parseReply(got)
	b, _ := parseReply(want)
	return a.rounded() == b.rounded()
}

// rounded is String with numbers of 11 digits.
func (n node) rounded() string {
	var f float64
	if _, err := fmt.Sscanf(n.text, "%g", &f); err == nil {
		n.text = fmt.Sprintf("%.11g", f)
	}
	for i := range n.parts {
		n.parts[i] = node{kind: '+', text: n.parts[i].rounded()}
	}
	return n.String()
}

// geoGrid searches among places all over the earth with shapes of all sizes, unsorted: the order tells which cells were searched, and when.
func geoGrid() (lines []string) {
	draw := rand.New(rand.NewPCG(7, 7))
	at := func() string { return fmt.Sprintf("%.6f %.6f", draw.Float64()*360-180, draw.Float64()*170-85) }
	for i := range 20 {
		var b strings.Builder
		for j := range 40 {
			fmt.Fprintf(&b, " %s m%d", at(), i*40+j)
		}
		lines = append(lines, "geoadd g"+b.String())
	}
	size := func() string { return fmt.Sprintf("%.3f", math.Exp(draw.Float64()*7)*10) } // 10 to 10000
	for range 400 {
		lines = append(lines, fmt.Sprintf("geosearch g fromlonlat %s byradius %s km withhash", at(), size()),
			fmt.Sprintf("geosearch g fromlonlat %s bybox %s %s km withdist", at(), size(), size()),
			fmt.Sprintf("geosearch g frommember m%d byradius %s mi count 3 any", draw.IntN(800), size()))
	}
	return lines
}

var geoCases = map[string][]string{
	"all over the earth": geoGrid(),
	"geoadd": {
		`geoadd Sicily 13.361389 38.115556 Palermo 15.087269 37.502669 Catania`, `geoadd Sicily 13.361389 38.115556 Palermo`, `zrange Sicily 0 -1 withscores`, `type Sicily`, `geoadd Sicily ch 13.361389 38.115557 Palermo 1 1 New`, `geoadd Sicily nx 1 1 Palermo 2 2 Other`, `geoadd Sicily xx ch 1 1 Palermo 3 3 None`, `geoadd Sicily nx xx 1 1 a`, `geoadd Sicily NX CH 1 1 b`, `geoadd Sicily nx xx ch nx`, `geoadd Sicily gt 1 1`, `geoadd Sicily gt 1 1 m`, `geoadd Sicily nx gt 1 m`, `geoadd Sicily incr 1 1 m`,
		`geoadd Sicily 1 1`, `geoadd Sicily`, `geoadd Sicily 1 1 a 2`, `geoadd Sicily 181 0 a`, `geoadd Sicily -181 0 a`, `geoadd Sicily 0 86 a`, `geoadd Sicily 0 -85.06 a`, `geoadd Sicily x 0 a`, `geoadd Sicily 0 x a`, `geoadd Sicily nan 0 a`, `geoadd Sicily inf 0 a`, `geoadd Sicily 0 -inf a`, `geoadd Sicily 1e300 0 a`, `geoadd Sicily " 1" 0 a`, `geoadd Sicily 1 1 a x 2 b`, `geoadd Sicily 1 1 a 200 2 b`, `zscore Sicily a`, `geoadd Sicily 180 85.05112878 max -180 -85.05112878 min 0 0 zero -0.0 0.0 minus`, `zrange Sicily 0 -1 withscores`, `geoadd Sicily 10 10 twice 20 20 twice`, `geopos Sicily twice max min zero`, `geohash Sicily twice max min zero`,
		`set s x`, `geoadd s 1 1 a`, `geoadd s 200 1 a`, `geopos s a`, `geohash s a`, `geodist s a b`, `expire Sicily 100`, `geoadd Sicily 5 5 five`, `ttl Sicily`, `zadd old 1 m`, `pexpireat old 1`, `geoadd old 1 1 m`, `ttl old`, `geoadd "b\x00in" 1 1 "\xff\r\n"`, `geopos "b\x00in" "\xff\r\n"`,
	},
	"places": {
		`geoadd g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania -122.4194 37.7749 SF 139.6917 35.6895 Tokyo 0 0 zero`, `geopos g Palermo Catania SF Tokyo zero none`, `geopos g`, `geopos none`, `geopos none a b`, `geopos`, `geohash g Palermo Catania SF Tokyo zero none`, `geohash g`, `geohash none a`, `geohash`,
		`geodist g Palermo Catania`, `geodist g Palermo Catania m`, `geodist g Palermo Catania km`, `geodist g Palermo Catania KM`, `geodist g Palermo Catania mi`, `geodist g Palermo Catania ft`, `geodist g Palermo Catania foo`, `geodist g Palermo Catania ""`, `geodist g Palermo Palermo`, `geodist g SF Tokyo km`, `geodist g zero Tokyo`, `geodist g Palermo none`, `geodist g none Palermo`, `geodist none a b`, `geodist none a b foo`, `geodist g Palermo Catania m x`, `geodist g Palermo`, `geodist`,
		`zadd z 1.5 a -1 b 4503599627370496 c 1e18 d 0 e 9007199254740991 f inf g -inf h 1.2e19 i -1.2e19 j 1e300 k`, `geopos z a b c d e f g h i j k`, `geohash z a b c d e f g h i j k`, `geodist z a c`, `geodist z e f`, `geodist z b d`, `geosearch z fromlonlat 0 0 byradius 30000 km asc withhash withdist withcoord`,
	},
	"geosearch": {
		`geoadd g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania 12.758489 38.788135 edge1 17.241510 38.788135 edge2`, `geosearch g fromlonlat 15 37 byradius 200 km asc`, `geosearch g fromlonlat 15 37 bybox 400 400 km asc withcoord withdist`, `geosearch g fromlonlat 15 37 byradius 200 km`, `geosearch g fromlonlat 15 37 byradius 200 km desc withdist withhash withcoord`, `geosearch g frommember Catania byradius 200 km asc withdist`, `geosearch g frommember none byradius 200 km`, `geosearch none frommember none byradius 200 km`, `geosearch g fromlonlat 15 37 byradius 200 km count 1`, `geosearch g fromlonlat 15 37 byradius 200 km count 2 desc`, `geosearch g fromlonlat 15 37 byradius 300 km count 2 any`, `geosearch g fromlonlat 15 37 byradius 300 km count 2 any asc`, `geosearch g fromlonlat 15 37 byradius 300 km any`, `geosearch g fromlonlat 15 37 byradius 300 km any count 1`, `geosearch g fromlonlat 15 37 byradius 300 km count 100`,
		`geosearch g fromlonlat 15 37 byradius 200 km count 0`, `geosearch g fromlonlat 15 37 byradius 200 km count -1`, `geosearch g fromlonlat 15 37 byradius 200 km count x`, `geosearch g fromlonlat 15 37 byradius 200 km count`, `geosearch g fromlonlat 15 37 byradius 200`, `geosearch g fromlonlat 15 37 byradius x km`, `geosearch g fromlonlat 15 37 byradius -1 km`, `geosearch g fromlonlat 15 37 byradius 1 foo`, `geosearch g fromlonlat 15 37 bybox 1 1 foo`, `geosearch g fromlonlat 15 37 bybox x 1 km`, `geosearch g fromlonlat 15 37 bybox 1 x km`, `geosearch g fromlonlat 15 37 bybox -1 1 km`, `geosearch g fromlonlat 15 37 bybox 1 -1 km`, `geosearch g fromlonlat 15 37 bybox 1 1`, `geosearch g fromlonlat 500 37 byradius 1 km`, `geosearch g fromlonlat x 37 byradius 1 km`, `geosearch g frommember Palermo fromlonlat 1 1 byradius 1 km`, `geosearch g fromlonlat 1 1 frommember Palermo byradius 1 km`, `geosearch g fromlonlat 1 1 byradius 1 km bybox 1 1 km`, `geosearch g fromlonlat 1 1 bybox 1 1 km byradius 1 km`, `geosearch g byradius 1 km asc withdist`, `GeoSearch g byradius 1 km asc withdist`, `geosearch g fromlonlat 1 1 asc desc`, `geosearch g fromlonlat 1 1 asc asc asc`, `geosearch g frommember Palermo frommember Catania byradius 1 km withdist`, `geosearch g fromlonlat 1 1 fromlonlat 15 37 byradius 1 m byradius 200 km asc`, `geosearch g frommember Palermo byradius 0 m`, `geosearch g fromlonlat 15 37 byradius 200 km storedist`, `geosearch g fromlonlat 15 37 byradius 200 km store d`, `geosearch g foo bar baz bat qux`, `geosearch g frommember`, `set s x`, `geosearch s frommember a byradius 1 m`, `geosearch s foo bar baz bat qux`, `geosearch none foo bar baz bat qux`, `geosearch none fromlonlat 1 1 byradius 1 m any`, `geosearch g fromlonlat 15 37 byradius 1e10 m asc`, `geosearch g fromlonlat 15 37 byradius inf m asc`, `geosearch g fromlonlat 15 37 byradius nan m`, `geoadd w 180 85.05112878 corner -180 -85.05112878 other 0 0 middle 179 80 near`, `geosearch w fromlonlat 180 85.05112878 byradius 50000000 km`, `geosearch w fromlonlat 180 85.05112878 byradius 5000 km`, `geosearch w fromlonlat 180 0 byradius 100 km`, `geosearch w fromlonlat 180 0 byradius 30000 km`, `geosearch w fromlonlat -180 -85.05112878 byradius 20000 km`, `geosearch w frommember corner bybox 50000 50000 km`,
		`geosearchstore d g fromlonlat 15 37 byradius 200 km`, `zrange d 0 -1 withscores`, `geosearchstore d g fromlonlat 15 37 byradius 200 km count 1 asc`, `zrange d 0 -1`, `geosearchstore d g fromlonlat 15 37 bybox 500 500 km storedist`, `zrange d 0 -1`, `geosearchstore d g fromlonlat 0 0 byradius 1 m`, `exists d`, `geosearchstore s g fromlonlat 15 37 byradius 200 km`, `type s`, `geosearchstore s none fromlonlat 15 37 byradius 200 km`, `exists s`, `geosearchstore d none frommember x byradius 1 km`, `geosearchstore d g fromlonlat 15 37 byradius 200 km withdist`, `geosearchstore d g fromlonlat 15 37 byradius 200 km withcoord withhash`, `geosearchstore d g fromlonlat 15 37 asc asc asc`, `geosearchstore d g byradius 15 km asc asc`, `geosearchstore g g frommember Palermo byradius 10 km`, `zrange g 0 -1`, `geosearchstore d g fromlonlat 15 37 byradius 200`, `geosearchstore`, `geosearch`, `set w x`, `geosearchstore d w fromlonlat 15 37 byradius 200 km`, `expire g 100`, `geosearchstore g g frommember Palermo byradius 10 km`, `ttl g`,
	},
	"georadius": {
		`geoadd g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania`, `georadius g 15 37 200 km`, `georadius g 15 37 200 km withdist`, `georadius g 15 37 200 km withcoord`, `georadius g 15 37 200 km withdist withcoord withhash`, `georadius g 15 37 200 km desc`, `georadius g 15 37 200 km asc count 1`, `georadius g 15 37 200 km count 1 desc withdist`, `georadius g 15 37 1 m`, `georadius none 15 37 1 m`, `georadius none 15 37 x m`, `georadius none 500 37 1 m`, `georadius g 15 37 200 foo`, `georadius g 15 37 -1 km`, `georadius g 15 37 x km`, `georadius g x 37 200 km`, `georadius g 15 100 200 km`, `georadius g 15 37 200`, `georadius g 15 37 200 km foo`, `georadius g 15 37 200 km count`, `georadius g 15 37 200 km count 0`, `georadius g 15 37 200 km any`, `georadius g 15 37 200 km count 1 any`, `georadius g 15 37 200 km byradius 1 m`, `georadius g 15 37 200 km fromlonlat 1 1`,
		`georadius g 15 37 200 km store d`, `zrange d 0 -1 withscores`, `georadius g 15 37 200 km storedist d`, `zrange d 0 -1`, `georadius g 15 37 200 km storedist e store d`, `zrange d 0 -1 withscores`, `exists e`, `georadius g 15 37 200 km store d withdist`, `georadius g 15 37 200 km withhash store d`, `georadius g 15 37 200 km store`, `georadius g 15 37 200 km store d count 1 desc`, `zrange d 0 -1`, `georadius g 15 37 1 m store d`, `exists d`, `georadius none 15 37 1 m store g2`, `set d x`, `georadius none 15 37 1 m store d`, `exists d`, `georadius_ro g 15 37 200 km withdist asc`, `georadius_ro g 15 37 200 km store d`, `georadius_ro g 15 37 200 km storedist d`, `georadius_ro g 15 37 200`,
		`georadiusbymember g Palermo 200 km`, `georadiusbymember g Palermo 200 km withdist asc`, `georadiusbymember g none 200 km`, `georadiusbymember none none 200 km`, `georadiusbymember none none x foo`, `georadiusbymember none none x foo bar`, `georadiusbymember none none x foo store d`, `georadiusbymember g Palermo x km`, `georadiusbymember g Palermo 200 foo`, `georadiusbymember g Palermo 200 km store d`, `zrange d 0 -1 withscores`, `georadiusbymember g Palermo 200 km storedist d desc count 1`, `zrange d 0 -1`, `georadiusbymember_ro g Palermo 200 km desc`, `georadiusbymember_ro g Palermo 200 km store d`, `georadiusbymember g Palermo 200`, `set s x`, `georadius s 1 1 1 m`, `georadiusbymember s a 1 m`, `georadius s x 1 1 m`, `georadius_ro s 1 1 1 m`, `georadius`, `georadiusbymember`,
		`command getkeys georadius g 15 37 200 km store d`, `command getkeys georadius g 15 37 200 km store d storedist e`, `command getkeys georadius g 15 37 200 km`, `command getkeys georadiusbymember g a 200 km storedist e`, `command getkeys georadiusbymember g store 200 km`, `command getkeys geosearchstore d g fromlonlat 1 1 byradius 1 m`,
	},
}
