package resp

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/redcon"
)

// malformed are inputs that Redis refuses, ignores, or takes in its own way.
var malformed = []string{
	encode("PING") + encode("ECHO", "a longer value") + "PING\r\n" + encode("ECHO", "x") + encode("PING", "y"),
	"*1\r\n$4\r\nPING\r\n", "*0\r\n*1\r\n$4\r\nPING\r\n", "*-1\r\n*1\r\n$4\r\nPING\r\n", "*-10\r\nPING\r\n",
	"*1\r\n:4\r\nPING\r\n", "*1\r\n\r\nPING\r\n", "*1\r\n$-1\r\n", "*1\r\n$-5\r\nPING\r\n", "*1\r\n$ 4\r\nPING\r\n", "*1\r\n$+4\r\nPING\r\n",
	"*1\r\n$04\r\nPING\r\n", "*1\r\n$\r\nPING\r\n", "*\r\n", "* 1\r\n", "*01\r\n$4\r\nPING\r\n", "*1x\r\n$4\r\nPING\r\n", "*x\r\n",
	"*99999999999\r\n", "*9223372036854775808\r\n", "*1\r\n$9223372036854775808\r\n", "*1\r\n$600000000\r\n", "*1\r\n$536870913\r\n",
	"*2\r\n$4\r\nECHO\r\n$2\r\nabXX*1\r\n$4\r\nPING\r\n", "*1\rX$4\rXPINGXX", "*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", "*1\r\n$0\r\n\r\n",
	"PING\r\n", "PING\n", "\r\n\r\nPING\r\n", "  PING  \r\n", "ECHO \"a b\"\r\n", "ECHO 'a b'\r\n", "ECHO \"\\x41\\n\\r\\t\\b\\a\\\\\\\"\\q\"\r\n", "ECHO 'it\\'s \\n'\r\n",
	"ECHO \"a\r\n", "ECHO 'a\r\n", "ECHO \"a\"b\r\n", "ECHO 'a'b\r\n", "ECHO a\"b c\"\r\n", "ECHO \"\\x4\"\r\n", "ECHO \"\\\r\n", "ECHO \"\"\r\n", "ECHO a\vb\r\n", "\vECHO\fa\r\n",
	"PING\rPING\r\n", "ECHO \"\xff\xfe\"\r\n", "*1\r\n\xff4\r\nPING\r\n", "$4\r\nPING\r\n", ":1\r\n", "+OK\r\n",
	strings.Repeat("a", 200000), "*" + strings.Repeat("1", 70000), "*1\r\n$" + strings.Repeat("1", 70000), "*1\r\n" + strings.Repeat("$", 70000),
	"*3\r\n$3\r\nFOO\r\n$3\r\nb\r\n\r\n$1\r\nc\r\n", "*2\r\n$4\r\nNO\r\n\r\n$1\r\nx\r\n", "FOO bar baz\r\n", "*1\r\n$7\r\nUNKNOWN\r\n",
	encode(append([]string{"nosuch"}, strings.Split(strings.Repeat("argument ", 40), " ")...)...), encode("GET"), encode("SET", "a"), encode("MSET", "a"), encode("MSET", "a", "b", "c"),
	encode("CLIENT"), encode("CLIENT", "NOPE"), encode("CLIENT", "ID", "x"), encode("get", strings.Repeat("k", 200), "x"),
}

// TestRedisTakesTheSame sends the same bytes to the real server and compares all that comes back.
func TestRedisTakesTheSame(t *testing.T) {
	theirs := startRedis(t)
	ours := newCluster(t, 1, func(o *Options) { o.MaxBulk = 512 << 20; o.MaxQuery = 1 << 30 }, oneNamespace(1)).nodes[0].addr[NamespacePort]
	for _, in := range malformed {
		got, want := exchange(t, ours, in), exchange(t, theirs, in)
		if got != want {
			t.Errorf("%.100q: got %.300q, redis says %.300q", in, got, want)
		}
	}
}

// exchange sends bytes, then an end of stream, and returns all that comes back.
func exchange(t testing.TB, addr, in string) string {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(nc, in)
	nc.(*net.TCPConn).CloseWrite()
	out, _ := io.ReadAll(nc) // a reset is as good as an end
	return string(out)
}

