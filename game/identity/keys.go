package identity

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/internal/sqldb"
	"github.com/kamado/kamado/internal/token"
)

// KeyInfo is what is public of a key that signs tokens.
type KeyInfo struct {
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	Signs   time.Time `json:"signs"`   // when it begins to sign
	Retires time.Time `json:"retires"` // when it stops
	Ends    time.Time `json:"ends"`    // when it is dropped
}

// keyTimes are the times that the plan is made of.
type keyTimes struct {
	life, ahead time.Duration
	tail        time.Duration // from the retirement to the end of the last token
}

func (s *Server) keyTimes() keyTimes {
	return keyTimes{life: s.cfg.KeyLife, ahead: s.cfg.KeyAhead, tail: game.AccessLifeMax + 2*s.cfg.ClockLeeway}
}

// plan says what is to be done about the keys now: which to drop, and from when a new one
// signs; the zero time: none is needed. keys are in the order of Signs.
//
// Worked example, life 7 d, ahead 10 min: a key that signs from Monday 12:00 retires the next Monday 12:00. At 11:50 its
// successor is made and published, and signs from 12:00. At 12:15 the first one is dropped.
func (t keyTimes) plan(keys []KeyInfo, now time.Time) (drop []string, signs time.Time) {
	if len(keys) == 0 {
		return nil, now
	}
	last := keys[len(keys)-1]
	switch {
	case !now.Before(last.Retires): // no server ran for long: there is nobody for whom it must be published first
		signs = now
	case last.Retires.Sub(now) <= t.ahead:
		signs = last.Retires
	}
	for _, k := range keys[:len(keys)-1] {
		if !now.Before(k.Ends) {
			drop = append(drop, k.ID)
		}
	}
	return drop, signs
}

// tendKeys makes and drops keys when it is time. All servers do it; one of them is first.
func (s *Server) tendKeys(ctx context.Context) error {
	if drop, signs := s.keyTimes().plan(s.Keys(), s.clock.now()); len(drop) == 0 && signs.IsZero() {
		return nil
	}
	return s.changeKeys(ctx, "look after keys", func(w sqldb.Writer, keys []KeyInfo, now time.Time) (bool, error) {
		drop, signs := s.keyTimes().plan(keys, now)
		for _, id := range drop {
			if _, err := w.Exec("DELETE FROM identity_keys WHERE id = ?", id); err != nil {
				return false, err
			}
		}
		if !signs.IsZero() {
			if err := s.addKey(w, now, signs); err != nil {
				return false, err
			}
		}
		return len(drop) > 0 || !signs.IsZero(), nil
	})
}

// changeKeys runs a write about keys, and then believes it.
func (s *Server) changeKeys(ctx context.Context, op string, fn func(w sqldb.Writer, keys []KeyInfo, now time.Time) (changed bool, err error)) error {
	err := s.write(ctx, op, func(w sqldb.Writer, now time.Time) ([]notice, error) {
		keys, err := keyRows(w)
		if err != nil {
			return nil, err
		}
		infos := make([]KeyInfo, len(keys))
		for i, k := range keys {
			infos[i] = info(k)
		}
		changed, err := fn(w, infos, now)
		if err != nil || !changed {
			return nil, err
		}
		return []notice{{kind: noticeKeys}}, nil
	})
	if err != nil {
		return err
	}
	return s.readKeys(ctx)
}

func (s *Server) addKey(w sqldb.Writer, now, signs time.Time) error {
	seed := token.NewSeed()
	k, err := token.FromSeed(seed)
	if err != nil {
		return err
	}
	t := s.keyTimes()
	retires := signs.Add(t.life)
	_, err = w.Exec("INSERT INTO identity_keys (id, seed, created, signs, retires, ends) VALUES (?, ?, ?, ?, ?, ?)",
		k.ID, base64.RawURLEncoding.EncodeToString(seed), millis(now), millis(signs), millis(retires), millis(retires.Add(t.tail)))
	return err
}

