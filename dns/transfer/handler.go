package transfer

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/message"
)

// Zones is what transfers need of the member.
type Zones interface {
	Zones() []dns.Zone
	// Transfer gives a whole zone as one state, the SOA first and nowhere else.
	Transfer(apex dns.Name) ([]dns.RR, error)
}

// Config is what a handler is made of.
type Config struct {
	Zones Zones
	Keys  message.Keys   // whoever has one may transfer
	Allow []netip.Prefix // and so may clients of these networks
	// Most transfers at a time; 0: TransfersMaxDefault.
	TransfersMax int
	// Ask answers a question without its signature: for questions that are signed and want no transfer.
	Ask func(packet []byte, client netip.AddrPort, stream bool) []byte

	Log        *slog.Logger
	Registerer prometheus.Registerer // nil: no metrics
	Now        func() time.Time      // nil: the clock
}

// TransfersMaxDefault bounds transfers at a time.
const TransfersMaxDefault = 16

// messageBytes is how much of a zone, uncompressed, goes into one message: what
// pointers reach (RFC 1035 4.1.4), so that every name is compressed.
const messageBytes = 16 << 10

// Handler answers transfers, notifications and signed questions. It is safe for concurrent use.
type Handler struct {
	cfg       Config
	running   chan struct{}
	transfers *prometheus.CounterVec
	records   prometheus.Counter
}

// New makes a handler.
func New(cfg Config) (*Handler, error) {
	if cfg.TransfersMax == 0 {
		cfg.TransfersMax = TransfersMaxDefault
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	h := &Handler{
		cfg: cfg, running: make(chan struct{}, cfg.TransfersMax),
		transfers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kamado_dns_transfers_total", Help: "Requests for transfers of zones; outcome is sent, current (the client has it), refused, failed, full.",
		}, []string{"outcome"}),
		records: prometheus.NewCounter(prometheus.CounterOpts{Name: "kamado_dns_transfer_records_total", Help: "Records sent in transfers."}),
	}
	if cfg.Registerer == nil {
		return h, nil
	}
	for _, c := range []prometheus.Collector{h.transfers, h.records, prometheus.NewGaugeFunc(
		prometheus.GaugeOpts{Name: "kamado_dns_transfers_running", Help: "Transfers that run now."}, func() float64 { return float64(len(h.running)) },
	)} {
		if err := cfg.Registerer.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics of transfers: %w", err)
		}
	}
	return h, nil
}

// The outcomes of the metric.
const (
	sent    = "sent"
	current = "current"
	refused = "refused"
	failed  = "failed"
	full    = "full"
)

// Serve answers one message that came in a datagram or over a stream. It calls
// write for each message of the answer, and ends when that fails or ctx does;
// an error is only what write or ctx said.
func (h *Handler) Serve(ctx context.Context, packet []byte, client netip.AddrPort, stream bool, write func([]byte) error) error {
	r, err := h.cfg.Keys.Open(packet, h.cfg.Now())
	if err != nil {
		if out := message.Failure(packet, message.FormErr); out != nil {
			return write(out)
		}
		return nil
	}
	if r.Response {
		return nil
	}
	e := exchange{h: h, Request: r, client: client, stream: stream, write: write}
	switch {
	case r.Fault() != 0:
		return e.deny(message.NotAuth, 0, "")
	case r.EDNS != nil && r.EDNS.Version > 0:
		return e.deny(message.BadVers, 0, "")
	case r.Opcode == message.OpNotify:
		return e.notified()
	case r.Opcode != message.OpQuery:
		return e.deny(message.NotImp, 0, "")
	case len(r.Question) != 1:
		return e.deny(message.FormErr, 0, "")
	}
	switch r.Question[0].Type {
	case dns.TypeAXFR, dns.TypeIXFR:
		return e.transfer(ctx)
	}
	return e.ask(packet)
}

// exchange is one request and the way to its client.
type exchange struct {
	*message.Request
	h      *Handler
	client netip.AddrPort
	stream bool
	write  func([]byte) error
}

// send signs and writes one message.
func (e *exchange) send(m *message.Message) error {
	out, err := e.Seal(m, e.h.cfg.Now(), e.BytesMax(e.stream))
	if err != nil {
		return err
	}
	return e.write(out)
}

// deny answers with an RCODE and, if there is a text, an extended error.
func (e *exchange) deny(rcode message.Rcode, code uint16, text string) error {
	m := e.Reply(rcode)
	if text != "" {
		m.Explain(code, text)
	}
	return e.send(m)
}

// ask answers a signed question that the table answers.
func (e *exchange) ask(packet []byte) error {
	if e.h.cfg.Ask == nil {
		return e.deny(message.Refused, 0, "")
	}
	answer := e.h.cfg.Ask(e.Unsigned(packet), e.client, e.stream)
	if answer == nil {
		return e.deny(message.Refused, 0, "")
	}
	out, err := e.SealPacket(answer, e.h.cfg.Now(), e.BytesMax(e.stream))
	if err != nil {
		return err
	}
	return e.write(out)
}

