package neutron

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/fabric"
	"github.com/kamado/kamado/compute/openstack"
)

// resource is one kind of thing: T is its row, A what requests say of it.
type resource[T, A any] struct {
	*api
	singular, plural string // "security_group", "security_groups"
	path             string // "security-groups"
	attrs            []attr[A]
	columns          map[string]string // filters that the table selects by, and its columns
	table            func(*compute.Tx) compute.Table[T]
	// scopes are the rows that a caller sees: those of any of them.
	scopes func(tx *compute.Tx, who compute.Caller) ([]compute.Where, error)
	id     func(*T) string
	find   func(tx *compute.Tx, who compute.Caller, id string) (*T, error)
	views  func(v *viewer, rows []*T) ([]view, error)
	// first runs before a list is read; nil: nothing does.
	first func(ctx context.Context, who compute.Caller) error

	create func(ctx context.Context, who compute.Caller, list []A) ([]*T, error)
	update func(ctx context.Context, who compute.Caller, id string, a A) (*T, error) // nil: never changed
	remove func(ctx context.Context, who compute.Caller, id string) error
}

// viewer is what views are made with.
type viewer struct {
	tx   *compute.Tx
	who  compute.Caller
	zone string
}

// routes are the lines of a resource in the table, and its place at the root.
func (x *resource[T, A]) routes() []openstack.Route {
	x.kinds = append(x.kinds, kind{x.singular, x.path})
	all, one := root+"/"+x.path, root+"/"+x.path+"/{id}"
	routes := []openstack.Route{
		{Method: "GET", Pattern: all, Rule: openstack.AsReader, Handle: x.handleList},
		{Method: "POST", Pattern: all, Rule: openstack.AsMember, Handle: x.handleCreate},
		{Method: "GET", Pattern: one, Rule: openstack.AsReader, Handle: x.handleShow},
		{Method: "DELETE", Pattern: one, Rule: openstack.AsMember, Handle: x.handleDelete},
	}
	if x.update != nil {
		routes = append(routes, openstack.Route{Method: "PUT", Pattern: one, Rule: openstack.AsMember, Handle: x.handleUpdate})
	}
	return routes
}

// answer writes one thing.
func (x *resource[T, A]) answer(w http.ResponseWriter, r *openstack.Request, status int, key string, rows []*T, one bool) error {
	var views []view
	err := x.Store.Read(r.Context(), func(tx *compute.Tx) (err error) {
		views, err = x.views(&viewer{tx, r.Caller, x.Zone}, rows)
		return err
	})
	if err != nil {
		return err
	}
	if one {
		return openstack.WriteJSON(w, status, map[string]any{key: views[0]})
	}
	return openstack.WriteJSON(w, status, map[string]any{key: views})
}

func (x *resource[T, A]) handleCreate(w http.ResponseWriter, r *openstack.Request) error {
	bodies, one, err := readBodies(r, x.singular, x.plural)
	if err != nil {
		return err
	}
	asked := make([]A, 0, len(bodies))
	for _, b := range bodies {
		a, err := read(x.attrs, b, r.Caller, x.singular, onCreate)
		if err != nil {
			return err
		}
		asked = append(asked, a)
	}
	if err := fabric.CheckBulk(len(asked)); err != nil {
		return err
	}
	rows, err := x.create(r.Context(), r.Caller, asked)
	if err != nil {
		return err
	}
	key := x.plural
	if one {
		key = x.singular
	}
	return x.answer(w, r, http.StatusCreated, key, rows, one)
}

func (x *resource[T, A]) handleUpdate(w http.ResponseWriter, r *openstack.Request) error {
	bodies, one, err := readBodies(r, x.singular, "")
	if err != nil || !one {
		return err
	}
	id := r.PathValue("id")
	if err := x.Store.Read(r.Context(), func(tx *compute.Tx) error { // a foreign id is absent before its attributes are looked at
		_, err := x.find(tx, r.Caller, id)
		return err
	}); err != nil {
		return err
	}
	a, err := read(x.attrs, bodies[0], r.Caller, x.singular, onUpdate)
	if err != nil {
		return err
	}
	row, err := x.update(r.Context(), r.Caller, id, a)
	if err != nil {
		return err
	}
	return x.answer(w, r, http.StatusOK, x.singular, []*T{row}, true)
}

