// Package images_test goes through the contract of the images service from
// outside: it starts the built program on a free loopback port with nothing
// but its flags, and asks it by HTTP as a browser, a CDN or curl would. What
// the parts promise each other is tested beside them and not here.
package images_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	_ "image/gif" // formats that answers are decoded in
	"image/jpeg"
	"image/png"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec/codectest"
	"github.com/kamado/kamado/internal/blob/fs"
	"github.com/kamado/kamado/internal/eventlog"
)

// program is the built program; codecMissing is why kamado-codec does not lie
// beside it, empty when it does.
var program, codecMissing string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "kamado-test-")
	if err == nil {
		err = build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// build takes the program that KAMADO_BIN names, or builds both executables.
func build(dir string) error {
	if program = os.Getenv("KAMADO_BIN"); program != "" {
		if _, err := os.Stat(filepath.Join(filepath.Dir(program), "kamado-codec")); err != nil {
			codecMissing = err.Error()
		}
		return nil
	}
	program = filepath.Join(dir, "kamado")
	compile := func(cgo, out, pkg string) ([]byte, error) {
		cmd := exec.Command("go", "build", "-trimpath", "-o", out, pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
		return cmd.CombinedOutput()
	}
	if out, err := compile("0", program, "github.com/kamado/kamado/cmd/kamado"); err != nil {
		return fmt.Errorf("build kamado: %w\n%s", err, out)
	}
	if out, err := compile("1", filepath.Join(dir, "kamado-codec"), "github.com/kamado/kamado/cmd/kamado-codec"); err != nil {
		codecMissing = string(out)
	}
	return nil
}

func needsCodec(t *testing.T) {
	t.Helper()
	if codecMissing != "" {
		t.Skip("needs kamado-codec (./setup test installs it): " + codecMissing)
	}
}

// service is a running `kamado images serve`.
type service struct {
	t    *testing.T
	url  string
	cmd  *exec.Cmd
	mu   sync.Mutex
	said []string
	done chan struct{} // closed when the process has ended
}

// serve starts the service and waits until it is ready.
func serve(t *testing.T, args ...string) *service {
	t.Helper()
	s := &service{t: t, done: make(chan struct{})}
	addr := freeAddr(t)
	s.url = "http://" + addr
	s.cmd = exec.Command(program, append([]string{"images", "serve", "--http", addr}, args...)...)
	s.cmd.Dir = t.TempDir()
	s.cmd.Env = append(os.Environ(), "HOME="+s.cmd.Dir, "TMPDIR="+s.cmd.Dir)
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			s.mu.Lock()
			s.said = append(s.said, lines.Text())
			s.mu.Unlock()
		}
		_ = s.cmd.Wait()
		close(s.done)
	}()
	t.Cleanup(func() { s.stop() })
	eventually(t, "the service is ready", func() bool {
		select {
		case <-s.done:
			t.Fatalf("the service ended:\n%s", s.words())
		default:
		}
		r, err := http.Get(s.url + "/readyz")
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == 200
	})
	return s
}

// stop asks the process to end and gives its exit code.
func (s *service) stop() int {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
	case <-time.After(30 * time.Second):
		_ = s.cmd.Process.Kill()
		s.t.Errorf("the service did not end within 30 s of SIGTERM:\n%s", s.words())
		<-s.done
	}
	return s.cmd.ProcessState.ExitCode()
}

func (s *service) words() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.said, "\n")
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if cond() {
			return
		}
	}
	t.Fatalf("not within 30 s: %s", what)
}

// answer is a response with its body read.
type answer struct {
	*http.Response
	body []byte
}

func (s *service) get(t *testing.T, path string, headers ...string) answer {
	t.Helper()
	return s.do(t, "GET", path, headers...)
}

func (s *service) do(t *testing.T, method, path string, headers ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	r, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", method, path, err, s.words())
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{r, body}
}

// picture decodes an answer of 200 and checks its size; 0: any.
func (a answer) picture(t *testing.T, mediaType string, width, height int) image.Image {
	t.Helper()
	if a.StatusCode != 200 || a.Header.Get("Content-Type") != mediaType {
		t.Fatalf("%s: %d %s, want 200 %s: %.300s", a.Request.URL.Path, a.StatusCode, a.Header.Get("Content-Type"), mediaType, a.body)
	}
	img, _, err := image.Decode(bytes.NewReader(a.body))
	if err != nil {
		t.Fatalf("%s: %v", a.Request.URL.Path, err)
	}
	if got := img.Bounds().Size(); width != 0 && got != image.Pt(width, height) {
		t.Errorf("%s: size %v, want %dx%d", a.Request.URL.Path, got, width, height)
	}
	return img
}

