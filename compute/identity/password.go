package identity

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/kamado/kamado/compute"
)

// bcryptMax is the most bytes that bcrypt looks at.
const bcryptMax = 72

// passwords hashes, a few at a time: each takes a core for a quarter of a
// second.
type passwords struct {
	cost    int
	now     func() time.Time
	slots   chan struct{} // holds one for each that runs
	waiting chan struct{} // holds one for each that waits or runs
	dummy   func() []byte // the hash of nobody's password, made when first needed

	mu sync.Mutex
	// key makes the digests in proven worthless outside of this process.
	key [sha256.Size]byte
	// proven are hashes that this process made or checked a while ago, with keyed digests of their passwords: clients that log in
	// for each command need not wait for the same work again. Wrong passwords always cost the whole work, and a changed password has
	// another hash. At most provenMax; each answers for provenAge. Guarded by mu.
	proven map[string]proof
	// later are keyed digests of passwords whose hashes are still to be made, by what stands for the hash in the row: one for each
	// first user. They stay, for logins that read a row just before its hash came. Guarded by mu.
	later map[string][sha256.Size]byte
}

const (
	provenMax = 1024
	provenAge = 5 * time.Minute
)

// proof is the keyed digest of a password that a hash is of, and until when it
// answers.
type proof struct {
	digest [sha256.Size]byte
	until  time.Time
}

func newPasswords(cfg Config, now func() time.Time) *passwords {
	p := &passwords{cost: cfg.PasswordCost, now: now, proven: map[string]proof{}, later: map[string][sha256.Size]byte{}, slots: make(chan struct{}, cfg.PasswordsAtOnce),
		waiting: make(chan struct{}, cfg.PasswordsAtOnce+cfg.PasswordsWaitingMax)}
	p.dummy = sync.OnceValue(func() []byte {
		h, _ := bcrypt.GenerateFromPassword([]byte(rand.Text()), cfg.PasswordCost) // the text is short and the cost checked
		return h
	})
	rand.Read(p.key[:])
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
	h, err := hashPassword(password, p.cost)
	if err == nil {
		p.remember(h, password)
	}
	return h, err
}

// remember keeps that a hash is one of a password.
func (p *passwords) remember(hash, password string) {
	digest, now := p.digest(password), p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.proven) >= provenMax {
		maps.DeleteFunc(p.proven, func(_ string, made proof) bool { return now.After(made.until) })
	}
	if len(p.proven) >= provenMax {
		clear(p.proven)
	}
	p.proven[hash] = proof{digest, now.Add(provenAge)}
}

// laterPrefix stands before what a row has in place of a hash that is still to be
// made. It is no hash of anything.
const laterPrefix = "later:"

func isLater(hash string) bool { return strings.HasPrefix(hash, laterPrefix) }

// hashLater keeps in memory what answers for a row until its hash is made.
func (p *passwords) hashLater(instead, password string) {
	digest := p.digest(password)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.later[instead] = digest
}

// recall says whether a hash is known to be one of this password. No says
// nothing: the hash decides.
func (p *passwords) recall(hash, password string) bool {
	digest, now := p.digest(password), p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if first, there := p.later[hash]; there {
		return hmac.Equal(first[:], digest[:])
	}
	made, there := p.proven[hash]
	return there && !now.After(made.until) && hmac.Equal(made.digest[:], digest[:])
}

func (p *passwords) digest(password string) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, p.key[:])
	h.Write([]byte(password))
	copy(sum[:], h.Sum(nil))
	return sum
}

func hashPassword(password string, cost int) (string, error) {
	h, err := bcrypt.GenerateFromPassword(short(password), cost)
	if err != nil {
		return "", fmt.Errorf("hash a password: %w", err)
	}
	return string(h), nil
}

// check says whether a password has a hash. An empty hash is nobody's, and one
// that is still to be made is known by recall alone: the answer is no, after the
// same work.
func (p *passwords) check(ctx context.Context, hash, password string) (bool, error) {
	if p.recall(hash, password) {
		return true, nil
	}
	done, err := p.turn(ctx)
	if err != nil {
		return false, err
	}
	defer done()
	stored, none := []byte(hash), hash == "" || isLater(hash)
	if none {
		stored = p.dummy()
	}
	err = bcrypt.CompareHashAndPassword(stored, short(password))
	if err != nil && !errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		return false, fmt.Errorf("compare a password: %w", err)
	}
	ok := err == nil && !none
	if ok {
		p.remember(hash, password)
	}
	return ok, nil
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
