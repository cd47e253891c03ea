package netns

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kamado/kamado/compute/network"
)

// inside says to a test process that it is the one in namespaces of its own.
const inside = "KAMADO_TEST_INSIDE"

// applies says to a test process that it applies a state in a directory, and
// nothing else: to be killed by TestKillAtAnyPoint.
const applies = "KAMADO_TEST_APPLIES"

// TestMain runs the tests of this package, as root, in a network and a mount
// namespace of their own: what they call the host is theirs, and whatever they
// leave goes with the process.
func TestMain(m *testing.M) {
	if dir := os.Getenv(applies); dir != "" {
		e, err := New(network.Config{Dir: dir})
		if err == nil {
			err = e.Apply(context.Background(), twoNetworks())
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if os.Geteuid() != 0 || os.Getenv(inside) != "" {
		if os.Getenv(inside) != "" {
			if err := settle(); err != nil {
				fmt.Fprintln(os.Stderr, "settle in namespaces:", err)
				os.Exit(1)
			}
		}
		os.Exit(m.Run())
	}
	cmd := exec.Command(os.Args[0], os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		os.Exit(exit.ExitCode())
	case errors.Is(err, unix.EPERM): // root without the right to make namespaces: the tests skip themselves
		os.Exit(m.Run())
	case err != nil:
		fmt.Fprintln(os.Stderr, "tests in namespaces of their own:", err)
		os.Exit(1)
	}
}

// settle makes a place for named namespaces that nobody else sees.
func settle() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := os.MkdirAll(namedDir, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", namedDir, "tmpfs", 0, ""); err != nil {
		return err
	}
	host, err := openHost()
	if err != nil {
		return err
	}
	defer host.Close()
	return host.LinkSetUp(host.linkByName("lo"))
}

// needsRoot skips a test that cannot have namespaces.
func needsRoot(t *testing.T) {
	t.Helper()
	if os.Getenv(inside) == "" {
		t.Skip("needs root and the right to make network namespaces")
	}
}
