// Package telemetry is how a process tells what it does: structured logs, metrics in the Prometheus form, traces by
// OpenTelemetry, and profiles.
//
// New builds all of it once per process and hands out the pieces; nothing is global. Logs go to one writer, as JSON unless a
// person reads them on a terminal. Traces are off until one of the standard OTEL_ variables asks for them, and are then
// sent by OTLP over HTTP. Metrics and profiles are served where HandleAdmin put them, and nowhere else. Secrets that pass through settings are
// SecretString, which hides itself.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Config is what an operator chooses about logs. Traces follow the standard OTEL_ variables of the environment.
type Config struct {
	// Least level that is logged: debug, info, warn or error.
	Level string `toml:"level"`
	// Form of the log: json, text, or auto: text on a terminal and json elsewhere.
	Format string `toml:"format"`
}

// Values of Config.Format.
const (
	FormatAuto = "auto"
	FormatJSON = "json"
	FormatText = "text"
)

// Default is what a process without settings does.
func Default() Config { return Config{Level: "info", Format: FormatAuto} }

// Validate gives all complaints at once.
func (c Config) Validate() error {
	var errs []error
	if _, err := parseLevel(c.Level); err != nil {
		errs = append(errs, err)
	}
	switch c.Format {
	case FormatAuto, FormatJSON, FormatText:
	default:
		errs = append(errs, fmt.Errorf("format is %q, must be auto, json or text", c.Format))
	}
	return errors.Join(errs...)
}

func parseLevel(s string) (slog.Level, error) {
	switch strings.ToLower(s) {
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("level is %q, must be debug, info, warn or error", s)
}

// Deps are what a process is.
type Deps struct {
	Service string    // name in traces: "kamado"
	Version string    // of the program
	Writer  io.Writer // where logs go
	// Terminal says that a person reads Writer, and Colour that the person wants colour.
	Terminal, Colour bool
	// Getenv looks a variable of the environment up.
	Getenv func(string) string
}

// Telemetry holds the pieces. Its fields do not change after New.
type Telemetry struct {
	Log      *slog.Logger
	Registry *prometheus.Registry
	// Tracer provides tracers that record nothing when traces are off; Tracing tells.
	Tracer  trace.TracerProvider
	Tracing bool

	stopTraces func(context.Context) error
}

// New builds the telemetry of a process. Call Shutdown at its end.
func New(ctx context.Context, cfg Config, deps Deps) (*Telemetry, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure log: %w", err)
	}
	t := &Telemetry{
		Log:        newLog(cfg, deps),
		Registry:   prometheus.NewRegistry(),
		Tracer:     noop.NewTracerProvider(),
		stopTraces: func(context.Context) error { return nil },
	}
	t.Registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	on, err := tracesWanted(deps.Getenv)
	if err != nil {
		return nil, fmt.Errorf("configure traces: %w", err)
	}
	if on {
		if err := t.startTraces(ctx, deps); err != nil {
			return nil, fmt.Errorf("configure traces: %w", err)
		}
	}
	return t, nil
}

func newLog(cfg Config, deps Deps) *slog.Logger {
	level, _ := parseLevel(cfg.Level) // validated by New
	if cfg.Format == FormatText || cfg.Format == FormatAuto && deps.Terminal {
		return slog.New(&person{level: level, colour: deps.Colour, out: &lockedWriter{w: deps.Writer}})
	}
	return slog.New(slog.NewJSONHandler(deps.Writer, &slog.HandlerOptions{Level: level}))
}

// Shutdown sends what is still to be sent, until ctx ends.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	if err := t.stopTraces(ctx); err != nil {
		return fmt.Errorf("send last traces: %w", err)
	}
	return nil
}

// HandleAdmin serves /metrics and /debug/pprof/ on mux. It checks no credential: put a guard in front.
func (t *Telemetry) HandleAdmin(mux *http.ServeMux) {
	mux.Handle("GET /metrics", promhttp.HandlerFor(t.Registry, promhttp.HandlerOpts{Registry: t.Registry, EnableOpenMetrics: true}))
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
}
