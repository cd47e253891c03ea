package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kamado/kamado/images/purge"
)

// Paths of what nodes say to each other.
const (
	pathExchange = Prefix + "purge/peer/exchange"
	pathPush     = Prefix + "purge/peer/push"
)

// messageMax bounds a message between nodes: PageMax orders with the longest
// names and reasons, and vectors. Unit: bytes.
const messageMax = 8 << 20

// peer is another node, known by its URL.
type peer struct {
	url  string
	soon chan struct{} // an exchange is wanted now
	self atomic.Bool   // it is this node
	gone atomic.Bool   // not a peer any more

	mu       sync.Mutex
	name     string // "" until it answered
	last     time.Time
	err      error         // of the last try
	digest   purge.Digest  // at the last answer
	swept    bool          // at the last answer
	pause    time.Duration // before the next try; 0: the interval
	known    bool          // it answered, or its failure was told
	fromNull bool          // the next exchange asks for everything
	resynced time.Time     // when it was last decided so
	silent   time.Time     // when a push got no answer; zero: it answered since
}

// hush notes that a push got no answer.
func (p *peer) hush() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.silent = time.Now()
}

// isSilent says whether a push got no answer for so short a time that another one
// would wait for nothing.
func (p *peer) isSilent(pause time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.silent.IsZero() && time.Since(p.silent) < pause
}

// label names the peer in answers.
func (p *peer) label() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.name != "" {
		return p.name
	}
	if u, err := url.Parse(p.url); err == nil && u.Host != "" {
		return u.Host
	}
	return p.url
}

// state is what a node says about itself with every answer.
type state struct {
	Node     string       `json:"node"`
	Instance string       `json:"instance"`
	Digest   purge.Digest `json:"digest"`
	Swept    bool         `json:"swept"` // no bytes of takedowns are left
}

// exchangeRequest asks for what since has not.
type exchangeRequest struct {
	state
	Since purge.Vector `json:"since"`
	// Probe asks whether the digests are equal and no more, where the vector is
	// long; the answer has no page.
	Probe bool `json:"probe,omitempty"`
}

// probeFrom is from how many nodes on a vector is sent only when digests differ:
// 64 of them take about 2 KB.
const probeFrom = 64

// exchangeAnswer is a page, unless the digests are equal.
type exchangeAnswer struct {
	state
	Equal bool        `json:"equal,omitempty"`
	Page  *purge.Page `json:"page,omitempty"`
}

// pushRequest brings orders; Ask asks about one of them.
type pushRequest struct {
	state
	Page purge.Page `json:"page"`
	Ask  purge.ID   `json:"ask"`
}

// pushAnswer says whether the order that was asked about holds and is swept.
type pushAnswer struct {
	state
	Held      bool `json:"held"`
	OrderDone bool `json:"order_done"`
}

func (n *Node) state() state {
	_, unswept := n.deps.Table.Unswept()
	return state{n.cfg.Node, n.instance, n.deps.Table.Digest(), !unswept}
}

// statusError is an answer that says no.
type statusError struct{ url, status, text string }

func (e *statusError) Error() string {
	return fmt.Sprintf("%s answers %s: %s", e.url, e.status, e.text)
}

// errSelf says that a peer is this node.
var errSelf = errors.New("this is the node itself")

// call sends a message and reads the answer.
func (n *Node) call(ctx context.Context, p *peer, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+n.cfg.Secret)
	req.Header.Set("Content-Type", "application/json")
	resp, err := n.deps.Client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 512))
		return &statusError{p.url, resp.Status, string(bytes.TrimSpace(text))}
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, messageMax+1))
	if err != nil {
		return err
	}
	if len(text) > messageMax {
		return fmt.Errorf("the answer of %s is longer than %d bytes", p.url, messageMax)
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("the answer of %s: %w", p.url, err)
	}
	return nil
}

