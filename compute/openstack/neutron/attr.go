package neutron

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/fabric"
)

// When an attribute may be given.
const (
	onCreate = 1 << iota
	onUpdate
	always = onCreate | onUpdate
)

// The longest texts of attributes, in characters.
const (
	nameMax        = 255
	descriptionMax = 255
	textMax        = 1024
)

// attr is one attribute of a resource: when it may be given, and how it is read
// into what the rules take (A). One that is only shown has when 0.
type attr[A any] struct {
	name  string
	when  int
	need  bool // must be given at creation
	admin bool // only administrators may give it anything but false
	set   func(*A, any) error
}

// shown are attributes that are never given.
func shown[A any](names ...string) []attr[A] {
	list := make([]attr[A], 0, len(names))
	for _, n := range names {
		list = append(list, attr[A]{name: n})
	}
	return list
}

// standard are the attributes of everything that are never given.
func standard[A any]() []attr[A] {
	return shown[A]("id", "status", "created_at", "updated_at", "revision_number", "tags")
}

// owner are the two names of the project that owns a thing.
func owner[A any](field func(*A) *fabric.Opt[string]) []attr[A] {
	return []attr[A]{text("project_id", onCreate, nameMax, field), text("tenant_id", onCreate, nameMax, field)}
}

// text is an attribute that is a string; null is none.
func text[A any](name string, when, most int, field func(*A) *fabric.Opt[string]) attr[A] {
	return attr[A]{name: name, when: when, set: func(a *A, v any) error {
		s, err := toText(name, v, most)
		if err == nil {
			*field(a) = fabric.Some(s)
		}
		return err
	}}
}

// flag is an attribute that is true or false.
func flag[A any](name string, when int, field func(*A) *fabric.Opt[bool]) attr[A] {
	return attr[A]{name: name, when: when, set: func(a *A, v any) error {
		b, err := toFlag(name, v)
		if err == nil {
			*field(a) = fabric.Some(b)
		}
		return err
	}}
}

// number is an attribute that is a whole number; null is as if it was not given.
func number[A any](name string, when int, field func(*A) *fabric.Opt[int]) attr[A] {
	return attr[A]{name: name, when: when, set: func(a *A, v any) error {
		if v == nil {
			return nil
		}
		n, err := toNumber(name, v)
		if err == nil {
			*field(a) = fabric.Some(n)
		}
		return err
	}}
}

// list is an attribute that is a list, each item read by item; null is an empty
// one.
func list[A, T any](name string, when int, field func(*A) *fabric.Opt[[]T], item func(name string, v any) (T, error)) attr[A] {
	return attr[A]{name: name, when: when, set: func(a *A, v any) error {
		out, err := toList(name, v, item)
		if err == nil {
			*field(a) = fabric.Some(out)
		}
		return err
	}}
}

// byAdmin makes an attribute one that only administrators give.
func byAdmin[A any](a attr[A]) attr[A] { a.admin = true; return a }

// needed makes an attribute one that must be given at creation.
func needed[A any](a attr[A]) attr[A] { a.need = true; return a }

// listMax bounds lists in attributes; the rules have bounds of their own below it.
const listMax = 1000

func toList[T any](name string, v any, item func(name string, v any) (T, error)) ([]T, error) {
	if v == nil {
		return []T{}, nil
	}
	items, ok := v.([]any)
	if !ok {
		if s, isText := v.(string); isText { // one item for a list of one
			items = []any{s}
		} else {
			return nil, badValue(name, "'%s' is not a list", plainly(v))
		}
	}
	if len(items) > listMax {
		return nil, badValue(name, "it has over %d items", listMax)
	}
	out := make([]T, 0, len(items))
	for _, v := range items {
		t, err := item(name, v)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

// plainly is a value for an error's text, not too long.
func plainly(v any) string {
	s := fmt.Sprint(v)
	if len(s) > 100 {
		s = strings.ToValidUTF8(s[:100], "") + "…"
	}
	return s
}

func toText(name string, v any, most int) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		if utf8.RuneCountInString(v) > most {
			return "", badValue(name, "'%s' exceeds maximum length of %d", plainly(v), most)
		}
		return v, nil
	}
	return "", badValue(name, "'%s' is not a valid string", plainly(v))
}

