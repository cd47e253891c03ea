package fleet

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/kamado/kamado/images/purge"
)

// NodeState is how far an order is on a node.
type NodeState string

// The states of a node.
const (
	StateDone        NodeState = "done"                     // it holds, and no bytes are left to delete
	StateSweeping    NodeState = "holds, deleting"          // it holds; cached bytes are being deleted
	StateUnreachable NodeState = "unreachable, will follow" // it has it as soon as it is reached
	StateRefused     NodeState = "refused, is tried again"  // the node says no; its log tells why
)

// Answer is what those get who gave an order.
type Answer struct {
	ID     purge.ID      `json:"id"`               // of the order, or of the last one
	Orders []purge.Order `json:"orders,omitempty"` // all of them
	// Nodes says how far each node is, by its name; one that never answered is named by its address.
	Nodes map[string]NodeState `json:"nodes"`
	// CDN is "queued", "" without a CDN, or what went wrong.
	CDN string `json:"cdn,omitempty"`
}

// Done says whether every node has finished.
func (a *Answer) Done() bool {
	for _, s := range a.Nodes {
		if s != StateDone {
			return false
		}
	}
	return true
}

// pollDone is how often those that have not finished are asked again while
// somebody waits.
const pollDone = 100 * time.Millisecond

// WaitMax bounds how long an order waits to be done everywhere.
const WaitMax = 60 * time.Second

// Order gives orders, pushes them to all peers at once, tells the CDN, and says
// how far every node is. With wait it asks until all have finished, or the time
// is over. An error means that they were not given; see purge.Table.Issue.
func (n *Node) Order(ctx context.Context, wait time.Duration, drafts ...purge.Draft) (*Answer, error) {
	orders, turn, done, err := n.issue(drafts)
	if err != nil {
		return nil, err
	}
	defer done()
	// Whoever gave the order may leave; it is given all the same.
	asked := ctx
	ctx = context.WithoutCancel(ctx)
	for _, o := range orders {
		n.tell(Event{Kind: EventIssued, Order: o})
	}
	last := orders[len(orders)-1].ID
	a := &Answer{ID: last, Orders: orders, Nodes: n.push(ctx, orders, last)}
	if n.deps.CDN != nil {
		<-turn // at most the time of a push of those before
		a.CDN = "queued"
		if n.tellCDN(orders) != nil {
			a.CDN = "not queued: it could not be written to disk"
		}
		done()
	}
	for end := time.Now().Add(min(wait, WaitMax)); !a.Done() && time.Now().Before(end) && rest(asked, pollDone, nil); {
		a.Nodes = n.push(ctx, orders, last)
	}
	return a, nil
}

// issue gives orders, and their turn to tell the CDN: turn is closed when all that
// were issued before have told it, and done lets the next ones. The CDN remembers
// the latest order that it was told of, and a restart goes on behind it.
func (n *Node) issue(drafts []purge.Draft) (orders []purge.Order, turn <-chan struct{}, done func(), err error) {
	n.issuing.Lock()
	defer n.issuing.Unlock()
	if orders, err = n.deps.Table.Issue(drafts...); err != nil {
		return nil, nil, nil, err
	}
	if n.deps.CDN == nil {
		return orders, nil, func() {}, nil // nobody's turn
	}
	mine := make(chan struct{})
	turn, n.turn = n.turn, mine
	return orders, turn, sync.OnceFunc(func() {
		<-turn
		close(mine)
	}), nil
}

// Progress says how far an order that holds is on every node.
func (n *Node) Progress(ctx context.Context, o purge.Order) *Answer {
	return &Answer{ID: o.ID, Orders: []purge.Order{o}, Nodes: n.push(ctx, []purge.Order{o}, o.ID)}
}

// push sends orders to all peers at once and says how far each is with one of
// them. Peers that do not answer get them from an exchange.
func (n *Node) push(ctx context.Context, orders []purge.Order, ask purge.ID) map[string]NodeState {
	states := map[string]NodeState{n.cfg.Node: StateSweeping}
	if n.deps.Table.SweptOf(ask) {
		states[n.cfg.Node] = StateDone
	}
	peers := n.others()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, p := range peers {
		wg.Go(func() {
			s, ok := n.pushTo(ctx, p, orders, ask)
			if !ok {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			name := p.label()
			if _, twice := states[name]; twice {
				name += " (" + p.url + ")"
			}
			states[name] = s
		})
	}
	wg.Wait()
	return states
}

// pushTo pushes to one peer; ok is false when that is this node. A peer that just
// left a push without an answer is left to its exchanges, which find out when it is
// back: each upload gives an order, and must not wait for it again.
func (n *Node) pushTo(ctx context.Context, p *peer, orders []purge.Order, ask purge.ID) (s NodeState, ok bool) {
	if p.isSilent(idleFactor * n.cfg.Interval) {
		p.want()
		return StateUnreachable, true
	}
	ctx, cancel := context.WithTimeout(ctx, n.cfg.PushTime)
	defer cancel()
	select {
	case n.pushes <- struct{}{}:
		defer func() { <-n.pushes }()
	case <-ctx.Done():
		return StateUnreachable, true
	}
	var ans pushAnswer
	var err error
	for part := range slices.Chunk(orders, purge.PageMax) {
		if err = n.call(ctx, p, pathPush, pushRequest{n.state(), purge.Page{Orders: part}, ask}, &ans); err != nil {
			break
		}
	}
	if err == nil {
		err = n.heard(p, ans.state)
	}
	switch {
	case errors.Is(err, errSelf):
		return "", false
	case err != nil:
		n.pushFailures.Add(1)
		p.want() // the loop finds out when it is back
		if no := (*statusError)(nil); errors.As(err, &no) {
			return StateRefused, true
		}
		if !errors.Is(err, context.Canceled) { // who asked left; that is no word on the peer
			p.hush()
		}
		return StateUnreachable, true
	}
	n.pushed.Add(uint64(len(orders)))
	switch {
	case !ans.Held:
		return StateRefused, true
	case !ans.OrderDone:
		return StateSweeping, true
	}
	return StateDone, true
}
