package compute

import "time"

// Metadef is a namespace of metadata definitions: what the properties of images,
// flavors and the like may be, for clients that offer them in forms. Nothing here
// is bound by them.
type Metadef struct {
	ID          string // the namespace's name: OS::Compute::Libvirt
	DisplayName string
	Description string
	ProjectID   string
	Visibility  string // public, private
	Protected   bool
	// Objects, Properties and Tags are its definitions, in the order in which they came.
	Objects, Properties, Tags []MetadefItem
	ResourceTypes             []MetadefResource
	Created, Updated          time.Time
}

// MetadefItem is one definition. Fields is what the client wrote, but for the name.
type MetadefItem struct {
	Name             string
	Fields           map[string]any
	Created, Updated time.Time
}

// MetadefResource says for what a namespace is: OS::Nova::Flavor.
type MetadefResource struct {
	Name, Prefix, PropertiesTarget string
	Created, Updated               time.Time
}

// Visible says whether a caller may see the namespace.
func (m *Metadef) Visible(c Caller) bool { return m.Visibility == "public" || c.Owns(m.ProjectID) }
