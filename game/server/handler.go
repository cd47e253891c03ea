package server

import (
	"context"
	"net/http"
	"net/http/httputil"
	"net/url"

	"github.com/kamado/kamado/game/api"
	"github.com/kamado/kamado/internal/httpserver"
)

// Handler serves the API, WebSockets and the plaza. Preconditions: Open, before a request comes.
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) })
}

func (s *Server) openHandler(context.Context) error {
	mux := http.NewServeMux()
	mux.Handle(SocketPath, s.living.gateway)
	mux.Handle("/plaza/", s.living.plaza.Handler())
	deps := api.Deps{
		Guard: s.deps.Guard, Audit: s.deps.Audit, Events: s.deps.Event, Authenticate: s.core.Identity.Authenticate, World: steering{s}, Reports: s.deps.Reports,
		Moved: s.moved, Config: s.cfg, Log: s.deps.Log,
	}
	if s.cfg.Core != "" {
		own := api.New(deps)
		rest, err := s.toCore()
		if err != nil {
			return err
		}
		mux.Handle(api.Prefix+"world", own)
		mux.Handle(api.Prefix+"world/", own)
		mux.Handle(api.Prefix+"reports", own)
		mux.Handle("/", rest)
	} else {
		deps.Identity, deps.OIDC, deps.Points, deps.Presents, deps.Approvals = s.identity, s.oidc, s.points, s.presents, s.approvals
		deps.Entities, deps.Locks, deps.Store = s.entities, s.locks, s.store
		deps.Status, deps.Move, deps.Backup, deps.Export, deps.ExportKey = s.status, s.move, s.backup, s.export, s.exportKey
		mux.Handle("/", api.New(deps))
	}
	s.handler = mux
	return nil
}

// toCore passes requests about users and what they own on to the server that keeps them.
func (s *Server) toCore() (http.Handler, error) {
	base, err := url.Parse(s.cfg.Core)
	if err != nil {
		return nil, err
	}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(base)
			r.SetXForwarded()
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			s.deps.Log.Warn("the core did not answer", "path", r.URL.Path, "error", err)
			httpserver.WriteProblem(w, r, httpserver.Problem{Status: http.StatusServiceUnavailable, Detail: "the server of users and points does not answer; try again in a moment",
				Extra: map[string]any{"kind": "unavailable"}})
		},
	}, nil
}