// paint is the picture of these tests: red grows to the right, green downwards.
func paint(width, height int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			img.SetRGBA(x, y, color.RGBA{uint8(255 * x / width), uint8(255 * y / height), 96, 255})
		}
	}
	return img
}

// looksLikePaint compares a rendition of all of paint with what it should be.
func looksLikePaint(t *testing.T, img image.Image, tolerance float64) {
	t.Helper()
	b := img.Bounds()
	for _, at := range [][2]float64{{.1, .1}, {.9, .1}, {.5, .5}, {.1, .9}, {.9, .9}} {
		r, g, blue, _ := img.At(b.Min.X+int(at[0]*float64(b.Dx())), b.Min.Y+int(at[1]*float64(b.Dy()))).RGBA()
		for i, c := range []float64{float64(r>>8) - 255*at[0], float64(g>>8) - 255*at[1], float64(blue>>8) - 96} {
			if math.Abs(c) > tolerance {
				t.Errorf("at %v channel %d is off by %.0f, tolerance %.0f", at, i, c, tolerance)
			}
		}
	}
}

func jpegOf(t *testing.T, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 90}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// originals writes a tree of originals.
func originals(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestTheContractsURLs(t *testing.T) {
	t.Parallel()
	var p bytes.Buffer
	if err := png.Encode(&p, paint(300, 200)); err != nil {
		t.Fatal(err)
	}
	s := serve(t, "--originals", originals(t, map[string][]byte{"recipes/1.jpg": jpegOf(t, paint(1200, 900)), "recipes/2.png": p.Bytes()}), "--insecure-unsigned")
	looksLikePaint(t, s.get(t, "/recipes/1/480x360cq70/any.jpg").picture(t, "image/jpeg", 480, 360), 8)
	looksLikePaint(t, s.get(t, "/recipes/1/280/anything").picture(t, "image/jpeg", 280, 210), 8)
	looksLikePaint(t, s.get(t, "/recipes/1/280x487s/anything").picture(t, "image/jpeg", 280, 210), 8)
	looksLikePaint(t, s.get(t, "/recipes/1/3000x3000s/anything").picture(t, "image/jpeg", 1200, 900), 8)
	looksLikePaint(t, s.get(t, "/recipes/2/150/anything").picture(t, "image/png", 150, 100), 8)
	looksLikePaint(t, s.get(t, "/recipes/2/150x100cq90/x.jpg").picture(t, "image/jpeg", 150, 100), 8)
	looksLikePaint(t, s.get(t, "/recipes/1/120x90cq90/x.png").picture(t, "image/png", 120, 90), 8)
	low, high := s.get(t, "/recipes/1/480x360cq20/any.jpg"), s.get(t, "/recipes/1/480x360cq95/any.jpg")
	if len(low.body) >= len(high.body) {
		t.Errorf("quality 20 has %d bytes, quality 95 %d", len(low.body), len(high.body))
	}
}

func TestEveryFormatInIsTheRightPicture(t *testing.T) {
	t.Parallel()
	needsCodec(t)
	files := map[string][]byte{}
	var samples []codectest.Sample
	for _, sample := range codectest.Samples() {
		if sample.Alpha || sample.Gray || sample.CMYK { // these have other colours; package codec checks them
			continue
		}
		files[fmt.Sprintf("all/%d.%s", len(samples), ending(sample.Format))] = sample.Data
		samples = append(samples, sample)
	}
	s := serve(t, "--originals", originals(t, files), "--insecure-unsigned")
	want := [4]color.NRGBA{{255, 0, 0, 255}, {0, 255, 0, 255}, {0, 0, 255, 255}, {255, 255, 255, 255}}
	for i, sample := range samples {
		img := s.get(t, fmt.Sprintf("/all/%d/32x32q90/x.png", i)).picture(t, "image/png", 0, 0)
		b := img.Bounds()
		for q, c := range want {
			x, y := b.Min.X+b.Dx()*(1+2*(q%2))/4, b.Min.Y+b.Dy()*(1+2*(q/2))/4
			got := color.NRGBAModel.Convert(img.At(x, y)).(color.NRGBA)
			if apart(got.R, c.R) > 40 || apart(got.G, c.G) > 40 || apart(got.B, c.B) > 40 {
				t.Errorf("%s: quarter %d is %v, want %v", sample.Name, q, got, c)
			}
		}
	}
	if len(samples) < 20 {
		t.Errorf("only %d samples: this shows little", len(samples))
	}
}

// ending is a file name ending that is tried, so BMP and ICO go by another: a
// format is told by its bytes.
func ending(f images.Format) string {
	if f == images.BMP || f == images.ICO {
		return "png"
	}
	return f.Extension()
}

func apart(a, b uint8) int { return max(int(a), int(b)) - min(int(a), int(b)) }

func TestEveryFormatOut(t *testing.T) {
	t.Parallel()
	needsCodec(t)
	dir := originals(t, map[string][]byte{"k/1.jpg": jpegOf(t, paint(400, 300))})
	s := serve(t, "--originals", dir, "--insecure-unsigned")
	for _, f := range images.Formats(true) {
		a := s.get(t, "/k/1/200x150cq80/x."+f.Extension())
		if a.StatusCode != 200 || a.Header.Get("Content-Type") != f.MediaType() || images.Sniff(a.body) != f {
			t.Errorf("%s: %d %s, bytes of %v", f, a.StatusCode, a.Header.Get("Content-Type"), images.Sniff(a.body))
			continue
		}
		// What was made is itself an original, and still the same picture.
		if err := os.WriteFile(filepath.Join(dir, "k", "made-"+f.String()+"."+f.Extension()), a.body, 0o644); err != nil {
			t.Fatal(err)
		}
		looksLikePaint(t, s.get(t, "/k/made-"+f.String()+"/100x75cq90/x.png").picture(t, "image/png", 100, 75), 14)
	}
}

func TestBadInputIsAClearAnswer(t *testing.T) {
	t.Parallel()
	whole := jpegOf(t, paint(600, 400))
	s := serve(t, "--limits-max-pixels", "1000000", "--limits-max-bytes", "1MiB", "--insecure-unsigned", "--originals", originals(t, map[string][]byte{
		"k/good.jpg": whole, "k/empty.jpg": {}, "k/nonsense.jpg": bytes.Repeat([]byte("nonsense "), 100), "k/head.jpg": whole[:100],
		"k/cut.jpg": whole[:len(whole)/2], "k/many.jpg": bytes.Repeat([]byte{0xff}, 2<<20), "k/bomb.png": pngBomb(),
		"k/large.jpg": jpegOf(t, image.NewGray(image.Rect(0, 0, 1500, 1000))),
	}))
	for _, c := range []struct {
		path   string
		status int
		says   string
	}{
		{"/k/empty/100/x", 422, "empty"}, {"/k/nonsense/100/x", 422, "picture"}, {"/k/head/100/x", 422, ""},
		{"/k/many/100/x", 413, "max_bytes"}, {"/k/bomb/100/x", 413, "max_pixels"}, {"/k/large/100/x", 413, "max_pixels"},
		{"/k/none/100/x", 404, "no such original"}, {"/k/good/100x100xx/x", 400, "size"}, {"/k/good/0x0/x", 400, ""},
		{"/k/good/100x100cq101/x.jpg", 400, "quality"}, {"/k/good/100x100cq70/x.exe", 400, ""}, {"/", 400, "path"},
		{"/k/..%2f..%2fetc%2fpasswd/100/x", 400, ""}, {"/k/%00/100/x", 400, ""}, {"/k/good/16000x16000cq70/x.jpg", 413, "max_output_side"},
	} {
		a := s.get(t, c.path)
		var problem struct {
			Status       int
			Detail, Part string
		}
		if err := json.Unmarshal(a.body, &problem); err != nil || a.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s is no problem: %.200s", c.path, a.StatusCode, a.Header.Get("Content-Type"), a.body)
			continue
		}
		if a.StatusCode != c.status || problem.Status != c.status || problem.Detail == "" || !strings.Contains(string(a.body), c.says) {
			t.Errorf("%s: %d %s, want %d and %q", c.path, a.StatusCode, a.body, c.status, c.says)
		}
		if shown := s.get(t, c.path, "Accept: image/avif,image/webp,image/*,*/*;q=0.8"); shown.StatusCode != c.status || shown.Header.Get("Content-Type") != "image/png" {
			t.Errorf("%s for an <img>: %d %s, want %d and a picture", c.path, shown.StatusCode, shown.Header.Get("Content-Type"), c.status)
		}
	}
	// Cut in the middle: what there is, kept for a short time.
	a := s.get(t, "/k/cut/300x200cq70/x.jpg")
	img := a.picture(t, "image/jpeg", 300, 200)
	if r, _, _, _ := img.At(270, 20).RGBA(); r>>8 < 200 {
		t.Errorf("the upper part of a cut original is %v, want what was there", img.At(270, 20))
	}
	if cc := a.Header.Get("Cache-Control"); !regexp.MustCompile(`max-age=([0-9]|[1-9][0-9]|[1-2][0-9][0-9])$`).MatchString(cc) {
		t.Errorf("Cache-Control of a cut original = %q, want less than 300 s", cc)
	}
	looksLikePaint(t, s.get(t, "/k/good/300x200cq90/x.jpg").picture(t, "image/jpeg", 300, 200), 8)
}

