package s3_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/kamado/kamado/internal/blob/s3"
)

func TestValidateNamesEveryFault(t *testing.T) {
	good := s3.Default()
	good.Bucket = "bucket"
	if err := good.Validate(); err != nil {
		t.Fatalf("Validate of the default with a bucket = %v", err)
	}
	for field, spoil := range map[string]func(*s3.Config){
		"endpoint":   func(c *s3.Config) { c.Endpoint = "127.0.0.1:9000" },
		"endpoint ":  func(c *s3.Config) { c.Endpoint = "http://h/path" },
		"bucket":     func(c *s3.Config) { c.Bucket = "" },
		"bucket ":    func(c *s3.Config) { c.Bucket = "Big_Bucket" },
		"region":     func(c *s3.Config) { c.Region = "" },
		"prefix":     func(c *s3.Config) { c.Prefix = "a" },
		"prefix ":    func(c *s3.Config) { c.Prefix = "../" },
		"addressing": func(c *s3.Config) { c.Addressing = "dns" },
		"secret_key": func(c *s3.Config) { c.AccessKey = "a" },
		"timeout":    func(c *s3.Config) { c.Timeout = 0 },
		"stall":      func(c *s3.Config) { c.Stall = -1 },
		"attempts":   func(c *s3.Config) { c.Attempts = 11 },
		"backoff":    func(c *s3.Config) { c.BackoffMax = c.BackoffMin - 1 },
		"connection": func(c *s3.Config) { c.Connections = 0 },
		"part_bytes": func(c *s3.Config) { c.PartBytes = 1 },
	} {
		c := good
		spoil(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), strings.TrimSpace(field)) {
			t.Errorf("Validate with a bad %s = %v", field, err)
		}
		if _, err := s3.Open(c); err == nil {
			t.Errorf("Open with a bad %s succeeded", field)
		}
	}
}

func TestWithEnvironment(t *testing.T) {
	env := map[string]string{
		"AWS_ENDPOINT_URL": "http://general", "AWS_ENDPOINT_URL_S3": "http://special", "AWS_DEFAULT_REGION": "eu-1",
		"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token",
	}
	getenv := func(k string) string { return env[k] }
	c := s3.Default().WithEnvironment(getenv)
	if c.Endpoint != "http://special" || c.Region != "eu-1" || c.AccessKey != "id" || c.SecretKey != "secret" || c.SessionToken != "token" {
		t.Errorf("WithEnvironment = %+v", c)
	}
	own := s3.Default()
	own.Endpoint, own.Region, own.AccessKey, own.SecretKey = "http://own", "own-1", "own", "own"
	c = own.WithEnvironment(getenv)
	if c.Endpoint != "http://own" || c.Region != "own-1" || c.AccessKey != "own" || c.SecretKey != "own" || c.SessionToken != "" {
		t.Errorf("WithEnvironment over a full configuration = %+v, want it unchanged", c)
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	c := s3.Config{SecretKey: "hunter2", SessionToken: "hunter3"}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", c.SecretKey)
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s %q", c, c, c, c.SecretKey, c.SecretKey), log.String()} {
		if strings.Contains(text, "hunter") {
			t.Errorf("a secret is printed: %s", text)
		}
	}
}
