package identity

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/crypto/bcrypt"

	"github.com/kamado/kamado/compute"
)

// bcryptMax is the most bytes that bcrypt looks at.
const bcryptMax = 72

// passwords hashes, a few at a time: each takes a core for a quarter of a
// second.
type passwords struct {
	cost    int
	slots   chan struct{} // holds one for each that runs
	waiting chan struct{} // holds one for each that waits or runs
	dummy   func() []byte // the hash of nobody's password, made when first needed

	mu sync.Mutex
	// fresh are hashes that this process made a moment ago of passwords of its own, with digests of these. A hash that was made is as
	// good a proof as one that was checked, so that the first login after the first start need not wait for the same work again.
	// Guarded by mu; an entry goes with the first login that it answers.
	fresh map[string][sha256.Size]byte
}

func newPasswords(cfg Config) *passwords {
	p := &passwords{cost: cfg.PasswordCost, fresh: map[string][sha256.Size]byte{}, slots: make(chan struct{}, cfg.PasswordsAtOnce),
		waiting: make(chan struct{}, cfg.PasswordsAtOnce+cfg.PasswordsWaitingMax)}
	p.dummy = sync.OnceValue(func() []byte {
		h, _ := bcrypt.GenerateFromPassword([]byte(rand.Text()), cfg.PasswordCost) // the text is short and the cost checked
		return h
	})
	return p
}

// turn waits for a slot; done gives it back.
func (p *passwords) turn(ctx context.Context) (done func(), err error) {
	select {
	case p.waiting <- struct{}{}:
	default:
		return nil, compute.Errorf(compute.Unavailable, "Too many logins wait. Please try again later.")
	}
	select {
	case p.slots <- struct{}{}:
		return func() { <-p.slots; <-p.waiting }, nil
	case <-ctx.Done():
		<-p.waiting
		return nil, ctx.Err()
	}
}

// hash makes the hash of a password that the store keeps.
func (p *passwords) hash(ctx context.Context, password string) (string, error) {
	done, err := p.turn(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	return hashPassword(password, p.cost)
}

// remember keeps that a hash was just made of a password.
func (p *passwords) remember(hash, password string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fresh[hash] = sha256.Sum256([]byte(password))
}

// recall says whether a hash was just made of this password, once. No says
// nothing: the hash decides.
func (p *passwords) recall(hash, password string) bool {
	sum := sha256.Sum256([]byte(password))
	p.mu.Lock()
	defer p.mu.Unlock()
	made, there := p.fresh[hash]
	if !there || subtle.ConstantTimeCompare(made[:], sum[:]) != 1 {
		return false
	}
	delete(p.fresh, hash)
	return true
}

func hashPassword(password string, cost int) (string, error) {
	h, err := bcrypt.GenerateFromPassword(short(password), cost)
	if err != nil {
		return "", fmt.Errorf("hash a password: %w", err)
	}
	return string(h), nil
}

// check says whether a password has a hash. An empty hash is nobody's: the
// answer is no, after the same work.
func (p *passwords) check(ctx context.Context, hash, password string) (bool, error) {
	if p.recall(hash, password) {
		return true, nil
	}
	done, err := p.turn(ctx)
	if err != nil {
		return false, err
	}
	defer done()
	stored := []byte(hash)
	if hash == "" {
		stored = p.dummy()
	}
	err = bcrypt.CompareHashAndPassword(stored, short(password))
	if err != nil && !errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		return false, fmt.Errorf("compare a password: %w", err)
	}
	return err == nil && hash != "", nil
}

// short gives what bcrypt hashes: the password, or for a long one a digest, so
// that every character counts.
func short(password string) []byte {
	if len(password) <= bcryptMax {
		return []byte(password)
	}
	sum := sha512.Sum384([]byte(password))
	return []byte(base64.StdEncoding.EncodeToString(sum[:])) // 64 characters, none of them NUL
}

// madePrefix stands before the digest of a secret that this program made.
const madePrefix = "sha256:"

// madeDigest gives the digest in a kept hash, if it is one.
func madeDigest(hash string) (string, bool) { return strings.CutPrefix(hash, madePrefix) }

// equal compares without telling by its time how much is right.
func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
