package console

import (
	"cmp"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// recordsPage is the number of records in a list.
const recordsPage = 200

// namesRoutes are the pages of names. Reading needs no login on this machine;
// changing something does.
func (c *Console) namesRoutes(mux *http.ServeMux, read func(string, http.HandlerFunc)) {
	change := func(pattern string, h http.HandlerFunc) { mux.Handle("POST "+pattern, c.cfg.Guard.Require(h)) }
	read("/names", c.namesList)
	read("/names/live", c.namesLive)
	read("/names/line", c.namesLine)
	read("/names/members", c.members)
	read("/names/timeline", c.timeline)
	read("/names/look-up", c.lookUp)
	read("/names/{name}", c.name)
	change("/names", c.addRecord)
	change("/names/{name}/delete", c.deleteRecord)
	change("/names/{name}/policy", c.setPolicy)
}

// recordRequest is what the form asks to add.
type recordRequest struct {
	Name, Data, Type, Priority, Check string
	TTL, Weight                       int
}

func recordRequestOf(r *http.Request) recordRequest {
	number := func(field string, def int) int {
		n, err := strconv.Atoi(strings.TrimSpace(r.FormValue(field)))
		if err != nil {
			return def
		}
		return n
	}
	text := func(field string) string { return strings.TrimSpace(r.FormValue(field)) }
	return recordRequest{
		Name: text("name"), Data: text("data"), Type: text("type"), Priority: cmp.Or(text("priority"), "master"), Check: text("check"),
		TTL: number("ttl", ttlDefault), Weight: number("weight", weightDefault),
	}
}

// What a record has when nothing is said.
const (
	ttlDefault    = 60 // seconds
	weightDefault = 100
)

// body is the request for the member.
func (q recordRequest) body() map[string]any {
	b := map[string]any{"name": q.Name, "data": q.Data, "ttl": q.TTL, "priority": q.Priority, "weight": q.Weight}
	if q.Type != "" {
		b["type"] = q.Type
	}
	if q.Check != "" {
		b["check"] = map[string]string{"spec": q.Check}
	}
	return b
}

// line is the same for a shell.
func (q recordRequest) line(account string) string {
	line := "kamado dns add " + shellQuote(cmp.Or(q.Name, "web")) + " " + shellQuote(cmp.Or(q.Data, "192.0.2.1"))
	option := func(name, value string) {
		if value != "" {
			line += " --" + name + " " + shellQuote(value)
		}
	}
	option("type", q.Type)
	if q.TTL != ttlDefault {
		option("ttl", strconv.Itoa(q.TTL))
	}
	if q.Priority != "master" {
		option("priority", q.Priority)
	}
	if q.Weight != weightDefault {
		option("weight", strconv.Itoa(q.Weight))
	}
	option("check", q.Check)
	return line + account
}

// namesAccount are the flags that lead a shell to the member.
func (c *Console) namesAccount() string { return c.roomFlags(c.cfg.DNS) }

// curl is a request for a program.
func (c *Console) curl(method, path string, body any) string {
	return c.roomCurl(c.cfg.DNS, method, path, "", body)
}

// recordForm is the form that adds a record.
type recordForm struct {
	Chosen    recordRequest
	Open      bool
	Types     []string
	Line, API string
}

func (c *Console) recordForm(q recordRequest) recordForm {
	return recordForm{Chosen: q, Types: recordTypes, Line: q.line(c.namesAccount()), API: c.curl("POST", "records", q.body())}
}

// recordTypes are those that the form offers; the API takes any.
var recordTypes = []string{"A", "AAAA", "CNAME", "TXT", "SRV", "MX", "PTR", "CAA", "HTTPS", "SVCB"}

// namesData is the list of records.
type namesData struct {
	Status  nameStatus
	Name    string // filter, like the two below
	State   string
	Owner   string
	Records []record
	Here    string
	More    string
	Form    recordForm
	Problem *problem
}

func (c *Console) namesList(w http.ResponseWriter, r *http.Request) {
	data, err := c.namesOf(r)
	if p := refusal(err); p != nil && p.status == http.StatusBadRequest && data.Name != "" {
		err = nil // no record has such a name
	}
	if err != nil {
		c.fail(w, r, "names", err)
		return
	}
	q := recordRequest{Priority: "master", TTL: ttlDefault, Weight: weightDefault}
	data.Form = c.recordForm(q)
	data.Form.Open = len(data.Records) == 0 && len(r.URL.Query()) == 0
	c.show(w, r, "names.html", "record-rows", page{Title: "names.title", Section: "names", Data: data})
}

func (c *Console) namesOf(r *http.Request) (namesData, error) {
	data := namesData{Name: strings.TrimSpace(r.FormValue("name")), State: r.FormValue("state"), Owner: r.FormValue("owner")}
	if r.Method != http.MethodGet {
		data.Name = "" // it is the new record's
	}
	q, here := url.Values{"limit": {strconv.Itoa(recordsPage)}}, url.Values{}
	for field, value := range map[string]string{"name": data.Name, "state": data.State, "owner": data.Owner} {
		if value != "" {
			q.Set(field, value)
			here.Set(field, value)
		}
	}
	more := maps.Clone(here)
	if after := r.FormValue("after"); after != "" {
		q.Set("after", after)
		here.Set("after", after)
	}
	data.Here = address("/names", here)
	var answer struct {
		Records []record `json:"records"`
		Next    string   `json:"next"`
	}
	err := errors.Join(c.names.get(r.Context(), "status", &data.Status), c.names.get(r.Context(), "records?"+q.Encode(), &answer))
	data.Records = own(answer.Records, data.Status.Node)
	if answer.Next != "" {
		more.Set("after", answer.Next)
		data.More = address("/names", more)
	}
	return data, err
}

// own marks the records of a member.
func own(records []record, node string) []record {
	for i := range records {
		records[i].Own = records[i].Owner == node && records[i].Priority != "origin"
	}
	return records
}

// namesLine is how the record that is filled in would be added elsewhere.
func (c *Console) namesLine(w http.ResponseWriter, r *http.Request) {
	c.show(w, r, "record-lines", "record-lines", page{Data: c.recordForm(recordRequestOf(r))})
}

func (c *Console) addRecord(w http.ResponseWriter, r *http.Request) {
	q := recordRequestOf(r)
	var added record
	err := c.names.do(r.Context(), http.MethodPost, "records", q.body(), &added)
	if err == nil {
		http.Redirect(w, r, namePage(added.Name), http.StatusSeeOther)
		return
	}
	p := refusal(err)
	if p == nil {
		c.fail(w, r, "names", err)
		return
	}
	data, err := c.namesOf(r)
	if err != nil {
		c.fail(w, r, "names", err)
		return
	}
	data.Problem, data.Form = p, c.recordForm(q)
	data.Form.Open = true
	c.showAs(w, r, p.status, "names.html", page{Title: "names.title", Section: "names", Data: data})
}

// namePage is the address of a name's page.
func namePage(name string) string { return "/names/" + url.PathEscape(name) }

// refusal finds the words for what a member refused; nil for other errors.
func refusal(err error) *problem {
	var refused *errStatus
	if !errors.As(err, &refused) || refused.status >= 500 || refused.status == http.StatusUnauthorized {
		return nil
	}
	return &problem{Text: "names.refused", Detail: refused.detail, status: refused.status}
}