// pngBomb is the header of a PNG of 60000x60000 pixels.
func pngBomb() []byte {
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 1, 1))); err != nil {
		panic(err)
	}
	data := b.Bytes()
	// IHDR: width at 16, height at 20; its checksum at 29 (CRC of "IHDR" and 13 bytes).
	copy(data[16:], []byte{0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60})
	sum := crc(data[12:29])
	copy(data[29:], []byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})
	return data
}

// crc is the CRC of PNG chunks (W3C PNG, annex D).
func crc(b []byte) uint32 {
	c := ^uint32(0)
	for _, v := range b {
		c ^= uint32(v)
		for range 8 {
			c = c>>1 ^ 0xedb88320&-(c&1)
		}
	}
	return ^c
}

func TestHTTPAsACDNWantsIt(t *testing.T) {
	t.Parallel()
	dir := originals(t, map[string][]byte{"k/1.jpg": jpegOf(t, paint(600, 400))})
	s := serve(t, "--originals", dir, "--insecure-unsigned")
	const path = "/k/1/300x200cq70/x.jpg"
	a := s.get(t, path, "Accept: image/avif,image/webp,*/*")
	a.picture(t, "image/jpeg", 300, 200)
	tag := a.Header.Get("Etag")
	if strings.HasPrefix(tag, "W/") || len(tag) < 10 || !strings.Contains(a.Header.Get("Cache-Control"), "max-age=") || a.Header.Get("Vary") != "" {
		t.Errorf("ETag %q, Cache-Control %q, Vary %q", tag, a.Header.Get("Cache-Control"), a.Header.Get("Vary"))
	}
	if r := s.get(t, path, "If-None-Match: "+tag); r.StatusCode != 304 || len(r.body) != 0 {
		t.Errorf("If-None-Match: %d", r.StatusCode)
	}
	head := s.do(t, "HEAD", path)
	if head.StatusCode != 200 || len(head.body) != 0 || head.Header.Get("Content-Length") != fmt.Sprint(len(a.body)) || head.Header.Get("Etag") != tag {
		t.Errorf("HEAD: %d, Content-Length %q, ETag %q", head.StatusCode, head.Header.Get("Content-Length"), head.Header.Get("Etag"))
	}
	if r := s.get(t, path, "Range: bytes=10-19", "If-Range: "+tag); r.StatusCode != 206 || !bytes.Equal(r.body, a.body[10:20]) {
		t.Errorf("Range: %d, %d bytes", r.StatusCode, len(r.body))
	}
	if r := s.do(t, "DELETE", path); r.StatusCode != 405 || r.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("DELETE: %d, Allow %q", r.StatusCode, r.Header.Get("Allow"))
	}
	if r := s.get(t, path+"?p=2"); r.Header.Get("Etag") == tag {
		t.Error("?p= does not enter the ETag")
	}
	if err := os.WriteFile(filepath.Join(dir, "k/1.jpg"), jpegOf(t, paint(800, 400)), 0o644); err != nil {
		t.Fatal(err)
	}
	if r := s.get(t, path, "If-None-Match: "+tag); r.StatusCode != 200 || r.Header.Get("Etag") == tag {
		t.Errorf("after the original was replaced: %d, ETag %q", r.StatusCode, r.Header.Get("Etag"))
	}
}

