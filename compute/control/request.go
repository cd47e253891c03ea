package control

import (
	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/fabric"
)

// CreateRequest asks for one or several instances.
type CreateRequest struct {
	Name, Description string
	Hostname          string // empty: made from the name
	FlavorID, ImageID string
	Networks          []fabric.Want // as fabric.Service.Plug takes them
	SecurityGroups    []string      // names or ids
	KeyName           string
	UserData          string // base64
	Metadata          map[string]string
	Files             []compute.InjectedFile
	AdminPass         string // empty: made; see the instances that Create gives
	Min, Max          int    // 0: 1; Max 0: as Min
	Zone              string // empty: any
	Host              string // forced, for administrators
	ConfigDrive       bool
	Tags              []string
	TrustedCerts      []string
	DiskConfig        string // AUTO, MANUAL; empty: MANUAL
	AccessIPv4        string
	AccessIPv6        string
	GroupID           string   // server group, of the scheduler hint "group"
	SameHost          []string // instances, of the hint "same_host"
	DifferentHost     []string // of the hint "different_host"
}

// RebuildRequest asks for a fresh disk. A nil field stays as it is.
type RebuildRequest struct {
	ImageID           string
	Name, Description *string
	AdminPass         string // empty: made
	Metadata          map[string]string
	ClearMetadata     bool
	KeyName           *string // "": none
	UserData          *string
	Hostname          *string
	AccessIPv4        *string
	AccessIPv6        *string
	DiskConfig        *string
	Files             []compute.InjectedFile
	TrustedCerts      *[]string
}

// UpdateRequest changes what is only said of an instance. A nil field stays.
type UpdateRequest struct {
	Name, Description, Hostname        *string
	AccessIPv4, AccessIPv6, DiskConfig *string
}
