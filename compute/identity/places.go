package identity

import (
	"context"
	"errors"
	"slices"

	"github.com/kamado/kamado/compute"
)

// CreateDomain adds a domain. Its ID is set.
func (s *Service) CreateDomain(ctx context.Context, d *compute.Domain) error {
	d.ID, d.Created = compute.NewHexID(), s.now()
	if err := checkName(d.Name, shortNameMax); err != nil {
		return err
	}
	return s.write(ctx, func(tx *compute.Tx) error { return stored(tx.Domains.Insert(d), "domain", d.Name, "") })
}

// UpdateDomain changes a domain by fn. Whoever belongs to a disabled domain is
// not let in.
func (s *Service) UpdateDomain(ctx context.Context, id string, fn func(*compute.Domain) error) (*compute.Domain, error) {
	var d *compute.Domain
	err := s.write(ctx, func(tx *compute.Tx) (err error) {
		if d, err = found(tx.Domains.Get(id))("domain", id); err != nil {
			return err
		}
		if err := fn(d); err != nil {
			return err
		}
		if err := checkName(d.Name, shortNameMax); err != nil {
			return err
		}
		if id == compute.DomainDefault && !d.Enabled {
			return compute.Errorf(compute.Denied, "The default domain cannot be disabled.")
		}
		if !d.Enabled {
			if err := deleteWhere(tx.Tokens, compute.Where{"domain_id": id}, func(t *compute.Token) string { return t.ID }); err != nil {
				return err
			}
		}
		return stored(tx.Domains.Update(d), "domain", d.Name, "")
	})
	return d, err
}

// DeleteDomain removes a domain that is disabled, with everything in it.
func (s *Service) DeleteDomain(ctx context.Context, id string) error {
	return s.write(ctx, func(tx *compute.Tx) error {
		d, err := found(tx.Domains.Get(id))("domain", id)
		if err != nil {
			return err
		}
		if d.Enabled {
			return compute.Errorf(compute.Denied, "Cannot delete a domain that is enabled, please disable it first.")
		}
		where := compute.Where{"domain_id": id}
		users, err := tx.Users.List(compute.Query{Where: where})
		if err != nil {
			return err
		}
		for _, u := range users {
			if err := deleteUser(tx, u.ID); err != nil {
				return err
			}
		}
		groups, err := tx.Groups.List(compute.Query{Where: where})
		if err != nil {
			return err
		}
		for _, g := range groups {
			if err := deleteGroup(tx, g.ID); err != nil {
				return err
			}
		}
		projects, err := tx.Projects.List(compute.Query{Where: where})
		if err != nil {
			return err
		}
		for _, p := range projects {
			if err := deleteProject(tx, p.ID); err != nil {
				return err
			}
		}
		roles, err := tx.Roles.List(compute.Query{Where: where})
		if err != nil {
			return err
		}
		for _, r := range roles {
			if err := deleteRole(tx, r.ID); err != nil {
				return err
			}
		}
		return errors.Join(
			deleteWhere(tx.Tokens, compute.Where{"domain_id": id}, func(t *compute.Token) string { return t.ID }),
			deleteWhere(tx.Assignments, compute.Where{"target_id": id}, func(a *compute.Assignment) string { return a.ID }),
			tx.Domains.Delete(id))
	})
}

// CreateProject adds a project under its parent, else under its domain. Its ID
// is set.
func (s *Service) CreateProject(ctx context.Context, p *compute.Project) error {
	p.ID, p.Created = compute.NewHexID(), s.now()
	if err := checkProject(p); err != nil {
		return err
	}
	domain, parent := p.DomainID, p.ParentID
	return s.write(ctx, func(tx *compute.Tx) error {
		p.DomainID, p.ParentID = domain, parent
		if err := place(tx, p); err != nil {
			return err
		}
		if _, err := found(tx.Domains.Get(p.DomainID))("domain", p.DomainID); err != nil {
			return err
		}
		return stored(tx.Projects.Insert(p), "project", p.Name, p.DomainID)
	})
}

func checkProject(p *compute.Project) error {
	if err := checkName(p.Name, shortNameMax); err != nil {
		return err
	}
	return checkTags(p.Tags)
}

