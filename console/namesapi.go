package console

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"time"
)

// namesAPI is a client of the member that this process runs.
type namesAPI struct{ roomAPI }

// record is an owned record.
type record struct {
	ID       string        `json:"id"`
	Name     string        `json:"name"`
	Type     string        `json:"type"`
	Data     string        `json:"data"`
	TTL      uint32        `json:"ttl"`
	Priority string        `json:"priority"`
	Weight   uint16        `json:"weight"`
	Location string        `json:"location"`
	View     string        `json:"view"`
	Check    *recordCheck  `json:"check"`
	Owner    string        `json:"owner"`
	Alive    bool          `json:"owner_alive"`
	Live     bool          `json:"live"`
	Health   *recordHealth `json:"health"`

	Own bool `json:"-"` // of the member that is asked, so that it can be deleted here
}

type recordCheck struct {
	Spec      string `json:"spec"`
	Interval  string `json:"interval,omitempty"`
	Timeout   string `json:"timeout,omitempty"`
	Healthy   int    `json:"healthy,omitempty"`
	Unhealthy int    `json:"unhealthy,omitempty"`
}

type recordHealth struct {
	State  string    `json:"state"`
	Since  time.Time `json:"since"`
	Output string    `json:"output"`
}

// Tone is the colour of the record's state.
func (r record) Tone() string {
	switch {
	case r.Live:
		return "good"
	case r.Alive && r.Health != nil && r.Health.State == "unknown":
		return "quiet"
	}
	return "bad"
}

// State is the key of the text that says how the record is.
func (r record) State() string {
	switch {
	case !r.Alive:
		return "names.state_away"
	case r.Health == nil:
		return "names.state_unchecked"
	}
	return "names.state_" + r.Health.State
}

// policy is how the records of a name are chosen.
type policy struct {
	Balance  string `json:"balance,omitempty"`
	Fallback string `json:"fallback,omitempty"`
	Max      int    `json:"max,omitempty"`
	Sources  string `json:"sources,omitempty"`
}

// zoneRecord is a record that outlives members.
type zoneRecord struct {
	Name string `json:"name"`
	Type string `json:"type"`
	TTL  uint32 `json:"ttl"`
	Data string `json:"data"`
}

// nameEvent is one thing that happened.
type nameEvent struct {
	Time   time.Time `json:"time"`
	Kind   string    `json:"kind"`
	Name   string    `json:"name"`
	Type   string    `json:"type"`
	Data   string    `json:"data"`
	Owner  string    `json:"owner"`
	State  string    `json:"state"`
	Before string    `json:"before"`
	Text   string    `json:"text"`
}

// Tone is the colour of what it says.
func (e nameEvent) Tone() string { return stateTone(e.State) }

func stateTone(state string) string {
	switch state {
	case "healthy", "alive":
		return "good"
	case "unhealthy", "dead":
		return "bad"
	}
	return "quiet"
}

// At is when it happened, to the millisecond: failovers are shorter than seconds.
func (e nameEvent) At() string { return e.Time.UTC().Format("15:04:05.000") }

// Day is the date of it.
func (e nameEvent) Day() string { return e.Time.UTC().Format(time.DateOnly) }

// nameStatus is what the member says of itself.
type nameStatus struct {
	Node    string   `json:"node"`
	Domain  string   `json:"domain"`
	DNS     []string `json:"dns"`
	Members int      `json:"members_alive"`
	Names   int      `json:"names"`
	Records int      `json:"records"`
}

// watch calls fn for each thing that happens, until ctx or the stream ends.
func (a *namesAPI) watch(ctx context.Context, fn func()) error {
	res, err := a.send(ctx, http.MethodGet, "watch", "", nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		data, _ := io.ReadAll(io.LimitReader(res.Body, roomBytesMax))
		return problemOf(res.StatusCode, data)
	}
	fn() // what is shown may be older than the stream
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "event:") {
			fn()
		}
	}
	return ctx.Err()
}
