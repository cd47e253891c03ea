package nova

import "github.com/kamado/kamado/compute/openstack"

// RouteLine is a line of the table, for tests that walk it.
type RouteLine struct {
	Method, Pattern string
	Rule            openstack.Rule
	Version         string // one that has the route
}

// Routes gives the whole table.
func Routes() []RouteLine {
	var lines []RouteLine
	for _, r := range (&API{}).routes() {
		v := minorMin
		if r.max != 0 {
			v = r.max
		}
		if r.min > v {
			v = r.min
		}
		lines = append(lines, RouteLine{r.method, r.pattern, r.rule, v.String()})
	}
	return lines
}

// ActionWords gives every action of a server.
func ActionWords() []string { return sortedKeys(actions) }
