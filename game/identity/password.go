package identity

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/internal/sqldb"
)

// hasher works on passwords, a few at a time, since each takes much memory on
// purpose. Memory in use is at most workers times m, and as much again until it is collected.
type hasher struct {
	params  params
	slots   chan struct{}
	wait    time.Duration
	waiting atomic.Int64 // those who have a slot or wait for one
	metrics *metrics
	nobody  phc // stands for the hash of who is not known
}

// waitingPerWorker bounds the queue in front of the workers.
const waitingPerWorker = 64

func newHasher(cfg game.IdentityConfig, m *metrics) *hasher {
	h := &hasher{
		params: params{memory: uint32(cfg.PasswordMemory), rounds: uint32(cfg.PasswordRounds), threads: 1},
		slots:  make(chan struct{}, cfg.PasswordWorkers), wait: cfg.PasswordWait, metrics: m,
	}
	h.nobody = phc{params: h.params, salt: randomBytes(saltBytes), key: randomBytes(keyBytes)}
	return h
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) //nolint:errcheck // never fails (crypto/rand)
	return b
}

func (h *hasher) waitingMax() int64 { return int64(cap(h.slots)) * waitingPerWorker }

// enter waits for a slot, which leave gives back.
func (h *hasher) enter(ctx context.Context) error {
	full := func() error {
		h.metrics.limited.WithLabelValues("password").Inc()
		return limited("too many passwords are being checked", h.wait)
	}
	if h.waiting.Add(1) > h.waitingMax() {
		h.waiting.Add(-1)
		return full()
	}
	select {
	case h.slots <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(h.wait)
	defer timer.Stop()
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-timer.C:
		h.waiting.Add(-1)
		return full()
	case <-ctx.Done():
		h.waiting.Add(-1)
		return &game.Error{Op: "check a password", Kind: game.Unavailable, Err: ctx.Err()}
	}
}

func (h *hasher) leave() {
	<-h.slots
	h.waiting.Add(-1)
}

// derive is the work of one password. Preconditions: enter.
func (h *hasher) derive(p params, password string, salt []byte, n int) []byte {
	start := time.Now()
	key := p.derive(password, salt, n)
	h.metrics.observe(time.Since(start))
	return key
}

// make hashes a password that was chosen.
func (h *hasher) make(ctx context.Context, password string) (string, error) {
	if err := h.enter(ctx); err != nil {
		return "", err
	}
	defer h.leave()
	return h.fresh(password), nil
}

// fresh hashes with today's parameters. Preconditions: enter.
func (h *hasher) fresh(password string) string {
	salt := randomBytes(saltBytes)
	return phc{params: h.params, salt: salt, key: h.derive(h.params, password, salt, keyBytes)}.String()
}

// matches says whether a password is the hashed one. With "" for the hash it takes the time and says no. better is the
// hash with today's parameters, when they are others.
func (h *hasher) matches(ctx context.Context, password, hashed string) (ok bool, better string, err error) {
	stored := h.nobody
	if hashed != "" {
		if stored, err = parsePHC(hashed); err != nil {
			return false, "", &game.Error{Op: "check a password", Kind: game.Internal, Err: err}
		}
	}
	if err := h.enter(ctx); err != nil {
		return false, "", err
	}
	defer h.leave()
	key := h.derive(stored.params, password, stored.salt, len(stored.key))
	ok = subtle.ConstantTimeCompare(key, stored.key) == 1 && hashed != ""
	if ok && stored.params != h.params {
		better = h.fresh(password)
	}
	return ok, better, nil
}

// passwordPair judges an e-mail address and a password that somebody chose.
func passwordPair(email, password string) (game.Pair, error) {
	subject, err := game.NormalEmail(email)
	if err != nil {
		return game.Pair{}, err
	}
	return game.Pair{Provider: game.ProviderPassword, Subject: subject}, game.CheckPassword(password)
}

func putPassword(w sqldb.Writer, uid game.UID, p game.Pair, hashed string) error {
	if _, err := w.Exec("DELETE FROM identity_passwords WHERE digest = ?", pairDigest(p)); err != nil {
		return err
	}
	_, err := w.Exec("INSERT INTO identity_passwords (digest, uid, phc) VALUES (?, ?, ?)", pairDigest(p), int64(uid), hashed)
	return err
}

// passwordOf gives the hash of a pair; "" when it has none.
func passwordOf(r sqldb.Reader, p game.Pair) (hashed string, err error) {
	err = r.QueryRow("SELECT phc FROM identity_passwords WHERE digest = ?", pairDigest(p)).Scan(&hashed)
	if noRows(err) {
		return "", nil
	}
	return hashed, err
}

var errWrongPassword = &game.Error{Kind: game.Unauthenticated, Detail: "e-mail address or password is wrong"}

// proved is a password that was found right.
type proved struct {
	pair   game.Pair
	hashed string // as it was
	better string // "" or the one to replace it
}

