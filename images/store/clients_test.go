package store_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/images/store/upload"
)

// client runs one of the field's programs against a world.
type client struct {
	t    *testing.T
	path string
	env  []string
	args []string // before those of each call
}

// program finds a client or skips.
func program(t *testing.T, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("needs %s (Debian's %s)", name, debian)
	}
	return path
}

func (c *client) try(args ...string) (string, error) {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), c.path, append(append([]string{}, c.args...), args...)...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.t.TempDir(), "LC_ALL=C.UTF-8"}, c.env...)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s%s", filepath.Base(c.path), strings.Join(args, " "), err, &out, &stderr)
	}
	return out.String() + stderr.String(), err
}

func (c *client) run(args ...string) string {
	c.t.Helper()
	out, err := c.try(args...)
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}

// tree writes pictures to a directory: small ones, one name that is unusual, and
// one that goes in parts.
func tree(t *testing.T) (dir string, files map[string][]byte) {
	t.Helper()
	dir = t.TempDir()
	files = map[string][]byte{
		"a.jpg": photo(t, 1, 0), "dir/b.jpg": photo(t, 2, 0), "dir/deep/c.jpg": photo(t, 3, 100_000),
		"dir/ä b+c&d(1).jpg": photo(t, 4, 0), "large.jpg": photo(t, 5, 6<<20), // more than one part of 5 MiB
	}
	if long() {
		files["large.jpg"] = photo(t, 5, 20<<20)
	}
	for name, data := range files {
		path := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, data, 0o644))
	}
	return dir, files
}

func (w *world) holds(t *testing.T, prefix string, files map[string][]byte) {
	t.Helper()
	for name, data := range files {
		if got := w.onDisk(t, prefix+name); !bytes.Equal(got, data) {
			t.Errorf("%s holds %d bytes that are not the %d that were sent", prefix+name, len(got), len(data))
		}
	}
	if left := w.files(t); len(left) > 0 {
		t.Errorf("the staging directory still holds %q", left)
	}
}

func sameTree(t *testing.T, dir string, files map[string][]byte) {
	t.Helper()
	for name, data := range files {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s came back as %d bytes, %v; want the %d that were sent", name, len(got), err, len(data))
		}
	}
}

// long says whether the long forms are wanted: more versions, and 20 MB in parts.
func long() bool { return os.Getenv("KAMADO_TEST_ALL") != "" }

// TestAWS is a day with aws s3: Debian's, and in the long form also what pip or
// Amazon's installer put before it.
func TestAWS(t *testing.T) {
	t.Parallel()
	first, debian := program(t, "aws", "awscli"), "/usr/bin/aws"
	paths := []string{first}
	if _, err := os.Stat(debian); err == nil && first != debian {
		if paths = []string{debian}; long() {
			paths = append(paths, first)
		}
	}
	for _, path := range paths {
		t.Run(strings.ReplaceAll(path[1:], "/", "-"), func(t *testing.T) { awsDay(t, path) })
	}
}

func awsDay(t *testing.T, path string) {
	w := start(t, config(t))
	settings := filepath.Join(t.TempDir(), "config")
	must(t, os.WriteFile(settings, []byte("[default]\ns3 =\n  signature_version = s3v4\n  multipart_threshold = 5MB\n  multipart_chunksize = 5MB\n"), 0o600))
	c := &client{t: t, path: path, args: []string{"--endpoint-url", w.S3.URL}, env: []string{
		"AWS_CONFIG_FILE=" + settings,
		"AWS_ACCESS_KEY_ID=" + access, "AWS_SECRET_ACCESS_KEY=" + secret, "AWS_DEFAULT_REGION=eu-west-1", "AWS_EC2_METADATA_DISABLED=true",
		"PYENV_ROOT=" + os.Getenv("PYENV_ROOT"), "PYENV_VERSION=" + os.Getenv("PYENV_VERSION"), "AWS_MAX_ATTEMPTS=1",
	}}
	dir, files := tree(t)
	c.run("s3", "sync", dir, "s3://photos/in", "--no-progress")
	w.holds(t, "in/", files)
	if long() { // each call of aws is a second of work
		awsEvening(t, c, w, dir, files)
	}
	back := t.TempDir()
	c.run("s3", "cp", "--recursive", "s3://photos/in/dir", filepath.Join(back, "dir"), "--no-progress")
	delete(files, "a.jpg")
	delete(files, "large.jpg")
	sameTree(t, back, files)
	c.run("s3", "rm", "--recursive", "s3://photos/", "--quiet")
	if left, err := w.Origin.List(t.Context(), "", "", 0); err != nil || len(left) > 0 {
		t.Errorf("after rm --recursive: %v, %v", left, err)
	}
}

