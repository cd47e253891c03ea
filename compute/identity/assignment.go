package identity

import (
	"context"
	"errors"
	"slices"

	"github.com/kamado/kamado/compute"
)

// CreateRole adds a role, of a domain or (without one) of all. Its ID is set.
func (s *Service) CreateRole(ctx context.Context, r *compute.Role) error {
	r.ID, r.Created = compute.NewHexID(), s.now()
	if err := checkName(r.Name, nameMax); err != nil {
		return err
	}
	return s.write(ctx, func(tx *compute.Tx) error {
		if r.DomainID != "" {
			if _, err := found(tx.Domains.Get(r.DomainID))("domain", r.DomainID); err != nil {
				return err
			}
		}
		return stored(tx.Roles.Insert(r), "role", r.Name, r.DomainID)
	})
}

// builtIn says whether rules of this program name a role.
func builtIn(r *compute.Role) bool {
	return r.DomainID == "" && slices.Contains([]string{compute.RoleAdmin, compute.RoleMember, compute.RoleReader, compute.RoleService}, r.Name)
}

// UpdateRole changes a role by fn. Those that rules name keep their names.
func (s *Service) UpdateRole(ctx context.Context, id string, fn func(*compute.Role) error) (*compute.Role, error) {
	var r *compute.Role
	err := s.write(ctx, func(tx *compute.Tx) (err error) {
		if r, err = found(tx.Roles.Get(id))("role", id); err != nil {
			return err
		}
		old := *r
		if err := fn(r); err != nil {
			return err
		}
		if r.DomainID != old.DomainID {
			return compute.Errorf(compute.Invalid, "Cannot change the domain of a role.")
		}
		if builtIn(&old) && r.Name != old.Name {
			return compute.Errorf(compute.Denied, "The role %s is one that rules name: it cannot be renamed.", old.Name)
		}
		if err := checkName(r.Name, nameMax); err != nil {
			return err
		}
		return stored(tx.Roles.Update(r), "role", r.Name, r.DomainID)
	})
	return r, err
}

// DeleteRole removes a role wherever it is given or implied.
func (s *Service) DeleteRole(ctx context.Context, id string) error {
	return s.write(ctx, func(tx *compute.Tx) error {
		r, err := found(tx.Roles.Get(id))("role", id)
		if err != nil {
			return err
		}
		if builtIn(r) {
			return compute.Errorf(compute.Denied, "The role %s is one that rules name: it cannot be deleted.", r.Name)
		}
		return deleteRole(tx, id)
	})
}

func deleteRole(tx *compute.Tx, id string) error {
	all, err := allRoles(tx)
	if err != nil {
		return err
	}
	for _, r := range all {
		if i := slices.Index(r.Implies, id); i >= 0 {
			r.Implies = slices.Delete(r.Implies, i, i+1)
			if err := tx.Roles.Update(r); err != nil {
				return err
			}
		}
	}
	return errors.Join(
		deleteWhere(tx.Assignments, compute.Where{"role_id": id}, func(a *compute.Assignment) string { return a.ID }),
		tx.Roles.Delete(id))
}

// Imply lets whoever has one role have another too, or ends that.
func (s *Service) Imply(ctx context.Context, priorID, impliedID string, on bool) error {
	return s.write(ctx, func(tx *compute.Tx) error {
		prior, implied, err := rolePair(tx, priorID, impliedID)
		if err != nil {
			return err
		}
		i := slices.Index(prior.Implies, impliedID)
		if !on {
			if i < 0 {
				return Absent("implied role", priorID+" -> "+impliedID)
			}
			prior.Implies = slices.Delete(prior.Implies, i, i+1)
			return tx.Roles.Update(prior)
		}
		if implied.DomainID != "" && prior.DomainID == "" {
			return compute.Errorf(compute.Denied, "A role of all domains cannot imply one of a single domain.")
		}
		if implied.DomainID == "" && implied.Name == compute.RoleAdmin {
			return compute.Errorf(compute.Denied, "The role admin cannot be implied.")
		}
		all, err := allRoles(tx)
		if err != nil {
			return err
		}
		if imply(all, []string{impliedID})[priorID] {
			return compute.Errorf(compute.Invalid, "The roles would imply each other.")
		}
		if i < 0 {
			prior.Implies = append(prior.Implies, impliedID)
		}
		return tx.Roles.Update(prior)
	})
}

