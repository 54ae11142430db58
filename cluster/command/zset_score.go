package command

import (
	"bytes"
	"math"
	"strconv"
)

// exactInt is up to where every integer is a double.
const exactInt = 1 << 53

// parseDouble reads a score as Redis does (string2d): all that C's strtod takes as a whole, without leading spaces, but for NaNs and
// what overflows, or is too small and not 0. -0 is 0 here: the order of a sorted set has one place for both.
func parseDouble(b []byte) (f float64, ok bool) {
	if n, ok := parseInt(b); ok && -exactInt <= n && n <= exactInt {
		return float64(n), true
	}
	f, fits, ok := strtod(b)
	return f + 0, fits && ok
}

// parseScoreBound reads one end of a range of scores: a number, in front of which a parenthesis leaves out the number itself. As in Redis it
// is a C string: it ends at a zero byte, spaces may lead, nothing at all is 0, and what is out of range is an infinity or 0.
func parseScoreBound(b []byte) (f float64, exclusive, ok bool) {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	if len(b) > 0 && b[0] == '(' {
		exclusive, b = true, b[1:]
	}
	if len(b) == 0 {
		return 0, exclusive, true
	}
	f, _, ok = strtod(bytes.TrimLeft(b, " \t\n\v\f\r"))
	return f + 0, exclusive, ok
}

// strtod is C's, for a text that it takes as a whole and that is no NaN. fits is false when C's says ERANGE and gives an infinity or 0.
func strtod(b []byte) (f float64, fits, ok bool) {
	s, negative := b, false
	if len(s) > 0 && (s[0] == '+' || s[0] == '-') {
		negative, s = s[0] == '-', s[1:]
	}
	if equalFold(s, "inf") || equalFold(s, "infinity") {
		if negative {
			return math.Inf(-1), true, true
		}
		return math.Inf(1), true, true
	}
	shape, ok := doubleShape(s)
	if !ok {
		return 0, false, false
	}
	if shape.hex && !shape.exponent {
		b = append(bytes.Clone(b), "p0"...)
	}
	f, err := strconv.ParseFloat(string(b), 64)
	return f, err == nil && (f != 0 || shape.zero), true
}

// shape says what a number's text is made of.
type shape struct {
	hex, exponent bool
	zero          bool // all digits in front of the exponent are 0
}

// doubleShape checks the text of a number without sign: what C and Go disagree about is C's way.
func doubleShape(s []byte) (t shape, ok bool) {
	marker := byte('e')
	if len(s) > 2 && s[0] == '0' && lower(s[1]) == 'x' {
		t.hex, marker, s = true, 'p', s[2:]
	}
	t.zero = true
	digits, points, i := 0, 0, 0
	for ; i < len(s); i++ {
		if s[i] == '.' && points == 0 {
			points++
			continue
		}
		if !isDigit(s[i], t.hex) {
			break
		}
		digits++
		t.zero = t.zero && s[i] == '0'
	}
	if digits == 0 || i == len(s) {
		return t, digits > 0
	}
	t.exponent = true
	return t, lower(s[i]) == marker && isExponent(s[i+1:])
}

func isExponent(s []byte) bool {
	if len(s) > 0 && (s[0] == '+' || s[0] == '-') {
		s = s[1:]
	}
	for _, d := range s {
		if !isDigit(d, false) {
			return false
		}
	}
	return len(s) > 0
}