// awsEvening is what the short form leaves out.
func awsEvening(t *testing.T, c *client, w *world, dir string, files map[string][]byte) {
	if out := c.run("s3", "sync", dir, "s3://photos/in", "--no-progress"); strings.Contains(out, "upload:") {
		t.Errorf("a second sync sent something again:\n%s", out)
	}
	if out := c.run("s3", "ls", "s3://photos/in/"); !strings.Contains(out, "PRE dir/") || !strings.Contains(out, "large.jpg") {
		t.Errorf("ls:\n%s", out)
	}
	c.run("s3", "mv", "s3://photos/in/large.jpg", "s3://photos/moved/large.jpg", "--no-progress")
	if w.onDisk(t, "in/large.jpg") != nil || !bytes.Equal(w.onDisk(t, "moved/large.jpg"), files["large.jpg"]) {
		t.Error("mv did not move")
	}
	back := t.TempDir()
	c.run("s3", "cp", "s3://photos/moved/large.jpg", back, "--no-progress")
	sameTree(t, back, map[string][]byte{"large.jpg": files["large.jpg"]})
	url := strings.TrimSpace(c.run("s3", "presign", "s3://photos/in/dir/b.jpg"))
	if got := fetch(t, "GET", url, nil); got.status != 200 || got.body != string(files["dir/b.jpg"]) {
		t.Errorf("the presigned URL gave %d and %d bytes", got.status, len(got.body))
	}
	text := filepath.Join(t.TempDir(), "no-picture.jpg")
	must(t, os.WriteFile(text, []byte("this is a text"), 0o644))
	if out, err := c.try("s3", "cp", text, "s3://photos/in/no-picture.jpg"); err == nil || !strings.Contains(err.Error(), "UnprocessableEntity") {
		t.Errorf("a text was stored: %s %v", out, err)
	}
}

// TestRclone: rclone compares MD5s, keeps times in metadata, and copies by parts.
func TestRclone(t *testing.T) {
	t.Parallel()
	w := start(t, config(t))
	c := &client{t: t, path: program(t, "rclone", "rclone"), args: []string{"--retries", "1", "--low-level-retries", "1"}, env: []string{
		"RCLONE_CONFIG_K_TYPE=s3", "RCLONE_CONFIG_K_PROVIDER=Other", "RCLONE_CONFIG_K_ACCESS_KEY_ID=" + access,
		"RCLONE_CONFIG_K_SECRET_ACCESS_KEY=" + secret, "RCLONE_CONFIG_K_ENDPOINT=" + w.S3.URL, "RCLONE_S3_UPLOAD_CUTOFF=5M", "RCLONE_S3_CHUNK_SIZE=5M",
	}}
	dir, files := tree(t)
	c.run("sync", dir, "K:shop/in")
	w.holds(t, "shop/in/", files)
	if out := c.run("check", dir, "K:shop/in", "-v"); !strings.Contains(out, "0 differences found") {
		t.Errorf("check:\n%s", out)
	}
	if out := c.run("sync", dir, "K:shop/in", "-v", "--stats-one-line"); strings.Contains(out, "Copied") {
		t.Errorf("a second sync sent something again:\n%s", out)
	}
	if out := c.run("lsf", "-R", "K:shop"); strings.Count(out, ".jpg\n") != len(files) {
		t.Errorf("lsf:\n%s", out)
	}
	c.run("moveto", "K:shop/in/large.jpg", "K:shop/moved/large.jpg")
	if !bytes.Equal(w.onDisk(t, "shop/moved/large.jpg"), files["large.jpg"]) || w.onDisk(t, "shop/in/large.jpg") != nil {
		t.Error("moveto did not move")
	}
	back := t.TempDir()
	c.run("copy", "K:shop/in", back)
	c.run("copy", "K:shop/moved", back)
	sameTree(t, back, files)
	c.run("purge", "K:shop/in")
	if out := c.run("lsf", "-R", "--files-only", "K:shop"); strings.Count(out, ".jpg") != 1 || !strings.Contains(out, "moved/large.jpg\n") {
		t.Errorf("after purge:\n%s", out)
	}
}

