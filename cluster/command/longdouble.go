package command

import (
	"math/big"
)

// longDouble is a number as INCRBYFLOAT computes with it in Redis on x86: an 80-bit extended float, whose significand has
// 64 bits. Values are rounded to nearest, ties to even, as the C library and the processor do; what is too small to be
// normal keeps its full significand here, which no output with 17 decimals can show.
type longDouble struct {
	f   *big.Float // nil for zero
	inf int        // -1, +1: an infinity
}

const (
	longDoublePrec   = 64
	maxBinaryExp     = 16384  // of a value in [0.5, 1) × 2^exp
	minBinaryExp     = -16445 // below this everything is zero
	maxFloatText     = 5*1024 - 1
	maxDecimalExp    = 5000 // no significand of maxFloatText digits brings a larger one back into range
	decimals         = 17
	maxExponentValue = 1 << 20
)

// parseLongDouble reads what C's strtold takes as a whole, but for NaNs, leading spaces, and what overflows or
// underflows to zero: decimal and hexadecimal numbers, "inf", "infinity", in any case.
func parseLongDouble(b []byte) (longDouble, bool) {
	if len(b) == 0 || len(b) > maxFloatText {
		return longDouble{}, false
	}
	s, negative := b, false
	if s[0] == '+' || s[0] == '-' {
		s, negative = s[1:], s[0] == '-'
	}
	if equalFold(s, "inf") || equalFold(s, "infinity") {
		if negative {
			return longDouble{inf: -1}, true
		}
		return longDouble{inf: 1}, true
	}
	var p numeral
	if !p.scan(s) {
		return longDouble{}, false
	}
	d, ok := p.value()
	if ok && negative && d.f != nil {
		d.f.Neg(d.f)
	}
	return d, ok
}

// numeral is a number's text taken apart: digits (without the point) × base^-point × 2^exp or 10^exp.
type numeral struct {
	hex    bool
	digits []byte
	point  int // digits behind the point
	exp    int
}

func (p *numeral) scan(s []byte) bool {
	marker := byte('e')
	if len(s) > 2 && s[0] == '0' && lower(s[1]) == 'x' {
		p.hex, marker, s = true, 'p', s[2:]
	}
	p.digits = make([]byte, 0, len(s))
	seenPoint := false
	i := 0
	for ; i < len(s); i++ {
		switch {
		case s[i] == '.' && !seenPoint:
			seenPoint = true
			continue
		case isDigit(s[i], p.hex):
			p.digits = append(p.digits, s[i])
			if seenPoint {
				p.point++
			}
			continue
		}
		break
	}
	if len(p.digits) == 0 {
		return false
	}
	if i == len(s) {
		return true
	}
	return lower(s[i]) == marker && p.scanExponent(s[i+1:])
}

func (p *numeral) scanExponent(s []byte) bool {
	negative := false
	if len(s) > 0 && (s[0] == '+' || s[0] == '-') {
		negative, s = s[0] == '-', s[1:]
	}
	if len(s) == 0 {
		return false
	}
	for _, d := range s {
		if !isDigit(d, false) {
			return false
		}
		p.exp = min(p.exp*10+int(d-'0'), maxExponentValue)
	}
	if negative {
		p.exp = -p.exp
	}
	return true
}

func isDigit(b byte, hex bool) bool {
	return '0' <= b && b <= '9' || hex && 'a' <= lower(b) && lower(b) <= 'f'
}

// value rounds the numeral; ok is false when it is out of range.
func (p *numeral) value() (d longDouble, ok bool) {
	base := 10
	if p.hex {
		base = 16
	}
	significand, ok := new(big.Int).SetString(string(p.digits), base)
	if !ok {
		return longDouble{}, false
	}
	if significand.Sign() == 0 {
		return longDouble{}, true
	}
	f := new(big.Float).SetPrec(longDoublePrec)
	if p.hex {
		f.SetInt(significand)
		f.SetMantExp(f, p.exp-4*p.point)
	} else if !roundDecimal(f, significand, p.exp-p.point) {
		return longDouble{}, false
	}
	if e := f.MantExp(nil); e > maxBinaryExp || e < minBinaryExp {
		return longDouble{}, false
	}
	return longDouble{f: f}, true
}

// roundDecimal sets f to n × 10^exp, rounded once.
func roundDecimal(f *big.Float, n *big.Int, exp int) bool {
	if exp > maxDecimalExp || exp < -2*maxDecimalExp {
		return false
	}
	power := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(exp, -exp))), nil)
	if exp >= 0 {
		f.SetInt(power.Mul(n, power))
		return true
	}
	f.Quo(new(big.Float).SetInt(n), new(big.Float).SetInt(power))
	return true
}

// add is a + b; ok is false when that is no finite number.
func (a longDouble) add(b longDouble) (sum longDouble, ok bool) {
	switch {
	case a.inf != 0 || b.inf != 0:
		return longDouble{}, false
	case a.f == nil:
		return b, true
	case b.f == nil:
		return a, true
	}
	f := new(big.Float).SetPrec(longDoublePrec).Add(a.f, b.f)
	if f.Sign() == 0 {
		return longDouble{}, true
	}
	return longDouble{f: f}, f.MantExp(nil) <= maxBinaryExp
}

// appendText writes the number as Redis stores it: 17 decimals at most, without trailing zeros, never "-0".
func (a longDouble) appendText(dst []byte) []byte {
	if a.f == nil {
		return append(dst, '0')
	}
	start := len(dst)
	dst = a.f.Append(dst, 'f', decimals)
	end := len(dst)
	for dst[end-1] == '0' {
		end--
	}
	if dst[end-1] == '.' {
		end--
	}
	dst = dst[:end]
	if string(dst[start:]) == "-0" {
		dst = append(dst[:start], '0')
	}
	return dst
}
