package hypervisortest

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/kamado/kamado/compute/disk"
	"github.com/kamado/kamado/compute/hypervisor"
)

func testAdopt(b *bench) {
	s := b.spec(domainID)
	b.create(s)
	was := b.is(domainID, hypervisor.Running)
	b.reopen()
	same := func(want hypervisor.State) {
		b.t.Helper()
		if now := b.is(domainID, want); now.Pid != was.Pid {
			b.t.Errorf("adopted process is %d, want %d", now.Pid, was.Pid)
		}
	}
	same(hypervisor.Running)
	b.must(b.e.Pause(b.ctx(), domainID))
	b.reopen()
	same(hypervisor.Paused)
	b.must(b.e.Unpause(b.ctx(), domainID))
	b.sub.Happen(b.t, b.e, domainID, hypervisor.ReasonReset)
	b.event(hypervisor.ReasonReset, hypervisor.Running)
	b.prompt(domainID, 2)
	b.must(b.e.Suspend(b.ctx(), domainID))
	b.reopen()
	b.is(domainID, hypervisor.Suspended)
	b.must(b.e.Start(b.ctx(), s))
	b.is(domainID, hypervisor.Running)
	b.must(b.e.Stop(b.ctx(), domainID, 0))
	b.reopen()
	b.is(domainID, hypervisor.Off)
	b.must(b.e.Destroy(b.ctx(), domainID))
	b.reopen()
	if _, there := b.domain(domainID); there {
		b.t.Error("a destroyed domain was adopted")
	}
}

// whole checks that file is a qcow2 disk of that size which needs no other file.
func (b *bench) whole(file string, size int64) {
	b.t.Helper()
	f, err := os.Open(file)
	b.must(err)
	defer f.Close()
	st, err := f.Stat()
	b.must(err)
	info, err := disk.Inspect(f, st.Size(), disk.FormatQcow2)
	b.must(err)
	if info.VirtualSize != size {
		b.t.Errorf("snapshot is a disk of %d bytes, want %d", info.VirtualSize, size)
	}
}

func testSnapshot(b *bench) {
	s := b.spec(domainID)
	b.create(s)
	running, off := filepath.Join(b.t.TempDir(), "running"), filepath.Join(b.t.TempDir(), "off")
	b.must(b.e.Snapshot(b.ctx(), domainID, running))
	b.whole(running, s.Root.Bytes)
	b.is(domainID, hypervisor.Running)
	b.must(b.e.Snapshot(b.ctx(), domainID, running)) // over what is there
	b.must(b.e.Stop(b.ctx(), domainID, 0))
	b.must(b.e.Snapshot(b.ctx(), domainID, off))
	b.whole(off, s.Root.Bytes)
	b.is(domainID, hypervisor.Off)
	if !b.sub.Processes {
		return
	}
	for i, file := range []string{running, off} { // what was snapshot boots
		copied := s
		copied.ID = []string{"from-running", "from-off"}[i]
		copied.Root = hypervisor.Disk{Base: file, BaseFormat: "qcow2"}
		b.create(copied)
	}
}

func testRebuild(b *bench) {
	s := b.spec(domainID)
	b.create(s)
	b.must(b.e.Suspend(b.ctx(), domainID))
	b.must(b.e.Rebuild(b.ctx(), s))
	b.is(domainID, hypervisor.Running)
	b.prompt(domainID, 1)
	log, err := b.e.Console(b.ctx(), domainID, 0)
	if err != nil || strings.Count(string(log), "login: ") != 1 {
		b.t.Errorf("console after a rebuild = %q, %v, want one boot", log, err)
	}
	bad := s
	bad.Root.Base = filepath.Join(b.dir, "missing")
	if err := b.e.Rebuild(b.ctx(), bad); !errors.Is(err, hypervisor.ErrNoImage) {
		b.t.Errorf("Rebuild from a base that is missing = %v, want ErrNoImage", err)
	}
	b.is(domainID, hypervisor.Running)
}

func testRescue(b *bench) {
	s := b.spec(domainID)
	b.create(s)
	for range 2 {
		b.must(b.e.Stop(b.ctx(), domainID, 0))
		rescue := s
		rescue.Rescue = &s.Root
		b.must(b.e.Start(b.ctx(), rescue))
		b.is(domainID, hypervisor.Running)
		if d, err := b.e.Diagnostics(b.ctx(), domainID); b.sub.Processes && (err != nil || len(d.Disks) != 2) {
			b.t.Errorf("Diagnostics of a rescued domain = %+v, %v, want two disks", d, err)
		}
		b.must(b.e.Stop(b.ctx(), domainID, 0))
		b.must(b.e.Start(b.ctx(), s))
		b.is(domainID, hypervisor.Running)
	}
	b.prompt(domainID, 2)
}

func testGrow(b *bench) {
	s := b.spec(domainID)
	b.create(s)
	for _, bytes := range []int64{32 << 20, 16 << 20} {
		b.must(b.e.Stop(b.ctx(), domainID, 0))
		s.Root.Bytes = bytes
		b.must(b.e.Start(b.ctx(), s))
		file := filepath.Join(b.t.TempDir(), "grown")
		b.must(b.e.Snapshot(b.ctx(), domainID, file))
		b.whole(file, 32<<20)
	}
}

