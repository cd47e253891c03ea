package console

import (
	"cmp"
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// historyPage is the number of transactions on a page.
const historyPage = 25

// playerData is one player.
type playerData struct {
	player
	Sessions        []playerSession
	SessionsProblem *problem // why they are not shown
	Account         account
	History         []transaction
	PointsProblem   *problem // why the two are not shown
	Here, More      string
	Newest          string // address of the history's beginning, when another page of it is shown
	Posted          string // place of the transaction that was just made; empty: none
	Order           orderForm
	Problem         *problem
	CLI, API        string
}

// orderForm is an order of points as it is filled in. Key is its transaction id:
// it is chosen when the form is made, so the same form counts once, however often it is sent.
type orderForm struct {
	Op, Amount, Kind, Last, Reason, Key string
}

func newOrderForm() orderForm {
	return orderForm{Op: "grant", Kind: "free", Key: "console-" + rand.Text()}
}

func (c *Console) player(w http.ResponseWriter, r *http.Request) {
	data, err := c.playerOf(r.Context(), r.PathValue("uid"), r.FormValue("before"))
	if err != nil {
		c.fail(w, r, "players", err)
		return
	}
	if posted := r.FormValue("posted"); isUID(posted) {
		data.Posted = posted
	}
	c.show(w, r, "player.html", "player-live", page{Title: "players.one", Section: "players", Data: data})
}

// playerOf asks for a player and all that the page shows. Only the player is needed; of
// the other parts the page says why they are missing: who must be banned must be, also while the ledger is stopped.
func (c *Console) playerOf(ctx context.Context, uid, before string) (playerData, error) {
	data := playerData{Order: newOrderForm(), Here: playerPage(uid)}
	if !isUID(uid) {
		return data, &errStatus{status: http.StatusNotFound}
	}
	if err := c.players.get(ctx, "users/"+uid, &data.player); err != nil {
		return data, err
	}
	if data.Gone() {
		return data, nil
	}
	var sessions struct {
		Sessions []playerSession `json:"sessions"`
	}
	data.SessionsProblem = missingPart(c.players.get(ctx, "users/"+uid+"/sessions", &sessions))
	data.Sessions = sessions.Sessions
	q := url.Values{"limit": {strconv.Itoa(historyPage)}}
	if isUID(before) {
		q.Set("before", before)
		data.Here, data.Newest = address(playerPage(uid), url.Values{"before": {before}}), playerPage(uid)+"#history"
	}
	var history transactionPage
	err := c.players.get(ctx, "points/accounts/"+uid, &data.Account)
	if err == nil {
		err = c.players.get(ctx, address("points/accounts/"+uid+"/transactions", q), &history)
	}
	data.PointsProblem, data.History = missingPart(err), history.Transactions
	if history.Next != "" {
		data.More = address(playerPage(uid), url.Values{"before": {history.Next}}) + "#history"
	}
	data.CLI = "kamado game points show " + uid + c.roomFlags(c.cfg.Game)
	data.API = c.roomCurl(c.cfg.Game, http.MethodGet, "points/accounts/"+uid, "", nil)
	return data, nil
}

// actOnPlayer does what a button of a player's page says.
func (c *Console) actOnPlayer(w http.ResponseWriter, r *http.Request) {
	uid, ctx := r.PathValue("uid"), r.Context()
	if !isUID(uid) {
		c.missing(w, r)
		return
	}
	path := "users/" + uid
	var err error
	switch action := r.PathValue("action"); action {
	case "ban", "mute":
		var to restriction
		if to, err = c.restrictionOf(r); err == nil {
			err = c.players.do(ctx, http.MethodPut, path+"/"+action, to, nil)
		}
	case "unban", "unmute":
		err = c.players.do(ctx, http.MethodDelete, path+"/"+strings.TrimPrefix(action, "un"), nil, nil)
	case "sign-out":
		err = c.players.do(ctx, http.MethodDelete, path+"/sessions", nil, nil)
	case "end-session":
		err = c.players.do(ctx, http.MethodDelete, path+"/sessions/"+url.PathEscape(r.FormValue("session")), nil, nil)
		if refused, ok := asStatus(err); ok && refused.status == http.StatusNotFound {
			err = nil // it ended by itself
		}
	default:
		c.missing(w, r)
		return
	}
	if err == nil {
		http.Redirect(w, r, playerPage(uid), http.StatusSeeOther)
		return
	}
	p := playerRefusal(err)
	if p == nil {
		p = &problem{Text: "players.unanswered", Detail: detailOf(err), status: http.StatusBadGateway}
	}
	c.showPlayerProblem(w, r, uid, newOrderForm(), p, err)
}

// showPlayerProblem shows a player's page with what went wrong and the form as it was filled in.
func (c *Console) showPlayerProblem(w http.ResponseWriter, r *http.Request, uid string, form orderForm, p *problem, err error) {
	data, again := c.playerOf(r.Context(), uid, "")
	if again != nil {
		c.fail(w, r, "players", err)
		return
	}
	data.Problem, data.Order = p, form
	c.showAs(w, r, p.status, "player.html", page{Title: "players.one", Section: "players", Data: data})
}

// daysMax bounds a ban or mute that has an end.
const daysMax = 36500

// restrictionOf reads the form of a ban or a mute.
func (c *Console) restrictionOf(r *http.Request) (restriction, error) {
	out := restriction{Reason: strings.TrimSpace(r.FormValue("reason"))}
	text := strings.TrimSpace(r.FormValue("days"))
	if text == "" {
		return out, nil
	}
	days, err := strconv.Atoi(text)
	if err != nil || days < 1 || days > daysMax {
		return out, c.badForm("players.days_bad")
	}
	out.Until = time.Now().UTC().AddDate(0, 0, days).Truncate(time.Second)
	return out, nil
}

// badForm is the refusal of a form that the service need not be asked about.
func (c *Console) badForm(key string) error {
	return &errStatus{http.StatusBadRequest, c.texts[key]}
}

// detailOf is what the service said of an error; empty where it said nothing.
func detailOf(err error) string {
	if refused, ok := asStatus(err); ok {
		return refused.detail
	}
	return ""
}

// orderPoints gives points to a player or takes them.
func (c *Console) orderPoints(w http.ResponseWriter, r *http.Request) {
	text := func(field string) string { return strings.TrimSpace(r.FormValue(field)) }
	uid := r.PathValue("uid")
	form := orderForm{Op: text("op"), Amount: text("amount"), Kind: cmp.Or(text("kind"), "free"), Last: text("last"), Reason: text("reason"), Key: text("key")}
	path, body, err := c.orderOf(uid, form)
	var posted transaction
	status := 0
	if err == nil {
		status, err = c.players.ask(r.Context(), http.MethodPost, path, form.Key, body, &posted)
	}
	switch {
	case err == nil && status == http.StatusAccepted:
		http.Redirect(w, r, "/ledger/approvals", http.StatusSeeOther)
	case err == nil:
		http.Redirect(w, r, address(playerPage(uid), url.Values{"posted": {posted.Seq}}), http.StatusSeeOther)
	default:
		p := playerRefusal(err)
		if p == nil {
			p = &problem{Text: "players.doubt", Detail: detailOf(err), status: http.StatusBadGateway}
		}
		c.showPlayerProblem(w, r, uid, form, p, err)
	}
}

// orderOf is the request that a form asks for.
func (c *Console) orderOf(uid string, form orderForm) (path string, body map[string]any, err error) {
	amount, err := strconv.ParseInt(form.Amount, 10, 64)
	switch {
	case !isUID(uid):
		return "", nil, &errStatus{status: http.StatusNotFound}
	case err != nil || amount < 1:
		return "", nil, c.badForm("players.amount_bad")
	case form.Reason == "":
		return "", nil, c.badForm("players.reason_missing")
	case form.Key == "":
		return "", nil, c.badForm("players.key_missing")
	}
	body = map[string]any{"uid": uid, "amount": amount, "reason": form.Reason}
	switch form.Op {
	case "spend":
		if form.Last != "" {
			return "", nil, c.badForm("players.last_spend")
		}
		return "points/spends", body, nil
	case "grant":
		body["kind"] = form.Kind
		if form.Last == "" {
			return "points/grants", body, nil
		}
		day, err := time.Parse(time.DateOnly, form.Last)
		if err != nil {
			return "", nil, c.badForm("players.last_bad")
		}
		body["expires"] = day.AddDate(0, 0, 1).Format(time.RFC3339)
		return "points/grants", body, nil
	}
	return "", nil, c.badForm("players.op_bad")
}
