package eventlog_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/internal/eventlog"
)

func TestMetricsSayWhatStatsSay(t *testing.T) {
	cfg := config()
	cfg.Queue = 2
	l, err := eventlog.Open(t.TempDir(), newStore(t), cfg, quiet())
	must(t, err)
	for i := range 5 {
		l.Offer(event(i))
	}
	r := prometheus.NewPedanticRegistry()
	must(t, l.Register(r))
	families, err := r.Gather()
	must(t, err)
	got := map[string]float64{}
	for _, f := range families {
		m := f.GetMetric()[0]
		got[f.GetName()] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
	}
	if len(got) != 8 || got["kamado_eventlog_dropped_total"] != 3 || got["kamado_eventlog_queued_events"] != 2 {
		t.Errorf("metrics = %v", got)
	}
}
