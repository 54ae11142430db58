package command

import "slices"

// run is one run of a sparse sketch: length registers of a value, in width bytes.
type run struct {
	length, width int
	value         uint8
}

// readRun reads the run that s begins with, which isn't empty. A long run of zeros that is cut off is read as if a zero byte followed.
func readRun(s []byte) run {
	b := s[0]
	switch {
	case b&0x80 != 0:
		return run{length: int(b&3) + 1, width: 1, value: b>>2&31 + 1}
	case b&0x40 == 0:
		return run{length: int(b&63) + 1, width: 1}
	case len(s) == 1:
		return run{length: int(b&63)<<8 + 1, width: 2}
	default:
		return run{length: int(b&63)<<8 + int(s[1]) + 1, width: 2}
	}
}

func appendZeroRun(dst []byte, n int) []byte {
	switch {
	case n == 0:
		return dst
	case n <= sparseMaxZeros:
		return append(dst, byte(n-1))
	}
	return append(dst, 0x40|byte((n-1)>>8), byte(n-1))
}

func appendValueRun(dst []byte, value uint8, n int) []byte {
	if n == 0 {
		return dst
	}
	return append(dst, 0x80|(value-1)<<2|byte(n-1))
}

// setSparse is set for a sparse sketch. The run that holds the register is split around it; what doesn't fit becomes dense.
func (s *sketch) setSparse(index int, count uint8) (changed, ok bool) {
	if count > sparseMaxValue {
		return s.setDense(index, count)
	}
	place, before, first := sketchHeader, -1, 0 // of the run: where it is, where the one before is, its first register
	var is run
	for place < len(*s) {
		is = readRun((*s)[place:])
		if index < first+is.length {
			break
		}
		before, place, first = place, place+is.width, first+is.length
	}
	if place >= len(*s) || place+is.width > len(*s) {
		return false, false
	}
	if is.value >= count {
		return false, true
	}
	var memory [5]byte
	split := is.split(memory[:0], index-first, count)
	if grown := len(split) - is.width; grown > 0 && len(*s)+grown > sparseMaxBytes {
		return s.setDense(index, count)
	}
	*s = slices.Replace(*s, place, place+is.width, split...)
	if before < 0 {
		before = sketchHeader
	}
	s.join(before)
	return true, true
}

// split appends what a run becomes when its register at gets a value.
func (is run) split(dst []byte, at int, value uint8) []byte {
	rest := is.length - at - 1
	if is.value == 0 {
		return appendZeroRun(appendValueRun(appendZeroRun(dst, at), value, 1), rest)
	}
	return appendValueRun(appendValueRun(appendValueRun(dst, is.value, at), value, 1), is.value, rest)
}

// join makes one of runs of the same value, among the five from place on: as far as a split may have made neighbours.
func (s *sketch) join(place int) {
	for range 5 {
		if place >= len(*s) {
			return
		}
		a := readRun((*s)[place:])
		next := place + a.width
		if a.value == 0 || next >= len(*s) {
			place = next
			continue
		}
		if b := readRun((*s)[next:]); a.value == b.value && a.length+b.length <= sparseMaxValues {
			joined := appendValueRun((*s)[place:place], a.value, a.length+b.length)
			*s = slices.Delete(*s, place+len(joined), next+1)
			continue
		}
		place = next
	}
}

// setDense is set for a sparse sketch that can't stay so.
func (s *sketch) setDense(index int, count uint8) (changed, ok bool) {
	if !s.toDense() {
		return false, false
	}
	return (*s)[sketchHeader:].raise(index, count), true
}
