// Package server builds the dns room from its configuration and runs it. It is
// the only place that picks what lies behind the room's interfaces.
//
// Under the data directory it keeps dns/journal (what members said, and this one
// promised), dns/member.key (who this member is), dns/cluster.key (the cluster's
// key, unless a file is named) and dns/keyring (keys that came through the
// cluster). A Server opens the listeners of DNS and of gossip; that of its HTTP
// handler is the caller's.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/answer"
	"github.com/kamado/kamado/dns/api"
	"github.com/kamado/kamado/dns/dnstap"
	"github.com/kamado/kamado/dns/forward"
	"github.com/kamado/kamado/dns/gossip"
	"github.com/kamado/kamado/dns/health"
	"github.com/kamado/kamado/dns/journal"
	"github.com/kamado/kamado/dns/listen"
	"github.com/kamado/kamado/dns/node"
	"github.com/kamado/kamado/dns/replica"
	"github.com/kamado/kamado/dns/transfer"
	"github.com/kamado/kamado/internal/httpserver"
	"github.com/kamado/kamado/internal/lifecycle"
	"github.com/kamado/kamado/internal/unit"
)

// Options say what to build.
type Options struct {
	Config  dns.Config
	Data    string // the data directory, absolute; it exists
	Version string
	TLS     httpserver.TLSConfig // certificate of DNS over TLS
}

// Deps are what the room uses of its process. All are needed but Registerer and Event.
type Deps struct {
	Log        *slog.Logger
	Registerer prometheus.Registerer // nil: no metrics
	Guard      api.Guard
	Audit      api.Audit
	Event      func(dns.Event) // hears everything that happens; nil: nobody does
}

// BodyBytesMax is the largest body that the handler takes: a master file.
const BodyBytesMax = 64 * unit.MiB

// Server is the room, built.
type Server struct {
	opts   Options
	deps   Deps
	cfg    dns.Config
	dir    string // Data/dns
	node   string
	domain dns.Name

	ring      *node.Ring
	journal   *journal.Journal
	table     *answer.Table
	member    *node.Node
	listen    *listen.Server
	forward   *forward.Forwarder // nil: other names are refused
	notify    *transfer.Notifier
	tap       *dnstap.Writer // nil: nobody looks on
	gossip    *gossip.Gossip // nil: alone
	health    *health.Service
	zoneFiles []*zoneFile
	handler   http.Handler
	notes     []string

	started chan struct{} // closed when what is remembered is answered
	met     chan struct{} // closed when another member was met, or need not be
	closers []func() error
}

// New builds the room: it reads what the member remembers, and opens the
// listeners of DNS and gossip. It answers nobody yet; call Run, and Close at the
// end, also when Run was never called.
func New(ctx context.Context, opts Options, deps Deps) (_ *Server, err error) {
	if err := opts.Config.Validate(); err != nil {
		return nil, fmt.Errorf("configure dns: %w", err)
	}
	s := &Server{opts: opts, deps: deps, cfg: opts.Config, dir: filepath.Join(opts.Data, "dns"), node: opts.Config.Node, started: make(chan struct{}), met: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	for _, step := range []func(context.Context) error{
		s.openIdentity, s.openTap, s.openTable, s.openListeners, s.openState, s.openZones, s.openGossip, s.openHealth, s.openHandler,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Close gives back what New took.
func (s *Server) Close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	s.closers = nil
	return errors.Join(errs...)
}

// Handler serves the API and DNS over HTTPS.
func (s *Server) Handler() http.Handler { return s.handler }

// Notes say for people what is special about this member.
func (s *Server) Notes() []string { return s.notes }

// Node is the member's name.
func (s *Server) Node() string { return s.node }

// Member is what other rooms' needs are served by, through cmd.
func (s *Server) Member() *node.Node { return s.member }

// Addrs are the addresses that answer DNS.
func (s *Server) Addrs() []netip.AddrPort { return s.listen.Addresses() }

// SetAPI tells the member where its API is, before Run.
func (s *Server) SetAPI(addr string) { s.member.SetAPI(addr) }

func (s *Server) openIdentity(context.Context) error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	var err error
	if s.domain, err = dns.ParseName(s.cfg.Domain); err != nil {
		return err
	}
	if s.node == "" && s.cfg.MemberFile == "" {
		if s.node, err = hostNode(); err != nil {
			return err
		}
	}
	return s.openRing(time.Now())
}

// hostNode makes a node name of the machine's.
func hostNode() (string, error) {
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("name this member: %w", err)
	}
	label, _, _ := strings.Cut(strings.ToLower(host), ".")
	label = strings.Trim(strings.ReplaceAll(label, "_", "-"), "-")
	if err := dns.CheckNode(label); err != nil {
		return "", &dns.Error{Kind: dns.Invalid, Detail: fmt.Sprintf("this machine's name gives no node name (%v): choose one with --node", err)}
	}
	return label, nil
}

