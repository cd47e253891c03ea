package identity

import (
	"context"
	"errors"
	"time"

	"github.com/kamado/kamado/game"
)

var errDraft = errors.New("not written yet")

// Server is the ID server. Its methods may be called concurrently.
type Server struct{}

// Open prepares the tables, and reads keys, services and notices.
func Open(ctx context.Context, cfg game.IdentityConfig, deps Deps) (*Server, error) {
	return nil, errDraft
}

// Run polls notices, rotates keys and drops old rows until ctx ends.
func (s *Server) Run(ctx context.Context) error { return errDraft }

// Ready says whether notices of other servers were seen lately; its error is for /readyz.
func (s *Server) Ready() error { return errDraft }

// Authenticate says who has a credential: what stands after "Bearer " in a request. It
// asks no database for what it knows. The error is Unauthenticated, whatever is wrong.
func (s *Server) Authenticate(ctx context.Context, bearer string) (game.Principal, error) {
	return game.Principal{}, errDraft
}

// CreateGuest makes a user with the secret of a device. secret is empty, or 43 characters of unpadded base64url (256 bits) that
// the client chose: the same secret again signs the same user in, so a lost answer makes no second user.
func (s *Server) CreateGuest(ctx context.Context, secret string, c game.Client) (game.Login, error) {
	return game.Login{}, errDraft
}

// LoginGuest signs in with the secret of a device.
func (s *Server) LoginGuest(ctx context.Context, secret string, c game.Client) (game.Login, error) {
	return game.Login{}, errDraft
}

// CreatePassword makes a user with an e-mail address and a password. Conflict: the address has a user.
func (s *Server) CreatePassword(ctx context.Context, email, password string, c game.Client) (game.Login, error) {
	return game.Login{}, errDraft
}

// LoginPassword signs in. Unauthenticated is the same, after the same time, for an address that is not known and a wrong password.
func (s *Server) LoginPassword(ctx context.Context, email, password string, c game.Client) (game.Login, error) {
	return game.Login{}, errDraft
}

// LoginPair signs in whom a provider vouched for (package oidc), and makes the user if there is none.
func (s *Server) LoginPair(ctx context.Context, p game.Pair, c game.Client) (game.Login, error) {
	return game.Login{}, errDraft
}

// Refresh exchanges a refresh token for new tokens.
func (s *Server) Refresh(ctx context.Context, refresh string, c game.Client) (game.Login, error) {
	return game.Login{}, errDraft
}

// Sessions lists the sessions of a user that can go on, the one used last first.
func (s *Server) Sessions(ctx context.Context, uid game.UID) ([]game.Session, error) {
	return nil, errDraft
}

// SignOut ends a session of a user. NotFound: it has no such session.
func (s *Server) SignOut(ctx context.Context, uid game.UID, session string) error { return errDraft }

// SignOutEverywhere ends all sessions of a user but one, which may be empty, and says how many.
func (s *Server) SignOutEverywhere(ctx context.Context, uid game.UID, but string) (int, error) {
	return 0, errDraft
}

// User shows a user.
func (s *Server) User(ctx context.Context, uid game.UID) (game.User, error) {
	return game.User{}, errDraft
}

// Page is what Users lists.
type Page struct {
	After    game.UID      // the last UID of the page before; 0: from the beginning
	Limit    int           // 1 to 500; 0: 50
	Provider game.Provider // only users with a pair of it; empty: any
	Subject  string        // only users with this subject, or one that begins with it when Prefix is set
	Prefix   bool
}

// Users lists users by UID. next is the After of the next page; 0: there is none.
func (s *Server) Users(ctx context.Context, p Page) (users []game.User, next game.UID, err error) {
	return nil, 0, errDraft
}

// Canonical gives the user that a UID stands for today: itself, or the winner of its merge. NotFound: it was never given;
// Conflict: it was deleted. It asks no database for what it saw lately.
func (s *Server) Canonical(ctx context.Context, uid game.UID) (game.UID, error) { return 0, errDraft }

// Link gives a user one more pair, for which a provider vouched. Conflict: it is, or was, another user's.
func (s *Server) Link(ctx context.Context, uid game.UID, p game.Pair) (game.User, error) {
	return game.User{}, errDraft
}

// LinkPassword gives a user, mostly a guest, an e-mail address and a password.
func (s *Server) LinkPassword(ctx context.Context, uid game.UID, email, password string) (game.User, error) {
	return game.User{}, errDraft
}

// Unlink takes a pair from a user, never the last one. It stays reserved for that user.
func (s *Server) Unlink(ctx context.Context, uid game.UID, p game.Pair) (game.User, error) {
	return game.User{}, errDraft
}

