package server

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/images/cache"
	"github.com/kamado/kamado/images/codec"
	"github.com/kamado/kamado/images/delivery"
	"github.com/kamado/kamado/images/mezzanine"
	"github.com/kamado/kamado/images/origin"
	"github.com/kamado/kamado/images/queue"
)

// Stats is the state of the room.
type Stats struct {
	Queue      queue.Stats           `json:"queue"`
	Memory     cache.MemoryStats     `json:"result_cache_memory"`
	Disk       cache.DiskStats       `json:"result_cache_disk"`
	Originals  origin.Stats          `json:"origin"`
	Mezzanines mezzanine.Stats       `json:"mezzanine"`
	Upgrades   delivery.UpgradeStats `json:"upgrades"`
	Codec      *codec.Stats          `json:"codec,omitempty"` // absent without kamado-codec
}

// Stats reads the state.
func (s *Server) Stats() Stats {
	st := Stats{Queue: s.places.Stats(), Memory: s.memory.Stats(), Disk: s.disk.Stats(), Originals: s.originals.Stats(), Mezzanines: s.mezzanines.Stats(), Upgrades: s.pictures.Upgrades()}
	if s.pool != nil {
		c := s.pool.Stats()
		st.Codec = &c
	}
	return st
}

// register makes the state's metrics known.
func (s *Server) register() error {
	if s.deps.Registerer == nil {
		return nil
	}
	if err := s.deps.Registerer.Register(collector{s}); err != nil {
		return fmt.Errorf("register metrics of images: %w", err)
	}
	return nil
}

// collector reads the state when somebody asks, so that counting costs the way
// of a picture nothing. docs/reference/metrics.md lists the metrics.
type collector struct{ s *Server }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("kamado_images_"+name, help, labels, nil)
}

