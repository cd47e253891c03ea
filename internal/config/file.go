package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// fileReader puts a parsed file into the settings.
type fileReader struct {
	set        *Set
	name       string
	lines      map[string]int // by path in the file
	complaints []error
}

// loadFile reads TOML strictly: what is no setting is a complaint with its line.
func (s *Set) loadFile(name string, data []byte) []error {
	var tree map[string]any
	if err := toml.Unmarshal(data, &tree); err != nil {
		c := &Complaint{Origin: name, Err: err}
		if at, ok := errors.AsType[*toml.DecodeError](err); ok {
			line, column := at.Position()
			c.Origin = fmt.Sprintf("%s:%d:%d", name, line, column)
			c.Err = errors.New(strings.TrimPrefix(at.Error(), "toml: "))
		}
		return []error{c}
	}
	r := &fileReader{set: s, name: name, lines: linesOf(data)}
	r.put(s.root, "", tree)
	return r.complaints
}

func (r *fileReader) origin(path string) string {
	if line := r.lines[path]; line > 0 {
		return fmt.Sprintf("%s:%d", r.name, line)
	}
	return r.name
}

func (r *fileReader) complain(path string, err error) {
	r.complaints = append(r.complaints, &Complaint{Origin: r.origin(path), Path: path, Err: err})
}

// put sets v, at path, from a value of the file.
func (r *fileReader) put(v reflect.Value, path string, value any) {
	table, isTable := value.(map[string]any)
	leaf := isLeaf(v.Type())
	switch {
	case leaf && isTable && v.Kind() == reflect.Map && kindOf(v.Type(), path) == kindMap, !leaf && isTable && v.Kind() == reflect.Map:
		r.putMap(v, path, table)
	case leaf:
		if err := setTOML(v, value); err != nil {
			r.complain(path, err)
			return
		}
		r.set.origins[path] = r.origin(path)
	case isTable:
		r.putStruct(v, path, table)
	default:
		r.complain(path, fmt.Errorf("must be a table, not %s", describe(value)))
	}
}

// putMap sets the entries of a map, whose keys the operator chose. A default entry that the file does not name stays.
func (r *fileReader) putMap(v reflect.Value, path string, table map[string]any) {
	merged := reflect.MakeMap(v.Type())
	for _, k := range v.MapKeys() { // the default's own map is not changed
		merged.SetMapIndex(k, v.MapIndex(k))
	}
	for _, name := range r.inOrder(path, table) {
		entry := reflect.New(v.Type().Elem()).Elem()
		key := reflect.ValueOf(name).Convert(v.Type().Key())
		if old := v.MapIndex(key); old.IsValid() {
			entry.Set(old)
		}
		r.put(entry, join(path, name), table[name])
		merged.SetMapIndex(key, entry)
	}
	v.Set(merged)
	if isLeaf(v.Type()) {
		r.set.origins[path] = r.origin(path)
	}
}

func (r *fileReader) putStruct(v reflect.Value, path string, table map[string]any) {
	if path != "" {
		r.set.tables[path] = r.origin(path)
	}
	fields := map[string][]int{}
	for _, f := range fieldsOf(v.Type()) {
		fields[f.name] = f.index
	}
	for _, name := range r.inOrder(path, table) {
		if index, ok := fields[name]; ok {
			if path == "" {
				r.set.given[name] = true
			}
			r.put(v.FieldByIndex(index), join(path, name), table[name])
			continue
		}
		r.complain(join(path, name), r.unknown(name, slices.Sorted(maps.Keys(fields))))
	}
}

// unknown says which key was meant: one of the same section, or the only one of that name elsewhere.
func (r *fileReader) unknown(name string, siblings []string) error {
	if near := nearest(strings.ToLower(name), siblings); near != "" {
		return fmt.Errorf("unknown key; did you mean %q?", near)
	}
	var elsewhere []string
	for _, f := range r.set.schema {
		if strings.HasSuffix(f.Path, "."+name) {
			elsewhere = append(elsewhere, f.Path)
		}
	}
	if len(elsewhere) == 1 {
		return fmt.Errorf("unknown key; did you mean %q?", elsewhere[0])
	}
	return fmt.Errorf("unknown key; here can stand: %s", strings.Join(siblings, ", "))
}

// inOrder gives the keys of a table in the order of their lines.
func (r *fileReader) inOrder(path string, table map[string]any) []string {
	return slices.SortedFunc(maps.Keys(table), func(a, b string) int {
		return cmp.Or(cmp.Compare(r.lines[join(path, a)], r.lines[join(path, b)]), strings.Compare(a, b))
	})
}

// linesOf finds the line on which each key of valid TOML is first written, by its path. Arrays of tables are no setting of
// any schema, so their elements share a path.
func linesOf(data []byte) map[string]int {
	lines := map[string]int{}
	var p unstable.Parser
	p.Reset(data)
	note := func(prefix string, it unstable.Iterator) string {
		path := prefix
		for it.Next() {
			path = join(path, string(it.Node().Data))
			if _, ok := lines[path]; !ok {
				lines[path] = p.Shape(it.Node().Raw).Start.Line
			}
		}
		return path
	}
	var inline func(path string, value *unstable.Node)
	inline = func(path string, value *unstable.Node) {
		if value.Kind != unstable.InlineTable {
			return
		}
		for it := value.Children(); it.Next(); {
			sub := note(path, it.Node().Key())
			inline(sub, it.Node().Value())
		}
	}
	section := ""
	for p.NextExpression() {
		switch e := p.Expression(); e.Kind {
		case unstable.Table, unstable.ArrayTable:
			section = note("", e.Key())
		case unstable.KeyValue:
			inline(note(section, e.Key()), e.Value())
		}
	}
	return lines
}
