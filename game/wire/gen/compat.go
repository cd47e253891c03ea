package gen

import (
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Breaks says where the next form of a schema takes something back that the previous one promised: a message, a field, an enumeration
// or a value that is gone, or has another number, type, name, or place among choices. None: old and new understand
// each other.
func Breaks(previous, next *Schema) (list []string) {
	say := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if previous.Package() != next.Package() {
		say("package %s is %s", previous.Package(), next.Package())
	}
	for i := range previous.Messages().Len() {
		old := previous.Messages().Get(i)
		m := next.Messages().ByName(old.Name())
		if m == nil {
			say("message %s is gone", old.Name())
			continue
		}
		breaksIn(old, m, say)
	}
	for i := range previous.Enums().Len() {
		old := previous.Enums().Get(i)
		e := next.Enums().ByName(old.Name())
		if e == nil {
			say("enum %s is gone", old.Name())
			continue
		}
		for k := range old.Values().Len() {
			v := old.Values().Get(k)
			if now := e.Values().ByNumber(v.Number()); now == nil || now.Name() != v.Name() {
				say("value %d of %s was %s", v.Number(), old.Name(), v.Name())
			}
		}
	}
	return list
}

// breaksIn compares the fields of a message.
func breaksIn(old, m protoreflect.MessageDescriptor, say func(string, ...any)) {
	for i := range old.Fields().Len() {
		was := old.Fields().Get(i)
		is := m.Fields().ByNumber(was.Number())
		switch {
		case is == nil:
			say("field %d of %s (%s) is gone", was.Number(), old.Name(), was.Name())
		case is.Name() != was.Name():
			say("field %d of %s was %s, and is %s", was.Number(), old.Name(), was.Name(), is.Name())
		case typeName(is) != typeName(was):
			say("%s was %s, and is %s", was.FullName(), typeName(was), typeName(is))
		case oneofName(is) != oneofName(was):
			say("%s was one of %q, and is one of %q", was.FullName(), oneofName(was), oneofName(is))
		}
	}
	for i := range m.Fields().Len() {
		is := m.Fields().Get(i)
		if was := old.Fields().ByName(is.Name()); was != nil && was.Number() != is.Number() {
			say("%s had number %d, and has %d", is.FullName(), was.Number(), is.Number())
		}
		if old.Fields().ByNumber(is.Number()) == nil && (old.ReservedRanges().Has(is.Number()) || old.ReservedNames().Has(is.Name())) {
			say("%s takes what was reserved", is.FullName())
		}
	}
}

func oneofName(f protoreflect.FieldDescriptor) protoreflect.Name {
	if o := f.ContainingOneof(); o != nil {
		return o.Name()
	}
	return ""
}
