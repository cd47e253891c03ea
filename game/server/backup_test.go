package server_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/api"
	"github.com/kamado/kamado/game/server"
	"github.com/kamado/kamado/internal/blob/fs"
)

func TestBackupAndGoingBack(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), nil)
	vault := filepath.Join(t.TempDir(), "vault")
	back := func() { w.want(201, "POST", "backups", w.operator, `{"to":"`+vault+`"}`) }
	ann := w.guest()
	w.grant(ann.UID, 10)
	w.want(200, "PUT", "entities/"+ann.UID.String()+"/hat", ann.AccessToken, "red")
	back()
	moment := time.Now()
	for !time.Now().After(moment.Add(2 * time.Millisecond)) { // the ledger's time is that of the clock
		time.Sleep(time.Millisecond)
	}
	bob := w.guest()
	w.grant(bob.UID, 5)
	w.want(200, "PUT", "entities/"+ann.UID.String()+"/hat", ann.AccessToken, "blue")
	back()
	w.grant(ann.UID, 1) // after the last backup
	w.want(403, "POST", "backups", w.service, "{}")
	w.want(400, "POST", "backups", w.operator, "{}") // no place is configured

	store, err := fs.Open(vault)
	if err != nil {
		t.Fatal(err)
	}
	v, err := server.VerifyBackups(t.Context(), store)
	if err != nil || v.Backups != 2 || v.Postings != 2 || v.Sum != 0 || v.Entities != 1 {
		t.Errorf("verified %+v, %v", v, err)
	}
	for name, c := range map[string]struct {
		at       time.Time
		ann, bob game.Amount
		hat      string
	}{"all": {time.Time{}, 10, 5, "blue"}, "a moment": {moment, 10, 0, "red"}} {
		data := t.TempDir()
		if _, err := server.Restore(t.Context(), server.Options{Config: game.Default(), Data: data}, store, c.at); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		r := open(t, data, nil)
		if a, b := r.account(ann.UID), r.account(bob.UID); a.Balance != c.ann || b.Balance != c.bob {
			t.Errorf("%s: balances %d and %d, want %d and %d", name, a.Balance, b.Balance, c.ann, c.bob)
		}
		if got := r.want(200, "GET", "entities/"+ann.UID.String()+"/hat", r.service, ""); string(got.body) != c.hat {
			t.Errorf("%s: hat %q, want %q", name, got.body, c.hat)
		}
		if next := r.guest(); next.UID < bob.UID+1000 {
			t.Errorf("%s: user %v may have been given since the backup", name, next.UID)
		}
		r.sumIsZero()
		if _, err := server.Restore(t.Context(), server.Options{Config: game.Default(), Data: data}, store, c.at); game.KindOf(err) != game.Conflict {
			t.Errorf("%s: a restore over data: %v", name, err)
		}
		r.stop()
	}

	// What was changed in the vault is found.
	parts, err := filepath.Glob(filepath.Join(vault, "entities", "*"))
	if err != nil || len(parts) != 2 {
		t.Fatal(parts, err)
	}
	b, err := os.ReadFile(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(parts[1], b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := server.VerifyBackups(t.Context(), store); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a flipped bit in the vault: %v", err)
	}
}

func TestBackupsAreMadeAndForgotten(t *testing.T) {
	t.Parallel()
	vault := t.TempDir()
	w := open(t, t.TempDir(), func(c *game.Config) { c.Backup.To, c.Backup.Keep = vault, 2 })
	ann := w.guest()
	for range 4 {
		w.grant(ann.UID, 1)
		var made api.Backup
		w.want(201, "POST", "backups", w.operator, "").into(t, &made)
	}
	store, err := fs.Open(vault)
	if err != nil {
		t.Fatal(err)
	}
	world, err := server.ReadWorld(t.Context(), store)
	if err != nil || len(world.Backups) != 2 {
		t.Errorf("%d backups are kept, %v; want 2", len(world.Backups), err)
	}
	if left, _ := store.List(context.Background(), "users/", "", 0); len(left) != 2 {
		t.Errorf("%d copies of users are left", len(left))
	}
	if v, err := server.VerifyBackups(t.Context(), store); err != nil || v.Postings != 4 {
		t.Errorf("%+v, %v", v, err)
	}
	empty, err := fs.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := server.VerifyBackups(t.Context(), empty); game.KindOf(err) != game.NotFound {
		t.Errorf("an empty place: %v", err)
	}
	if _, _, err := server.OpenVault("s3://secret:key@bucket"); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a place with a secret: %v", err)
	}
}
