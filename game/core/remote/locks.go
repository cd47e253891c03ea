package remote

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/api"
	"github.com/kamado/kamado/game/client"
	"github.com/kamado/kamado/internal/lock"
)

// locks is the locks of the core.
type locks struct{ *asker }

// path is where a lock lies. A name that a path cannot carry is refused before it is sent.
func path(name string) (string, error) {
	if err := lock.Check(name, lock.TermMin); err != nil {
		return "", err
	}
	if name == "." || name == ".." {
		return "", fmt.Errorf("%w: a lock of another server is not called %s", lock.ErrInvalid, name)
	}
	return "locks/" + url.PathEscape(name), nil
}

// lockError gives an error of the core the meaning that it has in package lock; what is a conflict depends on the request.
func lockError(err, conflict error) error {
	switch game.KindOf(err) {
	case game.Conflict:
		return conflict
	case game.Invalid:
		return fmt.Errorf("%w: %w", lock.ErrInvalid, err)
	}
	return fmt.Errorf("%w: %w", lock.ErrAway, err)
}

func held(g *api.LockGrant) (lock.Held, error) {
	token, err := strconv.ParseUint(g.Token, 10, 64)
	if err != nil || token == 0 {
		return lock.Held{}, fmt.Errorf("%w: the core answers something else than was asked", lock.ErrAway)
	}
	return lock.Held{Name: g.Name, Holder: g.Holder, Token: token, Term: seconds(g.TTL), Session: g.Session}, nil
}

// seconds is a time of the core in whole milliseconds, which is what locks count in.
func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(time.Millisecond)
}

func (l locks) Acquire(ctx context.Context, name, holder string, term time.Duration) (lock.Held, error) {
	p, err := path(name)
	if err == nil {
		err = lock.Check(name, term)
	}
	if err == nil && holder == "" {
		err = fmt.Errorf("%w: holder of 0 bytes: want 1 to %d", lock.ErrInvalid, lock.HolderBytesMax)
	}
	if err != nil {
		return lock.Held{}, err
	}
	var out api.LockGrant
	err = l.do(ctx, &request{op: "lock", method: http.MethodPost, path: p, in: api.LockRequest{Holder: holder, TTL: term.Seconds()}, out: &out, change: true})
	if game.KindOf(err) == game.Conflict {
		who := &lock.HeldError{Name: name}
		if s, err := l.Look(ctx, name); err == nil { // a refusal tells no program who has it
			who.Holder, who.Wait = s.Holder, s.Wait
		}
		return lock.Held{}, who
	}
	if err != nil {
		return lock.Held{}, fmt.Errorf("acquire lock %s: %w", name, lockError(err, nil))
	}
	return held(&out)
}

func (l locks) Renew(ctx context.Context, name string, token uint64, session string) (lock.Held, error) {
	var out api.LockGrant
	if err := l.prove(ctx, http.MethodPut, name, token, session, &out); err != nil {
		return lock.Held{}, fmt.Errorf("renew lock %s: %w", name, err)
	}
	return held(&out)
}

func (l locks) Release(ctx context.Context, name string, token uint64, session string) error {
	if err := l.prove(ctx, http.MethodDelete, name, token, session, nil); err != nil {
		return fmt.Errorf("release lock %s: %w", name, err)
	}
	return nil
}

// prove does something with a grant.
func (l locks) prove(ctx context.Context, method, name string, token uint64, session string, out any) error {
	p, err := path(name)
	if err != nil {
		return err
	}
	if token == 0 || session == "" {
		return lock.ErrLost // nobody has such a grant
	}
	err = l.do(ctx, &request{op: "lock", method: method, path: p, in: api.LockProof{Token: strconv.FormatUint(token, 10), Session: session}, out: out, change: true})
	if err != nil {
		return lockError(err, lock.ErrLost)
	}
	return nil
}

func (l locks) Look(ctx context.Context, name string) (lock.Status, error) {
	p, err := path(name)
	if err != nil {
		return lock.Status{}, err
	}
	var out api.Lock
	if err := l.do(ctx, &request{op: "lock", method: http.MethodGet, path: p, out: &out}); err != nil {
		return lock.Status{}, fmt.Errorf("look at lock %s: %w", name, lockError(err, lock.ErrAway))
	}
	return status(&out)
}

func status(in *api.Lock) (lock.Status, error) {
	token, err := strconv.ParseUint(in.Token, 10, 64)
	if err != nil {
		return lock.Status{}, fmt.Errorf("%w: the core answers something else than was asked", lock.ErrAway)
	}
	return lock.Status{Name: in.Name, Holder: in.Holder, Token: token, Term: seconds(in.Term), Held: in.Held, Wait: seconds(in.Wait)}, nil
}

func (l locks) List(ctx context.Context, prefix, after string, limit int) ([]lock.Status, error) {
	if limit < 1 || limit > lock.ListMax {
		return nil, fmt.Errorf("%w: limit %d: want 1 to %d", lock.ErrInvalid, limit, lock.ListMax)
	}
	var out api.LockPage
	p := client.Page("locks", map[string]string{"prefix": prefix, "after": after, "limit": strconv.Itoa(limit)})
	if err := l.do(ctx, &request{op: "locks", method: http.MethodGet, path: p, out: &out}); err != nil {
		return nil, fmt.Errorf("list locks: %w", lockError(err, lock.ErrAway))
	}
	all := make([]lock.Status, 0, len(out.Locks))
	for i := range out.Locks {
		s, err := status(&out.Locks[i])
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}
