package identity

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/kamado/kamado/compute"
)

// secretBytes is the length of tokens and generated secrets: 256 bits.
const secretBytes = 32

// newSecret makes what a client holds.
func newSecret() string {
	var b [secretBytes]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// digest is what the store keeps of a secret that this program made: nothing
// can be guessed about 256 random bits, so no slow hash is needed.
func digest(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// newAuditID names a token in audit trails, as Keystone does: 22 characters.
func newAuditID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Session is a valid token with what it stands for. It is shared: nobody
// changes it.
type Session struct {
	Token         *compute.Token
	User          *compute.User
	UserDomain    *compute.Domain
	Project       *compute.Project // nil unless scoped to one
	ProjectDomain *compute.Domain
	Domain        *compute.Domain // nil unless scoped to one
	Roles         []*compute.Role // implied ones included, by name; empty without a scope
	AppCredential *compute.AppCredential
}

// remembered is a session and when it is to be looked up again.
type remembered struct {
	session *Session
	until   time.Time
}

// Caller is the session's user as the other parts know them.
func (s *Session) Caller() compute.Caller {
	c := compute.Caller{UserID: s.User.ID, UserName: s.User.Name, UserDomainID: s.User.DomainID, System: s.Token.System, TokenID: s.Token.ID}
	if s.Project != nil {
		c.ProjectID, c.ProjectName = s.Project.ID, s.Project.Name
	}
	if s.Domain != nil {
		c.DomainID = s.Domain.ID
	}
	for _, r := range s.Roles {
		c.Roles = append(c.Roles, r.Name)
	}
	if a := s.AppCredential; a != nil {
		c.AppCredentialID, c.AccessRules = a.ID, a.AccessRules
	}
	return c
}

// errUnauthorized is the one answer to whoever is not let in.
func errUnauthorized() error {
	return compute.Errorf(compute.Unauthorized, "The request you have made requires authentication.")
}

// Authenticate gives the caller who holds a token. Its error is of kind
// Unauthorized when the token is none, over or revoked.
func (s *Service) Authenticate(ctx context.Context, token string) (compute.Caller, error) {
	session, err := s.Session(ctx, token)
	if err != nil {
		return compute.Caller{}, err
	}
	return session.Caller(), nil
}

// Session looks a token up. Its errors are Authenticate's.
func (s *Service) Session(ctx context.Context, token string) (*Session, error) {
	if token == "" || len(token) > 255 {
		return nil, errUnauthorized()
	}
	id, now := digest(token), s.now()
	s.mu.Lock()
	known, ok := s.sessions[id]
	changed := s.changed
	s.mu.Unlock()
	if ok && now.Before(known.until) && now.Before(known.session.Token.Expires) {
		return known.session, nil
	}
	session, err := s.lookUp(ctx, id, now)
	if err != nil {
		return nil, err
	}
	s.remember(session, now, changed)
	return session, nil
}

// remember keeps a session that was looked up when the count of changes was
// changed. One at random makes room when there is none.
func (s *Service) remember(session *Session, now time.Time, changed uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed != changed {
		return
	}
	for id := range s.sessions {
		if len(s.sessions) < s.cfg.SessionsMax {
			break
		}
		delete(s.sessions, id)
	}
	s.sessions[session.Token.ID] = remembered{session, now.Add(s.cfg.SessionAge)}
}

// lookUp reads a token by its id.
func (s *Service) lookUp(ctx context.Context, id string, now time.Time) (*Session, error) {
	var session *Session
	err := s.store.Read(ctx, func(tx *compute.Tx) error {
		t, err := tx.Tokens.Get(id)
		if err != nil {
			return err
		}
		if !now.Before(t.Expires) {
			return errUnauthorized()
		}
		session, err = sessionOf(tx, t, now)
		return err
	})
	switch compute.KindOf(err) {
	case compute.NotFound, compute.Denied:
		return nil, errUnauthorized()
	}
	if err != nil {
		return nil, fmt.Errorf("look a token up: %w", err)
	}
	return session, nil
}

// sessionOf finds what a token stands for. Its error is of kind Unauthorized
// when the user may not have that scope (any more).
func sessionOf(tx *compute.Tx, t *compute.Token, now time.Time) (*Session, error) {
	s := &Session{Token: t}
	var err error
	if s.User, s.UserDomain, err = enabledUser(tx, t.UserID); err != nil {
		return nil, err
	}
	switch {
	case t.ProjectID != "":
		if s.Project, s.ProjectDomain, err = enabledProject(tx, t.ProjectID); err != nil {
			return nil, err
		}
	case t.DomainID != "":
		if s.Domain, err = enabledDomain(tx, t.DomainID); err != nil {
			return nil, err
		}
	case !t.System:
		return s, nil
	}
	roles, err := EffectiveRoles(tx, t.UserID, Target{ProjectID: t.ProjectID, DomainID: t.DomainID, System: t.System})
	if err != nil {
		return nil, err
	}
	if t.AppCredentialID != "" {
		if s.AppCredential, roles, err = appCredentialRoles(tx, t.AppCredentialID, roles, now); err != nil {
			return nil, err
		}
	}
	if len(roles) == 0 {
		return nil, errUnauthorized()
	}
	s.Roles = roles
	return s, nil
}

// appCredentialRoles narrows the roles of a user to those of an application
// credential that is not over.
func appCredentialRoles(tx *compute.Tx, id string, has []*compute.Role, now time.Time) (*compute.AppCredential, []*compute.Role, error) {
	a, err := tx.AppCredentials.Get(id)
	if err != nil {
		return nil, nil, err
	}
	if !a.Expires.IsZero() && !now.Before(a.Expires) {
		return nil, nil, errUnauthorized()
	}
	all, err := allRoles(tx)
	if err != nil {
		return nil, nil, err
	}
	given := imply(all, a.RoleIDs)
	roles := slices.DeleteFunc(slices.Clone(has), func(r *compute.Role) bool { return !given[r.ID] })
	return a, roles, nil
}

func enabledUser(tx *compute.Tx, id string) (*compute.User, *compute.Domain, error) {
	u, err := tx.Users.Get(id)
	if err != nil {
		return nil, nil, err
	}
	d, err := enabledDomain(tx, u.DomainID)
	if err != nil {
		return nil, nil, err
	}
	if !u.Enabled {
		return nil, nil, errUnauthorized()
	}
	return u, d, nil
}

func enabledProject(tx *compute.Tx, id string) (*compute.Project, *compute.Domain, error) {
	p, err := tx.Projects.Get(id)
	if err != nil {
		return nil, nil, err
	}
	d, err := enabledDomain(tx, p.DomainID)
	if err != nil {
		return nil, nil, err
	}
	if !p.Enabled {
		return nil, nil, errUnauthorized()
	}
	return p, d, nil
}

func enabledDomain(tx *compute.Tx, id string) (*compute.Domain, error) {
	d, err := tx.Domains.Get(id)
	if err != nil {
		return nil, err
	}
	if !d.Enabled {
		return nil, errUnauthorized()
	}
	return d, nil
}

// Revoke ends a token.
func (s *Service) Revoke(ctx context.Context, token string) error {
	return s.write(ctx, func(tx *compute.Tx) error { return tx.Tokens.Delete(digest(token)) })
}

// purgeBatch is how many tokens one write removes: others wait for it.
const purgeBatch = 500

// Purge removes tokens and application credentials' tokens that are over.
func (s *Service) Purge(ctx context.Context) error {
	for {
		var n int
		err := s.store.Write(ctx, func(tx *compute.Tx) error {
			n = 0
			list, err := tx.Tokens.List(compute.Query{Order: "expires", Limit: purgeBatch})
			if err != nil {
				return err
			}
			for _, t := range list {
				if s.now().Before(t.Expires) {
					break
				}
				if err := tx.Tokens.Delete(t.ID); err != nil {
					return err
				}
				n++
			}
			return nil
		})
		if err != nil || n < purgeBatch {
			return err
		}
	}
}

// revokeUser ends all tokens of a user.
func revokeUser(tx *compute.Tx, userID string) error {
	return deleteWhere(tx.Tokens, compute.Where{"user_id": userID}, func(t *compute.Token) string { return t.ID })
}

// compare compares pairs of texts, the first that differ.
func compare(pairs ...string) int {
	for i := 0; i+1 < len(pairs); i += 2 {
		if c := cmp.Compare(pairs[i], pairs[i+1]); c != 0 {
			return c
		}
	}
	return 0
}

func byName(a, b *compute.Role) int { return compare(a.Name, b.Name, a.ID, b.ID) }