func rolePair(tx *compute.Tx, priorID, impliedID string) (prior, implied *compute.Role, err error) {
	if prior, err = found(tx.Roles.Get(priorID))("role", priorID); err != nil {
		return nil, nil, err
	}
	implied, err = found(tx.Roles.Get(impliedID))("role", impliedID)
	return prior, implied, err
}

// Assign gives a role. Its ID is set; giving it twice is giving it once.
func (s *Service) Assign(ctx context.Context, a compute.Assignment) error {
	a.ID = AssignmentID(&a)
	return s.write(ctx, func(tx *compute.Tx) error {
		if err := CheckAssignment(tx, &a); err != nil {
			return err
		}
		return ensure(tx.Assignments, a.ID, &a)
	})
}

// Unassign takes a role away.
func (s *Service) Unassign(ctx context.Context, a compute.Assignment) error {
	return s.write(ctx, func(tx *compute.Tx) error {
		if err := CheckAssignment(tx, &a); err != nil {
			return err
		}
		err := tx.Assignments.Delete(AssignmentID(&a))
		if compute.IsKind(err, compute.NotFound) {
			return compute.Errorf(compute.NotFound, "Could not find role assignment with role: %s, user or group: %s, project, domain, or system: %s.", a.RoleID, a.ActorID, a.TargetID)
		}
		return err
	})
}

// CheckAssignment says whether everything that an assignment names is there.
func CheckAssignment(tx *compute.Tx, a *compute.Assignment) error {
	if a.RoleID != "" {
		r, err := found(tx.Roles.Get(a.RoleID))("role", a.RoleID)
		if err != nil {
			return err
		}
		if r.DomainID != "" && a.TargetKind == KindSystem {
			return compute.Errorf(compute.Denied, "A role of a domain cannot be given in the system.")
		}
	}
	if err := checkActor(tx, a); err != nil {
		return err
	}
	switch a.TargetKind {
	case KindProject:
		_, err := found(tx.Projects.Get(a.TargetID))("project", a.TargetID)
		return err
	case KindDomain:
		_, err := found(tx.Domains.Get(a.TargetID))("domain", a.TargetID)
		return err
	}
	return nil
}

func checkActor(tx *compute.Tx, a *compute.Assignment) error {
	if a.ActorIsGroup {
		_, err := found(tx.Groups.Get(a.ActorID))("group", a.ActorID)
		return err
	}
	_, err := found(tx.Users.Get(a.ActorID))("user", a.ActorID)
	return err
}

// Given says whether an assignment is there as it is.
func Given(tx *compute.Tx, a *compute.Assignment) error {
	if err := CheckAssignment(tx, a); err != nil {
		return err
	}
	_, err := found(tx.Assignments.Get(AssignmentID(a)))("role assignment with role", a.RoleID)
	return err
}

// Assigned gives the roles that were given to an actor in a target, as they
// were given: no implied ones, none of groups.
func Assigned(tx *compute.Tx, want *compute.Assignment) ([]*compute.Role, error) {
	if err := CheckAssignment(tx, want); err != nil {
		return nil, err
	}
	list, err := tx.Assignments.List(compute.Query{Where: compute.Where{"actor_id": want.ActorID, "target_id": want.TargetID}})
	if err != nil {
		return nil, err
	}
	roles := []*compute.Role{}
	for _, a := range list {
		if a.InheritedProjects != want.InheritedProjects || a.ActorIsGroup != want.ActorIsGroup || a.TargetKind != want.TargetKind {
			continue
		}
		r, err := tx.Roles.Get(a.RoleID)
		if err != nil {
			return nil, err
		}
		roles = append(roles, r)
	}
	slices.SortFunc(roles, byName)
	return roles, nil
}

