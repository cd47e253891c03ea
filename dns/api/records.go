package api

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/message"
)

// Records is a page of owned records.
type Records struct {
	Records []Record `json:"records"`
	Next    string   `json:"next,omitempty"` // give it as after=; empty: there are no more
}

// filter is which records a request asks for.
type filter struct {
	name    dns.Name
	owner   string
	typ     dns.Type
	state   string
	after   string
	limit   int
	checked bool
}

func (a *api) filter(r *http.Request) (f filter, err error) {
	q := r.URL.Query()
	if text := q.Get("name"); text != "" {
		if f.name, err = a.name(text); err != nil {
			return f, err
		}
	}
	if text := q.Get("type"); text != "" {
		if f.typ, err = dns.ParseType(text); err != nil {
			return f, invalid(err)
		}
	}
	if f.state = q.Get("state"); f.state != "" {
		if _, err = dns.ParseState(f.state); err != nil {
			return f, invalid(err)
		}
	}
	f.owner = q.Get("owner")
	if f.owner == "self" {
		f.owner = a.Node.Self()
	}
	f.after = q.Get("after")
	f.limit, err = number(r, "limit", pageDefault, pageMax)
	return f, err
}

func (f filter) takes(o dns.Owned) bool {
	return (f.owner == "" || o.Owner == f.owner) && (f.typ == 0 || o.Type == f.typ) && (f.state == "" || o.Health.State.String() == f.state) &&
		(!f.checked || o.Check.Spec != "")
}

// page gives the records that a filter takes, from behind its mark.
func (a *api) page(f filter) (Records, error) {
	page := Records{Records: []Record{}}
	behind := f.after == ""
	for _, o := range a.Node.Records(f.name) {
		if !behind {
			behind = recordID(o.ID()) == f.after
			continue
		}
		if !f.takes(o) {
			continue
		}
		if len(page.Records) == f.limit {
			page.Next = page.Records[f.limit-1].ID
			return page, nil
		}
		r, err := showRecord(o)
		if err != nil {
			return page, err
		}
		page.Records = append(page.Records, r)
	}
	if !behind {
		return page, invalid(errors.New("after names a record that is gone: begin again without it"))
	}
	return page, nil
}

func (a *api) listRecords(r *http.Request) (any, error) {
	f, err := a.filter(r)
	if err != nil {
		return nil, err
	}
	return a.page(f)
}

// listHealth is the records that have a check.
func (a *api) listHealth(r *http.Request) (any, error) {
	f, err := a.filter(r)
	if err != nil {
		return nil, err
	}
	f.checked = true
	return a.page(f)
}

// addedRecord is an answer with the place of what was made.
type addedRecord struct{ Record }

func (r addedRecord) location() string { return Prefix + "records/" + r.ID }

func (a *api) addRecord(r *http.Request) (any, error) {
	var req Record
	if err := body(r, &req); err != nil {
		return nil, err
	}
	if req.ID != "" || req.Owner != "" || req.Health != nil {
		return nil, invalid(errors.New("id, owner and health are the server's: a member adds its own records only"))
	}
	rec, err := req.record(a.Node.Domain())
	if err != nil {
		return nil, err
	}
	o, err := a.Node.Add(r.Context(), rec)
	if err != nil {
		return nil, err
	}
	shown, err := showRecord(o)
	return addedRecord{shown}, err
}

// find gives the record of an id.
func (a *api) find(r *http.Request) (dns.Owned, error) {
	id, err := parseRecordID(r.PathValue("id"))
	if err != nil {
		return dns.Owned{}, err
	}
	for _, o := range a.Node.Records(id.Name) {
		if o.ID() == id {
			return o, nil
		}
	}
	return dns.Owned{}, &dns.Error{Kind: dns.NotFound, Detail: fmt.Sprintf("%s has no such record of %s", id.Owner, id.Name)}
}

func (a *api) showRecord(r *http.Request) (any, error) {
	o, err := a.find(r)
	if err != nil {
		return nil, err
	}
	return showRecord(o)
}

// Removed says how many records are gone.
type Removed struct {
	Removed int `json:"removed"`
}