// heard notes who answered. A node of the same name that is another is a
// mistake that is told; orders of both are kept apart by their suffixes.
func (n *Node) heard(p *peer, s state) error {
	if s.Instance == n.instance {
		p.self.Store(true)
		return errSelf
	}
	if !purge.ValidNodeName(s.Node) {
		return fmt.Errorf("%s gives %.100q as its name", p.url, s.Node)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.Node == n.cfg.Node && p.name != s.Node {
		n.deps.Log.Warn("two nodes of the fleet have the same name", "node", s.Node, "peer", p.url)
	}
	p.name, p.digest, p.swept, p.silent = s.Node, s.Digest, s.Swept, time.Time{}
	return nil
}

// tried notes how it went, tells when that changed, and sets the pause before the
// next try.
func (n *Node) tried(ctx context.Context, p *peer, err error) {
	if ctx.Err() != nil && err != nil || errors.Is(err, errSelf) || p.gone.Load() {
		return
	}
	p.mu.Lock()
	was, known := p.err, p.known
	p.err, p.known = err, true
	if err == nil {
		p.last, p.pause = time.Now(), 0
	} else {
		p.pause = min(max(2*p.pause, n.cfg.Interval/4), idleFactor*n.cfg.Interval)
	}
	p.mu.Unlock()
	switch {
	case err != nil && (was == nil || !known):
		n.deps.Log.Warn("node of the fleet does not answer", "peer", p.url, "err", err)
		n.tell(Event{Kind: EventPeerDown, Peer: p.label(), Err: err})
	case err == nil && (was != nil || !known):
		n.deps.Log.Info("node of the fleet answers", "peer", p.url, "node", p.label())
		n.tell(Event{Kind: EventPeerUp, Peer: p.label()})
	}
}

// runPeers runs one loop for each peer.
func (n *Node) runPeers(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	running := map[*peer]bool{}
	for {
		for _, p := range n.others() {
			if !running[p] {
				running[p] = true
				wg.Go(func() { n.runPeer(ctx, p) })
			}
		}
		select {
		case <-n.wake:
		case <-ctx.Done():
			return
		}
		for p := range running {
			if p.gone.Load() {
				delete(running, p)
				p.want()
			}
		}
	}
}

// want asks for an exchange now.
func (p *peer) want() {
	select {
	case p.soon <- struct{}{}:
	default:
	}
}

// runPeer exchanges with one peer until ctx ends, or it is none any more.
func (n *Node) runPeer(ctx context.Context, p *peer) {
	for !p.gone.Load() && !p.self.Load() {
		err := n.exchange(ctx, p)
		n.exchanges.Add(1)
		if err != nil && !errors.Is(err, errSelf) {
			n.exchangeFailures.Add(1)
		}
		n.tried(ctx, p, err)
		p.mu.Lock()
		pause := p.pause
		p.mu.Unlock()
		if pause == 0 {
			pause = n.cfg.Interval
		}
		// From three quarters to five quarters of it, so that nodes that were
		// started together do not ask together.
		pause = pause*3/4 + time.Duration(rand.Int64N(int64(pause/2)+1))
		if !rest(ctx, pause, p.soon) {
			return
		}
	}
}

// exchange brings this node what the peer has and it has not, and then the peer
// what it has not.
func (n *Node) exchange(ctx context.Context, p *peer) error {
	p.mu.Lock()
	since := n.deps.Table.Vector()
	if p.fromNull {
		since = purge.Vector{}
	}
	p.mu.Unlock()
	probe := len(since) > probeFrom
	var last exchangeAnswer
	for {
		var ans exchangeAnswer
		req := exchangeRequest{state: n.state(), Since: since, Probe: probe}
		if probe {
			req.Since = nil
		}
		if err := n.message(ctx, p, pathExchange, req, &ans); err != nil {
			return err
		}
		if err := n.heard(p, ans.state); err != nil {
			return err
		}
		if ans.Equal {
			p.setFromNull(false)
			return n.healed(p)
		}
		if probe {
			probe = false
			continue
		}
		if ans.Page == nil {
			return fmt.Errorf("%s answers without a page", p.url)
		}
		if err := n.take(p, ans.Page); err != nil {
			return err
		}
		if last = ans; !ans.Page.More {
			break
		}
		if ans.Page.Next.Covers(since) && since.Covers(ans.Page.Next) {
			return fmt.Errorf("%s gives pages without end", p.url)
		}
		since = ans.Page.Next
	}
	if err := n.healed(p); err != nil {
		return err
	}
	return n.bring(ctx, p, last.Page)
}

func (p *peer) setFromNull(v bool) {
	p.mu.Lock()
	p.fromNull = v
	p.mu.Unlock()
}

// bring sends the peer what its vector has not seen.
func (n *Node) bring(ctx context.Context, p *peer, has *purge.Page) error {
	since := has.Vector
	if since == nil {
		since = purge.Vector{}
	}
	mine := n.deps.Table.Digest()
	if has.Digest == mine {
		return nil
	}
	if v := n.deps.Table.Vector(); since.Covers(v) && v.Covers(since) && p.resync(has.Digest) {
		// Nothing is missing and yet they differ: a vector is wrong, or the
		// last message is on its way. Everything is sent, and asked for next.
		n.resyncs.Add(1)
		since = purge.Vector{}
	}
	for {
		page := n.deps.Table.Page(since, purge.PageMax)
		if len(page.Orders) > 0 || page.Floor.Compare(has.Floor) > 0 || !since.Covers(page.Covers) {
			var ans pushAnswer
			if err := n.message(ctx, p, pathPush, pushRequest{state: n.state(), Page: page}, &ans); err != nil {
				return err
			}
			if err := n.heard(p, ans.state); err != nil {
				return err
			}
			n.pushed.Add(uint64(len(page.Orders)))
		}
		if !page.More {
			return nil
		}
		since = page.Next
	}
}

// resyncPause is how long after one exchange of everything with a peer the next
// is at the earliest.
const resyncPause = time.Minute

// resync says whether to exchange everything: the peer's digest is the one that
// was seen last, and the last time is long ago.
func (p *peer) resync(d purge.Digest) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.digest != d || time.Since(p.resynced) < resyncPause {
		return false
	}
	p.fromNull, p.resynced = true, time.Now()
	return true
}

