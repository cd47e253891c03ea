package api

import (
	"context"
	"net/http"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/gateway"
	"github.com/kamado/kamado/game/report"
	"github.com/kamado/kamado/game/world"
)

// World is the living part of a node, as its operator sees it.
type World interface {
	// Areas lists the copies that this node runs.
	Areas() []world.CopyState
	// Copy tells of one, with its members; NotFound when it does not run here.
	Copy(c game.Copy) (world.CopyState, error)
	// Evict closes one: its members join anew.
	Evict(ctx context.Context, c game.Copy, text string) error
	// Plans lists the areas that have a description.
	Plans() []game.AreaPlan
	// Nodes lists the nodes that live, this one among them.
	Nodes(ctx context.Context) ([]game.Node, error)
	// Connections lists sessions by id, from behind one.
	Connections(after string, limit int) []gateway.State
	// Count says how many users are connected, and how many of them have lost their connection and may come back.
	Count() (sessions, cut int)
	// Kick ends the connection of a user; false: there is none here.
	Kick(uid game.UID, text string) bool
	// Drain begins to send the users of this node elsewhere, so many a second (0: as many as is sensible), and keeps it closed.
	Drain(perSecond int)
	// Undrain takes users again.
	Undrain()
	// Maintenance closes the world to users, or opens it.
	Maintenance(on bool, text string)
	// Notice tells all users of this node something.
	Notice(text string, at time.Time) error
	// State is how the node stands.
	State() NodeState
}

// Reports makes a report of a period, whole days.
type Reports func(ctx context.Context, first, last time.Time) (report.Report, error)

// worldRoutes are the rows about the living part of a node.
func (a *api) worldRoutes() []route {
	const s = game.ScopeAdmin
	return []route{
		{"GET", "world", byScope, s, "How this node stands, and the nodes that it knows", nil, WorldStatus{}, (*call).worldStatus},
		{"GET", "world/areas", byScope, s, "List the copies of areas that this node runs, and the areas that are described", nil, AreaPage{}, (*call).listAreas},
		{"GET", "world/areas/{copy}", byScope, s, "Show a copy with who is in it", nil, world.CopyState{}, (*call).showArea},
		{"DELETE", "world/areas/{copy}", byScope, s, "Close a copy; who is in it is told to enter anew", WorldText{}, nil, (*call).closeArea},
		{"GET", "world/connections", byScope, s, "List the connections of this node", nil, ConnectionPage{}, (*call).listConnections},
		{"DELETE", "world/connections/{uid}", byScope, s, "End the connection of a user to this node", WorldText{}, nil, (*call).kick},
		{"POST", "world/drain", byScope, s, "Send the users of this node to others, and take no more", DrainRequest{}, NodeState{}, (*call).drain},
		{"DELETE", "world/drain", byScope, s, "Take users again", nil, NodeState{}, (*call).undrain},
		{"PUT", "world/maintenance", byScope, s, "Close this node to users, who get the text, or open it", MaintenanceRequest{}, NodeState{}, (*call).maintain},
		{"POST", "world/notices", byScope, s, "Tell all users of this node something", NoticeRequest{}, nil, (*call).notice},
		{"GET", "reports", byScope, s, "Count players from the event log: from and to are days (UTC, YYYY-MM-DD)", nil, report.Report{}, (*call).makeReport},
	}
}

// NodeState is how a node stands.
type NodeState struct {
	Node        string    `json:"node"`
	Started     time.Time `json:"started"`
	Connected   int       `json:"connected" doc:"users, those that may come back among them"`
	Cut         int       `json:"cut" doc:"users who have lost their connection and may come back"`
	Copies      int       `json:"copies"`
	Avatars     int       `json:"avatars"`
	Draining    bool      `json:"draining"`
	Maintenance string    `json:"maintenance,omitempty" doc:"text for users while the node is closed to them"`
	TickMs      int64     `json:"tick_ms" doc:"0: at once"`
	WebSocket   string    `json:"websocket"`
	TCP         string    `json:"tcp,omitempty"`
}

// WorldStatus is a node and the others.
type WorldStatus struct {
	NodeState
	Nodes []game.Node `json:"nodes"`
}

// AreaPage is the areas of a node.
type AreaPage struct {
	Copies []world.CopyState `json:"copies"`
	Plans  []game.AreaPlan   `json:"plans" doc:"areas that are described in the configuration or built in"`
}

