package purge

import (
	"fmt"
	"maps"
	"slices"
)

// Vector says up to which counter the orders of each node (with its suffix) were
// seen. It only saves asking again: what it does not name is asked for from the
// beginning.
type Vector map[string]uint64

// VectorMax bounds the nodes of a vector; each start of a node that gives orders
// is one. Beyond it those of which no order is in force go first, then those
// whose orders are oldest, and their orders are sent again at each difference.
const VectorMax = 4096

// Covers says whether everything that o has seen was seen.
func (v Vector) Covers(o Vector) bool {
	for node, n := range o {
		if v[node] < n {
			return false
		}
	}
	return true
}

// Has says whether the order was seen, or one that replaces it.
func (v Vector) Has(id ID) bool { return v[id.Node] >= id.Counter }

// sinceSlack is how many times VectorMax nodes a request for what is new may
// name: the vector, and the nodes that the sender's vector forgot.
const sinceSlack = 4

// Validate says whether this can be a vector.
func (v Vector) Validate() error { return v.validate(VectorMax) }

// ValidateSince says whether Page can be asked with it.
func (v Vector) ValidateSince() error { return v.validate(sinceSlack * VectorMax) }

func (v Vector) validate(most int) error {
	if len(v) > most {
		return fmt.Errorf("a vector of %d nodes, at most %d", len(v), most)
	}
	for node := range v {
		if !validNode(node) {
			return fmt.Errorf("%.100q is not a node", node)
		}
	}
	return nil
}

func (v Vector) nodes() []string { return slices.Sorted(maps.Keys(v)) }
