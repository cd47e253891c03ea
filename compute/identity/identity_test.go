package identity_test

import (
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/identity"
	"github.com/kamado/kamado/compute/store"
	"github.com/kamado/kamado/internal/sqldb/sqlite"
)

// world is an identity of its own, with a clock that stands until it is moved.
type world struct {
	*identity.Service
	t     *testing.T
	store compute.Store
	boot  identity.Bootstrap
	clock atomic.Int64 // seconds

	mu     sync.Mutex
	events []compute.AuditEvent
}

func newWorld(t *testing.T, change func(*identity.Config)) *world {
	t.Helper()
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	st, err := store.Open(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	cfg := identity.Default()
	cfg.PasswordCost = bcrypt.MinCost
	if change != nil {
		change(&cfg)
	}
	w := &world{t: t, store: st}
	w.clock.Store(1_800_000_000)
	w.Service = identity.New(st, cfg, slog.New(slog.NewTextHandler(io.Discard, nil)), func() time.Time { return time.Unix(w.clock.Load(), 0) })
	w.OnAudit(func(_ context.Context, e compute.AuditEvent) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.events = append(w.events, e)
	})
	if w.boot, err = w.Bootstrap(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) pass(d time.Duration) { w.clock.Add(int64(d / time.Second)) }

// member is the login of the first member.
func (w *world) member() identity.Login {
	return identity.Login{Methods: []string{"password"}, User: identity.UserRef{ID: w.boot.MemberUserID}, Password: w.boot.MemberPassword,
		Project: &identity.ProjectRef{ID: w.boot.MemberProjectID}, Remote: "192.0.2.1"}
}

func (w *world) login(l identity.Login) (string, *identity.Session) {
	w.t.Helper()
	token, session, err := w.Login(w.t.Context(), l)
	if err != nil {
		w.t.Fatal(err)
	}
	return token, session
}

func (w *world) wantKind(what string, err error, kind compute.Kind) {
	w.t.Helper()
	if !compute.IsKind(err, kind) {
		w.t.Errorf("%s = %v, want an error of kind %v", what, err, kind)
	}
}

func (w *world) wantValid(what, token string, valid bool) {
	w.t.Helper()
	_, err := w.Authenticate(w.t.Context(), token)
	if valid && err != nil {
		w.t.Errorf("%s: %v, want a valid token", what, err)
	}
	if !valid {
		w.wantKind(what, err, compute.Unauthorized)
	}
}

// another is another process on the same store.
func (w *world) another(first map[string]string) *world {
	w.t.Helper()
	cfg := identity.Default()
	cfg.PasswordCost, cfg.FirstPasswords = bcrypt.MinCost, first
	o := &world{t: w.t, store: w.store, boot: w.boot}
	o.clock.Store(w.clock.Load())
	o.Service = identity.New(w.store, cfg, slog.New(slog.NewTextHandler(io.Discard, nil)), func() time.Time { return time.Unix(o.clock.Load(), 0) })
	if _, err := o.Bootstrap(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return o
}

// hashOf is what the store has of a user's password.
func (w *world) hashOf(id string) (hash string) {
	w.t.Helper()
	err := w.store.Read(w.t.Context(), func(tx *compute.Tx) error {
		u, err := tx.Users.Get(id)
		if err == nil {
			hash = u.PasswordHash
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return hash
}

// TestFirstPasswordsAreHashedAfterTheStart takes passwords that are kept
// elsewhere through a crash before their hashes were made.
func TestFirstPasswordsAreHashedAfterTheStart(t *testing.T) {
	kept := map[string]string{identity.AdminUser: "first secret", identity.MemberUser: "second secret"}
	w := newWorld(t, func(c *identity.Config) { c.FirstPasswords = kept })
	if _, err := bcrypt.Cost([]byte(w.hashOf(w.boot.MemberUserID))); err == nil {
		t.Error("the start waited for a hash")
	}
	wrong := w.member()
	wrong.Password = kept[identity.AdminUser]
	instead := w.member()
	instead.Password = w.hashOf(w.boot.MemberUserID) // what stands in the store opens nothing
	afterCrash, stranger := w.another(kept), w.another(nil)
	for _, process := range []*world{w, afterCrash} {
		process.pass(time.Hour) // longer than any other proof answers
		process.login(w.member())
		for _, l := range []identity.Login{wrong, instead} {
			_, _, err := process.Login(t.Context(), l)
			process.wantKind("a wrong password before there is a hash", err, compute.Unauthorized)
		}
	}
	_, _, err := stranger.Login(t.Context(), w.member())
	w.wantKind("a password that the process was not given", err, compute.Unauthorized)

	changed := "of the administrator's own choice"
	if err := afterCrash.ChangePassword(t.Context(), w.boot.AdminUserID, kept[identity.AdminUser], changed, identity.Origin{}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- afterCrash.Run(ctx) }()
	for {
		if _, err := bcrypt.Cost([]byte(w.hashOf(w.boot.MemberUserID))); err == nil {
			break
		}
		select {
		case <-time.After(time.Millisecond):
		case <-t.Context().Done():
			t.Fatal("no hash was made")
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	stranger.login(w.member())
	w.login(w.member())
	admin := w.member()
	admin.User, admin.Project, admin.Password = identity.UserRef{ID: w.boot.AdminUserID}, nil, changed
	stranger.login(admin)
}

func TestBootstrapTwiceChangesNothing(t *testing.T) {
	w := newWorld(t, nil)
	again, err := w.Bootstrap(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := w.boot
	want.AdminPassword, want.MemberPassword = "", ""
	if again != want {
		t.Errorf("second bootstrap = %+v, want %+v", again, want)
	}
	caller, err := w.Authenticate(t.Context(), first(w.login(w.member())))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(caller.Roles, []string{"member", "reader"}) || caller.Admin() {
		t.Errorf("roles of the member = %v, want member and reader", caller.Roles)
	}
	admin := identity.Login{Methods: []string{"password"}, User: identity.UserRef{Name: "admin", Domain: identity.DomainRef{Name: "Default"}}, Password: w.boot.AdminPassword, System: true}
	if _, s := w.login(admin); !s.Caller().Admin() || !s.Caller().System {
		t.Errorf("system scope of the administrator = %+v", s.Caller())
	}
}

func first[A, B any](a A, _ B) A { return a }

// TestTokenEndsWith names each way in which a token ends.
func TestTokenEndsWith(t *testing.T) {
	roleID := func(w *world, name string) (id string) {
		_ = w.store.Read(w.t.Context(), func(tx *compute.Tx) error {
			list, err := tx.Roles.List(compute.Query{Where: compute.Where{"name": name}})
			id = list[0].ID
			return err
		})
		return id
	}
	ways := map[string]func(w *world, token string) error{
		"its time": func(w *world, _ string) error { w.pass(time.Hour); return nil },
		"revoking": func(w *world, token string) error { return w.Revoke(w.t.Context(), token) },
		"a new password": func(w *world, _ string) error {
			return w.ChangePassword(w.t.Context(), w.boot.MemberUserID, w.boot.MemberPassword, "another", identity.Origin{})
		},
		"a disabled user": func(w *world, _ string) error {
			_, err := w.UpdateUser(w.t.Context(), w.boot.MemberUserID, "", func(u *compute.User) error { u.Enabled = false; return nil })
			return err
		},
		"a deleted user": func(w *world, _ string) error { return w.DeleteUser(w.t.Context(), w.boot.MemberUserID) },
		"a disabled project": func(w *world, _ string) error {
			_, err := w.UpdateProject(w.t.Context(), w.boot.MemberProjectID, func(p *compute.Project) error { p.Enabled = false; return nil })
			return err
		},
		"a deleted project": func(w *world, _ string) error { return w.DeleteProject(w.t.Context(), w.boot.MemberProjectID) },
		"no role any more": func(w *world, _ string) error {
			for _, role := range []string{"member", "reader"} {
				a := compute.Assignment{ActorID: w.boot.MemberUserID, TargetKind: identity.KindProject, TargetID: w.boot.MemberProjectID, RoleID: roleID(w, role)}
				if err := w.Unassign(w.t.Context(), a); err != nil {
					return err
				}
			}
			return nil
		},
	}
	for name, end := range ways {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			token, _ := w.login(w.member())
			w.wantValid("before", token, true)
			if err := end(w, token); err != nil {
				t.Fatal(err)
			}
			w.wantValid("after", token, false)
		})
	}
}

func TestStoreHoldsNoSecret(t *testing.T) {
	w := newWorld(t, nil)
	token, _ := w.login(w.member())
	err := w.store.Read(t.Context(), func(tx *compute.Tx) error {
		tokens, err := tx.Tokens.List(compute.Query{})
		for _, row := range tokens {
			if strings.Contains(row.ID, token) || len(row.ID) != 64 {
				t.Errorf("a token lies in the store as %q", row.ID)
			}
		}
		u, err2 := tx.Users.Get(w.boot.MemberUserID)
		if strings.Contains(u.PasswordHash, w.boot.MemberPassword) {
			t.Errorf("a password lies in the store")
		}
		return firstError(err, err2)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestPurgeRemovesWhatIsOver(t *testing.T) {
	w := newWorld(t, nil)
	w.login(w.member())
	w.pass(30 * time.Minute)
	w.login(w.member())
	w.pass(31 * time.Minute)
	if err := w.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := w.store.Read(t.Context(), func(tx *compute.Tx) error {
		n, err := tx.Tokens.Count(compute.Query{})
		if n != 1 {
			t.Errorf("%d tokens are left, want 1", n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRescopingKeepsTheEnd(t *testing.T) {
	w := newWorld(t, nil)
	l := w.member()
	l.Project, l.Unscoped = nil, true
	unscoped, old := w.login(l)
	if old.Project != nil || len(old.Roles) != 0 {
		t.Errorf("unscoped session = %+v", old)
	}
	w.pass(10 * time.Minute)
	_, s := w.login(identity.Login{Methods: []string{"token"}, Token: unscoped, Project: &identity.ProjectRef{Name: "kamado", Domain: identity.DomainRef{ID: "default"}}})
	if !s.Token.Expires.Equal(old.Token.Expires) || s.Token.ParentAuditID != old.Token.AuditID || !slices.Equal(s.Token.Methods, []string{"password", "token"}) {
		t.Errorf("rescoped token = %+v, of %+v", s.Token, old.Token)
	}
	_, _, err := w.Login(t.Context(), identity.Login{Methods: []string{"token"}, Token: unscoped, Project: &identity.ProjectRef{ID: w.boot.AdminProjectID}})
	w.wantKind("a project without a role", err, compute.Unauthorized)
	_, _, err = w.Login(t.Context(), identity.Login{Methods: []string{"token"}, Token: unscoped, Project: &identity.ProjectRef{ID: "absent"}})
	w.wantKind("an absent project", err, compute.Unauthorized)
	_, s = w.login(identity.Login{Methods: []string{"password"}, User: identity.UserRef{ID: w.boot.MemberUserID}, Password: w.boot.MemberPassword})
	if s.Project == nil || s.Project.ID != w.boot.MemberProjectID {
		t.Errorf("a login without scope has project %+v, want the default project", s.Project)
	}
}

func TestWrongPasswordsAreBoundedPerUserAndAddress(t *testing.T) {
	w := newWorld(t, func(c *identity.Config) { c.FailuresMax, c.FailuresWindow = 3, time.Minute })
	wrong := w.member()
	wrong.Password = "wrong"
	for range 3 {
		_, _, err := w.Login(t.Context(), wrong)
		w.wantKind("a wrong password", err, compute.Unauthorized)
	}
	_, _, err := w.Login(t.Context(), w.member())
	w.wantKind("the right one after too many", err, compute.Unauthorized)
	elsewhere := w.member()
	elsewhere.Remote = "192.0.2.2"
	w.login(elsewhere)
	w.pass(61 * time.Second)
	w.login(w.member())
}

// TestLoginsWaitForATurn logs in with a wrong password, which is work each time.
func TestLoginsWaitForATurn(t *testing.T) {
	w := newWorld(t, func(c *identity.Config) {
		c.PasswordsAtOnce, c.PasswordsWaitingMax, c.PasswordCost = 1, 2, 8
		c.FailuresMax = 1000
	})
	var looked, busy, other atomic.Int32
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			wrong := w.member()
			wrong.Password = "wrong"
			switch _, _, err := w.Login(t.Context(), wrong); {
			case compute.IsKind(err, compute.Unauthorized):
				looked.Add(1)
			case compute.IsKind(err, compute.Unavailable):
				busy.Add(1)
			default:
				other.Add(1)
			}
		})
	}
	wg.Wait()
	if looked.Load() < 1 || busy.Load() < 1 || other.Load() != 0 {
		t.Errorf("64 logins at once: %d looked at, %d told to wait, %d otherwise; want some of the first two and none else", looked.Load(), busy.Load(), other.Load())
	}
}

// TestUnknownUserCostsAsMuch compares work, roughly: without it, an unknown
// user is answered hundreds of times faster.
func TestUnknownUserCostsAsMuch(t *testing.T) {
	w := newWorld(t, func(c *identity.Config) { c.PasswordCost, c.FailuresMax = 8, 1000 })
	fastest := func(l identity.Login) time.Duration {
		best := time.Hour
		for range 5 {
			start := time.Now()
			_, _, err := w.Login(t.Context(), l)
			best = min(best, time.Since(start))
			w.wantKind("login", err, compute.Unauthorized)
		}
		return best
	}
	wrong := w.member()
	wrong.Password = "wrong"
	unknown := wrong
	unknown.User = identity.UserRef{Name: "nobody", Domain: identity.DomainRef{ID: "default"}}
	if a, b := fastest(wrong), fastest(unknown); b < a/10 { // a busy machine moves both, by less than that
		t.Errorf("a wrong password takes %v, an unknown user %v", a, b)
	}
}

func TestLongPasswordsCountWhole(t *testing.T) {
	w := newWorld(t, nil)
	long := strings.Repeat("a", 80)
	u := &compute.User{Name: "hana", Enabled: true}
	if err := w.CreateUser(t.Context(), u, long+"x"); err != nil {
		t.Fatal(err)
	}
	_, _, err := w.Login(t.Context(), identity.Login{Methods: []string{"password"}, User: identity.UserRef{ID: u.ID}, Password: long + "y"})
	w.wantKind("another end", err, compute.Unauthorized)
	w.login(identity.Login{Methods: []string{"password"}, User: identity.UserRef{ID: u.ID}, Password: long + "x"})
}

func TestApplicationCredentialHasItsRolesOnly(t *testing.T) {
	w := newWorld(t, nil)
	_, member := w.login(w.member())
	reader := member.Roles[1]
	a := &compute.AppCredential{Name: "robot", RoleIDs: []string{reader.ID}, Expires: time.Unix(w.clock.Load(), 0).Add(10 * time.Minute)}
	secret, err := w.CreateAppCredential(t.Context(), member, a, "")
	if err != nil {
		t.Fatal(err)
	}
	l := identity.Login{Methods: []string{"application_credential"}, AppCredentialID: a.ID, AppCredentialSecret: secret}
	token, s := w.login(l)
	if c := s.Caller(); !slices.Equal(c.Roles, []string{"reader"}) || c.ProjectID != w.boot.MemberProjectID {
		t.Errorf("caller of the credential = %+v", c)
	}
	_, err = w.CreateAppCredential(t.Context(), s, &compute.AppCredential{Name: "child"}, "")
	w.wantKind("a credential made by a restricted one", err, compute.Denied)
	wrong := l
	wrong.AppCredentialSecret = "wrong"
	_, _, err = w.Login(t.Context(), wrong)
	w.wantKind("a wrong secret", err, compute.Unauthorized)
	_, _, err = w.Login(t.Context(), identity.Login{Methods: []string{"token"}, Token: token, System: true})
	w.wantKind("another scope", err, compute.Unauthorized)
	w.pass(11 * time.Minute)
	w.wantValid("after the credential's end", token, false)
	_, _, err = w.Login(t.Context(), l)
	w.wantKind("a login after the credential's end", err, compute.Unauthorized)

	chosen := &compute.AppCredential{Name: "by hand"}
	_, member = w.login(w.member())
	if _, err := w.CreateAppCredential(t.Context(), member, chosen, "my own"); err != nil {
		t.Fatal(err)
	}
	named := identity.Login{Methods: []string{"application_credential"}, AppCredentialName: "by hand", AppCredentialSecret: "my own", User: identity.UserRef{ID: w.boot.MemberUserID}}
	token, _ = w.login(named)
	if err := w.DeleteAppCredential(t.Context(), w.boot.MemberUserID, chosen.ID); err != nil {
		t.Fatal(err)
	}
	w.wantValid("after the credential is deleted", token, false)
}

func TestInheritedRolesReachTheTree(t *testing.T) {
	w := newWorld(t, nil)
	parent := &compute.Project{Name: "kitchen", Enabled: true}
	if err := w.CreateProject(t.Context(), parent); err != nil {
		t.Fatal(err)
	}
	child := &compute.Project{Name: "oven", Enabled: true, ParentID: parent.ID}
	if err := w.CreateProject(t.Context(), child); err != nil {
		t.Fatal(err)
	}
	_, member := w.login(w.member())
	give := compute.Assignment{ActorID: w.boot.MemberUserID, TargetKind: identity.KindProject, TargetID: parent.ID, RoleID: member.Roles[0].ID, InheritedProjects: true}
	if err := w.Assign(t.Context(), give); err != nil {
		t.Fatal(err)
	}
	l := w.member()
	l.Project = &identity.ProjectRef{ID: child.ID}
	w.login(l)
	l.Project = &identity.ProjectRef{ID: parent.ID}
	_, _, err := w.Login(t.Context(), l)
	w.wantKind("the project itself", err, compute.Unauthorized)
	w.wantKind("a parent deleted", w.DeleteProject(t.Context(), parent.ID), compute.Denied)
}

func TestSessionsAreBounded(t *testing.T) {
	w := newWorld(t, func(c *identity.Config) { c.SessionsMax = 3 })
	var tokens []string
	for range 10 {
		tokens = append(tokens, first(w.login(w.member())))
	}
	for range 2 {
		for _, token := range tokens {
			w.wantValid("one of many", token, true)
		}
	}
	if n := w.Remembered(); n != 3 {
		t.Errorf("%d sessions are remembered, want 3", n)
	}
}

func TestAuditOfLogins(t *testing.T) {
	w := newWorld(t, nil)
	w.login(w.member())
	wrong := w.member()
	wrong.Password = "wrong"
	_, _, _ = w.Login(t.Context(), wrong)
	from := identity.Origin{Remote: "192.0.2.9"}
	_ = w.ChangePassword(t.Context(), w.boot.MemberUserID, "wrong", "another", from)
	if err := w.ChangePassword(t.Context(), w.boot.MemberUserID, w.boot.MemberPassword, "another", from); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range w.events {
		got = append(got, e.Action+" "+e.UserID+" "+e.Outcome+" "+e.Remote)
	}
	want := []string{"authenticate " + w.boot.MemberUserID + " success 192.0.2.1", "authenticate " + w.boot.MemberUserID + " denied 192.0.2.1",
		"update " + w.boot.MemberUserID + " denied 192.0.2.9", "update " + w.boot.MemberUserID + " success 192.0.2.9"}
	if !slices.Equal(got, want) {
		t.Errorf("audit = %q, want %q", got, want)
	}
}

func TestDefaultIsValid(t *testing.T) {
	if err := identity.Default().Validate(); err != nil {
		t.Error(err)
	}
	if err := (identity.Config{}).Validate(); err == nil {
		t.Error("a config without values is valid")
	}
}

// BenchmarkAuthenticate is what every request of every dialect pays.
func BenchmarkAuthenticate(b *testing.B) {
	db, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "db"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	st, err := store.Open(b.Context(), db)
	if err != nil {
		b.Fatal(err)
	}
	cfg := identity.Default()
	cfg.PasswordCost = bcrypt.MinCost
	s := identity.New(st, cfg, slog.New(slog.NewTextHandler(io.Discard, nil)), time.Now)
	boot, err := s.Bootstrap(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	token, _, err := s.Login(b.Context(), identity.Login{Methods: []string{"password"}, User: identity.UserRef{ID: boot.MemberUserID}, Password: boot.MemberPassword})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Authenticate(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}
