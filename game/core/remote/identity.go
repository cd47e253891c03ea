package remote

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/api"
)

// identity is the ID server of the core.
type identity struct {
	*asker
	known     *known
	questions *questions
}

func newIdentity(a *asker) *identity {
	id := &identity{asker: a, known: &known{term: a.cfg.TokenTerm, most: a.cfg.TokensMax}}
	id.questions = &questions{ask: id.askBatch, most: a.cfg.RequestsMax}
	return id
}

// bearerBytesMax bounds what is asked about: access tokens and secrets are some hundred bytes.
const bearerBytesMax = 4096

func (id *identity) Authenticate(ctx context.Context, bearer string) (game.Principal, error) {
	if bearer == "" || len(bearer) > bearerBytesMax {
		return game.Principal{}, game.Errorf(game.Unauthenticated, "credential is not valid")
	}
	began := time.Now()
	if p, ok := id.known.get(bearer, began); ok {
		return p, nil
	}
	p, err := id.questions.answer(ctx, bearer)
	if err == nil {
		id.known.put(bearer, p, began)
	}
	return p, err
}

// askBatch asks who has some bearers.
func (id *identity) askBatch(ctx context.Context, batch []*question) {
	in := api.CoreCredentials{Credentials: make([]string, len(batch))}
	for i, q := range batch {
		in.Credentials[i] = q.bearer
	}
	var out api.CorePrincipals
	err := id.do(ctx, &request{op: "principals", method: http.MethodPost, path: "core/principals", in: in, out: &out})
	if err == nil && len(out.Principals) != len(batch) {
		err = game.Errorf(game.Unavailable, "the core answers something else than was asked")
	}
	for i, q := range batch {
		if q.err = err; err == nil {
			q.who, q.err = principal(&out.Principals[i])
		}
	}
}

func principal(p *api.CorePrincipal) (game.Principal, error) {
	switch {
	case p.Fault != nil:
		return game.Principal{}, fault(p.Fault)
	case p.Service != "":
		scopes, err := game.ParseScopes(p.Scopes)
		return game.Principal{Kind: game.ByService, Service: p.Service, Scopes: scopes}, err
	case p.UID == 0:
		return game.Principal{}, game.Errorf(game.Unavailable, "the core answers something else than was asked")
	}
	return game.Principal{Kind: game.ByUser, UID: p.UID, Session: p.Session, Expires: p.Expires, MutedUntil: p.Muted}, nil
}

// kinds are the kinds of error by name.
var kinds = func() map[string]game.Kind {
	m := map[string]game.Kind{}
	for _, k := range game.Kinds() {
		m[k.String()] = k
	}
	return m
}()

// fault is the error that the core told in an answer.
func fault(f *api.CoreFault) error {
	e := &game.Error{Kind: kinds[f.Kind], Detail: f.Detail, Doubt: f.Doubt}
	if f.RetryMs > 0 {
		e.Err = game.RetryAfter(time.Duration(f.RetryMs) * time.Millisecond)
	}
	return e
}

func (id *identity) Canonical(ctx context.Context, uid game.UID) (game.UID, error) {
	if uid == 0 || uid > game.UIDMax {
		return 0, game.Errorf(game.NotFound, "there is no user %v", uid)
	}
	var out api.CoreUser
	err := id.do(ctx, &request{op: "user", method: http.MethodGet, path: "core/users/" + uid.String(), out: &out})
	return out.UID, err
}

// login proves who somebody is. It makes a session, and perhaps a user, so without an answer it is in doubt.
func (id *identity) login(ctx context.Context, in api.CoreLoginRequest, c game.Client) (game.Login, error) {
	in.Address, in.Agent = c.Address, strings.ToValidUTF8(c.Agent, "")
	var out api.CoreLogin
	if err := id.do(ctx, &request{op: "login", method: http.MethodPost, path: "core/logins", in: in, out: &out, change: true}); err != nil {
		return game.Login{}, err
	}
	switch {
	case out.Fault != nil:
		return game.Login{}, fault(out.Fault)
	case out.Tokens == nil:
		return game.Login{}, game.Errorf(game.Unavailable, "the core answers something else than was asked")
	}
	return game.Login(*out.Tokens), nil
}

func (id *identity) CreateGuest(ctx context.Context, secret string, c game.Client) (game.Login, error) {
	return id.login(ctx, api.CoreLoginRequest{How: "new_guest", Secret: secret}, c)
}

func (id *identity) LoginGuest(ctx context.Context, secret string, c game.Client) (game.Login, error) {
	return id.login(ctx, api.CoreLoginRequest{How: "guest", Secret: secret}, c)
}

func (id *identity) LoginPassword(ctx context.Context, email, password string, c game.Client) (game.Login, error) {
	return id.login(ctx, api.CoreLoginRequest{How: "password", Email: email, Password: password}, c)
}

func (id *identity) Refresh(ctx context.Context, refresh string, c game.Client) (game.Login, error) {
	return id.login(ctx, api.CoreLoginRequest{How: "refresh", Secret: refresh}, c)
}

// known remembers bearers that counted. What was put is in young; when that is full, or older than the term, it becomes old, and
// what was old is forgotten.
type known struct {
	term time.Duration
	most int // of each of the two

	mu         sync.Mutex
	young, old map[string]remembered
	turned     time.Time // when young began
}

type remembered struct {
	who   game.Principal
	asked time.Time // before the core was asked
}

func (k *known) get(bearer string, now time.Time) (game.Principal, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	r, ok := k.young[bearer]
	if !ok {
		r, ok = k.old[bearer]
	}
	if !ok || now.Sub(r.asked) >= k.term || r.who.Kind == game.ByUser && !now.Before(r.who.Expires) {
		return game.Principal{}, false
	}
	return r.who, true
}

func (k *known) put(bearer string, who game.Principal, asked time.Time) {
	if k.term == 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.young == nil || len(k.young) >= k.most || asked.Sub(k.turned) >= k.term {
		k.old, k.young, k.turned = k.young, map[string]remembered{}, asked
	}
	k.young[strings.Clone(bearer)] = remembered{who, asked}
}

func (k *known) len() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.young) + len(k.old)
}
