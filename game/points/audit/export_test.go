package audit_test

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/points/audit"
	"github.com/kamado/kamado/game/points/pointstest"
)

// kept is a ledger with postings of ten minutes, one a minute.
func kept(t *testing.T) *pointstest.Memory {
	t.Helper()
	now := start
	m := pointstest.NewMemory(pointstest.Config{Now: func() time.Time { return now }, Rules: game.Rules{Transfers: true}})
	for i, o := range []game.Order{
		{Op: game.OpGrant, UID: 1, Amount: 100, Kind: game.Paid, Expires: game.At(start.Add(time.Hour)), Reason: "買った <b>\u2028\n\"", By: "shop"},
		{Op: game.OpSpend, UID: 1, Amount: 10},
		{Op: game.OpReserve, UID: 1, Amount: 20, Term: time.Hour},
		{Op: game.OpConfirm, Hold: 3, Amount: 5},
		{Op: game.OpTransfer, UID: 1, To: game.UIDMax, Amount: 30},
		{Op: game.OpRevoke, UID: 1, Amount: 90},
		{Op: game.OpGrant, UID: 1, Amount: game.AmountMax},
	} {
		o.Tx = fmt.Sprint("tx/", i)
		if _, err := m.Post(t.Context(), &o); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Minute)
	}
	return m
}

func export(t *testing.T, p audit.Period) (text []byte, key ed25519.PrivateKey) {
	t.Helper()
	key, err := audit.LoadKey(filepath.Join(t.TempDir(), "export.key"))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := audit.Export(t.Context(), kept(t), p, &b, key); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), key
}

func TestExportIsVerified(t *testing.T) {
	t.Parallel()
	m := kept(t)
	for _, c := range []struct {
		p           audit.Period
		first, last uint64
	}{
		{audit.Period{}, 1, 7},
		{audit.Period{From: game.At(start.Add(2 * time.Minute)), To: game.At(start.Add(5 * time.Minute))}, 3, 5},
		{audit.Period{From: game.At(start.Add(time.Hour))}, 0, 0},
		{audit.Period{To: game.At(start.Add(time.Second))}, 1, 1},
	} {
		text, key := export(t, c.p)
		public, err := audit.ParsePublicKey(audit.PublicKey(key))
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range []ed25519.PublicKey{public, nil} {
			r, err := audit.VerifyExport(bytes.NewReader(text), k)
			if err != nil || r.First != c.first || r.Last != c.last || r.Period != c.p || r.Key != audit.PublicKey(key) {
				t.Errorf("VerifyExport = %+v, %v; want postings %d to %d", r, err, c.first, c.last)
			}
			if all, _ := m.Totals(t.Context()); err == nil && c.last == 7 && r.Classes != all.Classes {
				t.Errorf("the export has %v, the ledger %v", r.Classes, all.Classes)
			}
		}
	}
}

// TestAnyChangeOfAnExportIsFound changes single bytes, and removes, doubles and moves lines.
func TestAnyChangeOfAnExportIsFound(t *testing.T) {
	t.Parallel()
	text, _ := export(t, audit.Period{})
	step := 7
	if os.Getenv("KAMADO_TEST_ALL") != "" {
		step = 1
	}
	for i := 0; i < len(text); i += step {
		for _, flip := range []byte{1, 0x20} {
			b := bytes.Clone(text)
			b[i] ^= flip
			if _, err := audit.VerifyExport(bytes.NewReader(b), nil); err == nil {
				t.Errorf("byte %d (%q) was changed to %q and not found", i, text[i], b[i])
			}
		}
	}
	list := strings.SplitAfter(strings.TrimSuffix(string(text), "\n"), "\n")
	for i := range list {
		without := strings.Join(append(append([]string{}, list[:i]...), list[i+1:]...), "")
		twice := strings.Join(append(append([]string{}, list[:i+1]...), list[i:]...), "")
		for what, b := range map[string]string{"removed": without, "doubled": twice, "the last": strings.Join(list[:i], "")} {
			if _, err := audit.VerifyExport(strings.NewReader(b), nil); err == nil {
				t.Errorf("line %d was %s, and nothing was found", i+1, what)
			}
		}
	}
	_, other := export(t, audit.Period{})
	if _, err := audit.VerifyExport(bytes.NewReader(text), other.Public().(ed25519.PublicKey)); err == nil {
		t.Error("an export passed with the key of another one")
	}
}

func TestKeyIsMadeOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "export.key")
	var wg sync.WaitGroup
	keys := make([]ed25519.PrivateKey, 8)
	for i := range keys {
		wg.Go(func() {
			var err error
			if keys[i], err = audit.LoadKey(path); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, k := range keys {
		if !k.Equal(keys[0]) {
			t.Error("two of one key file are not the same")
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key file has mode %v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(path, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.LoadKey(path); err == nil {
		t.Error("a file that is no key was taken for one")
	}
}

func FuzzVerifyExport(f *testing.F) {
	f.Add([]byte(`{"head":{"format":"kamado points","version":1,"from":null,"to":null,"key":"AAAA"},"hash":"00"}` + "\n"))
	f.Add([]byte(`{"end":null,"hash":""}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := audit.VerifyExport(bytes.NewReader(b), make(ed25519.PublicKey, ed25519.PublicKeySize)); err == nil {
			t.Errorf("bytes that nobody signed were verified: %+v", r)
		}
	})
}
