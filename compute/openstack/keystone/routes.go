package keystone

import (
	"net/http"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/openstack"
)

// handler is a route's work.
type handler = func(w http.ResponseWriter, r *openstack.Request) error

// routes is the whole table.
func (a *api) routes() []openstack.Route {
	var list []openstack.Route
	for _, part := range [][]openstack.Route{
		a.versionRoutes(), a.authRoutes(), a.userRoutes(), a.credentialRoutes(), a.projectRoutes(), a.domainRoutes(), a.groupRoutes(),
		a.roleRoutes(), a.assignmentRoutes(), a.catalogRoutes(), a.limitRoutes(),
	} {
		list = append(list, part...)
	}
	return list
}

func (a *api) userRoutes() []openstack.Route {
	return []openstack.Route{
		{Method: "GET", Pattern: "/v3/users", Rule: openstack.AsAdmin, Handle: a.listUsers},
		{Method: "POST", Pattern: "/v3/users", Rule: openstack.AsAdmin, Handle: a.createUser},
		{Method: "GET", Pattern: "/v3/users/{user}", Rule: openstack.AnyToken, Handle: a.ofUser(a.showUser)},
		{Method: "PATCH", Pattern: "/v3/users/{user}", Rule: openstack.AsAdmin, Handle: a.updateUser},
		{Method: "DELETE", Pattern: "/v3/users/{user}", Rule: openstack.AsAdmin, Handle: removing("user", a.Identity.DeleteUser)},
		{Method: "POST", Pattern: "/v3/users/{user}/password", Rule: openstack.Open, Handle: a.changePassword},
		{Method: "GET", Pattern: "/v3/users/{user}/projects", Rule: openstack.AnyToken, Handle: a.ofUser(a.listUserProjects)},
		{Method: "GET", Pattern: "/v3/users/{user}/groups", Rule: openstack.AnyToken, Handle: a.ofUser(a.listUserGroups)},
	}
}

func (a *api) credentialRoutes() []openstack.Route {
	return []openstack.Route{
		{Method: "GET", Pattern: "/v3/users/{user}/application_credentials", Rule: openstack.AnyToken, Handle: a.ofUser(a.listAppCredentials)},
		{Method: "POST", Pattern: "/v3/users/{user}/application_credentials", Rule: openstack.AnyToken, Handle: a.createAppCredential},
		{Method: "GET", Pattern: "/v3/users/{user}/application_credentials/{id}", Rule: openstack.AnyToken, Handle: a.ofUser(a.showAppCredential)},
		{Method: "DELETE", Pattern: "/v3/users/{user}/application_credentials/{id}", Rule: openstack.AnyToken, Handle: a.ofUser(a.unrestricted(a.deleteAppCredential))},
		{Method: "GET", Pattern: "/v3/users/{user}/access_rules", Rule: openstack.AnyToken, Handle: a.ofUser(a.listAccessRules)},
		{Method: "GET", Pattern: "/v3/users/{user}/access_rules/{id}", Rule: openstack.AnyToken, Handle: a.ofUser(a.showAccessRule)},
		{Method: "DELETE", Pattern: "/v3/users/{user}/access_rules/{id}", Rule: openstack.AnyToken, Handle: a.ofUser(a.unrestricted(a.deleteAccessRule))},
		{Method: "GET", Pattern: "/v3/users/{user}/credentials/OS-EC2", Rule: openstack.AnyToken, Handle: a.ofUser(a.listEC2)},
		{Method: "POST", Pattern: "/v3/users/{user}/credentials/OS-EC2", Rule: openstack.AnyToken, Handle: a.ofUser(a.unrestricted(a.createEC2))},
		{Method: "GET", Pattern: "/v3/users/{user}/credentials/OS-EC2/{access}", Rule: openstack.AnyToken, Handle: a.ofUser(a.showEC2)},
		{Method: "DELETE", Pattern: "/v3/users/{user}/credentials/OS-EC2/{access}", Rule: openstack.AnyToken, Handle: a.ofUser(a.unrestricted(a.deleteEC2))},
		{Method: "GET", Pattern: "/v3/credentials", Rule: openstack.AnyToken, Handle: a.listCredentials},
		{Method: "POST", Pattern: "/v3/credentials", Rule: openstack.AnyToken, Handle: a.unrestricted(a.createCredential)},
		{Method: "GET", Pattern: "/v3/credentials/{id}", Rule: openstack.AnyToken, Handle: a.showCredential},
		{Method: "PATCH", Pattern: "/v3/credentials/{id}", Rule: openstack.AnyToken, Handle: a.unrestricted(a.updateCredential)},
		{Method: "DELETE", Pattern: "/v3/credentials/{id}", Rule: openstack.AnyToken, Handle: a.unrestricted(a.deleteCredential)},
	}
}

