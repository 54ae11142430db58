package command

import (
	"bytes"
	"strings"

	"github.com/zankv/zankv/cluster/glob"
)

func replyWords(r *Reply, words string) {
	list := strings.Fields(words)
	r.Set(len(list))
	for _, w := range list {
		r.Status(w)
	}
}

// replyList answers COMMAND LIST, with FILTERBY ACLCAT or PATTERN. No modules are loaded: FILTERBY MODULE finds nothing.
func replyList(r *Reply, args [][]byte) {
	keep := func(*Spec) bool { return true }
	switch {
	case len(args) == 0:
	case len(args) != 3 || !equalFold(args[0], "filterby"):
		r.Error(ErrSyntax)
		return
	case equalFold(args[1], "module"):
		keep = func(*Spec) bool { return false }
	case equalFold(args[1], "aclcat"):
		category := strings.ToLower(string(args[2]))
		keep = func(s *Spec) bool { return s.inCategory(category) }
	case equalFold(args[1], "pattern"):
		pattern := bytes.ToLower(args[2])
		keep = func(s *Spec) bool { return glob.Match(pattern, []byte(s.Name)) }
	default:
		r.Error(ErrSyntax)
		return
	}
	var list []string
	visit(names, func(s *Spec) {
		if keep(s) {
			list = append(list, s.Name)
		}
	})
	r.Array(len(list))
	for _, name := range list {
		r.BulkString(name)
	}
}

// visit calls f for every command that a filter of COMMAND LIST looks at, subcommands included.
func visit(specs []*Spec, f func(*Spec)) {
	for _, s := range specs {
		f(s)
		visit(s.Subcommands, f)
	}
}

// replyDocs answers COMMAND DOCS: what is known about the commands, for people, without the history of each.
func replyDocs(r *Reply, wanted [][]byte) {
	specs := names
	if len(wanted) > 0 {
		specs = nil
		for _, name := range wanted {
			if s := byFullName(name); s != nil {
				specs = append(specs, s)
			}
		}
	}
	r.Map(len(specs))
	for _, s := range specs {
		r.BulkString(s.Name)
		s.replyDoc(r)
	}
}

func (s *Spec) replyDoc(r *Reply) {
	n := 4
	if s.ReplacedBy != "" {
		n += 3
	}
	arguments := s.argumentsOf()
	if len(arguments) > 0 {
		n++
	}
	if len(s.Subcommands) > 0 {
		n++
	}
	r.Map(n)
	for _, field := range [...][2]string{{"summary", s.Summary}, {"since", s.Since}, {"group", s.Group}, {"complexity", s.Complexity}} {
		r.BulkString(field[0])
		r.BulkString(field[1])
	}
	if s.ReplacedBy != "" {
		r.BulkString("doc_flags")
		r.Set(1)
		r.Status("deprecated")
		r.BulkString("deprecated_since")
		r.BulkString(s.DeprecatedSince)
		r.BulkString("replaced_by")
		r.BulkString(s.ReplacedBy)
	}
	if len(arguments) > 0 {
		r.BulkString("arguments")
		replyArguments(r, arguments)
	}
	if len(s.Subcommands) > 0 {
		r.BulkString("subcommands")
		r.Map(len(s.Subcommands))
		for _, sub := range s.Subcommands {
			r.BulkString(sub.Name)
			sub.replyDoc(r)
		}
	}
}
