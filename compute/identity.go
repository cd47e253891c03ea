package compute

import (
	"slices"
	"time"
)

// DomainDefault is the id of the domain that is always there.
const DomainDefault = "default"

// The roles that rules are written in. Admin implies member, member implies
// reader.
const (
	RoleAdmin   = "admin"
	RoleMember  = "member"
	RoleReader  = "reader"
	RoleService = "service"
)

// Domain holds users and projects under names of its own.
type Domain struct {
	ID, Name, Description string
	Enabled               bool
	Tags                  []string
	Created               time.Time
}

// Project owns instances, networks and machine images.
type Project struct {
	ID, Name, Description string
	DomainID              string
	ParentID              string // of a project, or the domain's id
	Enabled               bool
	Tags                  []string
	Extra                 map[string]any // attributes of the client's own
	Created               time.Time
}

// User is who may ask for tokens. PasswordHash is bcrypt's; it is never shown.
type User struct {
	ID, Name, Description, Email string
	DomainID, DefaultProjectID   string
	Enabled                      bool
	PasswordHash                 string
	PasswordChanged              time.Time
	AccessRules                  []AccessRule // made with application credentials; they outlive them
	Extra                        map[string]any
	Created                      time.Time
}

// Role is a name that rules know.
type Role struct {
	ID, Name, Description, DomainID string
	Implies                         []string // ids of roles that whoever has this one has too
	Extra                           map[string]any
	Created                         time.Time
}

// Group is users that get roles together.
type Group struct {
	ID, Name, Description, DomainID string
	UserIDs                         []string
	Created                         time.Time
}

// Assignment gives a role to a user or a group, in a project, a domain or the
// system. Its ID is made of its parts, so that giving it twice is one row.
type Assignment struct {
	ID                string
	ActorID           string // a user's or a group's id
	ActorIsGroup      bool
	TargetID          string // a project's or a domain's id, or "all" for the system
	TargetKind        string // "project", "domain" or "system"
	RoleID            string
	InheritedProjects bool
}

// Token is the right to act as a user in a project until it expires. Its ID is
// the SHA-256 of what the client holds, so that who reads the store cannot act.
type Token struct {
	ID                  string
	AuditID             string
	ParentAuditID       string // of the token that this one was made from
	UserID              string
	ProjectID, DomainID string // the scope; at most one is set
	System              bool   // scoped to the system
	Methods             []string
	RoleIDs             []string // as at issue, for tokens of application credentials; else empty: looked up
	AppCredentialID     string
	Issued, Expires     time.Time
}

// AppCredential lets a program act with some of a user's roles in one project.
type AppCredential struct {
	ID, Name, Description string
	UserID, ProjectID     string
	RoleIDs               []string
	SecretHash            string
	Unrestricted          bool
	AccessRules           []AccessRule
	Expires               time.Time // zero: never
	Created               time.Time
}

// AccessRule narrows an application credential to a request.
type AccessRule struct{ ID, Service, Method, Path string }

// Credential is a secret that is kept for a user as it is. Type "ec2" is a key
// pair that signs requests of the EC2 dialect: SigV4 needs the secret on both
// sides. Of other types only Blob is known.
type Credential struct {
	ID             string // of an EC2 key pair the SHA-256 of its first access key
	Type           string
	Access, Secret string // of type ec2
	Blob           string // of other types
	UserID         string
	ProjectID      string
	Created        time.Time
}

// Region, CatalogService and Endpoint are what an administrator added to the
// catalog, beside what this program serves by itself.
type Region struct {
	ID, Description, ParentID string
	Created                   time.Time
}

// CatalogService is a service of the catalog.
type CatalogService struct {
	ID, Name, Type, Description string
	Enabled                     bool
	Extra                       map[string]any
	Created                     time.Time
}

// Endpoint is an address of a service.
type Endpoint struct {
	ID, ServiceID, Interface, RegionID, URL, Name string
	Enabled                                       bool
	Created                                       time.Time
}

// Caller is who asks: a user within a scope, as a valid token says.
type Caller struct {
	UserID, UserName, UserDomainID string
	ProjectID, ProjectName         string
	DomainID                       string // of a domain-scoped token
	System                         bool
	Roles                          []string // names, implied ones included
	TokenID                        string
	AppCredentialID                string
	AccessRules                    []AccessRule // of the application credential; none: no request is refused for them
	RequestID                      string
}

// Is says whether the caller has a role, by name or by implication.
func (c Caller) Is(role string) bool {
	if slices.Contains(c.Roles, role) {
		return true
	}
	switch role {
	case RoleReader:
		return c.Is(RoleMember)
	case RoleMember:
		return c.Is(RoleAdmin)
	}
	return false
}

// Admin says whether the caller administers the cloud.
func (c Caller) Admin() bool { return c.Is(RoleAdmin) }

// Owns says whether a thing of a project is the caller's to see: their own
// project's, or anybody's for an administrator.
func (c Caller) Owns(projectID string) bool {
	return c.Admin() || projectID != "" && projectID == c.ProjectID
}
