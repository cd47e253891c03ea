package core

import (
	"context"

	"github.com/kamado/kamado/game"
)

// TellSignIns gives an Identity that tells of each sign-in, after it and once: a sign-in over HTTP is told by the HTTP
// interface, one over a connection by who keeps that. tell must not wait. A refresh is no sign-in.
func TellSignIns(id Identity, tell func(l game.Login, p game.Provider)) Identity {
	return &teller{id, tell}
}

type teller struct {
	Identity
	tell func(game.Login, game.Provider)
}

func (t *teller) told(l game.Login, err error, p game.Provider) (game.Login, error) {
	if err == nil {
		t.tell(l, p)
	}
	return l, err
}

func (t *teller) CreateGuest(ctx context.Context, secret string, c game.Client) (game.Login, error) {
	l, err := t.Identity.CreateGuest(ctx, secret, c)
	return t.told(l, err, game.ProviderGuest)
}

func (t *teller) LoginGuest(ctx context.Context, secret string, c game.Client) (game.Login, error) {
	l, err := t.Identity.LoginGuest(ctx, secret, c)
	return t.told(l, err, game.ProviderGuest)
}

func (t *teller) LoginPassword(ctx context.Context, email, password string, c game.Client) (game.Login, error) {
	l, err := t.Identity.LoginPassword(ctx, email, password, c)
	return t.told(l, err, game.ProviderPassword)
}
