package images_test

import (
	"bytes"
	"errors"
	"fmt"
	"image/png"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestAHundredEqualRequestsAtOnceAreOneDecode(t *testing.T) {
	t.Parallel()
	s := serve(t, "--originals", originals(t, map[string][]byte{"k/1.jpg": jpegOf(t, paint(4000, 3000))}), "--insecure-unsigned",
		"--result-cache", "off", "--mezzanine", "off")
	var wg sync.WaitGroup
	var mu sync.Mutex
	rendered := 0
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}
	begin := make(chan struct{})
	for range 100 {
		wg.Go(func() {
			<-begin
			r, err := client.Get(s.url + "/k/1/480x360cq70/x.jpg")
			if err != nil {
				t.Error(err)
				return
			}
			defer r.Body.Close()
			_, _ = io.Copy(io.Discard, r.Body)
			mu.Lock()
			defer mu.Unlock()
			if strings.Contains(r.Header.Get("Server-Timing"), "cache;desc=rendered") {
				rendered++
			}
			if r.StatusCode != 200 {
				t.Errorf("status %d", r.StatusCode)
			}
		})
	}
	close(begin)
	wg.Wait()
	// All hundred cannot be made to arrive while the first is decoded on a
	// loaded machine; how many must share is a bound, not the figure.
	if rendered > 20 {
		t.Errorf("%d of 100 equal requests were rendered", rendered)
	}
}

func TestOverloadIsShedAndServedOn(t *testing.T) {
	t.Parallel()
	all, one := map[string][]byte{}, jpegOf(t, paint(4000, 3000))
	for i := range 60 { // sizes of one original that wait together would be one decode, however many they are
		all[fmt.Sprintf("k/%d.jpg", i)] = one
	}
	s := serve(t, "--originals", originals(t, all), "--insecure-unsigned",
		"--result-cache", "off", "--mezzanine", "off", "--limits-concurrency", "1", "--limits-queue", "2")
	var wg sync.WaitGroup
	var mu sync.Mutex
	count := map[int]int{}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 60}}
	for i := range 60 {
		wg.Go(func() {
			r, err := client.Get(fmt.Sprintf("%s/k/%d/300x300cq70/x.jpg", s.url, i))
			if err != nil {
				t.Error(err)
				return
			}
			defer r.Body.Close()
			_, _ = io.Copy(io.Discard, r.Body)
			if r.StatusCode == 503 && r.Header.Get("Retry-After") == "" {
				t.Error("503 without Retry-After")
			}
			mu.Lock()
			count[r.StatusCode]++
			mu.Unlock()
		})
	}
	wg.Wait()
	if count[503] == 0 || count[200] < 3 || count[200]+count[503] != 60 {
		t.Errorf("60 requests at once with a queue of 2: %v, want some 200 and the rest 503", count)
	}
	s.get(t, "/k/1/480x360cq70/x.jpg").picture(t, "image/jpeg", 480, 360)
}

func TestOnlyTheAddressesOfTheFlagsAreOpen(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc")
	}
	s := serve(t, "--originals", originals(t, map[string][]byte{"k/1.jpg": jpegOf(t, paint(60, 40))}), "--insecure-unsigned")
	s.get(t, "/k/1/20/x").picture(t, "image/jpeg", 20, 13)
	if got := listening(t, s.cmd.Process.Pid); got != 1 {
		t.Errorf("%d sockets listen, want 1", got)
	}
	s.stop()
	admin := freeAddr(t)
	s = serve(t, "--originals", originals(t, map[string][]byte{"k/1.jpg": jpegOf(t, paint(60, 40))}), "--insecure-unsigned", "--admin", admin)
	if got := listening(t, s.cmd.Process.Pid); got != 2 {
		t.Errorf("with --admin %d sockets listen, want 2", got)
	}
	r, err := http.Get("http://" + admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if body, _ := io.ReadAll(r.Body); !bytes.Contains(body, []byte("kamado_images_queue_places")) {
		t.Errorf("/metrics does not show the images: %d", r.StatusCode)
	}
}

