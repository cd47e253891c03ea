package config

import (
	"reflect"
	"strings"

	"github.com/spf13/pflag"
)

// BindFlags gives flags a flag for every setting of a section that a command line can say: its path below the section, with dashes.
// names renames single ones, by their path below the section; an empty name leaves one out. What the flags say is
// applied by Load, over file and environment.
func (s *Set) BindFlags(flags *pflag.FlagSet, section string, names map[string]string) {
	for _, f := range s.schema {
		below, ok := strings.CutPrefix(f.Path, section+".")
		if section == "" {
			below, ok = f.Path, true
		}
		if !ok || strings.Contains(below, "*") {
			continue
		}
		name, renamed := names[below]
		if !renamed {
			name = strings.NewReplacer(".", "-", "_", "-").Replace(below)
		}
		if name != "" {
			s.BindFlag(flags, f.Path, name, s.usage(f.Path))
		}
	}
}

// BindFlag gives flags one flag for one setting. It panics when the path is none.
func (s *Set) BindFlag(flags *pflag.FlagSet, path, name, usage string) {
	for _, f := range s.schema {
		if f.Path != path {
			continue
		}
		flag := flags.VarPF(&flagValue{set: s, field: f, name: name}, name, "", usage)
		if f.Kind == kindBool {
			flag.NoOptDefVal = "true"
		}
		return
	}
	panic("config: no setting " + path + " for flag --" + name)
}

// usage is the first sentence of the comment, as flags write theirs.
func (s *Set) usage(path string) string {
	text := s.comments[path]
	if i := strings.Index(text, ". "); i >= 0 {
		text = text[:i]
	}
	text = strings.TrimSuffix(text, ".")
	if len(text) > 1 && text[1] >= 'a' && text[1] <= 'z' { // not an acronym
		text = strings.ToLower(text[:1]) + text[1:]
	}
	return text
}

// flagValue notes what the command line says until Load applies it. It checks the text at once, so that a wrong one is a fault
// of the command line.
type flagValue struct {
	set   *Set
	field Field
	name  string
	said  []string
}

// String is the default in the help.
func (f *flagValue) String() string {
	if f.set == nil {
		return ""
	}
	if len(f.said) > 0 {
		return strings.Join(f.said, ",")
	}
	return f.set.defaults[f.field.Path]
}

// Type names the value in the help.
func (f *flagValue) Type() string {
	switch f.field.Kind {
	case kindBool:
		return "bool"
	case kindMap:
		return "name=value"
	case kindNumber, kindDecimal:
		return "number"
	}
	return string(f.field.Kind)
}

// Set implements pflag.Value.
func (f *flagValue) Set(text string) error {
	entry := f.field.Kind == kindMap
	probe := reflect.New(f.set.root.Type()).Elem()
	check := setText
	if entry {
		check = setEntry
	}
	err := setPath(probe, strings.Split(f.field.Path, "."), func(v reflect.Value) error { return check(v, text) })
	if err != nil {
		return err
	}
	f.said = append(f.said, text)
	if f.field.Kind == kindList { // repeated flags add up
		text = strings.Join(f.said, ",")
	}
	f.set.flags = append(f.set.flags, assignment{path: f.field.Path, text: text, origin: "--" + f.name, entry: entry})
	return nil
}
