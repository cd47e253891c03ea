package netns

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/ipv6"

	"github.com/kamado/kamado/compute/network"
)

const (
	// advertEvery is the time between advertisements that nobody asked for, and
	// advertPause the least time between any two on one card (RFC 4861 §6.2.1: 3 s;
	// guests that boot together need not wait that long here).
	advertEvery = 200 * time.Second
	advertPause = time.Second
	// routerLifetime, in seconds, is how long a guest uses the router without
	// hearing from it: as long as the field can say (RFC 8319 §4), so that guests
	// go on through an absence of ours of 18 h. Prefixes are valid for ever.
	routerLifetime = math.MaxUint16
)

var (
	allNodes   = netip.MustParseAddr("ff02::1")
	allRouters = netip.MustParseAddr("ff02::2")
)

// advert is what a router says on one of its cards.
type advert struct {
	link     string
	mac      net.HardwareAddr
	mtu      int
	prefixes []netip.Prefix
	dns      []netip.Addr
}

// advertsOf gives what a router advertises: the prefixes in which guests make
// their own addresses.
func advertsOf(r network.Router, networks map[string]network.Network) []advert {
	if !r.Up {
		return nil
	}
	var list []advert
	for _, i := range r.Interfaces {
		n := networks[i.NetworkID]
		mac, err := net.ParseMAC(i.MAC)
		if err != nil {
			continue
		}
		a := advert{link: routerLink(i.PortID), mac: mac, mtu: mtuOf(n)}
		for _, s := range n.Subnets {
			joined := slices.ContainsFunc(i.Addresses, func(p netip.Prefix) bool { return s.Prefix.Contains(p.Addr()) })
			if !s.SLAAC || !joined || !s.Prefix.Addr().Is6() {
				continue
			}
			a.prefixes = append(a.prefixes, s.Prefix.Masked())
			for _, d := range s.DNS {
				if d.Is6() {
					a.dns = append(a.dns, d)
				}
			}
		}
		if len(a.prefixes) > 0 {
			list = append(list, a)
		}
	}
	return list
}

// message gives the advertisement as ICMPv6 (RFC 4861 §4.2); the kernel adds the
// checksum.
func (a advert) message() []byte {
	b := []byte{raAdvert, 0, 0, 0, 64, 0}
	b = binary.BigEndian.AppendUint16(b, routerLifetime)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
	b = append(append(b, 1, 1), a.mac...) // source link-layer address, §4.6.1
	b = append(b, 5, 1, 0, 0)             // MTU, §4.6.4
	b = binary.BigEndian.AppendUint32(b, uint32(a.mtu))
	for _, p := range a.prefixes { // prefix information, §4.6.2: on the link, autonomous, for ever
		b = append(b, 3, 4, byte(p.Bits()), 0xc0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0)
		b = append(b, p.Addr().AsSlice()...)
	}
	if dns := a.dns[:min(len(a.dns), 8)]; len(dns) > 0 { // RFC 8106 §5.1
		b = append(b, 25, byte(1+2*len(dns)), 0, 0)
		b = binary.BigEndian.AppendUint32(b, routerLifetime)
		for _, d := range dns {
			b = append(b, d.AsSlice()...)
		}
	}
	return b
}

// advertiser sends the advertisements of one router.
type advertiser struct {
	key  string // of what it says
	conn net.PacketConn
	stop chan struct{}
}

// newAdvertiser opens the socket of a router and joins the group of routers on
// its cards.
func newAdvertiser(ns *namespace, key string) (*advertiser, error) {
	a := &advertiser{key: key, stop: make(chan struct{})}
	err := ns.do(func() error {
		var err error
		a.conn, err = net.ListenPacket("ip6:ipv6-icmp", "::")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("advertise in %s: %w", ns.name, err)
	}
	return a, nil
}

// run advertises until the socket is closed.
func (a *advertiser) run(ns map[int]advert) {
	c := ipv6.NewPacketConn(a.conn)
	var filter ipv6.ICMPFilter
	filter.SetAll(true)
	filter.Accept(ipv6.ICMPTypeRouterSolicitation)
	err := errors.Join(c.SetICMPFilter(&filter), c.SetControlMessage(ipv6.FlagInterface|ipv6.FlagHopLimit, true),
		c.SetMulticastHopLimit(255), c.SetMulticastLoopback(false))
	for index := range ns {
		err = errors.Join(err, c.JoinGroup(&net.Interface{Index: index}, &net.IPAddr{IP: allRouters.AsSlice()}))
	}
	if err != nil {
		return // the router is going away
	}
	var mu sync.Mutex
	last := map[int]time.Time{} // by card; guarded by mu
	send := func(index int) {
		mu.Lock()
		defer mu.Unlock()
		if said, ok := ns[index]; ok && time.Since(last[index]) >= advertPause {
			last[index] = time.Now()
			_, _ = c.WriteTo(said.message(), &ipv6.ControlMessage{IfIndex: index, HopLimit: 255}, &net.IPAddr{IP: allNodes.AsSlice()})
		}
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		tick := time.NewTicker(advertEvery)
		defer tick.Stop()
		for {
			for index := range ns {
				send(index)
			}
			select {
			case <-a.stop:
				return
			case <-tick.C:
			}
		}
	})
	buf := make([]byte, 1500)
	for {
		_, cm, _, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		if cm != nil && cm.HopLimit == 255 { // from this link (RFC 4861 §6.1.1)
			send(cm.IfIndex)
		}
	}
}

func (a *advertiser) close() {
	close(a.stop)
	_ = a.conn.Close()
}

// advertise makes the advertisers those of the plan. Preconditions: Engine.mu is held.
func (sv *services) advertise(p *plan) error {
	var errs []error
	wanted := map[string]bool{}
	for _, r := range p.routers {
		list := advertsOf(r, p.networks)
		if len(list) == 0 {
			continue
		}
		name := sv.e.namespace(kindRouter, r.ID)
		wanted[name] = true
		if err := sv.advertiseOn(name, list); err != nil {
			errs = append(errs, err)
		}
	}
	for name, a := range sv.adverts {
		if !wanted[name] {
			delete(sv.adverts, name)
			a.close()
		}
	}
	return errors.Join(errs...)
}

func (sv *services) advertiseOn(name string, list []advert) error {
	ns, err := openNamespace(name)
	if err != nil {
		return err
	}
	defer ns.Close()
	cards := map[int]advert{}
	for _, a := range list {
		if l := ns.linkByName(a.link); l != nil {
			cards[l.Attrs().Index] = a
		}
	}
	key := fmt.Sprint(cards)
	if old := sv.adverts[name]; old != nil {
		if old.key == key {
			return nil
		}
		delete(sv.adverts, name)
		old.close()
	}
	a, err := newAdvertiser(ns, key)
	if err != nil {
		return err
	}
	sv.adverts[name] = a
	sv.wg.Go(func() { a.run(cards) })
	return nil
}
