package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Field is one setting of the schema.
type Field struct {
	Path string // with "*" for names that the operator chooses
	Kind Kind
}

// Kind is how a setting is written.
type Kind string

// The kinds. A list is written [a, b] in the file and a,b elsewhere; a map is a table in the file and name=value in flags.
const (
	kindText     Kind = "text"
	kindBool     Kind = "true or false"
	kindNumber   Kind = "number"
	kindDecimal  Kind = "decimal number"
	kindDuration Kind = "duration"
	kindSize     Kind = "size"
	kindList     Kind = "list"
	kindMap      Kind = "table of name = value"
)

// tagged is a field of a struct that is a setting or a section.
type tagged struct {
	name  string
	index []int
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// fieldsOf lists the fields with a toml tag. Embedded structs without one count as their fields.
func fieldsOf(t reflect.Type) []tagged {
	var list []tagged
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
		switch {
		case name == "-" || !f.IsExported():
		case name == "" && f.Anonymous && f.Type.Kind() == reflect.Struct:
			for _, sub := range fieldsOf(f.Type) {
				list = append(list, tagged{sub.name, append([]int{i}, sub.index...)})
			}
		case name != "":
			list = append(list, tagged{name, []int{i}})
		}
	}
	return list
}

// isLeaf says whether a type is one setting rather than a section or a table of sections.
func isLeaf(t reflect.Type) bool {
	if t == durationType || reflect.PointerTo(t).Implements(textType) {
		return true
	}
	switch t.Kind() {
	case reflect.Struct:
		return false
	case reflect.Map:
		return isLeaf(t.Elem())
	}
	return true
}

// kindOf panics for a type that no setting can have: that is a fault of the program, seen by its first test.
func kindOf(t reflect.Type, path string) Kind {
	switch {
	case t == durationType:
		return kindDuration
	case reflect.PointerTo(t).Implements(textType):
		if t.Kind() == reflect.Int64 {
			return kindSize // a number with a unit
		}
		return kindText
	}
	switch t.Kind() {
	case reflect.String:
		return kindText
	case reflect.Bool:
		return kindBool
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return kindNumber
	case reflect.Float32, reflect.Float64:
		return kindDecimal
	case reflect.Slice:
		if isLeaf(t.Elem()) && t.Elem().Kind() != reflect.Slice && t.Elem().Kind() != reflect.Map {
			return kindList
		}
	case reflect.Map:
		if t.Key().Kind() == reflect.String {
			return kindMap
		}
	}
	panic(fmt.Sprintf("config: setting %s has type %v, which no text can give", path, t))
}

// schemaOf lists the settings that a struct has room for.
func schemaOf(root reflect.Value) []Field {
	var list []Field
	var walk func(t reflect.Type, path string)
	walk = func(t reflect.Type, path string) {
		switch {
		case isLeaf(t):
			list = append(list, Field{Path: path, Kind: kindOf(t, path)})
		case t.Kind() == reflect.Map:
			walk(t.Elem(), join(path, "*"))
		default:
			for _, f := range fieldsOf(t) {
				walk(t.FieldByIndex(f.index).Type, join(path, f.name))
			}
		}
	}
	walk(root.Type(), "")
	return list
}

// eachLeaf visits the settings that are there: those of a map of sections under the names that it has, in order.
func eachLeaf(v reflect.Value, path string, visit func(path string, v reflect.Value)) {
	switch {
	case isLeaf(v.Type()):
		visit(path, v)
	case v.Kind() == reflect.Map:
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, k := range keys {
			eachLeaf(v.MapIndex(k), join(path, k.String()), visit)
		}
	default:
		for _, f := range fieldsOf(v.Type()) {
			eachLeaf(v.FieldByIndex(f.index), join(path, f.name), visit)
		}
	}
}

// setPath calls set with the setting at a path, making entries of maps on the way.
func setPath(v reflect.Value, path []string, set func(reflect.Value) error) error {
	if len(path) == 0 {
		return set(v)
	}
	if v.Kind() == reflect.Map {
		entry := reflect.New(v.Type().Elem()).Elem()
		key := reflect.ValueOf(path[0]).Convert(v.Type().Key())
		if old := v.MapIndex(key); old.IsValid() {
			entry.Set(old)
		}
		if err := setPath(entry, path[1:], set); err != nil {
			return err
		}
		if v.IsNil() {
			v.Set(reflect.MakeMap(v.Type()))
		}
		v.SetMapIndex(key, entry)
		return nil
	}
	for _, f := range fieldsOf(v.Type()) {
		if f.name == path[0] {
			return setPath(v.FieldByIndex(f.index), path[1:], set)
		}
	}
	return fmt.Errorf("unknown key")
}

// nearest gives the candidate that a misspelt word most likely means, or nothing when none is near: at most a third of the
// letters wrong, and never more than three. Of equally near ones, the one that begins alike for longer is meant.
func nearest(word string, candidates []string) string {
	best, alike, found := min(3, max(1, len(word)/3))+1, -1, ""
	for _, c := range candidates {
		if len(word)-len(c) > 3 || len(c)-len(word) > 3 {
			continue
		}
		d, n := distance(word, c), 0
		for n < min(len(word), len(c)) && word[n] == c[n] {
			n++
		}
		if d < best || d == best && n > alike && found != "" {
			best, alike, found = d, n, c
		}
	}
	return found
}

// distance is the number of letters to insert, remove, replace or swap with the next one (optimal string alignment).
func distance(a, b string) int {
	var before []int // the row before prev
	prev := make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(prev[j]+cost, prev[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, prev = prev, row
	}
	return prev[len(b)]
}
