package cache

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are those of one Through.
//
//	kamado_cache_reads_total{result}   hit, absent (a hit that says "no value"), miss, busy (leased or marked), off, error, broken
//	kamado_cache_fills_total{result}   done, refused, large, error
//	kamado_cache_writes_total{result}  settled, unmarked (the part is off), doubt, unsettled, failed (nothing was written)
//	kamado_cache_offs_total{part}      how often this process turned a part off
//	kamado_cache_on{part}              1: this process reads it; "parts" is the list of them as a whole
type metrics struct {
	reads, fills, writes, offs *prometheus.CounterVec
}

func newMetrics() *metrics {
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "kamado", Subsystem: "cache", Name: name, Help: help}, labels)
	}
	return &metrics{
		reads:  vec("reads_total", "Reads through the cache, by what the cell was.", "result"),
		fills:  vec("fills_total", "Copies that readers brought, by outcome.", "result"),
		writes: vec("writes_total", "Writes through the cache, by outcome.", "result"),
		offs:   vec("offs_total", "How often this process turned a part of the cache off.", "part"),
	}
}

func (m *metrics) register(t *Through, r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	errs := []error{r.Register(m.reads), r.Register(m.fills), r.Register(m.writes), r.Register(m.offs)}
	for _, g := range t.guards {
		errs = append(errs, r.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "kamado", Subsystem: "cache", Name: "on", Help: "Whether this process reads a part of the cache.", ConstLabels: prometheus.Labels{"part": g.name},
		}, func() float64 {
			if s, ok := g.look(t.now()); ok && s.notice.place() == placeOn && s.notice.Owner == t.owner {
				return 1
			}
			return 0
		})))
	}
	return errors.Join(errs...)
}
