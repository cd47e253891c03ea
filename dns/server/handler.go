package server

import (
	"context"
	"net/http"
	"net/netip"

	"github.com/kamado/kamado/dns/api"
	"github.com/kamado/kamado/dns/dnstap"
	"github.com/kamado/kamado/dns/doh"
	"github.com/kamado/kamado/dns/listen"
	"github.com/kamado/kamado/internal/httpserver"
)

// openTap opens the way of dnstap frames, if there is one.
func (s *Server) openTap(context.Context) (err error) {
	if s.cfg.Dnstap == "" {
		return nil
	}
	s.tap, err = dnstap.New(dnstap.Config{Address: s.cfg.Dnstap, Identity: s.node, Version: "kamado " + s.opts.Version}, s.deps.Log, s.deps.Registerer)
	return err
}

// openHandler puts the API and DNS over HTTPS on one handler.
func (s *Server) openHandler(context.Context) error {
	mux := http.NewServeMux()
	mux.Handle(api.Prefix, api.New(api.Deps{Guard: s.deps.Guard, Node: s.member, Checks: s.health, Files: files{}, Audit: s.deps.Audit, Log: s.deps.Log}))
	mux.Handle(doh.Path, doh.Handler{Exchange: s.exchange, Log: s.deps.Log})
	s.handler = httpserver.Routes(mux)
	return nil
}

// exchange answers a packet that came over HTTPS.
func (s *Server) exchange(ctx context.Context, packet []byte, client netip.AddrPort) ([]byte, error) {
	return s.listen.Exchange(ctx, packet, client, listen.HTTPS)
}
