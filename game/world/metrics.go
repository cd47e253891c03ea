package world

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics of a world: kamado_game_world_….
type metrics struct {
	moves, deliveries, refusedShows, own prometheus.Counter
	rounds                               prometheus.Counter
	roundSeconds                         prometheus.Histogram
	chat                                 *prometheus.CounterVec // kind: say, whisper
	refusals                             *prometheus.CounterVec // kind: of error
	enters, redirects, lost              prometheus.Counter
	panics                               prometheus.Counter
	calls                                *prometheus.CounterVec // where: world, area, application, built-in, nobody
	keeps                                *prometheus.CounterVec // result: ok, error
	presence                             *prometheus.CounterVec // result: told, dropped, error
	away                                 *prometheus.CounterVec // why: idle, evicted, lost, closing
}

func newMetrics(r prometheus.Registerer, w *World) *metrics {
	const ns, sub = "kamado_game", "world"
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: name, Help: help})
	}
	vec := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: name, Help: help}, []string{label})
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: ns, Subsystem: sub, Name: name, Help: help}, value)
	}
	m := &metrics{
		moves:        counter("moves_total", "Poses that changed, as rounds told them."),
		deliveries:   counter("deliveries_total", "Poses that sessions of other members took."),
		refusedShows: counter("shows_refused_total", "Rounds that a session did not take, because its client is behind."),
		own:          counter("frames_own_total", "Rounds for which one member got frames of its own."),
		rounds:       counter("rounds_total", "Rounds in which something was told."),
		roundSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: ns, Subsystem: sub, Name: "round_seconds", Help: "Time of a turn of a copy: what its inbox held, the round, and the writes.",
			Buckets: prometheus.ExponentialBuckets(10e-6, 4, 9),
		}),
		chat:      vec("chat_total", "Things that were said.", "kind"),
		refusals:  vec("refused_total", "Commands that were refused, by the kind of error.", "kind"),
		enters:    counter("enters_total", "Avatars that entered an area."),
		redirects: counter("redirects_total", "Joins that were sent to another node."),
		lost:      counter("claims_lost_total", "Copies that this node lost the right to run."),
		panics:    counter("rule_panics_total", "Rules and methods of the application that panicked."),
		calls:     vec("calls_total", "Calls by who answered them.", "where"),
		keeps:     vec("keeps_total", "Writes of the things of a copy.", "result"),
		presence:  vec("presence_total", "What friends were told.", "result"),
		away:      vec("closed_total", "Copies that were closed.", "why"),
	}
	if r != nil {
		r.MustRegister(m.moves, m.deliveries, m.refusedShows, m.own, m.rounds, m.roundSeconds, m.chat, m.refusals, m.enters, m.redirects, m.lost,
			m.panics, m.calls, m.keeps, m.presence, m.away,
			gauge("copies", "Copies that this node runs.", func() float64 { return float64(w.counts().copies) }),
			gauge("copies_max", "Most copies that this node runs.", func() float64 { return float64(w.cfg.Copies) }),
			gauge("avatars", "Avatars in the copies of this node.", func() float64 { return float64(w.counts().avatars) }),
			gauge("inbox", "Commands that wait in the inbox of the copy where most do.", func() float64 { return float64(w.counts().inbox) }),
			gauge("inbox_max", "Most commands that wait in the inbox of a copy.", func() float64 { return inboxMax }),
			gauge("calls", "Calls in work.", func() float64 { return float64(len(w.slots)) }),
			gauge("calls_max", "Most calls in work.", func() float64 { return callsMax }),
			gauge("presence_waiting", "Users whose friends are to be told where they are.", func() float64 { return float64(w.social.waiting()) }),
			gauge("presence_waiting_max", "Most users whose friends are to be told.", func() float64 { return socialMax }))
	}
	return m
}
