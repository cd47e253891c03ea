package bench

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// program gives the executable that is tested, or builds it.
func program(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("KAMADO_BIN"); path != "" {
		return path
	}
	path := filepath.Join(t.TempDir(), "kamado")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", path, "./cmd/kamado")
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the program: %v\n%s", err, out)
	}
	return path
}

// fakeRows are the rows of the groups that need no guest, with the numbers that
// TestFake asks for.
var fakeRows = []string{
	"start/idle memory (PSS)", "start/idle processes", "start/idle CPU", "start/nothing to a usable API",
	"start/nothing to ready, with the machine image", "start/password token, first after a start", "start/password token, again", "api/show a server", "api/detail list of 20", "api/POST of a server", "api/create to ACTIVE, fake",
	"pages/making 120 servers", "pages/memory with 120 servers (PSS)", "pages/first page of 30, in detail", "pages/middle page of 30, in detail",
	"pages/last page of 30, in detail", "pages/middle page of 30, names", "pages/memory right after those pages (PSS)",
	"schedule/servers scheduled, one a request", "schedule/servers active, one a request", "schedule/POST, one a request",
	"schedule/servers scheduled, 20 a request", "schedule/servers active, 20 a request", "schedule/POST, 20 a request",
	"schedule/hosts that gave out too much", "schedule/room that was left unused",
}

// TestFake runs every group that needs no guest, in small numbers: it wants each
// row, none of them empty, and nothing left behind. It judges no time.
func TestFake(t *testing.T) {
	c := Default()
	c.Program = program(t)
	parts, err := filepath.Abs("../../bin/guest")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(parts, "manifest.json")); err != nil {
		t.Skip("needs the parts of the machine image (./setup build gathers them)")
	}
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	c.Parts, c.Only = parts, []string{GroupStart, GroupAPI, GroupPages, GroupSchedule}
	c.Rounds, c.Requests, c.Servers, c.Hosts, c.Schedule, c.Clients, c.Rest = 1, 10, 120, 5, 40, 8, 100*time.Millisecond
	report, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, row := range report.Rows {
		got = append(got, row.Group+"/"+row.Name)
		if strings.Contains(row.Name, "too much") || strings.Contains(row.Name, "unused") {
			if row.Value != 0 {
				t.Errorf("%s: %v, want 0: %s", row.Name, row.Value, row.Detail)
			}
		} else if row.Value <= 0 && row.Name != "idle CPU" {
			t.Errorf("%s: %v", row.Name, row.Value)
		}
	}
	if !slices.Equal(got, fakeRows) {
		t.Errorf("rows:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(fakeRows, "\n"))
	}
	if left := processesNaming("", tmp); len(left) > 0 {
		t.Errorf("processes %v still run", left)
	}
	if left, _ := os.ReadDir(tmp); len(left) > 0 {
		t.Errorf("%v was left behind", left)
	}
	if head, rows := report.Table(); len(rows) != len(fakeRows) || len(rows[0]) != len(head) {
		t.Errorf("a table of %d rows, with %d columns below %d", len(rows), len(rows[0]), len(head))
	}
}

// guestCPUMax is what the CPU that a guest takes until it can be logged in to may
// be of bare QEMU's in a test, which has no machine to itself. A guest on the
// machine pc takes more.
const guestCPUMax = 1.2

// TestGuests boots guests on either side, and finds one again.
func TestGuests(t *testing.T) {
	if os.Getenv("KAMADO_TEST_ALL") == "" {
		t.Skip("long: ./setup test --all runs it")
	}
	c := Default()
	c.Program, c.Only, c.Rounds, c.Guests = program(t), []string{GroupGuest, GroupAdopt}, 5, 1
	c.Parts, _ = filepath.Abs("../../bin/guest")
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	before, _ := os.ReadDir(namespaces)
	report, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Skipped) > 0 {
		t.Skipf("this machine lacks something: %v", report.Skipped)
	}
	if len(report.Rows) != len(milestones)+2 {
		t.Errorf("rows: %+v", report.Rows)
	}
	for _, row := range report.Rows {
		if row.Value <= 0 {
			t.Errorf("%s: %v", row.Name, row.Value)
		}
		t.Logf("%s: %.2f %s, %s", row.Name, row.Value, row.Unit, row.Detail)
		if strings.HasPrefix(row.Name, "CPU of QEMU") && row.Value > guestCPUMax {
			t.Errorf("%s: %.2f, want at most %.2f", row.Name, row.Value, guestCPUMax)
		}
	}
	if left := processesNaming("", tmp); len(left) > 0 {
		t.Errorf("processes %v still run", left)
	}
	if after, _ := os.ReadDir(namespaces); len(after) > len(before) {
		t.Errorf("%d namespaces before, %d after", len(before), len(after))
	}
}

