// Package config reads the settings of a process into one struct: defaults, then a TOML file, then the environment, then
// flags, each going over the one before.
//
// The struct is the schema. A field with the tag toml:"name" is a setting; a struct is a section; its comments become the
// reference page, the example file and the help of flags. A Set remembers for every value where it came from. What is wrong is told all at
// once, with file and line; an unknown key is wrong. Each section may have a Validate method, which is asked last.
//
// A setting has one path, such as images.limits.max_bytes. In the environment that is KAMADO_IMAGES_LIMITS_MAX_BYTES, and where
// a command binds the section images it is the flag --limits-max-bytes. Where a path holds a name that the operator
// chooses, the schema shows "*": images.origins.*.dir.
package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
)

// EnvPrefix begins the name of every variable that is a setting.
const EnvPrefix = "KAMADO_"

// OriginDefault is the origin of a value that nobody set.
const OriginDefault = "default"

// Set is the settings of a process and their origins. It is used by one goroutine.
type Set struct {
	root     reflect.Value // the struct
	schema   []Field
	comments map[string]string // by schema path

	defaults map[string]string // text of each setting before Load, by path
	origins  map[string]string // by path; those missing are defaults
	tables   map[string]string // origins of the tables of the file, by path: complaints may be about one
	given    map[string]bool   // the outermost sections that something was said about
	flags    []assignment      // what the command line said, in order
	warnings []string
}

// assignment is one value as text, from where it was said.
type assignment struct {
	path, text, origin string
	entry              bool // text is name=value of a map
}

// Value is one effective setting.
type Value struct {
	Path   string `json:"path"`
	Value  string `json:"value"`
	Origin string `json:"origin"` // "default", "file:line", the variable or the flag
}

// Sources are where Load looks beyond the defaults and the flags.
type Sources struct {
	// File is the TOML file; empty means none. It must exist.
	File string
	// Environ is the environment, "KEY=value", as os.Environ gives it.
	Environ []string
}

// New makes a Set of settings, a pointer to a struct that holds the defaults. comments are by schema path, as package comment
// extracts them; they may be nil. It panics when the struct cannot be a schema: a field of a kind that has no text.
func New(settings any, comments map[string]string) *Set {
	root := reflect.ValueOf(settings).Elem()
	s := &Set{root: root, schema: schemaOf(root), comments: comments, defaults: map[string]string{}, origins: map[string]string{}, tables: map[string]string{}, given: map[string]bool{}}
	for _, v := range s.Values() {
		s.defaults[v.Path] = v.Value
	}
	return s
}

// Load reads file, environment and bound flags, in this order, and validates the result. The error joins all complaints, each
// a *Complaint; the settings are then not to be used.
func (s *Set) Load(src Sources) error {
	var complaints []error
	if src.File != "" {
		data, err := os.ReadFile(src.File)
		if err != nil {
			return fmt.Errorf("read configuration: %w", err)
		}
		complaints = append(complaints, s.loadFile(src.File, data)...)
	}
	complaints = append(complaints, s.loadEnviron(src.Environ)...)
	for _, a := range s.flags {
		if err := s.assign(a); err != nil {
			complaints = append(complaints, err)
		}
	}
	if len(complaints) == 0 { // what could not be read is not worth judging
		complaints = s.validate()
	}
	return errors.Join(complaints...)
}

// Warnings are remarks about the last Load that stop nothing: variables that look like settings and are none.
func (s *Set) Warnings() []string { return s.warnings }

// Origin says where the value at a path came from. For a section it is the origin of nothing.
func (s *Set) Origin(path string) string {
	if o, ok := s.origins[path]; ok {
		return o
	}
	return OriginDefault
}

// Given says whether file, environment or flags named an outermost section, even an empty one.
func (s *Set) Given(section string) bool { return s.given[section] }

// Values lists the effective settings in the order of the struct. Secrets show as their types show them.
func (s *Set) Values() []Value {
	var list []Value
	eachLeaf(s.root, "", func(path string, v reflect.Value) {
		list = append(list, Value{Path: path, Value: formatValue(v), Origin: s.Origin(path)})
	})
	return list
}

// Complaint is one thing that is wrong with the settings.
type Complaint struct {
	Origin string // "kamado.toml:12", a variable or a flag; empty when the value is a default or several take part
	Path   string // of the setting or section; may be empty
	Err    error
}

func (c *Complaint) Error() string {
	var parts []string
	for _, p := range []string{c.Origin, c.Path} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return strings.Join(append(parts, c.Err.Error()), ": ")
}

func (c *Complaint) Unwrap() error { return c.Err }

// validator is a section that can judge itself.
type validator interface{ Validate() error }

