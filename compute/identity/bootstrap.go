package identity

import (
	"context"
	"fmt"

	"github.com/kamado/kamado/compute"
)

// The names of what is there from the first start.
const (
	AdminUser     = "admin"
	AdminProject  = "admin"
	MemberUser    = "kamado"
	MemberProject = "kamado"
)

// depthMax bounds the tree of projects, as Keystone's max_project_tree_depth.
const depthMax = 5

// Bootstrap is what Service.Bootstrap found or made. The passwords are empty
// unless this call made the users: nobody can tell them later.
type Bootstrap struct {
	AdminUserID, AdminProjectID, AdminPassword    string
	MemberUserID, MemberProjectID, MemberPassword string
	ServiceProjectID                              string
}

// Bootstrap makes what must be there, and nothing twice: the domain "default",
// the roles, the projects "admin", "service" and "kamado", the user "admin" who
// administers, and the user "kamado" who is a member of the project "kamado".
func (s *Service) Bootstrap(ctx context.Context) (Bootstrap, error) {
	passwords, hashes, err := s.bootstrapPasswords(ctx)
	if err != nil {
		return Bootstrap{}, fmt.Errorf("bootstrap identity: %w", err)
	}
	var b Bootstrap
	err = s.write(ctx, func(tx *compute.Tx) error {
		b = Bootstrap{}
		return s.bootstrap(tx, &b, passwords, hashes)
	})
	if err != nil {
		return Bootstrap{}, fmt.Errorf("bootstrap identity: %w", err)
	}
	return b, nil
}