func toFlag(name string, v any) (bool, error) {
	switch v := v.(type) {
	case bool:
		return v, nil
	case string:
		switch strings.ToLower(v) {
		case "true", "1":
			return true, nil
		case "false", "0":
			return false, nil
		}
	case json.Number:
		switch v {
		case "1":
			return true, nil
		case "0":
			return false, nil
		}
	}
	return false, badValue(name, "'%s' cannot be converted to boolean", plainly(v))
}

func toNumber(name string, v any) (int, error) {
	var text string
	switch v := v.(type) {
	case json.Number:
		text = v.String()
	case string:
		text = v
	default:
		return 0, badValue(name, "'%s' is not an integer", plainly(v))
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n > math.MaxInt32 || n < math.MinInt32 {
		return 0, badValue(name, "'%s' is not an integer", plainly(v))
	}
	return int(n), nil
}

// itemText is an item of a list of strings.
func itemText(name string, v any) (string, error) {
	s, ok := v.(string)
	if !ok {
		return "", badValue(name, "'%s' is not a valid string", plainly(v))
	}
	return toText(name, s, textMax)
}

// itemKeys reads an item of a list that is a small object of strings: keys are
// those that it may have.
func itemKeys(name string, v any, keys ...string) (map[string]string, error) {
	m, ok := v.(map[string]any)
	if !ok {
		return nil, badValue(name, "'%s' is not a dictionary", plainly(v))
	}
	out := map[string]string{}
	for k, v := range m {
		if !slices.Contains(keys, k) {
			return nil, badValue(name, "unexpected key '%s'", plainly(k))
		}
		if n, ok := v.(json.Number); ok {
			v = n.String()
		}
		s, err := toText(name, v, textMax)
		if err != nil {
			return nil, err
		}
		out[k] = s
	}
	return out, nil
}

// read turns the attributes of a body into what the rules take.
func read[A any](attrs []attr[A], body map[string]any, who compute.Caller, noun string, when int) (A, error) {
	var out A
	var unknown []string
	for name := range body {
		i := slices.IndexFunc(attrs, func(a attr[A]) bool { return a.name == name })
		if i < 0 {
			unknown = append(unknown, name)
			continue
		}
		if err := readOne(&out, attrs[i], body[name], who, noun, when); err != nil {
			return out, err
		}
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		return out, bad("Unrecognized attribute(s) '%s'", plainly(strings.Join(unknown, ", ")))
	}
	if when == onCreate {
		for _, a := range attrs {
			if _, given := body[a.name]; a.need && !given {
				return out, bad("Failed to parse request. Required attribute '%s' not specified", a.name)
			}
		}
	}
	return out, nil
}

func readOne[A any](out *A, a attr[A], v any, who compute.Caller, noun string, when int) error {
	if a.when&when == 0 {
		if when == onUpdate {
			return bad("Cannot update read-only attribute %s", a.name)
		}
		return bad("Attribute '%s' not allowed in POST", a.name)
	}
	if a.need && (v == nil || v == "") && when == onCreate {
		return badValue(a.name, "'%s' is not a valid value", plainly(v))
	}
	if a.admin && !who.Admin() {
		verb := "create_"
		if when == onUpdate {
			verb = "update_"
		}
		if when == onUpdate || !empty(v) {
			return &compute.Error{Kind: compute.Denied, Name: "PolicyNotAuthorized",
				Detail: fmt.Sprintf("rule:%s%s:%s is disallowed by policy", verb, noun, a.name)}
		}
		return nil
	}
	return a.set(out, v)
}

// empty says whether a value is as if the attribute was not given.
func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case bool:
		return !v
	case string:
		return v == "" || strings.EqualFold(v, "false")
	case []any:
		return len(v) == 0
	}
	return false
}
