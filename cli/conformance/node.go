package conformance

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"strings"
)

// node is a reply taken apart.
type node struct {
	kind  byte   // RESP's first byte
	text  string // of what has no parts
	parts []node // of an array, a set, a map (keys and values in turn), a push
}

// parseReply takes the first reply off b.
func parseReply(b []byte) (n node, rest []byte) {
	line, rest, _ := bytes.Cut(b, []byte("\r\n"))
	if len(line) == 0 {
		return node{}, nil
	}
	n = node{kind: line[0], text: string(line[1:])}
	size, _ := strconv.Atoi(n.text)
	switch n.kind {
	case '$', '=', '!':
		if size >= 0 && size+2 <= len(rest) {
			n.text, rest = string(rest[:size]), rest[size+2:]
		}
	case '%':
		size *= 2
		fallthrough
	case '*', '~', '>':
		for range size {
			var part node
			part, rest = parseReply(rest)
			n.parts = append(n.parts, part)
		}
	}
	return n, rest
}

// String is the same for equal nodes alone.
func (n node) String() string {
	if n.parts == nil {
		return string(n.kind) + strconv.Quote(n.text)
	}
	parts := make([]string, len(n.parts))
	for i, p := range n.parts {
		parts[i] = p.String()
	}
	return string(n.kind) + "[" + strings.Join(parts, " ") + "]"
}

// comparison says whether two replies to args count as the same.
type comparison func(args [][]byte, got, want []byte) bool

// unordered compares the parts of an array, taken by so many, without their order: what Redis keeps in a hash table has none.
func unordered(by int) comparison {
	return func(_ [][]byte, got, want []byte) bool {
		a, _ := parseReply(got)
		b, _ := parseReply(want)
		return a.kind == b.kind && slices.Equal(a.groups(by), b.groups(by))
	}
}

func (n node) groups(by int) []string {
	if n.parts == nil {
		return []string{n.String()}
	}
	var all []string
	for group := range slices.Chunk(n.parts, by) {
		all = append(all, node{kind: '*', parts: group}.String())
	}
	slices.Sort(all)
	return all
}

// shortFloats compares replies whose numbers Redis 7.0 writes with 17 digits, and 7.2, which ZanKV follows, with as few as give the same number.
func shortFloats(_ [][]byte, got, want []byte) bool {
	a, _ := parseReply(got)
	b, _ := parseReply(want)
	return sameNumbers(a, b)
}

func sameNumbers(a, b node) bool {
	if a.kind != b.kind || len(a.parts) != len(b.parts) {
		return false
	}
	for i := range a.parts {
		if !sameNumbers(a.parts[i], b.parts[i]) {
			return false
		}
	}
	if a.text == b.text || a.parts != nil {
		return true
	}
	x, err := strconv.ParseFloat(a.text, 64)
	y, err2 := strconv.ParseFloat(b.text, 64)
	return err == nil && err2 == nil && math.Float64bits(x) == math.Float64bits(y)
}
