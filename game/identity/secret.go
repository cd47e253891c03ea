package identity

import (
	"context"
	"errors"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/internal/sqldb"
)

// SharedKey gives 32 secret bytes for a purpose, the same on all servers of the database.
func (s *Server) SharedKey(ctx context.Context, purpose string) (key []byte, err error) {
	fresh := random(32)
	err = s.write(ctx, "make a shared key", func(w sqldb.Writer, _ time.Time) ([]notice, error) {
		text := fresh
		err := w.QueryRow("SELECT secret FROM identity_secrets WHERE purpose = ?", purpose).Scan(&text)
		if noRows(err) {
			_, err = w.Exec("INSERT INTO identity_secrets (purpose, secret) VALUES (?, ?)", purpose, fresh)
		}
		if err != nil {
			return nil, err
		}
		if key, err = secretBase64.DecodeString(text); err != nil || len(key) != 32 {
			return nil, errors.New("shared key is not readable")
		}
		return nil, nil
	})
	return key, err
}

// spendMax bounds how far ahead something used is remembered, and so the rows.
const spendMax = 24 * time.Hour

// Spend remembers until a time that something was used, on all servers. Conflict: it was used before.
func (s *Server) Spend(ctx context.Context, thing string, until time.Time) error {
	return s.write(ctx, "remember what was used", func(w sqldb.Writer, now time.Time) ([]notice, error) {
		if until.Sub(now) > spendMax {
			return nil, game.Errorf(game.Invalid, "it would have to be remembered until %s, more than %v", until.UTC().Format(time.RFC3339), spendMax)
		}
		_, err := w.Exec("INSERT INTO identity_spent (digest, until) VALUES (?, ?)", digestOf("spent", thing), millis(until))
		if errors.Is(err, sqldb.ErrUnique) {
			err = game.Errorf(game.Conflict, "it was used before")
		}
		return nil, err
	})
}