func TestSpread(t *testing.T) {
	var values []float64
	for i := range 200 {
		values = append(values, float64(200-i))
	}
	r := spread("g", "n", "ms", values)
	if r.Value != 100.5 || *r.Min != 1 || *r.Max != 200 || *r.P99 != 199 || r.Count != 200 {
		t.Errorf("spread = %+v", r)
	}
	if r := spread("g", "n", "ms", []float64{3, 1, 2}); r.Value != 2 || r.P99 != nil {
		t.Errorf("spread of three = %+v", r)
	}
	if r := spread("g", "n", "ms", nil); r.Value != 0 || r.Count != 0 {
		t.Errorf("spread of none = %+v", r)
	}
}

func TestMet(t *testing.T) {
	p99 := 60.0
	for _, c := range []struct {
		name string
		row  Row
		want bool
	}{
		{"no target", Row{Value: 5}, true},
		{"at most", Row{Value: 5}.atMost(5), true},
		{"over", Row{Value: 5.1}.atMost(5), false},
		{"at least", Row{Value: 5}.atLeast(5), true},
		{"under", Row{Value: 4.9}.atLeast(5), false},
		{"median good, tail bad", Row{Value: 5, P99: &p99}.atMost(20).atMostP99(50), false},
		{"both good", Row{Value: 5, P99: &p99}.atMost(20).atMostP99(60), true},
	} {
		if got := c.row.Met(); got != c.want {
			t.Errorf("%s: Met = %t", c.name, got)
		}
	}
}

func TestValidateComplainsOfAll(t *testing.T) {
	c := Default()
	c.Only, c.Rounds, c.Clients, c.Timeout = []string{"nothing"}, 0, 0, 0
	err := c.Validate()
	for _, want := range []string{"no program", `"nothing" is none of`, "rounds 0", "clients 0", "timeout"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Validate = %v, want %q in it", err, want)
		}
	}
	c = Default()
	c.Program = "kamado"
	if err := c.Validate(); err != nil {
		t.Errorf("the default is refused: %v", err)
	}
}

func TestClientOfClouds(t *testing.T) {
	const clouds = "clouds:\n  kamado:\n    auth:\n      auth_url: http://x/identity/v3\n      username: kamado\n      password: ONE\n      project_name: kamado\n" +
		"  kamado-admin:\n    auth:\n      username: admin\n      password: TWO\n      project_name: admin\n"
	for entry, want := range map[string]string{"kamado": "kamado ONE kamado", "kamado-admin": "admin TWO admin"} {
		c, err := newClient("http://x", []byte(clouds), entry, 1)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.user + " " + c.password + " " + c.project; got != want {
			t.Errorf("%s: %s, want %s", entry, got, want)
		}
	}
	if _, err := newClient("http://x", []byte(clouds), "other", 1); err == nil {
		t.Error("an entry that is not there is found")
	}
}

// frame makes an Ethernet frame with an IPv4 packet.
func frame(protocol byte, src, dst [4]byte, payload []byte) []byte {
	b := make([]byte, 34, 34+len(payload))
	binary.BigEndian.PutUint16(b[12:], 0x0800)
	b[14], b[23] = 0x45, protocol
	binary.BigEndian.PutUint16(b[16:], uint16(20+len(payload)))
	copy(b[26:], src[:])
	copy(b[30:], dst[:])
	return append(b, payload...)
}

func TestPackets(t *testing.T) {
	service, guest := [4]byte{169, 254, 169, 254}, [4]byte{10, 0, 0, 2}
	tcp := func(port uint16, text string) []byte {
		b := make([]byte, 20)
		binary.BigEndian.PutUint16(b, port)
		b[12] = 5 << 4
		return append(b, text...)
	}
	for _, c := range []struct {
		text string
		port uint16
		want bool
	}{
		{"HTTP/1.1 200 OK\r\n", 80, true}, {"HTTP/1.0 200 OK\r\n", 80, true}, {"HTTP/1.1 404 Not Found\r\n", 80, false},
		{"GET / HTTP/1.1 200", 80, false}, {"HTTP/1.1 200 OK\r\n", 8080, false}, {"", 80, false}, {"HTTP", 80, false},
	} {
		protocol, ip, payload := datagram(frame(6, service, guest, tcp(c.port, c.text)))
		if protocol != 6 || !ip.src().Equal(metadataIP) || ip.dst().String() != "10.0.0.2" {
			t.Fatalf("datagram: %d from %s to %s", protocol, ip.src(), ip.dst())
		}
		if got := answers(payload); got != c.want {
			t.Errorf("answers(%q from %d) = %t", c.text, c.port, got)
		}
	}
	whole := frame(17, guest, service, make([]byte, 30))
	for n := range whole {
		if protocol, _, _ := datagram(whole[:n]); protocol != 0 {
			t.Errorf("%d of %d bytes are a datagram", n, len(whole))
		}
	}
}

func TestMemoryAndCPUOfThisProcess(t *testing.T) {
	pss, processes, err := memoryOf(os.Getpid())
	if err != nil || pss < 1<<20 || processes < 1 {
		t.Errorf("memoryOf = %d, %d, %v", pss, processes, err)
	}
	before, err := cpuOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		if after, err := cpuOf(os.Getpid()); err == nil && after > before {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the clock stands still: " + fmt.Sprint(before))
		}
	}
}
