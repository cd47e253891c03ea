package bench_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"image"
	"image/jpeg"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/kamado/kamado/images/bench"
)

// TestMain lets this test binary stand in for the program: called as
// "images serve" it serves renditions, badly and simply.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "images" && os.Args[2] == "serve" {
		serve(os.Args[3:])
		return
	}
	os.Exit(m.Run())
}

var path = regexp.MustCompile(`^/([a-z0-9-]+)/([0-9a-z]+)/(\d+)x(\d+)cq(\d+)/any\.jpg$`)

func serve(args []string) {
	flags := flag.NewFlagSet("serve", flag.ExitOnError)
	address := flags.String("http", "", "")
	originals := flags.String("originals", "", "")
	for _, name := range []string{"result-cache", "result-cache-disk", "result-cache-memory", "mezzanine", "original-cache"} {
		flags.String(name, "on", "")
	}
	admin := flags.String("admin", "", "")
	flags.String("data", "", "")
	flags.Bool("insecure-unsigned", false, "")
	_ = flags.Parse(args)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	server := &http.Server{Addr: *address, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/readyz" {
			return
		}
		rendered.Add(1)
		double(w, r, *originals)
	})}
	if *admin != "" {
		go func() { _ = http.ListenAndServe(*admin, http.HandlerFunc(tell)) }()
	}
	go func() { _ = server.ListenAndServe() }()
	<-ctx.Done()
	_ = server.Close()
}

// rendered counts what the double is asked for; it makes every picture anew,
// and no mezzanine of any.
var rendered atomic.Int64

func tell(w http.ResponseWriter, _ *http.Request) {
	n := rendered.Load()
	fmt.Fprintf(w, "kamado_images_stage_seconds_count{stage=\"decode\"} %d\n", n)
	fmt.Fprintf(w, "kamado_images_requests_total{outcome=\"rendered\"} %d\n", n)
	fmt.Fprintf(w, "kamado_images_mezzanines_total{event=\"dropped\"} %d\n", n)
}

// double answers with the nearest samples of the original; an original whose
// id begins with "bad" is refused, "small" comes in the wrong size, "flat" is not
// looked at and gives a grey picture.
func double(w http.ResponseWriter, r *http.Request, originals string) {
	part := path.FindStringSubmatch(r.URL.Path)
	if part == nil || strings.HasPrefix(part[2], "bad") {
		http.Error(w, "no such picture", http.StatusNotFound)
		return
	}
	f, err := os.Open(filepath.Join(originals, part[1], part[2]+".jpg"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	defer f.Close()
	width, _ := strconv.Atoi(part[3])
	height, _ := strconv.Atoi(part[4])
	quality, _ := strconv.Atoi(part[5])
	if strings.HasPrefix(part[2], "small") {
		width--
	}
	if strings.HasPrefix(part[2], "flat") || strings.HasPrefix(part[1], "kind") { // where only their number is of interest
		_ = jpeg.Encode(w, image.NewGray(image.Rect(0, 0, width, height)), nil)
		return
	}
	src, err := jpeg.Decode(f)
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	dst := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			dst.Set(x, y, src.At(x*src.Bounds().Dx()/width, y*src.Bounds().Dy()/height))
		}
	}
	_ = jpeg.Encode(w, dst, &jpeg.Options{Quality: quality})
}

