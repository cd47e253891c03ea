package network

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Counters is Metrics for Prometheus. Labels: result is "done" or "failed";
// outcome is "offer", "ack", "nak", "ignored" or "invalid"; code is the first
// digit of an HTTP status and "xx".
type Counters struct {
	applies  *prometheus.HistogramVec
	changes  prometheus.Counter
	dhcp     *prometheus.CounterVec
	metadata *prometheus.CounterVec
	refused  prometheus.Counter
}

var _ Metrics = (*Counters)(nil)

// NewCounters registers the counters of a network engine; reg may be nil.
func NewCounters(reg prometheus.Registerer) *Counters {
	c := &Counters{
		applies: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "kamado_compute_network_apply_seconds",
			Help:    "Time that making the networks of this host took, by result.",
			Buckets: []float64{.001, .002, .005, .01, .02, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}}, []string{"result"}),
		changes: prometheus.NewCounter(prometheus.CounterOpts{Name: "kamado_compute_network_changes_total",
			Help: "Things of the kernel that were changed to make the networks of this host."}),
		dhcp: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kamado_compute_dhcp_messages_total",
			Help: "DHCP messages of guests, by what became of them."}, []string{"outcome"}),
		metadata: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kamado_compute_metadata_requests_total",
			Help: "Requests of guests to the metadata service, by class of status."}, []string{"code"}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{Name: "kamado_compute_network_connections_refused_total",
			Help: "Packets that were dropped because a port had as many connections as it may; looked at twice a minute."}),
	}
	if reg != nil {
		reg.MustRegister(c.applies, c.changes, c.dhcp, c.metadata, c.refused)
	}
	return c
}

// Applied counts one Apply.
func (c *Counters) Applied(took time.Duration, changes int, err error) {
	result := "done"
	if err != nil {
		result = "failed"
	}
	c.applies.WithLabelValues(result).Observe(took.Seconds())
	c.changes.Add(float64(changes))
}

// DHCP counts a message.
func (c *Counters) DHCP(outcome string) { c.dhcp.WithLabelValues(outcome).Inc() }

// Metadata counts a request.
func (c *Counters) Metadata(status int) {
	c.metadata.WithLabelValues(strconv.Itoa(min(max(status/100, 1), 5)) + "xx").Inc()
}

// Refused counts packets of connections too many.
func (c *Counters) Refused(packets int) { c.refused.Add(float64(packets)) }
