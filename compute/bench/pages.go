package bench

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// The targets of this group.
const (
	pageMsMax   = 40
	fullMiBMax  = 250
	pageLength  = 1000 // the most that a list gives at once
	pageRepeats = 20
	fillBatch   = 100 // servers of a request when many are wanted
	fillClients = 8
)

// pages measures a server with many servers: pages of their list, and memory.
func (r *run) pages(ctx context.Context) error {
	s, err := r.subject(ctx, "--hypervisor", "fake", "--simulated-hosts", "200", "--fixed-range", "10.64.0.0/14")
	if err != nil {
		return err
	}
	defer s.stop()
	request, err := s.member.template(ctx, "m1.tiny")
	if err != nil {
		return err
	}
	if err := r.fill(ctx, s, request); err != nil {
		return err
	}
	r.talkf("%d servers are there", r.cfg.Servers)
	if err := r.full(ctx, s); err != nil {
		return err
	}
	return s.profile(GroupPages, func() error { return r.eachPage(ctx, s) })
}

// fill makes many servers.
func (r *run) fill(ctx context.Context, s *subject, request object) error {
	began := time.Now()
	if _, err := s.crowd(ctx, request, r.cfg.Servers, min(fillBatch, r.cfg.Servers), fillClients); err != nil {
		return err
	}
	if err := s.settled(ctx); err != nil {
		return err
	}
	r.add(Row{Group: GroupPages, Name: fmt.Sprintf("making %d servers", r.cfg.Servers), Unit: "s", Value: time.Since(began).Seconds()})
	return nil
}

// crowd asks for servers by several clients at once, so many in each request, and
// gives how long each request took.
func (s *subject) crowd(ctx context.Context, request object, servers, batch, clients int) ([]time.Duration, error) {
	asks := make(chan int)
	go func() {
		defer close(asks)
		for left := servers; left > 0; left -= batch {
			asks <- min(left, batch)
		}
	}()
	c := s.member.with(clients)
	defer c.close()
	var mu sync.Mutex
	var took []time.Duration
	var failed error
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for n := range asks {
				one := object{"min_count": n, "max_count": n}
				for k, v := range request {
					one[k] = v
				}
				began := time.Now()
				err := c.post(ctx, "/compute/v2.1/servers", object{"server": one}, nil)
				mu.Lock()
				took = append(took, time.Since(began))
				if failed == nil {
					failed = err
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return took, failed
}

// full measures memory with all servers, at rest.
func (r *run) full(ctx context.Context, s *subject) error {
	if err := rest(ctx, r.cfg.Rest); err != nil {
		return err
	}
	pss, processes, err := memoryOf(s.pid())
	if err != nil {
		return err
	}
	r.add(Row{Group: GroupPages, Name: fmt.Sprintf("memory with %d servers (PSS)", r.cfg.Servers), Unit: "MiB", Value: float64(pss) / mib}.
		atMost(fullMiBMax).because("%d process, at rest", processes))
	return nil
}

// eachPage asks for the first, the middle and the last page, and then once more
// for the memory that this took.
func (r *run) eachPage(ctx context.Context, s *subject) error {
	length := min(pageLength, r.cfg.Servers/4)
	markers := []string{""}
	for range r.cfg.Servers/length - 1 {
		var page struct{ Servers []server }
		if err := s.member.get(ctx, pagePath("", length, markers[len(markers)-1]), &page); err != nil {
			return err
		}
		if len(page.Servers) != length {
			return fmt.Errorf("a page holds %d servers, not %d", len(page.Servers), length)
		}
		markers = append(markers, page.Servers[length-1].ID)
	}
	for _, p := range []struct {
		name, kind string
		marker     string
		max        float64
	}{
		{"first page of %d, in detail", "/detail", markers[0], pageMsMax},
		{"middle page of %d, in detail", "/detail", markers[len(markers)/2], pageMsMax},
		{"last page of %d, in detail", "/detail", markers[len(markers)-1], pageMsMax},
		{"middle page of %d, names", "", markers[len(markers)/2], pageMsMax},
	} {
		list, spent, err := s.repeat(pageRepeats, func(int) error { return s.member.get(ctx, pagePath(p.kind, length, p.marker), nil) })
		if err != nil {
			return err
		}
		r.add(times(GroupPages, fmt.Sprintf(p.name, length), list).cpu(spent, len(list)).atMost(p.max))
	}
	pss, _, err := memoryOf(s.pid())
	if err != nil {
		return err
	}
	r.add(Row{Group: GroupPages, Name: "memory right after those pages (PSS)", Unit: "MiB", Value: float64(pss) / mib}.atMost(fullMiBMax))
	return nil
}

func pagePath(kind string, length int, marker string) string {
	path := fmt.Sprintf("/compute/v2.1/servers%s?limit=%d", kind, length)
	if marker != "" {
		path += "&marker=" + marker
	}
	return path
}
