package s3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/internal/blob"
	"github.com/kamado/kamado/internal/blob/blobtest"
	"github.com/kamado/kamado/internal/blob/faultproxy"
	"github.com/kamado/kamado/internal/blob/s3"
	"github.com/kamado/kamado/internal/blob/s3test"
)

func open(t testing.TB, cfg s3.Config) *s3.Store {
	t.Helper()
	s, err := s3.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func put(t testing.TB, s blob.Store, key string, data []byte) blob.Info {
	t.Helper()
	in, err := s.Put(t.Context(), key, bytes.NewReader(data), int64(len(data)), blob.PutOptions{})
	if err != nil {
		t.Fatalf("Put(%q) = %v", key, err)
	}
	return in
}

func TestConformance(t *testing.T) {
	server := s3test.Start(t)
	t.Run("whole bucket", func(t *testing.T) {
		blobtest.Run(t, func(t *testing.T) blob.Store { return open(t, patient(server.Config(t))) })
	})
	t.Run("below a prefix", func(t *testing.T) {
		cfg := server.Config(t)
		// What lies beside the prefix must not be seen through it.
		put(t, open(t, cfg), "neighbour/x", []byte("x"))
		n := 0
		blobtest.Run(t, func(t *testing.T) blob.Store {
			n++
			cfg.Prefix = fmt.Sprintf("p%d/", n)
			cfg.Addressing = s3.AddressingPath
			return open(t, patient(cfg))
		})
	})
}

// patient allows for versitygw, whose answers about directories that another
// request is pruning are wrong for a moment.
func patient(cfg s3.Config) s3.Config {
	cfg.Attempts = 10
	return cfg
}

func TestWrongCredentialsAreRefused(t *testing.T) {
	server := s3test.Start(t)
	good := server.Config(t)
	put(t, open(t, good), "k", []byte("secret"))
	for name, spoil := range map[string]func(*s3.Config){
		"wrong secret": func(c *s3.Config) { c.SecretKey += "x" },
		"unknown key":  func(c *s3.Config) { c.AccessKey = "NOBODY" },
		"unsigned":     func(c *s3.Config) { c.AccessKey, c.SecretKey = "", "" },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good
			spoil(&cfg)
			cfg.OnRetry = func(op string, _ int, err error) { t.Errorf("%s was tried again after %v", op, err) }
			s := open(t, cfg)
			if b, _, err := blob.GetAll(t.Context(), s, "k", nil, 0); !errors.Is(err, blob.ErrDenied) {
				t.Errorf("Get = %q, %v, want ErrDenied", b, err)
			}
			if _, err := s.Put(t.Context(), "k", strings.NewReader("mine"), 4, blob.PutOptions{}); !errors.Is(err, blob.ErrDenied) {
				t.Errorf("Put = %v, want ErrDenied", err)
			}
			if _, err := s.List(t.Context(), "", "", 0); !errors.Is(err, blob.ErrDenied) {
				t.Errorf("List = %v, want ErrDenied", err)
			}
			if err := s.Delete(t.Context(), "k"); !errors.Is(err, blob.ErrDenied) {
				t.Errorf("Delete = %v, want ErrDenied", err)
			}
		})
	}
	if b, _, err := blob.GetAll(t.Context(), open(t, good), "k", nil, 0); err != nil || string(b) != "secret" {
		t.Errorf("Get with the right secret = %q, %v", b, err)
	}
}

func TestMissingBucketIsNotAMissingObject(t *testing.T) {
	cfg := s3test.Start(t).Config(t)
	cfg.Bucket = "no-such-bucket"
	if _, err := open(t, cfg).Get(t.Context(), "k"); !errors.Is(err, blob.ErrUnavailable) || errors.Is(err, blob.ErrNotFound) {
		t.Errorf("Get from a missing bucket = %v, want ErrUnavailable", err)
	}
}

func TestServerThatIsDown(t *testing.T) {
	cfg := s3.Default()
	cfg.Endpoint, cfg.Bucket = "http://127.0.0.1:1", "bucket"
	cfg.BackoffMin, cfg.BackoffMax = time.Millisecond, time.Millisecond
	retries := 0
	cfg.OnRetry = func(string, int, error) { retries++ }
	s := open(t, cfg)
	if _, err := s.Stat(t.Context(), "k"); !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("Stat = %v, want ErrUnavailable", err)
	}
	if retries != cfg.Attempts-1 {
		t.Errorf("%d attempts were repeated, want %d", retries, cfg.Attempts-1)
	}
}

