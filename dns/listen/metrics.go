package listen

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/dns/answer"
)

// verdicts is how many verdicts there are.
const verdicts = 9

// counts are the counters of one worker, or of all streams of one kind. Workers
// have their own, so that no two write to one line of a cache.
type counts struct {
	_         [64]byte
	transport Transport
	verdicts  [verdicts]atomic.Uint64
	rcodes    [16]atomic.Uint64
	errors    atomic.Uint64 // of sockets
	dropped   atomic.Uint64 // over the rate
	slipped   atomic.Uint64 // over the rate, answered truncated
	refused   atomic.Uint64 // slow packets for which no place was free
	_         [64]byte
}

// counted is what happened in one batch.
type counted struct {
	verdicts [verdicts]uint32
	rcodes   [16]uint32
}

// flush adds it, and begins again.
func (c *counted) flush(to *counts) {
	for i, n := range c.verdicts {
		if n > 0 {
			to.verdicts[i].Add(uint64(n))
		}
	}
	for i, n := range c.rcodes {
		if n > 0 {
			to.rcodes[i].Add(uint64(n))
		}
	}
	*c = counted{}
}

var rcodeNames = [16]string{"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE",
	"11", "12", "13", "14", "15"}

// collector sums counters when they are asked for. Labels: transport (4), verdict (9), rcode (16), action (2).
type collector struct {
	s                                                     *Server
	queries, responses, limited, refused, errors          *prometheus.Desc
	slow, slowMax, connections, connectionsMax, evictions *prometheus.Desc
}

func newCollector(s *Server) *collector {
	d := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("kamado_dns_"+name, help, labels, nil)
	}
	return &collector{s: s,
		queries:        d("queries_total", "Packets that came, by what was done with them.", "transport", "verdict"),
		responses:      d("responses_total", "Responses, by the low 4 bits of their rcode.", "transport", "rcode"),
		limited:        d("limited_total", "Responses over the rate of a client network.", "action"),
		refused:        d("slow_refused_total", "Packets for a handler that found no free place.", "transport"),
		errors:         d("socket_errors_total", "Errors of sockets that lost a packet.", "transport"),
		slow:           d("slow_in_flight", "Packets that handlers serve now."),
		slowMax:        d("slow_max", "Bound of slow_in_flight."),
		connections:    d("connections", "Connections over TCP and TLS."),
		connectionsMax: d("connections_max", "Bound of connections."),
		evictions:      d("connections_evicted_total", "Connections that were closed to make room."),
	}
}

func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.queries, c.responses, c.limited, c.refused, c.errors, c.slow, c.slowMax, c.connections, c.connectionsMax, c.evictions} {
		out <- d
	}
}

func (c *collector) Collect(out chan<- prometheus.Metric) {
	var queries [transportCount][verdicts]uint64
	var responses [transportCount][16]uint64
	var errors, refused [transportCount]uint64
	var dropped, slipped uint64
	for _, n := range c.s.counts {
		t := n.transport
		for i := range n.verdicts {
			queries[t][i] += n.verdicts[i].Load()
		}
		for i := range n.rcodes {
			responses[t][i] += n.rcodes[i].Load()
		}
		errors[t] += n.errors.Load()
		refused[t] += n.refused.Load()
		dropped += n.dropped.Load()
		slipped += n.slipped.Load()
	}
	count := func(d *prometheus.Desc, v uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	for t := range transportCount {
		for v, n := range queries[t] {
			count(c.queries, n, t.String(), answer.Verdict(v).String())
		}
		for r, n := range responses[t] {
			if n > 0 || r <= 5 {
				count(c.responses, n, t.String(), rcodeNames[r])
			}
		}
		count(c.errors, errors[t], t.String())
		count(c.refused, refused[t], t.String())
	}
	count(c.limited, dropped, "dropped")
	count(c.limited, slipped, "slipped")
	gauge := func(d *prometheus.Desc, v int) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v))
	}
	gauge(c.slow, len(c.s.slow.places))
	gauge(c.slowMax, cap(c.s.slow.places))
	gauge(c.connections, c.s.streams.len())
	gauge(c.connectionsMax, c.s.config.ConnectionsMax)
	count(c.evictions, c.s.streams.evicted.Load())
}
