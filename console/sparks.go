package console

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Bounds of what is remembered for sparklines.
const (
	sparkPoints   = 60
	sparksMax     = 500              // instances
	sparkEvery    = time.Second      // samples of one instance are at least so far apart
	sparkForget   = 10 * time.Minute // an instance that nobody looked at
	diagnosticsIn = 3 * time.Second
)

// sparks remembers how busy the instances were that somebody looks at.
type sparks struct {
	mu   sync.Mutex
	seen map[string]*spark // guarded by mu
}

// spark is the last samples of one instance.
type spark struct {
	at   time.Time
	cpu  time.Duration // of all its virtual CPUs since it was started
	busy []float64     // percent of what it may use, oldest first
}

// sparkline is a spark to be drawn: points of an SVG polyline, 100 wide and 24
// high.
type sparkline struct {
	Points string
	Now    string // percent
}

// sample asks for the diagnostics of those that are on, and fills their Spark.
func (s *sparks) sample(ctx context.Context, api *cloudAPI, list []machine) {
	ctx, cancel := context.WithTimeout(ctx, diagnosticsIn)
	defer cancel()
	var wg sync.WaitGroup
	places := make(chan struct{}, sampleWorkers)
	for i := range list {
		m := &list[i]
		if m.Status != "ACTIVE" {
			continue
		}
		if line, fresh := s.line(m.ID, time.Now()); fresh {
			m.Spark = line
			continue
		}
		wg.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			var d struct {
				CPUs []struct {
					Time int64 `json:"time"` // nanoseconds
				} `json:"cpu_details"`
			}
			if api.get(ctx, cloudCompute+"/servers/"+url.PathEscape(m.ID)+"/diagnostics", &d) != nil {
				return
			}
			var cpu time.Duration
			for _, c := range d.CPUs {
				cpu += time.Duration(c.Time)
			}
			m.Spark = s.add(m.ID, cpu, len(d.CPUs), time.Now())
		})
	}
	wg.Wait()
}

// line gives what is known, and whether that is young enough.
func (s *sparks) line(id string, now time.Time) (sparkline, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.seen[id]
	if k == nil || now.Sub(k.at) >= sparkEvery {
		return sparkline{}, false
	}
	return k.draw(), true
}

// add takes a sample.
func (s *sparks) add(id string, cpu time.Duration, cpus int, now time.Time) sparkline {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = map[string]*spark{}
	}
	k := s.seen[id]
	if k == nil {
		s.makeRoom(now)
		k = &spark{}
		s.seen[id] = k
	} else if took := now.Sub(k.at); took > 0 && cpu >= k.cpu && cpus > 0 {
		k.busy = append(k.busy, min(100, 100*float64(cpu-k.cpu)/float64(took)/float64(cpus)))
		if len(k.busy) > sparkPoints {
			k.busy = k.busy[1:]
		}
	}
	k.at, k.cpu = now, cpu
	return k.draw()
}

// makeRoom forgets what nobody looked at, or anything when that is not enough.
// Preconditions: s.mu is held.
func (s *sparks) makeRoom(now time.Time) {
	if len(s.seen) < sparksMax {
		return
	}
	for id, k := range s.seen {
		if now.Sub(k.at) > sparkForget {
			delete(s.seen, id)
		}
	}
	for id := range s.seen {
		if len(s.seen) < sparksMax {
			return
		}
		delete(s.seen, id)
	}
}

func (k *spark) draw() sparkline {
	if len(k.busy) == 0 {
		return sparkline{}
	}
	var b strings.Builder
	for i, v := range k.busy {
		x := 100 - float64(len(k.busy)-1-i)*100/(sparkPoints-1)
		fmt.Fprintf(&b, "%.1f,%.1f ", x, 23-v*22/100)
	}
	return sparkline{Points: strings.TrimSpace(b.String()), Now: fmt.Sprintf("%.0f", k.busy[len(k.busy)-1])}
}
