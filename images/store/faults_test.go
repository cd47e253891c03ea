package store_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/kamado/kamado/images/store/upload"
	"github.com/kamado/kamado/internal/blob"
)

// childEnv makes this test binary a server that its parent kills.
const childEnv = "KAMADO_STORE_TEST_CHILD"

// TestChild is no test of its own: it serves until it is killed.
func TestChild(t *testing.T) {
	top := os.Getenv(childEnv)
	if top == "" {
		t.Skip("is started by TestKilled")
	}
	cfg := config(t)
	cfg.S3.MinPart = 1
	w := startIn(t, cfg, top)
	fmt.Println("serving " + w.S3.URL)
	_, _ = io.Copy(io.Discard, os.Stdin) // until the parent is gone
}

// child starts a server over the directories in top.
func child(t *testing.T, top string) (w *world, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestChild$", "-test.v")
	cmd.Env = append(os.Environ(), childEnv+"="+top)
	stdin, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	var once sync.Once
	kill = func() {
		once.Do(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			stdin.Close()
		})
	}
	t.Cleanup(kill)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if url, ok := strings.CutPrefix(lines.Text(), "serving "); ok {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return &world{Dir: filepath.Join(top, "originals"), S3: &httptest.Server{URL: url}}, kill
		}
	}
	t.Fatalf("the child does not serve: %v", lines.Err())
	return nil, nil
}

// writer puts version after version under one key, whole or in parts, until it
// fails.
type writer struct {
	key          string
	parts        bool
	acked, tried int          // versions; 0: none
	rounds       atomic.Int64 // versions acknowledged, for who watches
	open         string
	done         []minio.CompletePart
}

// version is the nth picture of a key.
func (v *writer) version(t testing.TB, n int) []byte {
	return photo(t, uint64(len(v.key)*1000+n), 150_000)
}

func (v *writer) write(t *testing.T, c *minio.Core) {
	for {
		v.tried++
		data := v.version(t, v.tried)
		var err error
		if v.parts {
			err = v.multipart(t, c, data)
		} else {
			_, err = c.Client.PutObject(t.Context(), "photos", v.key, bytes.NewReader(data), int64(len(data)), minio.PutObjectOptions{DisableMultipart: true})
		}
		if err != nil {
			if c := code(err); c != "" && c != "SlowDown" {
				t.Errorf("%s: %v", v.key, err) // an answer, and no broken connection
			}
			return
		}
		v.acked, v.open = v.tried, ""
		v.rounds.Add(1)
	}
}

func (v *writer) multipart(t *testing.T, c *minio.Core, data []byte) error {
	id, err := c.NewMultipartUpload(t.Context(), "photos", v.key, minio.PutObjectOptions{})
	if err != nil {
		return err
	}
	v.done = nil
	for n, part := range [][]byte{data[:60_000], data[60_000:]} {
		p, err := c.PutObjectPart(t.Context(), "photos", v.key, id, n+1, bytes.NewReader(part), int64(len(part)), minio.PutObjectPartOptions{})
		if err != nil {
			return err
		}
		v.done = append(v.done, minio.CompletePart{PartNumber: n + 1, ETag: p.ETag})
	}
	v.open = id
	_, err = c.CompleteMultipartUpload(t.Context(), "photos", v.key, id, v.done, minio.PutObjectOptions{})
	return err
}

// check holds what is on disk against what was acknowledged.
func (v *writer) check(t *testing.T, w *world) {
	t.Helper()
	got := w.onDisk(t, v.key)
	for n := v.acked; n <= v.tried; n++ {
		if n == 0 && got == nil || n > 0 && bytes.Equal(got, v.version(t, n)) {
			return
		}
	}
	t.Errorf("%s holds %d bytes, which are no version from %d (acknowledged) to %d", v.key, len(got), v.acked, v.tried)
}

