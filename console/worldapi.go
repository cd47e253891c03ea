package console

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"
)

// worldNode is a node of the world, as the others know it.
type worldNode struct {
	Name      string `json:"name"`
	WebSocket string `json:"websocket"`
	TCP       string `json:"tcp"`
	Draining  bool   `json:"draining"`
}

// worldStatus is how a node stands, and which others it knows.
type worldStatus struct {
	Node        string      `json:"node"`
	Started     time.Time   `json:"started"`
	Connected   int         `json:"connected"`
	Cut         int         `json:"cut"`
	Copies      int         `json:"copies"`
	Avatars     int         `json:"avatars"`
	Draining    bool        `json:"draining"`
	Maintenance string      `json:"maintenance"`
	TickMs      int64       `json:"tick_ms"`
	WebSocket   string      `json:"websocket"`
	TCP         string      `json:"tcp"`
	Nodes       []worldNode `json:"nodes"`
}

// State is the key of the text that says how the node stands, and Tone its colour.
func (s worldStatus) State() string {
	switch {
	case s.Maintenance != "":
		return "world.state_closed"
	case s.Draining:
		return "world.state_draining"
	}
	return "world.state_open"
}

func (s worldStatus) Tone() string {
	if s.Maintenance != "" || s.Draining {
		return "bad"
	}
	return "good"
}

// areaCopy is a running copy of an area.
type areaCopy struct {
	Copy     string       `json:"copy"`
	Node     string       `json:"node"`
	Avatars  int          `json:"avatars"`
	Capacity int          `json:"capacity"`
	Things   int          `json:"things"`
	Opened   time.Time    `json:"opened"`
	Rounds   uint64       `json:"rounds"`
	Moves    uint64       `json:"moves"`
	Load     float64      `json:"load"`
	Members  []areaMember `json:"members"`
}

// Area is the name of the area that it is a copy of.
func (a areaCopy) Area() string { return a.Copy[:max(0, strings.LastIndexByte(a.Copy, '.'))] }

// LoadShown is the part of the time that its rounds take, in percent.
func (a areaCopy) LoadShown() int { return int(math.Round(100 * a.Load)) }

// areaMember is an avatar in a copy.
type areaMember struct {
	Avatar  uint32 `json:"avatar"`
	UID     string `json:"uid"`
	Name    string `json:"name"`
	X       int    `json:"x"`
	Y       int    `json:"y"`
	Session string `json:"session"`
	Cut     bool   `json:"cut"`
	Behind  bool   `json:"behind"`
}

// areaPlan is how an area is made.
type areaPlan struct {
	Name     string `json:"name"`
	Width    int    `json:"width"`
	Height   int    `json:"height"`
	Capacity int    `json:"capacity"`
	View     int    `json:"view"`
}

// areaList is the areas of a node.
type areaList struct {
	Copies []areaCopy `json:"copies"`
	Plans  []areaPlan `json:"plans"`
}

// fullest is the copy with the most avatars; nil: there is none.
func (l areaList) fullest() *areaCopy {
	if len(l.Copies) == 0 {
		return nil
	}
	most := slices.MaxFunc(l.Copies, func(a, b areaCopy) int { return cmp.Compare(a.Avatars, b.Avatars) })
	return &most
}

// avatars are those in all copies.
func (l areaList) avatars() (n int) {
	for _, a := range l.Copies {
		n += a.Avatars
	}
	return n
}

// connection is a connection of a node.
type connection struct {
	ID        string        `json:"id"`
	UID       string        `json:"uid"`
	Service   string        `json:"service"`
	Node      string        `json:"node"` // that it speaks for; empty: a user or another service
	Address   string        `json:"address"`
	Transport string        `json:"transport"` // empty: it is lost, and may come back
	Agent     string        `json:"agent"`
	Since     time.Time     `json:"since"`
	Queued    int64         `json:"queued_bytes"`
	Replay    int64         `json:"replay_bytes"`
	RTT       time.Duration `json:"rtt_ns"`
}

