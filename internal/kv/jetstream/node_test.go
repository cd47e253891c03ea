package jetstream

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/kamado/kamado/internal/porttest"
)

func TestConfigs(t *testing.T) {
	t.Parallel()
	if err := DefaultConfig("d").Validate(); err != nil {
		t.Error(err)
	}
	if err := DefaultStore().Validate(); err != nil {
		t.Error(err)
	}
	err := Config{Listen: "nowhere", Peers: []string{"a:1\""}, Zone: "a b", Machine: "a.b"}.Validate()
	for _, word := range []string{"dir:", "machine", "cluster", "zone", "file_bytes_max", "secret", `address "nowhere"`, `address "a:1\""`} {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("Validate = %v, want a word on %s", err, word)
		}
	}
	if err := (Config{Dir: "d", Machine: "m", Cluster: "c", FileBytesMax: 1 << 30, Peers: []string{"a:1"}}).Validate(); err == nil || !strings.Contains(err.Error(), "listen") {
		t.Errorf("Validate of peers without an address = %v", err)
	}
	err = StoreConfig{Bucket: "A", Replicas: 2}.Validate()
	for _, word := range []string{"bucket", "shards", "replicas", "shard_bytes_max", "connections", "inflight =", "inflight_bytes", "tombstone_ttl", "timeout", "wait"} {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("Validate = %v, want a word on %s", err, word)
		}
	}
}

// TestANameIsForEver: it outlives a restart, and a new directory has another.
func TestANameIsForEver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := nodeName(dir, "m")
	if err != nil {
		t.Fatal(err)
	}
	again, err := nodeName(dir, "other")
	if err != nil || again != first || !strings.HasPrefix(first, "m-") {
		t.Errorf("names %q, %q, %v, want the same", first, again, err)
	}
	if other, err := nodeName(t.TempDir(), "m"); err != nil || other == first {
		t.Errorf("a new directory has the name %q, %v", other, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "name"), []byte("a name {\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if name, err := nodeName(dir, "m"); err == nil {
		t.Errorf("name = %q, want a complaint", name)
	}
}

func TestTheClusterFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "cluster.pem")
	if _, err := readSecret(path); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "copy it") {
		t.Errorf("readSecret of nothing = %v", err)
	}
	if err := MakeSecret(path); err != nil {
		t.Fatal(err)
	}
	if err := MakeSecret(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("MakeSecret over a file = %v, want that it exists", err)
	}
	s, err := readSecret(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := readSecret(path)
	if err != nil {
		t.Fatal(err)
	}
	first, err1 := s.password()
	second, err2 := again.password()
	if first != second || len(first) != 64 || err1 != nil || err2 != nil {
		t.Errorf("passwords %q and %q of one file, %v, %v", first, second, err1, err2)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := readSecret(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("readSecret of a file that all may read = %v", err)
	}
}

// TestOnlyLoopbackMakesItsFile: a node for other machines wants the file to be there.
func TestOnlyLoopbackMakesItsFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := DefaultConfig(filepath.Join(dir, "node"))
	c.Listen, c.Secret = porttest.Addrs(t, 1)[0], filepath.Join(dir, "cluster.pem")
	c.Peers = []string{"192.0.2.1:7000"}
	if n, err := Start(c); err == nil || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Start = %v, %v, want that there is no file", n, err)
	}
	c.Listen, c.Peers = "0.0.0.0:0", []string{"127.0.0.1:7000"}
	if n, err := Start(c); err == nil || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Start = %v, %v, want that there is no file", n, err)
	}
	if _, err := os.Stat(c.Secret); err == nil {
		t.Error("the file was made")
	}
}

// TestStrangers: who has not the cluster's file speaks with no node.
func TestStrangers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := DefaultConfig(filepath.Join(dir, "node"))
	c.Listen, c.Secret = porttest.Addrs(t, 1)[0], filepath.Join(dir, "cluster.pem")
	c.Peers = []string{c.Listen}
	start(t, c)
	own, err := readSecret(c.Secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := MakeSecret(filepath.Join(dir, "other.pem")); err != nil {
		t.Fatal(err)
	}
	other, err := readSecret(filepath.Join(dir, "other.pem"))
	if err != nil {
		t.Fatal(err)
	}
	for name, ok := range map[string]bool{"a member": true, "another cluster": false, "no certificate": false, "TLS 1.2": false} {
		sec := own
		if name == "another cluster" {
			sec = other
		}
		tc, err := sec.tls("x")
		if err != nil {
			t.Fatal(err)
		}
		tc.InsecureSkipVerify = true // the node must refuse, not the stranger
		switch name {
		case "no certificate":
			tc.Certificates = nil
		case "TLS 1.2":
			tc.MinVersion, tc.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
		}
		if err := greet(t.Context(), c.Listen, tc); (err == nil) != ok {
			t.Errorf("%s: %v, want ok %t", name, err, ok)
		}
	}
}

// greet connects to a route port, and waits until the node has judged the certificate.
func greet(ctx context.Context, addr string, tc *tls.Config) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var d net.Dialer
	raw, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer raw.Close()
	c := tls.Client(raw, tc)
	if err := c.HandshakeContext(ctx); err != nil {
		return err
	}
	if _, err := c.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	// A refused certificate is told here; to a member, nothing is said before it has
	// given its name.
	if err := c.SetReadDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return err
	}
	if _, err = c.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}

// TestANodeThatDefersSyncsIsRefused: what the server really does is looked at.
func TestANodeThatDefersSyncsIsRefused(t *testing.T) {
	t.Parallel()
	c := DefaultConfig(t.TempDir())
	c.deferSync = true
	n := start(t, c)
	n.c.deferSync = false
	if err := n.check(); err == nil || !strings.Contains(err.Error(), "before they are on the disk") {
		t.Errorf("check = %v, want a refusal", err)
	}
}

// FuzzClusterFile: any file is a secret or an error.
func FuzzClusterFile(f *testing.F) {
	path := filepath.Join(f.TempDir(), "cluster.pem")
	if err := MakeSecret(path); err != nil {
		f.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := parseSecret(b); err == nil {
			if _, err := s.tls("n"); err != nil {
				t.Errorf("a secret that signs nothing: %v", err)
			}
		}
	})
}

// FuzzAnswer: what the engine says is an answer or an error, and headers are read
// without harm.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"stream":"KV_e0","seq":7}`), []byte("NATS/1.0\r\nOp: abc\r\nKV-Operation:DEL\r\n\r\n"))
	f.Add([]byte(`{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 3"}}`), []byte("NATS/1.0"))
	f.Add([]byte(`{"message":{"subject":"a","seq":1,"hdrs":"AA=="}}`), []byte(":\r\n:"))
	f.Fuzz(func(t *testing.T, b, h []byte) {
		var v map[string]any
		if err := parseAnswer(b, &v); err == nil && v["error"] != nil {
			t.Errorf("parseAnswer(%q) is no error", b)
		}
		var get server.JSApiMsgGetResponse
		if err := parseAnswer(b, &get); err == nil && get.Error != nil {
			t.Errorf("parseAnswer(%q) is no error", b)
		}
		if got := header(h, headerNumber); strings.Contains(got, "\r\n") || !bytes.Contains(h, []byte(got)) {
			t.Errorf("header(%q) = %q", h, got)
		}
	})
}
