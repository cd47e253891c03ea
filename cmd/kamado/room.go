package main

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"

	"github.com/kamado/kamado/internal/config"
	"github.com/kamado/kamado/internal/eventlog"
	"github.com/kamado/kamado/internal/httpserver"
)

// room is a service as its server package builds it.
type room interface {
	Handler() http.Handler
	Run(ctx context.Context) error
	Close() error
	AddChecks(h *httpserver.Health)
	Notes() []string
}

// roomListener is a service as a part of a process, with the listener of its API.
type roomListener[R room] struct {
	*httpserver.Server
	name string
	room R
}

func (l *roomListener[R]) close() { _ = l.room.Close() } // every write was durable when it was answered

// roomPlan is how a service becomes a part of a process.
type roomPlan[R room] struct {
	name string // in logs and metrics
	addr string // of its API
	// build makes the room on a data directory, which is absolute; log is the event log that all services share.
	build func(data string, log *eventlog.Log) (R, error)
	limit func(*httpserver.Config) // widens what a request may take; nil: nothing
	// opened hears where the API is, before it is served; nil: nobody.
	opened func(R, *httpserver.Server) error
}

// addRoom builds a service, and adds it and its API to the parts of a process. The caller closes it after the process has run.
func addRoom[R room](ctx context.Context, p *process, plan roomPlan[R]) (_ *roomListener[R], err error) {
	data, err := filepath.Abs(p.cfg.Data)
	if err != nil {
		return nil, err
	}
	log, err := p.addEvents()
	if err != nil {
		return nil, err
	}
	r, err := plan.build(data, log)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", plan.name, err)
	}
	defer func() {
		if err != nil {
			_ = r.Close()
		}
	}()
	p.group.Add(plan.name, r.Run)
	cfg := p.cfg.HTTP
	if plan.limit != nil {
		plan.limit(&cfg)
	}
	srv, err := p.listenAs(ctx, plan.name, plan.addr, r.Handler(), cfg, p.healthOf(r.AddChecks))
	if err != nil {
		return nil, err
	}
	if plan.opened != nil {
		if err := plan.opened(r, srv); err != nil {
			return nil, err
		}
	}
	return &roomListener[R]{srv, plan.name, r}, nil
}

// serveRoom runs a service alone until ctx ends. said is what a person is told when it listens.
func serveRoom[R room](ctx context.Context, a *app, c *configuration, memory memoryPolicy, add func(context.Context, *process) (*roomListener[R], error), said func(*roomListener[R]) string) error {
	if c.set.Origin("http.access_log") == config.OriginDefault {
		c.HTTP.AccessLog = httpserver.AccessLogErrors
	}
	a.setMemory(memory)
	p, err := a.newProcess(ctx, c)
	if err != nil {
		return err
	}
	p.sparing = memory.sparing
	l, err := add(ctx, p)
	if err != nil {
		return err
	}
	defer l.close()
	a.talkf("%s", said(l))
	for _, note := range l.room.Notes() {
		a.talkf("kamado %s: %s", l.name, note)
	}
	return p.run(ctx)
}

// addNotes gives the notes of a service to those of "kamado up".
func (u *up) addNotes(name string, notes []string) {
	for _, note := range notes {
		u.notes = append(u.notes, name+": "+note)
	}
}
