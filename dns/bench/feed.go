package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kamado/kamado/dns/api"
	"github.com/kamado/kamado/dns/client"
)

// feedWorkers is how many requests of the feeder wait at once.
const feedWorkers = 64

// feeder makes and changes owned records through the API of a subject.
type feeder struct {
	client *client.Client
	names  int
	done   atomic.Int64 // changes
}

func newFeeder(ctx context.Context, s *subject, cfg Config) (*feeder, error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	for {
		token, err := os.ReadFile(filepath.Join(s.dir, "operator.token"))
		if err == nil && len(token) > 0 {
			c, err := client.New(fmt.Sprint("http://127.0.0.1:", s.other), strings.TrimSpace(string(token)), &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: feedWorkers}})
			f := &feeder{client: c, names: cfg.Names}
			if err != nil {
				return nil, err
			}
			if _, err = c.Members(ctx); err == nil {
				return f, nil
			}
		}
		select {
		case <-s.exited:
			return nil, fmt.Errorf("%s ended: %s", s.name, s.said)
		case <-ctx.Done():
			return nil, fmt.Errorf("%s opens no API: %w: it said: %s", s.name, ctx.Err(), s.said)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// records is how many records host i has: a master; every second one another of
// twice the weight; every tenth a backup, too.
func records(i int) int {
	switch {
	case i%10 == 0:
		return 3
	case i%2 == 0:
		return 2
	}
	return 1
}

// record is record k of host i. Every hundredth host has a check, which passes. turn changes the weight of the first.
func (f *feeder) record(i, k, turn int) api.Record {
	a := Address(i).As4()
	a[0] += byte(k)
	weight := uint16(100 * (k + 1))
	if k == 0 {
		weight += uint16(turn % 2)
	}
	r := api.Record{Name: fmt.Sprintf("host%d.%s.", i, Zone), Type: "A", Data: fmt.Sprintf("%d.%d.%d.%d", a[0], a[1], a[2], a[3]), Weight: &weight}
	if k == 2 {
		r.Priority = "backup"
	}
	if i%100 == 0 {
		r.Check = &api.Check{Spec: "ttl:1h", Initial: "healthy"}
	}
	return r
}

// fill makes all records.
func (f *feeder) fill(ctx context.Context) error {
	return f.each(ctx, f.names, func(i int) error {
		for k := range records(i) {
			if _, err := f.client.Add(ctx, f.record(i, k, 0)); err != nil {
				return err
			}
		}
		return nil
	})
}

// each calls do for 0 to n-1, several at once, until one fails.
func (f *feeder) each(ctx context.Context, n int, do func(int) error) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	failed := make(chan error, feedWorkers)
	for range feedWorkers {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(i); err != nil {
					failed <- err
					next.Store(int64(n))
					return
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return ctx.Err()
	}
}

// change changes names, so many a second, until ctx ends.
func (f *feeder) change(ctx context.Context, perSecond int) error {
	due := make(chan int, perSecond)
	var wg sync.WaitGroup
	failed := make(chan error, feedWorkers)
	for range feedWorkers {
		wg.Go(func() {
			for n := range due {
				if _, err := f.client.Add(ctx, f.record(n%f.names, 0, 1+n/f.names)); err != nil && ctx.Err() == nil {
					failed <- err
					return
				}
				f.done.Add(1)
			}
		})
	}
	err := pace(ctx, perSecond, due, failed)
	close(due)
	wg.Wait()
	return err
}

// pace hands out numbers, so many a second. What its takers are late for is lost, not made up for.
func pace(ctx context.Context, perSecond int, due chan<- int, failed <-chan error) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	began, n := time.Now(), 0
	for {
		select {
		case <-tick.C:
		case err := <-failed:
			return err
		case <-ctx.Done():
			return nil
		}
		for until := int(time.Since(began).Seconds() * float64(perSecond)); n < until; n++ {
			select {
			case due <- n:
			default:
			}
		}
	}
}

// feed fills subjects, and changes the first of them while during runs. It gives the changes a second.
func (r *run) feed(ctx context.Context, subjects []*subject, during func() error) (float64, error) {
	var feeders []*feeder
	for _, s := range subjects {
		f, err := newFeeder(ctx, s, r.cfg)
		if err != nil {
			return 0, err
		}
		r.talkf("%s gets %d names", s.name, r.cfg.Names)
		if err := f.fill(ctx); err != nil {
			return 0, fmt.Errorf("make records on %s: %w", s.name, err)
		}
		feeders = append(feeders, f)
	}
	ctx, cancel := context.WithCancel(ctx)
	changed := make(chan error, 1)
	began := time.Now()
	go func() { changed <- feeders[0].change(ctx, r.cfg.OwnedChanges) }()
	err := during()
	cancel()
	err = errors.Join(err, <-changed)
	return float64(feeders[0].done.Load()) / time.Since(began).Seconds(), err
}
