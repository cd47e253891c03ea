package gateway

import (
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/game/wire"
)

// How logins end.
type loginOutcome uint8

const (
	loginOK      loginOutcome = iota
	loginRefused              // the credential does not count
	loginVersion              // the client is too old
	loginClosed               // drain or maintenance
	loginBusy                 // no turn in time
	loginError                // the identity is away
	loginOutcomes
)

var loginNames = [loginOutcomes]string{"ok", "refused", "version", "closed", "busy", "error"}

// How attempts to resume end.
type resumeOutcome uint8

const (
	resumeOK      resumeOutcome = iota
	resumeUnknown               // no such session, or the token of another one
	resumeLost                  // what was missed is not kept any more
	resumeInvalid               // the client has what was never sent
	resumeBusy                  // the old connection did not end in time
	resumeOutcomes
)

var resumeNames = [resumeOutcomes]string{"ok", "unknown", "lost", "invalid", "busy"}

// Counters of frames lie by command in a few places, of which each connection uses one: what is counted for every delivery
// must not be one cache line for all processors.
const (
	metricShards = 8
	shardMask    = metricShards - 1
	commandsMax  = int(wire.CmdPointsChanged) + 2
	otherCommand = commandsMax - 1 // the application's, and those that nobody knows
)

type metricShard struct {
	framesIn, framesOut [commandsMax]atomic.Uint64
	bytesIn, bytesOut   atomic.Uint64
	refused             atomic.Uint64 // shows
	_                   [64]byte
}

func commandIndex(c wire.Command) int { return min(int(c), otherCommand) }

func (m *metricShard) in(c wire.Command)  { m.framesIn[commandIndex(c)].Add(1) }
func (m *metricShard) out(c wire.Command) { m.framesOut[commandIndex(c)].Add(1) }

// outAll counts whole frames.
func (m *metricShard) outAll(b []byte) {
	for len(b) > 0 {
		f, rest, _, err := wire.Cut(b, wire.LimitServer)
		if err != nil {
			return
		}
		m.out(f.Command)
		b = rest
	}
}

// metrics of a gateway: kamado_game_gateway_…. They are read when somebody asks.
type metrics struct {
	g      *Gateway
	shards [metricShards]metricShard

	logins       [loginOutcomes]atomic.Uint64
	resumes      [resumeOutcomes]atomic.Uint64
	closings     [16]atomic.Uint64 // by reason
	movesDropped atomic.Uint64
	limited      atomic.Uint64
	duplicates   atomic.Uint64
	forgotten    atomic.Uint64
	turned       atomic.Uint64
	acceptFails  atomic.Uint64
	checksLate   atomic.Uint64
	checkFails   atomic.Uint64

	list []collected
}

// collected is a metric and how it is read.
type collected struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(emit func(v float64, labels ...string))
}

