package identity

import (
	"slices"
	"strings"

	"github.com/kamado/kamado/compute"
)

// SystemAll is the one target of roles in the system.
const SystemAll = "all"

// The kinds of targets.
const (
	KindProject = "project"
	KindDomain  = "domain"
	KindSystem  = "system"
)

// Target is where roles hold: at most one field is set.
type Target struct {
	ProjectID, DomainID string
	System              bool
}

// kind gives the target as an Assignment spells it.
func (t Target) kind() (kind, id string) {
	switch {
	case t.ProjectID != "":
		return KindProject, t.ProjectID
	case t.DomainID != "":
		return KindDomain, t.DomainID
	}
	return KindSystem, SystemAll
}

// AssignmentID makes the id of an assignment out of its parts.
func AssignmentID(a *compute.Assignment) string {
	parts := []string{a.TargetKind, a.TargetID, "user", a.ActorID, a.RoleID}
	if a.ActorIsGroup {
		parts[2] = "group"
	}
	if a.InheritedProjects {
		parts = append(parts, "inherited")
	}
	return strings.Join(parts, "/")
}

// allRoles gives every role by its id.
func allRoles(tx *compute.Tx) (map[string]*compute.Role, error) {
	list, err := tx.Roles.List(compute.Query{})
	if err != nil {
		return nil, err
	}
	m := make(map[string]*compute.Role, len(list))
	for _, r := range list {
		m[r.ID] = r
	}
	return m, nil
}

// imply gives the ids and all that they imply.
func imply(all map[string]*compute.Role, ids []string) map[string]bool {
	got := map[string]bool{}
	for queue := slices.Clone(ids); len(queue) > 0; {
		id := queue[0]
		queue = queue[1:]
		if got[id] || all[id] == nil {
			continue
		}
		got[id] = true
		queue = append(queue, all[id].Implies...)
	}
	return got
}

// GroupsOf gives the groups that a user is in.
func GroupsOf(tx *compute.Tx, userID string) ([]*compute.Group, error) {
	list, err := tx.Groups.List(compute.Query{})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list, func(g *compute.Group) bool { return !slices.Contains(g.UserIDs, userID) }), nil
}

// assignmentsOf gives what was assigned to a user and to its groups.
func assignmentsOf(tx *compute.Tx, userID string) ([]*compute.Assignment, error) {
	actors := []string{userID}
	groups, err := GroupsOf(tx, userID)
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		actors = append(actors, g.ID)
	}
	return tx.Assignments.List(compute.Query{Where: compute.Where{"actor_id": actors}})
}

// Ancestors gives the parents of a project, the nearest first, without the
// domain.
func Ancestors(tx *compute.Tx, p *compute.Project) ([]*compute.Project, error) {
	var list []*compute.Project
	for len(list) < depthMax && p.ParentID != "" && p.ParentID != p.DomainID {
		parent, err := tx.Projects.Get(p.ParentID)
		if err != nil {
			return nil, err
		}
		list, p = append(list, parent), parent
	}
	return list, nil
}

// holds says whether an assignment gives its role in a target, whose ancestors
// (a project's parents and domain) are above.
func holds(a *compute.Assignment, target Target, above map[string]bool) bool {
	kind, id := target.kind()
	if !a.InheritedProjects {
		return a.TargetKind == kind && a.TargetID == id
	}
	return kind == KindProject && above[a.TargetID]
}

// above gives the ids of what a target inherits roles from.
func aboveOf(tx *compute.Tx, target Target) (map[string]bool, error) {
	if target.ProjectID == "" {
		return nil, nil
	}
	p, err := tx.Projects.Get(target.ProjectID)
	if err != nil {
		return nil, err
	}
	parents, err := Ancestors(tx, p)
	if err != nil {
		return nil, err
	}
	ids := map[string]bool{p.DomainID: true}
	for _, parent := range parents {
		ids[parent.ID] = true
	}
	return ids, nil
}

// EffectiveRoles gives the roles that a user has in a target: its own, those of
// its groups, inherited and implied ones, by name. Roles of a domain count only
// for what they imply, as in Keystone.
func EffectiveRoles(tx *compute.Tx, userID string, target Target) ([]*compute.Role, error) {
	assignments, err := assignmentsOf(tx, userID)
	if err != nil {
		return nil, err
	}
	above, err := aboveOf(tx, target)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, a := range assignments {
		if holds(a, target, above) {
			ids = append(ids, a.RoleID)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	all, err := allRoles(tx)
	if err != nil {
		return nil, err
	}
	var roles []*compute.Role
	for id := range imply(all, ids) {
		if all[id].DomainID == "" {
			roles = append(roles, all[id])
		}
	}
	slices.SortFunc(roles, byName)
	return roles, nil
}
