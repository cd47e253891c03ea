package console

import (
	"context"
	"net/http"
	"strconv"
	"time"
)

// trafficTop is how many originals the page of traffic lists.
const trafficTop = 15

// minuteTraffic, hitter, slowPicture and failedPicture are what the service
// remembers of the last hour.
type minuteTraffic struct {
	Start    time.Time `json:"start"`
	Requests uint64    `json:"requests"`
	Errors   uint64    `json:"errors"`
	Hits     uint64    `json:"hits"`
	Rendered uint64    `json:"rendered"`
	Bytes    uint64    `json:"bytes"`
	Time     int64     `json:"time"` // nanoseconds of all requests together
}

type hitter struct {
	Original string `json:"original"`
	Requests uint64 `json:"requests"`
	Error    uint64 `json:"error"`
	Bytes    uint64 `json:"bytes"`
}

// Sent is Bytes for a person.
func (h hitter) Sent() int64 { return int64(h.Bytes) }

type slowPicture struct {
	At        time.Time `json:"at"`
	Original  string    `json:"original"`
	Rendition string    `json:"rendition"`
	Outcome   string    `json:"outcome"`
	Took      int64     `json:"took"` // nanoseconds
}

type failedPicture struct {
	At        time.Time `json:"at"`
	Original  string    `json:"original"`
	Rendition string    `json:"rendition"`
	Status    int       `json:"status"`
	Detail    string    `json:"detail"`
}

type traffic struct {
	Minutes []minuteTraffic `json:"minutes"`
	Top     []hitter        `json:"top"`
	Slowest []slowPicture   `json:"slowest"`
	Errors  []failedPicture `json:"errors"`
}

// trafficData is the page: what was remembered, added up and drawn.
type trafficData struct {
	traffic
	Requests, Hits, Failed uint64 // of the hour
	Bytes                  int64
	Mean                   float64 // seconds of a request
	Bars                   []bar
	Origins                []originState
}

// bar is one minute of the plot, which is 100 high: heights of what came from
// caches, was made and failed, on top of each other.
type bar struct {
	X                      int
	HitY, HitH             int
	RenderedY, RenderedH   int
	FailedY, FailedH       int
	Start                  time.Time
	Hits, Rendered, Failed uint64
}

// Size of the plot. Unit: units of its view box.
const (
	barWidth      = 10
	minutesHeight = 100
)

// originState is how an origin is reached.
type originState struct {
	Name        string    `json:"name"`
	Remote      bool      `json:"remote"`
	Reach       string    `json:"reach"` // unknown, good, failing, spent
	Spent       bool      `json:"budget_spent"`
	Requests    uint64    `json:"requests"`
	Errors      uint64    `json:"errors"`
	LastError   string    `json:"last_error"`
	LastFailure time.Time `json:"last_failure"`
	LastSuccess time.Time `json:"last_success"`
	P50         float64   `json:"latency_p50_seconds"`
	P99         float64   `json:"latency_p99_seconds"`
}

// Bad says whether somebody should look.
func (o originState) Bad() bool { return o.Spent || o.Reach == "failing" || o.Reach == "spent" }

// Seconds is how long it took, for a person.
func (s slowPicture) Seconds() float64 { return time.Duration(s.Took).Seconds() }

func (a *imagesAPI) traffic(ctx context.Context) (t traffic, err error) {
	err = a.get(ctx, "traffic?top="+strconv.Itoa(trafficTop), &t)
	return t, err
}

func (c *Console) traffic(w http.ResponseWriter, r *http.Request) {
	t, err := c.images.traffic(r.Context())
	if err != nil {
		c.fail(w, r, "traffic", err)
		return
	}
	s, err := c.images.stats(r.Context())
	if err != nil {
		c.fail(w, r, "traffic", err)
		return
	}
	data := trafficData{traffic: t, Origins: s.Origin.Sources}
	data.plot()
	c.show(w, r, "traffic.html", "traffic-live", page{Title: "traffic.title", Section: "traffic", Data: data})
}

// plot adds up the hour and draws it.
func (d *trafficData) plot() {
	var most uint64 = 1
	var took int64
	for _, m := range d.Minutes {
		most = max(most, m.Hits+m.Rendered+m.Errors)
		d.Requests += m.Requests
		d.Hits += m.Hits
		d.Failed += m.Errors
		d.Bytes += int64(m.Bytes)
		took += m.Time
	}
	if d.Requests > 0 {
		d.Mean = time.Duration(took / int64(d.Requests)).Seconds()
	}
	for i, m := range d.Minutes {
		b := bar{X: (60 - len(d.Minutes) + i) * barWidth, Start: m.Start, Hits: m.Hits, Rendered: m.Rendered, Failed: m.Errors}
		height := func(n uint64) int { return int(n * minutesHeight / most) }
		b.HitH, b.RenderedH, b.FailedH = height(m.Hits), height(m.Rendered), height(m.Errors)
		b.HitY = minutesHeight - b.HitH
		b.RenderedY = b.HitY - b.RenderedH
		b.FailedY = b.RenderedY - b.FailedH
		d.Bars = append(d.Bars, b)
	}
}
