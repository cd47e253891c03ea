package console

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Bounds of talking to the service of names.
const (
	namesTime     = 20 * time.Second
	namesBytesMax = 16 << 20
	namesPrefix   = "/v1/"
)

// namesAPI is a client of the member that this process runs.
type namesAPI struct {
	base   string // scheme and host
	token  string
	client *http.Client
}

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

func (a *namesAPI) get(ctx context.Context, path string, into any) error {
	return a.do(ctx, http.MethodGet, path, nil, into)
}

// do asks the member; into may be nil.
func (a *namesAPI) do(ctx context.Context, method, path string, body, into any) error {
	ctx, cancel := context.WithTimeout(ctx, namesTime)
	defer cancel()
	res, err := a.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, namesBytesMax))
	if err != nil {
		return fmt.Errorf("ask names for %s: %w", path, err)
	}
	if res.StatusCode >= 300 {
		return fmt.Errorf("ask names for %s: %w", path, problemOf(res.StatusCode, data))
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("read names' answer to %s: %w", path, err)
	}
	return nil
}

func (a *namesAPI) send(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var r io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		r = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.base+namesPrefix+path, r)
	if err != nil {
		return nil, fmt.Errorf("ask names: %w", err)
	}
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := a.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask names: %w", err)
	}
	return res, nil
}

// problemOf reads a refusal.
func problemOf(status int, data []byte) *errStatus {
	var p struct {
		Detail string `json:"detail"`
	}
	_ = json.Unmarshal(data, &p) // a body of another kind leaves the status alone
	return &errStatus{status, p.Detail}
}

// watch calls fn for each thing that happens, until ctx or the stream ends.
func (a *namesAPI) watch(ctx context.Context, fn func()) error {
	res, err := a.send(ctx, http.MethodGet, "watch", nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		data, _ := io.ReadAll(io.LimitReader(res.Body, namesBytesMax))
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
