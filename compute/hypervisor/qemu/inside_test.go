package qemu

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/compute/hypervisor"
)

func needQEMU(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		t.Skip("needs qemu-system-x86_64 (./setup test installs it)")
	}
}

func TestTheProbesGuestRuns(t *testing.T) {
	needQEMU(t)
	e, err := New(Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if why, err := e.probe(t.Context(), TCG); why != "" || err != nil {
		t.Errorf("probe in software = %q, %v, want it to succeed", why, err)
	}
	if why, err := e.probe(t.Context(), "qtest"); why == "" || err != nil { // an accelerator that executes nothing
		t.Errorf("probe with what runs no guest = %q, %v, want a reason", why, err)
	}
}

func TestTheProbesOutcomeIsKeptForABoot(t *testing.T) {
	needQEMU(t)
	if _, err := os.Stat("/dev/kvm"); err != nil {
		t.Skip("needs /dev/kvm, usable or not")
	}
	dir := t.TempDir()
	var first hypervisor.Info
	var firstTook time.Duration
	for i := range 2 {
		e, err := New(Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		info, err := e.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first, firstTook = info, time.Since(begun)
			continue
		}
		if info.Accelerator != first.Accelerator || strings.Join(info.Notes, "\n") != strings.Join(first.Notes, "\n") {
			t.Errorf("second Info %+v, want the first's %+v", info, first)
		}
		if took := time.Since(begun); took > time.Second && took > firstTook/2 {
			t.Errorf("second Info took %v, the first %v", took, firstTook)
		}
	}
	if first.Accelerator == TCG && !strings.Contains(strings.Join(first.Notes, "\n"), "TCG") {
		t.Errorf("notes %q do not say why it is not KVM", first.Notes)
	}
}

// TestNoGuestIsInRootsGroup holds wherever /dev/kvm is root's alone.
func TestNoGuestIsInRootsGroup(t *testing.T) {
	e := &Engine{cfg: Config{Accelerator: KVM}}
	if slices.Contains(e.groups(), 0) {
		t.Errorf("QEMU is in the groups %v, want never in root's", e.groups())
	}
}

func TestALogKeepsItsEnd(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{t.TempDir(), "/dev/shm"} { // one that can collapse a range, one that cannot
		f, err := os.CreateTemp(dir, "log-*")
		if err != nil {
			t.Skipf("needs %s: %v", dir, err)
		}
		defer os.Remove(f.Name())
		defer f.Close()
		writer, err := openLog(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		defer writer.Close()
		line := strings.Repeat("x", 63) + "\n"
		for range 4 {
			if _, err := writer.WriteString(strings.Repeat(line, 16<<10)); err != nil {
				t.Fatal(err)
			}
			if _, err := writer.WriteString("end"); err != nil {
				t.Fatal(err)
			}
			if err := keepTail(f.Name(), 1<<20, 2<<20); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(f.Name())
			if err != nil || len(b) > 2<<20 || !strings.HasSuffix(string(b), "x\nend") || strings.Contains(string(b), "\x00") {
				t.Errorf("in %s, log of %d bytes, %v", dir, len(b), err)
			}
		}
	}
}

func TestSlotsStayWhereTheyWere(t *testing.T) {
	t.Parallel()
	nic := func(ports ...string) (s hypervisor.Spec) {
		for _, p := range ports {
			s.NICs = append(s.NICs, hypervisor.NIC{PortID: p})
		}
		return s
	}
	slots, err := placeCards(nic("a", "b", "c"), nil)
	if err != nil || slots["a"] != slotNIC || slots["c"] != slotNIC+2 {
		t.Fatalf("placeCards = %v, %v", slots, err)
	}
	slots, err = placeCards(nic("d", "c"), slots)
	if err != nil || slots["c"] != slotNIC+2 || slots["d"] != slotNIC || len(slots) != 2 {
		t.Errorf("placeCards after a card went and another came = %v, %v", slots, err)
	}
	many := hypervisor.Spec{}
	for range slotNICs + 1 {
		many.NICs = append(many.NICs, hypervisor.NIC{PortID: strings.Repeat("p", len(many.NICs)+1)})
	}
	if _, err := placeCards(many, nil); err == nil {
		t.Errorf("placeCards of %d cards = nil, want an error: slots end at %d", slotNICs+1, slotNICs)
	}
	if slotNIC+slotNICs > 31 {
		t.Errorf("the last card's slot is %d, of 31 on a bus (31 itself is taken on q35)", slotNIC+slotNICs-1)
	}
}

func TestAGuestKeepsItsMachine(t *testing.T) {
	t.Parallel()
	d := (&Engine{dir: t.TempDir(), cfg: Config{Log: slog.New(slog.DiscardHandler)}}).newDomain("a")
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		`{"Spec":{"ID":"a"}}`: "pc", // from when that was the default, and was not written down
		`{"Spec":{"ID":"a","Extra":{"hw_machine_type":"pc-q35-7.2"}}}`: "pc-q35-7.2",
	} {
		if err := os.WriteFile(d.path(fileRecord), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := d.readRecord()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := machineOf(r.Spec); got != want || err != nil {
			t.Errorf("machine of record %s = %s, %v, want %s", text, got, err, want)
		}
	}
	facts := map[string]string{"hw_vif_model": "e1000"}
	s := onMachine(hypervisor.Spec{Extra: facts}, "pc-q35-6.2")
	if got, err := machineOf(onMachine(s, "pc")); got != "pc-q35-6.2" || err != nil || len(s.Extra) != 2 || len(facts) != 1 {
		t.Errorf("a spec that names its machine got %s, %v, of %v and %v", got, err, s.Extra, facts)
	}
}

func TestTheCommandLineNamesNoFile(t *testing.T) {
	needQEMU(t)
	t.Parallel()
	dir := t.TempDir()
	e, err := New(Config{Dir: dir, Accelerator: TCG})
	if err != nil {
		t.Fatal(err)
	}
	d := e.newDomain("5f1c0f3e-7f1e-4a86-9d83-0d1f4f2f6c01")
	if err := os.Mkdir(d.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	kernel := filepath.Join(t.TempDir(), "kernel")
	if err := os.WriteFile(kernel, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := hypervisor.Spec{ID: d.id, Name: "evil,name=x -monitor stdio", VCPUs: 2, MemoryMiB: 64, Root: hypervisor.Disk{Bytes: 1 << 20},
		Kernel: kernel, Ramdisk: kernel, Append: "root=/dev/vda console=ttyS0"}
	if err := d.makeDisks(s); err != nil {
		t.Fatal(err)
	}
	in, err := d.arguments(context.Background(), s, TCG, nil, nil, false)
	defer in.close()
	if err != nil {
		t.Fatal(err)
	}
	for i, arg := range in.args {
		if strings.Contains(arg, dir) && in.args[i-1] != "-L" || strings.Contains(arg, kernel) || strings.Contains(arg, "evil") {
			t.Errorf("argument %q names a file or repeats the user's words", arg)
		}
	}
	line := strings.ReplaceAll(strings.Join(in.args, "\n"), dir, "DIR")
	const golden = "testdata/command.golden"
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(golden, []byte(line+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || line+"\n" != string(want) {
		t.Errorf("command line, %v:\n%s\nwant (UPDATE_GOLDEN=1 rewrites it):\n%s", err, line, want)
	}
}

func TestAGuestAgentIsTold(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer string // to the second command
		fails  bool
	}{
		"an agent that does it":  {`{"return": {}}`, false},
		"an agent that refuses":  {`{"error": {"class": "GenericError", "desc": "no such user"}}`, true},
		"an agent that babbles":  {`hello`, true},
		"an agent that hangs up": {``, true},
	} {
		near, far := net.Pipe()
		told := make(chan string, 1)
		go func() {
			defer far.Close()
			lines := bufio.NewScanner(far)
			var ask struct {
				Execute   string
				Arguments struct {
					ID                 int64
					Username, Password string
				}
			}
			lines.Scan()
			_ = json.Unmarshal(lines.Bytes(), &ask)
			_, _ = fmt.Fprintf(far, "{\"return\": 1}\n{\"return\": %d}\n", ask.Arguments.ID) // an answer to somebody else first
			lines.Scan()
			_ = json.Unmarshal(lines.Bytes(), &ask)
			told <- ask.Execute + " " + ask.Arguments.Username + " " + ask.Arguments.Password
			if c.answer != "" {
				_, _ = fmt.Fprintln(far, c.answer)
			}
		}()
		err := setPassword(near, "root", "s3cret")
		if (err != nil) != c.fails {
			t.Errorf("setPassword with %s = %v", name, err)
		}
		if got := <-told; got != "guest-set-user-password root czNjcmV0" {
			t.Errorf("setPassword told %s %q", name, got)
		}
		near.Close()
	}
}

func FuzzAgentAnswer(f *testing.F) {
	for _, s := range []string{`{"return": 12}`, `{"error": {"class": "GenericError", "desc": "no"}}`, `{}`, `null`, `{"return": {}`, "\xff{}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		if got, err := parseAgent(line); err != nil && got != nil {
			t.Errorf("parseAgent(%q) = %q and %v", line, got, err)
		}
	})
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"Spec":{"ID":"a","VCPUs":1},"Wanted":"running"}`))
	f.Add([]byte(`{"Spec":{"ID":"b"}}`))
	f.Add([]byte(`[]`))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte) {
		d := (&Engine{dir: dir, cfg: Config{Log: slog.New(slog.DiscardHandler)}}).newDomain("a")
		if err := os.MkdirAll(d.dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(d.path(fileRecord), b, 0o600); err != nil {
			t.Fatal(err)
		}
		if r, err := d.readRecord(); err == nil && r.Spec.ID != "a" {
			t.Errorf("readRecord(%q) = %+v", b, r)
		}
	})
}
