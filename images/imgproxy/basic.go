package imgproxy

import "strings"

// basicParts are the options of the form that clients wrote before options had
// names: /{resizing type}/{width}/{height}/{gravity}/{enlarge}/{source}. imgproxy
// took it up to version 2, and pages have it still.
const basicParts = 5

// basic reads a path of that form. ok says whether it is one; source is what follows.
func (p *parser) basic(path string) (source string, ok bool, err error) {
	parts := strings.SplitN(path, "/", basicParts+1)
	if len(parts) <= basicParts || !resizingTypes[parts[0]] || !digits(parts[1]) || !digits(parts[2]) {
		return "", false, nil
	}
	place := strings.Split(parts[3], ":")
	if _, ok := directions[place[0]]; !ok {
		return "", false, nil
	}
	for _, o := range [...]struct {
		name string
		args []string
	}{{"resize", []string{parts[0], parts[1], parts[2], parts[4]}}, {"gravity", place}} {
		if err := p.option(o.name, o.args); err != nil {
			return "", true, err
		}
	}
	return parts[basicParts], true, nil
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
