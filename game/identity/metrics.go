package identity

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of an ID server: kamado_game_identity_….
type metrics struct {
	logins    *prometheus.CounterVec // provider, result: ok, refused, error
	created   *prometheus.CounterVec // provider
	refreshes *prometheus.CounterVec // result: rotated, repeated, reused, refused
	ended     *prometheus.CounterVec // why
	limited   *prometheus.CounterVec // by: account, address, create, password
	services  *prometheus.CounterVec // result: ok, refused
	served    prometheus.Counter     // services, ok
	hash      prometheus.Histogram
	blocks    prometheus.Counter
	pollFails prometheus.Counter
}

func newMetrics() *metrics {
	const ns, sub = "kamado_game", "identity"
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: name, Help: help}, labels)
	}
	m := &metrics{
		logins:    counter("logins_total", "Sign-ins by provider and result.", "provider", "result"),
		created:   counter("users_created_total", "Users created, by provider.", "provider"),
		refreshes: counter("refreshes_total", "Refresh tokens that were shown, by result.", "result"),
		ended:     counter("sessions_ended_total", "Sessions that were ended, by reason.", "why"),
		limited:   counter("limited_total", "Requests that were refused for too many attempts, by limit.", "by"),
		services:  counter("service_verifications_total", "Service credentials that were shown, by result.", "result"),
		hash: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: ns, Subsystem: sub, Name: "password_seconds", Help: "Time of one argon2id, without the wait for its turn.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2, 9),
		}),
		blocks:    prometheus.NewCounter(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: "uid_blocks_total", Help: "Blocks of UIDs taken from the database."}),
		pollFails: prometheus.NewCounter(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: "poll_failures_total", Help: "Polls of notices that failed."}),
	}
	m.served = m.services.WithLabelValues("ok")
	return m
}

func (m *metrics) register(r prometheus.Registerer, s *Server) {
	if r == nil {
		return
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "kamado_game", Subsystem: "identity", Name: name, Help: help}, value)
	}
	r.MustRegister(m.logins, m.created, m.refreshes, m.ended, m.limited, m.services, m.hash, m.blocks, m.pollFails,
		gauge("notices", "Ended sessions and mutes that are remembered.", func() float64 { return float64(s.feed.len()) }),
		gauge("notices_max", "Notices at which users' own sign-outs are refused.", func() float64 { return noticesMax }),
		gauge("poll_age_seconds", "Time since the notices of other servers were read.", func() float64 { return s.feed.age(s.clock.elapsed()).Seconds() }),
		gauge("limit_keys", "Accounts and addresses that limits remember.", func() float64 {
			return float64(s.limits.account.at.len() + s.limits.address.at.len() + s.limits.create.at.len())
		}),
		gauge("limit_keys_max", "Most accounts and addresses that limits remember.", func() float64 { return 3 * limitKeysMax }),
		gauge("known_users", "Users whose UID was looked up and is remembered.", func() float64 { return float64(s.known.len()) }),
		gauge("known_users_max", "Most users that are remembered.", func() float64 { return knownMax }),
		gauge("password_waiting", "Requests that wait for their turn with a password, or have it.", func() float64 { return float64(s.hasher.waiting.Load()) }),
		gauge("password_waiting_max", "Most requests that wait for their turn with a password.", func() float64 { return float64(s.hasher.waitingMax()) }),
		gauge("keys", "Keys that sign or verify tokens.", func() float64 { return float64(len(s.verifier.Ring().Keys())) }),
		gauge("clock_ahead_seconds", "By how much the wall clock is behind the time that this server believes.", func() float64 { return s.clock.ahead().Seconds() }))
}

// observe counts the time of one password.
func (m *metrics) observe(d time.Duration) { m.hash.Observe(d.Seconds()) }