// corpus writes originals named like "photos/1.jpg".
func corpus(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	m := image.NewYCbCr(image.Rect(0, 0, 400, 300), image.YCbCrSubsampleRatio420)
	for i := range m.Y {
		m.Y[i] = byte(i%m.YStride/4 + i/m.YStride/8)
	}
	for i := range m.Cb {
		m.Cb[i], m.Cr[i] = 110, 140
	}
	for _, name := range names {
		full := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := jpeg.Encode(&b, m, nil); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func config(t *testing.T, originals string) bench.Config {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := bench.Default()
	c.Originals, c.Program, c.Version = originals, program, "double"
	c.Width, c.Height = 160, 120
	c.Rounds, c.Only, c.Parts = 2, []string{"none"}, []string{bench.PartClasses, bench.PartMemory}
	return c
}

func TestRunMeasuresTheProgramAsItIsServed(t *testing.T) {
	t.Parallel()
	report, err := bench.Run(t.Context(), config(t, corpus(t, "photos/1.jpg", "photos/2.jpg", "other.jpg")))
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Classes) != 1 || report.Classes[0].Name != "1 MP" || report.Classes[0].Originals != 2 {
		t.Fatalf("classes = %+v, want one of 1 MP with two originals", report.Classes)
	}
	r := report.Classes[0].Results[0]
	if r.Asked != 4 || r.Counted != 4 || len(r.Rejected) != 0 {
		t.Errorf("counted %d of %d (%v), want 4 of 4", r.Counted, r.Asked, r.Rejected)
	}
	if r.CPU.Min <= 0 || r.CPU.Min > r.CPU.Median || r.CPU.Median > r.CPU.Max {
		t.Errorf("CPU = %+v, want positive and in order", r.CPU)
	}
	if r.PSNR < 12 || r.Bytes < 500 {
		t.Errorf("PSNR %.1f dB, %.0f bytes: not those of such a picture", r.PSNR, r.Bytes)
	}
	m := report.Memory[0]
	if m.Counted != m.Requests || m.Peak < m.Idle || m.Idle < 1<<20 || m.Processes < 1 {
		t.Errorf("memory = %+v, want a peak above some idle megabytes", m)
	}
	if !strings.Contains(strings.Join(report.Notes, "\n"), "left out 1 files") {
		t.Errorf("notes %q do not tell of the file that was left out", report.Notes)
	}
}

func TestRunNeverCountsARefusedOrWronglySizedPicture(t *testing.T) {
	t.Parallel()
	report, err := bench.Run(t.Context(), config(t, corpus(t, "photos/1.jpg", "photos/bad1.jpg", "photos/small1.jpg")))
	if err != nil {
		t.Fatal(err)
	}
	r := report.Classes[0].Results[0]
	if r.Asked != 6 || r.Counted != 2 {
		t.Errorf("counted %d of %d, want 2 of 6", r.Counted, r.Asked)
	}
	said := fmt.Sprint(r.Rejected)
	if !strings.Contains(said, "status 404") || !strings.Contains(said, "instead of") {
		t.Errorf("rejected = %v, want a status and a wrong size", r.Rejected)
	}
}

func TestRunComparesWithInstalledPeers(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("vipsthumbnail"); err != nil {
		t.Skip("needs vipsthumbnail (./setup test installs it)")
	}
	c := config(t, corpus(t, "photos/1.jpg"))
	c.Only = []string{"vipsthumbnail"}
	report, err := bench.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	class := report.Classes[0]
	if len(class.Results) != 2 || class.Results[1].Counted != 2 {
		t.Fatalf("results = %+v, want vipsthumbnail with 2 pictures", class.Results)
	}
	x := class.Ratios[0]
	if x.Peer != "vipsthumbnail" || x.CPU.Median <= 0 || x.Rule == bench.RuleNotJudged {
		t.Errorf("ratio = %+v, want a judged one", x)
	}
	head, rows := report.Table()
	if len(rows) != 2 || len(rows[1]) != len(head) || !strings.Contains(rows[1][4], "x (") {
		t.Errorf("rows = %q, want the ratio in the second", rows)
	}
	b, err := json.Marshal(report)
	if err != nil || !bytes.Contains(b, []byte(`"schema":"kamado-images-bench/1"`)) {
		t.Errorf("JSON %.200s (%v) names no schema", b, err)
	}
}

// TestRunMeasuresTheOtherParts: with one original of the class of 12 MP and one of
// that of 1 MP, which the double does not look at.
func TestRunMeasuresTheOtherParts(t *testing.T) {
	t.Parallel()
	dir := corpus(t, "photos/flat1.jpg")
	large := image.NewYCbCr(image.Rect(0, 0, 2832, 2124), image.YCbCrSubsampleRatio420)
	var b bytes.Buffer
	if err := jpeg.Encode(&b, large, nil); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "photos", "flat2.jpg"), b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	c := config(t, dir)
	c.Rounds, c.Parts = 1, []string{bench.PartMezzanine, bench.PartBurst, bench.PartLatency}
	report, err := bench.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Classes) != 1 || report.Classes[0].Name != "12 MP, mezzanine warm" || report.Classes[0].Results[0].Counted != 1 {
		t.Errorf("classes = %+v, want the mezzanine alone", report.Classes)
	}
	// The double shares nothing: each request is a decode.
	if b := report.Burst; b == nil || b.Counted != 100 || b.Decodes.Median != 100 {
		t.Errorf("burst = %+v, want 100 decodes of 100 requests", b)
	}
	if l := report.Latency; l == nil || l.Counted != 1000 || l.Kamado.Median <= 0 || l.Ratio != nil {
		t.Errorf("latency = %+v, want that of 1000 pictures beside nobody", l)
	}
	head, rows := report.RowTable()
	if len(rows) < 15 || len(rows[0]) != len(head) {
		t.Errorf("rows = %q", rows)
	}
}

func TestRunNamesAbsentPeers(t *testing.T) {
	t.Parallel()
	c := config(t, corpus(t, "photos/1.jpg"))
	c.Only, c.Peers = []string{"sharp"}, []string{t.TempDir()}
	report, err := bench.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Absent) != 1 || report.Absent[0].Name != "sharp" || report.Absent[0].Why == "" {
		t.Errorf("absent = %+v, want sharp and why", report.Absent)
	}
}

func TestRunFailsClearly(t *testing.T) {
	t.Parallel()
	c := config(t, t.TempDir())
	if _, err := bench.Run(t.Context(), c); !errors.Is(err, bench.ErrNoOriginals) {
		t.Errorf("Run of an empty folder = %v, want ErrNoOriginals", err)
	}
	c = config(t, corpus(t, "photos/1.jpg"))
	c.Program, c.Timeout = "/bin/false", 5*time.Second
	if _, err := bench.Run(t.Context(), c); !errors.Is(err, bench.ErrKamado) {
		t.Errorf("Run of a program that ends = %v, want ErrKamado", err)
	}
	c.Rounds, c.Width = 0, 481
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "rounds") || !strings.Contains(err.Error(), "4:3") {
		t.Errorf("Validate() = %v, want both complaints", err)
	}
}