func listening(t *testing.T, pid int) int {
	t.Helper()
	listen := map[string]bool{}
	for _, name := range []string{"tcp", "tcp6"} {
		table, err := os.ReadFile("/proc/net/" + name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(string(table), "\n") {
			if f := strings.Fields(line); len(f) > 9 && f[3] == "0A" { // TCP_LISTEN
				listen["socket:["+f[9]+"]"] = true
			}
		}
	}
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	sockets := map[string]bool{} // one may have several descriptors
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && listen[to] {
			sockets[to] = true
		}
	}
	return len(sockets)
}

func TestTheEnd(t *testing.T) {
	t.Parallel()
	s := serve(t, "--originals", originals(t, map[string][]byte{"k/1.jpg": jpegOf(t, paint(60, 40))}), "--insecure-unsigned")
	s.get(t, "/k/1/20/x").picture(t, "image/jpeg", 20, 13)
	kept, _ := filepath.Glob(filepath.Join(s.cmd.Dir, "kamado-*"))
	if len(kept) != 1 {
		t.Errorf("%d temporary directories while it runs, want 1", len(kept))
	}
	if !strings.Contains(s.words(), s.url) {
		t.Errorf("the program does not say where it listens:\n%s", s.words())
	}
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0:\n%s", code, s.words())
	}
	if kept, _ = filepath.Glob(filepath.Join(s.cmd.Dir, "kamado-*")); len(kept) != 0 {
		t.Errorf("left behind: %v", kept)
	}
}

func TestAWorkerThatIsKilledCostsItsOwnRequest(t *testing.T) {
	t.Parallel()
	needsCodec(t)
	var p bytes.Buffer
	if err := png.Encode(&p, paint(1500, 1000)); err != nil {
		t.Fatal(err)
	}
	s := serve(t, "--originals", originals(t, map[string][]byte{"k/1.png": p.Bytes(), "k/2.jpg": jpegOf(t, paint(600, 400))}), "--insecure-unsigned",
		"--result-cache", "off")
	s.get(t, "/k/1/100x80cq70/x.webp")
	end := time.Now().Add(3 * time.Second)
	var wg sync.WaitGroup
	var mu sync.Mutex
	good, bad := 0, 0
	for worker := range 3 {
		wg.Go(func() {
			for i := 0; time.Now().Before(end); i++ {
				r, err := http.Get(fmt.Sprintf("%s/k/1/%dx%dcq70/x.webp", s.url, 100+i, 80+worker))
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, r.Body)
				r.Body.Close()
				mu.Lock()
				if r.StatusCode == 200 {
					good++
				} else if bad++; r.StatusCode < 500 {
					t.Errorf("a killed worker is answered with %d", r.StatusCode)
				}
				mu.Unlock()
			}
		})
	}
	killed := 0
	for time.Now().Before(end.Add(-500 * time.Millisecond)) {
		for _, pid := range children(t, s.cmd.Process.Pid) {
			if syscall.Kill(pid, syscall.SIGKILL) == nil {
				killed++
				break
			}
		}
		for range 20 { // what needs no worker is not touched
			s.get(t, "/k/2/200x150cq70/x.jpg").picture(t, "image/jpeg", 200, 150)
		}
	}
	wg.Wait()
	if killed == 0 || good == 0 || bad > 2*killed {
		t.Errorf("%d workers killed: %d answers good and %d bad, want no more bad than about one for each", killed, good, bad)
	}
	eventually(t, "it serves on", func() bool { return s.get(t, "/k/1/101x81cq70/x.webp").StatusCode == 200 })
}

func children(t *testing.T, pid int) (list []int) {
	t.Helper()
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // it ended
		}
		text := string(data)
		var child, parent int
		var state string
		if _, err := fmt.Sscan(text[strings.LastIndexByte(text, ')')+1:], &state, &parent); err != nil || parent != pid || state == "Z" {
			continue
		}
		if _, err := fmt.Sscan(text, &child); err == nil {
			list = append(list, child)
		}
	}
	return list
}

