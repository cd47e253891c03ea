package identity

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/internal/sqldb"
	"github.com/kamado/kamado/internal/token"
)

// A refresh token is "kr1." and three texts of base64url: the session's id (128
// bits), the family (128 bits, the same in all tokens of the session), and a secret (256
// bits). The family tells a token that was exchanged long ago from one that somebody
// made up: only the first ends the session. The next secret is
// HMAC-SHA256(salt, secret) with a new random salt each time, so that the same token shown
// twice within the grace gives the same next one, while only digests of secrets are kept.
const (
	refreshPrefix = "kr1."
	idLetters     = 22
	refreshBytes  = len(refreshPrefix) + 2*idLetters + secretLetters
)

// leastLife is what a session must have left to be worth a token.
const leastLife = 2 * time.Second

// refreshToken is a refresh token, taken apart.
type refreshToken struct{ session, family, secret string }

func (r refreshToken) String() string { return refreshPrefix + r.session + r.family + r.secret }

// parseRefresh reads a refresh token; ok is false for anything else.
func parseRefresh(text string) (r refreshToken, ok bool) {
	rest, ok := strings.CutPrefix(text, refreshPrefix)
	if !ok || len(text) != refreshBytes || strings.ContainsAny(text, "\r\n") {
		return r, false
	}
	r = refreshToken{rest[:idLetters], rest[idLetters : 2*idLetters], rest[2*idLetters:]}
	for _, part := range []string{r.session, r.family, r.secret} {
		if _, err := secretBase64.DecodeString(part); err != nil {
			return refreshToken{}, false
		}
	}
	return r, true
}

func (r refreshToken) familyDigest() string { return digestOf("family", r.session, r.family) }
func (r refreshToken) secretDigest() string { return digestOf("refresh", r.session, r.secret) }

// next is the successor by a salt.
func (r refreshToken) next(salt string) refreshToken {
	m := hmac.New(sha256.New, []byte(salt))
	m.Write([]byte(r.secret)) //nolint:errcheck // never fails (hash.Hash)
	r.secret = secretBase64.EncodeToString(m.Sum(nil))
	return r
}

// granted is a session for which tokens are made, once its row is durable.
type granted struct {
	uid     game.UID
	session string
	refresh refreshToken
	expires time.Time // of the refresh token
	ends    time.Time // of the session
	mute    int64     // as in rows
	created bool
}

// sessionRow is a row of a session.
type sessionRow struct {
	uid                             game.UID
	used, expires, ends, rotated    int64
	family, current, previous, salt string
}

func readSession(r sqldb.Reader, id string) (row sessionRow, ok bool, err error) {
	var uid int64
	err = r.QueryRow("SELECT uid, used, expires, ends, rotated, family, current, previous, salt FROM identity_sessions WHERE id = ?", id).
		Scan(&uid, &row.used, &row.expires, &row.ends, &row.rotated, &row.family, &row.current, &row.previous, &row.salt)
	if noRows(err) {
		return row, false, nil
	}
	row.uid = game.UID(uid)
	return row, err == nil, err
}

// startSession writes a session, and ends those that are too many.
func (s *Server) startSession(w sqldb.Writer, u game.User, c game.Client, now time.Time) (granted, []notice, error) {
	notices, err := s.makeRoom(w, u.UID)
	if err != nil {
		return granted{}, nil, err
	}
	t := refreshToken{random(16), random(16), random(32)}
	ends := now.Add(s.cfg.SessionLife)
	expires := now.Add(s.cfg.RefreshLife)
	_, err = w.Exec(`INSERT INTO identity_sessions (id, uid, created, used, expires, ends, address, agent, family, current, previous, salt, rotated)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', '', 0)`,
		t.session, int64(u.UID), millis(now), millis(now), millis(expires), millis(ends), addressText(c.Address), agentText(c.Agent), t.familyDigest(), t.secretDigest())
	return granted{uid: u.UID, session: t.session, refresh: t, expires: expires, ends: ends, mute: muteOf(u, now)}, notices, err
}

// makeRoom ends the sessions of a user that were not used for longest, so that one more is within the bound.
func (s *Server) makeRoom(w sqldb.Writer, uid game.UID) (notices []notice, err error) {
	list, err := sessionsOf(w, uid)
	if err != nil || len(list) < s.cfg.Sessions {
		return nil, err
	}
	for _, v := range list[s.cfg.Sessions-1:] {
		if _, err := w.Exec("DELETE FROM identity_sessions WHERE id = ?", v.id); err != nil {
			return nil, err
		}
		notices = append(notices, sessionNotice(v.id, displaced, v.used))
	}
	return notices, s.roomForNotices()
}

// roomForNotices refuses what a user can do without end, when too many notices are remembered.
func (s *Server) roomForNotices() error {
	if s.feed.len() < noticesMax {
		return nil
	}
	return limited("too many sessions were ended", time.Minute)
}

