package update

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/message"
)

// Zones is what the handler needs of the member.
type Zones interface {
	Zones() []dns.Zone
	// ChangeZone lets judge look at names as they are, and makes the changes that
	// it gives as one durable write, with nothing between; an error of judge comes
	// back and nothing is changed.
	ChangeZone(ctx context.Context, zone dns.Name, judge func(lookup func(dns.Name) dns.Set) ([]dns.Change, error)) (serial uint32, err error)
}

// Config is what a handler is made of.
type Config struct {
	Keys       message.Keys // none: every update is refused
	Zones      Zones
	Log        *slog.Logger
	Registerer prometheus.Registerer // nil: no metrics
	Now        func() time.Time      // nil: the clock
}

// changeTimeout bounds the wait for the disk.
const changeTimeout = 10 * time.Second

// Handler answers updates. It is safe for concurrent use.
type Handler struct {
	cfg     Config
	updates *prometheus.CounterVec
}

// New makes a handler.
func New(cfg Config) (*Handler, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	h := &Handler{cfg: cfg, updates: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "kamado_dns_updates_total",
		Help: "Updates (RFC 2136) by outcome; rcode is one of the outcomes that RFC 2136 and RFC 8945 name.",
	}, []string{"rcode"})}
	if cfg.Registerer != nil {
		if err := cfg.Registerer.Register(h.updates); err != nil {
			return nil, fmt.Errorf("register metrics of updates: %w", err)
		}
	}
	return h, nil
}

// verdict is an outcome of an update that is no success.
type verdict struct {
	rcode message.Rcode
	text  string // for the client
}

func (v *verdict) Error() string { return v.rcode.String() + ": " + v.text }

func deny(rcode message.Rcode, format string, args ...any) *verdict {
	return &verdict{rcode, fmt.Sprintf(format, args...)}
}

// rcodes says what an error of the member is to a client of RFC 2136. NXDOMAIN is
// not among them: there it is said of prerequisites alone.
var rcodes = map[dns.Kind]message.Rcode{
	dns.Internal: message.ServFail, dns.Invalid: message.FormErr, dns.Denied: message.Refused, dns.NotFound: message.NotAuth,
	dns.Conflict: message.Refused, dns.TooLarge: message.Refused, dns.Exhausted: message.ServFail, dns.Unavailable: message.ServFail,
}

// verdictOf turns an error into what the client is told. Of an internal one it is told nothing.
func verdictOf(err error) *verdict {
	var v *verdict
	if errors.As(err, &v) {
		return v
	}
	v = &verdict{rcode: rcodes[dns.KindOf(err)]}
	var e *dns.Error
	if errors.As(err, &e) && e.Kind != dns.Internal {
		v.text = e.Detail
	}
	return v
}

// Serve answers one message with the opcode UPDATE that came in a datagram or over
// a stream. It calls write once, or not at all when there is nothing to answer;
// an error is what write said.
func (h *Handler) Serve(ctx context.Context, packet []byte, client netip.AddrPort, stream bool, write func([]byte) error) error {
	now := h.cfg.Now()
	r, err := h.cfg.Keys.Open(packet, now)
	if err != nil {
		h.updates.WithLabelValues(message.FormErr.String()).Inc()
		if out := message.Failure(packet, message.FormErr); out != nil {
			return write(out)
		}
		return nil
	}
	if r.Response {
		return nil
	}
	out, err := r.Seal(h.reply(ctx, r, client), now, r.BytesMax(stream))
	if err != nil {
		return err
	}
	return write(out)
}

// reply makes the answer to a request.
func (h *Handler) reply(ctx context.Context, r *message.Request, client netip.AddrPort) *message.Message {
	reply, outcome := r.Reply(message.NoError), message.NoError
	if err := h.update(ctx, r, client); err != nil {
		v := verdictOf(err)
		outcome, reply.Rcode = v.rcode, v.rcode
		if v.text != "" {
			reply.Explain(extended(v.rcode), v.text)
		}
		if r.Fault() != 0 {
			outcome = r.Fault()
		}
		h.tell(r, v, client, err)
	}
	h.updates.WithLabelValues(outcome.String()).Inc()
	return reply
}

// tell logs what a client with a key cannot see: the common tools speak no EDNS.
// Prerequisites that do not hold are an answer, and strangers could fill the log.
func (h *Handler) tell(r *message.Request, v *verdict, client netip.AddrPort, err error) {
	switch {
	case v.rcode == message.ServFail:
		h.cfg.Log.Warn("update failed", "client", client, "error", err)
	case r.Key == nil:
	case v.rcode == message.Refused, v.rcode == message.FormErr, v.rcode == message.NotZone, v.rcode == message.NotAuth:
		h.cfg.Log.Info("update refused", "key", r.Key.Name, "client", client, "rcode", v.rcode.String(), "why", v.text)
	}
}

func extended(rcode message.Rcode) uint16 {
	switch rcode {
	case message.Refused:
		return message.ExtendedProhibited
	case message.NotAuth:
		return message.ExtendedNotAuthority
	}
	return message.ExtendedOther
}

