package node

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/dns"
)

// metrics counts, and reads the state when it is scraped.
type metrics struct {
	node     *Node
	rejected *prometheus.CounterVec
	unread   prometheus.Counter
	changes  prometheus.Counter

	members, entries, bytes, names, waiting *prometheus.Desc
}

func newMetrics() *metrics {
	return &metrics{
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kamado_dns_rejected_total", Help: "What members said and was refused, by reason."}, []string{"reason"}),
		unread:   prometheus.NewCounter(prometheus.CounterOpts{Name: "kamado_dns_messages_unread_total", Help: "Messages of members that could not be read."}),
		changes:  prometheus.NewCounter(prometheus.CounterOpts{Name: "kamado_dns_health_changes_total", Help: "Records that became healthy, unhealthy or dead, of all members."}),
		members:  prometheus.NewDesc("kamado_dns_members", "Members by state.", []string{"state"}, nil),
		entries:  prometheus.NewDesc("kamado_dns_entries", "Entries of all streams, tombstones included.", nil, nil),
		bytes:    prometheus.NewDesc("kamado_dns_entries_bytes", "Bytes of all entries.", nil, nil),
		names:    prometheus.NewDesc("kamado_dns_names", "Names with owned records.", nil, nil),
		waiting:  prometheus.NewDesc("kamado_dns_entries_waiting", "Zone entries whose time lies too far ahead of this clock.", nil, nil),
	}
}

func (m *metrics) on(n *Node) *metrics {
	m.node = n
	return m
}

// Describe tells what there is.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	m.rejected.Describe(ch)
	m.unread.Describe(ch)
	m.changes.Describe(ch)
	for _, d := range []*prometheus.Desc{m.members, m.entries, m.bytes, m.names, m.waiting} {
		ch <- d
	}
}

// Collect reads the state of this moment.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	m.rejected.Collect(ch)
	m.unread.Collect(ch)
	m.changes.Collect(ch)
	m.node.mu.Lock()
	stats, members, names := m.node.rep.Stats(), m.node.rep.Members(), len(m.node.seen)
	m.node.mu.Unlock()
	byState := map[dns.MemberState]int{}
	for _, member := range members {
		byState[member.State]++
	}
	for s := dns.MemberAlive; s <= dns.MemberRemoved; s++ {
		ch <- prometheus.MustNewConstMetric(m.members, prometheus.GaugeValue, float64(byState[s]), s.String())
	}
	for d, v := range map[*prometheus.Desc]int{m.entries: stats.Entries, m.bytes: stats.Bytes, m.names: names, m.waiting: stats.Waiting} {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v))
	}
}
