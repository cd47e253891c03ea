package qemu_test

import (
	"log/slog"
	"testing"

	"github.com/kamado/kamado/compute/hypervisor"
	"github.com/kamado/kamado/compute/hypervisor/hypervisortest"
	"github.com/kamado/kamado/compute/hypervisor/qemu"
)

func open(t testing.TB, dir string) *qemu.Engine {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	e, err := qemu.New(qemu.Config{Dir: dir, Accelerator: qemu.TCG, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestQEMU(t *testing.T) {
	needQEMU(t)
	hypervisortest.Run(t, hypervisortest.Subject{
		New: func(t *testing.T, dir string) hypervisor.Engine { return open(t, dir) },
		Root: func(t *testing.T) hypervisor.Disk {
			return hypervisor.Disk{Base: writeBootSector(t), BaseFormat: "raw"}
		},
		Happen: func(t *testing.T, e hypervisor.Engine, id, reason string) {
			t.Helper()
			line, err := e.Serial(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { line.Close() }) // not before the guest has read
			key := map[string]string{hypervisor.ReasonShutdown: "p", hypervisor.ReasonReset: "r"}[reason]
			if _, err := line.Write([]byte(key)); err != nil {
				t.Fatal(err)
			}
		},
		Processes: true,
		NIC: func(port string) hypervisor.NIC {
			return hypervisor.NIC{PortID: port, MAC: "fa:16:3e:00:00:0" + port[1:], User: &hypervisor.UserNet{CIDR: "10.9.0.0/24"}}
		},
	})
}
