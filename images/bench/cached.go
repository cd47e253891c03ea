package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// cachedBytes is the size of the rendition that is meant. The quality that comes
// nearest to it is asked for.
const cachedBytes = 30 << 10

// CachedConfig says how a rendition in memory is measured beside nginx, which
// sends the same bytes from a file. Zero values are the defaults.
type CachedConfig struct {
	Program     string        // kamado
	Nginx       string        // default: found
	Connections []int         // open at once; default 1, 16, 256
	Rounds      int           // of every subject; default 5
	Length      time.Duration // of one measurement; default 1 s
	// ServerCPU and LoadCPU are the processors that the servers and the load are
	// bound to; equal ones: nothing is bound.
	ServerCPU, LoadCPU int
}

// CachedCost is what one subject's answers cost with so many connections: the
// median of the rounds.
type CachedCost struct {
	Subject     string        // "kamado", "nginx", "nginx with open_file_cache"
	Connections int           //
	CPU         time.Duration // user and system time of all its processes for one answer
	PerCPU      float64       // answers for one second of that
	Rate        float64       // answers a second of the clock
	Rounds      []float64     // PerCPU of each round, in order: rounds of several subjects stand beside each other
}

// MeasureCached measures a rendition of about 30 KB that is ready in memory, and nginx
// with sendfile, each on one processor, alternating. bytes is the exact size.
func MeasureCached(ctx context.Context, c CachedConfig) (costs []CachedCost, size int, err error) {
	if len(c.Connections) == 0 {
		c.Connections = []int{1, 16, 256}
	}
	if c.Rounds <= 0 {
		c.Rounds = 5
	}
	if c.Length <= 0 {
		c.Length = time.Second
	}
	work, err := os.MkdirTemp("", "kamado-cached-")
	if err != nil {
		return nil, 0, err
	}
	defer os.RemoveAll(work)
	ctx, cancel := context.WithCancel(ctx)
	var running []*cachedSubject
	defer func() {
		cancel()
		for _, s := range running {
			<-s.ended
		}
	}()
	kamado, picture, err := startCachedKamado(ctx, c, work)
	if err != nil {
		return nil, 0, err
	}
	running = append(running, kamado)
	for _, files := range []bool{false, true} {
		nginx, err := startCachedNginx(ctx, c, work, picture, files)
		if err != nil {
			return nil, 0, err
		}
		running = append(running, nginx)
	}
	for _, n := range c.Connections {
		some, err := measureCached(ctx, c, running, n)
		if err != nil {
			return nil, 0, err
		}
		costs = append(costs, some...)
	}
	return costs, len(picture), nil
}

// cachedSubject is a server that has the picture under one target.
type cachedSubject struct {
	title, address, target string
	tree                   tree
	ended                  chan struct{}
}

// measureCached alternates the subjects with so many connections.
func measureCached(ctx context.Context, c CachedConfig, subjects []*cachedSubject, connections int) ([]CachedCost, error) {
	type sample struct{ cpu, rate float64 } // ns for one answer; answers a second
	samples := make([][]sample, len(subjects))
	for range c.Rounds {
		for i, s := range subjects {
			before, err := s.tree.cpu()
			if err != nil {
				return nil, err
			}
			began := time.Now()
			answers, err := loadCached(ctx, c, s, connections)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", s.title, err)
			}
			took := time.Since(began)
			after, err := s.tree.cpu()
			if err != nil {
				return nil, err
			}
			samples[i] = append(samples[i], sample{float64(after-before) / float64(answers), float64(answers) / took.Seconds()})
		}
	}
	costs := make([]CachedCost, len(subjects))
	for i, s := range subjects {
		rounds := make([]float64, len(samples[i]))
		for j := range rounds {
			rounds[j] = float64(time.Second) / samples[i][j].cpu
		}
		slices.SortFunc(samples[i], func(a, b sample) int { return int(a.cpu - b.cpu) })
		middle := samples[i][len(samples[i])/2]
		costs[i] = CachedCost{Subject: s.title, Connections: connections, CPU: time.Duration(middle.cpu),
			PerCPU: float64(time.Second) / middle.cpu, Rate: middle.rate, Rounds: rounds}
	}
	return costs, nil
}

