package gen

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Wire types of Protocol Buffers.
const (
	varintType = 0
	bytesType  = 2
)

// tsKind is how fields of a kind are written in TypeScript.
type tsKind struct {
	typ, zero string
	wire      int
	method    string // of Writer and Reader
	present   string // condition under which a field %s is written
}

// kindOf says how a field is written; an error for what the schema has not needed so far.
func kindOf(f protoreflect.FieldDescriptor) (tsKind, error) {
	number := func(method string) tsKind { return tsKind{"number", "0", varintType, method, "%s"} }
	switch f.Kind() {
	case protoreflect.Uint32Kind:
		return number("uint32"), nil
	case protoreflect.Int64Kind:
		return number("int64"), nil
	case protoreflect.Uint64Kind:
		if isUID(f) {
			return tsKind{"string", `"0"`, varintType, "uid", `%[1]s && %[1]s !== "0"`}, nil
		}
		return number("uint64"), nil
	case protoreflect.EnumKind:
		k := number("int64")
		return k, nil
	case protoreflect.BoolKind:
		return tsKind{"boolean", "false", varintType, "bool", "%s"}, nil
	case protoreflect.StringKind:
		return tsKind{"string", `""`, bytesType, "string", "%s"}, nil
	case protoreflect.BytesKind:
		return tsKind{"Uint8Array", "EMPTY", bytesType, "bytes", "%[1]s && %[1]s.length > 0"}, nil
	case protoreflect.MessageKind:
		return tsKind{typ: string(f.Message().Name()), wire: bytesType}, nil
	}
	return tsKind{}, fmt.Errorf("%s: the generator knows no fields of kind %v", f.FullName(), f.Kind())
}

// isUID says whether a field is a user id.
func isUID(f protoreflect.FieldDescriptor) bool {
	return f.Kind() == protoreflect.Uint64Kind && slices.Contains([]string{"uid", "from", "to"}, string(f.Name()))
}

// message writes the type and the functions of a message.
func (s *Schema) message(w *writer, m protoreflect.MessageDescriptor) error {
	if m.Messages().Len() > 0 || m.Enums().Len() > 0 {
		return fmt.Errorf("%s: the generator knows no types within messages", m.FullName())
	}
	name := string(m.Name())
	var kinds []tsKind
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		k, err := kindOf(f)
		if err != nil {
			return err
		}
		if f.IsMap() || f.IsList() && f.Kind() != protoreflect.MessageKind || f.HasOptionalKeyword() {
			return fmt.Errorf("%s: the generator knows no maps, lists of scalars or optional fields", f.FullName())
		}
		kinds = append(kinds, k)
	}
	w.line("\n/** %s */", s.comment(m))
	w.line("export interface %s {", name)
	var zeros []string
	for i, k := range kinds {
		f := m.Fields().Get(i)
		if c := s.comment(f); c != "" {
			w.line("  /** %s */", c)
		}
		switch {
		case f.IsList():
			w.line("  %s: %s[];", f.JSONName(), k.typ)
			zeros = append(zeros, f.JSONName()+": []")
		case f.HasPresence(): // a message, or one of several
			w.line("  %s?: %s;", f.JSONName(), k.typ)
		default:
			w.line("  %s: %s;", f.JSONName(), k.typ)
			zeros = append(zeros, f.JSONName()+": "+k.zero)
		}
	}
	w.line("}\n")
	w.line("export function encode%s(m: Partial<%s>): Uint8Array {\n  const w = new Writer();", name, name)
	for i, k := range kinds {
		w.writeField(m.Fields().Get(i), k)
	}
	w.line("  return w.done();\n}\n")
	w.line("export function decode%s(body: Uint8Array): %s {\n  return merge%s(new Reader(body));\n}\n", name, name, name)
	w.line("function merge%s(r: Reader, m: %s = %s): %s {", name, name, object(zeros), name)
	w.line("  while (r.more()) {\n    const tag = r.tag();\n    switch (tag) {")
	for i, k := range kinds {
		w.readField(m.Fields().Get(i), k)
	}
	w.line("      default:\n        r.skip(tag);\n    }\n  }\n  return m;\n}")
	return nil
}

// object writes an object expression.
func object(fields []string) string {
	if len(fields) == 0 {
		return "{}"
	}
	return "{ " + strings.Join(fields, ", ") + " }"
}

// tag is the number of a field with its wire type.
func tag(f protoreflect.FieldDescriptor, k tsKind) int { return int(f.Number())<<3 | k.wire }

func (w *writer) writeField(f protoreflect.FieldDescriptor, k tsKind) {
	at := "m." + f.JSONName()
	switch {
	case f.IsList():
		w.line("  for (const v of %s ?? []) w.bytes(%d, encode%s(v));", at, tag(f, k), k.typ)
	case f.Kind() == protoreflect.MessageKind:
		w.line("  if (%s !== undefined) w.bytes(%d, encode%s(%s));", at, tag(f, k), k.typ, at)
	case f.HasPresence():
		w.line("  if (%s !== undefined) w.%s(%d, %s);", at, k.method, tag(f, k), at)
	default:
		w.line("  if (%s) w.%s(%d, %s);", fmt.Sprintf(k.present, at), k.method, tag(f, k), at)
	}
}

func (w *writer) readField(f protoreflect.FieldDescriptor, k tsKind) {
	at := "m." + f.JSONName()
	w.line("      case %d:", tag(f, k))
	if o := f.ContainingOneof(); o != nil {
		for i := range o.Fields().Len() {
			if other := o.Fields().Get(i); other != f {
				w.line("        delete m.%s;", other.JSONName())
			}
		}
	}
	method := k.method
	if f.Kind() == protoreflect.EnumKind {
		method = "enumeration"
	}
	switch {
	case f.IsList():
		w.line("        %s.push(merge%s(r.sub()));", at, k.typ)
	case f.Kind() == protoreflect.MessageKind:
		w.line("        %s = merge%s(r.sub(), %s);", at, k.typ, at)
	default:
		w.line("        %s = r.%s();", at, method)
	}
	w.line("        break;")
}