// usedSession is a session and when it was used last.
type usedSession struct {
	id   string
	used int64
}

// sessionsOf lists the sessions of a user, the one used last first.
func sessionsOf(r sqldb.Reader, uid game.UID) (list []usedSession, err error) {
	rows, err := r.Query("SELECT id, used FROM identity_sessions WHERE uid = ? ORDER BY used DESC, id", int64(uid))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var v usedSession
		if err := rows.Scan(&v.id, &v.used); err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, rows.Err()
}

// endSessions ends all sessions of a user but one.
func endSessions(w sqldb.Writer, uid game.UID, but string, why reason) (notices []notice, err error) {
	list, err := sessionsOf(w, uid)
	if err != nil {
		return nil, err
	}
	for _, v := range list {
		if v.id != but {
			notices = append(notices, sessionNotice(v.id, why, v.used))
		}
	}
	_, err = w.Exec("DELETE FROM identity_sessions WHERE uid = ? AND id <> ?", int64(uid), but)
	return notices, err
}

func muteOf(u game.User, now time.Time) int64 {
	switch {
	case !u.Mute.InForce(now):
		return 0
	case u.Mute.Until.IsZero():
		return forever
	}
	return millis(u.Mute.Until)
}

func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.Unmap().WithZone("").String()
}

// agentText cuts what a client says of itself to whole characters.
func agentText(text string) string {
	text = strings.ToValidUTF8(text, "")
	text = strings.ReplaceAll(text, "\x00", "") // PostgreSQL has no text with it
	for len(text) > game.AgentBytesMax {
		_, n := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-n]
	}
	return text
}

// claimMute is the further claim of a mute: its end in milliseconds, or forever.
const claimMute = "mute"

// login makes the tokens of a session.
func (s *Server) login(g granted) (game.Login, error) {
	now := s.clock.now()
	expires := now.Add(s.cfg.AccessLife)
	if g.ends.Before(expires) {
		expires = g.ends
	}
	c := token.Claims{
		Subject: g.uid.String(), Audience: game.TokenAudience, Issuer: s.cfg.Issuer, Issued: now, Expires: expires, ID: random(12), Session: g.session,
	}
	if g.mute != 0 {
		c.Extra = map[string]string{claimMute: strconv.FormatInt(g.mute, 10)}
	}
	access, err := s.verifier.Ring().Mint(c, now)
	if err != nil {
		return game.Login{}, &game.Error{Op: "make a token", Kind: game.Internal, Err: err}
	}
	return game.Login{
		UID: g.uid, Session: g.session, Created: g.created, Access: access, AccessExpires: expires.Truncate(time.Second),
		Refresh: g.refresh.String(), RefreshExpires: g.expires.Truncate(time.Second),
	}, nil
}

var errNoSession = &game.Error{Kind: game.Unauthenticated, Detail: "refresh token is not valid: sign in again"}

// outcome is what a refresh token led to.
type outcome string

const (
	outRefused  outcome = "refused"
	outRotated  outcome = "rotated"
	outRepeated outcome = "repeated"
	outReused   outcome = "reused"
)

// judgeRefresh says what is to be done with a refresh token. It is the whole rule:
//  1. a wrong family, or a session that is over: refused, nothing changes;
//  2. the current secret: the next one takes its place;
//  3. the one before, within the grace since it was exchanged: the same answer again;
//  4. any other secret of the family was exchanged before: somebody has a copy, and the session ends.
func judgeRefresh(row sessionRow, t refreshToken, now time.Time, grace time.Duration) outcome {
	switch {
	case !sameDigest(row.family, t.familyDigest()), now.UnixMilli() >= row.expires, fromMillis(row.ends).Sub(now) < leastLife:
		return outRefused
	case sameDigest(row.current, t.secretDigest()):
		return outRotated
	case sameDigest(row.previous, t.secretDigest()) && now.Sub(fromMillis(row.rotated)) <= grace && !fromMillis(row.rotated).After(now.Add(grace)):
		return outRepeated
	}
	return outReused
}

// Refresh exchanges a refresh token for new tokens. The same token shown again within RefreshGrace gives the same next
// one, for clients that did not get the answer, or ask twice at once. Shown later it ends the session.
func (s *Server) Refresh(ctx context.Context, refresh string, c game.Client) (game.Login, error) {
	t, ok := parseRefresh(refresh)
	if !ok {
		s.metrics.refreshes.WithLabelValues(string(outRefused)).Inc()
		return game.Login{}, errNoSession
	}
	var g granted
	var out outcome
	// What somebody made up does not reach the writer.
	err := s.read(ctx, "look at a session", func(r sqldb.Reader) error {
		row, ok, err := readSession(r, t.session)
		out = outRefused
		if ok {
			out = judgeRefresh(row, t, s.clock.now(), s.cfg.RefreshGrace)
		}
		return err
	})
	if err == nil && out != outRefused {
		err = s.write(ctx, "refresh a session", func(w sqldb.Writer, now time.Time) (_ []notice, err error) {
			var notices []notice
			g, out, notices, err = s.refresh(w, t, c, now)
			return notices, err
		})
	}
	if err != nil {
		return game.Login{}, err
	}
	s.metrics.refreshes.WithLabelValues(string(out)).Inc()
	switch out {
	case outRotated, outRepeated:
		return s.login(g)
	case outReused:
		s.log.Warn("a refresh token was used twice: its session is ended", "user", g.uid, "session", t.session, "address", addressText(c.Address))
		return game.Login{}, &game.Error{Kind: game.Unauthenticated, Detail: "refresh token was used before: the session is ended, sign in again"}
	}
	return game.Login{}, errNoSession
}