// place finds a project's domain and parent from what was given of them.
func place(tx *compute.Tx, p *compute.Project) error {
	if p.ParentID == "" || p.ParentID == p.DomainID {
		if p.DomainID == "" {
			p.DomainID = compute.DomainDefault
		}
		p.ParentID = p.DomainID
		return nil
	}
	parent, err := tx.Projects.Get(p.ParentID)
	if compute.IsKind(err, compute.NotFound) {
		if _, err := found(tx.Domains.Get(p.ParentID))("project", p.ParentID); err != nil {
			return err
		}
		if p.DomainID != "" {
			return compute.Errorf(compute.Invalid, "The parent is another domain than the project's.")
		}
		p.DomainID = p.ParentID
		return nil
	}
	if err != nil {
		return err
	}
	if p.DomainID == "" {
		p.DomainID = parent.DomainID
	}
	if p.DomainID != parent.DomainID {
		return compute.Errorf(compute.Invalid, "The parent lies in another domain than the project's.")
	}
	if !parent.Enabled && p.Enabled {
		return compute.Errorf(compute.Denied, "Cannot create an enabled project under a disabled one: %s.", parent.ID)
	}
	above, err := Ancestors(tx, parent)
	if err != nil {
		return err
	}
	if len(above)+2 > depthMax {
		return compute.Errorf(compute.Denied, "The tree of projects would be deeper than %d.", depthMax)
	}
	return nil
}

// UpdateProject changes a project by fn.
func (s *Service) UpdateProject(ctx context.Context, id string, fn func(*compute.Project) error) (*compute.Project, error) {
	var p *compute.Project
	err := s.write(ctx, func(tx *compute.Tx) (err error) {
		if p, err = found(tx.Projects.Get(id))("project", id); err != nil {
			return err
		}
		old := *p
		if err := fn(p); err != nil {
			return err
		}
		if p.DomainID != old.DomainID {
			return compute.Errorf(compute.Invalid, "Cannot change the domain of a project.")
		}
		if p.ParentID != old.ParentID {
			return compute.Errorf(compute.Denied, "Update of `parent_id` is not allowed.")
		}
		if err := checkProject(p); err != nil {
			return err
		}
		if old.Enabled && !p.Enabled {
			if err := checkNoneEnabledBelow(tx, p); err != nil {
				return err
			}
			if err := revokeProject(tx, id); err != nil {
				return err
			}
		}
		return stored(tx.Projects.Update(p), "project", p.Name, p.DomainID)
	})
	return p, err
}

func checkNoneEnabledBelow(tx *compute.Tx, p *compute.Project) error {
	children, err := tx.Projects.List(compute.Query{Where: compute.Where{"parent_id": p.ID}})
	if err != nil {
		return err
	}
	if slices.ContainsFunc(children, func(c *compute.Project) bool { return c.Enabled }) {
		return compute.Errorf(compute.Denied, "Cannot disable project %s since its subtree contains enabled projects.", p.ID)
	}
	return nil
}

func revokeProject(tx *compute.Tx, id string) error {
	return deleteWhere(tx.Tokens, compute.Where{"project_id": id}, func(t *compute.Token) string { return t.ID })
}

// DeleteProject removes a project that has no children, with the roles in it.
// What it owned elsewhere (instances, networks) stays for an administrator.
func (s *Service) DeleteProject(ctx context.Context, id string) error {
	return s.write(ctx, func(tx *compute.Tx) error {
		if _, err := found(tx.Projects.Get(id))("project", id); err != nil {
			return err
		}
		n, err := tx.Projects.Count(compute.Query{Where: compute.Where{"parent_id": id}})
		if err != nil {
			return err
		}
		if n > 0 {
			return compute.Errorf(compute.Denied, "Cannot delete the project %s since it is not a leaf in the hierarchy. Use the cascade option if you want to delete a whole subtree.", id)
		}
		return deleteProject(tx, id)
	})
}

func deleteProject(tx *compute.Tx, id string) error {
	credentials, err := tx.Credentials.List(compute.Query{})
	if err != nil {
		return err
	}
	for _, c := range credentials {
		if c.ProjectID != id {
			continue
		}
		if err := tx.Credentials.Delete(c.ID); err != nil {
			return err
		}
	}
	return errors.Join(
		revokeProject(tx, id),
		deleteWhere(tx.Assignments, compute.Where{"target_id": id}, func(a *compute.Assignment) string { return a.ID }),
		deleteWhere(tx.AppCredentials, compute.Where{"project_id": id}, func(a *compute.AppCredential) string { return a.ID }),
		tx.Projects.Delete(id))
}

// The bounds of tags, as Keystone has them.
const (
	tagsMax    = 80
	tagLengths = 255
)

// checkTags checks a project's tags: each once, without "/" and ",".
func checkTags(tags []string) error {
	if len(tags) > tagsMax {
		return compute.Errorf(compute.Invalid, "Invalid input for field 'tags': at most %d are allowed.", tagsMax)
	}
	seen := map[string]bool{}
	for _, tag := range tags {
		if tag == "" || len(tag) > tagLengths || slices.Contains([]byte(tag), '/') || slices.Contains([]byte(tag), ',') {
			return compute.Errorf(compute.Invalid, "Invalid input for field 'tags': a tag has from 1 to %d characters, none of them '/' or ','.", tagLengths)
		}
		if seen[tag] {
			return compute.Errorf(compute.Invalid, "Invalid input for field 'tags': a tag is there twice.")
		}
		seen[tag] = true
	}
	return nil
}