// TestS3cmd: s3cmd compares the MD5 of each put, and refuses one that differs.
func TestS3cmd(t *testing.T) {
	t.Parallel()
	w := start(t, config(t))
	host := strings.TrimPrefix(w.S3.URL, "http://")
	c := &client{t: t, path: program(t, "s3cmd", "s3cmd"), args: []string{
		"--no-ssl", "--host=" + host, "--host-bucket=" + host, "--access_key=" + access, "--secret_key=" + secret, "--multipart-chunk-size-mb=5", "--no-progress",
	}}
	dir, files := tree(t)
	c.run("sync", dir+"/", "s3://photos/in/")
	w.holds(t, "in/", files)
	if out := c.run("sync", dir+"/", "s3://photos/in/"); strings.Contains(out, "upload:") {
		t.Errorf("a second sync sent something again:\n%s", out)
	}
	if long() {
		if out := c.run("ls", "-r", "s3://photos/in/"); strings.Count(out, ".jpg\n") != len(files) {
			t.Errorf("ls:\n%s", out)
		}
		if out := c.run("info", "s3://photos/in/a.jpg"); !strings.Contains(out, "MIME type: image/jpeg") {
			t.Errorf("info:\n%s", out)
		}
		c.run("info", "s3://photos")
	}
	c.run("mv", "s3://photos/in/large.jpg", "s3://photos/moved/large.jpg")
	back := t.TempDir()
	c.run("get", "-r", "s3://photos/in/", back+"/")
	c.run("get", "s3://photos/moved/large.jpg", back+"/")
	sameTree(t, back, files)
	c.run("del", "-r", "--force", "s3://photos/in/")
	if out := c.run("ls", "-r", "s3://photos/"); strings.Count(out, "\n") != 1 {
		t.Errorf("after del:\n%s", out)
	}
}

// TestCurl sends and fetches by presigned URLs and by upload URLs.
func TestCurl(t *testing.T) {
	t.Parallel()
	w := start(t, config(t))
	c := &client{t: t, path: program(t, "curl", "curl"), args: []string{"-sS", "--fail-with-body", "--max-time", "30"}}
	file := filepath.Join(t.TempDir(), "a b.jpg")
	data := photo(t, 1, 3<<20) // large enough that curl asks before it sends
	must(t, os.WriteFile(file, data, 0o644))
	url, err := w.dial(t, access, secret).Client.PresignedPutObject(t.Context(), "photos", "curl/a b.jpg", time.Minute)
	must(t, err)
	c.run("-T", file, url.String())
	if url, err = w.dial(t, readAccess, readSecret).Client.PresignedGetObject(t.Context(), "photos", "curl/a b.jpg", time.Minute, nil); err != nil {
		t.Fatal(err)
	}
	back := filepath.Join(t.TempDir(), "back")
	c.run("-o", back, url.String())
	sameTree(t, filepath.Dir(back), map[string][]byte{"back": data})
	grant := upload.Grant{Method: "PUT", Key: "curl/u.jpg", MaxBytes: 4 << 20, Expires: later}
	signed, err := grant.Sign(w.Keys)
	must(t, err)
	if out := c.run("-T", file, w.Uploads.URL+signed); !strings.Contains(out, `"width":64`) || !bytes.Equal(w.onDisk(t, "curl/u.jpg"), data) {
		t.Errorf("by upload URL: %s", out)
	}
	// In chunks of HTTP, without a length.
	c.run("-T", file, "-H", "Transfer-Encoding: chunked", "-H", "Authorization: "+bearer, w.Uploads.URL+upload.Prefix+"curl/c.jpg")
	w.holds(t, "curl/", map[string][]byte{"c.jpg": data, "u.jpg": data, "a b.jpg": data})
}
