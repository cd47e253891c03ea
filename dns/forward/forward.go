package forward

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/kamado/kamado/dns"
)

// Forwarder asks other servers. Resolve and Lookup may be called by any number of goroutines, before, during and after Run.
type Forwarder struct {
	cfg     Config
	log     *slog.Logger
	ours    func(dns.Name) bool
	tap     func(Exchange)
	now     func() time.Time
	servers []*server
	cache   *cache
	special special
	metrics *metrics
	sockets chan struct{}

	life context.Context // of flights and connections: until Run ends
	end  context.CancelFunc

	mu      sync.Mutex
	flights map[string]*flight
	work    sync.WaitGroup // goroutines of flights and connections
	closed  bool
	silent  bool // no server answered the last flight; logged once
}

var (
	errClosed = errors.New("the forwarder has stopped")
	errFull   = errors.New("too many questions at one time")
)

// New makes a forwarder; it asks nobody yet.
func New(cfg Config, deps Deps) (*Forwarder, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure the forwarder: %w", err)
	}
	f := &Forwarder{
		cfg: cfg, log: deps.Log, ours: deps.Ours, tap: deps.Tap, now: deps.Now, cache: newCache(cfg.Entries, cfg.BytesMax),
		sockets: make(chan struct{}, cfg.SocketsMax), flights: map[string]*flight{}, special: newSpecial(cfg.Pass),
	}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	if f.now == nil {
		f.now = time.Now
	}
	f.life, f.end = context.WithCancel(context.Background())
	var roots *x509.CertPool
	if cfg.CAFile != "" {
		pem, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read the roots of forwarders: %w", err)
		}
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate in PEM", cfg.CAFile)
		}
	}
	for _, text := range cfg.Servers {
		s, err := newServer(text, &f.cfg, roots, f)
		if err != nil {
			return nil, err
		}
		f.servers = append(f.servers, s)
	}
	var err error
	f.metrics, err = newMetrics(f, deps.Metrics)
	return f, err
}

// Run waits for the end of ctx, ends what is under way and returns when all is quiet.
func (f *Forwarder) Run(ctx context.Context) error {
	<-ctx.Done()
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.end()
	f.work.Wait()
	return nil
}

// spawn starts a goroutine that Run waits for; not once Run has ended.
func (f *Forwarder) spawn(work func()) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return false
	}
	f.work.Go(work)
	return true
}

// Flush forgets all answers.
func (f *Forwarder) Flush() { f.cache.flush() }

// Lookup answers a query from memory alone, in at most size bytes: it appends the
// reply to dst and says whether there was a fresh answer. It takes no lock, waits
// for nothing and allocates nothing when dst has room; packet is not changed.
func (f *Forwarder) Lookup(dst, packet []byte, size int, now time.Time) ([]byte, bool) {
	var q question
	if q.parse(packet) != nil || f.verdict(&q) != answerIt {
		return dst, false
	}
	e := f.special.find(&q)
	if e == nil {
		e = f.fresh(&q, now)
	}
	if e == nil {
		return dst, false
	}
	return e.answer(dst, &q, q.room(size), now.UnixNano(), false), true
}

// room is what a reply may have: what the client takes, if it is less than the transport's size.
func (q *question) room(size int) int {
	if size > 0xffff || size == 0xffff {
		return 0xffff // a stream
	}
	return min(size, q.udpBytes)
}

// fresh gives the fresh entry of a question, and notes that it was used.
func (f *Forwarder) fresh(q *question, now time.Time) *entry {
	t := now.UnixNano()
	e := f.cache.find(q, f.cfg.Cut, t)
	if e == nil || t >= e.fresh {
		return nil
	}
	f.metrics.hits.Inc()
	if t-e.used.Load() > int64(usedEvery) {
		e.used.Store(t) // seldom, so that processors do not fight over it
	}
	f.prefetch(q, e, t)
	return e
}

const (
	usedEvery = 100 * time.Millisecond
	// An entry is worth asking for again when it was hit so often and has lived so long.
	prefetchHits = 3
	prefetchTTL  = 10 * time.Second
)

// prefetch asks again for an entry that is in use in the last tenth of its TTL.
func (f *Forwarder) prefetch(q *question, e *entry, now int64) {
	if !f.cfg.Prefetch || e.rcode == rcodeServer || e.ttl < prefetchTTL {
		return
	}
	if e.hits.Load() < prefetchHits {
		e.hits.Add(1)
		return
	}
	if e.fresh-now > int64(e.ttl)/10 || !e.asked.CompareAndSwap(false, true) {
		return
	}
	if _, err := f.join(q.ask(f.cache), e); err == nil {
		f.metrics.prefetches.Inc()
	}
}