func (s *Server) openTable(context.Context) (err error) {
	cfg := answer.Config{Server: s.cfg.ServerID, Views: map[string][]netip.Prefix{}, Locations: map[netip.Prefix]string{}, Forwarding: len(s.cfg.Forward) > 0, Cookies: s.cfg.Cookies}
	if cfg.Server == "" {
		cfg.Server = s.node
	}
	if cfg.Cookies {
		cfg.CookieSecret = s.cookieSecret()
	}
	for name, networks := range s.cfg.Views {
		if cfg.Views[name], err = dns.ParsePrefixes(networks); err != nil {
			return err
		}
	}
	for network, label := range s.cfg.Locations {
		p, err := dns.ParsePrefixes([]string{network})
		if err != nil {
			return err
		}
		cfg.Locations[p[0]] = label
	}
	if cfg.AllowQuery, err = dns.ParsePrefixes(s.cfg.AllowQuery); err != nil {
		return err
	}
	if cfg.AllowForward, err = dns.ParsePrefixes(s.cfg.AllowForward); err != nil {
		return err
	}
	s.table, err = answer.New(cfg)
	return err
}

// openState reads the journal and makes the member of it.
func (s *Server) openState(context.Context) error {
	now := time.Now()
	rep, err := replica.New(replica.Config{
		Identity: s.ring.Identity(), Issuers: s.ring.Issuers(), Domain: s.domain, SOA: dns.DefaultSOA(s.domain, "", s.cfg.NegativeTTL), Seed: uint64(now.UnixNano()),
	})
	if err != nil {
		return err
	}
	s.journal, err = journal.Open(filepath.Join(s.dir, "journal"), journal.Config{Log: s.deps.Log, Registerer: s.deps.Registerer, Snapshot: func(yield func([]byte) bool) { s.member.Snapshot(yield) }})
	if err != nil {
		return err
	}
	s.closers = append(s.closers, s.journal.Close)
	refused := 0
	if err := s.journal.Each(func(entry []byte) error {
		if err := rep.Restore(now, entry); err != nil {
			refused++
			s.deps.Log.Warn("an entry of the journal is not taken", "error", err)
		}
		return nil
	}); err != nil {
		return err
	}
	if refused > 0 {
		s.notes = append(s.notes, fmt.Sprintf("%d entries of the journal were not taken; the log says why", refused))
	}
	s.member, err = node.New(node.Config{
		Node: s.node, Domain: s.domain, NegativeTTL: s.cfg.NegativeTTL, Origin: s.origin(),
		Info: dns.Info{DNS: s.listen.Addresses(), Location: s.cfg.Location, Version: s.opts.Version, Started: now},
	}, node.Deps{
		Replica: rep, Journal: s.journal, Table: s.table, Ring: s.ring, Now: time.Now, Log: s.deps.Log, Registerer: s.deps.Registerer,
		ZoneChanged: func(apex dns.Name) { s.notify.Changed(apex) }, Event: s.deps.Event, CheckSpec: s.checkSpec,
	})
	return err
}

func (s *Server) openZones(context.Context) error { return s.openZoneFiles() }

// origin is the address of the member's own name: the one at which others reach it.
func (s *Server) origin() netip.Addr {
	for _, hostport := range append([]string{s.cfg.Advertise, s.cfg.Gossip}, s.cfg.DNS...) {
		host, _, err := net.SplitHostPort(hostport)
		if err != nil {
			continue
		}
		if a, err := netip.ParseAddr(host); err == nil && !a.IsUnspecified() {
			return a.Unmap().WithZone("")
		}
	}
	addrs, _ := net.InterfaceAddrs() // without them the loopback is left
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().IsGlobalUnicast() {
			return p.Addr().Unmap()
		}
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}

