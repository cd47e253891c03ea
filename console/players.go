package console

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// playersPage is the number of players in a list.
const playersPage = 100

// playersRoutes are the pages of players and of what they own. Unlike those of
// machines and names they are shown to nobody but the operator, since the service
// tells nothing of people and money without a credential either.
func (c *Console) playersRoutes(mux *http.ServeMux, read func(string, http.HandlerFunc)) {
	see := func(pattern, section string, h http.HandlerFunc) { read(pattern, c.private(section, h)) }
	change := func(pattern string, h http.HandlerFunc) { mux.Handle("POST "+pattern, c.cfg.Guard.Require(h)) }
	see("/players", "players", c.playersList)
	see("/players/{uid}", "players", c.player)
	see("/players/{uid}/entities", "players", c.entities)
	see("/ledger", "ledger", c.ledger)
	see("/ledger/approvals", "ledger", c.approvals)
	see("/ledger/presents", "ledger", c.gifts)
	see("/locks", "locks", c.locks)
	see("/shards", "shards", c.shards)
	change("/players/{uid}/do/{action}", c.actOnPlayer)
	change("/players/{uid}/points", c.orderPoints)
	change("/ledger/approvals/{id}/{decision}", c.decideGrant)
	change("/shards/{shard}/{action}", c.moveShard)
	c.worldRoutes(see, change)
	c.startRoutes(see, change)
}

// private shows a page to the operator alone, and others how to become one.
func (c *Console) private(section string, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if c.cfg.Guard.Allowed(r) {
			h(w, r)
			return
		}
		t := trouble{Heading: "trouble.login", Text: "trouble.login_text"}
		c.showAs(w, r, http.StatusForbidden, "trouble.html", page{Title: t.Heading, Section: section, Data: t})
	}
}

// playersData is the list of players.
type playersData struct {
	Query     string // beginning of a subject, or a whole UID
	Provider  string // filter; empty: any
	Providers []string
	Players   []player
	Here      string
	More      string
	Problem   *problem
	CLI, API  string
}

func (c *Console) playersList(w http.ResponseWriter, r *http.Request) {
	data, err := c.playersOf(r)
	if data.Problem = playerRefusal(err); err != nil && data.Problem == nil {
		c.fail(w, r, "players", err)
		return
	}
	c.show(w, r, "players.html", "player-rows", page{Title: "players.title", Section: "players", Data: data})
}

func (c *Console) playersOf(r *http.Request) (playersData, error) {
	data := playersData{Query: strings.TrimSpace(r.FormValue("q")), Provider: strings.TrimSpace(r.FormValue("provider")), Providers: []string{"guest", "password"}}
	q, here := url.Values{"limit": {strconv.Itoa(playersPage)}}, url.Values{}
	if data.Query != "" {
		q.Set("subject", data.Query)
		q.Set("prefix", "true")
		here.Set("q", data.Query)
	}
	if data.Provider != "" {
		q.Set("provider", data.Provider)
		here.Set("provider", data.Provider)
	}
	more := maps.Clone(here)
	after := r.FormValue("after")
	if after != "" {
		q.Set("after", after)
		here.Set("after", after)
	}
	data.Here = address("/players", here)
	data.CLI, data.API = data.line()+c.roomFlags(c.cfg.Game), c.roomCurl(c.cfg.Game, http.MethodGet, address("users", q), "", nil)
	var answer struct {
		Users []player `json:"users"`
		Next  string   `json:"next"`
	}
	if err := c.players.get(r.Context(), address("users", q), &answer); err != nil {
		return data, err
	}
	if answer.Next != "" {
		more.Set("after", answer.Next)
		data.More = address("/players", more)
	}
	var err error
	data.Players = answer.Users
	if after == "" && data.Provider == "" && isUID(data.Query) {
		data.Players, err = c.withUID(r.Context(), data.Players, data.Query)
	}
	return data, err
}

// line is the same list for a shell.
func (d playersData) line() string {
	line := "kamado game users list"
	if d.Provider != "" {
		line += " --provider " + shellQuote(d.Provider)
	}
	if d.Query != "" {
		line += " --subject " + shellQuote(d.Query)
	}
	return line
}

// withUID puts the player of a UID first, if there is one: what is searched for by digits may be either.
func (c *Console) withUID(ctx context.Context, list []player, uid string) ([]player, error) {
	var p player
	err := c.players.get(ctx, "users/"+uid, &p)
	if refused, ok := asStatus(err); ok && refused.status < 500 && refused.status != http.StatusUnauthorized {
		return list, nil // it is a subject, or nobody
	}
	if err != nil || slices.ContainsFunc(list, func(other player) bool { return other.UID == p.UID }) {
		return list, err
	}
	return slices.Insert(list, 0, p), nil
}

// isUID says whether a text can be the id of a player.
func isUID(text string) bool {
	return text != "" && len(text) <= 20 && strings.Trim(text, "0123456789") == ""
}

// playerPage is the address of a player's page.
func playerPage(uid string) string { return "/players/" + url.PathEscape(uid) }

// playerProblems are the words for what the service of players refuses, by status.
var playerProblems = map[int]string{
	http.StatusBadRequest: "players.refused_bad", http.StatusForbidden: "players.refused_denied", http.StatusNotFound: "players.refused_gone",
	http.StatusConflict: "players.refused_conflict", http.StatusTooManyRequests: "players.refused_limited",
}

// playerRefusal finds the words for a refusal; nil for other errors.
func playerRefusal(err error) *problem {
	p := refusal(err)
	if p == nil {
		return nil
	}
	if text, ok := playerProblems[p.status]; ok {
		p.Text = text
	} else {
		p.Text = "players.refused_other"
	}
	return p
}

// missingPart is what stands in the place of a part of a page that cannot be had; nil when it is there.
func missingPart(err error) *problem {
	if err == nil {
		return nil
	}
	p := &problem{Text: "players.part_missing"}
	var refused *errStatus
	if errors.As(err, &refused) {
		p.Detail = refused.detail
	}
	return p
}
