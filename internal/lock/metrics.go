package lock

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are what lockers and registries of one process count. Labels: engine is
// Place.Engine; reason is held, exhausted (a bound) or invalid; op is acquire, renew, release,
// look, list or watch.
//
//	kamado_lock_grants_total{engine}           grants
//	kamado_lock_renewals_total{engine}         renewals
//	kamado_lock_releases_total{engine}         grants given back, and such that were over already
//	kamado_lock_refusals_total{engine,reason}  grants that were refused
//	kamado_lock_losses_total{engine}           renewals that were refused, because the grant is over
//	kamado_lock_errors_total{engine,op}        calls that failed because the engine is away
//	kamado_lock_waiters{engine}                calls that wait for a lock; the bound is Config.WaitersMax
//	kamado_lock_watches{engine}                locks that are watched because they were refused; the bound is Config.WatchesMax
//	kamado_lock_sightings{engine}              leases whose age is known; the bound is Config.SightingsMax
//
// A nil *Metrics counts nothing.
type Metrics struct {
	grants, renewals, releases, losses *prometheus.CounterVec
	refusals, errors                   *prometheus.CounterVec
	waiters, watches, sightings        *prometheus.GaugeVec
}

// NewMetrics makes the counters and registers them with r, which may be nil.
func NewMetrics(r prometheus.Registerer) (*Metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kamado_lock_" + name, Help: help}, append([]string{"engine"}, labels...))
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "kamado_lock_" + name, Help: help}, []string{"engine"})
	}
	m := &Metrics{
		grants:    counter("grants_total", "Grants of locks."),
		renewals:  counter("renewals_total", "Renewals of grants."),
		releases:  counter("releases_total", "Grants that were given back."),
		refusals:  counter("refusals_total", "Grants that were refused.", "reason"),
		losses:    counter("losses_total", "Renewals that were refused, because the grant is over."),
		errors:    counter("errors_total", "Calls that failed because the engine is away.", "op"),
		waiters:   gauge("waiters", "Calls that wait for a lock."),
		watches:   gauge("watches", "Locks that are watched because they were refused."),
		sightings: gauge("sightings", "Leases whose age is known."),
	}
	if r == nil {
		return m, nil
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.grants, m.renewals, m.releases, m.refusals, m.losses, m.errors, m.waiters, m.watches, m.sightings} {
		errs = append(errs, r.Register(c))
	}
	return m, errors.Join(errs...)
}

// counted counts the end of one call and gives its error back.
func (m *Metrics) counted(engine, op string, err error) error {
	if m == nil {
		return err
	}
	acquire := op == "acquire"
	switch {
	case err == nil:
		if c := map[string]*prometheus.CounterVec{"acquire": m.grants, "renew": m.renewals, "release": m.releases}[op]; c != nil {
			c.WithLabelValues(engine).Inc()
		}
	case errors.Is(err, ErrHeld):
		m.refusals.WithLabelValues(engine, "held").Inc()
	case errors.Is(err, ErrExhausted):
		m.refusals.WithLabelValues(engine, "exhausted").Inc()
	case errors.Is(err, ErrInvalid):
		if acquire {
			m.refusals.WithLabelValues(engine, "invalid").Inc()
		}
	case errors.Is(err, ErrLost):
		if op == "renew" {
			m.losses.WithLabelValues(engine).Inc()
		}
	case errors.Is(err, context.Canceled): // the caller went away
	default:
		m.errors.WithLabelValues(engine, op).Inc()
	}
	return err
}

// bounds reports how full the bounded things are.
func (m *Metrics) bounds(engine string, waiters, watches, seen int) {
	if m == nil {
		return
	}
	m.waiters.WithLabelValues(engine).Set(float64(waiters))
	m.watches.WithLabelValues(engine).Set(float64(watches))
	m.sightings.WithLabelValues(engine).Set(float64(seen))
}
