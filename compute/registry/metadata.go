package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/disk"
)

// The visibilities of an image. A shared one is seen by its members.
const (
	Public    = "public"
	Private   = "private"
	Shared    = "shared"
	Community = "community"
)

// Bounds of names and texts. Unit: characters, as Glance's own schema has them,
// but for a property's value, which Glance bounds by its database alone.
const (
	nameMax          = 255
	propertyValueMax = 65535
	numberMax        = 1<<31 - 1 // of min_disk and min_ram
)

// DiskFormats are the formats that an image may be declared as: those that
// instances here can start from.
func DiskFormats() []string {
	return []string{disk.FormatQcow2, disk.FormatRaw, disk.FormatISO, disk.FormatAMI, disk.FormatAKI, disk.FormatARI}
}

// ContainerFormats are what bytes may be wrapped in: nothing. The names of
// Amazon's parts say what a part is for.
func ContainerFormats() []string { return []string{"bare", "ami", "aki", "ari"} }

// Visibilities are the visibilities that an image may have.
func Visibilities() []string { return []string{Public, Private, Shared, Community} }

// Create adds an image without bytes. m may have an ID, a ProjectID (an
// administrator's choice; else the caller's) and whatever a client may say of
// an image; the rest is filled in. Its errors are of kind Invalid, Denied (only
// administrators publish, or create for other projects), Conflict (the id is
// taken), TooLarge and OverQuota.
func (s *Service) Create(ctx context.Context, who compute.Caller, m *compute.MachineImage) error {
	row := *m
	now := s.now().UTC()
	if row.ID == "" {
		row.ID = compute.NewID()
	}
	if len(row.ID) != 36 || !compute.IsID(row.ID) || strings.ToLower(row.ID) != row.ID {
		return compute.Errorf(compute.Invalid, "Invalid image id format")
	}
	if row.ProjectID == "" {
		row.ProjectID = who.ProjectID
	}
	if row.Visibility == "" {
		row.Visibility = Shared
	}
	row.Tags = unique(row.Tags)
	row.Status, row.Key, row.Size, row.VirtualSize, row.Checksum, row.HashAlgo, row.HashValue = compute.ImageQueued, "", 0, 0, "", "", ""
	row.Members, row.Created, row.Updated = nil, now, now
	if row.ProjectID != who.ProjectID && !who.Admin() {
		return compute.Errorf(compute.Denied, "You are not permitted to create images owned by '%s'.", row.ProjectID)
	}
	if row.ProjectID == "" {
		return compute.Errorf(compute.Denied, "The token has no project that could own the image.")
	}
	if err := s.check(who, &row, nil); err != nil {
		return err
	}
	err := s.store.Write(ctx, func(tx *compute.Tx) error {
		if err := tx.MachineImages.Insert(&row); compute.IsKind(err, compute.Conflict) {
			return compute.Errorf(compute.Conflict, "Image ID %s already exists!", row.ID)
		} else if err != nil {
			return err
		}
		return tx.Charge(row.ProjectID, compute.QuotaImages, 1)
	})
	if err == nil {
		*m = row
	}
	return err
}

// Update changes what fn changes of an image: its name, formats, bounds, flags,
// visibility, tags, properties or owner. fn may run more than once. Changes of
// anything else are dropped. Its errors are fn's and those of Create.
func (s *Service) Update(ctx context.Context, who compute.Caller, id string, fn func(*compute.MachineImage) error) (*compute.MachineImage, error) {
	var out *compute.MachineImage
	err := s.store.Write(ctx, func(tx *compute.Tx) error {
		before, err := owned(tx, who, id)
		if err != nil {
			return err
		}
		m, err := tx.MachineImages.Get(id)
		if err != nil {
			return err
		}
		if err := fn(m); err != nil {
			return err
		}
		m.Tags = unique(m.Tags)
		m.ID, m.Status, m.Key, m.Created = before.ID, before.Status, before.Key, before.Created
		m.Size, m.VirtualSize, m.Checksum, m.HashAlgo, m.HashValue = before.Size, before.VirtualSize, before.Checksum, before.HashAlgo, before.HashValue
		m.Members = before.Members
		if err := s.check(who, m, before); err != nil {
			return err
		}
		if err := s.moveCharge(tx, before, m); err != nil {
			return err
		}
		m.Updated = s.now().UTC()
		out = m
		return tx.MachineImages.Update(m)
	})
	return out, err
}

// moveCharge charges a new owner, and gives back to the one before.
func (s *Service) moveCharge(tx *compute.Tx, before, after *compute.MachineImage) error {
	if before.ProjectID == after.ProjectID {
		return nil
	}
	for r, n := range charged(before) {
		if err := tx.Charge(before.ProjectID, r, -n); err != nil {
			return err
		}
		if err := tx.Charge(after.ProjectID, r, n); err != nil {
			return err
		}
	}
	return nil
}

// charged is what an image counts for against its project's quotas. Size is that
// of bytes that are active or staged, else 0.
func charged(m *compute.MachineImage) map[compute.Resource]int {
	return map[compute.Resource]int{compute.QuotaImages: 1, compute.QuotaImageBytes: mebibytes(m.Size)}
}

// requeued makes an image one without bytes, and gives back what those counted.
func (s *Service) requeued(tx *compute.Tx, m *compute.MachineImage) error {
	if err := tx.Charge(m.ProjectID, compute.QuotaImageBytes, -mebibytes(m.Size)); err != nil {
		return err
	}
	m.Status, m.Key, m.Size, m.Updated = compute.ImageQueued, "", 0, s.now().UTC()
	return tx.MachineImages.Update(m)
}

