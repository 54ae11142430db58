package command

import "math"

// parseInt reads an integer as Redis does (string2ll): digits only, at most one minus sign, no plus sign, no leading
// zeros, no spaces, within 64 bits.
func parseInt(b []byte) (int64, bool) {
	if len(b) == 1 && b[0] == '0' {
		return 0, true
	}
	digits, negative := b, false
	if len(b) > 0 && b[0] == '-' {
		digits, negative = b[1:], true
	}
	if len(digits) == 0 || len(digits) > 19 || digits[0] < '1' || digits[0] > '9' {
		return 0, false
	}
	var n uint64 // 19 digits fit
	for _, d := range digits {
		if d < '0' || d > '9' {
			return 0, false
		}
		n = n*10 + uint64(d-'0')
	}
	switch {
	case negative && n <= 1<<63:
		return -int64(n), true
	case !negative && n <= math.MaxInt64:
		return int64(n), true
	}
	return 0, false
}

// addInt adds without overflow.
func addInt(a, b int64) (int64, bool) {
	if (b > 0 && a > math.MaxInt64-b) || (b < 0 && a < math.MinInt64-b) {
		return 0, false
	}
	return a + b, true
}

// intArg reads an argument that must be an integer; it replies the error when it isn't.
func (c *Context) intArg(i int) (int64, bool) {
	n, ok := parseInt(c.Args[i])
	if !ok {
		c.Reply.Error(ErrNotInteger)
	}
	return n, ok
}
