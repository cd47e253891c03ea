package identity

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/kamado/kamado/compute"
)

// The bounds of what one user may keep.
const (
	appCredentialsMax = 200
	accessRulesMax    = 100
	credentialsMax    = 200
)

// CreateAppCredential adds an application credential of the caller in the
// project of the token, with the roles whose ids are in it (none: all of the
// token's). It gives the secret: the one asked for, else one that it makes.
// Nobody can tell it again.
func (s *Service) CreateAppCredential(ctx context.Context, who *Session, a *compute.AppCredential, secret string) (string, error) {
	if err := s.mayMakeAppCredential(who, a); err != nil {
		return "", err
	}
	a.ID, a.Created, a.UserID, a.ProjectID = compute.NewHexID(), s.now(), who.User.ID, who.Project.ID
	if secret == "" {
		secret = newSecret()
		a.SecretHash = madePrefix + digest(secret)
	} else {
		hash, err := s.passwords.hash(ctx, secret)
		if err != nil {
			return "", err
		}
		a.SecretHash = hash
	}
	return secret, s.write(ctx, func(tx *compute.Tx) error {
		n, err := tx.AppCredentials.Count(compute.Query{Where: compute.Where{"user_id": a.UserID}})
		if err != nil {
			return err
		}
		if n >= appCredentialsMax {
			return compute.Errorf(compute.Denied, "Unable to create additional application credentials, maximum of %d already exceeded for user.", appCredentialsMax)
		}
		if err := keepAccessRules(tx, a); err != nil {
			return err
		}
		err = tx.AppCredentials.Insert(a)
		if compute.IsKind(err, compute.Conflict) {
			return compute.Errorf(compute.Conflict, "Conflict occurred attempting to store application_credential - Duplicate entry found with name %s.", a.Name)
		}
		return err
	})
}

func (s *Service) mayMakeAppCredential(who *Session, a *compute.AppCredential) error {
	if err := checkName(a.Name, nameMax); err != nil {
		return err
	}
	if err := Unrestricted(who); err != nil {
		return err
	}
	if who.Project == nil {
		return compute.Errorf(compute.Invalid, "Application credentials are made with a token that is scoped to a project.")
	}
	if !a.Expires.IsZero() && !a.Expires.After(s.now()) {
		return compute.Errorf(compute.Invalid, "The expiration time of the application credential lies in the past.")
	}
	if len(a.RoleIDs) == 0 {
		for _, r := range who.Roles {
			a.RoleIDs = append(a.RoleIDs, r.ID)
		}
	}
	for _, id := range a.RoleIDs {
		if !slices.ContainsFunc(who.Roles, func(r *compute.Role) bool { return r.ID == id }) {
			return compute.Errorf(compute.Invalid, "Invalid application credential: Could not find role assignment with role: %s, user or group: %s, project, domain, or system: %s.", id, who.User.ID, who.Project.ID)
		}
	}
	return nil
}

// Unrestricted refuses tokens of application credentials that may not make
// further credentials.
func Unrestricted(who *Session) error {
	if who.AppCredential != nil && !who.AppCredential.Unrestricted {
		return compute.Errorf(compute.Denied, "Using method 'application_credential' is not allowed for managing additional application credentials.")
	}
	return nil
}

// keepAccessRules gives the rules of an application credential the ids of the
// user's own rules that say the same, and keeps those that are not there yet.
func keepAccessRules(tx *compute.Tx, a *compute.AppCredential) error {
	if len(a.AccessRules) == 0 {
		return nil
	}
	u, err := tx.Users.Get(a.UserID)
	if err != nil {
		return err
	}
	rules := slices.Clone(a.AccessRules)
	for i, rule := range rules {
		j := slices.IndexFunc(u.AccessRules, func(have compute.AccessRule) bool {
			return rule.ID == have.ID && rule.ID != "" || rule.ID == "" && rule.Service == have.Service && rule.Method == have.Method && rule.Path == have.Path
		})
		switch {
		case j >= 0:
			rules[i] = u.AccessRules[j]
		case rule.ID != "":
			return Absent("access_rule", rule.ID)
		default:
			rules[i].ID = compute.NewHexID()
			u.AccessRules = append(u.AccessRules, rules[i])
		}
	}
	if len(u.AccessRules) > accessRulesMax {
		return compute.Errorf(compute.Denied, "A user has at most %d access rules.", accessRulesMax)
	}
	a.AccessRules = rules
	return tx.Users.Update(u)
}

// DeleteAppCredential removes an application credential of a user with its
// tokens.
func (s *Service) DeleteAppCredential(ctx context.Context, userID, id string) error {
	return s.write(ctx, func(tx *compute.Tx) error {
		if _, err := AppCredentialOf(tx, userID, id); err != nil {
			return err
		}
		if err := deleteWhere(tx.Tokens, compute.Where{"app_credential_id": id}, func(t *compute.Token) string { return t.ID }); err != nil {
			return err
		}
		return tx.AppCredentials.Delete(id)
	})
}