func TestACrashLosesNoPicture(t *testing.T) {
	t.Parallel()
	data, dir := t.TempDir(), originals(t, map[string][]byte{"k/1.jpg": jpegOf(t, paint(2400, 1800))})
	want := map[string][]byte{}
	s := serve(t, "--originals", dir, "--insecure-unsigned", "--data", data, "--mezzanine", "off")
	for i := range 60 {
		path := fmt.Sprintf("/k/1/%dx200cq70/x.jpg", 150+i)
		want[path] = s.get(t, path).body
	}
	_ = s.cmd.Process.Kill() // while the disk cache writes
	<-s.done
	// What a crash of the machine may leave besides: files cut short, and leftovers.
	files, err := filepath.Glob(filepath.Join(data, "images", "results", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for i, path := range files {
		if i%3 == 0 {
			if err := os.Truncate(path, int64(i*17%200)); err != nil {
				t.Fatal(err)
			}
		}
	}
	s = serve(t, "--originals", dir, "--insecure-unsigned", "--data", data, "--mezzanine", "off")
	fromDisk := 0
	for path, body := range want {
		a := s.get(t, path)
		if a.StatusCode != 200 || !bytes.Equal(a.body, body) {
			t.Errorf("%s after the crash: %d, %d bytes and %d before", path, a.StatusCode, len(a.body), len(body))
		}
		if strings.Contains(a.Header.Get("Server-Timing"), "cache;desc=disk") {
			fromDisk++
		}
	}
	if len(files) > 3 && fromDisk == 0 {
		t.Errorf("%d files survived and none was served", len(files))
	}
}

// TestTheStartGivesItsPagesBack: what of the program's own file is mapped goes down once it is ready, and a request
// maps again only what it needs.
func TestTheStartGivesItsPagesBack(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc")
	}
	s := serve(t, "--originals", originals(t, map[string][]byte{"k/1.jpg": jpegOf(t, paint(600, 400))}), "--insecure-unsigned")
	s.get(t, "/k/1/200/x").picture(t, "image/jpeg", 200, 133)
	const most = 20 << 20 // it is some 30 MB after a start, and 5 to 10 after that request
	mapped := 0
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if mapped = fileBytes(t, s.cmd.Process.Pid); mapped < most {
			return
		}
	}
	t.Errorf("%d bytes of files are mapped and present, want less than %d", mapped, most)
}

// fileBytes is how much of files a process has in its memory (RssFile of proc_pid_status(5)).
func fileBytes(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, line, ok := strings.Cut(string(text), "RssFile:")
	var kB int
	if _, err := fmt.Sscan(line, &kB); err != nil || !ok {
		t.Skip("needs a kernel that tells RssFile")
	}
	return kB << 10
}

// TestEqualTagsAreEqualBytes: of two servers, one is asked for many sizes at once and the other for one after the other. Where they
// give the same ETag they give the same bytes, and what one gave is known to the other.
func TestEqualTagsAreEqualBytes(t *testing.T) {
	t.Parallel()
	all := originals(t, map[string][]byte{"k/1.jpg": jpegOf(t, paint(4000, 3000)), "k/2.jpg": jpegOf(t, paint(1600, 1200))})
	var servers [2]*service
	for i := range servers {
		servers[i] = serve(t, "--originals", all, "--insecure-unsigned", "--mezzanine", "off")
	}
	shared := 0
	for round := range 4 {
		var wg sync.WaitGroup
		sides := [...]int{100, 180, 300, 480, 900, 1600}
		var paths [len(sides)]string
		var got [len(sides)]answer
		for i, side := range sides {
			paths[i] = fmt.Sprintf("/k/%d/%dx%dcq70/x.jpg", 1+round%2, side+round, side)
			wg.Go(func() { got[i] = servers[0].get(t, paths[i]) })
		}
		wg.Wait()
		for i, path := range paths {
			tag := got[i].Header.Get("Etag")
			alone := servers[1].get(t, path)
			if got[i].StatusCode != 200 || alone.StatusCode != 200 || tag == "" {
				t.Fatalf("%s: %d and %d, ETag %s", path, got[i].StatusCode, alone.StatusCode, tag)
			}
			if alone.Header.Get("Etag") != tag {
				shared++
			} else if !bytes.Equal(alone.body, got[i].body) {
				t.Errorf("%s: two servers give other bytes with the ETag %s", path, tag)
			}
			if again := servers[1].get(t, path, "If-None-Match: "+tag); again.StatusCode != 304 {
				t.Errorf("%s: %d for the ETag %s of another server", path, again.StatusCode, tag)
			}
		}
	}
	t.Logf("%d of 24 were made together with others", shared)
}
