package command

import (
	"fmt"
	"strings"
	"testing"
)

// TestSyntaxNotation: what the notation's parts come to.
func TestSyntaxNotation(t *testing.T) {
	for text, want := range map[string]string{
		"key value":                       "key/key#0 value/string",
		"increment increment:double":      "increment/integer increment/double",
		"[NX]":                            "nx/pure-token(NX)?",
		"NO, ONE":                         "no/pure-token(NO) one/pure-token(ONE)",
		"a=(NX|XX)@2.0.0":                 "a/oneof{nx/pure-token(NX) xx/pure-token(XX)}@2.0.0",
		"[EX seconds]":                    "seconds/integer(EX)?",
		"[GET pattern]...":                "pattern/pattern(GET)?*!",
		"[WEIGHTS weight...]":             "weight/integer(WEIGHTS)?*",
		"kv=(key value)...":               "kv/block{key/key#0 value/string}*",
		"l=LIMIT (offset count)":          "l/block(LIMIT){offset/integer count/integer}",
		"key [STORE destination#2] key":   "key/key#0 destination/key#2(STORE)? key/key#3",
		"[op=(equal==|about=~)]":          "op/oneof{equal/pure-token(=) about/pure-token(~)}?",
		"ip:port":                         "ip:port/string",
		"w=(COUNT count [ANY]) u=(M|KM)":  "w/block{count/integer(COUNT) any/pure-token(ANY)?} u/oneof{m/pure-token(M) km/pure-token(KM)}",
		"BYBOX width height unit=(M|KM)":  "width/double(BYBOX) height/double unit/oneof{m/pure-token(M) km/pure-token(KM)}",
		"[timeout_error=(TIMEOUT|ERROR)]": "timeout_error/oneof{timeout/pure-token(TIMEOUT) error/pure-token(ERROR)}?",
	} {
		got := printArguments(parseSyntax("test", text))
		if got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func printArguments(list []argument) string {
	var parts []string
	for _, a := range list {
		s := a.name + "/" + a.kind
		if a.keySpec >= 0 {
			s += fmt.Sprint("#", a.keySpec)
		}
		if a.hasToken {
			s += "(" + a.token + ")"
		}
		if len(a.inner) > 0 {
			s += "{" + printArguments(a.inner) + "}"
		}
		for _, flag := range []struct {
			set  bool
			mark string
		}{{a.optional, "?"}, {a.multiple, "*"}, {a.eachToken, "!"}} {
			if flag.set {
				s += flag.mark
			}
		}
		if a.since != "" {
			s += "@" + a.since
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, " ")
}

// TestEveryCommandsSyntax: a command that takes arguments says which.
func TestEveryCommandsSyntax(t *testing.T) {
	visit(names, func(s *Spec) {
		words := 1 + strings.Count(s.Name, "|")
		takesNone := s.Arity == words || len(s.Subcommands) > 0 || s.Name == "quit" || s.Name == "debug"
		if has := len(s.argumentsOf()) > 0; has == takesNone {
			t.Errorf("%s with arity %d: has a syntax: %v", s.Name, s.Arity, has)
		}
	})
}

func TestBadSyntaxPanics(t *testing.T) {
	for _, text := range []string{"(a", "[a", "a)", "[", "x=", "a]"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q was taken", text)
				}
			}()
			parseSyntax("test", text)
		}()
	}
}
