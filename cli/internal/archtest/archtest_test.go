package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// source is one Go file of the tree.
type source struct {
	path   string // below the root
	folder string
	test   bool
	file   *ast.File
}

func (s source) imports() []string {
	var paths []string
	for _, i := range s.file.Imports {
		p, _ := strconv.Unquote(i.Path.Value) // the parser has checked it
		paths = append(paths, p)
	}
	return paths
}

// tree parses every Go file of the repository.
func tree(t *testing.T) []source {
	t.Helper()
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Fatalf("the root of the repository isn't where this test expects it: %v", err)
	}
	var sources []source
	files := token.NewFileSet()
	err = fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			hidden := name != "." && strings.HasPrefix(d.Name(), ".")
			if hidden || d.Name() == "testdata" || name == "bin" || name == "data" {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		file, err := parser.ParseFile(files, filepath.Join(root, name), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		sources = append(sources, source{name, path.Dir(name), strings.HasSuffix(name, "_test.go"), file})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(sources) == 0 {
		t.Fatal("no Go files found")
	}
	return sources
}

// within says whether folder is prefix or lies below it.
func within(folder, prefix string) bool {
	return folder == prefix || strings.HasPrefix(folder, prefix+"/")
}

func withinAny(folder string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return within(folder, p) })
}

// row finds a folder's row by the longest entry that it lies below, or -1.
func row(folder string) int {
	found, longest := -1, ""
	for i, entries := range rows {
		for _, entry := range entries {
			if within(folder, entry) && len(entry) > len(longest) {
				found, longest = i, entry
			}
		}
	}
	return found
}

// upward says why folder may not import the package of path p, or nothing.
func upward(folder, p string) string {
	target, ours := strings.CutPrefix(p, module)
	if !ours {
		return ""
	}
	switch from, to := row(folder), row(target); {
	case from < 0:
		return fmt.Sprintf("%s isn't in the table: put it into DESIGN.md §10 and into rules.go", folder)
	case to < 0:
		return fmt.Sprintf("it imports %s, which isn't in the table", target)
	case to < from:
		return fmt.Sprintf("it imports %s, which stands above %s in DESIGN.md §10: turn the dependency round, by an interface where it is consumed",
			target, folder)
	}
	return ""
}

// uninvited says which rule of importers forbids folder to import p, or nothing.
func uninvited(folder, p string, test bool) string {
	for _, rule := range importers {
		if within(p, rule.dependency) && !withinAny(folder, rule.allowed) && (rule.strict || !test) {
			return fmt.Sprintf("it imports %s, which is for %s", p, strings.Join(rule.allowed, ", "))
		}
	}
	return ""
}

func TestImports(t *testing.T) {
	for _, s := range tree(t) {
		if row(s.folder) < 0 {
			t.Errorf("%s: %s isn't in the table: put it into DESIGN.md §10 and into rules.go", s.path, s.folder)
			continue
		}
		for _, p := range s.imports() {
			if why := upward(s.folder, p); why != "" && !s.test {
				t.Errorf("%s: %s", s.path, why)
			}
			if why := uninvited(s.folder, p, s.test); why != "" {
				t.Errorf("%s: %s", s.path, why)
			}
		}
	}
}

func TestPure(t *testing.T) {
	for _, s := range tree(t) {
		if s.test || !withinAny(s.folder, pure) || strings.HasSuffix(s.folder, "test") || within(s.folder, "conflict/repair") {
			continue
		}
		for _, p := range s.imports() {
			if slices.Contains(impure, p) {
				t.Errorf("%s: it imports %s, and %s is a pure package: let the caller hand in what it needs", s.path, p, s.folder)
			}
		}
		for _, call := range impureUses(s.file) {
			t.Errorf("%s: it uses %s, and %s is a pure package: time comes in as an argument", s.path, call, s.folder)
		}
	}
}

func impureUses(file *ast.File) (uses []string) {
	ast.Inspect(file, func(n ast.Node) bool {
		selector, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := selector.X.(*ast.Ident); ok && slices.Contains(impureCalls, x.Name+"."+selector.Sel.Name) {
			uses = append(uses, x.Name+"."+selector.Sel.Name)
		}
		return true
	})
	return uses
}

// TestPackageComments wants one comment per package that begins as go doc expects it. A folder of tests alone says it in a
// test file.
func TestPackageComments(t *testing.T) {
	said := map[string]bool{}
	for _, s := range tree(t) {
		want := "Package " + strings.TrimSuffix(s.file.Name.Name, "_test") + " "
		if s.file.Name.Name == "main" {
			want = "Command " + path.Base(s.folder) + " "
		}
		said[s.folder] = said[s.folder] || s.file.Doc != nil && strings.HasPrefix(s.file.Doc.Text(), want)
	}
	for folder, ok := range said {
		if !ok {
			t.Errorf("%s: no file has a package comment that begins with \"Package %s \" (a command's: \"Command %[2]s \")", folder, path.Base(folder))
		}
	}
}

// TestRules makes sure that the rules forbid what they are for.
func TestRules(t *testing.T) {
	for _, c := range []struct {
		folder, imports string
		test, allowed   bool
	}{
		{"cluster/partition", module + "cluster/store", false, true},
		{"cluster/store", module + "cluster/partition", false, false},
		{"cluster/store", module + "cluster/command", false, false},
		{"cluster/engine/rocks", module + "cluster/engine", false, true},
		{"conflict", module + "conflict/repair", false, false},
		{"conflict/repair", module + "conflict", false, true},
		{"cdc/event/eventpb", module + "wal", false, false},
		{"cluster/unheardof", module + "wal", false, false},
		{"wal", module + "cluster/unheardof", false, false},
		{"cluster/store", module + "cluster/engine/rocks", false, false},
		{"cluster/store", module + "cluster/engine/rocks", true, true},
		{"cluster/store", "github.com/linxGnu/grocksdb", true, false},
		{"cluster/store", "C", true, false},
		{"cluster/datanode", "go.etcd.io/etcd/client/v3/concurrency", false, false},
		{"cli/conformance", "go.etcd.io/etcd/client/v3", true, true},
		{"cli/zankv", "go.etcd.io/etcd/client/v3", false, false},
		{"replay", "github.com/segmentio/kafka-go", false, false},
		{"cdc/kafka", "github.com/segmentio/kafka-go", false, true},
	} {
		allowed := upward(c.folder, c.imports)+uninvited(c.folder, c.imports, c.test) == ""
		if allowed != c.allowed {
			t.Errorf("%s imports %s (test: %t): allowed %t, want %t", c.folder, c.imports, c.test, allowed, c.allowed)
		}
	}
}