func TestLargeObjectsGoInParts(t *testing.T) {
	cfg := s3test.Start(t).Config(t)
	cfg.PartBytes = 5 << 20
	s := open(t, cfg)
	want := bytes.Repeat([]byte("0123456789abcde\n"), (11<<20)/16)
	in := put(t, s, "large", want)
	got, gin, err := blob.GetAll(t.Context(), s, "large", nil, 0)
	if err != nil || !bytes.Equal(got, want) || gin.ETag != in.ETag {
		t.Errorf("Get = %d bytes, %q, %v; want %d, %q", len(got), gin.ETag, err, len(want), in.ETag)
	}
	for _, wrong := range []int64{-1, 1} {
		if _, err := s.Put(t.Context(), "wrong", bytes.NewReader(want), int64(len(want))+wrong, blob.PutOptions{}); !errors.Is(err, blob.ErrShort) {
			t.Errorf("Put of a wrong length = %v, want ErrShort", err)
		}
	}
	if infos, err := s.List(t.Context(), "", "", 0); err != nil || len(infos) != 1 {
		t.Errorf("List = %v, %v, want the one whole object", infos, err)
	}
}

// behindProxy is a store whose server can be spoiled, holding one object "k".
func behindProxy(t *testing.T, tune func(*s3.Config)) (*s3.Store, *faultproxy.Proxy, []byte) {
	server := s3test.Start(t)
	cfg := server.Config(t)
	data := bytes.Repeat([]byte("kamado "), 100_000)
	put(t, open(t, cfg), "k", data)
	p := faultproxy.Start(t, server.URL)
	cfg.Endpoint = p.URL
	if tune != nil {
		tune(&cfg)
	}
	return open(t, cfg), p, data
}

func TestFaultOnceIsHealedByAnotherAttempt(t *testing.T) {
	s, p, data := behindProxy(t, func(c *s3.Config) { c.Timeout = 5 * time.Second })
	faults := map[string]faultproxy.Fault{
		"500": faultproxy.Status(500), "503": faultproxy.Status(503), "429": faultproxy.Status(429), "reset": faultproxy.Reset(-1),
	}
	calls := map[string]func(context.Context) error{
		"Get": func(ctx context.Context) error {
			b, _, err := blob.GetAll(ctx, s, "k", nil, 0)
			if err == nil && !bytes.Equal(b, data) {
				err = fmt.Errorf("%d wrong bytes", len(b))
			}
			return err
		},
		"Stat": func(ctx context.Context) error { _, err := s.Stat(ctx, "k"); return err },
		"List": func(ctx context.Context) error { _, err := s.List(ctx, "", "", 0); return err },
		"Put": func(ctx context.Context) error {
			_, err := s.Put(ctx, "new", strings.NewReader("new"), 3, blob.PutOptions{})
			return err
		},
		"Delete": func(ctx context.Context) error { return s.Delete(ctx, "new") },
	}
	for fname, f := range faults {
		for cname, call := range calls {
			t.Run(cname+" after "+fname, func(t *testing.T) {
				before := p.Requests()
				p.Inject(1, f)
				if err := call(t.Context()); err != nil {
					t.Errorf("%s = %v, want success by the second attempt", cname, err)
				}
				if n := p.Requests() - before; n < 2 {
					t.Errorf("%d requests, want at least 2", n)
				}
			})
		}
	}
}

func TestFaultThatStaysIsUnavailable(t *testing.T) {
	s, p, _ := behindProxy(t, nil)
	for name, f := range map[string]faultproxy.Fault{"500": faultproxy.Status(500), "503": faultproxy.Status(503), "reset": faultproxy.Reset(-1)} {
		before := p.Requests()
		p.Inject(faultproxy.Forever, f)
		if _, err := s.Get(t.Context(), "k"); !errors.Is(err, blob.ErrUnavailable) {
			t.Errorf("Get with %s = %v, want ErrUnavailable", name, err)
		}
		if n, want := p.Requests()-before, s3.Default().Attempts; n < want || n > 2*want {
			// net/http itself repeats once what a dying idle connection ate.
			t.Errorf("Get with %s made %d requests, want %d", name, n, want)
		}
		p.Heal()
		if _, _, err := blob.GetAll(t.Context(), s, "k", nil, 0); err != nil {
			t.Errorf("Get after %s has passed = %v", name, err)
		}
	}
}

