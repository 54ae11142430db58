package commandtest

import (
	"fmt"
	"strconv"
	"strings"
)

// Words splits a command line as redis-cli does, a little simpler: words are separated by spaces; a word in double quotes
// is a Go string literal ("\x00", "\n"), with *n behind it repeated n times; everything else is itself. A line that is
// malformed panics: lines are written in tests.
func Words(line string) [][]byte {
	var words [][]byte
	for line = strings.TrimLeft(line, " "); line != ""; line = strings.TrimLeft(line, " ") {
		if line[0] != '"' {
			word, rest, _ := strings.Cut(line, " ")
			words = append(words, []byte(word))
			line = rest
			continue
		}
		quoted, err := strconv.QuotedPrefix(line)
		if err != nil {
			panic(fmt.Sprintf("commandtest: line %q: %v", line, err))
		}
		word, _ := strconv.Unquote(quoted)
		line = line[len(quoted):]
		if repeat, ok := strings.CutPrefix(line, "*"); ok {
			number, rest, _ := strings.Cut(repeat, " ")
			n, err := strconv.Atoi(number)
			if err != nil {
				panic(fmt.Sprintf("commandtest: line %q: %v", line, err))
			}
			word, line = strings.Repeat(word, n), rest
		}
		words = append(words, []byte(word))
	}
	return words
}
