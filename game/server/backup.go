package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/api"
	"github.com/kamado/kamado/game/points/audit"
	"github.com/kamado/kamado/game/points/ledger"
	"github.com/kamado/kamado/internal/blob"
	"github.com/kamado/kamado/internal/blob/fs"
	"github.com/kamado/kamado/internal/blob/s3"
	"github.com/kamado/kamado/internal/sqldb"
)

// A backup lies in a store of blobs: the ledger's as package audit keeps it, grown
// at each backup; entities/TIME and users/TIME, whole copies; and world.json, written last, which names
// all of them.
const (
	worldKey         = "world.json"
	worldVersion     = 1
	worldBytesMax    = 16 << 20
	copyKeyTime      = "20060102T150405.000Z"
	backupPartsMax   = 10_000
	backupScratchDir = "backup"
)

// World names what a store of backups has.
type World struct {
	Version int    `json:"version"`
	Backups []Copy `json:"backups"` // the oldest first
}

// Copy is one backup.
type Copy struct {
	Time time.Time `json:"time"` // when it began
	// Postings is the last posting of the ledger that it has; 0: points are in a database of their own.
	Postings uint64 `json:"postings"`
	Entities Piece  `json:"entities"`
	Users    Piece  `json:"users"` // without a key: users are in a database of their own
}

// Piece is an object of a backup.
type Piece struct {
	Key    string `json:"key,omitempty"`
	Bytes  int64  `json:"bytes"`
	Count  int64  `json:"count"`
	SHA256 string `json:"sha256,omitempty"`
}

// OpenVault opens a store of backups: a directory, which is made, or s3://BUCKET/PREFIX?endpoint=….
func OpenVault(address string) (blob.Store, func() error, error) {
	if !strings.Contains(address, "://") {
		if address == "" {
			return nil, nil, game.Errorf(game.Invalid, "no place for backups is named: want a directory, on another volume if that can be, or s3://BUCKET/PREFIX")
		}
		if err := os.MkdirAll(address, 0o700); err != nil {
			return nil, nil, err
		}
		store, err := fs.Open(address)
		if err != nil {
			return nil, nil, err
		}
		return store, store.Close, nil
	}
	cfg, err := s3.ParseURL(address)
	if err != nil {
		return nil, nil, game.Errorf(game.Invalid, "%v", err)
	}
	store, err := s3.Open(cfg)
	if err != nil {
		return nil, nil, err
	}
	return store, func() error { return nil }, nil
}

// ReadWorld tells what backups a store has; none is no error.
func ReadWorld(ctx context.Context, store blob.Store) (w World, err error) {
	o, err := store.Get(ctx, worldKey)
	if errors.Is(err, blob.ErrNotFound) {
		return World{Version: worldVersion}, nil
	}
	if err != nil {
		return w, fmt.Errorf("read the list of backups: %w", err)
	}
	defer o.Close()
	b, err := io.ReadAll(io.LimitReader(o, worldBytesMax))
	if err != nil {
		return w, fmt.Errorf("read the list of backups: %w", err)
	}
	if err := json.Unmarshal(b, &w); err != nil || w.Version != worldVersion || len(w.Backups) > backupPartsMax {
		return w, game.Errorf(game.Invalid, "%s is no list of backups that this program knows (%v)", worldKey, err)
	}
	return w, nil
}

// backup copies everything while it is used: points first and users last, so that
// whoever has points or entities is among the users.
func (s *Server) backup(ctx context.Context, to string) (api.Backup, error) {
	if !s.backing.TryLock() {
		return api.Backup{}, game.Errorf(game.Conflict, "a backup is being made already")
	}
	defer s.backing.Unlock()
	if to == "" {
		to = s.cfg.Backup.To
	}
	store, closeStore, err := OpenVault(to)
	if err != nil {
		return api.Backup{}, err
	}
	defer closeStore() //nolint:errcheck // what was written was acknowledged
	scratch := filepath.Join(s.dir, backupScratchDir)
	if err := errors.Join(os.RemoveAll(scratch), os.MkdirAll(scratch, 0o700)); err != nil {
		return api.Backup{}, err
	}
	defer os.RemoveAll(scratch) //nolint:errcheck // the next backup begins with it
	world, err := ReadWorld(ctx, store)
	if err != nil {
		return api.Backup{}, err
	}
	c := Copy{Time: time.Now().UTC().Truncate(time.Millisecond)}
	out := api.Backup{Time: c.Time, To: to}
	if l, ok := s.points.(*ledger.Ledger); ok {
		r, err := audit.Backup(ctx, filepath.Join(s.dir, "ledger"), store, audit.BackupConfig{Durable: l.Durable})
		if err != nil {
			return out, err
		}
		c.Postings, out.Transactions, out.Bytes = r.Manifest.Postings, r.Manifest.Postings, r.Bytes
	}
	if c.Entities, err = s.backupEntities(ctx, store, scratch, c.Time); err != nil {
		return out, err
	}
	if c.Users, err = s.backupUsers(ctx, store, scratch, c.Time); err != nil {
		return out, err
	}
	out.Entities, out.Bytes = c.Entities.Count, out.Bytes+c.Entities.Bytes+c.Users.Bytes
	world.Backups = append(world.Backups, c)
	return out, s.closeWorld(ctx, store, world)
}

