package api

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/message"
)

// Record is an owned record, as it is shown and, in part, as it is added.
type Record struct {
	ID   string `json:"id,omitempty"` // names it in paths
	Name string `json:"name"`         // absolute in answers; in requests under the domain unless it ends in a dot
	Type string `json:"type,omitempty"`
	Data string `json:"data"` // as in a master file: an address, "10 mail.example."
	// TTL in seconds; in requests absent means 60.
	TTL *uint32 `json:"ttl,omitempty"`
	// Priority: master (default), secondary, backup; origin is given by the server.
	Priority string  `json:"priority,omitempty"`
	Weight   *uint16 `json:"weight,omitempty"` // absent: 100
	Location string  `json:"location,omitempty"`
	View     string  `json:"view,omitempty"`
	Check    *Check  `json:"check,omitempty"`

	Owner  string  `json:"owner,omitempty"`
	Alive  bool    `json:"owner_alive"`
	Live   bool    `json:"live"` // may be answered
	Health *Health `json:"health,omitempty"`
}

// Check is a health check; times are durations such as "1s", absent ones are the server's defaults.
type Check struct {
	Spec      string `json:"spec"`
	Interval  string `json:"interval,omitempty"`
	Timeout   string `json:"timeout,omitempty"`
	Healthy   int    `json:"healthy,omitempty"`
	Unhealthy int    `json:"unhealthy,omitempty"`
	Initial   string `json:"initial,omitempty"` // healthy, unhealthy
}

// Health is what a check found.
type Health struct {
	State  string    `json:"state"` // unknown, healthy, unhealthy
	Since  time.Time `json:"since"`
	Output string    `json:"output,omitempty"`
}

// Policy says how the records of a name are chosen.
type Policy struct {
	Balance  string `json:"balance,omitempty"`  // weighted, fix-by-source, fixed-first, rendezvous, nearest
	Fallback string `json:"fallback,omitempty"` // none, all, backup
	Max      uint8  `json:"max,omitempty"`      // addresses in an answer; 0: 8
	Sources  string `json:"sources,omitempty"`  // for fix-by-source: the name whose addresses are the clients
}

// Name is what is known of one name.
type Name struct {
	Name    string   `json:"name"`
	Policy  Policy   `json:"policy"`
	Records []Record `json:"records"`
	RRs     []RR     `json:"zone_records"`
}

// RR is a zone record.
type RR struct {
	Name string `json:"name"`
	Type string `json:"type"`
	TTL  uint32 `json:"ttl"`
	Data string `json:"data"`
}

// Zone is a zone without its records.
type Zone struct {
	Name    string `json:"name"`
	Kind    string `json:"kind"` // domain, shared, static
	Serial  uint32 `json:"serial"`
	Minimum uint32 `json:"negative_ttl"`
}

// Change is one step of a change of zone records.
type Change struct {
	Op   string  `json:"op"` // add, delete, delete-set, delete-all
	Name string  `json:"name"`
	Type string  `json:"type,omitempty"`
	TTL  *uint32 `json:"ttl,omitempty"` // absent: 60
	Data string  `json:"data,omitempty"`
}

// Member is a member of the cluster as this one knows it.
type Member struct {
	Node     string    `json:"node"`
	Self     bool      `json:"self,omitempty"`
	State    string    `json:"state"` // alive, dead, left, removed
	Since    time.Time `json:"since"`
	Gossip   string    `json:"gossip,omitempty"`
	DNS      []string  `json:"dns,omitempty"`
	HTTP     string    `json:"http,omitempty"`
	Location string    `json:"location,omitempty"`
	Version  string    `json:"version,omitempty"`
	Started  time.Time `json:"started,omitzero"`
	RTT      float64   `json:"rtt_ms,omitempty"`
	Records  int       `json:"records"`
	Names    []string  `json:"names,omitempty"`  // patterns of its certificate
	Ranges   []string  `json:"ranges,omitempty"` // addresses of its certificate
	Zones    bool      `json:"zones"`
	Admin    bool      `json:"admin"`
	Expires  time.Time `json:"certificate_expires,omitzero"`
}

// Event is one thing that happened, as the watch and the history tell it.
type Event struct {
	Seq    uint64    `json:"seq"`
	Time   time.Time `json:"time"`
	Kind   string    `json:"kind"` // record, gone, health, member, zone, policy, lost
	Name   string    `json:"name,omitempty"`
	Type   string    `json:"type,omitempty"`
	Data   string    `json:"data,omitempty"`
	Owner  string    `json:"owner,omitempty"`
	State  string    `json:"state,omitempty"` // of health, of a member
	Before string    `json:"before,omitempty"`
	Text   string    `json:"text,omitempty"`
}

