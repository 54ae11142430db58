package command_test

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
)

// TestSketchEstimates: the estimate stays within four standard errors (0.81 %) at all sizes, and grows dense on the way.
func TestSketchEstimates(t *testing.T) {
	e := newExecutor(t)
	for n := 1; n <= 30000; n++ {
		e.Do([]byte("pfadd"), []byte("k"), fmt.Appendf(nil, "element-%d", n))
		if n&(n-1) != 0 && n != 30000 {
			continue
		}
		got, err := strconv.Atoi(strings.Trim(string(e.Do(words("pfcount k")...)), ":\r\n"))
		if err != nil || math.Abs(float64(got-n)) > 1+4*0.0081*float64(n) {
			t.Errorf("of %d elements PFCOUNT counts %d (%v)", n, got, err)
		}
	}
	do(t, e, "strlen k", ":12304\r\n")
	do(t, e, "pfadd k element-7", ":0\r\n")
	if m := onlyMutation(t, e); m != nil {
		t.Errorf("an element known emitted %+v", m)
	}
}

// TestCorruptSketchStays: an error in the middle of a PFADD changes nothing.
func TestCorruptSketchStays(t *testing.T) {
	e := newExecutor(t)
	const value = "HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x5f\xff"
	e.Do([]byte("set"), []byte("k"), []byte(value))
	do(t, e, "pfadd k a b c d e f g h i j", "-INVALIDOBJ Corrupted HLL object detected\r\n")
	do(t, e, "get k", "$18\r\n"+value+"\r\n")
}

// FuzzSketch gives the commands strings that claim to be sketches: nothing may panic, what is accepted stays one, and adding twice is
// adding once.
func FuzzSketch(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x7f\xff"), []byte("a"))
	f.Add([]byte("\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x7f"), []byte(""))
	f.Add([]byte("\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x80\x84\x7f\xfa\xff"), []byte("xyz"))
	f.Add(append([]byte("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80"), bytes.Repeat([]byte{0xa5}, 12288)...), []byte("b"))
	f.Fuzz(func(t *testing.T, content, element []byte) {
		e := newExecutor(t)
		e.Do([]byte("set"), []byte("k"), append([]byte("HYLL"), content...))
		e.Do(words("pfcount k")...)
		e.Do(words("pfcount k k none")...)
		e.Do(words("pfmerge d k")...)
		if e.Do([]byte("pfadd"), []byte("k"), element)[0] == '-' {
			return
		}
		do(t, e, "type k", "+string\r\n")
		if got := e.Do([]byte("pfadd"), []byte("k"), element); string(got) != ":0\r\n" {
			t.Errorf("%q in %q: again %q", element, content, got)
		}
	})
}

// BenchmarkSketch is the commands' own work on a dense sketch.
func BenchmarkSketch(b *testing.B) {
	e := newExecutor(b)
	for n := range 20000 {
		e.Do([]byte("pfadd"), []byte("k"), fmt.Appendf(nil, "element-%d", n))
	}
	for _, line := range []string{"pfadd k element-7", "pfcount k", "pfcount k k"} {
		b.Run(line, func(b *testing.B) {
			args := words(line)
			for b.Loop() {
				e.Do(args...)
			}
		})
	}
}
