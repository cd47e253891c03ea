package operator_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/kamado/kamado/internal/operator"
)

func TestLoadCreatesATokenOnceForEverybody(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	var tokens [16]operator.Token
	var wg sync.WaitGroup
	for i := range tokens {
		wg.Go(func() {
			var err error
			if tokens[i], err = operator.Load(dir); err != nil {
				t.Errorf("Load = %v", err)
			}
		})
	}
	wg.Wait()
	for _, tok := range tokens[1:] {
		if tok != tokens[0] {
			t.Fatalf("two processes loaded different tokens")
		}
	}
	if len(tokens[0].Reveal()) != 64 {
		t.Errorf("token has %d digits, want 64", len(tokens[0].Reveal()))
	}
	info, err := os.Stat(filepath.Join(dir, operator.TokenFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("token file has mode %v, %v, want 0600", info.Mode(), err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("data directory holds %v, %v, want the token alone", entries, err)
	}
	if other, _ := operator.Load(t.TempDir()); other == tokens[0] {
		t.Errorf("two directories have the same token")
	}
}

func TestReadRefusesWhatItCannotTrust(t *testing.T) {
	good := strings.Repeat("ab", 32)
	for name, tc := range map[string]struct {
		content string
		mode    os.FileMode
		want    error // nil: any error
	}{
		"readable by the group": {good, 0o640, operator.ErrExposed},
		"readable by all":       {good, 0o604, operator.ErrExposed},
		"empty":                 {"", 0o600, nil},
		"cut short":             {good[:62], 0o600, nil},
		"not hex":               {strings.Repeat("zz", 32), 0o600, nil},
	} {
		dir := t.TempDir()
		file := filepath.Join(dir, operator.TokenFile)
		if err := os.WriteFile(file, []byte(tc.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, tc.mode); err != nil {
			t.Fatal(err)
		}
		_, err := operator.Load(dir)
		if err == nil || tc.want != nil && !errors.Is(err, tc.want) {
			t.Errorf("%s: Load = %v, want %v", name, err, tc.want)
		}
	}
	if _, err := operator.Read(t.TempDir()); !errors.Is(err, operator.ErrNoToken) {
		t.Errorf("Read of an empty directory = %v, want ErrNoToken", err)
	}
}

func TestTokenDoesNotShowItself(t *testing.T) {
	tok, err := operator.Load(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "token", tok, "in", struct{ T operator.Token }{tok})
	for _, text := range []string{log.String(), fmt.Sprint(tok), fmt.Sprintf("%v %+v %#v %s %q", tok, tok, tok, tok, tok)} {
		if strings.Contains(text, tok.Reveal()) {
			t.Errorf("token shows in %q", text)
		}
	}
}