// prove checks a password under the limits. The error for who is not known is the one for a wrong password.
func (s *Server) prove(ctx context.Context, p game.Pair, password string, c game.Client) (proved, error) {
	account, address := p.Subject, addressKey(c)
	if err := s.allow(s.limits.address, address); err != nil {
		return proved{}, err
	}
	if err := s.allow(s.limits.account, account); err != nil {
		return proved{}, err
	}
	got := proved{pair: p}
	err := s.read(ctx, "read a password", func(r sqldb.Reader) (err error) {
		got.hashed, err = passwordOf(r, p)
		return err
	})
	if err != nil {
		return proved{}, err
	}
	ok, better, err := s.hasher.matches(ctx, password, got.hashed)
	if err != nil {
		return proved{}, err
	}
	if !ok {
		return proved{}, errWrongPassword
	}
	s.limits.account.back(account)
	if address != "" {
		s.limits.address.back(address)
	}
	got.better = better
	return got, nil
}

// still checks, inside the write that it leads to, that the password is the one that was proved, and replaces an outdated hash.
func (p proved) still(w sqldb.Writer) error {
	now, err := passwordOf(w, p.pair)
	if err != nil {
		return err
	}
	if now != p.hashed {
		return errWrongPassword
	}
	if p.better != "" {
		_, err = w.Exec("UPDATE identity_passwords SET phc = ? WHERE digest = ?", p.better, pairDigest(p.pair))
	}
	return err
}

// LoginPassword signs in. Unauthenticated is the same, after the same time, for an address that is not known and a wrong password.
func (s *Server) LoginPassword(ctx context.Context, email, password string, c game.Client) (game.Login, error) {
	subject, err := game.NormalEmail(email)
	if err != nil {
		return game.Login{}, err
	}
	if len(password) > game.PasswordBytesMax {
		return game.Login{}, errWrongPassword
	}
	p, err := s.prove(ctx, game.Pair{Provider: game.ProviderPassword, Subject: subject}, password, c)
	if err != nil {
		s.count(game.ProviderPassword, err)
		return game.Login{}, err
	}
	return s.signIn(ctx, game.ProviderPassword, c, func(w sqldb.Writer, _ time.Time) (game.UID, bool, error) {
		if err := p.still(w); err != nil {
			return 0, false, err
		}
		row, ok, err := owner(w, p.pair)
		if err == nil && (!ok || row.unlinked) {
			err = errWrongPassword
		}
		return row.uid, false, err
	})
}

// CreatePassword makes a user with an e-mail address and a password. Conflict: the address has a user.
// Nothing proves that the address is the caller's: no mail is sent.
func (s *Server) CreatePassword(ctx context.Context, email, password string, c game.Client) (game.Login, error) {
	p, err := passwordPair(email, password)
	if err != nil {
		return game.Login{}, err
	}
	if err := s.allow(s.limits.create, addressKey(c)); err != nil {
		return game.Login{}, err
	}
	if err := s.allow(s.limits.address, addressKey(c)); err != nil { // each costs an argon2id
		return game.Login{}, err
	}
	hashed, err := s.hasher.make(ctx, password)
	if err != nil {
		return game.Login{}, err
	}
	return s.create(ctx, p, c, func(w sqldb.Writer, uid game.UID, created bool) error {
		if !created {
			return game.Errorf(game.Conflict, "that e-mail address has a user already: sign in")
		}
		return putPassword(w, uid, p, hashed)
	})
}

// passwordPairOf gives the e-mail pair of a user. NotFound: it has none.
func passwordPairOf(r sqldb.Reader, uid game.UID) (game.Pair, error) {
	u, err := load(r, uid)
	if err != nil {
		return game.Pair{}, err
	}
	for _, i := range u.Identities {
		if i.Provider == game.ProviderPassword {
			return i.Pair, nil
		}
	}
	return game.Pair{}, game.Errorf(game.NotFound, "user %v has no password", uid)
}

// ChangePassword sets a new password after proof of the old one, and signs out all sessions but one.
func (s *Server) ChangePassword(ctx context.Context, uid game.UID, old, password, but string) error {
	if err := game.CheckPassword(password); err != nil {
		return err
	}
	var pair game.Pair
	if err := s.read(ctx, "read a password", func(r sqldb.Reader) (err error) {
		pair, err = passwordPairOf(r, uid)
		return err
	}); err != nil {
		return err
	}
	p, err := s.prove(ctx, pair, old, game.Client{})
	if err != nil {
		if err == errWrongPassword {
			err = &game.Error{Kind: game.Denied, Detail: "the old password is wrong"}
		}
		return err
	}
	return s.replacePassword(ctx, uid, password, but, p.still)
}

// SetPassword sets a new password without proof (operator), and signs out all sessions.
func (s *Server) SetPassword(ctx context.Context, uid game.UID, password string) error {
	if err := game.CheckPassword(password); err != nil {
		return err
	}
	return s.replacePassword(ctx, uid, password, "", func(sqldb.Writer) error { return nil })
}

func (s *Server) replacePassword(ctx context.Context, uid game.UID, password, but string, still func(sqldb.Writer) error) error {
	hashed, err := s.hasher.make(ctx, password)
	if err != nil {
		return err
	}
	return s.write(ctx, "change a password", func(w sqldb.Writer, now time.Time) ([]notice, error) {
		if err := still(w); err != nil {
			return nil, err
		}
		pair, err := passwordPairOf(w, uid)
		if err != nil {
			return nil, err
		}
		if err := putPassword(w, uid, pair, hashed); err != nil {
			return nil, fmt.Errorf("write a password: %w", err)
		}
		return endSessions(w, uid, but, passwordChanged)
	})
}