// ProjectsOf gives the projects in which a user has a role that counts.
func ProjectsOf(tx *compute.Tx, userID string) ([]*compute.Project, error) {
	assignments, err := assignmentsOf(tx, userID)
	if err != nil {
		return nil, err
	}
	ids := map[string]bool{}
	for _, a := range assignments {
		if !a.InheritedProjects {
			if a.TargetKind == KindProject {
				ids[a.TargetID] = true
			}
			continue
		}
		below, err := Below(tx, a.TargetKind, a.TargetID)
		if err != nil {
			return nil, err
		}
		for _, p := range below {
			ids[p.ID] = true
		}
	}
	list := []*compute.Project{}
	for id := range ids {
		p, err := tx.Projects.Get(id)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b *compute.Project) int { return compare(a.Name, b.Name, a.ID, b.ID) })
	return list, nil
}

// Below gives the projects that inherit from a project or a domain, without
// itself.
func Below(tx *compute.Tx, kind, id string) ([]*compute.Project, error) {
	if kind == KindDomain {
		return tx.Projects.List(compute.Query{Where: compute.Where{"domain_id": id}})
	}
	var list []*compute.Project
	for level := []string{id}; len(level) > 0; {
		children, err := tx.Projects.List(compute.Query{Where: compute.Where{"parent_id": level}})
		if err != nil {
			return nil, err
		}
		level = level[:0:0]
		for _, c := range children {
			level = append(level, c.ID)
		}
		list = append(list, children...)
	}
	return list, nil
}

// DomainsOf gives the domains in which a user has a role.
func DomainsOf(tx *compute.Tx, userID string) ([]*compute.Domain, error) {
	assignments, err := assignmentsOf(tx, userID)
	if err != nil {
		return nil, err
	}
	list, seen := []*compute.Domain{}, map[string]bool{}
	for _, a := range assignments {
		if a.TargetKind != KindDomain || a.InheritedProjects || seen[a.TargetID] {
			continue
		}
		seen[a.TargetID] = true
		d, err := tx.Domains.Get(a.TargetID)
		if err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b *compute.Domain) int { return compare(a.Name, b.Name, a.ID, b.ID) })
	return list, nil
}

// Expand turns assignments into what they come to: members instead of groups,
// the projects below instead of inheritance, implied roles added, roles of
// domains left out. None is there twice.
func Expand(tx *compute.Tx, list []*compute.Assignment) ([]*compute.Assignment, error) {
	all, err := allRoles(tx)
	if err != nil {
		return nil, err
	}
	var out []*compute.Assignment
	seen := map[string]bool{}
	for _, a := range list {
		actors := []string{a.ActorID}
		if a.ActorIsGroup {
			g, err := tx.Groups.Get(a.ActorID)
			if err != nil {
				return nil, err
			}
			actors = g.UserIDs
		}
		kind, targets := a.TargetKind, []string{a.TargetID}
		if a.InheritedProjects {
			below, err := Below(tx, a.TargetKind, a.TargetID)
			if err != nil {
				return nil, err
			}
			kind, targets = KindProject, nil
			for _, p := range below {
				targets = append(targets, p.ID)
			}
		}
		for role := range imply(all, []string{a.RoleID}) {
			if all[role].DomainID != "" {
				continue
			}
			for _, actor := range actors {
				for _, target := range targets {
					e := &compute.Assignment{ActorID: actor, TargetKind: kind, TargetID: target, RoleID: role}
					if e.ID = AssignmentID(e); !seen[e.ID] {
						seen[e.ID] = true
						out = append(out, e)
					}
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b *compute.Assignment) int { return compare(a.ID, b.ID) })
	return out, nil
}
