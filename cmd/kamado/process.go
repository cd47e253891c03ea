package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"syscall"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/game/plaza"
	"github.com/kamado/kamado/internal/eventlog"
	"github.com/kamado/kamado/internal/httpserver"
	"github.com/kamado/kamado/internal/lifecycle"
	"github.com/kamado/kamado/internal/operator"
	"github.com/kamado/kamado/internal/telemetry"
)

// process is the frame of a command that serves: telemetry, health, the operator's guard, and the parts that run until
// the command is asked to end. Parts stop in the reverse of the order in which they were added; listeners come last.
type process struct {
	cfg     *configuration
	tel     *telemetry.Telemetry
	health  *httpserver.Health // all checks of all services, for the admin listener
	guard   *operator.Guard
	admin   *httpserver.Server // nil: none
	group   lifecycle.Group
	sparing bool                  // of its memoryPolicy
	events  *eventlog.Log         // nil until a service asks for it
	names   compute.NameRegistrar // nil: this process runs no member of dns
	nodes   *nodeNames            // the same for nodes of the world

	pictures   *plaza.Pictures // where profile pictures are kept; nil: nowhere
	noPictures string          // why they are not

	// challenges says that a listener answers at the address of ACME's HTTP-01, if there is one; the next ones must not.
	challenges bool
}

// flushTimeout bounds sending the last traces at the end.
const flushTimeout = 5 * time.Second

// newProcess makes the frame from loaded settings, and the admin listener when they name one. It creates the data
// directory and the operator's token where they are missing.
func (a *app) newProcess(ctx context.Context, c *configuration) (*process, error) {
	tel, err := telemetry.New(ctx, c.Log, telemetry.Deps{
		Service: "kamado", Version: version, Writer: a.stderr,
		Terminal: isTerminal(a.stderr), Colour: a.colour(a.stderr), Getenv: a.getenv,
	})
	if err != nil { // what the environment says about traces cannot be done
		return nil, &exitError{code: exitUsage, err: err}
	}
	token, err := operator.Load(c.Data)
	if err != nil {
		return nil, err
	}
	if c.HTTP.TLS.ACME.CacheDir == "" {
		c.HTTP.TLS.ACME.CacheDir = filepath.Join(c.Data, "acme")
	}
	p := &process{cfg: c, tel: tel, health: httpserver.NewHealth(slog.New(slog.DiscardHandler)), guard: operator.NewGuard(token)}
	p.group.Log, p.group.StopTimeout = tel.Log, stopTimeout(c.HTTP)
	if c.Admin != "" {
		if p.admin, err = p.listenPlain(ctx, "admin", c.Admin, p.adminHandler()); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// stopTimeout leaves a listener the time that its configuration promises to requests in work.
func stopTimeout(c httpserver.Config) time.Duration {
	const margin = 15 * time.Second
	return c.DrainDelay + c.DrainTimeout + margin
}

// adminHandler shows the inside of the process: reads from this machine, everything with the operator's token.
func (p *process) adminHandler() http.Handler {
	mux := http.NewServeMux()
	p.tel.HandleAdmin(mux)
	mux.HandleFunc("GET /health", p.health.ServeReadyzDetailed)
	return p.guard.Reads(httpserver.Routes(mux))
}

// healthOf is the readiness of one service: it must not be taken out of use because another is not ready. add adds its checks.
func (p *process) healthOf(add func(*httpserver.Health)) *httpserver.Health {
	add(p.health) // whose changes are not logged: the service's own are
	own := httpserver.NewHealth(p.tel.Log)
	add(own)
	return own
}

// noChecks are the checks of a listener that is ready when it answers.
func noChecks(*httpserver.Health) {}

// listen opens an address for a handler and adds the server to the parts. It serves from run on.
func (p *process) listen(ctx context.Context, name, addr string, h http.Handler) (*httpserver.Server, error) {
	return p.listenAs(ctx, name, addr, h, p.cfg.HTTP, p.healthOf(noChecks))
}

// listenPlain is listen without TLS and without an access log: for what only this machine or a scraper reads.
func (p *process) listenPlain(ctx context.Context, name, addr string, h http.Handler) (*httpserver.Server, error) {
	cfg := p.cfg.HTTP
	cfg.TLS = httpserver.TLSConfig{}
	cfg.AccessLog = httpserver.AccessLogOff
	cfg.WriteTimeout = max(cfg.WriteTimeout, 10*time.Minute) // a profile is recorded for as long as its request asks
	return p.listenAs(ctx, name, addr, h, cfg, p.health)
}

func (p *process) listenAs(ctx context.Context, name, addr string, h http.Handler, cfg httpserver.Config, health *httpserver.Health) (*httpserver.Server, error) {
	return p.listenBehind(ctx, nil, name, addr, h, cfg, health)
}

// listenBehind is listenAs behind a front; nil: none.
func (p *process) listenBehind(ctx context.Context, front httpserver.Front, name, addr string, h http.Handler, cfg httpserver.Config, health *httpserver.Health) (*httpserver.Server, error) {
	cfg.Addr = addr
	if cfg.TLS.Enabled() {
		cfg.TLS.ACME.HTTPElsewhere = p.challenges
		p.challenges = true
	}
	var tracer trace.Tracer
	if p.tel.Tracing {
		tracer = p.tel.Tracer.Tracer("github.com/kamado/kamado/" + name)
	}
	srv, err := httpserver.New(cfg, h, httpserver.Deps{Name: name, Log: p.tel.Log, Health: health, Registerer: p.tel.Registry, Tracer: tracer, Front: front})
	if err != nil {
		return nil, err
	}
	if err := srv.Listen(ctx); err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, hinted(err, fmt.Sprintf("another program has this port; choose another address for %s", name))
		}
		return nil, err
	}
	p.group.Add(name+" listener", srv.Run)
	return srv, nil
}

// run works until ctx ends or a part fails.
func (p *process) run(ctx context.Context) error {
	p.group.Add("memory", p.trim)
	err := p.group.Run(ctx)
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	if e := p.tel.Shutdown(flush); e != nil {
		p.tel.Log.Warn("last traces were not sent", "error", e)
	}
	return err
}
