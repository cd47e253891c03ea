package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/control"
	"github.com/kamado/kamado/compute/fabric"
	"github.com/kamado/kamado/compute/hypervisor"
	fakehypervisor "github.com/kamado/kamado/compute/hypervisor/fake"
	"github.com/kamado/kamado/compute/hypervisor/qemu"
	"github.com/kamado/kamado/compute/metadata"
	"github.com/kamado/kamado/compute/network"
	fakenetwork "github.com/kamado/kamado/compute/network/fake"
	"github.com/kamado/kamado/compute/network/netns"
	"github.com/kamado/kamado/compute/network/usermode"
	"github.com/kamado/kamado/compute/schedule"
	"github.com/kamado/kamado/compute/vnc"
	"github.com/kamado/kamado/internal/unit"
)

// qemuProgram is what a host needs to run instances.
const qemuProgram = "qemu-system-x86_64"

// realInstances says whether instances run, or only seem to. Auto is settled
// here once.
func (s *Server) realInstances() (bool, error) {
	_, err := exec.LookPath(qemuProgram)
	switch s.cfg.Hypervisor {
	case compute.HypervisorFake:
		return false, nil
	case compute.HypervisorQEMU:
		if err != nil {
			return false, fmt.Errorf("hypervisor qemu needs %s, which is not on PATH: install qemu-system-x86, or take --hypervisor fake", qemuProgram)
		}
		return true, nil
	}
	if err != nil {
		s.notes = append(s.notes, fmt.Sprintf("instances only seem to run, because %s is not on PATH (--hypervisor fake): apt-get install qemu-system-x86", qemuProgram))
	}
	return err == nil, nil
}

// openNetwork picks how networks are made, and the range of floating addresses
// that suits it.
func (s *Server) openNetwork(ctx context.Context) error {
	real, err := s.realInstances()
	if err != nil {
		return err
	}
	cfg := fabric.DefaultConfig()
	cfg.FixedRange, cfg.Zone = s.cfg.FixedRange, s.cfg.Zone
	cfg.DHCP = s.cfg.NetworkManager == compute.NetworkFlatDHCP
	s.fabric = fabric.New(s.store, cfg, s.deps.Log, time.Now)
	s.metadata = metadata.New(s.store, s.deps.Log)
	pool, err := s.pickNetwork(ctx, real)
	if err != nil {
		return err
	}
	s.notes = append(s.notes, s.network.Limits()...)
	if real && !s.userMode {
		s.notes = append(s.notes, fmt.Sprintf("this machine reaches instances, they no service of it; to let them out through it: sysctl -w net.ipv4.ip_forward=1; "+
			"nft 'table ip kamado-out { chain post { type nat hook postrouting priority 100; ip saddr %s masquerade; }; }'", pool))
	}
	ext, err := external(pool)
	if err != nil {
		return err
	}
	return s.fabric.Bootstrap(ctx, s.first.adminProject, ext)
}

// pickNetwork picks how networks are made, and gives the range of floating
// addresses that suits it.
func (s *Server) pickNetwork(ctx context.Context, real bool) (pool string, err error) {
	if !real {
		s.network = fakenetwork.New()
		return s.cfg.FloatingRange, nil
	}
	cfg := network.Config{Dir: filepath.Join(s.dir, "net"), Metadata: s.metadata, Log: s.deps.Log, ConnectionsMax: s.cfg.ConnectionsMax,
		UserChanged: func(portID string) { s.control.UserChanged(portID) }} // it is control that applies
	if s.deps.Registerer != nil {
		cfg.Metrics = network.NewCounters(s.deps.Registerer)
	}
	if os.Geteuid() == 0 {
		engine, err := netns.New(cfg)
		if err == nil {
			s.network = engine
			return s.freePool(ctx, engine.HostRouted)
		}
		s.notes = append(s.notes, fmt.Sprintf("this is root, and still real networks cannot be made here: %v", err))
	}
	s.network, s.userMode = usermode.New(cfg), true
	return s.userPool(ctx)
}

// external gives the range of floating addresses: the first address is the
// host's end.
func external(cidr string) (fabric.ExternalPool, error) {
	p, err := netip.ParsePrefix(cidr)
	if err != nil {
		return fabric.ExternalPool{}, err
	}
	return fabric.ExternalPool{CIDR: cidr, Gateway: p.Masked().Addr().Next().String()}, nil
}

func (s *Server) openHypervisor(ctx context.Context) error {
	dir := filepath.Join(s.dir, "instances")
	if _, fake := s.network.(*fakenetwork.Engine); fake {
		s.engine = fakehypervisor.New(fakehypervisor.Default(dir))
		return nil
	}
	engine, err := qemu.New(qemu.Config{Dir: dir, Accelerator: s.cfg.Accelerator, Log: s.deps.Log, Registerer: s.deps.Registerer})
	if err != nil {
		return fmt.Errorf("hypervisor: %w", err)
	}
	s.engine = engine
	info, err := engine.Info(ctx)
	if err != nil {
		return fmt.Errorf("hypervisor: %w", err)
	}
	s.notes = append(s.notes, info.Notes...)
	return nil
}

func (s *Server) openControl(context.Context) error {
	cfg := control.Default()
	cfg.Zone, cfg.SimulatedHosts, cfg.KeepDeleted = s.cfg.Zone, s.cfg.SimulatedHosts, s.cfg.KeepDeleted
	// Without DHCP or metadata in the network, the guest finds both on a drive.
	cfg.ConfigDriveAlways = s.userMode || s.cfg.NetworkManager == compute.NetworkFlat
	cfg.Ratios = schedule.Ratios{CPU: s.cfg.CPURatio, Memory: s.cfg.MemoryRatio, Disk: 1, ReservedMemoryMiB: int(s.cfg.ReservedMemory / unit.MiB)}
	if err := cfg.Validate(); err != nil {
		return err
	}
	s.control = control.New(control.Deps{
		Store: s.store, Engine: s.engine, Network: s.network, Fabric: s.fabric, Images: s.images,
		HostID: s.host, Dir: filepath.Join(s.dir, "scratch"), Log: s.deps.Log,
		ConfigDrive: s.metadata.ConfigDrive, Audit: s.deps.Audit, Names: s.deps.Names, Registerer: s.deps.Registerer, Now: time.Now,
	}, cfg)
	s.gate = vnc.New(consoles{s.engine}, s.deps.Log, time.Now)
	return nil
}

// consoles opens displays and serial consoles for the gate.
type consoles struct{ engine hypervisor.Engine }

func (c consoles) OpenConsole(ctx context.Context, id string, kind vnc.Kind) (io.ReadWriteCloser, error) {
	if kind == vnc.Serial {
		return c.engine.Serial(ctx, id)
	}
	return c.engine.VNC(ctx, id)
}

// consolePrefix is where the pages of consoles are mounted.
const consolePrefix = "/console"

// consoleURLs gives the compute dialect addresses of consoles.
type consoleURLs struct {
	gate *vnc.Gate
}

// ConsoleURL gives the path of a page with a fresh ticket.
func (c consoleURLs) ConsoleURL(_ context.Context, instanceID, kind string) (string, error) {
	k := vnc.Kind(kind)
	if k != vnc.Display && k != vnc.Serial {
		return "", compute.Errorf(compute.Unsupported, "There is no console of type %s.", kind)
	}
	path, err := c.gate.Address(consolePrefix, instanceID, k)
	if errors.Is(err, vnc.ErrFull) {
		return "", compute.Errorf(compute.Exhausted, "Too many console addresses are valid at once; try again later.")
	}
	return path, err
}
