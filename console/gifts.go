package console

import (
	"net/http"
	"net/url"
)

// approvalsData is the grants above the limit.
type approvalsData struct {
	All       bool // also those that were decided
	Approvals []approval
	Here      string
	Problem   *problem
	CLI, API  string
}

// decision is a grant that is decided by forms of a session.
type decision struct {
	approval
	CSRF string
}

func (c *Console) approvals(w http.ResponseWriter, r *http.Request) {
	data, err := c.approvalsOf(r)
	if err != nil {
		c.fail(w, r, "ledger", err)
		return
	}
	c.show(w, r, "approvals.html", "approval-rows", page{Title: "approvals.title", Section: "ledger", Data: data})
}

func (c *Console) approvalsOf(r *http.Request) (approvalsData, error) {
	data := approvalsData{All: r.FormValue("all") == "1", Here: "/ledger/approvals", CLI: "kamado game points approvals" + c.roomFlags(c.cfg.Game), API: c.roomCurl(c.cfg.Game, http.MethodGet, "points/approvals?state=open", "", nil)}
	path := "points/approvals?state=open"
	if data.All {
		path, data.Here = "points/approvals", "/ledger/approvals?all=1"
	}
	var answer approvalPage
	err := c.players.get(r.Context(), path, &answer)
	data.Approvals = answer.Approvals
	return data, err
}

// decideGrant approves or refuses a grant. To ask twice is to be answered twice: the grant keeps its transaction id.
func (c *Console) decideGrant(w http.ResponseWriter, r *http.Request) {
	decision := r.PathValue("decision")
	if decision != "approve" && decision != "refuse" {
		c.missing(w, r)
		return
	}
	err := c.players.do(r.Context(), http.MethodPost, "points/approvals/"+url.PathEscape(r.PathValue("id"))+"/"+decision, nil, nil)
	if err == nil {
		http.Redirect(w, r, "/ledger/approvals?all=1", http.StatusSeeOther)
		return
	}
	p := playerRefusal(err)
	if p == nil {
		p = &problem{Text: "players.doubt", Detail: detailOf(err), status: http.StatusBadGateway}
	}
	data, again := c.approvalsOf(r)
	if again != nil {
		c.fail(w, r, "ledger", err)
		return
	}
	data.Problem = p
	c.showAs(w, r, p.status, "approvals.html", page{Title: "approvals.title", Section: "ledger", Data: data})
}

// giftsData is the presents.
type giftsData struct {
	Presents []gift
	CLI, API string
}

func (c *Console) gifts(w http.ResponseWriter, r *http.Request) {
	var answer struct {
		Presents []gift `json:"presents"`
	}
	if err := c.players.get(r.Context(), "points/presents", &answer); err != nil {
		c.fail(w, r, "ledger", err)
		return
	}
	c.show(w, r, "presents.html", "present-rows", page{Title: "presents.title", Section: "ledger", Data: giftsData{
		Presents: answer.Presents, CLI: "kamado game points presents" + c.roomFlags(c.cfg.Game), API: c.roomCurl(c.cfg.Game, http.MethodGet, "points/presents", "", nil),
	}})
}