// keyRows reads the keys in the order of Signs.
func keyRows(r sqldb.Reader) (keys []token.Key, err error) {
	rows, err := r.Query("SELECT id, seed, created, signs, retires, ends FROM identity_keys ORDER BY signs, id")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id, seed string
		var created, signs, retires, ends int64
		if err := rows.Scan(&id, &seed, &created, &signs, &retires, &ends); err != nil {
			return nil, err
		}
		raw, err := secretBase64.DecodeString(seed)
		if err != nil {
			return nil, fmt.Errorf("seed of key %s is not readable", id)
		}
		k, err := token.FromSeed(raw)
		if err != nil || k.ID != id {
			return nil, fmt.Errorf("seed of key %s is another key's", id)
		}
		k.Created, k.Signs, k.Retires, k.Ends = fromMillis(created), fromMillis(signs), fromMillis(retires), fromMillis(ends)
		keys = append(keys, k)
	}
	return keys, rows.Err()
}

// readKeys takes the keys of the database for those of this server. Reads may overtake each other by a moment, and
// the later notice makes them right.
func (s *Server) readKeys(ctx context.Context) error {
	var keys []token.Key
	if err := s.read(ctx, "read keys", func(r sqldb.Reader) (err error) {
		keys, err = keyRows(r)
		return err
	}); err != nil {
		return err
	}
	ring, err := token.NewRing(keys)
	if err != nil {
		return fmt.Errorf("keys of tokens: %w", err)
	}
	s.verifier.SetRing(ring)
	return nil
}

func info(k token.Key) KeyInfo {
	return KeyInfo{ID: k.ID, Created: k.Created, Signs: k.Signs, Retires: k.Retires, Ends: k.Ends}
}

// JWKS is the JSON Web Key Set document with all published keys. The caller does not change it.
func (s *Server) JWKS() []byte { return s.verifier.Ring().JWKS() }

// Keys lists the keys in the order in which they sign.
func (s *Server) Keys() []KeyInfo {
	keys := s.verifier.Ring().Keys()
	list := make([]KeyInfo, len(keys))
	for i, k := range keys {
		list[i] = info(k)
	}
	return list
}

// RotateKeys publishes a new key, which signs after KeyAhead. Nobody is signed out. When there is a
// key already that has not begun to sign, it is that one.
func (s *Server) RotateKeys(ctx context.Context) (KeyInfo, error) {
	err := s.changeKeys(ctx, "rotate keys", func(w sqldb.Writer, keys []KeyInfo, now time.Time) (bool, error) {
		if len(keys) > 0 && keys[len(keys)-1].Signs.After(now) {
			return false, nil
		}
		signs := now.Add(s.cfg.KeyAhead)
		if len(keys) > 0 {
			last := keys[len(keys)-1]
			if last.Retires.Before(signs) {
				signs = last.Retires
			}
			if _, err := w.Exec("UPDATE identity_keys SET retires = ?, ends = ? WHERE id = ?", millis(signs), millis(signs.Add(s.keyTimes().tail)), last.ID); err != nil {
				return false, err
			}
		}
		return true, s.addKey(w, now, signs)
	})
	if err != nil {
		return KeyInfo{}, err
	}
	keys := s.Keys()
	return keys[len(keys)-1], nil
}

// RevokeKey drops a key that somebody else may have. All its tokens end at once; refresh tokens go on.
func (s *Server) RevokeKey(ctx context.Context, id string) error {
	return s.changeKeys(ctx, "revoke a key", func(w sqldb.Writer, keys []KeyInfo, now time.Time) (bool, error) {
		i := slices.IndexFunc(keys, func(k KeyInfo) bool { return k.ID == id })
		if i < 0 {
			return false, game.Errorf(game.NotFound, "there is no key %.20q", id)
		}
		if _, err := w.Exec("DELETE FROM identity_keys WHERE id = ?", id); err != nil {
			return false, err
		}
		signing := func(k KeyInfo) bool { return k.ID != id && !now.Before(k.Signs) && now.Before(k.Retires) }
		if slices.ContainsFunc(keys, signing) {
			return true, nil
		}
		return true, s.addKey(w, now, now)
	})
}
