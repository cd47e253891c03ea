package identity

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/internal/sqldb"
)

// A service's credential is "kamado-service." and its name, a dot, and 256 random bits in base64url.
const servicePrefix = "kamado-service."

// servicesMax bounds the credentials of services.
const servicesMax = 1000

// service is a credential that counts.
type service struct {
	digest string
	scopes game.Scope
}

func serviceSecret(name string) (text, digest string) {
	secret := random(32)
	return servicePrefix + name + "." + secret, digestOf("service", name, secret)
}

// authenticateService takes the same time for an unknown name and a wrong secret.
func (s *Server) authenticateService(ctx context.Context, bearer string) (game.Principal, error) {
	rest := strings.TrimPrefix(bearer, servicePrefix)
	i := strings.LastIndexByte(rest, '.')
	if i < 0 || len(bearer) > len(servicePrefix)+game.ServiceNameBytesMax+1+secretLetters {
		s.metrics.services.WithLabelValues("refused").Inc()
		return game.Principal{}, errNotValid
	}
	name, digest := rest[:i], digestOf("service", rest[:i], rest[i+1:])
	for again := range 2 {
		v, ok := (*s.services.Load())[name]
		if sameDigest(v.digest, digest) && ok {
			s.metrics.served.Inc()
			return game.Principal{Kind: game.ByService, Service: name, Scopes: v.scopes}, nil
		}
		if again == 0 {
			s.freshen(ctx) // it may be new
		}
	}
	s.metrics.services.WithLabelValues("refused").Inc()
	return game.Principal{}, errNotValid
}

// readServices takes the credentials of the database for those of this server.
func (s *Server) readServices(ctx context.Context) error {
	all := map[string]service{}
	err := s.read(ctx, "read services", func(r sqldb.Reader) error {
		clear(all)
		rows, err := r.Query("SELECT name, digest, scopes FROM identity_services WHERE revoked = 0")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var name string
			var v service
			var scopes int64
			if err := rows.Scan(&name, &v.digest, &scopes); err != nil {
				return err
			}
			v.scopes = game.Scope(scopes)
			all[name] = v
		}
		return rows.Err()
	})
	if err == nil {
		s.services.Store(&all)
	}
	return err
}

// errThere: a service of the name has a credential.
var errThere = errors.New("service has a credential")

// putService writes a credential of a name that has none that counts.
func (s *Server) putService(ctx context.Context, name string, scopes game.Scope) (string, error) {
	if err := game.CheckServiceName(name); err != nil {
		return "", err
	}
	if scopes == 0 {
		return "", game.Errorf(game.Invalid, "a service without a scope can do nothing")
	}
	secret, digest := serviceSecret(name)
	return secret, s.changeServices(ctx, "create a service", func(w sqldb.Writer, now time.Time) error {
		var count int64
		if err := w.QueryRow("SELECT COUNT(*) FROM identity_services").Scan(&count); err != nil {
			return err
		}
		n, err := w.Exec("DELETE FROM identity_services WHERE name = ? AND revoked > 0", name)
		if err != nil {
			return err
		}
		if count-n >= servicesMax {
			return game.Errorf(game.Conflict, "there are %d services, which is the most", servicesMax)
		}
		_, err = w.Exec("INSERT INTO identity_services (name, digest, scopes, created, revoked) VALUES (?, ?, ?, ?, 0)", name, digest, int64(scopes), millis(now))
		if errors.Is(err, sqldb.ErrUnique) {
			err = errThere
		}
		return err
	})
}

// changeServices runs a write about services, and then believes it.
func (s *Server) changeServices(ctx context.Context, op string, fn func(w sqldb.Writer, now time.Time) error) error {
	err := s.write(ctx, op, func(w sqldb.Writer, now time.Time) ([]notice, error) {
		return []notice{{kind: noticeServices}}, fn(w, now)
	})
	if err != nil {
		return err
	}
	return s.readServices(ctx)
}

// EnsureService makes a service credential if there is none of the name. The secret is empty when it was there: it is
// shown once. Who lost it asks RenewService.
func (s *Server) EnsureService(ctx context.Context, name string, scopes game.Scope) (secret string, created bool, err error) {
	secret, err = s.putService(ctx, name, scopes)
	if errors.Is(err, errThere) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	return secret, true, nil
}

// CreateService makes a service credential. Conflict: there is one of the name.
func (s *Server) CreateService(ctx context.Context, name string, scopes game.Scope) (secret string, err error) {
	secret, err = s.putService(ctx, name, scopes)
	if errors.Is(err, errThere) {
		return "", game.Errorf(game.Conflict, "service %s has a credential already: renew or revoke it", name)
	}
	if err != nil {
		return "", err
	}
	return secret, nil
}

// RenewService gives a service a new secret; the old one ends at once.
func (s *Server) RenewService(ctx context.Context, name string) (secret string, err error) {
	if err := game.CheckServiceName(name); err != nil {
		return "", err
	}
	secret, digest := serviceSecret(name)
	err = s.changeServices(ctx, "renew a service", func(w sqldb.Writer, _ time.Time) error {
		n, err := w.Exec("UPDATE identity_services SET digest = ? WHERE name = ? AND revoked = 0", digest, name)
		return one(n, err, name)
	})
	if err != nil {
		return "", err
	}
	return secret, nil
}

// RevokeService ends a service credential. Its name may be used again.
func (s *Server) RevokeService(ctx context.Context, name string) error {
	if err := game.CheckServiceName(name); err != nil {
		return err
	}
	return s.changeServices(ctx, "revoke a service", func(w sqldb.Writer, now time.Time) error {
		n, err := w.Exec("UPDATE identity_services SET revoked = ? WHERE name = ? AND revoked = 0", millis(now), name)
		return one(n, err, name)
	})
}

// one wants that a change met one service.
func one(n int64, err error, name string) error {
	if err == nil && n != 1 {
		return game.Errorf(game.NotFound, "there is no service %s", name)
	}
	return err
}

// Services lists service credentials by name, also revoked ones.
func (s *Server) Services(ctx context.Context) ([]game.ServiceCredential, error) {
	all := map[string]game.ServiceCredential{}
	err := s.read(ctx, "list services", func(r sqldb.Reader) error {
		clear(all)
		rows, err := r.Query("SELECT name, scopes, created, revoked FROM identity_services")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var c game.ServiceCredential
			var scopes, created, revoked int64
			if err := rows.Scan(&c.Name, &scopes, &created, &revoked); err != nil {
				return err
			}
			c.Scopes, c.Created, c.Revoked = game.Scope(scopes).Names(), fromMillis(created), fromMillis(revoked)
			all[c.Name] = c
		}
		return rows.Err()
	})
	if err != nil {
		return nil, err
	}
	list := make([]game.ServiceCredential, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, all[name])
	}
	return list, nil
}
