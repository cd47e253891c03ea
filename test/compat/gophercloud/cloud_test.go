package gophercloud_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/config"
	"github.com/gophercloud/gophercloud/v2/openstack/config/clouds"
)

// readyTimeout ends a start; pollInterval is how often it is looked at.
const (
	readyTimeout = time.Minute
	pollInterval = 100 * time.Millisecond
)

// newCloud starts the program and gives its clouds.yaml.
func newCloud(t *testing.T) string {
	t.Helper()
	program, parts := built(t)
	if _, err := os.Stat(filepath.Join(parts, "manifest.json")); err != nil {
		t.Skip("needs bin/guest, the parts of the machine image tiny (./setup build makes them)")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	data := filepath.Join(t.TempDir(), "cloud")
	cmd := exec.Command(program, "compute", "serve", "--http", address, "--data", data, "--hypervisor", "fake")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "KAMADO_GUEST_PARTS=" + parts}
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // ended by the signal
	})
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for deadline := time.Now().Add(readyTimeout); ; <-tick.C {
		resp, err := http.Get("http://" + address + "/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return filepath.Join(data, "clouds.yaml")
			}
			err = fmt.Errorf("it answers %s", resp.Status)
		}
		if time.Now().After(deadline) {
			t.Fatalf("not ready within %s: %v", readyTimeout, err)
		}
	}
}

// built gives the program that KAMADO_BIN names, or builds it; and the parts
// of tiny, which ./setup build leaves beside it.
func built(t *testing.T) (program, parts string) {
	t.Helper()
	if program = os.Getenv("KAMADO_BIN"); program != "" {
		return program, filepath.Join(filepath.Dir(program), "guest")
	}
	root, err := filepath.Abs(filepath.Join("..", "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	program = filepath.Join(t.TempDir(), "kamado")
	cmd := exec.Command("go", "build", "-trimpath", "-o", program, "./cmd/kamado")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build kamado: %v\n%s", err, out)
	}
	return program, filepath.Join(root, "bin", "guest")
}

// services are the library's clients for one login.
type services struct {
	identity, compute, image, network *gophercloud.ServiceClient
}

// login logs in as an entry of clouds.yaml.
func login(t *testing.T, file, name string) services {
	t.Helper()
	auth, endpoint, tls, err := clouds.Parse(clouds.WithCloudName(name), clouds.WithLocations(file))
	if err != nil {
		t.Fatal(err)
	}
	provider, err := config.NewProviderClient(t.Context(), auth, config.WithTLSConfig(tls))
	if err != nil {
		t.Fatal(err)
	}
	var s services
	for _, c := range []struct {
		to   **gophercloud.ServiceClient
		open func(*gophercloud.ProviderClient, gophercloud.EndpointOpts) (*gophercloud.ServiceClient, error)
	}{{&s.identity, openstack.NewIdentityV3}, {&s.compute, openstack.NewComputeV2}, {&s.image, openstack.NewImageV2}, {&s.network, openstack.NewNetworkV2}} {
		if *c.to, err = c.open(provider, endpoint); err != nil {
			t.Fatal(err)
		}
	}
	return s
}