func TestSpoiledBodyIsNoticed(t *testing.T) {
	s, p, data := behindProxy(t, nil)
	short, down := blob.ErrShort, blob.ErrUnavailable
	for _, c := range []struct {
		name  string
		fault faultproxy.Fault
		want  error
	}{
		{"cut after 0 bytes", faultproxy.Truncate(0), short},
		{"cut after 1000 bytes", faultproxy.Truncate(1000), short},
		{"cut before the last byte", faultproxy.Truncate(int64(len(data)) - 1), short},
		{"announced longer", faultproxy.Length(10), short},
		{"announced shorter", faultproxy.Length(-10), short},
		{"reset in the middle", faultproxy.Reset(1000), down},
	} {
		t.Run(c.name, func(t *testing.T) {
			p.Inject(faultproxy.Forever, c.fault)
			b, _, err := blob.GetAll(t.Context(), s, "k", nil, 0)
			if !errors.Is(err, c.want) {
				t.Errorf("GetAll = %d bytes, %v, want %v", len(b), err, c.want)
			}
			// A reset can overtake the head, and then Get itself tries again.
			p.Inject(faultproxy.Forever, c.fault)
			o, err := s.Get(t.Context(), "k")
			if err == nil {
				defer o.Close()
				_, err = io.Copy(io.Discard, o)
			}
			if !errors.Is(err, c.want) {
				t.Errorf("Get and io.Copy = %v, want %v", err, c.want)
			}
			p.Heal()
			if b, _, err := blob.GetAll(t.Context(), s, "k", nil, 0); err != nil || !bytes.Equal(b, data) {
				t.Errorf("the next Get = %d bytes, %v", len(b), err)
			}
		})
	}
	t.Run("a range is cut", func(t *testing.T) {
		p.Inject(1, faultproxy.Truncate(10))
		o, err := s.GetRange(t.Context(), "k", 100, 1000)
		if err != nil {
			t.Fatal(err)
		}
		defer o.Close()
		if b, err := blob.ReadAll(nil, o, 0); !errors.Is(err, short) {
			t.Errorf("ReadAll = %d bytes, %v, want ErrShort", len(b), err)
		}
	})
}

func TestSlowServer(t *testing.T) {
	const limit = 200 * time.Millisecond
	s, p, data := behindProxy(t, func(c *s3.Config) { c.Timeout, c.Stall, c.Attempts = limit, limit, 2 })
	for name, call := range map[string]func() error{
		"Get":  func() error { _, err := s.Get(t.Context(), "k"); return err },
		"Stat": func() error { _, err := s.Stat(t.Context(), "k"); return err },
		"List": func() error { _, err := s.List(t.Context(), "", "", 0); return err },
		"Put": func() error {
			_, err := s.Put(t.Context(), "n", strings.NewReader("x"), 1, blob.PutOptions{})
			return err
		},
	} {
		p.Inject(2, p.Silent())
		if err := call(); !errors.Is(err, blob.ErrUnavailable) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s of a silent server = %v, want ErrUnavailable and no error of a context", name, err)
		}
	}
	p.Inject(1, p.Stall(1000))
	if b, _, err := blob.GetAll(t.Context(), s, "k", nil, 0); !errors.Is(err, blob.ErrUnavailable) || len(b) != 1000 {
		t.Errorf("Get of a body that stalls = %d bytes, %v, want 1000 and ErrUnavailable", len(b), err)
	}
	p.Inject(1, p.Silent())
	if b, _, err := blob.GetAll(t.Context(), s, "k", nil, 0); err != nil || !bytes.Equal(b, data) {
		t.Errorf("Get after one silent attempt = %d bytes, %v", len(b), err)
	}
}

func TestCallerGoesAway(t *testing.T) {
	s, p, _ := behindProxy(t, nil)
	p.Inject(faultproxy.Forever, p.Silent())
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Get(ctx, "k"); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("Get = %v, want the caller's deadline", err)
	}
	p.Inject(1, p.Stall(10))
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	o, err := s.Get(ctx, "k")
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if _, err := io.ReadFull(o, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := o.Read(make([]byte, 10)); !errors.Is(err, context.Canceled) {
		t.Errorf("Read = %v, want context.Canceled", err)
	}
}

// TestPageThatIsNotS3 stands for the login page of a hotel and for a wrong port.
func TestPageThatIsNotS3(t *testing.T) {
	s, p, _ := behindProxy(t, nil)
	p.Inject(faultproxy.Forever, func(w http.ResponseWriter, _ *http.Request, _ func() (*http.Response, error)) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusFound)
		_, _ = io.WriteString(w, "<html>log in")
	})
	if _, err := s.Get(t.Context(), "k"); !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("Get = %v, want ErrUnavailable", err)
	}
}
