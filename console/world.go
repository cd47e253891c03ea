package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// connectionsPage is the number of connections in a list.
const connectionsPage = 100

// worldRoutes are the pages of the living part of the game. Like all of players they are for the operator alone.
func (c *Console) worldRoutes(see func(pattern, section string, h http.HandlerFunc), change func(string, http.HandlerFunc)) {
	see("/world", "world", c.world)
	see("/world/areas/{copy}", "world", c.area)
	see("/reports", "reports", c.reports)
	see("/reports/file", "reports", c.reportFile)
	see("/protocol", "protocol", c.protocol)
	change("/world/do/{action}", c.steer)
	change("/world/areas/{copy}/close", c.closeArea)
	change("/world/connections/{uid}/kick", c.kick)
	// Changes nothing, but its hexadecimal digits do not fit into an address.
	change("/protocol/decode", c.decode)
}

// worldData is a node with what lives on it.
type worldData struct {
	Status      worldStatus
	Areas       areaList
	Connections []connection
	Plaza       string // address of the plaza
	Here, More  string
	Said        string // key of the text that says what was done; empty: nothing
	Problem     *problem
	Lines       []elsewhereLine
}

// elsewhereLine is one thing that the page does, for a shell and for a program.
type elsewhereLine struct {
	ID       string
	Text     string // key of a text
	CLI, API string
}

func (c *Console) world(w http.ResponseWriter, r *http.Request) {
	data, err := c.worldOf(r)
	if err != nil {
		c.fail(w, r, "world", err)
		return
	}
	data.Said = worldActions[r.FormValue("done")]
	c.show(w, r, "world.html", "world-live", page{Title: "world.title", Section: "world", Data: data})
}

