package gossip

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics of a member's gossip: kamado_dns_gossip_….
type metrics struct {
	messages      *prometheus.CounterVec // direction: in, out; kind: packet, again, stream, confirm, leave
	bytes         *prometheus.CounterVec // like messages
	wireBytes     *prometheus.CounterVec // direction; transport: udp, tcp. Payload of datagrams and streams, everything in it
	dropped       *prometheus.CounterVec // why: inbox, outbox, lane, datagram, stream, malformed, queue, unconfirmed
	sendFailures  *prometheus.CounterVec // kind: packet, stream
	joins         *prometheus.CounterVec // outcome: joined, unreachable, key, conflict
	undecryptable *prometheus.CounterVec // transport: udp, tcp
	doubts        *prometheus.CounterVec // outcome: dead, alive
	all           []prometheus.Collector
}

const namespace, subsystem = "kamado_dns", "gossip"

func newMetrics() *metrics {
	m := &metrics{}
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help}, labels)
		m.all = append(m.all, c)
		return c
	}
	m.messages = vec("messages_total", "Messages between members.", "direction", "kind")
	m.bytes = vec("message_bytes_total", "Bytes of messages between members.", "direction", "kind")
	m.wireBytes = vec("wire_bytes_total", "Payload of datagrams and streams of gossip.", "direction", "transport")
	m.dropped = vec("dropped_total", "What was not taken or not sent, for want of room or because it cannot be read.", "why")
	m.sendFailures = vec("send_failures_total", "Messages that could not be sent.", "kind")
	m.joins = vec("joins_total", "Attempts to join a member.", "outcome")
	m.undecryptable = vec("undecryptable_total", "Datagrams and streams that no key of ours opens.", "transport")
	m.doubts = vec("doubts_total", "Peers that memberlist held for dead, by what asking them told.", "outcome")
	return m
}

func (m *metrics) wire(direction, transport string, n int) {
	m.wireBytes.WithLabelValues(direction, transport).Add(float64(n))
}

func (m *metrics) message(direction, kind string, n int) {
	m.messages.WithLabelValues(direction, kind).Inc()
	m.bytes.WithLabelValues(direction, kind).Add(float64(n))
}

func (m *metrics) drop(why string) { m.dropped.WithLabelValues(why).Inc() }

func (m *metrics) register(r prometheus.Registerer, g *Gossip) {
	if r == nil {
		return
	}
	m.all = append(m.all, &gauges{g, prometheus.NewDesc("kamado_dns_gossip_members", "Peers by state.", []string{"state"}, nil),
		prometheus.NewDesc("kamado_dns_gossip_health_score", "How badly this member keeps its own times: 0 is well.", nil, nil)})
	r.MustRegister(m.all...)
}

func (m *metrics) unregister(r prometheus.Registerer) {
	if r == nil {
		return
	}
	for _, c := range m.all {
		r.Unregister(c)
	}
}

// gauges reads the state when it is asked for.
type gauges struct {
	g       *Gossip
	members *prometheus.Desc // state: up, dead, left
	health  *prometheus.Desc
}

func (c *gauges) Describe(ch chan<- *prometheus.Desc) { ch <- c.members; ch <- c.health }

func (c *gauges) Collect(ch chan<- prometheus.Metric) {
	count := map[state]int{}
	c.g.mu.Lock()
	for _, p := range c.g.peers {
		count[p.state]++
	}
	c.g.mu.Unlock()
	for s, name := range map[state]string{up: "up", dead: "dead", left: "left"} {
		ch <- prometheus.MustNewConstMetric(c.members, prometheus.GaugeValue, float64(count[s]), name)
	}
	ch <- prometheus.MustNewConstMetric(c.health, prometheus.GaugeValue, float64(c.g.list.GetHealthScore()))
}
