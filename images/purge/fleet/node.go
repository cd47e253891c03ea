package fleet

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kamado/kamado/images/cache"
	"github.com/kamado/kamado/images/purge"
)

// Bounds and defaults.
const (
	// PeersMax bounds the peers of a node.
	PeersMax = 256
	// DefaultInterval is how often a peer is asked for what is new.
	DefaultInterval = 3 * time.Second
	// DefaultPushTime is how long an order waits for the peers' answers before it is
	// answered itself.
	DefaultPushTime = 2 * time.Second
	// DefaultInFlight is how long a request that began before an order may still
	// bring forth what the order is about: the room's time for one rendition
	// and some more.
	DefaultInFlight = 30 * time.Second

	secretMin = 16 // bytes
	// pushesMax bounds pushes under way at the same time.
	pushesMax = 32
	// idleFactor is up to how many intervals pass between two tries of a peer that
	// does not answer.
	idleFactor = 4
	// exchangeTime bounds one message of an exchange.
	exchangeTime = 15 * time.Second
	// skewMax is from which difference of clocks on an operator is told.
	skewMax = time.Minute
	// refreshPeers is how often the function that names peers is asked.
	refreshPeers = 10 * time.Second
)

// Config says who the node is and who its peers are.
type Config struct {
	Node     string        // name; required
	Peers    []string      // base URLs; this node may be among them
	Secret   string        // shared by all nodes; required with peers. At least 16 bytes
	Interval time.Duration // default 3 s
	PushTime time.Duration // default 2 s
	InFlight time.Duration // default 30 s
}

// Cache is one cache to sweep.
type Cache struct {
	Name string // "results_disk", for logs
	// Sweep deletes entries whose label refused says yes to; cache.Disk's method.
	Sweep func(ctx context.Context, refused func(cache.Label) bool) (removed int, err error)
	// Again says that the cache cannot refuse what requests under way still bring,
	// so that it is swept once more after InFlight.
	Again bool
}

// CDN is told of orders. Tell returns when they are on disk; what it makes of
// them later is its own.
type CDN interface {
	Tell(orders ...purge.Order) error
	// Told is the latest order that Tell was called with, in this or an earlier
	// run.
	Told() purge.ID
	Run(ctx context.Context) error
}

// Deps are what a Node uses. Table and Log are needed.
type Deps struct {
	Table  *purge.Table
	Caches []Cache
	CDN    CDN // nil: none
	// Peers gives further base URLs, as those of names in DNS; asked every 10 s.
	// Errors keep the last answer. nil: none.
	Peers  func(ctx context.Context) ([]string, error)
	Client *http.Client // default: one of its own
	Events func(Event)  // nil: nobody listens; must not wait
	Log    *slog.Logger
}

// Node is this image server among the others. Safe for concurrent use.
type Node struct {
	cfg      Config
	deps     Deps
	instance string // drawn at each start: tells this node from one of the same name
	secret   [sha256.Size]byte
	pushes   chan struct{} // places for pushes

	mu    sync.Mutex
	peers map[string]*peer // by base URL
	named []string         // of the last answer of deps.Peers

	issuing sync.Mutex
	turn    <-chan struct{} // closed when the orders issued last have told the CDN

	wake                                                         chan struct{} // a peer was added
	sweeps, removed, sweepFailures, pushed, pushFailures, pulled atomic.Uint64
	exchanges, exchangeFailures, resyncs, refused                atomic.Uint64
	merging                                                      atomic.Bool // the last merge failed
	ahead                                                        atomic.Bool // a clock that is ahead was told of
}

