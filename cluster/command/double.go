package command

import (
	"math"
	"strconv"
)

const (
	// plainInt is up to where whole numbers are written as such.
	plainInt = 1 << 62
	// plainZeros bounds how many zeros stand for an exponent behind the digits, plainDecimals how many decimals a small number has without
	// one, plainExp from which power of ten on numbers with more decimals have one.
	plainZeros    = 8
	plainDecimals = 6
	plainExp      = 4
)

// appendDouble writes a number as Redis 7.2 does: with the fewest digits that read back as the same number. Where an exponent appears is
// Redis's own rule: it depends on how many digits there are, not on the size alone. 12345.25 has none, 12345.2500001 has one.
func appendDouble(dst []byte, f float64) []byte {
	switch {
	case math.IsInf(f, 1):
		return append(dst, "inf"...)
	case math.IsInf(f, -1):
		return append(dst, "-inf"...)
	case math.IsNaN(f):
		return append(dst, "nan"...)
	case f == 0 && math.Signbit(f):
		return append(dst, "-0"...)
	case math.Abs(f) <= plainInt && f == math.Trunc(f):
		return strconv.AppendInt(dst, int64(f), 10)
	}
	if f < 0 {
		dst, f = append(dst, '-'), -f
	}
	var text [32]byte
	digits, power := shortest(text[:0], f)
	return appendDigits(dst, digits, power)
}

// shortest gives the fewest digits that name f > 0, which is digits × 10^power.
func shortest(text []byte, f float64) (digits []byte, power int) {
	text = strconv.AppendFloat(text, f, 'e', -1, 64) // d.ddde±xx
	i := len(text) - 1
	for text[i] != 'e' {
		i--
	}
	exp := 0
	for _, d := range text[i+2:] {
		exp = exp*10 + int(d-'0')
	}
	if text[i+1] == '-' {
		exp = -exp
	}
	digits = text[:i]
	if i > 1 {
		copy(digits[1:], digits[2:])
		digits = digits[:i-1]
	}
	return digits, exp - len(digits) + 1
}

func appendDigits(dst, digits []byte, power int) []byte {
	n := len(digits)
	exp := power + n - 1
	switch {
	case power >= 0 && power < plainZeros:
		return appendZeroDigits(append(dst, digits...), power)
	case power < 0 && (power >= -plainDecimals || max(exp, -exp) < plainExp):
		if exp < 0 {
			return append(appendZeroDigits(append(dst, "0."...), -power-n), digits...)
		}
		dst = append(append(dst, digits[:n+power]...), '.')
		return append(dst, digits[n+power:]...)
	}
	dst = append(dst, digits[0])
	if n > 1 {
		dst = append(append(dst, '.'), digits[1:]...)
	}
	dst = append(dst, 'e')
	if exp >= 0 {
		dst = append(dst, '+')
	}
	return strconv.AppendInt(dst, int64(exp), 10)
}

func appendZeroDigits(dst []byte, n int) []byte {
	for range n {
		dst = append(dst, '0')
	}
	return dst
}
