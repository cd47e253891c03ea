package console

import (
	"encoding/hex"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Lengths of lists.
const (
	entitiesPage = 25 // with their values, each up to half a megabyte
	locksPage    = 200
)

// entitiesData is what the application keeps for a player.
type entitiesData struct {
	UID      string
	Entities []entity
	More     string
	CLI, API string
}

func (c *Console) entities(w http.ResponseWriter, r *http.Request) {
	uid := r.PathValue("uid")
	if !isUID(uid) {
		c.missing(w, r)
		return
	}
	q := url.Values{"limit": {strconv.Itoa(entitiesPage)}}
	if after := r.FormValue("after"); after != "" {
		q.Set("after", after)
	}
	var answer struct {
		Entities []entity `json:"entities"`
		Next     string   `json:"next"`
	}
	if err := c.players.get(r.Context(), address("entities/"+uid, q), &answer); err != nil {
		if p := playerRefusal(err); p != nil && p.status == http.StatusConflict { // the player was deleted
			c.showAs(w, r, p.status, "trouble.html", page{Title: p.Text, Section: "players", Data: trouble{Heading: "entities.title", Text: p.Text, Detail: p.Detail}})
			return
		}
		c.fail(w, r, "players", err)
		return
	}
	data := entitiesData{UID: uid, Entities: answer.Entities, CLI: "kamado game entities list " + uid + c.roomFlags(c.cfg.Game), API: c.roomCurl(c.cfg.Game, http.MethodGet, "entities/"+uid, "", nil)}
	if answer.Next != "" {
		data.More = address(playerPage(uid)+"/entities", url.Values{"after": {answer.Next}})
	}
	c.show(w, r, "entities.html", "", page{Title: "entities.title", Section: "players", Data: data})
}

// Dump is the beginning of a value that is no text.
func (e entity) Dump() string {
	dump := strings.TrimRight(hex.Dump(e.Value[:min(bytesShown, len(e.Value))]), "\n")
	if len(e.Value) > bytesShown {
		dump += "\n…"
	}
	return dump
}

// locksData is the list of locks.
type locksData struct {
	Query    string // what their names begin with
	Locks    []heldLock
	Here     string
	More     string
	Problem  *problem
	CLI, API string
}

func (c *Console) locks(w http.ResponseWriter, r *http.Request) {
	data := locksData{Query: strings.TrimSpace(r.FormValue("q")), CLI: "kamado game locks list" + c.roomFlags(c.cfg.Game)}
	q, here := url.Values{"limit": {strconv.Itoa(locksPage)}}, url.Values{}
	if data.Query != "" {
		q.Set("prefix", data.Query)
		here.Set("q", data.Query)
	}
	more := maps.Clone(here)
	if after := r.FormValue("after"); after != "" {
		q.Set("after", after)
		here.Set("after", after)
	}
	data.Here, data.API = address("/locks", here), c.roomCurl(c.cfg.Game, http.MethodGet, address("locks", q), "", nil)
	var answer struct {
		Locks []heldLock `json:"locks"`
		Next  string     `json:"next"`
	}
	err := c.players.get(r.Context(), address("locks", q), &answer)
	if data.Problem = playerRefusal(err); err != nil && data.Problem == nil {
		c.fail(w, r, "locks", err)
		return
	}
	data.Locks = answer.Locks
	if answer.Next != "" {
		more.Set("after", answer.Next)
		data.More = address("/locks", more)
	}
	c.show(w, r, "locks.html", "lock-rows", page{Title: "locks.title", Section: "locks", Data: data})
}

// shardsData is the shards, and the server itself.
type shardsData struct {
	Status   gameStatus
	Engine   string
	Movable  bool
	Shards   []shard
	Problem  *problem
	CLI, API string
}

func (c *Console) shards(w http.ResponseWriter, r *http.Request) {
	data, err := c.shardsOf(r)
	if err != nil {
		c.fail(w, r, "shards", err)
		return
	}
	c.show(w, r, "shards.html", "shards-live", page{Title: "shards.title", Section: "shards", Data: data})
}

func (c *Console) shardsOf(r *http.Request) (shardsData, error) {
	data := shardsData{CLI: "kamado game shards" + c.roomFlags(c.cfg.Game), API: c.roomCurl(c.cfg.Game, http.MethodGet, "shards", "", nil)}
	var answer struct {
		Engine  string  `json:"engine"`
		Movable bool    `json:"movable"`
		Shards  []shard `json:"shards"`
	}
	if err := c.players.get(r.Context(), "status", &data.Status); err != nil {
		return data, err
	}
	err := c.players.get(r.Context(), "shards", &answer)
	if p := missingPart(err); p != nil { // the server is there, and its cluster is not
		data.Problem = p
	}
	for _, s := range answer.Shards { // who leads changes, and rows that stay in their places are easier to follow
		slices.SortFunc(s.Replicas, func(x, y replica) int { return strings.Compare(x.Node, y.Node) })
	}
	data.Engine, data.Movable, data.Shards = answer.Engine, answer.Movable, answer.Shards
	return data, nil
}

// moveShard lets another replica lead, or moves one.
func (c *Console) moveShard(w http.ResponseWriter, r *http.Request) {
	action := r.PathValue("action")
	body := map[string]string{}
	switch node := strings.TrimSpace(r.FormValue("node")); {
	case action == "move":
		body["from"] = node
	case action == "step-down" && node != "":
		body["to"] = node
	case action != "step-down":
		c.missing(w, r)
		return
	}
	err := c.players.do(r.Context(), http.MethodPost, "shards/"+url.PathEscape(r.PathValue("shard"))+"/"+action, body, nil)
	if err == nil {
		http.Redirect(w, r, "/shards", http.StatusSeeOther)
		return
	}
	p := playerRefusal(err)
	switch {
	case p == nil:
		p = &problem{Text: "players.unanswered", Detail: detailOf(err), status: http.StatusBadGateway}
	case action == "move" && p.status == http.StatusBadRequest:
		p.Text = "shards.move_refused"
	}
	data, again := c.shardsOf(r)
	if again != nil {
		c.fail(w, r, "shards", err)
		return
	}
	data.Problem = p
	c.showAs(w, r, p.status, "shards.html", page{Title: "shards.title", Section: "shards", Data: data})
}
