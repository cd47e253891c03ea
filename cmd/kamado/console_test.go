package main

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"image/jpeg"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestUpBringsItsConsole opens the printed link as a browser would.
func TestUpBringsItsConsole(t *testing.T) {
	_, report := upOnFreePorts(t, t.TempDir())
	if report.Services[0].Name != "console" {
		t.Errorf("the first line of the table is %s, want the console", report.Services[0].Name)
	}
	base := report.service(t, "console").URL
	jar, _ := cookiejar.New(nil)
	client := &http.Client{Jar: jar}
	get := func(url string) (int, string) {
		t.Helper()
		res, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(body)
	}

	if status, page := get(base + "/"); status != 200 || strings.Contains(page, "Sign out") {
		t.Errorf("without the link the console = %d, want pages to read", status)
	}
	if status, page := get(report.Console); status != 200 || !strings.Contains(page, "Sign out") {
		t.Errorf("the console link = %d, want a session", status)
	}
	if status, _ := get(report.Console); status != 403 {
		t.Errorf("the console link a second time = %d, want 403", status)
	}
	if _, page := get(base + "/images"); !strings.Contains(page, "sample/1.jpg") {
		t.Errorf("the gallery lacks the sample original")
	}
	if status, page := get(base + "/images/playground"); status != 200 || !strings.Contains(page, "1600 × 1200") {
		t.Errorf("the playground = %d, want it to show the first original", status)
	}
	status, picture := get(base + "/pictures/w:480,h:360,fit:crop,q:72,format:jpeg/sample/1.jpg")
	if img, err := jpeg.DecodeConfig(strings.NewReader(picture)); status != 200 || err != nil || img.Width != 480 || img.Height != 360 {
		t.Errorf("a thumbnail = %d, %dx%d, %v, want 480x360", status, img.Width, img.Height, err)
	}
	// The operator's URL works at the service itself; nobody else's does.
	_, answer := get(base + "/images/url?key=sample/1.jpg&options=w:480,h:360,fit:crop,q:70,format:jpeg")
	signed := between(answer, `"tofu":{"url":"`, `"`)
	if status, _ := get(strings.ReplaceAll(signed, `\u0026`, "&")); status != 200 {
		t.Errorf("the signed URL %s = %d, want 200", signed, status)
	}
}

func between(s, before, after string) string {
	_, s, _ = strings.Cut(s, before)
	s, _, _ = strings.Cut(s, after)
	return s
}

// TestUpWithTLSBringsItsConsole: the certificate is for a name, the console asks by address.
func TestUpWithTLSBringsItsConsole(t *testing.T) {
	files := httptest.NewTLSServer(nil)
	defer files.Close()
	certificate := files.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: certificate.Certificate[0]}, "key.pem": {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	environ := []string{"KAMADO_ADMIN=127.0.0.1:0", "KAMADO_IMAGES_HTTP=127.0.0.1:0", "KAMADO_CONSOLE_HTTP=127.0.0.1:0", "KAMADO_CONSOLE_IMAGES_URL=https://img.example.com",
		"KAMADO_HTTP_TLS_CERT_FILE=" + filepath.Join(dir, "cert.pem"), "KAMADO_HTTP_TLS_KEY_FILE=" + filepath.Join(dir, "key.pem")}
	only := filepath.Join(dir, "kamado.toml") // a file that names services starts those alone
	if err := os.WriteFile(only, []byte("[images]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startCommand(t, environ, "up", "--config", only, "--data", t.TempDir(), "-o", "json")
	var report upReport
	if err := json.NewDecoder(s.stdout).Decode(&report); err != nil {
		t.Fatalf("up prints no report: %v\n%s", err, s.stderr)
	}
	base := report.service(t, "console").URL
	for path, want := range map[string]string{"/images": "sample/1.jpg", "/images/url?key=sample/1.jpg&options=w:480": "https://img.example.com/", "/": "Ready"} {
		res, err := files.Client().Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != 200 || !strings.Contains(string(body), want) || strings.Contains(string(body), "Not ready") {
			t.Errorf("GET %s over TLS = %d, %v, want %q in it", path, res.StatusCode, err, want)
		}
	}
}