// New makes a node. It reaches nobody before Run or an order.
func New(cfg Config, deps Deps) (*Node, error) {
	if !purge.ValidNodeName(cfg.Node) {
		return nil, fmt.Errorf("fleet: %q is not the name of a node", cfg.Node)
	}
	if len(cfg.Secret) < secretMin && (len(cfg.Peers) > 0 || deps.Peers != nil || cfg.Secret != "") {
		return nil, fmt.Errorf("fleet: the secret has %d bytes, at least %d are wanted", len(cfg.Secret), secretMin)
	}
	if cfg.Interval <= 0 {
		cfg.Interval = DefaultInterval
	}
	if cfg.PushTime <= 0 {
		cfg.PushTime = DefaultPushTime
	}
	if cfg.InFlight <= 0 {
		cfg.InFlight = DefaultInFlight
	}
	if e, ok := deps.CDN.(interface{ Empty() bool }); ok && e.Empty() {
		deps.CDN = nil // no CDN is configured, and answers say nothing of one
	}
	if deps.Client == nil {
		deps.Client = &http.Client{
			Transport: &http.Transport{MaxIdleConnsPerHost: 2, MaxConnsPerHost: 8, IdleConnTimeout: time.Minute, ResponseHeaderTimeout: exchangeTime},
			// The bearer goes to the peer that was named and nowhere else.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	var instance [8]byte
	rand.Read(instance[:]) // never fails
	n := &Node{
		cfg: cfg, deps: deps, instance: hex.EncodeToString(instance[:]), secret: sha256.Sum256([]byte(cfg.Secret)),
		pushes: make(chan struct{}, pushesMax), peers: map[string]*peer{}, wake: make(chan struct{}, 1),
	}
	first := make(chan struct{})
	close(first)
	n.turn = first
	if len(cfg.Peers) > PeersMax {
		return nil, fmt.Errorf("fleet: %d peers, at most %d", len(cfg.Peers), PeersMax)
	}
	n.setPeers(nil)
	return n, nil
}

// setPeers makes the configured and the named URLs the peers.
func (n *Node) setPeers(named []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.named = named
	want := map[string]bool{}
	for _, list := range [][]string{n.cfg.Peers, named} {
		for _, url := range list {
			if url = strings.TrimSuffix(url, "/"); url != "" && len(want) < PeersMax {
				want[url] = true
			}
		}
	}
	for url, p := range n.peers {
		if !want[url] {
			p.gone.Store(true)
			delete(n.peers, url)
		}
	}
	for url := range want {
		if n.peers[url] == nil {
			n.peers[url] = &peer{url: url, soon: make(chan struct{}, 1)}
		}
	}
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// others are the peers that are not this node itself, as far as is known.
func (n *Node) others() []*peer {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := make([]*peer, 0, len(n.peers))
	for _, p := range n.peers {
		if !p.self.Load() {
			list = append(list, p)
		}
	}
	return list
}

// Run exchanges orders with peers, sweeps, and tells the CDN, until ctx ends and
// all is quiet. Call it once.
func (n *Node) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { n.runPeers(ctx) })
	wg.Go(func() { n.runSweeps(ctx) })
	if n.deps.Peers != nil {
		wg.Go(func() { n.runNames(ctx) })
	}
	var err error
	if n.deps.CDN != nil {
		n.tellForgotten()
		wg.Go(func() { err = n.deps.CDN.Run(ctx) })
	}
	wg.Wait()
	return err
}

// runNames asks who the peers are.
func (n *Node) runNames(ctx context.Context) {
	failing := false
	for {
		named, err := n.deps.Peers(ctx)
		if err == nil {
			n.setPeers(named)
		}
		if ctx.Err() == nil && (err != nil) != failing {
			if failing = err != nil; failing {
				n.deps.Log.Warn("names of the fleet's nodes cannot be looked up", "err", err)
			} else {
				n.deps.Log.Info("names of the fleet's nodes are looked up again")
			}
		}
		if !rest(ctx, refreshPeers, nil) {
			return
		}
	}
}

// rest waits; false when ctx ended. soon, which may be nil, ends the wait.
func rest(ctx context.Context, d time.Duration, soon <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-soon:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// tellForgotten hands the CDN orders of this node that an earlier run gave and
// did not hand on before it ended.
func (n *Node) tellForgotten() {
	after := n.deps.CDN.Told()
	for {
		orders := n.deps.Table.Orders(after, false, purge.PageMax)
		if len(orders) == 0 {
			return
		}
		after = orders[len(orders)-1].ID
		var mine []purge.Order
		for _, o := range orders {
			if name := o.ID.Node[:max(strings.LastIndexByte(o.ID.Node, '.'), 0)]; name == n.cfg.Node {
				mine = append(mine, o)
			}
		}
		n.tellCDN(mine)
	}
}

// tellCDN hands orders to the CDN's queue.
func (n *Node) tellCDN(orders []purge.Order) error {
	if n.deps.CDN == nil || len(orders) == 0 {
		return nil
	}
	err := n.deps.CDN.Tell(orders...)
	if err != nil {
		n.deps.Log.Error("orders for the cdn cannot be kept", "first", orders[0].ID.String(), "orders", len(orders), "err", err)
	}
	return err
}

// runSweeps deletes the bytes of takedowns as they arrive.
func (n *Node) runSweeps(ctx context.Context) {
	var again <-chan time.Time
	failing := false
	pause := time.Second
	for ctx.Err() == nil {
		changed := n.deps.Table.Changed()
		upTo, ok := n.deps.Table.Unswept()
		if ok {
			err := n.sweep(ctx, false)
			if err == nil {
				err = n.deps.Table.Swept(upTo)
			}
			if ctx.Err() != nil {
				return
			}
			if (err != nil) != failing {
				if failing = err != nil; failing {
					n.deps.Log.Warn("cached bytes of takedowns cannot be deleted", "err", err)
				} else {
					n.deps.Log.Info("cached bytes of takedowns are deleted again")
				}
			}
			if err != nil {
				n.sweepFailures.Add(1)
				n.tell(Event{Kind: EventSweepFail, Err: err})
				if !rest(ctx, pause, nil) {
					return
				}
				pause = min(2*pause, time.Minute)
				continue
			}
			pause = time.Second
			again = time.After(n.cfg.InFlight)
			continue // more may have come
		}
		select {
		case <-changed:
		case <-again:
			again = nil
			_ = n.sweep(ctx, true)
		case <-ctx.Done():
		}
	}
}

// sweep sweeps all caches once, or those only that need it again.
func (n *Node) sweep(ctx context.Context, again bool) error {
	start := time.Now()
	removed := 0
	var errs []error
	for _, c := range n.deps.Caches {
		if again && !c.Again {
			continue
		}
		k, err := c.Sweep(ctx, n.refuses)
		removed += k
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", c.Name, err))
		}
	}
	n.removed.Add(uint64(removed))
	if err := errors.Join(errs...); err != nil {
		return err
	}
	n.sweeps.Add(1)
	n.tell(Event{Kind: EventSwept, Removed: removed, Took: time.Since(start)})
	return nil
}

// refuses is Table.Refused for labels.
func (n *Node) refuses(l cache.Label) bool {
	return l != (cache.Label{}) && n.deps.Table.Refused(l.Source, l.Key, "", l.Owner)
}
