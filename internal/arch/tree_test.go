package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// module is the path of this module.
const module = "github.com/kamado/kamado"

// tree is the source of a module, by package path relative to it.
type tree map[string]*source

// source is what the walls ask about one package.
type source struct {
	path    string
	name    string // of the package clause of files that are no tests
	comment string
	code    []imported // imports of files that are no tests
	tests   []imported // imports of test files
	faults  []violation
	cgo     []string // files with import "C"
	clock   []string // places that call time.Now or time.Since
}

type imported struct {
	path  string // relative to the module when ours
	ours  bool
	blank bool
	file  string
}

// load parses every Go file below fsys, whatever its build constraints. Nested
// modules, testdata and hidden folders are other people's.
func load(fsys fs.FS) (tree, error) {
	t := tree{}
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return skip(fsys, p, d)
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		b, err := fs.ReadFile(fsys, p)
		if err != nil {
			return err
		}
		dir := path.Dir(p)
		if t[dir] == nil {
			t[dir] = &source{path: dir}
		}
		return t[dir].add(p, b)
	})
	return t, err
}

func skip(fsys fs.FS, p string, d fs.DirEntry) error {
	if p == "." {
		return nil
	}
	name := d.Name()
	if name == "testdata" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") {
		return fs.SkipDir
	}
	if _, err := fs.Stat(fsys, path.Join(p, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

func (s *source) add(file string, b []byte) error {
	f, err := parser.ParseFile(token.NewFileSet(), file, b, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	test := strings.HasSuffix(file, "_test.go")
	if !test || s.name == "" {
		s.name = strings.TrimSuffix(f.Name.Name, "_test")
	}
	if f.Doc != nil && len(f.Doc.Text()) > len(s.comment) {
		s.comment = f.Doc.Text()
	}
	s.addImports(file, f, test)
	if !test {
		s.addBody(file, f)
	}
	return nil
}

func (s *source) addImports(file string, f *ast.File, test bool) {
	for _, spec := range f.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		in := imported{path: p, file: file, blank: spec.Name != nil && spec.Name.Name == "_"}
		if rest, ok := strings.CutPrefix(p, module+"/"); ok {
			in.path, in.ours = rest, true
		}
		switch {
		case p == "C":
			s.cgo = append(s.cgo, file)
		case test:
			s.tests = append(s.tests, in)
		default:
			s.code = append(s.code, in)
		}
	}
}

// addBody looks for functions named init and calls that read the clock.
func (s *source) addBody(file string, f *ast.File) {
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if ok && fn.Recv == nil && fn.Name.Name == "init" && !ast.IsGenerated(f) {
			s.faults = append(s.faults, violation{s.path, "func init in " + file, reasonInit})
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			x, ok := sel.X.(*ast.Ident)
			if ok && x.Name == "time" && slices.Contains([]string{"Now", "Since", "Until", "After", "NewTimer", "NewTicker", "Sleep"}, sel.Sel.Name) {
				s.clock = append(s.clock, file+" uses time."+sel.Sel.Name)
			}
		}
		return true
	})
}

var sentenceEnd = regexp.MustCompile(`[.!?][)"]?(\s|$)`)

// sentences counts the sentences of a comment's text, roughly.
func sentences(text string) int {
	return len(sentenceEnd.FindAllString(text, -1))
}

// testsOnly says whether the package is for tests: it imports testing itself.
func (s *source) testsOnly() bool {
	return slices.ContainsFunc(s.code, func(in imported) bool { return in.path == "testing" || strings.HasPrefix(in.path, "testing/") })
}
