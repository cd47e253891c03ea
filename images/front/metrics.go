package front

import "github.com/prometheus/client_golang/prometheus"

// metrics are what a Front counts:
//
//	kamado_images_front_requests_total{how}    requests: answered here, lent (their connection came back), given (for good)
//	kamado_images_front_answers                ready answers that are held
//	kamado_images_front_bytes                  memory they take; the bound is Config.TableBytes
//	kamado_images_front_evictions_total        ready answers that were dropped for others
//	kamado_images_front_sheets                 pictures that are sent without a copy; the bound is sheetsMax
//	kamado_images_front_sheet_bytes            memory they take; the bound is Config.SheetBytes
//	kamado_images_front_slow_total             times that looking at an original took too long for a loop
type metrics struct {
	requests                                 *prometheus.CounterVec
	answered, lent, given                    prometheus.Counter
	slow                                     prometheus.Counter
	held, bytes, evicted, sheets, sheetBytes *prometheus.Desc
}

func newMetrics() metrics {
	m := metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kamado_images_front_requests_total",
			Help: "Requests at the front: answered there, lent to net/http, or given to it with their connection."}, []string{"how"}),
		slow: prometheus.NewCounter(prometheus.CounterOpts{Name: "kamado_images_front_slow_total",
			Help: "Times that looking at an original took too long, so that net/http answered everything for a while."}),
		held:       prometheus.NewDesc("kamado_images_front_answers", "Ready answers that are held.", nil, nil),
		bytes:      prometheus.NewDesc("kamado_images_front_bytes", "Memory of ready answers, without the pictures.", nil, nil),
		sheets:     prometheus.NewDesc("kamado_images_front_sheets", "Pictures that are sent without a copy.", nil, nil),
		sheetBytes: prometheus.NewDesc("kamado_images_front_sheet_bytes", "Memory of pictures that are sent without a copy.", nil, nil),
		evicted:    prometheus.NewDesc("kamado_images_front_evictions_total", "Ready answers dropped for others.", nil, nil),
	}
	m.answered, m.lent, m.given = m.requests.WithLabelValues("answered"), m.requests.WithLabelValues("lent"), m.requests.WithLabelValues("given")
	return m
}

// Describe implements prometheus.Collector.
func (f *Front) Describe(ch chan<- *prometheus.Desc) {
	f.metrics.requests.Describe(ch)
	f.metrics.slow.Describe(ch)
	ch <- f.metrics.held
	ch <- f.metrics.bytes
	ch <- f.metrics.evicted
	ch <- f.metrics.sheets
	ch <- f.metrics.sheetBytes
}

// Collect implements prometheus.Collector.
func (f *Front) Collect(ch chan<- prometheus.Metric) {
	f.metrics.requests.Collect(ch)
	f.metrics.slow.Collect(ch)
	entries, bytes := f.table.size()
	ch <- prometheus.MustNewConstMetric(f.metrics.held, prometheus.GaugeValue, float64(entries))
	ch <- prometheus.MustNewConstMetric(f.metrics.bytes, prometheus.GaugeValue, float64(bytes))
	ch <- prometheus.MustNewConstMetric(f.metrics.evicted, prometheus.CounterValue, float64(f.table.evictions.Load()))
	entries, bytes = f.table.sheets.size()
	ch <- prometheus.MustNewConstMetric(f.metrics.sheets, prometheus.GaugeValue, float64(entries))
	ch <- prometheus.MustNewConstMetric(f.metrics.sheetBytes, prometheus.GaugeValue, float64(bytes))
}
