// Package glob matches bytes with the glob-style patterns of Redis. It is pure.
package glob

// Match says whether s matches a glob-style pattern, by the rules of Redis (util.c, stringmatchlen): * any bytes, ? any
// one byte, [abc] [a-z] [^abc] one byte of (or not of) a class, \ takes the next byte literally, everything else itself.
// Bytes, not characters. Oddities are Redis's too: a class may lack its bracket at the end, a range may be given
// backwards, its bounds are signed bytes, and only the empty pattern matches the empty string.
//
// It takes at most len(pattern)·len(s) steps: when what follows a star matches nowhere, no earlier star can help.
func Match(pattern, s []byte) bool {
	if len(s) == 0 {
		return len(pattern) == 0
	}
	p, i := 0, 0
	star, mark := -1, 0 // behind the last star seen, and where in s what follows it was tried last
	for i < len(s) {
		if p < len(pattern) && pattern[p] == '*' {
			p++
			star, mark = p, i
			continue
		}
		if p < len(pattern) {
			if width, ok := matchOne(pattern[p:], s[i]); ok {
				p += width
				i++
				continue
			}
		}
		if star < 0 {
			return false
		}
		mark++
		p, i = star, mark
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// matchOne matches one byte against the beginning of a pattern, and gives the length of what it was matched against.
func matchOne(pattern []byte, b byte) (width int, ok bool) {
	switch pattern[0] {
	case '?':
		return 1, true
	case '[':
		return matchClass(pattern, b)
	case '\\':
		if len(pattern) > 1 {
			return 2, pattern[1] == b
		}
	}
	return 1, pattern[0] == b
}

// matchClass matches one byte against the class that pattern begins with.
func matchClass(pattern []byte, b byte) (width int, ok bool) {
	i, negated := 1, false
	if i < len(pattern) && pattern[i] == '^' {
		i, negated = 2, true
	}
	for i < len(pattern) {
		switch {
		case pattern[i] == '\\' && i+1 < len(pattern):
			ok = ok || pattern[i+1] == b
			i += 2
		case pattern[i] == ']':
			return i + 1, ok != negated
		case i+2 < len(pattern) && pattern[i+1] == '-':
			from, to := int8(pattern[i]), int8(pattern[i+2])
			c := int8(b)
			ok = ok || min(from, to) <= c && c <= max(from, to)
			i += 3
		default:
			ok = ok || pattern[i] == b
			i++
		}
	}
	return i, ok != negated
}