func TestSigning(t *testing.T) {
	t.Parallel()
	keys := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(keys, []byte("00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serve(t, "--originals", originals(t, map[string][]byte{"recipes/1.jpg": jpegOf(t, paint(600, 400))}), "--signing-key-file", keys)
	for _, path := range []string{"/recipes/1/480x360cq70/any.jpg", "/recipes/1/280", "/recipes/1/280x487s"} {
		out, err := exec.Command(program, "images", "sign", "--signing-key-file", keys, path).Output()
		if err != nil {
			t.Fatal(err)
		}
		signed := strings.TrimSuffix(string(out), "\n")
		if strings.ContainsAny(signed, " \n") || !strings.HasPrefix(signed, "/") {
			t.Errorf("images sign printed %q, want a path and nothing else", out)
		}
		s.get(t, signed).picture(t, "image/jpeg", 0, 0)
		if r := s.get(t, strings.Replace(signed, "/1/", "/2/", 1)); r.StatusCode != 403 {
			t.Errorf("the signature of another original: %d, want 403", r.StatusCode)
		}
		if r := s.get(t, path+map[bool]string{true: "", false: "/x"}[strings.Contains(path, "any")]); r.StatusCode != 403 {
			t.Errorf("without a signature: %d, want 403", r.StatusCode)
		}
	}
}

func TestWithoutKeysAKeyIsMade(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	s := serve(t, "--originals", originals(t, map[string][]byte{"k/1.jpg": jpegOf(t, paint(60, 40))}), "--data", data)
	keys := filepath.Join(data, "signing.keys")
	if st, err := os.Stat(keys); err != nil || st.Mode().Perm() != 0o600 {
		t.Fatalf("signing.keys: %v, %v", st, err)
	}
	if !strings.Contains(s.words(), keys) {
		t.Errorf("the program does not say that it made a key:\n%s", s.words())
	}
	if r := s.get(t, "/k/1/20/x"); r.StatusCode != 403 {
		t.Errorf("without a signature: %d, want 403", r.StatusCode)
	}
	out, err := exec.Command(program, "images", "sign", "--signing-key-file", keys, "/k/1/20x20cq70/x.jpg").Output()
	if err != nil {
		t.Fatal(err)
	}
	s.get(t, strings.TrimSpace(string(out))).picture(t, "image/jpeg", 20, 20)
}

func TestColdMeansCold(t *testing.T) {
	t.Parallel()
	s := serve(t, "--originals", originals(t, map[string][]byte{"k/1.jpg": jpegOf(t, paint(2400, 1800))}), "--insecure-unsigned",
		"--result-cache", "off", "--mezzanine", "off", "--original-cache", "off")
	for range 3 {
		timing := s.get(t, "/k/1/480x360cq70/x.jpg").Header.Get("Server-Timing")
		if !strings.Contains(timing, "cache;desc=rendered") || strings.Contains(timing, "source") || !strings.Contains(timing, "decode;dur=") {
			t.Errorf("Server-Timing %q, want every request rendered from the original", timing)
		}
	}
}

// listening counts the listening TCP sockets that a process has open.
func TestRequestsAreWrittenDown(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	s := serve(t, "--originals", originals(t, map[string][]byte{"k/1.jpg": jpegOf(t, paint(60, 40))}), "--insecure-unsigned", "--data", data)
	s.get(t, "/k/1/30/x?u=alice").picture(t, "image/jpeg", 30, 20)
	s.get(t, "/k/2/30/x")
	s.stop()
	store, err := fs.Open(filepath.Join(data, "events", "parquet"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	log, err := eventlog.Open(filepath.Join(data, "events"), store, eventlog.Default(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	events, err := log.Query(t.Context(), eventlog.Query{Room: "images", Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]eventlog.Event{}
	for _, e := range events {
		got[e.Subject] = e
	}
	one, two := got["k/1"], got["k/2"]
	if one.Type != "picture.delivered" || one.Actor != "alice" || one.Attributes["status"] != "200" || one.Attributes["outcome"] != "rendered" || one.RequestID == "" {
		t.Errorf("event of a picture: %+v", one)
	}
	if two.Type != "picture.refused" || two.Attributes["status"] != "404" {
		t.Errorf("event of an error: %+v", two)
	}
}

// children lists the processes whose parent is pid.