func mebibytes(n int64) int { return int((n + 1<<20 - 1) >> 20) }

// check holds the rules of what an image may be. before is nil for a new one.
func (s *Service) check(who compute.Caller, m, before *compute.MachineImage) error {
	if m.Visibility == Public && !who.Admin() && (before == nil || before.Visibility != Public) {
		return compute.Errorf(compute.Denied, "You are not authorized to complete publicize_image action.")
	}
	if before != nil && m.ProjectID != before.ProjectID && !who.Admin() {
		return compute.Errorf(compute.Denied, "Attribute 'owner' is read-only.")
	}
	if before != nil && before.Status != compute.ImageQueued && before.Status != compute.ImageImporting {
		if m.DiskFormat != before.DiskFormat {
			return compute.Errorf(compute.Denied, "Attribute disk_format can be only replaced for a queued image.")
		}
		if m.ContainerFormat != before.ContainerFormat {
			return compute.Errorf(compute.Denied, "Attribute container_format can be only replaced for a queued image.")
		}
	}
	for _, c := range []struct {
		name, value string
		list        []string
		empty       bool
	}{
		{"visibility", m.Visibility, Visibilities(), false},
		{"disk_format", m.DiskFormat, DiskFormats(), true},
		{"container_format", m.ContainerFormat, ContainerFormats(), true},
	} {
		if !slices.Contains(c.list, c.value) && !(c.empty && c.value == "") {
			return compute.Errorf(compute.Invalid, "Invalid image property: '%s' is not one of %v for %s", c.value, c.list, c.name)
		}
	}
	for name, n := range map[string]int{"min_disk": m.MinDisk, "min_ram": m.MinRAM} {
		if n < 0 || n > numberMax {
			return compute.Errorf(compute.Invalid, "Invalid value '%d' for parameter '%s': it must be from 0 to %d.", n, name, numberMax)
		}
	}
	if err := text("name", m.Name, nameMax); err != nil {
		return err
	}
	return s.checkLists(m)
}

// checkLists holds the bounds of tags and properties.
func (s *Service) checkLists(m *compute.MachineImage) error {
	if len(m.Tags) > s.cfg.TagsMax {
		return compute.Errorf(compute.TooLarge, "The limit has been exceeded on the number of allowed image tags. Attempted: %d, Maximum: %d", len(m.Tags), s.cfg.TagsMax)
	}
	if len(m.Properties) > s.cfg.PropertiesMax {
		return compute.Errorf(compute.TooLarge, "The limit has been exceeded on the number of allowed image properties. Attempted: %d, Maximum: %d", len(m.Properties), s.cfg.PropertiesMax)
	}
	for _, tag := range m.Tags {
		if err := text("tag", tag, nameMax); err != nil {
			return err
		}
	}
	for k, v := range m.Properties {
		if k == "" {
			return compute.Errorf(compute.Invalid, "A property must have a name.")
		}
		if err := text("property name", k, nameMax); err != nil {
			return err
		}
		if err := text("property "+k, v, propertyValueMax); err != nil {
			return err
		}
	}
	return nil
}

// text refuses what is no text or too long.
func text(what, s string, maxChars int) error {
	if utf8.RuneCountInString(s) > maxChars {
		return compute.Errorf(compute.Invalid, "Invalid image property: the %s is longer than %d characters.", what, maxChars)
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && !strings.ContainsRune("\t\n\r", r) }) {
		return compute.Errorf(compute.Invalid, "Invalid image property: the %s has characters that are not allowed.", what)
	}
	return nil
}

// unique gives the texts once each, in order.
func unique(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

// Delete removes an image, and its bytes once no base needs them: what instances
// run from stays. Its errors are of kind NotFound, and Denied for a protected image or
// one of another project.
func (s *Service) Delete(ctx context.Context, who compute.Caller, id string) error {
	var key string
	err := s.store.Write(ctx, func(tx *compute.Tx) error {
		m, err := owned(tx, who, id)
		if err != nil {
			return err
		}
		if m.Protected {
			return compute.Errorf(compute.Denied, "Image %s is protected and cannot be deleted.", id)
		}
		for r, n := range charged(m) {
			if err := tx.Charge(m.ProjectID, r, -n); err != nil {
				return err
			}
		}
		shares, err := tx.ImageShares.List(compute.Query{Where: compute.Where{"image_id": id}})
		if err != nil {
			return err
		}
		for _, share := range shares {
			if err := tx.ImageShares.Delete(share.ID); err != nil {
				return err
			}
		}
		key = m.Key
		return tx.MachineImages.Delete(id)
	})
	if err != nil {
		return err
	}
	// From here on the image is gone for everybody; what is left to do a sweep does as well.
	s.dropBytes(ctx, key)
	s.dropStaged(id)
	s.poke()
	return nil
}

// SetActive deactivates an image, so that only administrators get its bytes and
// nothing new starts from it, or lets it be used again.
func (s *Service) SetActive(ctx context.Context, who compute.Caller, id string, active bool) error {
	from, to := compute.ImageActive, compute.ImageDeactivated
	if active {
		from, to = to, from
	}
	return s.store.Write(ctx, func(tx *compute.Tx) error {
		m, err := owned(tx, who, id)
		if err != nil {
			return err
		}
		switch m.Status {
		case to:
			return nil
		case from:
			m.Status, m.Updated = to, s.now().UTC()
			return tx.MachineImages.Update(m)
		}
		return compute.Errorf(compute.Denied, "%s", transition(m.Status, to))
	})
}

func transition(from, to compute.ImageStatus) string {
	return fmt.Sprintf("Image status transition from %s to %s is not allowed", from, to)
}
