package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/kamado/kamado/compute/hypervisor/qemu"
	"github.com/kamado/kamado/compute/network"
	"github.com/kamado/kamado/compute/network/netns"
)

// Purged counts what Purge removed.
type Purged struct {
	Guests int // with their disks
}

// Purge ends the guests of an installation, which outlive its server on purpose,
// and removes its network namespaces, links, routes and rules from this machine.
// What is left is the directory, which the caller may delete then. It fails with
// ErrInUse while a server works on the directory, and may be called again after
// any failure.
func Purge(ctx context.Context, data string, log *slog.Logger) (p Purged, err error) {
	s := &Server{opts: Options{Data: data}, dir: filepath.Join(data, "compute")}
	if _, err := os.Stat(s.dir); err != nil {
		return p, fmt.Errorf("there is no cloud in %s: %w", data, err)
	}
	if err := s.lock(); err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if _, err := exec.LookPath(qemuProgram); err == nil {
		if p.Guests, err = purgeGuests(ctx, filepath.Join(s.dir, "instances"), log); err != nil {
			return p, err
		}
	}
	if os.Geteuid() != 0 {
		return p, nil // user-mode networks ended with their guests
	}
	engine, err := netns.New(network.Config{Dir: filepath.Join(s.dir, "net"), Log: log})
	if err != nil {
		return p, fmt.Errorf("networks: %w", err)
	}
	if err := engine.Purge(ctx); err != nil {
		return p, fmt.Errorf("remove the networks: %w", err)
	}
	return p, nil
}

func purgeGuests(ctx context.Context, dir string, log *slog.Logger) (int, error) {
	engine, err := qemu.New(qemu.Config{Dir: dir, Log: log})
	if err != nil {
		return 0, fmt.Errorf("guests: %w", err)
	}
	list, err := engine.List(ctx)
	if err != nil {
		return 0, fmt.Errorf("list the guests: %w", err)
	}
	for i, d := range list {
		if err := engine.Destroy(ctx, d.ID); err != nil {
			return i, err
		}
	}
	return len(list), nil
}
