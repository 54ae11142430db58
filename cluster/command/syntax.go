package command

import (
	"fmt"
	"strings"
)

// argument is a node of a command's syntax, as COMMAND DOCS tells it.
type argument struct {
	name, kind, token, since, deprecated string
	hasToken                             bool // token may be empty: SORT's BY "" has none, but a pair of quotes is a word
	keySpec                              int  // -1: it is no key
	optional, multiple                   bool
	eachToken                            bool // token comes before each of multiple
	inner                                []argument
}

// argumentTypes are the types of arguments by their names. Others are strings.
var argumentTypes = typesByName(map[string]string{
	"integer": "start end numlocal numkeys offset count rank num-matches len stop increment seconds milliseconds destination-db cursor limit " +
		"entries_added ttl frequency index entries_read bits decrement weight slot start-slot end-slot client-id db ms version bit numreplicas " +
		"protover index1 index2",
	"double":    "longitude latitude radius width height timeout score",
	"unix-time": "unix-time-seconds unix-time-milliseconds",
	"pattern":   "pattern",
	"key":       "key source destination newkey key1 key2 destkey sourcekey dst src",
})

func typesByName(names map[string]string) map[string]string {
	types := make(map[string]string)
	for kind, list := range names {
		for _, name := range strings.Fields(list) {
			types[name] = kind
		}
	}
	return types
}

var argumentKinds = map[string]bool{"string": true, "integer": true, "double": true, "unix-time": true, "pattern": true, "key": true}

// arguments are every command's, by name.
var arguments = parseSyntaxes()

func parseSyntaxes() map[string][]argument {
	parsed := make(map[string][]argument, len(syntaxes))
	for name, text := range syntaxes {
		parsed[name] = parseSyntax(name, text)
	}
	return parsed
}

// argumentsOf finds a command's.
func (s *Spec) argumentsOf() []argument {
	if list, ok := arguments[s.Name]; ok {
		return list
	}
	return arguments[s.Name[1:]+"@"] // one of typed, perhaps
}

// syntaxParser reads a line of syntaxes. What it can't read is a mistake in the table, and panics at the start of the process.
type syntaxParser struct {
	command, text string
	at            int
	keySpec       int // of the next key
}

func parseSyntax(command, text string) []argument {
	p := &syntaxParser{command: command, text: text}
	list := p.sequence("")
	if p.at < len(text) {
		p.fail("unexpected " + text[p.at:])
	}
	return list
}

func (p *syntaxParser) fail(problem string) {
	panic(fmt.Sprintf("command: syntax of %s: %s, at %d of %q", p.command, problem, p.at, p.text))
}

func (p *syntaxParser) peek(prefix string) bool { return strings.HasPrefix(p.text[p.at:], prefix) }

func (p *syntaxParser) take(prefix string) bool {
	if p.peek(prefix) {
		p.at += len(prefix)
		return true
	}
	return false
}

// sequence reads arguments up to one of the end characters.
func (p *syntaxParser) sequence(end string) (list []argument) {
	for p.at < len(p.text) && !strings.ContainsRune(end, rune(p.text[p.at])) {
		list = append(list, p.argument())
		p.take(",")
		p.take(" ")
	}
	return list
}

func (p *syntaxParser) argument() (a argument) {
	if p.take("[") {
		a = p.argument()
		if !p.take("]") {
			p.fail("no ]")
		}
		a.optional = true
		if p.take("...") {
			a.multiple, a.eachToken = true, true
		}
		return a
	}
	a.keySpec = -1
	name := p.name()
	p.body(&a)
	if name != "" {
		a.name = name
	}
	a.multiple = p.take("...")
	switch {
	case p.take("@-"):
		a.deprecated = p.word()
	case p.take("@"):
		a.since = p.word()
	}
	return a
}

// name reads "name=", if that is next.
func (p *syntaxParser) name() string {
	from := p.at
	if word := p.word(); word != "" && p.take("=") {
		return word
	}
	p.at = from
	return ""
}

// word reads up to what can't be in one.
func (p *syntaxParser) word() string {
	from := p.at
	for p.at < len(p.text) && !strings.ContainsRune(" ,()[]|=@#", rune(p.text[p.at])) && !p.peek("...") {
		p.at++
	}
	return p.text[from:p.at]
}

// body reads an argument without its name and what comes behind it.
func (p *syntaxParser) body(a *argument) {
	if p.peek("(") {
		p.group(a)
		return
	}
	word := p.word()
	if word == "" && p.take("=") {
		word = "="
	}
	if !isToken(word) {
		p.value(a, word)
		return
	}
	a.token, a.hasToken = strings.Trim(word, `"`), true
	if p.peek(" (") || p.peek(" ") && isValueStart(p.text[p.at+1:]) {
		p.at++
		p.body(a)
		return
	}
	a.kind, a.name = "pure-token", strings.ToLower(a.token)
}

// isToken says whether a word stands for itself: names of arguments are in lower case.
func isToken(word string) bool { return word != "" && (word[0] < 'a' || word[0] > 'z') }

// isValueStart says whether what comes next is an argument that a token before it belongs to: one without a name.
func isValueStart(rest string) bool {
	if rest == "" || rest[0] < 'a' || rest[0] > 'z' {
		return false
	}
	end := strings.IndexAny(rest, " ,()[]|=@#")
	return end < 0 || rest[end] != '='
}

func (p *syntaxParser) value(a *argument, word string) {
	if word == "" {
		p.fail("no argument")
	}
	a.name, a.kind = word, "string"
	if kind := argumentTypes[word]; kind != "" {
		a.kind = kind
	}
	if i := strings.LastIndexByte(word, ':'); i > 0 && argumentKinds[word[i+1:]] {
		a.name, a.kind = word[:i], word[i+1:]
	}
	marked := p.take("#")
	if marked {
		p.keySpec = 0
		for _, digit := range p.word() {
			p.keySpec = 10*p.keySpec + int(digit-'0')
		}
	}
	if a.kind == "key" || marked {
		a.keySpec = p.keySpec
		if a.kind == "key" {
			p.keySpec++
		}
	}
}

func (p *syntaxParser) group(a *argument) {
	p.at++
	a.kind, a.inner = "block", p.sequence("|)")
	for p.take("|") {
		a.kind, a.inner = "oneof", append(a.inner, p.argument())
	}
	if !p.take(")") {
		p.fail("no )")
	}
}
