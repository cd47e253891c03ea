package glance

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/openstack"
)

// resourceTypes are those that Glance knows from the start and that are here.
var resourceTypes = []string{"OS::Glance::Image", "OS::Nova::Server", "OS::Nova::Flavor", "OS::Nova::Aggregate", "OS::Cinder::Volume"}

const metadefs = "/v2/metadefs/namespaces"

// metadefRoutes are the routes of metadata definitions. Administrators write
// them; who may read images reads them.
func (s *service) metadefRoutes() []openstack.Route {
	const one = metadefs + "/{namespace}"
	routes := []openstack.Route{
		{Method: "GET", Pattern: metadefs, Rule: openstack.AsReader, Handle: s.listMetadefs},
		{Method: "POST", Pattern: metadefs, Rule: openstack.AsAdmin, Handle: s.createMetadef},
		{Method: "GET", Pattern: one, Rule: openstack.AsReader, Handle: s.showMetadef},
		{Method: "PUT", Pattern: one, Rule: openstack.AsAdmin, Handle: s.updateMetadef},
		{Method: "DELETE", Pattern: one, Rule: openstack.AsAdmin, Handle: s.deleteMetadef},
		{Method: "GET", Pattern: "/v2/metadefs/resource_types", Rule: openstack.AsReader, Handle: s.listResourceTypes},
		{Method: "GET", Pattern: one + "/resource_types", Rule: openstack.AsReader, Handle: s.associations},
		{Method: "POST", Pattern: one + "/resource_types", Rule: openstack.AsAdmin, Handle: s.associate},
		{Method: "DELETE", Pattern: one + "/resource_types/{name}", Rule: openstack.AsAdmin, Handle: s.dissociate},
		{Method: "POST", Pattern: one + "/tags/{name}", Rule: openstack.AsAdmin, Handle: s.createMetadefTag},
		{Method: "GET", Pattern: "/v2/schemas/metadefs/{name}", Rule: openstack.AnyToken, Handle: s.metadefSchema},
	}
	for _, k := range itemKinds {
		path := one + "/" + k.plural
		routes = append(routes,
			openstack.Route{Method: "GET", Pattern: path, Rule: openstack.AsReader, Handle: s.listItems(k)},
			openstack.Route{Method: "POST", Pattern: path, Rule: openstack.AsAdmin, Handle: s.createItems(k)},
			openstack.Route{Method: "DELETE", Pattern: path, Rule: openstack.AsAdmin, Handle: s.deleteItems(k)},
			openstack.Route{Method: "GET", Pattern: path + "/{name}", Rule: openstack.AsReader, Handle: s.showItem(k)},
			openstack.Route{Method: "PUT", Pattern: path + "/{name}", Rule: openstack.AsAdmin, Handle: s.updateItem(k)},
			openstack.Route{Method: "DELETE", Pattern: path + "/{name}", Rule: openstack.AsAdmin, Handle: s.deleteItem(k)})
	}
	return routes
}

// itemKind is one of the three kinds of definitions in a namespace.
type itemKind struct {
	plural, singular string
	of               func(*compute.Metadef) *[]compute.MetadefItem
}

var itemKinds = []itemKind{
	{"objects", "object", func(m *compute.Metadef) *[]compute.MetadefItem { return &m.Objects }},
	{"properties", "property", func(m *compute.Metadef) *[]compute.MetadefItem { return &m.Properties }},
	{"tags", "tag", func(m *compute.Metadef) *[]compute.MetadefItem { return &m.Tags }},
}

func stamp(t time.Time) string { return t.UTC().Format(timeFormat) }

// metadefView is a namespace; whole, with what is in it.
func metadefView(m *compute.Metadef, whole bool) object {
	v := object{"namespace": m.ID, "display_name": orNull(m.DisplayName), "description": orNull(m.Description), "visibility": m.Visibility, "protected": m.Protected,
		"owner": m.ProjectID, "created_at": stamp(m.Created), "updated_at": stamp(m.Updated), "self": metadefs + "/" + url.PathEscape(m.ID), "schema": "/v2/schemas/metadefs/namespace"}
	if len(m.ResourceTypes) > 0 {
		v["resource_type_associations"] = associationViews(m)
	}
	if whole {
		for _, k := range itemKinds {
			if items := *k.of(m); len(items) > 0 {
				v[k.plural] = k.collection(m)
			}
		}
	}
	return v
}