// parseAll feeds input in pieces through the parser, the way a connection does, and says what it found.
func parseAll(in []byte, pieces func(left int) int, strict bool) string {
	var out strings.Builder
	p := newParser(1<<20, 4<<20)
	var buf []byte
	for len(in) > 0 {
		n := min(max(pieces(len(in)), 1), len(in))
		buf, in = append(buf, in[:n]...), in[n:]
		for {
			whole, err := p.next(buf, strict)
			if err != nil {
				fmt.Fprintf(&out, "error %s", err)
				return out.String()
			}
			if !whole {
				break
			}
			for i := range p.count() {
				fmt.Fprintf(&out, "%q ", p.arg(buf, i))
			}
			out.WriteByte('\n')
		}
		from := p.keep()
		buf = append([]byte(nil), buf[from:]...)
		p.moved(from)
	}
	return out.String()
}

// TestSplitsDontMatter: invariant 5.
func TestSplitsDontMatter(t *testing.T) {
	// Redis takes a line over 64 KiB or not, as it happens to be split.
	for _, in := range append(malformed, strings.Repeat("a", 70000)+"\r\n", "*"+strings.Repeat("0", 70000)+"1\r\n") {
		for seed := range uint64(5) {
			checkSplits(t, []byte(in), seed)
			if len(in) > 5000 {
				break
			}
		}
	}
}

func checkSplits(t *testing.T, in []byte, seed uint64) {
	for _, strict := range []bool{false, true} {
		want := parseAll(in, func(left int) int { return left }, strict)
		rng := rand.New(rand.NewPCG(seed, 2))
		for _, size := range []int{1, 3, 17, 60, 4096} {
			if len(in) > 5000 && size < 17 {
				continue
			}
			if got := parseAll(in, func(int) int { return 1 + rng.IntN(size) }, strict); got != want {
				t.Fatalf("input %.200q in pieces up to %d (seed %d, strict %v): got %.300q, in one piece %.300q", in, size, seed, strict, got, want)
			}
		}
	}
}

// FuzzParser: any bytes, split anyhow, give one result; what is well formed is read as redcon's parser reads it.
func FuzzParser(f *testing.F) {
	for i, in := range malformed {
		f.Add([]byte(in), uint64(i))
	}
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		checkSplits(t, in, seed)
		checkRedcon(t, in)
	})
}

// checkRedcon compares well-formed arrays with redcon. (It can't be asked about negative lengths: it panics.)
func checkRedcon(t *testing.T, in []byte) {
	p := newParser(1<<20, 4<<20)
	for {
		start := p.pos
		whole, err := p.next(in, false)
		if err != nil || !whole || p.typed {
			return
		}
		canonical := redcon.AppendArray(nil, p.count())
		for i := range p.count() {
			canonical = redcon.AppendBulk(canonical, p.arg(in, i))
		}
		if !bytes.Equal(canonical, in[start:p.pos]) {
			continue // redcon wants CR LF where Redis passes over two bytes, and takes other numbers
		}
		ok, args, _, rest, err := redcon.ReadNextCommand(in[start:], nil)
		if err != nil {
			t.Fatalf("%q at %d: redcon says %v", in, start, err)
		}
		if !ok || len(args) != p.count() || len(in)-len(rest) != p.pos {
			t.Fatalf("%q at %d: redcon says %v, %q, %d left; got %d arguments up to %d", in, start, ok, args, len(rest), p.count(), p.pos)
		}
		for i, a := range args {
			if !bytes.Equal(a, p.arg(in, i)) {
				t.Fatalf("%q: argument %d: redcon reads %q, got %q", in, i, a, p.arg(in, i))
			}
		}
	}
}

func TestUnauthenticatedLimits(t *testing.T) {
	for in, want := range map[string]string{
		"*11\r\n":            "error unauthenticated multibulk length",
		"*1\r\n$16385\r\n":   "error unauthenticated bulk length",
		"*1048577\r\n":       "error invalid multibulk length",
		"*1\r\n$1048577\r\n": "error invalid bulk length",
	} {
		if got := parseAll([]byte(in), func(n int) int { return n }, true); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	in := []byte(strings.Repeat(encode("SET", "key:000000001", strings.Repeat("x", 128)), 16))
	p := newParser(defaultMaxBulk, 64<<20)
	b.ReportAllocs()
	for i := 0; i < b.N; i += 16 {
		p.pos = 0
		for {
			if whole, _ := p.next(in, false); !whole {
				break
			}
		}
	}
}
