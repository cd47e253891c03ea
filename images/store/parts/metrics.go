package parts

import "github.com/prometheus/client_golang/prometheus"

var (
	descUploads = prometheus.NewDesc("kamado_images_store_multipart_uploads", "Multipart uploads that are open.", nil, nil)
	descBytes   = prometheus.NewDesc("kamado_images_store_multipart_bytes", "Bytes of the parts of open multipart uploads.", nil, nil)
	descMax     = prometheus.NewDesc("kamado_images_store_multipart_bytes_max", "Bytes that they may have.", nil, nil)
	descExpired = prometheus.NewDesc("kamado_images_store_multipart_expired_total", "Multipart uploads removed because nobody completed them in time.", nil, nil)
)

// Describe implements prometheus.Collector.
func (s *Store) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descUploads, descBytes, descMax, descExpired} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (s *Store) Collect(ch chan<- prometheus.Metric) {
	st := s.Stats()
	ch <- prometheus.MustNewConstMetric(descUploads, prometheus.GaugeValue, float64(st.Uploads))
	ch <- prometheus.MustNewConstMetric(descBytes, prometheus.GaugeValue, float64(st.Bytes))
	ch <- prometheus.MustNewConstMetric(descMax, prometheus.GaugeValue, float64(s.cfg.BytesMax))
	ch <- prometheus.MustNewConstMetric(descExpired, prometheus.CounterValue, float64(st.Expired))
}
