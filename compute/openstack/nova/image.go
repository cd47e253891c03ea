package nova

import (
	"context"
	"maps"
	"net/http"
	"slices"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/openstack"
)

// The machine images as Nova showed them itself, until 2.35, and their metadata,
// until 2.38.

// Images changes machine images by their own rules. *registry.Service satisfies it.
type Images interface {
	Update(ctx context.Context, who compute.Caller, id string, fn func(*compute.MachineImage) error) (*compute.MachineImage, error)
	Delete(ctx context.Context, who compute.Caller, id string) error
}

// imageStatus is Nova's word for a state of an image.
func imageStatus(s compute.ImageStatus) string {
	switch s {
	case compute.ImageActive:
		return "ACTIVE"
	case compute.ImageQueued, compute.ImageSaving, compute.ImageImporting, compute.ImageUploading:
		return "SAVING"
	case compute.ImagePendingDelete:
		return "DELETED"
	case compute.ImageKilled:
		return "ERROR"
	}
	return "UNKNOWN"
}

func (c *call) imageBrief(m *compute.MachineImage) object {
	alternate := object{"rel": "alternate", "type": "application/vnd.openstack.image",
		"href": c.api.ImageURL(openstack.Origin(c.Request.Request, c.api.Public), m.ID)}
	return object{"id": m.ID, "name": orNil(m.Name), "links": append(c.links("/images/"+m.ID), alternate)}
}

func (c *call) imageView(m *compute.MachineImage) object {
	o := c.imageBrief(m)
	progress := 100
	if m.Status != compute.ImageActive {
		progress = 25
	}
	o["status"], o["progress"], o["created"], o["updated"] = imageStatus(m.Status), progress, stamp(m.Created), stamp(m.Updated)
	o["minDisk"], o["minRam"], o["metadata"], o["OS-EXT-IMG-SIZE:size"] = m.MinDisk, m.MinRAM, pairs(m.Properties), m.Size
	if server := m.Properties["instance_uuid"]; server != "" {
		o["server"] = object{"id": server, "links": c.links("/servers/" + server)}
	}
	return o
}

func (a *API) listImages(c *call) error       { return c.imagePage("/images", c.imageBrief) }
func (a *API) listImagesDetail(c *call) error { return c.imagePage("/images/detail", c.imageView) }

func (c *call) imagePage(path string, view func(*compute.MachineImage) object) error {
	p, err := c.page()
	if err != nil {
		return err
	}
	q := c.URL.Query()
	var rows []*compute.MachineImage
	err = c.read(func(tx *compute.Tx) error {
		rows, err = tx.MachineImages.List(compute.Query{Order: "-created"})
		return err
	})
	if err != nil {
		return err
	}
	rows = slices.DeleteFunc(rows, func(m *compute.MachineImage) bool {
		return !m.Visible(c.Caller) || m.Visibility == "community" && !c.Caller.Owns(m.ProjectID) || m.Hidden ||
			q.Get("name") != "" && q.Get("name") != m.Name || q.Get("status") != "" && q.Get("status") != imageStatus(m.Status) ||
			q.Get("server") != "" && lastPart(q.Get("server")) != m.Properties["instance_uuid"] ||
			q.Get("type") != "" && q.Get("type") != m.Properties["image_type"]
	})
	rows, more, err := cut(p, rows, func(m *compute.MachineImage) string { return m.ID })
	if err != nil {
		return err
	}
	views := []object{}
	for _, m := range rows {
		views = append(views, view(m))
	}
	o := object{"images": views}
	if more && len(rows) > 0 {
		o["images_links"] = c.nextLink(path, rows[len(rows)-1].ID)
	}
	return c.json(http.StatusOK, o)
}

func (c *call) image() (*compute.MachineImage, error) {
	var m *compute.MachineImage
	err := c.read(func(tx *compute.Tx) (err error) {
		m, err = tx.MachineImages.Get(c.PathValue("id"))
		if compute.IsKind(err, compute.NotFound) || err == nil && !m.Visible(c.Caller) {
			return notFound("Image not found.")
		}
		return err
	})
	return m, err
}

func (a *API) showImage(c *call) error {
	m, err := c.image()
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, object{"image": c.imageView(m)})
}

func (a *API) listImageMetadata(c *call) error {
	m, err := c.image()
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, object{"metadata": pairs(m.Properties)})
}

func (a *API) showImageMetadata(c *call) error {
	m, err := c.image()
	if err != nil {
		return err
	}
	key := c.PathValue("key")
	v, has := m.Properties[key]
	if !has {
		return notFound("Metadata item was not found")
	}
	return c.json(http.StatusOK, object{"meta": object{key: v}})
}

func (a *API) deleteImage(c *call) error {
	if _, err := c.image(); err != nil {
		return err
	}
	if err := a.Images.Delete(c.Context(), c.Caller, c.PathValue("id")); err != nil {
		return err
	}
	return c.empty(http.StatusNoContent)
}

// changeImage changes the properties of the path's image and gives them.
func (c *call) changeImage(change func(props map[string]string) error) (map[string]string, error) {
	if _, err := c.image(); err != nil {
		return nil, err
	}
	m, err := c.api.Images.Update(c.Context(), c.Caller, c.PathValue("id"), func(m *compute.MachineImage) error {
		props := maps.Clone(pairs(m.Properties))
		if err := change(props); err != nil {
			return err
		}
		m.Properties = props
		return nil
	})
	if err != nil {
		return nil, err
	}
	return pairs(m.Properties), nil
}

func (a *API) setImageMetadata(c *call) error    { return c.changeImageMetadata(true) }
func (a *API) updateImageMetadata(c *call) error { return c.changeImageMetadata(false) }

func (c *call) changeImageMetadata(replace bool) error {
	body, err := c.body(objectOf(fields{"metadata": metadata}, "metadata"))
	if err != nil {
		return err
	}
	all, err := c.changeImage(func(props map[string]string) error {
		if replace {
			clear(props)
		}
		maps.Copy(props, textMap(body, "metadata"))
		return nil
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, object{"metadata": all})
}

func (a *API) setImageMetadataItem(c *call) error {
	body, err := c.body(objectOf(fields{"meta": metadata}, "meta"))
	if err != nil {
		return err
	}
	key, in := c.PathValue("key"), textMap(body, "meta")
	if v, has := in[key]; !has || len(in) != 1 {
		return invalid("Request body and URI mismatch")
	} else if _, err := c.changeImage(func(props map[string]string) error { props[key] = v; return nil }); err != nil {
		return err
	}
	return c.json(http.StatusOK, object{"meta": in})
}

func (a *API) deleteImageMetadataItem(c *call) error {
	key := c.PathValue("key")
	_, err := c.changeImage(func(props map[string]string) error {
		if _, has := props[key]; !has {
			return notFound("Metadata item was not found")
		}
		delete(props, key)
		return nil
	})
	if err != nil {
		return err
	}
	return c.empty(http.StatusNoContent)
}
