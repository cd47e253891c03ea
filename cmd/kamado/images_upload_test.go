package main

import (
	"bytes"
	"context"
	"image"
	"image/jpeg"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/internal/porttest"
)

// TestPicturesAreSent: what is sent by the verb, and by a URL that the verb has
// signed, lies among the originals. A takedown outlives both and is told.
func TestPicturesAreSent(t *testing.T) {
	t.Parallel()
	addr, dir, originals := porttest.Addrs(t, 1)[0], filepath.Join(t.TempDir(), "data"), t.TempDir()
	env := []string{"HOME=" + t.TempDir()}
	ctx, stop := context.WithCancel(context.Background())
	var talk bytes.Buffer
	code := make(chan int, 1)
	go func() {
		code <- newApp(strings.NewReader(""), &talk, &talk, env).execute(ctx, []string{"images", "serve", "--http", addr, "--data", dir, "--originals", originals})
	}()
	t.Cleanup(func() {
		stop()
		if got := <-code; got != 0 {
			t.Errorf("serve exits %d: %s", got, &talk)
		}
	})
	run := func(want int, args ...string) string {
		t.Helper()
		var out, said bytes.Buffer
		got := newApp(strings.NewReader(""), &out, &said, env).execute(t.Context(), append(append([]string{"images"}, args...), "--api", "http://"+addr, "--data", dir))
		if got != want {
			t.Fatalf("%v exits %d, want %d: %s", args, got, want, &said)
		}
		return out.String() + said.String()
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 40, 30)), nil); err != nil {
		t.Fatal(err)
	}
	files := t.TempDir()
	for name, text := range map[string]string{"1.jpg": b.String(), "2.jpg": b.String(), "text.jpg": "this is none"} {
		if err := os.WriteFile(filepath.Join(files, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	one, two := filepath.Join(files, "1.jpg"), filepath.Join(files, "2.jpg")
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if res, err := http.Get("http://" + addr + "/"); err == nil {
			res.Body.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no server after a minute")
		}
	}
	if out := run(0, "upload", one, two, "--kind", "recipes"); strings.Count(out, "40x30") != 2 {
		t.Errorf("upload said %s", out)
	}
	run(0, "upload", one, "--key", "a b/ä.jpg")
	run(1, "upload", one, "--key", "a b/ä.jpg", "--new")
	run(1, "upload", filepath.Join(files, "text.jpg"))
	path := strings.TrimSpace(run(0, "grant", "--key", "sent/1.jpg", "--max-bytes", "1MiB", "--expires", "1h"))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+addr+path, bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("sent by a signed URL: %v, %v", res, err)
	}
	res.Body.Close()
	run(2, "grant", "--key", "sent/1.jpg", "--max-bytes", "1MiB", "--expires", "1000h")
	for _, key := range []string{"recipes/1.jpg", "recipes/2.jpg", "a b/ä.jpg", "sent/1.jpg"} {
		if data, err := os.ReadFile(filepath.Join(originals, key)); err != nil || !bytes.Equal(data, b.Bytes()) {
			t.Errorf("%s: %d bytes, %v", key, len(data), err)
		}
	}
	run(0, "takedown", "recipes/1.jpg")
	if out := run(0, "upload", one, "--kind", "recipes"); !strings.Contains(out, "stays hidden") {
		t.Errorf("nobody was told of the takedown: %s", out)
	}
}
