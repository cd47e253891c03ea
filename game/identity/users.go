package identity

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/internal/sqldb"
)

// Bounds of looking up users.
const (
	knownMax   = 100_000 // UIDs whose canonical one is remembered
	chainMax   = 64      // merges that lead from one UID to another
	pageMax    = 500
	pageUsual  = 50
	createsMax = 20 // tries to create one user, each with another UID
)

// load gives a user with its identities. NotFound: the UID was never given to a user.
func load(r sqldb.Reader, uid game.UID) (game.User, error) {
	users, err := listUsers(r, "WHERE uid = ?", int64(uid))
	if err != nil {
		return game.User{}, err
	}
	if len(users) == 0 {
		return game.User{}, game.Errorf(game.NotFound, "there is no user %v", uid)
	}
	return users[0], nil
}

// listUsers reads users by a condition on their rows, and then their identities.
func listUsers(r sqldb.Reader, where string, args ...any) ([]game.User, error) {
	users, err := listRows(r, where, args...)
	if err != nil {
		return nil, err
	}
	for i := range users {
		if users[i].Identities, err = identities(r, users[i].UID); err != nil {
			return nil, err
		}
	}
	return users, nil
}

func listRows(r sqldb.Reader, where string, args ...any) (users []game.User, err error) {
	rows, err := r.Query("SELECT uid, created, banned, ban_reason, muted, mute_reason, merged_into, deleted FROM identity_users "+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var u game.User
		var uid, created, ban, mute, into, gone int64
		var banReason, muteReason string
		if err := rows.Scan(&uid, &created, &ban, &banReason, &mute, &muteReason, &into, &gone); err != nil {
			return nil, err
		}
		u.UID, u.Created, u.MergedInto, u.Deleted = game.UID(uid), fromMillis(created), game.UID(into), fromMillis(gone)
		u.Ban, u.Mute = restriction(ban, banReason), restriction(mute, muteReason)
		users = append(users, u)
	}
	return users, rows.Err()
}

// restriction reads one from a row: 0 is none.
func restriction(until int64, reason string) *game.Restriction {
	if until == 0 {
		return nil
	}
	return &game.Restriction{Until: fromMillis(until), Reason: reason}
}

func identities(r sqldb.Reader, uid game.UID) (list []game.Identity, err error) {
	rows, err := r.Query("SELECT provider, subject, linked FROM identity_pairs WHERE uid = ? AND unlinked = 0 ORDER BY linked, digest", int64(uid))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var i game.Identity
		var linked int64
		if err := rows.Scan(&i.Provider, &i.Subject, &linked); err != nil {
			return nil, err
		}
		i.Linked = fromMillis(linked)
		list = append(list, i)
	}
	return list, rows.Err()
}

// canonical follows merges to the user that a UID stands for.
func canonical(r sqldb.Reader, uid game.UID) (game.User, error) {
	for range chainMax {
		u, err := load(r, uid)
		if err != nil || u.MergedInto == 0 {
			return u, err
		}
		uid = u.MergedInto
	}
	return game.User{}, errors.New("merges lead in a circle, or are more than chainMax")
}

// User shows a user.
func (s *Server) User(ctx context.Context, uid game.UID) (u game.User, err error) {
	err = s.read(ctx, "show a user", func(r sqldb.Reader) error {
		u, err = load(r, uid)
		return err
	})
	return u, err
}

// Canonical gives the user that a UID stands for today: itself, or the winner of its merge. NotFound: it was never given;
// Conflict: it was deleted. It asks no database for what it saw lately.
func (s *Server) Canonical(ctx context.Context, uid game.UID) (game.UID, error) {
	if c, ok := s.known.get(uid); ok {
		return c, nil
	}
	if uid == 0 || uid > game.UIDMax {
		return 0, game.Errorf(game.NotFound, "there is no user %v", uid)
	}
	seq := s.feed.last()
	var u game.User
	err := s.read(ctx, "look up a user", func(r sqldb.Reader) (err error) {
		u, err = canonical(r, uid)
		return err
	})
	if err != nil {
		return 0, err
	}
	if !u.Deleted.IsZero() {
		return 0, game.Errorf(game.Conflict, "user %v was deleted", uid)
	}
	// What came in between may have been a merge. A user that was merged is not remembered: the end of its
	// chain can change without a notice about itself.
	if uid == u.UID && s.feed.last() == seq {
		s.known.change(uid, func(game.UID) game.UID { return u.UID })
	}
	return u.UID, nil
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
	if p.Limit == 0 {
		p.Limit = pageUsual
	}
	if p.Limit < 1 || p.Limit > pageMax {
		return nil, 0, game.Errorf(game.Invalid, "a page of %d users: want 1 to %d", p.Limit, pageMax)
	}
	if p.Provider != "" {
		if _, err := game.ParseProvider(string(p.Provider)); err != nil {
			return nil, 0, err
		}
	}
	if p.Subject != "" {
		if err := (game.Pair{Provider: game.ProviderGuest, Subject: p.Subject}).Check(); err != nil {
			return nil, 0, err
		}
	}
	where, args := p.where()
	err = s.read(ctx, "list users", func(r sqldb.Reader) (err error) {
		users, err = listUsers(r, where, args...)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	if len(users) > p.Limit {
		users = users[:p.Limit]
		next = users[p.Limit-1].UID
	}
	return users, next, nil
}

// where is the condition, with one row more than the page to see whether there is another page.
func (p Page) where() (string, []any) {
	var b strings.Builder
	b.WriteString("WHERE uid > ?")
	args := []any{int64(p.After)}
	if p.Provider != "" || p.Subject != "" {
		b.WriteString(" AND uid IN (SELECT uid FROM identity_pairs WHERE unlinked = 0")
		if p.Provider != "" {
			b.WriteString(" AND provider = ?")
			args = append(args, string(p.Provider))
		}
		switch {
		case p.Subject != "" && p.Prefix:
			b.WriteString(" AND subject >= ? AND subject < ?")
			args = append(args, p.Subject, p.Subject+"\U0010ffff") // the last character: text is ordered by its bytes
		case p.Subject != "":
			b.WriteString(" AND subject = ?")
			args = append(args, p.Subject)
		}
		b.WriteString(")")
	}
	b.WriteString(" ORDER BY uid LIMIT ?")
	return b.String(), append(args, int64(p.Limit+1))
}

// newUser writes a user with its first pair. errStale: with another UID it may work.
func newUser(w sqldb.Writer, uid game.UID, count int64, p game.Pair, now time.Time) error {
	n, err := restores(w)
	if err != nil {
		return err
	}
	if n != count {
		return errStale
	}
	_, err = w.Exec("INSERT INTO identity_users (uid, created, banned, ban_reason, muted, mute_reason, merged_into, deleted) VALUES (?, ?, 0, '', 0, '', 0, 0)", int64(uid), millis(now))
	if errors.Is(err, sqldb.ErrUnique) {
		return errStale
	}
	if err != nil {
		return err
	}
	return addPair(w, uid, p, now)
}
