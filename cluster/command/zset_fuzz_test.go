package command_test

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/zankv/zankv/cluster/command"
)

// FuzzZSet runs a ZADD with fuzzed arguments on a small sorted set, then a ZRANGE with others, in both protocols. Nothing may panic; the executor
// checks each mutation against the state and that an error comes with none. What ZRANGE replies must agree with ZRANGESTORE's count.
func FuzzZSet(f *testing.F) {
	for _, seed := range [][2]string{
		{"nx\x00ch\x001\x00a\x002\x00a", "0\x00-1\x00withscores"}, {"gt\x00incr\x00inf\x00b", "(1\x00inf\x00byscore\x00limit\x001\x00-1"}, {"0x1p-3\x00\x00-0\x00q", "[a\x00+\x00bylex\x00rev"},
		{"xx\x00lt\x001e400\x00b", "-inf\x00(0\x00byscore\x00rev\x00limit\x000"}, {"nan\x00a", "-3\x00-9223372036854775808"}, {"1_0\x00a", "\x00 1\x00byscore"}, {"-inf\x00a\x00inf\x00\xff", "-\x00(\xff\x00bylex"},
	} {
		f.Add([]byte(seed[0]), []byte(seed[1]), true)
	}
	f.Fuzz(func(t *testing.T, add, rng []byte, replicates bool) {
		e := newExecutor(t)
		e.Replicates = replicates
		e.Do(words("zadd k 1 a 1 b 2 c 3.5 d -1 e")...)
		do := func(words ...string) []byte {
			var args [][]byte
			for _, w := range words {
				args = append(args, []byte(w))
			}
			return e.Do(args...)
		}
		do(append([]string{"zadd", "k"}, split(add)...)...)
		for _, e.RESP3 = range []bool{false, true} {
			all := do(append([]string{"zrange", "k"}, split(rng)...)...)
			stored := do(append([]string{"zrangestore", "d", "k"}, split(rng)...)...)
			if bytes.Contains(bytes.ToLower(rng), []byte("withscores")) || all[0] == '-' || stored[0] == '-' {
				continue
			}
			if n := string(all[1:bytes.IndexByte(all, '\r')]); n != strings.TrimSpace(string(stored[1:])) {
				t.Errorf("%q: ZRANGE %q, ZRANGESTORE %q", rng, all, stored)
			}
		}
	})
}

func split(b []byte) []string { return strings.Split(string(b), "\x00") }

// FuzzScore: a score that is taken is a number, and what Go takes for a number too is the same; what is stored reads back from the reply.
func FuzzScore(f *testing.F) {
	for _, seed := range []string{"1", "-0", "0x.8p1", "1e-320", "1e400", "+inf", "nan", " 1", "1 ", ".", "5.", ".5", "1e+", "0x", "1_0", "9007199254740993", "00012", "Infinity", "1e-400", "0e-999999999999"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e := newExecutor(t)
		reply := string(e.Do([]byte("zadd"), []byte("k"), []byte(text), []byte("m")))
		want, err := strconv.ParseFloat(text, 64)
		taken := reply == ":1\r\n"
		if !taken {
			if plain := err == nil && !math.IsNaN(want) && !strings.ContainsAny(text, "_"); plain && (want != 0 || strings.Trim(text, "+-0.") == "") {
				if reply != "-"+command.ErrSyntax+"\r\n" {
					t.Errorf("%q is %v, and was refused: %q", text, want, reply)
				}
			}
			return
		}
		score := e.Store.Collection("k")["m"].Score
		if math.IsNaN(score) || math.Signbit(score) && score == 0 || err == nil && score != want {
			t.Errorf("%q became %v, want %v", text, score, want)
		}
		shown := string(e.Do(words("zscore k m")...))
		if back, err := strconv.ParseFloat(strings.Split(shown, "\r\n")[1], 64); err != nil || back != score {
			t.Errorf("%q: %v is shown as %q", text, score, shown)
		}
	})
}