func (c *Console) worldOf(r *http.Request) (worldData, error) {
	data := worldData{Plaza: c.plazaURL(), Here: "/world", Lines: c.worldLines()}
	q := url.Values{"limit": {strconv.Itoa(connectionsPage)}}
	if after := r.FormValue("after"); after != "" && r.Method == http.MethodGet {
		q.Set("after", after)
		data.Here = address("/world", url.Values{"after": {after}})
	}
	var connections struct {
		Connections []connection `json:"connections"`
		Next        string       `json:"next"`
	}
	err := errors.Join(
		c.players.get(r.Context(), "world", &data.Status), c.players.get(r.Context(), "world/areas", &data.Areas),
		c.players.get(r.Context(), address("world/connections", q), &connections),
	)
	data.Connections = connections.Connections
	if connections.Next != "" {
		data.More = address("/world", url.Values{"after": {connections.Next}})
	}
	slices.SortFunc(data.Status.Nodes, func(a, b worldNode) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(data.Areas.Copies, func(a, b areaCopy) int { return strings.Compare(a.Copy, b.Copy) })
	return data, err
}

// plazaURL is where people walk.
func (c *Console) plazaURL() string { return c.cfg.Game + "/plaza/" }

// worldLines are the changes of the page for a shell and for a program.
func (c *Console) worldLines() (lines []elsewhereLine) {
	add := func(id, cli, method, path string, body any) {
		lines = append(lines, elsewhereLine{ID: id, Text: "world.line_" + id, CLI: "kamado game world " + cli + c.roomFlags(c.cfg.Game), API: c.roomCurl(c.cfg.Game, method, path, "", body)})
	}
	add("status", "status", http.MethodGet, "world", nil)
	add("areas", "areas", http.MethodGet, "world/areas", nil)
	add("connections", "connections", http.MethodGet, "world/connections", nil)
	add("drain", "drain", http.MethodPost, "world/drain", map[string]any{"per_second": 0})
	add("undrain", "undrain", http.MethodDelete, "world/drain", nil)
	add("maintenance", "maintenance on --text "+shellQuote(c.texts["world.example_closed"]), http.MethodPut, "world/maintenance", map[string]any{"on": true, "text": c.texts["world.example_closed"]})
	add("notice", "notice "+shellQuote(c.texts["world.example_notice"])+" --in 5m", http.MethodPost, "world/notices", map[string]any{"text": c.texts["world.example_notice"]})
	add("kick", "kick 1001 --text "+shellQuote(c.texts["world.example_kick"]), http.MethodDelete, "world/connections/1001", map[string]any{"text": c.texts["world.example_kick"]})
	lines = append(lines, elsewhereLine{ID: "close", Text: "world.line_close", API: c.roomCurl(c.cfg.Game, http.MethodDelete, "world/areas/plaza.1", "", map[string]any{})})
	return lines
}

// worldActions are the buttons of the page, with the text that says that it was done.
var worldActions = map[string]string{
	"drain": "world.did_drain", "undrain": "world.did_undrain", "close": "world.did_close", "open": "world.did_open", "notice": "world.did_notice", "area": "world.did_area", "kick": "world.did_kick",
}

// steer does what concerns the whole node.
func (c *Console) steer(w http.ResponseWriter, r *http.Request) {
	action, text := r.PathValue("action"), strings.TrimSpace(r.FormValue("text"))
	var err error
	switch action {
	case "drain":
		err = c.players.do(r.Context(), http.MethodPost, "world/drain", map[string]any{}, nil)
	case "undrain":
		err = c.players.do(r.Context(), http.MethodDelete, "world/drain", nil, nil)
	case "close", "open":
		err = c.players.do(r.Context(), http.MethodPut, "world/maintenance", map[string]any{"on": action == "close", "text": text}, nil)
	case "notice":
		body := map[string]any{"text": text}
		if n, e := strconv.Atoi(r.FormValue("minutes")); e == nil && n > 0 && n <= noticeMinutesMax {
			body["at"] = time.Now().Add(time.Duration(n) * time.Minute).UTC().Truncate(time.Second)
		}
		err = c.players.do(r.Context(), http.MethodPost, "world/notices", body, nil)
	default:
		c.missing(w, r)
		return
	}
	c.steered(w, r, action, err)
}

// noticeMinutesMax bounds how far ahead a notice tells of something: a day.
const noticeMinutesMax = 24 * 60

// steered leads back to the page of the world, which says what was done, or what was refused.
func (c *Console) steered(w http.ResponseWriter, r *http.Request, action string, err error) {
	if err == nil {
		http.Redirect(w, r, address("/world", url.Values{"done": {action}}), http.StatusSeeOther)
		return
	}
	p := playerRefusal(err)
	if p == nil {
		p = &problem{Text: "players.unanswered", Detail: detailOf(err), status: http.StatusBadGateway}
	}
	data, again := c.worldOf(r)
	if again != nil {
		c.fail(w, r, "world", err)
		return
	}
	data.Problem = p
	c.showAs(w, r, p.status, "world.html", page{Title: "world.title", Section: "world", Data: data})
}

func (c *Console) kick(w http.ResponseWriter, r *http.Request) {
	uid := r.PathValue("uid")
	if !isUID(uid) {
		c.missing(w, r)
		return
	}
	err := c.players.do(r.Context(), http.MethodDelete, "world/connections/"+uid, map[string]string{"text": strings.TrimSpace(r.FormValue("text"))}, nil)
	c.steered(w, r, "kick", err)
}

func (c *Console) closeArea(w http.ResponseWriter, r *http.Request) {
	err := c.players.do(r.Context(), http.MethodDelete, "world/areas/"+url.PathEscape(r.PathValue("copy")), map[string]string{"text": strings.TrimSpace(r.FormValue("text"))}, nil)
	c.steered(w, r, "area", err)
}

// areaData is a copy with its map.
type areaData struct {
	areaCopy
	Plan     areaPlan
	Spots    []areaSpot
	Radius   int // of a spot, in units of the area
	Font     int // height of a name, in units of the area
	Grid     int // distance of the lines, in units of the area
	Here     string
	CLI, API string
}

// areaSpot is an avatar on the map.
type areaSpot struct {
	areaMember
	Colour int
	NameY  int
	Anchor string // "end" at the right edge, so that the name is not cut off
}

// Parts of the longer side of an area.
const (
	spotPart = 100
	fontPart = 50
	gridPart = 16
)

func (c *Console) area(w http.ResponseWriter, r *http.Request) {
	data, err := c.areaOf(r.Context(), r.PathValue("copy"))
	if err != nil {
		c.fail(w, r, "world", err)
		return
	}
	c.show(w, r, "area.html", "area-live", page{Title: "area.title", Section: "world", Data: data})
}

func (c *Console) areaOf(ctx context.Context, name string) (areaData, error) {
	path := "world/areas/" + url.PathEscape(name)
	data := areaData{Here: "/" + path, CLI: "kamado game world area " + shellQuote(name) + c.roomFlags(c.cfg.Game), API: c.roomCurl(c.cfg.Game, http.MethodGet, path, "", nil)}
	var list areaList
	if err := errors.Join(c.players.get(ctx, path, &data.areaCopy), c.players.get(ctx, "world/areas", &list)); err != nil {
		return data, err
	}
	i := slices.IndexFunc(list.Plans, func(p areaPlan) bool { return p.Name == data.Area() })
	if i >= 0 {
		data.Plan = list.Plans[i]
	} else { // an area without a description: the map shows what is taken of it
		for _, m := range data.Members {
			data.Plan.Width, data.Plan.Height = max(data.Plan.Width, m.X+1), max(data.Plan.Height, m.Y+1)
		}
	}
	data.Plan.Width, data.Plan.Height = max(data.Plan.Width, sideShown), max(data.Plan.Height, sideShown)
	side := max(data.Plan.Width, data.Plan.Height)
	data.Radius, data.Font, data.Grid = max(1, side/spotPart), max(1, side/fontPart), max(1, side/gridPart)
	slices.SortFunc(data.Members, func(a, b areaMember) int { return int(a.Avatar) - int(b.Avatar) })
	for _, m := range data.Members[:min(len(data.Members), spotsShown)] {
		spot := areaSpot{areaMember: m, Colour: int(m.Avatar % 6), NameY: m.Y - data.Radius*3/2}
		if spot.NameY < data.Font {
			spot.NameY = m.Y + data.Radius + data.Font
		}
		switch {
		case m.X > data.Plan.Width*9/10:
			spot.Anchor = "end"
		case m.X > data.Plan.Width/10:
			spot.Anchor = "middle"
		default:
			spot.Anchor = "start"
		}
		data.Spots = append(data.Spots, spot)
	}
	return data, nil
}

// Bounds of the map.
const (
	sideShown  = 16  // units of the smallest map
	spotsShown = 500 // avatars
)

// Vertical and Horizontal are the places of the map's lines.
func (d areaData) Vertical() []int   { return every(d.Grid, d.Plan.Width) }
func (d areaData) Horizontal() []int { return every(d.Grid, d.Plan.Height) }

func every(step, end int) (list []int) {
	for at := step; at < end; at += step {
		list = append(list, at)
	}
	return list
}