// update does what a request says, in the order of RFC 2136 3: zone, form, key's rights, prerequisites, changes.
func (h *Handler) update(ctx context.Context, r *message.Request, client netip.AddrPort) error {
	switch {
	case r.Fault() != 0:
		return deny(message.NotAuth, "")
	case r.EDNS != nil && r.EDNS.Version > 0:
		return deny(message.BadVers, "")
	case r.Opcode != message.OpUpdate:
		return deny(message.NotImp, "")
	case r.Key == nil:
		return deny(message.Refused, "updates are signed with a TSIG key")
	}
	zone, err := h.zone(r)
	if err != nil {
		return err
	}
	if err := prescan(r, zone.Apex, h.cfg.Zones.Zones()); err != nil {
		return err
	}
	for _, rr := range r.Authority {
		if !r.Key.May(rr.Name) {
			return deny(message.Refused, "the key %s may not update %s", r.Key.Name, rr.Name)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	steps := 0
	serial, err := h.cfg.Zones.ChangeZone(ctx, zone.Apex, func(lookup func(dns.Name) dns.Set) ([]dns.Change, error) {
		d := newDraft(zone, lookup)
		if err := d.require(r.Answer); err != nil {
			return nil, err
		}
		if err := d.apply(r.Authority); err != nil {
			return nil, err
		}
		steps = len(d.changes)
		return d.changes, nil
	})
	if err != nil {
		return err
	}
	h.cfg.Log.Info("zone updated", "zone", zone.Apex, "key", r.Key.Name, "client", client, "changes", steps, "serial", serial)
	return nil
}

// zone finds the zone of an update (RFC 2136 3.1).
func (h *Handler) zone(r *message.Request) (dns.Zone, error) {
	if len(r.Question) != 1 || r.Question[0].Type != dns.TypeSOA {
		return dns.Zone{}, deny(message.FormErr, "the zone section has one entry of type SOA")
	}
	q := r.Question[0]
	if q.Class == message.ClassIN {
		for _, z := range h.cfg.Zones.Zones() {
			switch {
			case z.Apex != q.Name:
			case z.Kind == dns.StaticZone:
				return dns.Zone{}, deny(message.Refused, "%s comes from a master file: change the file", z.Apex)
			default:
				return z, nil
			}
		}
	}
	return dns.Zone{}, deny(message.NotAuth, "there is no zone %s here", q.Name)
}

// prescan judges the form of prerequisites (RFC 2136 3.2) and changes (3.4.1), so that the rest can rely on it.
func prescan(r *message.Request, apex dns.Name, zones []dns.Zone) error {
	for _, rr := range r.Answer {
		if err := inZone(rr.Name, apex, zones); err != nil {
			return err
		}
		if err := prescanPrerequisite(rr); err != nil {
			return err
		}
	}
	for _, rr := range r.Authority {
		if err := inZone(rr.Name, apex, zones); err != nil {
			return err
		}
		if err := prescanChange(rr); err != nil {
			return err
		}
	}
	return nil
}

// inZone says whether a name lies in the zone and not in a deeper one that is served here too.
func inZone(name, apex dns.Name, zones []dns.Zone) error {
	for _, z := range zones {
		if z.Apex != apex && z.Apex.Under(apex) && name.Under(z.Apex) {
			return deny(message.NotZone, "%s lies in the zone %s", name, z.Apex)
		}
	}
	if !name.Under(apex) {
		return deny(message.NotZone, "%s does not lie in %s", name, apex)
	}
	return nil
}

func prescanPrerequisite(rr message.RR) error {
	switch {
	case rr.TTL != 0:
		return deny(message.FormErr, "a prerequisite with a TTL")
	case rr.Class == message.ClassAny || rr.Class == message.ClassNone:
		if len(rr.Data) != 0 || meta(rr.Type) && rr.Type != dns.TypeANY {
			return deny(message.FormErr, "a prerequisite of class ANY or NONE with data, or of type %v", rr.Type)
		}
	case rr.Class == message.ClassIN:
		if meta(rr.Type) {
			return deny(message.FormErr, "a prerequisite of type %v", rr.Type)
		}
		return checkData(rr)
	default:
		return deny(message.FormErr, "a prerequisite of class %d", rr.Class)
	}
	return nil
}

func prescanChange(rr message.RR) error {
	switch rr.Class {
	case message.ClassIN:
		if meta(rr.Type) {
			return deny(message.FormErr, "a record of type %v", rr.Type)
		}
		if rr.TTL > dns.TTLMax {
			return deny(message.FormErr, "a TTL of %d, at most %d", rr.TTL, dns.TTLMax)
		}
		return checkData(rr)
	case message.ClassAny:
		if rr.TTL != 0 || len(rr.Data) != 0 || meta(rr.Type) && rr.Type != dns.TypeANY {
			return deny(message.FormErr, "a deletion with a TTL or data, or of type %v", rr.Type)
		}
	case message.ClassNone:
		if rr.TTL != 0 || meta(rr.Type) {
			return deny(message.FormErr, "a deletion with a TTL, or of type %v", rr.Type)
		}
		return checkData(rr)
	default:
		return deny(message.FormErr, "a change of class %d", rr.Class)
	}
	return nil
}

// meta says whether a type is one of questions and of messages, not of data (RFC 6895 3.1).
func meta(t dns.Type) bool { return !t.Data() && t != dns.TypeSOA }

func checkData(rr message.RR) error {
	if _, err := message.CheckRData(rr.Type, rr.Data); err != nil {
		return deny(message.FormErr, "%s %v: %v", rr.Name, rr.Type, err)
	}
	return nil
}
