package arch

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// violation is one thing that crosses a wall.
type violation struct {
	pkg    string
	what   string
	reason string
}

func (v violation) String() string { return fmt.Sprintf("%s: %s\n\t%s", v.pkg, v.what, v.reason) }

// check gives every violation of a tree, in order.
func check(t tree) []violation {
	var all []violation
	for _, p := range slices.Sorted(maps.Keys(t)) {
		c := checker{tree: t, pkg: t[p]}
		c.form()
		c.imports()
		c.root()
		all = append(all, c.found...)
		all = append(all, t[p].faults...)
	}
	slices.SortStableFunc(all, func(a, b violation) int { return cmp.Or(cmp.Compare(a.pkg, b.pkg), cmp.Compare(a.what, b.what)) })
	return slices.Compact(all)
}

type checker struct {
	tree  tree
	pkg   *source
	found []violation
}

func (c *checker) say(reason, format string, args ...any) {
	c.found = append(c.found, violation{c.pkg.path, fmt.Sprintf(format, args...), reason})
}

// form checks what a package is by itself.
func (c *checker) form() {
	s := c.pkg
	base := path.Base(s.path)
	if slices.Contains(drawers, s.name) || slices.Contains(drawers, base) {
		c.say(reasonDrawer, "package %s", s.name)
	}
	if s.name != "main" && s.name != base {
		c.say(reasonName, "package %s in folder %s", s.name, base)
	}
	if n := sentences(s.comment); n < 2 {
		c.say(reasonComment, "package comment of %d sentences", n)
	}
	if _, ok := cgoAllowed[s.path]; !ok && len(s.cgo) > 0 {
		c.say(reasonCgo, "import \"C\" in %s", s.cgo[0])
	}
	for _, in := range s.code {
		if in.blank && in.path != "embed" && s.name != "main" {
			c.say(reasonBlank, "blank import of %s in %s", in.path, in.file)
		}
	}
	if i, name := engine(s.path); name != "" && strings.Contains(name, "/") {
		c.say(reasonDepth, "an engine of %s two levels down", i)
	}
}

// imports checks whom a package imports.
func (c *checker) imports() {
	s := c.pkg
	w, ok := wallOf(s.path)
	if !ok {
		c.say(reasonNoWall, "no row of the table")
		return
	}
	for _, in := range s.code {
		if in.ours {
			c.code(w, in)
		}
	}
	for _, in := range s.tests {
		if in.ours {
			c.walls(in.path)
		}
	}
}

// code checks one import of a file that is no test.
func (c *checker) code(w wall, in imported) {
	s := c.pkg
	if c.walls(in.path) {
		return
	}
	if c.tree[in.path] != nil && c.tree[in.path].testsOnly() && !s.testsOnly() {
		c.say(reasonTesting, "imports %s", in.path)
		return
	}
	if slices.Contains(oracles, in.path) && !s.testsOnly() {
		c.say(reasonOracle, "imports %s", in.path)
		return
	}
	if _, ok := vocabularies[in.path]; ok {
		return
	}
	if _, ok := vocabularies[s.path]; ok {
		c.say(reasonVocab, "imports %s", in.path)
		return
	}
	if why := nobodys(s.path, in.path); why != "" {
		c.say(why, "imports %s", in.path)
		return
	}
	if _, name := engine(in.path); name != "" && !c.tree.isTests(in.path) && !w.engine && !s.testsOnly() && !below(s.path, in.path) {
		c.say(reasonEngine, "imports the engine %s", in.path)
		return
	}
	if !slices.ContainsFunc(w.may, func(pattern string) bool { return matches(pattern, in.path, room(s.path)) }) {
		c.say(w.reason, "imports %s", in.path)
	}
}

// walls checks what holds for tests too, and says whether it said no.
func (c *checker) walls(to string) bool {
	from, there := room(c.pkg.path), room(to)
	_, word := vocabularies[to]
	switch {
	case there == "" || word:
		return false
	case from != "" && from != there:
		c.say(reasonRoom, "imports %s", to)
	case matches("internal/...", c.pkg.path, ""):
		c.say(reasonInternal, "imports %s", to)
	default:
		return false
	}
	return true
}

// root checks the packages that reach nothing: rooms' roots and vocabularies.
func (c *checker) root() {
	s := c.pkg
	_, word := vocabularies[s.path]
	isRoot := slices.Contains(rooms, s.path)
	if !word && !isRoot {
		return
	}
	for _, in := range s.code {
		if why, ok := outside[in.path]; ok {
			c.say(reasonRoot, "imports %s: %s", in.path, why)
		}
		if first, _, _ := strings.Cut(in.path, "/"); !in.ours && strings.Contains(first, ".") {
			c.say(reasonThirdRoot, "imports %s", in.path)
		}
	}
	for _, place := range s.clock {
		c.say(reasonRoot, "%s", place)
	}
}

func (t tree) isTests(p string) bool { return t[p] != nil && t[p].testsOnly() }

// room is the room of a package, or empty.
func room(p string) string {
	first, _, _ := strings.Cut(p, "/")
	if slices.Contains(rooms, first) {
		return first
	}
	return ""
}

// below says whether p lies below dir.
func below(p, dir string) bool { return strings.HasPrefix(p, dir+"/") }

// engine gives the interface above p and p's path below it; both are empty for
// what is no engine.
func engine(p string) (iface, name string) {
	for _, i := range interfaces {
		if rest, ok := strings.CutPrefix(p, i+"/"); ok {
			return i, rest
		}
	}
	return "", ""
}

func wallOf(p string) (wall, bool) {
	for _, w := range walls {
		if matches(w.from, p, room(p)) {
			return w, true
		}
	}
	return wall{}, false
}

// nobodys gives the reason when to is imported by nobody and from is no
// exception.
func nobodys(from, to string) string {
	for pattern, why := range nobodyImports {
		if !matches(pattern, to, room(to)) {
			continue
		}
		excused := false
		for who, may := range importsOfNobody {
			if matches(who, from, room(from)) {
				excused = excused || slices.ContainsFunc(may, func(m string) bool { return matches(m, to, room(from)) })
			}
		}
		if !excused {
			return why
		}
	}
	return ""
}

// matches says whether package p fits a pattern of the table; own is what
// "<room>" stands for.
func matches(pattern, p, own string) bool {
	if rest, ok := strings.CutPrefix(pattern, "<any>"); ok {
		return slices.ContainsFunc(rooms, func(r string) bool { return matches(r+rest, p, "") })
	}
	if rest, ok := strings.CutPrefix(pattern, "<room>"); ok {
		return own != "" && matches(own+rest, p, "")
	}
	if dir, ok := strings.CutSuffix(pattern, "/..."); ok {
		return p == dir || below(p, dir)
	}
	return p == pattern
}