// TestKilled kills the server in the middle of puts and completes, again and
// again: what was acknowledged is there, nothing half is, and parts that were
// acknowledged can still be completed.
func TestKilled(t *testing.T) {
	t.Parallel()
	rounds := 3
	if long() {
		rounds = 40
	}
	top := t.TempDir()
	writers := []*writer{{key: "a.jpg"}, {key: "bb/b.jpg"}, {key: "ccc/c/c.jpg", parts: true}, {key: "dddd.jpg", parts: true}}
	for round := range rounds {
		w, kill := child(t, top)
		c := w.dial(t, access, secret)
		for _, v := range writers {
			if v.parts && v.open != "" { // completed perhaps, but nobody heard of it
				_, err := c.CompleteMultipartUpload(t.Context(), "photos", v.key, v.open, v.done, minio.PutObjectOptions{})
				if err != nil && code(err) != "NoSuchUpload" {
					t.Errorf("completing again: %v", err)
				}
				if got := w.onDisk(t, v.key); !bytes.Equal(got, v.version(t, v.tried)) {
					t.Errorf("%s: its parts were acknowledged, and it was not completed", v.key)
				}
				v.acked, v.open = v.tried, ""
			}
		}
		var wg sync.WaitGroup
		for _, v := range writers {
			wg.Go(func() { v.write(t, c) })
		}
		for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline) && slices.ContainsFunc(writers, func(v *writer) bool {
			return v.rounds.Load() <= int64(round)
		}); time.Sleep(time.Millisecond) {
		}
		time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond) // anywhere in the work
		kill()
		wg.Wait()
		for _, v := range writers {
			v.check(t, w)
		}
	}
	t.Logf("versions acknowledged: %d %d %d %d", writers[0].acked, writers[1].acked, writers[2].acked, writers[3].acked)
	// What was left is of no object, and the sweep at the next start but one takes it.
	err := filepath.Walk(filepath.Join(top, "originals"), func(path string, fi os.FileInfo, err error) error {
		if err == nil && !fi.IsDir() && !strings.Contains(path, blob.ReservedSegment) {
			key := strings.TrimPrefix(path, filepath.Join(top, "originals")+"/")
			known := false
			for _, v := range writers {
				known = known || v.key == key
			}
			if !known {
				t.Errorf("%s was never put", key)
			}
		}
		return err
	})
	must(t, err)
}

