package console

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Bounds of the timeline.
const (
	eventsShown = 300
	lanesShown  = 24 // those where something happened last

	laneWidth = 1000
	partLeast = 4 // an outage of a second is seen in a day, too
)

// lane is one record or member over the time that is shown.
type lane struct {
	Title, Link string
	Data, Owner string // of the record; empty for a member
	Parts       []lanePart
	last        time.Time
}

// lanePart is a time in one state. X and Width are in thousandths of the lane.
type lanePart struct {
	X, Width    int
	State, Tone string
	From        string
}

// Drawn are the parts, the short ones on top.
func (l lane) Drawn() []lanePart {
	return slices.SortedStableFunc(slices.Values(l.Parts), func(a, b lanePart) int { return b.Width - a.Width })
}

// timelineData is what happened lately.
type timelineData struct {
	All         bool // also what is no failover
	Events      []nameEvent
	Lanes       []lane
	From, Until string
	CLI, API    string
	Here        string
}

// failovers are the kinds of event that change who answers without anybody's wish.
var failovers = map[string]bool{"health": true, "member": true, "lost": true}

func (c *Console) timeline(w http.ResponseWriter, r *http.Request) {
	var history struct {
		Events []nameEvent `json:"events"`
	}
	if err := c.names.get(r.Context(), fmt.Sprintf("history?limit=%d", eventsShown), &history); err != nil {
		c.fail(w, r, "timeline", err)
		return
	}
	data := timelineData{All: r.FormValue("all") == "1", Here: "/names/timeline", API: "curl " + shellQuote(c.cfg.DNS+roomPrefix+"watch"), CLI: "kamado dns watch" + c.namesAccount()}
	if data.All {
		data.Here += "?all=1"
	}
	now := time.Now()
	data.Lanes, data.From = lanesOf(history.Events, now)
	data.Until = clock(now)
	for _, e := range history.Events {
		if data.All || failovers[e.Kind] {
			data.Events = append(data.Events, e)
		}
	}
	c.show(w, r, "timeline.html", "timeline-live", page{Title: "timeline.title", Section: "timeline", Data: data})
}

func clock(t time.Time) string { return t.UTC().Format(time.TimeOnly) }

// lanesOf draws the states of records and members from the oldest event that is known until now. A record
// whose health never changed has no lane.
func lanesOf(newestFirst []nameEvent, now time.Time) (lanes []lane, from string) {
	if len(newestFirst) == 0 {
		return nil, ""
	}
	s := span{start: newestFirst[len(newestFirst)-1].Time, now: now}
	all, changed := map[string][]nameEvent{}, map[string]bool{}
	for _, e := range slices.Backward(newestFirst) {
		switch e.Kind {
		case "health", "record", "gone":
			key := strings.Join([]string{e.Name, e.Type, e.Data, e.Owner}, " ")
			all[key] = append(all[key], e)
			changed[key] = changed[key] || e.Kind == "health"
		case "member":
			all[e.Owner] = append(all[e.Owner], e)
			changed[e.Owner] = true
		}
	}
	for _, key := range slices.Sorted(maps.Keys(changed)) {
		if changed[key] {
			lanes = append(lanes, s.lane(all[key]))
		}
	}
	slices.SortStableFunc(lanes, func(a, b lane) int { return b.last.Compare(a.last) })
	return lanes[:min(lanesShown, len(lanes))], clock(s.start)
}

// span is the time that lanes show.
type span struct{ start, now time.Time }

// at is the place of a time.
func (s span) at(t time.Time) int {
	whole := max(s.now.Sub(s.start), time.Second)
	return int(laneWidth * max(0, min(whole, t.Sub(s.start))) / whole)
}

// lane draws the events of one record or member, the oldest first.
func (s span) lane(events []nameEvent) lane {
	last := events[len(events)-1]
	l := lane{Title: last.Owner, Link: "/names/members", last: last.Time}
	if last.Name != "" {
		l.Title, l.Data, l.Owner, l.Link = last.Name, last.Data, last.Owner, namePage(last.Name)
	}
	state, since := events[0].Before, s.start
	for i := 0; i <= len(events); i++ {
		until, next := s.now, ""
		if i < len(events) {
			until = events[i].Time
			if events[i].Kind != "gone" {
				next = events[i].State
			}
		}
		if state != "" && until.After(since) {
			x := min(s.at(since), laneWidth-partLeast)
			l.Parts = append(l.Parts, lanePart{X: x, Width: max(s.at(until)-x, partLeast), State: state, Tone: stateTone(state), From: clock(since)})
		}
		state, since = next, until
	}
	return l
}

// member is a member of the cluster.
type member struct {
	Node     string    `json:"node"`
	Self     bool      `json:"self"`
	State    string    `json:"state"`
	Since    time.Time `json:"since"`
	Gossip   string    `json:"gossip"`
	DNS      []string  `json:"dns"`
	HTTP     string    `json:"http"`
	Location string    `json:"location"`
	Version  string    `json:"version"`
	Started  time.Time `json:"started"`
	RTT      float64   `json:"rtt_ms"`
	Records  int       `json:"records"`
	Names    []string  `json:"names"`
	Ranges   []string  `json:"ranges"`
	Zones    bool      `json:"zones"`
	Admin    bool      `json:"admin"`
	Expires  time.Time `json:"certificate_expires"`
}

// Tone is the colour of the member's state.
func (m member) Tone() string { return stateTone(m.State) }

// RoundTrip is the time to it and back; empty when it was not measured.
func (m member) RoundTrip() string {
	if m.RTT == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f ms", m.RTT)
}

// Until is the last day of its certificate; empty: it has none.
func (m member) Until() string {
	if m.Expires.IsZero() {
		return ""
	}
	return m.Expires.UTC().Format(time.DateOnly)
}

// Theirs is the address of the page with its records.
func (m member) Theirs() string { return "/names?" + url.Values{"owner": {m.Node}}.Encode() }

// membersData are all members.
type membersData struct {
	Members  []member
	CLI, API string
}

func (c *Console) members(w http.ResponseWriter, r *http.Request) {
	var answer struct {
		Members []member `json:"members"`
	}
	if err := c.names.get(r.Context(), "members", &answer); err != nil {
		c.fail(w, r, "members", err)
		return
	}
	data := membersData{Members: answer.Members, CLI: "kamado dns members" + c.namesAccount(), API: "curl " + shellQuote(c.cfg.DNS+roomPrefix+"members")}
	c.show(w, r, "members.html", "member-rows", page{Title: "members.title", Section: "members", Data: data})
}