func (a *api) projectRoutes() []openstack.Route {
	return []openstack.Route{
		{Method: "GET", Pattern: "/v3/projects", Rule: openstack.AsAdmin, Handle: a.listProjects},
		{Method: "POST", Pattern: "/v3/projects", Rule: openstack.AsAdmin, Handle: a.createProject},
		{Method: "GET", Pattern: "/v3/projects/{project}", Rule: openstack.AnyToken, Handle: a.ofProject(a.showProject)},
		{Method: "PATCH", Pattern: "/v3/projects/{project}", Rule: openstack.AsAdmin, Handle: a.updateProject},
		{Method: "DELETE", Pattern: "/v3/projects/{project}", Rule: openstack.AsAdmin, Handle: a.deleteProject},
		{Method: "GET", Pattern: "/v3/projects/{project}/tags", Rule: openstack.AnyToken, Handle: a.ofProject(a.listTags)},
		{Method: "PUT", Pattern: "/v3/projects/{project}/tags", Rule: openstack.AsAdmin, Handle: a.setTags},
		{Method: "DELETE", Pattern: "/v3/projects/{project}/tags", Rule: openstack.AsAdmin, Handle: a.clearTags},
		{Method: "GET", Pattern: "/v3/projects/{project}/tags/{tag}", Rule: openstack.AnyToken, Handle: a.ofProject(a.hasTag)},
		{Method: "PUT", Pattern: "/v3/projects/{project}/tags/{tag}", Rule: openstack.AsAdmin, Handle: a.addTag},
		{Method: "DELETE", Pattern: "/v3/projects/{project}/tags/{tag}", Rule: openstack.AsAdmin, Handle: a.removeTag},
	}
}

func (a *api) domainRoutes() []openstack.Route {
	return []openstack.Route{
		{Method: "GET", Pattern: "/v3/domains", Rule: openstack.AsAdmin, Handle: a.listDomains},
		{Method: "POST", Pattern: "/v3/domains", Rule: openstack.AsAdmin, Handle: creating("domain", "name", compute.Domain{Enabled: true}, readDomain, a.Identity.CreateDomain, a.domainView)},
		{Method: "GET", Pattern: "/v3/domains/{domain}", Rule: openstack.AnyToken, Handle: a.showDomain},
		{Method: "PATCH", Pattern: "/v3/domains/{domain}", Rule: openstack.AsAdmin, Handle: changing("domain", readDomain, a.Identity.UpdateDomain, a.domainView)},
		{Method: "DELETE", Pattern: "/v3/domains/{domain}", Rule: openstack.AsAdmin, Handle: removing("domain", a.Identity.DeleteDomain)},
	}
}

func (a *api) groupRoutes() []openstack.Route {
	return []openstack.Route{
		{Method: "GET", Pattern: "/v3/groups", Rule: openstack.AsAdmin, Handle: a.listGroups},
		{Method: "POST", Pattern: "/v3/groups", Rule: openstack.AsAdmin, Handle: creating("group", "name", compute.Group{}, readGroup, a.Identity.CreateGroup, a.groupView)},
		{Method: "GET", Pattern: "/v3/groups/{group}", Rule: openstack.AsAdmin, Handle: a.showGroup},
		{Method: "PATCH", Pattern: "/v3/groups/{group}", Rule: openstack.AsAdmin, Handle: changing("group", readGroup, a.Identity.UpdateGroup, a.groupView)},
		{Method: "DELETE", Pattern: "/v3/groups/{group}", Rule: openstack.AsAdmin, Handle: removing("group", a.Identity.DeleteGroup)},
		{Method: "GET", Pattern: "/v3/groups/{group}/users", Rule: openstack.AsAdmin, Handle: a.listMembers},
		{Method: "GET", Pattern: "/v3/groups/{group}/users/{user}", Rule: openstack.AnyToken, Handle: a.ofUser(a.isMember)},
		{Method: "PUT", Pattern: "/v3/groups/{group}/users/{user}", Rule: openstack.AsAdmin, Handle: a.addMember},
		{Method: "DELETE", Pattern: "/v3/groups/{group}/users/{user}", Rule: openstack.AsAdmin, Handle: a.removeMember},
	}
}

