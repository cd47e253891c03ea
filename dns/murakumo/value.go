package murakumo

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// value is a node of the file with the key that leads to it.
type value struct {
	*yaml.Node
	key string
}

// line is where the value stands; 0 for a value that is not there.
func (v value) line() int {
	if v.Node == nil {
		return 0
	}
	return v.Line
}

func (p *parser) complain(v value, format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf("line %d: %s: %s", v.line(), v.key, fmt.Sprintf(format, args...)))
}

func (p *parser) note(v value, what, advice string) {
	p.plan.Notes = append(p.plan.Notes, Note{Key: v.key, Line: v.line(), What: what, Advice: advice})
}

// resolve follows an alias of YAML. Aliases of aliases do not exist, so there is no loop.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// null says whether nothing was written.
func (v value) null() bool { return v.Node == nil || v.Kind == yaml.ScalarNode && v.Tag == "!!null" }

// fields calls each for every key of a mapping, in the order of the file, with "_" turned to "-" where Murakumo takes both.
func (p *parser) fields(v value, each func(name string, field value)) {
	if v.Kind != yaml.MappingNode {
		p.complain(v, "want keys with values")
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(v.Content); i += 2 {
		k, n := resolve(v.Content[i]), resolve(v.Content[i+1])
		path := strings.TrimPrefix(v.key+"/"+k.Value, "/")
		field := value{n, path}
		field.Node = at(n, v.Content[i].Line)
		switch {
		case k.Kind != yaml.ScalarNode:
			p.complain(field, "a key that is no text")
		case seen[k.Value]:
			p.complain(field, "stands here for the second time")
		default:
			seen[k.Value] = true
			each(k.Value, field)
		}
	}
}

// at is the node, dated to the line of its key: that is where people look.
func at(n *yaml.Node, line int) *yaml.Node {
	c := *n
	c.Line = line
	return &c
}

// text reads a scalar.
func (p *parser) text(v value) string {
	if v.Kind != yaml.ScalarNode {
		p.complain(v, "want one value")
		return ""
	}
	if v.null() {
		return ""
	}
	return strings.TrimSpace(v.Value)
}

// number reads a whole number between two bounds; def when nothing is written.
func (p *parser) number(v value, def, least, most int) int {
	text := p.text(v)
	if text == "" {
		return def
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		p.complain(v, "%q is no whole number from %d to %d", text, least, most)
		return def
	}
	return n
}

// truth reads a boolean as YAML 1.1 writes it, which is what Ruby reads.
func (p *parser) truth(v value) bool {
	switch text := strings.ToLower(p.text(v)); text {
	case "true", "yes", "on", "y":
		return true
	case "", "false", "no", "off", "n":
		return false
	default:
		p.complain(v, "%q is neither true nor false", text)
		return false
	}
}

// list reads a sequence, or text with commas.
func (p *parser) list(v value) []string {
	var out []string
	switch v.Kind {
	case yaml.SequenceNode:
		for _, n := range v.Content {
			out = append(out, p.text(value{resolve(n), v.key}))
		}
	case yaml.ScalarNode:
		if v.null() {
			return nil
		}
		for part := range strings.SplitSeq(v.Value, ",") {
			out = append(out, strings.TrimSpace(part))
		}
	default:
		p.complain(v, "want a list")
	}
	return out
}
