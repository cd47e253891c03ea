package qemu_test

import (
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/kamado/kamado/compute/hypervisor"
)

// bootSector is a guest of one sector, 16-bit code at 0x7c00: it enables the
// power button (PM1a at 0x600 of both machines), writes a prompt to the first
// serial port, and then, 18 times a second, powers off when the button was
// pressed and takes what came in by the serial port: 'p' powers off, 'r' resets,
// anything else is echoed.
const bootSector = "fafc31c08ed88ed0bc007cba0206b80001efbe517cbaf803ac84c07403eeebf8fbf4ba0006edf6c4017517bafd03eca80174edbaf803ec3c70" +
	"74073c72740ceeebe9ba0406b80020efebd5b0fee664ebcf626f6f7420736563746f723a2068656c6c6f0d0a0d0a6775657374206c6f67696e3a2000"

// writeBootSector makes a disk of 1 MiB that boots it.
func writeBootSector(t testing.TB) string {
	t.Helper()
	b, err := hex.DecodeString(bootSector)
	if err != nil {
		t.Fatal(err)
	}
	image := make([]byte, 1<<20)
	copy(image, b)
	image[510], image[511] = 0x55, 0xaa
	name := filepath.Join(t.TempDir(), "boot.raw")
	if err := os.WriteFile(name, image, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func needQEMU(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		t.Skip("needs qemu-system-x86_64 (./setup test installs it)")
	}
}

// spec is a small domain that boots the boot sector.
func spec(t testing.TB, id string) hypervisor.Spec {
	return hypervisor.Spec{ID: id, Name: "guest", VCPUs: 1, MemoryMiB: 32,
		Root: hypervisor.Disk{Base: writeBootSector(t), BaseFormat: "raw", Bytes: 8 << 20}}
}
