package glance

import (
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/openstack"
)

// The media types of a patch. The newer is RFC 6902's; the older has the
// operation as the key of its path: {"replace": "/name", "value": "x"}.
const (
	patchV21 = "application/openstack-images-v2.1-json-patch"
	patchV20 = "application/openstack-images-v2.0-json-patch"

	patchOpsMax = 1000 // operations in one patch
)

// operation is one change.
type operation struct {
	op, name string
	value    any
	old      bool // of patchV20, where add does not replace
}

func (s *service) update(w http.ResponseWriter, r *openstack.Request) error {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind != patchV21 && kind != patchV20 {
		w.Header().Set("Accept-Patch", patchV21+", "+patchV20)
		return compute.Errorf(compute.UnsupportedMediaType, "A patch has the type %s or %s.", patchV21, patchV20)
	}
	var body []map[string]any
	if err := decode(r, &body); err != nil {
		return compute.Errorf(compute.Invalid, "Request body must be a JSON array of operation objects.")
	}
	if len(body) > patchOpsMax {
		return compute.Errorf(compute.TooLarge, "A patch has at most %d operations.", patchOpsMax)
	}
	ops := make([]operation, 0, len(body))
	for _, raw := range body {
		op, err := parseOperation(raw, kind == patchV20)
		if err != nil {
			return err
		}
		ops = append(ops, op)
	}
	id := r.PathValue("id")
	if len(ops) == 0 {
		return s.show(w, r)
	}
	m, err := s.Registry.Update(r.Context(), r.Caller, id, func(m *compute.MachineImage) error {
		for _, op := range ops {
			if err := op.apply(m); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return openstack.WriteJSON(w, http.StatusOK, view(m))
}

// parseOperation reads one operation in either spelling.
func parseOperation(raw map[string]any, old bool) (operation, error) {
	o := operation{value: raw["value"], old: old}
	var path string
	if old {
		for _, op := range []string{"add", "replace", "remove"} {
			if p, ok := raw[op].(string); ok {
				if o.op != "" {
					return o, compute.Errorf(compute.Invalid, "Operation objects must contain only one member named \"add\", \"remove\", or \"replace\".")
				}
				o.op, path = op, p
			}
		}
	} else {
		o.op, _ = raw["op"].(string)
		path, _ = raw["path"].(string)
	}
	if !slices.Contains([]string{"add", "replace", "remove"}, o.op) {
		return o, compute.Errorf(compute.Invalid, "Operations must be one of add, replace and remove, each with a path.")
	}
	if _, ok := raw["value"]; !ok && o.op != "remove" {
		return o, compute.Errorf(compute.Invalid, "Operation \"%s\" requires a member named \"value\".", o.op)
	}
	if !strings.HasPrefix(path, "/") {
		return o, compute.Errorf(compute.Invalid, "Pointer `%s` does not start with \"/\".", path)
	}
	name := path[1:]
	if strings.HasPrefix(name, "locations/") {
		return o, writable("locations")
	}
	if strings.Contains(name, "/") {
		return o, compute.Errorf(compute.Invalid, "Pointer `%s` leads too deep.", path)
	}
	if strings.HasPrefix(strings.ReplaceAll(strings.ReplaceAll(name, "~0", ""), "~1", ""), "~") || name == "" {
		return o, compute.Errorf(compute.Invalid, "Pointer `%s` is not valid.", path)
	}
	o.name = strings.ReplaceAll(strings.ReplaceAll(name, "~1", "/"), "~0", "~")
	return o, nil
}

// apply makes the change.
func (o operation) apply(m *compute.MachineImage) error {
	if err := writable(o.name); err != nil {
		return err
	}
	_, there := m.Properties[o.name]
	isOwn := slices.Contains(own, o.name)
	switch {
	case o.op == "remove" && isOwn:
		return compute.Errorf(compute.Denied, "Property %s may not be removed.", o.name)
	case o.op != "add" && !isOwn && !there:
		return compute.Errorf(compute.Conflict, "Property %s does not exist.", o.name)
	case o.op == "add" && o.old && there:
		return compute.Errorf(compute.Conflict, "Property %s already present.", o.name)
	case o.op == "remove":
		delete(m.Properties, o.name)
		return nil
	}
	return set(m, o.name, o.value)
}
