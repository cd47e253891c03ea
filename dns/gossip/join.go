package gossip

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/kamado/kamado/dns"
)

// Bounds of joining.
const (
	joinAddressesMax = 64 // of one name, and of one attempt
	joinEnough       = 3  // members that took us; the rest we hear of
	joinPauseMin     = 200 * time.Millisecond
	joinPauseMax     = 5 * time.Second
)

// Join contacts members now, and says how many were reached; three are enough. An
// address is host:port; of a DNS name all addresses are tried. The error is of kind
// Denied when a member has other keys, Conflict when this member's name is in use
// at another address, Unavailable when nobody was reached. With n > 0 there is none.
func (g *Gossip) Join(ctx context.Context, addrs []string) (int, error) {
	var errs []error
	n := 0
	for _, hostport := range addrs {
		list, err := resolve(ctx, hostport)
		if err != nil {
			errs = append(errs, err)
			g.metrics.joins.WithLabelValues("unreachable").Inc()
		}
		for _, addr := range list {
			if n >= joinEnough || ctx.Err() != nil {
				break
			}
			switch err := g.joinOne(addr); {
			case errors.Is(err, errSelf):
			case err != nil:
				errs = append(errs, err)
			default:
				n++
			}
		}
	}
	if n > 0 || ctx.Err() != nil {
		return n, ctx.Err()
	}
	return 0, worst(errs)
}

// worst gives the error that a person must act on.
func worst(errs []error) error {
	for _, kind := range []dns.Kind{dns.Conflict, dns.Denied} {
		for _, err := range errs {
			if dns.KindOf(err) == kind {
				return err
			}
		}
	}
	if len(errs) == 0 {
		return nil // there is only ourselves
	}
	return &dns.Error{Op: "join", Kind: dns.Unavailable, Detail: "no member to join was reached", Err: errors.Join(errs...)}
}

var errSelf = errors.New("this is our own address")

// joinOne exchanges what is known of members with one.
func (g *Gossip) joinOne(addr string) error {
	if addr == g.addr.String() {
		return errSelf
	}
	_, err := g.list.Join([]string{addr})
	switch {
	case err == nil:
		g.metrics.joins.WithLabelValues("joined").Inc()
		return nil
	case strings.Contains(err.Error(), errTaken.Error()):
		_, where, _ := strings.Cut(strings.TrimSpace(err.Error()), errTaken.Error())
		g.metrics.joins.WithLabelValues("conflict").Inc()
		return &dns.Error{Op: "join", Kind: dns.Conflict, Detail: fmt.Sprintf("the node name %s is in use%s, says %s: give one of the two another name", g.cfg.Node, where, addr)}
	case strings.Contains(err.Error(), "no installed keys could decrypt"):
		g.metrics.joins.WithLabelValues("key").Inc()
		return &dns.Error{Op: "join", Kind: dns.Denied, Detail: fmt.Sprintf("the cluster's key of this member is not that of %s", addr)}
	}
	g.metrics.joins.WithLabelValues("unreachable").Inc()
	return &dns.Error{Op: "join", Kind: dns.Unavailable, Detail: fmt.Sprintf("%s was not reached", addr), Err: err}
}

// resolve gives all addresses of host:port.
func resolve(ctx context.Context, hostport string) ([]string, error) {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return nil, &dns.Error{Op: "join", Kind: dns.Invalid, Detail: fmt.Sprintf("member to join %q: want host:port", hostport)}
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, &dns.Error{Op: "join", Kind: dns.Unavailable, Detail: fmt.Sprintf("no address of %s is known", host), Err: err}
	}
	var out []string
	for _, ip := range ips[:min(len(ips), joinAddressesMax)] {
		out = append(out, net.JoinHostPort(ip.Unmap().String(), port))
	}
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out, nil
}

// joinLoop joins the configured members, and again when all peers are gone. The
// first failure and the success after it are said, not each attempt.
func (g *Gossip) joinLoop(ctx context.Context) {
	if len(g.cfg.Join) == 0 && g.cfg.JoinCloud == "" {
		return
	}
	said := ""
	for wait := joinPauseMin; ; {
		n, err := g.Join(ctx, g.joinList(ctx))
		if ctx.Err() != nil {
			return
		}
		if n > 0 || g.upCount() > 0 && err == nil {
			if said != "" {
				g.log.Info("joined after all", "members", n)
			}
			said, wait = "", joinPauseMin
			select {
			case <-g.alone:
			case <-ctx.Done():
				return
			}
			continue
		}
		if err != nil && said != err.Error() {
			said = err.Error()
			g.log.Warn("cannot join yet; trying again", "error", err)
		}
		if !pause(ctx, wait/2+rand.N(wait)) {
			return
		}
		wait = min(2*wait, joinPauseMax)
	}
}

// joinList is the configured members and those that the cloud tells.
func (g *Gossip) joinList(ctx context.Context) []string {
	list := g.cfg.Join
	if g.cfg.JoinCloud == "" {
		return list
	}
	cloud, err := ParseCloud(g.cfg.JoinCloud)
	if err == nil {
		var more []string
		if more, err = cloud.Find(ctx); err == nil {
			return append(list[:len(list):len(list)], more...)
		}
	}
	g.log.Warn("the cloud does not tell which members to join", "error", err)
	return list
}