// Explanation says how a question would be answered, and why.
type Explanation struct {
	Name    string   `json:"name"`
	Type    string   `json:"type"`
	Client  string   `json:"client"`
	Zone    string   `json:"zone,omitempty"`
	RCode   string   `json:"rcode"`
	Rule    string   `json:"rule"` // what decided
	Policy  *Policy  `json:"policy,omitempty"`
	Answer  []string `json:"answer"` // rows of a master file
	Choices []Choice `json:"choices,omitempty"`
}

// Choice is one owned record in the choosing.
type Choice struct {
	Record Record `json:"record"`
	Pick   bool   `json:"picked"`
	Why    string `json:"why"`
}

// Key is a key of the ring; its text is never shown.
type Key struct {
	ID      string `json:"id"`
	InUse   bool   `json:"in_use"`
	Members int    `json:"members"` // that are certified under it
}

// Status is what this member is.
type Status struct {
	Node    string   `json:"node"`
	Domain  string   `json:"domain"`
	Version string   `json:"version"`
	DNS     []string `json:"dns"`
	Members int      `json:"members_alive"`
	Names   int      `json:"names"`
	Records int      `json:"records"`
}

// showRecord writes an owned record for a client.
func showRecord(o dns.Owned) (Record, error) {
	data, err := message.FormatRData(o.Type, o.Data)
	if err != nil {
		return Record{}, err
	}
	ttl, weight := o.TTL, o.Weight
	r := Record{
		ID: recordID(o.ID()), Name: string(o.Name), Type: o.Type.String(), Data: data, TTL: &ttl, Priority: o.Tier.String(), Weight: &weight,
		Location: o.Location, View: o.View, Owner: o.Owner, Alive: o.Alive, Live: o.Live(),
	}
	if c := o.Check; c.Spec != "" {
		r.Check = &Check{Spec: c.Spec, Interval: duration(c.Interval), Timeout: duration(c.Timeout), Healthy: c.Healthy, Unhealthy: c.Unhealthy}
		if c.Initial != dns.Unknown {
			r.Check.Initial = c.Initial.String()
		}
		r.Health = &Health{State: o.Health.State.String(), Since: o.Health.Since.UTC(), Output: o.Health.Output}
	}
	return r, nil
}

func duration(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

// record reads what a client wants to add.
func (r Record) record(domain dns.Name) (dns.Record, error) {
	rr, err := readRR(r.Name, r.Type, r.Data, r.TTL, domain)
	if err != nil {
		return dns.Record{}, err
	}
	out := dns.Record{RR: rr, Weight: dns.WeightDefault, Location: r.Location, View: r.View}
	if r.Weight != nil {
		out.Weight = *r.Weight
	}
	if r.Priority != "" {
		if out.Tier, err = dns.ParseTier(r.Priority); err != nil {
			return out, invalid(err)
		}
	}
	if r.Check != nil {
		if out.Check, err = r.Check.check(); err != nil {
			return out, invalid(err)
		}
	}
	if err := out.Validate(); err != nil {
		return out, invalid(err)
	}
	return out, nil
}

func (c Check) check() (dns.Check, error) {
	out := dns.Check{Spec: c.Spec, Healthy: c.Healthy, Unhealthy: c.Unhealthy}
	var err error
	for _, d := range []struct {
		name, text string
		to         *time.Duration
	}{{"interval", c.Interval, &out.Interval}, {"timeout", c.Timeout, &out.Timeout}} {
		if d.text == "" {
			continue
		}
		if *d.to, err = time.ParseDuration(d.text); err != nil || *d.to <= 0 {
			return out, fmt.Errorf("%s %q is no duration such as 1s or 500ms", d.name, d.text)
		}
	}
	out.Initial, err = dns.ParseState(c.Initial)
	return out, err
}

// readRR reads a record; without a type, the data decides between A, AAAA and CNAME.
func readRR(name, typ, data string, ttl *uint32, domain dns.Name) (dns.RR, error) {
	n, err := dns.ResolveName(name, domain)
	if err != nil {
		return dns.RR{}, invalid(err)
	}
	t, err := typeOf(typ, data)
	if err != nil {
		return dns.RR{}, invalid(err)
	}
	rr := dns.RR{Name: n, Type: t, TTL: dns.TTLDefault}
	if ttl != nil {
		rr.TTL = *ttl
	}
	if rr.Data, err = message.ParseRData(t, data, domain); err != nil {
		return rr, invalid(fmt.Errorf("data of %s %v: %w", n, t, err))
	}
	if err := rr.Validate(); err != nil {
		return rr, invalid(err)
	}
	return rr, nil
}

func typeOf(typ, data string) (dns.Type, error) {
	switch {
	case typ != "":
		return dns.ParseType(typ)
	case strings.Contains(data, ":"):
		return dns.TypeAAAA, nil
	}
	return dns.TypeA, nil
}

// recordID is the id of a record in paths: owner, name, type and data.
func recordID(id dns.RecordID) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%s %s %d %s", id.Owner, id.Name, id.Type, id.Data))
}