// refresh is the write of Refresh.
func (s *Server) refresh(w sqldb.Writer, t refreshToken, c game.Client, now time.Time) (g granted, out outcome, notices []notice, err error) {
	row, ok, err := readSession(w, t.session)
	if err != nil || !ok {
		return g, outRefused, nil, err
	}
	g = granted{uid: row.uid, session: t.session, ends: fromMillis(row.ends)}
	switch out = judgeRefresh(row, t, now, s.cfg.RefreshGrace); out {
	case outRefused:
		return g, out, nil, nil
	case outReused:
		_, err := w.Exec("DELETE FROM identity_sessions WHERE id = ?", t.session)
		return g, out, []notice{sessionNotice(t.session, reused, row.used)}, err
	case outRotated:
		row.salt = random(32)
	}
	u, err := load(w, row.uid)
	if err != nil {
		return g, out, nil, err
	}
	if err := maySignIn(u, now); err != nil {
		return g, out, nil, err
	}
	g.mute, g.refresh = muteOf(u, now), t.next(row.salt)
	g.expires = now.Add(s.cfg.RefreshLife)
	if g.ends.Before(g.expires) {
		g.expires = g.ends
	}
	if out == outRepeated {
		g.expires = fromMillis(row.expires)
		return g, out, nil, nil
	}
	_, err = w.Exec("UPDATE identity_sessions SET used = ?, expires = ?, address = ?, agent = ?, current = ?, previous = ?, salt = ?, rotated = ? WHERE id = ?",
		millis(now), millis(g.expires), addressText(c.Address), agentText(c.Agent), g.refresh.secretDigest(), t.secretDigest(), row.salt, millis(now), t.session)
	return g, out, nil, err
}

// Sessions lists the sessions of a user that can go on, the one used last first.
func (s *Server) Sessions(ctx context.Context, uid game.UID) (list []game.Session, err error) {
	err = s.read(ctx, "list sessions", func(r sqldb.Reader) error {
		list = nil
		rows, err := r.Query("SELECT id, created, used, expires, address, agent FROM identity_sessions WHERE uid = ? AND expires > ? ORDER BY used DESC, id", int64(uid), millis(s.clock.now()))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			v := game.Session{UID: uid}
			var created, used, expires int64
			var address string
			if err := rows.Scan(&v.ID, &created, &used, &expires, &address, &v.Client.Agent); err != nil {
				return err
			}
			v.Created, v.Used, v.Expires = fromMillis(created), fromMillis(used), fromMillis(expires)
			if address != "" {
				if v.Client.Address, err = netip.ParseAddr(address); err != nil {
					return fmt.Errorf("address of a session: %w", err)
				}
			}
			list = append(list, v)
		}
		return rows.Err()
	})
	return list, err
}

// SignOut ends a session of a user. NotFound: it has no such session.
func (s *Server) SignOut(ctx context.Context, uid game.UID, session string) error {
	if err := s.roomForNotices(); err != nil {
		return err
	}
	if raw, err := secretBase64.DecodeString(session); err != nil || len(raw) != 16 || len(session) != idLetters {
		return game.Errorf(game.NotFound, "user %v has no such session", uid)
	}
	return s.write(ctx, "sign out", func(w sqldb.Writer, _ time.Time) ([]notice, error) {
		row, ok, err := readSession(w, session)
		if err == nil && (!ok || row.uid != uid) {
			err = game.Errorf(game.NotFound, "user %v has no such session", uid)
		}
		if err != nil {
			return nil, err
		}
		_, err = w.Exec("DELETE FROM identity_sessions WHERE id = ?", session)
		return []notice{sessionNotice(session, signedOut, row.used)}, err
	})
}

// SignOutEverywhere ends all sessions of a user but one, which may be empty, and says how many.
func (s *Server) SignOutEverywhere(ctx context.Context, uid game.UID, but string) (n int, err error) {
	if err := s.roomForNotices(); err != nil {
		return 0, err
	}
	err = s.write(ctx, "sign out everywhere", func(w sqldb.Writer, _ time.Time) ([]notice, error) {
		notices, err := endSessions(w, uid, but, signedOut)
		n = len(notices)
		return notices, err
	})
	return n, err
}