func testCards(b *bench) {
	s := b.spec(domainID)
	s.NICs = []hypervisor.NIC{b.sub.NIC("p0")}
	b.create(s)
	b.must(b.e.AttachNIC(b.ctx(), domainID, b.sub.NIC("p1")))
	b.must(b.e.AttachNIC(b.ctx(), domainID, b.sub.NIC("p1")))
	b.reopen()
	b.must(b.e.AttachNIC(b.ctx(), domainID, b.sub.NIC("p1")))
	b.must(b.e.Pause(b.ctx(), domainID)) // it would not let go of the card anyway
	b.must(b.e.DetachNIC(b.ctx(), domainID, "p1"))
	b.must(b.e.DetachNIC(b.ctx(), domainID, "p1"))
	b.must(b.e.DetachNIC(b.ctx(), domainID, "p0"))
	if err := b.e.AttachNIC(b.ctx(), domainID, hypervisor.NIC{PortID: "p2", MAC: "no"}); !errors.Is(err, hypervisor.ErrSpec) {
		b.t.Errorf("AttachNIC with a bad address = %v, want ErrSpec", err)
	}
	b.must(b.e.Stop(b.ctx(), domainID, 0))
	s.NICs = append(s.NICs, b.sub.NIC("p1"))
	b.must(b.e.Start(b.ctx(), s))
	b.is(domainID, hypervisor.Running)
}

func testLook(b *bench) {
	s := b.spec(domainID)
	b.create(s)
	screen, err := b.e.VNC(b.ctx(), domainID)
	b.must(err)
	defer screen.Close()
	hello := make([]byte, 12)
	if _, err := io.ReadFull(screen, hello); err != nil || string(hello) != "RFB 003.008\n" {
		b.t.Errorf("display says %q, %v, want RFB 003.008", hello, err)
	}
	width, height := b.screen(screen)
	if width < 100 || height < 100 {
		b.t.Errorf("display of %d by %d", width, height)
	}
	for range 2 { // the second takes the place of the first
		line, err := b.e.Serial(b.ctx(), domainID)
		b.must(err)
		defer line.Close()
		go func() { _, _ = line.Write([]byte("x")) }()
		got := make([]byte, 256)
		for seen := ""; !strings.HasSuffix(seen, "x"); {
			n, err := line.Read(got)
			b.must(err)
			seen += string(got[:n])
		}
	}
	d, err := b.e.Diagnostics(b.ctx(), domainID)
	if err != nil || d.State != hypervisor.Running || len(d.CPU) != 1 || d.MemoryMiB != 64 || len(d.Disks) != 1 || d.RSSBytes == 0 {
		b.t.Errorf("Diagnostics = %+v, %v, want them complete", d, err)
	}
	log, err := b.e.Console(b.ctx(), domainID, 2)
	if err != nil || strings.Count(string(log), "\n") != 1 {
		b.t.Errorf("two lines of the console = %q, %v", log, err)
	}
}

// screen goes through the handshake of RFB (RFC 6143 §7.1 to §7.3) and gives the
// screen's size.
func (b *bench) screen(c io.ReadWriter) (width, height int) {
	b.t.Helper()
	read := func(n int) []byte {
		b.t.Helper()
		buf := make([]byte, n)
		_, err := io.ReadFull(c, buf)
		b.must(err)
		return buf
	}
	write := func(s string) { b.t.Helper(); _, err := io.WriteString(c, s); b.must(err) }
	write("RFB 003.008\n")
	if types := read(int(read(1)[0])); !strings.Contains(string(types), "\x01") {
		b.t.Fatalf("security types %v, want none (1)", types)
	}
	write("\x01")
	if result := binary.BigEndian.Uint32(read(4)); result != 0 {
		b.t.Fatalf("security result %d", result)
	}
	write("\x01")
	hello := read(24)
	return int(binary.BigEndian.Uint16(hello)), int(binary.BigEndian.Uint16(hello[2:]))
}

func testSuspend(b *bench) {
	s := b.spec(domainID)
	s.NICs = []hypervisor.NIC{b.sub.NIC("p0")}
	b.create(s)
	b.must(b.e.AttachNIC(b.ctx(), domainID, b.sub.NIC("p1")))
	b.must(b.e.Suspend(b.ctx(), domainID))
	before, err := b.e.Console(b.ctx(), domainID, 0)
	b.must(err)
	s.NICs = append(s.NICs, b.sub.NIC("p1"))
	b.must(b.e.Start(b.ctx(), s))
	b.is(domainID, hypervisor.Running)
	after, err := b.e.Console(b.ctx(), domainID, 0)
	b.must(err)
	if b.sub.Processes && len(after) != len(before) {
		b.t.Errorf("a guest that went on wrote %q: it booted", after[len(before):])
	}
	b.sub.Happen(b.t, b.e, domainID, hypervisor.ReasonShutdown) // it is alive
	b.event(hypervisor.ReasonShutdown, hypervisor.Off)
}