func (x *resource[T, A]) handleDelete(w http.ResponseWriter, r *openstack.Request) error {
	if err := x.remove(r.Context(), r.Caller, r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (x *resource[T, A]) handleShow(w http.ResponseWriter, r *openstack.Request) error {
	var v view
	err := x.Store.Read(r.Context(), func(tx *compute.Tx) error {
		row, err := x.find(tx, r.Caller, r.PathValue("id"))
		if err != nil {
			return err
		}
		views, err := x.views(&viewer{tx, r.Caller, x.Zone}, []*T{row})
		if err == nil {
			v = views[0]
		}
		return err
	})
	if err != nil {
		return err
	}
	return openstack.WriteJSON(w, http.StatusOK, map[string]any{x.singular: only(v, r.URL.Query()["fields"])})
}

func (x *resource[T, A]) handleList(w http.ResponseWriter, r *openstack.Request) error {
	q, err := parseQuestion(r.URL.Query())
	if err != nil {
		return err
	}
	if x.first != nil {
		if err := x.first(r.Context(), r.Caller); err != nil {
			return err
		}
	}
	var views []view
	err = x.Store.Read(r.Context(), func(tx *compute.Tx) (err error) {
		v := &viewer{tx, r.Caller, x.Zone}
		if q.byID() {
			views, err = x.pageByID(v, q)
		} else {
			views, err = x.pageSorted(v, q)
		}
		return err
	})
	if err != nil {
		return err
	}
	out := make([]view, 0, len(views))
	for _, v := range views {
		out = append(out, only(v, q.fields))
	}
	body := map[string]any{x.plural: out}
	if q.limit > 0 && len(views) > 0 {
		if links := q.links(x.service, r.Request, views[0]["id"].(string), views[len(views)-1]["id"].(string), len(views)); links != nil {
			body[x.plural+"_links"] = links
		}
	}
	return openstack.WriteJSON(w, http.StatusOK, body)
}

// pageByID reads rows in the order of their ids until a page is full.
func (x *resource[T, A]) pageByID(v *viewer, q question) ([]view, error) {
	var out []view
	after := q.marker
	if after != "" { // a foreign one is none
		if _, err := x.find(v.tx, v.who, after); compute.IsKind(err, compute.NotFound) {
			return nil, bad("marker [%s] not found", plainly(after))
		}
	}
	for {
		n := batch
		if q.limit > 0 && len(q.filters) == 0 {
			n = min(batch, q.limit-len(out))
		}
		rows, err := x.rows(v, q, after, n)
		if err != nil {
			return nil, err
		}
		if len(rows) == 0 {
			break
		}
		after = x.id(rows[len(rows)-1])
		views, err := x.views(v, rows)
		if err != nil {
			return nil, err
		}
		out = append(out, q.pick(views)...)
		if q.limit > 0 && len(out) >= q.limit {
			out = out[:q.limit]
			break
		}
		if len(rows) < n {
			break
		}
	}
	if q.reverse {
		slices.Reverse(out)
	}
	return out, nil
}

// rows reads at most n rows that the caller sees, behind the row of an id; n 0
// means all.
func (x *resource[T, A]) rows(v *viewer, q question, after string, n int) ([]*T, error) {
	scopes, err := x.scopes(v.tx, v.who)
	if err != nil {
		return nil, err
	}
	order := "id"
	if q.descending() && q.byID() {
		order = "-id"
	}
	var all []*T
	for _, scope := range scopes {
		where, ok := q.narrow(scope, x.columns)
		if !ok {
			continue
		}
		list, err := x.table(v.tx).List(compute.Query{Where: where, Order: order, After: after, Limit: n})
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	if len(scopes) > 1 {
		slices.SortFunc(all, func(a, b *T) int {
			if order == "-id" {
				return strings.Compare(x.id(b), x.id(a))
			}
			return strings.Compare(x.id(a), x.id(b))
		})
		all = slices.CompactFunc(all, func(a, b *T) bool { return x.id(a) == x.id(b) })
	}
	if n > 0 && len(all) > n {
		all = all[:n]
	}
	return all, nil
}

// pageSorted reads all rows, because their order is not that of an index.
func (x *resource[T, A]) pageSorted(v *viewer, q question) ([]view, error) {
	rows, err := x.rows(v, q, "", 0)
	if err != nil {
		return nil, err
	}
	views, err := x.views(v, rows)
	if err != nil {
		return nil, err
	}
	views = q.pick(views)
	if err := q.sortViews(views); err != nil {
		return nil, err
	}
	return q.page(views)
}

// readBody reads a JSON object, numbers as they were written.
func readBody(r *openstack.Request) (map[string]any, error) {
	b, err := r.ReadBody()
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var body map[string]any
	if err := d.Decode(&body); err != nil || body == nil {
		return nil, &compute.Error{Kind: compute.Invalid, Name: "MalformedRequestBody", Detail: "Malformed request body: it is not a JSON object."}
	}
	return body, nil
}

// readBodies reads the things that a body holds: one under the singular name, or a
// list under the plural one.
func readBodies(r *openstack.Request, singular, plural string) (list []map[string]any, one bool, err error) {
	body, err := readBody(r)
	if err != nil {
		return nil, false, err
	}
	if v, ok := body[singular]; ok {
		m, ok := v.(map[string]any)
		if !ok {
			return nil, false, bad("Invalid body: '%s' is not an object", singular)
		}
		return []map[string]any{m}, true, nil
	}
	items, ok := body[plural].([]any)
	if !ok || plural == "" || len(items) == 0 {
		return nil, false, bad("Unable to find '%s' in request body", singular)
	}
	for _, v := range items {
		if m, wrapped := v.(map[string]any); wrapped {
			if inner, ok := m[singular].(map[string]any); ok && len(m) == 1 { // an old spelling of lists
				m = inner
			}
			list = append(list, m)
			continue
		}
		return nil, false, bad("Invalid body: '%s' is not a list of objects", plural)
	}
	return list, false, nil
}

// stamp adds the attributes that all things have.
func stamp(v view, id, project, description string, tags []string, revision int, created, updated time.Time) view {
	v["id"], v["project_id"], v["tenant_id"], v["description"] = id, project, project, description
	if tags == nil {
		tags = []string{}
	}
	v["tags"], v["revision_number"] = tags, revision
	v["created_at"], v["updated_at"] = written(created), written(updated)
	return v
}

// written is a time as Neutron writes it.
func written(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// orNull is null for an empty text.
func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// ownScope is what belongs to a caller's project; everything for an
// administrator, nothing without a project: gateways belong to none.
func ownScope(_ *compute.Tx, who compute.Caller) ([]compute.Where, error) {
	switch {
	case who.Admin():
		return []compute.Where{{}}, nil
	case who.ProjectID == "":
		return nil, nil
	}
	return []compute.Where{{"project_id": who.ProjectID}}, nil
}
