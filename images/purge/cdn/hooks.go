package cdn

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/purge"
)

// Hooks are the hooks of all configured CDNs, in the order of their names. It is a
// fleet.CDN and a prometheus.Collector.
type Hooks []*Hook

// OpenAll opens a hook for each configured CDN, with its queue in dir. latest is
// the newest order that the table holds.
func OpenAll(cfg map[string]images.CDN, dir string, latest purge.ID, deps Deps) (hooks Hooks, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, hooks.Close())
			hooks = nil
		}
	}()
	for _, name := range slices.Sorted(maps.Keys(cfg)) {
		c := Config{CDN: cfg[name], Name: name, Dir: dir, Begin: latest}
		if c.SecretFile != "" {
			if c.Secret, err = purge.ReadSecret(c.SecretFile); err != nil {
				return hooks, fmt.Errorf("cdn %s: %w", name, err)
			}
		}
		h, err := Open(c, deps)
		if err != nil {
			return hooks, err
		}
		hooks = append(hooks, h)
	}
	return hooks, nil
}

// Empty says whether no CDN is configured.
func (hs Hooks) Empty() bool { return len(hs) == 0 }

// Tell queues orders for every CDN.
func (hs Hooks) Tell(orders ...purge.Order) error {
	var errs []error
	for _, h := range hs {
		errs = append(errs, h.Tell(orders...))
	}
	return errors.Join(errs...)
}

// Told is up to where every CDN was told; some may have been told more.
func (hs Hooks) Told() (id purge.ID) {
	for i, h := range hs {
		if t := h.Told(); i == 0 || t.Compare(id) < 0 {
			id = t
		}
	}
	return id
}

// Run runs all hooks until ctx ends.
func (hs Hooks) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	errs := make([]error, len(hs))
	for i, h := range hs {
		wg.Go(func() { errs[i] = h.Run(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Close closes the queues.
func (hs Hooks) Close() error {
	var errs []error
	for _, h := range hs {
		errs = append(errs, h.Close())
	}
	return errors.Join(errs...)
}

// Status is the state of all hooks, for JSON.
func (hs Hooks) Status() any {
	list := make([]Stats, len(hs))
	for i, h := range hs {
		list[i] = h.Stats()
	}
	return list
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("kamado_images_cdn_"+name, help, labels, nil)
}

var (
	descWaiting  = desc("waiting", "Orders that a CDN is still to be told, for the first or the second time.", "cdn")
	descQueueMax = desc("waiting_max", "Orders that may wait.", "cdn")
	descRequests = desc("requests_total", "Requests to a CDN by outcome: ok, failed.", "cdn", "outcome")
	descOrders   = desc("orders_total", "Orders by what became of them: told, gave_up, folded (times that all became one purge of all).", "cdn", "outcome")
	descDown     = desc("down", "1 while the last request to a CDN failed.", "cdn")
)

// Describe implements prometheus.Collector. The label cdn has the configured names.
func (hs Hooks) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descWaiting, descQueueMax, descRequests, descOrders, descDown} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (hs Hooks) Collect(ch chan<- prometheus.Metric) {
	put := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	for _, h := range hs {
		s := h.Stats()
		put(descWaiting, prometheus.GaugeValue, float64(s.Waiting), s.Name)
		put(descQueueMax, prometheus.GaugeValue, float64(s.QueueMax), s.Name)
		put(descRequests, prometheus.CounterValue, float64(s.Sent), s.Name, "ok")
		put(descRequests, prometheus.CounterValue, float64(s.Failed), s.Name, "failed")
		put(descOrders, prometheus.CounterValue, float64(s.Told), s.Name, "told")
		put(descOrders, prometheus.CounterValue, float64(s.GaveUp), s.Name, "gave_up")
		put(descOrders, prometheus.CounterValue, float64(s.Folds), s.Name, "folded")
		down := 0.0
		if s.Down {
			down = 1
		}
		put(descDown, prometheus.GaugeValue, down, s.Name)
	}
}
