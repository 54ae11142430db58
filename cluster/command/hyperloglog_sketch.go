package command

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// sketch is a HyperLogLog as Redis keeps it in a string:
//
//	offset  size  meaning
//	0       4     "HYLL"
//	4       1     form: 0 dense, 1 sparse
//	5       3     not used
//	8       8     what was counted last, little-endian; the highest bit set: not counted since the last change
//	16      …     the registers
//
// Dense, the registers are 6 bits each, from the lowest bit of each byte on. Sparse, they are runs:
//
//	00nnnnnn            n+1 registers that are 0
//	01nnnnnn nnnnnnnn   n+1 registers that are 0
//	1vvvvvnn            n+1 registers that are v+1
//
// The form, the hash and the estimate are Redis's (hyperloglog.c there describes them), to the byte: no library has that form. A string
// that claims to be one may hold anything behind its header: nothing here trusts it.
type sketch []byte

const (
	sketchHeader    = 16
	registerBits    = 14                // of the hash, which name a register
	registerCount   = 1 << registerBits // registers in a sketch
	maxRun          = 64 - registerBits // zeros that may follow in the hash
	denseSize       = sketchHeader + registerCount*6/8
	sparseMaxBytes  = 3000 // hll-sparse-max-bytes: the longest sparse sketch
	sparseMaxValue  = 32   // of a register in a run
	sparseMaxValues = 4    // registers in a run of values
	sparseMaxZeros  = 64   // registers in a short run of zeros
	formDense       = 0
	formSparse      = 1
)

func appendEmptySketch(dst []byte) sketch {
	dst = append(dst, "HYLL"...)
	dst = append(dst, formSparse, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	return appendZeroRun(dst, registerCount)
}

// valid says whether a string may be a sketch; its runs may still be wrong.
func (s sketch) valid() bool {
	return len(s) >= sketchHeader && bytes.HasPrefix(s, []byte("HYLL")) && s[4] <= formSparse && (s[4] != formDense || len(s) == denseSize)
}

func (s sketch) dense() bool { return s[4] == formDense }

// invalidate says that what was counted last doesn't hold any more.
func (s sketch) invalidate() { s[15] |= 0x80 }

// count estimates; ok is false when the runs are wrong.
func (s sketch) count() (n uint64, ok bool) {
	if s[15]&0x80 == 0 {
		return binary.LittleEndian.Uint64(s[8:]), true
	}
	h, ok := s.histogram()
	return h.estimate(), ok
}

// sketchRegister says which register an element counts in, and what for: how many zeros its hash has there, and one more.
func sketchRegister(element []byte) (index int, count uint8) {
	h := murmur64A(element, 0xadc83b19)
	rest := h>>registerBits | 1<<maxRun
	return int(h & (registerCount - 1)), uint8(bits.TrailingZeros64(rest)) + 1
}

// set raises a register to count, if it is lower. ok is false when the runs are wrong; the sketch is of no use then.
func (s *sketch) set(index int, count uint8) (changed, ok bool) {
	if s.dense() {
		return (*s)[sketchHeader:].raise(index, count), true
	}
	return s.setSparse(index, count)
}

// register reads one of the registers of a dense sketch's body.
func (s sketch) register(index int) uint8 {
	at, shift := index*6/8, index*6%8
	value := uint(s[at]) >> shift
	if at+1 < len(s) {
		value |= uint(s[at+1]) << (8 - shift)
	}
	return uint8(value & 63)
}

// raise is set for a dense sketch's body.
func (s sketch) raise(index int, count uint8) bool {
	if s.register(index) >= count {
		return false
	}
	at, shift := index*6/8, index*6%8
	word, mask := uint(count&63)<<shift, uint(63)<<shift
	s[at] = s[at]&^byte(mask) | byte(word)
	if at+1 < len(s) {
		s[at+1] = s[at+1]&^byte(mask>>8) | byte(word>>8)
	}
	return true
}

// toDense gives each register its place; ok is false when the runs are wrong.
func (s *sketch) toDense() (ok bool) {
	if s.dense() {
		return true
	}
	var values registers
	if !values.merge(*s) {
		return false
	}
	*s = append((*s)[:sketchHeader], make([]byte, denseSize-sketchHeader)...)
	(*s)[4] = formDense
	for i, v := range values {
		if v > 0 {
			(*s)[sketchHeader:].raise(i, v)
		}
	}
	return true
}

// murmur64A is MurmurHash64A (Austin Appleby, public domain), reading little-endian words on every machine.
func murmur64A(p []byte, seed uint64) uint64 {
	const m, r = 0xc6a4a7935bd1e995, 47
	h := seed ^ uint64(len(p))*m
	for ; len(p) >= 8; p = p[8:] {
		k := binary.LittleEndian.Uint64(p) * m
		k ^= k >> r
		h = (h ^ k*m) * m
	}
	if len(p) > 0 {
		var tail [8]byte
		copy(tail[:], p)
		h = (h ^ binary.LittleEndian.Uint64(tail[:])) * m
	}
	h ^= h >> r
	h *= m
	return h ^ h>>r
}