func associationViews(m *compute.Metadef) []object {
	list := []object{}
	for _, r := range m.ResourceTypes {
		o := object{"name": r.Name, "created_at": stamp(r.Created), "updated_at": stamp(r.Updated)}
		if r.Prefix != "" {
			o["prefix"] = r.Prefix
		}
		if r.PropertiesTarget != "" {
			o["properties_target"] = r.PropertiesTarget
		}
		list = append(list, o)
	}
	return list
}

// view is one definition.
func (k itemKind) view(m *compute.Metadef, item compute.MetadefItem) object {
	v := make(object, len(item.Fields)+5)
	for name, value := range item.Fields {
		v[name] = value
	}
	v["name"] = item.Name
	if k.singular == "property" {
		return v
	}
	v["created_at"], v["updated_at"] = stamp(item.Created), stamp(item.Updated)
	if k.singular == "object" {
		v["self"], v["schema"] = metadefs+"/"+url.PathEscape(m.ID)+"/objects/"+url.PathEscape(item.Name), "/v2/schemas/metadefs/object"
	}
	return v
}

// collection is all definitions of a kind: properties are keyed by name.
func (k itemKind) collection(m *compute.Metadef) any {
	if k.singular == "property" {
		byName := object{}
		for _, item := range *k.of(m) {
			byName[item.Name] = k.view(m, item)
		}
		return byName
	}
	list := []object{}
	for _, item := range *k.of(m) {
		list = append(list, k.view(m, item))
	}
	return list
}

func (s *service) listMetadefs(w http.ResponseWriter, r *openstack.Request) error {
	list, err := s.Registry.Metadefs(r.Context(), r.Caller)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	types := strings.Split(q.Get("resource_types"), ",")
	views := []object{}
	for _, m := range list {
		if q.Has("visibility") && m.Visibility != q.Get("visibility") {
			continue
		}
		if q.Has("resource_types") && !slices.ContainsFunc(m.ResourceTypes, func(t compute.MetadefResource) bool { return slices.Contains(types, t.Name) }) {
			continue
		}
		views = append(views, metadefView(m, false))
	}
	return openstack.WriteJSON(w, http.StatusOK, object{"namespaces": views, "first": metadefs, "schema": "/v2/schemas/metadefs/namespaces"})
}

// metadefBody is what clients say of a namespace.
type metadefBody struct {
	Namespace    string
	DisplayName  string `json:"display_name"`
	Description  string
	Visibility   string
	Protected    bool
	Owner        string
	Associations []association `json:"resource_type_associations"`
}

type association struct {
	Name             string
	Prefix           string
	PropertiesTarget string `json:"properties_target"`
}

// apply writes what a client said over a namespace.
func (b metadefBody) apply(m *compute.Metadef) {
	m.ID, m.DisplayName, m.Description, m.Protected = b.Namespace, b.DisplayName, b.Description, b.Protected
	if b.Visibility != "" {
		m.Visibility = b.Visibility
	}
	if b.Owner != "" {
		m.ProjectID = b.Owner
	}
}

func (a association) resource() compute.MetadefResource {
	now := time.Now().UTC()
	return compute.MetadefResource{Name: a.Name, Prefix: a.Prefix, PropertiesTarget: a.PropertiesTarget, Created: now, Updated: now}
}

func (s *service) createMetadef(w http.ResponseWriter, r *openstack.Request) error {
	var body metadefBody
	if err := r.Decode(&body); err != nil {
		return err
	}
	m := &compute.Metadef{}
	body.apply(m)
	for _, a := range body.Associations {
		m.ResourceTypes = append(m.ResourceTypes, a.resource())
	}
	if err := s.Registry.CreateMetadef(r.Context(), r.Caller, m); err != nil {
		return err
	}
	w.Header().Set("Location", s.URL(r.Request)+metadefs+"/"+url.PathEscape(m.ID))
	return openstack.WriteJSON(w, http.StatusCreated, metadefView(m, true))
}