func (s *Server) openGossip(context.Context) error {
	if s.cfg.Gossip == "" {
		if len(s.cfg.Join) > 0 || s.cfg.JoinCloud != "" {
			return &dns.Error{Kind: dns.Invalid, Detail: "join names members, but gossip gives this one no address to meet them: set --gossip"}
		}
		return nil
	}
	g, err := gossip.New(gossip.Config{
		Node: s.node, Bind: s.cfg.Gossip, Advertise: s.cfg.Advertise, Keys: s.ring.Gossip(), Join: s.cfg.Join, JoinCloud: s.cfg.JoinCloud, Log: s.deps.Log, Registerer: s.deps.Registerer,
	}, s.member.Events())
	if err != nil {
		return err
	}
	s.gossip = g
	s.member.SetPeers(g)
	s.member.SetGossip(g.Addr())
	return nil
}

// Run works until ctx ends; then the member says goodbye.
func (s *Server) Run(ctx context.Context) error {
	s.closers = nil // the journal's Run lets go of it
	g := lifecycle.Group{Log: slog.New(slog.DiscardHandler)}
	add := func(name string, run func(context.Context) error) {
		g.Add(name, func(ctx context.Context) error {
			select {
			case <-s.started:
			case <-ctx.Done():
				return nil
			}
			return run(ctx)
		})
	}
	g.Add("journal of names", s.journal.Run)
	g.Add("names", s.member.Run)
	g.Add("names of the last time", s.start)
	add("zone files", s.watchZoneFiles)
	add("members", s.meet)
	if s.gossip != nil {
		add("gossip", s.runGossip)
	}
	if s.forward != nil {
		add("forwarders", s.forward.Run)
	}
	if s.tap != nil {
		add("dnstap", s.tap.Run)
	}
	add("zone notifications", s.notify.Run)
	add("answers", s.listen.Run)
	add("health of names", s.health.Run)
	return g.Run(ctx)
}

// start answers what is remembered.
func (s *Server) start(ctx context.Context) error {
	if err := s.member.Start(ctx); err != nil {
		return err
	}
	if s.gossip != nil {
		for _, m := range s.member.Members() {
			if m.Node != s.node && m.State != dns.MemberRemoved && m.Info.Gossip.IsValid() {
				s.gossip.Remember(m.Node, m.Info.Gossip)
			}
		}
	}
	close(s.started)
	return nil
}

// goodbye bounds telling the others that this member goes.
const goodbye = 3 * time.Second

// runGossip speaks with the others until ctx ends, and then until they heard the goodbye.
func (s *Server) runGossip(ctx context.Context) error {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.gossip.Run(own) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	leave, stop := context.WithTimeout(own, goodbye)
	defer stop()
	if err := s.member.Leave(leave); err != nil && dns.KindOf(err) != dns.Conflict {
		s.deps.Log.Warn("the others may not have heard the goodbye", "error", err)
	}
	cancel()
	return <-ended
}

// joinPatience is how long a member that is to join others is not ready without them. After that it
// answers what it remembers: a cut must not keep it from its own clients.
const joinPatience = 10 * time.Second

// AddChecks adds what must be true before clients come.
func (s *Server) AddChecks(h *httpserver.Health) {
	h.AddCheck("dns-names", func(context.Context) error {
		select {
		case <-s.started:
			return nil
		default:
			return fmt.Errorf("%w: what is remembered is being read", httpserver.ErrStarting)
		}
	})
	h.AddCheck("dns-node-name", func(context.Context) error {
		if why := s.member.Twin(); why != "" {
			return errors.New(why)
		}
		return nil
	})
	if s.gossip == nil || len(s.cfg.Join) == 0 && s.cfg.JoinCloud == "" {
		return
	}
	h.AddCheck("dns-members", func(context.Context) error {
		select {
		case <-s.met:
			return nil
		default:
			return fmt.Errorf("%w: no other member was met yet", httpserver.ErrStarting)
		}
	})
}
