package conformance

import (
	"bytes"
	"fmt"
	"strconv"
)

// newerDocs are what COMMAND DOCS tells in 7.2 and not in 7.0: what a tree of arguments is compared without.
var newerDocs = map[string]bool{"display_text": true}

// newerArguments are commands whose arguments 7.2 tells otherwise than 7.0, which has none for the first two.
var newerArguments = map[string]bool{"command|getkeys": true, "command|getkeysandflags": true, "zrank": true, "zrevrank": true}

// docs compares what both say of a command's arguments: names, types, words, flags, key specifications, and how they nest.
func (p *pair) docs(command string) {
	p.tb.Helper()
	if newerArguments[command] {
		return
	}
	words := [][]byte{[]byte("command"), []byte("docs"), []byte(command)}
	got, want := docArguments(p.ours.Do(words...)), docArguments(p.oracle.Do(words...))
	if got != want {
		p.tb.Errorf("command docs %s: arguments are\n  %s\nand Redis says\n  %s", command, got, want)
	}
}

// docArguments prints the arguments in the reply to COMMAND DOCS of one command.
func docArguments(reply []byte) string {
	v, _ := decode(reply)
	top, _ := v.([]any)
	if len(top) != 2 {
		return fmt.Sprintf("not documented: %.100q", reply)
	}
	fields, _ := top[1].([]any)
	for i := 0; i+1 < len(fields); i += 2 {
		if fields[i] == "arguments" {
			return fmt.Sprint(withoutNewer(fields[i+1]))
		}
	}
	return "none"
}

// withoutNewer drops the fields that only one of the two tells.
func withoutNewer(v any) any {
	list, ok := v.([]any)
	if !ok {
		return v
	}
	var kept []any
	for i := 0; i < len(list); i++ {
		if name, ok := list[i].(string); ok && newerDocs[name] {
			i++
			continue
		}
		kept = append(kept, withoutNewer(list[i]))
	}
	return kept
}

// decode reads a value: strings of all kinds and numbers as strings, aggregates as lists, maps with keys and values in turn.
func decode(reply []byte) (v any, rest []byte) {
	line, rest, _ := bytes.Cut(reply, []byte("\r\n"))
	n, _ := strconv.Atoi(string(line[1:]))
	switch line[0] {
	case '$', '=':
		if n < 0 {
			return nil, rest
		}
		return string(rest[:n]), rest[n+2:]
	case '%':
		n *= 2
		fallthrough
	case '*', '~', '>':
		list := make([]any, max(n, 0))
		for i := range list {
			list[i], rest = decode(rest)
		}
		return list, rest
	}
	return string(line[1:]), rest
}