// closeWorld writes the list, and removes copies that it names no more.
func (s *Server) closeWorld(ctx context.Context, store blob.Store, world World) error {
	var old []Copy
	if n := len(world.Backups) - s.cfg.Backup.Keep; n > 0 {
		old, world.Backups = slices.Clone(world.Backups[:n]), world.Backups[n:]
	}
	b, err := json.MarshalIndent(world, "", "  ")
	if err != nil {
		return err
	}
	if _, err := store.Put(ctx, worldKey, bytes.NewReader(b), int64(len(b)), blob.PutOptions{}); err != nil {
		return fmt.Errorf("write the list of backups: %w", err)
	}
	for _, c := range old {
		for _, key := range []string{c.Entities.Key, c.Users.Key} {
			if key == "" {
				continue
			}
			if err := store.Delete(ctx, key); err != nil {
				return fmt.Errorf("remove an old backup: %w", err)
			}
		}
	}
	return nil
}

func (s *Server) backupEntities(ctx context.Context, store blob.Store, scratch string, at time.Time) (Piece, error) {
	path := filepath.Join(scratch, "entities")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return Piece{}, err
	}
	defer f.Close()
	count, err := dump(ctx, s.store, f)
	if err != nil {
		return Piece{}, fmt.Errorf("back the entities up: %w", err)
	}
	p, err := putFile(ctx, store, "entities/"+at.Format(copyKeyTime), path)
	p.Count = count
	return p, err
}

func (s *Server) backupUsers(ctx context.Context, store blob.Store, scratch string, at time.Time) (Piece, error) {
	db, ok := s.db.(sqldb.Snapshotter)
	if !ok {
		return Piece{}, nil
	}
	path := filepath.Join(scratch, "users.db")
	if err := db.Snapshot(ctx, path); err != nil {
		return Piece{}, err
	}
	return putFile(ctx, store, "users/"+at.Format(copyKeyTime), path)
}

// putFile stores a file and reads it back.
func putFile(ctx context.Context, store blob.Store, key, path string) (Piece, error) {
	f, err := os.Open(path)
	if err != nil {
		return Piece{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Piece{}, err
	}
	hash := sha256.New()
	if _, err := store.Put(ctx, key, io.TeeReader(f, hash), info.Size(), blob.PutOptions{}); err != nil {
		return Piece{}, fmt.Errorf("write %s of the backup: %w", key, err)
	}
	p := Piece{Key: key, Bytes: info.Size(), SHA256: hex.EncodeToString(hash.Sum(nil))}
	return p, checkPiece(ctx, store, p, io.Discard)
}

// checkPiece reads a piece, gives its bytes to w, and fails when they are not those that were written.
func checkPiece(ctx context.Context, store blob.Store, p Piece, w io.Writer) error {
	o, err := store.Get(ctx, p.Key)
	if err != nil {
		return fmt.Errorf("read %s of the backup: %w", p.Key, err)
	}
	defer o.Close()
	hash := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, hash), o)
	if err != nil {
		return fmt.Errorf("read %s of the backup: %w", p.Key, err)
	}
	if got := hex.EncodeToString(hash.Sum(nil)); n != p.Bytes || got != p.SHA256 {
		return game.Errorf(game.Internal, "%s of the backup is damaged: %d bytes with hash %s, want %d with %s", p.Key, n, got, p.Bytes, p.SHA256)
	}
	return nil
}

// backups makes backups from time to time, if the configuration says so.
func (s *Server) backups(ctx context.Context) error {
	if s.cfg.Backup.Every == 0 {
		return nil
	}
	tick := time.NewTicker(s.cfg.Backup.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if b, err := s.backup(ctx, ""); err != nil && ctx.Err() == nil {
			s.deps.Log.Error("backup failed", "to", s.cfg.Backup.To, "error", err)
		} else if err == nil {
			s.deps.Log.Info("backup made", "transactions", b.Transactions, "entities", b.Entities, "bytes", b.Bytes)
		}
	}
}
