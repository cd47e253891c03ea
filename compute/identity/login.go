package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kamado/kamado/compute"
)

// The methods of a login.
const (
	MethodPassword      = "password"
	MethodToken         = "token"
	MethodAppCredential = "application_credential"
)

// DomainRef names a domain by id or by name; UserRef and ProjectRef name theirs
// by id, or by name within a domain.
type (
	DomainRef struct{ ID, Name string }
	UserRef   struct {
		ID, Name string
		Domain   DomainRef
	}
	ProjectRef struct {
		ID, Name string
		Domain   DomainRef
	}
)

// Login is what somebody shows and what they ask for.
type Login struct {
	Methods []string
	// User of the methods password and application_credential (by name).
	User     UserRef
	Password string
	Token    string
	// AppCredentialID, or AppCredentialName with User.
	AppCredentialID, AppCredentialName, AppCredentialSecret string

	// The scope asked for; none: the user's default project if it has roles
	// there. Unscoped asks for none at all.
	Project  *ProjectRef
	Domain   *DomainRef
	System   bool
	Unscoped bool

	RequestID, Remote string // for the audit trail
}

// scoped says whether a scope was asked for.
func (l *Login) scoped() bool { return l.Project != nil || l.Domain != nil || l.System }

// failure counts the wrong passwords of a user from an address.
type failure struct {
	count int
	since time.Time
}

// failuresKept bounds the memory of failures.
const failuresKept = 10_000

// Login gives a token, which nobody can tell again, and its session. Its error
// is of kind Unauthorized whatever was wrong with who it is, NotFound when the
// method is a token that is none, Invalid when the request makes no sense.
func (s *Service) Login(ctx context.Context, l Login) (token string, session *Session, err error) {
	t := &compute.Token{AuditID: newAuditID(), Issued: s.now().UTC().Truncate(time.Second)}
	t.Expires = t.Issued.Add(s.cfg.TokenLifetime)
	err = s.show(ctx, &l, t)
	if err == nil {
		token = newSecret()
		t.ID = digest(token)
		session, err = s.issue(ctx, &l, t)
	}
	s.auditLogin(ctx, &l, t, err)
	if err != nil {
		return "", nil, err
	}
	return token, session, nil
}

func (s *Service) auditLogin(ctx context.Context, l *Login, t *compute.Token, err error) {
	e := compute.AuditEvent{Time: s.now(), Service: "keystone", UserID: t.UserID, ProjectID: t.ProjectID, Action: "authenticate", TargetKind: "token",
		TargetID: t.AuditID, Outcome: compute.AuditSuccess, Status: 201, RequestID: l.RequestID, Remote: l.Remote}
	switch {
	case compute.IsKind(err, compute.Unauthorized), compute.IsKind(err, compute.NotFound):
		e.Outcome, e.Status, e.TargetID = compute.AuditDenied, 401, ""
	case err != nil:
		e.Outcome, e.Status, e.TargetID = compute.AuditFailure, 0, ""
	}
	s.audit(ctx, e)
}

// show finds who the login is, by each of its methods, which must agree.
func (s *Service) show(ctx context.Context, l *Login, t *compute.Token) error {
	if len(l.Methods) == 0 {
		return compute.Errorf(compute.Invalid, "Expecting to find methods in identity. The server could not comply with the request since it is either malformed or otherwise incorrect.")
	}
	for _, text := range []string{l.User.ID, l.User.Name, l.User.Domain.ID, l.User.Domain.Name, l.AppCredentialID, l.AppCredentialName} {
		if strings.ContainsRune(text, 0) {
			return errUnauthorized() // nobody is named so, and PostgreSQL has no such text
		}
	}
	for _, method := range l.Methods {
		before := t.UserID
		var err error
		switch method {
		case MethodPassword:
			err = s.showPassword(ctx, l, t)
		case MethodToken:
			err = s.showToken(ctx, l, t)
		case MethodAppCredential:
			err = s.showAppCredential(ctx, l, t)
		default:
			err = compute.Errorf(compute.Unauthorized, "Attempted to authenticate with an unsupported method.")
		}
		if err != nil {
			return err
		}
		if before != "" && before != t.UserID {
			return errUnauthorized()
		}
		if !slices.Contains(t.Methods, method) {
			t.Methods = append(t.Methods, method)
		}
	}
	slices.Sort(t.Methods)
	return nil
}

