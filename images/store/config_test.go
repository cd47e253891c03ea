package store_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/kamado/kamado/images/store"
)

func TestConfig(t *testing.T) {
	t.Parallel()
	there := func(name string) bool { return name == "default" }
	for name, c := range map[string]struct {
		spoil func(*store.Config)
		want  string // empty: good
	}{
		"the default":        {func(*store.Config) {}, ""},
		"another origin":     {func(c *store.Config) { c.Origin = "x" }, "store.origin"},
		"a page with a path": {func(c *store.Config) { c.AllowedOrigins = []string{"https://a.example.com/"} }, "allowed_origins"},
		"nobody at once":     {func(c *store.Config) { c.Concurrency = 0 }, "store.concurrency"},
		"a negative size":    {func(c *store.Config) { c.MaxBytes = -1 }, "store.max_bytes"},
		"s3 without keys":    {func(c *store.Config) { c.S3.HTTP = ":9" }, "key_file"},
		"s3 nowhere":         {func(c *store.Config) { c.S3.KeyFile = "k" }, "store.s3 needs an address"},
		"s3":                 {func(c *store.Config) { c.S3.KeyFile, c.S3.HTTP = "k", "127.0.0.1:9000" }, ""},
		"a bad address":      {func(c *store.Config) { c.S3.KeyFile, c.S3.HTTP = "k", "9000" }, "store.s3.http"},
		"a bad domain":       {func(c *store.Config) { c.S3.KeyFile, c.S3.Domain = "k", "S3.x" }, "store.s3.domain"},
		"a bad bucket": {func(c *store.Config) {
			c.S3.KeyFile, c.S3.HTTP, c.S3.Buckets = "k", ":9", map[string]store.Bucket{"A": {}}
		}, "buckets.A"},
		"a bucket of nothing": {func(c *store.Config) {
			c.S3.KeyFile, c.S3.HTTP, c.S3.Buckets = "k", ":9", map[string]store.Bucket{"abc": {Origin: "x"}}
		}, "no origin"},
		"a prefix that is not": {func(c *store.Config) {
			c.S3.KeyFile, c.S3.HTTP, c.S3.Buckets = "k", ":9", map[string]store.Bucket{"abc": {Prefix: "x"}}
		}, "ends in /"},
	} {
		cfg := store.Default()
		c.spoil(&cfg)
		err := cfg.Validate(there)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	cfg := config(t)
	cfg.S3.KeyFile = filepath.Join(t.TempDir(), "missing")
	if _, err := store.New(store.Options{Config: cfg, Data: t.TempDir()}, store.Deps{}); err == nil {
		t.Error("New without an origin and without keys succeeded")
	}
}
