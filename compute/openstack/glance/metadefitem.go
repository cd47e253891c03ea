package glance

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/openstack"
)

// itemBytesMax bounds one definition as JSON.
const itemBytesMax = 64 << 10

type handler = func(http.ResponseWriter, *openstack.Request) error

func (s *service) listItems(k itemKind) handler {
	return func(w http.ResponseWriter, r *openstack.Request) error {
		m, err := s.Registry.Metadef(r.Context(), r.Caller, r.PathValue("namespace"))
		if err != nil {
			return err
		}
		path := metadefs + "/" + url.PathEscape(m.ID) + "/" + k.plural
		return openstack.WriteJSON(w, http.StatusOK, object{k.plural: k.collection(m), "first": path, "schema": "/v2/schemas/metadefs/" + k.plural})
	}
}

// createItems adds one definition, or gives a namespace all of its tags.
func (s *service) createItems(k itemKind) handler {
	return func(w http.ResponseWriter, r *openstack.Request) error {
		var body object
		if err := decode(r, &body); err != nil {
			return err
		}
		var items []compute.MetadefItem
		if list, ok := body["tags"].([]any); ok && k.singular == "tag" {
			for _, v := range list {
				fields, _ := v.(object)
				item, err := newItem(fields)
				if err != nil {
					return err
				}
				items = append(items, item)
			}
			m, err := s.changeMetadef(r, func(m *compute.Metadef) error { m.Tags = items; return nil })
			if err != nil {
				return err
			}
			return openstack.WriteJSON(w, http.StatusCreated, object{"tags": k.collection(m)})
		}
		item, err := newItem(body)
		if err != nil {
			return err
		}
		return s.addItem(w, r, k, item)
	}
}

func (s *service) createMetadefTag(w http.ResponseWriter, r *openstack.Request) error {
	item, err := newItem(object{"name": r.PathValue("name")})
	if err != nil {
		return err
	}
	return s.addItem(w, r, itemKinds[slices.IndexFunc(itemKinds, func(k itemKind) bool { return k.singular == "tag" })], item)
}

func (s *service) addItem(w http.ResponseWriter, r *openstack.Request, k itemKind, item compute.MetadefItem) error {
	m, err := s.changeMetadef(r, func(m *compute.Metadef) error {
		items := k.of(m)
		*items = append(*items, item)
		return nil
	})
	if err != nil {
		return err
	}
	return openstack.WriteJSON(w, http.StatusCreated, k.view(m, item))
}

// newItem reads a definition.
func newItem(fields object) (compute.MetadefItem, error) {
	name, _ := fields["name"].(string)
	if name == "" {
		return compute.MetadefItem{}, compute.Errorf(compute.Invalid, "A metadata definition must be an object with a name.")
	}
	b, err := json.Marshal(fields)
	if err != nil || len(b) > itemBytesMax {
		return compute.MetadefItem{}, compute.Errorf(compute.TooLarge, "A metadata definition has at most %d bytes.", itemBytesMax)
	}
	rest := object{}
	for k, v := range fields {
		if !slices.Contains([]string{"name", "created_at", "updated_at", "self", "schema"}, k) {
			rest[k] = v
		}
	}
	now := time.Now().UTC()
	return compute.MetadefItem{Name: name, Fields: rest, Created: now, Updated: now}, nil
}

func (k itemKind) absent(r *openstack.Request) error {
	return compute.Errorf(compute.NotFound, "The metadata definition %s with name=%s was not found in namespace=%s.", k.singular, r.PathValue("name"), r.PathValue("namespace"))
}

// find gives the place of the definition that a request names.
func (k itemKind) find(r *openstack.Request, m *compute.Metadef) (int, error) {
	i := slices.IndexFunc(*k.of(m), func(item compute.MetadefItem) bool { return item.Name == r.PathValue("name") })
	if i < 0 {
		return i, k.absent(r)
	}
	return i, nil
}