// notified answers a NOTIFY: this member is nobody's secondary.
func (e *exchange) notified() error {
	if len(e.Question) != 1 {
		return e.deny(message.FormErr, 0, "")
	}
	if _, ok := e.zone(); !ok {
		return e.deny(message.NotAuth, message.ExtendedNotAuthority, "no such zone here")
	}
	return e.deny(message.NotImp, message.ExtendedOther, "this server is a primary of the zone, and is nobody's secondary")
}

// zone finds the zone of the question.
func (e *exchange) zone() (dns.Zone, bool) {
	q := e.Question[0]
	zones := e.h.cfg.Zones.Zones()
	i := slices.IndexFunc(zones, func(z dns.Zone) bool { return z.Apex == q.Name })
	if i < 0 || q.Class != message.ClassIN {
		return dns.Zone{}, false
	}
	return zones[i], true
}

func (e *exchange) allowed() bool {
	addr := e.client.Addr().Unmap()
	return e.Key != nil || slices.ContainsFunc(e.h.cfg.Allow, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// transfer answers AXFR and IXFR.
func (e *exchange) transfer(ctx context.Context) error {
	q := e.Question[0]
	outcome := e.h.transfers
	if !e.allowed() {
		outcome.WithLabelValues(refused).Inc()
		return e.deny(message.Refused, message.ExtendedProhibited, "transfers need a TSIG key or an address in allow_transfer")
	}
	if _, ok := e.zone(); !ok {
		outcome.WithLabelValues(refused).Inc()
		return e.deny(message.NotAuth, message.ExtendedNotAuthority, "no such zone here")
	}
	if q.Type == dns.TypeAXFR && !e.stream {
		outcome.WithLabelValues(refused).Inc()
		return e.deny(message.FormErr, 0, "") // RFC 5936 4.2
	}
	select {
	case e.h.running <- struct{}{}:
		defer func() { <-e.h.running }()
	default:
		outcome.WithLabelValues(full).Inc()
		return e.deny(message.ServFail, message.ExtendedNotReady, fmt.Sprintf("%d transfers run already", cap(e.h.running)))
	}
	rrs, err := e.h.cfg.Zones.Transfer(q.Name)
	if err != nil || len(rrs) == 0 || rrs[0].Type != dns.TypeSOA {
		outcome.WithLabelValues(failed).Inc()
		e.h.cfg.Log.Warn("zone not transferred", "zone", q.Name, "client", e.client, "error", err)
		return e.deny(message.ServFail, 0, "")
	}
	if q.Type == dns.TypeIXFR && (!e.stream || e.isCurrent(rrs[0])) {
		outcome.WithLabelValues(current).Inc()
		m := e.Reply(message.NoError)
		m.Authoritative, m.Answer = true, in(rrs[:1])
		return e.send(m)
	}
	if err := e.sendZone(ctx, rrs); err != nil {
		outcome.WithLabelValues(failed).Inc()
		return err
	}
	outcome.WithLabelValues(sent).Inc()
	e.h.cfg.Log.Info("zone transferred", "zone", q.Name, "client", e.client, "records", len(rrs))
	return nil
}

// isCurrent says whether the SOA of an IXFR's client is ours or newer (RFC 1995 2).
func (e *exchange) isCurrent(soa dns.RR) bool {
	_, ours, err := dns.ParseSOA(soa.Data)
	if err != nil {
		return false
	}
	for _, rr := range e.Authority {
		if _, theirs, err := dns.ParseSOA(rr.Data); rr.Type == dns.TypeSOA && err == nil {
			return !dns.SerialAfter(ours, theirs)
		}
	}
	return false
}

// sendZone writes a zone as a stream of messages, from the SOA to the SOA (RFC 5936 2.2).
func (e *exchange) sendZone(ctx context.Context, rrs []dns.RR) error {
	rest := append(slices.Clone(rrs), rrs[0])
	for first := true; len(rest) > 0; first = false {
		if err := ctx.Err(); err != nil {
			return err
		}
		m := e.Reply(message.NoError)
		m.Authoritative = true
		if !first {
			m.Question, m.EDNS = nil, nil
		}
		n := fit(rest)
		m.Answer = in(rest[:n])
		if err := e.send(m); err != nil {
			return err
		}
		e.h.records.Add(float64(n))
		rest = rest[n:]
	}
	return nil
}

// fit says how many records go into the next message: at least one.
func fit(rrs []dns.RR) int {
	size := 0
	for i, rr := range rrs {
		size += rr.Name.WireLen() + 10 + len(rr.Data)
		if i > 0 && size > messageBytes {
			return i
		}
	}
	return len(rrs)
}

func in(rrs []dns.RR) []message.RR {
	out := make([]message.RR, len(rrs))
	for i, rr := range rrs {
		out[i] = message.RR{RR: rr, Class: message.ClassIN}
	}
	return out
}
