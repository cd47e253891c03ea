package nova

import (
	"net/url"
	"strconv"

	"github.com/kamado/kamado/compute"
)

// page is which part of a list a client asked for.
type page struct {
	limit  int // LimitMax when none was asked
	marker string
	asked  bool // whether there was a limit in the query
}

// page reads limit and marker.
func (c *call) page() (page, error) {
	q := c.URL.Query()
	p := page{limit: LimitMax, marker: q.Get("marker")}
	if !q.Has("limit") {
		return p, nil
	}
	text := q.Get("limit")
	n, err := strconv.Atoi(text)
	if err != nil {
		return p, mismatch("limit", text, "%s does not match '^[0-9]*$'", repr(text))
	}
	if n < 0 {
		return p, mismatch("limit", text, "%s does not match '^[0-9]*$'", repr(text))
	}
	p.limit, p.asked = min(n, LimitMax), true
	return p, nil
}

// cut gives the part of a whole list that a page is, and whether more follows.
func cut[T any](p page, rows []T, id func(T) string) ([]T, bool, error) {
	if p.marker != "" {
		at := -1
		for i, r := range rows {
			if id(r) == p.marker {
				at = i
				break
			}
		}
		if at < 0 {
			return nil, false, badMarker(p.marker)
		}
		rows = rows[at+1:]
	}
	if len(rows) > p.limit {
		return rows[:p.limit], true, nil
	}
	return rows, false, nil
}

func badMarker(marker string) error { return invalid("marker [%s] not found", marker) }

// nextLink is the link to the page behind a row.
func (c *call) nextLink(path, lastID string) []object {
	q := url.Values{}
	for k, v := range c.URL.Query() {
		q[k] = v
	}
	q.Set("marker", lastID)
	return []object{{"rel": "next", "href": c.base() + "/v2.1" + path + "?" + q.Encode()}}
}

// links are where a thing is: self with the version in it, bookmark without.
func (c *call) links(path string) []object {
	base := c.base()
	return []object{{"rel": "self", "href": base + "/v2.1" + path}, {"rel": "bookmark", "href": base + path}}
}

// unknown turns "no such row" into Nova's words for it; other errors stay.
func unknown(err error, format string, args ...any) error {
	if compute.IsKind(err, compute.NotFound) {
		return notFound(format, args...)
	}
	return err
}
