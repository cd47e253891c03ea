package cloud

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// root is the checkout, seen from the packages that use this one: two levels
// below test.
const root = "../../.."

// inside says to a test process that it is the one in namespaces of its own.
const inside = "KAMADO_TEST_INSIDE"

// Program is the built program, from Main on.
var Program string

// parts is the folder of what the machine image tiny is made of.
var parts string

// Main is what a TestMain calls: it builds the program once, and as root runs
// the tests in a network and a mount namespace of their own. It gives what the
// process has to end with.
func Main(m *testing.M) int {
	if os.Getenv(inside) == "" {
		return outside(m)
	}
	if err := settle(); err != nil {
		fmt.Fprintln(os.Stderr, "settle in namespaces:", err)
		return 1
	}
	Program, parts = os.Getenv("KAMADO_BIN"), os.Getenv("KAMADO_GUEST_PARTS")
	return m.Run()
}

// Isolated says whether the tests run as root in namespaces of their own.
func Isolated() bool { return os.Getenv(inside) != "" }

func outside(m *testing.M) int {
	dir, err := os.MkdirTemp("", "kamado-test-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if os.Geteuid() != 0 {
		return m.Run()
	}
	cmd := exec.Command(os.Args[0], os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"=1", "KAMADO_BIN="+Program, "KAMADO_GUEST_PARTS="+parts)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return exit.ExitCode()
	case errors.Is(err, unix.EPERM): // root without the right to make namespaces
		return m.Run()
	case err != nil:
		fmt.Fprintln(os.Stderr, "tests in namespaces of their own:", err)
		return 1
	}
	return 0
}

// build takes the program that KAMADO_BIN names, or builds it; and finds the
// parts of tiny, which ./setup build leaves beside it.
func build(dir string) error {
	var err error
	if parts, err = filepath.Abs(filepath.Join(root, "bin", "guest")); err != nil {
		return err
	}
	if Program = os.Getenv("KAMADO_BIN"); Program != "" {
		parts = filepath.Join(filepath.Dir(Program), "guest")
		return nil
	}
	if err := os.Chmod(dir, 0o755); err != nil { // for tests that run it as another user
		return err
	}
	Program = filepath.Join(dir, "kamado")
	cmd := exec.Command("go", "build", "-trimpath", "-o", Program, "github.com/kamado/kamado/cmd/kamado")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build kamado: %w\n%s", err, out)
	}
	return nil
}

// settle makes the namespaces usable: a loopback that is up, and a place for
// named network namespaces that nobody else sees.
func settle() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := os.MkdirAll("/run/netns", 0o755); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", "/run/netns", "tmpfs", 0, ""); err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}
