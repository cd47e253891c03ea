package svg

import (
	"encoding/xml"
	"strings"
)

// coordinateMax bounds a coordinate; real drawings stay below 100,000.
const coordinateMax = 1e7

// attributes gives a node and the attributes to write, " name="value"" each.
// keep is false for an element that is nothing without what it lacks.
func (w *walk) attributes(t xml.StartElement, kind element) (n node, written string, keep bool, err error) {
	n = node{name: t.Name.Local, weight: kind.weight, shape: kind.shape}
	if kind.as != "" {
		n.name = kind.as
	}
	var b strings.Builder
	put := func(name, v string) {
		b.WriteString(" " + name + `="` + escaped.Replace(v) + `"`)
	}
	seen := map[string]bool{}
	href := ""
	for _, a := range t.Attr {
		name := a.Name.Local
		switch {
		case name == "href" && (a.Name.Space == "" || a.Name.Space == spaceXLink || a.Name.Space == "xlink"):
			if href == "" || a.Name.Space == "" {
				href = strings.TrimSpace(a.Value)
			}
			continue
		case a.Name.Space != "" || seen[name]:
			continue
		}
		seen[name] = true
		if v, ok := n.take(name, a.Value); ok {
			put(name, v)
		}
	}
	switch {
	case !kind.shape:
		n.vertices = 0
	case t.Name.Local == "line":
		n.vertices = 2
	}
	switch {
	case t.Name.Local == "image":
		url, ok, err := w.inside(href)
		if err != nil || !ok {
			return n, "", false, err
		}
		put("xlink:href", url)
	case kind.href:
		id, fragment := strings.CutPrefix(href, "#")
		if fragment && validName(id) {
			n.refs = append(n.refs, reference{"href", id})
			put("xlink:href", "#"+id)
		} else if t.Name.Local == "use" {
			return n, "", false, nil
		}
	}
	return n, b.String(), true, nil
}

// take gives an attribute as it is written, and keeps what it says of the cost.
func (n *node) take(name, v string) (string, bool) {
	switch {
	case name == "id":
		n.id = v
		if !validName(v) {
			n.id = ""
			return "", false
		}
		return v, true
	case name == "class":
		n.classes = strings.Fields(v)
		for _, class := range n.classes {
			if !validName(class) || len(n.classes) > 32 {
				n.classes = nil
				return "", false
			}
		}
		return strings.Join(n.classes, " "), true
	case name == "style":
		kept, refs := declarations(v)
		n.refs = append(n.refs, refs...)
		return kept, kept != ""
	case name == "d" || name == "points":
		count, ok := coordinates(v)
		n.vertices = count
		return v, ok
	case properties[name]:
		v = strings.TrimSpace(v)
		refs, ok := value(name, v)
		n.refs = append(n.refs, refs...)
		return inPixels(name, v), ok && v != ""
	case attributes[name]:
		v = strings.TrimSpace(v)
		refs, ok := value(name, v)
		return inPixels(name, v), ok && refs == nil
	}
	return "", false
}

// coordinates says whether a path or a list of points is made of commands and
// numbers of a sensible size, and how many numbers it has, which is more than
// it has vertices.
func coordinates(s string) (count int64, ok bool) {
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c >= '0' && c <= '9' || c == '.':
			digits := 0
			for ; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
				digits++
			}
			if i < len(s) && s[i] == '.' {
				for i++; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
				}
			}
			if digits > 7 {
				return 0, false
			}
			count++
			if i+1 < len(s) && (s[i] == 'e' || s[i] == 'E') {
				if s[i+1] != '-' { // only small numbers are written so
					return 0, false
				}
				i += 2
			}
		case strings.IndexByte("MmZzLlHhVvCcSsQqTtAa+-, \t\r\n", c) >= 0:
			i++
		default:
			return 0, false
		}
	}
	return count, true
}
