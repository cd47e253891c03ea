package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/kamado/kamado/compute"
)

// The most characters of names, as Keystone has them.
const (
	nameMax      = 255
	shortNameMax = 64 // of projects and domains
	passwordMax  = 4096
)

// Absent is Keystone's answer for what is not there.
func Absent(noun, id string) error {
	return compute.Errorf(compute.NotFound, "Could not find %s: %s.", noun, id)
}

// found gives a row, and its absence in Keystone's words.
func found[T any](row *T, err error) func(noun, id string) (*T, error) {
	return func(noun, id string) (*T, error) {
		if compute.IsKind(err, compute.NotFound) {
			return nil, Absent(noun, id)
		}
		return row, err
	}
}

// stored turns a Conflict of the store into Keystone's words.
func stored(err error, noun, name, domainID string) error {
	if !compute.IsKind(err, compute.Conflict) {
		return err
	}
	where := ""
	if domainID != "" {
		where = " at domain ID " + domainID
	}
	return compute.Errorf(compute.Conflict, "Conflict occurred attempting to store %s - Duplicate entry found with name %s%s.", noun, name, where)
}

func checkName(name string, most int) error {
	if strings.TrimSpace(name) == "" {
		return compute.Errorf(compute.Invalid, "Invalid input for field 'name': it must not be empty.")
	}
	if strings.ContainsRune(name, 0) {
		return compute.Errorf(compute.Invalid, "Invalid input for field 'name': it holds a NUL.")
	}
	if utf8.RuneCountInString(name) > most {
		return compute.Errorf(compute.Invalid, "Invalid input for field 'name': it is too long, at most %d characters are allowed.", most)
	}
	return nil
}

func (s *Service) checkPassword(password string) error {
	if utf8.RuneCountInString(password) < s.cfg.PasswordMin || len(password) > passwordMax {
		return compute.Errorf(compute.Invalid, "Invalid input for field 'password': it must have from %d to %d characters.", s.cfg.PasswordMin, passwordMax)
	}
	return nil
}

// CreateUser adds a user, with a password unless it is empty. Its ID is set.
func (s *Service) CreateUser(ctx context.Context, u *compute.User, password string) error {
	u.ID, u.Created = compute.NewHexID(), s.now()
	if u.DomainID == "" {
		u.DomainID = compute.DomainDefault
	}
	if err := checkName(u.Name, nameMax); err != nil {
		return err
	}
	if password != "" {
		if err := s.setPassword(ctx, u, password); err != nil {
			return err
		}
	}
	return s.write(ctx, func(tx *compute.Tx) error {
		if _, err := found(tx.Domains.Get(u.DomainID))("domain", u.DomainID); err != nil {
			return err
		}
		return stored(tx.Users.Insert(u), "user", u.Name, u.DomainID)
	})
}

func (s *Service) setPassword(ctx context.Context, u *compute.User, password string) error {
	if err := s.checkPassword(password); err != nil {
		return err
	}
	hash, err := s.passwords.hash(ctx, password)
	if err != nil {
		return err
	}
	u.PasswordHash, u.PasswordChanged = hash, s.now()
	return nil
}

// UpdateUser changes a user by fn, and its password when there is one. A new
// password and disabling end the user's tokens.
func (s *Service) UpdateUser(ctx context.Context, id, password string, fn func(*compute.User) error) (*compute.User, error) {
	var fresh compute.User
	if password != "" {
		if err := s.setPassword(ctx, &fresh, password); err != nil {
			return nil, err
		}
	}
	var u *compute.User
	err := s.write(ctx, func(tx *compute.Tx) (err error) {
		if u, err = found(tx.Users.Get(id))("user", id); err != nil {
			return err
		}
		domain := u.DomainID
		if err := fn(u); err != nil {
			return err
		}
		if u.DomainID != domain {
			return compute.Errorf(compute.Invalid, "Cannot change the domain of a user.")
		}
		if err := checkName(u.Name, nameMax); err != nil {
			return err
		}
		if password != "" {
			u.PasswordHash, u.PasswordChanged = fresh.PasswordHash, fresh.PasswordChanged
		}
		if password != "" || !u.Enabled {
			if err := revokeUser(tx, id); err != nil {
				return err
			}
		}
		return stored(tx.Users.Update(u), "user", u.Name, u.DomainID)
	})
	return u, err
}

// ChangePassword lets somebody who knows a user's password set another, which
// ends the user's tokens. Its error is of kind Unauthorized when it is not the
// password. It needs no token, so it tells the audit trail itself.
func (s *Service) ChangePassword(ctx context.Context, id, old, password string, from Origin) error {
	t := &compute.Token{}
	err := s.showPassword(ctx, &Login{User: UserRef{ID: id}, Password: old, Remote: from.Remote}, t)
	if err == nil && password == "" {
		err = s.checkPassword(password)
	}
	if err == nil {
		_, err = s.UpdateUser(ctx, id, password, func(u *compute.User) error {
			if !u.Enabled {
				return errUnauthorized()
			}
			return nil
		})
	}
	e := compute.AuditEvent{Time: s.now(), Service: "keystone", UserID: t.UserID, Action: "update", TargetKind: "users/password", TargetID: t.UserID,
		Outcome: compute.AuditSuccess, Status: 204, RequestID: from.RequestID, Remote: from.Remote}
	switch {
	case compute.IsKind(err, compute.Unauthorized):
		e.Outcome, e.Status = compute.AuditDenied, 401
	case err != nil:
		e.Outcome, e.Status = compute.AuditFailure, 0
	}
	s.audit(ctx, e)
	return err
}