func (a *api) roleRoutes() []openstack.Route {
	return []openstack.Route{
		{Method: "GET", Pattern: "/v3/roles", Rule: openstack.AsAdmin, Handle: a.listRoles},
		{Method: "POST", Pattern: "/v3/roles", Rule: openstack.AsAdmin, Handle: creating("role", "name", compute.Role{}, readRole, a.Identity.CreateRole, a.roleView)},
		{Method: "GET", Pattern: "/v3/roles/{role}", Rule: openstack.AsAdmin, Handle: a.showRole},
		{Method: "PATCH", Pattern: "/v3/roles/{role}", Rule: openstack.AsAdmin, Handle: changing("role", readRole, a.Identity.UpdateRole, a.roleView)},
		{Method: "DELETE", Pattern: "/v3/roles/{role}", Rule: openstack.AsAdmin, Handle: removing("role", a.Identity.DeleteRole)},
		{Method: "GET", Pattern: "/v3/roles/{role}/implies", Rule: openstack.AsAdmin, Handle: a.listImplied},
		{Method: "GET", Pattern: "/v3/roles/{role}/implies/{implied}", Rule: openstack.AsAdmin, Handle: a.showImplied},
		{Method: "PUT", Pattern: "/v3/roles/{role}/implies/{implied}", Rule: openstack.AsAdmin, Handle: a.createImplied},
		{Method: "DELETE", Pattern: "/v3/roles/{role}/implies/{implied}", Rule: openstack.AsAdmin, Handle: a.deleteImplied},
		{Method: "GET", Pattern: "/v3/role_inferences", Rule: openstack.AsAdmin, Handle: a.listInferences},
	}
}

// assignmentRoutes are the same for each kind of target, actor and inheritance.
func (a *api) assignmentRoutes() []openstack.Route {
	list := []openstack.Route{{Method: "GET", Pattern: "/v3/role_assignments", Rule: openstack.AsAdmin, Handle: a.listAssignments}}
	for _, g := range grants() {
		many, one := g.paths()
		list = append(list,
			openstack.Route{Method: "GET", Pattern: many, Rule: openstack.AsAdmin, Handle: a.listGrants(g)},
			openstack.Route{Method: "GET", Pattern: one, Rule: openstack.AsAdmin, Handle: a.checkGrant(g)},
			openstack.Route{Method: "PUT", Pattern: one, Rule: openstack.AsAdmin, Handle: a.grant(g)},
			openstack.Route{Method: "DELETE", Pattern: one, Rule: openstack.AsAdmin, Handle: a.revokeGrant(g)})
	}
	return list
}

func (a *api) catalogRoutes() []openstack.Route {
	return []openstack.Route{
		{Method: "GET", Pattern: "/v3/regions", Rule: openstack.AnyToken, Handle: a.listRegions},
		{Method: "POST", Pattern: "/v3/regions", Rule: openstack.AsAdmin, Handle: a.createRegion},
		{Method: "GET", Pattern: "/v3/regions/{region}", Rule: openstack.AnyToken, Handle: a.showRegion},
		{Method: "PUT", Pattern: "/v3/regions/{region}", Rule: openstack.AsAdmin, Handle: a.createRegion},
		{Method: "PATCH", Pattern: "/v3/regions/{region}", Rule: openstack.AsAdmin, Handle: changing("region", readRegion, a.Identity.UpdateRegion, a.regionView)},
		{Method: "DELETE", Pattern: "/v3/regions/{region}", Rule: openstack.AsAdmin, Handle: removing("region", a.Identity.DeleteRegion)},
		{Method: "GET", Pattern: "/v3/services", Rule: openstack.AsAdmin, Handle: a.listServices},
		{Method: "POST", Pattern: "/v3/services", Rule: openstack.AsAdmin, Handle: creating("service", "type", compute.CatalogService{Enabled: true}, readService, a.Identity.CreateCatalogService, a.serviceView)},
		{Method: "GET", Pattern: "/v3/services/{service}", Rule: openstack.AsAdmin, Handle: a.showService},
		{Method: "PATCH", Pattern: "/v3/services/{service}", Rule: openstack.AsAdmin, Handle: a.updateService},
		{Method: "DELETE", Pattern: "/v3/services/{service}", Rule: openstack.AsAdmin, Handle: a.deleteService},
		{Method: "GET", Pattern: "/v3/endpoints", Rule: openstack.AsAdmin, Handle: a.listEndpoints},
		{Method: "POST", Pattern: "/v3/endpoints", Rule: openstack.AsAdmin, Handle: a.createEndpoint},
		{Method: "GET", Pattern: "/v3/endpoints/{endpoint}", Rule: openstack.AsAdmin, Handle: a.showEndpoint},
		{Method: "PATCH", Pattern: "/v3/endpoints/{endpoint}", Rule: openstack.AsAdmin, Handle: a.updateEndpoint},
		{Method: "DELETE", Pattern: "/v3/endpoints/{endpoint}", Rule: openstack.AsAdmin, Handle: a.deleteEndpoint},
	}
}