func (s *Service) showPassword(ctx context.Context, l *Login, t *compute.Token) error {
	u, err := s.findUser(ctx, l.User)
	if err != nil {
		return err
	}
	key := l.Remote + " " + l.User.ID + " " + l.User.Name + " " + l.User.Domain.ID + l.User.Domain.Name
	if u != nil {
		key = l.Remote + " " + u.ID
		t.UserID = u.ID // for the audit trail, too
	}
	if s.blocked(key) {
		return errUnauthorized()
	}
	hash := ""
	if u != nil {
		hash = u.PasswordHash
	}
	ok, err := s.passwords.check(ctx, hash, l.Password)
	if err != nil {
		return err
	}
	s.countFailure(key, ok)
	if !ok {
		return errUnauthorized()
	}
	return nil
}

// findUser gives the user of a login, nil when there is none.
func (s *Service) findUser(ctx context.Context, ref UserRef) (*compute.User, error) {
	var u *compute.User
	err := s.store.Read(ctx, func(tx *compute.Tx) (err error) {
		if ref.ID != "" {
			u, err = tx.Users.Get(ref.ID)
			return err
		}
		d, err := findDomain(tx, ref.Domain)
		if err != nil {
			return err
		}
		u, err = userNamed(tx, d.ID, ref.Name)
		return err
	})
	if compute.IsKind(err, compute.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find a user: %w", err)
	}
	return u, nil
}

func findDomain(tx *compute.Tx, ref DomainRef) (*compute.Domain, error) {
	if ref.ID != "" {
		return tx.Domains.Get(ref.ID)
	}
	d, err := first(tx.Domains, compute.Where{"name": ref.Name})
	if err == nil && d == nil {
		return nil, compute.Absent("domain", ref.Name)
	}
	return d, err
}

// blocked says whether a user had too many wrong passwords from an address.
func (s *Service) blocked(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, ok := s.failures[key]
	if ok && s.now().Sub(f.since) > s.cfg.FailuresWindow {
		delete(s.failures, key)
		return false
	}
	return ok && f.count >= s.cfg.FailuresMax
}

func (s *Service) countFailure(key string, right bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if right {
		delete(s.failures, key)
		return
	}
	f, ok := s.failures[key]
	if !ok {
		for other := range s.failures {
			if len(s.failures) < failuresKept {
				break
			}
			delete(s.failures, other)
		}
		f.since = s.now()
	}
	f.count++
	s.failures[key] = f
}

// showToken lets a token stand for its user: with another scope, until the same
// time.
func (s *Service) showToken(ctx context.Context, l *Login, t *compute.Token) error {
	session, err := s.Session(ctx, l.Token)
	if compute.IsKind(err, compute.Unauthorized) {
		return compute.Errorf(compute.NotFound, "Could not find token.") // Keystone's answer; clients tell it from a wrong password
	}
	if err != nil {
		return err
	}
	old := session.Token
	t.UserID, t.Expires, t.ParentAuditID, t.AppCredentialID = old.UserID, old.Expires, old.AuditID, old.AppCredentialID
	if old.ParentAuditID != "" {
		t.ParentAuditID = old.ParentAuditID
	}
	for _, method := range old.Methods {
		if !slices.Contains(t.Methods, method) {
			t.Methods = append(t.Methods, method)
		}
	}
	if t.AppCredentialID != "" {
		t.ProjectID = old.ProjectID
	}
	return nil
}

func (s *Service) showAppCredential(ctx context.Context, l *Login, t *compute.Token) error {
	a, err := s.findAppCredential(ctx, l)
	if err != nil {
		return err
	}
	ok, err := s.checkSecret(ctx, a, l.AppCredentialSecret)
	if err != nil {
		return err
	}
	if !ok || !a.Expires.IsZero() && !s.now().Before(a.Expires) {
		return errUnauthorized()
	}
	if l.scoped() && (l.Project == nil || l.Project.ID != a.ProjectID) {
		return compute.Errorf(compute.Unauthorized, "Application credentials cannot request a scope.")
	}
	t.UserID, t.AppCredentialID, t.ProjectID = a.UserID, a.ID, a.ProjectID
	if !a.Expires.IsZero() && a.Expires.Before(t.Expires) {
		t.Expires = a.Expires
	}
	return nil
}