// tmpfs mounts a small file system; it skips where that is not allowed.
func tmpfs(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("needs the right to mount a small tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestDiskFull: what does not fit is refused as that, what was acknowledged stays,
// and when there is room again it goes on.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	w := startIn(t, config(t), tmpfs(t, "4m"))
	data := photo(t, 1, 300_000)
	acked := 0
	for i := range 30 {
		got := fetch(t, "PUT", fmt.Sprint(w.Uploads.URL, upload.Prefix, "full/", i, ".jpg"), data, "Authorization", bearer)
		if got.status == http.StatusInsufficientStorage {
			break
		}
		if got.status != 200 {
			t.Fatalf("PUT = %d %s", got.status, got.body)
		}
		acked++
	}
	if acked < 3 || acked > 14 {
		t.Fatalf("%d pictures of 300 kB fit into 4 MiB", acked)
	}
	c := w.dial(t, access, secret)
	if _, err := c.Client.PutObject(t.Context(), "photos", "s3.jpg", bytes.NewReader(data), int64(len(data)), minio.PutObjectOptions{}); code(err) != "InsufficientStorage" {
		t.Errorf("S3 put on a full disk: %v", err)
	}
	list, err := w.Origin.List(t.Context(), "", "", 0)
	if err != nil || len(list) != acked || len(w.files(t)) > 0 {
		t.Errorf("%d objects, %v, staged %v; %d were acknowledged", len(list), err, w.files(t), acked)
	}
	for i := range acked {
		if !bytes.Equal(w.onDisk(t, fmt.Sprint("full/", i, ".jpg")), data) {
			t.Errorf("full/%d.jpg is not what was acknowledged", i)
		}
	}
	if got := fetch(t, "DELETE", w.Uploads.URL+upload.Prefix+"full/0.jpg", nil, "Authorization", bearer); got.status != 204 {
		t.Errorf("DELETE = %d", got.status)
	}
	put(t, c, "photos", "s3.jpg", data, minio.PutObjectOptions{})
}

// TestStagingElsewhere: where the staging directory lies in another file system,
// bytes are copied, and nothing else changes.
func TestStagingElsewhere(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.Dir = tmpfs(t, "4m")
	w := start(t, cfg)
	w.Staging = cfg.Dir
	data := photo(t, 1, 1000)
	put(t, w.dial(t, access, secret), "photos", "e.jpg", data, minio.PutObjectOptions{UserMetadata: map[string]string{"A": "b"}})
	o, err := w.dial(t, access, secret).StatObject(t.Context(), "photos", "e.jpg", minio.StatObjectOptions{})
	if err != nil || o.UserMetadata["A"] != "b" || !bytes.Equal(w.onDisk(t, "e.jpg"), data) || len(w.files(t)) > 0 {
		t.Errorf("%+v, %v, staged %v", o, err, w.files(t))
	}
}

// TestTooManyUploads: one comes in, one waits, and the third is sent away.
func TestTooManyUploads(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.Concurrency, cfg.Queue = 1, 1
	w := start(t, cfg)
	data := photo(t, 1, 100_000)
	slow, feed := io.Pipe()
	statuses := make(chan int, 2)
	send := func(key string, body io.Reader) {
		req, err := http.NewRequestWithContext(t.Context(), "PUT", w.Uploads.URL+upload.Prefix+key, body)
		if err != nil {
			t.Error(err)
			return
		}
		req.Header.Set("Authorization", bearer)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		resp.Body.Close()
		statuses <- resp.StatusCode
	}
	wait := func(what string, is func() bool) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); !is(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: %+v", what, w.Store.Stats())
			}
		}
	}
	go send("slow.jpg", slow)
	_, err := feed.Write(data[:50_000])
	must(t, err)
	wait("the first comes in", func() bool { return w.Store.Stats().Uploads.Busy == 1 })
	go send("waits.jpg", bytes.NewReader(data))
	wait("the second waits", func() bool { return w.Store.Stats().Uploads.Waiting == 1 })
	if got := fetch(t, "PUT", w.Uploads.URL+upload.Prefix+"third.jpg", data, "Authorization", bearer); got.status != 503 || got.header.Get("Retry-After") == "" {
		t.Errorf("the third: %d %v", got.status, got.header)
	}
	_, err = feed.Write(data[50_000:])
	must(t, errors.Join(err, feed.Close()))
	for range 2 {
		if status := <-statuses; status != 200 {
			t.Errorf("one that came before: %d", status)
		}
	}
}

// TestStalledBody: who sends nothing any more is sent away.
func TestStalledBody(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.Stall = 300 * time.Millisecond
	w := start(t, cfg)
	slow, feed := io.Pipe()
	defer feed.Close()
	req, err := http.NewRequestWithContext(t.Context(), "PUT", w.Uploads.URL+upload.Prefix+"slow.jpg", slow)
	must(t, err)
	req.Header.Set("Authorization", bearer)
	go func() { _, _ = feed.Write(photo(t, 1, 10_000)) }()
	if resp, err := http.DefaultClient.Do(req); err == nil { // or the connection ends under the client
		resp.Body.Close()
		if resp.StatusCode != http.StatusRequestTimeout {
			t.Errorf("a stalled body: %d", resp.StatusCode)
		}
	}
	if left := w.files(t); len(left) > 0 || w.onDisk(t, "slow.jpg") != nil {
		t.Errorf("staged %v", left)
	}
}

// TestOneOfManyCreates: of many that put a key only if it is free, one wins.
func TestOneOfManyCreates(t *testing.T) {
	t.Parallel()
	w := start(t, config(t))
	var mu sync.Mutex
	won := map[int]int{}
	var wg sync.WaitGroup
	for i := range 12 {
		data := photo(t, uint64(i), 1000)
		wg.Go(func() {
			got := fetch(t, "PUT", w.Uploads.URL+upload.Prefix+"one.jpg", data, "Authorization", bearer, "If-None-Match", "*")
			mu.Lock()
			defer mu.Unlock()
			won[got.status]++
		})
	}
	wg.Wait()
	if won[200] != 1 || won[412] != 11 {
		t.Errorf("statuses: %v", won)
	}
}
