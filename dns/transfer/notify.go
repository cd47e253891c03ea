package transfer

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/message"
)

// NotifyConfig is what a notifier is made of.
type NotifyConfig struct {
	Targets    []string // host:port of secondaries
	Zones      Zones
	Log        *slog.Logger
	Registerer prometheus.Registerer // nil: no metrics
	// Tell sends one packet to a target and gives its answer; nil: over UDP.
	Tell func(ctx context.Context, target string, packet []byte) ([]byte, error)
}

// targetsMax bounds Targets.
const targetsMax = 64

// answerTimeout bounds the wait for a target's answer.
const answerTimeout = 3 * time.Second

// Notifier tells secondaries of changes. Changed may be called from anywhere, before Run too.
type Notifier struct {
	cfg    NotifyConfig
	counts *prometheus.CounterVec
	wake   chan struct{}

	mu      sync.Mutex
	changed map[dns.Name]bool
}

// NewNotifier makes a notifier; it sends nothing yet.
func NewNotifier(cfg NotifyConfig) (*Notifier, error) {
	if len(cfg.Targets) > targetsMax {
		return nil, fmt.Errorf("%d secondaries to notify, at most %d", len(cfg.Targets), targetsMax)
	}
	for _, t := range cfg.Targets {
		if _, _, err := net.SplitHostPort(t); err != nil {
			return nil, fmt.Errorf("notify %q: want host:port", t)
		}
	}
	if cfg.Tell == nil {
		cfg.Tell = tell
	}
	n := &Notifier{cfg: cfg, wake: make(chan struct{}, 1), changed: map[dns.Name]bool{}, counts: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "kamado_dns_notifies_total", Help: "Notifications to secondaries; outcome is accepted, refused, unanswered, gave_up.",
	}, []string{"outcome"})}
	if cfg.Registerer != nil {
		if err := cfg.Registerer.Register(n.counts); err != nil {
			return nil, fmt.Errorf("register metrics of notifications: %w", err)
		}
	}
	return n, nil
}

// Changed says that a zone changed. It does not block.
func (n *Notifier) Changed(zone dns.Name) {
	if len(n.cfg.Targets) == 0 {
		return
	}
	n.mu.Lock()
	n.changed[zone] = true
	n.mu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// ended is the outcome of one attempt.
type ended struct {
	job
	answered bool
}

// Run tells targets of all zones once (RFC 1996 3.7: a primary that starts), and
// then of every change, until ctx ends.
func (n *Notifier) Run(ctx context.Context) error {
	if len(n.cfg.Targets) == 0 {
		<-ctx.Done()
		return nil
	}
	for _, z := range n.cfg.Zones.Zones() {
		n.Changed(z.Apex)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	s := newSchedule(n.cfg.Targets)
	ends := make(chan ended, flightsMax)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.wake:
		case e := <-ends:
			if s.end(time.Now(), e.job, e.answered) {
				n.counts.WithLabelValues("gave_up").Inc()
				n.cfg.Log.Warn("secondary does not answer notifications", "zone", e.zone, "target", e.target, "attempts", attemptsMax)
			}
		case <-timer.C:
		}
		n.take(s)
		list, next := s.start(time.Now())
		for _, j := range list {
			wg.Go(func() { ends <- ended{j, n.attempt(ctx, j)} })
		}
		if !next.IsZero() {
			timer.Reset(time.Until(next))
		}
	}
}

// take moves what changed into the schedule.
func (n *Notifier) take(s *schedule) {
	n.mu.Lock()
	changed := n.changed
	n.changed = map[dns.Name]bool{}
	n.mu.Unlock()
	if len(changed) == 0 {
		return
	}
	zones := n.cfg.Zones.Zones()
	for zone := range changed {
		if slices.ContainsFunc(zones, func(z dns.Zone) bool { return z.Apex == zone }) {
			s.change(time.Now(), zone)
		} else {
			s.forget(zone)
		}
	}
}

// attempt tells one target, and says whether there is nothing more to tell it.
func (n *Notifier) attempt(ctx context.Context, j job) (answered bool) {
	soa, err := n.soa(j.zone)
	if err != nil {
		return true // the zone is gone
	}
	var id [2]byte
	_, _ = rand.Read(id[:]) // never fails
	m := message.Message{
		ID: binary.BigEndian.Uint16(id[:]), Opcode: message.OpNotify, Authoritative: true,
		Question: []message.Question{{Name: j.zone, Type: dns.TypeSOA, Class: message.ClassIN}}, Answer: in([]dns.RR{soa}),
	}
	packet, err := m.Encode(message.BytesMax)
	if err != nil {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	rcode, err := n.exchange(ctx, j.target, packet, m.ID)
	switch {
	case err != nil:
		n.counts.WithLabelValues("unanswered").Inc()
		return false
	case rcode != message.NoError:
		n.counts.WithLabelValues("refused").Inc()
		n.cfg.Log.Warn("secondary refuses a notification", "zone", j.zone, "target", j.target, "rcode", rcode.String())
	default:
		n.counts.WithLabelValues("accepted").Inc()
	}
	return true
}

// exchange gives the RCODE of a target's answer.
func (n *Notifier) exchange(ctx context.Context, target string, packet []byte, id uint16) (message.Rcode, error) {
	answer, err := n.cfg.Tell(ctx, target, packet)
	if err != nil {
		return 0, err
	}
	m, err := message.Decode(answer)
	if err != nil {
		return 0, err
	}
	if m.ID != id || !m.Response || m.Opcode != message.OpNotify {
		return 0, errors.New("an answer to something else")
	}
	return m.Rcode, nil
}

// soa is the SOA of a zone as it is now.
func (n *Notifier) soa(apex dns.Name) (dns.RR, error) {
	for _, z := range n.cfg.Zones.Zones() {
		if z.Apex == apex && z.Kind != dns.StaticZone {
			return dns.RR{Name: apex, Type: dns.TypeSOA, TTL: z.SOA.Minimum, Data: z.SOA.Data(z.Serial)}, nil
		}
	}
	rrs, err := n.cfg.Zones.Transfer(apex)
	if err != nil || len(rrs) == 0 {
		return dns.RR{}, errors.Join(err, fmt.Errorf("no zone %s", apex))
	}
	return rrs[0], nil
}

// tell sends a packet from a socket of its own, which takes answers from the target alone.
func tell(ctx context.Context, target string, packet []byte) ([]byte, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "udp", target)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := c.Write(packet); err != nil {
		return nil, err
	}
	buf := make([]byte, message.BytesMax)
	for {
		k, err := c.Read(buf)
		if err != nil {
			return nil, err
		}
		if k >= 2 && buf[0] == packet[0] && buf[1] == packet[1] {
			return buf[:k], nil
		}
	}
}
