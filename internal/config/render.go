package config

import (
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Example writes a file that changes nothing: every setting with its comment and its default, commented out.
func (s *Set) Example(w io.Writer) error {
	var b strings.Builder
	b.WriteString(`# The configuration of Kamado. Every line is a default: remove the "# " in front of what you change.
# Sizes are written "64MiB" or "1.5GB", durations "500ms", "30s", "5m", "12h" or "30d". Paths are relative to the directory
# that kamado is started in.
`)
	for _, sec := range s.sections() {
		if sec.path != "" {
			fmt.Fprintf(&b, "\n\n%s# [%s]\n", commented(s.comments[sec.path]), strings.ReplaceAll(sec.path, "*", "NAME"))
		}
		for _, f := range sec.fields {
			name := f.Path[strings.LastIndexByte(f.Path, '.')+1:]
			text := commented(s.comments[f.Path])
			if f.Kind == kindMap {
				fmt.Fprintf(&b, "\n%s# [%s]\n# NAME = \"value\"\n", text, f.Path)
				continue
			}
			fmt.Fprintf(&b, "\n%s# %s = %s\n", text, name, s.literal(f))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Reference writes the page of all settings in Markdown.
func (s *Set) Reference(w io.Writer) error {
	var b strings.Builder
	b.WriteString(`# Configuration

<!-- Generated from the comments of the Config types. Change those, then run: go generate ./cmd/kamado -->

Kamado reads one file, ` + "`kamado.toml`" + ` of the directory it is started in, or the one named by ` + "`--config FILE`" + ` or ` + "`KAMADO_CONFIG`" + `.
Each value may come from four places; a later one goes over an earlier one: the default, the file, the environment, a flag.
An unknown key is an error. ` + "`kamado config check`" + ` tells all that is wrong at once, ` + "`kamado config show`" + ` prints every value in effect
with where it came from, and ` + "`kamado config example`" + ` prints a file to start from.

Sizes are written ` + "`64KiB`, `1.5GB` or `512`" + ` (bytes); durations ` + "`500ms`, `30s`, `5m`, `12h` or `30d`" + `. In the environment and in
flags a list is written with commas. ` + "`NAME`" + ` stands for a name that you choose; in the environment it is written in capitals.
`)
	for _, sec := range s.sections() {
		if sec.path != "" {
			fmt.Fprintf(&b, "\n## [%s]\n", strings.ReplaceAll(sec.path, "*", "NAME"))
			if c := s.comments[sec.path]; c != "" {
				fmt.Fprintf(&b, "\n%s\n", c)
			}
		}
		for _, f := range sec.fields {
			fmt.Fprintf(&b, "\n### %s\n\n%s\n", strings.ReplaceAll(f.Path, "*", "NAME"), orNone(s.comments[f.Path]))
			fmt.Fprintf(&b, "\n- Kind: %s\n", f.Kind)
			if d := s.literal(f); !strings.Contains(f.Path, "*") && f.Kind != kindMap {
				fmt.Fprintf(&b, "- Default: `%s`\n", d)
			}
			if f.Kind != kindMap {
				fmt.Fprintf(&b, "- Environment: `%s`\n", strings.ReplaceAll(EnvName(f.Path), "*", "NAME"))
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func orNone(comment string) string {
	if comment == "" {
		return "(no comment)"
	}
	return comment
}

// section is a table of the file with the settings directly in it.
type section struct {
	path   string
	fields []Field
}

// sections groups the schema as TOML needs it: the settings of a table before the tables below it.
func (s *Set) sections() []section {
	var list []section
	at := map[string]int{}
	for _, f := range s.schema {
		path := ""
		if i := strings.LastIndexByte(f.Path, '.'); i >= 0 {
			path = f.Path[:i]
		}
		i, ok := at[path]
		if !ok {
			i = len(list)
			at[path] = i
			list = append(list, section{path: path})
		}
		list[i].fields = append(list[i].fields, f)
	}
	for i := range list { // inside a table, its maps come last: they are tables themselves
		var plain, maps []Field
		for _, f := range list[i].fields {
			if f.Kind == kindMap {
				maps = append(maps, f)
			} else {
				plain = append(plain, f)
			}
		}
		list[i].fields = append(plain, maps...)
	}
	return list
}

// literal is the default of a setting as the file writes it.
func (s *Set) literal(f Field) string {
	text := s.defaults[f.Path]
	switch f.Kind {
	case kindBool, kindNumber, kindDecimal:
		if text == "" { // of a name that the operator chooses: the zero value
			return map[Kind]string{kindBool: "false", kindNumber: "0", kindDecimal: "0.0"}[f.Kind]
		}
		return text
	case kindList:
		if text == "" {
			return "[]"
		}
		parts := strings.Split(text, ",")
		if !s.listOfNumbers(f) {
			for i := range parts {
				parts[i] = strconv.Quote(parts[i])
			}
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case kindDuration:
		if text == "" {
			text = FormatDuration(time.Duration(0))
		}
	case kindSize:
		if text == "" {
			text = "0"
		}
	}
	return strconv.Quote(text)
}

// listOfNumbers says whether the elements of a list stand without quotes.
func (s *Set) listOfNumbers(f Field) bool {
	var number bool
	probe := reflect.New(s.root.Type()).Elem()
	_ = setPath(probe, strings.Split(f.Path, "."), func(v reflect.Value) error { // the path is of the schema
		k := kindOf(v.Type().Elem(), f.Path)
		number = k == kindNumber || k == kindDecimal || k == kindBool
		return nil
	})
	return number
}

func commented(text string) string {
	if text == "" {
		return ""
	}
	var b strings.Builder
	for line := range strings.SplitSeq(text, "\n") {
		b.WriteString(strings.TrimRight("# "+line, " ") + "\n")
	}
	return b.String()
}
