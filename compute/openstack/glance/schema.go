package glance

import (
	"net/http"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/openstack"
	"github.com/kamado/kamado/compute/registry"
)

type object = map[string]any

// schema gives the JSON schemas that clients check their models by.
func (s *service) schema(w http.ResponseWriter, r *openstack.Request) error {
	var body object
	switch r.PathValue("name") {
	case "image":
		body = imageSchema()
	case "images":
		body = collection("images", imageSchema())
	case "member":
		body = memberSchema()
	case "members":
		body = collection("members", memberSchema())
		delete(body["properties"].(object), "first")
		delete(body["properties"].(object), "next")
		delete(body, "links")
	default:
		return compute.Errorf(compute.NotFound, "The resource could not be found.")
	}
	return openstack.WriteJSON(w, http.StatusOK, body)
}

// collection is the schema of a page.
func collection(name string, item object) object {
	return object{"name": name, "properties": object{
		name:     object{"type": "array", "items": item},
		"first":  object{"type": "string"},
		"next":   object{"type": "string"},
		"schema": object{"type": "string"},
	}, "links": []object{{"rel": "first", "href": "{first}"}, {"rel": "next", "href": "{next}"}, {"rel": "describedby", "href": "{schema}"}}}
}

const uuidPattern = "^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$"

// describe is a property: its type, what it says, and more facts in pairs.
func describe(kind any, text string, more ...any) object {
	o := object{"type": kind, "description": text}
	for i := 0; i+1 < len(more); i += 2 {
		o[more[i].(string)] = more[i+1]
	}
	return o
}

// nullable is the enumeration of a list and null.
func nullable(list []string) []any {
	out := []any{nil}
	for _, s := range list {
		out = append(out, s)
	}
	return out
}

func imageSchema() object {
	null := func(kind string) []string { return []string{"null", kind} }
	const ro = "readOnly"
	return object{"name": "image", "properties": object{
		"id":               describe("string", "An identifier for the image", "pattern", uuidPattern),
		"name":             describe(null("string"), "Descriptive name for the image", "maxLength", 255),
		"status":           describe("string", "Status of the image", ro, true, "enum", []string{"queued", "saving", "active", "killed", "deleted", "uploading", "importing", "pending_delete", "deactivated"}),
		"visibility":       describe("string", "Scope of image accessibility", "enum", registry.Visibilities()),
		"protected":        describe("boolean", "If true, image will not be deletable."),
		"os_hidden":        describe("boolean", "If true, image will not appear in default image list response."),
		"checksum":         describe(null("string"), "md5 hash of image contents.", ro, true, "maxLength", 32),
		"os_hash_algo":     describe(null("string"), "Algorithm to calculate the os_hash_value", ro, true, "maxLength", 64),
		"os_hash_value":    describe(null("string"), "Hexdigest of the image contents using the algorithm specified by the os_hash_algo", ro, true, "maxLength", 128),
		"owner":            describe(null("string"), "Owner of the image", "maxLength", 255),
		"size":             describe(null("integer"), "Size of image file in bytes", ro, true),
		"virtual_size":     describe(null("integer"), "Virtual size of image in bytes", ro, true),
		"container_format": describe(null("string"), "Format of the container", "enum", nullable(registry.ContainerFormats())),
		"disk_format":      describe(null("string"), "Format of the disk", "enum", nullable(registry.DiskFormats())),
		"created_at":       describe("string", "Date and time of image registration", ro, true),
		"updated_at":       describe("string", "Date and time of the last image modification", ro, true),
		"tags":             describe("array", "List of strings related to the image", "items", object{"type": "string", "maxLength": 255}),
		"self":             describe("string", "An image self url", ro, true),
		"file":             describe("string", "An image file url", ro, true),
		"schema":           describe("string", "An image schema url", ro, true),
		"min_disk":         describe("integer", "Amount of disk space (in GB) required to boot image."),
		"min_ram":          describe("integer", "Amount of ram (in MB) required to boot image."),
		"kernel_id":        describe(null("string"), "ID of the image that is the kernel for an image which boots without a boot loader.", "pattern", uuidPattern, "is_base", false),
		"ramdisk_id":       describe(null("string"), "ID of the image that is the RAM disk for an image which boots without a boot loader.", "pattern", uuidPattern, "is_base", false),
		"os_distro":        describe("string", "Common name of operating system distribution", "is_base", false),
		"os_version":       describe("string", "Operating system version as specified by the distributor.", "is_base", false),
		"architecture":     describe("string", "Operating system architecture", "is_base", false),
		"instance_uuid":    describe("string", "ID of the instance that this image was made from.", "is_base", false),
	}, "additionalProperties": object{"type": "string"},
		"links": []object{{"rel": "self", "href": "{self}"}, {"rel": "enclosure", "href": "{file}"}, {"rel": "describedby", "href": "{schema}"}}}
}

func memberSchema() object {
	return object{"name": "member", "properties": object{
		"member_id":  describe("string", "An identifier for the image member (tenantId)"),
		"image_id":   describe("string", "An identifier for the image", "pattern", uuidPattern),
		"created_at": describe("string", "Date and time of image member creation"),
		"updated_at": describe("string", "Date and time of last modification of image member"),
		"status":     describe("string", "The status of this image member", "enum", []string{registry.Pending, registry.Accepted, registry.Rejected}),
		"schema":     object{"type": "string", "readOnly": true},
	}}
}
