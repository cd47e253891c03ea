package server

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/kamado/kamado/compute"
)

// poolSetting remembers the range of floating addresses that the first start
// chose.
const poolSetting = "floating_range"

// poolTries is how many ranges are looked at.
const poolTries = 64

// userRange is where floating addresses lie without root, unless the
// configuration names another part of the loopback: it is the only range that
// anybody may listen on.
const userRange = "127.77.0.0/24"

// claimPort is where an installation listens on the first address of its range,
// so that another one on this machine takes the next range.
const claimPort = "7704"

// freePool gives the range of floating addresses that this installation has, or
// the first from the configured one on that the host does not route yet.
func (s *Server) freePool(ctx context.Context, routed func(netip.Prefix) bool) (string, error) {
	kept, err := s.keptPool(ctx)
	if err != nil || kept.IsValid() {
		if kept.Addr().IsLoopback() {
			s.notes = append(s.notes, fmt.Sprintf("floating addresses lead nowhere: %s was chosen without root; start anew in another directory", kept))
		}
		return kept.String(), err
	}
	p, err := netip.ParsePrefix(s.cfg.FloatingRange)
	if err != nil {
		return "", err
	}
	for range poolTries {
		if !routed(p) {
			return p.String(), s.keepPool(ctx, p)
		}
		p = after(p)
	}
	return "", fmt.Errorf("this machine routes %s and the %d ranges after it: name a free one with --floating-range", s.cfg.FloatingRange, poolTries-1)
}

// userPool is freePool without root: the first range of the loopback that no
// other installation on this machine has.
func (s *Server) userPool(ctx context.Context) (string, error) {
	kept, err := s.keptPool(ctx)
	if err != nil {
		return "", err
	}
	if kept.IsValid() {
		switch {
		case !kept.Addr().IsLoopback():
			s.notes = append(s.notes, fmt.Sprintf("floating addresses lead nowhere: %s was chosen as root; start as root, or anew in another directory", kept))
		case !s.claim(ctx, kept):
			s.notes = append(s.notes, fmt.Sprintf("another program uses %s too: some ports of floating addresses may be taken", kept))
		}
		return kept.String(), nil
	}
	p, err := netip.ParsePrefix(s.cfg.FloatingRange)
	if err != nil {
		return "", err
	}
	if !p.Addr().IsLoopback() {
		p = netip.MustParsePrefix(userRange)
	}
	for range poolTries {
		if p.Addr().IsLoopback() && s.claim(ctx, p) {
			return p.String(), s.keepPool(ctx, p)
		}
		p = after(p)
	}
	return "", fmt.Errorf("other programs use the loopback's %d ranges of floating addresses: name a free one with --floating-range", poolTries)
}

// claim takes a range of the loopback until Close.
func (s *Server) claim(ctx context.Context, p netip.Prefix) bool {
	c, err := new(net.ListenConfig).ListenPacket(ctx, "udp4", net.JoinHostPort(p.Masked().Addr().Next().String(), claimPort))
	if err != nil {
		return false
	}
	s.closers = append(s.closers, c.Close)
	return true
}

// keptPool gives the range that an earlier start chose; invalid when there is none.
func (s *Server) keptPool(ctx context.Context) (netip.Prefix, error) {
	var kept string
	err := s.store.Read(ctx, func(tx *compute.Tx) error {
		set, err := tx.Settings.Get(poolSetting)
		if compute.IsKind(err, compute.NotFound) {
			return nil
		}
		if err == nil {
			kept = set.Value
		}
		return err
	})
	if err != nil || kept == "" {
		return netip.Prefix{}, err
	}
	return netip.ParsePrefix(kept)
}

func (s *Server) keepPool(ctx context.Context, p netip.Prefix) error {
	return s.store.Write(ctx, func(tx *compute.Tx) error {
		return tx.Settings.Insert(&compute.Setting{ID: poolSetting, Value: p.String()})
	})
}

// after gives the next range of the same size.
func after(p netip.Prefix) netip.Prefix {
	b := p.Masked().Addr().As4()
	n := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	n += 1 << (32 - p.Bits())
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}), p.Bits())
}