// bootstrapPasswords makes passwords for the users that are not there yet. A
// password that is kept elsewhere is hashed by Run: whoever loses it in a crash
// gives it again.
func (s *Service) bootstrapPasswords(ctx context.Context) (passwords, hashes map[string]string, err error) {
	var missing []string
	waiting := map[string]string{} // what stands for a hash, by user: an earlier process did not come to it
	err = s.store.Read(ctx, func(tx *compute.Tx) error {
		missing = missing[:0]
		for _, name := range []string{AdminUser, MemberUser} {
			u, err := userNamed(tx, compute.DomainDefault, name)
			if err != nil {
				return err
			}
			switch {
			case u == nil:
				missing = append(missing, name)
			case isLater(u.PasswordHash):
				waiting[name] = u.PasswordHash
			}
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	passwords, hashes = map[string]string{}, map[string]string{}
	for _, name := range missing {
		if passwords[name] = s.cfg.FirstPasswords[name]; passwords[name] != "" {
			hashes[name] = laterPrefix + compute.NewHexID()
			waiting[name] = hashes[name]
			continue
		}
		passwords[name] = newSecret()
		if hashes[name], err = s.passwords.hash(ctx, passwords[name]); err != nil {
			return nil, nil, err
		}
	}
	for name, instead := range waiting {
		if password := s.cfg.FirstPasswords[name]; password != "" {
			s.passwords.hashLater(instead, password)
		}
	}
	return passwords, hashes, nil
}

// hashFirst makes the hashes that Bootstrap left for later. A password that was
// changed meanwhile has one.
func (s *Service) hashFirst(ctx context.Context) error {
	for name, password := range s.cfg.FirstPasswords {
		var u *compute.User
		err := s.store.Read(ctx, func(tx *compute.Tx) (err error) {
			u, err = userNamed(tx, compute.DomainDefault, name)
			return err
		})
		if err != nil {
			return err
		}
		if u == nil || !s.passwords.recall(u.PasswordHash, password) || !isLater(u.PasswordHash) {
			continue
		}
		hash, err := s.passwords.hash(ctx, password)
		if err != nil {
			return err
		}
		err = s.store.Write(ctx, func(tx *compute.Tx) error {
			fresh, err := tx.Users.Get(u.ID)
			if compute.IsKind(err, compute.NotFound) || err == nil && fresh.PasswordHash != u.PasswordHash {
				return nil
			}
			if err != nil {
				return err
			}
			fresh.PasswordHash = hash
			return tx.Users.Update(fresh)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) bootstrap(tx *compute.Tx, b *Bootstrap, passwords, hashes map[string]string) error {
	now := s.now()
	d := &compute.Domain{ID: compute.DomainDefault, Name: "Default", Description: "The default domain", Enabled: true, Created: now}
	if err := ensure(tx.Domains, d.ID, d); err != nil {
		return err
	}
	roles, err := s.bootstrapRoles(tx)
	if err != nil {
		return err
	}
	projects := map[string]string{}
	for name, description := range map[string]string{
		AdminProject: "Administration of the cloud", "service": "The cloud's own services", MemberProject: "The first project",
	} {
		p, err := projectNamed(tx, compute.DomainDefault, name)
		if err != nil {
			return err
		}
		if p == nil {
			p = &compute.Project{ID: compute.NewHexID(), Name: name, Description: description, DomainID: d.ID, ParentID: d.ID, Enabled: true, Created: now}
			if err := tx.Projects.Insert(p); err != nil {
				return err
			}
		}
		projects[name] = p.ID
	}
	b.AdminProjectID, b.ServiceProjectID, b.MemberProjectID = projects[AdminProject], projects["service"], projects[MemberProject]
	b.AdminUserID, b.AdminPassword, err = s.bootstrapUser(tx, AdminUser, b.AdminProjectID, passwords, hashes,
		compute.Assignment{TargetKind: KindProject, TargetID: b.AdminProjectID, RoleID: roles[compute.RoleAdmin]},
		compute.Assignment{TargetKind: KindSystem, TargetID: SystemAll, RoleID: roles[compute.RoleAdmin]})
	if err != nil {
		return err
	}
	b.MemberUserID, b.MemberPassword, err = s.bootstrapUser(tx, MemberUser, b.MemberProjectID, passwords, hashes,
		compute.Assignment{TargetKind: KindProject, TargetID: b.MemberProjectID, RoleID: roles[compute.RoleMember]},
		compute.Assignment{TargetKind: KindProject, TargetID: b.MemberProjectID, RoleID: roles[compute.RoleReader]})
	return err
}

// bootstrapRoles makes the roles that rules know, and gives their ids by name.
func (s *Service) bootstrapRoles(tx *compute.Tx) (map[string]string, error) {
	ids := map[string]string{}
	for _, want := range []struct{ name, implies string }{
		{compute.RoleReader, ""}, {compute.RoleMember, compute.RoleReader}, {compute.RoleAdmin, compute.RoleMember}, {compute.RoleService, ""},
	} {
		r, err := roleNamed(tx, "", want.name)
		if err != nil {
			return nil, err
		}
		if r == nil {
			r = &compute.Role{ID: compute.NewHexID(), Name: want.name, Created: s.now()}
			if want.implies != "" {
				r.Implies = []string{ids[want.implies]}
			}
			if err := tx.Roles.Insert(r); err != nil {
				return nil, err
			}
		}
		ids[want.name] = r.ID
	}
	return ids, nil
}

// bootstrapUser makes a user with its roles. A user that is there keeps what it
// has: the administrator may have taken roles away.
func (s *Service) bootstrapUser(tx *compute.Tx, name, projectID string, passwords, hashes map[string]string, roles ...compute.Assignment) (id, password string, err error) {
	u, err := userNamed(tx, compute.DomainDefault, name)
	if err != nil {
		return "", "", err
	}
	if u != nil {
		return u.ID, "", nil
	}
	u = &compute.User{ID: compute.NewHexID(), Name: name, DomainID: compute.DomainDefault, DefaultProjectID: projectID, Enabled: true,
		PasswordHash: hashes[name], PasswordChanged: s.now(), Created: s.now()}
	if err := tx.Users.Insert(u); err != nil {
		return "", "", err
	}
	for _, a := range roles {
		a.ActorID = u.ID
		a.ID = AssignmentID(&a)
		if err := ensure(tx.Assignments, a.ID, &a); err != nil {
			return "", "", err
		}
	}
	return u.ID, passwords[name], nil
}

// ensure inserts a row unless its id is there.
func ensure[T any](table compute.Table[T], id string, row *T) error {
	_, err := table.Get(id)
	if compute.IsKind(err, compute.NotFound) {
		return table.Insert(row)
	}
	return err
}

// first gives the first row of a query, nil when there is none.
func first[T any](table compute.Table[T], where compute.Where) (*T, error) {
	list, err := table.List(compute.Query{Where: where, Limit: 1})
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return list[0], nil
}

func userNamed(tx *compute.Tx, domainID, name string) (*compute.User, error) {
	return first(tx.Users, compute.Where{"domain_id": domainID, "name": name})
}

func projectNamed(tx *compute.Tx, domainID, name string) (*compute.Project, error) {
	return first(tx.Projects, compute.Where{"domain_id": domainID, "name": name})
}

func roleNamed(tx *compute.Tx, domainID, name string) (*compute.Role, error) {
	return first(tx.Roles, compute.Where{"domain_id": domainID, "name": name})
}
