package glance

import (
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/openstack"
	"github.com/kamado/kamado/compute/registry"
)

func (s *service) list(w http.ResponseWriter, r *openstack.Request) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return compute.Errorf(compute.Invalid, "The query cannot be read.")
	}
	l, err := parseListing(query)
	if err != nil {
		return err
	}
	var page []*compute.MachineImage
	err = s.Store.Read(r.Context(), func(tx *compute.Tx) (err error) {
		page, err = l.page(tx, r.Caller)
		return err
	})
	if err != nil {
		return err
	}
	views := make([]map[string]any, 0, len(page))
	for _, m := range page {
		views = append(views, view(m))
	}
	body := map[string]any{"images": views, "schema": "/v2/schemas/images", "first": pageLink(query, "")}
	if l.limit > 0 && len(page) == l.limit {
		body["next"] = pageLink(query, page[len(page)-1].ID)
	}
	return openstack.WriteJSON(w, http.StatusOK, body)
}

// pageLink is the address of the page behind a marker; of the first without one.
func pageLink(q url.Values, marker string) string {
	q = maps.Clone(q)
	delete(q, "marker")
	if marker != "" {
		q.Set("marker", marker)
	}
	if len(q) == 0 {
		return "/v2/images"
	}
	return "/v2/images?" + q.Encode()
}

// page gives the images of one page. What a caller sees is a few lists of the
// store, each in the order asked for; they are merged until the page is full, so
// that a page costs what it holds and not what there is.
func (l *listing) page(tx *compute.Tx, who compute.Caller) ([]*compute.MachineImage, error) {
	if l.limit == 0 {
		return nil, nil
	}
	if l.marker != "" {
		m, err := tx.MachineImages.Get(l.marker)
		if compute.IsKind(err, compute.NotFound) || err == nil && !m.Visible(who) {
			return nil, compute.Errorf(compute.Invalid, "No image found with ID %s", l.marker)
		}
		if err != nil {
			return nil, err
		}
	}
	sources, err := l.sources(tx, who)
	if err != nil {
		return nil, err
	}
	column, ordered := l.column()
	// A database may order names by a language's rules, which compare does not know: lists of it cannot be merged.
	if !ordered || l.order[0].key == "name" && len(sources) > 1 {
		return l.sorted(tx, who, sources)
	}
	heads := make([]*cursor, 0, len(sources))
	for _, where := range sources {
		heads = append(heads, &cursor{tx: tx, query: compute.Query{Where: where, Order: column, After: l.marker, Limit: l.chunk()}})
	}
	var page []*compute.MachineImage
	last := ""
	for len(page) < l.limit {
		m, err := l.next(heads)
		if err != nil {
			return nil, err
		}
		if m == nil {
			break
		}
		if m.ID != last && l.keeps(m, who) { // an image of two lists comes twice in a row
			page = append(page, m)
		}
		last = m.ID
	}
	return page, nil
}

// The rows that are read at once: a few more than a page, as some are dropped.
const (
	chunkMin = 32
	chunkMax = limitMax
)

func (l *listing) chunk() int { return min(max(l.limit+1, chunkMin), chunkMax) }

// column gives the store's order for the order of the list, if it has it.
func (l *listing) column() (string, bool) {
	name, ok := map[string]string{"created_at": "created", "name": "name", "status": "status", "id": "id", "visibility": "visibility", "owner": "project_id"}[l.order[0].key]
	if !ok || len(l.order) > 1 && l.order[0].key != "id" {
		return "", false
	}
	if l.order[0].desc {
		name = "-" + name
	}
	return name, true
}

// sources are the lists of the store that hold all that is asked for.
func (l *listing) sources(tx *compute.Tx, who compute.Caller) ([]compute.Where, error) {
	with := func(name string, value any) compute.Where {
		w := maps.Clone(l.where)
		w[name] = value
		return w
	}
	if who.Admin() {
		w := maps.Clone(l.where)
		if l.owner != "" {
			w["project_id"] = l.owner
		}
		if l.visibility != "" && l.visibility != "all" {
			w["visibility"] = l.visibility
		}
		return []compute.Where{w}, nil
	}
	var list []compute.Where
	if l.visibility == "" || l.visibility == "all" || l.visibility == registry.Public {
		list = append(list, with("visibility", registry.Public))
	}
	if l.visibility == registry.Community || l.visibility == "all" {
		list = append(list, with("visibility", registry.Community))
	}
	own := with("project_id", who.ProjectID)
	if l.visibility != "" && l.visibility != "all" {
		own["visibility"] = l.visibility
	}
	list = append(list, own)
	if l.visibility != "" && l.visibility != "all" && l.visibility != registry.Shared {
		return list, nil
	}
	shares, err := tx.ImageShares.List(compute.Query{Where: compute.Where{"project_id": who.ProjectID}})
	if err != nil || len(shares) == 0 {
		return list, err
	}
	ids := make([]string, 0, len(shares))
	for _, share := range shares {
		ids = append(ids, share.ImageID)
	}
	if asked, ok := l.where["id"].([]string); ok {
		ids = slices.DeleteFunc(ids, func(id string) bool { return !slices.Contains(asked, id) })
	}
	for part := range slices.Chunk(ids, idsMax) {
		list = append(list, with("id", part))
	}
	return list, nil
}