// loadCached asks on every connection again and again, and counts whole answers.
func loadCached(ctx context.Context, c CachedConfig, s *cachedSubject, connections int) (int64, error) {
	var answers atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, connections)
	end := time.Now().Add(c.Length)
	for i := range connections {
		wg.Go(func() {
			if c.LoadCPU != c.ServerCPU {
				// The goroutine ends with its thread, so that no other work inherits this.
				runtime.LockOSThread()
				_ = bind(c.LoadCPU) // unbound is measured as well
			}
			errs[i] = askCached(ctx, s, end, &answers)
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return 0, err
	}
	if answers.Load() == 0 {
		return 0, errors.New("it answered nothing")
	}
	return answers.Load(), ctx.Err()
}

// askCached is one connection of the load.
func askCached(ctx context.Context, s *cachedSubject, end time.Time, answers *atomic.Int64) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(end.Add(10 * time.Second)); err != nil {
		return err
	}
	in := bufio.NewReaderSize(conn, 64<<10)
	request := []byte("GET " + s.target + " HTTP/1.1\r\nHost: pictures\r\n\r\n")
	for time.Now().Before(end) && ctx.Err() == nil {
		if _, err := conn.Write(request); err != nil {
			return err
		}
		length := -1
		for first := true; ; first = false {
			line, err := in.ReadSlice('\n')
			if err != nil {
				return err
			}
			if first && !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
				return fmt.Errorf("it answers %q", line)
			}
			if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
				if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
					return err
				}
			}
			if len(line) == 2 {
				break
			}
		}
		if _, err := in.Discard(length); err != nil {
			return err
		}
		answers.Add(1)
	}
	return nil
}

// bind keeps the calling thread, and what it starts, on one processor.
func bind(cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	return unix.SchedSetaffinity(0, &set)
}

// launch starts a server on the servers' processor.
func (s *cachedSubject) launch(c CachedConfig, cmd *exec.Cmd) error {
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	started := make(chan error)
	go func() {
		if c.LoadCPU != c.ServerCPU {
			runtime.LockOSThread() // for good: the thread ends with the goroutine
			_ = bind(c.ServerCPU)  // unbound is measured as well
		}
		started <- cmd.Start()
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", s.title, err)
	}
	s.tree = tree{pid: cmd.Process.Pid}
	s.ended = make(chan struct{})
	go func() {
		defer close(s.ended)
		_ = cmd.Wait() // it was told to end, or its silence is reported by who asks it
	}()
	return nil
}

