package conformance

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/zankv/zankv/cluster/command/commandtest"
)

// patterns compares what random glob patterns match among random keys, both made of few bytes.
func patterns(t *testing.T, ours, oracle Target, seed uint64) {
	draw := rand.New(rand.NewPCG(seed, 3))
	text := func(alphabet string, n int) []byte {
		b := make([]byte, draw.IntN(n+1))
		for i := range b {
			b[i] = alphabet[draw.IntN(len(alphabet))]
		}
		return b
	}
	p := &pair{tb: t, ours: ours, oracle: oracle}
	p.reset()
	for range 120 {
		p.do([]byte("set"), text("abc-]^[*\xff", 4), []byte("v"))
	}
	for range 1500 {
		p.do([]byte("scan"), []byte("0"), []byte("count"), []byte("1000"), []byte("match"), text("ab*?[]^-\\c\xff", 7))
	}
}

// numbers compares INCR, INCRBY and INCRBYFLOAT on random numerals.
func numbers(t *testing.T, ours, oracle Target, seed uint64) {
	draw := rand.New(rand.NewPCG(seed, 4))
	p := &pair{tb: t, ours: ours, oracle: oracle}
	p.reset()
	for range 1500 {
		p.do([]byte("set"), []byte("k"), numeral(draw))
		p.do([]byte("incrbyfloat"), []byte("k"), numeral(draw))
		p.line("get k")
		p.do([]byte("incrby"), []byte("k"), fmt.Appendf(nil, "%d", int64(draw.Uint64())>>draw.IntN(64)))
	}
}

// numeral draws a number's text, decimal as a rule, with up to 40 digits.
func numeral(draw *rand.Rand) []byte {
	digits := func(n int) (b []byte) {
		for range draw.IntN(n + 1) {
			b = append(b, byte('0'+draw.IntN(10)))
		}
		return b
	}
	var b []byte
	if draw.IntN(3) == 0 {
		b = append(b, '-')
	}
	switch draw.IntN(10) {
	case 0:
		return fmt.Appendf(b, "%d", draw.Uint64()>>draw.IntN(64))
	case 1:
		return fmt.Appendf(b, "0x%x.%xp%d", draw.Uint64()>>draw.IntN(64), draw.Uint32(), draw.IntN(80)-60)
	case 2:
		return fmt.Appendf(b, "%d.%se%d", draw.IntN(10), digits(20), draw.IntN(60)-30)
	case 3:
		return fmt.Appendf(b, "%d.5", draw.Uint64()>>draw.IntN(64))
	}
	b = append(b, digits(20)...)
	if draw.IntN(3) > 0 {
		b = append(append(b, '.'), digits(20)...)
	}
	return b
}

// expiryPasses sets short times to live in every way, waits until they have passed, and compares what is left.
func expiryPasses(t *testing.T, ours, oracle Target) {
	p := &pair{tb: t, ours: ours, oracle: oracle}
	for _, line := range []string{"set k v px 30", "psetex k 30 v", "getex k px 30", "pexpire k 30"} {
		p.reset()
		p.line("set k v")
		p.line(line)
		for _, target := range []Target{ours, oracle} {
			awaitGone(t, target)
		}
		for _, after := range []string{"get k", "ttl k", "type k", "scan 0", "del k", "incr k", "ttl k"} {
			p.line(after)
		}
	}
}

// awaitGone asks until k doesn't exist.
func awaitGone(t *testing.T, target Target) {
	t.Helper()
	deadline := time.Now().Add(ioTimeout)
	for string(target.Do(commandtest.Words("exists k")...)) != ":0\r\n" {
		if time.Now().After(deadline) {
			t.Fatal("k doesn't expire")
		}
	}
}
