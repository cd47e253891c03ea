package keystone

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/openstack"
)

// attrs is the attributes of one noun in a body, read one after the other. The
// first that is not of its type is the error. What nobody read is left over.
type attrs struct {
	m   map[string]any
	err error
}

// readAttrs reads the object under a body's one key, which is the noun.
func readAttrs(r *openstack.Request, noun string) (*attrs, error) {
	raw, err := r.ReadBody()
	if err != nil {
		return nil, err
	}
	return attrsOf(raw, noun)
}

// decode reads JSON that a client sent.
func decode(raw []byte, v any) error {
	if err := json.Unmarshal(raw, v); err != nil {
		return compute.Errorf(compute.Invalid, "The body of the request is not what is expected here.")
	}
	return nil
}

func attrsOf(raw []byte, noun string) (*attrs, error) {
	var body map[string]json.RawMessage
	if err := decode(raw, &body); err != nil {
		return nil, err
	}
	a := &attrs{}
	if raw, ok := body[noun]; !ok {
		return nil, compute.Errorf(compute.Invalid, "'%s' is a required property", noun)
	} else if err := json.Unmarshal(raw, &a.m); err != nil || a.m == nil {
		return nil, compute.Errorf(compute.Invalid, "Invalid input for field '%s': it must be an object.", noun)
	}
	delete(a.m, "id")
	delete(a.m, "links")
	return a, nil
}

// take gives an attribute and removes it from what is left over.
func (a *attrs) take(name string) (any, bool) {
	v, ok := a.m[name]
	delete(a.m, name)
	return v, ok
}

func (a *attrs) wrong(name, want string) {
	if a.err == nil {
		a.err = compute.Errorf(compute.Invalid, "Invalid input for field '%s': it is not of type '%s'.", name, want)
	}
}

// text sets *to when the attribute is there; null empties it.
func (a *attrs) text(name string, to *string) {
	v, ok := a.take(name)
	if !ok {
		return
	}
	s, isText := v.(string)
	if v != nil && !isText {
		a.wrong(name, "string")
		return
	}
	*to = s
}

// need is text for what must be there and not empty.
func (a *attrs) need(name string, to *string) {
	a.require(name)
	a.text(name, to)
}

// require complains about a text that is not there, or empty.
func (a *attrs) require(name string) {
	if _, ok := a.m[name]; !ok && a.err == nil {
		a.err = compute.Errorf(compute.Invalid, "'%s' is a required property", name)
	}
	if v, ok := a.m[name].(string); ok && v == "" && a.err == nil {
		a.err = compute.Errorf(compute.Invalid, "Invalid input for field '%s': it must not be empty.", name)
	}
	if v, ok := a.m[name]; ok && v == nil {
		a.wrong(name, "string")
	}
}

// boolean sets *to when the attribute is there.
func (a *attrs) boolean(name string, to *bool) {
	v, ok := a.take(name)
	if !ok {
		return
	}
	b, isBool := v.(bool)
	if !isBool {
		a.wrong(name, "boolean")
		return
	}
	*to = b
}

// texts sets *to when the attribute is there.
func (a *attrs) texts(name string, to *[]string) {
	v, ok := a.take(name)
	if !ok {
		return
	}
	list, isList := v.([]any)
	if !isList {
		a.wrong(name, "array")
		return
	}
	out := []string{}
	for _, e := range list {
		s, isText := e.(string)
		if !isText {
			a.wrong(name, "array of strings")
			return
		}
		out = append(out, s)
	}
	*to = out
}

// extraMax bounds the attributes of the client's own of one noun.
const extraMax = 32

// extra adds what is left over to the client's own attributes.
func (a *attrs) extra(to *map[string]any, known ...string) {
	for name, v := range a.m {
		if slices.Contains(known, name) {
			continue
		}
		if *to == nil {
			*to = map[string]any{}
		}
		(*to)[name] = v
	}
	if len(*to) > extraMax && a.err == nil {
		a.err = compute.Errorf(compute.Invalid, "More than %d attributes of one's own.", extraMax)
	}
}

