package fleet

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/delivery"
	"github.com/kamado/kamado/images/purge"
	"github.com/kamado/kamado/internal/httpserver"
)

// Prefix begins every path.
const Prefix = "/-/api/v1/"

// orderMax bounds the body of an order; KeysMax keys of the longest sort do not
// all fit. Unit: bytes.
const orderMax = 1 << 20

// KeysMax bounds the originals of one request.
const KeysMax = 1000

// Guard decides who may give orders and who may read; see images/api.Guard.
type Guard interface {
	Require(http.Handler) http.Handler
	Reads(http.Handler) http.Handler
}

// Request is the body of POST purge, takedown and restore: originals by key, or
// one tag.
type Request struct {
	Key  string   `json:"key,omitempty"`
	Keys []string `json:"keys,omitempty"`
	// Origin is where the keys lie; empty: default.
	Origin string `json:"origin,omitempty"`
	// Exact says that a key without a picture's ending is meant as it is. Otherwise
	// each name under which its original may lie is meant: 1, 1.jpg, 1.png and so on.
	Exact  bool   `json:"exact,omitempty"`
	Tag    string `json:"tag,omitempty"` // kind/NAME, owner/NAME, origin/NAME, prefix/ORIGIN/BEGINNING, all
	Reason string `json:"reason,omitempty"`
	// Wait is for how many seconds to wait until every node has finished, at most 60.
	Wait float64 `json:"wait,omitempty"`
}

// drafts are the orders that the request asks for.
func (r *Request) drafts(action purge.Action) ([]purge.Draft, error) {
	keys := r.Keys
	if r.Key != "" {
		keys = append([]string{r.Key}, keys...)
	}
	if (len(keys) > 0) == (r.Tag != "") {
		return nil, images.Invalidf("key", "give key, keys or tag, and one of them only")
	}
	if len(keys) > KeysMax {
		return nil, images.Invalidf("keys", "%d of them, at most %d", len(keys), KeysMax)
	}
	if !(r.Wait >= 0 && r.Wait <= WaitMax.Seconds()) {
		return nil, images.Invalidf("wait", "it is not between 0 and %v seconds", WaitMax.Seconds())
	}
	if r.Tag != "" {
		target, err := purge.ParseTarget(r.Tag)
		return []purge.Draft{{Action: action, Target: target, Reason: r.Reason}}, err
	}
	source := r.Origin
	if source == "" {
		source = images.DefaultOrigin
	}
	var drafts []purge.Draft
	for _, key := range keys {
		names := []string{key}
		if !r.Exact {
			names = (&images.Request{Key: key}).Candidates()
		}
		for _, name := range names {
			d := purge.Draft{Action: action, Target: purge.Key(source, name), Reason: r.Reason}
			if err := d.Validate(); err != nil {
				return nil, err
			}
			drafts = append(drafts, d)
		}
	}
	return drafts, nil
}

// Orders is the answer of GET orders.
type Orders struct {
	Orders []purge.Order `json:"orders"`
	Next   string        `json:"next,omitempty"` // give it as after=; empty: there are no more
}

// Status is the answer of GET purge/status.
type Status struct {
	Node  string      `json:"node"`
	Table purge.Stats `json:"table"`
	Peers []PeerStats `json:"peers"`
	CDN   any         `json:"cdn,omitempty"`
}

// PeerStats is what is known of a peer.
type PeerStats struct {
	URL       string    `json:"url"`
	Node      string    `json:"node,omitempty"`
	Reachable bool      `json:"reachable"`
	Last      time.Time `json:"last,omitzero"` // when it answered last
	Equal     bool      `json:"equal"`         // it held the same orders then
	Swept     bool      `json:"swept"`         // no bytes of takedowns were left there then
	Error     string    `json:"error,omitempty"`
}

// Handler serves the orders under Prefix: POST purge, takedown, restore; GET
// orders, orders/{id}, purge/status; and what peers say, whose bearer is the
// secret. Nothing of peers is served without a secret.
func (n *Node) Handler(guard Guard) http.Handler {
	mux := http.NewServeMux()
	for name, action := range map[string]purge.Action{"purge": purge.Purge, "takedown": purge.Takedown, "restore": purge.Restore} {
		mux.Handle("POST "+Prefix+name, guard.Require(delivery.JSON(func(r *http.Request) (any, error) { return n.order(r, action) })))
	}
	mux.Handle("GET "+Prefix+"orders", guard.Reads(delivery.JSON(n.orders)))
	mux.Handle("GET "+Prefix+"orders/{id}", guard.Reads(delivery.JSON(n.progress)))
	mux.Handle("GET "+Prefix+"purge/status", guard.Reads(delivery.JSON(func(*http.Request) (any, error) { return n.Status(), nil })))
	mux.Handle("POST "+pathExchange, n.peersOnly(n.answerExchange))
	mux.Handle("POST "+pathPush, n.peersOnly(n.answerPush))
	return mux
}

// Serves says whether a path is one of Handler's.
func Serves(path string) bool {
	rest, ok := strings.CutPrefix(path, Prefix)
	if !ok {
		return false
	}
	first, _, _ := strings.Cut(rest, "/")
	return first == "purge" || first == "takedown" || first == "restore" || first == "orders"
}

