package store_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/signature"
	"github.com/kamado/kamado/images/store"
	"github.com/kamado/kamado/images/store/shelf"
	"github.com/kamado/kamado/internal/blob"
	"github.com/kamado/kamado/internal/blob/fs"
	"github.com/kamado/kamado/internal/unit"
)

// The pairs of keys of these tests.
const (
	access, secret         = "KAMADOTEST", "a/secret+of=the.tests"
	readAccess, readSecret = "KAMADOREAD", "another/secret+of.tests"
	operatorToken          = "the-operators-token"
)

// world is a store that runs: two listeners before one directory.
type world struct {
	Dir     string // the origin's
	Staging string
	S3      *httptest.Server
	Uploads *httptest.Server
	Store   *store.Store
	Keys    *signature.Keys
	Origin  *fs.Store

	mu      sync.Mutex
	changes []shelf.Change
	hidden  string // key that is taken down
}

// token is the guard of these tests.
type token string

func (want token) Require(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+string(want) {
			http.Error(w, "who are you", http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// validate tells pictures by the standard library.
func validate(_ context.Context, data []byte) (shelf.Facts, error) {
	cfg, format, err := image.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return shelf.Facts{}, images.Wrap(images.Unprocessable, "probe", "this is not a picture", err)
	}
	limits := images.DefaultLimits()
	limits.MaxPixels = 10_000_000
	return shelf.Facts{Format: format, Width: cfg.Width, Height: cfg.Height}, limits.CheckOriginal(cfg.Width, cfg.Height)
}

func config(t testing.TB) store.Config {
	cfg := store.Default()
	cfg.S3.HTTP = "127.0.0.1:0"
	cfg.S3.KeyFile = filepath.Join(t.TempDir(), "keys")
	text := "# for tests\n" + access + " " + secret + "\n" + readAccess + "  " + readSecret + " read-only\n"
	if err := os.WriteFile(cfg.S3.KeyFile, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.S3.Domain = "s3.example.com"
	cfg.S3.Buckets = map[string]store.Bucket{"photos": {}, "shop": {Prefix: "shop/"}}
	cfg.AllowedOrigins = []string{"https://app.example.com"}
	return cfg
}

func start(t testing.TB, cfg store.Config) *world {
	t.Helper()
	return startIn(t, cfg, t.TempDir())
}

func startIn(t testing.TB, cfg store.Config, top string) *world {
	t.Helper()
	w := &world{Dir: filepath.Join(top, "originals"), Staging: filepath.Join(top, "data", "uploads")}
	for _, dir := range []string{w.Dir, filepath.Join(top, "data")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	origin, err := fs.Open(w.Dir)
	if err != nil {
		t.Fatal(err)
	}
	w.Origin = origin
	var key [32]byte
	_, _ = rand.Read(key[:])
	if w.Keys, err = signature.Parse(strings.NewReader(hex.EncodeToString(key[:]))); err != nil {
		t.Fatal(err)
	}
	w.Store, err = store.New(store.Options{Config: cfg, Data: filepath.Join(top, "data"), MaxBytes: int64(32 * unit.MiB)}, store.Deps{
		Origins: map[string]blob.Store{images.DefaultOrigin: origin}, Validate: validate, Guard: token(operatorToken), Keys: w.Keys,
		Changed: func(_ context.Context, c shelf.Change) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.changes = append(w.changes, c)
		},
		TakenDown: func(r shelf.Ref) bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return r.Key == w.hidden
		},
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo})),
	})
	if err != nil {
		t.Fatal(err)
	}
	w.S3 = httptest.NewServer(w.Store.S3())
	w.Uploads = httptest.NewServer(w.Store.Uploads())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Store.Run(ctx) }()
	t.Cleanup(func() {
		w.S3.Close()
		w.Uploads.Close()
		cancel()
		if err := errors.Join(<-done, origin.Close()); err != nil {
			t.Error(err)
		}
	})
	return w
}

// told gives the changes of a key so far, as words.
func (w *world) told(key string) (hows []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.changes {
		if c.Key == key {
			hows = append(hows, c.How.String())
		}
	}
	return hows
}

// files lists what lies in the staging directory, at any depth.
func (w *world) files(t testing.TB) (list []string) {
	t.Helper()
	err := filepath.Walk(w.Staging, func(path string, fi os.FileInfo, err error) error {
		if err == nil && !fi.IsDir() {
			list = append(list, strings.TrimPrefix(path, w.Staging))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// photo is a JPEG of noise. pad bytes follow its end, as cameras leave them.
func photo(t testing.TB, seed uint64, pad int) []byte {
	t.Helper()
	r := mathrand.New(mathrand.NewPCG(seed, 1))
	m := image.NewGray(image.Rect(0, 0, 64, 48))
	for i := range m.Pix {
		m.Pix[i] = byte(r.Uint32())
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		t.Fatal(err)
	}
	tail := make([]byte, pad)
	for i := range tail {
		tail[i] = byte(r.Uint32())
	}
	return append(b.Bytes(), tail...)
}

// bomb is a PNG whose header promises more pixels than are allowed.
func bomb(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewPaletted(image.Rect(0, 0, 4000, 3000), color.Palette{color.Gray{}})); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func (w *world) onDisk(t testing.TB, key string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(w.Dir, key))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return b
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var later = time.Now().Add(time.Hour)
