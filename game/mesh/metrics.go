package mesh

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// meshMetrics are what a Mesh counts. Labels: way is out or in; why is ended (by the other side, or a broken connection), refused (nobody listens), denied (the
// other node did not welcome this one), slow (words were not taken in time) or broken (no message of a link); what is sent, delivered or refused.
//
//	kamado_game_mesh_nodes                     nodes that live, this one among them; the bound is Config.NodesMax
//	kamado_game_mesh_links{way}                links that are open
//	kamado_game_mesh_link_ends_total{way,why}  links that ended, or could not be opened
//	kamado_game_mesh_messages_total{way}       messages of links
//	kamado_game_mesh_words_total{what}         frames for users of other nodes
//	kamado_game_mesh_users                     users that are known on other nodes
//	kamado_game_mesh_rows_refused_total        users and copies of other nodes above Config.UsersMax or Config.CopiesMax
//	kamado_game_mesh_happenings                changes and words that wait to be called back; the bound is Config.HappeningsMax
//	kamado_game_mesh_words_waiting             words that wait for links; the bound is Config.WordsMax for each
//	kamado_game_mesh_looks                     locks of nodes that may be dead that wait for a first look; the bound is Config.LooksMax
//	kamado_game_mesh_claims                    copies that this node may run; the bound is Config.ClaimsMax
//	kamado_game_mesh_claims_lost_total         claims that were over before they were given back
//	kamado_game_mesh_takeover_seconds          time until a copy that another node had could be claimed
//	kamado_game_mesh_replaced_total            users of this node that came in elsewhere
//	kamado_game_mesh_registrar_errors_total    calls of the registrar that failed
type meshMetrics struct {
	nodes, users, happenings, claims             prometheus.Gauge
	wordsWaiting, looks                          prometheus.Gauge
	links                                        *prometheus.GaugeVec
	linkEnds, messages, words                    *prometheus.CounterVec
	rowsRefused, claimsLost, replaced, registrar prometheus.Counter
	takeovers                                    prometheus.Histogram
}

func newMetrics(r prometheus.Registerer) (*meshMetrics, error) {
	const prefix = "kamado_game_mesh_"
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: prefix + name, Help: help})
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: prefix + name, Help: help})
	}
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + name, Help: help}, labels)
	}
	m := &meshMetrics{
		nodes:        gauge("nodes", "Nodes that live, this one among them."),
		users:        gauge("users", "Users that are known on other nodes."),
		happenings:   gauge("happenings", "Changes and words that wait to be called back."),
		wordsWaiting: gauge("words_waiting", "Words that wait for links."),
		looks:        gauge("looks", "Locks of nodes that may be dead that wait for a first look."),
		claims:       gauge("claims", "Copies that this node may run."),
		links:        prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: prefix + "links", Help: "Links that are open."}, []string{"way"}),
		linkEnds:     counters("link_ends_total", "Links that ended, or could not be opened.", "way", "why"),
		messages:     counters("messages_total", "Messages of links.", "way"),
		words:        counters("words_total", "Frames for users of other nodes.", "what"),
		rowsRefused:  counter("rows_refused_total", "Users and copies of other nodes above a bound."),
		claimsLost:   counter("claims_lost_total", "Claims that were over before they were given back."),
		replaced:     counter("replaced_total", "Users of this node that came in elsewhere."),
		registrar:    counter("registrar_errors_total", "Calls of the registrar that failed."),
		takeovers: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: prefix + "takeover_seconds", Help: "Time until a copy that another node had could be claimed.", Buckets: []float64{.1, .25, .5, 1, 1.5, 2, 2.5, 3, 5},
		}),
	}
	if r == nil {
		return m, nil
	}
	var errs []error
	for _, c := range []prometheus.Collector{
		m.nodes, m.users, m.happenings, m.claims, m.wordsWaiting, m.looks, m.links, m.linkEnds, m.messages, m.words, m.rowsRefused, m.claimsLost, m.replaced, m.registrar, m.takeovers,
	} {
		errs = append(errs, r.Register(c))
	}
	return m, errors.Join(errs...)
}

func (m *meshMetrics) takeover(took time.Duration) { m.takeovers.Observe(took.Seconds()) }