// Origin is where a request came from, for the audit trail.
type Origin struct{ RequestID, Remote string }

// DeleteUser removes a user with its tokens, roles and credentials.
func (s *Service) DeleteUser(ctx context.Context, id string) error {
	return s.write(ctx, func(tx *compute.Tx) error {
		if _, err := found(tx.Users.Get(id))("user", id); err != nil {
			return err
		}
		return deleteUser(tx, id)
	})
}

func deleteUser(tx *compute.Tx, id string) error {
	groups, err := GroupsOf(tx, id)
	if err != nil {
		return err
	}
	for _, g := range groups {
		g.UserIDs = slices.DeleteFunc(g.UserIDs, func(u string) bool { return u == id })
		if err := tx.Groups.Update(g); err != nil {
			return err
		}
	}
	return errors.Join(
		revokeUser(tx, id),
		deleteWhere(tx.Assignments, compute.Where{"actor_id": id}, func(a *compute.Assignment) string { return a.ID }),
		deleteWhere(tx.AppCredentials, compute.Where{"user_id": id}, func(a *compute.AppCredential) string { return a.ID }),
		deleteWhere(tx.Credentials, compute.Where{"user_id": id}, func(c *compute.Credential) string { return c.ID }),
		tx.Users.Delete(id))
}

// deleteWhere removes the rows of a query.
func deleteWhere[T any](table compute.Table[T], where compute.Where, id func(*T) string) error {
	list, err := table.List(compute.Query{Where: where})
	if err != nil {
		return err
	}
	for _, row := range list {
		if err := table.Delete(id(row)); err != nil {
			return err
		}
	}
	return nil
}

// CreateGroup adds a group. Its ID is set.
func (s *Service) CreateGroup(ctx context.Context, g *compute.Group) error {
	g.ID, g.Created = compute.NewHexID(), s.now()
	if g.DomainID == "" {
		g.DomainID = compute.DomainDefault
	}
	if err := checkName(g.Name, shortNameMax); err != nil {
		return err
	}
	return s.write(ctx, func(tx *compute.Tx) error {
		if _, err := found(tx.Domains.Get(g.DomainID))("domain", g.DomainID); err != nil {
			return err
		}
		return stored(tx.Groups.Insert(g), "group", g.Name, g.DomainID)
	})
}

// UpdateGroup changes a group by fn.
func (s *Service) UpdateGroup(ctx context.Context, id string, fn func(*compute.Group) error) (*compute.Group, error) {
	var g *compute.Group
	err := s.write(ctx, func(tx *compute.Tx) (err error) {
		if g, err = found(tx.Groups.Get(id))("group", id); err != nil {
			return err
		}
		domain := g.DomainID
		if err := fn(g); err != nil {
			return err
		}
		if g.DomainID != domain {
			return compute.Errorf(compute.Invalid, "Cannot change the domain of a group.")
		}
		if err := checkName(g.Name, shortNameMax); err != nil {
			return err
		}
		return stored(tx.Groups.Update(g), "group", g.Name, g.DomainID)
	})
	return g, err
}

// DeleteGroup removes a group and its roles.
func (s *Service) DeleteGroup(ctx context.Context, id string) error {
	return s.write(ctx, func(tx *compute.Tx) error {
		if _, err := found(tx.Groups.Get(id))("group", id); err != nil {
			return err
		}
		return deleteGroup(tx, id)
	})
}

func deleteGroup(tx *compute.Tx, id string) error {
	return errors.Join(
		deleteWhere(tx.Assignments, compute.Where{"actor_id": id}, func(a *compute.Assignment) string { return a.ID }),
		tx.Groups.Delete(id))
}

// SetMember puts a user into a group or takes it out.
func (s *Service) SetMember(ctx context.Context, groupID, userID string, member bool) error {
	return s.write(ctx, func(tx *compute.Tx) error {
		g, err := found(tx.Groups.Get(groupID))("group", groupID)
		if err != nil {
			return err
		}
		if _, err := found(tx.Users.Get(userID))("user", userID); err != nil {
			return err
		}
		has := slices.Contains(g.UserIDs, userID)
		switch {
		case member && !has:
			g.UserIDs = append(g.UserIDs, userID)
		case !member && has:
			g.UserIDs = slices.DeleteFunc(g.UserIDs, func(u string) bool { return u == userID })
		case !member:
			return compute.Errorf(compute.NotFound, "User '%s' not found in group '%s'.", userID, groupID)
		}
		if err := tx.Groups.Update(g); err != nil {
			return fmt.Errorf("change the members of a group: %w", err)
		}
		return nil
	})
}
