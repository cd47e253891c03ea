package chain_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kamado/kamado/internal/blob"
	"github.com/kamado/kamado/internal/blob/s3"
	"github.com/kamado/kamado/internal/blob/s3test"
	"github.com/kamado/kamado/internal/porttest"
)

// configurations is where the files of the proxies lie.
const configurations = "../../docs/tutorial/chain"

// program is the built program.
var program string

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

// build takes the program that KAMADO_BIN names, or builds it.
func build(dir string) error {
	if program = os.Getenv("KAMADO_BIN"); program != "" {
		return nil
	}
	program = filepath.Join(dir, "kamado")
	cmd := exec.Command("go", "build", "-trimpath", "-o", program, "github.com/kamado/kamado/cmd/kamado")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build kamado: %w\n%s", err, out)
	}
	return nil
}

// process is a program that can be ended and started again as it was.
type process struct {
	addr  string // answers HTTP here when it is ready
	ready string // path that is 200 then; any answer when it is "/"
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

func (p *process) start(t *testing.T) {
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
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if res, err := http.Get("http://" + p.addr + p.ready); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK || p.ready == "/" {
				return
			}
		}
		select {
		case <-ended:
			t.Fatalf("%s ended:\n%s", p.args[0], &p.said)
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("%s was not ready within a minute:\n%s", p.args[0], &p.said)
		}
	}
}

// signal ends the process and waits for its end.
func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	_ = p.cmd.Process.Signal(s)
	select {
	case <-p.ended:
	case <-time.After(time.Minute):
		t.Errorf("%s did not end within a minute of %v:\n%s", p.args[0], s, &p.said)
		p.kill()
	}
}

// kill ends the process and what it started.
func (p *process) kill() {
	if p.cmd != nil && p.cmd.Process != nil {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // nothing is left in most cases
		<-p.ended
	}
}

// server is one `kamado images serve`.
type server struct {
	*process
	admin string
}

var requestsMetric = regexp.MustCompile(`(?m)^kamado_images_requests_total\{outcome="(?:memory|disk|rendered|shared)"\} (\d+)`)

// requests is how many pictures the server delivered since it was started.
func (s *server) requests(t *testing.T) (sum int) {
	t.Helper()
	res, err := http.Get("http://" + s.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	page, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range requestsMetric.FindAllSubmatch(page, -1) {
		n, _ := strconv.Atoi(string(m[1]))
		sum += n
	}
	return sum
}

// chain is all of it, from the CDN's address on.
type chain struct {
	cdn     string
	servers []*server
	ports   map[string]string // of the files, and what they are here
	dir     string
}

// filePort is how the files write ports.
var filePort = regexp.MustCompile(`\b87[0-9]{2}\b`)

// own writes a configuration file with free ports into the chain's folder.
func (c *chain) own(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(configurations, name))
	if err != nil {
		t.Fatal(err)
	}
	out := filePort.ReplaceAllStringFunc(string(text), func(port string) string { return c.port(t, port) })
	path := filepath.Join(c.dir, name)
	if err := os.WriteFile(path, []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// port gives a free port for one that the files name, always the same one.
func (c *chain) port(t *testing.T, name string) string {
	t.Helper()
	if c.ports[name] == "" {
		c.ports[name] = strconv.Itoa(porttest.Free(t))
	}
	return c.ports[name]
}

func newChain(t *testing.T, cdn, balancer string) *chain {
	t.Helper()
	programs := map[string]string{"nginx": "nginx", "haproxy": "haproxy", "varnish": "varnishd"}
	for _, who := range []string{cdn, balancer} {
		if _, err := exec.LookPath(programs[who]); err != nil {
			t.Skipf("needs %s (./setup test installs it)", programs[who])
		}
	}
	c := &chain{ports: map[string]string{}, dir: t.TempDir()}
	config := bucket(t)
	for _, port := range []string{"8711", "8712", "8713"} {
		s := &server{admin: "127.0.0.1:" + strconv.Itoa(porttest.Free(t)), process: &process{
			addr: "127.0.0.1:" + c.port(t, port), ready: "/readyz", dir: t.TempDir(),
			env: []string{"AWS_ACCESS_KEY_ID=" + config.AccessKey, "AWS_SECRET_ACCESS_KEY=" + string(config.SecretKey)},
		}}
		s.args = []string{
			program, "images", "serve", "--http", s.addr, "--admin", s.admin, "--data", filepath.Join(s.dir, "data"), "--insecure-unsigned",
			"--originals", fmt.Sprintf("s3://%s/?path_style=true&region=%s&endpoint=%s", config.Bucket, config.Region, config.Endpoint),
		}
		c.run(t, s.process)
		c.servers = append(c.servers, s)
	}
	// The CDN's file names the balancer's port: nginx asks haproxy's, Varnish nginx's. In other
	// pairs the two change places.
	balancerPort := map[string]string{"haproxy": "8703", "nginx": "8704"}[balancer]
	asked := map[string]string{"nginx": "8703", "varnish": "8704"}[cdn]
	c.ports[asked] = c.port(t, balancerPort)
	c.proxy(t, balancer, map[string]string{"haproxy": "haproxy.cfg", "nginx": "nginx-balancer.conf"}[balancer], balancerPort)
	port := map[string]string{"nginx": "8701", "varnish": "8702"}[cdn]
	c.proxy(t, cdn, map[string]string{"nginx": "nginx-cdn.conf", "varnish": "varnish-cdn.vcl"}[cdn], port)
	c.cdn = "127.0.0.1:" + c.port(t, port)
	return c
}

func (c *chain) run(t *testing.T, p *process) {
	t.Helper()
	t.Cleanup(p.kill)
	p.start(t)
}

// proxy runs one of the proxies as the tutorial does.
func (c *chain) proxy(t *testing.T, who, file, port string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	p := &process{addr: "127.0.0.1:" + c.port(t, port), ready: "/", dir: dir}
	config := c.own(t, file)
	switch who {
	case "nginx":
		p.args = []string{"nginx", "-e", "stderr", "-p", dir, "-c", config, "-g", "daemon off;" + as(t)}
	case "haproxy":
		p.args = []string{"haproxy", "-db", "-f", config}
	case "varnish":
		p.args = []string{"varnishd", "-F", "-j", "none", "-n", filepath.Join(dir, "varnish"), "-a", p.addr, "-s", "malloc,64m", "-f", config}
	}
	c.run(t, p)
}

// as lets root's nginx stay root, whose folders here nobody else may enter; for
// others it says what is so anyway.
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

// bucket is one of an S3 server with the originals in it.
func bucket(t *testing.T) s3.Config {
	t.Helper()
	config := s3test.Start(t).Config(t)
	store, err := s3.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	for i := range originals {
		picture := photograph(t, i)
		if _, err := store.Put(t.Context(), fmt.Sprintf("photos/%d", i), bytes.NewReader(picture), int64(len(picture)), blob.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return config
}

// photograph is a picture of its own for each number.
func photograph(t *testing.T, n int) []byte {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, 320, 240))
	for y := range 240 {
		for x := range 320 {
			m.SetRGBA(x, y, color.RGBA{R: uint8(x + 31*n), G: uint8(y * (n + 1)), B: uint8(x * y / 64), A: 255})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 90}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