// IsUser says that it is a person's.
func (c connection) IsUser() bool { return c.UID != "" && c.UID != "0" }

// Milliseconds is the time of a ping there and back.
func (c connection) Milliseconds() string { return serviceState{Took: c.RTT}.Milliseconds() }

// playersReport is what happened in a period.
type playersReport struct {
	From      string         `json:"from"`
	To        string         `json:"to"`
	Days      []reportDay    `json:"days"`
	Retention []reportCohort `json:"retention"`
	Points    []reportFlow   `json:"points"`
	Areas     []reportArea   `json:"areas"`
	Totals    struct {
		Active   int64 `json:"active"`
		New      int64 `json:"new"`
		Sessions int64 `json:"sessions"`
		Messages int64 `json:"messages"`
		Whispers int64 `json:"whispers"`
		In       int64 `json:"points_in"`
		Out      int64 `json:"points_out"`
	} `json:"totals"`
	Made time.Time `json:"made"`
}

type reportDay struct {
	Day      string `json:"day"`
	Active   int64  `json:"active"`
	New      int64  `json:"new"`
	Sessions int64  `json:"sessions"`
	Messages int64  `json:"messages"`
	In       int64  `json:"points_in"`
	Out      int64  `json:"points_out"`
}

// reportCohort is the users made on a day, and how many of them came again: after one, seven and thirty days; -1: not known yet.
type reportCohort struct {
	Day   string  `json:"day"`
	Users int64   `json:"users"`
	Back  []int64 `json:"back"`
}

type reportFlow struct {
	Op     string `json:"op"`
	Count  int64  `json:"count"`
	Amount int64  `json:"amount"`
}

type reportArea struct {
	Area     string `json:"area"`
	Visits   int64  `json:"visits"`
	Seconds  int64  `json:"seconds"`
	Messages int64  `json:"messages"`
}

// wireProtocol is the binary protocol.
type wireProtocol struct {
	Magic    string        `json:"magic"`
	Commands []wireCommand `json:"commands"`
}

type wireCommand struct {
	ID         uint32      `json:"id"`
	Name       string      `json:"name"`
	FromClient bool        `json:"from_client"`
	FromServer bool        `json:"from_server"`
	Reliable   bool        `json:"reliable"`
	Message    string      `json:"message"`
	What       string      `json:"what"`
	Fields     []wireField `json:"fields"`
}

// Direction is the key of the text that says who sends it.
func (c wireCommand) Direction() string {
	switch {
	case c.FromClient && c.FromServer:
		return "protocol.from_both"
	case c.FromClient:
		return "protocol.from_client"
	}
	return "protocol.from_server"
}

type wireField struct {
	Number   int    `json:"number"`
	Name     string `json:"name"`
	Type     string `json:"type"`
	Repeated bool   `json:"repeated"`
}

// decodedFrames is what some bytes of the protocol say.
type decodedFrames struct {
	Magic  bool           `json:"magic"`
	Frames []decodedFrame `json:"frames"`
	Rest   int            `json:"rest"`
	Error  string         `json:"error"`
}

type decodedFrame struct {
	Command uint32          `json:"command"`
	Name    string          `json:"name"`
	Seq     uint64          `json:"seq"`
	Bytes   int             `json:"bytes"`
	Body    json.RawMessage `json:"body"`
	Error   string          `json:"error"`
}

// Size is the length of the whole frame.
func (f decodedFrame) Size() int64 { return int64(f.Bytes) }

// Shown is the body for people; empty: it is not known.
func (f decodedFrame) Shown() string {
	if len(f.Body) == 0 || string(f.Body) == "null" {
		return ""
	}
	var v any
	if json.Unmarshal(f.Body, &v) != nil {
		return string(f.Body)
	}
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return string(f.Body)
	}
	return string(text)
}
