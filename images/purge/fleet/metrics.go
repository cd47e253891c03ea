package fleet

import "github.com/prometheus/client_golang/prometheus"

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("kamado_images_purge_"+name, help, labels, nil)
}

var (
	descOrders    = desc("orders", "Orders that are held, by kind: purge, takedown (in force), hold (takedowns and restores).", "kind")
	descOrdersMax = desc("orders_max", "Orders that may be held, by kind: purge, hold.", "kind")
	descGiven     = desc("orders_total", "Orders by how they came: issued here, merged from another node, absorbed by the floor.", "way")
	descFolds     = desc("folds_total", "Times that the oldest purges were folded: everything older was purged once.")
	descJournal   = desc("journal_bytes", "Size of the file of orders.")
	descDamaged   = desc("journal_damaged_total", "Places of the file of orders that were damaged when it was opened.")
	descFailures  = desc("journal_failures_total", "Writes of the file of orders that failed.")
	descNodes     = desc("vector_nodes", "Starts of nodes that the vector of what was seen names.")
	descPeers     = desc("peers", "Other nodes by state: equal, differs, unreachable.", "state")
	descMessages  = desc("exchanges_total", "Exchanges with other nodes by outcome: ok, failed, resync (everything), refused (what was sent).", "outcome")
	descPushed    = desc("pushed_total", "Orders sent to other nodes, by outcome: ok, failed (pushes).", "outcome")
	descUnswept   = desc("unswept", "1 while cached bytes of takedowns are still to be deleted.")
	descSweeps    = desc("sweeps_total", "Sweeps of the caches, by outcome: ok, failed.", "outcome")
	descRemoved   = desc("swept_entries_total", "Cache entries that sweeps deleted.")
)

// Describe implements prometheus.Collector. Label sets are fixed lists.
func (n *Node) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descOrders, descOrdersMax, descGiven, descFolds, descJournal, descDamaged, descFailures, descNodes, descPeers, descMessages,
		descPushed, descUnswept, descSweeps, descRemoved,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector: the state is read when somebody asks.
func (n *Node) Collect(ch chan<- prometheus.Metric) {
	const gauge, counter = prometheus.GaugeValue, prometheus.CounterValue
	put := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	s := n.Status()
	t := s.Table
	put(descOrders, gauge, float64(t.Purges), "purge")
	put(descOrders, gauge, float64(t.Takedowns), "takedown")
	put(descOrders, gauge, float64(t.Holds), "hold")
	put(descOrdersMax, gauge, float64(t.PurgesMax), "purge")
	put(descOrdersMax, gauge, float64(t.HoldsMax), "hold")
	put(descGiven, counter, float64(t.Issued), "issued")
	put(descGiven, counter, float64(t.Merged), "merged")
	put(descGiven, counter, float64(t.Absorbed), "absorbed")
	put(descFolds, counter, float64(t.Folds))
	put(descJournal, gauge, float64(t.JournalBytes))
	put(descDamaged, counter, float64(t.Damaged))
	put(descFailures, counter, float64(t.Failures))
	put(descNodes, gauge, float64(t.Nodes))
	states := map[string]int{"equal": 0, "differs": 0, "unreachable": 0}
	for _, p := range s.Peers {
		switch {
		case !p.Reachable:
			states["unreachable"]++
		case p.Equal:
			states["equal"]++
		default:
			states["differs"]++
		}
	}
	for state, k := range states {
		put(descPeers, gauge, float64(k), state)
	}
	failed := n.exchangeFailures.Load()
	put(descMessages, counter, float64(n.exchanges.Load()-failed), "ok")
	put(descMessages, counter, float64(failed), "failed")
	put(descMessages, counter, float64(n.resyncs.Load()), "resync")
	put(descMessages, counter, float64(n.refused.Load()), "refused")
	put(descPushed, counter, float64(n.pushed.Load()), "ok")
	put(descPushed, counter, float64(n.pushFailures.Load()), "failed")
	unswept := 0.0
	if t.Unswept {
		unswept = 1
	}
	put(descUnswept, gauge, unswept)
	put(descSweeps, counter, float64(n.sweeps.Load()), "ok")
	put(descSweeps, counter, float64(n.sweepFailures.Load()), "failed")
	put(descRemoved, counter, float64(n.removed.Load()))
}