// AppCredentialOf gives an application credential of a user.
func AppCredentialOf(tx *compute.Tx, userID, id string) (*compute.AppCredential, error) {
	a, err := found(tx.AppCredentials.Get(id))("application credential", id)
	if err == nil && a.UserID != userID {
		return nil, Absent("application credential", id)
	}
	return a, err
}

// DeleteAccessRule removes an access rule of a user that no application
// credential has.
func (s *Service) DeleteAccessRule(ctx context.Context, userID, id string) error {
	return s.write(ctx, func(tx *compute.Tx) error {
		u, err := found(tx.Users.Get(userID))("user", userID)
		if err != nil {
			return err
		}
		is := func(r compute.AccessRule) bool { return r.ID == id }
		if !slices.ContainsFunc(u.AccessRules, is) {
			return Absent("access_rule", id)
		}
		list, err := tx.AppCredentials.List(compute.Query{Where: compute.Where{"user_id": userID}})
		if err != nil {
			return err
		}
		for _, a := range list {
			if slices.ContainsFunc(a.AccessRules, is) {
				return compute.Errorf(compute.Denied, "Could not delete access_rule %s because an application credential has it.", id)
			}
		}
		u.AccessRules = slices.DeleteFunc(u.AccessRules, is)
		return tx.Users.Update(u)
	})
}

// CredentialID makes the id of an EC2 key pair, as Keystone does.
func CredentialID(access string) string {
	sum := sha256.Sum256([]byte(access))
	return hex.EncodeToString(sum[:])
}

// CreateEC2 makes an EC2 key pair for a user in a project in which it has a role.
func (s *Service) CreateEC2(ctx context.Context, userID, projectID string) (*compute.Credential, error) {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	c := &compute.Credential{Type: "ec2", Access: compute.NewHexID(), Secret: hex.EncodeToString(b[:]), UserID: userID, ProjectID: projectID}
	err := s.CreateCredential(ctx, c)
	return c, err
}

// CreateCredential keeps a credential. Its ID is set.
func (s *Service) CreateCredential(ctx context.Context, c *compute.Credential) error {
	c.ID, c.Created = compute.NewHexID(), s.now()
	if c.Type == "ec2" {
		c.ID = CredentialID(c.Access)
	}
	return s.write(ctx, func(tx *compute.Tx) error {
		if err := checkCredential(tx, c); err != nil {
			return err
		}
		n, err := tx.Credentials.Count(compute.Query{Where: compute.Where{"user_id": c.UserID}})
		if err != nil {
			return err
		}
		if n >= credentialsMax {
			return compute.Errorf(compute.Denied, "A user has at most %d credentials.", credentialsMax)
		}
		err = tx.Credentials.Insert(c)
		if compute.IsKind(err, compute.Conflict) {
			return compute.Errorf(compute.Conflict, "Conflict occurred attempting to store credential - Duplicate entry found with ID %s.", c.ID)
		}
		return err
	})
}

// checkCredential says whether the user of a credential is there, and its
// access key nobody else's.
func checkCredential(tx *compute.Tx, c *compute.Credential) error {
	if _, err := found(tx.Users.Get(c.UserID))("user", c.UserID); err != nil {
		return err
	}
	if c.Type != "ec2" {
		return nil
	}
	if _, err := found(tx.Projects.Get(c.ProjectID))("project", c.ProjectID); err != nil {
		return err
	}
	others, err := tx.Credentials.List(compute.Query{Where: compute.Where{"access": c.Access}})
	if err != nil {
		return err
	}
	if slices.ContainsFunc(others, func(o *compute.Credential) bool { return o.ID != c.ID }) {
		return compute.Errorf(compute.Conflict, "The access key is another credential's.")
	}
	return nil
}

// UpdateCredential changes a credential by fn.
func (s *Service) UpdateCredential(ctx context.Context, id string, fn func(*compute.Credential) error) (*compute.Credential, error) {
	var c *compute.Credential
	err := s.write(ctx, func(tx *compute.Tx) (err error) {
		if c, err = found(tx.Credentials.Get(id))("credential", id); err != nil {
			return err
		}
		if err := fn(c); err != nil {
			return err
		}
		if err := checkCredential(tx, c); err != nil {
			return err
		}
		return tx.Credentials.Update(c)
	})
	return c, err
}

// DeleteCredential removes a credential.
func (s *Service) DeleteCredential(ctx context.Context, id string) error {
	return s.write(ctx, func(tx *compute.Tx) error {
		_, err := found(tx.Credentials.Get(id))("credential", id)
		if err != nil {
			return err
		}
		return tx.Credentials.Delete(id)
	})
}