func (s *service) showMetadef(w http.ResponseWriter, r *openstack.Request) error {
	m, err := s.Registry.Metadef(r.Context(), r.Caller, r.PathValue("namespace"))
	if err != nil {
		return err
	}
	return openstack.WriteJSON(w, http.StatusOK, metadefView(m, true))
}

func (s *service) updateMetadef(w http.ResponseWriter, r *openstack.Request) error {
	var body metadefBody
	if err := r.Decode(&body); err != nil {
		return err
	}
	m, err := s.changeMetadef(r, func(m *compute.Metadef) error {
		body.apply(m)
		return nil
	})
	if err != nil {
		return err
	}
	return openstack.WriteJSON(w, http.StatusOK, metadefView(m, false))
}

func (s *service) deleteMetadef(w http.ResponseWriter, r *openstack.Request) error {
	if err := s.Registry.DeleteMetadef(r.Context(), r.Caller, r.PathValue("namespace")); err != nil {
		return err
	}
	return noContent(w)
}

// changeMetadef changes the namespace of a request.
func (s *service) changeMetadef(r *openstack.Request, fn func(*compute.Metadef) error) (*compute.Metadef, error) {
	return s.Registry.UpdateMetadef(r.Context(), r.Caller, r.PathValue("namespace"), fn)
}

func (s *service) listResourceTypes(w http.ResponseWriter, r *openstack.Request) error {
	list, err := s.Registry.Metadefs(r.Context(), r.Caller)
	if err != nil {
		return err
	}
	names := slices.Clone(resourceTypes)
	for _, m := range list {
		for _, t := range m.ResourceTypes {
			if !slices.Contains(names, t.Name) {
				names = append(names, t.Name)
			}
		}
	}
	views := []object{}
	for _, name := range names {
		views = append(views, object{"name": name})
	}
	return openstack.WriteJSON(w, http.StatusOK, object{"resource_types": views})
}

func (s *service) associations(w http.ResponseWriter, r *openstack.Request) error {
	m, err := s.Registry.Metadef(r.Context(), r.Caller, r.PathValue("namespace"))
	if err != nil {
		return err
	}
	return openstack.WriteJSON(w, http.StatusOK, object{"resource_type_associations": associationViews(m)})
}

func (s *service) associate(w http.ResponseWriter, r *openstack.Request) error {
	var body association
	if err := r.Decode(&body); err != nil {
		return err
	}
	if body.Name == "" {
		return compute.Errorf(compute.Invalid, "A resource type must have a name.")
	}
	m, err := s.changeMetadef(r, func(m *compute.Metadef) error {
		if resourceIndex(m, body.Name) >= 0 {
			return compute.Errorf(compute.Conflict, "The metadata definition resource-type association of resource-type=%s to namespace=%s already exists.", body.Name, m.ID)
		}
		m.ResourceTypes = append(m.ResourceTypes, body.resource())
		return nil
	})
	if err != nil {
		return err
	}
	views := associationViews(m)
	return openstack.WriteJSON(w, http.StatusCreated, views[len(views)-1])
}

func (s *service) dissociate(w http.ResponseWriter, r *openstack.Request) error {
	_, err := s.changeMetadef(r, func(m *compute.Metadef) error {
		i := resourceIndex(m, r.PathValue("name"))
		if i < 0 {
			return compute.Errorf(compute.NotFound, "The metadata definition resource-type association of %s was not found.", r.PathValue("name"))
		}
		m.ResourceTypes = slices.Delete(m.ResourceTypes, i, i+1)
		return nil
	})
	if err != nil {
		return err
	}
	return noContent(w)
}

func resourceIndex(m *compute.Metadef, name string) int {
	return slices.IndexFunc(m.ResourceTypes, func(t compute.MetadefResource) bool { return t.Name == name })
}
