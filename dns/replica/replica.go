package replica

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/credential"
)

// Replica is the state as one member holds it. Not safe for concurrent use.
type Replica struct {
	cfg     Config
	id      credential.Identity
	issuers [][]byte
	// sign is Identity.Sign, verify ed25519.Verify, certified credential.VerifyEncoded. A large
	// simulation has cheaper ones, and remembers what they said.
	sign      func(id credential.Identity, message []byte) []byte
	verify    func(public, message, sig []byte) bool
	certified func(cert []byte, issuers [][]byte) (dns.Certificate, error)

	self    *stream
	streams map[string]*stream
	facts   map[slotID]*entry // shared things: the entries about each, chained by also
	names   map[dns.Name]*named
	zones   map[dns.Name]*zone
	removed map[string]fact
	ring    map[string]fact         // by public key
	sources map[dns.Name][]dns.Name // names whose policy has this one as its source
	serials map[dns.Name]*serial
	waiting []*entry // with stamps that are not due
	graves  []*entry // tombstones, some of them gone

	// now is the time of the step: the caller's, but it does not follow a clock that steps
	// back by less than clockMemory. heard is what the caller said last.
	now, heard time.Time
	clock      dns.Clock
	noted      int64     // time that is on disk, Unix ms
	begun      time.Time // of Start; zero: still restoring
	last       uint64    // own version that was used last
	restored   uint64    // greatest own version that the journal knew
	twin       string
	spoke      time.Time // when own entries were last said anew because of a twin

	peers   []*stream // that are up, in no order
	push    pusher
	repair  repairer
	pulls   []*stream // that are asked for soon
	swept   time.Time
	judged  time.Time
	dropped []string // nodes whose streams must go: removed in this step
	stats   Stats
}

// clockMemory is how far back a clock may step and still be outvoted by what this member did
// before. A step that is longer mends a clock that was wrong, and is followed.
const clockMemory = 24 * time.Hour

// New makes an empty replica. Call Restore with every entry of the journal, then Start, then the rest.
func New(cfg Config) (*Replica, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("replica: %w", err)
	}
	node := cfg.Identity.Cert.Node
	r := &Replica{
		cfg: cfg, id: cfg.Identity, issuers: cfg.Issuers, sign: credential.Identity.Sign, verify: verifyEd25519, certified: credential.VerifyEncoded,
		streams: map[string]*stream{}, facts: map[slotID]*entry{}, names: map[dns.Name]*named{},
		removed: map[string]fact{}, ring: map[string]fact{}, clock: dns.Clock{Node: node},
		sources: map[dns.Name][]dns.Name{}, serials: map[dns.Name]*serial{},
	}
	r.zones = map[dns.Name]*zone{cfg.Domain: r.domainZone()}
	seed := cfg.Seed
	for _, c := range []byte(node) {
		seed = seed*1099511628211 + uint64(c) // members with one seed must not act in step
	}
	rng := rand.New(rand.NewPCG(seed, uint64(len(node))))
	r.push.rng, r.repair.rng = rng, rng
	r.self = r.stream(node)
	return r, nil
}

// stream gives the stream of a node, made when there was none; nil when there are too many.
func (r *Replica) stream(node string) *stream {
	s := r.streams[node]
	if s == nil && len(r.streams) < r.cfg.MembersMax {
		s = &stream{node: node, slots: map[slotID]*entry{}, since: r.now}
		r.streams[node] = s
	}
	return s
}

// at takes the caller's time and begins a step.
func (r *Replica) at(now time.Time) *step {
	// Ticks come every judgeEvery: what is much longer is a step of the clock, or a pause that wall tells too.
	passed := min(max(now.Sub(r.heard), 0), 2*judgeEvery)
	wall := now.Round(0)
	switch {
	case r.heard.IsZero() || wall.Before(r.now.Add(-clockMemory)):
		r.now = wall
		r.repair.restart(r.now)
	default:
		r.now = r.now.Add(passed)
		if wall.After(r.now) {
			r.now = wall
		}
	}
	r.heard = now
	return &step{r: r}
}

// stamp makes a stamp for a change of this member.
func (r *Replica) stamp() dns.Stamp {
	s := r.clock.Next(r.now)
	if s.Time().After(r.now.Add(clockMemory)) {
		r.clock = dns.Clock{Node: r.clock.Node}
		s = r.clock.Next(r.now)
	}
	return s
}

// next is a version that was never used.
func (r *Replica) next() uint64 {
	r.last++
	return r.last
}

// epochBits are the low bits of a version that count within one run of the program.
const epochBits = 32

// Restore puts back one entry that Out.Keep or Snapshot gave. It does not check
// signatures again, but looks at certificates: trust may have changed.
func (r *Replica) Restore(now time.Time, raw []byte) error {
	st := r.at(now)
	if len(raw) > 2 && raw[0] == formatNow && kind(raw[offKind]) == kindLocal {
		return r.restoreLocal(raw[2:])
	}
	e, err := parseEntry(slices.Clone(raw), r.cfg.EntryBytesMax)
	if err != nil {
		return &dns.Error{Op: "restore", Kind: dns.Internal, Detail: err.Error()}
	}
	if e.node() == r.self.node {
		r.restored = max(r.restored, e.version)
	}
	st.restoring = true
	r.accept(st, &e)
	r.settleRemovals(st)
	return nil
}

// Start ends the restoring: it picks versions that were never used and publishes
// the member's info. Its Out is Urgent, until it is durable nothing may leave, and
// has all that was restored as changed.
func (r *Replica) Start(now time.Time, info dns.Info) (Out, error) {
	st := r.at(now)
	if past := time.UnixMilli(r.noted); past.After(r.now) && past.Before(r.now.Add(clockMemory)) {
		r.now = past // the clock stepped back while this member was away
	}
	r.ripen(st)
	epoch := max(r.restored>>epochBits+1, uint64(max(r.now.Unix(), 1)))
	r.last = epoch << epochBits
	r.begun = r.now
	r.repair.restart(r.now)
	r.self.up, r.self.since = true, r.now
	if err := r.publishInfo(st, info, false); err != nil {
		return Out{}, err
	}
	for apex := range r.zones {
		st.zone(apex)
	}
	for name := range r.names {
		st.changed(name, false)
	}
	st.out.Members, st.out.Keyring = true, len(r.ring) > 0
	for _, s := range r.streams {
		r.judge(st, s)
	}
	return st.finish(true), nil
}

// Snapshot gives every entry that a journal must hold to restore this state.
func (r *Replica) Snapshot(yield func(entry []byte) bool) {
	if !yield(r.localEntry()) {
		return
	}
	for _, s := range r.streams {
		for _, e := range s.infos() {
			if !yield(e.raw) {
				return
			}
		}
	}
	for _, s := range r.streams {
		for _, e := range s.log {
			if !e.gone && e.kind != kindInfo && !yield(e.raw) {
				return
			}
		}
	}
}

// infos gives the info entries, the current one last.
func (s *stream) infos() []*entry {
	var list []*entry
	for _, k := range slices.Backward(s.keys) {
		list = append(list, k.entry)
	}
	return list
}

// Twin tells why this member lost its name: to another machine, or because it was removed. Empty: it did not.
func (r *Replica) Twin() string { return r.twin }

// mine says whether this member may still speak.
func (r *Replica) mine() error {
	switch {
	case r.begun.IsZero():
		return &dns.Error{Kind: dns.Unavailable, Detail: "the member has not started yet"}
	case r.twin != "":
		return &dns.Error{Kind: dns.Denied, Detail: r.twin}
	}
	return nil
}
