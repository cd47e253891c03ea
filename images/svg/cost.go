package svg

import "slices"

// node is an element that was kept, as far as its cost matters.
type node struct {
	name     string // of the element
	id       string
	classes  []string
	weight   int64
	shape    bool
	vertices int64 // at which a marker may be drawn
	children []int
	refs     []reference // property "href" for use and inheritance of paint servers

	// What total found; state 0 untouched, 1 under way, 2 known.
	state                 int
	cost, shapes, corners int64 // of one drawing, references followed
	depth                 int   // of elements and references below
}

// costCap is where sums stop growing: far above every limit, far below the
// end of 64 bits.
const costCap = int64(1) << 30

// depthMax is how deep elements may lie in each other once references are
// followed: renderers go as deep on their stack.
const depthMax = 300

// looksMax bounds the references that are looked at for all elements together. A
// rule counts for each element that may be meant, so rules and elements, each
// within their bounds, would be 10^9 of them. Drawings of the field have a few for
// each element.
const looksMax = 2_000_000

func capped(v int64) int64 { return min(v, costCap) }

// costs follows references.
type costs struct {
	nodes []node
	ids   map[string]int
	sheet *sheet
	looks int // references looked at; see looksMax
}

// total is the cost of drawing node i once, with all that it refers to. A
// reference that leads back to where it comes from is an error.
func (c *costs) total(i int) error {
	n := &c.nodes[i]
	switch n.state {
	case 2:
		return nil
	case 1:
		return refused("the drawing refers to itself")
	}
	n.state = 1
	cost, shapes, corners := n.weight, int64(0), n.vertices
	if n.shape {
		shapes = 1
	}
	for _, child := range n.children {
		if err := c.below(n, child); err != nil {
			return err
		}
		cost, shapes, corners = c.plus(child, cost, shapes, corners)
	}
	refs, err := c.references(n)
	if err != nil {
		return err
	}
	for _, r := range refs {
		to, found := c.ids[r.name]
		if !found || inherited[r.property] {
			continue
		}
		if err := c.below(n, to); err != nil {
			return err
		}
		if r.property == "href" && n.name == "use" {
			cost, shapes, corners = c.plus(to, cost, shapes, corners)
		} else {
			cost += c.nodes[to].cost + layer
		}
	}
	// Paint and markers come to every shape below.
	for _, r := range refs {
		to, found := c.ids[r.name]
		if !found || !inherited[r.property] {
			continue
		}
		if err := c.below(n, to); err != nil {
			return err
		}
		times := shapes
		if r.property != "fill" && r.property != "stroke" {
			times = corners
		}
		cost += capped(times) * c.nodes[to].cost
	}
	n.cost, n.shapes, n.corners, n.state = capped(cost), capped(shapes), capped(corners), 2
	return nil
}

// below is total of what n leads to.
func (c *costs) below(n *node, i int) error {
	if err := c.total(i); err != nil {
		return err
	}
	if n.depth = max(n.depth, c.nodes[i].depth+1); n.depth > depthMax {
		return tooMuch("references lead more than %d deep", depthMax)
	}
	return nil
}

func (c *costs) plus(i int, cost, shapes, corners int64) (int64, int64, int64) {
	n := &c.nodes[i]
	return capped(cost + n.cost), capped(shapes + n.shapes), capped(corners + n.corners)
}

// references are those of an element itself and of the style rules that may
// be for it.
func (c *costs) references(n *node) ([]reference, error) {
	refs := slices.Clone(n.refs)
	keys := []string{"*", n.name}
	if n.id != "" {
		keys = append(keys, "#"+n.id)
	}
	for _, class := range n.classes {
		keys = append(keys, "."+class)
	}
	for _, key := range keys {
		more := c.sheet.refs[key]
		if c.looks += len(more); c.looks > looksMax {
			return nil, tooMuch("its styles refer to other elements more than %d times", looksMax)
		}
		refs = append(refs, more...)
	}
	return refs, nil
}