// ConnectionPage is a page of connections.
type ConnectionPage struct {
	Connections []gateway.State `json:"connections"`
	Next        string          `json:"next,omitempty" doc:"after of the next page"`
}

// WorldText is what users are told.
type WorldText struct {
	Text string `json:"text,omitempty"`
}

// DrainRequest empties a node.
type DrainRequest struct {
	PerSecond int `json:"per_second,omitempty" doc:"users a second that are sent away; 0: as many as is sensible"`
}

// MaintenanceRequest closes a node to users, or opens it.
type MaintenanceRequest struct {
	On   bool   `json:"on"`
	Text string `json:"text,omitempty" doc:"for users"`
}

// NoticeRequest is a word to all users of a node.
type NoticeRequest struct {
	Text string    `json:"text"`
	At   time.Time `json:"at,omitzero" doc:"when what is said happens; absent: now"`
}

// worldTextMax bounds what an operator says, in bytes.
const worldTextMax = 500

func checkWorldText(text string) error {
	if len(text) > worldTextMax {
		return game.Errorf(game.Invalid, "a text of %d bytes: at most %d", len(text), worldTextMax)
	}
	return nil
}

func (c *call) worldStatus() (any, error) {
	nodes, err := c.World.Nodes(c.ctx())
	if err != nil {
		return nil, err
	}
	return WorldStatus{NodeState: c.World.State(), Nodes: nodes}, nil
}

func (c *call) listAreas() (any, error) {
	return AreaPage{Copies: append([]world.CopyState{}, c.World.Areas()...), Plans: c.World.Plans()}, nil
}

func (c *call) copyOf() (game.Copy, error) { return game.ParseCopy(c.r.PathValue("copy")) }

func (c *call) showArea() (any, error) {
	at, err := c.copyOf()
	if err != nil {
		return nil, err
	}
	return c.World.Copy(at)
}

// said reads the text of a request that needs none.
func (c *call) said() (string, error) {
	var in WorldText
	if err := c.body(&in); err != nil {
		return "", err
	}
	return in.Text, checkWorldText(in.Text)
}

func (c *call) closeArea() (any, error) {
	at, err := c.copyOf()
	if err != nil {
		return nil, err
	}
	text, err := c.said()
	if err != nil {
		return nil, err
	}
	return nothing(), c.World.Evict(c.ctx(), at, text)
}

func (c *call) listConnections() (any, error) {
	limit, err := c.limit()
	if err != nil {
		return nil, err
	}
	list := c.World.Connections(c.r.URL.Query().Get("after"), limit)
	page := ConnectionPage{Connections: append([]gateway.State{}, list...)}
	if len(list) == limit {
		page.Next = list[len(list)-1].ID
	}
	return page, nil
}

func (c *call) kick() (any, error) {
	uid, err := c.uid()
	if err != nil {
		return nil, err
	}
	text, err := c.said()
	if err != nil {
		return nil, err
	}
	if !c.World.Kick(uid, text) {
		return nil, game.Errorf(game.NotFound, "user %v is not connected to this node", uid)
	}
	return nothing(), nil
}

func (c *call) drain() (any, error) {
	var in DrainRequest
	if err := c.body(&in); err != nil {
		return nil, err
	}
	if in.PerSecond < 0 || in.PerSecond > 100_000 {
		return nil, game.Errorf(game.Invalid, "per_second %d: want 0 to 100000", in.PerSecond)
	}
	c.World.Drain(in.PerSecond)
	return answered{http.StatusAccepted, c.World.State()}, nil
}

func (c *call) undrain() (any, error) {
	c.World.Undrain()
	return c.World.State(), nil
}

func (c *call) maintain() (any, error) {
	var in MaintenanceRequest
	if err := c.body(&in); err != nil {
		return nil, err
	}
	if err := checkWorldText(in.Text); err != nil {
		return nil, err
	}
	c.World.Maintenance(in.On, in.Text)
	return c.World.State(), nil
}

func (c *call) notice() (any, error) {
	var in NoticeRequest
	if err := c.body(&in); err != nil {
		return nil, err
	}
	text, err := game.CheckChat(in.Text)
	if err == nil {
		err = checkWorldText(text)
	}
	if err != nil {
		return nil, err
	}
	return nothing(), c.World.Notice(text, in.At)
}

func (c *call) makeReport() (any, error) {
	q := c.r.URL.Query()
	first, last, err := report.Period(q.Get("from"), q.Get("to"), time.Now())
	if err != nil {
		return nil, err
	}
	c.patient()
	return c.Reports(c.ctx(), first, last)
}
