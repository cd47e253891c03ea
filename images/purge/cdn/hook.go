package cdn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/purge"
	"github.com/kamado/kamado/internal/disk"
)

// Bounds and defaults.
const (
	// DefaultQueueMax is how many orders may wait for the CDN.
	DefaultQueueMax = 100_000

	// queueSuffix ends the name of a queue's file. No name of a CDN has a dot, so
	// the directory may be that of the table of orders.
	queueSuffix = ".queue"

	pauseMin      = time.Second // after a request that failed; doubles
	pauseMax      = time.Minute
	retryAfterMax = 5 * time.Minute // of what a CDN asks for
)

// Config is one hook.
type Config struct {
	images.CDN
	Name     string        // for logs and metrics; the queue's file has it
	Dir      string        // of the queues; is made when missing
	Secret   string        // .Secret of the templates
	QueueMax int           // default 100,000
	PauseMin time.Duration // after a request that failed; doubles up to a minute. Default 1 s
	// Begin is the latest order there was when the hook is opened for the first
	// time: what was ordered before concerns no CDN.
	Begin purge.ID
}

// Deps are what a hook uses. Log is needed.
type Deps struct {
	Client *http.Client // default: one of its own
	Events func(Event)  // nil: nobody listens; must not wait
	Log    *slog.Logger
	Disk   disk.Disk // default disk.OS
}

// Event is how a request to the CDN went.
type Event struct {
	Time   time.Time
	Name   string
	Orders []purge.Order
	Status int // 0: no answer
	Took   time.Duration
	Err    error // nil: the CDN said yes
	GaveUp bool
}

// Hook tells one CDN. Safe for concurrent use.
type Hook struct {
	cfg  Config
	deps Deps
	call *call

	mu    sync.Mutex
	queue *queue
	due   map[uint64]time.Time // when to tell an item; none: now
	tries map[uint64]int
	soon  chan struct{}

	sent, failed, gaveUp, told, folds atomic.Uint64
	down                              atomic.Bool
}

// Open opens a hook and its queue, and tries its templates. It calls nobody
// before Run.
func Open(cfg Config, deps Deps) (*Hook, error) {
	cfg.CDN = cfg.CDN.WithDefaults()
	if cfg.QueueMax <= 0 {
		cfg.QueueMax = DefaultQueueMax
	}
	if cfg.PauseMin <= 0 {
		cfg.PauseMin = pauseMin
	}
	if !images.ValidName(cfg.Name) {
		return nil, fmt.Errorf("cdn: %q is not a name", cfg.Name)
	}
	c, err := parseCall(cfg.CDN)
	if err != nil {
		return nil, fmt.Errorf("cdn %s: %w", cfg.Name, err)
	}
	if deps.Disk == nil {
		deps.Disk = disk.OS{}
		if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
			return nil, fmt.Errorf("cdn %s: %w", cfg.Name, err)
		}
	}
	if deps.Client == nil {
		deps.Client = &http.Client{
			Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute},
			// The secret goes where it was configured to go and nowhere else.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	q, err := openQueue(deps.Disk, filepath.Join(cfg.Dir, cfg.Name+queueSuffix))
	if err != nil {
		return nil, err
	}
	if q.damaged > 0 {
		deps.Log.Error("queue of orders for a cdn is damaged", "cdn", cfg.Name, "places", q.damaged, "orders", len(q.items))
	}
	if q.told.IsZero() && !cfg.Begin.IsZero() {
		if err := q.write(record{kind: recordTold, told: cfg.Begin}); err != nil {
			return nil, errors.Join(err, q.journal.Close())
		}
	}
	return &Hook{cfg: cfg, deps: deps, call: c, queue: q, due: map[uint64]time.Time{}, tries: map[uint64]int{}, soon: make(chan struct{}, 1)}, nil
}

// Close closes the queue's file.
func (h *Hook) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.queue.journal.Close()
}

// Tell queues orders; when it returns nil they are on disk.
func (h *Hook) Tell(orders ...purge.Order) error {
	if len(orders) == 0 {
		return nil
	}
	h.mu.Lock()
	folded, err := h.queue.add(orders, h.cfg.QueueMax)
	h.mu.Unlock()
	if err != nil {
		return fmt.Errorf("cdn %s: %w", h.cfg.Name, err)
	}
	if folded {
		h.folds.Add(1)
		h.deps.Log.Warn("too many orders wait for a cdn; it is told to purge all", "cdn", h.cfg.Name, "bound", h.cfg.QueueMax)
	}
	select {
	case h.soon <- struct{}{}:
	default:
	}
	return nil
}

// Told is the latest order that Tell was called with.
func (h *Hook) Told() purge.ID {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.queue.told
}

