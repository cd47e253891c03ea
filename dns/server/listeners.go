package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/answer"
	"github.com/kamado/kamado/dns/dot"
	"github.com/kamado/kamado/dns/forward"
	"github.com/kamado/kamado/dns/listen"
	"github.com/kamado/kamado/dns/message"
	"github.com/kamado/kamado/dns/transfer"
	"github.com/kamado/kamado/dns/update"
	"github.com/kamado/kamado/internal/httpserver"
)

// openListeners opens the sockets of DNS, and what serves slow packets behind them.
func (s *Server) openListeners(context.Context) error {
	keys, err := s.readTSIGKeys()
	if err != nil {
		return err
	}
	mux := listen.Mux{}
	if err := s.openForward(&mux); err != nil {
		return err
	}
	updates, err := update.New(update.Config{Keys: keys, Zones: late{s}, Log: s.deps.Log, Registerer: s.deps.Registerer})
	if err != nil {
		return err
	}
	mux.Update = updating{updates}
	if err := s.openTransfers(keys, &mux); err != nil {
		return err
	}
	cfg := listen.Config{
		DNS: s.cfg.DNS, Threads: s.cfg.Threads, RateLimit: s.cfg.RateLimit, Log: s.deps.Log, Registerer: s.deps.Registerer,
	}
	if s.tap != nil {
		cfg.Tap = s.tap
	}
	if s.cfg.TLS != "" {
		cfg.TLS = []string{s.cfg.TLS}
		if cfg.TLSConfig, err = s.tlsConfig(); err != nil {
			return err
		}
	}
	if s.listen, err = listen.New(cfg, s.table, mux); err != nil {
		return err
	}
	s.closers = append(s.closers, func() error {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		return s.listen.Run(ended) // which closes what is open
	})
	return nil
}

// readTSIGKeys reads the keys of updates and transfers, if a file is named.
func (s *Server) readTSIGKeys() (message.Keys, error) {
	if s.cfg.TSIGKeyFile == "" {
		return nil, nil
	}
	b, err := os.ReadFile(s.cfg.TSIGKeyFile)
	if err != nil {
		return nil, fmt.Errorf("read the TSIG keys: %w", err)
	}
	return message.ParseKeys(string(b), s.cfg.TSIGKeyFile)
}

func (s *Server) openForward(mux *listen.Mux) (err error) {
	if len(s.cfg.Forward) == 0 {
		return nil
	}
	cfg := forward.Default()
	cfg.Servers, cfg.Entries = s.cfg.Forward, s.cfg.ForwardCache
	for _, text := range s.cfg.ForwardSpecial {
		name, err := dns.ParseName(text)
		if err != nil {
			return fmt.Errorf("forward_special: %w", err)
		}
		cfg.Pass = append(cfg.Pass, name)
	}
	deps := forward.Deps{Log: s.deps.Log, Metrics: s.deps.Registerer, Ours: func(name dns.Name) bool { _, ours := s.table.ZoneOf(name); return ours }}
	if s.tap != nil {
		deps.Tap = s.tap.Forwarded
	}
	if s.forward, err = forward.New(cfg, deps); err != nil {
		return err
	}
	mux.Forward = s.forward
	return nil
}

func (s *Server) openTransfers(keys message.Keys, mux *listen.Mux) error {
	allow, err := dns.ParsePrefixes(s.cfg.AllowTransfer)
	if err != nil {
		return err
	}
	transfers, err := transfer.New(transfer.Config{Zones: late{s}, Keys: keys, Allow: allow, Ask: s.ask, Log: s.deps.Log, Registerer: s.deps.Registerer})
	if err != nil {
		return err
	}
	mux.Transfer, mux.Signed, mux.Notify = transferring{transfers}, signed{transfers}, signed{transfers}
	s.notify, err = transfer.NewNotifier(transfer.NotifyConfig{Zones: late{s}, Targets: s.cfg.Notify, Log: s.deps.Log, Registerer: s.deps.Registerer})
	return err
}

// ask answers a question whose signature was taken off.
func (s *Server) ask(packet []byte, client netip.AddrPort, stream bool) []byte {
	q := answer.Query{Packet: packet, Client: client, Stream: stream, Random: rand.Uint64(), Now: uint32(time.Now().Unix())}
	reply, verdict := s.table.Answer(q, nil)
	if verdict > answer.Proven {
		return nil // a signed question for others: keys are of this server
	}
	return reply
}

// tlsConfig is the certificate of DNS over TLS: that of the HTTP listeners, or one that this member signs.
func (s *Server) tlsConfig() (*tls.Config, error) {
	if s.opts.TLS.CertFile != "" {
		get, err := httpserver.Certificate(s.opts.TLS, s.deps.Log)
		if err != nil {
			return nil, err
		}
		return dot.ConfigFrom(get), nil
	}
	name, err := dns.Name(s.node).Join(s.domain)
	if err != nil {
		return nil, err
	}
	who := dot.Identity{Names: []string{string(name)}}
	if host, _, err := net.SplitHostPort(s.cfg.TLS); err == nil {
		if a, err := netip.ParseAddr(host); err == nil && !a.IsUnspecified() {
			who.Addrs = append(who.Addrs, a)
		}
	}
	dir := filepath.Join(s.dir, "tls")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	cert, err := dot.SelfSigned(dir, who, time.Now())
	if err != nil {
		return nil, err
	}
	pin, err := dot.Pin(cert)
	if err != nil {
		return nil, err
	}
	s.notes = append(s.notes, fmt.Sprintf("DNS over TLS at %s has a certificate of its own; its pin is %s (kdig +tls-pin=%s)", s.cfg.TLS, pin, pin))
	return dot.Config(cert), nil
}

// late is the member for parts that are made before it; they call it when packets come.
type late struct{ s *Server }

func (l late) Zones() []dns.Zone                        { return l.s.member.Zones() }
func (l late) Transfer(apex dns.Name) ([]dns.RR, error) { return l.s.member.Transfer(apex) }
func (l late) ChangeZone(ctx context.Context, zone dns.Name, judge func(lookup func(dns.Name) dns.Set) ([]dns.Change, error)) (uint32, error) {
	return l.s.member.ChangeZone(ctx, zone, judge)
}

// updating serves changes of zones.
type updating struct{ update *update.Handler }

// Serve answers one update.
func (u updating) Serve(ctx context.Context, r listen.Request, write func([]byte) error) error {
	return u.update.Serve(ctx, r.Packet, r.Client, r.Transport.Stream(), write)
}

// transferring serves transfers.
type transferring struct{ transfer *transfer.Handler }

// Serve answers one request with any number of messages. DNS over HTTPS has one
// response for a request, so there, as over UDP, no zone is transferred.
func (t transferring) Serve(ctx context.Context, r listen.Request, write func([]byte) error) error {
	return t.transfer.Serve(ctx, r.Packet, r.Client, r.Transport == listen.TCP || r.Transport == listen.TLS, write)
}

// signed serves signed questions, and notifications.
type signed struct{ transfer *transfer.Handler }

// Serve answers one request with one message.
func (t signed) Serve(ctx context.Context, r listen.Request, write func([]byte) error) error {
	return t.transfer.Serve(ctx, r.Packet, r.Client, r.Transport.Stream(), write)
}
