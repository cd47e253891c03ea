package images_test

import (
	"bytes"
	"fmt"
	"image"
	"image/draw"
	"image/jpeg"
	"image/png"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kamado/kamado/internal/porttest"
)

// modules is where ./setup test puts what comes from npm.
const modules = "../../../.cache/images"

// program is the built program; codecMissing says why kamado-codec does not lie
// beside it, and is empty when it does.
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

// needsModule skips the test where npm's modules are not installed, and gives their folder.
func needsModule(t *testing.T, name string) string {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("needs node (./setup test installs it)")
	}
	dir, err := filepath.Abs(filepath.Join(modules, "node_modules"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
		t.Skipf("needs %s of npm in .cache/images (./setup test installs it)", name)
	}
	return dir
}

func needsNginx(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("nginx"); err != nil {
		t.Skip("needs nginx (./setup test installs it)")
	}
}

// process is a program that can be ended and started again as it was.
type process struct {
	addr  string // answers HTTP here when it is ready
	ready string // path that is asked for until it is answered
	args  []string
	env   []string
	dir   string

	cmd   *exec.Cmd
	ended chan struct{}
	said  syncBuffer
}

// syncBuffer is written by a process and read by a test.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// run starts the process and waits until it answers. It is ended with the test.
func (p *process) run(t *testing.T) {
	t.Helper()
	p.cmd = exec.Command(p.args[0], p.args[1:]...)
	p.cmd.Dir, p.cmd.Env = p.dir, append(os.Environ(), p.env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.said, &p.said
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	cmd, ended := p.cmd, make(chan struct{})
	p.ended = ended
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(p.kill)
	eventually(t, p.args[0]+" answers", func() bool {
		select {
		case <-ended:
			t.Fatalf("%s ended:\n%s", p.args[0], &p.said)
		default:
		}
		res, err := http.Get("http://" + p.addr + p.ready)
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK || p.ready == "/"
	})
}

// kill ends the process and what it started.
func (p *process) kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // it may have ended
	<-p.ended
}

// eventually polls, because another process is waited for.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// kamado runs `kamado images serve` with a configuration: the lines of its table
// [images], and further tables.
func kamado(t *testing.T, config string, args ...string) *process {
	t.Helper()
	p := &process{addr: fmt.Sprint("127.0.0.1:", porttest.Free(t)), ready: "/readyz", dir: t.TempDir()}
	file := filepath.Join(p.dir, "kamado.toml")
	if err := os.WriteFile(file, []byte("[images]\n"+config), 0o600); err != nil {
		t.Fatal(err)
	}
	p.env = []string{"HOME=" + p.dir, "TMPDIR=" + p.dir}
	p.args = append([]string{program, "images", "serve", "--config", file, "--http", p.addr, "--data", filepath.Join(p.dir, "data")}, args...)
	p.run(t)
	return p
}

// nginx runs nginx with the text of its http block. DIR in it is a folder of its
// own, and LISTEN the address that it is asked at.
func nginx(t *testing.T, text string) *process {
	t.Helper()
	p := &process{addr: fmt.Sprint("127.0.0.1:", porttest.Free(t)), ready: "/", dir: t.TempDir()}
	const head = "worker_processes 1;\npid DIR/nginx.pid;\nevents { worker_connections 512; }\nhttp {\naccess_log off;\n"
	var temp strings.Builder
	for _, what := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&temp, "%s_temp_path DIR/%s;\n", what, what)
	}
	conf := strings.NewReplacer("DIR", p.dir, "LISTEN", p.addr).Replace(head + temp.String() + text + "\n}\n")
	file := filepath.Join(p.dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	p.args = []string{"nginx", "-e", "stderr", "-p", p.dir, "-c", file, "-g", "daemon off;" + as(t)}
	p.run(t)
	return p
}

// as lets root's nginx stay root, whose folders here nobody else may enter.
func as(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		return ""
	}
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	group, err := user.LookupGroupId(u.Gid)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(" user %s %s;", u.Username, group.Name)
}

// photographs are real ones, of Debian's wallpapers.
var photographs = []string{"Wine_by_Jakkub_Mede.jpg", "life_by_Aitzol_Berasategi.jpg", "Dragonfly_by_Bolly.jpg"}

// wallpaper is one of them, decoded once.
var wallpaper = sync.OnceValue(func() image.Image {
	for _, name := range photographs {
		if data, err := os.ReadFile("/usr/share/backgrounds/" + name); err == nil {
			if m, err := jpeg.Decode(bytes.NewReader(data)); err == nil {
				return m
			}
		}
	}
	return nil
})

// photograph is a part of a real photograph, as JPEG.
func photograph(t *testing.T, width, height int) []byte {
	t.Helper()
	m := wallpaper()
	if m == nil {
		t.Skip("needs Debian's wallpapers, lomiri-wallpapers-16.04 and -20.04 (./setup test installs them)")
	}
	part := image.NewRGBA(image.Rect(0, 0, width, height))
	at := m.Bounds().Min
	draw.Draw(part, part.Bounds(), m, image.Pt(at.X+m.Bounds().Dx()/4, at.Y+m.Bounds().Dy()/4), draw.Src)
	var b bytes.Buffer
	if err := jpeg.Encode(&b, part, &jpeg.Options{Quality: 88}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// framed is a photograph with a white border of so many pixels, as PNG.
func framed(t *testing.T, width, height, border int) []byte {
	t.Helper()
	m, err := jpeg.Decode(bytes.NewReader(photograph(t, width, height)))
	if err != nil {
		t.Fatal(err)
	}
	out := image.NewRGBA(image.Rect(0, 0, width, height))
	draw.Draw(out, out.Bounds(), image.White, image.Point{}, draw.Src)
	draw.Draw(out, out.Bounds().Inset(border), m, image.Pt(border, border), draw.Src)
	var b bytes.Buffer
	if err := png.Encode(&b, out); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// tree writes files below a new folder.
func tree(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