func (s *service) showItem(k itemKind) handler {
	return func(w http.ResponseWriter, r *openstack.Request) error {
		m, err := s.Registry.Metadef(r.Context(), r.Caller, r.PathValue("namespace"))
		if err != nil {
			return err
		}
		i, err := k.find(r, m)
		if err != nil {
			return err
		}
		return openstack.WriteJSON(w, http.StatusOK, k.view(m, (*k.of(m))[i]))
	}
}

func (s *service) updateItem(k itemKind) handler {
	return func(w http.ResponseWriter, r *openstack.Request) error {
		var body object
		if err := decode(r, &body); err != nil {
			return err
		}
		item, err := newItem(body)
		if err != nil {
			return err
		}
		m, err := s.changeMetadef(r, func(m *compute.Metadef) error {
			i, err := k.find(r, m)
			if err != nil {
				return err
			}
			items := *k.of(m)
			item.Created = items[i].Created
			items[i] = item
			return nil
		})
		if err != nil {
			return err
		}
		return openstack.WriteJSON(w, http.StatusOK, k.view(m, item))
	}
}

func (s *service) deleteItem(k itemKind) handler {
	return func(w http.ResponseWriter, r *openstack.Request) error {
		_, err := s.changeMetadef(r, func(m *compute.Metadef) error {
			i, err := k.find(r, m)
			if err != nil {
				return err
			}
			items := k.of(m)
			*items = slices.Delete(*items, i, i+1)
			return nil
		})
		if err != nil {
			return err
		}
		return noContent(w)
	}
}

func (s *service) deleteItems(k itemKind) handler {
	return func(w http.ResponseWriter, r *openstack.Request) error {
		if _, err := s.changeMetadef(r, func(m *compute.Metadef) error { *k.of(m) = nil; return nil }); err != nil {
			return err
		}
		return noContent(w)
	}
}

// metadefSchema gives the schemas of metadata definitions.
func (s *service) metadefSchema(w http.ResponseWriter, r *openstack.Request) error {
	text, when := object{"type": "string"}, object{"type": "string", "format": "date-time", "readOnly": true}
	name := object{"type": "string", "maxLength": 80}
	schemas := map[string]object{
		"namespace": {"name": "namespace", "required": []string{"namespace"}, "additionalProperties": false, "properties": object{
			"namespace": name, "display_name": name, "description": object{"type": "string", "maxLength": 500}, "visibility": object{"type": "string", "enum": []string{"public", "private"}},
			"protected": object{"type": "boolean"}, "owner": text, "created_at": when, "updated_at": when, "self": text, "schema": text,
			"resource_type_associations": object{"type": "array"}, "properties": object{"type": "object"}, "objects": object{"type": "array"}, "tags": object{"type": "array"}}},
		"object": {"name": "object", "required": []string{"name"}, "properties": object{"name": name, "description": text, "required": object{"type": "array", "items": text},
			"properties": object{"type": "object"}, "created_at": when, "updated_at": when, "self": text, "schema": text}},
		"property": {"name": "property", "required": []string{"name", "title", "type"}, "additionalProperties": true, "properties": object{"name": name, "title": text, "description": text,
			"type": object{"type": "string", "enum": []string{"array", "boolean", "integer", "number", "object", "string", "null"}}, "enum": object{"type": "array"}, "default": object{}}},
		"tag": {"name": "tag", "required": []string{"name"}, "properties": object{"name": name, "created_at": when, "updated_at": when}},
		"resource_type": {"name": "resource_type_association", "required": []string{"name"}, "additionalProperties": false, "properties": object{"name": name, "prefix": name,
			"properties_target": name, "created_at": when, "updated_at": when}},
	}
	asked := r.PathValue("name")
	if one, ok := schemas[asked]; ok {
		return openstack.WriteJSON(w, http.StatusOK, one)
	}
	plurals := map[string][2]string{"namespaces": {"namespaces", "namespace"}, "objects": {"objects", "object"}, "properties": {"properties", "property"}, "tags": {"tags", "tag"},
		"resource_types": {"resource_type_associations", "resource_type"}}
	many, ok := plurals[asked]
	if !ok {
		return compute.Errorf(compute.NotFound, "The resource could not be found.")
	}
	return openstack.WriteJSON(w, http.StatusOK, collection(many[0], schemas[many[1]]))
}