func (m *metrics) shard(c *conn) *metricShard { return &m.shards[c.shard&shardMask] }
func (m *metrics) login(o loginOutcome)       { m.logins[o].Add(1) }
func (m *metrics) resume(o resumeOutcome)     { m.resumes[o].Add(1) }
func (m *metrics) closed(r wire.Reason)       { m.closings[uint32(r)%16].Add(1) }
func (m *metrics) Describe(out chan<- *prometheus.Desc) {
	for _, c := range m.list {
		out <- c.desc
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	for _, c := range m.list {
		c.read(func(v float64, labels ...string) { out <- prometheus.MustNewConstMetric(c.desc, c.kind, v, labels...) })
	}
}

// reasonName is a reason in metrics and events.
func reasonName(r wire.Reason) string {
	return strings.ToLower(strings.TrimPrefix(r.String(), "REASON_"))
}

func commandName(i int) string {
	if info, ok := wire.Lookup(wire.Command(i)); ok {
		return info.Name
	}
	return "other"
}

func newMetrics(g *Gateway) *metrics {
	m := &metrics{g: g}
	add := func(kind prometheus.ValueType, name, help string, read func(emit func(float64, ...string)), labels ...string) {
		m.list = append(m.list, collected{prometheus.NewDesc("kamado_game_gateway_"+name, help, labels, nil), kind, read})
	}
	counter := func(name, help string, v *atomic.Uint64) {
		add(prometheus.CounterValue, name, help, func(emit func(float64, ...string)) { emit(float64(v.Load())) })
	}
	gauge := func(name, help string, v func() float64) {
		add(prometheus.GaugeValue, name, help, func(emit func(float64, ...string)) { emit(v()) })
	}
	m.perLabel(add)
	m.sums(add)
	counter("moves_dropped_total", "Moves that were dropped because a client sent too many commands.", &m.movesDropped)
	counter("commands_limited_total", "Commands that were refused because a client sent too many.", &m.limited)
	counter("duplicates_total", "Reliable frames of clients that had come before.", &m.duplicates)
	counter("replay_forgotten_total", "Reliable frames that were dropped from a replay before the client acknowledged them.", &m.forgotten)
	counter("connections_refused_total", "Connections that were not taken: too many, too many of one address, or too much waits for clients.", &m.turned)
	counter("accept_failures_total", "Failed attempts to take a connection.", &m.acceptFails)
	counter("token_checks_late_total", "Looks at tokens that were put off because too many wait.", &m.checksLate)
	counter("token_check_failures_total", "Looks at tokens that failed because the identity is away.", &m.checkFails)
	m.gauges(gauge)
	return m
}

func (m *metrics) perLabel(add func(prometheus.ValueType, string, string, func(func(float64, ...string)), ...string)) {
	each := func(n int, name func(int) string, v func(int) float64, zero bool) func(func(float64, ...string)) {
		return func(emit func(float64, ...string)) {
			for i := range n {
				if x := v(i); x != 0 || zero {
					emit(x, name(i))
				}
			}
		}
	}
	add(prometheus.GaugeValue, "connections", "Open connections by transport: tcp, tls, websocket.",
		each(int(transports), func(i int) string { return transportNames[i] }, func(i int) float64 { return float64(m.g.open[i].Load()) }, true), "transport")
	add(prometheus.CounterValue, "logins_total", "Logins by outcome: ok, refused, version, closed, busy, error.",
		each(int(loginOutcomes), func(i int) string { return loginNames[i] }, func(i int) float64 { return float64(m.logins[i].Load()) }, true), "outcome")
	add(prometheus.CounterValue, "resumes_total", "Attempts to resume by outcome: ok, unknown, lost, invalid, busy.",
		each(int(resumeOutcomes), func(i int) string { return resumeNames[i] }, func(i int) float64 { return float64(m.resumes[i].Load()) }, true), "outcome")
	add(prometheus.CounterValue, "closings_total", "Connections and sessions that were ended, by reason.",
		each(len(m.closings), func(i int) string { return reasonName(wire.Reason(i)) }, func(i int) float64 { return float64(m.closings[i].Load()) }, false), "reason")
	frames := func(of func(*metricShard) *[commandsMax]atomic.Uint64) func(func(float64, ...string)) {
		return func(emit func(float64, ...string)) {
			other := 0.0
			for i := range commandsMax {
				n := 0.0
				for k := range m.shards {
					n += float64(of(&m.shards[k])[i].Load())
				}
				if _, known := wire.Lookup(wire.Command(i)); !known {
					other += n
				} else if n > 0 {
					emit(n, commandName(i))
				}
			}
			emit(other, "other")
		}
	}
	add(prometheus.CounterValue, "frames_in_total", "Frames of clients by command.", frames(func(s *metricShard) *[commandsMax]atomic.Uint64 { return &s.framesIn }), "command")
	add(prometheus.CounterValue, "frames_out_total", "Frames for clients by command, when they were queued.", frames(func(s *metricShard) *[commandsMax]atomic.Uint64 { return &s.framesOut }), "command")
}

// sums are counters that lie in shards.
func (m *metrics) sums(add func(prometheus.ValueType, string, string, func(func(float64, ...string)), ...string)) {
	sum := func(name, help string, of func(*metricShard) *atomic.Uint64) {
		add(prometheus.CounterValue, name, help, func(emit func(float64, ...string)) {
			n := uint64(0)
			for i := range m.shards {
				n += of(&m.shards[i]).Load()
			}
			emit(float64(n))
		})
	}
	sum("bytes_in_total", "Bytes that were read, without those of TLS.", func(s *metricShard) *atomic.Uint64 { return &s.bytesIn })
	sum("bytes_out_total", "Bytes that were written, without those of TLS.", func(s *metricShard) *atomic.Uint64 { return &s.bytesOut })
	sum("shows_refused_total", "Times that newer state was not taken because the client is behind or cut, or too much waits for all.", func(s *metricShard) *atomic.Uint64 { return &s.refused })
}

func (m *metrics) gauges(gauge func(name, help string, v func() float64)) {
	g := m.g
	locked := func(f func() int) func() float64 {
		return func() float64 {
			g.mu.Lock()
			defer g.mu.Unlock()
			return float64(f())
		}
	}
	gauge("connections_max", "Most connections.", func() float64 { return float64(g.cfg.Connections) })
	gauge("sessions", "Sessions of users.", locked(func() int { return len(g.users) }))
	gauge("service_sessions", "Sessions of services.", locked(func() int { return len(g.services) }))
	gauge("sessions_cut", "Sessions of users whose connection is lost.", func() float64 { return float64(g.cut.Load()) })
	gauge("addresses", "Network addresses that have connections.", locked(func() int { return len(g.addresses) }))
	gauge("queued_bytes", "Bytes that wait for clients.", func() float64 { return float64(g.queued.Load()) })
	gauge("replay_bytes", "Bytes that are kept until clients acknowledge them.", func() float64 { return float64(g.replayed.Load()) })
	gauge("unfinished_bytes", "Bytes of frames of clients that have not come as a whole.", func() float64 { return float64(g.unfinished.Load()) })
	gauge("queued_bytes_max", "Most bytes of queues, replays and unfinished frames before all are limited (game.gateway.queue_bytes_all).", func() float64 { return float64(g.cfg.QueueBytesAll) })
	gauge("logins_in_work", "Logins in work.", func() float64 { return float64(len(g.logins)) })
	gauge("logins_in_work_max", "Most logins in work.", func() float64 { return loginsMax })
	gauge("logins_waiting", "Logins that wait for their turn.", func() float64 { return float64(g.loginsWaiting.Load()) })
	gauge("logins_waiting_max", "Most logins that wait.", func() float64 { return loginsWaitingMax })
	gauge("refusals", "Connections that are being told that there is no room.", func() float64 { return float64(g.refusals.Load()) })
	gauge("refusals_max", "Most connections that are told so; others are closed without a word.", func() float64 { return refusalsMax })
	gauge("token_checks_waiting", "Looks at tokens that wait.", func() float64 { return float64(len(g.checks) * checksBatch) })
	gauge("token_checks_waiting_max", "Most looks at tokens that wait.", func() float64 { return checksMax * checksBatch })
	gauge("closed", "Whether users are refused: 1 for drain or maintenance.", func() float64 {
		if g.door.Load() != nil {
			return 1
		}
		return 0
	})
}