// validate asks the outermost sections that can judge themselves, and then the whole.
func (s *Set) validate() []error {
	var complaints []error
	var walk func(v reflect.Value, path string)
	walk = func(v reflect.Value, path string) {
		for _, f := range fieldsOf(v.Type()) {
			sub := v.FieldByIndex(f.index)
			if sub.Kind() != reflect.Struct || isLeaf(sub.Type()) {
				continue
			}
			if judge, ok := sub.Addr().Interface().(validator); ok {
				complaints = append(complaints, s.located(join(path, f.name), judge.Validate())...)
				continue
			}
			walk(sub, join(path, f.name))
		}
	}
	walk(s.root, "")
	if judge, ok := s.root.Addr().Interface().(validator); ok {
		complaints = append(complaints, s.located("", judge.Validate())...)
	}
	return complaints
}

// located splits what a section says into complaints, and finds the origin of those that begin with the name of a setting.
func (s *Set) located(section string, err error) []error {
	if err == nil {
		return nil
	}
	var list []error
	for _, e := range flatten(err) {
		list = append(list, &Complaint{Origin: s.originOf(section, e.Error()), Path: section, Err: e})
	}
	return list
}

// originOf finds the setting or table with whose path, below the section, a complaint begins; of several the longest.
func (s *Set) originOf(section, complaint string) string {
	longest, origin := 0, ""
	for _, known := range []map[string]string{s.tables, s.origins} {
		for path, from := range known {
			below, inside := strings.CutPrefix(path, section+".")
			if section == "" {
				below, inside = path, true
			}
			rest, begins := strings.CutPrefix(complaint, below)
			if inside && begins && len(below) >= longest && (rest == "" || strings.ContainsRune(" :.", rune(rest[0]))) {
				longest, origin = len(below), from
			}
		}
	}
	return origin
}

// flatten takes joined errors apart.
func flatten(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var list []error
	for _, e := range joined.Unwrap() {
		list = append(list, flatten(e)...)
	}
	return list
}

// loadEnviron takes the variables that are settings. A variable with the prefix that is none is only a warning: container
// platforms put names such as KAMADO_PORT_80_TCP_ADDR into the environment by themselves.
func (s *Set) loadEnviron(environ []string) []error {
	var complaints []error
	s.warnings = nil
	for _, entry := range environ {
		name, text, ok := strings.Cut(entry, "=")
		if !ok || !strings.HasPrefix(name, EnvPrefix) {
			continue
		}
		path, ok := s.pathOfEnv(name)
		if !ok {
			if near := s.nearestEnv(name); near != "" {
				s.warnings = append(s.warnings, fmt.Sprintf("%s is no setting and has no effect; did you mean %s?", name, near))
			}
			continue
		}
		if err := s.assign(assignment{path: path, text: text, origin: name}); err != nil {
			complaints = append(complaints, err)
		}
	}
	return complaints
}

// EnvName is the variable of a path.
func EnvName(path string) string {
	return EnvPrefix + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(path))
}

// pathOfEnv finds the setting of a variable. A name that the operator chose is what stands between the fixed parts, in
// lower case; where several settings fit, the one with the most fixed text does.
func (s *Set) pathOfEnv(name string) (string, bool) {
	best, path := -1, ""
	for _, f := range s.schema {
		if f.Kind == kindMap {
			continue
		}
		before, after, open := strings.Cut(EnvName(f.Path), "*")
		if !open {
			if name == before {
				return f.Path, true
			}
			continue
		}
		if len(name) <= len(before)+len(after) || !strings.HasPrefix(name, before) || !strings.HasSuffix(name, after) {
			continue
		}
		if fixed := len(before) + len(after); fixed > best {
			chosen := strings.ToLower(name[len(before) : len(name)-len(after)])
			best, path = fixed, strings.Replace(f.Path, "*", chosen, 1)
		}
	}
	return path, best >= 0
}

func (s *Set) nearestEnv(name string) string {
	var names []string
	for _, f := range s.schema {
		if !strings.Contains(f.Path, "*") && f.Kind != kindMap {
			names = append(names, EnvName(f.Path))
		}
	}
	return nearest(name, names)
}

// assign sets one value from text and notes its origin.
func (s *Set) assign(a assignment) error {
	complain := func(err error) error {
		return &Complaint{Origin: a.origin, Path: a.path, Err: err}
	}
	err := setPath(s.root, strings.Split(a.path, "."), func(v reflect.Value) error {
		if a.entry {
			return setEntry(v, a.text)
		}
		return setText(v, a.text)
	})
	if err != nil {
		return complain(err)
	}
	s.origins[a.path] = a.origin
	section, _, _ := strings.Cut(a.path, ".")
	s.given[section] = true
	return nil
}

// Fields lists the schema in the order of the struct.
func (s *Set) Fields() []Field { return slices.Clone(s.schema) }

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
