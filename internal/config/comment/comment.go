// Package comment reads the comments of the fields of settings out of the source, for the reference page, the example file
// and the help of flags.
//
// It is used when those are generated, never by a running program: it needs the source. A field's comment is the one above
// it, or else the one behind it; a section without one takes the comment of its type.
package comment

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
)

// Extract gives the comments of a struct and of all below it, by schema path as package config writes them ("*" for the keys of a
// map). root is the directory of the module and module its path.
func Extract(t reflect.Type, root, module string) (map[string]string, error) {
	e := &extractor{root: root, module: module, types: map[string]map[string]typeComments{}, found: map[string]string{}}
	if err := e.walk(t, ""); err != nil {
		return nil, err
	}
	return e.found, nil
}

type extractor struct {
	root, module string
	types        map[string]map[string]typeComments // by package path, then type
	found        map[string]string
}

// typeComments are the comments of one struct type.
type typeComments struct {
	doc    string
	fields map[string]string // by Go name
}

func (e *extractor) walk(t reflect.Type, path string) error {
	for t.Kind() == reflect.Map {
		t, path = t.Elem(), path+".*"
	}
	if t.Kind() != reflect.Struct || !strings.HasPrefix(t.PkgPath(), e.module) {
		return nil
	}
	comments, err := e.of(t)
	if err != nil {
		return err
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
		sub := strings.TrimPrefix(path+"."+name, ".")
		switch {
		case name == "" && f.Anonymous:
			err = e.walk(f.Type, path)
		case name == "" || name == "-":
			continue
		default:
			if err = e.note(f, sub, comments); err == nil {
				err = e.walk(f.Type, sub)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// note keeps the comment of one field under its path; of a map of sections, also under the path of its sections.
func (e *extractor) note(f reflect.StructField, path string, comments typeComments) error {
	text := comments.fields[f.Name]
	section := f.Type
	for section.Kind() == reflect.Map {
		section, path = section.Elem(), path+".*"
	}
	isSection := section.Kind() == reflect.Struct && section.NumField() > 0 && section.Field(0).Tag.Get("toml") != ""
	if !isSection {
		path = strings.TrimSuffix(path, ".*") // a map of values is one setting
	} else if text == "" {
		own, err := e.of(section)
		if err != nil {
			return err
		}
		text = own.doc
	}
	if text != "" {
		e.found[path] = text
	}
	return nil
}

// of gives the comments of a named struct type, parsing its package once.
func (e *extractor) of(t reflect.Type) (typeComments, error) {
	types, ok := e.types[t.PkgPath()]
	if !ok {
		dir := filepath.Join(e.root, strings.TrimPrefix(t.PkgPath(), e.module))
		var err error
		if types, err = parsePackage(dir); err != nil {
			return typeComments{}, fmt.Errorf("read comments of %s: %w", t, err)
		}
		e.types[t.PkgPath()] = types
	}
	c, ok := types[t.Name()]
	if !ok {
		return c, fmt.Errorf("read comments of %s: it is not declared in its package's directory", t)
	}
	return c, nil
}

func parsePackage(dir string) (map[string]typeComments, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	types := map[string]typeComments{}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, entry.Name()), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, d := range file.Decls {
			if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.TYPE {
				noteTypes(types, g)
			}
		}
	}
	return types, nil
}

func noteTypes(types map[string]typeComments, g *ast.GenDecl) {
	for _, spec := range g.Specs {
		ts := spec.(*ast.TypeSpec)
		st, ok := ts.Type.(*ast.StructType)
		if !ok {
			continue
		}
		doc := ts.Doc
		if doc == nil {
			doc = g.Doc
		}
		c := typeComments{doc: text(doc), fields: map[string]string{}}
		for _, f := range st.Fields.List {
			t := text(f.Doc)
			if t == "" {
				t = text(f.Comment)
			}
			for _, n := range f.Names {
				c.fields[n.Name] = t
			}
		}
		types[ts.Name.Name] = c
	}
}

func text(c *ast.CommentGroup) string { return strings.TrimSpace(c.Text()) }