// readJSON reads one JSON value of at most max bytes and nothing behind it.
func readJSON(r *http.Request, max int64, strict bool, v any) error {
	dec := json.NewDecoder(http.MaxBytesReader(nil, r.Body, max))
	if strict {
		dec.DisallowUnknownFields()
	}
	if err := dec.Decode(v); err != nil {
		return images.Wrap(images.Invalid, "read body", "the body is not the JSON that is wanted here", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return images.Invalidf("body", "something follows the JSON")
	}
	return nil
}

func (n *Node) order(r *http.Request, action purge.Action) (any, error) {
	var req Request
	if err := readJSON(r, orderMax, true, &req); err != nil {
		return nil, err
	}
	drafts, err := req.drafts(action)
	if err != nil {
		return nil, err
	}
	if action == purge.Restore {
		drafts = slices.DeleteFunc(drafts, func(d purge.Draft) bool { return !n.deps.Table.TakenDown(d.Target) })
		if len(drafts) == 0 {
			return nil, images.Errorf(images.NotFound, "no takedown of exactly this is in force on this node")
		}
	}
	return n.Order(r.Context(), time.Duration(req.Wait*float64(time.Second)), drafts...)
}

func (n *Node) orders(r *http.Request) (any, error) {
	q := r.URL.Query()
	limit := 100
	if s := q.Get("limit"); s != "" {
		k, err := strconv.Atoi(s)
		if err != nil || k < 1 || k > purge.PageMax {
			return nil, images.Invalidf("limit", "%.20q is not a number from 1 to %d", s, purge.PageMax)
		}
		limit = k
	}
	var after purge.ID
	if err := after.UnmarshalText([]byte(q.Get("after"))); err != nil {
		return nil, images.Invalidf("after", "%v", err)
	}
	var newest bool
	switch q.Get("newest") {
	case "", "false":
	case "true":
		newest = true
	default:
		return nil, images.Invalidf("newest", "it is not true or false")
	}
	list := Orders{Orders: n.deps.Table.Orders(after, newest, limit)}
	if len(list.Orders) == limit {
		list.Next = list.Orders[limit-1].ID.String()
	}
	return list, nil
}

func (n *Node) progress(r *http.Request) (any, error) {
	id, err := purge.ParseID(r.PathValue("id"))
	if err != nil {
		return nil, images.Invalidf("id", "%v", err)
	}
	o, ok := n.deps.Table.Find(id)
	if !ok {
		return nil, images.Errorf(images.NotFound, "no such order holds here: a later one took its place, or it was folded")
	}
	return n.Progress(r.Context(), o), nil
}

// Status is the state of the node and of what it knows of the others.
func (n *Node) Status() Status {
	s := Status{Node: n.cfg.Node, Table: n.deps.Table.Stats(), Peers: []PeerStats{}}
	for _, p := range n.others() {
		p.mu.Lock()
		ps := PeerStats{URL: p.url, Node: p.name, Reachable: p.err == nil && p.known, Last: p.last, Equal: p.known && p.digest == s.Table.Digest, Swept: p.swept}
		if p.err != nil {
			ps.Error = p.err.Error()
		}
		p.mu.Unlock()
		s.Peers = append(s.Peers, ps)
	}
	slices.SortFunc(s.Peers, func(a, b PeerStats) int { return strings.Compare(a.URL, b.URL) })
	if c, ok := n.deps.CDN.(interface{ Status() any }); ok {
		s.CDN = c.Status()
	}
	return s
}

// peersOnly lets through who has the secret.
func (n *Node) peersOnly(do func(r *http.Request) (any, error)) http.Handler {
	h := delivery.JSON(do)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		sum := sha256.Sum256([]byte(strings.TrimSpace(given)))
		if n.cfg.Secret == "" || !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(sum[:], n.secret[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="kamado fleet"`)
			httpserver.WriteProblem(w, r, httpserver.Problem{Status: http.StatusUnauthorized, Detail: "nodes of the fleet only: the secret they share is missing or another"})
			return
		}
		h.ServeHTTP(w, r)
	})
}

func (n *Node) answerExchange(r *http.Request) (any, error) {
	var req exchangeRequest
	if err := readJSON(r, messageMax, false, &req); err != nil {
		return nil, err
	}
	if err := req.Since.ValidateSince(); err != nil {
		return nil, images.Wrap(images.Invalid, "exchange", err.Error(), nil)
	}
	s := n.state()
	if req.Digest == s.Digest {
		return exchangeAnswer{state: s, Equal: true}, nil
	}
	if req.Probe {
		return exchangeAnswer{state: s}, nil
	}
	page := n.deps.Table.Page(req.Since, purge.PageMax)
	return exchangeAnswer{state: n.state(), Page: &page}, nil
}

func (n *Node) answerPush(r *http.Request) (any, error) {
	var req pushRequest
	if err := readJSON(r, messageMax, false, &req); err != nil {
		return nil, err
	}
	if req.Instance != n.instance {
		from := req.Node
		if !purge.ValidNodeName(from) {
			from = r.RemoteAddr
		}
		if err := n.merge(from, &req.Page); err != nil {
			return nil, err
		}
	}
	ans := pushAnswer{state: n.state()}
	if !req.Ask.IsZero() {
		ans.Held = n.deps.Table.Held(req.Ask)
		ans.OrderDone = ans.Held && n.deps.Table.SweptOf(req.Ask)
	}
	return ans, nil
}
