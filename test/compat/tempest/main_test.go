package tempest_test

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

// root is the checkout, seen from here.
const root = "../../.."

// inside says to a test process that it is the one in namespaces of its own.
const inside = "KAMADO_TEST_INSIDE"

// program is the built program; parts what the machine image tiny is made of.
var program, parts string

// TestMain builds the program once. As root it then runs the tests in a
// network and a mount namespace of their own.
func TestMain(m *testing.M) {
	if os.Getenv(inside) == "" {
		os.Exit(outside(m))
	}
	if err := settle(); err != nil {
		fmt.Fprintln(os.Stderr, "settle in namespaces:", err)
		os.Exit(1)
	}
	program, parts = os.Getenv("KAMADO_BIN"), os.Getenv("KAMADO_GUEST_PARTS")
	os.Exit(m.Run())
}

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
	cmd.Env = append(os.Environ(), inside+"=1", "KAMADO_BIN="+program, "KAMADO_GUEST_PARTS="+parts)
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
	if program = os.Getenv("KAMADO_BIN"); program != "" {
		parts = filepath.Join(filepath.Dir(program), "guest")
		return nil
	}
	if err := os.Chmod(dir, 0o755); err != nil { // for tests that run it as another user
		return err
	}
	program = filepath.Join(dir, "kamado")
	cmd := exec.Command("go", "build", "-o", program, "github.com/kamado/kamado/cmd/kamado")
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
