package compute

import "time"

// ImageStatus is where a machine image is in its life, in Glance's words.
type ImageStatus string

// The states: queued until bytes come, saving while they do, active when they
// can be booted. A deleted image is a row no more.
const (
	ImageQueued        ImageStatus = "queued"
	ImageSaving        ImageStatus = "saving"
	ImageActive        ImageStatus = "active"
	ImageDeactivated   ImageStatus = "deactivated"
	ImageKilled        ImageStatus = "killed"
	ImageImporting     ImageStatus = "importing"
	ImageUploading     ImageStatus = "uploading"
	ImagePendingDelete ImageStatus = "pending_delete"
)

// MachineImage is what an instance's disk starts as. Its bytes lie in a
// blob.Store under Key.
type MachineImage struct {
	ID, Name        string
	ProjectID       string
	Status          ImageStatus
	Visibility      string // public, private, shared, community
	DiskFormat      string // raw, qcow2, aki, ari, ami, iso, …; empty until told
	ContainerFormat string // bare, aki, ari, ami, ovf, …
	MinDisk, MinRAM int    // GiB, MiB
	Protected       bool
	Hidden          bool
	Tags            []string
	Properties      map[string]string // kernel_id, ramdisk_id, os_type, hw_… and the client's own
	Key             string            // of the bytes; empty when there are none
	Size            int64             // bytes
	VirtualSize     int64             // bytes of the disk inside; 0 when unknown
	Checksum        string            // MD5, hexadecimal
	HashAlgo        string            // "sha512"
	HashValue       string
	Members         []ImageMember
	Created         time.Time
	Updated         time.Time
}

// ImageMember is a project that an image is shared with.
type ImageMember struct {
	ProjectID, Status string // pending, accepted, rejected
	Created, Updated  time.Time
}

// ImageShare is a member of an image as its own row, so that what is shared with a
// project is found by index. It is changed in the same write as Members.
type ImageShare struct {
	ID                 string // ImageShareID
	ImageID, ProjectID string
}

// ImageShareID makes the id of a share.
func ImageShareID(imageID, projectID string) string { return imageID + "/" + projectID }

// Visible says whether a caller may see and boot the image.
func (m *MachineImage) Visible(c Caller) bool {
	if c.Owns(m.ProjectID) || m.Visibility == "public" || m.Visibility == "community" {
		return true
	}
	if m.Visibility != "shared" {
		return false
	}
	for _, member := range m.Members {
		if member.ProjectID == c.ProjectID && c.ProjectID != "" {
			return true
		}
	}
	return false
}
