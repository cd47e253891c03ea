package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/identity"
	"github.com/kamado/kamado/game/points/audit"
	"github.com/kamado/kamado/internal/blob"
	"github.com/kamado/kamado/internal/kv"
	"github.com/kamado/kamado/internal/sqldb/sqlite"
)

// Verified is what a store of backups was found to have.
type Verified struct {
	Backups  int         `json:"backups"`
	Newest   time.Time   `json:"newest"`
	Postings uint64      `json:"transactions"`
	Last     time.Time   `json:"last_transaction"`
	Sum      game.Amount `json:"sum"`
	Entities int64       `json:"entities"`
	Bytes    int64       `json:"bytes"`
}

// VerifyBackups reads all that a store of backups has, and adds the ledger up.
func VerifyBackups(ctx context.Context, store blob.Store) (v Verified, err error) {
	world, err := ReadWorld(ctx, store)
	if err != nil {
		return v, err
	}
	if len(world.Backups) == 0 {
		return v, game.Errorf(game.NotFound, "there is no backup here: %s is missing", worldKey)
	}
	for _, c := range world.Backups {
		if v.Entities, err = readEntities(ctx, store, c.Entities, func(kv.Key, []byte) error { return nil }); err != nil {
			return v, err
		}
		if c.Users.Key != "" {
			if err := checkPiece(ctx, store, c.Users, io.Discard); err != nil {
				return v, err
			}
		}
		v.Bytes += c.Entities.Bytes + c.Users.Bytes
	}
	newest := world.Backups[len(world.Backups)-1]
	v.Backups, v.Newest = len(world.Backups), newest.Time
	if newest.Postings == 0 {
		return v, nil
	}
	m, r, err := audit.VerifyBackup(ctx, store, audit.VerifyConfig{})
	if err != nil {
		return v, err
	}
	if !r.OK() {
		return v, game.Errorf(game.Internal, "the ledger of the backup is not in order: %v", r.Problems[0])
	}
	if m.Postings < newest.Postings {
		return v, game.Errorf(game.Internal, "the ledger of the backup ends with transaction %d, and the newest backup had %d", m.Postings, newest.Postings)
	}
	v.Postings, v.Last, v.Sum, v.Bytes = m.Postings, m.Time.Time(), r.Sum, v.Bytes+r.Bytes
	return v, nil
}

// readEntities reads a dump and checks it.
func readEntities(ctx context.Context, store blob.Store, p Piece, fn func(kv.Key, []byte) error) (count int64, err error) {
	r, w := io.Pipe()
	read := make(chan error, 1)
	go func() {
		err := checkPiece(ctx, store, p, w)
		w.CloseWithError(err) //nolint:errcheck // never fails
		read <- err
	}()
	count, err = undump(r, fn)
	if err == nil {
		_, err = io.Copy(io.Discard, r)
	}
	r.CloseWithError(err) //nolint:errcheck // never fails
	return count, errors.Join(err, <-read)
}

// Restored is what a data directory has after a restore.
type Restored struct {
	Postings uint64    `json:"transactions"`
	Last     time.Time `json:"last_transaction"`
	Entities int64     `json:"entities"`
	From     time.Time `json:"entities_of"` // when the copies of entities and users were made
	Users    time.Time `json:"users_of"`
}

// Restore makes the data of a server from a store of backups, in a data directory
// that has none: points up to a moment (zero: all), entities of the last copy before it, and users of the first copy after
// it, so that whoever has points is there. No id of a user is given again.
func Restore(ctx context.Context, opts Options, store blob.Store, at time.Time) (out Restored, err error) {
	s := &Server{opts: opts, cfg: opts.Config, deps: Deps{Log: slog.New(slog.DiscardHandler)}, dir: filepath.Join(opts.Data, "game")}
	if err := s.empty(); err != nil {
		return out, err
	}
	world, err := ReadWorld(ctx, store)
	if err != nil {
		return out, err
	}
	if len(world.Backups) == 0 {
		return out, game.Errorf(game.NotFound, "there is no backup here: %s is missing", worldKey)
	}
	entities, users := choose(world.Backups, at)
	if users.Postings > 0 {
		r, err := audit.Restore(ctx, store, filepath.Join(s.dir, "ledger"), game.At(at))
		if err != nil {
			return out, err
		}
		out.Postings, out.Last = r.Postings, r.Last.Time()
	}
	if out.Entities, err = s.restoreEntities(ctx, store, entities.Entities); err != nil {
		return out, err
	}
	out.From, out.Users = entities.Time, users.Time
	if users.Users.Key != "" {
		err = s.restoreUsers(ctx, store, users.Users)
	}
	return out, err
}

// empty fails when there is something that a restore would be mixed with.
func (s *Server) empty() error {
	if s.cfg.Database != "" || s.cfg.Entities.Engine != game.EnginePebble {
		return game.Errorf(game.Invalid, "restore makes the data directory of a server of its own: leave database and entities.engine out; what other servers keep is restored by their own means")
	}
	if files, err := os.ReadDir(s.dir); err == nil && len(files) > 0 {
		return game.Errorf(game.Conflict, "%s is not empty: a restore wants a data directory without a game", s.dir)
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.MkdirAll(s.dir, 0o700)
}

// choose gives the copy of entities and the copy of users for a moment.
func choose(list []Copy, at time.Time) (entities, users Copy) {
	entities, users = list[0], list[len(list)-1]
	if at.IsZero() {
		return users, users
	}
	for _, c := range list {
		if !c.Time.After(at) {
			entities = c
		}
	}
	for i := len(list) - 1; i >= 0 && !list[i].Time.Before(at); i-- {
		users = list[i]
	}
	return entities, users
}

func (s *Server) restoreEntities(ctx context.Context, store blob.Store, p Piece) (int64, error) {
	engine, err := s.openStore(ctx)
	if err != nil {
		return 0, err
	}
	count, err := readEntities(ctx, store, p, func(k kv.Key, value []byte) error {
		_, err := engine.Put(ctx, k, value, kv.Absent)
		return err
	})
	return count, errors.Join(err, s.Close())
}

func (s *Server) restoreUsers(ctx context.Context, store blob.Store, p Piece) error {
	path := filepath.Join(s.dir, "users.db")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = checkPiece(ctx, store, p, f)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	db, err := sqlite.Open(ctx, path)
	if err != nil {
		return fmt.Errorf("open the restored users: %w", err)
	}
	defer db.Close()
	ids, err := identity.Open(ctx, s.cfg.Identity, identity.Deps{DB: db, Log: s.deps.Log})
	if err != nil {
		return fmt.Errorf("open the restored users: %w", err)
	}
	_, err = ids.AdvanceUIDs(ctx, 0) // by more than were given since any backup that somebody goes back to
	return err
}
