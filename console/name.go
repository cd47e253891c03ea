package console

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// eventsOfName bounds the history on a name's page.
const eventsOfName = 50

// nameData is one name.
type nameData struct {
	Name    string   `json:"name"`
	Policy  policy   `json:"policy"`
	Records []record `json:"records"`
	// Zone are the records that no member owns.
	Zone []zoneRecord `json:"zone_records"`

	Status   nameStatus  `json:"-"`
	Events   []nameEvent `json:"-"`
	Problem  *problem    `json:"-"`
	Balances []string    `json:"-"`
	Falls    []string    `json:"-"`
	CLI, API string      `json:"-"`
}

// LookUp is the address of the page that explains the name's answer.
func (d nameData) LookUp() string {
	q := url.Values{"name": {d.Name + "."}}
	for _, r := range d.Records {
		if r.Type != "A" {
			q.Set("type", r.Type)
			continue
		}
		q.Del("type")
		break
	}
	return address("/names/look-up", q)
}

// The choices of the policy's form.
var (
	balances  = []string{"weighted", "fix-by-source", "fixed-first", "rendezvous", "nearest"}
	fallbacks = []string{"none", "all", "backup"}
)

func (c *Console) nameOf(ctx context.Context, name string) (nameData, error) {
	data := nameData{Balances: balances, Falls: fallbacks}
	var history struct {
		Events []nameEvent `json:"events"`
	}
	err := errors.Join(
		c.names.get(ctx, "status", &data.Status), c.names.get(ctx, "names/"+url.PathEscape(absolute(name)), &data),
		c.names.get(ctx, fmt.Sprintf("history?limit=%d&name=%s", eventsOfName, url.QueryEscape(absolute(name))), &history),
	)
	if err != nil {
		return data, err
	}
	data.Records, data.Events = own(data.Records, data.Status.Node), history.Events
	data.CLI = data.line() + c.namesAccount()
	data.API = c.curl("PUT", "names/"+url.PathEscape(data.Name+".")+"/policy", data.Policy)
	return data, nil
}

// line sets the policy as it is from a shell.
func (d nameData) line() string {
	line := "kamado dns policy " + shellQuote(d.Name+".") + " --balance " + d.Policy.Balance + " --fallback " + d.Policy.Fallback
	if d.Policy.Max > 0 {
		line += fmt.Sprintf(" --max %d", d.Policy.Max)
	}
	if d.Policy.Sources != "" {
		line += " --sources " + shellQuote(d.Policy.Sources+".")
	}
	return line
}

// absolute keeps a member from putting a name under its domain.
func absolute(name string) string { return strings.TrimSuffix(name, ".") + "." }

func (c *Console) name(w http.ResponseWriter, r *http.Request) {
	data, err := c.nameOf(r.Context(), r.PathValue("name"))
	var refused *errStatus
	if errors.As(err, &refused) && refused.status == http.StatusNotFound && r.Header.Get("Hx-Request") == "true" {
		c.showAs(w, r, stopPolling, "name-gone", page{})
		return
	}
	if err != nil {
		c.fail(w, r, "names", err)
		return
	}
	c.show(w, r, "name.html", "name-live", page{Title: "names.one", Section: "names", Data: data})
}

// changed leads back to the name's page, or shows it with what was refused.
func (c *Console) changed(w http.ResponseWriter, r *http.Request, name string, err error) {
	if err == nil {
		http.Redirect(w, r, namePage(name), http.StatusSeeOther)
		return
	}
	p := refusal(err)
	data, again := c.nameOf(r.Context(), name)
	if p == nil || again != nil {
		c.fail(w, r, "names", err)
		return
	}
	data.Problem = p
	c.showAs(w, r, p.status, "name.html", page{Title: "names.one", Section: "names", Data: data})
}

func (c *Console) deleteRecord(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	err := c.names.do(r.Context(), http.MethodDelete, "records/"+url.PathEscape(r.FormValue("id")), nil, nil)
	if err == nil {
		var left nameData
		if c.names.get(r.Context(), "names/"+url.PathEscape(absolute(name)), &left) != nil {
			http.Redirect(w, r, "/names", http.StatusSeeOther) // it was the last one
			return
		}
	}
	c.changed(w, r, name, err)
}

func (c *Console) setPolicy(w http.ResponseWriter, r *http.Request) {
	most, err := strconv.Atoi(cmp.Or(strings.TrimSpace(r.FormValue("max")), "0"))
	if err != nil {
		most = -1 // the member says what is wrong with it
	}
	p := policy{Balance: r.FormValue("balance"), Fallback: r.FormValue("fallback"), Max: most, Sources: strings.TrimSpace(r.FormValue("sources"))}
	name := r.PathValue("name")
	c.changed(w, r, name, c.names.do(r.Context(), http.MethodPut, "names/"+url.PathEscape(absolute(name))+"/policy", p, nil))
}
