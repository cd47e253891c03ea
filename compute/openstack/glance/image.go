package glance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/openstack"
)

const timeFormat = "2006-01-02T15:04:05Z"

// view is an image as clients see it. Its properties stand beside its own
// attributes; those cannot have the name of one.
func view(m *compute.MachineImage) map[string]any {
	v := make(map[string]any, 28+len(m.Properties))
	for k, value := range m.Properties {
		v[k] = value
	}
	v["id"] = m.ID
	v["name"] = orNull(m.Name)
	v["status"] = m.Status
	v["visibility"] = m.Visibility
	v["owner"] = m.ProjectID
	v["disk_format"] = orNull(m.DiskFormat)
	v["container_format"] = orNull(m.ContainerFormat)
	v["min_disk"] = m.MinDisk
	v["min_ram"] = m.MinRAM
	v["protected"] = m.Protected
	v["os_hidden"] = m.Hidden
	v["tags"] = append([]string{}, m.Tags...)
	v["size"], v["virtual_size"] = any(nil), any(nil)
	if m.Checksum != "" {
		v["size"] = m.Size
	}
	if m.VirtualSize > 0 {
		v["virtual_size"] = m.VirtualSize
	}
	v["checksum"] = orNull(m.Checksum)
	v["os_hash_algo"] = orNull(m.HashAlgo)
	v["os_hash_value"] = orNull(m.HashValue)
	v["created_at"] = m.Created.UTC().Format(timeFormat)
	v["updated_at"] = m.Updated.UTC().Format(timeFormat)
	v["self"] = "/v2/images/" + m.ID
	v["file"] = "/v2/images/" + m.ID + "/file"
	v["schema"] = "/v2/schemas/image"
	return v
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func (s *service) show(w http.ResponseWriter, r *openstack.Request) error {
	m, err := s.Registry.Get(r.Context(), r.Caller, r.PathValue("id"))
	if err != nil {
		return err
	}
	return openstack.WriteJSON(w, http.StatusOK, view(m))
}

func (s *service) create(w http.ResponseWriter, r *openstack.Request) error {
	var body map[string]any
	if err := decode(r, &body); err != nil {
		return err
	}
	if body == nil {
		return compute.Errorf(compute.Invalid, "Provided object does not match schema 'image': it must be an object.")
	}
	m := &compute.MachineImage{}
	for name, value := range body {
		if name == "id" {
			id, ok := value.(string)
			if !ok || !compute.IsID(id) {
				return compute.Errorf(compute.Invalid, "Provided object does not match schema 'image': '%v' is no UUID.", value)
			}
			m.ID = id
			continue
		}
		if err := set(m, name, value); err != nil {
			return err
		}
	}
	if err := s.Registry.Create(r.Context(), r.Caller, m); err != nil {
		return err
	}
	w.Header().Set("Location", s.URL(r.Request)+"/v2/images/"+m.ID)
	w.Header().Set("OpenStack-image-import-methods", importMethod)
	return openstack.WriteJSON(w, http.StatusCreated, view(m))
}

func (s *service) delete(w http.ResponseWriter, r *openstack.Request) error {
	if err := s.Registry.Delete(r.Context(), r.Caller, r.PathValue("id")); err != nil {
		return err
	}
	return noContent(w)
}

func (s *service) setActive(active bool) func(http.ResponseWriter, *openstack.Request) error {
	return func(w http.ResponseWriter, r *openstack.Request) error {
		if err := s.Registry.SetActive(r.Context(), r.Caller, r.PathValue("id"), active); err != nil {
			return err
		}
		return noContent(w)
	}
}

func (s *service) addTag(w http.ResponseWriter, r *openstack.Request) error {
	_, err := s.Registry.Update(r.Context(), r.Caller, r.PathValue("id"), func(m *compute.MachineImage) error {
		m.Tags = append(m.Tags, r.PathValue("tag"))
		return nil
	})
	if err != nil {
		return err
	}
	return noContent(w)
}

func (s *service) removeTag(w http.ResponseWriter, r *openstack.Request) error {
	_, err := s.Registry.Update(r.Context(), r.Caller, r.PathValue("id"), func(m *compute.MachineImage) error {
		i := slices.Index(m.Tags, r.PathValue("tag"))
		if i < 0 {
			return compute.Errorf(compute.NotFound, "The tag '%s' could not be found.", r.PathValue("tag"))
		}
		m.Tags = slices.Delete(m.Tags, i, i+1)
		return nil
	})
	if err != nil {
		return err
	}
	return noContent(w)
}

// decode reads a body with its numbers as they were written.
func decode(r *openstack.Request, v any) error {
	b, err := r.ReadBody()
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(v); err != nil || d.More() {
		return compute.Errorf(compute.Invalid, "Malformed JSON in request body.")
	}
	return nil
}

// The attributes that clients may not write: what Glance makes itself, and what
// it keeps for itself.
var (
	readOnly = []string{"created_at", "updated_at", "status", "checksum", "size", "virtual_size", "direct_url", "self", "file", "schema",
		"os_hash_algo", "os_hash_value", "id", "stores"}
	reserved = []string{"locations", "deleted", "deleted_at"}
	// own are the attributes of an image that clients write; they cannot be removed.
	own = []string{"name", "visibility", "protected", "os_hidden", "tags", "min_disk", "min_ram", "disk_format", "container_format", "owner"}
)

const reservedPrefix = "os_glance" // of properties of Glance's own

// writable refuses the names that clients may not write.
func writable(name string) error {
	switch {
	case slices.Contains(readOnly, name):
		return compute.Errorf(compute.Denied, "Attribute '%s' is read-only.", name)
	case slices.Contains(reserved, name):
		return compute.Errorf(compute.Denied, "Attribute '%s' is reserved.", name)
	case strings.HasPrefix(name, reservedPrefix):
		return compute.Errorf(compute.Denied, "Attribute '%s' is reserved.", name)
	}
	return nil
}

// set writes one attribute or property.
func set(m *compute.MachineImage, name string, value any) error {
	if err := writable(name); err != nil {
		return err
	}
	switch name {
	case "name":
		return setText(&m.Name, name, value, true)
	case "visibility":
		return setText(&m.Visibility, name, value, false)
	case "disk_format":
		return setText(&m.DiskFormat, name, value, true)
	case "container_format":
		return setText(&m.ContainerFormat, name, value, true)
	case "owner":
		return setText(&m.ProjectID, name, value, false)
	case "protected":
		return setBool(&m.Protected, name, value)
	case "os_hidden":
		return setBool(&m.Hidden, name, value)
	case "min_disk":
		return setNumber(&m.MinDisk, name, value)
	case "min_ram":
		return setNumber(&m.MinRAM, name, value)
	case "tags":
		return setTags(m, value)
	}
	if value == nil && (name == "kernel_id" || name == "ramdisk_id") { // as Glance's schema has them
		delete(m.Properties, name)
		return nil
	}
	text, ok := value.(string)
	if !ok {
		return mismatch(name, value, "string")
	}
	if m.Properties == nil {
		m.Properties = map[string]string{}
	}
	m.Properties[name] = text
	return nil
}

// mismatch is the answer to a value of the wrong type, in the words of Glance's schema.
func mismatch(name string, value any, want string) error {
	return compute.Errorf(compute.Invalid, "Provided object does not match schema 'image': %s is not of type '%s' for property '%s'.", shortJSON(value), want, name)
}

// shortJSON shows a value of a client in an error.
func shortJSON(value any) string {
	const bytesMax = 60
	b, err := json.Marshal(value)
	if err != nil || len(b) > bytesMax {
		return "the value"
	}
	return string(b)
}

func setText(p *string, name string, value any, null bool) error {
	if value == nil && null {
		*p = ""
		return nil
	}
	text, ok := value.(string)
	if !ok || text == "" && !null {
		return mismatch(name, value, "string")
	}
	*p = text
	return nil
}

func setBool(p *bool, name string, value any) error {
	b, ok := value.(bool)
	if !ok {
		return mismatch(name, value, "boolean")
	}
	*p = b
	return nil
}

func setNumber(p *int, name string, value any) error {
	n, ok := value.(json.Number)
	if !ok {
		return mismatch(name, value, "integer")
	}
	i, err := n.Int64()
	if err != nil || i < 0 || i > math.MaxInt32 {
		return compute.Errorf(compute.Invalid, "Provided object does not match schema 'image': %s must be an integer from 0 to %d for property '%s'.", n, math.MaxInt32, name)
	}
	*p = int(i)
	return nil
}

func setTags(m *compute.MachineImage, value any) error {
	list, ok := value.([]any)
	if !ok {
		return mismatch("tags", value, "array")
	}
	tags := make([]string, 0, len(list))
	for _, v := range list {
		tag, ok := v.(string)
		if !ok {
			return mismatch("tags", v, "string")
		}
		tags = append(tags, tag)
	}
	m.Tags = tags
	return nil
}

// parseTime reads a time as clients write it.
func parseTime(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999", "2006-01-02 15:04:05.999999", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time", s)
}