// findAppCredential gives the application credential of a login, an empty one
// when there is none.
func (s *Service) findAppCredential(ctx context.Context, l *Login) (*compute.AppCredential, error) {
	var a *compute.AppCredential
	if l.AppCredentialID == "" {
		u, err := s.findUser(ctx, l.User)
		if err != nil {
			return nil, err
		}
		if u == nil {
			return &compute.AppCredential{}, nil
		}
		err = s.store.Read(ctx, func(tx *compute.Tx) (err error) {
			a, err = first(tx.AppCredentials, compute.Where{"user_id": u.ID, "name": l.AppCredentialName})
			return err
		})
		if err == nil && a == nil {
			a = &compute.AppCredential{}
		}
		return a, err
	}
	err := s.store.Read(ctx, func(tx *compute.Tx) (err error) {
		a, err = tx.AppCredentials.Get(l.AppCredentialID)
		return err
	})
	if compute.IsKind(err, compute.NotFound) {
		return &compute.AppCredential{}, nil
	}
	return a, err
}

// issue finds the scope, and keeps the token if the user has a role there.
func (s *Service) issue(ctx context.Context, l *Login, t *compute.Token) (*Session, error) {
	var session *Session
	err := s.store.Write(ctx, func(tx *compute.Tx) error {
		session = nil
		t := *t
		if err := chooseScope(tx, l, &t); err != nil {
			return err
		}
		var err error
		session, err = sessionOf(tx, &t, s.now())
		if err != nil && !l.scoped() && t.AppCredentialID == "" && t.ProjectID != "" {
			t.ProjectID = "" // the default project is not to be had
			session, err = sessionOf(tx, &t, s.now())
		}
		if err != nil {
			return err
		}
		return tx.Tokens.Insert(&t)
	})
	if compute.IsKind(err, compute.NotFound) {
		return nil, errUnauthorized()
	}
	if err != nil {
		var e *compute.Error
		if errors.As(err, &e) {
			return nil, err
		}
		return nil, fmt.Errorf("issue a token: %w", err)
	}
	t.ProjectID = session.Token.ProjectID
	return session, nil
}

// chooseScope sets the scope that a login asked for, else the user's default.
func chooseScope(tx *compute.Tx, l *Login, t *compute.Token) error {
	if t.AppCredentialID != "" {
		if l.scoped() && (l.Project == nil || l.Project.ID != t.ProjectID) {
			return errUnauthorized()
		}
		return nil
	}
	switch {
	case l.System:
		t.System = true
	case l.Domain != nil:
		d, err := findDomain(tx, *l.Domain)
		if err != nil {
			return err
		}
		t.DomainID = d.ID
	case l.Project != nil:
		id, err := findProject(tx, *l.Project)
		if err != nil {
			return err
		}
		t.ProjectID = id
	case !l.Unscoped:
		u, err := tx.Users.Get(t.UserID)
		if err != nil {
			return err
		}
		t.ProjectID = u.DefaultProjectID
	}
	return nil
}

func findProject(tx *compute.Tx, ref ProjectRef) (string, error) {
	if ref.ID != "" {
		return ref.ID, nil // looked up with the session
	}
	d, err := findDomain(tx, ref.Domain)
	if err != nil {
		return "", err
	}
	p, err := projectNamed(tx, d.ID, ref.Name)
	if err == nil && p == nil {
		err = compute.Absent("project", ref.Name)
	}
	if err != nil {
		return "", err
	}
	return p.ID, nil
}

// checkSecret says whether a secret is an application credential's. A secret
// that this program made is compared by its digest; one that a user chose was
// hashed as a password is.
func (s *Service) checkSecret(ctx context.Context, a *compute.AppCredential, secret string) (bool, error) {
	if made, ok := madeDigest(a.SecretHash); ok {
		return equal(made, digest(secret)), nil
	}
	return s.passwords.check(ctx, a.SecretHash, secret)
}