// message is call with a bound of time.
func (n *Node) message(ctx context.Context, p *peer, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, exchangeTime)
	defer cancel()
	return n.call(ctx, p, path, in, out)
}

// take merges a page that a peer sent.
func (n *Node) take(p *peer, page *purge.Page) error {
	return n.merge(p.label(), page)
}

// merge keeps what another node sent. The first failure is told, and the
// recovery.
func (n *Node) merge(from string, page *purge.Page) error {
	fresh, err := n.deps.Table.Merge(*page)
	if n.merging.Swap(err != nil) != (err != nil) {
		if err != nil {
			n.deps.Log.Error("orders of another node cannot be kept", "node", from, "err", err)
		} else {
			n.deps.Log.Info("orders of other nodes are kept again", "node", from)
		}
	}
	if err != nil {
		n.refused.Add(1)
		return fmt.Errorf("merge what %s sends: %w", from, err)
	}
	n.arrived(from, fresh)
	return nil
}

func (n *Node) arrived(from string, fresh []purge.Order) {
	n.pulled.Add(uint64(len(fresh)))
	for _, o := range fresh {
		if ahead := time.Until(o.ID.When()); ahead > skewMax && !n.ahead.Swap(true) {
			// Order stays right: later orders of every node count on from there.
			n.deps.Log.Warn("clock of another node is ahead", "node", o.ID.Node, "by", ahead.Round(time.Second))
		}
		n.tell(Event{Kind: EventArrived, Order: o, Peer: from})
	}
}

// healed notes that everything was asked of a peer, after damage.
func (n *Node) healed(p *peer) error {
	if !n.deps.Table.Stats().Salted {
		return nil
	}
	if err := n.deps.Table.Healed(); err != nil {
		return err
	}
	n.deps.Log.Info("file of orders is whole again", "peer", p.url)
	n.tell(Event{Kind: EventHealed, Peer: p.label()})
	return nil
}