// again gives the attributes to a write that may run twice.
func (a *attrs) again() *attrs { return &attrs{m: maps.Clone(a.m), err: a.err} }

// view is a noun in an answer.
type view map[string]any

// with adds the client's own attributes, which never replace known ones.
func (v view) with(extra map[string]any) view {
	for name, value := range extra {
		if _, known := v[name]; !known {
			v[name] = value
		}
	}
	return v
}

// orNull gives null for an empty text.
func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// orEmpty gives an empty list for nil.
func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// filter is the query of a list: names that it does not know are ignored, as
// Keystone does.
type filter struct{ r *openstack.Request }

// text says whether a row's value is what the query asks for, if it asks.
func (f filter) text(name, value string) bool {
	want, ok := f.r.URL.Query()[name]
	return !ok || want[0] == value
}

// boolean is text for true and false; "enabled" alone means true, "0" false.
func (f filter) boolean(name string, value bool) bool {
	want, ok := f.r.URL.Query()[name]
	if !ok {
		return true
	}
	return truth(want[0]) == value
}

// truth reads a boolean of a query as Keystone does: only "0" and "false" in
// their spellings are not true.
func truth(s string) bool {
	b, err := strconv.ParseBool(s)
	if err == nil {
		return b
	}
	return s != "False" && s != "no" && s != "off"
}

// creating is the handler of a POST: noun is the key of the body, fresh what a row
// is before read takes the attributes, of which one is required.
func creating[T any](noun, required string, fresh T, read func(*attrs, *T) error, create func(context.Context, *T) error, show func(*openstack.Request, *T) view) handler {
	return func(w http.ResponseWriter, r *openstack.Request) error {
		at, err := readAttrs(r, noun)
		if err != nil {
			return err
		}
		row := fresh
		at.require(required)
		if err := read(at, &row); err != nil {
			return err
		}
		if err := create(r.Context(), &row); err != nil {
			return err
		}
		made := show(r, &row)
		r.Note(noun+"s", made["id"].(string))
		return openstack.WriteJSON(w, http.StatusCreated, view{noun: made})
	}
}

// changing is the handler of a PATCH: noun is the key of the body and the path's
// value, read takes the attributes.
func changing[T any](noun string, read func(*attrs, *T) error, update func(context.Context, string, func(*T) error) (*T, error), show func(*openstack.Request, *T) view) handler {
	return func(w http.ResponseWriter, r *openstack.Request) error {
		at, err := readAttrs(r, noun)
		if err != nil {
			return err
		}
		row, err := update(r.Context(), r.PathValue(noun), func(row *T) error { return read(at.again(), row) })
		if err != nil {
			return err
		}
		return openstack.WriteJSON(w, http.StatusOK, view{noun: show(r, row)})
	}
}

// removing is the handler of a DELETE of what the path's value names.
func removing(noun string, remove func(context.Context, string) error) handler {
	return func(w http.ResponseWriter, r *openstack.Request) error {
		if err := remove(r.Context(), r.PathValue(noun)); err != nil {
			return err
		}
		return noContent(w)
	}
}

// listed answers a list under its key.
func listed[T any](a *api, r *openstack.Request, key string, rows []T, show func(T) view) view {
	list := []view{}
	for _, row := range rows {
		list = append(list, show(row))
	}
	self := a.service.URL(r.Request) + r.URL.Path
	if r.URL.RawQuery != "" {
		self += "?" + r.URL.RawQuery
	}
	return view{key: list, "links": view{"self": self, "previous": nil, "next": nil}}
}

// self is the link of a thing.
func (a *api) self(r *openstack.Request, path string, args ...any) view {
	return view{"self": a.service.URL(r.Request) + "/v3" + fmt.Sprintf(path, args...)}
}