func parseRecordID(text string) (id dns.RecordID, err error) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	part := strings.SplitN(string(b), " ", 4)
	var t uint16
	if err == nil && len(part) == 4 {
		_, err = fmt.Sscanf(part[2], "%d", &t)
	}
	if err != nil || len(part) != 4 {
		return id, &dns.Error{Kind: dns.NotFound, Detail: "no record has this id"}
	}
	return dns.RecordID{Owner: part[0], Name: dns.Name(part[1]), Type: dns.Type(t), Data: part[3]}, nil
}

func showPolicy(p dns.Policy) Policy {
	return Policy{Balance: p.Balance.String(), Fallback: p.Fallback.String(), Max: p.Max, Sources: string(p.Sources)}
}

// policy reads what a client wants a policy to be.
func (p Policy) policy(domain dns.Name) (out dns.Policy, err error) {
	if out.Balance, err = dns.ParseBalance(p.Balance); err != nil {
		return out, invalid(err)
	}
	if out.Fallback, err = dns.ParseFallback(p.Fallback); err != nil {
		return out, invalid(err)
	}
	if p.Sources != "" {
		if out.Sources, err = dns.ResolveName(p.Sources, domain); err != nil {
			return out, invalid(err)
		}
	}
	out.Max = p.Max
	if err := out.Validate(); err != nil {
		return out, invalid(err)
	}
	return out, nil
}

func showRR(r dns.RR) (RR, error) {
	data, err := message.FormatRData(r.Type, r.Data)
	return RR{Name: string(r.Name), Type: r.Type.String(), TTL: r.TTL, Data: data}, err
}

var changeOps = map[string]dns.ChangeOp{"add": dns.Add, "delete": dns.Delete, "delete-set": dns.DeleteSet, "delete-all": dns.DeleteAll}

// change reads one step of a change.
func (c Change) change(zone dns.Name) (dns.Change, error) {
	op, ok := changeOps[c.Op]
	if !ok {
		return dns.Change{}, invalid(fmt.Errorf("op %q is none of add, delete, delete-set, delete-all", c.Op))
	}
	if op == dns.Add || op == dns.Delete {
		rr, err := readRR(c.Name, c.Type, c.Data, c.TTL, zone)
		return dns.Change{RR: rr, Op: op}, err
	}
	n, err := dns.ResolveName(c.Name, zone)
	if err != nil {
		return dns.Change{}, invalid(err)
	}
	out := dns.Change{RR: dns.RR{Name: n}, Op: op}
	if op == dns.DeleteSet {
		if out.Type, err = dns.ParseType(c.Type); err != nil {
			return out, invalid(err)
		}
	}
	return out, nil
}

func showMember(m dns.Member, self string) Member {
	out := Member{
		Node: m.Node, Self: m.Node == self, State: m.State.String(), Since: m.Since.UTC(), HTTP: m.Info.HTTP, Location: m.Info.Location, Version: m.Info.Version,
		Started: m.Info.Started.UTC(), RTT: float64(m.RTT.Microseconds()) / 1000, Records: m.Records, Names: m.Cert.Names, Zones: m.Cert.Zones, Admin: m.Cert.Admin,
		Expires: m.Cert.Expires,
	}
	if m.Info.Gossip.IsValid() {
		out.Gossip = m.Info.Gossip.String()
	}
	for _, a := range m.Info.DNS {
		out.DNS = append(out.DNS, a.String())
	}
	for _, p := range m.Cert.Ranges {
		out.Ranges = append(out.Ranges, p.String())
	}
	return out
}

// showEvent writes an event for a client; data that cannot be written as text is left out.
func showEvent(e dns.Event) Event {
	out := Event{Seq: e.Seq, Time: e.Time.UTC(), Kind: string(e.Kind), Name: string(e.Name), Owner: e.Owner, State: e.State, Before: e.Before, Text: e.Text}
	if e.Type != 0 {
		out.Type = e.Type.String()
		out.Data, _ = message.FormatRData(e.Type, []byte(e.Data))
	}
	return out
}

func showExplanation(e dns.Explanation) (Explanation, error) {
	out := Explanation{Name: string(e.Name), Type: e.Type.String(), Client: e.Client.String(), Zone: string(e.Zone), RCode: e.RCode, Rule: e.Rule, Answer: e.Answer}
	if out.Answer == nil {
		out.Answer = []string{}
	}
	for _, c := range e.Choices {
		r, err := showRecord(c.Owned)
		if err != nil {
			return out, err
		}
		out.Choices = append(out.Choices, Choice{Record: r, Pick: c.Pick, Why: c.Why})
	}
	if len(e.Choices) > 0 {
		p := showPolicy(e.Policy)
		out.Policy = &p
	}
	return out, nil
}

func invalid(err error) error { return &dns.Error{Kind: dns.Invalid, Detail: err.Error()} }