// ChangePassword sets a new password after proof of the old one, and signs out all sessions but one.
func (s *Server) ChangePassword(ctx context.Context, uid game.UID, old, password, but string) error {
	return errDraft
}

// SetPassword sets a new password without proof (operator), and signs out all sessions.
func (s *Server) SetPassword(ctx context.Context, uid game.UID, password string) error {
	return errDraft
}

// Ban keeps a user from signing in, and ends the sessions.
func (s *Server) Ban(ctx context.Context, uid game.UID, r game.Restriction) error { return errDraft }

// Unban ends a ban.
func (s *Server) Unban(ctx context.Context, uid game.UID) error { return errDraft }

// Mute keeps a user from talking; Principal.MutedUntil tells.
func (s *Server) Mute(ctx context.Context, uid game.UID, r game.Restriction) error { return errDraft }

// Unmute ends a mute.
func (s *Server) Unmute(ctx context.Context, uid game.UID) error { return errDraft }

// Delete ends a user: no sign-in, no sessions, no subjects in clear. UID and pairs are never given again.
func (s *Server) Delete(ctx context.Context, uid game.UID) error { return errDraft }

// Mover moves what a loser has to the winner. It may be called again after a crash, with part of it moved already.
type Mover func(ctx context.Context, m game.Merge) error

// Merge makes a guest the past of another user. The caller has proof of both. Order of things:
//  1. the merge is durable as begun: the loser's sessions end, its pairs sign the winner in;
//  2. after Merge.MoveAfter no server believes the loser's tokens; move is called;
//  3. the merge is durable as done.
//
// When it is interrupted after 1, ResumeMerges goes on. The same merge again goes on, or gives the done one.
func (s *Server) Merge(ctx context.Context, winner, loser game.UID, move Mover) (game.Merge, error) {
	return game.Merge{}, errDraft
}

// ResumeMerges carries on merges that were begun and are not done. For the start of a server, and every minute.
func (s *Server) ResumeMerges(ctx context.Context, move Mover) error { return errDraft }

// MergesOpen lists merges that were begun and are not done.
func (s *Server) MergesOpen(ctx context.Context) ([]game.Merge, error) { return nil, errDraft }

// AdvanceUIDs makes all later UIDs greater than past; see its text in uids.go. It gives the last UID that may have been given.
func (s *Server) AdvanceUIDs(ctx context.Context, past game.UID) (game.UID, error) {
	return 0, errDraft
}

// JWT gives a user a token for another service, of which it is the audience. It ends with the access token at the latest.
func (s *Server) JWT(p game.Principal, audience string) (token string, expires time.Time, err error) {
	return "", time.Time{}, errDraft
}

// JWKS is the JSON Web Key Set document with all published keys.
func (s *Server) JWKS() []byte { return nil }

// KeyInfo is what is public of a key that signs tokens.
type KeyInfo struct {
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	Signs   time.Time `json:"signs"`   // when it begins to sign
	Retires time.Time `json:"retires"` // when it stops
	Ends    time.Time `json:"ends"`    // when it is dropped
}

// Keys lists the keys, the oldest first.
func (s *Server) Keys() []KeyInfo { return nil }

// RotateKeys publishes a new key, which signs after KeyAhead. Nobody is signed out.
func (s *Server) RotateKeys(ctx context.Context) (KeyInfo, error) { return KeyInfo{}, errDraft }

// RevokeKey drops a key that somebody else may have. All its tokens end at once; refresh tokens go on.
func (s *Server) RevokeKey(ctx context.Context, id string) error { return errDraft }

// EnsureService makes a service credential if there is none of the name. The secret is empty when it was there.
func (s *Server) EnsureService(ctx context.Context, name string, scopes game.Scope) (secret string, created bool, err error) {
	return "", false, errDraft
}

// CreateService makes a service credential. Conflict: there is one of the name.
func (s *Server) CreateService(ctx context.Context, name string, scopes game.Scope) (secret string, err error) {
	return "", errDraft
}

// RenewService gives a service a new secret; the old one ends at once.
func (s *Server) RenewService(ctx context.Context, name string) (secret string, err error) {
	return "", errDraft
}

// Services lists service credentials by name.
func (s *Server) Services(ctx context.Context) ([]game.ServiceCredential, error) {
	return nil, errDraft
}

// RevokeService ends a service credential. Its name may be used again.
func (s *Server) RevokeService(ctx context.Context, name string) error { return errDraft }

// SharedKey gives 32 secret bytes for a purpose, the same on all servers of the database.
func (s *Server) SharedKey(ctx context.Context, purpose string) ([]byte, error) { return nil, errDraft }

// Spend remembers until a time that something was used, on all servers. Conflict: it was used before.
func (s *Server) Spend(ctx context.Context, thing string, until time.Time) error { return errDraft }