// Run tells the CDN what is queued, until ctx ends. Call it once.
func (h *Hook) Run(ctx context.Context) error {
	var next time.Time // by the rate
	pause := time.Duration(0)
	for {
		batch, at := h.batch(time.Now())
		if len(batch) == 0 {
			var wait <-chan time.Time
			if !at.IsZero() {
				wait = time.After(time.Until(at))
			}
			select {
			case <-h.soon:
			case <-wait:
			case <-ctx.Done():
				return nil
			}
			continue
		}
		if !sleep(ctx, max(time.Until(next), pause)) {
			return nil
		}
		next = time.Now().Add(time.Duration(float64(time.Second) / h.cfg.Rate))
		retryAfter, err := h.send(ctx, batch)
		if ctx.Err() != nil {
			return nil // told or not: it is told again
		}
		if err == nil {
			pause = 0
			continue
		}
		pause = max(min(max(2*pause, h.cfg.PauseMin), pauseMax), retryAfter)
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// batch gives the items that are due, the oldest first, or when the next is.
func (h *Hook) batch(now time.Time) (batch []*item, next time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for number, it := range h.queue.items {
		due := h.due[number]
		if !due.After(now) {
			batch = append(batch, it)
		} else if next.IsZero() || due.Before(next) {
			next = due
		}
	}
	slices.SortFunc(batch, func(a, b *item) int { return cmp.Compare(a.number, b.number) })
	return batch[:min(len(batch), h.cfg.Batch)], next
}

// send makes one request and notes what became of it.
func (h *Hook) send(ctx context.Context, batch []*item) (retryAfter time.Duration, err error) {
	orders := make([]purge.Order, len(batch))
	for i, it := range batch {
		orders[i] = it.order
	}
	start := time.Now()
	status, retryAfter, err := h.request(ctx, orders)
	if err != nil && ctx.Err() != nil {
		return 0, err
	}
	if err == nil {
		h.sent.Add(1)
	} else {
		h.failed.Add(1)
	}
	gaveUp, werr := h.note(batch, err == nil)
	if werr != nil {
		// It is told again, which does no harm; a pause keeps this from spinning.
		h.deps.Log.Error("queue of orders for a cdn cannot be written", "cdn", h.cfg.Name, "err", werr)
	}
	if h.deps.Events != nil {
		h.deps.Events(Event{Time: start, Name: h.cfg.Name, Orders: orders, Status: status, Took: time.Since(start), Err: err, GaveUp: gaveUp})
	}
	if gaveUp {
		h.deps.Log.Error("cdn was not told of orders", "cdn", h.cfg.Name, "first", orders[0].Target.String(), "orders", len(orders), "err", err)
	}
	if h.down.Swap(err != nil) != (err != nil) {
		if err != nil {
			h.deps.Log.Warn("cdn cannot be told of orders", "cdn", h.cfg.Name, "err", err)
		} else {
			h.deps.Log.Info("cdn is told of orders again", "cdn", h.cfg.Name)
		}
	}
	return retryAfter, errors.Join(err, werr)
}

// note moves items on: after the first time to the second, after that away, and
// after too many tries away too.
func (h *Hook) note(batch []*item, ok bool) (gaveUp bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var records []record
	for _, it := range batch {
		if h.queue.items[it.number] == nil {
			continue // folded meanwhile
		}
		switch again := h.cfg.Again > 0 && !it.second; {
		case ok && again:
			h.due[it.number] = time.Now().Add(h.cfg.Again)
			records = append(records, record{kind: recordFirst, number: it.number})
		case ok:
			h.told.Add(1)
			records = append(records, record{kind: recordDone, number: it.number})
		default:
			if h.tries[it.number]++; h.tries[it.number] < h.cfg.Tries {
				continue
			}
			gaveUp = true
			h.gaveUp.Add(1)
			records = append(records, record{kind: recordDone, number: it.number})
		}
		delete(h.tries, it.number)
	}
	err = h.queue.write(records...)
	for number := range h.due {
		if h.queue.items[number] == nil {
			delete(h.due, number)
		}
	}
	return gaveUp, err
}

// request makes one request. Yes is any 2xx; to a PURGE also that there is
// nothing to purge (404, and 412 of nginx).
func (h *Hook) request(ctx context.Context, orders []purge.Order) (status int, retryAfter time.Duration, err error) {
	r, err := h.call.render(fieldsOf(orders, h.cfg.Secret))
	if err != nil {
		return 0, 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Timeout)
	defer cancel()
	var body io.Reader
	if r.hasBody {
		body = strings.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, body)
	if err != nil {
		return 0, 0, err
	}
	req.Header = r.header
	if host := r.header.Get("Host"); host != "" {
		req.Host = host
	}
	resp, err := h.deps.Client.Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 1024))
	status = resp.StatusCode
	if status >= 200 && status < 300 || r.method == "PURGE" && (status == http.StatusNotFound || status == http.StatusPreconditionFailed) {
		return status, 0, nil
	}
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
		retryAfter = min(time.Duration(s)*time.Second, retryAfterMax)
	}
	return status, retryAfter, fmt.Errorf("it answers %s: %.200q", resp.Status, text)
}

// Stats is the state of a hook and its counters since it was opened.
type Stats struct {
	Name     string `json:"name"`
	Waiting  int    `json:"waiting"` // orders to be told, for the first or the second time
	QueueMax int    `json:"queue_max"`
	Sent     uint64 `json:"sent"`    // requests to which the CDN said yes
	Failed   uint64 `json:"failed"`  // requests to which it did not
	Told     uint64 `json:"told"`    // orders that it was told for the last time
	GaveUp   uint64 `json:"gave_up"` // orders
	Folds    uint64 `json:"folds"`
	Damaged  int    `json:"damaged"` // places of the queue's file, when it was opened
	Down     bool   `json:"down"`    // the last request failed
}

// Stats reads the state.
func (h *Hook) Stats() Stats {
	h.mu.Lock()
	waiting, damaged := len(h.queue.items), h.queue.damaged
	h.mu.Unlock()
	return Stats{Name: h.cfg.Name, Waiting: waiting, QueueMax: h.cfg.QueueMax, Sent: h.sent.Load(), Failed: h.failed.Load(),
		Told: h.told.Load(), GaveUp: h.gaveUp.Load(), Folds: h.folds.Load(), Damaged: damaged, Down: h.down.Load()}
}