// fetch asks until there is an answer of status 200, for at most ten seconds.
func (s *cachedSubject) fetch(ctx context.Context, target string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		body, err := fetchOnce(ctx, "http://"+s.address+target)
		if err == nil {
			return body, nil
		}
		select {
		case <-s.ended:
			return nil, fmt.Errorf("%s ended: %w", s.title, err)
		case <-ctx.Done():
			return nil, fmt.Errorf("%s does not answer: %w", s.title, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func fetchOnce(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", res.StatusCode)
	}
	return io.ReadAll(io.LimitReader(res.Body, answerBytesMax))
}

// startCachedKamado serves one original as it is served by default, signed, and
// finds the rendition of the size that is meant.
func startCachedKamado(ctx context.Context, c CachedConfig, work string) (*cachedSubject, []byte, error) {
	originals, keys := filepath.Join(work, "originals"), filepath.Join(work, "keys")
	if err := writeCachedOriginal(filepath.Join(originals, "photos", "1.jpg")); err != nil {
		return nil, nil, err
	}
	if err := os.WriteFile(keys, []byte("6b616d61646f2062656e636820636163686564\n"), 0o600); err != nil {
		return nil, nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, nil, err
	}
	s := &cachedSubject{title: "kamado", address: address}
	if err := s.launch(c, exec.CommandContext(ctx, c.Program, "images", "serve", "--http", address, "--originals", originals, "--signing-key-file", keys)); err != nil {
		return nil, nil, err
	}
	if _, err := s.fetch(ctx, "/readyz"); err != nil {
		return nil, nil, err
	}
	var best []byte
	for quality := 30; quality <= 95; quality += 5 {
		target := says(ctx, c.Program, "images", "sign", "--signing-key-file", keys, fmt.Sprintf("/photos/1/640x480cq%d/any.jpg", quality))
		body, err := s.fetch(ctx, target)
		if err != nil {
			return nil, nil, err
		}
		if best == nil || distance(body) < distance(best) {
			best, s.target = body, target
		}
	}
	const warm = 16 // requests: the second makes it ready, the tenth brings it where it is sent from
	for range warm {
		if body, err := s.fetch(ctx, s.target); err != nil || !bytes.Equal(body, best) {
			return nil, nil, errors.Join(errors.New("kamado gives other bytes the second time"), err)
		}
	}
	return s, best, nil
}

func distance(picture []byte) int { return max(len(picture)-cachedBytes, cachedBytes-len(picture)) }

// writeCachedOriginal writes a picture with as much detail as a photograph.
func writeCachedOriginal(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	const width, height = 1200, 900
	img, noise := image.NewRGBA(image.Rect(0, 0, width, height)), rand.New(rand.NewPCG(1, 2))
	for y := range height {
		for x := range width {
			n := noise.IntN(48)
			img.SetRGBA(x, y, color.RGBA{uint8(x*160/width + n), uint8(y*160/height + n), uint8((x^y)&63 + n), 255})
		}
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := jpeg.Encode(f, img, &jpeg.Options{Quality: 90}); err != nil {
		return err
	}
	return f.Close()
}

// cachedNginxConfig sends a file. Arguments: the working folder, the address,
// lines for the http section.
const cachedNginxConfig = `daemon off;
master_process off;
pid %[1]s/nginx.pid;
error_log stderr error;
events { worker_connections 4096; }
http {
  access_log off;
  sendfile on;
  tcp_nodelay on;
  keepalive_timeout 120;
  keepalive_requests 1000000000;
  default_type image/jpeg;
  client_body_temp_path %[1]s/body;
  proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi;
  scgi_temp_path %[1]s/scgi;
  %[3]s
  server { listen %[2]s backlog=4096; root %[1]s/www; }
}
`

// startCachedNginx serves the same bytes from a file with one worker.
func startCachedNginx(ctx context.Context, c CachedConfig, work string, picture []byte, keepFiles bool) (*cachedSubject, error) {
	s := &cachedSubject{title: "nginx", target: "/30.jpg"}
	lines := ""
	if keepFiles {
		s.title, lines = "nginx with open_file_cache", "open_file_cache max=1000 inactive=60s; open_file_cache_valid 60s;"
	}
	program := c.Nginx
	for _, name := range []string{"nginx", "/usr/sbin/nginx"} {
		if found, err := exec.LookPath(name); err == nil && program == "" {
			program = found
		}
	}
	if program == "" {
		return nil, errors.New("nginx is not installed (Debian: nginx-light)")
	}
	folder := filepath.Join(work, fmt.Sprint("nginx-", keepFiles))
	if err := os.MkdirAll(filepath.Join(folder, "www"), 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(folder, "www", "30.jpg"), picture, 0o644); err != nil {
		return nil, err
	}
	var err error
	if s.address, err = freeAddress(); err != nil {
		return nil, err
	}
	config := filepath.Join(folder, "nginx.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, cachedNginxConfig, folder, s.address, lines), 0o600); err != nil {
		return nil, err
	}
	if err := s.launch(c, exec.CommandContext(ctx, program, "-p", folder, "-c", config)); err != nil {
		return nil, err
	}
	body, err := s.fetch(ctx, s.target)
	if err == nil && !bytes.Equal(body, picture) {
		err = errors.New("nginx gives other bytes")
	}
	return s, err
}