// idsMax is how many ids stand in one query.
const idsMax = 500

// keeps holds every condition that the store does not.
func (l *listing) keeps(m *compute.MachineImage, who compute.Caller) bool {
	switch {
	case m.Hidden != l.hidden:
		return false
	case l.owner != "" && m.ProjectID != l.owner:
		return false
	case l.visibility != "" && l.visibility != "all" && m.Visibility != l.visibility:
		return false
	case !l.seen(m, who):
		return false
	}
	for _, keep := range l.keep {
		if !keep(m) {
			return false
		}
	}
	return true
}

// seen says whether an image is in a caller's list at all. An image that was
// shared with them must be in the asked state; community images show only when
// they are asked for.
func (l *listing) seen(m *compute.MachineImage, who compute.Caller) bool {
	if m.ProjectID == who.ProjectID && who.ProjectID != "" {
		return true
	}
	if m.Visibility == registry.Community {
		return l.visibility == registry.Community || l.visibility == "all" || l.owner == m.ProjectID && who.Admin()
	}
	if who.Admin() || m.Visibility == registry.Public {
		return true
	}
	return m.Visibility == registry.Shared && slices.ContainsFunc(m.Members, func(mb compute.ImageMember) bool {
		return mb.ProjectID == who.ProjectID && (l.memberStatus == "all" || mb.Status == l.memberStatus)
	})
}

// cursor walks one list of the store.
type cursor struct {
	tx    *compute.Tx
	query compute.Query
	rows  []*compute.MachineImage
	done  bool
}

// head gives the row at which the cursor stands, nil at the end.
func (c *cursor) head() (*compute.MachineImage, error) {
	if len(c.rows) == 0 && !c.done {
		rows, err := c.tx.MachineImages.List(c.query)
		if err != nil {
			return nil, err
		}
		c.rows, c.done = rows, len(rows) < c.query.Limit
		if len(rows) > 0 {
			c.query.After = rows[len(rows)-1].ID
		}
		c.query.Limit = chunkMax // a list that is filtered much is read in larger steps
	}
	if len(c.rows) == 0 {
		return nil, nil
	}
	return c.rows[0], nil
}

// next takes the first row of all cursors, nil at the end.
func (l *listing) next(cursors []*cursor) (*compute.MachineImage, error) {
	var first *compute.MachineImage
	var from *cursor
	for _, c := range cursors {
		m, err := c.head()
		if err != nil {
			return nil, err
		}
		if m != nil && (first == nil || l.compare(m, first) < 0) {
			first, from = m, c
		}
	}
	if from != nil {
		from.rows = from.rows[1:]
	}
	return first, nil
}

// sorted is page for an order that the store does not have: everything that the
// caller sees is read and sorted.
func (l *listing) sorted(tx *compute.Tx, who compute.Caller, sources []compute.Where) ([]*compute.MachineImage, error) {
	var all []*compute.MachineImage
	there := map[string]bool{}
	for _, where := range sources {
		rows, err := tx.MachineImages.List(compute.Query{Where: where})
		if err != nil {
			return nil, err
		}
		for _, m := range rows {
			if !there[m.ID] && (m.ID == l.marker || l.keeps(m, who)) {
				there[m.ID] = true
				all = append(all, m)
			}
		}
	}
	slices.SortFunc(all, l.compare)
	if l.marker != "" {
		i := slices.IndexFunc(all, func(m *compute.MachineImage) bool { return m.ID == l.marker })
		if i < 0 {
			return nil, compute.Errorf(compute.Invalid, "No image found with ID %s", l.marker)
		}
		all = all[i+1:]
	}
	return all[:min(len(all), l.limit)], nil
}