var (
	descBusy      = desc("queue_busy", "Places taken.", "queue")
	descPlaces    = desc("queue_places", "Places there are.", "queue")
	descWaiting   = desc("queue_waiting", "Requests that wait for a place.", "queue")
	descAdmitted  = desc("queue_admitted_total", "Requests that got a place.", "queue")
	descShed      = desc("queue_shed_total", "Requests sent away, by reason: full, late, left.", "queue", "reason")
	descWaited    = desc("queue_waited_seconds_total", "Time that requests waited for a place they got.", "queue")
	descHits      = desc("cache_hits_total", "Entries found.", "cache")
	descMisses    = desc("cache_misses_total", "Entries not found.", "cache")
	descEvictions = desc("cache_evictions_total", "Entries removed to make room.", "cache")
	descBytes     = desc("cache_bytes", "Bytes held.", "cache")
	descBytesMax  = desc("cache_bytes_max", "Bytes that may be held.", "cache")
	descDropped   = desc("cache_dropped_total", "Entries not written: the queue of writes was full, or the entry too large.", "cache")
	descDamaged   = desc("cache_damaged_total", "Entries on disk with a wrong checksum, removed when read.", "cache")
	descFailures  = desc("cache_failures_total", "Failures of the cache's file system.", "cache")
	descMezzanine = desc("mezzanines_total", "Mezzanines by what became of them: made, found, failed, dropped.", "event")
	descUpgrades  = desc("upgrades_total", "Renditions in formats that are made in the background: made, failed, dropped.", "event")
	descPending   = desc("upgrades_pending", "Renditions that wait to be made in the background.")
	descSpent     = desc("origin_budget_spent", "1 while an origin fails too often and is not asked.", "origin")
	descAsked     = desc("origin_requests_total", "Questions and reads that were sent to an origin.", "origin")
	descFaults    = desc("origin_errors_total", "Of them, those whose answer speaks against the origin.", "origin")
	descSpared    = desc("origin_spared_total", "Questions that were not sent, because the origin fails too often.", "origin")
	descLatency   = desc("origin_latency_seconds", "Time of the last 512 answers of an origin.", "origin", "quantile")
	descWorkers   = desc("codec_workers", "Codec workers by state: busy, idle, starting.", "state")
	descCodec     = desc("codec_events_total", "Codec workers and their requests by event: started, failed, died, killed, answered, refused.", "event")
)

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descBusy, descPlaces, descWaiting, descAdmitted, descShed, descWaited, descHits, descMisses, descEvictions, descBytes, descBytesMax,
		descDropped, descDamaged, descFailures, descMezzanine, descUpgrades, descPending, descSpent, descAsked, descFaults, descSpared, descLatency, descWorkers, descCodec,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	st := c.s.Stats()
	put := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	const gauge, counter = prometheus.GaugeValue, prometheus.CounterValue
	for name, q := range map[string]queue.Stats{"render": st.Queue, "fetch": st.Originals.Fetches} {
		put(descBusy, gauge, float64(q.Busy), name)
		put(descPlaces, gauge, float64(q.Places), name)
		put(descWaiting, gauge, float64(q.Waiting), name)
		put(descAdmitted, counter, float64(q.Admitted), name)
		put(descShed, counter, float64(q.Shed), name, "full")
		put(descShed, counter, float64(q.Late), name, "late")
		put(descShed, counter, float64(q.Left), name, "left")
		put(descWaited, counter, q.Waited, name)
	}
	for name, m := range map[string]cache.MemoryStats{"results_memory": st.Memory, "originals_memory": st.Originals.Originals} {
		put(descHits, counter, float64(m.Hits), name)
		put(descMisses, counter, float64(m.Misses), name)
		put(descEvictions, counter, float64(m.Evictions), name)
		put(descBytes, gauge, float64(m.Bytes), name)
		put(descBytesMax, gauge, float64(m.BytesMax), name)
	}
	for name, m := range map[string]cache.DiskStats{"results_disk": st.Disk, "originals_disk": c.s.bodies.Stats(), "mezzanines_disk": st.Mezzanines.Disk} {
		put(descHits, counter, float64(m.Hits), name)
		put(descMisses, counter, float64(m.Misses), name)
		put(descEvictions, counter, float64(m.Evictions), name)
		put(descBytes, gauge, float64(m.Bytes), name)
		put(descBytesMax, gauge, float64(m.BytesMax), name)
		put(descDropped, counter, float64(m.Dropped), name)
		put(descDamaged, counter, float64(m.Damaged), name)
		put(descFailures, counter, float64(m.Failures), name)
	}
	for event, n := range map[string]uint64{"made": st.Mezzanines.Made, "found": st.Mezzanines.Found, "failed": st.Mezzanines.Failed, "dropped": st.Mezzanines.Dropped} {
		put(descMezzanine, counter, float64(n), event)
	}
	for event, n := range map[string]uint64{"made": st.Upgrades.Made, "failed": st.Upgrades.Failed, "dropped": st.Upgrades.Dropped} {
		put(descUpgrades, counter, float64(n), event)
	}
	put(descPending, gauge, float64(st.Upgrades.Pending))
	for _, o := range st.Originals.Sources {
		spent := 0.0
		if o.Spent {
			spent = 1
		}
		put(descSpent, gauge, spent, o.Name)
		put(descAsked, counter, float64(o.Requests), o.Name)
		put(descFaults, counter, float64(o.Errors), o.Name)
		put(descSpared, counter, float64(o.Spared), o.Name)
		put(descLatency, gauge, o.P50, o.Name, "0.5")
		put(descLatency, gauge, o.P99, o.Name, "0.99")
	}
	if st.Codec != nil {
		c.collectCodec(st.Codec, put)
	}
}

func (collector) collectCodec(st *codec.Stats, put func(*prometheus.Desc, prometheus.ValueType, float64, ...string)) {
	for state, n := range map[string]int{"busy": st.Busy, "idle": st.Idle, "starting": st.Starting} {
		put(descWorkers, prometheus.GaugeValue, float64(n), state)
	}
	for event, n := range map[string]uint64{"started": st.Started, "failed": st.Failed, "died": st.Died, "killed": st.Killed, "answered": st.Requests, "refused": st.Refused} {
		put(descCodec, prometheus.CounterValue, float64(n), event)
	}
}
