package resp

import "bytes"

// nextInline reads a command as people type it: words on one line, quoted where need be.
func (p *parser) nextInline(buf []byte) (bool, error) {
	rest := buf[p.pos:min(len(buf), p.pos+maxInline+1)]
	nl := bytes.IndexByte(rest, '\n')
	if zero := bytes.IndexByte(rest, 0); zero >= 0 && (nl < 0 || zero < nl) {
		nl = -1 // as in line: Redis's strchr ends at a zero byte
	}
	if nl < 0 {
		if len(buf)-p.pos > maxInline {
			return false, errBigInline
		}
		return false, nil
	}
	text := rest[:nl]
	if n := len(text); n > 0 && text[n-1] == '\r' {
		text = text[:n-1]
	}
	words, ok := splitWords(text)
	if !ok {
		return false, errUnbalanced
	}
	p.typed, p.inline = true, words
	p.pos += nl + 1
	return true, nil
}

// splitWords splits a line as Redis's sdssplitargs does: words between spaces, "double quotes" with \n \r \t \b \a and \xHH, 'single
// quotes' with \'. False when a quote isn't closed, or is followed by something other than a space.
func splitWords(s []byte) ([][]byte, bool) {
	var words [][]byte
	for {
		for len(s) > 0 && isSpace(s[0]) {
			s = s[1:]
		}
		if len(s) == 0 {
			return words, true
		}
		word, rest, ok := splitWord(s)
		if !ok {
			return nil, false
		}
		words, s = append(words, word), rest
	}
}

func splitWord(s []byte) (word, rest []byte, ok bool) {
	word = []byte{}
	for len(s) > 0 && !endsWord(s[0]) {
		switch c := s[0]; c {
		case '"', '\'':
			if word, s, ok = quoted(word, s[1:], c); !ok {
				return nil, nil, false
			}
			return word, s, len(s) == 0 || isSpace(s[0])
		default:
			word, s = append(word, c), s[1:]
		}
	}
	return word, s, true
}

// quoted reads up to the closing quote.
func quoted(word, s []byte, quote byte) (_, rest []byte, ok bool) {
	for len(s) > 0 {
		switch {
		case s[0] == quote:
			return word, s[1:], true
		case s[0] != '\\' || len(s) < 2 || quote == '\'' && s[1] != '\'':
			word, s = append(word, s[0]), s[1:]
		case quote == '\'':
			word, s = append(word, '\''), s[2:]
		case s[1] == 'x' && len(s) >= 4 && isHex(s[2]) && isHex(s[3]):
			word, s = append(word, unhex(s[2])<<4|unhex(s[3])), s[4:]
		default:
			word, s = append(word, unescape(s[1])), s[2:]
		}
	}
	return nil, nil, false
}

func unescape(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'a':
		return '\a'
	}
	return c
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// endsWord leaves out vertical tabs and form feeds, which part words only where a word could begin.
func endsWord(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 10
	case c >= 'A':
		return c - 'A' + 10
	}
	return c - '0'
}