// ask makes the part of a question that outlives its packet.
func (q *question) ask(c *cache) *asked {
	k := slices.Clone(q.key.slice())
	return &asked{name: k[:len(q.name)], typ: q.typ, bits: q.bits(), hash: c.hash(k), key: string(k)}
}

// disposition is what is done with a query before it is looked up.
type disposition uint8

const (
	answerIt disposition = iota
	refuseIt
	wrongVersion
)

// verdict judges a query by its form. What does not want recursion is refused, so
// that nobody can look at the cache alone; so are transfers and other meta types (RFC 6895 3.1).
func (f *Forwarder) verdict(q *question) disposition {
	switch {
	case q.version != 0:
		return wrongVersion
	case q.flags&flagRD == 0, q.class != classIN, q.typ == typeNone, q.typ >= 128 && q.typ < dns.TypeANY, q.typ == dns.TypeOPT:
		return refuseIt
	}
	return answerIt
}

// Resolve appends the reply to a query to dst, in at most size bytes (65535 for
// streams; over UDP less if the client says so). A packet that is no query with
// one question is a dns.Error of kind Invalid and gets no reply from here; all
// else is told in the reply, with extended errors (RFC 8914). It returns when there is
// an answer or the flight is over, or ctx, for then the error is ctx's.
// An OPT record is the last record of the reply if the query had one.
func (f *Forwarder) Resolve(ctx context.Context, dst, packet []byte, size int) ([]byte, error) {
	var q question
	if err := q.parse(packet); err != nil {
		return dst, &dns.Error{Op: "forward", Kind: dns.Invalid, Detail: err.Error()}
	}
	switch f.verdict(&q) {
	case wrongVersion:
		return refuse(dst, &q, rcodeVersion, errorNone, ""), nil
	case refuseIt:
		f.metrics.refused.Inc()
		return refuse(dst, &q, rcodeRefused, errorNone, ""), nil
	}
	now := f.now()
	if e := f.special.find(&q); e != nil {
		f.metrics.local.Inc()
		return e.answer(dst, &q, q.room(size), now.UnixNano(), false), nil
	}
	if e := f.fresh(&q, now); e != nil {
		return e.answer(dst, &q, q.room(size), now.UnixNano(), false), nil
	}
	if len(f.servers) == 0 || f.isOurs(&q) {
		f.metrics.refused.Inc()
		return refuse(dst, &q, rcodeRefused, errorNone, ""), nil
	}
	e, stale, err := f.fetch(ctx, &q, now)
	if err != nil {
		return dst, err
	}
	return e.answer(dst, &q, q.room(size), f.now().UnixNano(), stale), nil
}

// isOurs says whether a name lies in a zone of ours.
func (f *Forwarder) isOurs(q *question) bool {
	if f.ours == nil {
		return false
	}
	name, _, err := dns.NameFromWire(q.key.bytes[:len(q.name)])
	return err != nil || f.ours(name)
}

// fetch gets an entry by a flight, or the stale one if that takes long or fails.
func (f *Forwarder) fetch(ctx context.Context, q *question, now time.Time) (e *entry, stale bool, err error) {
	old := f.cache.find(q, false, now.UnixNano())
	if old != nil && now.UnixNano() < old.recheck.Load() {
		f.metrics.stale.Inc()
		return old, true, nil
	}
	f.metrics.misses.Inc()
	fl, err := f.join(q.ask(f.cache), old)
	if err != nil {
		if old != nil {
			f.metrics.stale.Inc()
			return old, true, nil
		}
		f.metrics.failed.Inc()
		return failure(q.ask(f.cache), errorOther, err.Error()), false, nil
	}
	var patience <-chan time.Time
	if old != nil {
		timer := time.NewTimer(f.cfg.StaleWait)
		defer timer.Stop()
		patience = timer.C
	}
	select {
	case <-fl.done:
		if fl.entry.rcode != rcodeServer {
			return fl.entry, false, nil
		}
		if old == nil {
			f.metrics.failed.Inc()
			return fl.entry, false, nil
		}
	case <-patience:
	case <-ctx.Done():
		if old == nil {
			return nil, false, ctx.Err()
		}
	}
	f.metrics.stale.Inc()
	return old, true, nil
}

// ServerState is what is known of one server, for people.
type ServerState struct {
	Server   string
	Addr     netip.AddrPort
	RTT      time.Duration // smoothed; 0: not known
	Failures int           // in a row
}

// Servers tells how the servers do, in the order in which they would be asked now.
func (f *Forwarder) Servers() []ServerState {
	var out []ServerState
	for _, s := range f.order(f.now()) {
		s.mu.Lock()
		out = append(out, ServerState{Server: s.label, Addr: s.Addr, RTT: s.rtt, Failures: s.fails})
		s.mu.Unlock()
	}
	return out
}
