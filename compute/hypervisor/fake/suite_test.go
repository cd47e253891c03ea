package fake_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/kamado/kamado/compute/hypervisor"
	"github.com/kamado/kamado/compute/hypervisor/fake"
	"github.com/kamado/kamado/compute/hypervisor/hypervisortest"
)

func TestFake(t *testing.T) {
	t.Parallel()
	hypervisortest.Run(t, hypervisortest.Subject{
		New: func(_ *testing.T, dir string) hypervisor.Engine { return fake.New(fake.Config{Dir: dir}) },
		Root: func(t *testing.T) hypervisor.Disk {
			file := filepath.Join(t.TempDir(), "root")
			if err := os.WriteFile(file, make([]byte, 1<<20), 0o600); err != nil {
				t.Fatal(err)
			}
			return hypervisor.Disk{Base: file, BaseFormat: "raw"}
		},
		Happen: func(t *testing.T, e hypervisor.Engine, id, reason string) {
			t.Helper()
			if err := e.(*fake.Engine).Happen(id, reason); err != nil {
				t.Fatal(err)
			}
		},
		NIC: func(port string) hypervisor.NIC {
			return hypervisor.NIC{PortID: port, MAC: "fa:16:3e:00:00:01"}
		},
	})
}
