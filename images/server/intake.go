package server

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/api"
	"github.com/kamado/kamado/images/purge"
	"github.com/kamado/kamado/images/store"
	"github.com/kamado/kamado/images/store/shelf"
	"github.com/kamado/kamado/images/store/upload"
	"github.com/kamado/kamado/internal/blob"
)

// Change is an original that came, changed or went; see shelf.Change.
type Change = shelf.Change

// openIntake opens the ways in which originals come: uploads and S3. Only
// directories of this machine are written to.
func (s *Server) openIntake() error {
	cfg := s.opts.Config
	origins := map[string]blob.Store{}
	for name, dir := range s.dirStores {
		origins[name] = dir
	}
	if len(origins) == 0 && cfg.Store.S3.KeyFile == "" {
		return nil // nothing could be stored, and nobody asked for it
	}
	if _, ok := origins[cfg.Store.Origin]; !ok && cfg.Store.Origin == images.DefaultOrigin {
		cfg.Store.Uploads = false
	}
	var err error
	s.intake, err = store.New(store.Options{Config: cfg.Store, Data: s.opts.Data, MaxBytes: int64(cfg.Limits.MaxBytes)}, store.Deps{
		Origins: origins, Validate: s.validate, Changed: s.changed, Events: s.deps.Changes, TakenDown: s.takenDown, Guard: s.deps.Guard, Keys: s.keys, Log: s.deps.Log,
	})
	if err != nil {
		return err
	}
	if s.deps.Registerer != nil {
		if err := s.deps.Registerer.Register(s.intake); err != nil {
			return fmt.Errorf("register metrics of images: %w", err)
		}
	}
	return nil
}

// validate says whether a file is a picture that can be shown here.
func (s *Server) validate(ctx context.Context, data []byte) (shelf.Facts, error) {
	f, err := s.facts(ctx, data, api.Ask{})
	if err == nil {
		err = s.opts.Config.Limits.CheckOriginal(f.Width, f.Height)
	}
	return shelf.Facts{Format: f.Format, Width: f.Width, Height: f.Height}, err
}

// changed has the fleet forget what was made of an original that was replaced or
// deleted. A new one has nothing to be forgotten: "not found" is kept for seconds.
func (s *Server) changed(ctx context.Context, c shelf.Change) {
	if c.How != shelf.Deleted && s.takenDown(shelf.Ref{Origin: c.Origin, Key: c.Key}) {
		s.deps.Log.Warn("original that was taken down is stored anew; the takedown stays in force", "change", c)
	}
	if c.How == shelf.Created {
		return
	}
	draft := purge.Draft{Action: purge.Purge, Target: purge.Key(c.Origin, c.Key), Reason: c.How.String() + " by " + c.By.Via}
	if _, err := s.fleet.Order(ctx, 0, draft); err != nil {
		s.deps.Log.Warn("change of an original is not told to the fleet", "change", c, "err", err)
	}
}

// takenDown says whether an original is hidden, as far as its name tells: owners
// are in URLs only.
func (s *Server) takenDown(ref shelf.Ref) bool { return s.orders.Refused(ref.Origin, ref.Key, "", "") }

// S3 answers S3's protocol on a listener of its own; nil where it has none.
func (s *Server) S3() http.Handler {
	if s.intake == nil || s.opts.Config.Store.S3.HTTP == "" {
		return nil
	}
	return s.intake.S3()
}

// intakeFor is the handler of a request about originals themselves; nil when it is
// about pictures.
func (s *Server) intakeFor(r *http.Request) http.Handler {
	switch {
	case s.intake == nil:
		return nil
	case strings.HasPrefix(r.URL.Path, upload.Prefix) && s.intake.Uploads() != nil:
		return s.intake.Uploads()
	case s.intake.OwnsHost(r.Host):
		return s.intake.S3()
	}
	return nil
}

// grant signs what may be done with an original.
func (s *Server) grant(r api.GrantRequest) (string, error) {
	if left := time.Until(r.Expires); left <= 0 || left > upload.LifeMax {
		return "", images.Invalidf("expires", "it is not within the next %v", upload.LifeMax)
	}
	g := upload.Grant{Method: r.Method, Key: r.Key, MaxBytes: r.MaxBytes, Type: r.Type, New: r.New, Expires: r.Expires}
	return g.Sign(s.keys)
}