func (a *api) removeRecord(r *http.Request) (any, error) {
	o, err := a.find(r)
	if err != nil {
		return nil, err
	}
	if o.Owner != a.Node.Self() {
		return nil, foreign(o)
	}
	return Removed{1}, a.Node.Remove(r.Context(), o.ID())
}

func foreign(o dns.Owned) error {
	return &dns.Error{Kind: dns.Denied, Detail: fmt.Sprintf("%s %v belongs to the member %s: remove it there", o.Name, o.Type, o.Owner)}
}

// removeRecords removes this member's records of a name, all or those of a type and data.
func (a *api) removeRecords(r *http.Request) (any, error) {
	q := r.URL.Query()
	if q.Get("name") == "" {
		return nil, invalid(errors.New("name is missing: which records?"))
	}
	f, err := a.filter(r)
	if err != nil {
		return nil, err
	}
	var data []byte
	if text := q.Get("data"); text != "" {
		t, err := typeOf(q.Get("type"), text)
		if err != nil {
			return nil, invalid(err)
		}
		if data, err = message.ParseRData(t, text, a.Node.Domain()); err != nil {
			return nil, invalid(err)
		}
		f.typ = t
	}
	var others *dns.Owned
	removed := Removed{}
	for _, o := range a.Node.Records(f.name) {
		if !f.takes(o) || o.Tier == dns.Origin || data != nil && string(data) != string(o.Data) {
			continue
		}
		if o.Owner != a.Node.Self() {
			others = &o
			continue
		}
		if err := a.Node.Remove(r.Context(), o.ID()); err != nil {
			return nil, err
		}
		removed.Removed++
	}
	switch {
	case removed.Removed > 0:
		return removed, nil
	case others != nil:
		return nil, foreign(*others)
	}
	return nil, &dns.Error{Kind: dns.NotFound, Detail: fmt.Sprintf("this member has no such record of %s", f.name)}
}

// Heartbeat is the body of a heartbeat.
type Heartbeat struct {
	State  string `json:"state,omitempty"` // healthy (default) or unhealthy
	Output string `json:"output,omitempty"`
}

func (a *api) heartbeat(r *http.Request) (any, error) {
	var req Heartbeat
	if err := body(r, &req); err != nil {
		return nil, err
	}
	state, err := dns.ParseState(req.State)
	if err != nil {
		return nil, invalid(err)
	}
	o, err := a.find(r)
	if err != nil {
		return nil, err
	}
	if o.Owner != a.Node.Self() {
		return nil, foreign(o)
	}
	if err := a.Checks.Heartbeat(o.ID(), state != dns.Unhealthy, req.Output); err != nil {
		return nil, err
	}
	return struct{}{}, nil
}

func (a *api) showName(r *http.Request) (any, error) {
	n, err := a.name(r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	set := a.Node.Set(n)
	if set.Empty() && set.Policy == (dns.Policy{}) {
		return nil, &dns.Error{Kind: dns.NotFound, Detail: fmt.Sprintf("nothing is known of %s", n)}
	}
	out := Name{Name: string(n), Policy: showPolicy(set.Policy), Records: []Record{}, RRs: []RR{}}
	for _, o := range set.Owned {
		shown, err := showRecord(o)
		if err != nil {
			return nil, err
		}
		out.Records = append(out.Records, shown)
	}
	for _, rr := range set.RRs {
		shown, err := showRR(rr)
		if err != nil {
			return nil, err
		}
		out.RRs = append(out.RRs, shown)
	}
	return out, nil
}

func (a *api) setPolicy(r *http.Request) (any, error) {
	n, err := a.name(r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	var req Policy
	if err := body(r, &req); err != nil {
		return nil, err
	}
	p, err := req.policy(a.Node.Domain())
	if err != nil {
		return nil, err
	}
	return showPolicy(p), a.Node.SetPolicy(r.Context(), n, p)
}

// keyText checks that text is a key before anything remembers it.
func keyText(text string) error {
	if b, err := base64.StdEncoding.DecodeString(text); text != "" && (err != nil || len(b) != 32) {
		return invalid(errors.New("key is not base64 of 32 bytes; \"kamado dns key\" makes one"))
	}
	return nil
}
